//! Tests of targets: what is made of a stranger's bytes, and what is refused of an operator's.

use super::*;
use crate::limits::RULE_STARS_MAX;
use crate::limits::TARGET_BYTES_MAX;
use crate::rules::pattern::Pattern;

/// What a client that asks for `path` and `query` is told.
fn location(pattern: &str, to: &str, path: &[u8], query: &[u8]) -> Result<String, Misfit> {
    let pattern = Pattern::new(pattern).unwrap();
    let redirect = Redirect::new(to, pattern.stars()).unwrap_or_else(|error| panic!("{error}"));
    redirect.location(&pattern.captures(path).expect("a path that matches"), query)
}

fn rewritten(pattern: &str, to: &str, path: &[u8]) -> Result<Vec<u8>, Misfit> {
    let pattern = Pattern::new(pattern).unwrap();
    let rewrite = Rewrite::new(to, pattern.stars()).unwrap_or_else(|error| panic!("{error}"));
    rewrite.path(&pattern.captures(path).expect("a path that matches"))
}

#[test]
fn locations() {
    let table: &[(&str, &str, &[u8], &str)] = &[
        ("/old", "/new", b"/old", "/new"),
        ("/old/**", "/new/$1", b"/old/a/b", "/new/a/b"),
        ("/old/**", "/new/$1", b"/old/", "/new/"),
        ("/*/*", "/$2/$1", b"/a/b", "/b/a"),
        ("/*", "/$10", b"/a", "/a0"),
        ("/*", "/$$1$$$1", b"/a", "/$1$a"),
        ("/*", "https://example.org", b"/a", "https://example.org/"),
        ("/*", "HTTPS://example.org:8443/$1", b"/a", "https://example.org:8443/a"),
        (
            "/**",
            "https://web.archive.org/web/http://a.b/$1",
            b"/c",
            "https://web.archive.org/web/http://a.b/c",
        ),
        ("/*", "http://[::1]?from=$1", b"/a", "http://[::1]/?from=a"),
        ("/**", "/find?in=$1&q=%20x", b"/a/b&c=d#e?", "/find?in=a/b%26c%3Dd%23e%3F&q=%20x"),
        ("/*", "/doc#$1", b"/a#b", "/doc#a%23b"),
        ("/*", "/a b/\u{e9}\\\"?c d", b"/x", "/a%20b/%C3%A9%5C%22?c%20d"),
        ("/*", "/%41%2f$1", b"/%41", "/%41%2f%2541"),
        // What a star matched stays a path, whatever it is.
        ("/*", "/new/$1", b"/a?b#c%d e", "/new/a%3Fb%23c%25d%20e"),
        ("/*", "/new/$1", b"/a\r\nSet-Cookie: x", "/new/a%0D%0ASet-Cookie:%20x"),
        ("/*", "/new/$1", b"/\xff\t\x7f\x80", "/new/%FF%09%7F%80"),
        // No other host.
        ("/**", "/$1", b"//evil.example/x", "/evil.example/x"),
        ("/**", "/$1", b"///evil.example", "/evil.example"),
        ("/**", "/$1", b"/\\evil.example", "/%5Cevil.example"),
        ("/**", "/$1", b"/\t/evil.example", "/%09/evil.example"),
        ("/*/**", "/$1$2", b"///evil.example", "/evil.example"),
        ("/*/**", "/$1/$2", b"//evil.example", "/evil.example"),
        ("/x**", "/$1", b"/x//evil.example", "/evil.example"),
        ("/**", "https://example.org/$1", b"/@evil.example", "https://example.org/@evil.example"),
        ("/x**", "https://example.org/$1", b"/x.evil.example", "https://example.org/.evil.example"),
        // No empty segment that was not asked for.
        ("/a/**/b/*", "/new/$1/$2", b"/a/b/c", "/new/c"),
        ("/a/**/b/*", "/new/$1/$2", b"/a/x/y/b/c", "/new/x/y/c"),
        ("/a/**", "/new/$1", b"/a//b", "/new/b"),
        ("/a/**", "/new/$1", b"/a/b//c", "/new/b//c"),
    ];
    for (pattern, to, path, expected) in table {
        let shown = path.escape_ascii();
        let found = location(pattern, to, path, b"").unwrap();
        assert_eq!(found, *expected, "{pattern} {to} {shown}");
    }
}

#[test]
fn the_query_of_the_request_is_kept_unless_the_target_has_one() {
    let table: &[(&str, &[u8], &str)] = &[
        ("/new", b"", "/new"),
        ("/new", b"a=%2e%zz&../b?c", "/new?a=%2e%zz&../b?c"),
        ("/new#part", b"a=1", "/new?a=1#part"),
        ("/new?b=2", b"a=1", "/new?b=2"),
        ("/new?b=2#part", b"a=1", "/new?b=2#part"),
        ("/new?", b"a=1", "/new"),
        ("https://example.org", b"a=1", "https://example.org/?a=1"),
        ("/new", "é\"<>".as_bytes(), "/new?%C3%A9%22%3C%3E"),
    ];
    for (to, query, expected) in table {
        assert_eq!(location("/old", to, b"/old", query).unwrap(), *expected, "{to}");
    }
}

