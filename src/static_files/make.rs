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
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use rustix::fs::MemfdFlags;

use crate::limits::INLINE_FILE_BYTES_MAX;
use crate::request::accept_encoding::Coding;
use crate::static_files::Entry;
use crate::static_files::Files;
use crate::static_files::Kind;
use crate::static_files::cache::Variant;
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
    // One byte more than the size, so that a file that has grown is noticed.
    let size_bytes = usize::try_from(size_bytes).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(size_bytes + 1);
    loop {
        let offset = bytes.len() as u64;
        let (read, filled) = read_at(io, &fd, offset, bytes).await;
        bytes = filled;
        if read? == 0 || bytes.len() > size_bytes {
            break;
        }
    }
    let stat = rustix::fs::fstat(&*fd)?;
    if bytes.len() != size_bytes || Identity::of(&stat) != identity {
        return Ok(Outcome::Changed);
    }
    Ok(Outcome::Done(Content::Inline(bytes.into_boxed_slice())))
}

/// A compressed form of a file; None when it would not be smaller, or when the workshop is busy,
/// and the file is sent as it is.
///
/// # Errors
///
/// Of reading the file, or of memory for the result.
pub(super) async fn compressed(
    workshop: &Workshop,
    file: &File,
    coding: Coding,
) -> io::Result<Outcome<Option<File>>> {
    let Some(origin) = file.identity() else { return Ok(Outcome::Done(None)) };
    let source = Source::of(file)?;
    let size_bytes = file.size_bytes;
    let job = move || compress(coding, &source.read(size_bytes)?).map(hold).transpose();
    let made: io::Result<Option<Held>> = match workshop.run(job).await {
        Ok(made) => made,
        Err(Busy) => return Ok(Outcome::Done(None)),
    };
    let made = match made {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Outcome::Changed),
        made => made?,
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

/// The bytes of a file for another thread.
enum Source {
    Memory(Box<[u8]>),
    Open(OsFile),
}

impl Source {
    fn of(file: &File) -> io::Result<Self> {
        Ok(match &file.content {
            Content::Inline(bytes) => Self::Memory(bytes.clone()),
            Content::Descriptor(fd) => Self::Open(OsFile::from(fd.try_clone()?)),
        })
    }

    fn read(self, size_bytes: u64) -> io::Result<Box<[u8]>> {
        match self {
            Self::Memory(bytes) => Ok(bytes),
            Self::Open(file) => {
                let mut bytes = vec![0; usize::try_from(size_bytes).map_err(io::Error::other)?];
                file.read_exact_at(&mut bytes, 0)?;
                Ok(bytes.into_boxed_slice())
            }
        }
    }
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

/// A folder as a page or as JSON, or nothing where it cannot be looked into. `folder` is open for
/// reading and lies at `path`.
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
    let job = move || -> io::Result<Option<(Held, u64)>> {
        let Some(read) = reader.read()? else { return Ok(None) };
        let bytes = read.encode(form);
        let mut hasher = DefaultHasher::new(); // the same keys in each process and lane
        hasher.write(&bytes);
        Ok(Some((hold(bytes)?, hasher.finish())))
    };
    let busy = |Busy| io::Error::from(io::ErrorKind::ResourceBusy);
    let Some((held, hash)) = workshop.run(job).await.map_err(busy)?? else {
        return Ok(Entry::new(Kind::Missing, files.generation()));
    };
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
