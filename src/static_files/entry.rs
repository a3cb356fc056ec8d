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

use crate::clock::Moment;
use crate::limits::FILE_FRESH_TIME;
use crate::request::accept_encoding::Coding;
use crate::response::Head;
use crate::static_files::Sniffing;
use crate::static_files::cache::Room;
use crate::static_files::identity::Identity;
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
    /// Nothing that may be served.
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
        let description = Description { medium: Medium::Local, ..description };
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
        let size_bytes = identity.size_bytes();
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
        let identity = Identity::of_parts(bytes as u64, 784_111_777_000_000_000);
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
            let modified =
                Modified::of(&Identity::of_parts(0, i128::from(seconds) * 1_000_000_000));
            assert_eq!(modified.map(|modified| modified.text).as_deref(), date);
        }
    }
}
