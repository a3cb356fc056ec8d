//! Byte ranges: the Range field and a file's size to the slices to send (RFC 9110 section 14).
//!
//! Takes the value of the field as it came, gives what is asked in a form that costs no more than
//! the whole file: slices that overlap, touch or nearly do are one, and where their parts would
//! together be as long as the file, the file is sent. So a field that asks for the same bytes a
//! thousand times (CVE-2011-3192) gets nothing for it. It sends nothing: `multipart` words the
//! answer.
//!
//! nginx (ngx_http_range_filter_module) differs in this: it never coalesces, and falls back to the
//! whole when the slices without their heads are longer than that; it has no bound of their count
//! but what `max_ranges` says; it answers 416 to what it cannot read and to empty members of the
//! list, where we ignore the field (section 14.2 permits both). Above the bound both of us send the
//! whole.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::ops::Range;

use crate::limits::RANGE_PART_HEAD_BYTES;
use crate::limits::RANGES_MAX;

/// What a Range field asks of a representation of a known size.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing that we honour: send the whole. Other units are answered so too, and what would not
    /// save anything, which section 14.2 allows.
    Whole,
    /// These bytes; not empty, inside of the representation.
    Slice(Range<u64>),
    /// At least two such slices, far enough from each other, in the order in which they were asked
    /// for (section 15.3.7.2).
    Several(Vec<Range<u64>>),
    /// Nothing of the representation: 416.
    Unsatisfiable,
}

/// Reads the value of a Range field for a representation of `size_bytes`. Of nothing, all that is
/// there answers any range, as with nginx and Go: some clients send one with each request, and
/// would take 416 for a failure (section 14.2 permits to ignore it).
#[must_use]
pub(super) fn parse(value: &[u8], size_bytes: u64) -> Asked {
    if size_bytes == 0 {
        return Asked::Whole;
    }
    let Some(set) = bytes_unit(value) else { return Asked::Whole };
    if memchr::memchr(b',', set).is_some() {
        return several(set, size_bytes);
    }
    match spec(set, size_bytes) {
        Spec::Malformed => Asked::Whole,
        Spec::Unsatisfiable => Asked::Unsatisfiable,
        Spec::Bytes(range) => Asked::Slice(range),
    }
}

/// What follows `bytes=`; the unit's name has any case (section 14.1).
fn bytes_unit(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

/// A list, whose members may be empty (section 5.6.1.2). What cannot be satisfied is passed by as
/// long as anything can (section 14.1.2); one that cannot be read spoils the field.
fn several(set: &[u8], size_bytes: u64) -> Asked {
    let members = set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let (mut count, mut ranges) = (0, Vec::new());
    for member in members.filter(|member| !member.is_empty()) {
        count += 1;
        match spec(member, size_bytes) {
            Spec::Malformed => return Asked::Whole,
            _ if count > RANGES_MAX => return Asked::Whole,
            Spec::Unsatisfiable => {}
            Spec::Bytes(range) => ranges.push(range),
        }
    }
    let mut ranges = coalesce(ranges);
    match ranges.len() {
        0 if count == 0 => Asked::Whole,
        0 => Asked::Unsatisfiable,
        1 => ranges.pop().map_or(Asked::Whole, Asked::Slice),
        _ => {
            let add = |sum: u64, range: &Range<u64>| {
                sum.saturating_add(range.end - range.start).saturating_add(RANGE_PART_HEAD_BYTES)
            };
            let bytes = ranges.iter().fold(0, add);
            if bytes < size_bytes { Asked::Several(ranges) } else { Asked::Whole }
        }
    }
}

/// Makes one of those between which fewer bytes lie than a part of its own costs. It stands where
/// the first of them was asked for.
fn coalesce(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut ascending: Vec<_> = ranges.into_iter().enumerate().collect();
    ascending.sort_unstable_by_key(|(place, range)| (range.start, *place));
    let mut apart: Vec<(usize, Range<u64>)> = Vec::with_capacity(ascending.len());
    for (place, range) in ascending {
        match apart.last_mut() {
            Some((first_place, last))
                if range.start < last.end.saturating_add(RANGE_PART_HEAD_BYTES) =>
            {
                last.end = last.end.max(range.end);
                *first_place = place.min(*first_place);
            }
            _ => apart.push((place, range)),
        }
    }
    apart.sort_unstable_by_key(|(place, _)| *place);
    apart.into_iter().map(|(_, range)| range).collect()
}

/// One member of the list.
enum Spec {
    Malformed,
    Unsatisfiable,
    /// Not empty, inside of the representation.
    Bytes(Range<u64>),
}

fn spec(text: &[u8], size_bytes: u64) -> Spec {
    let dash = memchr::memchr(b'-', text).and_then(|dash| text.split_at_checked(dash));
    let Some((first, [_, last @ ..])) = dash else { return Spec::Malformed };
    let (first, last) = (first.trim_ascii(), last.trim_ascii());
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Spec::Malformed,
        (true, false) => suffix(last, size_bytes),
        (false, _) => from_first(first, last, size_bytes),
    }
}

