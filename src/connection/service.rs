//! What a lane offers to its connections: the routes, the files, the applications, and the lane's
//! own caches and clocks. One for each lane; nothing in it is shared with another.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::access_log::AccessLog;
use crate::address::Proxies;
use crate::clock;
use crate::connection::deadline::Deadlines;
use crate::limits::SEND_BUFFER_BYTES_MAX;
use crate::limits::SPARE_BUFFERS_MAX;
use crate::python::Gateway;
use crate::response::date::DateText;
use crate::route::Router;
use crate::static_files::FileCache;
use crate::static_files::Files;
use crate::uring::Io;

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
    /// Who is believed when it speaks for others.
    pub proxies: Proxies,
    /// The state that changes.
    pub state: State,
}

/// The part of a [`Service`] that changes while it runs.
#[derive(Default)]
pub struct State {
    date: RefCell<DateText>,
    spare: RefCell<Vec<Vec<u8>>>,
    phase: Cell<Phase>,
    open: Cell<usize>,
    closed: Notify,
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
}

impl Service {
    /// Counts one more open connection.
    #[must_use]
    pub fn open(self: &Rc<Self>) -> Open {
        self.state.open.set(self.state.open.get() + 1);
        Open { service: Rc::clone(self) }
    }

    /// Open connections.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.state.open.get()
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

impl Drop for Open {
    fn drop(&mut self) {
        let state = &self.service.state;
        state.open.set(state.open.get() - 1);
        state.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Service {
        /// An offer of nothing, for the tests of this room and of the lanes.
        pub(crate) fn bare(io: Io) -> Rc<Self> {
            Rc::new(Self {
                io,
                router: Router::new(Vec::new()),
                files: Vec::new(),
                cache: RefCell::new(FileCache::new()),
                apps: Vec::new(),
                deadlines: Deadlines::new(),
                access_log: RefCell::new(AccessLog::Off),
                body_bytes_max: 0,
                idle_time_max: Duration::from_secs(60),
                proxies: Proxies::default(),
                state: State::default(),
            })
        }
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
