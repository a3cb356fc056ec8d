//! What a lane offers to its connections: the routes, the files, the applications, and the lane's
//! own caches and clocks. One for each lane; nothing in it is shared with another.

use std::cell::Cell;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::access_log::AccessLog;
use crate::address::Proxies;
use crate::auth::Realm;
use crate::clock;
use crate::clock::Moment;
use crate::connection::clients::Client;
use crate::connection::clients::Clients;
use crate::connection::clients::Entrance;
use crate::connection::closing::Closing;
use crate::connection::deadline::Deadlines;
use crate::connection::outbox::Transfers;
use crate::limits::IDLE_ENDED_MAX;
use crate::limits::SEND_BUFFER_BYTES_MAX;
use crate::limits::SHORTAGE_NOTICE_TIME;
use crate::limits::SPARE_BUFFERS_MAX;
use crate::python::Gateway;
use crate::response::date::DateText;
use crate::route::Router;
use crate::rules::ErrorPage;
use crate::rules::Rules;
use crate::static_files::FileCache;
use crate::static_files::Files;
use crate::uring::Io;
use crate::uring::socket::Socket;
use crate::workshop::Workshop;

/// A lane's offer. Shared by its connections through an `Rc`.
pub struct Service {
    /// What the lane waits on.
    pub io: Io,
    /// Host and path to a destination.
    pub router: Router,
    /// The folders of the files routes, by their number.
    pub files: Vec<Files>,
    /// What the lane knows of the files.
    pub cache: RefCell<FileCache>,
    /// Where the lane has files compressed.
    pub workshop: Workshop,
    /// Where it has passwords checked: who logs in does not wait for what strangers have
    /// compressed.
    pub proving: Workshop,
    /// Where it has folders read, which may hang with their disk and must not hold up the others.
    pub reading: Workshop,
    /// What each site says besides its routes, by its number.
    pub policies: Vec<SitePolicy>,
    /// Those whom some paths are kept for, by their number.
    pub realms: Vec<Realm>,
    /// The doors to the applications, by their number.
    pub apps: Vec<Gateway>,
    /// The deadlines of the lane's connections.
    pub deadlines: Rc<Deadlines>,
    /// The lane's part of the access log.
    pub access_log: RefCell<AccessLog>,
    /// Bytes of a request body at most.
    pub body_bytes_max: u64,
    /// The longest wait between two requests of a connection.
    pub idle_time_max: Duration,
    /// Open connections at most.
    pub connections_max: usize,
    /// Open connections of one client at most: of an IPv4 address or an IPv6 network of 64 bits.
    /// None: as many as there are places.
    pub connections_per_client_max: Option<usize>,
    /// Bytes that all connections may hold together while they wait for their peers.
    pub memory_bytes_max: usize,
    /// Who is believed when it speaks for others.
    pub proxies: Proxies,
    /// The state that changes.
    pub state: State,
}

/// What a site says besides its routes.
pub struct SitePolicy {
    /// What holds for some paths.
    pub rules: Rules,
    /// Pages in the place of those that the server words itself.
    pub error_pages: Vec<ErrorPage>,
}

/// The part of a [`Service`] that changes while it runs.
#[derive(Default)]
pub struct State {
    date: RefCell<DateText>,
    spare: RefCell<Vec<Vec<u8>>>,
    phase: Cell<Phase>,
    open: Cell<usize>,
    clients: Clients,
    closed: Notify,
    closing: Closing,
    transfers: Transfers,
    /// Bytes in the temporary files of answers.
    answer_spools_bytes: Cell<u64>,
    answer_spools_shrink: Notify,
    noticed: [Cell<Option<Moment>>; Shortage::KINDS],
}

/// What a lane may be short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Descriptors or memory of the kernel.
    Descriptors,
    /// Places for connections.
    Places,
    /// Places for connections of one client.
    PlacesOfClient,
    /// Room for temporary files.
    Disk,
}

/// Whether the lane takes new requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It does.
    #[default]
    Serving,
    /// It answers what it has begun, and then ends.
    Draining,
}

/// Counts a connection as open as long as it lives.
pub struct Open {
    service: Rc<Service>,
    /// None: it does not count.
    client: Option<Client>,
}