#[test]
fn rewritten_paths() {
    let table: &[(&str, &str, &[u8], &[u8])] = &[
        ("/app/**", "/index.html", b"/app/x/y", b"/index.html"),
        ("/v1/**", "/api/$1", b"/v1/a/b", b"/api/a/b"),
        ("/v1/**", "/api/$1", b"/v1/\xff%41?#", b"/api/\xff%41?#"),
        ("/v1/**", "/100%/\u{e9}/$$/$1", b"/v1/a", "/100%/é/$/a".as_bytes()),
        ("/**", "/$1", b"//etc/passwd", b"/etc/passwd"),
        ("/**/*", "/x/$1/$2", b"/a", b"/x/a"),
        ("/v1/**", "/$1/", b"/v1/", b"/"),
        ("/v1/**", "/$1/", b"/v1/a/", b"/a/"),
        ("/*", "/a$1", b"/..b", b"/a..b"),
        ("/*", "/$1", b"/%2e%2e", b"/%2e%2e"),
    ];
    for (pattern, to, path, expected) in table {
        let found = rewritten(pattern, to, path).unwrap();
        assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}

#[test]
fn dot_segments_are_not_found() {
    let table: &[(&str, &str, &[u8])] = &[
        ("/x*", "/new/$1", b"/x.."),
        ("/x*", "/new/$1", b"/x."),
        ("/x**", "/new/$1/secret", b"/x../../.."),
        ("/x*y*", "/$1$2", b"/x.y."),
        ("/x*", "/new/.$1", b"/x."),
        ("/x*", "/.$1/etc", b"/x"),
        ("/x*", "/$1./etc", b"/x."),
    ];
    for (pattern, to, path) in table {
        assert_eq!(rewritten(pattern, to, path), Err(Misfit::DotSegment), "{pattern} {to}");
        assert_eq!(location(pattern, to, path, b""), Err(Misfit::DotSegment), "{pattern} {to}");
    }
    assert_eq!(location("/x*", "/%2e$1/etc", b"/x.", b""), Err(Misfit::DotSegment));
    assert_eq!(location("/x*", "https://a.b/$1", b"/x..", b""), Err(Misfit::DotSegment));
    // A name that only looks like an escape.
    assert_eq!(location("/*", "/$1", b"/%2e%2e", b"").unwrap(), "/%252e%252e");
    assert_eq!(location("/*", "/a?b=$1", b"/x/..".split_at(2).0, b"").unwrap(), "/a?b=x");
    assert_eq!((Misfit::DotSegment.status(), Misfit::TooLong.status()), (404, 414));
}

#[test]
fn targets_that_are_refused() {
    type Reader = fn(&str, usize) -> Result<(), String>;
    let redirect: Reader = |to, stars| Redirect::new(to, stars).map(|_| ());
    let rewrite: Reader = |to, stars| Rewrite::new(to, stars).map(|_| ());
    let table = [
        (redirect, "", 0, "is empty: write a target such as \"/new/$1\""),
        (redirect, "new", 0, "\"new\" is neither a path nor a URL: begin with a slash"),
        (redirect, "$1", 1, "neither a path nor a URL"),
        (redirect, "javascript:alert(1)", 0, "neither a path nor a URL"),
        (redirect, "?a=b", 0, "neither a path nor a URL"),
        (redirect, "//example.org/", 0, "begins with two slashes, which name a host: write one"),
        (redirect, "/\\example.org/", 0, "begins with two slashes"),
        (redirect, "/a\r\nb", 0, "\"/a\\r\\nb\" has a control character: remove it"),
        (redirect, "/a/../b", 0, "has a dotted segment: write the path without it"),
        (redirect, "/a/%2E./b", 0, "has a dotted segment"),
        (redirect, "/100%", 0, "has a % without two digits: write %25 for a percent sign"),
        (redirect, "/%2$1", 1, "has a % without two digits"),
        (redirect, "/a?b=%zz", 0, "has a % without two digits"),
        (redirect, "/$", 0, "has a $ without its digit: write $1 to $9, or $$"),
        (redirect, "/$0", 1, "has a $ without its digit"),
        (redirect, "/$x", 1, "has a $ without its digit"),
        (redirect, "/$1", 0, "has $1, and its pattern no star: write $$ for a dollar sign"),
        (redirect, "/$2", 1, "has $2, and its pattern one star: write $1, or $$ for"),
        (redirect, "/$3", 2, "has $3, and its pattern 2 stars: write $1 to $2, or $$ for"),
        (redirect, "/a?b=$3", 2, "has $3"),
        (redirect, "/a#$3", 2, "has $3"),
        (redirect, "https://$1/", 1, "has a $ in its host, which a stranger could choose"),
        (redirect, "https://example.org$1", 1, "has a $ in its host"),
        (redirect, "https://$1@example.org/", 1, "has a $ in its host"),
        (redirect, "https:///a", 0, "has no host: write one such as https://example.com"),
        (redirect, "https://me@example.org/", 0, "has no host"),
        (redirect, "https://example.org\\a", 0, "has no host"),
        (redirect, "https://example.org:99999/", 0, "has no host"),
        (rewrite, "", 0, "is empty"),
        (rewrite, "new", 0, "\"new\" does not begin with a slash: write \"/new\""),
        (rewrite, "https://example.org/", 0, "is a URL: write a path, or redirect to it"),
        (rewrite, "/a?b", 0, "has a query or fragment: write the path alone"),
        (rewrite, "/a#b", 0, "has a query or fragment"),
        (rewrite, "/a%20b", 0, "is percent-encoded: write the characters themselves"),
        (rewrite, "/a\0b", 0, "has a control character"),
        (rewrite, "//a", 0, "has an empty or dotted segment, which no file has: remove it"),
        (rewrite, "/a//b", 0, "has an empty or dotted segment"),
        (rewrite, "/a//", 0, "has an empty or dotted segment"),
        (rewrite, "//", 0, "has an empty or dotted segment"),
        (rewrite, "/a/..", 0, "has an empty or dotted segment"),
        (rewrite, "/./a", 0, "has an empty or dotted segment"),
        (rewrite, "/$2", 1, "has $2, and its pattern one star"),
    ];
    for (read, to, stars, expected) in table {
        let error = read(to, stars).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
    }
    let longest = format!("/{}", "a".repeat(RULE_TARGET_BYTES_MAX - 1));
    for read in [redirect, rewrite] {
        read(&longest, 0).unwrap();
        assert!(read(&format!("{longest}a"), 0).unwrap_err().contains("of over 2048 bytes"));
    }
}

#[test]
fn the_bound_of_a_result_is_reached() {
    // The longest path, each byte of it escaped, with the longest target.
    let path = [b"/".as_slice(), &vec![b'\n'; TARGET_BYTES_MAX - 1]].concat();
    let to = format!("/{}$1", "a".repeat(RULE_TARGET_BYTES_MAX - 3));
    assert!(location("/*", &to, &path, b"").is_ok());
    for to in ["/$1$1", "/?$1$1", "/#$1$1"] {
        assert_eq!(location("/*", to, &path, b""), Err(Misfit::TooLong), "{to}");
    }
    assert_eq!(location("/*", "/$1?$1", &path, b""), Err(Misfit::TooLong));
    assert_eq!(rewritten("/*", "/$1$1$1$1$1", &path), Err(Misfit::TooLong));
    assert!(rewritten("/*", "/$1$1$1$1", &path).is_ok());
}

/// Whatever is asked for, a target that is a path stays one, and no line ends.
#[test]
fn random_paths_stay_on_their_host() {
    const ROUNDS: usize = if cfg!(miri) { 50 } else { 20_000 };
    let targets =
        ["/$1", "/$1$2", "/$2$1", "/$1/$2", "/a/$1/$2", "/$1?$2", "/$2#$1", "/.$1", "/$1."];
    let pattern = Pattern::new("/*{,/,x}**").unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut made = 0;
    for _ in 0..ROUNDS {
        let mut path = b"/".to_vec();
        for _ in 0..random(7) {
            path.push(b"//\\.\t\r\n@:x%2e?#\xff"[random(16)]);
        }
        let captures = pattern.captures(&path).unwrap();
        let to = targets[random(targets.len())];
        let shown = path.escape_ascii();
        if let Ok(location) = Redirect::new(to, 2).unwrap().location(&captures, b"a=b") {
            made += 1;
            assert!(location.bytes().all(|byte| matches!(byte, b'!'..=b'~')), "{location}");
            assert!(location.starts_with('/'), "{location}");
            assert!(!location[1..].starts_with(['/', '\\']), "{to} {shown}: {location}");
            let path = location.split(['?', '#']).next().unwrap().to_ascii_lowercase();
            let plain = path.replace("%2e", ".");
            assert!(!plain.split('/').any(|s| matches!(s, "." | "..")), "{to} {shown}: {location}");
        }
        if to.contains(['?', '#']) {
            continue;
        }
        if let Ok(path) = Rewrite::new(to, 2).unwrap().path(&captures) {
            assert!(path.starts_with(b"/") && !path.starts_with(b"//"), "{to} {shown}");
            let dotted = |segment: &[u8]| matches!(segment, b"." | b"..");
            assert!(!path.split(|byte| *byte == b'/').any(dotted), "{to} {shown}");
        }
    }
    assert!(made > ROUNDS / 2);
    assert_eq!(Captures::default().len(), RULE_STARS_MAX);
}
