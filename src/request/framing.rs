//! How a request's body is delimited: every rule against request smuggling, in one match.
//!
//! Takes the version and the header fields, gives a [`Framing`]. Where two readers of the same head
//! could disagree it refuses, even where RFC 9112 would let it guess. It knows nothing of the body.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::request::Reject;
use crate::request::Version;
use crate::request::head::is_token;

/// How the body of a request is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// This many bytes. May be 0.
    Length(u64),
    /// The chunked coding, decoded by [`crate::request::chunked::Decoder`].
    Chunked,
}

/// Decides how the body of a request with these fields is delimited.
///
/// # Errors
///
/// When the framing is in doubt (400) or uses a coding that is unknown here (501). The connection
/// must close after the answer: nobody knows where the next request begins.
pub fn decide(version: Version, headers: &[httparse::Header<'_>]) -> Result<Framing, Reject> {
    let mut length = None;
    let mut length_count = 0_usize;
    let mut coding_count = 0_usize;
    for field in headers {
        if is_content_length(field) {
            length = Some(field.value);
            length_count = length_count.saturating_add(1);
        } else if is_transfer_encoding(field) {
            coding_count = coding_count.saturating_add(1);
        }
    }
    match (version, length_count, length, coding_count) {
        // RFC 9112 section 6.3, rule 7: neither field, no body.
        (_, 0, _, 0) => Ok(Framing::None),
        // Section 6.3, rule 3: "ought to be handled as an error".
        (_, 1.., _, 1..) => Err(Reject::BothLengths),
        // Section 6.1: a coding in HTTP/1.0 means "faulty framing"; the sender may not know it.
        (Version::Http10, 0, _, 1..) => Err(Reject::CodingInHttp10),
        // Section 6.3, rule 4, and section 6.1 for codings that we do not understand.
        (Version::Http11, 0, _, 1..) => parse_coding(headers),
        // Section 6.3, rule 6.
        (_, 1, Some(value), 0) => parse_length(value).map(Framing::Length),
        // Section 6.3, rule 5, lets equal values pass. No honest client repeats the field.
        (_, _, _, 0) => Err(Reject::ContentLengthRepeated),
    }
}

fn is_content_length(field: &httparse::Header<'_>) -> bool {
    field.name.eq_ignore_ascii_case("content-length")
}

fn is_transfer_encoding(field: &httparse::Header<'_>) -> bool {
    field.name.eq_ignore_ascii_case("transfer-encoding")
}

/// All Transfer-Encoding fields as one list (RFC 9110 section 5.3). Only `chunked` alone will do.
fn parse_coding(headers: &[httparse::Header<'_>]) -> Result<Framing, Reject> {
    let mut chunked_seen = false;
    let mut other_seen = false;
    let fields = headers.iter().filter(|field| is_transfer_encoding(field));
    for coding in fields.flat_map(|field| field.value.split(|byte| *byte == b',')) {
        let coding = trim_spaces(coding);
        // Empty members, quotes, parameters and strange spaces are how two readers are made to
        // disagree. A coding after chunked, or chunked twice, is RFC 9112 section 6.1's MUST NOT.
        if !is_token(coding) || chunked_seen {
            return Err(Reject::CodingMalformed);
        }
        match coding.eq_ignore_ascii_case(b"chunked") {
            true => chunked_seen = true,
            false => other_seen = true,
        }
    }
    match other_seen {
        false => Ok(Framing::Chunked),
        true => Err(Reject::CodingUnknown),
    }
}

/// Optional white space is SP and HTAB alone (RFC 9110 section 5.6.3).
fn trim_spaces(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// `1*DIGIT` below 2^64 (RFC 9110 section 8.6): no sign, no space, no list, no other base.
fn parse_length(value: &[u8]) -> Result<u64, Reject> {
    if value.is_empty() {
        return Err(Reject::ContentLengthMalformed);
    }
    let mut length = 0_u64;
    for byte in value {
        let digit = match byte {
            b'0'..=b'9' => u64::from(byte.wrapping_sub(b'0')),
            _ => return Err(Reject::ContentLengthMalformed),
        };
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(digit))
            .ok_or(Reject::ContentLengthMalformed)?;
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'f> = &'f [(&'f str, &'f str)];

    fn decided(version: Version, fields: Fields) -> Result<Framing, Reject> {
        let headers: Vec<_> = fields
            .iter()
            .map(|(name, value)| httparse::Header { name, value: value.as_bytes() })
            .collect();
        decide(version, &headers)
    }

    const LENGTH: &str = "Content-Length";
    const CODING: &str = "Transfer-Encoding";

    #[test]
    fn the_table() {
        use Framing::{Chunked, Length};
        use Reject::*;
        let table: &[(Fields, Result<Framing, Reject>)] = &[
            (&[], Ok(Framing::None)),
            (&[("Accept", "5"), ("X-Content-Length", "5")], Ok(Framing::None)),
            (&[(LENGTH, "0")], Ok(Length(0))),
            (&[("Accept", "*/*"), ("content-LENGTH", "0042")], Ok(Length(42))),
            (&[(LENGTH, "18446744073709551615")], Ok(Length(u64::MAX))),
            (&[(LENGTH, "18446744073709551616")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "99999999999999999999999")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "+5")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "-5")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "5 ")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "5 5")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "5,5")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "5, 5")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "0x5")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "5.0")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "1e3")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "٣")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "5"), (LENGTH, "5")], Err(ContentLengthRepeated)),
            (&[(LENGTH, "5"), (LENGTH, "6")], Err(ContentLengthRepeated)),
            (&[(LENGTH, "5"), (CODING, "chunked")], Err(BothLengths)),
            (&[(CODING, "chunked"), (LENGTH, "5")], Err(BothLengths)),
            (&[(CODING, "x"), (LENGTH, "x"), (LENGTH, "5")], Err(BothLengths)),
            (&[(CODING, "chunked")], Ok(Chunked)),
            (&[("transfer-encoding", "CHUNKED")], Ok(Chunked)),
            (&[(CODING, " chunked\t")], Ok(Chunked)),
            (&[(CODING, "gzip")], Err(CodingUnknown)),
            (&[(CODING, "identity")], Err(CodingUnknown)),
            (&[(CODING, "xchunked")], Err(CodingUnknown)),
            (&[(CODING, "gzip, chunked")], Err(CodingUnknown)),
            (&[(CODING, "gzip"), (CODING, "chunked")], Err(CodingUnknown)),
            (&[(CODING, "chunked, chunked")], Err(CodingMalformed)),
            (&[(CODING, "chunked"), (CODING, "chunked")], Err(CodingMalformed)),
            (&[(CODING, "chunked"), (CODING, "identity")], Err(CodingMalformed)),
            (&[(CODING, "chunked, gzip")], Err(CodingMalformed)),
            (&[(CODING, "")], Err(CodingMalformed)),
            (&[(CODING, ",chunked")], Err(CodingMalformed)),
            (&[(CODING, "chunked,")], Err(CodingMalformed)),
            (&[(CODING, "chunked;q=1")], Err(CodingMalformed)),
            (&[(CODING, "\"chunked\"")], Err(CodingMalformed)),
            (&[(CODING, "chunked\u{b}")], Err(CodingMalformed)),
            (&[(CODING, "chun ked")], Err(CodingMalformed)),
        ];
        for (fields, expected) in table {
            assert_eq!(decided(Version::Http11, fields), *expected, "{fields:?}");
        }
    }

    #[test]
    fn http_1_0_has_lengths_but_no_codings() {
        assert_eq!(decided(Version::Http10, &[]), Ok(Framing::None));
        assert_eq!(decided(Version::Http10, &[(LENGTH, "7")]), Ok(Framing::Length(7)));
        let coded = decided(Version::Http10, &[(CODING, "chunked")]);
        assert_eq!(coded, Err(Reject::CodingInHttp10));
    }

    #[test]
    fn lengths_agree_with_the_standard_parser() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut digits = (state >> (state % 64)).to_string();
            if state.is_multiple_of(5) {
                digits.push_str(&(state % 100).to_string());
            }
            let twin = digits.parse::<u64>().map_err(|_| Reject::ContentLengthMalformed);
            assert_eq!(parse_length(digits.as_bytes()), twin, "{digits}");
        }
    }
}
