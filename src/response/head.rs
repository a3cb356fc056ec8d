//! The head of an answer: a status, field lines already in their wire form, and what an application
//! said about its length.
//!
//! Takes fields from our own code and from applications, which are not trusted: nothing they give
//! can end a line or frame the body. Gives bytes. It knows neither the body nor the socket.

use std::borrow::Cow;
use std::fmt;

use crate::limits::RESPONSE_HEAD_BYTES_MAX;
use crate::request::head::is_field_value;
use crate::request::head::is_token;
use crate::response::status::reason_phrase;

/// One answer's head. Make it, give it fields, encode it as often as it is sent.
#[derive(Clone, Debug)]
pub struct Head {
    status: u16,
    reason: Cow<'static, [u8]>,
    /// `Name: value\r\n` for each field but Content-Length.
    pub(super) fields: Vec<u8>,
    content_length: Option<u64>,
    has_date: bool,
}

/// How the end of the answer is told to the peer (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimitation {
    /// Content-Length with this many bytes. Also when a HEAD or 304 tells the length of a body that
    /// is not sent.
    Length(u64),
    /// Transfer-Encoding: chunked. To HTTP/1.1 clients alone.
    Chunked,
    /// The end of the connection. The caller says [`ConnectionField::Close`] too.
    Close,
    /// There is no body and nothing is said about one: 1xx, 204, and HEAD or 304 without a length.
    None,
}

/// What the answer says about the connection (RFC 9112 section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionField {
    /// Nothing: an HTTP/1.1 connection goes on.
    Implied,
    /// `Connection: keep-alive`, for an HTTP/1.0 client that asked for it.
    KeepAlive,
    /// `Connection: close`.
    Close,
}

/// Why an application's status or field was refused. Its fault: 500, and this text in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidHeader {
    /// The status is not three digits from 100 on, then nothing or a space and a reason.
    StatusLine(String),
    /// A status below 200 announces another answer (RFC 9110 section 15.2), which WSGI has no way
    /// to give: the client would take the answer to its next request for this one.
    Interim(u16),
    /// A field name that is no token.
    Name(String),
    /// A control byte in the value of this field.
    Value(String),
    /// This field speaks about the connection, which is not the application's (PEP 3333, "Other
    /// HTTP Features").
    HopByHop(String),
    /// This value of Content-Length is no decimal number below 2^64.
    ContentLength(String),
    /// Two Content-Length fields with these different values.
    ContentLengthDiffers(u64, u64),
    /// With this field the head is over `RESPONSE_HEAD_BYTES_MAX`.
    TooLarge(String),
}

impl Head {
    /// A head without fields, with the standard reason phrase. `status` is one of 100..=999.
    #[must_use]
    pub fn new(status: u16) -> Self {
        debug_assert!((100..=999).contains(&status), "a status has three digits");
        Self::with_reason(status, Cow::Borrowed(reason_phrase(status).as_bytes()))
    }

