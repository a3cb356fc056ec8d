//! One call of an application, from the environ to `close()`.
//!
//! It owns the order of events that PEP 3333 lays down: call, pieces, end, and `close()` exactly
//! once whatever happens. A [`WsgiRequest`] goes in, the answer goes to a [`Producer`] piece by
//! piece. It never waits: when the stream is full it says so, and whoever steps it waits in his way
//! (`dispatch.rs` blocks without the GIL, `inline.rs` goes back to its event loop).

use crate::limits;
use crate::python::RequestBody;
use crate::python::WsgiRequest;
use crate::python::application::SharedApplication;
use crate::python::errors;
use crate::python::interpreter::Attached;
use crate::python::object::Exception;
use crate::python::object::Kind;
use crate::python::object::PyIterator;
use crate::python::object::PyRef;
use crate::python::object::Raised;
use crate::python::start_response::Answer;
use crate::python::start_response::Callables;
use crate::python::start_response::Client;
use crate::python::start_response::Patience;
use crate::request::Method;
use crate::response::stream::Finish;
use crate::response::stream::Phase;
use crate::response::stream::Producer;
use crate::response::stream::Pushed;
use crate::response::stream::RoomWait;

/// A call that has begun. It must be ended with [`Call::end`].
#[derive(Debug)]
pub(super) struct Call {
    application: SharedApplication,
    /// Without its body, which the environ has.
    request: WsgiRequest,
    callables: Callables,
    /// What the application returned, when it may have a `close()`.
    closable: Option<PyRef>,
    pieces: Pieces,
    /// A piece whose bytes from the given one on found no room.
    pending: Option<(PyRef, usize)>,
}

/// Where further pieces come from.
#[derive(Debug)]
enum Pieces {
    /// A list or tuple, and the place of the next piece in it.
    List(PyRef, usize),
    /// Any other iterable's iterator before its first piece.
    Unread(PyIterator),
    /// The same after that.
    Iterator(PyIterator),
    /// There are none: the answer has ended, well or not.
    Ended,
}

/// What a step did.
#[must_use]
#[derive(Debug)]
pub(super) enum Step {
    /// It handed a piece over, or met an empty one.
    Went,
    /// The stream is full: step again when there is room.
    Full(RoomWait),
    /// The answer has ended, or nobody reads it.
    Ended,
}

impl Call {
    /// Calls the application. None when not even that was possible; the answer has failed then.
    pub(super) fn begin(
        attached: &Attached,
        application: SharedApplication,
        mut request: WsgiRequest,
        producer: Producer,
        patience: Patience,
    ) -> Option<Self> {
        debug_assert!(!attached.has_raised(), "an exception of an earlier call is still set");
        let shared = application.get(attached);
        let callables = match shared.callables.take(attached, Answer { producer, patience }) {
            Ok(callables) => callables,
            Err(raised) => {
                let format = &shared.format_exception;
                errors::log_raised(
                    attached,
                    format,
                    &request.head,
                    "no call could be made",
                    raised,
                );
                return None;
            }
        };
        let body = std::mem::replace(&mut request.body, RequestBody::Empty);
        let mut call = Self {
            application,
            request,
            callables,
            closable: None,
            pieces: Pieces::Ended,
            pending: None,
        };
        if let Err(raised) = call.run(attached, body) {
            call.fail(attached, "the application failed", raised);
        }
        Some(call)
    }

    /// Hands the next piece over, or ends the answer.
    pub(super) fn step(&mut self, attached: &Attached) -> Step {
        let stepped = match self.pending.take() {
            Some((piece, from)) => self.push(attached, piece, from),
            None => match self.next_piece(attached) {
                Ok(Some(piece)) => self.push(attached, piece, 0),
                Ok(None) => Ok(self.finish(attached)),
                Err(raised) => Err(raised),
            },
        };
        stepped.unwrap_or_else(|raised| {
            self.fail(attached, "the application failed while its answer was sent", raised);
            Step::Ended
        })
    }

