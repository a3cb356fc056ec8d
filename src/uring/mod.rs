//! The kernel operations that tokio-uring lacks, and the runtime of a lane.
//!
//! | operation | why it is here |
//! |---|---|
//! | [`socket::Socket::receive`] | RECV through the ring, into the free end of a buffer that is kept alive |
//! | [`socket::Socket::send_now`], [`socket::Socket::sendfile_now`] | one direct system call is cheaper than a ring entry for a socket that has room, and io_uring has no sendfile |
//! | [`socket::Socket::send`] | SEND through the ring, with the receives of the lane's turn in one system call |
//! | [`socket::Socket::writable`], [`socket::Listener::readable`] | one-shot POLL_ADD |
//! | [`Io::give_way`] | NOP: a turn for the lane's other tasks |
//! | [`open_beneath`](open_beneath::open_beneath) | OPENAT2 with `RESOLVE_BENEATH` |
//! | [`read_at`](read_at::read_at) | READ of a file at an offset |
//! | [`residence`](residence::residence) | cachestat(2) and preadv2(2) with RWF_NOWAIT: whether sendfile would wait for the disk |
//! | [`spool::Spool`] | an unlinked temporary file, written through the ring |
//!
//! This room knows descriptors and bytes, nothing of HTTP. It is the only one that builds
//! submission entries: `operation::submit` is the single unsafe door to the ring. Every operation
//! works on tokio's epoll as well, for kernels and containers that refuse io_uring.

pub mod open_beneath;
mod operation;
pub mod read_at;
pub mod residence;
pub mod runtime;
pub mod socket;
pub mod spool;

/// Which of the kernel's interfaces the calling lane waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// io_uring, through tokio-uring.
    Ring,
    /// epoll, through tokio: where io_uring is refused.
    Epoll,
}

impl Io {
    /// Lets the lane's other tasks have their turn, and the kernel what they have asked of it.
    pub async fn give_way(self) {
        match self {
            // Merely yielding would not submit the others' entries; an operation that completes at
            // once does.
            Self::Ring => operation::nothing().await,
            Self::Epoll => tokio::task::yield_now().await,
        }
    }
}
