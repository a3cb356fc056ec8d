//! Client sockets and listeners of a lane.
//!
//! Receiving waits on the ring, because the peer is usually not ready. Sending is one direct system
//! call that never blocks, because a socket usually has room; where it has none the ring (or epoll)
//! says when. All sockets are in non-blocking mode, as sendfile(2) has no flag for it. A RECV on
//! the ring waits all the same: the kernel looks at the flags of the entry, not at the file's.

#![expect(unsafe_code, reason = "builds RECV and POLL_ADD entries")]

use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::rc::Weak;
use std::time::Duration;

use io_uring::opcode;
use io_uring::types;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::net::AddressFamily;
use rustix::net::RecvFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendFlags;
use rustix::net::Shutdown;
use rustix::net::SocketAddrAny;
use rustix::net::SocketFlags;
use rustix::time::Timespec;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::address::Address;
use crate::uring::Io;
use crate::uring::operation::fill;
use crate::uring::operation::submit;

/// The readiness that a wait is for: bits of poll(2).
const POLL_IN: u32 = 0x001;
const POLL_OUT: u32 = 0x004;
const POLL_RDHUP: u32 = 0x2000;

/// One connected client socket. Closed when dropped; an operation in flight holds it open.
pub struct Socket {
    inner: Inner,
}

enum Inner {
    Ring { fd: Rc<OwnedFd> },
    Epoll { fd: Rc<AsyncFd<OwnedFd>> },
}

/// Whether more bytes follow at once, so that the kernel should wait with a short segment
/// (MSG_MORE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// A sendfile follows.
    Follows,
    /// This is all for now.
    Nothing,
}

/// Which directions of a connection end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing more is received; a pending receive gives 0.
    Receiving,
    /// Nothing more is sent; the peer sees the end.
    Sending,
    /// Both.
    Both,
}

impl Socket {
    /// Receives at most `bytes_max` bytes into the free capacity of `buffer`, behind what it holds,
    /// and waits for the first of them.
    ///
    /// Gives the number of bytes appended, 0 when the peer (or [`Socket::end`]) has ended the
    /// connection, and the buffer. Never drop this future to stop waiting, as the next bytes would
    /// be lost with it: call [`Socket::end`] and await it.
    ///
    /// # Errors
    ///
    /// errno of recv(2), such as ECONNRESET.
    pub async fn receive(
        &self,
        mut buffer: Vec<u8>,
        bytes_max: usize,
    ) -> (io::Result<usize>, Vec<u8>) {
        match &self.inner {
            Inner::Ring { fd } => loop {
                let entry = |fd, start, bytes| opcode::Recv::new(fd, start, bytes).build();
                // SAFETY: RECV without flags writes at most `bytes` from `start` on, and completes
                // once with what it wrote. The multishot or the bundle flag would undo it.
                let (received, storage) = unsafe { fill(fd, buffer, bytes_max, entry) }.await;
                buffer = storage;
                match received {
                    // A kernel that does look at the file.
                    Err(error) if would_block(error.kind()) => {
                        if let Err(error) = ring_poll(fd, POLL_IN).await {
                            return (Err(error), buffer);
                        }
                    }
                    received => return (received, buffer),
                }
            },
            Inner::Epoll { fd } => loop {
                // A peer that always has sent more would otherwise keep the lane for itself: a
                // socket that is ready makes nobody wait. A ring lets the others in by itself.
                tokio::task::consume_budget().await;
                let mut ready = match fd.readable().await {
                    Ok(ready) => ready,
                    Err(error) => return (Err(error), buffer),
                };
                match receive_now(fd.get_ref(), &mut buffer, bytes_max) {
                    Err(error) if would_block(error.kind()) => ready.clear_ready(),
                    received => return (received, buffer),
                }
            },
        }
    }

