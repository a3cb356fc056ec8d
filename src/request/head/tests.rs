//! The tests of `request/head`.

use super::*;
use crate::request::Framing;

/// What a head was parsed to, in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// Bytes used, the words of the request line, the fields.
    Complete(usize, [String; 3], Vec<(String, String)>),
    NeedMore,
    Refused(Reject),
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn outcome(bytes: &[u8]) -> Outcome {
    match parse(bytes, &mut header_slots()) {
        Parsed::Complete(request) => {
            let version = match request.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
            };
            let words = [request.method_name, request.raw_target, version];
            let field = |field: &httparse::Header<'_>| (field.name.into(), text(field.value));
            Outcome::Complete(
                request.head.len(),
                words.map(|word| text(word.as_bytes())),
                request.headers.iter().map(field).collect(),
            )
        }
        Parsed::NeedMore => Outcome::NeedMore,
        Parsed::Refused(reject) => Outcome::Refused(reject),
    }
}

/// Runs a check on a request whose head must be good.
fn with_request(bytes: &[u8], check: impl FnOnce(&Request<'_>)) {
    match parse(bytes, &mut header_slots()) {
        Parsed::Complete(request) => check(&request),
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn refused(bytes: &[u8]) -> Reject {
    match outcome(bytes) {
        Outcome::Refused(reject) => reject,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

const FULL: &[u8] = b"POST /a/../b%20c?d=e HTTP/1.1\r\nHost: example.com:8000\r\n\
    Content-Length: 5\r\nExpect: 100-Continue\r\nConnection: foo , Close\r\n\
    X-Empty:\r\nX-Tab: a\tb \r\nX-High: \xe9\r\n\r\nhello";

#[test]
fn a_full_head() {
    with_request(FULL, |request| {
        assert_eq!(request.head.len(), FULL.len() - 5);
        assert_eq!((request.method, request.method_name), (Method::Other, "POST"));
        assert_eq!(request.raw_target, "/a/../b%20c?d=e");
        assert_eq!((&*request.target.path, request.target.query), (&b"/b c"[..], &b"d=e"[..]));
        assert_eq!(request.version, Version::Http11);
        assert_eq!(request.headers.len(), 7);
        assert_eq!(request.host, b"example.com:8000");
        assert_eq!(request.framing, Framing::Length(5));
        assert_eq!(request.persistence, Persistence::Close);
        assert_eq!(request.expectation, Expectation::Continue);
        assert_eq!(request.header("x-empty"), Some(&b""[..]));
        assert_eq!(request.header("x-tab"), Some(&b"a\tb"[..]));
        assert_eq!(request.header("X-HIGH"), Some(&b"\xe9"[..]));
        assert_eq!(request.header("x-none"), None);
    });
}

#[test]
fn good_heads_cut_at_every_byte() {
    let heads: [&[u8]; 8] = [
        FULL,
        b"\r\nGET /a HTTP/1.2\r\nHost: a\r\nB: c \r\n\r\nGET / HTTP/1.3\r\n",
        b"GET / HTTP/1.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"M!#$%&'*+-.^_`|~0 /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for bytes in heads {
        let whole = outcome(bytes);
        let Outcome::Complete(used, ..) = whole else { panic!("{whole:?}") };
        for cut in 0..=bytes.len() {
            let expected = if cut < used { Outcome::NeedMore } else { whole.clone() };
            assert_eq!(outcome(&bytes[..cut]), expected, "cut at {cut}");
        }
    }
}

#[test]
fn bad_heads() {
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let table = [
        (line("GET /"), Reject::RequestLine),
        (line("GET  / HTTP/1.1"), Reject::RequestLine),
        (line(" GET / HTTP/1.1"), Reject::RequestLine),
        (line("G@T / HTTP/1.1"), Reject::RequestLine),
        (line("GET /\t HTTP/1.1"), Reject::RequestLine),
        (line("GET / HTTP/1.1 "), Reject::LineEnd),
        (line("\r\n\r\n\r\nGET / HTTP/1.1"), Reject::LeadingLines),
        (line("\nGET / HTTP/1.1"), Reject::LineEnd),
        (line("\rGET / HTTP/1.1"), Reject::LineEnd),
        (line("GET / http/1.1"), Reject::VersionMalformed),
        (line("GET / HTTP/11"), Reject::VersionMalformed),
        (line("GET / HTTP/x.1"), Reject::VersionMalformed),
        (line("GET /  HTTP/1.1"), Reject::VersionMalformed),
        (line("GET / HTTP/2.0"), Reject::VersionUnsupported),
        (line("GET / HTTP/0.9"), Reject::VersionUnsupported),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), Reject::VersionUnsupported),
        ("\x16\x03\x01\x02\0\x01\0\x01".into(), Reject::RequestLine),
        ("GET / HTTP/1.0\n\n".into(), Reject::LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n".into(), Reject::LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n".into(), Reject::LineEnd),
        ("GET / HTTP/1.1\nHost: a\r\n".into(), Reject::LineEnd),
        (with("A: b\rc"), Reject::FieldValue),
        (with("A: b\0"), Reject::FieldValue),
        (with("A: b\x1b"), Reject::FieldValue),
        (with("A: b\x7f"), Reject::FieldValue),
        (with("A: b\r\n c"), Reject::FieldName),
        (with("A: b\r\n\tc"), Reject::FieldName),
        (with("A : b"), Reject::FieldName),
        (with(": b"), Reject::FieldName),
        (with("A"), Reject::FieldName),
        (with("A\u{e9}: b"), Reject::FieldName),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(), Reject::FieldName),
        ("GET / HTTP/1.1\r\n\r\n".into(), Reject::HostMissing),
        ("GET http://a/ HTTP/1.1\r\n\r\n".into(), Reject::HostMissing),
        (with("Host: a"), Reject::HostRepeated),
        (with("HOST: b"), Reject::HostRepeated),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n".into(), Reject::HostMalformed),
        ("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n".into(), Reject::HostMalformed),
        ("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n".into(), Reject::HostMalformed),
        (line("GET http://u@a/ HTTP/1.1"), Reject::Authority),
        (line("GET /.. HTTP/1.1"), Reject::TargetClimbs),
        (line("GET * HTTP/1.1"), Reject::TargetForm),
        (line("CONNECT a:80 HTTP/1.1"), Reject::Connect),
        ("CONNECT a:80 HTTP/1.1\r\n\r\n".into(), Reject::HostMissing),
        (line("GET / HTTP/0.99"), Reject::VersionMalformed),
        (line("GET / HTTP/2.00"), Reject::VersionMalformed),
        ("GET / HTTP/1.1\r\nExpect: x\r\n\r\n".into(), Reject::HostMissing),
        (with("Expect: x\r\nHost: a"), Reject::HostRepeated),
        (with("Expect: x\r\nContent-Length: +1"), Reject::ContentLengthMalformed),
        (with("Expect: x, 100-continue"), Reject::ExpectationUnknown),
        (with("Content-Type: a\r\ncontent-type: b"), Reject::ContentTypesDiffer),
        (with("Expect: 200-maybe"), Reject::ExpectationUnknown),
        (with("Expect: 100-continue, x"), Reject::ExpectationUnknown),
        (with("Content-Length: 1\r\nTransfer-Encoding: chunked"), Reject::BothLengths),
    ];
    for (bytes, reject) in &table {
        check_refused(bytes.as_bytes(), *reject);
    }
    assert_eq!(refused(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"), Reject::RequestLine);
}

fn check_refused(bytes: &[u8], reject: Reject) {
    assert_eq!(refused(bytes), reject, "{}", bytes.escape_ascii());
    // No beginning of it is taken for a good head.
    for cut in 0..bytes.len() {
        let begun = outcome(&bytes[..cut]);
        let complete = matches!(begun, Outcome::Complete(..));
        assert!(!complete, "cut at {cut}: {}", bytes.escape_ascii());
    }
}

#[test]
fn later_minor_versions_are_as_strict() {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let table = [
        (line("GET / HTTP/1.10"), Reject::LineEnd),
        (line("GET / HTTP/1.2 "), Reject::LineEnd),
        (line("GET / HTTP/1.22"), Reject::LineEnd),
        (line("GET / HTTP/01.1"), Reject::VersionMalformed),
        (line("GET /  HTTP/1.2"), Reject::VersionMalformed),
        (line("GET  / HTTP/1.2"), Reject::RequestLine),
        (line("G@T / HTTP/1.2"), Reject::RequestLine),
        (line("HTTP/1.2"), Reject::RequestLine),
        (line("GET HTTP/1.2"), Reject::RequestLine),
        (line("GET / XHTTP/1.2"), Reject::VersionMalformed),
        (line("GET /XHTTP/1.2"), Reject::RequestLine),
        ("GET / HTTP/1.2\nHost: a\r\n\r\n".into(), Reject::LineEnd),
        ("GET / HTTP/1.2\r\nHost: a\n\r\n".into(), Reject::LineEnd),
        ("GET / HTTP/1.2\r\n\r\n".into(), Reject::HostMissing),
        ("GET / HTTP/1.2\r\n Host: a\r\n\r\n".into(), Reject::FieldName),
        ("GET / HTTP/1.2\r\nHost : a\r\n\r\n".into(), Reject::FieldName),
    ];
    for (bytes, reject) in &table {
        check_refused(bytes.as_bytes(), *reject);
    }
    with_request(b"GET / HTTP/1.2\r\nHost: a\r\nB:\r\n\r\n", |request| {
        assert_eq!((request.version, request.headers.len()), (Version::Http11, 2));
        assert_eq!(request.persistence, Persistence::KeepAlive);
    });
}

#[test]
fn the_authority_of_the_target_wins() {
    with_request(b"GET http://b:1/c HTTP/1.1\r\nHost: a\r\n\r\n", |request| {
        assert_eq!((request.host, &*request.target.path), (&b"b:1"[..], &b"/c"[..]));
    });
    with_request(b"GET http://b/ HTTP/1.0\r\n\r\n", |r| assert_eq!(r.host, b"b"));
    with_request(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", |r| assert_eq!(r.host, b"a"));
    with_request(b"GET / HTTP/1.0\r\n\r\n", |r| assert_eq!(r.host, b""));
}

#[test]
fn persistence() {
    use Persistence::{Close, KeepAlive};
    let table = [
        ("1.1", "", KeepAlive),
        ("1.1", "Connection: close\r\n", Close),
        ("1.1", "CONNECTION: CLOSE\r\n", Close),
        ("1.1", "Connection: a,\tclose ,b\r\n", Close),
        ("1.1", "Connection: closed\r\n", KeepAlive),
        ("1.1", "X-Connection: close\r\n", KeepAlive),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", Close),
        ("1.0", "", Close),
        ("1.0", "Connection: Keep-Alive\r\n", KeepAlive),
        ("1.0", "Connection: x, keep-alive\r\n", KeepAlive),
        ("1.0", "Connection: keep-alive, close\r\n", Close),
    ];
    for (version, fields, expected) in table {
        let bytes = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        with_request(bytes.as_bytes(), |request| {
            assert_eq!(request.persistence, expected, "{bytes}");
        });
    }
}

#[test]
fn expectations_are_for_http_1_1() {
    with_request(b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", |request| {
        assert_eq!(request.expectation, Expectation::None);
    });
    with_request(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n", |request| {
        assert_eq!(request.expectation, Expectation::None);
    });
    let same = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Type: b\r\nContent-Type: b\r\n\r\n";
    with_request(same, |request| assert_eq!(request.headers.len(), 3));
}

#[test]
fn the_bounds_are_reached_exactly() {
    let target = |bytes: usize| {
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "t".repeat(bytes - 1)).into_bytes()
    };
    with_request(&target(limits::TARGET_BYTES_MAX), |request| {
        assert_eq!(request.raw_target.len(), limits::TARGET_BYTES_MAX);
    });
    let long = target(limits::TARGET_BYTES_MAX + 1);
    assert_eq!(refused(&long), Reject::TargetTooLong);
    let before_target = "GET ".len();
    let endless = before_target + limits::TARGET_BYTES_MAX;
    assert_eq!(outcome(&long[..endless]), Outcome::NeedMore);
    assert_eq!(refused(&long[..=endless]), Reject::TargetTooLong);

    let method =
        |bytes: usize| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(bytes)).into_bytes();
    with_request(&method(limits::METHOD_BYTES_MAX), |request| {
        assert_eq!(request.method_name.len(), limits::METHOD_BYTES_MAX);
    });
    let long = method(limits::METHOD_BYTES_MAX + 1);
    assert_eq!(refused(&long), Reject::MethodTooLong);
    assert_eq!(outcome(&long[..limits::METHOD_BYTES_MAX]), Outcome::NeedMore);
    assert_eq!(refused(&long[..=limits::METHOD_BYTES_MAX]), Reject::MethodTooLong);

    let fields = |count: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(count - 1)).into_bytes()
    };
    with_request(&fields(limits::HEADER_COUNT_MAX), |request| {
        assert_eq!(request.headers.len(), limits::HEADER_COUNT_MAX);
    });
    assert_eq!(refused(&fields(limits::HEADER_COUNT_MAX + 1)), Reject::TooManyFields);

    let head = |bytes: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nA: \r\n\r\n".len();
        let value = "v".repeat(bytes - frame);
        format!("GET / HTTP/1.1\r\nHost: a\r\nA: {value}\r\n\r\n").into_bytes()
    };
    let longest = [head(limits::HEAD_BYTES_MAX), b"and a body".to_vec()].concat();
    with_request(&longest, |r| assert_eq!(r.head.len(), limits::HEAD_BYTES_MAX));
    let long = head(limits::HEAD_BYTES_MAX + 1);
    assert_eq!(refused(&long), Reject::HeadTooLarge);
    assert_eq!(outcome(&long[..limits::HEAD_BYTES_MAX - 1]), Outcome::NeedMore);
    assert_eq!(refused(&long[..limits::HEAD_BYTES_MAX]), Reject::HeadTooLarge);
}

