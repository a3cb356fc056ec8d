//! Byte ranges (RFC 9110 section 14) of files in memory and of open ones, one and several.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::support::Client;
use crate::support::Response;
use crate::support::Server;
use crate::support::Site;
use crate::support::pattern;

fn serve(site: &Site) -> Server {
    Server::start(&["--workers", "1", "--static", &site.at("/")])
}

fn range(client: &mut Client, path: &str, value: &str) -> Response {
    client.request("GET", path, &format!("Range: {value}\r\n"), b"")
}

/// A part of a multipart body.
#[derive(Debug)]
struct Part {
    fields: Vec<(String, String)>,
    bytes: Vec<u8>,
}

/// Takes a body apart by RFC 2046 section 5.1.1, not knowing who made it.
fn parts(response: &Response) -> Vec<Part> {
    let value = response.header("content-type").unwrap();
    let boundary = value.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'+_-.".contains(&byte);
    assert!((1..=70).contains(&boundary.len()) && boundary.bytes().all(is_plain), "{value}");
    // The line break before a dash-boundary belongs to it.
    let mut rest = [b"\r\n", response.body.as_slice()].concat();
    let mut cut = |delimiter: &[u8]| {
        let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
        let before = rest[..at].to_vec();
        rest.drain(..at + delimiter.len());
        Some(before)
    };
    let delimiter = format!("\r\n--{boundary}");
    assert_eq!(cut(delimiter.as_bytes()), Some(Vec::new()), "nothing before the first part");
    let mut parts = Vec::new();
    loop {
        match cut(b"\r\n").expect("the line of a boundary").as_slice() {
            b"" => {}
            b"--" => break,
            other => panic!("{other:?} behind a boundary"),
        }
        let head = String::from_utf8(cut(b"\r\n\r\n").expect("the head of a part")).unwrap();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_lowercase(), value.to_owned())
        };
        let fields = head.split("\r\n").map(field).collect();
        parts.push(Part { fields, bytes: cut(delimiter.as_bytes()).expect("a boundary") });
    }
    assert!(rest.is_empty(), "something behind the last boundary");
    parts
}

/// Asserts that an answer has several ranges, these ones in this order, of these bytes.
fn assert_parts(response: &Response, bytes: &[u8], expected: &[(usize, usize)]) {
    assert_eq!(response.status, 206);
    assert_eq!(response.header("content-range"), None, "it is said of each part");
    assert_eq!(response.header("accept-ranges"), Some("bytes"));
    assert!(response.header("etag").is_some() && response.header("date").is_some());
    let parts = parts(response);
    let mut found = Vec::new();
    for part in &parts {
        let value = |name: &str| {
            let mut fields = part.fields.iter().filter(|(other, _)| other == name);
            let value = fields.next().map(|(_, value)| value.as_str());
            assert!(fields.next().is_none(), "{name} comes twice");
            value.unwrap_or_else(|| panic!("a part without {name}"))
        };
        assert_eq!(value("content-type"), "application/octet-stream");
        let (range, size) =
            value("content-range").strip_prefix("bytes ").unwrap().split_once('/').unwrap();
        assert_eq!(size, bytes.len().to_string());
        let (first, last) = range.split_once('-').unwrap();
        let (first, last) = (first.parse().unwrap(), last.parse().unwrap());
        assert!(part.bytes == bytes[first..=last], "the bytes of {first}-{last}");
        found.push((first, last));
    }
    assert_eq!(found, expected);
}

#[test]
fn several_ranges_come_as_parts_in_the_order_of_the_request() {
    for size in [3000, 20_000, 200_000] {
        let bytes = pattern(size);
        let site = Site::new(&[("a.bin", &bytes)]);
        let server = serve(&site);
        let mut client = server.connect();
        let last = size - 1;
        for (value, expected) in [
            ("bytes=0-9,1000-1009".to_owned(), vec![(0, 9), (1000, 1009)]),
            ("bytes=1000-1009,0-9".to_owned(), vec![(1000, 1009), (0, 9)]),
            (
                "bytes=2000-2000, 0-0 ,\t1000-1000".to_owned(),
                vec![(2000, 2000), (0, 0), (1000, 1000)],
            ),
            ("BYTES=0-9,,1000-1009,".to_owned(), vec![(0, 9), (1000, 1009)]),
            ("bytes=0-9,-10".to_owned(), vec![(0, 9), (size - 10, last)]),
            (format!("bytes=-10,0-9,{}-", size + 5), vec![(size - 10, last), (0, 9)]),
            (
                format!("bytes=0-9,{}-99999999999999999999999", size - 3),
                vec![(0, 9), (size - 3, last)],
            ),
            // What overlaps, touches or lies near is one, where the first of them was asked for.
            (
                "bytes=1000-1009,0-9,1005-1019,1020-1029,1040-1049".to_owned(),
                vec![(1000, 1049), (0, 9)],
            ),
            ("bytes=0-9,0-9,0-9,1000-1009,1000-1000".to_owned(), vec![(0, 9), (1000, 1009)]),
        ] {
            let response = range(&mut client, "/a.bin", &value);
            assert_parts(&response, &bytes, &expected);
        }
        assert!(client.get("/a.bin").body == bytes, "the connection is in step");
    }
}

