//! What a lane knows of one path: a file ready to be sent, another address, a folder, or nothing.
//!
//! All decisions that do not depend on the request are made here once: validators, the fields of
//! the head, and whether the body leaves with its head from memory or by sendfile.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustix::fs::Stat;

use crate::clock;
use crate::clock::Moment;
use crate::limits::FILE_FRESH_TIME;
use crate::limits::FILE_SETTLE_TIME;
use crate::request::accept_encoding::Coding;
use crate::response::Head;
use crate::static_files::Sniffing;
use crate::static_files::cache::Room;
use crate::static_files::media_type::MediaType;
use crate::static_files::media_type::Weight;
use crate::static_files::precondition::Validators;
use crate::static_files::resolve::Slash;
use crate::uring::residence::Medium;

/// One path, as it was when the lane last looked.
pub struct Entry {
    /// What is there.
    pub kind: Kind,
    checked: Cell<Moment>,
    /// Of the root beneath which it was found.
    generation: Cell<u64>,
}

/// What is at a path.
pub enum Kind {
    /// A regular file.
    File(Box<File>),
    /// The page has another address, which differs in the slash at its end.
    Moved(Slash),
    /// A folder without an index that shows what is in it, in the form that the client prefers.
    Folder,
    /// Nothing that may be served, or no compressed form that is worth it.
    Missing,
    /// Something, but in no coding that the client takes.
    NotAcceptable,
}

/// A regular file, or what is made of one, and everything about it that every answer needs.
pub struct File {
    /// The complete head of a 200 answer.
    pub whole: Head,
    /// The complete head of a 304 answer.
    pub not_modified: Head,
    /// Where the bytes are.
    pub content: Content,
    /// Bytes of the representation.
    pub size_bytes: u64,
    description: Description,
    etag: String,
    modified: Option<Modified>,
    /// Of the open file, while its bytes come from there.
    identity: Option<Identity>,
    /// The version of the file itself that a compressed form belongs to.
    origin: Option<Identity>,
    memory_bytes: usize,
    /// Held, not asked: where the bytes were made.
    _room: Option<Room>,
    sidecars: Cell<Option<Presence>>,
    /// Whether it was found to be as small as it can be.
    incompressible: Cell<bool>,
    /// When all of it was sent last, and was in the page cache then.
    sent_hot: Cell<Option<Moment>>,
    /// Whether nobody may have been writing it when it was taken.
    settled: bool,
}

/// What is the same for all versions of what is at a path.
#[derive(Clone)]
pub(super) struct Description {
    /// Of the file itself, whatever the coding.
    pub media_type: MediaType,
    pub coding: Option<Coding>,
    /// The field that the choice of this representation depends on.
    pub vary: Option<&'static str>,
    pub cache_control: Option<String>,
    pub sniffing: Sniffing,
    /// The path of the file itself beneath the root, without a slash before it.
    pub source: Vec<u8>,
    pub medium: Medium,
}

impl Description {
    /// That of a compressed form. Where only those get one who refuse the file as it is, a cache
    /// must know of it just here.
    fn coded(self, coding: Coding) -> Self {
        Self { coding: Some(coding), vary: Some("Accept-Encoding"), ..self }
    }
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
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// When a file was modified.
struct Modified {
    unix_seconds: u64,
    text: String,
}

/// Which sidecars a file had at a moment.
#[derive(Clone, Copy)]
struct Presence {
    checked: Moment,
    codings: [bool; Coding::ALL.len()],
}

impl Entry {
    /// An entry that was compared with the disk just now, beneath the root of this generation.
    #[must_use]
    pub fn new(kind: Kind, generation: u64) -> Self {
        Self { kind, checked: Cell::new(Moment::now()), generation: Cell::new(generation) }
    }

    /// Whether the entry was compared with the disk recently enough, and beneath the same root, to
    /// be used as it is, and is not seen to have changed since.
    pub(super) fn is_usable(&self, now: Moment, generation: u64) -> bool {
        self.generation.get() == generation
            && now.since(self.checked.get()) < FILE_FRESH_TIME
            && self.file().is_none_or(File::is_unchanged)
    }

