//! Whether the bytes of a file are in the page cache, so that sendfile(2) will not make the lane
//! wait for the disk.
//!
//! cachestat(2) counts the pages that are there, in one walk of the page cache and without starting
//! to read. It needs Linux 6.5 and, since CVE-2025-21691, that we own the file or may write to it.
//! It also counts pages that are only being read in. So the first and the last byte are read as
//! well, with RWF_NOWAIT, and where there is no cachestat further ones between them.
//!
//! What remains: a page in the middle that another one is just reading in, or where there is no
//! cachestat one that was evicted between two probes. Then the lane waits for that page.

#![expect(unsafe_code, reason = "cachestat(2) has no safe wrapper")]

use std::io;
use std::io::IoSliceMut;
use std::mem::size_of;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::fs::Stat;
use rustix::io::Errno;
use rustix::io::ReadWriteFlags;

use crate::limits::RESIDENCE_PROBE_BYTES;
use crate::uring::read_at::disk;
use crate::workshop::Busy;

/// Where the bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residence {
    /// In the page cache, or behind the end of the file.
    Resident,
    /// Not all of them are in the page cache.
    Absent,
    /// The file system does not say, as with overlayfs, which containers are on, and tmpfs. Of a
    /// [`Medium::Local`] file what was counted must do, and where nothing was it is as with any
    /// other server.
    Unknown,
}

/// Where these bytes of the file are. Does not wait for the disk.
#[must_use]
pub fn residence(file: impl AsFd, range: &Range<u64>) -> Residence {
    let file = file.as_fd();
    if range.is_empty() {
        return Residence::Resident;
    }
    let counted = count(file, range);
    if let Some(counted) = &counted
        && counted.cached < pages(range)
    {
        // Also the pages behind the end of a file that has become shorter: reading will tell.
        return Residence::Absent;
    }
    let last = range.end - 1;
    for at in [last, range.start] {
        match probe(file, at) {
            Residence::Resident => {}
            other => return other,
        }
    }
    if counted.is_none() {
        let mut at = range.start + RESIDENCE_PROBE_BYTES;
        while at < last {
            match probe(file, at) {
                Residence::Resident => {}
                other => return other,
            }
            at += RESIDENCE_PROBE_BYTES;
        }
    }
    Residence::Resident
}

/// Who fills the pages of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A disk or the memory of this machine.
    Local,
    /// Another machine or another program: each question about the file may have to wait for it.
    Remote,
}

/// Who fills the pages of this file. May ask them, so it is for a file that was just opened.
#[must_use]
pub fn medium(file: impl AsFd) -> Medium {
    match rustix::fs::fstatfs(file) {
        Ok(stat) if !REMOTE.contains(&(stat.f_type & 0xffff_ffff)) => Medium::Local,
        _ => Medium::Remote,
    }
}

/// File systems whose pages come from another machine or another program (linux/magic.h and the
/// sources of each): FUSE, NFS, SMB in three versions, 9P, Ceph, AFS, Coda, Lustre, OCFS2, GFS2.
const REMOTE: [i64; 12] = [
    0x6573_5546,
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x7375_7245,
    0x0bd0_0bd0,
    0x7461_636f,
    0x0116_1970,
];

/// Whether the byte there can be read without waiting.
fn probe(file: BorrowedFd<'_>, at: u64) -> Residence {
    let mut byte = [0];
    let mut into = [IoSliceMut::new(&mut byte)];
    match rustix::io::preadv2(file, &mut into, at, ReadWriteFlags::NOWAIT) {
        Ok(_) => Residence::Resident,
        // preadv2(2): no such flag, or not of this file system. A sandbox may also refuse the call.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::INVAL) => Residence::Unknown,
        // EAGAIN; or the disk fails, which reading will tell.
        Err(_) => Residence::Absent,
    }
}

/// What fstat(2) says of an open file, without making the lane wait for a [`Medium::Remote`] one:
/// a thread of the lane's asks then.
///
/// # Errors
///
/// errno of fstat(2).
pub async fn stat(file: &OwnedFd, medium: Medium) -> io::Result<Stat> {
    if medium == Medium::Local {
        return rustix::fs::fstat(file).map_err(io::Error::from);
    }
    // The job must own what it uses, as it goes on when nobody waits for it any more.
    let asked = file.try_clone()?;
    match disk().run(move || rustix::fs::fstat(asked)).await {
        Ok(stat) => stat.map_err(io::Error::from),
        Err(Busy) => Err(io::Error::from(io::ErrorKind::ResourceBusy)),
    }
}

/// `struct cachestat_range` of linux/mman.h.
#[repr(C)]
struct Asked {
    offset: u64,
    bytes: u64,
}

/// `struct cachestat` of linux/mman.h: numbers of pages.
#[repr(C)]
#[derive(Default)]
struct Counted {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// The number on all architectures of Linux but Alpha. libc does not name it everywhere.
const SYS_CACHESTAT: libc::c_long = 451;

const _: () = assert!(size_of::<Counted>() == 5 * 8, "as the kernel has it");

/// What the page cache has of these bytes. None where the kernel does not say: ENOSYS, EPERM, or
/// EOPNOTSUPP for huge pages.
fn count(file: BorrowedFd<'_>, range: &Range<u64>) -> Option<Counted> {
    let asked = Asked { offset: range.start, bytes: range.end - range.start };
    let mut counted = Counted::default();
    // SAFETY: the kernel reads `asked` and writes `counted`, which have the layout that it expects
    // and live for the call; the descriptor is borrowed for as long. A flag other than 0, or a
    // field less in either, would undo it.
    let result = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            &raw const asked,
            &raw mut counted,
            0 as libc::c_uint,
        )
    };
    (result == 0).then_some(counted)
}

/// Pages that the range touches.
fn pages(range: &Range<u64>) -> u64 {
    let page_bytes = rustix::param::page_size() as u64;
    range.end.div_ceil(page_bytes) - range.start / page_bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    use rustix::fs::Advice;

    const BYTES: u64 = 1 << 20;

    /// A file of the build folder, which is on a disk: /tmp need not be.
    fn file() -> File {
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.write_all(&vec![7; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        file
    }

    #[test]
    fn what_was_written_is_there_until_it_is_dropped() {
        let file = file();
        for range in [0..BYTES, 0..1, 4095..4097, BYTES - 1..BYTES, 5..5] {
            assert_eq!(residence(&file, &range), Residence::Resident, "{range:?}");
        }
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        // A file system in memory keeps what it is told to drop.
        if count(file.as_fd(), &(0..BYTES)).is_some_and(|counted| counted.cached > 0) {
            return;
        }
        for range in [0..BYTES, BYTES - 1..BYTES] {
            assert_ne!(residence(&file, &range), Residence::Resident, "{range:?}");
        }
        assert_eq!(residence(&file, &(5..5)), Residence::Resident);
    }

    #[test]
    fn pages_are_counted_from_the_first_to_the_last_that_is_touched() {
        let page = rustix::param::page_size() as u64;
        for (range, count) in [
            (0..1, 1),
            (0..page, 1),
            (0..page + 1, 2),
            (page - 1..page + 1, 2),
            (page..2 * page, 1),
        ] {
            assert_eq!(pages(&range), count, "{range:?}");
        }
    }

    #[test]
    fn what_cannot_say_is_unknown() {
        // A pipe has no pages and no offsets.
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_ne!(residence(&reader, &(0..10)), Residence::Resident);
    }
}
