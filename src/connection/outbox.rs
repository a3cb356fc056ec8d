//! What a connection has to send: answers collected for one write, a file behind them, and the wait
//! for a peer that is slow to read.

use std::cell::Cell;
use std::io;
use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::clock::Moment;
use crate::connection::Ended;
use crate::connection::deadline::Waiting;
use crate::connection::deadline::Watch;
use crate::connection::pace::Pace;
use crate::limits::COLD_READ_BYTES;
use crate::limits::SEND_WAIT_MAX;
use crate::limits::SENDFILE_SLICE_BYTES;
use crate::limits::SENDFILE_SLICE_BYTES_MAX;
use crate::limits::SENDFILE_TURN_BYTES;
use crate::uring::Io;
use crate::uring::read_at::read_at;
use crate::uring::residence::Medium;
use crate::uring::residence::Residence;
use crate::uring::residence::residence;
use crate::uring::socket::End;
use crate::uring::socket::More;
use crate::uring::socket::Socket;
use crate::uring::socket::would_block;

/// What is known of a file that leaves by sendfile.
#[derive(Clone, Copy)]
pub(super) struct Care<'f> {
    pub medium: Medium,
    /// Whether all of it was in the page cache a moment ago.
    pub is_hot: bool,
    /// Whether its bytes still are those whose length was told.
    pub is_same: &'f dyn Fn() -> bool,
    /// The others that are on their way.
    pub transfers: &'f Transfers,
}

impl Care<'_> {
    /// Whether these bytes must be read before they can be sent.
    fn is_cold(&self, file: &Rc<OwnedFd>, range: &Range<u64>) -> bool {
        match self.medium {
            // What is there now may be gone when it is sent, and nobody would tell.
            Medium::Remote => true,
            Medium::Local => !self.is_hot && residence(file, range) == Residence::Absent,
        }
    }
}

/// The bytes collected so far.
#[derive(Default)]
pub(super) struct Outbox {
    /// Complete answers and heads, in order. Appended to by whoever makes them.
    pub(super) bytes: Vec<u8>,
    /// Bytes of memory that wait beside these: an application's piece.
    pub(super) beside_bytes: usize,
}

impl Outbox {
    /// Bytes of memory that wait for the peer to read.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.beside_bytes
    }

    /// Sends everything collected, then `tail`, and waits until the socket has taken all of it.
    /// `more` tells whether a file follows.
    ///
    /// # Errors
    ///
    /// [`Ended`] when the peer is gone or did not read for too long.
    pub(super) async fn flush(
        &mut self,
        socket: &Socket,
        watch: &Watch,
        tail: &[u8],
        more: More,
    ) -> Result<(), Ended> {
        let mut sent = 0;
        let mut room = Room::new(socket, watch, self.held_bytes());
        let total = self.bytes.len() + tail.len();
        while sent < total {
            let (head, rest) = self.unsent(tail, sent);
            match send_both(socket, head, rest, more) {
                Ok(bytes) => {
                    sent += bytes;
                    room.moved(bytes as u64);
                }
                Err(error) => room.wait_unless_broken(&error).await?,
            }
        }
        self.bytes.clear();
        Ok(())
    }

    /// Sends what the socket has room for of everything collected and of `tail`, without waiting.
    /// Gives what it had no room for.
    ///
    /// # Errors
    ///
    /// [`Ended`] when the peer is gone.
    pub(super) fn flush_now(
        &mut self,
        socket: &Socket,
        tail: &[u8],
        more: More,
    ) -> Result<Vec<u8>, Ended> {
        let mut sent = 0;
        let total = self.bytes.len() + tail.len();
        while sent < total {
            let (head, rest) = self.unsent(tail, sent);
            match send_both(socket, head, rest, more) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if would_block(error.kind()) => break,
                Err(_) => return Err(Ended::PeerGone),
            }
        }
        let (head, rest) = self.unsent(tail, sent);
        let unsent = [head, rest].concat();
        self.bytes.clear();
        Ok(unsent)
    }

    /// What is left of the collected bytes and of `tail` when so many were sent.
    fn unsent<'b>(&'b self, tail: &'b [u8], sent: usize) -> (&'b [u8], &'b [u8]) {
        let head = self.bytes.get(sent..).unwrap_or_default();
        let rest = tail.get(sent.saturating_sub(self.bytes.len())..).unwrap_or_default();
        (head, rest)
    }

    /// Sends this slice of a file, in pieces between which the other connections of the lane have
    /// their turn: from the page cache, or by reading what is not there. What is left of `slice`
    /// was not sent. Before each piece `care.is_same` is asked, so that a peer who is slow to read
    /// has not got all of a mixture when its connection is reset.
    ///
    /// # Errors
    ///
    /// As [`Outbox::flush`]; [`Ended::Reset`] when the file is not the same; [`Ended::CutShort`]
    /// when it has become shorter, or when the disk fails, which the log tells.
    pub(super) async fn send_file(
        &mut self,
        io: Io,
        socket: &Socket,
        watch: &Watch,
        file: &Rc<OwnedFd>,
        slice: &mut Range<u64>,
        care: Care<'_>,
    ) -> Result<(), Ended> {
        let transfer = care.transfers.begin();
        let mut room = Room::new(socket, watch, self.held_bytes());
        while slice.start < slice.end {
            if !(care.is_same)() {
                return Err(Ended::Reset);
            }
            let left = usize::try_from(slice.end - slice.start).unwrap_or(usize::MAX);
            let piece =
                left.min(if care.is_hot { transfer.piece_bytes() } else { SENDFILE_SLICE_BYTES });
            // sendfile(2) would wait for the disk, and the whole lane with it.
            if care.is_cold(file, &(slice.start..slice.start + piece as u64)) {
                self.send_cold(io, socket, watch, file, slice, care.is_same).await?;
                continue;
            }
            match socket.sendfile_now(file, &mut slice.start, piece) {
                Ok(0) => return Err(Ended::CutShort),
                Ok(moved) if moved == left => break,
                // The socket is full, or the slice is at its end: either way a wait through the
                // kernel lets the other connections in. Merely yielding would not submit their
                // entries.
                Ok(moved) => {
                    room.moved(moved as u64);
                    room.wait().await?;
                }
                Err(error) => room.wait_unless_broken(&error).await?,
            }
        }
        Ok(())
    }

    /// Reads a piece at the start of `slice` without making the lane wait, and sends it.
    async fn send_cold(
        &mut self,
        io: Io,
        socket: &Socket,
        watch: &Watch,
        file: &Rc<OwnedFd>,
        slice: &mut Range<u64>,
        is_same: &dyn Fn() -> bool,
    ) -> Result<(), Ended> {
        let left = usize::try_from(slice.end - slice.start).unwrap_or(usize::MAX);
        let bytes = left.min(COLD_READ_BYTES);
        let (read, buffer) = read_at(io, file, slice.start, Vec::with_capacity(bytes)).await;
        match read {
            Ok(0) => return Err(Ended::CutShort),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, offset = slice.start, "a file could not be read");
                return Err(Ended::CutShort);
            }
        }
        if !is_same() {
            return Err(Ended::Reset); // perhaps while it was read
        }
        // The allocator may have given more room than was asked for.
        let piece = buffer.get(..left).unwrap_or(&buffer);
        let more = if piece.len() < left { More::Follows } else { More::Nothing };
        self.beside_bytes = buffer.capacity();
        let sent = self.flush(socket, watch, piece, more).await;
        self.beside_bytes = 0;
        slice.start += piece.len() as u64;
        sent
    }
}

