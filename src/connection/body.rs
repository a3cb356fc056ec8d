//! The body of a request: read whole before an application is called, or thrown away.
//!
//! A slow upload thus holds no Python thread, and a truncated body never reaches the application.
//! The first [`BODY_MEMORY_BYTES_MAX`] bytes stay in memory; what is longer goes to an unlinked
//! temporary file.

use std::io;

use crate::clock::Moment;
use crate::connection::Connection;
use crate::connection::Ended;
use crate::connection::deadline::Waiting;
use crate::connection::pace::Pace;
use crate::limits::BODY_MEMORY_BYTES_MAX;
use crate::limits::BODY_READ_BYTES;
use crate::limits::BODY_WAIT_MAX;
use crate::limits::READ_BUFFER_BYTES_MIN;
use crate::python::RequestBody;
use crate::request::Framing;
use crate::request::Reject;
use crate::request::chunked::Decoder;
use crate::request::chunked::Progress;
use crate::uring::Io;
use crate::uring::socket::End;
use crate::uring::spool::Spool;

/// Why there is no body.
pub(super) enum NoBody {
    /// The request is refused and the connection closes.
    Refused(Reject),
    /// The peer is gone.
    Ended(Ended),
    /// The temporary file failed: 500.
    Spool(io::Error),
}

impl From<Reject> for NoBody {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject)
    }
}

/// Reads the whole body of the request whose head was just consumed. `beside_bytes` of memory are
/// held for the request meanwhile.
pub(super) async fn read(
    connection: &mut Connection,
    framing: Framing,
    beside_bytes: usize,
) -> Result<RequestBody, NoBody> {
    let mut store = Store::new(connection, beside_bytes);
    match framing {
        Framing::None => {}
        Framing::Length(bytes) => read_length(connection, bytes, &mut store).await?,
        Framing::Chunked => read_chunked(connection, &mut store).await?,
    }
    store.into_body().await.map_err(NoBody::Spool)
}

/// Reads up to `bytes_max` bytes of body and throws them away. Gives whether the body's end was
/// seen.
pub(super) async fn drain(
    connection: &mut Connection,
    framing: Framing,
    bytes_max: u64,
) -> Result<Drained, Ended> {
    let mut decoder = Decoder::new();
    let mut pace = Pace::new(Moment::now(), BODY_WAIT_MAX);
    let mut thrown = Vec::new();
    let mut left = match framing {
        Framing::None => return Ok(Drained::Whole),
        Framing::Length(bytes) => bytes,
        Framing::Chunked => bytes_max,
    };
    loop {
        let waiting = connection.input.unused().len();
        let used = if framing == Framing::Chunked {
            thrown.clear();
            match decoder.decode(connection.input.unused(), &mut thrown) {
                Ok(Progress::Complete { used }) => {
                    connection.input.consume(used);
                    return Ok(Drained::Whole);
                }
                Ok(Progress::NeedMore { used }) => used,
                Err(_) => return Ok(Drained::Partly),
            }
        } else {
            usize::try_from(left).unwrap_or(usize::MAX).min(waiting)
        };
        connection.input.consume(used);
        left = left.saturating_sub(used as u64);
        if framing == Framing::Chunked && decoder.promised_bytes() > left {
            return Ok(Drained::Partly); // a size line has said so: nothing to wait for
        }
        if left == 0 {
            let whole = framing != Framing::Chunked;
            return Ok(if whole { Drained::Whole } else { Drained::Partly });
        }
        receive(connection, 0, &mut pace).await.map_err(|_| Ended::PeerGone)?;
    }
}

/// How far a body was drained.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Drained {
    /// To its end: the next request follows.
    Whole,
    /// Not to its end: the connection must close.
    Partly,
}

async fn read_length(
    connection: &mut Connection,
    bytes: u64,
    store: &mut Store,
) -> Result<(), NoBody> {
    let ready = connection.input.unused();
    let take = ready.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
    store.memory.extend_from_slice(ready.get(..take).unwrap_or_default());
    connection.input.consume(take);
    let mut left = bytes - take as u64;
    let mut pace = Pace::new(Moment::now(), BODY_WAIT_MAX);
    // Past the bytes that came with the head, the socket is read straight into the body.
    while left > 0 {
        store.spill_when_full().await.map_err(NoBody::Spool)?;
        left -= receive_into(connection, store, left, &mut pace).await?;
    }
    Ok(())
}

