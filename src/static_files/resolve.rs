//! A path to what is on disk: an open regular file, another address, a folder to show, or nothing.
//!
//! The kernel keeps the path beneath the root (see `uring::open_beneath`); here are only the rules
//! that it cannot know: hidden names, index files, addresses without extension or with a slash,
//! regular files only. What may not be served looks as if it were not there.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::FileType;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::limits::OPEN_TRIES_MAX;
use crate::static_files::CleanUrls;
use crate::static_files::Hidden;
use crate::static_files::Listing;
use crate::static_files::Options;
use crate::static_files::Symlinks;
use crate::static_files::TrailingSlash;
use crate::uring::Io;
use crate::uring::open_beneath::Links;
use crate::uring::open_beneath::open_beneath;
use crate::uring::residence::Medium;
use crate::uring::residence::stat;

/// What a clean address leaves away.
const PAGE_EXTENSION: &[u8] = b".html";

/// What is at a path.
pub(super) enum Found {
    /// A regular file, open for reading.
    File(OpenFile),
    /// The page has another address.
    Moved(Slash),
    /// A folder without an index that shows what is in it.
    Folder(OwnedFd),
    /// Nothing that may be served.
    Missing,
}

/// A regular file that answers for a path.
pub(super) struct OpenFile {
    /// Open for reading.
    pub fd: OwnedFd,
    /// What fstat(2) said after opening.
    pub stat: Box<Stat>,
    /// Its own path beneath the root, without a slash before it.
    pub source: Vec<u8>,
}

/// What makes the other address of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slash {
    /// A slash behind it.
    Added,
    /// The slash behind it is taken away.
    Removed,
}

/// Where paths are looked for, and by which rules.
#[derive(Clone, Copy)]
pub(super) struct Ground<'f> {
    pub io: Io,
    pub root: &'f Rc<OwnedFd>,
    /// Of the root.
    pub medium: Medium,
    pub options: &'f Options,
}

/// How a path ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The root itself, which has its slash in any case.
    Root,
    Slashed,
    Bare,
}

impl Ground<'_> {
    /// Finds what `path` (decoded, with its leading slash, no two of them in a row) is.
    ///
    /// # Errors
    ///
    /// Only what is our trouble or the disk's, and not the path's: EMFILE, ENOMEM, EIO and others.
    pub(super) async fn resolve(self, path: &[u8]) -> io::Result<Found> {
        let Some(relative) = servable(path, self.options.hidden) else { return Ok(Found::Missing) };
        let (bare, form) = match relative.strip_suffix(b"/") {
            _ if relative.is_empty() => (relative, Form::Root),
            Some(bare) => (bare, Form::Slashed),
            None => (relative, Form::Bare),
        };
        match self.open(relative).await? {
            Opened::File(fd, stat) => {
                return Ok(Found::File(OpenFile { fd, stat, source: relative.to_vec() }));
            }
            Opened::Folder(fd) => match self.folder(Some(fd), bare, form).await? {
                Found::Missing => {}
                found => return Ok(found),
            },
            // A folder may be closed to those who would list it, and open to who knows a name.
            Opened::Closed => match self.folder(None, bare, form).await? {
                Found::Missing => {}
                found => return Ok(found),
            },
            Opened::Nothing => {}
        }
        match (self.options.clean_urls, form) {
            (CleanUrls::Off, _) | (_, Form::Root) => Ok(Found::Missing),
            (CleanUrls::On, _) => self.page(bare, form).await,
        }
    }

    /// Opens a file by its path beneath the root, by the form of which nothing is decided.
    ///
    /// # Errors
    ///
    /// As [`Ground::resolve`].
    pub(super) async fn file(self, relative: &[u8]) -> io::Result<Option<OpenFile>> {
        match self.open(relative).await? {
            Opened::File(fd, stat) => Ok(Some(OpenFile { fd, stat, source: relative.to_vec() })),
            Opened::Folder(_) | Opened::Closed | Opened::Nothing => Ok(None),
        }
    }

    /// The index of a folder, or the folder itself where it may be read.
    async fn folder(self, fd: Option<OwnedFd>, bare: &[u8], form: Form) -> io::Result<Found> {
        for name in &self.options.index {
            let source = joined(bare, name.as_bytes());
            let Some(file) = self.file(&source).await? else { continue };
            return Ok(match (form, self.options.trailing_slash) {
                (Form::Bare, TrailingSlash::Folders | TrailingSlash::Add) => {
                    Found::Moved(Slash::Added)
                }
                (Form::Slashed, TrailingSlash::Remove) => Found::Moved(Slash::Removed),
                _ => Found::File(file),
            });
        }
        Ok(match (self.options.listing, form, fd) {
            (Listing::Off, ..) | (Listing::On, _, None) => Found::Missing,
            // Its links are relative, so it has no other address.
            (Listing::On, Form::Bare, Some(_)) => Found::Moved(Slash::Added),
            (Listing::On, Form::Slashed | Form::Root, Some(fd)) => Found::Folder(fd),
        })
    }

    /// A page whose address lacks its extension.
    async fn page(self, bare: &[u8], form: Form) -> io::Result<Found> {
        let policy = self.options.trailing_slash;
        if (form, policy) == (Form::Slashed, TrailingSlash::Folders) {
            return Ok(Found::Missing);
        }
        let Some(file) = self.file(&[bare, PAGE_EXTENSION].concat()).await? else {
            return Ok(Found::Missing);
        };
        Ok(match (form, policy) {
            (Form::Bare, TrailingSlash::Add) => Found::Moved(Slash::Added),
            (Form::Slashed, TrailingSlash::Remove) => Found::Moved(Slash::Removed),
            _ => Found::File(file),
        })
    }

    async fn open(self, relative: &[u8]) -> io::Result<Opened> {
        let path = if relative.is_empty() { b"." } else { relative };
        // A NUL cannot be in the path: `request::target` refuses it.
        let Ok(path) = CString::new(path) else { return Ok(Opened::Nothing) };
        let links = links(self.options.symlinks);
        match try_to_open(|| open_beneath(self.io, self.root, path.clone(), links)).await? {
            Tried::Open(fd) => classify(fd, self.medium).await,
            Tried::Closed => Ok(Opened::Closed),
            Tried::Nothing => Ok(Opened::Nothing),
        }
    }
}

