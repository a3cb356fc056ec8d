//! Which form of what is at a path a request gets, from what the lane knows already.
//!
//! A file lies there as it is, may have compressed files beside it, and may be compressed by the
//! server. What the client likes best and is at hand is taken: a sidecar of any coding that it
//! likes goes before compressing the file. Nothing is opened here.

use std::rc::Rc;

use crate::clock::Moment;
use crate::limits::COMPRESS_BYTES_MAX;
use crate::limits::COMPRESS_BYTES_MIN;
use crate::request::Method;
use crate::request::Request;
use crate::request::accept;
use crate::request::accept_encoding::Accepted;
use crate::request::accept_encoding::Coding;
use crate::request::accept_encoding::Plain;
use crate::static_files::Compression;
use crate::static_files::Entry;
use crate::static_files::File;
use crate::static_files::FileCache;
use crate::static_files::Files;
use crate::static_files::Kind;
use crate::static_files::Sidecars;
use crate::static_files::cache::Known;
use crate::static_files::cache::Place;
use crate::static_files::cache::Variant;
use crate::static_files::media_type::Weight;

/// What a request says of the form that it would like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub accepted: Accepted,
    /// [`Variant::Html`] or [`Variant::Json`]; None for who does not read it.
    pub page: Option<Variant>,
}

/// What is to be done to answer.
pub(super) enum Next {
    /// Answer with this.
    Use(Rc<Entry>),
    /// Look which compressed files are beside the file.
    FindSidecars,
    /// Compress the file.
    Compress(Coding),
}

impl Wish {
    /// The bytes as they are.
    pub(super) const PLAIN: Self = Self { accepted: Accepted::PLAIN, page: None };

    pub(super) fn of(request: &Request<'_>) -> Self {
        if !matches!(request.method, Method::Get | Method::Head) {
            return Self::PLAIN;
        }
        let values = values(request, "accept");
        let page = match accept::preferred(values, &["text/html", "application/json"]) {
            Some(1) => Variant::Json,
            _ => Variant::Html,
        };
        Self { accepted: accepted(request), page: Some(page) }
    }
}

/// What codings a request accepts.
pub(super) fn accepted(request: &Request<'_>) -> Accepted {
    Accepted::of(values(request, "accept-encoding"))
}

fn values<'r>(
    request: &'r Request<'_>,
    name: &'static str,
) -> impl Iterator<Item = &'r [u8]> + Clone {
    let fields = request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    fields.map(|field| field.value)
}

/// What to do for somebody who accepts these codings, where `plain` is at `path`.
pub(super) fn next(
    cache: &FileCache,
    files: &Files,
    path: &[u8],
    plain: &Rc<Entry>,
    accepted: Accepted,
) -> Next {
    let Some(file) = plain.file() else { return Next::Use(Rc::clone(plain)) };
    let at = |variant| {
        let known = cache.look_up(Place { files: files.number, variant, path }, files.generation());
        match known {
            // Whether it is fresh is told by the file itself, which it belongs to.
            Known::Fresh(entry) | Known::Stale(entry) => Some(entry).filter(|entry| {
                entry.file().is_some_and(|form| form.is_of(file) && form.is_unchanged())
            }),
            Known::Unknown => None,
        }
    };
    if accepted.ranked().next().is_some() && may_have_sidecars(files, file) {
        let Some(present) = file.sidecars(Moment::now()) else { return Next::FindSidecars };
        let welcome = |coding: &Coding| present.get(*coding as usize) == Some(&true);
        if let Some(coding) = accepted.ranked().find(welcome) {
            return at(Variant::Sidecar(coding)).map_or(Next::FindSidecars, Next::Use);
        }
    }
    if let Some(coding) = accepted.ranked().next().filter(|_| is_worth_it(files, file)) {
        return at(Variant::Compressed(coding)).map_or(Next::Compress(coding), Next::Use);
    }
    Next::Use(as_it_is(files, plain, accepted))
}

/// The file as it lies there, for who takes it so.
pub(super) fn as_it_is(files: &Files, plain: &Rc<Entry>, accepted: Accepted) -> Rc<Entry> {
    match accepted.identity() {
        Plain::Accepted => Rc::clone(plain),
        Plain::Refused => Rc::new(Entry::new(Kind::NotAcceptable, files.generation())),
    }
}

/// The field that the choice between a file's forms depends on, if there may be several.
pub(super) fn vary(files: &Files, weight: Weight) -> Option<&'static str> {
    let sidecars = files.options.sidecars == Sidecars::Used && weight != Weight::Packed;
    let compressed = files.options.compression == Compression::On && weight == Weight::Text;
    (sidecars || compressed).then_some("Accept-Encoding")
}

fn may_have_sidecars(files: &Files, file: &File) -> bool {
    files.options.sidecars == Sidecars::Used && file.weight() != Weight::Packed
}

/// Whether to compress a file. Not even for who takes nothing else where it does not become
/// smaller.
fn is_worth_it(files: &Files, file: &File) -> bool {
    files.options.compression == Compression::On
        && file.weight() == Weight::Text
        && (COMPRESS_BYTES_MIN..=COMPRESS_BYTES_MAX).contains(&file.size_bytes)
        && file.is_settled()
        && !file.is_incompressible()
}