    /// Sends what the socket has room for, gathered from `parts`, without waiting.
    ///
    /// Gives the number of bytes taken, which may be fewer than offered.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room: wait for [`Socket::writable`]. Otherwise errno of
    /// sendmsg(2), such as EPIPE or ECONNRESET.
    pub fn send_now(&self, parts: &[IoSlice<'_>], more: More) -> io::Result<usize> {
        let mut flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if more == More::Follows {
            flags |= SendFlags::MORE;
        }
        let sent = match parts {
            [part] => rustix::net::send(self.fd(), part, flags),
            _ => {
                let mut none = SendAncillaryBuffer::default();
                rustix::net::sendmsg(self.fd(), parts, &mut none, flags)
            }
        };
        sent.map_err(io::Error::from)
    }

    /// Sends all of `bytes`, waits until the socket has taken them, and gives the storage back. On
    /// the ring the entry goes to the kernel together with whatever else the lane has to do then,
    /// such as the receive that follows: one system call for both, and for all connections of the
    /// turn.
    ///
    /// # Errors
    ///
    /// errno of send(2), such as EPIPE or ECONNRESET.
    pub async fn send(&self, mut bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let mut sent = 0;
        while sent < bytes.len() {
            let result = match &self.inner {
                Inner::Ring { fd } => {
                    let (result, storage) = ring_send(fd, bytes, sent).await;
                    bytes = storage;
                    self.unless_full(result).await
                }
                Inner::Epoll { .. } => {
                    let rest = IoSlice::new(bytes.get(sent..).unwrap_or_default());
                    self.unless_full(self.send_now(&[rest], More::Nothing)).await
                }
            };
            match result {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), bytes),
            }
        }
        (Ok(()), bytes)
    }

    /// The result of a send; where there was no room: nothing sent, when there is some.
    async fn unless_full(&self, sent: io::Result<usize>) -> io::Result<usize> {
        match sent {
            Err(error) if would_block(error.kind()) => self.writable().await.map(|()| 0),
            sent => sent,
        }
    }

    /// Moves up to `bytes` of `file` from `*offset` into the socket without waiting for the peer
    /// and without passing through user space; advances `*offset`. Gives the bytes moved, 0 at the
    /// end of the file.
    ///
    /// # Errors
    ///
    /// As [`Socket::send_now`], or errno of sendfile(2).
    pub fn sendfile_now(
        &self,
        file: impl AsFd,
        offset: &mut u64,
        bytes: usize,
    ) -> io::Result<usize> {
        rustix::fs::sendfile(self.fd(), file, Some(offset), bytes).map_err(io::Error::from)
    }

    /// Waits until the socket has room to send, or has failed. The lane's other tasks have their
    /// turn meanwhile, also when there is room at once.
    ///
    /// # Errors
    ///
    /// errno of the wait itself.
    pub async fn writable(&self) -> io::Result<()> {
        match &self.inner {
            Inner::Ring { fd } => match ring_poll(fd, POLL_OUT).await? {
                // io_uring also tells that the peer has ended its sending, at once and each time:
                // whoever only reads slowly then would keep the lane turning.
                POLL_RDHUP => room_in_epoll(fd).await,
                _ => Ok(()),
            },
            Inner::Epoll { fd } => {
                // Readiness is edge-triggered: forget it first, as the send has just found no room,
                // unless the kernel says at once that there is some.
                let mut ready = fd.ready(Interest::WRITABLE).await?;
                if self.has_room() {
                    drop(ready);
                    tokio::task::yield_now().await;
                    return Ok(());
                }
                ready.clear_ready();
                drop(ready);
                fd.ready(Interest::WRITABLE).await.map(drop)
            }
        }
    }

    /// Ends one or both directions. A pending receive or wait then completes.
    pub fn end(&self, end: End) {
        shut_down(self.fd(), end);
    }

    /// A handle that can end this connection from elsewhere in the lane and does not keep it open.
    #[must_use]
    pub fn ending(&self) -> Ending {
        match &self.inner {
            Inner::Ring { fd } => Ending::Ring(Rc::downgrade(fd)),
            Inner::Epoll { fd } => Ending::Epoll(Rc::downgrade(fd)),
        }
    }

    /// Makes the coming close a reset, so that the peer cannot take what it got for the whole.
    pub fn reset_on_close(&self) {
        reset_on_close(self.fd());
    }

    /// Whether the kernel holds bytes of the peer that were not received: closing would then reset
    /// the connection.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        rustix::io::ioctl_fionread(self.fd()).is_ok_and(|bytes| bytes > 0)
    }

    fn has_room(&self) -> bool {
        !poll_now(self.fd(), PollFlags::OUT).is_empty()
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.inner {
            Inner::Ring { fd } => fd.as_fd(),
            Inner::Epoll { fd } => fd.get_ref().as_fd(),
        }
    }
}

/// What of a peer can be told without receiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It may send and read.
    There,
    /// It sends nothing more: it has closed, or only its sending. TCP does not tell which.
    SendsNoMore,
    /// It has reset the connection, or has gone in another way that ends both directions.
    Gone,
}

