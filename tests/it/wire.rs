//! Every file of tests/wire: raw bytes, the answers they deserve, and what becomes of the
//! connection.
//!
//! The first line of a file says what to expect: the status of each answer, then `keep` when a
//! further request is answered, `close` when the server closes and what follows is not answered, or
//! `gone` when the client ends its sending there and the server closes without another word:
//! `400 close`, `200 200 keep`, `gone`. An answer that is not named there fails the case.
//!
//! Lines like these may follow, on the first answer:
//!
//! ```text
//! # a comment, such as the section of the RFC
//! + Allow: GET, HEAD, OPTIONS     a field that it has
//! = hello                         its whole body
//! ~ "PATH_INFO": "/"              a text that its body contains
//! - root:                         a text that nothing of what the server sends contains
//! ```
//!
//! The rest is the request: the line breaks of the file do not count, `\r`, `\n`, `\t`, `\0` and
//! `\xNN` stand for bytes, `\\` for a backslash. A new refusal is a new file, no Rust needed.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use corelane::request::Framing;
use corelane::request::chunked::Decoder;
use corelane::request::chunked::Progress;
use corelane::request::head;
use corelane::request::head::Parsed;

use crate::support::Client;
use crate::support::Response;
use crate::support::Server;
use crate::support::Site;
use crate::support::repository;

struct Case {
    name: String,
    statuses: Vec<u16>,
    end: End,
    fields: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    present: Vec<Vec<u8>>,
    absent: Vec<Vec<u8>>,
    request: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The server closes; what follows is not answered.
    Close,
    /// A further request is answered.
    Keep,
    /// The client ends its sending, and the server says nothing more.
    Gone,
}

const BEHIND: &[u8] = b"GET /behind HTTP/1.1\r\nHost: x\r\n\r\n";

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = std::fs::read_dir(repository().join("tests/wire"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            case(name, &std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(cases.len() >= 250, "the cases are there");
    cases
}

fn case(name: String, text: &str) -> Case {
    let (expected, mut rest) = text.split_once('\n').expect("an expectation and a request");
    let mut words: Vec<&str> = expected.split(' ').collect();
    let end = match words.pop() {
        Some("close") => End::Close,
        Some("keep") => End::Keep,
        Some("gone") => End::Gone,
        other => panic!("{name}: {other:?}"),
    };
    let statuses = words.iter().map(|word| word.parse().expect("a status")).collect();
    let mut fields = Vec::new();
    let mut body = None;
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    while let Some((line, behind)) = rest.split_once('\n') {
        match line.split_at_checked(2) {
            Some(("# ", _)) => {}
            Some(("+ ", field)) => {
                let (field, value) = field.split_once(": ").expect("a field");
                let value = String::from_utf8(unescape(value)).expect("text");
                fields.push((field.to_owned(), value));
            }
            Some(("= ", text)) => body = Some(unescape(text)),
            Some(("~ ", text)) => present.push(unescape(text)),
            Some(("- ", text)) => absent.push(unescape(text)),
            _ => break,
        }
        rest = behind;
    }
    Case { name, statuses, end, fields, body, present, absent, request: unescape(rest) }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes().filter(|byte| *byte != b'\n');
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().expect("an escape") {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'0' => 0,
                b'\\' => b'\\',
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => panic!("unknown escape \\{}", other as char),
            },
            byte => byte,
        });
    }
    bytes
}

fn check(server: &Server, case: &Case, cuts: &[usize]) {
    let what = format!("{} cut at {cuts:?}", case.name);
    let mut client = server.connect();
    let mut from = 0;
    for cut in cuts {
        // A refused head may have closed the connection before its last piece.
        client.try_send(&case.request[from..*cut]);
        from = *cut;
    }
    client.try_send(&case.request[from..]);
    match case.end {
        End::Close => drop(client.try_send(BEHIND)),
        End::Gone => drop(client.end_sending()),
        End::Keep => {}
    }
    let is_head = case.request.trim_ascii_start().starts_with(b"HEAD ");
    let mut last = None;
    for (at, status) in case.statuses.iter().enumerate() {
        let response = match at == 0 && is_head {
            true => client.head_response(),
            false => final_response(&mut client),
        };
        assert_eq!(response.status, *status, "{what}: answer {at}: {}", response.text());
        assert!(response.header("date").is_some(), "{what}: {response:?}");
        if at == 0 {
            check_first(case, &response, &what);
        }
        last = Some(response);
    }
    if case.end == End::Keep {
        assert_eq!(client.get("/behind").text(), "behind", "{what}");
        return;
    }
    if let Some(last) = last
        && case.end == End::Close
        && last.status >= 400
    {
        assert_eq!(last.header("connection"), Some("close"), "{what}");
    }
    let rest = client.rest();
    assert!(rest.is_empty(), "{what}: more came: {}", rest.escape_ascii());
}