/// The operator's word as the kernel's.
pub(super) const fn links(symlinks: Symlinks) -> Links {
    match symlinks {
        Symlinks::Beneath => Links::Beneath,
        Symlinks::Refused => Links::Refused,
        Symlinks::Followed => Links::Followed,
    }
}

/// The path of what is called `name` in a folder; the root is empty.
pub(super) fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// Whether a name in a folder is hidden: it begins with a dot and is not `.well-known` (RFC 8615).
pub(super) fn is_hidden(name: &[u8], hidden: Hidden) -> bool {
    hidden == Hidden::Refused && name.first() == Some(&b'.') && name != b".well-known"
}

/// The path relative to the root, or None when its form alone says that nothing is served there:
/// hidden names, and empty segments.
fn servable(path: &[u8], hidden: Hidden) -> Option<&[u8]> {
    let relative = path.strip_prefix(b"/")?;
    let inner = relative.strip_suffix(b"/").unwrap_or(relative);
    let visible = |segment: &[u8]| !segment.is_empty() && !is_hidden(segment, hidden);
    let good = relative.is_empty() || inner.split(|byte| *byte == b'/').all(visible);
    good.then_some(relative)
}

enum Opened {
    File(OwnedFd, Box<Stat>),
    Folder(OwnedFd),
    /// Something that may not be read.
    Closed,
    Nothing,
}

enum Tried {
    Open(OwnedFd),
    Closed,
    Nothing,
}

async fn try_to_open<F>(mut open: impl FnMut() -> F) -> io::Result<Tried>
where
    F: Future<Output = io::Result<OwnedFd>>,
{
    for _ in 0..OPEN_TRIES_MAX {
        match open().await {
            Ok(fd) => return Ok(Tried::Open(fd)),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::AGAIN) => {}
                Some(Errno::ACCESS) => return Ok(Tried::Closed),
                Some(errno) if is_trouble(errno) => return Err(error),
                _ => return Ok(Tried::Nothing),
            },
        }
    }
    Ok(Tried::Nothing)
}

async fn classify(fd: OwnedFd, medium: Medium) -> io::Result<Opened> {
    let stat = stat(&fd, medium).await?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Opened::File(fd, Box::new(stat)),
        FileType::Directory => Opened::Folder(fd),
        _ => Opened::Nothing,
    })
}

