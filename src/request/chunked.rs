//! The chunked coding of request bodies, decoded as the bytes come (RFC 9112 section 7.1).
//!
//! Takes pieces of what stands behind a head, appends the body's bytes to a buffer of the caller.
//! Strict where readers might disagree, bounded wherever the peer decides how much comes. It throws
//! extensions and trailers away after a check, and knows neither the size limit of a body nor the
//! socket.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use memchr::memchr;

use crate::limits::CHUNK_EXTENSION_BYTES_MAX;
use crate::limits::CHUNK_LINE_BYTES_MAX;
use crate::limits::TRAILER_BYTES_MAX;
use crate::request::Reject;
use crate::request::head::is_field_value;
use crate::request::head::is_token;

/// Decodes one chunked body. Use a new one for each request.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The begun line, when its end has not come yet.
    line: Vec<u8>,
    extension_bytes: usize,
    trailer_bytes: usize,
}

/// How far the body is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All `used` bytes of the input are used, and the body goes on.
    NeedMore {
        /// Bytes of the input that were used: all.
        used: usize,
    },
    /// The body has ended. What stands behind `used` bytes of the input is the next request.
    Complete {
        /// Bytes of the input that were used.
        used: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In a line with a chunk's size.
    Size,
    /// In a chunk's data; so many bytes of it are still to come, never 0.
    Data(u64),
    /// Behind a chunk's data, where CR must stand.
    DataCr,
    /// Behind that CR, where LF must stand.
    DataLf,
    /// In a trailer line.
    Trailer,
    /// Behind the empty line that ends the trailer section.
    End,
}

impl Decoder {
    /// A decoder that stands before the first chunk.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Size, line: Vec::new(), extension_bytes: 0, trailer_bytes: 0 }
    }

    /// Decodes as much of `input` as it can, and appends body bytes to `body`: never more than
    /// `input` holds. The caller compares the sum with the limit for bodies.
    ///
    /// # Errors
    ///
    /// When the coding is malformed or over a bound. The decoder must not be used again.
    pub fn decode(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<Progress, Reject> {
        let mut rest = input;
        while !rest.is_empty() && !matches!(self.state, State::End) {
            rest = match self.state {
                State::Size => self.size_line(rest)?,
                State::Data(left) => self.data(left, rest, body),
                State::DataCr => self.delimiter(b'\r', State::DataLf, rest)?,
                State::DataLf => self.delimiter(b'\n', State::Size, rest)?,
                State::Trailer => self.trailer_line(rest)?,
                State::End => rest,
            };
        }
        let used = input.len().saturating_sub(rest.len());
        match self.state {
            State::End => Ok(Progress::Complete { used }),
            _ => Ok(Progress::NeedMore { used }),
        }
    }

    fn size_line<'i>(&mut self, input: &'i [u8]) -> Result<&'i [u8], Reject> {
        let (begun, rest) = match self.take_line(input, CHUNK_LINE_BYTES_MAX) {
            Line::Whole { begun, rest } => (begun, rest),
            Line::Begun => return Ok(&[]),
            Line::TooLong => return Err(Reject::ChunkLineTooLong),
        };
        let line = joined(&begun, input, rest);
        let (size, extension_bytes) = parse_size_line(line)?;
        self.extension_bytes = self.extension_bytes.saturating_add(extension_bytes);
        if self.extension_bytes > CHUNK_EXTENSION_BYTES_MAX {
            return Err(Reject::ChunkExtensionsTooLong);
        }
        self.state = if size == 0 { State::Trailer } else { State::Data(size) };
        Ok(rest)
    }

    fn data<'i>(&mut self, left: u64, input: &'i [u8], body: &mut Vec<u8>) -> &'i [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (data, rest) = input.split_at_checked(here).unwrap_or((input, &[]));
        body.extend_from_slice(data);
        self.state = match left.saturating_sub(data.len() as u64) {
            0 => State::DataCr,
            left => State::Data(left),
        };
        rest
    }

    fn delimiter<'i>(
        &mut self,
        expected: u8,
        next: State,
        input: &'i [u8],
    ) -> Result<&'i [u8], Reject> {
        match input.split_first() {
            Some((byte, rest)) if *byte == expected => {
                self.state = next;
                Ok(rest)
            }
            _ => Err(Reject::ChunkEnd),
        }
    }

    fn trailer_line<'i>(&mut self, input: &'i [u8]) -> Result<&'i [u8], Reject> {
        let bytes_max = TRAILER_BYTES_MAX.saturating_sub(self.trailer_bytes);
        let (begun, rest) = match self.take_line(input, bytes_max) {
            Line::Whole { begun, rest } => (begun, rest),
            Line::Begun => return Ok(&[]),
            Line::TooLong => return Err(Reject::TrailersTooLarge),
        };
        let line = joined(&begun, input, rest);
        self.trailer_bytes = self.trailer_bytes.saturating_add(line.len());
        if line == b"\r\n" {
            self.state = State::End;
        } else {
            check_trailer(line)?;
        }
        Ok(rest)
    }

    /// Looks for the end of the line that `input` goes on with. A line that comes in pieces is
    /// collected; one that comes whole, as most do, is not copied.
    fn take_line<'i>(&mut self, input: &'i [u8], bytes_max: usize) -> Line<'i> {
        let room = bytes_max.saturating_sub(self.line.len());
        let window = input.get(..room).unwrap_or(input);
        let line_end = memchr(b'\n', window).map(|at| at.saturating_add(1));
        match line_end.and_then(|end| input.split_at_checked(end)) {
            Some((_, rest)) if self.line.is_empty() => Line::Whole { begun: Vec::new(), rest },
            Some((line, rest)) => {
                self.line.extend_from_slice(line);
                Line::Whole { begun: std::mem::take(&mut self.line), rest }
            }
            // At least the LF is still to come.
            None if input.len() >= room => Line::TooLong,
            None => {
                self.line.extend_from_slice(input);
                Line::Begun
            }
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

enum Line<'i> {
    /// The line has ended before `rest`. `begun` is all of it when it came in pieces, else empty.
    Whole {
        begun: Vec<u8>,
        rest: &'i [u8],
    },
    /// All of the input belongs to the line, and it goes on.
    Begun,
    TooLong,
}

