//! A path to what is on disk: an open regular file, a folder with an index, or nothing.
//!
//! The kernel keeps the path beneath the root (see `uring::open_beneath`); here are only the rules
//! that it cannot know: hidden names, index files, regular files only. What may not be served looks
//! as if it were not there.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::FileType;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::limits::OPEN_TRIES_MAX;
use crate::uring::Io;
use crate::uring::open_beneath::open_beneath;

/// The file that stands for a folder.
const INDEX: &[u8] = b"index.html";

/// What is at a path.
pub(super) enum Found {
    /// A regular file, open for reading.
    File {
        /// The open file.
        fd: Rc<OwnedFd>,
        /// What fstat(2) said after opening.
        stat: Box<Stat>,
        /// Its name, for the media type.
        name: Vec<u8>,
    },
    /// A folder that has an index, asked for without its slash.
    Folder,
    /// Nothing that may be served.
    Missing,
}

/// Finds what `path` (decoded, with its leading slash) is beneath `root`.
///
/// # Errors
///
/// Only what is our trouble and not the path's: EMFILE, ENFILE, ENOMEM, EIO.
pub(super) async fn resolve(io: Io, root: &Rc<OwnedFd>, path: &[u8]) -> io::Result<Found> {
    let Some(relative) = servable(path) else { return Ok(Found::Missing) };
    let (found, is_index) = match open(io, root, relative).await? {
        Opened::File(fd, stat) => return Ok(file(fd, stat, relative)),
        Opened::Folder if relative.is_empty() || relative.ends_with(b"/") => {
            (open(io, root, &[relative, INDEX].concat()).await?, Asked::Index)
        }
        Opened::Folder => (open(io, root, &[relative, b"/", INDEX].concat()).await?, Asked::Folder),
        Opened::Nothing => return Ok(Found::Missing),
    };
    Ok(match (found, is_index) {
        (Opened::File(fd, stat), Asked::Index) => file(fd, stat, INDEX),
        (Opened::File(..), Asked::Folder) => Found::Folder,
        (Opened::Folder | Opened::Nothing, _) => Found::Missing,
    })
}

enum Asked {
    Index,
    Folder,
}

enum Opened {
    File(OwnedFd, Box<Stat>),
    Folder,
    Nothing,
}

fn file(fd: OwnedFd, stat: Box<Stat>, name: &[u8]) -> Found {
    Found::File { fd: Rc::new(fd), stat, name: name.to_vec() }
}

/// The path relative to the root, or None when its form alone says that nothing is served there:
/// empty segments (a `//` is no `/`), and names that begin with a dot, but for `.well-known` (RFC
/// 8615).
fn servable(path: &[u8]) -> Option<&[u8]> {
    let relative = path.strip_prefix(b"/")?;
    let inner = relative.strip_suffix(b"/").unwrap_or(relative);
    let visible = |segment: &[u8]| match segment.first() {
        None => false,
        Some(b'.') => segment == b".well-known",
        Some(_) => true,
    };
    let good = relative.is_empty() || inner.split(|byte| *byte == b'/').all(visible);
    good.then_some(relative)
}

async fn open(io: Io, root: &Rc<OwnedFd>, relative: &[u8]) -> io::Result<Opened> {
    let path = if relative.is_empty() { b"." } else { relative };
    // A NUL cannot be in the path: `request::target` refuses it.
    let Ok(path) = CString::new(path) else { return Ok(Opened::Nothing) };
    try_to_open(|| open_beneath(io, root, path.clone())).await
}

async fn try_to_open<F>(mut open: impl FnMut() -> F) -> io::Result<Opened>
where
    F: Future<Output = io::Result<OwnedFd>>,
{
    for _ in 0..OPEN_TRIES_MAX {
        match open().await {
            Ok(fd) => return classify(fd),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::AGAIN) => {}
                Some(errno) if is_trouble(errno) => return Err(error),
                _ => return Ok(Opened::Nothing),
            },
        }
    }
    Ok(Opened::Nothing)
}

fn classify(fd: OwnedFd) -> io::Result<Opened> {
    let stat = rustix::fs::fstat(&fd)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Opened::File(fd, Box::new(stat)),
        FileType::Directory => Opened::Folder,
        _ => Opened::Nothing,
    })
}

/// Errors that say nothing of the path. Everything else (ENOENT, ENOTDIR, EXDEV, ELOOP, EACCES,
/// ENAMETOOLONG, ENXIO ...) means that nothing can be served at it.
fn is_trouble(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO | Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uring::runtime::Runtime;
    use std::future::ready;

    #[test]
    fn a_path_whose_folders_are_being_renamed_is_tried_so_often() {
        let runtime = Runtime::epoll().unwrap();
        for failures in 0..=OPEN_TRIES_MAX {
            let mut tries = 0;
            let opened = runtime.block_on(try_to_open(|| {
                tries += 1;
                ready(if tries <= failures {
                    Err(io::Error::from(Errno::AGAIN))
                } else {
                    std::fs::File::open("/").map(OwnedFd::from)
                })
            }));
            let found = matches!(opened.unwrap(), Opened::Folder);
            assert_eq!(found, failures < OPEN_TRIES_MAX, "{failures} failures");
            assert_eq!(tries, (failures + 1).min(OPEN_TRIES_MAX));
        }
    }

    #[test]
    fn hidden_names_and_empty_segments_are_not_servable() {
        let good: &[(&[u8], &[u8])] = &[
            (b"/", b""),
            (b"/a", b"a"),
            (b"/a/", b"a/"),
            (b"/a/b.c", b"a/b.c"),
            (b"/.well-known/acme", b".well-known/acme"),
        ];
        for (path, relative) in good {
            assert_eq!(servable(path), Some(*relative));
        }
        let bad: &[&[u8]] =
            &[b"//", b"/a//b", b"//a", b"/.git/config", b"/a/.env", b"*", b"", b"/a//"];
        for path in bad {
            assert_eq!(servable(path), None, "{}", path.escape_ascii());
        }
    }
}
