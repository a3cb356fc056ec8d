//! What a lane knows of one path: a file ready to be sent, a folder, or nothing.
//!
//! All decisions that do not depend on the request are made here once: validators, the fields of
//! the head, and whether the body leaves with its head from memory or by sendfile.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use rustix::fs::Stat;

use crate::clock::Moment;
use crate::limits::FILE_FRESH_TIME;
use crate::response::Head;
use crate::static_files::precondition::Validators;

/// One path, as it was when the lane last looked.
pub struct Entry {
    /// What is there.
    pub kind: Kind,
    checked: Cell<Moment>,
}

/// What is at a path.
pub enum Kind {
    /// A regular file.
    File(Box<File>),
    /// A folder with an index, asked for without its slash.
    Folder,
    /// Nothing that may be served.
    Missing,
}

/// A regular file and everything about it that every answer needs.
pub struct File {
    /// The complete head of a 200 answer.
    pub whole: Head,
    /// The complete head of a 304 answer.
    pub not_modified: Head,
    /// Where the bytes are.
    pub content: Content,
    /// Bytes of the file.
    pub size_bytes: u64,
    identity: Identity,
    etag: String,
    last_modified: String,
    media_type: String,
    cache_control: Option<String>,
}

/// Where the bytes of a file are.
pub enum Content {
    /// In memory: they leave with the head in one write.
    Inline(Box<[u8]>),
    /// In the kernel: they leave by sendfile.
    Descriptor(Rc<OwnedFd>),
}

/// What changes when a file does: device, inode, size, modification and status-change times in
/// nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Entry {
    /// An entry that was compared with the disk just now.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, checked: Cell::new(Moment::now()) }
    }

    /// Whether the entry was compared with the disk recently enough to be used as it is.
    pub fn is_fresh(&self, now: Moment) -> bool {
        now.since(self.checked.get()) < FILE_FRESH_TIME
    }

    /// Notes that the entry agrees with the disk at this moment, or that somebody is comparing.
    pub fn renew(&self) {
        self.checked.set(Moment::now());
    }

    /// The file's identity, for comparison with what is on disk now.
    #[must_use]
    pub const fn identity(&self) -> Option<Identity> {
        match &self.kind {
            Kind::File(file) => Some(file.identity),
            Kind::Folder | Kind::Missing => None,
        }
    }
}

/// Fri, 31 Dec 9999 23:59:59 GMT: the year of an IMF-fixdate has four digits (RFC 9110 section
/// 5.6.7), and httpdate panics at a fifth.
const HTTP_DATE_SECONDS_MAX: u64 = 253_402_300_799;

impl Identity {
    /// The identity in what fstat(2) says.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        let nanoseconds =
            |seconds: i64, part: u64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// A strong entity tag: the modification time in nanoseconds and the size, in hexadecimal. The
    /// same on every lane and after a restart; the same on another machine that keeps the times.
    fn etag(&self) -> String {
        format!("\"{:x}-{:x}\"", self.modified_ns, self.size_bytes)
    }

    /// Within what a date of HTTP can say: a file may claim to be from any year.
    fn modified_unix_seconds(&self) -> u64 {
        let seconds = (self.modified_ns / 1_000_000_000).clamp(0, HTTP_DATE_SECONDS_MAX.into());
        u64::try_from(seconds).unwrap_or(HTTP_DATE_SECONDS_MAX)
    }
}

impl File {
    /// A file ready to be sent.
    #[must_use]
    pub fn new(
        identity: Identity,
        content: Content,
        media_type: String,
        cache_control: Option<&str>,
    ) -> Self {
        let modified = UNIX_EPOCH + Duration::from_secs(identity.modified_unix_seconds());
        let mut file = Self {
            whole: Head::new(200),
            not_modified: Head::new(304),
            content,
            size_bytes: identity.size_bytes,
            identity,
            etag: identity.etag(),
            last_modified: httpdate::fmt_http_date(modified),
            media_type,
            cache_control: cache_control.map(str::to_owned),
        };
        file.whole = file.head(200);
        // 304 repeats what a cache must update, and nothing of the body (RFC 9110 section 15.4.5).
        let mut not_modified = Head::new(304);
        file.add_validators(&mut not_modified);
        file.not_modified = not_modified;
        file
    }

    /// A head with the fields that describe this file, for a status with a body of its bytes.
    #[must_use]
    pub fn head(&self, status: u16) -> Head {
        let mut head = Head::new(status);
        head.field("Content-Type", &self.media_type);
        self.add_validators(&mut head);
        head.field("Accept-Ranges", "bytes");
        head
    }

    fn add_validators(&self, head: &mut Head) {
        head.field("Last-Modified", &self.last_modified);
        head.field("ETag", &self.etag);
        if let Some(cache_control) = &self.cache_control {
            head.field("Cache-Control", cache_control);
        }
    }

    /// What conditional requests are compared with.
    #[must_use]
    pub(super) fn validators(&self) -> Validators<'_> {
        Validators {
            etag: &self.etag,
            modified_unix_seconds: self.identity.modified_unix_seconds(),
        }
    }

    /// Whether the open file is still as it was when this entry was made. A file in memory is: its
    /// bytes cannot change under us.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        match &self.content {
            Content::Inline(_) => true,
            Content::Descriptor(fd) => {
                rustix::fs::fstat(&**fd).is_ok_and(|stat| Identity::of(&stat) == self.identity)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_from_any_year_has_a_date() {
        let cases = [
            (i64::MIN, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (253_402_300_800, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (seconds, date) in cases {
            let modified_ns = i128::from(seconds) * 1_000_000_000;
            let identity =
                Identity { device: 1, inode: 1, size_bytes: 0, modified_ns, changed_ns: 0 };
            let content = Content::Inline(Box::default());
            let file = File::new(identity, content, "text/plain".to_owned(), None);
            assert_eq!(file.last_modified, date);
        }
    }
}
