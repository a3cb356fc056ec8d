//! The reader of answers: bytes as they come in, pieces of bodies and ends of answers out.
//!
//! It keeps only what is needed of an answer that goes on: the beginning of a head or of a line,
//! and how much of the body is to come (RFC 9112 sections 6 and 7.1). Bodies pass through to the
//! caller, so that a large one costs no memory. It knows neither sockets nor what a body should be.

use std::fmt;
use std::mem::MaybeUninit;

use httparse::Header;
use httparse::Status;
use memchr::memchr;

/// A longer head, chunk line or trailer is refused.
const HEAD_BYTES_MAX: usize = 65_536;

/// Fields of a head.
const FIELDS_MAX: usize = 128;

/// A larger body is refused: nothing that is measured has one, and its reader may want to keep it.
pub const BODY_BYTES_MAX: u64 = 64 << 20;

/// Reads the answers of one connection, one behind the other.
#[derive(Clone, Debug, Default)]
pub struct AnswerReader {
    place: Place,
    /// A head or line that goes on. Mostly empty.
    begun: Vec<u8>,
    status: u16,
    persistence: Persistence,
    body_bytes: u64,
}

/// Where in an answer the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Head,
    Body {
        left: u64,
    },
    ChunkLine,
    Chunk {
        left: u64,
    },
    ChunkEnd,
    Trailer,
}

/// Whether the connection carries another answer after this one (RFC 9112 section 9.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// HTTP/1.1 without `Connection: close`, or HTTP/1.0 with `keep-alive`.
    #[default]
    KeepAlive,
    /// The server closes.
    Close,
}

/// What [`AnswerReader::read`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All bytes are used, and the answer goes on.
    NeedMore,
    /// An answer ended. The bytes behind the first `used_bytes` belong to the next.
    Complete {
        /// Of the bytes of this call.
        used_bytes: usize,
        /// The status code.
        status: u16,
        /// What becomes of the connection.
        persistence: Persistence,
    },
}

/// Why an answer cannot be read. The connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// No head of HTTP/1.x.
    Head,
    /// A head or line beyond the bound.
    TooLong,
    /// A malformed Content-Length, or two that differ.
    Length,
    /// Neither Content-Length nor chunked: its end would be that of the connection.
    Unframed,
    /// A malformed chunk.
    Chunk,
    /// A body over [`BODY_BYTES_MAX`].
    TooLarge,
}

