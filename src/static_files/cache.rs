//! A lane's own file cache: route and path to a ready entry, bounded in entries, descriptors and
//! bytes.
//!
//! One weight bounds all three: an entry weighs its bytes in memory plus a fixed part, so that the
//! cache holds at most [`FILE_CACHE_ENTRIES_MAX`] entries (each with at most one descriptor) and at
//! most [`FILE_CACHE_BYTES_MAX`] bytes. What goes first is decided by quick_cache (S3-FIFO).

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::hash::Hasher;
use std::rc::Rc;

use quick_cache::Equivalent;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use tokio::sync::Notify;

use crate::clock::Moment;
use crate::limits::COMPRESS_PENDING_BYTES_MAX;
use crate::limits::FILE_CACHE_BYTES_MAX;
use crate::limits::FILE_CACHE_ENTRIES_MAX;
use crate::limits::MADE_FORMS_BYTES_MAX;
use crate::request::accept_encoding::Coding;
use crate::static_files::entry::Content;
use crate::static_files::entry::Entry;
use crate::static_files::entry::File;
use crate::static_files::entry::Kind;

/// What an entry weighs besides its bytes.
const ENTRY_WEIGHT: usize = FILE_CACHE_BYTES_MAX / FILE_CACHE_ENTRIES_MAX;

/// The cache. Used by one thread; holds no lock.
pub struct FileCache {
    entries: Cache<Key, Rc<Entry>, ByWeight>,
    /// What is being made just now, and who tells when it is done.
    making: HashMap<Key, Rc<Notify>>,
    /// Bytes of all [`Room`]s for what is made.
    made_bytes: Rc<Cell<usize>>,
    /// Bytes of all [`Room`]s for what it is made of.
    pending_bytes: Rc<Cell<usize>>,
}

/// What is asked for: a path of a folder, in a form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place<'path> {
    /// The folder's number.
    pub files: usize,
    /// In which form.
    pub variant: Variant,
    /// Decoded, with its leading slash.
    pub path: &'path [u8],
}

/// The forms of what is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Variant {
    /// As it is on disk.
    Plain,
    /// The compressed file beside it.
    Sidecar(Coding),
    /// Compressed by the server.
    Compressed(Coding),
    /// A folder as a page.
    Html,
    /// A folder as JSON.
    Json,
}

/// What the cache knows of a place.
pub(super) enum Known {
    /// This, compared with the disk recently.
    Fresh(Rc<Entry>),
    /// This, but it must be compared with the disk first.
    Stale(Rc<Entry>),
    /// Nothing.
    Unknown,
}

/// Room for a form that is made, for as long as anybody holds it: the cache, or who still sends it
/// when the cache has let it go.
pub(super) struct Room {
    bytes: usize,
    all_bytes: Rc<Cell<usize>>,
}

/// Somebody's turn to make something. Dropped when it is done, or given up.
pub(super) struct Making<'cache> {
    cache: &'cache RefCell<FileCache>,
    key: Key,
}

