//! One connection: read, parse, decide, answer, again. The only room that touches a client socket.
//!
//! | file | owns |
//! |---|---|
//! | `service` | what the lane offers to its connections |
//! | `clients` | how many connections each client has; pure |
//! | `closing` | closing sockets, a few in each turn |
//! | `proxy_header` | the client that a proxy announces before the first request |
//! | `read_buffer` | received bytes that are not used yet |
//! | `decide` | one parsed request to what has to be done |
//! | `entrance` | what the site's rules say of it before |
//! | `body` | reading a request's body, or throwing it away |
//! | `file_answer`, `app_answer`, `error_page` | the three kinds of answer |
//! | `slow_reader`, `backlog` | an answer that waits in a file, so that no Python thread waits |
//! | `record` | what the access log needs of a request |
//! | `outbox` | sending, and waiting for a slow peer |
//! | `lifecycle` | every rule on whether the connection goes on; pure |
//! | `deadline` | every wait's end |
//! | `pace` | how slow a peer may be; pure |

mod app_answer;
mod backlog;
mod body;
mod clients;
mod closing;
mod decide;
mod entrance;
mod error_page;
mod file_answer;
mod lifecycle;
mod outbox;
mod pace;
mod proxy_header;
mod read_buffer;
mod record;
mod slow_reader;

pub mod deadline;
pub mod service;

pub use proxy_header::ProxyHeader;

use std::rc::Rc;

use crate::address::Address;
use crate::address::Standing;
use crate::clock::Moment;
use crate::connection::body::Drained;
use crate::connection::deadline::Waiting;
use crate::connection::deadline::Watch;
use crate::connection::decide::Desk;
use crate::connection::decide::Learned;
use crate::connection::decide::Look;
use crate::connection::decide::Page;
use crate::connection::decide::Prove;
use crate::connection::decide::Settlement;
use crate::connection::decide::Step;
use crate::connection::decide::Unread;
use crate::connection::error_page::Asked;
use crate::connection::lifecycle::Next;
use crate::connection::outbox::Outbox;
use crate::connection::read_buffer::ReadBuffer;
use crate::connection::service::Phase;
use crate::connection::service::Service;
use crate::limits::HEAD_TIME_MAX;
use crate::limits::LINGER_TIME_MAX;
use crate::limits::SEND_BUFFER_BYTES_MAX;
use crate::limits::SEND_WAIT_MAX;
use crate::request::Peer;
use crate::request::Reject;
use crate::request::forwarded;
use crate::request::head;
use crate::request::head::Parsed;
use crate::request::head::Scan;
use crate::response::Head;
use crate::response::head::ConnectionField;
use crate::uring::socket::End;
use crate::uring::socket::More;
use crate::uring::socket::Socket;

/// Why a connection ended. Not an error: this is how connections end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Both sides agreed that the last answer was the last.
    Closed,
    /// The peer closed or reset the connection.
    PeerGone,
    /// The peer did not read our answer for too long.
    TooSlow,
    /// The answer could not be completed; its framing tells the peer so.
    CutShort,
    /// The answer could not be completed, and only a reset tells the peer so.
    Reset,
}

/// A connection and all that it owns.
struct Connection {
    service: Rc<Service>,
    socket: Socket,
    watch: Watch,
    input: ReadBuffer,
    scan: Scan,
    outbox: Outbox,
    /// The other end: of the socket, or the one that a PROXY header has announced.
    remote: Address,
    /// What it is to us.
    standing: Standing,
    /// Who asks: the other end, or whom a proxy asks for with the request at hand.
    peer: Peer,
    local: Address,
    proxy_header: ProxyHeader,
    /// When the head that is now arriving must be complete.
    head_due: Option<Moment>,
    /// Requests that have been taken up.
    requests: u64,
}

/// Serves one connection until it ends. It counts as open from this call on, and not from the first
/// turn of its task: a lane that drains must not take it for ended before it has begun. None, and
/// the connection is closed, when its client has as many as it may.
pub fn serve(
    service: Rc<Service>,
    socket: Socket,
    remote: Address,
    local: Address,
    proxy_header: ProxyHeader,
) -> Option<impl Future<Output = ()>> {
    let standing = service.proxies.standing(remote);
    // A proxy has the connections of all its clients.
    let is_client = standing == Standing::Stranger && proxy_header == ProxyHeader::Absent;
    let open = service.open(remote.ip().filter(|_| is_client))?;
    // Made here, so that the task holds the connection alone and not its parts as well.
    let watch = service.deadlines.watch(socket.ending());
    let mut connection = Connection {
        service,
        socket,
        watch,
        input: ReadBuffer::new(),
        scan: Scan::new(),
        outbox: Outbox::default(),
        remote,
        standing,
        peer: remote.into(),
        local,
        proxy_header,
        head_due: None,
        requests: 0,
    };
    Some(async move {
        let ended = connection.run().await;
        if matches!(ended, Ended::Reset | Ended::TooSlow) {
            connection.socket.reset_on_close();
        }
        tracing::trace!(peer = %connection.remote, ?ended, "connection ended");
        let Connection { service, socket, .. } = connection;
        service.close(socket, open);
    })
}

