//! Content negotiation by coding: which compressed forms of an answer a client takes (RFC 9110
//! section 12.5.3).
//!
//! Takes the values of Accept-Encoding, gives a small value that says which codings may be sent,
//! the most welcome one first. What cannot be read is passed by: a wrong Accept-Encoding is no
//! reason to refuse a request. It knows nothing of who compresses.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::cmp::Reverse;

use crate::request::accept::parse_quality;

/// A content coding that corelane sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878), with a window of at most 8 MiB (RFC 9659).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

/// Whether the bytes may be sent as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plain {
    /// They may.
    Accepted,
    /// The client has excluded them, with `identity;q=0` or `*;q=0`.
    Refused,
}

/// What a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accepted {
    ranked: [Option<Coding>; Coding::ALL.len()],
    identity: Plain,
}

impl Coding {
    /// All of them in the order of our preference, which decides where the client has none: what
    /// makes text smallest comes first.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// The value of Content-Encoding.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the name of a compressed file has behind the name of the file itself.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

impl Accepted {
    /// The bytes as they are and nothing else: what a client takes that says nothing. The RFC
    /// permits to send it any coding, but who does not say that he can decode often cannot.
    pub const PLAIN: Self = Self { ranked: [None; 3], identity: Plain::Accepted };

    /// What these values of Accept-Encoding permit.
    #[must_use]
    pub fn of<'v>(values: impl Iterator<Item = &'v [u8]> + Clone) -> Self {
        let mut rest = values.clone();
        match (rest.next(), rest.next()) {
            (None, _) => Self::PLAIN,
            (Some(only), None) => {
                usual(only).unwrap_or_else(|| Wishes::of(std::iter::once(only)).accepted())
            }
            (Some(_), Some(_)) => Wishes::of(values).accepted(),
        }
    }

    /// The codings that are as welcome as the bytes themselves, or more so: the best one first,
    /// and where the client has no preference, ours.
    pub fn ranked(self) -> impl Iterator<Item = Coding> {
        self.ranked.into_iter().flatten()
    }

    /// Whether the bytes may be sent as they are.
    #[must_use]
    pub const fn identity(self) -> Plain {
        self.identity
    }
}

/// What browsers, curl, wget, and the clients of Python and Go send, without parsing it: 3 to
/// 7 ns instead of 40 to 70, for nearly every request there is.
fn usual(value: &[u8]) -> Option<Accepted> {
    use Coding::{Brotli, Gzip, Zstd};
    let ranked = match value {
        b"gzip, deflate, br, zstd" | b"deflate, gzip, br, zstd" => {
            [Some(Brotli), Some(Zstd), Some(Gzip)]
        }
        b"gzip, deflate, br" | b"br, gzip, deflate" => [Some(Brotli), Some(Gzip), None],
        b"gzip, deflate" | b"gzip" => [Some(Gzip), None, None],
        b"identity" | b"" => [None; 3],
        _ => return None,
    };
    Some(Accepted { ranked, identity: Plain::Accepted })
}

/// The qualities in a field, in thousandths. Where a name comes twice, the first one counts.
#[derive(Default)]
struct Wishes {
    brotli: Option<u16>,
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    /// `*`: all that is not named.
    others: Option<u16>,
}