async fn read_chunked(connection: &mut Connection, store: &mut Store) -> Result<(), NoBody> {
    let bytes_max = connection.service.body_bytes_max;
    let mut decoder = Decoder::new();
    let mut pace = Pace::new(Moment::now(), BODY_WAIT_MAX);
    loop {
        let progress = decoder.decode(connection.input.unused(), &mut store.memory)?;
        let (Progress::Complete { used } | Progress::NeedMore { used }) = progress;
        connection.input.consume(used);
        // What a chunk promises counts from its size line on: it is not received to be refused.
        if store.bytes().saturating_add(decoder.promised_bytes()) > bytes_max {
            return Err(NoBody::Refused(Reject::BodyTooLarge));
        }
        if matches!(progress, Progress::Complete { .. }) {
            return Ok(());
        }
        store.spill_when_full().await.map_err(NoBody::Spool)?;
        receive(connection, store.held_bytes(), &mut pace).await?;
    }
}

/// Receives more into the connection's own buffer. `held_bytes` of memory are held beside it.
async fn receive(
    connection: &mut Connection,
    held_bytes: usize,
    pace: &mut Pace,
) -> Result<(), NoBody> {
    connection.watch.wait_until(Waiting::Request, pace.due(Moment::now()));
    let buffer = connection.input.lend();
    connection.watch.hold(buffer.capacity() + connection.outbox.held_bytes() + held_bytes);
    let (received, buffer) = connection.socket.receive(buffer, usize::MAX).await;
    connection.input.give_back(buffer);
    conclude(connection, &received, pace).map(drop)
}

/// Receives at most `bytes_max` bytes behind the body in memory.
async fn receive_into(
    connection: &Connection,
    store: &mut Store,
    bytes_max: u64,
    pace: &mut Pace,
) -> Result<u64, NoBody> {
    connection.watch.wait_until(Waiting::Request, pace.due(Moment::now()));
    let mut memory = std::mem::take(&mut store.memory);
    // Grown as bytes come, so that a promise alone costs no memory.
    let wanted = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let step = memory.len().clamp(READ_BUFFER_BYTES_MIN, BODY_READ_BYTES).min(wanted);
    memory.reserve(step);
    let own_bytes = connection.input.capacity() + connection.outbox.held_bytes();
    connection.watch.hold(own_bytes + store.beside_bytes + memory.capacity());
    let (received, memory) = connection.socket.receive(memory, wanted.min(BODY_READ_BYTES)).await;
    store.memory = memory;
    conclude(connection, &received, pace).map(|bytes| bytes as u64)
}

fn conclude(
    connection: &Connection,
    received: &io::Result<usize>,
    pace: &mut Pace,
) -> Result<usize, NoBody> {
    connection.watch.stop();
    match received {
        Ok(0) if connection.watch.has_passed(End::Receiving) => {
            Err(NoBody::Refused(Reject::BodyTimeout))
        }
        Ok(0) | Err(_) => Err(NoBody::Ended(Ended::PeerGone)),
        Ok(bytes) => {
            pace.moved(*bytes as u64);
            Ok(*bytes)
        }
    }
}

/// A body as it grows: in memory, then in a file.
struct Store {
    io: Io,
    memory: Vec<u8>,
    spool: Option<Spool>,
    /// Bytes of memory that are held for the same request.
    beside_bytes: usize,
}

impl Store {
    fn new(connection: &Connection, beside_bytes: usize) -> Self {
        Self { io: connection.service.io, memory: Vec::new(), spool: None, beside_bytes }
    }

    fn held_bytes(&self) -> usize {
        self.memory.capacity() + self.beside_bytes
    }

    fn bytes(&self) -> u64 {
        self.spool.as_ref().map_or(0, Spool::bytes) + self.memory.len() as u64
    }

    async fn spill_when_full(&mut self) -> io::Result<()> {
        if self.memory.len() < BODY_MEMORY_BYTES_MAX {
            return Ok(());
        }
        self.spill().await
    }

    async fn spill(&mut self) -> io::Result<()> {
        let mut spool = match self.spool.take() {
            Some(spool) => spool,
            None => Spool::new(self.io)?,
        };
        let (written, mut memory) = spool.append(std::mem::take(&mut self.memory)).await;
        memory.clear();
        self.memory = memory;
        self.spool = Some(spool);
        written
    }

    async fn into_body(mut self) -> io::Result<RequestBody> {
        if self.spool.is_some() && !self.memory.is_empty() {
            self.spill().await?;
        }
        match self.spool {
            Some(spool) => {
                let bytes = spool.bytes();
                Ok(RequestBody::File { file: spool.into_file()?, bytes })
            }
            None if self.memory.is_empty() => Ok(RequestBody::Empty),
            None => Ok(RequestBody::Memory(self.memory)),
        }
    }
}
