//! Conditional requests: the If-* fields and a file's validators to a verdict (RFC 9110 section
//! 13).

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::request::Request;

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'entry> {
    /// The entity tag with its quotes; strong.
    pub etag: &'entry str,
    /// When the file was last modified, in whole seconds since 1970. None for what is no file:
    /// conditions on time are then ignored (section 13.1.3).
    pub modified_unix_seconds: Option<u64>,
    /// The same, where it tells this representation from every other at its address. The forms of a
    /// file in other codings may share its time, and their bytes must not be mixed (section
    /// 8.8.2.2).
    pub modified_strong_unix_seconds: Option<u64>,
}

/// What the conditions of a request say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer as if there were no conditions.
    Proceed,
    /// 304: the client has this version.
    NotModified,
    /// 412: the client wanted another version.
    Failed,
}

/// Evaluates the conditions of a GET or HEAD in the order of section 13.2.2.
#[must_use]
pub(super) fn evaluate(request: &Request<'_>, validators: Validators<'_>) -> Verdict {
    if request.header("if-match").is_some() {
        if !any_tag(request, "if-match", validators.etag, Comparison::Strong) {
            return Verdict::Failed;
        }
    } else if let Some(date) = date(request, "if-unmodified-since")
        && validators.modified_unix_seconds.is_some_and(|modified| modified > date)
    {
        return Verdict::Failed;
    }
    if request.header("if-none-match").is_some() {
        if any_tag(request, "if-none-match", validators.etag, Comparison::Weak) {
            return Verdict::NotModified;
        }
    } else if let Some(date) = date(request, "if-modified-since")
        && validators.modified_unix_seconds.is_some_and(|modified| modified <= date)
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether If-Range, if there, allows the Range field to count (section 13.1.5). Of several fields
/// nobody knows which one is meant: the whole is right for each.
#[must_use]
pub(super) fn range_counts(request: &Request<'_>, validators: Validators<'_>) -> bool {
    if request.header("if-range").is_none() {
        return true;
    }
    let Some(value) = request.only_header("if-range") else { return false };
    if value.first() == Some(&b'"') {
        return value == validators.etag.as_bytes();
    }
    // An exact match of the date, as section 13.1.5 asks; a weak tag never matches.
    let date = date(request, "if-range");
    date.is_some() && date == validators.modified_strong_unix_seconds
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether any of the listed tags, in any of the fields of this name, matches (section 8.8.3.2).
fn any_tag(request: &Request<'_>, name: &str, etag: &str, comparison: Comparison) -> bool {
    let named = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    // A comma may stand inside of a tag, but never in one of ours, so a split there cannot make a
    // foreign tag equal to ours.
    named.flat_map(|field| field.value.split(|byte| *byte == b',')).any(|item| {
        let item = item.trim_ascii();
        let tag = match item.strip_prefix(b"W/") {
            Some(_) if comparison == Comparison::Strong => return false,
            Some(tag) => tag,
            None => item,
        };
        item == b"*" || tag == etag.as_bytes()
    })
}

/// The date of a field in seconds since 1970, or None where it is missing, comes twice or is not a
/// date, which means that the field is ignored (section 13.1.3).
fn date(request: &Request<'_>, name: &str) -> Option<u64> {
    let text = std::str::from_utf8(request.only_header(name)?).ok()?;
    let time: SystemTime = httpdate::parse_http_date(text).ok()?;
    Some(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::head;

    const ETAG: &str = "\"18a-2c\"";
    /// Sun, 06 Nov 1994 08:49:37 GMT
    const MODIFIED: u64 = 784_111_777;
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn with<T>(fields: &[(&str, &str)], check: impl Fn(&Request<'_>, Validators<'_>) -> T) -> T {
        let mut text = String::from("GET / HTTP/1.1\r\nHost: h\r\n");
        for (name, value) in fields {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let mut slots = head::header_slots();
        let head::Parsed::Complete(request) = head::parse(text.as_bytes(), &mut slots) else {
            panic!("not a request: {text}");
        };
        let modified = Some(MODIFIED);
        let validators = Validators {
            etag: ETAG,
            modified_unix_seconds: modified,
            modified_strong_unix_seconds: modified,
        };
        check(&request, validators)
    }

    #[test]
    fn each_condition_and_their_order() {
        let weak = format!("W/{ETAG}");
        let list = format!("\"other\", {ETAG} , \"x\"");
        let cases: &[(&[(&str, &str)], Verdict)] = &[
            (&[], Verdict::Proceed),
            (&[("If-None-Match", ETAG)], Verdict::NotModified),
            (&[("if-none-match", &weak)], Verdict::NotModified),
            (&[("If-None-Match", &list)], Verdict::NotModified),
            (&[("If-None-Match", "*")], Verdict::NotModified),
            (&[("If-None-Match", "\"other\"")], Verdict::Proceed),
            (&[("If-None-Match", "\"other\""), ("If-None-Match", ETAG)], Verdict::NotModified),
            (&[("If-None-Match", "\"other\""), ("If-Modified-Since", SAME)], Verdict::Proceed),
            (&[("If-Modified-Since", SAME)], Verdict::NotModified),
            (&[("If-Modified-Since", BEFORE)], Verdict::Proceed),
            (&[("If-Modified-Since", "yesterday")], Verdict::Proceed),
            (&[("If-Modified-Since", SAME), ("If-Modified-Since", SAME)], Verdict::Proceed),
            (&[("If-Unmodified-Since", BEFORE), ("If-Unmodified-Since", SAME)], Verdict::Proceed),
            (&[("If-Match", ETAG)], Verdict::Proceed),
            (&[("If-Match", &weak)], Verdict::Failed),
            (&[("If-Match", "\"other\"")], Verdict::Failed),
            (&[("If-Match", "*"), ("If-None-Match", ETAG)], Verdict::NotModified),
            (&[("If-Unmodified-Since", BEFORE)], Verdict::Failed),
            (&[("If-Unmodified-Since", SAME)], Verdict::Proceed),
            (&[("If-Match", ETAG), ("If-Unmodified-Since", BEFORE)], Verdict::Proceed),
        ];
        for (fields, verdict) in cases {
            assert_eq!(with(fields, evaluate), *verdict, "{fields:?}");
        }
    }

    #[test]
    fn if_range_matches_exactly_or_not_at_all() {
        let weak = format!("W/{ETAG}");
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("If-Range", ETAG)], true),
            (&[("If-Range", &weak)], false),
            (&[("If-Range", "\"other\"")], false),
            (&[("If-Range", SAME)], true),
            (&[("If-Range", BEFORE)], false),
            (&[("If-Range", ETAG), ("If-Range", ETAG)], false),
        ];
        for (fields, counts) in cases {
            assert_eq!(with(fields, range_counts), *counts, "{fields:?}");
        }
        let shared = |request: &Request<'_>, validators: Validators<'_>| {
            range_counts(request, Validators { modified_strong_unix_seconds: None, ..validators })
        };
        assert!(!with(&[("If-Range", SAME)], shared), "a time that other forms share");
        assert!(with(&[("If-Range", ETAG)], shared));
    }
}
