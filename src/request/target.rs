//! The request-target: which path and which query the request names (RFC 9112 section 3.2).
//!
//! Takes the method and the target as it came, gives the path decoded once with its dot segments
//! resolved, and the query untouched. After this nobody decodes a path again. It knows neither the
//! routes nor the file system.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::borrow::Cow;

use memchr::memchr;
use memchr::memchr_iter;
use memchr::memchr2;
use memchr::memrchr;

use crate::request::Method;
use crate::request::Reject;

/// A request-target, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'h> {
    /// The path: percent-decoded once, without `.` and `..` segments, without NUL. Starts with `/`,
    /// or is `*` in asterisk-form. Empty segments (`//`) stay; they match no file. Other bytes,
    /// control bytes among them, may be anything: encode it again before it goes into a header.
    pub path: Cow<'h, [u8]>,
    /// What stands behind the first `?`, as it came: not decoded, escapes not checked. Empty when
    /// there is none.
    pub query: &'h [u8],
    /// In which form the target came.
    pub form: Form,
}

/// The forms of a request-target that are taken here. The fourth, authority-form, is CONNECT's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query` (RFC 9112 section 3.2.1).
    Origin,
    /// `http://host/path?query` (section 3.2.2).
    Absolute,
    /// `*`, with OPTIONS alone (section 3.2.4).
    Asterisk,
}

/// Parses a request-target. The second value is the authority of an absolute-form target.
///
/// # Errors
///
/// When the form does not suit the method, on control bytes, fragments, malformed escapes in the
/// path, `%00`, a path that climbs over the root, and on a malformed authority. All are 400.
pub fn parse(method: Method, raw: &str) -> Result<(Target<'_>, Option<&[u8]>), Reject> {
    let raw = raw.as_bytes();
    check_bytes(raw)?;
    if raw.first() == Some(&b'/') {
        return Ok((split(raw, Form::Origin)?, None));
    }
    if raw == b"*" {
        let path = Cow::Borrowed(raw);
        return match method {
            Method::Options => Ok((Target { path, query: b"", form: Form::Asterisk }, None)),
            _ => Err(Reject::TargetForm),
        };
    }
    let rest = after_scheme(raw).ok_or(Reject::TargetForm)?;
    let authority_bytes = memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(authority_bytes).ok_or(Reject::TargetForm)?;
    check_authority(authority).map_err(|Malformed| Reject::Authority)?;
    Ok((split(rest, Form::Absolute)?, Some(authority)))
}

/// No control byte, no space (RFC 9112 section 3.2), no fragment (RFC 9110 section 7.1).
fn check_bytes(raw: &[u8]) -> Result<(), Reject> {
    // Without a way out of the loop the compiler looks at many bytes at once.
    let clean = raw.iter().fold(true, |clean, byte| clean & (*byte > b' ') & (*byte != 0x7f));
    if !clean {
        return Err(Reject::TargetControl);
    }
    match memchr(b'#', raw) {
        Some(_) => Err(Reject::TargetFragment),
        None => Ok(()),
    }
}

/// What stands behind `http://` or `https://`, in any case (RFC 3986 section 3.1).
fn after_scheme(raw: &[u8]) -> Option<&[u8]> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = raw.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    })
}

/// An authority that is not `uri-host [ ":" port ]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Checks `uri-host [ ":" port ]` (RFC 9110 section 7.2): a name of unreserved and sub-delims
/// characters or an IP literal in brackets, never empty, then an optional port up to 65535.
///
/// A comma, which RFC 3986 would allow too, is refused: it is how a proxy joins two Host fields.
/// Userinfo is refused (RFC 9110 section 4.2.4). So are percent-escapes, which RFC 3986 would
/// allow: hosts are compared byte by byte, and an encoded name would slip by its site.
pub(crate) fn check_authority(authority: &[u8]) -> Result<(), Malformed> {
    let port = match authority.strip_prefix(b"[") {
        Some(rest) => {
            let end = memchr(b']', rest).ok_or(Malformed)?;
            let (literal, rest) = rest.split_at_checked(end).ok_or(Malformed)?;
            let literal = std::str::from_utf8(literal).map_err(|_| Malformed)?;
            literal.parse::<std::net::Ipv6Addr>().map_err(|_| Malformed)?;
            rest.strip_prefix(b"]").ok_or(Malformed)?
        }
        None => {
            let name_bytes = memchr(b':', authority).unwrap_or(authority.len());
            let (name, rest) = authority.split_at_checked(name_bytes).ok_or(Malformed)?;
            if name.is_empty() || !name.iter().all(|byte| is_host_byte(*byte)) {
                return Err(Malformed);
            }
            rest
        }
    };
    match port {
        // `port = *DIGIT` may be empty (RFC 3986 section 3.2.3).
        [] | [b':'] => Ok(()),
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
            digits.parse::<u16>().map(|_| ()).map_err(|_| Malformed)
        }
        _ => Err(Malformed),
    }
}

