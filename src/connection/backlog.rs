//! What of an answer waits for its client: some of it in memory, the rest in an unlinked temporary
//! file, whose room counts for the lane until it is given back.

use std::io;
use std::io::IoSlice;
use std::rc::Rc;

use crate::connection::Ended;
use crate::connection::service::Service;
use crate::connection::service::Shortage;
use crate::limits::ANSWER_SPOOL_BYTES_MAX;
use crate::limits::ANSWER_SPOOL_FREED_BYTES;
use crate::limits::ANSWER_SPOOLS_BYTES_MAX;
use crate::limits::SENDFILE_SLICE_BYTES;
use crate::limits::STREAM_BYTES_MAX;
use crate::static_files;
use crate::uring::socket::More;
use crate::uring::socket::Socket;
use crate::uring::socket::would_block;
use crate::uring::spool::Spool;

/// What waits, in the order in which it goes out.
pub(super) struct Backlog {
    service: Rc<Service>,
    /// In memory, of which the first bytes are sent.
    first: Vec<u8>,
    first_sent: usize,
    spool: Option<Spooled>,
    /// What the disk has refused.
    last: Vec<u8>,
}

/// A temporary file. INVARIANT: freed <= sent <= bytes of the file, until the end.
struct Spooled {
    spool: Spool,
    sent: u64,
    /// Bytes at its start whose room is given back.
    freed: u64,
    grows: bool,
}

impl Backlog {
    /// These bytes wait.
    pub(super) fn new(service: &Rc<Service>, first: Vec<u8>) -> Self {
        let service = Rc::clone(service);
        Self { service, first, first_sent: 0, spool: None, last: Vec::new() }
    }

    /// Bytes of memory that it owns.
    pub(super) fn held_bytes(&self) -> usize {
        self.first.capacity() + self.last.capacity()
    }

    /// Bytes that wait.
    pub(super) fn unsent_bytes(&self) -> u64 {
        let of_file = |spooled: &Spooled| spooled.spool.bytes().saturating_sub(spooled.sent);
        let in_file = self.spool.as_ref().map_or(0, of_file);
        let in_memory = self.first.len() - self.first_sent + self.last.len();
        in_file + in_memory as u64
    }

    /// Whether there is a file that grows.
    pub(super) fn has_file(&self) -> bool {
        self.spool.as_ref().is_some_and(|spooled| spooled.grows)
    }

    /// Whether the file may grow by what a stream holds at most.
    pub(super) fn has_room(&self) -> bool {
        let more = STREAM_BYTES_MAX as u64;
        let own = self.spool.as_ref().map_or(0, Spooled::occupied_bytes);
        let all = self.service.answer_spools_bytes().get();
        own + more <= ANSWER_SPOOL_BYTES_MAX && all + more <= ANSWER_SPOOLS_BYTES_MAX
    }

    /// Makes the file, if that can be, and moves what waits from memory into it.
    pub(super) async fn open_file(&mut self) {
        match Spool::new(self.service.io) {
            Ok(spool) => {
                self.spool = Some(Spooled { spool, sent: 0, freed: 0, grows: true });
                let waiting = self.first.split_off(self.first_sent);
                self.first = Vec::new();
                self.first_sent = 0;
                self.append(waiting).await;
            }
            Err(error) => {
                if static_files::lacks_descriptors(&error) {
                    self.service.release_descriptors();
                }
                self.tell_refusal(&error);
            }
        }
    }

    fn tell_refusal(&self, error: &io::Error) {
        if self.service.notices(Shortage::Disk) {
            tracing::warn!(
                %error,
                "no temporary file for answers to slow clients: Python threads wait for them"
            );
        }
    }

    /// Puts these bytes behind all others: into the file, or into memory where the disk refuses
    /// them. The file does not grow then any more.
    pub(super) async fn append(&mut self, bytes: Vec<u8>) {
        let Some(spooled) = &mut self.spool else { return self.last.extend_from_slice(&bytes) };
        let length = bytes.len() as u64;
        let (written, bytes) = spooled.spool.append(bytes).await;
        match written {
            Ok(()) => {
                let all = self.service.answer_spools_bytes();
                all.set(all.get() + length);
                self.service.keep_buffer(bytes);
            }
            Err(error) => {
                spooled.grows = false;
                self.last = bytes;
                self.tell_refusal(&error);
            }
        }
    }

    /// Sends what the socket has room for, but not more than others can wait for. Gives how many
    /// bytes those were.
    ///
    /// # Errors
    ///
    /// [`Ended::PeerGone`]; [`Ended::Reset`] when the file cannot be read, as the client must see
    /// that something is missing.
    pub(super) fn send(&mut self, socket: &Socket) -> Result<u64, Ended> {
        match self.send_some(socket) {
            Ok(bytes) => Ok(bytes),
            Err(error) => match error.kind() {
                kind if would_block(kind) => Ok(0),
                io::ErrorKind::Interrupted => Ok(0),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Err(Ended::PeerGone),
                _ => Err(Ended::Reset),
            },
        }
    }

