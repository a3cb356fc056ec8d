//! Fields that the operator wants on an answer, whoever made its head: set one after another, then
//! laid over the head.
//!
//! The last one of a name stays, but for those of which an answer may need several: each cookie and
//! link is added, and Vary collects all names, as a cache that does not know one of them would give
//! one client's answer to another. It does not know where the fields come from.

use memchr::memchr;

use crate::request::head::is_field_value;
use crate::request::head::is_token;
use crate::response::Head;
use crate::response::status::forbids_body;

/// Fields to be laid over a head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// `Name: value\r\n` for each.
    lines: Vec<u8>,
}

impl Overlay {
    /// Whether there is nothing to lay over.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Sets a field in the place of an earlier one of this name in any case. Set-Cookie and Link
    /// are added, the names in Vary join those that are there. Never a field that frames the
    /// answer: `rules::check_field` refuses those.
    pub fn set(&mut self, name: &str, value: &str) {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        debug_assert!(is_token(name) && is_field_value(value), "{name:?} must have been checked");
        match Manner::of(name) {
            Manner::Add => push_line(&mut self.lines, name, value),
            Manner::Merge => {
                let mut merged = Vec::new();
                self.lines = without(&self.lines, name, |value| merge(&mut merged, value));
                merge(&mut merged, value);
                push_line(&mut self.lines, name, &merged);
            }
            Manner::Replace if self.value(name).is_some() => {
                self.lines = without(&self.lines, name, |_| {});
                push_line(&mut self.lines, name, value);
            }
            Manner::Replace => push_line(&mut self.lines, name, value),
        }
    }

    /// Takes what another one says about caching in the place of what this one says.
    pub fn take_caching_of(&mut self, other: &Self) {
        let mut taken = Vec::with_capacity(self.lines.len());
        for line in lines(&self.lines).filter(|line| !is_for_caches(line.name)) {
            taken.extend_from_slice(line.bytes);
        }
        for line in lines(&other.lines).filter(|line| is_for_caches(line.name)) {
            taken.extend_from_slice(line.bytes);
        }
        self.lines = taken;
    }

    /// Bytes of memory that it owns.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.lines.capacity()
    }

    /// The value of the first field of this name in any case.
    #[must_use]
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        let same = |line: &Line<'_>| line.name.eq_ignore_ascii_case(name);
        lines(&self.lines).find(same).map(|line| line.value)
    }
}

impl Head {
    /// Lays fields over those that are there: of the same name they replace them, whoever set them,
    /// but for what [`Overlay::set`] says of some.
    ///
    /// Content-Type speaks of what was asked for. It is left out where the body is something else:
    /// the page of an error or a redirect, several ranges, or nothing at all. How long a cache may
    /// keep something is not said of an error, only that it may not: what is missing for a moment
    /// would be missing for a year.
    pub fn overlay(&mut self, overlay: &Overlay) {
        if overlay.is_empty() {
            return;
        }
        let mut fields = Vec::with_capacity(self.fields.len() + overlay.lines.len());
        let is_error = self.status() >= 400;
        let is_meant =
            |line: &Line<'_>| !is_error || !is_for_caches(line.name) || forbids_reuse(line.value);
        let over: Vec<Line<'_>> = lines(&overlay.lines).filter(is_meant).collect();
        let keeps_type =
            over.iter().any(|line| is_content_type(line.name)) && !self.has_what_was_asked_for();
        let is_kept = |name: &[u8]| match Manner::of(name) {
            Manner::Add => true,
            Manner::Merge => false,
            Manner::Replace if is_content_type(name) && keeps_type => true,
            Manner::Replace => !over.iter().any(|line| line.name.eq_ignore_ascii_case(name)),
        };
        let mut vary = Vec::new();
        for line in lines(&self.fields) {
            if is_kept(line.name) {
                fields.extend_from_slice(line.bytes);
            } else if Manner::of(line.name) == Manner::Merge {
                merge(&mut vary, line.value);
            }
        }
        for line in &over {
            match Manner::of(line.name) {
                Manner::Merge => merge(&mut vary, line.value),
                Manner::Replace if is_content_type(line.name) && keeps_type => {}
                Manner::Add | Manner::Replace => fields.extend_from_slice(line.bytes),
            }
        }
        if !vary.is_empty() {
            push_line(&mut fields, b"Vary", &vary);
        }
        self.fields = fields;
    }

    /// Whether the body is the thing itself, whole or a part of it.
    fn has_what_was_asked_for(&self) -> bool {
        let is_multipart = |line: Line<'_>| {
            const MULTIPART: &[u8] = b"multipart/byteranges";
            let start = line.value.get(..MULTIPART.len()).unwrap_or_default();
            is_content_type(line.name) && start.eq_ignore_ascii_case(MULTIPART)
        };
        let status = self.status();
        matches!(status, 200..=299)
            && !forbids_body(status)
            && !lines(&self.fields).any(is_multipart)
    }
}

/// Whether a field tells caches how long they may keep an answer.
fn is_for_caches(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] =
        [b"cache-control", b"expires", b"cdn-cache-control", b"surrogate-control"];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a value of Cache-Control forbids to use an answer again without asking.
fn forbids_reuse(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|directive| {
        directive.eq_ignore_ascii_case(b"no-store") || directive.eq_ignore_ascii_case(b"no-cache")
    })
}

/// How fields of the same name go together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// The later one holds. Content-Security-Policy too: two of them would both hold, and a folder
    /// could never be allowed more than the site.
    Replace,
    /// Both hold.
    Add,
    /// They become one list.
    Merge,
}

impl Manner {
    const fn of(name: &[u8]) -> Self {
        if name.eq_ignore_ascii_case(b"vary") {
            Self::Merge
        } else if name.eq_ignore_ascii_case(b"set-cookie") || name.eq_ignore_ascii_case(b"link") {
            Self::Add
        } else {
            Self::Replace
        }
    }
}

const fn is_content_type(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-type")
}

/// One field line with its end, and its parts.
struct Line<'lines> {
    bytes: &'lines [u8],
    name: &'lines [u8],
    value: &'lines [u8],
}

/// The lines of fields in their wire form, all of which were written by this room.
fn lines(fields: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut rest = fields;
    std::iter::from_fn(move || {
        let (bytes, behind) = rest.split_at_checked(memchr(b'\n', rest)? + 1)?;
        rest = behind;
        let (name, value) = bytes.split_at_checked(memchr(b':', bytes)?)?;
        Some(Line { bytes, name, value: value.get(1..)?.trim_ascii() })
    })
}

/// The lines but those of this name, whose values are told.
fn without(fields: &[u8], name: &[u8], mut tell: impl FnMut(&[u8])) -> Vec<u8> {
    let mut kept = Vec::with_capacity(fields.len());
    for line in lines(fields) {
        match line.name.eq_ignore_ascii_case(name) {
            true => tell(line.value),
            false => kept.extend_from_slice(line.bytes),
        }
    }
    kept
}

/// Adds the names of a list to another, without those that it has.
fn merge(list: &mut Vec<u8>, value: &[u8]) {
    for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let known = |other: &[u8]| other.trim_ascii().eq_ignore_ascii_case(name);
        if name.is_empty() || list.split(|byte| *byte == b',').any(known) {
            continue;
        }
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(name);
    }
}

fn push_line(lines: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        lines.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests;