    /// Notes that the entry agrees with the disk at this moment, beneath the root of this
    /// generation; or that somebody is comparing, while others go on with it.
    pub(super) fn renew(&self, generation: u64) {
        self.checked.set(Moment::now());
        self.generation.set(generation);
    }

    /// Whether it is this version of this file, for certain.
    pub(super) fn is_version(&self, source: &[u8], identity: Identity) -> bool {
        let same = |file: &File| {
            file.settled && file.identity == Some(identity) && file.description.source == source
        };
        self.file().is_some_and(same)
    }

    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&File> {
        match &self.kind {
            Kind::File(file) => Some(file),
            Kind::Moved(_) | Kind::Folder | Kind::Missing | Kind::NotAcceptable => None,
        }
    }
}

/// Fri, 31 Dec 9999 23:59:59 GMT: the year of an IMF-fixdate has four digits (RFC 9110 section
/// 5.6.7), and httpdate panics at a fifth.
const HTTP_DATE_SECONDS_MAX: u64 = 253_402_300_799;

impl Identity {
    /// The identity in what fstat(2) says.
    #[must_use]
    pub(super) fn of(stat: &Stat) -> Self {
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

    /// Whether the same open file had the same bytes at both moments.
    pub(super) fn has_the_bytes_of(self, earlier: Self) -> bool {
        (self.size_bytes, self.modified_ns) == (earlier.size_bytes, earlier.modified_ns)
    }

    /// Bytes of the file.
    #[must_use]
    pub(super) const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether somebody may be writing this version just now, as far as times tell. The clock of a
    /// file may be a tick ahead of ours; one that claims to be from the future is believed nothing.
    pub(super) fn is_settling(&self) -> bool {
        let age_ns = clock::unix_nanoseconds() - self.modified_ns;
        age_ns.unsigned_abs() < FILE_SETTLE_TIME.as_nanos()
    }

    /// Within what a date of HTTP can say: a file may claim to be from any year.
    pub(super) fn modified_unix_seconds(&self) -> u64 {
        let seconds = (self.modified_ns / 1_000_000_000).clamp(0, HTTP_DATE_SECONDS_MAX.into());
        u64::try_from(seconds).unwrap_or(HTTP_DATE_SECONDS_MAX)
    }

    /// Whether a file with this time was modified before the one with the other, as far as its time
    /// tells: some programs give what they make of a file its time, without the nanoseconds or a
    /// part of them.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        let steps_ns = [1_000_000_000, 1_000_000, 1_000];
        let is_whole = |step_ns: &i128| self.modified_ns.rem_euclid(*step_ns) == 0;
        let step_ns = steps_ns.into_iter().find(is_whole).unwrap_or(1);
        self.modified_ns < other.modified_ns - other.modified_ns.rem_euclid(step_ns)
    }

    /// The modification time in nanoseconds and the size, in hexadecimal: the stem of a strong
    /// entity tag. The same on every lane and after a restart; the same on another machine that
    /// keeps the times. Neither inode nor device, which differ between machines, nor the content,
    /// which would have to be read.
    fn tag(&self) -> String {
        format!("{:x}-{:x}", self.modified_ns, self.size_bytes)
    }
}

/// Counts up when the same file is compressed to other bytes: a client must not continue a download
/// of the old ones.
const COMPRESSION_REVISION: u32 = 1;

impl File {
    /// A file as it lies on disk.
    pub(super) fn plain(description: Description, identity: Identity, content: Content) -> Self {
        let etag = format!("\"{}\"", identity.tag());
        Self::new(description, etag, identity, content)
    }

    /// The same, but taken while somebody may have been writing it: its bytes are to be taken again
    /// even if it then looks the same.
    pub(super) fn unsettled(self) -> Self {
        Self { settled: false, ..self }
    }

