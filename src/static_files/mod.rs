//! Static files: a path to a ready entry, and an entry and a request to an answer.
//!
//! The pipeline, in the order of its files: `cache` (known already?), `resolve` (what is on disk),
//! `entry` (made ready once), `precondition` and `range` (what this request wants of it), `reply`.
//! The room knows files and HTTP semantics; it sends nothing and knows no socket.

mod cache;
mod entry;
pub mod media_type;
pub mod multipart;
mod options;
mod precondition;
pub mod range;
mod reply;
mod resolve;

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

pub use cache::FileCache;
pub use cache::Known;
pub use entry::Content;
pub use entry::Entry;
pub use entry::File;
pub use entry::Kind;
pub use options::CleanUrls;
pub use options::Compression;
pub use options::Hidden;
pub use options::Listing;
pub use options::Options;
pub use options::Sidecars;
pub use options::Sniffing;
pub use options::Symlinks;
pub use options::TrailingSlash;
pub use reply::Reply;
pub use reply::answer;

use crate::limits::INLINE_FILE_BYTES_MAX;
use crate::limits::OPEN_TRIES_MAX;
use crate::uring::Io;
use crate::uring::read_at::read_at;
use entry::Identity;
use media_type::Types;
use resolve::Found;
use resolve::resolve;

/// One route's folder, as a lane holds it.
pub struct Files {
    root: Rc<OwnedFd>,
    cache_control: Option<String>,
    types: Types,
}

impl Files {
    /// Opens the folder that paths are resolved beneath.
    ///
    /// # Errors
    ///
    /// errno of open(2).
    pub fn open(options: &Options) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let root = rustix::fs::open(&options.root, flags, Mode::empty())?;
        Ok(Self {
            root: Rc::new(root),
            cache_control: options.cache_control.clone(),
            types: Types::new(&options.types),
        })
    }
}

/// Finds out what is at `path` of the files route number `index`, and keeps it in the cache.
/// `known` is the stale entry, if there is one: it stays when the disk agrees with it.
///
/// # Errors
///
/// Only our own trouble, such as EMFILE; nothing is cached then.
pub async fn look(
    io: Io,
    files: &Files,
    index: usize,
    path: &[u8],
    known: Option<Rc<Entry>>,
    cache: &RefCell<FileCache>,
) -> io::Result<Rc<Entry>> {
    if let Some(known) = &known {
        // Others use the stale entry while this look lasts, instead of looking as well.
        known.renew();
    }
    for _ in 0..OPEN_TRIES_MAX {
        let found = match resolve(io, &files.root, path).await {
            Err(error) if lacks_descriptors(&error) => {
                if cache.borrow_mut().release_descriptors() == 0 {
                    return Err(error);
                }
                continue;
            }
            found => found?,
        };
        let kind = match found {
            Found::Missing => Kind::Missing,
            Found::Folder => Kind::Folder,
            Found::File { fd, stat, name } => {
                let identity = Identity::of(&stat);
                if let Some(known) = &known
                    && known.identity() == Some(identity)
                {
                    known.renew();
                    return Ok(Rc::clone(known));
                }
                match load(io, fd, identity).await? {
                    Loaded::Content(content) => {
                        let media_type = files.types.of(&name).value;
                        let cache_control = files.cache_control.as_deref();
                        Kind::File(Box::new(File::new(
                            identity,
                            content,
                            media_type,
                            cache_control,
                        )))
                    }
                    Loaded::Changed => continue,
                }
            }
        };
        let entry = Rc::new(Entry::new(kind));
        cache.borrow_mut().put(index, path, Rc::clone(&entry));
        return Ok(entry);
    }
    // The file is being written all the time. Its reader can come again.
    Err(io::Error::from(io::ErrorKind::ResourceBusy))
}

/// EMFILE or ENFILE: those that the cache holds can be given back.
/// Whether there are too few descriptors, of the process or of the machine.
#[must_use]
pub fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

enum Loaded {
    Content(Content),
    /// The file changed while it was read.
    Changed,
}

/// Takes a small file into memory, whole and of one version; keeps a large one open.
async fn load(io: Io, fd: Rc<OwnedFd>, identity: Identity) -> io::Result<Loaded> {
    let size_bytes = identity.size_bytes();
    if size_bytes > INLINE_FILE_BYTES_MAX {
        return Ok(Loaded::Content(Content::Descriptor(fd)));
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
        return Ok(Loaded::Changed);
    }
    Ok(Loaded::Content(Content::Inline(bytes.into_boxed_slice())))
}
