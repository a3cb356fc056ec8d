//! An entry and a request to an answer: which head, which bytes.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use crate::request::Method;
use crate::request::Request;
use crate::response::Head;
use crate::static_files::entry::Entry;
use crate::static_files::entry::File;
use crate::static_files::entry::Kind;
use crate::static_files::multipart::Multipart;
use crate::static_files::precondition;
use crate::static_files::precondition::Verdict;
use crate::static_files::range;
use crate::static_files::range::Asked;
use crate::static_files::resolve::Slash;

/// What answers a request for a path of a files route.
pub enum Reply<'entry> {
    /// These bytes of this file behind this head. For HEAD the head alone is sent.
    Bytes(Cow<'entry, Head>, &'entry File, Body),
    /// A head without a body: 304, 204.
    HeadOnly(Cow<'entry, Head>),
    /// An error that the connection words: 404, 405, 406, 412, 416, with these fields.
    Error(Head),
    /// The page's own address, which differs in the slash at its end.
    Moved(Slash),
}

/// Which bytes of a file.
pub enum Body {
    /// These.
    Slice(Range<u64>),
    /// Several ranges, with what stands between them.
    Parts(Box<Multipart>),
}

impl Body {
    /// Bytes of the whole body.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        match self {
            Self::Slice(slice) => slice.end - slice.start,
            Self::Parts(multipart) => multipart.size_bytes,
        }
    }
}

/// Answers `request` from `entry`.
#[must_use]
pub fn answer<'entry>(request: &Request<'_>, entry: &'entry Rc<Entry>) -> Reply<'entry> {
    match (&entry.kind, request.method) {
        (Kind::Missing, _) => Reply::Error(Head::new(404)),
        (_, Method::Connect | Method::Other) => {
            let mut head = Head::new(405);
            head.field("Allow", ALLOW);
            Reply::Error(head)
        }
        (_, Method::Options) => {
            let mut head = Head::new(204);
            head.field("Allow", ALLOW);
            Reply::HeadOnly(Cow::Owned(head))
        }
        (Kind::File(file), Method::Get | Method::Head) => of_file(request, file),
        (Kind::Moved(slash), Method::Get | Method::Head) => Reply::Moved(*slash),
        (Kind::NotAcceptable, Method::Get | Method::Head) => {
            let mut head = Head::new(406);
            head.field("Vary", "Accept-Encoding");
            Reply::Error(head)
        }
        // The page or the JSON has been made of it, unless somebody else's fault was in the way.
        (Kind::Folder, Method::Get | Method::Head) => Reply::Error(Head::new(404)),
    }
}

/// The methods of a file.
const ALLOW: &str = "GET, HEAD, OPTIONS";

fn of_file<'entry>(request: &Request<'_>, file: &'entry File) -> Reply<'entry> {
    match precondition::evaluate(request, file.validators()) {
        Verdict::Proceed => in_range(request, file),
        Verdict::NotModified => Reply::HeadOnly(Cow::Borrowed(&file.not_modified)),
        Verdict::Failed => Reply::Error(Head::new(412)),
    }
}

fn in_range<'entry>(request: &Request<'_>, file: &'entry File) -> Reply<'entry> {
    // Range counts for GET alone (RFC 9110 section 14.2).
    let asked = match request.only_header("range") {
        Some(value)
            if request.method == Method::Get
                && precondition::range_counts(request, file.validators()) =>
        {
            range::parse(value, file.size_bytes)
        }
        _ => Asked::Whole,
    };
    let whole = || Reply::Bytes(Cow::Borrowed(&file.whole), file, Body::Slice(0..file.size_bytes));
    match asked {
        Asked::Slice(slice) => {
            let mut head = file.head(206, file.media_type());
            let (first, last) = (slice.start, slice.end - 1);
            head.field("Content-Range", format!("bytes {first}-{last}/{}", file.size_bytes));
            Reply::Bytes(Cow::Owned(head), file, Body::Slice(slice))
        }
        // A coding in the head would be said of the parts' wrapping as well: the whole instead.
        Asked::Several(ranges) if !file.is_coded() => {
            let multipart = Multipart::new(file.media_type(), file.size_bytes, &ranges);
            // A long media type stands in each part.
            if multipart.size_bytes > file.size_bytes {
                return whole();
            }
            let head = file.head(206, &multipart.content_type());
            Reply::Bytes(Cow::Owned(head), file, Body::Parts(Box::new(multipart)))
        }
        Asked::Whole | Asked::Several(_) => whole(),
        Asked::Unsatisfiable => {
            let mut head = Head::new(416);
            head.field("Content-Range", format!("bytes */{}", file.size_bytes));
            Reply::Error(head)
        }
    }
}
