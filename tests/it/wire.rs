//! Every file of tests/wire: raw bytes, the status they deserve, and what becomes of the
//! connection.
//!
//! The first line of a file says what to expect, such as `400 close` or `200 keep`. The lines after
//! it are the request: the line breaks of the file do not count, `\r`, `\n`, `\t`, `\0` and `\xNN`
//! stand for bytes, `\\` for a backslash. A new refusal is a new file, no Rust needed.

use crate::support::Server;
use crate::support::Site;
use crate::support::repository;

struct Case {
    name: String,
    status: u16,
    end: End,
    request: Vec<u8>,
}

#[derive(PartialEq)]
enum End {
    /// The server closes; what follows is not answered.
    Close,
    /// A further request is answered.
    Keep,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = std::fs::read_dir(repository().join("tests/wire"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let (expected, request) = text.split_once('\n').expect("an expectation and a request");
            let (status, end) = expected.split_once(' ').expect("a status and an end");
            let end = match end {
                "close" => End::Close,
                "keep" => End::Keep,
                other => panic!("{name}: {other}"),
            };
            Case { name, status: status.parse().unwrap(), end, request: unescape(request) }
        })
        .collect();
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(cases.len() > 40, "the cases are there");
    cases
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
    let mut client = server.connect();
    let mut from = 0;
    for cut in cuts {
        // A refused head may have closed the connection before its last piece.
        client.try_send(&case.request[from..*cut]);
        from = *cut;
    }
    client.try_send(&case.request[from..]);
    if case.end == End::Close {
        client.try_send("GET /behind HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    let response = client.response();
    assert_eq!(response.status, case.status, "{} cut at {cuts:?}", case.name);
    match case.end {
        End::Close => {
            if response.status >= 400 {
                assert_eq!(response.header("connection"), Some("close"), "{}", case.name);
            }
            let rest = client.rest();
            assert!(rest.is_empty(), "{}: a second answer: {rest:?}", case.name);
        }
        End::Keep => {
            assert_eq!(client.get("/behind").text(), "behind", "{} cut at {cuts:?}", case.name);
        }
    }
}

fn start() -> (Site, Server) {
    let site = Site::new(&[("behind", b"behind"), ("a.txt", b"text")]);
    let apps = crate::support::apps();
    let server = Server::start(&[
        "--workers",
        "1",
        "--threads",
        "1",
        "--limit-request-body",
        "1m",
        "--static",
        &site.at("/"),
        "--chdir",
        apps.to_str().unwrap(),
        "plain:app",
    ]);
    (site, server)
}

#[test]
fn each_wire_case_sent_whole() {
    let (_site, server) = start();
    for case in cases() {
        check(&server, &case, &[]);
    }
}

#[test]
fn each_wire_case_cut_at_every_byte() {
    let (_site, server) = start();
    for case in cases() {
        // A long case would take a connection for each of its bytes: cut it at fewer places.
        let step = (case.request.len() / 120).max(1);
        for cut in (1..case.request.len()).step_by(step) {
            check(&server, &case, &[cut]);
        }
    }
}
