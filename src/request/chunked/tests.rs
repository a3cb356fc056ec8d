//! The tests of `request/chunked`.

use super::*;

/// What became of one input: the body and the bytes used, more wanted, or the refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Complete(Vec<u8>, usize),
    NeedMore(Vec<u8>),
    Refused(Reject),
}

fn decode_in_pieces<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let mut decoder = Decoder::new();
    let mut body = Vec::new();
    let mut used_before = 0;
    for piece in pieces {
        match decoder.decode(piece, &mut body) {
            Ok(Progress::Complete { used }) => {
                return Outcome::Complete(body, used_before + used);
            }
            Ok(Progress::NeedMore { used }) => assert_eq!(used, piece.len()),
            Err(reject) => return Outcome::Refused(reject),
        }
        used_before += piece.len();
    }
    Outcome::NeedMore(body)
}

/// The slow twin: has all bytes at once, cuts line by line.
fn slow(input: &[u8]) -> Outcome {
    let mut body = Vec::new();
    match slow_decode(input, &mut body) {
        Ok(Some(used)) => Outcome::Complete(body, used),
        Ok(None) => Outcome::NeedMore(body),
        Err(reject) => Outcome::Refused(reject),
    }
}

fn slow_decode(input: &[u8], body: &mut Vec<u8>) -> Result<Option<usize>, Reject> {
    let mut at = 0;
    let mut extensions = 0;
    loop {
        let line = slow_line(&input[at..], CHUNK_LINE_BYTES_MAX, Reject::ChunkLineTooLong)?;
        let Some(line) = line else { return Ok(None) };
        at += line.len();
        let text = line.strip_suffix("\r\n").ok_or(Reject::ChunkSize)?;
        let size = text.split(';').next().unwrap();
        let size = if text.contains(';') { size.trim_end_matches([' ', '\t']) } else { size };
        let extension = &text[size.len()..];
        let hex = !size.is_empty() && size.chars().all(|c| c.is_ascii_hexdigit());
        if !hex || size.len() > 16 {
            return Err(Reject::ChunkSize);
        }
        if !slow_extensions_are_good(extension) {
            return Err(Reject::ChunkExtension);
        }
        extensions += extension.len();
        if extensions > CHUNK_EXTENSION_BYTES_MAX {
            return Err(Reject::ChunkExtensionsTooLong);
        }
        let size = u128::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        let here = size.min((input.len() - at) as u128);
        let here = usize::try_from(here).unwrap();
        body.extend_from_slice(&input[at..at + here]);
        at += here;
        for expected in b"\r\n" {
            match input.get(at) {
                None => return Ok(None),
                Some(byte) if byte == expected => at += 1,
                Some(_) => return Err(Reject::ChunkEnd),
            }
        }
    }
    let trailers_at = at;
    loop {
        let room = TRAILER_BYTES_MAX - (at - trailers_at);
        let Some(line) = slow_line(&input[at..], room, Reject::TrailersTooLarge)? else {
            return Ok(None);
        };
        at += line.len();
        if line == "\r\n" {
            return Ok(Some(at));
        }
        let text = line.strip_suffix("\r\n").ok_or(Reject::TrailerMalformed)?;
        let (name, value) = text.split_once(':').ok_or(Reject::TrailerMalformed)?;
        let tchar = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let clean = value.bytes().all(|byte| byte == b'\t' || byte >= b' ' && byte != 0x7f);
        if name.is_empty() || !name.chars().all(tchar) || !clean {
            return Err(Reject::TrailerMalformed);
        }
        let name = name.to_ascii_lowercase();
        if TRAILERS_FORBIDDEN.contains(&name.as_bytes()) {
            return Err(Reject::TrailerForbidden);
        }
    }
}

