//! `start_response` and `write` of PEP 3333, and their reuse from one call to the next.
//!
//! It owns the [`Answer`] of each running call, and the pool of callables of an interpreter. Status
//! and headers go in as Python objects, a checked [`Head`] goes to the answer's [`Producer`]. It
//! does not know what the application returns.
//!
//! The callables find their answer through a slot that is emptied when the call ends. An
//! application that kept one (a traceback does) and calls it later gets a RuntimeError, and never
//! the answer of another request: a pair that somebody else still refers to is not used again.

use crate::limits;
use crate::python::interpreter::Attached;
use crate::python::native;
use crate::python::native::Function;
use crate::python::object::Exception;
use crate::python::object::Kind;
use crate::python::object::PyRef;
use crate::python::object::Raised;
use crate::response::head::Head;
use crate::response::head::InvalidHeader;
use crate::response::stream::Phase;
use crate::response::stream::Producer;
use crate::response::stream::Pushed;
use std::cell::RefCell;

/// The answer of one running call.
#[derive(Debug)]
pub(super) struct Answer {
    /// Where the answer goes.
    pub(super) producer: Producer,
    /// What `write` does when the stream is full.
    pub(super) patience: Patience,
}

/// What a call does when more bytes wait for the socket than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It is on a Python thread of its own and waits without the GIL.
    Wait,
    /// It is on the I/O thread, which must never wait.
    Never,
}

/// Where the callables find the answer; empty when their call is over. It is borrowed only while no
/// Python code runs, so a borrow never fails; were it to, the call would count as over.
pub(super) type Slot = RefCell<Option<Running>>;

/// What a slot holds during a call.
#[derive(Debug)]
pub(super) struct Running {
    answer: Answer,
    client: Client,
    /// Returned by `start_response`. Here and not in the capsule, so that it is no reference cycle
    /// when the call is over.
    write: PyRef,
}

/// Whether the application has been told that nobody reads its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// It has not.
    There,
    /// `write()` has raised BrokenPipeError.
    Gone,
}

/// The callables of one call. See [`Callables::end`].
#[derive(Debug)]
pub(super) struct Callables {
    capsule: PyRef,
    start_response: PyRef,
    write: PyRef,
}

/// Callables that no call uses now.
#[derive(Debug, Default)]
pub(super) struct Pool {
    spare: RefCell<Vec<Callables>>,
}

impl Pool {
    /// Callables for a call with this answer.
    pub(super) fn take(&self, attached: &Attached, answer: Answer) -> Result<Callables, Raised> {
        let spare = self.spare.try_borrow_mut().ok().and_then(|mut spare| spare.pop());
        let callables = match spare {
            Some(callables) => callables,
            None => Callables::new(attached)?,
        };
        let running =
            Running { answer, client: Client::There, write: attached.share(&callables.write) };
        let slot = native::slot(attached, &callables.capsule)?;
        if let Ok(mut slot) = slot.try_borrow_mut() {
            *slot = Some(running);
        }
        Ok(callables)
    }

    /// Takes callables back after their call has ended, unless somebody still refers to them.
    pub(super) fn give_back(&self, attached: &Attached, callables: Callables) {
        let kept_start = attached.references(&callables.start_response) != 1;
        let kept_write = attached.references(&callables.write) != 1;
        if kept_start || kept_write {
            return;
        }
        if let Ok(mut spare) = self.spare.try_borrow_mut()
            && spare.len() < limits::PYTHON_SPARE_CALLABLES_MAX
        {
            spare.push(callables);
        }
    }
}

impl Callables {
    fn new(attached: &Attached) -> Result<Self, Raised> {
        let capsule = native::capsule(attached)?;
        let owner = Some(&capsule);
        let start_response = native::function(attached, Function::StartResponse, owner)?;
        let write = native::function(attached, Function::Write, owner)?;
        Ok(Self { capsule, start_response, write })
    }

    /// The object to call the application with.
    pub(super) const fn start_response(&self) -> &PyRef {
        &self.start_response
    }

    /// Does something with the running answer; None when the call has ended. `act` runs no Python.
    pub(super) fn with<T>(
        &self,
        attached: &Attached,
        act: impl FnOnce(&mut Producer) -> T,
    ) -> Option<T> {
        with_running(attached, &self.capsule, |running| act(&mut running.answer.producer))
    }

    /// What the application knows of its client. There, when the call has ended.
    pub(super) fn client(&self, attached: &Attached) -> Client {
        let client = with_running(attached, &self.capsule, |running| running.client);
        client.unwrap_or(Client::There)
    }

    /// Ends the call for the callables: from now on they raise. Gives the answer's producer.
    pub(super) fn end(&self, attached: &Attached) -> Option<Producer> {
        let running = native::slot(attached, &self.capsule).ok()?.try_borrow_mut().ok()?.take();
        running.map(|running| running.answer.producer)
    }
}

