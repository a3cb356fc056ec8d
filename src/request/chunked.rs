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

    /// Bytes of the chunk at hand that its size line has promised and that are still to come. With
    /// them a body that will be too long can be refused before it is.
    #[must_use]
    pub const fn promised_bytes(&self) -> u64 {
        match self.state {
            State::Data(left) => left,
            State::Size | State::DataCr | State::DataLf | State::Trailer | State::End => 0,
        }
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
/// White space behind the size is refused where no `;` follows: the grammar has it there alone.
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
    if extension.is_empty() {
        return Ok((size, 0));
    }
    if skip_spaces(extension).first() != Some(&b';') {
        return Err(Reject::ChunkSize);
    }
    check_extensions(extension)?;
    Ok((size, extension.len()))
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )` (RFC 9112 section 7.1.1).
fn check_extensions(extensions: &[u8]) -> Result<(), Reject> {
    let mut rest = extensions;
    while !rest.is_empty() {
        rest = skip_spaces(rest).strip_prefix(b";").ok_or(Reject::ChunkExtension)?;
        rest = skip_token(skip_spaces(rest))?;
        if let Some(value) = skip_spaces(rest).strip_prefix(b"=") {
            let value = skip_spaces(value);
            rest = match value.strip_prefix(b"\"") {
                Some(quoted) => skip_quoted(quoted)?,
                None => skip_token(value)?,
            };
        }
    }
    Ok(())
}

fn skip_spaces(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn skip_token(bytes: &[u8]) -> Result<&[u8], Reject> {
    let is_end = |byte: &u8| !is_token(std::slice::from_ref(byte));
    let token_bytes = bytes.iter().position(is_end).unwrap_or(bytes.len());
    match bytes.split_at_checked(token_bytes) {
        Some((token, rest)) if !token.is_empty() => Ok(rest),
        _ => Err(Reject::ChunkExtension),
    }
}

/// What stands behind a quoted-string (RFC 9110 section 5.6.4) whose first quote is gone already.
fn skip_quoted(mut bytes: &[u8]) -> Result<&[u8], Reject> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..]
                if is_field_value(std::slice::from_ref(byte)) =>
            {
                rest
            }
            _ => return Err(Reject::ChunkExtension),
        };
    }
}

/// A trailer field is a field line (RFC 9112 section 7.1.2), and no field that frames or routes
/// the message or says who may (RFC 9110 section 6.5.1). All others are dropped, whatever they are.
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

const TRAILERS_FORBIDDEN: [&[u8]; 8] = [
    b"authorization",
    b"connection",
    b"content-length",
    b"expect",
    b"host",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

#[cfg(test)]
mod tests;
