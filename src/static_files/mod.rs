//! Static files: a path to a ready entry, and an entry and a request to an answer.
//!
//! The pipeline, in the order of its files:
//!
//! | file | owns |
//! |---|---|
//! | `options` | what the operator says of a folder |
//! | `files` | the open folder, and which one it is now |
//! | `cache` | what the lane knows already |
//! | `choice` | which form of it a request gets |
//! | `resolve` | what is on disk |
//! | `make`, `compress`, `listing`, `listing_page`, `media_type` | forms of it |
//! | `identity` | which version of it |
//! | `entry` | made ready once |
//! | `precondition`, `range`, `multipart` | what this request wants of it |
//! | `reply` | the answer |
//!
//! The room knows files and HTTP semantics; it sends nothing and knows no socket.

mod cache;
mod choice;
mod compress;
mod entry;
mod files;
mod identity;
mod listing;
mod listing_page;
mod make;
mod media_type;
mod multipart;
mod options;
mod precondition;
mod range;
mod reply;
mod resolve;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use rustix::io::Errno;

pub use cache::FileCache;
pub use entry::Content;
pub use entry::Entry;
pub use entry::File;
pub use entry::Kind;
pub use files::Files;
pub use multipart::Multipart;
pub use options::CleanUrls;
pub use options::Compression;
pub use options::Hidden;
pub use options::Listing;
pub use options::Options;
pub use options::Sidecars;
pub use options::Sniffing;
pub use options::Symlinks;
pub use options::TrailingSlash;
pub use reply::Body;
pub use reply::Reply;
pub use reply::answer;
pub use resolve::Slash;

use crate::limits::FILE_SETTLE_TIME;
use crate::limits::FORM_STEPS_MAX;
use crate::limits::OPEN_TRIES_MAX;
use crate::request::Method;
use crate::request::Request;
use crate::request::accept_encoding::Accepted;
use crate::request::accept_encoding::Coding;
use crate::request::accept_encoding::Plain as AsItIs;
use crate::uring::Io;
use crate::uring::residence::Medium;
use crate::workshop::Workshop;
use cache::Known;
use cache::Place;
use cache::Variant;
use choice::Next;
use choice::Wish;
use entry::Description;
use identity::Identity;
use make::Outcome;
use make::Rest;
use resolve::Found;
use resolve::OpenFile;

/// What a lane looks with.
pub struct Looking<'lane> {
    /// What it waits on.
    pub io: Io,
    /// What it knows.
    pub cache: &'lane RefCell<FileCache>,
    /// Where it has done what takes CPU time.
    pub workshop: &'lane Workshop,
    /// Where it has read what may take long to come.
    pub reading: &'lane Workshop,
}

/// What a lane has for a request.
pub enum Ready {
    /// This.
    Entry(Rc<Entry>),
    /// Nothing that it may use without looking.
    Look(Look),
}

/// A question to the disk.
pub struct Look {
    path: Vec<u8>,
    wish: Wish,
}

/// What is known of `path` (decoded, with its leading slash, no two in a row), in the form that
/// the request asks for. Opens nothing.
#[must_use]
pub fn ready(cache: &FileCache, files: &Files, path: &[u8], request: &Request<'_>) -> Ready {
    match known(cache, files, path, request) {
        Some(entry) => Ready::Entry(entry),
        None => Ready::Look(Look { path: path.to_vec(), wish: Wish::of(request) }),
    }
}

/// What is known of `path` as it lies there, for an answer that is not about the path.
#[must_use]
pub fn ready_plain(cache: &FileCache, files: &Files, path: &[u8]) -> Ready {
    let place = Place { files: files.number, variant: Variant::Plain, path };
    match cache.look_up(place, files.generation()) {
        Known::Fresh(entry) => Ready::Entry(entry),
        Known::Stale(_) | Known::Unknown => {
            Ready::Look(Look { path: path.to_vec(), wish: Wish::PLAIN })
        }
    }
}

impl Look {
    /// The path in question.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }
}

fn known(
    cache: &FileCache,
    files: &Files,
    path: &[u8],
    request: &Request<'_>,
) -> Option<Rc<Entry>> {
    let fresh = |variant, path| {
        let place = Place { files: files.number, variant, path };
        match cache.look_up(place, files.generation()) {
            Known::Fresh(entry) => Some(entry),
            Known::Stale(_) | Known::Unknown => None,
        }
    };
    let mut path = path;
    let mut plain = fresh(Variant::Plain, path)?;
    if let (Kind::Missing, Some(fallback)) = (&plain.kind, &files.options.fallback) {
        path = fallback.as_bytes();
        plain = fresh(Variant::Plain, path)?;
    }
    match &plain.kind {
        // Who does not read it needs no form of it.
        _ if !matches!(request.method, Method::Get | Method::Head) => Some(plain),
        Kind::File(_) if request.header("accept-encoding").is_none() => Some(plain),
        Kind::File(_) => {
            match choice::next(cache, files, path, &plain, choice::accepted(request)) {
                Next::Use(entry) => Some(entry),
                Next::FindSidecars | Next::Compress(_) => None,
            }
        }
        Kind::Folder => fresh(Wish::of(request).page?, path),
        Kind::Moved(_) | Kind::Missing | Kind::NotAcceptable => Some(plain),
    }
}

