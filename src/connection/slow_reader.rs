//! An answer whose client reads more slowly than a Python thread makes it.
//!
//! A stranger with a few such connections would hold all threads. So after a short wait the answer
//! goes on into an unlinked temporary file, from which the client gets it at its own pace, and the
//! thread is free when it has made the rest. Where there is no room for that, the thread waits.

use std::io;
use std::io::IoSlice;
use std::pin::pin;
use std::rc::Rc;

use crate::clock::Moment;
use crate::connection::Connection;
use crate::connection::Ended;
use crate::connection::deadline::Waiting;
use crate::connection::pace::Pace;
use crate::connection::service::Service;
use crate::connection::service::Shortage;
use crate::limits::ANSWER_SPOOL_BYTES_MAX;
use crate::limits::ANSWER_SPOOLS_BYTES_MAX;
use crate::limits::SEND_WAIT_MAX;
use crate::limits::SENDFILE_SLICE_BYTES;
use crate::limits::SLOW_READER_PATIENCE;
use crate::limits::STREAM_BYTES_MAX;
use crate::python::Reply;
use crate::response::stream;
use crate::uring::socket::End;
use crate::uring::socket::More;
use crate::uring::socket::Socket;
use crate::uring::socket::would_block;
use crate::uring::spool::Spool;

/// Sends `unsent`, and what the application makes meanwhile, until the client has read all that
/// there is. `frame` appends a piece as it goes over the wire. Gives whether more will come, and
/// adds the bytes of the pieces to `body_bytes`.
///
/// # Errors
///
/// [`Ended`] when the client is gone or reads too slowly.
pub(super) async fn relay(
    connection: &Connection,
    reply: &mut Reply,
    unsent: Vec<u8>,
    frame: impl Fn(&mut Vec<u8>, &[u8], stream::End),
    body_bytes: &mut u64,
) -> Result<stream::End, Ended> {
    let mut backlog = Backlog::new(&connection.service, unsent);
    let relayed = relay_from(connection, &mut backlog, reply, frame, body_bytes).await;
    if relayed.is_err() {
        *body_bytes = body_bytes.saturating_sub(backlog.unsent_bytes());
    }
    relayed
}

async fn relay_from(
    connection: &Connection,
    backlog: &mut Backlog,
    reply: &mut Reply,
    frame: impl Fn(&mut Vec<u8>, &[u8], stream::End),
    body_bytes: &mut u64,
) -> Result<stream::End, Ended> {
    let Connection { service, socket, watch, .. } = connection;
    let mut pace = Pace::new(Moment::now(), SEND_WAIT_MAX);
    let wait_for_room = |pace: &Pace, held_bytes| {
        watch.wait_until(Waiting::Peer, pace.due(Moment::now()));
        watch.hold(held_bytes);
        socket.writable()
    };
    // Kept from one turn to the next: a wait that is dropped would keep the socket open.
    let mut room = pin!(wait_for_room(&pace, backlog.held_bytes()));
    let mut patience = pin!(tokio::time::sleep(SLOW_READER_PATIENCE));
    let mut end = stream::End::More;
    let mut piece = service.take_buffer();
    loop {
        let takes_more = end == stream::End::More && backlog.takes_more();
        tokio::select! {
            biased;
            waited = room.as_mut() => {
                watch.stop();
                if watch.has_passed(End::Both) {
                    return Err(Ended::TooSlow);
                }
                waited.map_err(|_| Ended::PeerGone)?;
                pace.moved(backlog.send(socket).map_err(|_| Ended::PeerGone)?);
                if backlog.is_empty() {
                    service.keep_buffer(piece);
                    return Ok(end);
                }
                room.set(wait_for_room(&pace, backlog.held_bytes()));
            }
            () = patience.as_mut(), if backlog.disk == Disk::NotAsked => backlog.open_file(),
            received = reply.receive(&mut piece), if takes_more => {
                end = received.end;
                *body_bytes += piece.len() as u64;
                let mut framed = service.take_buffer();
                frame(&mut framed, &piece, end);
                piece.clear();
                backlog.append(framed).await;
                // The file is in memory as a rule: without this nobody else would have a turn.
                service.io.give_way().await;
            }
        }
    }
}