/// Errors that say nothing of the path. Everything else (ENOENT, ENOTDIR, EXDEV, ELOOP, EACCES,
/// ENAMETOOLONG, ENXIO ...) means that nothing can be served at it.
fn is_trouble(errno: Errno) -> bool {
    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOSYS];
    // A disk that fails, is damaged, was taken out, or whose server is gone (NFS, FUSE).
    let disks = [
        Errno::IO,
        Errno::UCLEAN,
        Errno::BADMSG,
        Errno::NOMEDIUM,
        Errno::STALE,
        Errno::NOTCONN,
        Errno::CONNABORTED,
        Errno::TIMEDOUT,
        Errno::HOSTDOWN,
    ];
    ours.contains(&errno) || disks.contains(&errno)
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
            let found = matches!(opened.unwrap(), Tried::Open(_));
            assert_eq!(found, failures < OPEN_TRIES_MAX, "{failures} failures");
            assert_eq!(tries, (failures + 1).min(OPEN_TRIES_MAX));
        }
    }

    #[test]
    fn a_disk_that_fails_does_not_look_as_if_nothing_were_there() {
        let runtime = Runtime::epoll().unwrap();
        let opened = |errno| runtime.block_on(try_to_open(|| ready(Err(io::Error::from(errno)))));
        for errno in [Errno::IO, Errno::STALE, Errno::NOTCONN, Errno::UCLEAN, Errno::MFILE] {
            let error = opened(errno).err().unwrap();
            assert_eq!(Errno::from_io_error(&error), Some(errno));
        }
        for errno in [Errno::NOENT, Errno::NOTDIR, Errno::XDEV, Errno::NAMETOOLONG, Errno::NXIO] {
            assert!(matches!(opened(errno), Ok(Tried::Nothing)), "{errno:?}");
        }
        assert!(matches!(opened(Errno::ACCESS), Ok(Tried::Closed)));
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
            assert_eq!(servable(path, Hidden::Refused), Some(*relative));
        }
        let bad: &[&[u8]] = &[b"//", b"/a//b", b"//a", b"*", b"", b"/a//"];
        for path in bad {
            for hidden in [Hidden::Refused, Hidden::Served] {
                assert_eq!(servable(path, hidden), None, "{}", path.escape_ascii());
            }
        }
        let dotted: &[&[u8]] = &[b"/.git/config", b"/a/.env", b"/.a/", b"/.well-known/.a"];
        for path in dotted {
            assert_eq!(servable(path, Hidden::Refused), None, "{}", path.escape_ascii());
            assert_eq!(servable(path, Hidden::Served), Some(&path[1..]));
        }
    }

    /// A folder with a page, a folder with an index, one without, and a file.
    const TREE: &[&str] = &["index.html", "about.html", "a.txt", "docs/index.html", "empty/a.txt"];

    /// What the tree gives for a path: its file, or a word.
    fn found(root: &std::path::Path, options: &Options, path: &str) -> String {
        let runtime = Runtime::epoll().unwrap();
        let fd = Rc::new(OwnedFd::from(std::fs::File::open(root).unwrap()));
        let ground = Ground { io: runtime.io(), root: &fd, medium: Medium::Local, options };
        match runtime.block_on(ground.resolve(path.as_bytes())).unwrap() {
            Found::File(file) => String::from_utf8(file.source).unwrap(),
            Found::Moved(Slash::Added) => "+/".to_owned(),
            Found::Moved(Slash::Removed) => "-/".to_owned(),
            Found::Folder(_) => "list".to_owned(),
            Found::Missing => "-".to_owned(),
        }
    }

    #[test]
    fn addresses_with_and_without_slash_and_extension() {
        let folder = tempfile::tempdir().unwrap();
        for name in TREE {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let paths =
            ["/", "/a.txt", "/a.txt/", "/about", "/about/", "/docs", "/docs/", "/empty", "/empty/"];
        let (about, docs) = ("about.html", "docs/index.html");
        use TrailingSlash::{Add, Folders, Keep, Remove};
        let table = [
            (CleanUrls::Off, Folders, ["-", "-", "+/", docs]),
            (CleanUrls::Off, Add, ["-", "-", "+/", docs]),
            (CleanUrls::Off, Remove, ["-", "-", docs, "-/"]),
            (CleanUrls::Off, Keep, ["-", "-", docs, docs]),
            (CleanUrls::On, Folders, [about, "-", "+/", docs]),
            (CleanUrls::On, Add, ["+/", about, "+/", docs]),
            (CleanUrls::On, Remove, [about, "-/", docs, "-/"]),
            (CleanUrls::On, Keep, [about, about, docs, docs]),
        ];
        for (clean_urls, trailing_slash, pages) in table {
            for (listing, lists) in [(Listing::Off, ["-", "-"]), (Listing::On, ["+/", "list"])] {
                let root = folder.path().to_owned();
                let options =
                    Options { clean_urls, trailing_slash, listing, ..Options::plain(root) };
                let all = [["index.html", "a.txt", "-"].as_slice(), &pages, &lists].concat();
                for (path, expected) in paths.iter().zip(all) {
                    let given = found(folder.path(), &options, path);
                    assert_eq!(given, expected, "{path} {clean_urls:?} {trailing_slash:?}");
                }
            }
        }
        let index = vec!["none.html".to_owned(), "a.txt".to_owned()];
        let options = Options { index, ..Options::plain(folder.path().to_owned()) };
        assert_eq!(found(folder.path(), &options, "/empty/"), "empty/a.txt");
        assert_eq!(found(folder.path(), &options, "/"), "a.txt");
        let options = Options { index: Vec::new(), ..options };
        assert_eq!(found(folder.path(), &options, "/docs/"), "-");
    }
}
