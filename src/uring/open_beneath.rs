//! openat2(2) beneath a directory: path safety belongs to the kernel, in one call and with no
//! window.
//!
//! By default `..`, absolute symlinks and symlinks that lead out of the directory are refused with
//! EXDEV, and a symlink that stays beneath is followed ([`Links`] has the other ways). The magic
//! links of /proc are refused with ELOOP. Opening never blocks on a FIFO or a device (O_NONBLOCK)
//! and never makes a terminal ours (O_NOCTTY).

#![expect(unsafe_code, reason = "builds an OPENAT2 entry and owns the descriptor that it gives")]

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::rc::Rc;

use io_uring::opcode;
use io_uring::types;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;

use crate::uring::Io;
use crate::uring::operation::submit;

/// Which symbolic links on the way are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Those that stay beneath the directory.
    Beneath,
    /// None: ELOOP.
    Refused,
    /// All. A path without `..` still begins beneath the directory.
    Followed,
}

/// Opens `path`, relative and beneath `directory`, for reading.
///
/// On the ring the kernel opens inline when the path is in its cache, and on a worker thread when
/// it must read the disk, so that the lane does not wait. On epoll the call is made directly.
///
/// # Errors
///
/// errno of openat2(2). EAGAIN means that a folder of the path was renamed meanwhile: try again.
pub async fn open_beneath(
    io: Io,
    directory: &Rc<OwnedFd>,
    path: CString,
    links: Links,
) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::NO_MAGICLINKS
        | match links {
            Links::Beneath => ResolveFlags::BENEATH,
            Links::Refused => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            Links::Followed => ResolveFlags::empty(),
        };
    open(io, Some(Rc::clone(directory)), path, flags, resolve).await
}

/// Opens the directory at an absolute path, as what others are opened beneath. All links are
/// followed: the operator names it.
///
/// # Errors
///
/// errno of openat2(2).
pub async fn open_directory(io: Io, path: CString) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(io, None, path, flags, ResolveFlags::empty()).await
}

/// What the kernel reads while it opens: the directory, the path, and how to resolve it.
struct Opening {
    directory: Option<Rc<OwnedFd>>,
    path: CString,
    how: Box<types::OpenHow>,
}

async fn open(
    io: Io,
    directory: Option<Rc<OwnedFd>>,
    path: CString,
    flags: OFlags,
    resolve: ResolveFlags,
) -> io::Result<OwnedFd> {
    if io == Io::Epoll {
        let directory = directory.as_ref().map_or(rustix::fs::CWD, |fd| fd.as_fd());
        let opened = rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve);
        return opened.map_err(io::Error::from);
    }
    let how = types::OpenHow::new().flags(u64::from(flags.bits())).resolve(resolve.bits());
    let keep = Opening { directory, path, how: Box::new(how) };
    let directory_fd = keep.directory.as_ref().map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd());
    let entry =
        opcode::OpenAt2::new(types::Fd(directory_fd), keep.path.as_ptr(), &raw const *keep.how)
            .build();
    // SAFETY: the path's bytes and `how` lie on the heap and are owned by `keep`, which also holds
    // the directory open; OPENAT2 completes once. Storing either inline in `Opening` would undo it.
    let operation = unsafe { submit(entry, keep) };
    let (result, _keep) = operation.await;
    let fd = result.and_then(|fd| RawFd::try_from(fd).map_err(io::Error::other))?;
    // SAFETY: a successful OPENAT2 gives a new descriptor that nobody else has seen. Reading the
    // same completion twice would undo it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
