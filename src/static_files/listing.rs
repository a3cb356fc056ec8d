//! What is in a folder, as far as it may be served: names, sizes, times. It reads the disk and may
//! wait for it, so it runs in the workshop.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::limits::LISTING_ENTRIES_MAX;
use crate::static_files::Hidden;
use crate::static_files::Symlinks;
use crate::static_files::cache::Variant;
use crate::static_files::identity::Identity;
use crate::static_files::listing_page;
use crate::static_files::listing_page::Listed;
use crate::static_files::resolve::is_hidden;
use crate::static_files::resolve::joined;

/// A folder to be read, on whatever thread.
pub(super) struct Reader {
    /// What links are followed beneath.
    pub root: OwnedFd,
    /// Open for reading.
    pub folder: OwnedFd,
    /// Decoded, from the root on, with a slash at both ends.
    pub path: Vec<u8>,
    pub hidden: Hidden,
    pub symlinks: Symlinks,
}

/// What was read.
pub(super) struct Read {
    path: Vec<u8>,
    listed: Vec<Listed>,
    completeness: Completeness,
}

/// Whether a folder is shown whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completeness {
    Whole,
    /// It has more than [`LISTING_ENTRIES_MAX`] names: these are some of them.
    Cut,
}

impl Reader {
    /// Reads the folder, sorted. None where it may be read but not entered: nothing in it could be
    /// served. A name that is gone when it is looked at is left out.
    ///
    /// # Errors
    ///
    /// Only our own trouble: errno of openat(2) and getdents(2).
    pub(super) fn read(self) -> io::Result<Option<Read>> {
        let mut listed = Vec::new();
        let mut completeness = Completeness::Whole;
        let names = match Dir::read_from(&self.folder) {
            Err(Errno::ACCESS) => return Ok(None),
            names => names?,
        };
        for name in names {
            let name = name?;
            let bytes = name.file_name().to_bytes();
            if bytes == b"." || bytes == b".." || is_hidden(bytes, self.hidden) {
                continue;
            }
            if listed.len() == LISTING_ENTRIES_MAX {
                completeness = Completeness::Cut;
                break;
            }
            listed.extend(self.look_at(bytes));
        }
        listing_page::sort(&mut listed);
        Ok(Some(Read { path: self.path, listed, completeness }))
    }

    /// A name that is served, or None.
    fn look_at(&self, name: &[u8]) -> Option<Listed> {
        let mut stat = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            stat = self.follow(name)?;
        }
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => listing_page::Kind::File,
            FileType::Directory => listing_page::Kind::Folder,
            _ => return None,
        };
        let identity = Identity::of(&stat);
        Some(Listed {
            name: name.to_vec(),
            kind,
            size_bytes: identity.size_bytes(),
            modified_unix_seconds: identity.modified_unix_seconds(),
        })
    }

    /// What a link leads to, where it may be followed.
    fn follow(&self, name: &[u8]) -> Option<Stat> {
        let resolve = match self.symlinks {
            Symlinks::Refused => return None,
            Symlinks::Beneath => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
            Symlinks::Followed => ResolveFlags::NO_MAGICLINKS,
        };
        let relative = self.path.strip_prefix(b"/").unwrap_or(&self.path);
        let path = joined(relative.strip_suffix(b"/").unwrap_or(relative), name);
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve).ok()?;
        rustix::fs::fstat(fd).ok()
    }
}

impl Read {
    /// The folder in a form: [`Variant::Json`], or a page.
    pub(super) fn encode(&self, form: Variant) -> Vec<u8> {
        match form {
            Variant::Json => listing_page::json(&self.listed),
            _ => listing_page::html(&self.path, &self.listed, self.completeness),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn reader(folder: &std::path::Path) -> Reader {
        let open = || OwnedFd::from(std::fs::File::open(folder).unwrap());
        Reader {
            root: open(),
            folder: open(),
            path: b"/".to_vec(),
            hidden: Hidden::Refused,
            symlinks: Symlinks::Beneath,
        }
    }

    #[test]
    fn a_folder_that_cannot_be_entered_is_nothing_and_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), b"x").unwrap();
        let read = reader(folder.path()).read().unwrap().expect("it is there");
        assert_eq!(read.listed.len(), 1);
        let rights = |mode| std::fs::set_permissions(folder.path(), Permissions::from_mode(mode));
        rights(0o400).unwrap();
        let read = reader(folder.path()).read();
        rights(0o700).unwrap();
        // Root may enter any folder.
        assert_eq!(read.unwrap().is_some(), rustix::process::geteuid().is_root());
    }
}