/// What waits for the client, in the order in which it goes out.
struct Backlog {
    service: Rc<Service>,
    /// In memory, of which the first bytes are sent.
    first: Vec<u8>,
    first_sent: usize,
    disk: Disk,
    spool: Option<Spool>,
    spool_sent: u64,
    /// What the disk has refused.
    last: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Disk {
    NotAsked,
    Used,
    Refused,
}

impl Backlog {
    fn new(service: &Rc<Service>, first: Vec<u8>) -> Self {
        Self {
            service: Rc::clone(service),
            first,
            first_sent: 0,
            disk: Disk::NotAsked,
            spool: None,
            spool_sent: 0,
            last: Vec::new(),
        }
    }

    fn held_bytes(&self) -> usize {
        self.first.capacity() + self.last.capacity()
    }

    /// Bytes of the file, sent or not.
    fn spool_bytes(&self) -> u64 {
        self.spool.as_ref().map_or(0, Spool::bytes)
    }

    fn unsent_bytes(&self) -> u64 {
        let in_memory = self.first.len() - self.first_sent + self.last.len();
        self.spool_bytes() - self.spool_sent + in_memory as u64
    }

    fn is_empty(&self) -> bool {
        self.unsent_bytes() == 0
    }

    /// Whether the file may grow by what a stream holds at most.
    fn takes_more(&self) -> bool {
        let more = STREAM_BYTES_MAX as u64;
        let all = self.service.answer_spools_bytes().get();
        self.disk == Disk::Used
            && self.spool_bytes() + more <= ANSWER_SPOOL_BYTES_MAX
            && all + more <= ANSWER_SPOOLS_BYTES_MAX
    }

    fn open_file(&mut self) {
        match Spool::new(self.service.io) {
            Ok(spool) => {
                self.spool = Some(spool);
                self.disk = Disk::Used;
            }
            Err(error) => self.refused(&error),
        }
    }

    fn refused(&mut self, error: &io::Error) {
        self.disk = Disk::Refused;
        if self.service.notices(Shortage::Disk) {
            tracing::warn!(
                %error,
                "no temporary file for answers to slow clients: Python threads wait for them"
            );
        }
    }

    async fn append(&mut self, bytes: Vec<u8>) {
        let Some(spool) = &mut self.spool else { return self.last.extend_from_slice(&bytes) };
        let before = spool.bytes();
        let (written, bytes) = spool.append(bytes).await;
        let grown = spool.bytes() - before;
        let all = self.service.answer_spools_bytes();
        all.set(all.get() + grown);
        match written {
            Ok(()) => self.service.keep_buffer(bytes),
            Err(error) => {
                self.last = bytes;
                self.refused(&error);
            }
        }
    }

    /// Sends what the socket has room for, but not more than others can wait for. Gives how many
    /// bytes those were.
    fn send(&mut self, socket: &Socket) -> io::Result<u64> {
        let sent = self.send_some(socket);
        match sent {
            Err(error) if would_block(error.kind()) => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            sent => sent,
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
        if let Some(spool) = &self.spool
            && self.spool_sent < spool.bytes()
        {
            let unsent = usize::try_from(spool.bytes() - self.spool_sent).unwrap_or(usize::MAX);
            let slice = unsent.min(SENDFILE_SLICE_BYTES);
            return match socket.sendfile_now(spool, &mut self.spool_sent, slice)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                sent => Ok(sent as u64),
            };
        }
        self.first = std::mem::take(&mut self.last);
        Ok(0)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        let all = self.service.answer_spools_bytes();
        all.set(all.get() - self.spool_bytes());
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
            let mut backlog = Backlog::new(&service, Vec::new());
            assert!(!backlog.takes_more(), "there is no file yet");
            backlog.open_file();
            let all = service.answer_spools_bytes();
            let room = STREAM_BYTES_MAX as u64;
            all.set(ANSWER_SPOOLS_BYTES_MAX - room);
            assert!(backlog.takes_more());
            backlog.append(b"x".to_vec()).await;
            assert_eq!(all.get(), ANSWER_SPOOLS_BYTES_MAX - room + 1);
            assert!(!backlog.takes_more(), "others have the rest");
            drop(backlog);
            assert_eq!(all.get(), ANSWER_SPOOLS_BYTES_MAX - room, "its own is given back");
        });
    }
}