/// Cuts at each `;` outside of quotes, then at the first `=`.
fn slow_extensions_are_good(text: &str) -> bool {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match (quoted, escaped, c) {
            (true, true, _) => escaped = false,
            (true, false, '\\') => escaped = true,
            (_, _, '"') => quoted = !quoted,
            (false, _, ';') => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    let clean = |c: char| c == '\t' || (c >= ' ' && c != '\x7f');
    let good_value = |value: &str| match value.strip_prefix('"') {
        Some(inside) => inside.find('"').is_some_and(|_| {
            // The only quote that no backslash precedes is the last character.
            let mut characters = inside.chars();
            while let Some(c) = characters.next() {
                match c {
                    '\\' if characters.next().is_none() => return false,
                    '"' => return characters.next().is_none(),
                    _ => {}
                }
            }
            false
        }),
        None => is_token(value.as_bytes()),
    };
    let trim = |text: &str| text.trim_matches([' ', '\t']).to_owned();
    let good = |part: &String| match part.split_once('=') {
        Some((name, value)) => is_token(trim(name).as_bytes()) && good_value(&trim(value)),
        None => is_token(trim(part).as_bytes()),
    };
    // White space is allowed before a `;` and not at the end of the line.
    let spaced_end = text.ends_with([' ', '\t']);
    let before_first = parts.remove(0);
    text.chars().all(clean)
        && !spaced_end
        && trim(&before_first).is_empty()
        && parts.iter().all(good)
}

/// The line with its end. The inputs that come here are ASCII.
fn slow_line(input: &[u8], max: usize, too_long: Reject) -> Result<Option<&str>, Reject> {
    let end = input.iter().position(|byte| *byte == b'\n');
    match end {
        Some(end) if end < max => Ok(Some(std::str::from_utf8(&input[..=end]).unwrap())),
        Some(_) => Err(too_long),
        None if input.len() >= max => Err(too_long),
        None => Ok(None),
    }
}

fn check_every_cut(input: &[u8]) -> Outcome {
    let whole = slow(input);
    assert_eq!(decode_in_pieces([input]), whole, "{}", input.escape_ascii());
    assert_eq!(decode_in_pieces(input.chunks(1)), whole, "{}", input.escape_ascii());
    for at in 0..=input.len() {
        let (first, second) = input.split_at(at);
        let cut = decode_in_pieces([first, second]);
        assert_eq!(cut, whole, "cut at {at}: {}", input.escape_ascii());
    }
    whole
}

#[test]
fn good_bodies() {
    let complete = |input: &[u8], body: &[u8], used: usize| {
        assert_eq!(check_every_cut(input), Outcome::Complete(body.to_vec(), used));
    };
    complete(b"0\r\n\r\n", b"", 5);
    complete(b"5\r\nhello\r\n0\r\n\r\nGET /", b"hello", 15);
    complete(b"A\r\n0123456789\r\n1\r\n\n\r\n000\r\n\r\n", b"0123456789\n", 28);
    complete(b"2;a=b;c=\"d e\"\r\nhi\r\n0;x\r\n\r\n", b"hi", 26);
    complete(b"1 ; a = b\t;c;d=\"\\\";\"\r\nx\r\n0\r\n\r\n", b"x", 30);
    complete(b"0\r\nVary: *\r\nContent-Type: text/plain\r\n\r\n", b"", 40);
    complete(b"0\r\nX-Sum: 5\r\nY:\t\r\n\r\n", b"", 20);
    complete(b"000000000000000f\r\n0123456789abcde\r\n0\r\n\r\n", b"0123456789abcde", 40);
}

#[test]
fn bad_bodies() {
    let table: &[(&[u8], Reject)] = &[
        (b"\r\n", Reject::ChunkSize),
        (b"5\nhello\r\n0\r\n\r\n", Reject::ChunkSize),
        (b"0x5\r\nhello", Reject::ChunkSize),
        (b"+5\r\nhello", Reject::ChunkSize),
        (b"-1\r\n", Reject::ChunkSize),
        (b" 5\r\nhello", Reject::ChunkSize),
        (b"5 \r\nhello", Reject::ChunkSize),
        (b"5 \t\r\nhello", Reject::ChunkSize),
        (b"5 a;b\r\nhello", Reject::ChunkSize),
        (b"5;\r\nhello", Reject::ChunkExtension),
        (b"5; \r\nhello", Reject::ChunkExtension),
        (b"5;a;\r\nhello", Reject::ChunkExtension),
        (b"5;a \r\nhello", Reject::ChunkExtension),
        (b"5;a b\r\nhello", Reject::ChunkExtension),
        (b"5;=b\r\nhello", Reject::ChunkExtension),
        (b"5;a=\r\nhello", Reject::ChunkExtension),
        (b"5;a=b=c\r\nhello", Reject::ChunkExtension),
        (b"5;a[=b\r\nhello", Reject::ChunkExtension),
        (b"5;a=\"b\r\nhello", Reject::ChunkExtension),
        (b"5;a=\"b\\\"\r\nhello", Reject::ChunkExtension),
        (b"5;a=\"b\"c\r\nhello", Reject::ChunkExtension),
        (b"5;a=\"\\\0\"\r\nhello", Reject::ChunkExtension),
        (b"5_0\r\nhello", Reject::ChunkSize),
        (b"g\r\n", Reject::ChunkSize),
        (b";a\r\n", Reject::ChunkSize),
        (b"5\r\r\nhello", Reject::ChunkSize),
        (b"00000000000000000\r\n\r\n", Reject::ChunkSize),
        (b"10000000000000000\r\n", Reject::ChunkSize),
        (b"5;a\rb\r\nhello", Reject::ChunkExtension),
        (b"5;a\0\r\nhello", Reject::ChunkExtension),
        (b"5;a\x7f\r\nhello", Reject::ChunkExtension),
        (b"5\r\nhello0\r\n\r\n", Reject::ChunkEnd),
        (b"5\r\nhello\n0\r\n\r\n", Reject::ChunkEnd),
        (b"5\r\nhello\r0\r\n\r\n", Reject::ChunkEnd),
        (b"5\r\nhello!\r\n", Reject::ChunkEnd),
        (b"0\r\n\n", Reject::TrailerMalformed),
        (b"0\r\nA: b\n\r\n", Reject::TrailerMalformed),
        (b"0\r\nGET / HTTP/1.1\r\n\r\n", Reject::TrailerMalformed),
        (b"0\r\nA : b\r\n\r\n", Reject::TrailerMalformed),
        (b"0\r\n: b\r\n\r\n", Reject::TrailerMalformed),
        (b"0\r\nA: b\r\n c\r\n\r\n", Reject::TrailerMalformed),
        (b"0\r\nA: b\0\r\n\r\n", Reject::TrailerMalformed),
        (b"0\r\nA: b\rc\r\n\r\n", Reject::TrailerMalformed),
        (b"0\r\nHost: b\r\n\r\n", Reject::TrailerForbidden),
        (b"0\r\ncontent-length: 0\r\n\r\n", Reject::TrailerForbidden),
        (b"0\r\nTRANSFER-ENCODING:chunked\r\n\r\n", Reject::TrailerForbidden),
    ];
    for (input, reject) in table {
        let outcome = check_every_cut(input);
        assert_eq!(outcome, Outcome::Refused(*reject), "{}", input.escape_ascii());
    }
}

#[test]
fn a_size_of_64_bits_reserves_nothing() {
    let outcome = check_every_cut(b"ffffffffffffffff\r\nabc");
    assert_eq!(outcome, Outcome::NeedMore(b"abc".to_vec()));
}

#[test]
fn extensions_may_hold_bytes_above_ascii() {
    let outcome = decode_in_pieces([&b"1;a=\"\xe9\"\r\nx\r\n0\r\n\r\n"[..]]);
    assert_eq!(outcome, Outcome::Complete(b"x".to_vec(), 17));
    // But only in quotes.
    let outcome = decode_in_pieces([&b"1;\xe9\r\nx\r\n0\r\n\r\n"[..]]);
    assert_eq!(outcome, Outcome::Refused(Reject::ChunkExtension));
}

#[test]
#[cfg_attr(miri, ignore = "kilobytes, cut at every byte")]
fn the_bounds_are_reached_exactly() {
    let line = |bytes: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(bytes - 4));
    let longest = check_every_cut(line(CHUNK_LINE_BYTES_MAX).as_bytes());
    assert!(matches!(longest, Outcome::Complete(..)), "{longest:?}");
    let longer = check_every_cut(line(CHUNK_LINE_BYTES_MAX + 1).as_bytes());
    assert_eq!(longer, Outcome::Refused(Reject::ChunkLineTooLong));
    // As soon as the end of the line can no longer come in time.
    let endless = [b'e'; CHUNK_LINE_BYTES_MAX];
    assert_eq!(check_every_cut(&endless), longer);
    let begun = check_every_cut(&endless[1..]);
    assert_eq!(begun, Outcome::NeedMore(Vec::new()));

    let trailers = |bytes: usize| format!("0\r\nA:{}\r\n\r\n", "v".repeat(bytes - 6));
    let longest = check_every_cut(trailers(TRAILER_BYTES_MAX).as_bytes());
    assert!(matches!(longest, Outcome::Complete(..)));
    let longer = check_every_cut(trailers(TRAILER_BYTES_MAX + 1).as_bytes());
    assert_eq!(longer, Outcome::Refused(Reject::TrailersTooLarge));
    // No line is too long here, but all together are.
    let many = format!("0\r\n{}\r\n", "Name: value\r\n".repeat(TRAILER_BYTES_MAX / 13 + 1));
    let refused = Outcome::Refused(Reject::TrailersTooLarge);
    assert_eq!(decode_in_pieces(many.as_bytes().chunks(7)), refused);

    let extended = format!("1;{}\r\nx\r\n", "e".repeat(127));
    let count = CHUNK_EXTENSION_BYTES_MAX / 128;
    let most = format!("{}0\r\n\r\n", extended.repeat(count));
    let outcome = decode_in_pieces(most.as_bytes().chunks(11));
    assert_eq!(outcome, Outcome::Complete(vec![b'x'; count], most.len()));
    let more = format!("{}0;e\r\n\r\n", extended.repeat(count));
    let refused = Outcome::Refused(Reject::ChunkExtensionsTooLong);
    assert_eq!(decode_in_pieces(more.as_bytes().chunks(11)), refused);
}

fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap()
}

fn random_body(state: &mut u64) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..random(state) % 4 {
        let size = 1 + random(state) % 20;
        let extension = ["", "", ";a", ";a=\"b;\\\" c\"", " ; a = b"][random(state) % 5];
        wire.extend_from_slice(format!("{size:x}{extension}\r\n").as_bytes());
        wire.extend((0..size).map(|_| b"\r\n0;aZ: "[random(state) % 8]));
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(["0\r\n", "00\r\n", "0;z\r\n"][random(state) % 3].as_bytes());
    wire.extend_from_slice(["", "", "A: b\r\n", "Host: c\r\n"][random(state) % 4].as_bytes());
    wire.extend_from_slice(b"\r\nGET ");
    wire
}

const STRANGE: &[u8] = b"\r\n0f;; :\0xG=\"\\\t";

#[test]
fn a_promise_is_known_from_the_size_line() {
    let mut decoder = Decoder::new();
    let mut promised = |input: &[u8]| {
        decoder.decode(input, &mut Vec::new()).unwrap();
        decoder.promised_bytes()
    };
    assert_eq!(promised(b"ffffffffffffffff"), 0);
    assert_eq!(promised(b"\r\n"), u64::MAX);
    assert_eq!(promised(b"abc"), u64::MAX - 3);
}

#[test]
fn random_and_mutated_bodies_agree_with_the_slow_twin() {
    const ROUNDS: usize = if cfg!(miri) { 16 } else { 8_000 };
    let mut state = 0x853c_49e6_748f_ea9b_u64;
    let (mut complete, mut refused, mut begun) = (0, 0, 0);
    for round in 0..ROUNDS {
        let mut wire = random_body(&mut state);
        for _ in 0..round % 3 {
            let at = random(&mut state) % wire.len();
            match random(&mut state) % 3 {
                0 => wire[at] = STRANGE[random(&mut state) % STRANGE.len()],
                1 => drop(wire.remove(at)),
                _ => wire.insert(at, STRANGE[random(&mut state) % STRANGE.len()]),
            }
        }
        match check_every_cut(&wire) {
            Outcome::Complete(..) => complete += 1,
            Outcome::NeedMore(_) => begun += 1,
            Outcome::Refused(_) => refused += 1,
        }
    }
    let all_seen = complete > ROUNDS / 16 && refused > ROUNDS / 16 && begun > ROUNDS / 160;
    assert!(all_seen, "{complete} complete, {refused} refused, {begun} begun");
}
