//! Static files: heads, conditions, ranges, folders, freshness, and the way of the bytes.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use crate::support::PATIENCE;
use crate::support::Server;
use crate::support::Site;
use crate::support::pattern;

const LARGE: usize = 10 * 1024 * 1024;

fn serve(site: &Site) -> Server {
    Server::start(&["--workers", "1", "--static", &site.at("/")])
}

#[test]
fn small_and_large_files_arrive_whole() {
    let sizes = [0, 1, 13, 4096, 4097, 32 * 1024, 32 * 1024 + 1, 100_000, LARGE];
    let files: Vec<(String, Vec<u8>)> =
        sizes.iter().map(|size| (format!("{size}.bin"), pattern(*size))).collect();
    let named: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let site = Site::new(&named);
    let server = serve(&site);
    let mut client = server.connect();
    for _ in 0..2 {
        for (name, bytes) in &files {
            let response = client.get(&format!("/{name}"));
            assert_eq!(response.status, 200, "{name}");
            assert_eq!(response.header("content-length"), Some(&*bytes.len().to_string()));
            assert_eq!(response.header("content-type"), Some("application/octet-stream"));
            assert_eq!(response.header("accept-ranges"), Some("bytes"));
            assert!(response.body == *bytes, "{name}: the bytes differ");
            let head = client.request("HEAD", &format!("/{name}"), "", b"");
            assert_eq!(head.status, 200);
            assert_eq!(head.header("content-length"), Some(&*bytes.len().to_string()));
        }
    }
}

