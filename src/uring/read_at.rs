//! Reads a piece of a file into memory without making the lane wait for the disk.
//!
//! The ring tries without waiting first, and else leaves the read to a thread of the kernel.
//! Without a ring it is the same with threads of ours: one workshop for each lane, apart from the
//! one for work that takes CPU time, as these jobs only wait.

#![expect(unsafe_code, reason = "builds a READ entry that the kernel fills a buffer by")]

use std::io;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use io_uring::opcode;
use rustix::io::Errno;
use rustix::io::ReadWriteFlags;

use crate::limits::CONNECTIONS_PER_LANE_MAX;
use crate::limits::DISK_JOBS_MAX;
use crate::uring::Io;
use crate::uring::operation::fill;
use crate::workshop::Workshop;

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
        let read = read_with_thread(file, offset, &mut buffer).await;
        return (read, buffer);
    }
    let entry = |fd, start, bytes| opcode::Read::new(fd, start, bytes).offset(offset).build();
    // SAFETY: READ writes at most `bytes` from `start` on, and completes once with what it wrote. A
    // vectored or multishot read would undo it.
    unsafe { fill(file, buffer, usize::MAX, entry) }.await
}

async fn read_with_thread(
    file: &Rc<OwnedFd>,
    offset: u64,
    buffer: &mut Vec<u8>,
) -> io::Result<usize> {
    // A file that is in memory makes nobody wait: the others must have their turn all the same.
    tokio::task::consume_budget().await;
    let free = buffer.capacity() - buffer.len();
    match read_now(file, offset, buffer, free) {
        // preadv2(2): the disk must be asked, or the file system does not say whether it must.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::INVAL) => {}
        read => return read.map_err(io::Error::from),
    }
    // The job must own what it uses, as it goes on when the connection has ended.
    let job_file = file.try_clone()?;
    let job = move || {
        let mut bytes = Vec::with_capacity(free);
        let spare = rustix::buffer::spare_capacity(&mut bytes);
        rustix::io::pread(&job_file, spare, offset).map(|_| bytes)
    };
    match disk().run(job).await {
        Ok(Ok(bytes)) => {
            buffer.extend_from_slice(&bytes);
            Ok(bytes.len())
        }
        Ok(Err(error)) => Err(error.into()),
        // There is no thread to be had: late is better than never.
        Err(_) => {
            let spare = rustix::buffer::spare_capacity(buffer);
            rustix::io::pread(&**file, spare, offset).map_err(io::Error::from)
        }
    }
}

/// The lane's threads for what may have to wait for a disk.
pub(super) fn disk() -> Rc<Workshop> {
    DISK.with(Rc::clone)
}

thread_local! {
    /// The lane's own. A connection waits for one read at a time, so there is room for all.
    static DISK: Rc<Workshop> =
        Rc::new(Workshop::with_bounds(DISK_JOBS_MAX, CONNECTIONS_PER_LANE_MAX));
}

/// Reads what is in memory.
fn read_now(
    file: &OwnedFd,
    offset: u64,
    buffer: &mut Vec<u8>,
    free: usize,
) -> Result<usize, Errno> {
    let filled = buffer.len();
    buffer.resize(filled + free, 0);
    let (_, spare) = buffer.split_at_mut(filled);
    let mut into = [IoSliceMut::new(spare)];
    let read = rustix::io::preadv2(file, &mut into, offset, ReadWriteFlags::NOWAIT);
    buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    use crate::uring::runtime::Runtime;

    #[test]
    fn pieces_of_a_file_whether_or_not_they_are_in_memory() {
        for runtime in [Runtime::epoll(), Runtime::ring()].into_iter().flatten() {
            let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
            let bytes: Vec<u8> = (0..100_000_u32).map(|place| place.to_le_bytes()[1]).collect();
            file.write_all(&bytes).unwrap();
            file.sync_all().unwrap();
            let file = Rc::new(OwnedFd::from(file));
            runtime.block_on(async {
                for round in 0..2 {
                    let mut read = b"before".to_vec();
                    loop {
                        if round == 0 {
                            let all = rustix::fs::Advice::DontNeed;
                            rustix::fs::fadvise(&*file, 0, None, all).unwrap();
                        }
                        read.reserve_exact(30_000);
                        let offset = read.len() as u64 - 6;
                        let (count, filled) = read_at(runtime.io(), &file, offset, read).await;
                        read = filled;
                        if count.unwrap() == 0 {
                            break;
                        }
                    }
                    assert!(read == [b"before", &*bytes].concat(), "round {round}");
                }
            });
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for runtime in [Runtime::epoll(), Runtime::ring()].into_iter().flatten() {
            let folder = Rc::new(OwnedFd::from(File::open("/").unwrap()));
            runtime.block_on(async {
                let (read, buffer) = read_at(runtime.io(), &folder, 0, Vec::with_capacity(9)).await;
                assert_eq!(read.unwrap_err().kind(), io::ErrorKind::IsADirectory);
                assert!(buffer.is_empty());
            });
        }
    }
}