#[test]
#[cfg_attr(miri, ignore = "56 whole windows")]
fn a_full_window_is_never_left_waiting() {
    let endless: [&[u8]; 7] = [
        b"\r\n",
        b"A",
        b"GET /",
        b"GET / HTTP/1.1\r\nA: b",
        b"GET / HTTP/1.2\r\nA: b",
        b"\n",
        b" ",
    ];
    for start in endless {
        for filler in [b"a", b"\r", b" ", b":"] {
            let mut bytes = start.to_vec();
            bytes.resize(limits::HEAD_BYTES_MAX, filler[0]);
            refused(&bytes);
            // The version has begun in the window's last bytes.
            bytes.truncate(limits::HEAD_BYTES_MAX - 8);
            bytes.extend_from_slice(b" HTTP/2.");
            refused(&bytes);
        }
    }
}

/// The slow twin of the grammar: cuts at CR LF, then at spaces and colons.
fn slow(bytes: &[u8]) -> Option<Outcome> {
    let all = text(bytes);
    let mut rest = all.as_str();
    for _ in 0..limits::LEADING_LINES_MAX {
        rest = rest.strip_prefix("\r\n").unwrap_or(rest);
    }
    let end = rest.find("\r\n\r\n")?;
    let used = bytes.len() - rest[end..].chars().count() + 4;
    let mut lines = rest[..end].split("\r\n");
    let words: Vec<&str> = lines.next()?.split(' ').collect();
    let [method, target, version] = words[..] else { return None };
    let clean = |text: &str| text.chars().all(|c| c == '\t' || c >= ' ' && c != '\x7f');
    let good_target = !target.is_empty() && clean(target) && !target.contains('\t');
    let target_text: Vec<u8> = target.chars().map(|c| c as u8).collect();
    if !is_token(method.as_bytes()) || !good_target {
        return None;
    }
    std::str::from_utf8(&target_text).ok()?;
    let version = match version {
        "HTTP/1.0" => version,
        _ if ('1'..='9').any(|minor| version == format!("HTTP/1.{minor}")) => "HTTP/1.1",
        _ => return None,
    };
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if !is_token(name.as_bytes()) || !clean(value) {
            return None;
        }
        let value = value.trim_matches([' ', '\t']);
        fields.push((name.to_string(), value.to_string()));
    }
    Some(Outcome::Complete(used, [method, target, version].map(String::from), fields))
}

fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap()
}

#[test]
fn mutated_heads_agree_with_the_slow_twin() {
    const ROUNDS: usize = if cfg!(miri) { 150 } else { 80_000 };
    let seeds: [&[u8]; 4] = [
        FULL,
        b"GET /yes?z HTTP/1.3\r\nHost: a.example\r\nX: y z \r\n\r\n",
        b"GET /x HTTP/1.0\r\nA: b\r\nC:\t d e \r\n\r\nX",
        b"\r\nGET /index.html?a=b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nCookie: c=d\r\n\r\n",
    ];
    let strange = b"\r\n\r\n :\t\0\x7f\xe9aA/.%12H";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut complete, mut grammar) = (0, 0);
    for round in 0..ROUNDS {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..1 + random(&mut state) % 2 {
            let at = random(&mut state) % bytes.len();
            match random(&mut state) % 4 {
                0 => bytes[at] = strange[random(&mut state) % strange.len()],
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, strange[random(&mut state) % strange.len()]),
                _ => bytes.truncate(at + 1),
            }
        }
        let parsed = outcome(&bytes);
        match &parsed {
            Outcome::Complete(..) => {
                complete += 1;
                assert_eq!(slow(&bytes), Some(parsed), "{}", bytes.escape_ascii());
            }
            Outcome::NeedMore => assert_eq!(slow(&bytes), None, "{}", bytes.escape_ascii()),
            Outcome::Refused(
                Reject::RequestLine
                | Reject::LeadingLines
                | Reject::LineEnd
                | Reject::VersionMalformed
                | Reject::VersionUnsupported
                | Reject::FieldName
                | Reject::FieldValue,
            ) => {
                grammar += 1;
                assert_eq!(slow(&bytes), None, "{}", bytes.escape_ascii());
            }
            // The grammar is right and the meaning is not: the tables above are for that.
            Outcome::Refused(_) => {}
        }
    }
    let all_seen = complete > ROUNDS / 8 && grammar > ROUNDS / 8;
    assert!(all_seen, "{complete} complete, {grammar} refused");
}

