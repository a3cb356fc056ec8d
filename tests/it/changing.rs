//! Files that change while they are asked for and sent: never the length of one version with bytes
//! of another, and a second later nothing of the old one.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::support::Client;
use crate::support::Server;
use crate::support::Site;

/// One second by the promise; the rest is for a loaded machine.
const FRESH_TIME: Duration = Duration::from_secs(20);

/// Around what lies in memory, and what leaves by sendfile in one piece and in many.
const SIZES: [usize; 7] =
    [16, 16 * 1024, 16 * 1024 + 8, 32 * 1024, 32 * 1024 + 8, 100_000, 3_000_000];

/// Bytes that say at every place which version they are of.
fn version(number: usize, bytes: usize) -> Vec<u8> {
    format!("{number:07}\n").into_bytes().repeat(bytes / 8)
}

/// The version that all of these bytes are of.
fn number(bytes: &[u8]) -> usize {
    let first = &bytes[..8];
    assert!(bytes.chunks(8).all(|chunk| chunk == first), "versions are mixed");
    std::str::from_utf8(first).unwrap().trim_end().parse().unwrap()
}

/// Puts bytes to a path in one step.
fn replace(path: &Path, bytes: &[u8]) {
    let next = path.with_extension("next");
    std::fs::write(&next, bytes).unwrap();
    std::fs::rename(next, path).unwrap();
}

/// Turns a link to something else in one step.
fn turn(link: &Path, target: &str) {
    let next = link.with_extension("next");
    symlink(target, &next).unwrap();
    std::fs::rename(next, link).unwrap();
}