/// unreserved and sub-delims of RFC 3986 section 2, but for the comma.
const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}

/// Splits `path?query`, where the path may be empty in absolute-form (RFC 9110 section 4.2.3).
fn split(raw: &[u8], form: Form) -> Result<Target<'_>, Reject> {
    let path_bytes = memchr(b'?', raw).unwrap_or(raw.len());
    let (path, query) = raw.split_at_checked(path_bytes).ok_or(Reject::TargetForm)?;
    let query = query.strip_prefix(b"?").unwrap_or(query);
    let path = if path.is_empty() { Cow::Borrowed(&b"/"[..]) } else { resolve_path(path)? };
    Ok(Target { path, query, form })
}

/// Decodes the path once, then resolves its dot segments. Most paths come back as they are.
fn resolve_path(path: &[u8]) -> Result<Cow<'_, [u8]>, Reject> {
    let decoded = decode(path)?;
    match has_dot_segment(&decoded) {
        false => Ok(decoded),
        true => Ok(Cow::Owned(resolve_dot_segments(&decoded)?)),
    }
}

fn decode(path: &[u8]) -> Result<Cow<'_, [u8]>, Reject> {
    let mut rest = path;
    let mut decoded = Vec::new();
    while let Some(at) = memchr(b'%', rest) {
        let (plain, escape) = rest.split_at_checked(at).ok_or(Reject::TargetEscape)?;
        let [b'%', high, low, behind @ ..] = escape else {
            return Err(Reject::TargetEscape);
        };
        let byte = hex_digit(*high)?.wrapping_shl(4) | hex_digit(*low)?;
        if byte == 0 {
            return Err(Reject::TargetNul);
        }
        if decoded.is_empty() {
            decoded.reserve(path.len());
        }
        decoded.extend_from_slice(plain);
        decoded.push(byte);
        rest = behind;
    }
    if decoded.is_empty() {
        return Ok(Cow::Borrowed(path));
    }
    decoded.extend_from_slice(rest);
    Ok(Cow::Owned(decoded))
}