impl Wishes {
    fn of<'v>(values: impl Iterator<Item = &'v [u8]>) -> Self {
        let mut wishes = Self::default();
        let members = values.flat_map(|value| value.split(|byte| *byte == b','));
        for (name, quality) in members.filter_map(parse_member) {
            if let Some(wish) = wishes.named(name) {
                wish.get_or_insert(quality);
            }
        }
        wishes
    }

    /// `x-gzip` is gzip (section 8.4.1.3).
    fn named(&mut self, name: &[u8]) -> Option<&mut Option<u16>> {
        let is = |token: &str| name.eq_ignore_ascii_case(token.as_bytes());
        match name {
            b"*" => Some(&mut self.others),
            _ if is("br") => Some(&mut self.brotli),
            _ if is("zstd") => Some(&mut self.zstd),
            _ if is("gzip") || is("x-gzip") => Some(&mut self.gzip),
            _ if is("identity") => Some(&mut self.identity),
            _ => None,
        }
    }

    fn accepted(&self) -> Accepted {
        // Unless it is excluded, identity is acceptable without being named (section 12.5.3): less
        // welcome then than anything that is.
        let identity = self.identity.or(self.others).unwrap_or(1);
        let welcome = |coding| {
            let named = match coding {
                Coding::Brotli => self.brotli,
                Coding::Zstd => self.zstd,
                Coding::Gzip => self.gzip,
            };
            let quality = named.or(self.others).unwrap_or(0);
            (quality > 0 && quality >= identity).then_some((coding, quality))
        };
        let mut ranked = Coding::ALL.map(welcome);
        // Stable: our order stays where theirs says nothing. None goes last.
        ranked.sort_by_key(|wish| Reverse(wish.map(|(_, quality)| quality)));
        Accepted {
            ranked: ranked.map(|wish| wish.map(|(coding, _)| coding)),
            identity: if identity > 0 { Plain::Accepted } else { Plain::Refused },
        }
    }
}