/// Finds out what answers the question, and keeps it in the cache.
///
/// # Errors
///
/// Only our own trouble, such as EMFILE or a disk that fails; nothing is cached then.
pub async fn look(lane: &Looking<'_>, files: &Files, look: Look) -> io::Result<Rc<Entry>> {
    files.refresh(lane.io).await;
    let mut path = look.path.as_slice();
    let mut plain = plain(lane, files, path).await?;
    if let (Kind::Missing, Some(fallback)) = (&plain.kind, &files.options.fallback) {
        path = fallback.as_bytes();
        plain = self::plain(lane, files, path).await?;
    }
    match &plain.kind {
        Kind::File(_) => form(lane, files, path, plain, look.wish.accepted).await,
        Kind::Folder => match look.wish.page {
            Some(form) => listing(lane, files, path, form).await,
            None => Ok(plain),
        },
        Kind::Moved(_) | Kind::Missing | Kind::NotAcceptable => Ok(plain),
    }
}

/// What is on disk at a path.
async fn plain(lane: &Looking<'_>, files: &Files, path: &[u8]) -> io::Result<Rc<Entry>> {
    let place = Place { files: files.number, variant: Variant::Plain, path };
    let known = match lane.cache.borrow().look_up(place, files.generation()) {
        Known::Fresh(entry) => return Ok(entry),
        Known::Stale(entry) => Some(entry),
        Known::Unknown => None,
    };
    let mut has_waited = false;
    for _ in 0..OPEN_TRIES_MAX {
        let (root, generation) = (files.root(), files.generation());
        if let Some(known) = &known {
            // Others use the stale entry while this look lasts, instead of looking as well.
            known.renew(generation);
        }
        let kind = match give_back(lane, files.ground(lane.io, &root).resolve(path).await)? {
            None => continue,
            Some(Found::Missing) => Kind::Missing,
            Some(Found::Moved(slash)) => Kind::Moved(slash),
            Some(Found::Folder(_)) => Kind::Folder,
            Some(Found::File(OpenFile { fd, stat, source })) => {
                let identity = Identity::of(&stat);
                if let Some(known) = known.as_ref().filter(|it| it.is_version(&source, identity)) {
                    known.renew(generation);
                    return Ok(Rc::clone(known));
                }
                let is_settling = identity.is_settling();
                let is_emptied = identity.size_bytes() == 0;
                if (is_settling || is_emptied) && !has_waited {
                    has_waited = true;
                    drop(fd);
                    tokio::time::sleep(FILE_SETTLE_TIME).await;
                    continue;
                }
                let medium = files.medium(&fd, stat.st_dev);
                let rest = if is_settling { Rest::Unsettled } else { Rest::Settled };
                match make::load(lane.io, fd, identity, rest, medium).await? {
                    Outcome::Done(content) => {
                        let description = describe(files, source, medium);
                        let file = File::plain(description, identity, content);
                        Kind::File(Box::new(if is_settling { file.unsettled() } else { file }))
                    }
                    Outcome::Changed => continue,
                }
            }
        };
        let entry = Rc::new(Entry::new(kind, generation));
        lane.cache.borrow_mut().put(place, Rc::clone(&entry));
        return Ok(entry);
    }
    // The file is being written all the time. Its reader can come again.
    Err(io::Error::from(io::ErrorKind::ResourceBusy))
}

/// Passes a result on; None where descriptors were short and the cache has given some back.
fn give_back<T>(lane: &Looking<'_>, result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if lacks_descriptors(&error) => {
            match lane.cache.borrow_mut().release_descriptors() {
                0 => Err(error),
                _ => Ok(None),
            }
        }
        result => result.map(Some),
    }
}

/// Whether there are too few descriptors, of the process or of the machine.
#[must_use]
pub fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

fn describe(files: &Files, source: Vec<u8>, medium: Medium) -> Description {
    let media_type = files.types.of(&source);
    Description {
        coding: None,
        vary: choice::vary(files, media_type.weight),
        media_type,
        cache_control: files.options.cache_control.clone(),
        sniffing: files.options.sniffing,
        source,
        medium,
    }
}

/// The form of a file that a client takes who accepts these codings.
async fn form(
    lane: &Looking<'_>,
    files: &Files,
    path: &[u8],
    plain: Rc<Entry>,
    accepted: Accepted,
) -> io::Result<Rc<Entry>> {
    for _ in 0..FORM_STEPS_MAX {
        let next = choice::next(&lane.cache.borrow(), files, path, &plain, accepted);
        match next {
            Next::Use(entry) => return Ok(entry),
            Next::FindSidecars => find_sidecars(lane, files, path, &plain).await?,
            Next::Compress(coding) => {
                if !compress(lane, files, path, &plain, coding).await? {
                    break;
                }
            }
        }
    }
    match accepted.identity() {
        AsItIs::Accepted => Ok(plain),
        // There is a form for it, which cannot be made just now.
        AsItIs::Refused => Err(io::Error::from(io::ErrorKind::ResourceBusy)),
    }
}