/// Looks at, and ends, a connection that somebody else owns. See [`Socket::ending`].
pub enum Ending {
    /// Of a ring socket.
    Ring(Weak<OwnedFd>),
    /// Of an epoll socket.
    Epoll(Weak<AsyncFd<OwnedFd>>),
}

impl Ending {
    /// As [`Socket::end`]; nothing when the connection is gone.
    pub fn end(&self, end: End) {
        let _ = self.with(|fd| shut_down(fd, end));
    }

    /// As [`Socket::reset_on_close`]; nothing when the connection is gone.
    pub fn reset_on_close(&self) {
        let _ = self.with(reset_on_close);
    }

    /// What the peer does, or how it went. Ending our receiving looks like its end of sending.
    #[must_use]
    pub fn presence(&self) -> Presence {
        match self.with(|fd| poll_now(fd, PollFlags::RDHUP)) {
            Some(seen) if seen.intersects(PollFlags::ERR | PollFlags::HUP) => Presence::Gone,
            Some(seen) if seen.contains(PollFlags::RDHUP) => Presence::SendsNoMore,
            Some(_) => Presence::There,
            None => Presence::Gone,
        }
    }

    fn with<T>(&self, act: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        match self {
            Self::Ring(fd) => fd.upgrade().map(|fd| act(fd.as_fd())),
            Self::Epoll(fd) => fd.upgrade().map(|fd| act(fd.get_ref().as_fd())),
        }
    }
}

/// One listening socket of one lane, non-blocking. A unix socket is one for all lanes, each of
/// which has a descriptor of its own for it.
pub struct Listener {
    inner: ListenerInner,
    local: Address,
}

enum ListenerInner {
    Ring(Rc<OwnedFd>),
    Epoll(AsyncFd<OwnedFd>),
}

impl Listener {
    /// Takes a listening socket over. It must be in non-blocking mode.
    ///
    /// # Errors
    ///
    /// getsockname(2), or epoll_ctl(2) on epoll.
    pub fn new(io: Io, fd: OwnedFd) -> io::Result<Self> {
        let local = address(rustix::net::getsockname(&fd)?)?;
        let inner = match io {
            Io::Ring => ListenerInner::Ring(Rc::new(fd)),
            Io::Epoll => ListenerInner::Epoll(watch(fd)?),
        };
        Ok(Self { inner, local })
    }

    /// The address that it is bound to.
    #[must_use]
    pub const fn local(&self) -> Address {
        self.local
    }

    /// Waits until at least one connection is in the queue. This future may be dropped: a poll
    /// takes nothing out of the queue.
    ///
    /// # Errors
    ///
    /// errno of the wait itself.
    pub async fn readable(&self) -> io::Result<()> {
        match &self.inner {
            ListenerInner::Ring(fd) => ring_poll(fd, POLL_IN).await.map(drop),
            ListenerInner::Epoll(fd) => fd.readable().await.map(|mut ready| ready.clear_ready()),
        }
    }

    /// Whether a connection waits in the queue.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !poll_now(self.fd(), PollFlags::IN).is_empty()
    }

    /// Takes one connection out of the queue without waiting, with the peer's address.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the queue is empty; EMFILE, ENFILE, ENOBUFS, ENOMEM when resources are
    /// short; ECONNABORTED and other errors of that one connection (accept(2)).
    pub fn accept_now(&self) -> io::Result<(Socket, Address)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (accepted, peer) = rustix::net::acceptfrom_with(self.fd(), flags)?;
        let peer = match (self.local, peer) {
            (Address::Unix, _) => Address::Unix,
            (Address::Ip(_), Some(peer)) => address(peer)?,
            (Address::Ip(_), None) => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        let inner = match &self.inner {
            ListenerInner::Ring(_) => Inner::Ring { fd: Rc::new(accepted) },
            ListenerInner::Epoll(_) => Inner::Epoll { fd: Rc::new(watch(accepted)?) },
        };
        Ok((Socket { inner }, peer))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.inner {
            ListenerInner::Ring(fd) => fd.as_fd(),
            ListenerInner::Epoll(fd) => fd.get_ref().as_fd(),
        }
    }
}

impl Drop for Listener {
    /// Ends the listening itself. The poll of a [`Listener::readable`] that was dropped holds the
    /// descriptor open until the next connection comes, and that one would be nobody's. On a unix
    /// socket it ends for all lanes; they still get what is in the queue.
    fn drop(&mut self) {
        shut_down(self.fd(), End::Receiving);
    }
}