impl Service {
    /// Counts one more open connection, unless its client has as many as one may. None: whoever
    /// has it is not counted.
    #[must_use]
    pub fn open(self: &Rc<Self>, client: Option<IpAddr>) -> Option<Open> {
        let address = client;
        let client = self.connections_per_client_max.and(client).and_then(Client::at);
        if let (Some(client), Some(connections_max)) = (client, self.connections_per_client_max)
            && self.state.clients.enter(client, connections_max) == Entrance::Refused
        {
            if self.notices(Shortage::PlacesOfClient) {
                tracing::warn!(
                    ?address,
                    "a client has as many connections as limit_connections_per_client permits in a \
                     lane: further ones are closed at once"
                );
            }
            return None;
        }
        self.state.open.set(self.state.open.get() + 1);
        Some(Open { service: Rc::clone(self), client })
    }

    /// Takes the socket of a connection that has ended, and its place.
    pub(super) fn close(&self, socket: Socket, open: Open) {
        self.state.closing.add(socket, open);
    }

    /// Closes the sockets of connections that have ended, for ever. The lane runs this as a task of
    /// its own.
    pub async fn close_ended(self: Rc<Self>) {
        self.state.closing.close_in_turns(self.io).await;
    }

    /// Open connections, with those that have ended and are not closed yet.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.state.open.get()
    }

    /// Whether there is no place for a further connection, or no memory.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.open_count() >= self.connections_max
            || self.deadlines.held_bytes() > self.memory_bytes_max
    }

    /// The operator's page for an error of a site: the number of its folder and its path.
    pub(super) fn error_page(&self, site: usize, status: u16) -> Option<(usize, &str)> {
        let pages = &self.policies.get(site)?.error_pages;
        let page = pages.iter().find(|page| page.status == status)?;
        Some((page.files, &page.path))
    }

    /// Gives descriptors back: those of cached files, and those of the connections that have been
    /// idle for longest.
    pub fn release_descriptors(&self) {
        self.cache.borrow_mut().release_descriptors();
        self.deadlines.end_longest_idle(IDLE_ENDED_MAX);
    }

    /// Whether the log should tell of this shortage: it has not for a while.
    #[must_use]
    pub fn notices(&self, shortage: Shortage) -> bool {
        self.notices_at(shortage, Moment::now())
    }

    fn notices_at(&self, shortage: Shortage, now: Moment) -> bool {
        let Some(last) = self.state.noticed.get(shortage as usize) else { return false };
        let is_news = last.get().is_none_or(|last| now.since(last) >= SHORTAGE_NOTICE_TIME);
        if is_news {
            last.set(Some(now));
        }
        is_news
    }

    /// The files that are being sent.
    pub(super) const fn transfers(&self) -> &Transfers {
        &self.state.transfers
    }

    /// Bytes that the lane's answers have in temporary files.
    pub(super) const fn answer_spools_bytes(&self) -> &Cell<u64> {
        &self.state.answer_spools_bytes
    }

    /// So many bytes of them are given back.
    pub(super) fn spools_shrank(&self, bytes: u64) {
        let all = self.answer_spools_bytes();
        all.set(all.get() - bytes);
        if bytes > 0 {
            self.state.answer_spools_shrink.notify_waiters();
        }
    }

    /// Waits until some of them are given back.
    pub(super) async fn spools_shrink(&self) {
        self.state.answer_spools_shrink.notified().await;
    }

    /// Waits until a connection closes.
    pub async fn closed(&self) {
        self.state.closed.notified().await;
    }

    /// Whether new requests are taken.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.state.phase.get()
    }

    /// Begins to drain: connections close after the answer that they are at, idle ones at once.
    pub fn drain(&self) {
        self.state.phase.set(Phase::Draining);
        self.deadlines.end_idle();
    }

    /// Calls `encode` with the text of the Date field for this moment.
    pub fn with_date<T>(&self, encode: impl FnOnce(&[u8]) -> T) -> T {
        encode(self.state.date.borrow_mut().at(clock::unix_seconds()))
    }

    /// An empty buffer, used before where there is one.
    #[must_use]
    pub fn take_buffer(&self) -> Vec<u8> {
        self.state.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a buffer back for others, unless there are enough, it has grown beyond use, or it owns
    /// no memory.
    pub fn keep_buffer(&self, mut buffer: Vec<u8>) {
        let mut spare = self.state.spare.borrow_mut();
        let is_of_use = (1..=2 * SEND_BUFFER_BYTES_MAX).contains(&buffer.capacity());
        if spare.len() < SPARE_BUFFERS_MAX && is_of_use {
            buffer.clear();
            spare.push(buffer);
        }
    }
}

