//! One parsed request to what has to be done about it. No await: the request borrows the read
//! buffer.
//!
//! What can be answered at once is appended to the outbox here; what needs the disk, the socket or
//! Python comes back as a [`Step`] that owns all it needs.

use std::ops::Range;
use std::rc::Rc;

use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::percent_encode;

use crate::address::Address;
use crate::connection::error_page;
use crate::connection::error_page::Asked;
use crate::connection::file_answer;
use crate::connection::lifecycle;
use crate::connection::lifecycle::BodyRest;
use crate::connection::lifecycle::Exchange;
use crate::connection::lifecycle::Next;
use crate::connection::record;
use crate::connection::record::Record;
use crate::connection::service::Phase;
use crate::connection::service::Service;
use crate::request::Expectation;
use crate::request::Framing;
use crate::request::Method;
use crate::request::Persistence;
use crate::request::Reject;
use crate::request::Request;
use crate::request::Version;
use crate::response::Head;
use crate::response::head::ConnectionField;
use crate::response::head::Delimitation;
use crate::route::Destination;
use crate::route::Route;
use crate::route::Slash;
use crate::static_files::Entry;
use crate::static_files::Kind;
use crate::static_files::Known;

/// What has to be done next.
pub(super) enum Step {
    /// More of the head must be received.
    Read,
    /// The answer is in the outbox.
    Answered(Settlement),
    /// The request is refused; its head was not consumed.
    Refuse(Reject),
    /// The disk must be asked about a path; then the same request is decided again.
    Look(Look),
    /// The head is in the outbox; bytes of a file follow.
    SendFile(SendFile),
    /// An application must be called.
    Call(Box<Call>),
}

/// What is left of an exchange when its answer is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settlement {
    /// What becomes of the connection.
    pub next: Next,
    /// What of the request has not been read from the connection.
    pub unread: Unread,
}

/// What of a request has not been read from the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Nothing: the next request follows.
    Nothing,
    /// Its body, delimited so.
    Body(Framing),
    /// Nobody can tell how much.
    Unknown,
}

/// A question to the disk.
pub(super) struct Look {
    pub files: usize,
    pub path: Vec<u8>,
    pub known: Option<Rc<Entry>>,
}

/// What the disk said about the request at hand.
pub(super) enum Found {
    /// Nothing: it was not asked yet.
    NotAsked,
    /// This is at the path.
    Entry(Rc<Entry>),
    /// Nothing, for a reason of ours, such as too few descriptors.
    Failure,
}

/// A file's bytes to be sent.
pub(super) struct SendFile {
    pub entry: Rc<Entry>,
    pub slice: Range<u64>,
    pub status: u16,
    pub settlement: Settlement,
    pub record: Option<Record>,
}

/// A request for an application, without its body.
pub(super) struct Call {
    pub app: usize,
    pub script_name_bytes: usize,
    pub head: Vec<u8>,
    pub facts: Facts,
    /// What a page in the application's place depends on.
    pub asked: Asked,
    pub record: Option<Record>,
}

impl Call {
    /// Bytes of memory that it owns.
    pub(super) fn held_bytes(&self) -> usize {
        self.head.capacity() + self.record.as_ref().map_or(0, Record::held_bytes)
    }

    /// Writes the line of the access log, if there is one.
    pub(super) fn log(&self, service: &Service, status: u16, body_bytes: u64) {
        if let Some(record) = &self.record {
            record.log(service, status, body_bytes);
        }
    }
}

/// What the answer's framing and the connection's future depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Which request of its connection this is, from 1 on.
    pub number: u64,
    pub method: Method,
    pub version: Version,
    pub persistence: Persistence,
    pub framing: Framing,
    pub expectation: Expectation,
}

/// Where a decision may put its answer.
pub(super) struct Desk<'connection> {
    pub service: &'connection Service,
    pub out: &'connection mut Vec<u8>,
    pub peer: Address,
    /// Which request of its connection is decided on, from 1 on.
    pub number: u64,
}

