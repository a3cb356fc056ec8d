//! Inline calls (`threads = 0`): the application runs on the lane's I/O thread.
//!
//! It owns the I/O thread's state in the interpreter, which is attached for each call and each
//! piece of an answer, and for nothing else. A view that sleeps stops the whole lane: this is for
//! small handlers that never wait. The answers of several requests may be under way at once, so
//! each [`InlineReply`] has a [`Call`] of its own. It knows nothing of WSGI.

use crate::limits;
use crate::python::AppSpec;
use crate::python::Place;
use crate::python::WsgiRequest;
use crate::python::application;
use crate::python::application::SharedApplication;
use crate::python::call::Call;
use crate::python::call::Step;
use crate::python::fault::PythonFault;
use crate::python::interpreter::Interpreter;
use crate::python::interpreter::PythonThread;
use crate::python::runtime::Runtime;
use crate::python::start_response::Patience;
use crate::python::thread;
use crate::response::stream;
use crate::response::stream::Consumer;
use crate::response::stream::End;
use crate::response::stream::Received;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// An application that is called on the thread that started it.
#[derive(Debug)]
pub(super) struct Inline {
    interpreter: Interpreter,
    place: Place,
    seat: Rc<Seat>,
}

#[derive(Debug)]
struct Seat {
    /// Borrowed only while Python runs, from which no way leads back here.
    thread: RefCell<PythonThread>,
    application: SharedApplication,
}

impl Inline {
    /// Makes the interpreter and imports the application, on the calling thread.
    pub(super) fn start(
        runtime: &Runtime,
        app: &AppSpec,
        place: Place,
    ) -> Result<Self, PythonFault> {
        let _turn = runtime.one_at_a_time();
        let (interpreter, mut thread) = Interpreter::new()?;
        let attached = thread.attach();
        let application = application::load(&attached, app, place)?;
        application.get(&attached).adopt_thread(&attached, &thread::name(place, 0));
        drop(attached);
        let seat = Rc::new(Seat { thread: RefCell::new(thread), application });
        Ok(Self { interpreter, place, seat })
    }

    /// Calls the application now. Pieces that it yields are fetched by [`InlineReply::receive`].
    pub(super) fn call(&self, request: WsgiRequest) -> InlineReply {
        let (producer, consumer) = stream::bounded();
        let application = self.seat.application;
        let mut thread = self.seat.thread.borrow_mut();
        let attached = thread.attach();
        let mut call = Call::begin(&attached, application, request, producer, Patience::Never);
        // A list has been answered at once: then the call can end in the same hold of the GIL.
        if call.as_ref().is_some_and(Call::is_over)
            && let Some(call) = call.take()
        {
            call.end(&attached);
        }
        InlineReply { seat: Rc::clone(&self.seat), consumer, call, end: End::More }
    }

    /// See [`thread::finish`].
    pub(super) fn stop(&self, deadline: Instant) {
        thread::finish(self.interpreter, self.seat.application, self.place, deadline);
    }
}

/// An answer whose pieces are fetched when they are wanted.
#[derive(Debug)]
pub(super) struct InlineReply {
    seat: Rc<Seat>,
    consumer: Consumer,
    call: Option<Call>,
    /// What the last receive said.
    end: End,
}

impl InlineReply {
    /// See [`crate::python::Reply::receive`].
    pub(super) async fn receive(&mut self, buffer: &mut Vec<u8>) -> Received {
        loop {
            if let Some(received) = self.consumer.try_receive(buffer) {
                self.end = received.end;
                return received;
            }
            if self.call.is_none() {
                // Nothing is there and nothing will come. Only a receive after the end gets here.
                return Received { head: None, end: End::Failed };
            }
            if let Step::Went = self.step() {
                // An application may yield empty pieces for ever; the lane's other tasks go first.
                // (After a piece with bytes whoever sends it gives them their turn.) Merely
                // yielding would not submit their operations.
                if let Some(received) = self.consumer.try_receive(buffer) {
                    self.end = received.end;
                    return received;
                }
                tokio::time::sleep(limits::INLINE_PAUSE).await;
            }
        }
    }

    fn step(&mut self) -> Step {
        let Some(call) = &mut self.call else { return Step::Ended };
        let mut thread = self.seat.thread.borrow_mut();
        let attached = thread.attach();
        let step = call.step(&attached);
        if matches!(step, Step::Ended)
            && let Some(call) = self.call.take()
        {
            call.end(&attached);
        }
        step
    }
}

impl Drop for InlineReply {
    fn drop(&mut self) {
        // Content-Length was reached before the iterable's end: what stands after its last piece
        // gets its turn, as with any other server.
        if self.end == End::Complete {
            let _ = self.step();
        }
        if let Some(call) = self.call.take() {
            let mut thread = self.seat.thread.borrow_mut();
            let attached = thread.attach();
            call.end(&attached);
        }
    }
}
