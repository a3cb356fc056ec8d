//! What a connection has to send: answers collected for one write, a file behind them, and the wait
//! for a peer that is slow to read.

use std::io;
use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::OwnedFd;

use crate::connection::Ended;
use crate::connection::deadline::Waiting;
use crate::connection::deadline::Watch;
use crate::limits::SEND_WAIT_MAX;
use crate::limits::SENDFILE_SLICE_BYTES;
use crate::uring::socket::End;
use crate::uring::socket::More;
use crate::uring::socket::Socket;
use crate::uring::socket::would_block;

/// The bytes collected so far.
#[derive(Default)]
pub(super) struct Outbox {
    /// Complete answers and heads, in order. Appended to by whoever makes them.
    pub(super) bytes: Vec<u8>,
}

impl Outbox {
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
        let total = self.bytes.len() + tail.len();
        while sent < total {
            let head = self.bytes.get(sent..).unwrap_or_default();
            let rest = tail.get(sent.saturating_sub(self.bytes.len())..).unwrap_or_default();
            let result = match (head.is_empty(), rest.is_empty()) {
                (false, true) => socket.send_now(&[IoSlice::new(head)], more),
                (true, _) => socket.send_now(&[IoSlice::new(rest)], more),
                _ => socket.send_now(&[IoSlice::new(head), IoSlice::new(rest)], more),
            };
            match result {
                Ok(bytes) => sent += bytes,
                Err(error) => unless_full(socket, watch, &error).await?,
            }
        }
        self.bytes.clear();
        Ok(())
    }

    /// Sends this slice of a file from the page cache, in pieces between which the other
    /// connections of the lane have their turn.
    ///
    /// # Errors
    ///
    /// As [`Outbox::flush`]; [`Ended::CutShort`] when the file has become shorter.
    pub(super) async fn send_file(
        &mut self,
        socket: &Socket,
        watch: &Watch,
        file: &OwnedFd,
        slice: Range<u64>,
    ) -> Result<(), Ended> {
        let mut offset = slice.start;
        while offset < slice.end {
            let left = usize::try_from(slice.end - offset).unwrap_or(usize::MAX);
            let piece = left.min(SENDFILE_SLICE_BYTES);
            match socket.sendfile_now(file, &mut offset, piece) {
                Ok(0) => return Err(Ended::CutShort),
                Ok(moved) if moved == left => break,
                // The socket is full, or the slice is at its end: either way a wait through the
                // kernel lets the other connections in. Merely yielding would not submit their
                // entries.
                Ok(_) => wait_for_room(socket, watch).await?,
                Err(error) => unless_full(socket, watch, &error).await?,
            }
        }
        Ok(())
    }
}

async fn unless_full(socket: &Socket, watch: &Watch, error: &io::Error) -> Result<(), Ended> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        kind if would_block(kind) => wait_for_room(socket, watch).await,
        _ => Err(Ended::PeerGone),
    }
}

/// Waits until the socket has room. Other connections of the lane have their turn meanwhile, also
/// when there is room at once.
///
/// # Errors
///
/// As [`Outbox::flush`].
pub(super) async fn wait_for_room(socket: &Socket, watch: &Watch) -> Result<(), Ended> {
    watch.wait(Waiting::Peer, SEND_WAIT_MAX);
    let waited = socket.writable().await;
    watch.stop();
    if watch.has_passed(End::Both) {
        return Err(Ended::TooSlow);
    }
    waited.map_err(|_| Ended::PeerGone)
}