#[test]
fn several_ranges_that_make_one_come_as_one() {
    let bytes = pattern(3000);
    let site = Site::new(&[("a.bin", &bytes)]);
    let server = serve(&site);
    let mut client = server.connect();
    for (value, first, last) in [
        ("bytes=0-9,10-19", 0, 19),
        ("bytes=10-19,0-9", 0, 19),
        ("bytes=0-9,5-14", 0, 14),
        ("bytes=0-9,3000-", 0, 9),
        ("bytes=-0,5-5", 5, 5),
        ("bytes=,7-8", 7, 8),
    ] {
        let response = range(&mut client, "/a.bin", value);
        assert_eq!(response.status, 206, "{value}");
        assert_eq!(response.header("content-range"), Some(&*format!("bytes {first}-{last}/3000")));
        assert_eq!(response.header("content-type"), Some("application/octet-stream"));
        assert_eq!(response.body, bytes[first..=last], "{value}");
    }
}

#[test]
fn what_cannot_be_read_is_ignored_and_what_is_beyond_is_416() {
    let bytes = pattern(3000);
    let site = Site::new(&[("a.bin", &bytes), ("empty.bin", b"")]);
    let server = serve(&site);
    let mut client = server.connect();
    for (value, status) in [
        ("bytes=3000-", 416),
        ("bytes=3000-3000", 416),
        ("bytes=-0", 416),
        ("bytes=99999999999999999999999999-", 416),
        ("bytes=3000-,4000-5000,-0", 416),
        ("bytes=2999-", 206),
        ("bytes=-1", 206),
        ("bytes=-3000", 206),
        ("bytes=-99999999999999999999999999", 206),
        ("bytes=0-99999999999999999999999999", 206),
        ("", 200),
        ("bytes", 200),
        ("bytes=", 200),
        ("bytes=,", 200),
        ("bytes=-", 200),
        ("bytes=--5", 200),
        ("bytes=5", 200),
        ("bytes=1-0", 200),
        ("bytes=0-9,1-0", 200),
        ("bytes=0-9,x", 200),
        ("bytes=0x0-9", 200),
        ("bytes=+0-9", 200),
        ("bytes=0-9;q=1", 200),
        ("bytes 0-9/3000", 200),
        ("bytes = 0-9", 200),
        ("lines=0-9", 200),
        ("bytes=0-9\r\nRange: bytes=1000-1009", 200),
    ] {
        let response = range(&mut client, "/a.bin", value);
        assert_eq!(response.status, status, "{value}");
        match status {
            200 => assert!(response.body == bytes, "{value}"),
            206 => assert!(response.header("content-range").is_some(), "{value}"),
            _ => {
                assert_eq!(response.header("content-range"), Some("bytes */3000"), "{value}");
                assert!(!response.header("content-type").unwrap().contains("octet"));
            }
        }
        let head = client.request("HEAD", "/a.bin", &format!("Range: {value}\r\n"), b"");
        assert_eq!((head.status, head.header("content-length")), (200, Some("3000")), "{value}");
        assert_eq!(head.header("content-range"), None);
    }
    // All of nothing answers any range.
    for value in ["bytes=0-", "bytes=-5", "bytes=5-9", "bytes=9-1", "bytes=0-0,5-5"] {
        let response = range(&mut client, "/empty.bin", value);
        assert_eq!((response.status, response.header("content-length")), (200, Some("0")));
        assert_eq!(response.header("content-range"), None, "{value}");
    }
}

#[test]
fn ranges_cost_no_more_than_the_whole_file() {
    let bytes = pattern(100_000);
    let site = Site::new(&[("a.bin", &bytes)]);
    let server = serve(&site);
    let mut client = server.connect();
    let list = |count: usize, range: fn(usize) -> String| {
        format!("bytes={}", (0..count).map(range).collect::<Vec<_>>().join(","))
    };
    for value in [
        list(1000, |_| "0-".to_owned()),
        list(1000, |at| format!("{at}-")),
        list(1000, |_| "-99999".to_owned()),
        list(1000, |at| format!("{}-{}", at * 2, at * 2)),
        list(1000, |at| format!("{}-{}", at * 1000 % 99_991, at * 1000 % 99_991)),
        list(64, |at| format!("{}-{}", at * 1500, at * 1500 + 1450)),
        list(64, |at| format!("{}-{}", 98_000 - at * 1500, 99_000 - at * 1500)),
        list(64, |at| format!("{}-{}", at * 1000, at * 1000)),
        list(3000, |_| "-1".to_owned()),
    ] {
        let response = range(&mut client, "/a.bin", &value);
        let shown = &value[..40];
        assert!(matches!(response.status, 200 | 206), "{shown}");
        assert!(response.body.len() <= bytes.len(), "{} for {shown}", response.body.len());
    }
    let many = list(64, |at| format!("{}-{}", at * 1000, at * 1000));
    assert_eq!(parts(&range(&mut client, "/a.bin", &many)).len(), 64);
    let too_many = list(65, |at| format!("{}-{}", at * 1000, at * 1000));
    assert_eq!(range(&mut client, "/a.bin", &too_many).status, 200);
}

