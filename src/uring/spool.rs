//! A temporary file that has no name and takes bytes at its end, without making the lane wait for
//! the disk. It is gone when the last descriptor is closed, also after a kill -9.

use std::fs::File;
use std::io;
use std::io::Seek;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use rustix::fs::FallocateFlags;

use crate::uring::Io;

/// An unlinked temporary file while it is written.
pub struct Spool {
    file: File,
    writer: Writer,
    bytes: u64,
}

enum Writer {
    /// A second descriptor of the same open file, in tokio-uring's hands.
    Ring(tokio_uring::fs::File),
    Direct,
}

impl Spool {
    /// A new, empty file in the folder for temporary files (TMPDIR).
    ///
    /// # Errors
    ///
    /// errno of open(2), such as EMFILE, ENOSPC or EROFS.
    pub fn new(io: Io) -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        let writer = match io {
            Io::Ring => Writer::Ring(tokio_uring::fs::File::from_std(file.try_clone()?)),
            Io::Epoll => Writer::Direct,
        };
        Ok(Self { file, writer, bytes: 0 })
    }

    /// Writes all of `buffer` at the end and gives it back.
    ///
    /// # Errors
    ///
    /// errno of write(2), such as ENOSPC. The file is then as it was, but for bytes behind its end.
    pub async fn append(&mut self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let length = buffer.len() as u64;
        let (written, buffer) = match &self.writer {
            Writer::Ring(file) => file.write_all_at(buffer, self.bytes).await,
            Writer::Direct => (self.file.write_all(&buffer), buffer),
        };
        if written.is_ok() {
            self.bytes += length;
        }
        (written, buffer)
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives the room of these bytes back: they read as zeros from here on.
    ///
    /// # Errors
    ///
    /// errno of fallocate(2): EOPNOTSUPP where the file system has no holes.
    pub fn free(&self, from: u64, bytes: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&self.file, flags, from, bytes).map_err(io::Error::from)
    }

    /// Cuts the file to so many bytes.
    ///
    /// # Errors
    ///
    /// errno of ftruncate(2).
    pub fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)?;
        self.bytes = bytes;
        Ok(())
    }

    /// The file, to be read from its first byte.
    ///
    /// # Errors
    ///
    /// errno of lseek(2).
    pub fn into_file(mut self) -> io::Result<File> {
        self.file.rewind()?;
        Ok(self.file)
    }
}

/// To be read at offsets, while it grows: [`Socket::sendfile_now`](crate::uring::socket::Socket).
impl AsFd for Spool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