/// The response behind the interim ones.
fn final_response(client: &mut Client) -> Response {
    loop {
        let response = client.response();
        if response.status != 100 {
            return response;
        }
    }
}

fn check_first(case: &Case, response: &Response, what: &str) {
    for (name, value) in &case.fields {
        assert_eq!(response.header(name), Some(value.as_str()), "{what}: {name}");
    }
    if let Some(body) = &case.body {
        assert!(response.body == *body, "{what}: {response:?}");
    }
    let has = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    for present in &case.present {
        assert!(has(&response.body, present), "{what}: {}", response.text());
    }
    for absent in &case.absent {
        let fields = response.headers.iter().map(|(name, value)| format!("{name}: {value}"));
        let said = fields.chain([response.reason.clone(), response.text()]);
        let all = said.collect::<Vec<_>>().join("\n");
        assert!(!has(all.as_bytes(), absent), "{what}: {all}");
    }
}

fn start() -> (Site, Server) {
    let site = Site::new(&[
        ("site/behind", b"behind"),
        ("site/a.txt", b"text"),
        ("site/folder/b.txt", b"inner"),
        ("site/guide/index.html", b"guide"),
        ("site/odd\r\nX-Injected: evil/index.html", b"odd"),
        ("site/%2e%2e", b"double"),
        ("site/back\\slash", b"backslash"),
        ("site/caf\u{e9}.txt", b"accent"),
        ("secret", b"secret"),
    ]);
    let apps = crate::support::apps();
    let server = Server::start(&[
        "--workers",
        "1",
        "--threads",
        "1",
        "--limit-request-body",
        "1m",
        "--static",
        &format!("/={}", site.path().join("site").display()),
        "--chdir",
        apps.to_str().unwrap(),
        "plain:app",
    ]);
    (site, server)
}

/// Runs the cases on a few connections at a time, and tells all that failed.
fn on_each(cases: &[Case], check: impl Fn(&Case) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if catch_unwind(AssertUnwindSafe(|| check(case))).is_err() {
                        failed.lock().unwrap().push(case.name.as_str());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} cases fail: {failed:?}", failed.len());
}

#[test]
fn each_wire_case_sent_whole() {
    let (_site, server) = start();
    on_each(&cases(), |case| check(&server, case, &[]));
}

#[test]
fn each_wire_case_cut_in_two() {
    let (_site, server) = start();
    on_each(&cases(), |case| {
        // A long case would take a connection for each of its bytes: cut it at fewer places. That
        // no place makes a difference to the parsers is what the next test shows.
        let step = (case.request.len() / 120).max(1);
        for cut in (1..case.request.len()).step_by(step) {
            check(&server, case, &[cut]);
        }
    });
}

#[test]
fn each_wire_case_sent_byte_by_byte() {
    let (_site, server) = start();
    on_each(&cases(), |case| {
        if case.request.len() <= 1_000 {
            check(&server, case, &(1..case.request.len()).collect::<Vec<_>>());
        }
    });
}

/// On a socket two pieces may arrive as one; here they never do.
#[test]
fn each_wire_case_is_read_the_same_however_it_is_cut() {
    let cases = cases();
    on_each(&cases, |case| {
        // With a request behind it, so that nothing is left waiting that could be refused.
        let bytes = [&case.request[..], BEHIND].concat();
        let whole = read([&bytes[..]]);
        // Each place of a case of 40 KB would take minutes.
        let step = case.request.len().div_ceil(1_000);
        for at in (1..case.request.len()).step_by(step) {
            let (first, second) = bytes.split_at(at);
            assert_eq!(read([first, second]), whole, "{} cut at {at}", case.name);
        }
        assert_eq!(read(bytes.chunks(1)), whole, "{} byte by byte", case.name);
    });
}