    /// Whether its bytes are those of its version for certain.
    pub(super) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// A compressed form of `origin` that lies beside it.
    pub(super) fn sidecar(
        description: Description,
        coding: Coding,
        identity: Identity,
        origin: Identity,
        content: Content,
    ) -> Self {
        let etag = format!("\"{}-{}\"", identity.tag(), coding.token());
        let description = description.coded(coding);
        Self { origin: Some(origin), ..Self::new(description, etag, identity, content) }
    }

    /// A compressed form of `origin` that was made of it.
    pub(super) fn compressed(
        description: Description,
        coding: Coding,
        origin: Identity,
        made: Made,
    ) -> Self {
        let etag = format!("\"{}-{}{COMPRESSION_REVISION}\"", origin.tag(), coding.token());
        let description = description.coded(coding);
        let modified = Modified::of(&origin);
        Self { origin: Some(origin), ..Self::of_made(description, etag, modified, made) }
    }

    /// Bytes that come from no file, with a tag of their content.
    pub(super) fn page(description: Description, content_hash: u64, made: Made) -> Self {
        Self::of_made(description, page_etag(content_hash), None, made)
    }

    /// Whether these are its bytes, which come from no file.
    pub(super) fn is_page(&self, content_hash: u64) -> bool {
        self.modified.is_none() && self.etag == page_etag(content_hash)
    }

    fn of_made(
        description: Description,
        etag: String,
        modified: Option<Modified>,
        made: Made,
    ) -> Self {
        let Made { content, bytes, room } = made;
        Self {
            memory_bytes: bytes,
            _room: Some(room),
            ..Self::ready(description, etag, modified, bytes as u64, content)
        }
    }

    fn new(description: Description, etag: String, identity: Identity, content: Content) -> Self {
        let modified = Modified::of(&identity);
        let memory_bytes = match &content {
            Content::Inline(bytes) => bytes.len(),
            Content::Descriptor(_) => 0,
        };
        let size_bytes = identity.size_bytes;
        Self {
            identity: Some(identity),
            memory_bytes,
            ..Self::ready(description, etag, modified, size_bytes, content)
        }
    }

    fn ready(
        description: Description,
        etag: String,
        modified: Option<Modified>,
        size_bytes: u64,
        content: Content,
    ) -> Self {
        let mut file = Self {
            whole: Head::new(200),
            not_modified: Head::new(304),
            content,
            size_bytes,
            description,
            etag,
            modified,
            identity: None,
            origin: None,
            memory_bytes: 0,
            _room: None,
            sidecars: Cell::new(None),
            incompressible: Cell::new(false),
            sent_hot: Cell::new(None),
            settled: true,
        };
        file.whole = file.head(200, &file.description.media_type.value);
        // 304 repeats what a cache must update, and nothing of the body (RFC 9110 section 15.4.5).
        let mut not_modified = Head::new(304);
        file.add_validators(&mut not_modified);
        file.not_modified = not_modified;
        file
    }

    /// A head with the fields that describe this file, for a status with a body of its bytes.
    pub(super) fn head(&self, status: u16, content_type: &str) -> Head {
        let mut head = Head::new(status);
        head.field("Content-Type", content_type);
        if let Some(coding) = self.description.coding {
            head.field("Content-Encoding", coding.token());
        }
        self.add_validators(&mut head);
        head.field("Accept-Ranges", "bytes");
        if self.description.sniffing == Sniffing::Refused {
            head.field("X-Content-Type-Options", "nosniff");
        }
        head
    }

    fn add_validators(&self, head: &mut Head) {
        if let Some(modified) = &self.modified {
            head.field("Last-Modified", &modified.text);
        }
        head.field("ETag", &self.etag);
        if let Some(vary) = self.description.vary {
            head.field("Vary", vary);
        }
        if let Some(cache_control) = &self.description.cache_control {
            head.field("Cache-Control", cache_control);
        }
    }

