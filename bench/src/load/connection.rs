//! One connection: requests out, answers in, each compared with the reference.
//!
//! It owns the socket, which never blocks. When to send, and what an answer means for the
//! measurement, is its caller's business.

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;

use mio::net::TcpStream;

use crate::load::answer::AnswerReader;
use crate::load::answer::BadAnswer;
use crate::load::answer::Persistence;
use crate::load::answer::Progress;
use crate::load::reference::Comparison;
use crate::load::reference::Reference;
use crate::load::target::Target;

/// Bytes of the one buffer that all connections receive into.
pub const RECEIVE_BYTES: usize = 65_536;

/// A connection to the server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    reader: AnswerReader,
    comparison: Comparison,
    /// Requests of the write under way, and how many of its bytes are not written yet.
    writing: usize,
    unsent_bytes: usize,
}

/// What came in.
#[derive(Debug)]
pub struct Received {
    /// Bytes of heads and bodies.
    pub bytes: u64,
    /// Answers as they should be.
    pub right: usize,
    /// Answers with another status or body, or that cannot be read.
    pub wrong: usize,
    /// What became of the connection.
    pub state: State,
}

/// What became of a connection.
#[derive(Debug)]
pub enum State {
    /// It goes on.
    Open,
    /// The last answer said `Connection: close`: no more answers come.
    Last,
    /// The server closed it.
    Ended,
    /// It is of no more use.
    Broken(Fault),
}

/// Why a connection broke.
#[derive(Debug)]
pub enum Fault {
    /// The socket failed.
    Socket(io::Error),
    /// The answer cannot be read.
    Answer(BadAnswer),
}

impl Connection {
    /// A connection on a new socket, which may still be connecting.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            reader: AnswerReader::default(),
            comparison: Comparison::default(),
            writing: 0,
            unsent_bytes: 0,
        }
    }

    /// The socket, to register it.
    pub const fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Whether bytes of an earlier [`Connection::send`] still wait for the socket.
    #[must_use]
    pub const fn is_sending(&self) -> bool {
        self.unsent_bytes > 0
    }

    /// Sends so many requests in one write, or as much as the socket takes now. Not while it
    /// [is sending](Connection::is_sending).
    ///
    /// # Errors
    ///
    /// As write(2), but for EAGAIN.
    pub fn send(&mut self, target: &Target, count: usize) -> io::Result<()> {
        debug_assert!(!self.is_sending(), "a write is under way");
        self.writing = count;
        self.unsent_bytes = target.requests(count).len();
        self.flush(target)
    }

    /// Writes on, when the socket is writable again.
    ///
    /// # Errors
    ///
    /// As write(2), but for EAGAIN.
    pub fn flush(&mut self, target: &Target) -> io::Result<()> {
        let requests = target.requests(self.writing);
        while self.unsent_bytes > 0 {
            let from = requests.len().saturating_sub(self.unsent_bytes);
            match self.stream.write(requests.get(from..).unwrap_or_default()) {
                Ok(count) => self.unsent_bytes -= count.min(self.unsent_bytes),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A socket that is still connecting says one of these.
                Err(error) if is_not_yet(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads all that is there. A short read is the last (epoll(7), question 9), unless the server
    /// is known to have closed.
    pub fn receive(&mut self, buffer: &mut [u8], reference: &Reference, news: News) -> Received {
        let mut received = Received { bytes: 0, right: 0, wrong: 0, state: State::Open };
        while matches!(received.state, State::Open) {
            match self.stream.read(buffer) {
                Ok(0) => received.state = State::Ended,
                Ok(count) => {
                    received.bytes += count as u64;
                    self.take(buffer.get(..count).unwrap_or_default(), reference, &mut received);
                    if count < buffer.len() && news == News::Bytes {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) => break,
                Err(error) => received.state = State::Broken(Fault::Socket(error)),
            }
        }
        received
    }

    fn take(&mut self, mut bytes: &[u8], reference: &Reference, received: &mut Received) {
        while !bytes.is_empty() {
            let comparison = &mut self.comparison;
            let progress = self.reader.read(bytes, |piece| reference.compare(comparison, piece));
            match progress {
                Ok(Progress::NeedMore) => return,
                Ok(Progress::Complete { used_bytes, status, persistence }) => {
                    match reference.is_right(status, self.comparison) {
                        true => received.right += 1,
                        false => received.wrong += 1,
                    }
                    self.comparison = Comparison::default();
                    bytes = bytes.get(used_bytes..).unwrap_or_default();
                    if persistence == Persistence::Close {
                        received.state = State::Last;
                        return;
                    }
                }
                Err(bad) => {
                    received.wrong += 1;
                    received.state = State::Broken(Fault::Answer(bad));
                    return;
                }
            }
        }
    }
}

/// What epoll said of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// There are bytes.
    Bytes,
    /// The server closed, or the socket failed; there may be bytes before that.
    End,
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(error) => error.fmt(f),
            Self::Answer(bad) => bad.fmt(f),
        }
    }
}
