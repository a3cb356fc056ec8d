//! Forms of what is on disk: loaded, compressed, or listed, ready to be put into the cache.
//!
//! What takes long is done in the lane's workshop. What is small lies in memory; what is larger
//! lies in the kernel, whether it came from a file or was made here, and leaves by sendfile.

use std::fs::File as OsFile;
use std::hash::DefaultHasher;
use std::hash::Hasher;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::MemfdFlags;

use crate::limits::INLINE_FILE_BYTES_MAX;
use crate::request::accept_encoding::Coding;
use crate::static_files::Entry;
use crate::static_files::Files;
use crate::static_files::Kind;
use crate::static_files::Looking;
use crate::static_files::cache::Place;
use crate::static_files::cache::Room;
use crate::static_files::cache::Variant;
use crate::static_files::compress::compress;
use crate::static_files::entry::Content;
use crate::static_files::entry::Description;
use crate::static_files::entry::File;
use crate::static_files::entry::Made;
use crate::static_files::identity::Identity;
use crate::static_files::listing;
use crate::static_files::media_type::MediaType;
use crate::static_files::media_type::Weight;
use crate::uring::Io;
use crate::uring::read_at::read_at;
use crate::uring::residence::Medium;
use crate::uring::residence::stat;
use crate::workshop::Busy;

/// What came of loading or making.
pub(super) enum Outcome<T> {
    Done(T),
    /// The file changed meanwhile: it must be looked at again.
    Changed,
}

/// Whether somebody may be writing a file just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Settled,
    Unsettled,
}

/// Takes a small file into memory, whole and of one version; keeps a large one open. Kept open as
/// well, and so compared before each answer, is what may not be what it seems: a file that may just
/// be being written, and an empty one. Who truncates a file to write it anew makes it empty before
/// its time changes (ext4: for some milliseconds where it was large).
pub(super) async fn load(
    io: Io,
    fd: OwnedFd,
    identity: Identity,
    rest: Rest,
    medium: Medium,
) -> io::Result<Outcome<Content>> {
    let fd = Rc::new(fd);
    let size_bytes = identity.size_bytes();
    if size_bytes > INLINE_FILE_BYTES_MAX || size_bytes == 0 || rest == Rest::Unsettled {
        return Ok(Outcome::Done(Content::Descriptor(fd)));
    }
    let bytes = read(io, &fd, size_bytes).await?;
    let stat = stat(&fd, medium).await?;
    if bytes.len() as u64 != size_bytes || !Identity::of(&stat).has_the_bytes_of(identity) {
        return Ok(Outcome::Changed);
    }
    Ok(Outcome::Done(Content::Inline(bytes.into_boxed_slice())))
}

/// The bytes of a file of about this size. More or fewer of them: it has changed.
async fn read(io: Io, fd: &Rc<OwnedFd>, size_bytes: u64) -> io::Result<Vec<u8>> {
    // One byte more than the size, so that a file that has grown is noticed.
    let size_bytes = usize::try_from(size_bytes).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(size_bytes + 1);
    loop {
        let offset = bytes.len() as u64;
        let (read, filled) = read_at(io, fd, offset, bytes).await;
        bytes = filled;
        if read? == 0 || bytes.len() > size_bytes {
            return Ok(bytes);
        }
    }
}

/// A compressed form of a file; None when it would not be smaller, or when the workshop is busy or
/// too much is held that was made, and the file is sent as it is.
///
/// # Errors
///
/// Of reading the file, or of memory for the result.
pub(super) async fn compressed(
    lane: &Looking<'_>,
    file: &File,
    coding: Coding,
) -> io::Result<Outcome<Option<File>>> {
    let Some(origin) = file.identity() else { return Ok(Outcome::Done(None)) };
    // The form is smaller than the file, or not kept.
    let most_bytes = usize::try_from(file.size_bytes).unwrap_or(usize::MAX);
    let room = lane.cache.borrow().room(most_bytes);
    let turn = lane.cache.borrow().turn(most_bytes);
    let (Some(mut room), Some(_turn)) = (room, turn) else { return Ok(Outcome::Done(None)) };
    let bytes = match &file.content {
        Content::Inline(bytes) => bytes.to_vec(),
        Content::Descriptor(fd) => read(lane.io, fd, file.size_bytes).await?,
    };
    if bytes.len() as u64 != file.size_bytes {
        return Ok(Outcome::Changed);
    }
    let job = move || compress(coding, &bytes).map(hold).transpose();
    let made = match lane.workshop.run(job).await {
        Ok(made) => made?,
        Err(Busy) => return Ok(Outcome::Done(None)),
    };
    if !file.has_same_bytes() {
        return Ok(Outcome::Changed);
    }
    let Some(held) = made else {
        file.note_incompressible();
        return Ok(Outcome::Done(None));
    };
    room.shrink(held.bytes());
    let description = file.description().clone();
    Ok(Outcome::Done(Some(File::compressed(description, coding, origin, held.in_room(room)))))
}