    /// The value of Content-Type.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.description.media_type.value
    }

    /// Whether the bytes are a compressed form of the file.
    pub(super) const fn is_coded(&self) -> bool {
        self.description.coding.is_some()
    }

    /// What conditional requests are compared with.
    #[must_use]
    pub(super) fn validators(&self) -> Validators<'_> {
        let modified_unix_seconds = self.modified.as_ref().map(|modified| modified.unix_seconds);
        Validators {
            etag: &self.etag,
            modified_unix_seconds,
            // Where there may be other forms, the answer says so.
            modified_strong_unix_seconds: modified_unix_seconds
                .filter(|_| self.description.vary.is_none()),
        }
    }

    /// Whether the open file is still as it was when this entry was made. What is in memory is: its
    /// bytes cannot change under us. One that lies elsewhere is believed: the question might have
    /// to wait for an answer, and the lane with it.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.now().is_none_or(|now| now == self.identity)
    }

    /// The identity of the open file at this moment; within, None where it cannot be had. Without
    /// one where it need not or must not be asked for.
    fn now(&self) -> Option<Option<Identity>> {
        match (&self.content, self.identity, self.description.medium) {
            (Content::Descriptor(fd), Some(_), Medium::Local) => {
                Some(rustix::fs::fstat(&**fd).ok().map(|stat| Identity::of(&stat)))
            }
            _ => None,
        }
    }

    /// Whether the open file still has the bytes that it had, as far as its size and its time of
    /// modification tell. For who is sending them: one that was replaced by another, or has got
    /// other rights, still has.
    #[must_use]
    pub fn has_same_bytes(&self) -> bool {
        let same = |now: Option<Identity>| match (now, self.identity) {
            (Some(now), Some(identity)) => now.has_the_bytes_of(identity),
            _ => false,
        };
        self.now().is_none_or(same)
    }

    /// Whether all of it was sent from the page cache a moment ago, or it is nowhere else: then it
    /// is not asked where it is, which costs 1 to 2 us for each slice.
    #[must_use]
    pub fn is_hot(&self) -> bool {
        let sent = self.sent_hot.get();
        self.identity.is_none()
            || sent.is_some_and(|sent| Moment::now().since(sent) < FILE_FRESH_TIME)
    }

    /// Who fills its pages.
    #[must_use]
    pub const fn medium(&self) -> Medium {
        self.description.medium
    }

    /// Notes that all of it has been sent just now.
    pub fn note_hot(&self) {
        self.sent_hot.set(Some(Moment::now()));
    }

    /// Bytes of memory that it takes, in the process or in the kernel.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The path of the file itself beneath the root, without a slash before it; empty for what is
    /// no file. Its index, its page without extension and its compressed forms have the same.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.description.source
    }

    pub(super) const fn description(&self) -> &Description {
        &self.description
    }

    /// How much there is to win by compressing it.
    pub(super) const fn weight(&self) -> Weight {
        self.description.media_type.weight
    }

    pub(super) const fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Whether this compressed form belongs to that version of the file itself.
    pub(super) fn is_of(&self, file: &Self) -> bool {
        self.origin.is_some() && self.origin == file.identity
    }

    /// Which of the codings have a sidecar, when that was looked for lately: by their order in
    /// [`Coding::ALL`].
    pub(super) fn sidecars(&self, now: Moment) -> Option<[bool; Coding::ALL.len()]> {
        let presence = self.sidecars.get()?;
        (now.since(presence.checked) < FILE_FRESH_TIME).then_some(presence.codings)
    }

    /// Notes that somebody is looking for them: others go on with what was known meanwhile.
    pub(super) fn keep_sidecars(&self) {
        if let Some(presence) = self.sidecars.get() {
            self.note_sidecars(presence.codings);
        }
    }

    /// Notes which codings have a sidecar just now.
    pub(super) fn note_sidecars(&self, codings: [bool; Coding::ALL.len()]) {
        self.sidecars.set(Some(Presence { checked: Moment::now(), codings }));
    }
}

