//! The value of a field Authorization to a name and a password (RFC 7617 section 2). Pure.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;

use crate::limits::AUTH_CREDENTIALS_BYTES_MAX;

/// A name and a password, as the client sent them: bytes that should be UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// `name:password`. A name has no colon, so this says exactly as much as the two.
    pub(super) pair: Vec<u8>,
    colon: usize,
}

impl Credentials {
    /// None unless this is well-formed, and of a length that somebody can have typed.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (scheme, token) = value.split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) || !token.starts_with(b" ") {
            return None;
        }
        let token = token.trim_ascii();
        if token.len() > AUTH_CREDENTIALS_BYTES_MAX.div_ceil(3) * 4 {
            return None;
        }
        let pair = BASE64.decode(token).ok()?;
        // Neither part may contain control characters. bcrypt in C would end at a NUL.
        if pair.len() > AUTH_CREDENTIALS_BYTES_MAX || pair.iter().any(u8::is_ascii_control) {
            return None;
        }
        let colon = memchr::memchr(b':', &pair)?;
        Some(Self { pair, colon })
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.pair[..self.colon]
    }

    pub(super) fn password(&self) -> &[u8] {
        &self.pair[self.colon + 1..]
    }
}

const SCHEME: &[u8] = b"Basic";

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::BASE64_STANDARD;

    fn parts(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let credentials = Credentials::parse(value)?;
        Some((credentials.name().to_vec(), credentials.password().to_vec()))
    }

    #[test]
    fn names_and_passwords() {
        let both = |name: &str, password: &str| {
            Some((name.as_bytes().to_vec(), password.as_bytes().to_vec()))
        };
        for (value, expected) in [
            // The two examples of RFC 7617, sections 2 and 2.1.
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", both("Aladdin", "open sesame")),
            ("Basic dGVzdDoxMjPCow==", both("test", "123\u{a3}")),
            ("bASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ", both("Aladdin", "open sesame")),
            ("Basic YTpiOmM=", both("a", "b:c")),
            ("Basic Og==", both("", "")),
            ("Basic YWI=", None),      // no colon
            ("Basic YTpiAA==", None),  // a NUL
            ("Basic YTpi=", None),     // padding where none belongs
            ("Basic YTpiYh==", None),  // bits behind the end
            ("Basic YTpi YTpi", None), // two
            ("Basic YTpi\tx", None),
            ("Basic", None),
            ("Basic ", None),
            ("Basicx YTpi", None),
            ("Basic\tYTpi", None),
            ("Bearer YTpi", None),
            ("Basic YTp-", None), // the alphabet for addresses
            ("", None),
        ] {
            assert_eq!(parts(value.as_bytes()), expected, "{value:?}");
        }
    }

    #[test]
    fn the_longest_credentials() {
        let value = |bytes: usize| {
            let pair = format!("a:{}", "x".repeat(bytes - 2));
            format!("Basic {}", BASE64_STANDARD.encode(pair)).into_bytes()
        };
        assert!(parts(&value(AUTH_CREDENTIALS_BYTES_MAX)).is_some());
        for more in 1..8 {
            assert!(parts(&value(AUTH_CREDENTIALS_BYTES_MAX + more)).is_none(), "{more}");
        }
    }

    /// Bit by bit.
    fn slow_decode(token: &[u8]) -> Option<Vec<u8>> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let unpadded = token.strip_suffix(b"==").or(token.strip_suffix(b"=")).unwrap_or(token);
        let padding = token.len() - unpadded.len();
        if padding > (4 - unpadded.len() % 4) % 4 {
            return None;
        }
        let mut bits = Vec::new();
        for byte in unpadded {
            let value = ALPHABET.iter().position(|letter| letter == byte)?;
            bits.extend((0..6).rev().map(|bit| value >> bit & 1));
        }
        let (whole, rest) = bits.split_at(bits.len() / 8 * 8);
        if rest.len() >= 6 || rest.contains(&1) {
            return None;
        }
        let byte =
            |bits: &[usize]| bits.iter().fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit == 1));
        Some(whole.chunks(8).map(byte).collect())
    }

    #[test]
    fn every_short_token_is_read_as_by_the_slow_twin() {
        const LETTERS: &[u8] = b"Oj6AQgw/=-";
        for length in 0..6_u32 {
            for number in 0..LETTERS.len().pow(length) {
                let letter =
                    |place: u32| LETTERS[number / LETTERS.len().pow(place) % LETTERS.len()];
                let token: Vec<u8> = (0..length).map(letter).collect();
                let slow = slow_decode(&token)
                    .filter(|pair| pair.contains(&b':') && !pair.iter().any(u8::is_ascii_control));
                let fast = Credentials::parse(&[b"Basic ", &*token].concat());
                assert_eq!(fast.map(|both| both.pair), slow, "{}", token.escape_ascii());
            }
        }
    }
}