impl Connection {
    async fn run(&mut self) -> Ended {
        if self.proxy_header == ProxyHeader::Expected
            && let Err(ended) = Box::pin(proxy_header::receive(self)).await
        {
            return ended;
        }
        loop {
            let settled = match self.step(Learned::default()) {
                Step::Read => match self.receive_head().await {
                    Ok(()) => continue,
                    Err(ended) => Err(ended),
                },
                Step::Answered(settlement) => Ok(settlement),
                step => Box::pin(self.act(step)).await,
            };
            match self.settle(settled).await {
                Ok(()) => {}
                Err(ended) => return ended,
            }
        }
    }

    /// Parses the next request, if it is here, and decides on it, by what was `learned` about this
    /// very request.
    fn step(&mut self, learned: Learned) -> Step {
        let bytes = self.input.unused();
        let asked = learned.file.is_some() || learned.access.is_some();
        if bytes.is_empty() || !(asked || self.scan.worth_parsing(bytes) || !self.input.has_room())
        {
            return Step::Read;
        }
        let mut slots = head::header_slots();
        let mut request = match head::parse(bytes, &mut slots) {
            Parsed::Complete(request) => request,
            Parsed::Refused(reject) => return Step::Refuse(reject),
            Parsed::NeedMore => return Step::Read,
        };
        let used = request.head.len();
        if self.standing == Standing::Proxy {
            self.peer = forwarded::peer(self.remote, &self.service.proxies, request.headers);
        }
        if let Some(host) = &self.peer.host {
            request.host = host;
        }
        let out = &mut self.outbox.bytes;
        let number = self.requests + 1;
        let mut desk = Desk::new(&self.service, out, self.peer.address, number);
        let step = desk.decide(&request, learned);
        if !matches!(step, Step::Look(_) | Step::Prove(_) | Step::Refuse(_)) {
            self.input.consume(used);
            self.scan = Scan::new();
            self.head_due = None;
            self.requests = number;
        }
        step
    }

    /// Does what a step asks for, up to a complete answer.
    async fn act(&mut self, mut step: Step) -> Result<Settlement, Ended> {
        loop {
            step = match step {
                Step::Answered(settlement) => return Ok(settlement),
                Step::Refuse(reject) => return Ok(self.refuse_head(reject)),
                Step::SendFile(file) => return file_answer::send(self, file).await,
                Step::Page(page) => return self.send_page(*page).await,
                Step::Call(call) => return app_answer::answer(self, *call).await,
                Step::Look(look) => self.look(look).await?,
                Step::Prove(prove) => self.prove(prove).await?,
                // The head was complete when the disk was asked, and nothing has used it since.
                Step::Read => return Err(Ended::CutShort),
            }
        }
    }

    /// Asks the disk, then decides the same request again.
    async fn look(&mut self, look: Look) -> Result<Step, Ended> {
        self.flush().await?;
        let service = Rc::clone(&self.service);
        let Look { files, question, access } = look;
        let found = file_answer::look(&service, files, question).await;
        Ok(self.step(Learned { file: Some(found), access }))
    }

    /// Has a password checked, then decides the same request again.
    async fn prove(&mut self, prove: Prove) -> Result<Step, Ended> {
        self.flush().await?;
        let service = Rc::clone(&self.service);
        let Some(realm) = service.realms.get(prove.realm) else { return Err(Ended::CutShort) };
        let verdict = realm.prove(&service.proving, prove.proof).await;
        Ok(self.step(Learned { access: Some((prove.realm, verdict)), ..Learned::default() }))
    }

    async fn send_page(&mut self, page: Page) -> Result<Settlement, Ended> {
        let Page { answer, files, path, settlement, record } = page;
        let status = answer.head.status();
        let mut bytes = 0;
        let sent = error_page::answer_with(self, answer, files, &path, &mut bytes).await;
        if let Some(record) = &record {
            record.log(&self.service, status, bytes);
        }
        sent.map(|()| settlement)
    }

    /// Sends everything that is ready and receives more of a head. Both operations are handed over
    /// together: on the ring they cost one system call for all connections of the lane's turn.
    async fn receive_head(&mut self) -> Result<(), Ended> {
        let is_idle = self.input.unused().is_empty();
        if is_idle && self.service.phase() == Phase::Draining && self.requests > 0 {
            self.flush().await?;
            return Err(Ended::Closed);
        }
        if !is_idle && self.head_due.is_none() {
            self.head_due = Some(Moment::now().after(HEAD_TIME_MAX));
        }
        let storage = self.input.lend();
        let input_bytes = storage.capacity();
        let ready = std::mem::take(&mut self.outbox.bytes);
        let receive = self.socket.receive(storage, usize::MAX);
        let (sent, (received, storage)) =
            tokio::join!(biased; self.send_before_wait(ready, input_bytes), receive);
        self.input.give_back(storage);
        self.watch.stop();
        self.outbox.bytes = self.service.take_buffer();
        sent?;
        match received {
            Ok(0) if self.watch.has_passed(End::Receiving) && !is_idle => {
                self.refuse_head(Reject::HeadTimeout);
                self.flush().await?;
                Err(Ended::Closed)
            }
            Ok(0) | Err(_) => Err(Ended::PeerGone),
            Ok(_) => Ok(()),
        }
    }