#[test]
fn parts_with_their_heads_are_never_longer_than_the_file() {
    let site = Site::new(&[]);
    let own_type = format!("application/{}", "x".repeat(200));
    for size in [300, 5000, 8400, 20_000] {
        site.write(&format!("public/{size}.bin"), &pattern(size));
        site.write(&format!("public/{size}.own"), &pattern(size));
        site.write(&format!("public/{size}.docx"), &pattern(size));
    }
    let server = site.serve(&format!(
        "[types]\nown = \"{own_type}\"\n[[site]]\n[[site.route]]\npath = \"/\"\n\
         files = \"public\"\n"
    ));
    let mut client = server.connect();
    for size in [300, 5000, 8400, 20_000] {
        for extension in ["bin", "own", "docx"] {
            for step in [129, 130, 200, 250, 300] {
                let ranges: Vec<_> =
                    (0..64).map(|at| format!("{}-{}", at * step, at * step)).collect();
                let value = format!("bytes={}", ranges.join(","));
                let path = format!("/{size}.{extension}");
                let response = range(&mut client, &path, &value);
                assert!(response.body.len() <= size, "{path} {step}: {}", response.body.len());
            }
        }
    }
}

#[test]
fn no_two_answers_have_the_same_boundary() {
    let site = Site::new(&[("a.bin", &pattern(3000))]);
    let server = serve(&site);
    let mut client = server.connect();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let response = range(&mut client, "/a.bin", "bytes=0-0,1000-1000");
        assert!(seen.insert(response.header("content-type").unwrap().to_owned()));
    }
}

#[test]
fn ranges_of_a_file_over_4_gib_are_right_at_both_ends() {
    const SIZE: u64 = (5 << 30) + 7;
    const FOUR_GIB: u64 = 4 << 30;
    let site = Site::new(&[]);
    let file = File::create(site.path().join("sparse.bin")).unwrap();
    file.set_len(SIZE).unwrap();
    for (offset, text) in
        [(0, "begin"), (FOUR_GIB - 3, "border"), (SIZE - 3, "end"), (2_147_483_645, "signed")]
    {
        file.write_all_at(text.as_bytes(), offset).unwrap();
    }
    let server = serve(&site);
    let mut client = server.connect();
    let head = client.request("HEAD", "/sparse.bin", "", b"");
    assert_eq!(head.header("content-length"), Some(&*SIZE.to_string()));
    for (value, first, expected) in [
        ("bytes=0-4".to_owned(), 0, "begin"),
        ("bytes=-3".to_owned(), SIZE - 3, "end"),
        (format!("bytes={}-", SIZE - 3), SIZE - 3, "end"),
        (format!("bytes={}-{}", FOUR_GIB - 3, FOUR_GIB + 2), FOUR_GIB - 3, "border"),
        ("bytes=2147483645-2147483650".to_owned(), 2_147_483_645, "signed"),
    ] {
        let response = range(&mut client, "/sparse.bin", &value);
        assert_eq!((response.status, response.text()), (206, expected.to_owned()), "{value}");
        let last = first + expected.len() as u64 - 1;
        let expected = format!("bytes {first}-{last}/{SIZE}");
        assert_eq!(response.header("content-range"), Some(&*expected));
    }
    let value = format!("bytes=-3,{}-{},0-4", FOUR_GIB - 3, FOUR_GIB + 2);
    let parts = parts(&range(&mut client, "/sparse.bin", &value));
    let texts: Vec<_> = parts.iter().map(|part| String::from_utf8_lossy(&part.bytes)).collect();
    assert_eq!(texts, ["end", "border", "begin"]);
    assert_eq!(range(&mut client, "/sparse.bin", &format!("bytes={SIZE}-")).status, 416);
}

#[test]
fn a_download_goes_on_where_it_was_cut_off() {
    let bytes = pattern(2_000_000);
    let site = Site::new(&[("film.mp4", &bytes)]);
    let server = serve(&site);
    let mut first = server.connect();
    first.send("GET /film.mp4 HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = first.head_response();
    let mut got = first.take(700_000);
    drop(first);
    let etag = head.header("etag").unwrap();
    let fields = format!("Range: bytes=700000-\r\nIf-Range: {etag}\r\n");
    let rest = server.connect().request("GET", "/film.mp4", &fields, b"");
    assert_eq!(rest.status, 206);
    got.extend(rest.body);
    assert!(got == bytes);
    // The file is another one now: its whole comes, and not the end of it.
    let newer: Vec<u8> = bytes.iter().rev().copied().collect();
    site.write("film.mp4", &newer);
    let mut client = server.connect();
    let changed = std::time::Instant::now();
    loop {
        let answer = client.request("GET", "/film.mp4", &fields, b"");
        if answer.status == 200 {
            assert!(answer.body == newer);
            break;
        }
        assert!(answer.body == bytes[700_000..], "bytes of the new file under the old tag");
        assert!(changed.elapsed() < Duration::from_secs(3), "the old file is still served");
    }
}
