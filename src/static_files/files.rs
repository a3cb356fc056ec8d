//! One folder of files as a lane holds it: what the operator says of it, and the open root.
//!
//! The root is opened anew when its path has come to lead to another folder, so that a deploy that
//! turns a symbolic link shows within a second. What was found beneath the old one is then stale.

use std::cell::Cell;
use std::cell::RefCell;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;

use crate::clock::Moment;
use crate::limits::DEVICES_KNOWN_MAX;
use crate::limits::ROOT_FRESH_TIME;
use crate::static_files::Options;
use crate::static_files::media_type::Types;
use crate::static_files::resolve::Ground;
use crate::uring::Io;
use crate::uring::open_beneath::open_directory;
use crate::uring::residence::Medium;
use crate::uring::residence::medium;
use crate::uring::residence::stat;

/// One folder of files.
pub struct Files {
    pub(super) options: Options,
    pub(super) types: Types,
    /// Its number, by which the cache tells it from others.
    pub(super) number: usize,
    root: RefCell<Root>,
    checked: Cell<Moment>,
    generation: Cell<u64>,
    root_medium: Cell<Medium>,
    /// Of the devices beneath it that have no disk of this machine's behind them.
    media: RefCell<Vec<(u64, Medium)>>,
}

struct Root {
    fd: Rc<OwnedFd>,
    place: Place,
}

/// Device and inode.
type Place = (u64, u64);

impl Files {
    /// Opens the folder that paths are resolved beneath. `number` is its index among those of the
    /// lane.
    ///
    /// # Errors
    ///
    /// errno of open(2).
    pub fn open(options: &Options, number: usize) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&options.root, flags, Mode::empty())?;
        let place = place(&rustix::fs::fstat(&fd)?);
        let root_medium = Cell::new(medium(&fd));
        Ok(Self {
            options: options.clone(),
            types: Types::new(&options.types),
            number,
            root: RefCell::new(Root { fd: Rc::new(fd), place }),
            checked: Cell::new(Moment::now()),
            generation: Cell::new(0),
            media: RefCell::new(vec![(place.0, root_medium.get())]),
            root_medium,
        })
    }

    /// Whether the file of this path beneath the root answers for another address because nothing
    /// is there.
    #[must_use]
    pub fn is_fallback(&self, address: &[u8], source: &[u8]) -> bool {
        let Some(path) = self.options.fallback.as_deref().map(str::as_bytes) else { return false };
        let bare = address.strip_suffix(b"/").unwrap_or(address);
        // What is behind the address where the file is its own: the index of a folder, a page
        // without its extension.
        let behind = path.strip_prefix(bare);
        let is_own = behind
            .is_some_and(|behind| behind.is_empty() || behind == b".html" || self.is_index(behind));
        path.strip_prefix(b"/") == Some(source) && !is_own
    }

    fn is_index(&self, behind: &[u8]) -> bool {
        let name = behind.strip_prefix(b"/");
        self.options.index.iter().any(|index| name == Some(index.as_bytes()))
    }

    /// How often the root has changed. What was found in an earlier generation is stale.
    pub(super) const fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Opens the root anew if that was long ago and its path leads elsewhere now. Where it leads
    /// nowhere, the old one stays: a deploy may be half done.
    pub(super) async fn refresh(&self, io: Io) {
        let now = Moment::now();
        if now.since(self.checked.get()) < ROOT_FRESH_TIME {
            return;
        }
        self.checked.set(now); // others go on with the old one meanwhile
        let Ok(path) = CString::new(self.options.root.as_os_str().as_bytes()) else { return };
        let Ok(fd) = open_directory(io, path).await else { return };
        let Ok(stat) = stat(&fd, self.root_medium.get()).await else { return };
        let place = place(&stat);
        if place != self.root.borrow().place {
            self.root_medium.set(self.medium(&fd, place.0));
            tracing::debug!(root = %self.options.root.display(), "the folder is another one now");
            self.root.replace(Root { fd: Rc::new(fd), place });
            self.generation.set(self.generation.get() + 1);
        }
    }

    /// Who fills the pages of a file that was just opened on this device.
    pub(super) fn medium(&self, fd: &OwnedFd, device: u64) -> Medium {
        // A block device: those without one have 0 here (stat(2), "anonymous" devices).
        if rustix::fs::major(device) != 0 {
            return Medium::Local;
        }
        let known = self.media.borrow().iter().find(|known| known.0 == device).map(|it| it.1);
        known.unwrap_or_else(|| {
            let medium = medium(fd);
            let media = &mut *self.media.borrow_mut();
            media.truncate(DEVICES_KNOWN_MAX - 1);
            media.insert(0, (device, medium));
            medium
        })
    }

    /// The open root.
    pub(super) fn root(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.root.borrow().fd)
    }

    /// Where to look for paths. `root` is [`Files::root`].
    pub(super) const fn ground<'f>(&'f self, io: Io, root: &'f Rc<OwnedFd>) -> Ground<'f> {
        Ground { io, root, medium: self.root_medium.get(), options: &self.options }
    }
}

const fn place(stat: &Stat) -> Place {
    (stat.st_dev, stat.st_ino)
}