    /// Sends `ready`, then sets the deadline of the receive that is pending beside it, into a
    /// buffer of `input_bytes`.
    async fn send_before_wait(&self, ready: Vec<u8>, input_bytes: usize) -> Result<(), Ended> {
        if !ready.is_empty() {
            self.watch.wait(Waiting::Peer, SEND_WAIT_MAX);
            self.watch.hold(ready.capacity() + input_bytes);
            let (sent, ready) = self.socket.send(ready).await;
            self.service.keep_buffer(ready);
            if sent.is_err() {
                // The receive must end as well.
                self.socket.end(End::Both);
                return Err(if self.watch.has_passed(End::Both) {
                    Ended::TooSlow
                } else {
                    Ended::PeerGone
                });
            }
        }
        self.watch.hold(input_bytes);
        match (self.head_due, self.service.phase()) {
            (Some(due), _) => self.watch.wait_until(Waiting::Request, due),
            (None, Phase::Serving) => self.watch.wait(Waiting::Idle, self.service.idle_time_max),
            // It was accepted, so its first request is answered, if it comes soon.
            (None, Phase::Draining) if self.requests == 0 => {
                self.watch.wait(Waiting::Peer, LINGER_TIME_MAX);
            }
            // The lane began to drain while the answer was sent. What is here already is answered.
            (None, Phase::Draining) => self.watch.end(End::Receiving),
        }
        Ok(())
    }

    /// Brings the connection from a complete answer to the next request, or to its end.
    async fn settle(&mut self, settled: Result<Settlement, Ended>) -> Result<(), Ended> {
        let Settlement { next, unread } = settled?;
        if self.standing == Standing::Proxy {
            self.peer = self.remote.into(); // until the next request says whose it is
        }
        match next {
            Next::Keep if self.outbox.bytes.len() < SEND_BUFFER_BYTES_MAX => Ok(()),
            Next::Keep => self.flush().await,
            Next::Drain { bytes_max } => {
                self.flush().await?;
                let Unread::Body(framing) = unread else { return Ok(()) };
                match body::drain(self, framing, bytes_max).await? {
                    Drained::Whole => Ok(()),
                    Drained::Partly => Err(self.linger().await),
                }
            }
            Next::Close => {
                self.flush().await?;
                self.watch.cut_by_end();
                let all_read = self.input.unused().is_empty() && !self.socket.has_unread();
                if unread == Unread::Nothing && all_read {
                    return Err(Ended::Closed);
                }
                Err(self.linger().await)
            }
        }
    }

    /// Ends our side and listens until the peer ends its own, so that the answer is not lost to the
    /// reset that unread bytes would cause (RFC 9112 section 9.6). A peer that takes too long is
    /// reset.
    async fn linger(&mut self) -> Ended {
        self.socket.end(End::Sending);
        self.watch.wait(Waiting::Peer, LINGER_TIME_MAX);
        self.watch.hold(self.outbox.held_bytes());
        loop {
            self.input.consume(usize::MAX);
            let buffer = self.input.lend();
            let (received, buffer) = self.socket.receive(buffer, usize::MAX).await;
            self.input.give_back(buffer);
            if matches!(received, Ok(0) | Err(_)) {
                break;
            }
        }
        // A peer that still sends would otherwise wait for room that nobody makes.
        if self.watch.has_passed(End::Both) { Ended::Reset } else { Ended::Closed }
    }

    /// Refuses the request whose head, or what has come of it, is still in the read buffer.
    fn refuse_head(&mut self, reject: Reject) -> Settlement {
        let asked = Asked::of_refused(self.input.unused());
        self.refuse(reject, asked)
    }

    /// Refuses the request that is at hand. What follows on this connection cannot be trusted.
    fn refuse(&mut self, reject: Reject, asked: Asked) -> Settlement {
        tracing::debug!(peer = %self.peer.address, reason = reject.reason(), "request refused");
        self.close_with_page(Head::new(reject.status()), asked)
    }

    /// Answers with a page of our own and closes: for requests whose body was not read to its end.
    fn close_with_page(&mut self, head: Head, asked: Asked) -> Settlement {
        let status = head.status();
        let answer = error_page::Answer { head, asked, connection: ConnectionField::Close };
        let bytes = answer.encode(&self.service, &mut self.outbox.bytes);
        record::log_refusal(&self.service, self.peer.address, status, bytes);
        Settlement { next: Next::Close, unread: Unread::Unknown }
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        let Self { outbox, socket, watch, .. } = self;
        outbox.flush(socket, watch, &[], More::Nothing).await
    }
}