/// The whole line with its LF: collected, or the start of `input` up to `rest`.
fn joined<'l>(begun: &'l [u8], input: &'l [u8], rest: &[u8]) -> &'l [u8] {
    match begun {
        [] => input.get(..input.len().saturating_sub(rest.len())).unwrap_or_default(),
        _ => begun,
    }
}

/// `chunk-size [ chunk-ext ] CRLF` (RFC 9112 section 7.1). Gives the size and the bytes of the
/// extension.
///
/// White space behind the size is refused, although the grammar has it before a `;`: what others
/// read there differs too much.
fn parse_size_line(line: &[u8]) -> Result<(u64, usize), Reject> {
    let line = line.strip_suffix(b"\r\n").ok_or(Reject::ChunkSize)?;
    let digit_count = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at_checked(digit_count).ok_or(Reject::ChunkSize)?;
    // 16 digits are 64 bits. More, even zeros, are refused: some reader would overflow.
    if digits.is_empty() || digits.len() > 16 {
        return Err(Reject::ChunkSize);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Reject::ChunkSize)?;
    let size = u64::from_str_radix(digits, 16).map_err(|_| Reject::ChunkSize)?;
    match extension.first() {
        None => Ok((size, 0)),
        Some(b';') if is_field_value(extension) => Ok((size, extension.len())),
        Some(b';') => Err(Reject::ChunkExtension),
        Some(_) => Err(Reject::ChunkSize),
    }
}

/// A trailer field is a field line (RFC 9112 section 7.1.2), and no field that frames or routes
/// the message (RFC 9110 section 6.5.1).
fn check_trailer(line: &[u8]) -> Result<(), Reject> {
    let line = line.strip_suffix(b"\r\n").ok_or(Reject::TrailerMalformed)?;
    let colon = memchr(b':', line).ok_or(Reject::TrailerMalformed)?;
    let (name, value) = line.split_at_checked(colon).ok_or(Reject::TrailerMalformed)?;
    if !is_token(name) || !is_field_value(value) {
        return Err(Reject::TrailerMalformed);
    }
    match TRAILERS_FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)) {
        true => Err(Reject::TrailerForbidden),
        false => Ok(()),
    }
}