    /// A head with an application's status, such as `404 Not Found` (PEP 3333, "The
    /// `start_response()` Callable"), in Latin-1. Without a reason it gets the standard one.
    ///
    /// # Errors
    ///
    /// When it is not three digits, 200..=999, then nothing or a space and a reason without control
    /// bytes but tab, or when it is longer than a head may be.
    pub fn from_status_line(line: &[u8]) -> Result<Self, InvalidHeader> {
        let invalid = || InvalidHeader::StatusLine(quoted(line));
        let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..] = line else {
            return Err(invalid());
        };
        let digit = |byte: &u8| u16::from(byte - b'0');
        let status = digit(a) * 100 + digit(b) * 10 + digit(c);
        if status < 200 {
            return Err(InvalidHeader::Interim(status));
        }
        let reason = match reason {
            [] => b"",
            [b' ', reason @ ..] if is_field_value(reason) => reason,
            _ => return Err(invalid()),
        };
        if reason.len() > RESPONSE_HEAD_BYTES_MAX {
            return Err(InvalidHeader::TooLarge("status".to_string()));
        }
        let standard = reason_phrase(status).as_bytes();
        if reason.is_empty() || reason == standard {
            return Ok(Self::with_reason(status, Cow::Borrowed(standard)));
        }
        Ok(Self::with_reason(status, Cow::Owned(reason.to_vec())))
    }

    const fn with_reason(status: u16, reason: Cow<'static, [u8]>) -> Self {
        Self { status, reason, fields: Vec::new(), content_length: None, has_date: false }
    }

    /// Adds a field from an application. Content-Length is taken out and kept as a number: how the
    /// answer is delimited is decided by whoever sends it.
    ///
    /// # Errors
    ///
    /// When the name is no token, the value holds a control byte other than tab, the field is
    /// hop-by-hop, a Content-Length is malformed or differs from an earlier one, or the head
    /// would be over its bound. The head is then as it was before.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        if !is_token(name) {
            return Err(InvalidHeader::Name(quoted(name)));
        }
        if !is_field_value(value) {
            return Err(InvalidHeader::Value(quoted(name)));
        }
        if HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop)) {
            return Err(InvalidHeader::HopByHop(quoted(name)));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            return self.keep_content_length(value);
        }
        let bytes = self.reason.len() + self.fields.len() + line_bytes(name, value);
        if bytes > RESPONSE_HEAD_BYTES_MAX {
            return Err(InvalidHeader::TooLarge(quoted(name)));
        }
        self.has_date |= name.eq_ignore_ascii_case(b"date");
        self.append(name, value);
        Ok(())
    }

    fn keep_content_length(&mut self, value: &[u8]) -> Result<(), InvalidHeader> {
        let length =
            parse_decimal(value).ok_or_else(|| InvalidHeader::ContentLength(quoted(value)))?;
        match self.content_length {
            Some(first) if first != length => {
                Err(InvalidHeader::ContentLengthDiffers(first, length))
            }
            _ => {
                self.content_length = Some(length);
                Ok(())
            }
        }
    }

    /// Adds a field of our own, which is known to be good. Neither Date, Content-Length, Connection
    /// nor Transfer-Encoding: [`Head::encode`] writes those.
    pub fn field(&mut self, name: &'static str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        debug_assert!(is_token(name.as_bytes()), "{name}: a field name of ours is a token");
        debug_assert!(is_field_value(value), "{name}: a value of ours has no control byte");
        debug_assert!(!is_written_by_encode(name), "{name}: encode writes it");
        self.append(name.as_bytes(), value);
    }

    fn append(&mut self, name: &[u8], value: &[u8]) {
        self.fields.reserve(line_bytes(name, value));
        self.fields.extend_from_slice(name);
        self.fields.extend_from_slice(b": ");
        self.fields.extend_from_slice(value);
        self.fields.extend_from_slice(b"\r\n");
    }

    /// The status code, 100..=999.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The Content-Length that an application gave.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Appends the whole head, with its empty line, to `out`. `date` is the value of Date
    /// ([`crate::response::date::DateText`]); it is left out when the application gave its own.
    /// An application's Content-Length is not written: say it in `delimitation`.
    pub fn encode(
        &self,
        out: &mut Vec<u8>,
        date: &[u8],
        delimitation: Delimitation,
        connection: ConnectionField,
    ) {
        out.reserve(FRAME_BYTES_MAX + self.reason.len() + date.len() + self.fields.len());
        // Always our own version, also to an HTTP/1.0 client (RFC 9110 section 6.2).
        out.extend_from_slice(b"HTTP/1.1 ");
        push_decimal(out, u64::from(self.status));
        out.push(b' ');
        out.extend_from_slice(&self.reason);
        if self.has_date {
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(b"\r\nDate: ");
            out.extend_from_slice(date);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(&self.fields);
        match delimitation {
            Delimitation::Length(bytes) => {
                out.extend_from_slice(b"Content-Length: ");
                push_decimal(out, bytes);
                out.extend_from_slice(b"\r\n");
            }
            Delimitation::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Delimitation::Close | Delimitation::None => {}
        }
        out.extend_from_slice(match connection {
            ConnectionField::Implied => b"\r\n",
            ConnectionField::KeepAlive => b"Connection: keep-alive\r\n\r\n",
            ConnectionField::Close => b"Connection: close\r\n\r\n",
        });
    }
}

/// The fields of PEP 3333 and of RFC 9110 section 7.6.1 that end at the next hop.
const HOP_BY_HOP: [&[u8]; 10] = [
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"trailers",
    b"transfer-encoding",
    b"upgrade",
];

/// Bytes that `encode` writes at most beside the reason, the date and the fields.
const FRAME_BYTES_MAX: usize = 128;

fn is_written_by_encode(name: &str) -> bool {
    ["date", "content-length", "connection", "transfer-encoding"]
        .iter()
        .any(|written| name.eq_ignore_ascii_case(written))
}

const fn line_bytes(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + b": \r\n".len()
}