    fn send_some(&mut self, socket: &Socket) -> io::Result<u64> {
        if let Some(unsent @ [_, ..]) = self.first.get(self.first_sent..) {
            let sent = socket.send_now(&[IoSlice::new(unsent)], More::Nothing)?;
            self.first_sent += sent;
            if self.first_sent == self.first.len() {
                self.first = Vec::new();
                self.first_sent = 0;
            }
            return Ok(sent as u64);
        }
        if let Some(spooled) = &mut self.spool
            && spooled.sent < spooled.spool.bytes()
        {
            let unsent = usize::try_from(spooled.spool.bytes() - spooled.sent);
            let slice = unsent.unwrap_or(usize::MAX).min(SENDFILE_SLICE_BYTES);
            let sent = socket.sendfile_now(&spooled.spool, &mut spooled.sent, slice)?;
            if sent == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let freed = spooled.free_sent();
            self.service.spools_shrank(freed);
            return Ok(sent as u64);
        }
        self.first = std::mem::take(&mut self.last);
        Ok(0)
    }

    /// Gives the file's room back a piece at a time: closing a large file at once would make the
    /// whole lane wait, 40 ms for 250 MB.
    pub(super) async fn free_in_turns(&mut self) {
        while let Some(spooled) = &mut self.spool
            && spooled.occupied_bytes() > ANSWER_SPOOL_FREED_BYTES
            && let Ok(freed) = spooled.cut_end()
        {
            self.service.spools_shrank(freed);
            self.service.io.give_way().await;
        }
    }
}

impl Spooled {
    /// Bytes on the disk.
    fn occupied_bytes(&self) -> u64 {
        self.spool.bytes() - self.freed
    }

    /// Gives the room of sent bytes back, where the file system can. Gives how many.
    fn free_sent(&mut self) -> u64 {
        if self.sent - self.freed < ANSWER_SPOOL_FREED_BYTES {
            return 0;
        }
        let bytes = self.sent - self.freed;
        match self.spool.free(self.freed, bytes) {
            Ok(()) => {
                self.freed += bytes;
                bytes
            }
            Err(_) => 0,
        }
    }

    /// Cuts a piece off the end. Gives how many bytes.
    fn cut_end(&mut self) -> io::Result<u64> {
        let bytes = ANSWER_SPOOL_FREED_BYTES.min(self.occupied_bytes());
        self.spool.truncate(self.spool.bytes() - bytes)?;
        Ok(bytes)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        if let Some(spooled) = &self.spool {
            self.service.spools_shrank(spooled.occupied_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uring::Io;
    use crate::uring::runtime::Runtime;

    #[test]
    fn the_files_of_a_lane_have_a_bound_together() {
        Runtime::epoll().unwrap().block_on(async {
            let service = Service::bare(Io::Epoll);
            let mut backlog = Backlog::new(&service, b"first".to_vec());
            assert!(!backlog.has_file());
            let all = service.answer_spools_bytes();
            let room = STREAM_BYTES_MAX as u64;
            all.set(ANSWER_SPOOLS_BYTES_MAX - room - 5);
            backlog.open_file().await;
            assert_eq!(all.get(), ANSWER_SPOOLS_BYTES_MAX - room, "what waited is in the file");
            assert!(backlog.has_file() && backlog.has_room());
            assert_eq!((backlog.held_bytes(), backlog.unsent_bytes()), (0, 5));
            backlog.append(b"x".to_vec()).await;
            assert_eq!(all.get(), ANSWER_SPOOLS_BYTES_MAX - room + 1);
            assert!(!backlog.has_room(), "others have the rest");
            drop(backlog);
            assert_eq!(all.get(), ANSWER_SPOOLS_BYTES_MAX - room - 5, "its own is given back");
        });
    }

    #[test]
    fn a_large_file_is_freed_in_turns() {
        for runtime in [Runtime::epoll(), Runtime::ring()].into_iter().flatten() {
            runtime.block_on(async {
                let service = Service::bare(runtime.io());
                let mut backlog = Backlog::new(&service, Vec::new());
                backlog.open_file().await;
                let piece = usize::try_from(ANSWER_SPOOL_FREED_BYTES).unwrap();
                for _ in 0..3 {
                    backlog.append(vec![b'x'; piece]).await;
                }
                let all = service.answer_spools_bytes();
                assert_eq!(all.get(), 3 * ANSWER_SPOOL_FREED_BYTES);
                let spooled = backlog.spool.as_mut().unwrap();
                spooled.sent = ANSWER_SPOOL_FREED_BYTES;
                let freed = spooled.free_sent();
                assert!(
                    freed == 0 || freed == ANSWER_SPOOL_FREED_BYTES,
                    "the file system can, or not"
                );
                service.spools_shrank(freed);
                backlog.free_in_turns().await;
                assert!(all.get() <= ANSWER_SPOOL_FREED_BYTES);
                drop(backlog);
                assert_eq!(all.get(), 0);
            });
        }
    }
}