const TRAILERS_FORBIDDEN: [&[u8]; 10] = [
    b"authorization",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"expect",
    b"host",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// What became of one input: the body and the bytes used, more wanted, or the refusal.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Outcome {
        Complete(Vec<u8>, usize),
        NeedMore(Vec<u8>),
        Refused(Reject),
    }

    fn decode_in_pieces<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
        let mut decoder = Decoder::new();
        let mut body = Vec::new();
        let mut used_before = 0;
        for piece in pieces {
            match decoder.decode(piece, &mut body) {
                Ok(Progress::Complete { used }) => {
                    return Outcome::Complete(body, used_before + used);
                }
                Ok(Progress::NeedMore { used }) => assert_eq!(used, piece.len()),
                Err(reject) => return Outcome::Refused(reject),
            }
            used_before += piece.len();
        }
        Outcome::NeedMore(body)
    }

    /// The slow twin: has all bytes at once, cuts line by line.
    fn slow(input: &[u8]) -> Outcome {
        let mut body = Vec::new();
        match slow_decode(input, &mut body) {
            Ok(Some(used)) => Outcome::Complete(body, used),
            Ok(None) => Outcome::NeedMore(body),
            Err(reject) => Outcome::Refused(reject),
        }
    }

    fn slow_decode(input: &[u8], body: &mut Vec<u8>) -> Result<Option<usize>, Reject> {
        let mut at = 0;
        let mut extensions = 0;
        loop {
            let line = slow_line(&input[at..], CHUNK_LINE_BYTES_MAX, Reject::ChunkLineTooLong)?;
            let Some(line) = line else { return Ok(None) };
            at += line.len();
            let text = line.strip_suffix("\r\n").ok_or(Reject::ChunkSize)?;
            let (size, extension) = match text.find(';') {
                Some(at) => (&text[..at], &text[at..]),
                None => (text, ""),
            };
            let hex = !size.is_empty() && size.chars().all(|c| c.is_ascii_hexdigit());
            if !hex || size.len() > 16 {
                return Err(Reject::ChunkSize);
            }
            if extension.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
                return Err(Reject::ChunkExtension);
            }
            extensions += extension.len();
            if extensions > CHUNK_EXTENSION_BYTES_MAX {
                return Err(Reject::ChunkExtensionsTooLong);
            }
            let size = u128::from_str_radix(size, 16).unwrap();
            if size == 0 {
                break;
            }
            let here = size.min((input.len() - at) as u128);
            let here = usize::try_from(here).unwrap();
            body.extend_from_slice(&input[at..at + here]);
            at += here;
            for expected in b"\r\n" {
                match input.get(at) {
                    None => return Ok(None),
                    Some(byte) if byte == expected => at += 1,
                    Some(_) => return Err(Reject::ChunkEnd),
                }
            }
        }
        let trailers_at = at;
        loop {
            let room = TRAILER_BYTES_MAX - (at - trailers_at);
            let Some(line) = slow_line(&input[at..], room, Reject::TrailersTooLarge)? else {
                return Ok(None);
            };
            at += line.len();
            if line == "\r\n" {
                return Ok(Some(at));
            }
            let text = line.strip_suffix("\r\n").ok_or(Reject::TrailerMalformed)?;
            let (name, value) = text.split_once(':').ok_or(Reject::TrailerMalformed)?;
            let tchar = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let clean = value.bytes().all(|byte| byte == b'\t' || byte >= b' ' && byte != 0x7f);
            if name.is_empty() || !name.chars().all(tchar) || !clean {
                return Err(Reject::TrailerMalformed);
            }
            let name = name.to_ascii_lowercase();
            if TRAILERS_FORBIDDEN.contains(&name.as_bytes()) {
                return Err(Reject::TrailerForbidden);
            }
        }
    }

    /// The line with its end. The inputs that come here are ASCII.
    fn slow_line(input: &[u8], max: usize, too_long: Reject) -> Result<Option<&str>, Reject> {
        let end = input.iter().position(|byte| *byte == b'\n');
        match end {
            Some(end) if end < max => Ok(Some(std::str::from_utf8(&input[..=end]).unwrap())),
            Some(_) => Err(too_long),
            None if input.len() >= max => Err(too_long),
            None => Ok(None),
        }
    }

    fn check_every_cut(input: &[u8]) -> Outcome {
        let whole = slow(input);
        assert_eq!(decode_in_pieces([input]), whole, "{}", input.escape_ascii());
        assert_eq!(decode_in_pieces(input.chunks(1)), whole, "{}", input.escape_ascii());
        for at in 0..=input.len() {
            let (first, second) = input.split_at(at);
            let cut = decode_in_pieces([first, second]);
            assert_eq!(cut, whole, "cut at {at}: {}", input.escape_ascii());
        }
        whole
    }

    #[test]
    fn good_bodies() {
        let complete = |input: &[u8], body: &[u8], used: usize| {
            assert_eq!(check_every_cut(input), Outcome::Complete(body.to_vec(), used));
        };
        complete(b"0\r\n\r\n", b"", 5);
        complete(b"5\r\nhello\r\n0\r\n\r\nGET /", b"hello", 15);
        complete(b"A\r\n0123456789\r\n1\r\n\n\r\n000\r\n\r\n", b"0123456789\n", 28);
        complete(b"2;a=b;c=\"d e\"\r\nhi\r\n0;x\r\n\r\n", b"hi", 26);
        complete(b"0\r\nX-Sum: 5\r\nY:\t\r\n\r\n", b"", 20);
        complete(b"000000000000000f\r\n0123456789abcde\r\n0\r\n\r\n", b"0123456789abcde", 40);
    }

    #[test]
    fn bad_bodies() {
        let table: &[(&[u8], Reject)] = &[
            (b"\r\n", Reject::ChunkSize),
            (b"5\nhello\r\n0\r\n\r\n", Reject::ChunkSize),
            (b"0x5\r\nhello", Reject::ChunkSize),
            (b"+5\r\nhello", Reject::ChunkSize),
            (b"-1\r\n", Reject::ChunkSize),
            (b" 5\r\nhello", Reject::ChunkSize),
            (b"5 \r\nhello", Reject::ChunkSize),
            (b"5 ;a\r\nhello", Reject::ChunkSize),
            (b"5_0\r\nhello", Reject::ChunkSize),
            (b"g\r\n", Reject::ChunkSize),
            (b";a\r\n", Reject::ChunkSize),
            (b"5\r\r\nhello", Reject::ChunkSize),
            (b"00000000000000000\r\n\r\n", Reject::ChunkSize),
            (b"10000000000000000\r\n", Reject::ChunkSize),
            (b"5;a\rb\r\nhello", Reject::ChunkExtension),
            (b"5;a\0\r\nhello", Reject::ChunkExtension),
            (b"5;a\x7f\r\nhello", Reject::ChunkExtension),
            (b"5\r\nhello0\r\n\r\n", Reject::ChunkEnd),
            (b"5\r\nhello\n0\r\n\r\n", Reject::ChunkEnd),
            (b"5\r\nhello\r0\r\n\r\n", Reject::ChunkEnd),
            (b"5\r\nhello!\r\n", Reject::ChunkEnd),
            (b"0\r\n\n", Reject::TrailerMalformed),
            (b"0\r\nA: b\n\r\n", Reject::TrailerMalformed),
            (b"0\r\nGET / HTTP/1.1\r\n\r\n", Reject::TrailerMalformed),
            (b"0\r\nA : b\r\n\r\n", Reject::TrailerMalformed),
            (b"0\r\n: b\r\n\r\n", Reject::TrailerMalformed),
            (b"0\r\nA: b\r\n c\r\n\r\n", Reject::TrailerMalformed),
            (b"0\r\nA: b\0\r\n\r\n", Reject::TrailerMalformed),
            (b"0\r\nA: b\rc\r\n\r\n", Reject::TrailerMalformed),
            (b"0\r\nHost: b\r\n\r\n", Reject::TrailerForbidden),
            (b"0\r\ncontent-length: 0\r\n\r\n", Reject::TrailerForbidden),
            (b"0\r\nTRANSFER-ENCODING:chunked\r\n\r\n", Reject::TrailerForbidden),
        ];
        for (input, reject) in table {
            let outcome = check_every_cut(input);
            assert_eq!(outcome, Outcome::Refused(*reject), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn a_size_of_64_bits_reserves_nothing() {
        let outcome = check_every_cut(b"ffffffffffffffff\r\nabc");
        assert_eq!(outcome, Outcome::NeedMore(b"abc".to_vec()));
    }

    #[test]
    fn extensions_may_hold_bytes_above_ascii() {
        let outcome = decode_in_pieces([&b"1;a=\"\xe9\"\r\nx\r\n0\r\n\r\n"[..]]);
        assert_eq!(outcome, Outcome::Complete(b"x".to_vec(), 17));
    }

    #[test]
    fn the_bounds_are_reached_exactly() {
        let line = |bytes: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(bytes - 4));
        let longest = check_every_cut(line(CHUNK_LINE_BYTES_MAX).as_bytes());
        assert!(matches!(longest, Outcome::Complete(..)), "{longest:?}");
        let longer = check_every_cut(line(CHUNK_LINE_BYTES_MAX + 1).as_bytes());
        assert_eq!(longer, Outcome::Refused(Reject::ChunkLineTooLong));
        // As soon as the end of the line can no longer come in time.
        let endless = [b'e'; CHUNK_LINE_BYTES_MAX];
        assert_eq!(check_every_cut(&endless), longer);
        let begun = check_every_cut(&endless[1..]);
        assert_eq!(begun, Outcome::NeedMore(Vec::new()));

        let trailers = |bytes: usize| format!("0\r\nA:{}\r\n\r\n", "v".repeat(bytes - 6));
        let longest = check_every_cut(trailers(TRAILER_BYTES_MAX).as_bytes());
        assert!(matches!(longest, Outcome::Complete(..)));
        let longer = check_every_cut(trailers(TRAILER_BYTES_MAX + 1).as_bytes());
        assert_eq!(longer, Outcome::Refused(Reject::TrailersTooLarge));
        // No line is too long here, but all together are.
        let many = format!("0\r\n{}\r\n", "Name: value\r\n".repeat(TRAILER_BYTES_MAX / 13 + 1));
        let refused = Outcome::Refused(Reject::TrailersTooLarge);
        assert_eq!(decode_in_pieces(many.as_bytes().chunks(7)), refused);

        let extended = format!("1;{}\r\nx\r\n", "e".repeat(127));
        let count = CHUNK_EXTENSION_BYTES_MAX / 128;
        let most = format!("{}0\r\n\r\n", extended.repeat(count));
        let outcome = decode_in_pieces(most.as_bytes().chunks(11));
        assert_eq!(outcome, Outcome::Complete(vec![b'x'; count], most.len()));
        let more = format!("{}0;\r\n\r\n", extended.repeat(count));
        let refused = Outcome::Refused(Reject::ChunkExtensionsTooLong);
        assert_eq!(decode_in_pieces(more.as_bytes().chunks(11)), refused);
    }

    fn random(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state >> 33).unwrap()
    }

    fn random_body(state: &mut u64) -> Vec<u8> {
        let mut wire = Vec::new();
        for _ in 0..random(state) % 4 {
            let size = 1 + random(state) % 20;
            let extension = ["", "", ";a", ";a=\"b c\"", ";"][random(state) % 5];
            wire.extend_from_slice(format!("{size:x}{extension}\r\n").as_bytes());
            wire.extend((0..size).map(|_| b"\r\n0;aZ: "[random(state) % 8]));
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(["0\r\n", "00\r\n", "0;z\r\n"][random(state) % 3].as_bytes());
        wire.extend_from_slice(["", "", "A: b\r\n", "Host: c\r\n"][random(state) % 4].as_bytes());
        wire.extend_from_slice(b"\r\nGET ");
        wire
    }

    #[test]
    fn random_and_mutated_bodies_agree_with_the_slow_twin() {
        let mut state = 0x853c_49e6_748f_ea9b_u64;
        let (mut complete, mut refused, mut begun) = (0, 0, 0);
        for round in 0..4_000 {
            let mut wire = random_body(&mut state);
            for _ in 0..round % 3 {
                let at = random(&mut state) % wire.len();
                match random(&mut state) % 3 {
                    0 => wire[at] = b"\r\n0f; :\0xG"[random(&mut state) % 10],
                    1 => drop(wire.remove(at)),
                    _ => wire.insert(at, b"\r\n0f; :\0xG"[random(&mut state) % 10]),
                }
            }
            match check_every_cut(&wire) {
                Outcome::Complete(..) => complete += 1,
                Outcome::NeedMore(_) => begun += 1,
                Outcome::Refused(_) => refused += 1,
            }
        }
        let all_seen = complete > 500 && refused > 500 && begun > 50;
        assert!(all_seen, "{complete} complete, {refused} refused, {begun} begun");
    }
}