#[test]
fn a_head_has_what_caches_and_browsers_need() {
    let site = Site::new(&[("index.html", b"<p>home"), ("app.css", b"p{}")]);
    let server = serve(&site);
    let response = server.get("/");
    assert_eq!(response.text(), "<p>home");
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    let modified = std::fs::metadata(site.path().join("index.html")).unwrap().modified().unwrap();
    let modified = httpdate::fmt_http_date(modified);
    assert_eq!(response.header("last-modified"), Some(modified.as_str()));
    let etag = response.header("etag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 4, "{etag}");
    let date = httpdate::parse_http_date(response.header("date").unwrap()).unwrap();
    assert!(date.elapsed().unwrap_or_default() < Duration::from_secs(5));
    assert_eq!(server.get("/app.css").header("content-type"), Some("text/css; charset=utf-8"));
}

#[test]
fn conditions_are_answered_with_304() {
    let site = Site::new(&[("a.txt", b"text"), ("large.bin", &pattern(100_000))]);
    let server = serve(&site);
    let mut client = server.connect();
    for path in ["/a.txt", "/large.bin"] {
        let whole = client.get(path);
        let etag = whole.header("etag").unwrap();
        let modified = whole.header("last-modified").unwrap();
        for condition in [
            format!("If-None-Match: {etag}\r\n"),
            format!("If-None-Match: \"x\", W/{etag}\r\n"),
            "If-None-Match: *\r\n".to_owned(),
            format!("If-Modified-Since: {modified}\r\n"),
        ] {
            let response = client.request("GET", path, &condition, b"");
            assert_eq!(response.status, 304, "{condition}");
            assert_eq!(response.header("etag"), Some(etag));
            assert_eq!(response.header("content-length"), None);
        }
        for condition in [
            "If-None-Match: \"other\"\r\n".to_owned(),
            format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {modified}\r\n"),
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned(),
        ] {
            assert_eq!(client.request("GET", path, &condition, b"").status, 200, "{condition}");
        }
        assert_eq!(client.request("GET", path, "If-Match: \"other\"\r\n", b"").status, 412);
    }
}

#[test]
fn one_byte_range_is_answered_with_206() {
    let (small, large) = (pattern(1000), pattern(LARGE));
    let site = Site::new(&[("small.bin", &small), ("large.bin", &large)]);
    let server = serve(&site);
    let mut client = server.connect();
    for (path, bytes) in [("/small.bin", &small), ("/large.bin", &large)] {
        let size = bytes.len();
        for (range, first, last) in [
            ("bytes=0-0".to_owned(), 0, 0),
            ("bytes=10-19".to_owned(), 10, 19),
            (format!("bytes={}-", size - 5), size - 5, size - 1),
            ("bytes=-7".to_owned(), size - 7, size - 1),
            ("bytes=500-99999999999".to_owned(), 500, size - 1),
        ] {
            let response = client.request("GET", path, &format!("Range: {range}\r\n"), b"");
            assert_eq!(response.status, 206, "{range}");
            let content_range = format!("bytes {first}-{last}/{size}");
            assert_eq!(response.header("content-range"), Some(content_range.as_str()));
            assert!(response.body == bytes[first..=last], "{range} of {path}");
        }
        let response = client.request("GET", path, &format!("Range: bytes={size}-\r\n"), b"");
        assert_eq!(response.status, 416);
        assert_eq!(response.header("content-range"), Some(format!("bytes */{size}").as_str()));
        for whole in ["bytes=0-1,5-4", "items=0-1", "bytes=9-1"] {
            let response = client.request("GET", path, &format!("Range: {whole}\r\n"), b"");
            assert_eq!((response.status, response.body.len()), (200, size), "{whole}");
        }
        let stale = "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n";
        assert_eq!(client.request("GET", path, stale, b"").status, 200);
    }
}

#[test]
fn any_range_of_an_empty_file_is_answered_with_it() {
    let site = Site::new(&[("empty.txt", b"")]);
    let server = serve(&site);
    let mut client = server.connect();
    for range in ["bytes=0-", "bytes=0-0", "bytes=5-", "bytes=-5", "bytes=-0", "bytes=0-0,9-"] {
        let response = client.request("GET", "/empty.txt", &format!("Range: {range}\r\n"), b"");
        assert_eq!((response.status, response.body.len()), (200, 0), "{range}");
        assert_eq!(response.header("content-range"), None);
    }
}

#[test]
fn a_download_is_not_continued_with_bytes_in_another_coding() {
    let text = b"the same line again\n".repeat(1000);
    let site = Site::new(&[("a.txt", &text), ("film.mp4", &pattern(5000))]);
    let server = serve(&site);
    let mut client = server.connect();
    // A form that is made of the file, and one that lies beside it with the same time.
    for sidecar in [false, true] {
        if sidecar {
            site.write("a.txt.gz", b"short");
            let copied = Command::new("touch")
                .args(["-r", "a.txt", "a.txt.gz"])
                .current_dir(site.path())
                .status();
            assert!(copied.unwrap().success());
        }
        let modified = client.get("/a.txt").header("last-modified").unwrap().to_owned();
        for coding in ["gzip", "identity"] {
            let fields = format!(
                "Accept-Encoding: {coding}\r\nRange: bytes=2-3\r\nIf-Range: {modified}\r\n"
            );
            let response = client.request("GET", "/a.txt", &fields, b"");
            assert_eq!(response.status, 200, "the time is that of both forms: {coding}");
        }
    }
    // Of what has one form, the time is enough.
    let modified = client.get("/film.mp4").header("last-modified").unwrap().to_owned();
    let fields = format!("Accept-Encoding: gzip\r\nRange: bytes=2-3\r\nIf-Range: {modified}\r\n");
    assert_eq!(client.request("GET", "/film.mp4", &fields, b"").status, 206);
}

#[test]
fn a_folder_has_its_slash_and_its_index() {
    let site = Site::new(&[
        ("docs/index.html", b"docs"),
        ("a b/index.html", b"spaces"),
        ("bare/file", b"x"),
    ]);
    let server = serve(&site);
    assert_eq!(server.get("/docs/").text(), "docs");
    let response = server.get("/docs?page=2&x=%20");
    assert_eq!(response.status, 301);
    assert_eq!(response.header("location"), Some("/docs/?page=2&x=%20"));
    assert_eq!(server.get("/a%20b").header("location"), Some("/a%20b/"));
    assert_eq!(server.get("/bare").status, 404);
    assert_eq!(server.get("/bare/").status, 404);
    assert_eq!(server.get("/docs/index.html/").status, 404);
}

#[test]
fn the_redirect_of_a_folder_never_leads_to_another_host() {
    let site = Site::new(&[("evil.test/index.html", b"x"), ("\\evil/index.html", b"x")]);
    let server = serve(&site);
    // A run of slashes is one slash, in what is looked for and in what is told.
    for path in ["//evil.test", "///evil.test", "//evil.test?x"] {
        let response = server.get(path);
        let location = response.header("location").unwrap();
        assert!(location.starts_with("/evil.test/"), "{path}: {location}");
    }
    assert_eq!(server.get("/\\evil").header("location"), Some("/%5Cevil/"));
    let mut client = server.connect();
    client.send("GET http://other.test/evil.test HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().header("location"), Some("/evil.test/"));
}

#[test]
fn what_is_not_there_or_not_allowed_is_told_so() {
    let site = Site::new(&[("a.txt", b"text"), (".secret", b"s"), (".git/config", b"s")]);
    site.write(".well-known/acme", b"token");
    let server = serve(&site);
    let mut client = server.connect();
    for path in [
        "/none",
        "/a.txt/",
        "/a.txt/b",
        "/.secret",
        "/.git/config",
        "//.secret",
        "/x/../.git/config",
    ] {
        let response = client.get(path);
        assert_eq!(response.status, 404, "{path}");
        assert!(!response.text().contains(&*site.path().to_string_lossy()));
    }
    assert_eq!(client.get("/.well-known/acme").text(), "token");
    for method in ["POST", "PUT", "DELETE", "PATCH", "FOO"] {
        let response = client.request(method, "/a.txt", "", b"");
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    assert_eq!(client.request("OPTIONS", "/a.txt", "", b"").status, 204);
    assert_eq!(client.get("/a.txt").text(), "text");
    assert_eq!(client.get("//a.txt").text(), "text", "as with nginx");
}

#[test]
fn nothing_outside_of_the_root_is_served() {
    let outside = Site::new(&[("secret.txt", b"secret")]);
    let site = Site::new(&[("in/a.txt", b"inside")]);
    symlink(outside.path().join("secret.txt"), site.path().join("out.txt")).unwrap();
    symlink(outside.path(), site.path().join("folder")).unwrap();
    symlink("in/a.txt", site.path().join("within.txt")).unwrap();
    symlink("/proc/self/environ", site.path().join("environ")).unwrap();
    let server = serve(&site);
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    let encoded_dots = format!("/%2e%2e/{name}/secret.txt");
    let backslashes = format!("/..\\{name}\\secret.txt");
    for path in ["/out.txt", "/folder/secret.txt", "/environ", &backslashes] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    for path in [&*encoded_dots, "/../etc/passwd", "/in/../../x", "/%2e%2e%2fetc/passwd"] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
    assert_eq!(server.get("/within.txt").text(), "inside");
    assert_eq!(server.get("/in/%2e%2e/within.txt").text(), "inside");
}

#[test]
fn a_fifo_or_an_unreadable_file_is_not_served_and_blocks_nobody() {
    let site = Site::new(&[("a.txt", b"text")]);
    let fifo = site.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    symlink("/dev/zero", site.path().join("zero")).unwrap();
    let server = serve(&site);
    assert_eq!(server.get("/fifo").status, 404);
    assert_eq!(server.get("/zero").status, 404);
    assert_eq!(server.get("/a.txt").status, 200);
}

#[test]
fn a_changed_file_is_served_in_its_new_form_within_a_second() {
    let site =
        Site::new(&[("small.txt", b"one"), ("large.bin", &pattern(200_000)), ("gone", b"x")]);
    let server = serve(&site);
    let mut client = server.connect();
    let old = client.get("/large.bin").header("etag").unwrap().to_owned();
    assert_eq!(client.get("/small.txt").text(), "one");
    assert_eq!(client.get("/gone").status, 200);
    assert_eq!(client.get("/new.txt").status, 404);
    let changed = Instant::now();
    site.write("small.txt", b"two, longer");
    let newer: Vec<u8> = pattern(150_000).into_iter().rev().collect();
    site.write("large.bin.tmp", &newer);
    std::fs::rename(site.path().join("large.bin.tmp"), site.path().join("large.bin")).unwrap();
    std::fs::remove_file(site.path().join("gone")).unwrap();
    site.write("new.txt", b"new");
    let is_new = |client: &mut crate::support::Client| {
        let large = client.get("/large.bin");
        let mixed = (large.header("etag") == Some(&old)) != (large.body.len() == 200_000);
        assert!(!mixed, "an old tag with new bytes, or the other way round");
        client.get("/small.txt").text() == "two, longer"
            && large.body == newer
            && client.get("/gone").status == 404
            && client.get("/new.txt").text() == "new"
    };
    while !is_new(&mut client) {
        assert!(changed.elapsed() < PATIENCE, "the old form is still served");
    }
    // One second by the promise; the rest is for a loaded machine.
    assert!(changed.elapsed() < Duration::from_secs(3), "{:?}", changed.elapsed());
}

#[test]
fn a_large_file_changed_in_place_is_never_sent_with_the_old_length() {
    let site = Site::new(&[("large.bin", &pattern(200_000))]);
    let server = serve(&site);
    for size in [200_000, 100_000, 300_000, 40_000] {
        site.write("large.bin", &pattern(size));
        // Each on a connection of its own: who writes to the file before the server has looked at
        // it for the last time loses the connection, although not the answer.
        assert_eq!(server.get("/large.bin").body.len(), size);
    }
}

#[test]
fn the_bytes_of_a_large_file_never_pass_through_user_space() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("strace is not installed: this test shows nothing");
        return;
    }
    let site = Site::new(&[("large.bin", &pattern(LARGE))]);
    let server = serve(&site);
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace")
        .args(["-f", "-e", "trace=read,pread64,readv,preadv,mmap,write,sendto,sendmsg,sendfile"])
        .arg("-o")
        .arg(trace.path())
        .args(["-p", &server.pid().to_string()])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut attached = std::io::BufReader::new(strace.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut attached, &mut line).unwrap();
    if !line.contains("attached") {
        eprintln!("strace may not attach here ({}): this test shows nothing", line.trim());
        let _ = strace.wait();
        return;
    }
    assert_eq!(server.get("/large.bin").body.len(), LARGE);
    let strace_pid = rustix::process::Pid::from_raw(strace.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(strace_pid, rustix::process::Signal::INT).unwrap();
    strace.wait().unwrap();
    let trace = std::fs::read_to_string(trace.path()).unwrap();
    let moved = |call: &str| -> usize {
        let lines = trace.lines().filter(|line| line.contains(call));
        lines.filter_map(|line| line.rsplit("= ").next()?.trim().parse::<usize>().ok()).sum()
    };
    assert_eq!(moved("sendfile("), LARGE, "{trace}");
    let others: usize =
        ["read(", "pread64(", "readv(", "write(", "sendto(", "sendmsg("].map(moved).iter().sum();
    assert!(others < 4096, "{others} bytes went through user space:\n{trace}");
}

#[test]
fn a_slow_reader_gets_all_of_a_large_file() {
    let bytes = pattern(LARGE);
    let site = Site::new(&[("large.bin", &bytes), ("a.txt", b"text")]);
    let server = serve(&site);
    let mut slow = server.connect();
    slow.send("GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = slow.head_response();
    assert_eq!(head.status, 200);
    // While the slow one does not read, the lane answers others.
    for _ in 0..50 {
        assert_eq!(server.get("/a.txt").text(), "text");
    }
    assert!(slow.take(LARGE) == bytes);
    assert_eq!(slow.get("/a.txt").text(), "text");
}

#[test]
fn a_download_goes_on_while_its_file_is_replaced_and_not_while_it_is_written_to() {
    let (old, new) = (vec![b'o'; LARGE], vec![b'n'; LARGE]);
    let site = Site::new(&[]);
    let server = serve(&site);
    let path = site.path().join("large.bin");
    let replace = || {
        site.write("large.tmp", &new);
        std::fs::rename(site.path().join("large.tmp"), &path).unwrap();
    };
    let remove = || std::fs::remove_file(&path).unwrap();
    let rename = || std::fs::rename(&path, site.path().join("elsewhere.bin")).unwrap();
    let permit = || std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let write = || site.write("large.bin", &new);
    let changes: [(&str, &dyn Fn(), bool); 5] = [
        ("replaced", &replace, true),
        ("removed", &remove, true),
        ("renamed", &rename, true),
        ("other rights", &permit, true),
        ("written to", &write, false),
    ];
    for (label, change, is_whole) in changes {
        site.write("large.tmp", &old);
        std::fs::rename(site.path().join("large.tmp"), &path).unwrap();
        let mut slow = server.connect();
        slow.send("GET /large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(slow.head_response().status, 200, "{label}");
        change();
        let body = slow.rest();
        assert_eq!(body == old, is_whole, "{label}: {} bytes", body.len());
    }
}

#[test]
fn one_hundred_clients_share_a_lane_without_mixing_bytes() {
    let files: Vec<(String, Vec<u8>)> = (0..10)
        .map(|number| {
            (format!("{number}.bin"), vec![b'a' + number; 20_000 + 9000 * number as usize])
        })
        .collect();
    let named: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let site = Site::new(&named);
    let server = serve(&site);
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for round in 0..5 {
        for (index, client) in clients.iter_mut().enumerate() {
            let name = &files[(index + round) % files.len()].0;
            client.send(format!("GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n"));
        }
        for (index, client) in clients.iter_mut().enumerate() {
            let bytes = &files[(index + round) % files.len()].1;
            assert!(client.response().body == *bytes);
        }
    }
}

#[test]
fn files_that_are_kept_open_leave_descriptors_for_connections() {
    let site = Site::new(&[]);
    let bytes = pattern(40_000);
    for number in 0..100 {
        site.write(&format!("{number}.bin"), &bytes);
    }
    for io in ["uring", "epoll"] {
        let server = Server::start(&["--io", io, "--workers", "1", "--static", &site.at("/")]);
        server.limit_descriptors(20);
        for number in 0..100 {
            // Each on a connection of its own: opening and accepting both need a descriptor.
            let response = server.get(&format!("/{number}.bin"));
            assert_eq!(response.status, 200, "{number}");
            assert!(response.body == bytes, "{number}");
        }
    }
}

/// Far more than sockets hold, so that most of it is still on disk when a client has begun to read.
fn huge() -> Vec<u8> {
    pattern(1 << 20).repeat(32)
}

#[test]
fn a_download_is_whole_when_its_file_is_replaced_or_removed_meanwhile() {
    let bytes = huge();
    let site = Site::new(&[("a.txt", b"text")]);
    let path = site.path().join("huge.bin");
    type Act<'a> = (&'a str, &'a dyn Fn());
    let acts: [Act<'_>; 4] = [
        ("replaced", &|| {
            site.write("tmp", b"new");
            std::fs::rename(site.path().join("tmp"), &path).unwrap();
        }),
        ("removed", &|| std::fs::remove_file(&path).unwrap()),
        ("renamed", &|| std::fs::rename(&path, site.path().join("other.bin")).unwrap()),
        ("linked", &|| std::fs::hard_link(&path, site.path().join("linked.bin")).unwrap()),
    ];
    for (what, act) in acts {
        site.write("huge.bin", &bytes);
        let server = serve(&site);
        let mut client = server.connect();
        client.send("GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(
            client.head_response().header("content-length"),
            Some(&*bytes.len().to_string())
        );
        let begin = client.take(1000);
        act();
        let rest = client.take(bytes.len() - 1000);
        assert!(begin == bytes[..1000] && rest == bytes[1000..], "{what}: the bytes differ");
        assert_eq!(client.get("/a.txt").text(), "text", "{what}");
    }
}