impl File {
    /// Whether compressing it was tried and not worth it.
    pub(super) const fn is_incompressible(&self) -> bool {
        self.incompressible.get()
    }

    pub(super) fn note_incompressible(&self) {
        self.incompressible.set(true);
    }
}

fn page_etag(content_hash: u64) -> String {
    format!("\"{content_hash:x}\"")
}

/// Bytes that the server has made, where they are now.
pub(super) struct Made {
    pub content: Content,
    pub bytes: usize,
    /// Of so many bytes.
    pub room: Room,
}

impl Modified {
    /// None where the file is from the future: nothing later than Date may be said (RFC 9110
    /// section 8.8.2.1), and the present instead would be another time on each lane.
    fn of(identity: &Identity) -> Option<Self> {
        let unix_seconds = identity.modified_unix_seconds();
        let time = UNIX_EPOCH + Duration::from_secs(unix_seconds);
        // The fine clock: times of files may be ahead of the coarse one (Linux 6.13).
        (time <= SystemTime::now())
            .then(|| Self { unix_seconds, text: httpdate::fmt_http_date(time) })
    }
}

#[cfg(test)]
impl File {
    /// A file in memory, for the tests of this room.
    pub(super) fn of_bytes(bytes: usize) -> Self {
        let identity = Identity {
            device: 1,
            inode: 1,
            size_bytes: bytes as u64,
            modified_ns: 784_111_777_000_000_000,
            changed_ns: 0,
        };
        let media_type = MediaType { value: "text/plain".to_owned(), weight: Weight::Packed };
        let description = Description {
            media_type,
            coding: None,
            vary: None,
            cache_control: None,
            sniffing: Sniffing::Permitted,
            source: b"a.txt".to_vec(),
            medium: Medium::Local,
        };
        Self::plain(description, identity, Content::Inline(vec![0; bytes].into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_just_now_may_still_be_being_written() {
        let settle_ns = i128::try_from(FILE_SETTLE_TIME.as_nanos()).unwrap();
        let at = |age_ns: i128| {
            let modified_ns = clock::unix_nanoseconds() - age_ns;
            Identity { device: 1, inode: 1, size_bytes: 0, modified_ns, changed_ns: 0 }
        };
        assert!(at(0).is_settling());
        assert!(at(-settle_ns / 2).is_settling(), "its clock is ahead of ours");
        assert!(!at(settle_ns).is_settling());
        assert!(!at(i128::from(i64::MAX) / 2).is_settling());
        assert!(!at(-3_600_000_000_000).is_settling(), "from the future");
    }

    #[test]
    fn a_file_from_any_past_year_has_a_date() {
        let cases = [
            (i64::MIN, Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            (-1, Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            (784_111_777, Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            (253_402_300_799, None),
            (253_402_300_800, None),
            (i64::MAX, None),
        ];
        for (seconds, date) in cases {
            let modified = Modified::of(&modified_at(i128::from(seconds) * 1_000_000_000));
            assert_eq!(modified.map(|modified| modified.text).as_deref(), date);
        }
    }

    #[test]
    fn times_are_compared_as_exactly_as_both_are_told() {
        const FILE: i128 = 1_700_000_000_987_654_321;
        for (sidecar, is_older) in [
            (FILE + 1, false),
            (FILE, false),
            (FILE - 1, true),
            (FILE - 321, false),
            (FILE - 654_321, false),
            (FILE - 987_654_321, false),
            (FILE - 1_321, true),
            (FILE - 1_654_321, true),
            (FILE - 1_987_654_321, true),
        ] {
            let older = modified_at(sidecar).is_older_than(&modified_at(FILE));
            assert_eq!(older, is_older, "{sidecar}");
        }
    }

    fn modified_at(modified_ns: i128) -> Identity {
        Identity { device: 1, inode: 1, size_bytes: 0, modified_ns, changed_ns: 0 }
    }
}
