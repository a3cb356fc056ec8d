//! The door to Python: a [`Gateway`] takes [`WsgiRequest`]s and gives [`Reply`]s.
//!
//! It owns every Python object of the program; none leaves the room. A request goes in as owned
//! bytes, an answer comes out as a head and bytes, with a bound on what waits in between. Whether a
//! call runs on a companion thread of the lane or inline on its I/O thread is decided here and
//! visible nowhere else. The room knows nothing of sockets, routes or files.
//!
//! ```text
//! Gateway::call -> dispatch -> call: environ -> the application -> start_response, pieces
//!                                                   -> response::stream -> Reply::receive
//! ```
//!
//! One application has one interpreter with its own GIL on each lane (PEP 684). Interpreters share
//! no object, and live as long as the process. Working folder and environment variables belong to
//! the process: an application that changes them changes them for all.

mod application;
mod call;
mod dispatch;
mod environ;
mod errors;
mod fault;
mod inline;
mod interpreter;
mod native;
mod object;
mod runtime;
mod start_response;
mod thread;

pub use fault::PythonFault;
pub use runtime::Runtime;

use crate::address::Address;
use crate::request::Peer;
use crate::response::stream::Consumer;
use crate::response::stream::Received;
use dispatch::Companions;
use inline::Inline;
use inline::InlineReply;
use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

/// An application as the operator configured it.
#[derive(Clone, Debug)]
pub struct AppSpec {
    /// Its name in messages.
    pub name: String,
    /// `module`, `module:attr` or `module:create_app()`.
    pub target: String,
    /// The absolute folder that the process enters for the import, and the first one of `sys.path`
    /// after `pythonpath`.
    pub chdir: PathBuf,
    /// Folders that go before it.
    pub pythonpath: Vec<PathBuf>,
    /// The virtual environment whose packages it uses instead of the base Python's.
    pub venv: Option<PathBuf>,
    /// Python threads of a lane at most; 0 calls the application on the lane's I/O thread, which
    /// needs a stack of [`crate::limits::PYTHON_STACK_BYTES`] then.
    pub threads: usize,
}

/// Where a gateway's Python runs.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The lane's number, from 0.
    pub lane: usize,
    /// The CPU that the lane's threads are pinned to, if any.
    pub core: Option<core_affinity::CoreId>,
}

/// A request for an application; owned, and not bound to the thread that read it.
#[derive(Debug)]
pub struct WsgiRequest {
    /// The bytes of the head as received, which [`crate::request::head::parse`] takes.
    pub head: Vec<u8>,
    /// The decoded path, where it is not that of the head.
    pub path: Option<Vec<u8>>,
    /// Of the decoded path, so many bytes are SCRIPT_NAME, the rest PATH_INFO.
    pub script_name_bytes: usize,
    /// Who asks.
    pub peer: Peer,
    /// The user, where the server has asked for a password.
    pub user: Option<String>,
    /// The address that the client connected to.
    pub local: Address,
    /// The whole body, decoded.
    pub body: RequestBody,
}

/// The body of a request.
#[derive(Debug)]
pub enum RequestBody {
    /// No byte.
    Empty,
    /// Bytes in memory.
    Memory(Vec<u8>),
    /// Bytes in a file of their own.
    File {
        /// The file, positioned at its first byte.
        file: File,
        /// Its length.
        bytes: u64,
    },
}

/// A lane's door to one application. It stays on the lane's I/O thread.
#[derive(Debug)]
pub struct Gateway {
    way: Way,
}

#[derive(Debug)]
enum Way {
    Companions(Companions),
    Inline(Inline),
}

/// More requests wait for Python than may: answer 503 with Retry-After.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl Gateway {
    /// Makes an interpreter for the application and imports it. Blocks until that is done; only one
    /// start runs at a time in the process. Within a lane's runtime (a tokio `LocalSet`) or before.
    ///
    /// # Errors
    ///
    /// The operator's mistake, or an exception of the import.
    pub fn start(runtime: &Runtime, app: &AppSpec, place: Place) -> Result<Self, PythonFault> {
        let way = match app.threads {
            0 => Way::Inline(Inline::start(runtime, app, place)?),
            _ => Way::Companions(Companions::start(runtime, app, place)?),
        };
        Ok(Self { way })
    }

    /// Calls the application. With companion threads it may start a task on the current `LocalSet`.
    ///
    /// # Errors
    ///
    /// [`Busy`] when too many requests wait; the request is dropped.
    pub fn call(&self, request: WsgiRequest) -> Result<Reply, Busy> {
        let source = match &self.way {
            Way::Companions(companions) => Source::Companion(companions.call(request)?),
            Way::Inline(inline) => Source::Inline(inline.call(request)),
        };
        Ok(Reply { source })
    }

    /// Runs the exit handlers of the interpreter and flushes its standard streams, until `deadline`
    /// at most. Threads that still run Python are left alone; their answers fail or not as they
    /// come.
    pub fn stop(&self, deadline: Instant) {
        match &self.way {
            Way::Companions(companions) => companions.stop(deadline),
            Way::Inline(inline) => inline.stop(deadline),
        }
    }
}

/// The answer to a request as it comes. Dropping it before its end tells the application's side
/// that the client has gone; the iterable's `close()` is called in any case.
#[derive(Debug)]
pub struct Reply {
    source: Source,
}

#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for each inline call")]
#[derive(Debug)]
enum Source {
    Companion(Consumer),
    Inline(InlineReply),
}

impl Reply {
    /// Waits until there is something, and moves all of it behind what `buffer` holds. An empty
    /// buffer may be exchanged for another. Dropping the future loses nothing.
    pub async fn receive(&mut self, buffer: &mut Vec<u8>) -> Received {
        match &mut self.source {
            Source::Companion(consumer) => consumer.receive(buffer).await,
            Source::Inline(inline) => inline.receive(buffer).await,
        }
    }

    /// Whether a Python thread makes the answer, and waits when nobody takes it.
    #[must_use]
    pub const fn holds_a_thread(&self) -> bool {
        matches!(self.source, Source::Companion(_))
    }

    /// Whether the application has been called. Until then dropping the reply takes the request
    /// back.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        match &self.source {
            Source::Companion(consumer) => consumer.has_begun(),
            Source::Inline(_) => true,
        }
    }
}