/// Looks for compressed files beside a file, and keeps those that are not older than it: who edits
/// a file and forgets them is not served the old text.
async fn find_sidecars(
    lane: &Looking<'_>,
    files: &Files,
    path: &[u8],
    plain: &Rc<Entry>,
) -> io::Result<()> {
    let Some(file) = plain.file() else { return Ok(()) };
    let Some(origin) = file.identity() else { return Ok(()) };
    let (root, generation) = (files.root(), files.generation());
    file.keep_sidecars();
    let mut present = [false; Coding::ALL.len()];
    for coding in Coding::ALL {
        let source = [&file.description().source, coding.extension().as_bytes()].concat();
        let Some(Some(open)) = give_back(lane, files.ground(lane.io, &root).file(&source).await)?
        else {
            continue;
        };
        let identity = Identity::of(&open.stat);
        // It may just be being written: whoever does makes it empty before its time changes, and
        // no coding makes nothing of anything.
        let is_being_written = identity.is_settling() || identity.size_bytes() == 0;
        if is_being_written || identity.is_older_than(&origin) {
            continue;
        }
        let place = Place { files: files.number, variant: Variant::Sidecar(coding), path };
        let known = match lane.cache.borrow().look_up(place, generation) {
            Known::Fresh(entry) | Known::Stale(entry) => Some(entry),
            Known::Unknown => None,
        };
        let same = |form: &File| form.identity() == Some(identity) && form.is_of(file);
        if !known.is_some_and(|known| known.file().is_some_and(same)) {
            let Outcome::Done(content) =
                make::load(lane.io, open.fd, identity, Rest::Settled, file.medium()).await?
            else {
                continue; // it is being written
            };
            let description = file.description().clone();
            let form = File::sidecar(description, coding, identity, origin, content);
            let entry = Rc::new(Entry::new(Kind::File(Box::new(form)), generation));
            lane.cache.borrow_mut().put(place, entry);
        }
        if let Some(present) = present.get_mut(coding as usize) {
            *present = true;
        }
    }
    file.note_sidecars(present);
    Ok(())
}

/// Compresses a file, or waits for who does it already. False: it is not to be had.
async fn compress(
    lane: &Looking<'_>,
    files: &Files,
    path: &[u8],
    plain: &Rc<Entry>,
    coding: Coding,
) -> io::Result<bool> {
    let Some(file) = plain.file() else { return Ok(false) };
    let place = Place { files: files.number, variant: Variant::Compressed(coding), path };
    let _making = match FileCache::begin(lane.cache, place) {
        Ok(making) => making,
        Err(done) => {
            done.notified().await;
            return Ok(true);
        }
    };
    Ok(match make::compressed(lane, file, coding).await? {
        Outcome::Done(Some(form)) => {
            let entry = Rc::new(Entry::new(Kind::File(Box::new(form)), files.generation()));
            lane.cache.borrow_mut().put(place, entry);
            true
        }
        // Not smaller, which the next look at it knows.
        Outcome::Done(None) => file.is_incompressible(),
        Outcome::Changed => false,
    })
}

/// A folder in a form. What is in it may change without it, so it is read each time.
async fn listing(
    lane: &Looking<'_>,
    files: &Files,
    path: &[u8],
    form: Variant,
) -> io::Result<Rc<Entry>> {
    let place = Place { files: files.number, variant: form, path };
    for _ in 0..OPEN_TRIES_MAX {
        let generation = files.generation();
        let known = match lane.cache.borrow().look_up(place, generation) {
            Known::Fresh(entry) => return Ok(entry),
            Known::Stale(entry) => Some(entry),
            Known::Unknown => None,
        };
        let _making = match FileCache::begin(lane.cache, place) {
            Ok(making) => making,
            Err(done) => {
                done.notified().await;
                continue;
            }
        };
        if let Some(known) = &known {
            known.renew(generation); // for others, while this look lasts
        }
        let root = files.root();
        let found = give_back(lane, files.ground(lane.io, &root).resolve(path).await)?;
        let entry = match found {
            None => continue,
            Some(Found::Folder(folder)) => {
                let made = make::listed(lane, files, &folder, place, known.as_deref()).await?;
                match (made, known) {
                    (None, Some(known)) => {
                        known.renew(generation);
                        return Ok(known);
                    }
                    (None, None) => continue,
                    (Some(kind), _) => kind,
                }
            }
            // It has got an index, or is gone, since the look before.
            Some(_) => Kind::Missing,
        };
        let entry = Rc::new(Entry::new(entry, generation));
        lane.cache.borrow_mut().put(place, Rc::clone(&entry));
        return Ok(entry);
    }
    Err(io::Error::from(io::ErrorKind::ResourceBusy))
}
