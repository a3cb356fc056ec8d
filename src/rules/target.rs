//! The target of a redirect or a rewrite: text from the operator to a Location or a path, with
//! what the stars of the pattern matched.
//!
//! `$1` to `$9` stand for the stars, `$$` for a dollar sign. What a star matched is a stranger's:
//! it stays in the part of the target where it stands, names no other host and ends no line. A
//! slash at its start is left out behind a slash, so that `/new/$1` has no empty segment that the
//! request did not have, and never begins with two. Where it would make a `.` or `..` segment, the
//! answer is 404: the path of a request has none.

use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_encode;

use crate::limits::RULE_RESULT_BYTES_MAX;
use crate::limits::RULE_TARGET_BYTES_MAX;
use crate::request::target::check_authority;
use crate::rules::pattern::Captures;
use crate::rules::pattern::has_escape;

/// The target of a redirect.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// `https://example.org`; empty when the target is a path.
    origin: String,
    path: Vec<Piece>,
    query: Option<Vec<Piece>>,
    fragment: Option<Vec<Piece>>,
}

/// The target of a rewrite.
#[derive(Clone, Debug)]
pub struct Rewrite {
    path: Vec<Piece>,
}

/// A part of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// In the form in which it is written out.
    Text(Vec<u8>),
    /// The index of a star.
    Star(usize),
}

/// Why a request and a target make no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It would have a segment of one or two dots.
    DotSegment,
    /// It would be over `RULE_RESULT_BYTES_MAX`.
    TooLong,
}

impl Misfit {
    /// What the client is told.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::DotSegment => 404,
            Self::TooLong => 414,
        }
    }
}

impl Redirect {
    /// Reads a target for a pattern with so many stars: a path with its leading slash, or an
    /// http or https URL; both may have a query and a fragment.
    ///
    /// What is no character of a URI is percent-encoded, and escapes are left as they are.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(text: &str, stars: usize) -> Result<Self, String> {
        check_text(text)?;
        let (rest, fragment) = cut(text, '#');
        let (rest, query) = cut(rest, '?');
        let (origin, path) = match scheme_bytes(rest) {
            Some(bytes) => split_origin(text, rest, bytes)?,
            None => (String::new(), rest),
        };
        if origin.is_empty() && !path.starts_with('/') {
            return Err(format!(
                "\"{text}\" is neither a path nor a URL: begin with a slash, http:// or https://"
            ));
        }
        if origin.is_empty() && (path.starts_with("//") || path.starts_with("/\\")) {
            return Err(format!(
                "\"{text}\" begins with two slashes, which name a host: write one, or https:"
            ));
        }
        if path.split('/').any(is_dotted_in_uri) {
            return Err(format!("\"{text}\" has a dotted segment: write the path without it"));
        }
        let part = |part: &str, set| Pieces { text, stars, set: Some(set) }.read(part);
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self {
            origin,
            path: part(path, OUTSIDE_WRITTEN_PATH)?,
            query: query.map(|query| part(query, OUTSIDE_QUERY)).transpose()?,
            fragment: fragment.map(|fragment| part(fragment, OUTSIDE_QUERY)).transpose()?,
        })
    }

    /// Whether it has stars: otherwise any captures will do.
    #[must_use]
    pub fn uses_captures(&self) -> bool {
        [Some(&self.path), self.query.as_ref(), self.fragment.as_ref()]
            .into_iter()
            .flatten()
            .any(|pieces| has_stars(pieces))
    }

    /// The value of Location, printable ASCII. `query` is that of the request, which is kept unless
    /// the target has its own, even an empty one.
    ///
    /// # Errors
    ///
    /// When there is nothing to redirect to.
    pub fn location(&self, captures: &Captures<'_>, query: &[u8]) -> Result<String, Misfit> {
        let mut path = Vec::new();
        join(&mut path, &self.path, captures, Captured::InPath)?;
        if path.split(|byte| *byte == b'/').any(|segment| dots(segment, Dot::OrEscape)) {
            return Err(Misfit::DotSegment);
        }
        let mut own = Vec::new();
        match &self.query {
            Some(pieces) => join(&mut own, pieces, captures, Captured::InQuery)?,
            None => own.extend(percent_encode(query, OUTSIDE_QUERY).flat_map(str::bytes)),
        }
        let mut location = self.origin.clone().into_bytes();
        location.append(&mut path);
        if !own.is_empty() {
            location.push(b'?');
            location.append(&mut own);
        }
        if let Some(pieces) = &self.fragment {
            location.push(b'#');
            join(&mut own, pieces, captures, Captured::InQuery)?;
            location.append(&mut own);
        }
        if location.len() > RULE_RESULT_BYTES_MAX {
            return Err(Misfit::TooLong);
        }
        debug_assert!(location.is_ascii(), "all parts are percent-encoded");
        Ok(String::from_utf8_lossy(&location).into_owned())
    }
}

