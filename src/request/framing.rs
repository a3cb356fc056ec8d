//! How a request's body is delimited: every rule against request smuggling, in one match.
//!
//! Takes the version, the head's bytes and its fields, gives a [`Framing`]. Where two readers of
//! the same head could disagree it refuses, even where RFC 9112 would let it guess. It knows
//! nothing of the body.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use memchr::memchr;

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

/// Decides how the body of a request with these fields is delimited. `head` is where they were
/// parsed from: the white space around their values is gone from the fields themselves.
///
/// # Errors
///
/// When the framing is in doubt (400) or uses a coding that is unknown here (501). The connection
/// must close after the answer: nobody knows where the next request begins.
pub fn decide(
    version: Version,
    head: &[u8],
    headers: &[httparse::Header<'_>],
) -> Result<Framing, Reject> {
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
        // Section 5.1 takes a tab for white space. nginx takes it for a byte of the value, so of
        // the same bytes one of us would see a body and the other one none.
        _ if has_tab_in_framing(head) => Err(Reject::FramingTab),
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

/// Whether one of the lines that frame the body has a tab in it. Asked only when there is such a
/// line, and answered at once when the head has no tab at all, as good as always.
fn has_tab_in_framing(head: &[u8]) -> bool {
    if memchr(b'\t', head).is_none() {
        return false;
    }
    head.split(|byte| *byte == b'\n').any(|line| {
        let name_bytes = memchr(b':', line).unwrap_or(0);
        let name = line.get(..name_bytes).unwrap_or_default();
        let frames = FRAMING_NAMES.iter().any(|framing| name.eq_ignore_ascii_case(framing));
        frames && memchr(b'\t', line).is_some()
    })
}

const FRAMING_NAMES: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];

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
        // `xchunked`: no coding has such a name; it is for a reader that looks for a part of it.
        if coding.len() > CHUNKED.len() && contains_ignoring_case(coding, CHUNKED) {
            return Err(Reject::CodingMalformed);
        }
        match coding.eq_ignore_ascii_case(CHUNKED) {
            true => chunked_seen = true,
            false => other_seen = true,
        }
    }
    match other_seen {
        false => Ok(Framing::Chunked),
        true => Err(Reject::CodingUnknown),
    }
}

const CHUNKED: &[u8] = b"chunked";

