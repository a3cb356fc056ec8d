//! Several ranges of a file as one body: multipart/byteranges (RFC 9110 section 14.6, RFC 2046
//! section 5.1).
//!
//! Takes the ranges, gives what stands before each of them and behind the last one, and how long
//! all of it is. The bytes of the file themselves it never sees.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::ops::Range;

/// A body of several ranges.
#[derive(Debug)]
pub struct Multipart {
    /// What is sent, in this order.
    pub parts: Vec<Part>,
    /// What is sent behind the last part.
    pub tail: Vec<u8>,
    /// Bytes of the whole body: heads, ranges and tail.
    pub size_bytes: u64,
    boundary: String,
}

/// One range of the file with what stands before it.
#[derive(Debug)]
pub struct Part {
    /// The boundary and the fields of the part, to its empty line.
    pub head: Vec<u8>,
    /// The bytes of the file that follow.
    pub range: Range<u64>,
}

impl Multipart {
    /// The body for these ranges of a file of `file_bytes`; none of them is empty, and all lie
    /// inside of the file.
    #[must_use]
    pub fn new(media_type: &str, file_bytes: u64, ranges: &[Range<u64>]) -> Self {
        Self::with_boundary(random_boundary(), media_type, file_bytes, ranges)
    }

    fn with_boundary(
        boundary: String,
        media_type: &str,
        file_bytes: u64,
        ranges: &[Range<u64>],
    ) -> Self {
        let part = |(at, range): (usize, &Range<u64>)| {
            // The line break before a boundary belongs to it, and there is none at the beginning.
            let line_break = if at == 0 { "" } else { "\r\n" };
            let (first, last) = (range.start, range.end.saturating_sub(1));
            let head = format!(
                "{line_break}--{boundary}\r\nContent-Type: {media_type}\r\n\
                 Content-Range: bytes {first}-{last}/{file_bytes}\r\n\r\n"
            );
            Part { head: head.into_bytes(), range: range.clone() }
        };
        let parts: Vec<Part> = ranges.iter().enumerate().map(part).collect();
        let tail = format!("\r\n--{boundary}--\r\n").into_bytes();
        let bytes = |part: &Part| part.head.len() as u64 + (part.range.end - part.range.start);
        let size_bytes = parts.iter().map(bytes).sum::<u64>() + tail.len() as u64;
        Self { parts, tail, size_bytes, boundary }
    }

    /// The value of Content-Type of the answer.
    #[must_use]
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }
}

/// 128 bits that nobody can guess, so that no file contains them on purpose: the hashes of two
/// numbers under the keys that the process got from the kernel, which are others at each call.
fn random_boundary() -> String {
    let keys = RandomState::new();
    format!("{:016x}{:016x}", keys.hash_one(0_u8), keys.hash_one(1_u8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RANGE_PART_HEAD_BYTES;

    fn body(multipart: &Multipart, file: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for part in &multipart.parts {
            body.extend(&part.head);
            body.extend(part.range.clone().map(|at| file[usize::try_from(at).unwrap()]));
        }
        body.extend(&multipart.tail);
        body
    }

    /// An independent reader, after RFC 2046: fields and content of each part.
    fn read(content_type: &str, body: &[u8]) -> Vec<(Vec<String>, Vec<u8>)> {
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
        assert!(boundary.len() <= 70 && boundary.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let delimiter = format!("\r\n--{boundary}");
        let with_break = [b"\r\n", body].concat();
        let mut rest = &with_break[..];
        let mut pieces = Vec::new();
        while let Some(at) = memchr::memmem::find(rest, delimiter.as_bytes()) {
            pieces.push(&rest[..at]);
            rest = &rest[at + delimiter.len()..];
        }
        assert_eq!(pieces.remove(0), b"", "no preamble");
        assert_eq!(rest, b"--\r\n", "the end, and no epilogue");
        let part = |piece: &[u8]| {
            let piece = piece.strip_prefix(b"\r\n").unwrap();
            let end = memchr::memmem::find(piece, b"\r\n\r\n").unwrap();
            let fields = std::str::from_utf8(&piece[..end]).unwrap();
            (fields.split("\r\n").map(str::to_owned).collect(), piece[end + 4..].to_vec())
        };
        pieces.into_iter().map(part).collect()
    }

    #[test]
    fn a_reader_of_multipart_finds_the_ranges() {
        let file: Vec<u8> = (0..1000_u32).map(|at| b"\r\n--ab\0\xff"[at as usize % 8]).collect();
        for ranges in [vec![0..1, 999..1000], vec![500..700, 0..100, 900..1000], vec![3..4; 9]] {
            let multipart = Multipart::new("text/plain; charset=utf-8", 1000, &ranges);
            let body = body(&multipart, &file);
            assert_eq!(multipart.size_bytes, body.len() as u64);
            let parts = read(&multipart.content_type(), &body);
            assert_eq!(parts.len(), ranges.len());
            for ((fields, content), range) in parts.into_iter().zip(ranges) {
                let content_range = format!("bytes {}-{}/1000", range.start, range.end - 1);
                let expected = [
                    "Content-Type: text/plain; charset=utf-8".to_owned(),
                    format!("Content-Range: {content_range}"),
                ];
                assert_eq!(fields, expected);
                let ends = [range.start, range.end].map(|end| usize::try_from(end).unwrap());
                assert_eq!(content, file[ends[0]..ends[1]]);
            }
        }
    }

    #[test]
    fn the_very_bytes() {
        let multipart = Multipart::with_boundary("B".to_owned(), "text/plain", 12, &[0..2, 9..10]);
        let expected = b"--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/12\r\n\r\n\
            He\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 9-9/12\r\n\r\n\
            l\r\n--B--\r\n";
        assert_eq!(body(&multipart, b"Hello World!"), expected);
        assert_eq!(multipart.size_bytes, expected.len() as u64);
        assert_eq!(multipart.content_type(), "multipart/byteranges; boundary=B");
    }

    #[test]
    fn a_boundary_is_never_the_same() {
        let (first, second) = (random_boundary(), random_boundary());
        assert_eq!(first.len(), 32);
        assert_ne!(first, second);
        assert_ne!(first[..16], first[16..]);
    }

    #[test]
    fn heads_cost_what_their_estimate_says() {
        let types = ["text/css", "text/html; charset=utf-8", "application/octet-stream"];
        let head = |(media_type, file_bytes): (&str, u64)| {
            let ranges = [0..1, file_bytes / 2..file_bytes / 2 + 1];
            Multipart::new(media_type, file_bytes, &ranges).parts[1].head.len() as u64
        };
        for cost in types.into_iter().zip([1000, 100_000, 10_000_000_000]).map(head) {
            assert!(cost.abs_diff(RANGE_PART_HEAD_BYTES) <= 32, "{cost}");
        }
    }
}
