//! What no safe crate has: a mapping of a file, vmsplice(2) of it, two socket options.

#![expect(unsafe_code, reason = "a mapping, and options that no safe crate has")]

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::slice;

use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;
use rustix::pipe::IoSliceRaw;
use rustix::pipe::SpliceFlags;

/// Maps a file. Never unmapped: a run makes a few.
///
/// # Errors
///
/// As mmap(2).
pub fn map(file: &File, bytes: usize) -> io::Result<&'static [u8]> {
    let (protection, flags) = (ProtFlags::READ, MapFlags::SHARED);
    // SAFETY: a new mapping at no fixed address touches no memory that exists.
    let start = unsafe { rustix::mm::mmap(ptr::null_mut(), bytes, protection, flags, file, 0) }?;
    // SAFETY: mmap gave so many bytes; the file is the run's own, in a folder of its own, and
    // nobody writes to it or makes it shorter while the program runs.
    Ok(unsafe { slice::from_raw_parts(start.cast::<u8>(), bytes) })
}

/// Puts pages of a mapping into a pipe. Gives the bytes that it took.
///
/// # Errors
///
/// As vmsplice(2).
pub fn vmsplice(pipe: impl AsFd, bytes: &'static [u8]) -> io::Result<usize> {
    let part = [IoSliceRaw::from_slice(bytes)];
    // SAFETY: the pages are those of a mapping that is never unmapped nor written to.
    Ok(unsafe { rustix::pipe::vmsplice(pipe, &part, SpliceFlags::NONBLOCK) }?)
}

/// SO_ZEROCOPY.
///
/// # Errors
///
/// As setsockopt(2).
pub fn allow_zero_copy(socket: impl AsFd) -> io::Result<()> {
    set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1)
}

/// TCP_NOTSENT_LOWAT.
///
/// # Errors
///
/// As setsockopt(2).
pub fn limit_unsent(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    set(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, bytes)
}

fn set(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<c_int>()).unwrap_or(0);
    let value = ptr::from_ref(&value).cast();
    // SAFETY: the value is an int of that length, which lives until the call returns.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
