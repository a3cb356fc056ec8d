//! The head of a request: bytes to a checked [`Request`], to "more bytes needed", or to a refusal.
//!
//! httparse knows the grammar; this file adds what httparse lets pass (bare LF, any number of empty
//! lines), the bounds, and the fields that the connection itself obeys. It borrows from the bytes
//! and copies nothing. It knows nothing of sockets, routes or bodies.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::mem::MaybeUninit;

use memchr::memchr;
use memchr::memchr_iter;

use crate::limits;
use crate::request::Expectation;
use crate::request::Framing;
use crate::request::Method;
use crate::request::Persistence;
use crate::request::Reject;
use crate::request::Request;
use crate::request::Version;
use crate::request::framing;
use crate::request::target;

/// Room for the header fields of one head, for [`parse`] to fill. Costs nothing to make.
pub type HeaderSlots<'b> = [MaybeUninit<httparse::Header<'b>>; limits::HEADER_COUNT_MAX];

/// Empty slots. Each call of [`parse`] wants new ones.
#[must_use]
pub const fn header_slots<'b>() -> HeaderSlots<'b> {
    [const { MaybeUninit::uninit() }; limits::HEADER_COUNT_MAX]
}

/// What [`parse`] found.
#[derive(Clone, Debug)]
pub enum Parsed<'b> {
    /// A whole, good head. It used `request.head.len()` bytes.
    Complete(Request<'b>),
    /// All bytes so far belong to a head that goes on, and nothing is wrong yet.
    NeedMore,
    /// Answer with the status of this, then close.
    Refused(Reject),
}

/// Parses the head at the start of `bytes`, which may hold less or more than one head.
///
/// Up to two empty lines before the request line are forgiven and count as bytes of the head
/// (RFC 9112 section 2.2). HTTP/1.2 to 1.9 are taken for HTTP/1.1 (RFC 9110 section 2.5); other
/// versions are refused with 505. Never answers `NeedMore` when `bytes` has `HEAD_BYTES_MAX` bytes
/// or more.
pub fn parse<'b>(bytes: &'b [u8], slots: &'b mut HeaderSlots<'b>) -> Parsed<'b> {
    match parse_head(bytes, slots) {
        Ok(Some(request)) => Parsed::Complete(request),
        Ok(None) => Parsed::NeedMore,
        Err(reject) => Parsed::Refused(reject),
    }
}

fn parse_head<'b>(
    bytes: &'b [u8],
    slots: &'b mut HeaderSlots<'b>,
) -> Result<Option<Request<'b>>, Reject> {
    let window = bytes.get(..limits::HEAD_BYTES_MAX).unwrap_or(bytes);
    let from_method = skip_empty_lines(window)?;
    let words = match later_minor_line(from_method) {
        None => take_apart(window, from_method, slots)?,
        Some(line) => take_apart_later_minor(window, from_method, line, slots)?,
    };
    let Some(Words { head, method_name, raw_target, version, headers }) = words else {
        return Ok(None);
    };
    check_line_ends(head)?;
    check_request_line(method_name, raw_target)?;
    let method = Method::from_name(method_name);
    let noticed = notice(version, headers)?;
    if version == Version::Http11 && noticed.host.is_none() {
        return Err(Reject::HostMissing);
    }
    if method == Method::Connect {
        return Err(Reject::Connect);
    }
    let (target, authority) = target::parse(method, raw_target)?;
    // RFC 9112 section 3.2.2: the authority of the target wins over Host.
    let host = authority.or(noticed.host).unwrap_or_default();
    let framing = framing::decide(version, head, headers)?;
    let expectation = match (noticed.expectation?, framing) {
        // RFC 9110 section 10.1.1: nobody waits to send what is not there.
        (_, Framing::None | Framing::Length(0)) => Expectation::None,
        (expectation, _) => expectation,
    };
    Ok(Some(Request {
        head,
        method,
        method_name,
        raw_target,
        target,
        version,
        headers,
        host,
        framing,
        persistence: noticed.persistence,
        expectation,
    }))
}

/// A whole head, cut into its words.
struct Words<'b> {
    head: &'b [u8],
    method_name: &'b str,
    raw_target: &'b str,
    version: Version,
    headers: &'b [httparse::Header<'b>],
}