impl Shortage {
    const KINDS: usize = Self::Disk as usize + 1;
}

impl Drop for Open {
    fn drop(&mut self) {
        let state = &self.service.state;
        state.open.set(state.open.get() - 1);
        if let Some(client) = self.client {
            state.clients.leave(client);
        }
        state.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CONNECTION_MEMORY_BYTES_MAX;
    use crate::limits::CONNECTIONS_PER_LANE_MAX;

    impl Service {
        /// An offer of nothing, for the tests of this room and of the lanes.
        pub(crate) fn bare(io: Io) -> Rc<Self> {
            Self::bare_with(io, |_| {})
        }

        /// The same with other bounds.
        pub(crate) fn bare_with(io: Io, adjust: impl FnOnce(&mut Self)) -> Rc<Self> {
            let mut service = Self {
                io,
                router: Router::new(Vec::new()),
                files: Vec::new(),
                cache: RefCell::new(FileCache::new()),
                workshop: Workshop::new(),
                proving: Workshop::new(),
                reading: Workshop::new(),
                policies: Vec::new(),
                realms: Vec::new(),
                apps: Vec::new(),
                deadlines: Deadlines::new(),
                access_log: RefCell::new(AccessLog::Off),
                body_bytes_max: 0,
                idle_time_max: Duration::from_secs(60),
                connections_max: CONNECTIONS_PER_LANE_MAX,
                connections_per_client_max: None,
                memory_bytes_max: CONNECTION_MEMORY_BYTES_MAX,
                proxies: Proxies::default(),
                state: State::default(),
            };
            adjust(&mut service);
            Rc::new(service)
        }
    }

    #[test]
    fn a_client_has_so_many_connections_and_those_of_this_machine_do_not_count() {
        let service = Service::bare_with(Io::Epoll, |bare| {
            bare.connections_per_client_max = Some(2);
        });
        let stranger: IpAddr = "192.0.2.1".parse().unwrap();
        let one = service.open(Some(stranger)).expect("the first");
        let two = service.open(Some(stranger)).expect("the second");
        assert!(service.open(Some(stranger)).is_none(), "no third");
        let own: Vec<Open> =
            (0..9).filter_map(|_| service.open(Some("127.0.0.1".parse().unwrap()))).collect();
        let other = service.open(Some("192.0.2.2".parse().unwrap()));
        assert_eq!((service.open_count(), own.len(), other.is_some()), (12, 9, true));
        drop(one);
        let three = service.open(Some(stranger));
        assert!(three.is_some() && service.open(Some(stranger)).is_none(), "a place is used again");
        drop((two, three, own, other));
        assert_eq!(service.open_count(), 0);
        let boundless = Service::bare(Io::Epoll);
        let open = (0..9).filter_map(|_| boundless.open(Some(stranger))).collect::<Vec<_>>();
        assert_eq!(open.len(), 9);
    }

    #[test]
    fn a_shortage_is_told_once_in_a_while() {
        let service = Service::bare(Io::Epoll);
        let start = Moment::now();
        assert!(service.notices_at(Shortage::Descriptors, start));
        assert!(!service.notices_at(Shortage::Descriptors, start), "just said");
        assert!(service.notices_at(Shortage::Places, start), "another matter");
        let later = start.after(SHORTAGE_NOTICE_TIME);
        assert!(service.notices_at(Shortage::Descriptors, later), "long ago");
    }

    #[test]
    fn few_buffers_of_a_useful_size_are_kept() {
        let service = Service::bare(Io::Epoll);
        service.keep_buffer(Vec::new());
        service.keep_buffer(Vec::with_capacity(2 * SEND_BUFFER_BYTES_MAX + 1));
        assert_eq!(service.take_buffer().capacity(), 0, "neither is of use");
        for _ in 0..=SPARE_BUFFERS_MAX {
            service.keep_buffer(vec![b'x'; 100]);
        }
        let kept = (0..=SPARE_BUFFERS_MAX).map(|_| service.take_buffer());
        assert_eq!(kept.filter(|buffer| buffer.capacity() > 0).count(), SPARE_BUFFERS_MAX);
    }
}