/// Whether this error says "not now".
#[must_use]
pub fn would_block(error: io::ErrorKind) -> bool {
    error == io::ErrorKind::WouldBlock
}

fn address(any: SocketAddrAny) -> io::Result<Address> {
    match any.address_family() {
        AddressFamily::UNIX => Ok(Address::Unix),
        _ => Ok(Address::Ip(SocketAddr::try_from(any)?)),
    }
}

/// What of `wanted` is so now, and the conditions that are told unasked (poll(2)): an error, a
/// hang-up.
fn poll_now(fd: BorrowedFd<'_>, wanted: PollFlags) -> PollFlags {
    let mut asked = [PollFd::from_borrowed_fd(fd, wanted)];
    match rustix::event::poll(&mut asked, Some(&Timespec::default())) {
        Ok(_) => asked[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

fn shut_down(fd: BorrowedFd<'_>, end: End) {
    let how = match end {
        End::Receiving => Shutdown::Read,
        End::Sending => Shutdown::Write,
        End::Both => Shutdown::Both,
    };
    // ENOTCONN: the peer has reset the connection, which ends every wait as well.
    let _ = rustix::net::shutdown(fd, how);
}

fn reset_on_close(fd: BorrowedFd<'_>) {
    // ENOTCONN and the like mean that the peer is gone already.
    let _ = rustix::net::sockopt::set_socket_linger(fd, Some(Duration::ZERO));
}

/// Receives at most `bytes_max` bytes into the free capacity of `buffer` without waiting.
fn receive_now(fd: &OwnedFd, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
    let spare = buffer.spare_capacity_mut();
    let wanted = spare.len().min(bytes_max);
    let (received, _) = rustix::net::recv(fd, &mut spare[..wanted], RecvFlags::DONTWAIT)?;
    let received = received.0.len();
    let filled = buffer.len() + received;
    // SAFETY: recv says that it initialised that many bytes at the start of the spare capacity.
    // Bytes beyond what it filled would undo it.
    unsafe { buffer.set_len(filled) };
    Ok(received)
}

/// Registers a descriptor with the lane's epoll.
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by the AsyncFd from here on, so it stays open and the same
    // for as long as epoll watches it. A type whose `as_raw_fd` changes would undo it; OwnedFd's
    // does not.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}

/// Sends what lies behind the first `from` bytes.
async fn ring_send(fd: &Rc<OwnedFd>, bytes: Vec<u8>, from: usize) -> (io::Result<usize>, Vec<u8>) {
    let keep = (Rc::clone(fd), bytes);
    let rest = keep.1.get(from..).unwrap_or_default();
    let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
    // MSG_DONTWAIT: the kernel's own wait for room ends as often as its poll, see
    // [`Socket::writable`], and goes on in a thread that it keeps for each such socket.
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    let send = opcode::Send::new(types::Fd(keep.0.as_raw_fd()), rest.as_ptr(), length);
    let entry = send.flags(flags).build();
    // SAFETY: the bytes lie on the heap, owned by `keep` like the socket, and are only read; SEND
    // completes once. The zero-copy form completes twice and would undo it.
    let operation = unsafe { submit(entry, keep) };
    let (result, (_fd, bytes)) = operation.await;
    (result.map(|count| count as usize), bytes)
}

/// What of `events` is so, and the conditions that are told unasked: an error, a hang-up, the end
/// of the peer's sending.
async fn ring_poll(fd: &Rc<OwnedFd>, events: u32) -> io::Result<u32> {
    let keep = Rc::clone(fd);
    let entry = opcode::PollAdd::new(types::Fd(keep.as_raw_fd()), events).build();
    // SAFETY: the entry names no memory; `keep` holds the descriptor open; POLL_ADD without
    // multishot completes once. A multishot flag would undo it.
    let operation = unsafe { submit(entry, keep) };
    operation.await.0
}

/// Waits for room through the lane's epoll, which can leave the end of the peer's sending out.
async fn room_in_epoll(fd: &Rc<OwnedFd>) -> io::Result<()> {
    // SAFETY: the Rc holds the descriptor open for as long as epoll watches it, and always gives
    // the same one. A type whose `as_raw_fd` changes would undo it.
    let registered = unsafe { AsyncFd::register_with_interest(Rc::clone(fd), Interest::WRITABLE) };
    let watched = registered.map_err(io::Error::from)?;
    watched.ready(Interest::WRITABLE).await.map(drop)
}

#[cfg(test)]
mod tests;