/// A stranger's bytes for the log, without control bytes.
fn quoted(bytes: &[u8]) -> String {
    const QUOTED_BYTES_MAX: usize = 80;
    let shown = bytes.get(..QUOTED_BYTES_MAX).unwrap_or(bytes);
    shown.escape_ascii().to_string()
}

/// `1*DIGIT` below 2^64, with white space around it (RFC 9110 section 8.6).
fn parse_decimal(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    // The standard parser would take a sign.
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        first = at;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StatusLine(line) => {
                write!(out, "the status \"{line}\" is not three digits, a space and a reason")
            }
            Self::Interim(status) => {
                write!(out, "the status {status} announces another answer, which WSGI cannot give")
            }
            Self::Name(name) => write!(out, "\"{name}\" is no header name"),
            Self::Value(name) => write!(out, "the value of {name} holds a control character"),
            Self::HopByHop(name) => {
                write!(out, "{name} is a hop-by-hop header, which PEP 3333 keeps for the server")
            }
            Self::ContentLength(value) => {
                write!(out, "Content-Length \"{value}\" is no decimal number")
            }
            Self::ContentLengthDiffers(first, second) => {
                write!(out, "Content-Length is given as {first} and as {second}")
            }
            Self::TooLarge(name) => {
                write!(out, "with {name} the head is over {RESPONSE_HEAD_BYTES_MAX} bytes")
            }
        }
    }
}