impl FileCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        let weight_max = FILE_CACHE_BYTES_MAX as u64;
        let entries = Cache::with_weighter(FILE_CACHE_ENTRIES_MAX, weight_max, ByWeight);
        Self {
            entries,
            making: HashMap::new(),
            made_bytes: Rc::default(),
            pending_bytes: Rc::default(),
        }
    }

    /// Looks a place up. What was found beneath the root of another generation is stale, and so is
    /// a file that has changed since: one fstat(2) of about 0.2 us for those that are open.
    pub(super) fn look_up(&self, place: Place<'_>, generation: u64) -> Known {
        match self.entries.get(&place) {
            Some(entry) if entry.is_usable(Moment::now(), generation) => {
                Known::Fresh(Rc::clone(entry))
            }
            Some(entry) => Known::Stale(Rc::clone(entry)),
            None => Known::Unknown,
        }
    }

    /// Puts what was found on disk in, instead of what was there.
    pub(super) fn put(&mut self, place: Place<'_>, entry: Rc<Entry>) {
        self.entries.insert(place.to_key(), entry);
    }

    /// Begins to make what belongs to a place; or tells whom to wait for, who makes it already.
    pub(super) fn begin<'cache>(
        cache: &'cache RefCell<Self>,
        place: Place<'_>,
    ) -> Result<Making<'cache>, Rc<Notify>> {
        let making = &mut cache.borrow_mut().making;
        if let Some(done) = making.get(&place.to_key()) {
            return Err(Rc::clone(done));
        }
        making.insert(place.to_key(), Rc::new(Notify::new()));
        Ok(Making { cache, key: place.to_key() })
    }

    /// Room for so many bytes that are made; None where [`MADE_FORMS_BYTES_MAX`] are held.
    pub(super) fn room(&self, bytes: usize) -> Option<Room> {
        let made_bytes = self.made_bytes.get().saturating_add(bytes);
        (made_bytes <= MADE_FORMS_BYTES_MAX).then(|| {
            self.made_bytes.set(made_bytes);
            Room { bytes, all_bytes: Rc::clone(&self.made_bytes) }
        })
    }

    /// Room for so many bytes that are to be compressed; None where others are, and with these more
    /// than [`COMPRESS_PENDING_BYTES_MAX`].
    pub(super) fn turn(&self, bytes: usize) -> Option<Room> {
        let pending_bytes = self.pending_bytes.get();
        let all = pending_bytes.saturating_add(bytes);
        (pending_bytes == 0 || all <= COMPRESS_PENDING_BYTES_MAX).then(|| {
            self.pending_bytes.set(all);
            Room { bytes, all_bytes: Rc::clone(&self.pending_bytes) }
        })
    }

    /// Gives back every descriptor that entries hold, for when there are too few in the process.
    /// Gives how many those were; answers that are being sent keep theirs.
    pub fn release_descriptors(&mut self) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| match &entry.kind {
            Kind::File(file) => matches!(file.content, Content::Inline(_)),
            _ => true,
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

impl Room {
    /// Gives back what is more than this.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let spare_bytes = self.bytes.saturating_sub(bytes);
        self.bytes -= spare_bytes;
        self.all_bytes.update(|all| all.saturating_sub(spare_bytes));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if let Some(done) = self.cache.borrow_mut().making.remove(&self.key) {
            done.notify_waiters();
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Key {
    files: usize,
    variant: Variant,
    path: Box<[u8]>,
}

impl Place<'_> {
    fn to_key(self) -> Key {
        Key { files: self.files, variant: self.variant, path: self.path.into() }
    }
}

impl Key {
    const fn place(&self) -> Place<'_> {
        Place { files: self.files, variant: self.variant, path: &self.path }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place().hash(state);
    }
}

/// A place borrows its path, so that a look-up allocates nothing.
impl Equivalent<Key> for Place<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.place()
    }
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<Key, Rc<Entry>> for ByWeight {
    fn weight(&self, key: &Key, entry: &Rc<Entry>) -> u64 {
        let bytes = entry.file().map_or(0, File::memory_bytes);
        (ENTRY_WEIGHT + key.path.len() + bytes) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::INLINE_FILE_BYTES_MAX;

    fn missing() -> Rc<Entry> {
        Rc::new(Entry::new(Kind::Missing, 0))
    }

    fn in_memory(bytes: usize) -> Rc<Entry> {
        Rc::new(Entry::new(Kind::File(Box::new(File::of_bytes(bytes))), 0))
    }

    const fn place(files: usize, path: &str) -> Place<'_> {
        Place { files, variant: Variant::Plain, path: path.as_bytes() }
    }

    #[test]
    fn finds_what_was_put_for_the_same_place_only() {
        let mut cache = FileCache::new();
        let sidecar = Place { variant: Variant::Sidecar(Coding::Gzip), ..place(1, "/a") };
        cache.put(place(1, "/a"), missing());
        assert!(matches!(cache.look_up(place(1, "/a"), 0), Known::Fresh(_)));
        assert!(matches!(cache.look_up(place(0, "/a"), 0), Known::Unknown));
        assert!(matches!(cache.look_up(place(1, "/b"), 0), Known::Unknown));
        assert!(matches!(cache.look_up(sidecar, 0), Known::Unknown));
        assert!(matches!(cache.look_up(place(1, "/a"), 1), Known::Stale(_)), "another root");
    }

    #[test]
    fn what_is_made_is_made_once() {
        let cache = RefCell::new(FileCache::new());
        let first = FileCache::begin(&cache, place(0, "/a"));
        assert!(first.is_ok(), "nobody makes it");
        assert!(FileCache::begin(&cache, place(0, "/a")).is_err(), "it is being made");
        assert!(FileCache::begin(&cache, place(0, "/b")).is_ok());
        drop(first);
        assert!(FileCache::begin(&cache, place(0, "/a")).is_ok(), "that was given up");
    }

    #[test]
    fn never_holds_more_bytes_than_its_bound() {
        let bytes = usize::try_from(INLINE_FILE_BYTES_MAX).unwrap();
        let whole = FILE_CACHE_BYTES_MAX / (bytes + ENTRY_WEIGHT + 2);
        let mut cache = FileCache::new();
        for number in 0..whole * 2 {
            cache.put(place(0, &format!("/{number}")), in_memory(bytes));
            assert!(cache.len() <= whole);
        }
        assert!(cache.len() > whole / 2, "the cache keeps what it has room for");
    }

    #[test]
    fn never_holds_more_entries_than_its_bound() {
        let mut cache = FileCache::new();
        for number in 0..FILE_CACHE_ENTRIES_MAX * 3 {
            cache.put(place(0, &format!("/{number}")), missing());
            assert!(cache.len() <= FILE_CACHE_ENTRIES_MAX);
        }
        assert!(cache.len() > FILE_CACHE_ENTRIES_MAX / 2, "the cache keeps what it has room for");
    }

    #[test]
    fn what_is_made_has_room_until_nobody_holds_it() {
        let cache = FileCache::new();
        let mut first = cache.room(MADE_FORMS_BYTES_MAX - 10).unwrap();
        assert!(cache.room(11).is_none(), "over the bound");
        let second = cache.room(10).unwrap();
        assert!(cache.room(1).is_none());
        first.shrink(5);
        assert!(
            cache.room(MADE_FORMS_BYTES_MAX - 15).is_some(),
            "what is not needed is given back"
        );
        drop(second);
        drop(first);
        assert!(cache.room(MADE_FORMS_BYTES_MAX).is_some());
    }

    #[test]
    fn few_bytes_wait_to_be_compressed() {
        let cache = FileCache::new();
        let large = cache.turn(2 * COMPRESS_PENDING_BYTES_MAX).expect("nobody else is there");
        assert!(cache.turn(1).is_none());
        drop(large);
        let first = cache.turn(10).unwrap();
        let others = cache.turn(COMPRESS_PENDING_BYTES_MAX - 10).unwrap();
        assert!(cache.turn(1).is_none());
        drop((first, others));
        assert!(cache.turn(1).is_some());
    }

    #[test]
    fn long_paths_count() {
        let (mut cache, long) = (FileCache::new(), "x".repeat(8 * 1024));
        let held = FILE_CACHE_BYTES_MAX / (long.len() + ENTRY_WEIGHT);
        for number in 0..2 * held {
            cache.put(place(0, &format!("/{long}{number}")), missing());
        }
        assert!((held / 2..=held).contains(&cache.len()), "{} of {held}", cache.len());
    }
}
