//! The runtime of one lane: tokio-uring's with the best ring flags that the kernel takes, or
//! tokio's epoll where io_uring is refused.
//!
//! Measured for a hello on one core, CPU time of the server a request: 4.4 us with the flags, 6.6
//! us without. DEFER_TASKRUN and IOPOLL are not in the ladder: tokio-uring hangs with them.

use std::future::Future;
use std::io;

use tokio::task::LocalSet;

use crate::limits::RING_COMPLETIONS;
use crate::limits::RING_ENTRIES;
use crate::uring::Io;

/// What a lane runs on. Made on the lane's thread and used there only.
pub enum Runtime {
    /// tokio-uring's runtime: a ring, tokio's timers and tasks around it.
    Ring(tokio_uring::Runtime),
    /// tokio's current-thread runtime with epoll, and the set that its local tasks live in.
    Epoll(tokio::runtime::Runtime, LocalSet),
}

impl Runtime {
    /// A runtime on a new ring.
    ///
    /// # Errors
    ///
    /// What the kernel says to io_uring_setup(2) with the plainest flags: EPERM or ENOSYS where
    /// io_uring is forbidden or absent, ENOMEM where locked memory is short.
    pub fn ring() -> io::Result<Self> {
        let mut refusal = io::Error::from(io::ErrorKind::Unsupported);
        for flags in [Flags::Cooperative, Flags::SubmitAll, Flags::Plain] {
            let mut builder = tokio_uring::builder();
            builder.entries(RING_ENTRIES).uring_builder(&flags.ring_builder());
            match tokio_uring::Runtime::new(&builder) {
                Ok(runtime) => return Ok(Self::Ring(runtime)),
                // EINVAL: a kernel older than the flag (setup_single_issuer needs 6.0).
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => refusal = error,
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }

    /// A runtime on epoll.
    ///
    /// # Errors
    ///
    /// What epoll_create1(2) says: in practice EMFILE.
    pub fn epoll() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self::Epoll(runtime, LocalSet::new()))
    }

    /// Which interface this runtime waits on.
    #[must_use]
    pub const fn io(&self) -> Io {
        match self {
            Self::Ring(_) => Io::Ring,
            Self::Epoll(..) => Io::Epoll,
        }
    }

    /// Runs `future` to its end on this thread, and the tasks that it spawns beside it.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Ring(runtime) => runtime.block_on(future),
            Self::Epoll(runtime, tasks) => tasks.block_on(runtime, future),
        }
    }
}

/// The ladder of ring flags, best first.
#[derive(Clone, Copy)]
enum Flags {
    /// Kernel 6.0: completions are handled when this thread enters the kernel anyway.
    Cooperative,
    /// Kernel 5.18: a failing entry does not stop those behind it.
    SubmitAll,
    /// Kernel 5.6.
    Plain,
}

impl Flags {
    fn ring_builder(self) -> io_uring::Builder {
        let mut builder = tokio_uring::uring_builder();
        builder.dontfork().setup_clamp().setup_cqsize(RING_COMPLETIONS);
        match self {
            Self::Cooperative => {
                builder.setup_submit_all().setup_single_issuer();
                builder.setup_coop_taskrun().setup_taskrun_flag();
            }
            Self::SubmitAll => {
                builder.setup_submit_all();
            }
            Self::Plain => {}
        }
        builder
    }
}