#[test]
fn a_file_that_is_replaced_is_sent_whole_and_of_one_version() {
    const ROUNDS: usize = 60;
    let site = Site::new(&[]);
    let path = |size: usize| site.path().join(format!("{size}.txt"));
    for size in SIZES {
        replace(&path(size), &version(1, size));
    }
    let server = Server::start(&["--workers", "2", "--static", &site.at("/")]);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for coding in ["", "", "Accept-Encoding: gzip\r\n", "Range: bytes=8-15\r\n"] {
            let (server, is_over) = (&server, &is_over);
            scope.spawn(move || {
                let mut client = server.connect();
                let mut latest = [0; SIZES.len()];
                while !is_over.load(Ordering::Relaxed) {
                    for (size, latest) in SIZES.iter().zip(&mut latest) {
                        let response = client.request("GET", &format!("/{size}.txt"), coding, b"");
                        assert!(matches!(response.status, 200 | 206), "{response:?}");
                        if response.header("content-encoding").is_none() {
                            let given = number(&response.body);
                            assert!(given >= *latest, "{size}: the old one comes again");
                            *latest = given;
                        }
                    }
                }
            });
        }
        for round in 2..=ROUNDS {
            for size in SIZES {
                replace(&path(size), &version(round, size));
            }
            thread::sleep(Duration::from_millis(15));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let changed = Instant::now();
    for size in SIZES {
        while number(&server.get(&format!("/{size}.txt")).body) != ROUNDS {
            assert!(changed.elapsed() < FRESH_TIME, "{size}: the old version is served");
        }
    }
}

#[test]
fn a_version_is_not_taken_while_its_bytes_may_just_be_written() {
    let site = Site::new(&[]);
    let size = 16 * 1024;
    let path = site.path().join("a.txt");
    std::fs::write(&path, version(1, size)).unwrap();
    let server = Server::start(&["--workers", "1", "--static", &site.at("/")]);
    let mut client = server.connect();
    assert_eq!(number(&client.get("/a.txt").body), 1);
    // As one long write(2) has it: the new time comes first, then the bytes, without another time.
    let file = File::options().write(true).open(&path).unwrap();
    let mut good_rounds = 0;
    for round in 2..40 {
        // What the cache has must have become old: the next request looks at the disk.
        thread::sleep(Duration::from_millis(510));
        let bytes = version(round, size);
        let begun = Instant::now();
        file.write_all_at(&bytes[..size / 2], 0).unwrap();
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        // While it is half written somebody asks.
        client.send("GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\n");
        thread::sleep(Duration::from_millis(5));
        file.write_all_at(&bytes[size / 2..], (size / 2) as u64).unwrap();
        file.set_modified(written).unwrap();
        let was_quick = begun.elapsed() < Duration::from_millis(15);
        let body = client.response().body;
        // On a loaded machine the writer may pause for longer than anybody waits.
        if was_quick {
            assert_eq!(number(&body), round);
            good_rounds += 1;
        }
        let started = Instant::now();
        while client.get("/a.txt").body != bytes {
            assert!(started.elapsed() < FRESH_TIME, "the old version is served");
        }
        if good_rounds == 3 {
            return;
        }
    }
    eprintln!("this machine is too slow: this test shows nothing");
}

/// What a client has got when the answer ends, of which it begins to read when `change` is done.
fn slowly(server: &Server, change: impl FnOnce()) -> (usize, Vec<u8>) {
    let mut client = server.connect();
    client.send("GET /large.txt HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let head = client.head_response();
    let length = head.header("content-length").unwrap().parse().unwrap();
    change();
    (length, client.rest())
}

#[test]
fn a_file_that_changes_while_it_is_sent_ends_the_connection_before_the_last_byte() {
    // Larger than what the socket's buffers hold, so that much is left when it changes.
    let size = 40_000_000;
    let site = Site::new(&[]);
    let path = site.path().join("large.txt");
    for io in ["uring", "epoll"] {
        let at = site.at("/");
        let changes: [(&str, &dyn Fn()); 3] = [
            ("truncated", &|| {
                // To nothing: the rest of the last page is made zero, also where a socket has it.
                File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
            }),
            ("overwritten", &|| {
                let file = File::options().write(true).open(&path).unwrap();
                file.write_all_at(&version(2, 8), size as u64 - 8).unwrap();
            }),
            ("appended to", &|| {
                File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
            }),
        ];
        for (change, apply) in changes {
            replace(&path, &version(1, size));
            let server = Server::start(&["--io", io, "--workers", "1", "--static", &at]);
            let (length, received) = slowly(&server, apply);
            assert_eq!(length, size);
            assert!(received.len() < size, "{change}: the answer is complete");
            assert_eq!(number(&received[..received.len() / 8 * 8]), 1, "{change}");
        }
        // Whoever is at the old one while it is replaced gets it whole.
        replace(&path, &version(1, size));
        let server = Server::start(&["--io", io, "--workers", "1", "--static", &at]);
        let (_, received) = slowly(&server, || replace(&path, &version(2, 1600)));
        assert_eq!((received.len(), number(&received)), (size, 1));
    }
}

#[test]
fn a_deploy_by_a_link_shows_everywhere_within_a_second() {
    const RELEASES: usize = 4;
    let site = Site::new(&[]);
    for release in 1..=RELEASES {
        for name in ["page.html", "asset.js", "large.bin"] {
            let size = if name == "large.bin" { 100_000 } else { 800 };
            site.write(&format!("releases/{release}/{name}"), &version(release, size));
        }
    }
    let current = site.path().join("current");
    turn(&current, "releases/1");
    let at = format!("/={}", current.display());
    let server = Server::start(&["--workers", "2", "--static", &at]);
    // So many connections that each lane has some.
    let mut clients: Vec<Client> = (0..16).map(|_| server.connect()).collect();
    for release in 1..=RELEASES {
        turn(&current, &format!("releases/{release}"));
        let turned = Instant::now();
        let is_new = |client: &mut Client| {
            ["/page.html", "/asset.js", "/large.bin"].iter().all(|path| {
                let response = client.get(path);
                assert_eq!(response.status, 200, "{path}");
                let given = number(&response.body);
                assert!(given == release || given + 1 == release, "{path} of {given}");
                given == release
            })
        };
        while clients.iter_mut().map(is_new).filter(|new| !new).count() > 0 {
            assert!(turned.elapsed() < FRESH_TIME, "the old release is served");
        }
        assert!(clients.iter_mut().all(is_new), "the old one comes again");
    }
}

#[test]
fn a_folder_that_is_removed_and_made_again_is_found() {
    let site = Site::new(&[]);
    let public = site.path().join("public");
    let write = |round: usize| {
        std::fs::create_dir(&public).unwrap();
        std::fs::write(public.join("a.txt"), version(round, 80)).unwrap();
    };
    write(1);
    let server = Server::start(&["--workers", "1", "--static", &format!("/={}", public.display())]);
    let mut client = server.connect();
    assert_eq!(number(&client.get("/a.txt").body), 1);
    for round in 2..5 {
        std::fs::remove_dir_all(&public).unwrap();
        let started = Instant::now();
        while client.get("/a.txt").status != 404 {
            assert!(started.elapsed() < FRESH_TIME, "what is gone is served");
        }
        write(round);
        let started = Instant::now();
        loop {
            let response = client.get("/a.txt");
            if response.status == 200 {
                assert_eq!(number(&response.body), round);
                break;
            }
            assert!(started.elapsed() < FRESH_TIME, "the new folder is not found");
        }
    }
}
