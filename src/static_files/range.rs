//! One byte range: the Range field and a file's size to the slice to send (RFC 9110 section 14).

use std::ops::Range;

/// What a Range field asks of a representation of a known size.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing that we honour: send the whole. Several ranges and other units are answered so too,
    /// which section 14.2 allows.
    Whole,
    /// These bytes; not empty, inside of the representation.
    Slice(Range<u64>),
    /// Nothing of the representation: 416.
    Unsatisfiable,
}

/// Reads the value of a Range field for a representation of `size_bytes`.
#[must_use]
pub(super) fn parse(value: &[u8], size_bytes: u64) -> Asked {
    let Some(set) = bytes_unit(value) else { return Asked::Whole };
    let Some(dash) = memchr::memchr(b'-', set) else { return Asked::Whole };
    let (first, last) = (set[..dash].trim_ascii(), set[dash + 1..].trim_ascii());
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Asked::Whole,
        (true, false) => suffix(last, size_bytes),
        (false, _) => from_first(first, last, size_bytes),
    }
}

/// `-500`: the last 500 bytes.
fn suffix(length: &[u8], size_bytes: u64) -> Asked {
    match number(length) {
        None => Asked::Whole,
        Some(0) => Asked::Unsatisfiable,
        Some(_) if size_bytes == 0 => Asked::Unsatisfiable,
        Some(length) => Asked::Slice(size_bytes.saturating_sub(length)..size_bytes),
    }
}

/// `0-499` or `500-`.
fn from_first(first: &[u8], last: &[u8], size_bytes: u64) -> Asked {
    let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
    match (number(first), last) {
        (Some(first), Some(last)) if first > last => Asked::Whole,
        (Some(first), Some(_)) if first >= size_bytes => Asked::Unsatisfiable,
        (Some(first), Some(last)) => Asked::Slice(first..last.saturating_add(1).min(size_bytes)),
        _ => Asked::Whole,
    }
}

/// What follows `bytes=`; the unit's name has any case (section 14.1).
fn bytes_unit(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

/// Digits only. A number too large for 64 bits is as good as the largest: no file is larger.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slow twin: the bytes of the representation, one by one, each asked whether it is wanted.
    fn twin(first: Option<u64>, last: Option<u64>, size_bytes: u64) -> Vec<u64> {
        (0..size_bytes)
            .filter(|&byte| match (first, last) {
                (Some(first), Some(last)) => byte >= first && byte <= last,
                (Some(first), None) => byte >= first,
                (None, Some(length)) => size_bytes - byte <= length,
                (None, None) => true,
            })
            .collect()
    }

    #[test]
    fn agrees_with_the_slow_twin() {
        let ends = [None, Some(0), Some(1), Some(4), Some(5), Some(9)];
        for size_bytes in [0, 1, 5, 6] {
            for first in ends {
                for last in ends {
                    let text = |end: Option<u64>| end.map_or(String::new(), |end| end.to_string());
                    let value = format!("bytes={}-{}", text(first), text(last));
                    let wanted = twin(first, last, size_bytes);
                    let given: Vec<u64> = match parse(value.as_bytes(), size_bytes) {
                        Asked::Whole => {
                            let inverted = matches!((first, last), (Some(f), Some(l)) if f > l);
                            assert!(inverted || (first, last) == (None, None), "{value}");
                            continue;
                        }
                        Asked::Slice(range) => range.collect(),
                        Asked::Unsatisfiable => Vec::new(),
                    };
                    assert_eq!(given, wanted, "{value} of {size_bytes}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_means_the_whole() {
        for value in ["", "bytes", "bytes=", "bytes=-", "items=0-1", "bytes=0-1,3-4", "bytes=a-b"] {
            assert_eq!(parse(value.as_bytes(), 10), Asked::Whole, "{value}");
        }
        assert_eq!(parse(b"bytes=+1-2", 10), Asked::Whole);
    }

    #[test]
    fn numbers_beyond_64_bits_are_large_not_wrong() {
        assert_eq!(parse(b"bytes=2-99999999999999999999999", 10), Asked::Slice(2..10));
        assert_eq!(parse(b"bytes=99999999999999999999999-", 10), Asked::Unsatisfiable);
        assert_eq!(parse(b"Bytes=0-0", 10), Asked::Slice(0..1));
    }
}
