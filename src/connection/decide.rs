//! One parsed request to what has to be done about it. No await: the request borrows the read
//! buffer.
//!
//! What can be answered at once is appended to the outbox here; what needs the disk, the socket or
//! Python comes back as a [`Step`] that owns all it needs.

use std::borrow::Cow;
use std::rc::Rc;

use percent_encoding::percent_encode;

use crate::address::Address;
use crate::auth;
use crate::auth::Proof;
use crate::connection::error_page;
use crate::connection::error_page::Asked;
use crate::connection::file_answer;
use crate::connection::file_answer::Answer;
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
use crate::response::Overlay;
use crate::response::head::ConnectionField;
use crate::response::head::Delimitation;
use crate::route::Destination;
use crate::route::Route;
use crate::route::Slash;
use crate::rules::OUTSIDE_PATH;
use crate::static_files;
use crate::static_files::Entry;
use crate::static_files::Ready;
use crate::workshop::Busy;

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
    /// A password must be checked; then the same request is decided again.
    Prove(Prove),
    /// The operator's page for an error must be sent.
    Page(Box<Page>),
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
    /// The number of the folder.
    pub files: usize,
    pub question: static_files::Look,
    /// What was learned before, which is still to be known when the disk has answered.
    pub access: Option<Access>,
}

/// What a password was worth for a realm, by its number.
pub(super) type Access = (usize, Result<auth::Verdict, Busy>);

/// A password to be checked.
pub(super) struct Prove {
    /// The number of the realm.
    pub realm: usize,
    pub proof: Box<Proof>,
}

/// What was learned about the request at hand since it came.
#[derive(Default)]
pub(super) struct Learned {
    /// What the password was worth for a realm, when it was checked just now.
    pub access: Option<Access>,
    /// What the disk said, when it was asked.
    pub file: Option<Result<Rc<Entry>, Trouble>>,
}

/// Why the disk could not say anything, and the status that tells so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Too few descriptors, too much to do: it may be better soon.
    Busy,
    /// The disk has failed.
    Disk,
}

/// The operator's page in the place of our own.
pub(super) struct Page {
    pub answer: error_page::Answer,
    /// Where the page is.
    pub files: usize,
    pub path: String,
    pub settlement: Settlement,
    pub record: Option<Record>,
}

/// A file's bytes to be sent.
pub(super) struct SendFile {
    pub entry: Rc<Entry>,
    pub body: static_files::Body,
    pub status: u16,
    pub settlement: Settlement,
    pub record: Option<Record>,
}

/// A request for an application, without its body.
pub(super) struct Call {
    pub app: usize,
    pub script_name_bytes: usize,
    pub head: Vec<u8>,
    /// The path in the place of the head's, where a rule has rewritten it.
    pub path: Option<Vec<u8>>,
    /// Who has proved who they are, where a rule wants that.
    pub user: Option<String>,
    /// The site's fields for the answer.
    pub overlay: Overlay,
    /// Whose error pages count.
    pub site: usize,
    pub facts: Facts,
    /// What a page in the application's place depends on.
    pub asked: Asked,
    pub record: Option<Record>,
}

impl Call {
    /// Bytes of memory that it owns.
    pub(super) fn held_bytes(&self) -> usize {
        self.head.capacity()
            + self.overlay.held_bytes()
            + self.path.as_ref().map_or(0, Vec::capacity)
            + self.user.as_ref().map_or(0, String::capacity)
            + self.record.as_ref().map_or(0, Record::held_bytes)
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
    /// The site that the request is for, when that is known.
    pub site: Option<usize>,
    /// Who has proved who they are, where a rule wants that.
    pub user: Option<String>,
    /// The site's fields for the answer.
    pub overlay: Overlay,
}

impl<'connection> Desk<'connection> {
    pub(super) fn new(
        service: &'connection Service,
        out: &'connection mut Vec<u8>,
        peer: Address,
        number: u64,
    ) -> Self {
        Self { service, out, peer, number, site: None, user: None, overlay: Overlay::default() }
    }

    /// Decides on one request, by what was learned about it so far.
    pub(super) fn decide(&mut self, request: &Request<'_>, learned: Learned) -> Step {
        if let Framing::Length(bytes) = request.framing
            && bytes > self.service.body_bytes_max
        {
            return Step::Refuse(Reject::BodyTooLarge);
        }
        if *request.target.path == *b"*" {
            return self.server_options(request);
        }
        let Some(site) = self.service.router.site(request.host) else {
            return self.own_answer(request, Head::new(404));
        };
        self.site = Some(site);
        match self.service.policies.get(site) {
            Some(policy) if !policy.rules.is_empty() => {
                self.by_rules(request, site, &policy.rules, learned)
            }
            _ => self.route(request, site, &request.target.path, None, learned),
        }
    }

