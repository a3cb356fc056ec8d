//! The loop: accept, receive, count heads, send answers, close.
//!
//! It owns the connections, by the slot of their direct descriptor. A slot is closed when neither
//! a receive nor a send is under way in it, so that no completion ever finds a stranger there.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use io_uring::cqueue;

use crate::floor::answer;
use crate::floor::answer::ANSWER;
use crate::floor::answer::ANSWERS_MAX;
use crate::floor::buffers::Buffers;
use crate::floor::heads;
use crate::floor::heads::HEAD_BYTES_MAX;
use crate::floor::heads::Then;
use crate::floor::ring;
use crate::floor::ring::Issuer;
use crate::floor::ring::Kind;

/// Connections at most, if the process may have as many descriptors. Further ones are closed: the
/// kernel takes a connection out of the listener's queue before it looks for a slot.
pub const CONNECTIONS_MAX: u32 = 32_768;

/// Answers that a connection may be owed. A peer that pipelines more without reading is closed.
const OWED_MAX: usize = 65_536;

/// Serves until the ring fails.
///
/// # Errors
///
/// When the ring cannot be set up, or the kernel refuses a turn.
pub fn serve(listener: &TcpListener, connections_max: u32) -> io::Result<()> {
    let mut ring = ring::set_up()?;
    ring.submitter().register_files_sparse(connections_max)?;
    let buffers = Buffers::register(&ring.submitter())?;
    let (issuer, mut completions) = Issuer::new(&mut ring, listener.as_raw_fd())?;
    let mut server = Server { issuer, buffers, connections: Vec::new() };
    server.issuer.accept();
    loop {
        server.issuer.turn()?;
        completions.sync();
        for completion in &mut completions {
            server.handle(&completion);
        }
        server.buffers.publish();
    }
}

struct Server<'r> {
    issuer: Issuer<'r>,
    buffers: Buffers,
    connections: Vec<Connection>,
}

#[derive(Debug, Default)]
struct Connection {
    stage: Stage,
    /// A receive is armed.
    receives: bool,
    /// A send is under way.
    sends: bool,
    /// Requests without their answer.
    owed: usize,
    /// The beginning of a head that goes on, below `HEAD_BYTES_MAX`. Mostly empty.
    begun: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Reads requests.
    #[default]
    Open,
    /// Reads no more; answers what is owed.
    Ending,
    /// Nothing is sent any more. When the receive has ended, the slot is closed.
    Shut,
}

impl Server<'_> {
    fn handle(&mut self, completion: &cqueue::Entry) {
        let (result, flags) = (completion.result(), completion.flags());
        match ring::whose(completion.user_data()) {
            (Some(Kind::Receive), slot) => self.received(slot, result, flags),
            (Some(Kind::Send), slot) => self.sent(slot, result),
            (Some(Kind::Accept), _) => self.accepted(result, flags),
            (Some(Kind::Pause), _) => self.issuer.accept(),
            (Some(Kind::End) | None, _) => {}
        }
    }

    fn accepted(&mut self, result: i32, flags: u32) {
        if let Ok(slot) = u32::try_from(result) {
            let index = slot as usize;
            if index >= self.connections.len() {
                self.connections.resize_with(index + 1, Connection::default);
            }
            self.connections[index] = Connection { receives: true, ..Connection::default() };
            self.issuer.receive(slot);
        }
        match cqueue::more(flags) {
            true => {}
            false if result >= 0 || result == -libc::ECONNABORTED => self.issuer.accept(),
            // No descriptor or no memory: trying at once would spin.
            false => self.issuer.pause(),
        }
    }

    fn received(&mut self, slot: u32, result: i32, flags: u32) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        connection.receives = cqueue::more(flags);
        let buffer = cqueue::buffer_select(flags);
        let bytes = usize::try_from(result).unwrap_or(0);
        if let Some(id) = buffer {
            if connection.stage == Stage::Open
                && let Some(bytes) = self.buffers.received(id, bytes)
            {
                connection.take(bytes);
            }
            self.buffers.give_back(id);
        }
        let has_ended = result == 0 || (result < 0 && result != -libc::ENOBUFS);
        if has_ended && connection.stage == Stage::Open {
            connection.stage = Stage::Ending;
        }
        if !connection.receives && !has_ended {
            connection.receives = true;
            self.issuer.receive(slot);
        }
        self.go_on(slot);
    }

    fn sent(&mut self, slot: u32, result: i32) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        connection.sends = false;
        let answers = connection.owed.min(ANSWERS_MAX);
        match usize::try_from(result) {
            // The send was made for as many answers as were owed then, which are not more than now.
            Ok(bytes) if bytes > 0 && bytes % ANSWER.len() == 0 => {
                connection.owed -= answers.min(bytes / ANSWER.len());
            }
            // The peer has gone.
            _ => {
                connection.owed = 0;
                connection.stage = Stage::Ending;
            }
        }
        self.go_on(slot);
    }

    /// Starts what the connection's state asks for next.
    fn go_on(&mut self, slot: u32) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        if connection.sends {
            return;
        }
        if connection.owed > 0 {
            connection.sends = true;
            self.issuer.send(slot, answer::answers(connection.owed));
        } else if connection.stage != Stage::Open {
            if !connection.receives {
                *connection = Connection::default();
                self.issuer.close(slot);
            } else if connection.stage == Stage::Ending {
                connection.stage = Stage::Shut;
                self.issuer.shut(slot);
            }
        }
    }
}

impl Connection {
    /// Counts the requests in what was received, and keeps the beginning of one that goes on.
    fn take(&mut self, bytes: &[u8]) {
        let heads = if self.begun.is_empty() {
            let heads = heads::count(bytes);
            if let Some(rest) = bytes.get(heads.used_bytes..) {
                self.begun.extend_from_slice(rest);
            }
            heads
        } else {
            self.begun.extend_from_slice(bytes);
            let heads = heads::count(&self.begun);
            self.begun.drain(..heads.used_bytes.min(self.begun.len()));
            heads
        };
        debug_assert!(heads.then == Then::Close || self.begun.len() < HEAD_BYTES_MAX);
        self.owed += heads.complete;
        if heads.then == Then::Close || self.owed > OWED_MAX {
            self.stage = Stage::Ending;
            self.begun = Vec::new();
        }
    }
}