/// `start_response(status, headers, exc_info=None)`.
pub(super) fn start(
    attached: &Attached,
    capsule: &PyRef,
    status: &PyRef,
    headers: &PyRef,
    exc_info: Option<&PyRef>,
) -> Result<PyRef, Raised> {
    let exc_info = exc_info.filter(|info| attached.kind(info) != Kind::None);
    let phase = with_running(attached, capsule, |running| running.answer.producer.phase());
    match (phase.ok_or_else(|| over(attached))?, exc_info) {
        // PEP 3333: the headers have left, so the application's error handler must not go on.
        (Phase::HeadLeft, Some(exc_info)) => return Err(raise_again(attached, exc_info)),
        (Phase::Started | Phase::HeadLeft, None) => {
            let text = "start_response() was called a second time without exc_info";
            return Err(attached.raise(Exception::Runtime, text));
        }
        (Phase::Unstarted, _) | (Phase::Started, Some(_)) => {}
    }
    let head = head(attached, status, headers)?;
    let write = with_running(attached, capsule, |running| {
        running.answer.producer.start(head);
        attached.share(&running.write)
    });
    write.ok_or_else(|| over(attached))
}

/// `write(piece)`: waits without the GIL while the stream is full, as far as the call has patience.
pub(super) fn write(attached: &mut Attached, capsule: &PyRef, piece: &PyRef) -> Result<(), Raised> {
    let Some(mut rest) = attached.bytes_of(piece) else {
        let text = format!("write() takes bytes, not {}", attached.type_name(piece));
        return Err(attached.raise(Exception::Type, &text));
    };
    loop {
        let pushed = with_running(attached, capsule, |running| {
            let Answer { producer, patience } = &mut running.answer;
            match patience {
                Patience::Wait => (producer.push(rest), Some(producer.room())),
                Patience::Never => {
                    (producer.push_within(rest, limits::INLINE_WRITE_BYTES_MAX), None)
                }
            }
        });
        match pushed.ok_or_else(|| over(attached))? {
            // PEP 3333 lets an application answer HEAD as it answers GET.
            (Pushed::Taken | Pushed::Unwanted, _) => return Ok(()),
            (Pushed::Over, _) if rest.is_empty() => return Ok(()),
            (Pushed::Full { taken }, Some(room)) => {
                rest = rest.get(taken..).unwrap_or_default();
                // Gone shows at the next push.
                let _ = attached.detached(|| room.wait());
            }
            (Pushed::Full { .. }, None) => {
                let text = "write() took too many bytes for a call on the I/O thread (threads = 0)";
                return Err(attached.raise(Exception::Runtime, text));
            }
            (Pushed::Over, _) => {
                let text = "write() took more bytes than Content-Length says";
                return Err(attached.raise(Exception::Value, text));
            }
            (Pushed::Gone, _) => {
                with_running(attached, capsule, |running| running.client = Client::Gone);
                return Err(attached.raise(Exception::BrokenPipe, "the client has gone"));
            }
        }
    }
}

fn with_running<T>(
    attached: &Attached,
    capsule: &PyRef,
    act: impl FnOnce(&mut Running) -> T,
) -> Option<T> {
    match native::slot(attached, capsule) {
        Ok(slot) => slot.try_borrow_mut().ok()?.as_mut().map(act),
        Err(raised) => {
            drop(attached.take(raised));
            None
        }
    }
}

fn over(attached: &Attached) -> Raised {
    attached.raise(Exception::Runtime, "the request of this start_response() or write() is over")
}

fn raise_again(attached: &Attached, exc_info: &PyRef) -> Raised {
    match attached.item(exc_info, 1) {
        Some(exception) => attached.raise_object(exception),
        None => attached.raise(Exception::Type, "exc_info must be a tuple of three"),
    }
}

/// A checked head of a WSGI status and WSGI headers.
fn head(attached: &Attached, status: &PyRef, headers: &PyRef) -> Result<Head, Raised> {
    let Some(line) = attached.latin1_of(status) else {
        let text = format!("the status must be a str of latin-1, not {}", show(attached, status));
        return Err(attached.raise(Exception::Type, &text));
    };
    let invalid = |error: InvalidHeader| attached.raise(Exception::Value, &error.to_string());
    let mut head = Head::from_status_line(line).map_err(invalid)?;
    if !matches!(attached.kind(headers), Kind::List | Kind::Tuple) {
        let text = format!("the headers must be a list, not {}", attached.type_name(headers));
        return Err(attached.raise(Exception::Type, &text));
    }
    let mut index = 0;
    while let Some(field) = attached.item(headers, index) {
        let (name, value) = (attached.item(&field, 0), attached.item(&field, 1));
        let (Some(name), Some(value), None) = (name, value, attached.item(&field, 2)) else {
            let text = format!("header {index} must be a tuple of a name and a value");
            return Err(attached.raise(Exception::Type, &text));
        };
        let texts = (attached.latin1_of(&name), attached.latin1_of(&value));
        let (Some(name_text), Some(value_text)) = texts else {
            let (name, value) = (show(attached, &name), show(attached, &value));
            let text = format!("a header must be two str of latin-1, not ({name}, {value})");
            return Err(attached.raise(Exception::Type, &text));
        };
        head.push(name_text, value_text).map_err(invalid)?;
        index += 1;
    }
    Ok(head)
}

/// A wrong object for an error message: a text itself, of others the type.
fn show(attached: &Attached, object: &PyRef) -> String {
    match attached.kind(object) {
        Kind::Text => format!("{:?}", attached.text_of(object)),
        _ => attached.type_name(object),
    }
}