#[test]
fn a_scan_finds_the_end_and_costs_linear_time() {
    let fields = "Name: value\r\n".repeat(90);
    let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
    for step in [1, 2, 3, 5, 64, 1000] {
        let mut scan = Scan::new();
        let mut parsed_bytes = 0;
        let mut end = 0;
        while end < bytes.len() {
            end = bytes.len().min(end + step);
            if scan.worth_parsing(&bytes[..end]) {
                parsed_bytes += end;
                let done = matches!(outcome(&bytes[..end]), Outcome::Complete(..));
                assert_eq!(done, end == bytes.len());
            } else {
                assert!(end < bytes.len(), "the end was not seen in steps of {step}");
            }
        }
        assert!(parsed_bytes <= 4 * bytes.len(), "{parsed_bytes} in steps of {step}");
    }
}

#[test]
fn a_scan_lets_garbage_be_refused_early() {
    let garbage = b"GET / HTTP/1.1\nHost: a\nA: bbbbbbbbbbbbbbbbbbbbbbbbbb\n\n";
    let mut scan = Scan::new();
    let seen = (1..=garbage.len()).find(|end| {
        scan.worth_parsing(&garbage[..*end])
            && matches!(outcome(&garbage[..*end]), Outcome::Refused(_))
    });
    assert_eq!(seen, Some(16));
    for head in ["GET / HTTP/1.1\nA: b\n\n", "GET / HTTP/1.1\r\nA: b\n\r\n"] {
        for cut in 0..head.len() {
            let mut scan = Scan::new();
            scan.worth_parsing(&head.as_bytes()[..cut]);
            assert!(scan.worth_parsing(head.as_bytes()), "cut at {cut}: {}", head.escape_debug());
        }
    }
    let mut scan = Scan::new();
    assert!(!scan.worth_parsing(b""));
    assert!(scan.worth_parsing(b"x") && !scan.worth_parsing(b"x") && scan.worth_parsing(b"xy"));
}

#[test]
fn the_method_of_a_refused_head() {
    for head in ["HEAD ", "HEAD /.. HTTP/1.1\r\n", "\r\nHEAD / HTTP/1.1\r\n\r\n"] {
        assert_eq!(method_begun(head.as_bytes()), Method::Head, "{head}");
    }
    for other in ["", "HEA", "HEAD", "HEADER / HTTP/1.1", "head / HTTP/1.1", "GET HEAD "] {
        assert_eq!(method_begun(other.as_bytes()), Method::Other, "{other}");
    }
}