impl Rewrite {
    /// Reads a target for a pattern with so many stars: a path in its decoded form.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(text: &str, stars: usize) -> Result<Self, String> {
        check_text(text)?;
        if scheme_bytes(text).is_some() {
            return Err(format!("\"{text}\" is a URL: write a path, or redirect to it"));
        }
        if !text.starts_with('/') {
            return Err(format!("\"{text}\" does not begin with a slash: write \"/{text}\""));
        }
        if text.contains(['?', '#']) {
            return Err(format!(
                "\"{text}\" has a query or fragment: write the path alone, the query is kept"
            ));
        }
        if has_escape(text) {
            return Err(format!("\"{text}\" is percent-encoded: write the characters themselves"));
        }
        let inner = text.trim_end_matches('/').split('/').skip(1);
        if text.ends_with("//") || inner.into_iter().any(|s| matches!(s, "" | "." | "..")) {
            return Err(format!(
                "\"{text}\" has an empty or dotted segment, which no file has: remove it"
            ));
        }
        Ok(Self { path: Pieces { text, stars, set: None }.read(text)? })
    }

    /// Whether it has stars: otherwise any captures will do.
    #[must_use]
    pub fn uses_captures(&self) -> bool {
        has_stars(&self.path)
    }

    /// The decoded path to answer from.
    ///
    /// # Errors
    ///
    /// When there is nothing to answer from.
    pub fn path(&self, captures: &Captures<'_>) -> Result<Vec<u8>, Misfit> {
        let mut path = Vec::new();
        join(&mut path, &self.path, captures, Captured::AsItIs)?;
        match path.split(|byte| *byte == b'/').any(|segment| dots(segment, Dot::Alone)) {
            true => Err(Misfit::DotSegment),
            false => Ok(path),
        }
    }
}

fn has_stars(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Star(_)))
}

// ---- from the operator's text ----------------------------------------------------------------

fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty: write a target such as \"/new/$1\"".to_owned());
    }
    if text.len() > RULE_TARGET_BYTES_MAX {
        return Err(format!(
            "has a target of over {RULE_TARGET_BYTES_MAX} bytes: write a shorter one"
        ));
    }
    match text.chars().any(char::is_control) {
        true => Err(format!("{text:?} has a control character: remove it")),
        false => Ok(()),
    }
}

/// What stands before and behind the first `at`.
fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

/// The length of `http://` or `https://` at the start, in any case.
fn scheme_bytes(text: &str) -> Option<usize> {
    let starts = |scheme: &str| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    ["http://", "https://"].into_iter().find(|scheme| starts(scheme)).map(str::len)
}

fn split_origin<'text>(
    text: &str,
    rest: &'text str,
    scheme_bytes: usize,
) -> Result<(String, &'text str), String> {
    let (scheme, behind) = rest.split_at(scheme_bytes);
    let (authority, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    if authority.contains('$') {
        return Err(format!(
            "\"{text}\" has a $ in its host, which a stranger could choose: write the host itself"
        ));
    }
    if check_authority(authority.as_bytes()).is_err() {
        return Err(format!(
            "\"{text}\" has no host: write one such as https://example.com, without a user"
        ));
    }
    Ok((format!("{}{authority}", scheme.to_ascii_lowercase()), path))
}

/// How a part of a target is read.
struct Pieces<'text> {
    /// The whole target, for messages.
    text: &'text str,
    /// How many stars there are to be named.
    stars: usize,
    /// What is percent-encoded. None: the bytes are written out as they are.
    set: Option<&'static AsciiSet>,
}