fn contains_ignoring_case(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// Optional white space is SP and HTAB (RFC 9110 section 5.6.3), and no tab comes this far.
fn trim_spaces(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' '] = bytes {
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
        decided_of(version, &fields.iter().map(|(n, v)| format!("{n}: {v}")).collect::<Vec<_>>())
    }

    /// Takes whole lines, so that the white space around a value is there as in a real head.
    fn decided_of(version: Version, lines: &[String]) -> Result<Framing, Reject> {
        let head = format!("POST / HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
        let parted = |line: &'_ String| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
        };
        let fields: Vec<_> = lines.iter().map(parted).collect();
        let headers: Vec<_> = fields
            .iter()
            .map(|(name, value)| httparse::Header { name, value: value.as_bytes() })
            .collect();
        decide(version, head.as_bytes(), &headers)
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
            (&[(LENGTH, "5 ")], Ok(Length(5))),
            (&[(LENGTH, "5\u{b}")], Err(ContentLengthMalformed)),
            (&[(LENGTH, "5_0")], Err(ContentLengthMalformed)),
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
            (&[(CODING, "  chunked ")], Ok(Chunked)),
            (&[(CODING, "chunked"), ("A", "b\tc")], Ok(Chunked)),
            (&[(CODING, "chunked\t")], Err(FramingTab)),
            (&[(CODING, "\tchunked")], Err(FramingTab)),
            (&[(CODING, "gzip,\tchunked")], Err(FramingTab)),
            (&[(CODING, "chunked"), ("content-LENGTH", "5\t")], Err(FramingTab)),
            (&[(LENGTH, "\t5")], Err(FramingTab)),
            (&[(LENGTH, "5\t5")], Err(FramingTab)),
            (&[("X-Content-Length", "\t5")], Ok(Framing::None)),
            (&[(CODING, "gzip")], Err(CodingUnknown)),
            (&[(CODING, "identity")], Err(CodingUnknown)),
            (&[(CODING, "chunke")], Err(CodingUnknown)),
            (&[(CODING, "xchunked")], Err(CodingMalformed)),
            (&[(CODING, "x-CHUNKED")], Err(CodingMalformed)),
            (&[(CODING, "chunkedchunked")], Err(CodingMalformed)),
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
        const ROUNDS: usize = if cfg!(miri) { 200 } else { 20_000 };
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..ROUNDS {
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

    /// The slow twin: lower-case text, lists of whole lines, one rule after the other.
    fn slow(version: Version, lines: &[String]) -> Result<Framing, Reject> {
        let values = |wanted: &str| -> Vec<String> {
            let parted = lines.iter().filter_map(|line| line.split_once(':'));
            let same = parted.filter(|(name, _)| name.to_lowercase() == wanted);
            same.map(|(_, value)| value.to_lowercase()).collect()
        };
        let lengths = values("content-length");
        let codings = values("transfer-encoding");
        if lengths.iter().chain(&codings).any(|value| value.contains('\t')) {
            return Err(Reject::FramingTab);
        }
        match (&lengths[..], &codings[..]) {
            ([], []) => return Ok(Framing::None),
            ([], _) if version == Version::Http10 => return Err(Reject::CodingInHttp10),
            ([], _) => {}
            ([_, ..], [_, ..]) => return Err(Reject::BothLengths),
            ([one], []) => {
                let digits = one.trim_matches(' ');
                let decimal = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
                let length = digits.parse().ok().filter(|_| decimal);
                return length.map(Framing::Length).ok_or(Reject::ContentLengthMalformed);
            }
            (_, []) => return Err(Reject::ContentLengthRepeated),
        }
        let list = codings.join(",");
        let list: Vec<&str> = list.split(',').map(|coding| coding.trim_matches(' ')).collect();
        let good = |coding: &&str| {
            is_token(coding.as_bytes()) && (*coding == "chunked" || !coding.contains("chunked"))
        };
        let before_last = &list[..list.len() - 1];
        match list.iter().all(good) && !before_last.contains(&"chunked") {
            false => Err(Reject::CodingMalformed),
            true if list == ["chunked"] => Ok(Framing::Chunked),
            true => Err(Reject::CodingUnknown),
        }
    }

    #[test]
    fn random_fields_agree_with_the_slow_twin() {
        const ROUNDS: usize = if cfg!(miri) { 100 } else { 60_000 };
        let names = [LENGTH, CODING, CODING, "content-length", "TRANSFER-encoding", "Accept", "X"];
        let pieces = [
            "chunked",
            "chunked",
            "Chunked",
            "gzip",
            "x",
            ",",
            ", ",
            " ",
            " ",
            "\t",
            ";",
            "\"",
            "5",
            "5",
            "0",
            "18446744073709551615",
            "+",
            "-",
            "0x",
            "_",
            "identity",
        ];
        let mut state = 0x853c_49e6_748f_ea9b_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut seen = std::collections::HashMap::new();
        for _ in 0..ROUNDS {
            let mut lines = Vec::new();
            for _ in 0..1 + random(2) {
                let value: String = (0..random(4)).map(|_| pieces[random(pieces.len())]).collect();
                lines.push(format!("{}:{value}", names[random(names.len())]));
            }
            let version = if random(8) == 0 { Version::Http10 } else { Version::Http11 };
            let fast = decided_of(version, &lines);
            assert_eq!(fast, slow(version, &lines), "{version:?} {lines:?}");
            *seen.entry(format!("{fast:?}").split('(').nth(1).unwrap().to_owned()).or_insert(0) +=
                1;
        }
        for (outcome, count) in &seen {
            assert!(*count > ROUNDS / 1_200, "{outcome}: {count}");
        }
        assert_eq!(seen.len(), 10, "each outcome was seen: {seen:?}");
    }
}
