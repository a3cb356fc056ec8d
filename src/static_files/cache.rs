//! A lane's own file cache: route and path to a ready entry, bounded in entries, descriptors and
//! bytes.
//!
//! One weight bounds all three: an entry weighs its bytes in memory plus a fixed part, so that the
//! cache holds at most [`FILE_CACHE_ENTRIES_MAX`] entries (each with at most one descriptor) and at
//! most [`FILE_CACHE_BYTES_MAX`] bytes. What goes first is decided by quick_cache (S3-FIFO).

use std::hash::Hash;
use std::hash::Hasher;
use std::rc::Rc;

use quick_cache::Equivalent;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::clock::Moment;
use crate::limits::FILE_CACHE_BYTES_MAX;
use crate::limits::FILE_CACHE_ENTRIES_MAX;
use crate::static_files::entry::Content;
use crate::static_files::entry::Entry;
use crate::static_files::entry::Kind;

/// What an entry weighs besides its bytes.
const ENTRY_WEIGHT: usize = FILE_CACHE_BYTES_MAX / FILE_CACHE_ENTRIES_MAX;

/// The cache. Used by one thread; holds no lock.
pub struct FileCache {
    entries: Cache<Key, Rc<Entry>, ByWeight>,
}

/// What the cache knows of a path.
pub enum Known {
    /// This, compared with the disk recently.
    Fresh(Rc<Entry>),
    /// This, but it must be compared with the disk first.
    Stale(Rc<Entry>),
    /// Nothing.
    Unknown,
}

impl FileCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        let weight_max = FILE_CACHE_BYTES_MAX as u64;
        Self { entries: Cache::with_weighter(FILE_CACHE_ENTRIES_MAX, weight_max, ByWeight) }
    }

    /// Looks a path of a files route up.
    #[must_use]
    pub fn look_up(&self, files: usize, path: &[u8]) -> Known {
        match self.entries.get(&Asked { files, path }) {
            Some(entry) if entry.is_fresh(Moment::now()) => Known::Fresh(Rc::clone(entry)),
            Some(entry) => Known::Stale(Rc::clone(entry)),
            None => Known::Unknown,
        }
    }

    /// Puts what was found on disk in, instead of what was there.
    pub fn put(&mut self, files: usize, path: &[u8], entry: Rc<Entry>) {
        self.entries.insert(Key { files, path: path.into() }, entry);
    }

    /// Gives back every descriptor that entries hold, for when there are too few in the process.
    /// Gives how many those were; answers that are being sent keep theirs.
    pub fn release_descriptors(&mut self) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| match &entry.kind {
            Kind::File(file) => matches!(file.content, Content::Inline(_)),
            Kind::Folder | Kind::Missing => true,
        });
        before - self.entries.len()
    }

    /// Entries held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Default for FileCache {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(PartialEq, Eq)]
struct Key {
    files: usize,
    path: Box<[u8]>,
}

/// A key that borrows its path, so that a look-up allocates nothing.
struct Asked<'path> {
    files: usize,
    path: &'path [u8],
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Asked { files: self.files, path: &self.path }.hash(state);
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.files.hash(state);
        self.path.hash(state);
    }
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.files == key.files && *self.path == *key.path
    }
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<Key, Rc<Entry>> for ByWeight {
    fn weight(&self, _key: &Key, entry: &Rc<Entry>) -> u64 {
        let bytes = match &entry.kind {
            Kind::File(file) => match &file.content {
                Content::Inline(bytes) => bytes.len(),
                Content::Descriptor(_) => 0,
            },
            Kind::Folder | Kind::Missing => 0,
        };
        (ENTRY_WEIGHT + bytes) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::INLINE_FILE_BYTES_MAX;
    use crate::static_files::File;
    use crate::static_files::entry::Identity;
    use rustix::fs::Mode;
    use rustix::fs::OFlags;

    fn missing() -> Rc<Entry> {
        Rc::new(Entry::new(Kind::Missing))
    }

    #[test]
    fn finds_what_was_put_for_the_same_route_only() {
        let mut cache = FileCache::new();
        cache.put(1, b"/a", missing());
        assert!(matches!(cache.look_up(1, b"/a"), Known::Fresh(_)));
        assert!(matches!(cache.look_up(0, b"/a"), Known::Unknown));
        assert!(matches!(cache.look_up(1, b"/b"), Known::Unknown));
    }

    fn in_memory(bytes: usize) -> Rc<Entry> {
        let file = rustix::fs::open(".", OFlags::PATH, Mode::empty()).unwrap();
        let identity = Identity::of(&rustix::fs::fstat(file).unwrap());
        let content = Content::Inline(vec![0; bytes].into());
        Rc::new(Entry::new(Kind::File(Box::new(File::new(identity, content, String::new(), None)))))
    }

    #[test]
    fn never_holds_more_bytes_than_its_bound() {
        let bytes = usize::try_from(INLINE_FILE_BYTES_MAX).unwrap();
        let whole = FILE_CACHE_BYTES_MAX / (bytes + ENTRY_WEIGHT);
        let mut cache = FileCache::new();
        for number in 0..whole * 2 {
            cache.put(0, format!("/{number}").as_bytes(), in_memory(bytes));
            assert!(cache.len() <= whole);
        }
        assert!(cache.len() > whole / 2, "the cache keeps what it has room for");
    }

    #[test]
    fn never_holds_more_entries_than_its_bound() {
        let mut cache = FileCache::new();
        for number in 0..FILE_CACHE_ENTRIES_MAX * 3 {
            cache.put(0, format!("/{number}").as_bytes(), missing());
            assert!(cache.len() <= FILE_CACHE_ENTRIES_MAX);
        }
        assert!(cache.len() > FILE_CACHE_ENTRIES_MAX / 2, "the cache keeps what it has room for");
    }
}