fn take_apart<'b>(
    window: &'b [u8],
    from_method: &'b [u8],
    slots: &'b mut HeaderSlots<'b>,
) -> Result<Option<Words<'b>>, Reject> {
    let mut found = httparse::Request::new(&mut []);
    match found.parse_with_uninit_headers(window, slots) {
        Ok(httparse::Status::Complete(used)) => {
            let (Some(method_name), Some(raw_target), Some(minor)) =
                (found.method, found.path, found.version)
            else {
                return Err(Reject::RequestLine);
            };
            let head = window.get(..used).unwrap_or(window);
            let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
            Ok(Some(Words { head, method_name, raw_target, version, headers: found.headers }))
        }
        Ok(httparse::Status::Partial) => {
            check_begun(window, from_method, found.method, found.path).map(|()| None)
        }
        Err(httparse::Error::Version) => {
            check_unknown_version(from_method, found.method, found.path)?;
            check_begun(window, from_method, found.method, found.path).map(|()| None)
        }
        Err(error) => Err(refusal(error)),
    }
}

/// The request line, when it has come whole and names HTTP/1.2 to 1.9. httparse knows them not, and
/// to ask beforehand costs one look for the first line's end.
fn later_minor_line(from_method: &[u8]) -> Option<&[u8]> {
    let line = from_method.get(..=memchr(b'\n', from_method)?)?;
    match line {
        [.., b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', b'\r', b'\n'] => Some(line),
        _ => None,
    }
}

/// As `take_apart`, for a request line that is read as HTTP/1.1: a minor version promises that
/// what an older recipient does not know can be ignored (RFC 9110 section 2.5).
fn take_apart_later_minor<'b>(
    window: &'b [u8],
    from_method: &'b [u8],
    line: &'b [u8],
    slots: &'b mut HeaderSlots<'b>,
) -> Result<Option<Words<'b>>, Reject> {
    let mut found = httparse::Request::new(&mut []);
    if let Err(error) = found.parse(line)
        && error != httparse::Error::Version
    {
        return Err(refusal(error));
    }
    let (Some(method_name), Some(raw_target)) = (found.method, found.path) else {
        return Err(Reject::RequestLine);
    };
    let line_bytes = method_name.len() + raw_target.len() + "  HTTP/1.2\r\n".len();
    if line.len() != line_bytes {
        return Err(Reject::VersionMalformed);
    }
    let fields = from_method.get(line.len()..).unwrap_or_default();
    let slots = slots.write_copy_of_slice(&[httparse::EMPTY_HEADER; limits::HEADER_COUNT_MAX]);
    match httparse::parse_headers(fields, slots) {
        Ok(httparse::Status::Complete((used, headers))) => {
            let before_fields = window.len() - fields.len();
            let head = window.get(..before_fields + used).unwrap_or(window);
            let version = Version::Http11;
            Ok(Some(Words { head, method_name, raw_target, version, headers }))
        }
        Ok(httparse::Status::Partial) => {
            check_begun(window, from_method, Some(method_name), Some(raw_target)).map(|()| None)
        }
        Err(error) => Err(refusal(error)),
    }
}

/// What stands behind the empty lines that are forgiven before a request line. httparse would skip
/// any number of them, and bare LF too.
fn skip_empty_lines(bytes: &[u8]) -> Result<&[u8], Reject> {
    let mut rest = bytes;
    for _ in 0..limits::LEADING_LINES_MAX {
        match rest.strip_prefix(b"\r\n") {
            Some(behind) => rest = behind,
            None if rest.first() == Some(&b'\n') => return Err(Reject::LineEnd),
            None => return Ok(rest),
        }
    }
    match rest.first() {
        Some(b'\r' | b'\n') => Err(Reject::LeadingLines),
        _ => Ok(rest),
    }
}

