//! Content negotiation by media type: which of a few offers a client likes best (RFC 9110 section
//! 12.5.1).
//!
//! Takes the values of Accept and the offers, gives one of them. What cannot be read is passed by:
//! a wrong Accept is no reason to refuse a request. It knows nothing of what the offers stand for.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::cmp::Reverse;

/// The index of the offer that these values of Accept ask for, such as `text/html`; None when they
/// exclude all of them.
///
/// The higher quality wins; where it is the same, the offer that was named more exactly, then the
/// one that was named first, then the first offer. Without any value everything is welcome, and the
/// first offer it is.
#[must_use]
pub fn preferred<'v>(
    values: impl Iterator<Item = &'v [u8]> + Clone,
    offers: &[&str],
) -> Option<usize> {
    let ranges = values.flat_map(|value| value.split(|byte| *byte == b',')).filter_map(parse_range);
    if ranges.clone().next().is_none() {
        return Some(0);
    }
    let liking = |offer: &str| {
        let (kind, subtype) = offer.split_once('/')?;
        let of_range = |(place, range): (usize, Range<'_>)| {
            let exactness = range.exactness(kind.as_bytes(), subtype.as_bytes())?;
            Some((exactness, Reverse(place), range.quality))
        };
        // The most exact range speaks for an offer (section 12.5.1), of two such the first one.
        let (exactness, place, quality) = ranges.clone().enumerate().filter_map(of_range).max()?;
        (quality > 0).then_some((quality, exactness, place))
    };
    let likings = offers.iter().enumerate().map(|(at, offer)| (liking(offer), Reverse(at)));
    let (best, Reverse(at)) = likings.max()?;
    best.map(|_| at)
}

/// `text/html;q=0.9`, `text/*` or `*/*`.
#[derive(Clone, Copy, Debug)]
struct Range<'v> {
    kind: &'v [u8],
    subtype: &'v [u8],
    /// In thousandths.
    quality: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    Anything,
    Kind,
    Subtype,
}

impl Range<'_> {
    fn exactness(&self, kind: &[u8], subtype: &[u8]) -> Option<Exactness> {
        match (self.kind, self.subtype) {
            (b"*", b"*") => Some(Exactness::Anything),
            (named, b"*") if named.eq_ignore_ascii_case(kind) => Some(Exactness::Kind),
            (named, sub) => {
                let same = named.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype);
                same.then_some(Exactness::Subtype)
            }
        }
    }
}

/// Parameters other than `q` are passed by: none of our offers has one that matters.
fn parse_range(member: &[u8]) -> Option<Range<'_>> {
    let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let mut words = parts.next()?.splitn(2, |byte| *byte == b'/');
    let (kind, subtype) = (words.next()?, words.next()?);
    if kind.is_empty() || subtype.is_empty() {
        return None;
    }
    let mut quality = 1000;
    for part in parts {
        if let [b'q' | b'Q', b'=', value @ ..] = part {
            quality = parse_quality(value)?;
        }
    }
    Some(Range { kind, subtype, quality })
}

/// `( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )` (RFC 9110 section 12.4.2), in thousandths.
pub(super) fn parse_quality(value: &[u8]) -> Option<u16> {
    let (whole, rest) = value.split_first()?;
    let decimals = match rest {
        [] => rest,
        [b'.', decimals @ ..] if decimals.len() <= 3 => decimals,
        _ => return None,
    };
    let mut quality = u16::from(match whole {
        b'0' | b'1' => *whole - b'0',
        _ => return None,
    });
    for place in 0..3 {
        let digit = match decimals.get(place).unwrap_or(&b'0') {
            digit @ b'0'..=b'9' => u16::from(*digit - b'0'),
            _ => return None,
        };
        quality = quality * 10 + digit;
    }
    (quality <= 1000).then_some(quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERS: [&str; 3] = ["text/html", "application/json", "text/plain"];

    fn chosen(accept: &str) -> Option<&'static str> {
        let values = accept.split('|').map(str::as_bytes);
        preferred(values, &OFFERS).map(|at| OFFERS[at])
    }

    #[test]
    fn the_table() {
        const HTML: Option<&str> = Some("text/html");
        const JSON: Option<&str> = Some("application/json");
        const PLAIN: Option<&str> = Some("text/plain");
        let table = [
            ("", HTML),
            (" , ,", HTML),
            ("*/*", HTML),
            ("text/*", HTML),
            ("application/*", JSON),
            ("application/json", JSON),
            ("APPLICATION/Json ; charset=utf-8", JSON),
            ("text/plain", PLAIN),
            ("image/png", None),
            ("*/*;q=0", None),
            ("text/html;q=0", None),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
            ("application/json, text/plain, */*", JSON),
            ("*/*, text/plain", PLAIN),
            ("text/plain, application/json", PLAIN),
            ("text/html;q=0.5, application/json;q=0.501", JSON),
            ("text/html;q=0.5, application/json;q=0.50", HTML),
            ("text/html;q=0, */*", JSON),
            ("text/*;q=0.3, text/html;q=0.2, application/json;q=0.1", PLAIN),
            ("text/html|application/json;q=0.9", HTML),
            ("image/png|application/json;q=0.9", JSON),
            // What cannot be read does not count.
            ("nonsense", HTML),
            ("/json, application/", HTML),
            ("text/html;q=, application/json;q=0.1", JSON),
            ("text/html;q=2, application/json;q=0.1", JSON),
            ("text/html;q=1.001, application/json;q=0.1", JSON),
            ("text/html;q=0.1234, application/json;q=0.1", JSON),
            ("text/html;q=.9, application/json;q=0.1", JSON),
            ("text/html;q=-1, application/json;q=0.1", JSON),
        ];
        for (accept, expected) in table {
            assert_eq!(chosen(accept), expected, "{accept}");
        }
        assert_eq!(preferred(std::iter::empty(), &OFFERS), Some(0));
        assert_eq!(preferred(std::iter::once(&b"*/*"[..]), &[]), None);
    }

    #[test]
    fn qualities() {
        for thousandths in 0..=1000_u16 {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            assert_eq!(parse_quality(text.as_bytes()), Some(thousandths));
        }
        for (text, thousandths) in [("0", 0), ("1", 1000), ("0.", 0), ("1.0", 1000), ("0.5", 500)] {
            assert_eq!(parse_quality(text.as_bytes()), Some(thousandths));
        }
    }
}