/// `gzip` or `gzip;q=0.5`. A member with any other parameter is none of a list of codings.
fn parse_member(member: &[u8]) -> Option<(&[u8], u16)> {
    let Some(semicolon) = memchr::memchr(b';', member) else {
        return Some((member.trim_ascii(), 1000));
    };
    let (name, weight) = member.split_at_checked(semicolon)?;
    match weight.get(1..)?.trim_ascii() {
        [b'q' | b'Q', b'=', value @ ..] => Some((name.trim_ascii(), parse_quality(value)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &str) -> Accepted {
        Accepted::of(fields.split('|').map(str::as_bytes))
    }

    fn text(accepted: Accepted) -> String {
        let mut names: Vec<_> = accepted.ranked().map(Coding::token).collect();
        if accepted.identity() == Plain::Refused {
            names.push("not-identity");
        }
        names.join(" ")
    }

    #[test]
    fn the_table() {
        let table = [
            ("gzip, deflate, br, zstd", "br zstd gzip"),
            ("gzip, deflate, br", "br gzip"),
            ("gzip, deflate", "gzip"),
            ("gzip,deflate,br,zstd", "br zstd gzip"),
            ("GZIP, Br", "br gzip"),
            ("x-gzip", "gzip"),
            ("deflate, compress", ""),
            ("identity", ""),
            ("", ""),
            (" , ,", ""),
            ("*", "br zstd gzip"),
            ("*;q=0.5", "br zstd gzip"),
            ("*;q=0", "not-identity"),
            ("identity;q=0", "not-identity"),
            ("gzip, identity;q=0", "gzip not-identity"),
            ("gzip, *;q=0", "gzip not-identity"),
            ("identity, *;q=0", ""),
            ("*, identity;q=0", "br zstd gzip not-identity"),
            ("br;q=0, *", "zstd gzip"),
            ("gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
            ("gzip;q=0.9, br;q=0.8, zstd;q=0.85", "gzip zstd br"),
            ("gzip;q=0.9, br;q=0.9", "br gzip"),
            ("gzip;q=0", ""),
            ("gzip;q=0.000", ""),
            ("gzip;q=0.001", "gzip"),
            ("gzip;q=0.001, identity;q=0.001", "gzip"),
            ("gzip;q=0.5, identity", ""),
            ("gzip;q=0.5, br, identity;q=0.7", "br"),
            ("gzip;q=0.3, *;q=0.5", "br zstd"),
            ("gzip ; Q=0.5 ,br;q=0.4", "gzip br"),
            // The first one of a name counts.
            ("gzip;q=0, gzip", ""),
            ("x-gzip, gzip;q=0", "gzip"),
            // Several fields are one.
            ("gzip|br", "br gzip"),
            ("gzip;q=0|br, gzip", "br"),
            ("|gzip", "gzip"),
            ("identity;q=0|", "not-identity"),
            // What cannot be read does not count.
            ("gzip;q=1.1, br", "br"),
            ("gzip;q=, br", "br"),
            ("gzip;q=.5, br", "br"),
            ("gzip;q=0.1234, br", "br"),
            ("gzip;level=9, br", "br"),
            ("gzip;q=1;q=0, br", "br"),
            ("gzip;, br", "br"),
            ("gzip br", ""),
            ("gzip\t,\tbr", "br gzip"),
            (";q=1, =, ;;, br", "br"),
            ("gzipp, xgzip, b", ""),
            ("identity;q=nonsense", ""),
        ];
        for (fields, expected) in table {
            assert_eq!(text(of(fields)), expected, "{fields}");
        }
        assert_eq!(Accepted::of(std::iter::empty()), Accepted::PLAIN);
    }

    /// The slow twin: for each coding all members are read again, as text and floating numbers.
    fn twin(fields: &str) -> String {
        let members = fields.split(['|', ',']).filter_map(|member| {
            let words: Vec<_> = member.split(';').map(str::trim).collect();
            match words[..] {
                [name] => Some((name.to_lowercase(), 1.0)),
                [name, weight] => {
                    let digits = weight.to_lowercase().strip_prefix("q=")?.to_owned();
                    let quality: f64 = digits.parse().ok()?;
                    let good = digits.len() <= 5 && !digits.starts_with(['.', '+', '-']);
                    (good && quality <= 1.0).then(|| (name.to_lowercase(), quality))
                }
                _ => None,
            }
        });
        let members: Vec<_> = members.collect();
        let quality = |names: &[&str]| {
            let of = |names: &[&str]| {
                members.iter().find(|(name, _)| names.contains(&&name[..])).map(|(_, q)| *q)
            };
            of(names).or(of(&["*"]))
        };
        let identity = quality(&["identity"]).unwrap_or(0.0001);
        let codings = [&["br"][..], &["zstd"], &["gzip", "x-gzip"]];
        let mut ranked: Vec<_> = codings
            .map(|names| (names[0], quality(names).unwrap_or(0.0)))
            .into_iter()
            .filter(|(_, quality)| *quality > 0.0 && *quality >= identity)
            .collect();
        ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let mut names: Vec<_> = ranked.into_iter().map(|(name, _)| name).collect();
        if identity == 0.0 {
            names.push("not-identity");
        }
        names.join(" ")
    }

    #[test]
    fn agrees_with_the_slow_twin() {
        let names = ["br", "zstd", "gzip", "x-gzip", "identity", "*", "deflate", ""];
        let weights = ["", ";q=0", ";q=0.5", "; q=1", " ;q=0.7", ";q=2", ";x"];
        let mut members = Vec::new();
        for name in names {
            members.extend(weights.map(|weight| format!("{name}{weight}")));
        }
        for first in &members {
            assert_eq!(text(of(first)), twin(first), "{first}");
            for second in &members {
                let two = format!("{first}, {second}");
                assert_eq!(text(of(&two)), twin(&two), "{two}");
                for third in members.iter().step_by(if cfg!(miri) { 50 } else { 5 }) {
                    let three = format!("{first},{second}|{third}");
                    assert_eq!(text(of(&three)), twin(&three), "{three}");
                }
            }
        }
    }

    #[test]
    fn the_usual_values_mean_what_they_say() {
        let usual_ones = [
            "gzip, deflate, br, zstd",
            "deflate, gzip, br, zstd",
            "gzip, deflate, br",
            "br, gzip, deflate",
            "gzip, deflate",
            "gzip",
            "identity",
            "",
        ];
        for value in usual_ones {
            let quick = usual(value.as_bytes());
            assert_eq!(quick.map(text), Some(twin(value)), "{value}");
            for end in 0..value.len() {
                let cut = &value[..end];
                assert_eq!(text(of(cut)), twin(cut), "{cut}");
            }
        }
    }

    #[test]
    fn names_of_codings() {
        assert_eq!(Coding::ALL.map(Coding::token), ["br", "zstd", "gzip"]);
        assert_eq!(Coding::ALL.map(Coding::extension), [".br", ".zst", ".gz"]);
    }
}