/// A head that goes on: is it still within the bounds, and clean so far?
fn check_begun(
    window: &[u8],
    from_method: &[u8],
    method: Option<&str>,
    target: Option<&str>,
) -> Result<(), Reject> {
    check_line_ends(window)?;
    match (method, target) {
        (None, _) if from_method.len() > limits::METHOD_BYTES_MAX => {
            return Err(Reject::MethodTooLong);
        }
        (None, _) => {}
        (Some(method), None) => {
            let before_target = method.len().saturating_add(1);
            let target_bytes = from_method.len().saturating_sub(before_target);
            check_request_line(method, "")?;
            if target_bytes > limits::TARGET_BYTES_MAX {
                return Err(Reject::TargetTooLong);
            }
        }
        (Some(method), Some(target)) => check_request_line(method, target)?,
    }
    match window.len() >= limits::HEAD_BYTES_MAX {
        true => Err(Reject::HeadTooLarge),
        false => Ok(()),
    }
}

fn check_request_line(method: &str, target: &str) -> Result<(), Reject> {
    if method.len() > limits::METHOD_BYTES_MAX {
        return Err(Reject::MethodTooLong);
    }
    if target.len() > limits::TARGET_BYTES_MAX {
        return Err(Reject::TargetTooLong);
    }
    Ok(())
}

/// RFC 9112 section 2.2 lets a reader take a bare LF for a line's end. Readers that do and readers
/// that do not see different requests in the same bytes, so it is refused.
fn check_line_ends(head: &[u8]) -> Result<(), Reject> {
    let is_bare = |at: usize| at.checked_sub(1).and_then(|before| head.get(before)) != Some(&b'\r');
    match memchr_iter(b'\n', head).any(is_bare) {
        true => Err(Reject::LineEnd),
        false => Ok(()),
    }
}

/// httparse has met a version other than 1.0 and 1.1, or its beginning: 505 when it looks like a
/// version (RFC 9112 section 2.3), 400 when not, `Ok` when its line has not come whole.
fn check_unknown_version(
    from_method: &[u8],
    method: Option<&str>,
    target: Option<&str>,
) -> Result<(), Reject> {
    const SHAPE: &[u8; 8] = b"HTTP/0.0";
    let words_bytes = |word: Option<&str>| word.unwrap_or_default().len().saturating_add(1);
    let before = words_bytes(method).saturating_add(words_bytes(target));
    let version = from_method.get(before..).unwrap_or_default();
    let looks_right = version.iter().zip(SHAPE).all(|(byte, model)| match model {
        b'0' => byte.is_ascii_digit(),
        _ => byte == model,
    });
    match (looks_right, version) {
        (false, _) => Err(Reject::VersionMalformed),
        // HTTP/1.2 to 1.9, and the line's end is still to come.
        (true, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, end @ ..]) => match end {
            [] | [b'\r'] => Ok(()),
            _ => Err(Reject::LineEnd),
        },
        // RFC 9112 section 2.3: one digit on each side.
        (true, [_, _, _, _, _, _, _, _, digit, ..]) if digit.is_ascii_digit() => {
            Err(Reject::VersionMalformed)
        }
        (true, _) if version.len() > SHAPE.len() => Err(Reject::VersionUnsupported),
        (true, _) => Ok(()),
    }
}

const fn refusal(error: httparse::Error) -> Reject {
    match error {
        httparse::Error::HeaderName => Reject::FieldName,
        httparse::Error::HeaderValue => Reject::FieldValue,
        httparse::Error::NewLine => Reject::LineEnd,
        httparse::Error::TooManyHeaders => Reject::TooManyFields,
        httparse::Error::Version => Reject::VersionMalformed,
        httparse::Error::Token | httparse::Error::Status => Reject::RequestLine,
    }
}

/// The method of a head that was refused or has not come whole, as far as it can be told: the
/// answer to HEAD has no body even then (RFC 9110 section 9.3.2).
#[must_use]
pub fn method_begun(bytes: &[u8]) -> Method {
    let mut from_method = bytes;
    while let Some(behind) = from_method.strip_prefix(b"\r\n") {
        from_method = behind;
    }
    match from_method.starts_with(b"HEAD ") {
        true => Method::Head,
        false => Method::Other,
    }
}

/// What the fields say that the connection itself obeys, framing apart.
struct Noticed<'b> {
    host: Option<&'b [u8]>,
    persistence: Persistence,
    /// Refused behind everything else: what is malformed gets its 400 and not a 417.
    expectation: Result<Expectation, Reject>,
}