/// Bytes that were made, on their way from another thread.
enum Held {
    Inline(Box<[u8]>),
    /// In memory of the kernel.
    Kernel(OwnedFd, usize),
}

/// Puts bytes to where they leave from.
fn hold(bytes: Vec<u8>) -> io::Result<Held> {
    if bytes.len() as u64 <= INLINE_FILE_BYTES_MAX {
        return Ok(Held::Inline(bytes.into_boxed_slice()));
    }
    let fd = rustix::fs::memfd_create("corelane-made", MemfdFlags::CLOEXEC)?;
    let mut file = OsFile::from(fd);
    file.write_all(&bytes)?;
    Ok(Held::Kernel(OwnedFd::from(file), bytes.len()))
}

impl Held {
    fn bytes(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Kernel(_, bytes) => *bytes,
        }
    }

    fn in_room(self, room: Room) -> Made {
        let bytes = self.bytes();
        let content = match self {
            Self::Inline(bytes) => Content::Inline(bytes),
            Self::Kernel(fd, _) => Content::Descriptor(Rc::new(fd)),
        };
        Made { content, bytes, room }
    }
}

/// A folder as a page or as JSON, or nothing where it cannot be entered. `folder` is open for
/// reading and lies at the place's path. None where it is `known` as it is.
///
/// # Errors
///
/// Of reading it; [`io::ErrorKind::ResourceBusy`] when the workshop is busy, or too much is held
/// that was made.
pub(super) async fn listed(
    lane: &Looking<'_>,
    files: &Files,
    folder: &OwnedFd,
    place: Place<'_>,
    known: Option<&Entry>,
) -> io::Result<Option<Kind>> {
    let Place { variant: form, path, .. } = place;
    let root = files.root().as_fd().try_clone_to_owned()?;
    let reader = listing::Reader {
        root,
        folder: folder.try_clone()?,
        path: path.to_vec(),
        hidden: files.options.hidden,
        symlinks: files.options.symlinks,
    };
    let job = move || -> io::Result<Option<(Held, u64)>> {
        let Some(read) = reader.read()? else { return Ok(None) };
        let bytes = read.encode(form);
        let mut hasher = DefaultHasher::new(); // the same keys in each process and lane
        hasher.write(&bytes);
        Ok(Some((hold(bytes)?, hasher.finish())))
    };
    let busy = || io::Error::from(io::ErrorKind::ResourceBusy);
    let Some((held, hash)) = lane.reading.run(job).await.map_err(|Busy| busy())?? else {
        return Ok(Some(Kind::Missing));
    };
    if known.and_then(Entry::file).is_some_and(|file| file.is_page(hash)) {
        return Ok(None); // those who still send it share it
    }
    let room = lane.cache.borrow().room(held.bytes()).ok_or_else(busy)?;
    let value = match form {
        Variant::Json => "application/json",
        _ => "text/html; charset=utf-8",
    };
    let description = Description {
        media_type: MediaType { value: value.to_owned(), weight: Weight::Packed },
        coding: None,
        vary: Some("Accept"),
        cache_control: files.options.cache_control.clone(),
        sniffing: files.options.sniffing,
        source: Vec::new(),
        medium: Medium::Local,
    };
    Ok(Some(Kind::File(Box::new(File::page(description, hash, held.in_room(room))))))
}