/// The files that leave by sendfile at this moment, over all connections of the lane.
#[derive(Default)]
pub(super) struct Transfers {
    under_way: Cell<usize>,
}

/// Counts one of them as long as it lives.
struct Transfer<'t> {
    transfers: &'t Transfers,
}

impl Transfers {
    fn begin(&self) -> Transfer<'_> {
        self.under_way.set(self.under_way.get() + 1);
        Transfer { transfers: self }
    }
}

impl Transfer<'_> {
    /// How much of it may go at once: the fewer there are, the more.
    fn piece_bytes(&self) -> usize {
        let share = SENDFILE_TURN_BYTES / self.transfers.under_way.get();
        share.clamp(SENDFILE_SLICE_BYTES, SENDFILE_SLICE_BYTES_MAX)
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.transfers.under_way.set(self.transfers.under_way.get() - 1);
    }
}

fn send_both(socket: &Socket, head: &[u8], rest: &[u8], more: More) -> io::Result<usize> {
    match (head.is_empty(), rest.is_empty()) {
        (false, true) => socket.send_now(&[IoSlice::new(head)], more),
        (true, _) => socket.send_now(&[IoSlice::new(rest)], more),
        _ => socket.send_now(&[IoSlice::new(head), IoSlice::new(rest)], more),
    }
}

/// The waits of one transfer for room in the socket.
struct Room<'c> {
    socket: &'c Socket,
    watch: &'c Watch,
    held_bytes: usize,
    /// Begins with the first wait: most answers have none.
    pace: Option<Pace>,
}

impl<'c> Room<'c> {
    const fn new(socket: &'c Socket, watch: &'c Watch, held_bytes: usize) -> Self {
        Self { socket, watch, held_bytes, pace: None }
    }

    const fn moved(&mut self, bytes: u64) {
        if let Some(pace) = &mut self.pace {
            pace.moved(bytes);
        }
    }

    async fn wait_unless_broken(&mut self, error: &io::Error) -> Result<(), Ended> {
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            kind if would_block(kind) => self.wait().await,
            _ => Err(Ended::PeerGone),
        }
    }

    async fn wait(&mut self) -> Result<(), Ended> {
        let now = Moment::now();
        let pace = self.pace.get_or_insert(Pace::new(now, SEND_WAIT_MAX));
        self.watch.wait_until(Waiting::Peer, pace.due(now));
        self.watch.hold(self.held_bytes);
        let waited = self.socket.writable().await;
        self.watch.stop();
        if self.watch.has_passed(End::Both) {
            return Err(Ended::TooSlow);
        }
        waited.map_err(|_| Ended::PeerGone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_transfers_have_larger_pieces_than_many() {
        let transfers = Transfers::default();
        let few = [transfers.begin(), transfers.begin()];
        assert_eq!(few[0].piece_bytes(), SENDFILE_SLICE_BYTES_MAX);
        let most = SENDFILE_TURN_BYTES / SENDFILE_SLICE_BYTES;
        let many: Vec<_> = (few.len()..most).map(|_| transfers.begin()).collect();
        assert_eq!(few[0].piece_bytes(), SENDFILE_SLICE_BYTES);
        let more: Vec<_> = (0..most).map(|_| transfers.begin()).collect();
        assert_eq!(few[0].piece_bytes(), SENDFILE_SLICE_BYTES);
        drop((many, more));
        assert_eq!(few[0].piece_bytes(), SENDFILE_SLICE_BYTES_MAX);
        drop(few);
        assert_eq!(transfers.under_way.get(), 0);
    }
}