impl Desk<'_> {
    /// Decides on one request. `found` is what the disk said, when it was asked just now.
    pub(super) fn decide(&mut self, request: &Request<'_>, found: Found) -> Step {
        if let Framing::Length(bytes) = request.framing
            && bytes > self.service.body_bytes_max
        {
            return Step::Refuse(Reject::BodyTooLarge);
        }
        if *request.target.path == *b"*" {
            return self.server_options(request);
        }
        let Some(route) = self.service.router.find(request.host, &request.target.path) else {
            return self.own_answer(request, Head::new(404));
        };
        if route.slash == Slash::Required && request.target.path.len() == route.prefix.len() {
            return self.slash_redirect(request);
        }
        match route.destination {
            Destination::App(app) => self.call(request, route, app),
            Destination::Files { files, fallback } => {
                self.file(request, route, files, fallback, found)
            }
        }
    }

    fn file(
        &mut self,
        request: &Request<'_>,
        route: &Route,
        files: usize,
        fallback: Option<usize>,
        found: Found,
    ) -> Step {
        let path = request.target.path.get(route.prefix.len()..).unwrap_or_default();
        let path = if path.is_empty() { b"/" } else { path };
        let entry = match found {
            Found::Entry(entry) => entry,
            Found::Failure => {
                let mut head = Head::new(503);
                head.field("Retry-After", "1");
                return self.own_answer(request, head);
            }
            Found::NotAsked => match self.service.cache.borrow().look_up(files, path) {
                Known::Fresh(entry) if entry_is_usable(&entry) => entry,
                Known::Fresh(entry) | Known::Stale(entry) => {
                    return Step::Look(Look { files, path: path.to_vec(), known: Some(entry) });
                }
                Known::Unknown => {
                    return Step::Look(Look { files, path: path.to_vec(), known: None });
                }
            },
        };
        match (&entry.kind, fallback) {
            (Kind::Missing, Some(app)) => self.call(request, route, app),
            _ => file_answer::answer(self, request, entry),
        }
    }

    fn call(&self, request: &Request<'_>, route: &Route, app: usize) -> Step {
        let mounted = matches!(route.destination, Destination::App(_));
        Step::Call(Box::new(Call {
            app,
            script_name_bytes: if mounted { route.prefix.len() } else { 0 },
            head: request.head.to_vec(),
            facts: self.facts(request),
            asked: Asked::of(request),
            record: self.record(request),
        }))
    }

    /// `OPTIONS *`: about the server as a whole (RFC 9110 section 9.3.7).
    fn server_options(&mut self, request: &Request<'_>) -> Step {
        let mut head = Head::new(204);
        head.field("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        self.own_answer(request, head)
    }

    /// To the same path with its slash, and the query as it came.
    pub(super) fn slash_redirect(&mut self, request: &Request<'_>) -> Step {
        // Built from the decoded path: a raw target may be absolute, or begin with two slashes,
        // which a browser would take for another host.
        let mut location = percent_encode(&request.target.path, OUTSIDE_PATH).to_string();
        location.push('/');
        if !request.target.query.is_empty() {
            location.push('?');
            location.push_str(&String::from_utf8_lossy(request.target.query));
        }
        let mut head = Head::new(301);
        head.field("Location", &location);
        self.own_answer(request, head)
    }

    /// Answers with a head of our own making, and the page for its status where it has a body.
    pub(super) fn own_answer(&mut self, request: &Request<'_>, head: Head) -> Step {
        let status = head.status();
        let (settlement, connection) = self.settlement(request);
        let bytes =
            error_page::encode(self.service, self.out, head, Asked::of(request), connection);
        record::log(self.service, self.peer, request, status, bytes);
        Step::Answered(settlement)
    }

    /// What becomes of the connection when this request has a complete answer and its body is
    /// unread.
    pub(super) fn settlement(&self, request: &Request<'_>) -> (Settlement, ConnectionField) {
        let facts = self.facts(request);
        // Every answer that is made here has a length or no body.
        let exchange =
            facts.exchange(self.service.phase(), facts.unread_body(), Delimitation::None);
        let unread = match request.framing {
            Framing::None => Unread::Nothing,
            framing => Unread::Body(framing),
        };
        let settlement = Settlement { next: lifecycle::after(&exchange), unread };
        (settlement, lifecycle::connection_field(&exchange))
    }

    const fn facts(&self, request: &Request<'_>) -> Facts {
        Facts {
            number: self.number,
            method: request.method,
            version: request.version,
            persistence: request.persistence,
            framing: request.framing,
            expectation: request.expectation,
        }
    }

    /// The request's part of a line in the access log, when there is one.
    pub(super) fn record(&self, request: &Request<'_>) -> Option<Record> {
        Record::new(self.service, self.peer, request)
    }
}

impl Facts {
    /// The exchange that the lifecycle decides about. The lane's phase is asked for when the head
    /// is made: it may have changed while the application worked.
    pub(super) const fn exchange(
        &self,
        phase: Phase,
        body: BodyRest,
        delimitation: Delimitation,
    ) -> Exchange {
        Exchange {
            number: self.number,
            version: self.version,
            persistence: self.persistence,
            body,
            delimitation,
            service: match phase {
                Phase::Serving => lifecycle::Service::Open,
                Phase::Draining => lifecycle::Service::Ending,
            },
        }
    }

    /// The request's body when nobody has read any of it.
    const fn unread_body(&self) -> BodyRest {
        match (self.framing, self.expectation) {
            (Framing::None, _) => BodyRest::Nothing,
            (_, Expectation::Continue) => BodyRest::Withheld,
            (Framing::Length(bytes), Expectation::None) => BodyRest::Bytes(bytes),
            (Framing::Chunked, Expectation::None) => BodyRest::Unknown,
        }
    }
}

/// A file that leaves by sendfile is compared with its entry before each answer, as the length was
/// promised for that version: one fstat(2) of about 0.2 us.
fn entry_is_usable(entry: &Entry) -> bool {
    match &entry.kind {
        Kind::File(file) => file.is_unchanged(),
        Kind::Folder | Kind::Missing => true,
    }
}

/// What must be escaped in a path of a URI: all but pchar and the slash (RFC 3986 section 3.3).
const OUTSIDE_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
