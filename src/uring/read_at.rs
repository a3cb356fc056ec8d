//! Reads a piece of a file into memory without making the lane wait for the disk.

#![expect(unsafe_code, reason = "builds a READ entry that the kernel fills a buffer by")]

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use io_uring::opcode;

use crate::uring::Io;
use crate::uring::operation::fill;

/// Reads from byte `offset` of `file` into the free capacity of `buffer`, behind what it holds.
///
/// Gives the number of bytes appended (0 at the end of the file, or when there is no free capacity)
/// and the buffer.
///
/// # Errors
///
/// errno of read(2).
pub async fn read_at(
    io: Io,
    file: &Rc<OwnedFd>,
    offset: u64,
    mut buffer: Vec<u8>,
) -> (io::Result<usize>, Vec<u8>) {
    if io == Io::Epoll {
        let spare = rustix::buffer::spare_capacity(&mut buffer);
        let read = rustix::io::pread(&**file, spare, offset);
        return (read.map_err(io::Error::from), buffer);
    }
    let entry = |fd, start, bytes| opcode::Read::new(fd, start, bytes).offset(offset).build();
    // SAFETY: READ writes at most `bytes` from `start` on, and completes once with what it wrote. A
    // vectored or multishot read would undo it.
    unsafe { fill(file, buffer, usize::MAX, entry) }.await
}