impl AnswerReader {
    /// Whether an answer has begun and not ended.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.place != Place::Head || !self.begun.is_empty()
    }

    /// Forgets what has begun: the next byte is the first of a new connection.
    pub fn reset(&mut self) {
        self.place = Place::Head;
        self.begun.clear();
    }

    /// Reads to the end of an answer, or of the bytes. Pieces of the body go to `piece`. Answers
    /// with 1xx are passed over (RFC 9110 section 15.2).
    ///
    /// # Errors
    ///
    /// When the bytes are no answer that can be delimited. The reader is then of no more use.
    pub fn read(
        &mut self,
        bytes: &[u8],
        mut piece: impl FnMut(&[u8]),
    ) -> Result<Progress, BadAnswer> {
        let mut rest = bytes;
        loop {
            let complete = match self.place {
                Place::Head => self.head(&mut rest)?,
                Place::Body { left } => self.body(&mut rest, left, &mut piece),
                Place::Chunk { left } => {
                    if self.body(&mut rest, left, &mut piece) == Step::Complete {
                        self.place = Place::ChunkEnd;
                        Step::GoOn
                    } else {
                        Step::NeedMore
                    }
                }
                Place::ChunkLine | Place::ChunkEnd | Place::Trailer => self.line(&mut rest)?,
            };
            match complete {
                Step::GoOn => {}
                Step::NeedMore => return Ok(Progress::NeedMore),
                Step::Complete => {
                    self.place = Place::Head;
                    return Ok(Progress::Complete {
                        used_bytes: bytes.len() - rest.len(),
                        status: self.status,
                        persistence: self.persistence,
                    });
                }
            }
        }
    }

    fn head(&mut self, rest: &mut &[u8]) -> Result<Step, BadAnswer> {
        if rest.is_empty() {
            return Ok(Step::NeedMore);
        }
        if self.begun.is_empty() {
            let Some((head, used)) = parse_head(rest)? else {
                return self.keep(rest);
            };
            *rest = rest.get(used..).unwrap_or_default();
            return self.enter(head);
        }
        let before = self.begun.len();
        let room = HEAD_BYTES_MAX.saturating_sub(before).min(rest.len());
        self.begun.extend_from_slice(rest.get(..room).unwrap_or_default());
        let Some((head, used)) = parse_head(&self.begun)? else {
            self.begun.truncate(before);
            return self.keep(rest);
        };
        *rest = rest.get(used.saturating_sub(before)..).unwrap_or_default();
        self.begun.clear();
        self.enter(head)
    }

    /// Keeps all that is left for the next call.
    fn keep(&mut self, rest: &mut &[u8]) -> Result<Step, BadAnswer> {
        if self.begun.len() + rest.len() >= HEAD_BYTES_MAX {
            return Err(BadAnswer::TooLong);
        }
        self.begun.extend_from_slice(rest);
        *rest = &[];
        Ok(Step::NeedMore)
    }

    fn enter(&mut self, head: Head) -> Result<Step, BadAnswer> {
        if head.status < 200 {
            return Ok(Step::GoOn);
        }
        self.status = head.status;
        self.persistence = head.persistence;
        self.body_bytes = 0;
        self.place = match head.framing {
            _ if head.status == 204 || head.status == 304 => return Ok(Step::Complete),
            Framing::Length(0) => return Ok(Step::Complete),
            Framing::Length(bytes) if bytes > BODY_BYTES_MAX => return Err(BadAnswer::TooLarge),
            Framing::Length(left) => Place::Body { left },
            Framing::Chunked => Place::ChunkLine,
            Framing::Unknown => return Err(BadAnswer::Unframed),
        };
        Ok(Step::GoOn)
    }

    fn body(&mut self, rest: &mut &[u8], left: u64, piece: &mut impl FnMut(&[u8])) -> Step {
        let count = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
        let (now, behind) = rest.split_at(count);
        if !now.is_empty() {
            piece(now);
        }
        *rest = behind;
        let left = left - count as u64;
        match &mut self.place {
            Place::Body { left: place } | Place::Chunk { left: place } => *place = left,
            _ => {}
        }
        if left == 0 { Step::Complete } else { Step::NeedMore }
    }

    /// One of the lines between and behind chunks.
    fn line(&mut self, rest: &mut &[u8]) -> Result<Step, BadAnswer> {
        let Some(end) = memchr(b'\n', rest) else { return self.keep(rest) };
        let (now, behind) = rest.split_at(end + 1);
        *rest = behind;
        let place = self.place;
        let whole = if self.begun.is_empty() {
            now
        } else {
            if self.begun.len() + now.len() > HEAD_BYTES_MAX {
                return Err(BadAnswer::TooLong);
            }
            self.begun.extend_from_slice(now);
            &self.begun
        };
        let line = whole.strip_suffix(b"\r\n").ok_or(BadAnswer::Chunk)?;
        let next = match place {
            Place::ChunkLine => match chunk_bytes(line)? {
                0 => Place::Trailer,
                left => {
                    self.body_bytes = self.body_bytes.saturating_add(left);
                    Place::Chunk { left }
                }
            },
            Place::ChunkEnd if line.is_empty() => Place::ChunkLine,
            Place::Trailer if line.is_empty() => Place::Head,
            Place::Trailer => Place::Trailer,
            _ => return Err(BadAnswer::Chunk),
        };
        self.begun.clear();
        if self.body_bytes > BODY_BYTES_MAX {
            return Err(BadAnswer::TooLarge);
        }
        self.place = next;
        Ok(if next == Place::Head { Step::Complete } else { Step::GoOn })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    GoOn,
    NeedMore,
    Complete,
}