/// A head may be refused for another reason when it comes in pieces, but never taken.
#[test]
fn mutated_wire_cases_are_read_the_same_however_they_are_cut() {
    let strange = b"\r\n\r\n \t:;,/%.#?*=\"\\\0\x7f\xe90159afGHx";
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.request.len() < 400).collect();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..40_000 {
        let mut bytes = cases[random(cases.len())].request.clone();
        bytes.extend_from_slice(BEHIND);
        for _ in 0..1 + random(3) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = strange[random(strange.len())],
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, strange[random(strange.len())]),
            }
        }
        let (first, second) = bytes.split_at(random(bytes.len()));
        let whole = without_reasons(read([&bytes[..]]));
        let cut = without_reasons(read([first, second]));
        assert_eq!(cut, whole, "cut at {}: {}", first.len(), bytes.escape_ascii());
        let dribbled = without_reasons(read(bytes.chunks(1)));
        assert_eq!(dribbled, whole, "byte by byte: {}", bytes.escape_ascii());
        let is_refused = whole.iter().any(|line| line == "refused");
        *if is_refused { &mut refused } else { &mut taken } += 1;
    }
    assert!(taken > 1_000 && refused > 2_000, "{taken} taken, {refused} refused");
}

fn without_reasons(seen: Vec<String>) -> Vec<String> {
    let without = |line: String| match line.starts_with("refused with ") {
        true => "refused".to_owned(),
        false => line,
    };
    seen.into_iter().map(without).collect()
}

/// What becomes of bytes that come in these pieces: the requests, each with its body, and how it
/// ends.
fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<String> {
    let mut reader = Reader::new();
    for piece in pieces {
        reader.waiting.extend_from_slice(piece);
        while reader.step() {}
    }
    // What still waits is looked at once more, whether a scan would say so or not.
    reader.scan = head::Scan::new();
    while reader.step() {}
    reader.seen.push(format!("{} bytes wait", reader.waiting.len()));
    reader.seen
}

struct Reader {
    waiting: Vec<u8>,
    scan: head::Scan,
    body: Option<(Body, Vec<u8>)>,
    refused: bool,
    seen: Vec<String>,
}

enum Body {
    Left(u64),
    Chunks(Decoder),
}

impl Reader {
    fn new() -> Self {
        let scan = head::Scan::new();
        Self { waiting: Vec::new(), scan, body: None, refused: false, seen: Vec::new() }
    }

    /// Goes one head or one body further. False when that takes more bytes.
    fn step(&mut self) -> bool {
        if self.refused {
            self.waiting.clear();
            return false;
        }
        match self.body.take() {
            None => self.head(),
            Some((body, read)) => self.body(body, read),
        }
    }

    fn head(&mut self) -> bool {
        if self.waiting.is_empty() || !self.scan.worth_parsing(&self.waiting) {
            return false;
        }
        let mut slots = head::header_slots();
        let (used, body) = match head::parse(&self.waiting, &mut slots) {
            Parsed::NeedMore => return false,
            Parsed::Refused(reject) => {
                self.seen.push(format!("refused with {}", reject.status()));
                self.refused = true;
                return true;
            }
            Parsed::Complete(request) => {
                self.seen.push(format!("{request:?}"));
                let body = match request.framing {
                    Framing::None => None,
                    Framing::Length(bytes) => Some((Body::Left(bytes), Vec::new())),
                    Framing::Chunked => Some((Body::Chunks(Decoder::new()), Vec::new())),
                };
                (request.head.len(), body)
            }
        };
        self.body = body;
        self.waiting.drain(..used);
        self.scan = head::Scan::new();
        true
    }

    fn body(&mut self, body: Body, mut read: Vec<u8>) -> bool {
        match body {
            Body::Left(left) => {
                let here = usize::try_from(left).unwrap().min(self.waiting.len());
                read.extend(self.waiting.drain(..here));
                match left - here as u64 {
                    0 => self.seen.push(format!("body {}", read.escape_ascii())),
                    left => {
                        self.body = Some((Body::Left(left), read));
                        return false;
                    }
                }
            }
            Body::Chunks(mut decoder) => match decoder.decode(&self.waiting, &mut read) {
                Ok(Progress::Complete { used }) => {
                    self.waiting.drain(..used);
                    self.seen.push(format!("body {}", read.escape_ascii()));
                }
                Ok(Progress::NeedMore { used }) => {
                    self.waiting.drain(..used);
                    self.body = Some((Body::Chunks(decoder), read));
                    return false;
                }
                Err(reject) => {
                    self.seen.push(format!("refused with {}", reject.status()));
                    self.refused = true;
                }
            },
        }
        true
    }
}