    /// Leads a path to what answers for it. `rewritten` is the same path where it is not the
    /// request's own.
    pub(super) fn route(
        &mut self,
        request: &Request<'_>,
        site: usize,
        path: &[u8],
        rewritten: Option<&[u8]>,
        learned: Learned,
    ) -> Step {
        let Some(route) = self.service.router.route(site, path) else {
            return self.own_answer(request, Head::new(404));
        };
        if route.slash == Slash::Required && path.len() == route.prefix.len() {
            return self.redirect(request, &[path, b"/"].concat());
        }
        match route.destination {
            Destination::App(app) => self.call(request, route, app, rewritten),
            Destination::Files { files, fallback } => {
                match self.file(request, route, files, path, learned) {
                    Some(step) => step,
                    None => match fallback {
                        Some(app) => self.call(request, route, app, rewritten),
                        None => self.own_answer(request, Head::new(404)),
                    },
                }
            }
        }
    }

    /// The answer from a folder; None where nothing is at the path.
    fn file(
        &mut self,
        request: &Request<'_>,
        route: &Route,
        number: usize,
        path: &[u8],
        learned: Learned,
    ) -> Option<Step> {
        let files = self.service.files.get(number)?;
        let below = path.get(route.prefix.len()..).unwrap_or_default();
        let is_bare = below.is_empty() && !route.prefix.is_empty();
        let below = if below.is_empty() { Cow::Borrowed(b"/".as_slice()) } else { merged(below) };
        let entry = match &learned.file {
            Some(Ok(entry)) => Rc::clone(entry),
            Some(Err(trouble)) => return Some(self.own_answer(request, trouble.head())),
            None => {
                match static_files::ready(&self.service.cache.borrow(), files, &below, request) {
                    Ready::Entry(entry) => entry,
                    Ready::Look(question) => {
                        let access = learned.access;
                        return Some(Step::Look(Look { files: number, question, access }));
                    }
                }
            }
        };
        if is_bare && entry.file().is_some_and(|file| file.source().is_empty()) {
            // A listing, whose links are relative.
            return Some(self.redirect(request, &[route.prefix.as_bytes(), b"/"].concat()));
        }
        if let Some(step) = self.keep_file(request, route, files, &below, &entry, &learned) {
            return Some(step);
        }
        match file_answer::answer(self, request, entry) {
            Answer::Step(step) => Some(step),
            Answer::Nothing => None,
            Answer::Moved(slash) => {
                let mut address = [route.prefix.as_bytes(), &below].concat();
                match slash {
                    static_files::Slash::Added => address.push(b'/'),
                    static_files::Slash::Removed => drop(address.pop()),
                }
                Some(self.redirect(request, &address))
            }
        }
    }

    fn call(
        &mut self,
        request: &Request<'_>,
        route: &Route,
        app: usize,
        rewritten: Option<&[u8]>,
    ) -> Step {
        let mounted = matches!(route.destination, Destination::App(_));
        Step::Call(Box::new(Call {
            app,
            script_name_bytes: if mounted { route.prefix.len() } else { 0 },
            head: request.head.to_vec(),
            path: rewritten.map(<[u8]>::to_vec),
            user: self.user.take(),
            overlay: std::mem::take(&mut self.overlay),
            site: self.site.unwrap_or(usize::MAX),
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

    /// To a decoded path, with the query as it came.
    fn redirect(&mut self, request: &Request<'_>, path: &[u8]) -> Step {
        // Built from the decoded path: a raw target may be absolute, or begin with two slashes,
        // which a browser would take for another host.
        let mut location = percent_encode(path, OUTSIDE_PATH).to_string();
        if !request.target.query.is_empty() {
            location.push('?');
            location.push_str(&String::from_utf8_lossy(request.target.query));
        }
        let mut head = Head::new(301);
        head.field("Location", &location);
        self.own_answer(request, head)
    }

    /// Answers with a head of our own making, and the page for its status where it has a body: the
    /// operator's, if there is one.
    pub(super) fn own_answer(&mut self, request: &Request<'_>, mut head: Head) -> Step {
        let (settlement, connection) = self.settlement(request);
        head.overlay(&self.overlay);
        let answer = error_page::Answer { head, asked: Asked::of(request), connection };
        let page = self.site.and_then(|site| self.service.error_page(site, answer.head.status()));
        if let Some((files, path)) = page {
            let (record, path) = (self.record(request), path.to_owned());
            return Step::Page(Box::new(Page { answer, files, path, settlement, record }));
        }
        let status = answer.head.status();
        let bytes = answer.encode(self.service, self.out);
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

impl Trouble {
    pub(super) fn head(self) -> Head {
        match self {
            Self::Disk => Head::new(500),
            Self::Busy => {
                let mut head = Head::new(503);
                head.field("Retry-After", "1");
                head
            }
        }
    }
}

/// The path with each run of slashes as one, as nginx has it by default.
pub(super) fn merged(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.windows(2).any(|pair| pair == b"//") {
        return Cow::Borrowed(path);
    }
    let mut merged = path.to_vec();
    merged.dedup_by(|next, last| (*next, *last) == (b'/', b'/'));
    Cow::Owned(merged)
}
