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
use crate::static_files::cache::Variant;
use crate::static_files::compress::Need;
use crate::static_files::compress::compress;
use crate::static_files::entry::Content;
use crate::static_files::entry::Description;
use crate::static_files::entry::File;
use crate::static_files::entry::Identity;
use crate::static_files::entry::Made;
use crate::static_files::listing;
use crate::static_files::media_type::MediaType;
use crate::static_files::media_type::Weight;
use crate::uring::Io;
use crate::uring::read_at::read_at;
use crate::workshop::Busy;
use crate::workshop::Workshop;

/// What came of loading or making.
pub(super) enum Outcome<T> {
    Done(T),
    /// The file changed meanwhile: it must be looked at again.
    Changed,
}

/// Takes a small file into memory, whole and of one version; keeps a large one open.
pub(super) async fn load(io: Io, fd: OwnedFd, identity: Identity) -> io::Result<Outcome<Content>> {
    let fd = Rc::new(fd);
    let size_bytes = identity.size_bytes();
    if size_bytes > INLINE_FILE_BYTES_MAX {
        return Ok(Outcome::Done(Content::Descriptor(fd)));
    }
    let bytes = read(io, &fd, size_bytes).await?;
    let stat = rustix::fs::fstat(&*fd)?;
    if bytes.len() as u64 != size_bytes || Identity::of(&stat) != identity {
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

/// A compressed form of a file; None when it would not be smaller, or when the workshop is busy,
/// and the file is sent as it is.
///
/// # Errors
///
/// Of reading the file, or of memory for the result.
pub(super) async fn compressed(
    lane: &Looking<'_>,
    file: &File,
    coding: Coding,
    need: Need,
) -> io::Result<Outcome<Option<File>>> {
    let Some(origin) = file.identity() else { return Ok(Outcome::Done(None)) };
    let bytes = match &file.content {
        Content::Inline(bytes) => bytes.to_vec(),
        Content::Descriptor(fd) => read(lane.io, fd, file.size_bytes).await?,
    };
    if bytes.len() as u64 != file.size_bytes {
        return Ok(Outcome::Changed);
    }
    let job = move || compress(coding, &bytes, need).map(hold).transpose();
    let made = match lane.workshop.run(job).await {
        Ok(made) => made?,
        Err(Busy) => return Ok(Outcome::Done(None)),
    };
    if !file.is_unchanged() {
        return Ok(Outcome::Changed);
    }
    let Some(held) = made else {
        file.note_incompressible();
        return Ok(Outcome::Done(None));
    };
    let description = file.description().clone();
    Ok(Outcome::Done(Some(File::compressed(description, coding, origin, held.into()))))
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

impl From<Held> for Made {
    fn from(held: Held) -> Self {
        match held {
            Held::Inline(bytes) => {
                let count = bytes.len();
                Self { content: Content::Inline(bytes), bytes: count }
            }
            Held::Kernel(fd, bytes) => Self { content: Content::Descriptor(Rc::new(fd)), bytes },
        }
    }
}

/// A folder as a page or as JSON. `folder` is open for reading and lies at `path`.
///
/// # Errors
///
/// Of reading it; [`io::ErrorKind::ResourceBusy`] when the workshop is busy.
pub(super) async fn listed(
    workshop: &Workshop,
    files: &Files,
    folder: &OwnedFd,
    path: &[u8],
    form: Variant,
) -> io::Result<Entry> {
    let root = files.root().as_fd().try_clone_to_owned()?;
    let reader = listing::Reader {
        root,
        folder: folder.try_clone()?,
        path: path.to_vec(),
        hidden: files.options.hidden,
        symlinks: files.options.symlinks,
    };
    let job = move || -> io::Result<(Held, u64)> {
        let bytes = reader.read()?.encode(form);
        let mut hasher = DefaultHasher::new(); // the same keys in each process and lane
        hasher.write(&bytes);
        Ok((hold(bytes)?, hasher.finish()))
    };
    let busy = |Busy| io::Error::from(io::ErrorKind::ResourceBusy);
    let (held, hash) = workshop.run(job).await.map_err(busy)??;
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
    };
    let page = File::page(description, hash, held.into());
    Ok(Entry::new(Kind::File(Box::new(page)), files.generation()))
}