impl std::error::Error for InvalidHeader {}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn encoded(head: &Head, delimitation: Delimitation, connection: ConnectionField) -> String {
        let mut out = b"before ".to_vec();
        head.encode(&mut out, DATE, delimitation, connection);
        String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_string()
    }

    #[test]
    fn whole_heads() {
        let mut head = Head::new(200);
        head.field("Content-Type", "text/html");
        head.field("ETag", b"\"1-2\"");
        assert_eq!(
            encoded(&head, Delimitation::Length(1234), ConnectionField::Implied),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: text/html\r\nETag: \"1-2\"\r\nContent-Length: 1234\r\n\r\n"
        );
        assert_eq!(
            encoded(&Head::new(200), Delimitation::Chunked, ConnectionField::KeepAlive),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
        );
        for delimitation in [Delimitation::Close, Delimitation::None] {
            assert_eq!(
                encoded(&Head::new(304), delimitation, ConnectionField::Close),
                "HTTP/1.1 304 Not Modified\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                 Connection: close\r\n\r\n"
            );
        }
    }

    #[test]
    fn the_reserved_room_is_enough_for_the_longest_frame() {
        let head = Head::new(999);
        let text = encoded(&head, Delimitation::Length(u64::MAX), ConnectionField::KeepAlive);
        assert!(text.len() - DATE.len() - head.reason.len() <= FRAME_BYTES_MAX);
    }

    #[test]
    fn an_application_may_give_its_own_date() {
        let mut head = Head::new(200);
        head.push(b"dATE", b"yesterday").unwrap();
        assert_eq!(
            encoded(&head, Delimitation::Length(0), ConnectionField::Implied),
            "HTTP/1.1 200 OK\r\ndATE: yesterday\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn status_lines() {
        let parsed = |line: &[u8]| {
            let head = Head::from_status_line(line)?;
            Ok((head.status(), head.reason.into_owned()))
        };
        let table: &[(&[u8], u16, &[u8])] = &[
            (b"200 OK", 200, b"OK"),
            (b"404 Nothing Here", 404, b"Nothing Here"),
            (b"404", 404, b"Not Found"),
            (b"404 ", 404, b"Not Found"),
            (b"299  two spaces", 299, b" two spaces"),
            (b"999 \xe9t\xe9", 999, b"\xe9t\xe9"),
        ];
        for (line, status, reason) in table {
            assert_eq!(parsed(line), Ok((*status, reason.to_vec())), "{}", line.escape_ascii());
        }
        let bad: [&[u8]; 12] = [
            b"",
            b"2",
            b"20",
            b"2000",
            b"099 Low",
            b"OK",
            b" 200 OK",
            b"200\tOK",
            b"200OK",
            b"200 O\r\nK: v",
            b"200 O\nK",
            b"200 \0",
        ];
        for line in bad {
            let refused = Err(InvalidHeader::StatusLine(line.escape_ascii().to_string()));
            assert_eq!(parsed(line), refused);
        }
        for (line, status) in [(b"100 Continue", 100), (b"199 Whatever", 199)] {
            assert_eq!(parsed(line), Err(InvalidHeader::Interim(status)));
        }
        let long = [b"200 ", "x".repeat(RESPONSE_HEAD_BYTES_MAX + 1).as_bytes()].concat();
        assert_eq!(parsed(&long), Err(InvalidHeader::TooLarge("status".into())));
    }

    #[test]
    fn fields_of_an_application() {
        let mut head = Head::new(200);
        let before = encoded(&head, Delimitation::None, ConnectionField::Implied);
        let refused: &[(&[u8], &[u8], InvalidHeader)] = &[
            (b"", b"v", InvalidHeader::Name(String::new())),
            (b"A B", b"v", InvalidHeader::Name("A B".into())),
            (b"A:", b"v", InvalidHeader::Name("A:".into())),
            (b"A\r\n", b"v", InvalidHeader::Name("A\\r\\n".into())),
            (b"\xe9", b"v", InvalidHeader::Name("\\xe9".into())),
            (b"A", b"v\r\nB: c", InvalidHeader::Value("A".into())),
            (b"A", b"v\n", InvalidHeader::Value("A".into())),
            (b"A", b"\r", InvalidHeader::Value("A".into())),
            (b"A", b"\0", InvalidHeader::Value("A".into())),
            (b"A", b"\x7f", InvalidHeader::Value("A".into())),
            (b"connection", b"close", InvalidHeader::HopByHop("connection".into())),
            (b"Transfer-Encoding", b"x", InvalidHeader::HopByHop("Transfer-Encoding".into())),
            (b"UPGRADE", b"h2c", InvalidHeader::HopByHop("UPGRADE".into())),
        ];
        for (name, value, error) in refused {
            assert_eq!(head.push(name, value), Err(error.clone()));
        }
        assert_eq!(encoded(&head, Delimitation::None, ConnectionField::Implied), before);
        head.push(b"X-A", b"").unwrap();
        head.push(b"Set-Cookie", b"a=1;\tb").unwrap();
        head.push(b"Set-Cookie", b"c=\xc3\xa9").unwrap();
        let text = encoded(&head, Delimitation::None, ConnectionField::Implied);
        assert!(text.ends_with("X-A: \r\nSet-Cookie: a=1;\tb\r\nSet-Cookie: c=é\r\n\r\n"));
    }

    #[test]
    fn content_length_is_kept_as_a_number() {
        let mut head = Head::new(200);
        assert_eq!(head.content_length(), None);
        for bad in ["", "-1", "+1", "1,1", "0x1", "1 1", "18446744073709551616"] {
            let refused = Err(InvalidHeader::ContentLength(bad.into()));
            assert_eq!(head.push(b"Content-Length", bad.as_bytes()), refused);
        }
        assert_eq!(head.content_length(), None);
        head.push(b"content-length", b" 12").unwrap();
        head.push(b"Content-Length", b"12").unwrap();
        let differs = InvalidHeader::ContentLengthDiffers(12, 13);
        assert_eq!(head.push(b"Content-Length", b"13"), Err(differs));
        assert_eq!(head.content_length(), Some(12));
        let text = encoded(&head, Delimitation::Chunked, ConnectionField::Implied);
        assert!(!text.to_ascii_lowercase().contains("content-length"));
    }

    #[test]
    fn the_bound_is_reached_exactly() {
        let mut head = Head::new(200);
        let room = RESPONSE_HEAD_BYTES_MAX - "OK".len() - "A: \r\n".len();
        let value = vec![b'v'; room + 1];
        assert_eq!(head.push(b"A", &value), Err(InvalidHeader::TooLarge("A".into())));
        head.push(b"A", &value[..room]).unwrap();
        assert_eq!(head.push(b"B", b""), Err(InvalidHeader::TooLarge("B".into())));
    }

    #[test]
    fn errors_name_the_field() {
        let mut head = Head::new(200);
        let text = |result: Result<(), InvalidHeader>| result.unwrap_err().to_string();
        assert!(text(head.push(b"X-Bad", b"\n")).contains("X-Bad"));
        assert!(text(head.push(b"Keep-Alive", b"5")).contains("Keep-Alive"));
        assert!(text(head.push(b"Content-Length", b"five")).contains("five"));
        // What goes to the log holds no control byte and no whole head.
        let long = text(head.push(&b"\x1b[2J\n".repeat(1000), b""));
        assert!(long.len() < 1000 && is_field_value(long.as_bytes()), "{long}");
    }

    #[test]
    fn decimals_agree_with_the_standard_formatter() {
        let mut numbers = vec![0, 9, 10, 99, 100, u64::MAX - 1, u64::MAX];
        numbers.extend((0..64).map(|bit| 1_u64 << bit));
        for number in numbers {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