/// `-500`: the last 500 bytes. `-0` can be read, but not satisfied (section 14.1.2).
fn suffix(length: &[u8], size_bytes: u64) -> Spec {
    match number(length) {
        None => Spec::Malformed,
        Some(0) => Spec::Unsatisfiable,
        Some(length) => Spec::Bytes(size_bytes.saturating_sub(length)..size_bytes),
    }
}

/// `0-499` or `500-`.
fn from_first(first: &[u8], last: &[u8], size_bytes: u64) -> Spec {
    let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
    match (number(first), last) {
        (Some(first), Some(last)) if first > last => Spec::Malformed,
        (Some(first), Some(_)) if first >= size_bytes => Spec::Unsatisfiable,
        (Some(first), Some(last)) => Spec::Bytes(first..last.saturating_add(1).min(size_bytes)),
        _ => Spec::Malformed,
    }
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

    const HEAD: u64 = RANGE_PART_HEAD_BYTES;

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
    fn one_range_agrees_with_the_slow_twin() {
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
                            let ignored = inverted || (first, last) == (None, None);
                            assert!(ignored || size_bytes == 0, "{value} of {size_bytes}");
                            continue;
                        }
                        Asked::Slice(range) => range.collect(),
                        Asked::Several(_) => panic!("{value} is one range"),
                        Asked::Unsatisfiable => Vec::new(),
                    };
                    assert_eq!(given, wanted, "{value} of {size_bytes}");
                    let with_commas = format!("bytes=, {}-{} ,,", text(first), text(last));
                    let listed = parse(with_commas.as_bytes(), size_bytes);
                    assert_eq!(listed, parse(value.as_bytes(), size_bytes), "{with_commas}");
                }
            }
        }
    }

    /// The slow twin of several: any two that are near are made one, until none are, in one list
    /// that keeps the order in which they were asked for.
    fn twin_of_several(specs: &[(u64, u64)], size_bytes: u64) -> Asked {
        let satisfiable = specs.iter().filter(|(first, _)| *first < size_bytes);
        let mut ranges: Vec<Range<u64>> =
            satisfiable.map(|(first, last)| *first..(last + 1).min(size_bytes)).collect();
        if ranges.is_empty() {
            return Asked::Unsatisfiable;
        }
        let near =
            |a: &Range<u64>, b: &Range<u64>| a.start < b.end + HEAD && b.start < a.end + HEAD;
        let pair = |ranges: &[Range<u64>]| {
            let count = ranges.len();
            let mut pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
            pairs.find(|(a, b)| near(&ranges[*a], &ranges[*b]))
        };
        while let Some((a, b)) = pair(&ranges) {
            let gone = ranges.remove(b);
            ranges[a] = ranges[a].start.min(gone.start)..ranges[a].end.max(gone.end);
        }
        if ranges.len() == 1 {
            return Asked::Slice(ranges.remove(0));
        }
        let bytes: u64 = ranges.iter().map(|range| range.clone().count() as u64 + HEAD).sum();
        if bytes < size_bytes { Asked::Several(ranges) } else { Asked::Whole }
    }

    #[test]
    fn several_agree_with_the_slow_twin() {
        let size_bytes = 10 * HEAD;
        let firsts = [0, 1, HEAD - 1, 2 * HEAD, 4 * HEAD, 4 * HEAD + 1, 9 * HEAD, 10 * HEAD];
        let lengths = [1, HEAD - 1, HEAD, HEAD + 1, 4 * HEAD];
        let mut specs = Vec::new();
        for first in firsts {
            specs.extend(lengths.map(|length| (first, first + length - 1)));
        }
        let text = |spec: &(u64, u64)| format!("{}-{}", spec.0, spec.1);
        let mut kinds = [0; 4];
        for one in specs.iter().step_by(if cfg!(miri) { 7 } else { 1 }) {
            for two in specs.iter().step_by(if cfg!(miri) { 7 } else { 1 }) {
                for three in specs.iter().step_by(3) {
                    let value = format!("bytes={},{}, {}", text(one), text(two), text(three));
                    let asked = parse(value.as_bytes(), size_bytes);
                    assert_eq!(
                        asked,
                        twin_of_several(&[*one, *two, *three], size_bytes),
                        "{value}"
                    );
                    kinds[match asked {
                        Asked::Whole => 0,
                        Asked::Slice(_) => 1,
                        Asked::Several(_) => 2,
                        Asked::Unsatisfiable => 3,
                    }] += 1;
                }
            }
        }
        assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
    }

    #[test]
    fn several_ranges() {
        let table = [
            ("bytes=0-99,500-599", Asked::Several(vec![0..100, 500..600])),
            ("BYTES= 0-99 ,\t500-599 , ", Asked::Several(vec![0..100, 500..600])),
            // In the order asked for.
            ("bytes=500-599,0-99", Asked::Several(vec![500..600, 0..100])),
            ("bytes=900-,0-99,-200,400-499", Asked::Several(vec![800..1000, 0..100, 400..500])),
            // What overlaps, touches or nearly touches is one.
            ("bytes=0-99,50-149", Asked::Slice(0..150)),
            ("bytes=0-99,100-149", Asked::Slice(0..150)),
            ("bytes=0-99,110-149", Asked::Slice(0..150)),
            ("bytes=110-149,0-99", Asked::Slice(0..150)),
            ("bytes=0-0,0-0,0-0", Asked::Slice(0..1)),
            ("bytes=0-,0-", Asked::Slice(0..1000)),
            ("bytes=0-499,500-999", Asked::Slice(0..1000)),
            // What cannot be satisfied is passed by, unless that is all of them.
            ("bytes=0-99,1000-,500-599", Asked::Several(vec![0..100, 500..600])),
            ("bytes=0-99,-0", Asked::Slice(0..100)),
            ("bytes=1000-,2000-3000,-0", Asked::Unsatisfiable),
            // What cannot be read spoils all.
            ("bytes=0-99,500-599,x", Asked::Whole),
            ("bytes=0-99,500-400", Asked::Whole),
            ("bytes=0-99,-", Asked::Whole),
            ("bytes=0-99,5", Asked::Whole),
            ("bytes=1000-,x", Asked::Whole),
            ("bytes=,", Asked::Whole),
            ("bytes=,,  ,", Asked::Whole),
            ("items=0-99,500-599", Asked::Whole),
            // Nothing is saved.
            ("bytes=0-399,530-999", Asked::Whole),
        ];
        for (value, asked) in table {
            assert_eq!(parse(value.as_bytes(), 1000), asked, "{value}");
        }
        assert_eq!(parse(b"bytes=0-,-1", 0), Asked::Whole);
        let ends = parse(b"bytes=0-0,-1", u64::MAX);
        assert_eq!(ends, Asked::Several(vec![0..1, u64::MAX - 1..u64::MAX]));
        let all = Asked::Slice(0..u64::MAX);
        assert_eq!(parse(b"bytes=0-18446744073709551615,1-2", u64::MAX), all);
        let nearly_all = format!("bytes=0-{},-1", u64::MAX - 2 - HEAD);
        assert_eq!(parse(nearly_all.as_bytes(), u64::MAX), Asked::Whole);
    }

    #[test]
    fn more_ranges_than_the_bound_are_ignored() {
        let value = |count: usize| {
            let specs: Vec<_> = (0..count).map(|at| format!("{0}-{0}", at * 1000)).collect();
            format!("bytes={}", specs.join(","))
        };
        let size_bytes = 10_000_000;
        let most = parse(value(RANGES_MAX).as_bytes(), size_bytes);
        assert!(matches!(most, Asked::Several(ranges) if ranges.len() == RANGES_MAX));
        assert_eq!(parse(value(RANGES_MAX + 1).as_bytes(), size_bytes), Asked::Whole);
        // Empty members are none, those that are passed by are.
        let spaced = value(RANGES_MAX).replace(',', ",,, ,");
        assert!(matches!(parse(spaced.as_bytes(), size_bytes), Asked::Several(_)));
        let behind_the_end = format!("{},{size_bytes}-", value(RANGES_MAX));
        assert_eq!(parse(behind_the_end.as_bytes(), size_bytes), Asked::Whole);
    }

    #[test]
    fn what_is_not_a_range_of_bytes_means_the_whole() {
        for value in ["", "bytes", "bytes=", "bytes=-", "items=0-1", "bytes=a-b", "bytes=5"] {
            assert_eq!(parse(value.as_bytes(), 10), Asked::Whole, "{value}");
        }
        assert_eq!(parse(b"bytes=+1-2", 10), Asked::Whole);
        assert_eq!(parse(b"bytes=1-2-3", 10), Asked::Whole);
    }

    #[test]
    fn numbers_beyond_64_bits_are_large_not_wrong() {
        assert_eq!(parse(b"bytes=2-99999999999999999999999", 10), Asked::Slice(2..10));
        assert_eq!(parse(b"bytes=99999999999999999999999-", 10), Asked::Unsatisfiable);
        assert_eq!(parse(b"Bytes=0-0", 10), Asked::Slice(0..1));
    }
}