impl Pieces<'_> {
    fn read(&self, part: &str) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut characters = part.chars();
        while let Some(character) = characters.next() {
            if character != '$' {
                plain.push(character);
                continue;
            }
            match characters.next() {
                Some('$') => plain.push('$'),
                Some(digit @ '1'..='9') => {
                    self.push_text(&mut pieces, &plain)?;
                    plain.clear();
                    pieces.push(Piece::Star(self.star(digit)?));
                }
                _ => {
                    return Err(self.mistake("a $ without its digit", "write $1 to $9, or $$"));
                }
            }
        }
        self.push_text(&mut pieces, &plain)?;
        Ok(pieces)
    }

    fn star(&self, digit: char) -> Result<usize, String> {
        let number = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
        match number.and_then(|number| number.checked_sub(1)) {
            Some(index) if index < self.stars => Ok(index),
            _ => {
                let remedy = match self.stars {
                    0 => "write $$ for a dollar sign".to_owned(),
                    1 => "write $1, or $$ for a dollar sign".to_owned(),
                    stars => format!("write $1 to ${stars}, or $$ for a dollar sign"),
                };
                let count = match self.stars {
                    0 => "no star".to_owned(),
                    1 => "one star".to_owned(),
                    stars => format!("{stars} stars"),
                };
                Err(self.mistake(&format!("${digit}, and its pattern {count}"), &remedy))
            }
        }
    }

    fn push_text(&self, pieces: &mut Vec<Piece>, plain: &str) -> Result<(), String> {
        if plain.is_empty() {
            return Ok(());
        }
        let Some(set) = self.set else {
            pieces.push(Piece::Text(plain.as_bytes().to_vec()));
            return Ok(());
        };
        let is_escape = |behind: &str| {
            let digits = behind.as_bytes().get(..2);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        if !plain.split('%').skip(1).all(is_escape) {
            return Err(self.mistake("a % without two digits", "write %25 for a percent sign"));
        }
        pieces.push(Piece::Text(percent_encode(plain.as_bytes(), set).to_string().into_bytes()));
        Ok(())
    }

    fn mistake(&self, what: &str, remedy: &str) -> String {
        format!("\"{}\" has {what}: {remedy}", self.text)
    }
}

// ---- with a stranger's bytes -----------------------------------------------------------------

/// How what a star matched is written out.
#[derive(Clone, Copy)]
enum Captured {
    AsItIs,
    InPath,
    InQuery,
}

fn join(
    out: &mut Vec<u8>,
    pieces: &[Piece],
    captures: &Captures<'_>,
    captured: Captured,
) -> Result<(), Misfit> {
    for piece in pieces {
        let mut bytes = match piece {
            Piece::Text(text) => text.as_slice(),
            Piece::Star(index) => captures.get(*index).copied().unwrap_or_default(),
        };
        let in_path = !matches!(captured, Captured::InQuery);
        while in_path && out.ends_with(b"/") && bytes.starts_with(b"/") {
            bytes = bytes.get(1..).unwrap_or_default();
        }
        match (piece, captured) {
            (Piece::Text(_), _) | (_, Captured::AsItIs) => out.extend_from_slice(bytes),
            (_, Captured::InPath) => {
                out.extend(percent_encode(bytes, OUTSIDE_PATH).flat_map(str::bytes));
            }
            (_, Captured::InQuery) => {
                out.extend(percent_encode(bytes, OUTSIDE_COMPONENT).flat_map(str::bytes));
            }
        }
        if out.len() > RULE_RESULT_BYTES_MAX {
            return Err(Misfit::TooLong);
        }
    }
    Ok(())
}

/// What counts as a dot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dot {
    Alone,
    /// Browsers take `%2e` for a dot where they resolve a path (the URL standard, "double-dot URL
    /// path segment").
    OrEscape,
}

fn is_dotted_in_uri(segment: &str) -> bool {
    dots(segment.as_bytes(), Dot::OrEscape)
}

/// Whether a segment is `.` or `..`.
fn dots(segment: &[u8], dot: Dot) -> bool {
    let mut rest = segment;
    for count in 0..=2 {
        rest = match rest {
            [] => return count > 0,
            [b'.', behind @ ..] => behind,
            [b'%', b'2', b'e' | b'E', behind @ ..] if dot == Dot::OrEscape => behind,
            _ => return false,
        };
    }
    false
}

/// What must be escaped in a path of a URI: all but pchar and the slash (RFC 3986 section 3.3).
pub const OUTSIDE_PATH: &AsciiSet = &OUTSIDE_WRITTEN_PATH.add(b'%');

/// The same where the operator may have escaped it.
const OUTSIDE_WRITTEN_PATH: &AsciiSet = &OUTSIDE_QUERY
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What must be escaped in a query or fragment that somebody has written (the URL standard, "query
/// percent-encode set"): browsers leave the rest as it is.
const OUTSIDE_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// What must be escaped in a value within a query: all but unreserved and the slash.
const OUTSIDE_COMPONENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

#[cfg(test)]
mod tests;