#[derive(Clone, Copy)]
struct Head {
    status: u16,
    persistence: Persistence,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    Unknown,
}

/// A whole head and its bytes, or None when it goes on.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, BadAnswer> {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut answer,
        bytes,
        &mut slots,
    );
    let used = match parsed {
        Ok(Status::Complete(used)) => used,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(BadAnswer::Head),
    };
    let (Some(status), Some(minor)) = (answer.code, answer.version) else {
        return Err(BadAnswer::Head);
    };
    let mut framing = Framing::Unknown;
    let mut persistence = if minor == 0 { Persistence::Close } else { Persistence::KeepAlive };
    for field in answer.headers.iter() {
        match field.name.len() {
            10 if is(field, "connection") => {
                persistence = connection_option(field.value).unwrap_or(persistence);
            }
            14 if is(field, "content-length") => framing = length(framing, field.value)?,
            17 if is(field, "transfer-encoding") => {
                let chunked = field.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                framing = if chunked { Framing::Chunked } else { return Err(BadAnswer::Unframed) };
            }
            _ => {}
        }
    }
    Ok(Some((Head { status, persistence, framing }, used)))
}

fn is(field: &Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

fn connection_option(value: &[u8]) -> Option<Persistence> {
    value.split(|byte| *byte == b',').find_map(|option| match option.trim_ascii() {
        option if option.eq_ignore_ascii_case(b"close") => Some(Persistence::Close),
        option if option.eq_ignore_ascii_case(b"keep-alive") => Some(Persistence::KeepAlive),
        _ => None,
    })
}

/// Chunked wins over a length (RFC 9112 section 6.3).
fn length(so_far: Framing, value: &[u8]) -> Result<Framing, BadAnswer> {
    let digits = value.trim_ascii();
    let decimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| decimal);
    let bytes = text.and_then(|text| text.parse().ok()).ok_or(BadAnswer::Length)?;
    match so_far {
        Framing::Length(before) if before != bytes => Err(BadAnswer::Length),
        Framing::Chunked => Ok(Framing::Chunked),
        _ => Ok(Framing::Length(bytes)),
    }
}

/// The size in a chunk's line, which may have extensions behind it.
fn chunk_bytes(line: &[u8]) -> Result<u64, BadAnswer> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let hexadecimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| hexadecimal);
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(BadAnswer::Chunk)
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "an answer without a head of HTTP/1.x",
            Self::TooLong => "an answer with a head or line of over 64 KiB",
            Self::Length => "an answer with a malformed Content-Length",
            Self::Unframed => "an answer with neither Content-Length nor chunked coding",
            Self::Chunk => "an answer with a malformed chunk",
            Self::TooLarge => "an answer with a body of over 64 MiB",
        })
    }
}