const fn hex_digit(byte: u8) -> Result<u8, Reject> {
    match byte {
        b'0'..=b'9' => Ok(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Ok(byte.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Ok(byte.wrapping_sub(b'A').wrapping_add(10)),
        _ => Err(Reject::TargetEscape),
    }
}

/// Whether one of the segments is `.` or `..`.
fn has_dot_segment(path: &[u8]) -> bool {
    memchr_iter(b'.', path).any(|at| {
        let starts_segment = at.checked_sub(1).and_then(|before| path.get(before)) == Some(&b'/');
        let from_dot = path.get(at..).unwrap_or_default();
        starts_segment
            && matches!(from_dot, [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..])
    })
}

/// RFC 3986 section 5.2.4, but a path that climbs over the root is refused instead of cut.
fn resolve_dot_segments(path: &[u8]) -> Result<Vec<u8>, Reject> {
    let mut resolved = Vec::with_capacity(path.len());
    let mut ends_in_dots = false;
    let segments = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/');
    for segment in segments {
        ends_in_dots = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => {
                let parent_bytes = memrchr(b'/', &resolved).ok_or(Reject::TargetClimbs)?;
                resolved.truncate(parent_bytes);
            }
            _ => {
                resolved.push(b'/');
                resolved.extend_from_slice(segment);
            }
        }
    }
    if ends_in_dots {
        resolved.push(b'/'); // `/a/.` and `/a/b/..` name the folder `/a/`.
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(raw: &str) -> Result<Vec<u8>, Reject> {
        parse(Method::Get, raw).map(|(target, _)| target.path.into_owned())
    }

    #[test]
    fn paths() {
        let table: &[(&str, Result<&[u8], Reject>)] = &[
            ("/", Ok(b"/")),
            ("/a/b.html", Ok(b"/a/b.html")),
            ("/.well-known/x", Ok(b"/.well-known/x")),
            ("/...", Ok(b"/...")),
            ("/..a/a../.b", Ok(b"/..a/a../.b")),
            ("/a/", Ok(b"/a/")),
            ("//", Ok(b"//")),
            ("//a", Ok(b"//a")),
            ("/a//b", Ok(b"/a//b")),
            ("/a/./b", Ok(b"/a/b")),
            ("/.", Ok(b"/")),
            ("/./", Ok(b"/")),
            ("/a/.", Ok(b"/a/")),
            ("/a/..", Ok(b"/")),
            ("/a/../", Ok(b"/")),
            ("/a/b/..", Ok(b"/a/")),
            ("/a/b/../c", Ok(b"/a/c")),
            ("/a//../b", Ok(b"/a/b")),
            ("//..", Ok(b"/")),
            ("/a%20b", Ok(b"/a b")),
            ("/%41%5a%7e", Ok(b"/AZ~")),
            ("/%c3%A9", Ok("/é".as_bytes())),
            ("/é", Ok("/é".as_bytes())),
            ("/%ff", Ok(b"/\xff")),
            ("/a%2fb", Ok(b"/a/b")),
            ("/a%2f..%2fb", Ok(b"/b")),
            ("/a/%2e%2E/b", Ok(b"/b")),
            ("/%252e%252e/b", Ok(b"/%2e%2e/b")),
            ("/%25", Ok(b"/%")),
            ("/%0a", Ok(b"/\n")),
            ("/..", Err(Reject::TargetClimbs)),
            ("/../", Err(Reject::TargetClimbs)),
            ("/a/../..", Err(Reject::TargetClimbs)),
            ("/a/../../b", Err(Reject::TargetClimbs)),
            ("/%2e%2e/etc", Err(Reject::TargetClimbs)),
            ("/..%2fetc", Err(Reject::TargetClimbs)),
            ("/%", Err(Reject::TargetEscape)),
            ("/%4", Err(Reject::TargetEscape)),
            ("/%4?1", Err(Reject::TargetEscape)),
            ("/%4g", Err(Reject::TargetEscape)),
            ("/%+1", Err(Reject::TargetEscape)),
            ("/%%41", Err(Reject::TargetEscape)),
            ("/%é", Err(Reject::TargetEscape)),
            ("/a%00b", Err(Reject::TargetNul)),
            ("/a#b", Err(Reject::TargetFragment)),
            ("/a?b#c", Err(Reject::TargetFragment)),
            ("/a b", Err(Reject::TargetControl)),
            ("/a\tb", Err(Reject::TargetControl)),
            ("/a?\n", Err(Reject::TargetControl)),
            ("/\x7f", Err(Reject::TargetControl)),
            ("", Err(Reject::TargetForm)),
            ("*", Err(Reject::TargetForm)),
            ("a/b", Err(Reject::TargetForm)),
            ("?a", Err(Reject::TargetForm)),
            ("example.com:80", Err(Reject::TargetForm)),
            ("ftp://example.com/", Err(Reject::TargetForm)),
            ("http:/example.com/", Err(Reject::TargetForm)),
            ("**", Err(Reject::TargetForm)),
        ];
        for (raw, expected) in table {
            assert_eq!(path_of(raw), expected.map(<[u8]>::to_vec), "{raw}");
        }
    }

    #[test]
    fn a_plain_path_is_borrowed() {
        for raw in ["/", "/a/b.css?v=%2e", "/.git/x", "//", "http://h/a"] {
            let (target, _) = parse(Method::Get, raw).unwrap();
            assert!(matches!(target.path, Cow::Borrowed(_)), "{raw}");
        }
    }

    #[test]
    fn the_query_is_left_alone() {
        let query_of = |raw| parse(Method::Get, raw).unwrap().0.query.to_vec();
        assert_eq!(query_of("/a?b=%2e%zz&../c?d"), b"b=%2e%zz&../c?d");
        assert_eq!(query_of("/a?"), b"");
        assert_eq!(query_of("/a"), b"");
        assert_eq!(query_of("/a%3Fb"), b"");
    }

    #[test]
    fn asterisk_form_is_for_options() {
        let (target, authority) = parse(Method::Options, "*").unwrap();
        assert_eq!((&*target.path, target.form, authority), (&b"*"[..], Form::Asterisk, None));
        assert_eq!(parse(Method::Options, "*?a"), Err(Reject::TargetForm));
        assert_eq!(parse(Method::Options, "/a").unwrap().0.form, Form::Origin);
    }

    #[test]
    fn absolute_form() {
        let parsed = |raw| {
            let (target, authority) = parse(Method::Get, raw).unwrap();
            assert_eq!(target.form, Form::Absolute);
            (authority.unwrap().to_vec(), target.path.into_owned(), target.query.to_vec())
        };
        let all = |a: &str, p: &str, q: &str| (a.into(), p.into(), q.into());
        assert_eq!(parsed("http://a.b:80/c/../d?e"), all("a.b:80", "/d", "e"));
        assert_eq!(parsed("HTTPS://A"), all("A", "/", ""));
        assert_eq!(parsed("http://a?b/c"), all("a", "/", "b/c"));
        for raw in ["http://", "http:///a", "http://u@h/", "http://u:p@h/", "http://a:b/"] {
            assert_eq!(parse(Method::Get, raw), Err(Reject::Authority), "{raw}");
        }
    }

    #[test]
    fn authorities() {
        for good in ["a", "a.b-c_d~", "A:80", "a:", "a:65535", "127.0.0.1", "[::1]", "[::1]:8000"] {
            assert_eq!(check_authority(good.as_bytes()), Ok(()), "{good}");
        }
        let bad = [
            "",
            ":80",
            "a:65536",
            "a:8o",
            "a:80:80",
            "a:+1",
            "u@a",
            "a b",
            "a,b",
            "a/b",
            "a%41",
            "é",
            "a\\b",
            "[",
            "[]",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[a]",
            "::1",
            "a]",
            "[1.2.3.4]",
            "a\0",
        ];
        for bad in bad {
            assert_eq!(check_authority(bad.as_bytes()), Err(Malformed), "{bad}");
        }
    }

    /// RFC 3986 section 5.2.4 word for word, on text, and a count of the depth for climbing.
    fn slow_path(raw: &str) -> Result<Vec<u8>, Reject> {
        let mut decoded = Vec::new();
        let bytes = raw.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] == b'%' {
                let digits = bytes.get(at + 1..at + 3).ok_or(Reject::TargetEscape)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Reject::TargetEscape);
                }
                let digits = std::str::from_utf8(digits).unwrap();
                decoded.push(u8::from_str_radix(digits, 16).unwrap());
                if decoded.last() == Some(&0) {
                    return Err(Reject::TargetNul);
                }
                at += 3;
            } else {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
        let mut depth = 0;
        for segment in decoded.split(|byte| *byte == b'/').skip(1) {
            depth += match segment {
                b"." => 0,
                b".." => -1,
                _ => 1,
            };
            if depth < 0 {
                return Err(Reject::TargetClimbs);
            }
        }
        let mut input: String = decoded.iter().map(|byte| char::from(*byte)).collect();
        let mut output = String::new();
        while !input.is_empty() {
            if input.starts_with("/./") {
                input = input[2..].to_string();
            } else if input == "/." {
                input = "/".to_string();
            } else if input.starts_with("/../") || input == "/.." {
                input = format!("/{}", input.get(4..).unwrap_or(""));
                output.truncate(output.rfind('/').unwrap_or(0));
            } else {
                let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
                output.push_str(&input[..end]);
                input = input[end..].to_string();
            }
        }
        Ok(output.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect())
    }

    #[test]
    fn random_paths_agree_with_the_slow_twin() {
        const ROUNDS: usize = if cfg!(miri) { 50 } else { 50_000 };
        let pieces = ["/", "/", ".", "..", "a", "b", "%2e", "%2F", "%41", "%", "%0", "%00", "c"];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..ROUNDS {
            let mut raw = String::from("/");
            for _ in 0..(state >> 60) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // The pieces that are always refused come seldom, so that most paths get through.
                let kinds = if state.is_multiple_of(11) { pieces.len() } else { 9 };
                let piece = usize::try_from(state >> 32).unwrap() % kinds;
                raw.push_str(pieces[piece]);
            }
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let fast = path_of(&raw);
            assert_eq!(fast, slow_path(&raw), "{raw}");
            *if fast.is_ok() { &mut taken } else { &mut refused } += 1;
        }
        let both_seen = taken > ROUNDS / 10 && refused > ROUNDS / 10;
        assert!(both_seen, "{taken} taken, {refused} refused");
    }

    /// RFC 9112 section 3.2 as one asks for it aloud: which form is it, and which parts has it?
    fn slow_parse(method: Method, raw: &str) -> Result<(Form, String, Vec<u8>, String), Reject> {
        if raw.chars().any(|c| c <= ' ' || c == '\x7f') {
            return Err(Reject::TargetControl);
        }
        if raw.contains('#') {
            return Err(Reject::TargetFragment);
        }
        let (before_query, query) = raw.split_once('?').unwrap_or((raw, ""));
        if raw.starts_with('/') {
            let path = slow_path(before_query)?;
            return Ok((Form::Origin, String::new(), path, query.to_owned()));
        }
        if raw == "*" && method == Method::Options {
            return Ok((Form::Asterisk, String::new(), b"*".to_vec(), String::new()));
        }
        let lower = raw.to_ascii_lowercase();
        let scheme = ["http://", "https://"].into_iter().find(|scheme| lower.starts_with(scheme));
        let scheme_bytes = scheme.ok_or(Reject::TargetForm)?.len();
        let after_scheme = before_query.get(scheme_bytes..).unwrap_or("");
        let path_at = after_scheme.find('/').unwrap_or(after_scheme.len());
        let (authority, path) = after_scheme.split_at(path_at);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (authority, ""),
        };
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let good_host = match literal {
            Some(literal) => literal.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let known = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+;=".contains(c);
                !host.is_empty() && host.chars().all(known)
            }
        };
        let digits = port.chars().all(|c| c.is_ascii_digit());
        let good_port = port.is_empty() || digits && port.parse::<u16>().is_ok();
        if !good_host || !good_port {
            return Err(Reject::Authority);
        }
        let path = if path.is_empty() { b"/".to_vec() } else { slow_path(path)? };
        Ok((Form::Absolute, authority.to_owned(), path, query.to_owned()))
    }

    #[test]
    fn random_targets_agree_with_the_slow_twin() {
        const ROUNDS: usize = if cfg!(miri) { 300 } else { 120_000 };
        let starts = ["", "/", "/", "/", "*", "http://", "http://", "HTTPS://", "ftp://", "http:/"];
        let pieces = [
            "a", "b.c", "/", "/", "?", ":", "80", "[", "]", "[::1]", "..", "%2e", "/", "\\", "%5c",
            "é", "%c0%af", "=", "&", "*", "#", " ", "\t", "@", ",", "%00", "%", "99999",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut seen = std::collections::HashMap::new();
        for _ in 0..ROUNDS {
            let mut raw = starts[random(starts.len())].to_owned();
            for _ in 0..random(6) {
                // The pieces that are mostly refused come seldom, so that most targets get through.
                let kinds = if random(8) == 0 { pieces.len() } else { 20 };
                raw.push_str(pieces[random(kinds)]);
            }
            let method = if random(4) == 0 { Method::Options } else { Method::Get };
            let fast = parse(method, &raw).map(|(target, authority)| {
                let authority = String::from_utf8(authority.unwrap_or_default().to_vec()).unwrap();
                let query = String::from_utf8(target.query.to_vec()).unwrap();
                (target.form, authority, target.path.into_owned(), query)
            });
            assert_eq!(fast, slow_parse(method, &raw), "{method:?} {raw:?}");
            let kind = fast.map(|(form, ..)| form);
            *seen.entry(format!("{kind:?}")).or_insert(0) += 1;
        }
        assert!(seen.values().all(|count| *count > ROUNDS / 1_200), "{seen:?}");
        assert_eq!(seen.len(), 10, "three forms and seven refusals: {seen:?}");
    }
}
