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
use crate::static_files::precondition;
use crate::static_files::precondition::Verdict;
use crate::static_files::range;
use crate::static_files::range::Asked;

/// What answers a request for a path of a files route.
pub enum Reply<'entry> {
    /// These bytes of this file behind this head. For HEAD the head alone is sent.
    Bytes(Cow<'entry, Head>, &'entry File, Range<u64>),
    /// A head without a body: 304, 204.
    HeadOnly(Cow<'entry, Head>),
    /// An error that the connection words: 404, 405, 412, 416, with these fields.
    Error(Head),
    /// The folder's own address, with its slash.
    SlashRedirect,
}

/// Answers `request` from `entry`.
#[must_use]
pub fn answer<'entry>(request: &Request<'_>, entry: &'entry Rc<Entry>) -> Reply<'entry> {
    let file = match &entry.kind {
        Kind::File(file) => file,
        Kind::Missing => return Reply::Error(Head::new(404)),
        Kind::Folder => {
            return if is_read(request.method) { Reply::SlashRedirect } else { not_allowed() };
        }
    };
    match request.method {
        Method::Get | Method::Head => {}
        Method::Options => {
            let mut head = Head::new(204);
            head.field("Allow", ALLOW);
            return Reply::HeadOnly(Cow::Owned(head));
        }
        Method::Connect | Method::Other => return not_allowed(),
    }
    match precondition::evaluate(request, file.validators()) {
        Verdict::Proceed => {}
        Verdict::NotModified => return Reply::HeadOnly(Cow::Borrowed(&file.not_modified)),
        Verdict::Failed => return Reply::Error(Head::new(412)),
    }
    in_range(request, file)
}

/// The methods of a file.
const ALLOW: &str = "GET, HEAD, OPTIONS";

const fn is_read(method: Method) -> bool {
    matches!(method, Method::Get | Method::Head)
}

fn not_allowed<'entry>() -> Reply<'entry> {
    let mut head = Head::new(405);
    head.field("Allow", ALLOW);
    Reply::Error(head)
}

fn in_range<'entry>(request: &Request<'_>, file: &'entry File) -> Reply<'entry> {
    // Range counts for GET alone (RFC 9110 section 14.2).
    let asked = match request.header("range") {
        Some(value)
            if request.method == Method::Get
                && precondition::range_counts(request, file.validators()) =>
        {
            range::parse(value, file.size_bytes)
        }
        _ => Asked::Whole,
    };
    match asked {
        Asked::Whole | Asked::Several(_) => {
            Reply::Bytes(Cow::Borrowed(&file.whole), file, 0..file.size_bytes)
        }
        Asked::Slice(slice) => {
            let mut head = file.head(206);
            let (first, last) = (slice.start, slice.end - 1);
            head.field("Content-Range", format!("bytes {first}-{last}/{}", file.size_bytes));
            Reply::Bytes(Cow::Owned(head), file, slice)
        }
        Asked::Unsatisfiable => {
            let mut head = Head::new(416);
            head.field("Content-Range", format!("bytes */{}", file.size_bytes));
            Reply::Error(head)
        }
    }
}