    /// Whether the answer has ended and nothing is left but [`Call::end`].
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.pieces, Pieces::Ended) && self.pending.is_none()
    }

    /// Ends the call: an unfinished answer fails, and the iterable is closed.
    pub(super) fn end(mut self, attached: &Attached) {
        self.pieces = Pieces::Ended;
        self.pending = None;
        if let Some(producer) = self.callables.end(attached) {
            producer.fail();
        }
        if let Some(closable) = self.closable.take() {
            self.close(attached, &closable);
        }
        self.application.get(attached).callables.give_back(attached, self.callables);
        debug_assert!(!attached.has_raised(), "a call ends with an exception set");
    }

    fn run(&mut self, attached: &Attached, body: RequestBody) -> Result<(), Raised> {
        let application = self.application;
        let shared = application.get(attached);
        let environ = shared.environ.make(attached, &self.request, body)?;
        if environ.method == Method::Head {
            self.callables.with(attached, Producer::expect_no_body);
        }
        let start_response = self.callables.start_response();
        let result = attached.call(&shared.callable, [&environ.dict, start_response])?;
        drop(environ);
        if attached.is_plain_sequence(&result) {
            self.pieces = Pieces::List(result, 0);
            self.answer_at_once(attached);
            return Ok(());
        }
        match attached.kind(&result) {
            Kind::None | Kind::Bytes | Kind::Text => {
                let name = attached.type_name(&result);
                let text = format!("the application returned {name}, not an iterable of bytes");
                Err(attached.raise(Exception::Type, &text))
            }
            _ => {
                let iterator = attached.iterate(&result);
                self.closable = Some(result);
                self.pieces = Pieces::Unread(iterator?);
                Ok(())
            }
        }
    }

    /// A list of no great size is the whole answer, and leaves in one hand-over. A longer one gets
    /// its Content-Length. What is not as it should be is left to the steps, which say so.
    fn answer_at_once(&mut self, attached: &Attached) {
        let Pieces::List(list, _) = &self.pieces else { return };
        let count = attached.length(list).unwrap_or_default();
        let pieces: Vec<_> = (0..count).filter_map(|at| attached.item(list, at)).collect();
        let texts = pieces.iter().map(|piece| attached.bytes_of(piece));
        let Some(texts) = texts.collect::<Option<Vec<&[u8]>>>() else { return };
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let phase = self.callables.with(attached, |producer| producer.phase());
        if bytes == 0 || phase != Some(Phase::Started) {
            return;
        }
        if bytes > limits::STREAM_BYTES_MAX {
            self.callables.with(attached, |producer| producer.declare_length(bytes as u64));
            return;
        }
        let pushed = match texts.as_slice() {
            [whole] => self.callables.with(attached, |producer| producer.finish_with(whole)),
            many => {
                let whole = many.concat();
                self.callables.with(attached, |producer| producer.finish_with(&whole))
            }
        };
        debug_assert!(!matches!(pushed, Some(Pushed::Full { .. })), "an empty stream has room");
        let _ = self.finish(attached);
    }

    fn next_piece(&mut self, attached: &Attached) -> Result<Option<PyRef>, Raised> {
        match &mut self.pieces {
            Pieces::List(list, at) => {
                let piece = attached.item(list, *at);
                *at += 1;
                Ok(piece)
            }
            Pieces::Unread(iterator) | Pieces::Iterator(iterator) => attached.next(iterator),
            Pieces::Ended => Ok(None),
        }
    }

    fn push(&mut self, attached: &Attached, piece: PyRef, from: usize) -> Result<Step, Raised> {
        let Some(bytes) = attached.bytes_of(&piece) else {
            let text = format!("the application gave {}, not bytes", attached.type_name(&piece));
            return Err(attached.raise(Exception::Type, &text));
        };
        if !bytes.is_empty() {
            self.before_first_byte(attached, bytes.len())?;
        }
        let rest = bytes.get(from..).unwrap_or_default();
        let pushed = self.callables.with(attached, |producer| {
            let pushed = producer.push(rest);
            let room = matches!(pushed, Pushed::Full { .. }).then(|| producer.room());
            (pushed, room)
        });
        match pushed {
            Some((Pushed::Taken, _)) => Ok(Step::Went),
            Some((Pushed::Full { taken }, Some(room))) => {
                self.pending = Some((piece, from + taken));
                Ok(Step::Full(room))
            }
            // PEP 3333: a server stops iterating when Content-Length bytes have been sent.
            Some((Pushed::Over | Pushed::Unwanted, _)) => Ok(self.finish(attached)),
            Some((Pushed::Gone | Pushed::Full { .. }, _)) | None => {
                self.pieces = Pieces::Ended;
                Ok(Step::Ended)
            }
        }
    }

    /// The head leaves with the first byte, so it must be there, and its length be known by now.
    fn before_first_byte(&mut self, attached: &Attached, bytes: usize) -> Result<(), Raised> {
        let phase = self.callables.with(attached, |producer| producer.phase());
        if phase == Some(Phase::Unstarted) {
            let text = "start_response() was not called before the first piece of the body";
            return Err(attached.raise(Exception::Runtime, text));
        }
        self.pieces = match std::mem::replace(&mut self.pieces, Pieces::Ended) {
            Pieces::Unread(iterator) => Pieces::Iterator(iterator),
            read => {
                self.pieces = read;
                return Ok(());
            }
        };
        let wants = self.callables.with(attached, |producer| producer.wants_length());
        // PEP 3333: of an iterable of one piece the length is known.
        if wants == Some(true)
            && let Some(closable) = &self.closable
            && attached.length(closable) == Some(1)
        {
            self.callables.with(attached, |producer| producer.declare_length(bytes as u64));
        }
        Ok(())
    }

    fn finish(&mut self, attached: &Attached) -> Step {
        self.pieces = Pieces::Ended;
        match self.callables.end(attached).map(Producer::finish) {
            None | Some(Finish::Whole) => {}
            Some(Finish::Short { missing }) => {
                let what = format!("the application gave {missing} bytes less than Content-Length");
                errors::log_fault(&self.request.head, &what);
            }
            Some(Finish::Headless) => {
                let what = "the application's answer ended, and it never called start_response()";
                errors::log_fault(&self.request.head, what);
            }
        }
        Step::Ended
    }

    fn fail(&mut self, attached: &Attached, what: &str, raised: Raised) {
        if self.callables.client(attached) == Client::Gone {
            // Our own BrokenPipeError in all likelihood: clients go, and nobody is at fault.
            let exception = attached.describe(raised);
            tracing::debug!("{what} after its client had gone: {exception}");
        } else {
            let format = &self.application.get(attached).format_exception;
            errors::log_raised(attached, format, &self.request.head, what, raised);
        }
        self.pieces = Pieces::Ended;
        if let Some(producer) = self.callables.end(attached) {
            producer.fail();
        }
    }

    fn close(&mut self, attached: &Attached, closable: &PyRef) {
        let shared = self.application.get(attached);
        let closed = attached
            .attribute_if_any(closable, &shared.close)
            .and_then(|close| close.map(|close| attached.call(&close, [])).transpose());
        if let Err(raised) = closed {
            let (format, what) = (&shared.format_exception, "close() of the answer failed");
            errors::log_raised(attached, format, &self.request.head, what, raised);
        }
    }
}