impl std::error::Error for BadAnswer {}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = Vec<(u16, Vec<u8>, Persistence)>;

    /// All answers in these pieces of one stream, and whether another has begun.
    fn read_all(pieces: &[&[u8]]) -> Result<(Seen, bool), BadAnswer> {
        let (mut reader, mut seen, mut body) = (AnswerReader::default(), Vec::new(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while let Progress::Complete { used_bytes, status, persistence } =
                reader.read(rest, |bytes| body.extend_from_slice(bytes))?
            {
                rest = &rest[used_bytes..];
                seen.push((status, std::mem::take(&mut body), persistence));
            }
        }
        Ok((seen, reader.is_within()))
    }

    /// The slow twin: splits a whole text with string functions, as the sections of RFC 9112 say.
    fn twin(mut text: &str) -> Seen {
        let mut seen = Vec::new();
        while let Some((head, mut rest)) = text.split_once("\r\n\r\n") {
            let status: u16 = head[9..12].parse().unwrap();
            let lower = head.to_lowercase();
            let mut body = String::new();
            if let Some((_, length)) = lower.split_once("content-length: ") {
                let bytes: usize = length.lines().next().unwrap().parse().unwrap();
                (body, rest) = (rest[..bytes].to_owned(), &rest[bytes..]);
            } else if lower.contains("chunked") {
                loop {
                    let (line, behind) = rest.split_once("\r\n").unwrap();
                    let bytes =
                        usize::from_str_radix(line.split(';').next().unwrap().trim(), 16).unwrap();
                    if bytes == 0 {
                        let end = behind.find("\r\n").unwrap();
                        let whole = if end == 0 { 2 } else { behind.find("\r\n\r\n").unwrap() + 4 };
                        rest = &behind[whole..];
                        break;
                    }
                    body += &behind[..bytes];
                    rest = behind[bytes..].strip_prefix("\r\n").unwrap();
                }
            }
            text = rest;
            let closes = lower.contains("connection: close");
            let persistence = if closes { Persistence::Close } else { Persistence::KeepAlive };
            if status >= 200 {
                seen.push((status, body.into_bytes(), persistence));
            }
        }
        seen
    }

    const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!\
        HTTP/1.1 200 OK\r\nServer: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nHello\r\n00b;x=\"y\"\r\n, \r\nwor\nld!\r\n0\r\n\r\n\
        HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n\
        HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n\
        HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";

    #[test]
    fn answers_are_those_of_the_twin_wherever_the_stream_is_cut() {
        let expected = twin(STREAM);
        assert_eq!(expected.len(), 6);
        assert_eq!(expected[1].1, b"Hello, \r\nwor\nld!");
        let bytes = STREAM.as_bytes();
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(read_all(&[a, b]), Ok((expected.clone(), false)), "cut at {cut}");
            for second in [1, 2, 3, 17, 40] {
                let (b, c) = b.split_at(second.min(b.len()));
                assert_eq!(read_all(&[a, b, c]), Ok((expected.clone(), false)), "cut at {cut}");
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read_all(&single), Ok((expected, false)));
    }

    #[test]
    fn an_answer_that_goes_on_is_known_to() {
        for cut in 1..STREAM.find("HTTP/1.1 100").unwrap() {
            let (seen, within) = read_all(&[&STREAM.as_bytes()[..cut]]).unwrap();
            let is_end = cut == STREAM.find("HTTP/1.1 200 OK\r\nServer").unwrap();
            assert_eq!(within, !is_end, "cut at {cut}, {} answers", seen.len());
        }
    }

    #[test]
    fn odd_answers_are_refused_wherever_they_are_cut() {
        let odd = [
            ("HTTP/2 200\r\n\r\n", BadAnswer::Head),
            ("nonsense\r\n\r\n", BadAnswer::Head),
            ("HTTP/1.1 200 OK\r\n\r\n", BadAnswer::Unframed),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", BadAnswer::Unframed),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", BadAnswer::Length),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                BadAnswer::Length,
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n", BadAnswer::TooLarge),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", BadAnswer::Chunk),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\n", BadAnswer::Chunk),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", BadAnswer::Chunk),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
                BadAnswer::TooLarge,
            ),
        ];
        for (text, expected) in odd {
            for cut in 0..text.len() {
                let (a, b) = text.as_bytes().split_at(cut);
                assert_eq!(read_all(&[a, b]), Err(expected), "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn heads_and_lines_are_bounded() {
        let head = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(HEAD_BYTES_MAX));
        let line = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;".to_owned()
            + &"a".repeat(HEAD_BYTES_MAX);
        for text in [head, line] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(1000).collect();
            assert_eq!(read_all(&pieces), Err(BadAnswer::TooLong));
        }
    }
}