fn notice<'b>(
    version: Version,
    headers: &'b [httparse::Header<'b>],
) -> Result<Noticed<'b>, Reject> {
    let mut host = None;
    let mut content_type = None;
    let mut close = false;
    let mut keep_alive = version == Version::Http11;
    let mut expectation = Ok(Expectation::None);
    for field in headers {
        // The length first: most fields are passed by on it alone.
        match field.name.len() {
            4 if field.name.eq_ignore_ascii_case("host") => {
                if host.replace(field.value).is_some() {
                    return Err(Reject::HostRepeated);
                }
                target::check_authority(field.value)
                    .map_err(|target::Malformed| Reject::HostMalformed)?;
            }
            // RFC 9110 section 10.1.1: HTTP/1.0 has no expectations.
            6 if version == Version::Http11 && field.name.eq_ignore_ascii_case("expect") => {
                for expected in list_members(field.value) {
                    expectation = match expectation {
                        Ok(_) if expected.eq_ignore_ascii_case(b"100-continue") => {
                            Ok(Expectation::Continue)
                        }
                        _ => Err(Reject::ExpectationUnknown),
                    };
                }
            }
            10 if field.name.eq_ignore_ascii_case("connection") => {
                for option in list_members(field.value) {
                    close |= option.eq_ignore_ascii_case(b"close");
                    keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            12 if field.name.eq_ignore_ascii_case("content-type") => {
                // An application would see one of them or both joined: neither is what was meant.
                match content_type.replace(field.value) {
                    Some(first) if first != field.value => return Err(Reject::ContentTypesDiffer),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    // RFC 9112 section 9.3: close wins over keep-alive.
    let persistence =
        if keep_alive && !close { Persistence::KeepAlive } else { Persistence::Close };
    Ok(Noticed { host, persistence, expectation })
}

/// The members of a comma-separated list, empty ones left out (RFC 9110 section 5.6.1.2).
fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Remembers how much of a growing head was looked at, so that a head that comes byte by byte costs
/// linear time. One for each head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    looked_bytes: usize,
    /// At this size the head is parsed even without an empty line in sight.
    parse_at_bytes: usize,
}

impl Scan {
    /// For a head of which nothing was looked at yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { looked_bytes: 0, parse_at_bytes: 1 }
    }

    /// Whether [`parse`] is worth calling on these bytes: the whole buffer from the head's first
    /// byte, at each call a longer one.
    ///
    /// Says yes at the first look, when an empty line has come, and whenever the size passes a
    /// power of two: so bytes that are no HTTP at all (a TLS hello, bare LF) are refused early.
    pub fn worth_parsing(&mut self, bytes: &[u8]) -> bool {
        let grown = bytes.len() >= self.parse_at_bytes || bytes.len() >= limits::HEAD_BYTES_MAX;
        let from = self.looked_bytes.saturating_sub(EMPTY_LINE.len().saturating_sub(1));
        self.looked_bytes = bytes.len();
        if grown {
            self.parse_at_bytes = bytes.len().saturating_add(1).next_power_of_two();
            return true;
        }
        has_empty_line(bytes.get(from..).unwrap_or(bytes))
    }
}

const EMPTY_LINE: &[u8] = b"\r\n\r\n";

/// Also with bare LF: who ends a head so waits for an answer, and gets a refusal.
fn has_empty_line(bytes: &[u8]) -> bool {
    memchr_iter(b'\n', bytes).any(|at| {
        let behind = bytes.get(at.saturating_add(1)..).unwrap_or_default();
        matches!(behind, [b'\n', ..] | [b'\r', b'\n', ..])
    })
}

impl Default for Scan {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether these bytes are a token (RFC 9110 section 5.6.2): not empty, no delimiter, no space.
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    let is_tchar = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
    };
    !bytes.is_empty() && bytes.iter().all(is_tchar)
}

/// Whether these bytes may stand in a field value (RFC 9110 section 5.5): no control byte but tab.
#[must_use]
pub fn is_field_value(bytes: &[u8]) -> bool {
    // Without a way out of the loop the compiler looks at many bytes at once.
    bytes
        .iter()
        .fold(true, |clean, byte| clean & ((*byte >= b' ') | (*byte == b'\t')) & (*byte != 0x7f))
}

#[cfg(test)]
mod tests;
