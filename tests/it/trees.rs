//! Unusual trees: names that are no text, paths as long as can be, files larger than memory, folders
//! with many names, places that may not be read or written, and too few descriptors.

use std::ffi::OsStr;
use std::fs::File;
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::support::Client;
use crate::support::PATIENCE;
use crate::support::Server;
use crate::support::Site;
use crate::support::corelane;
use crate::support::pattern;

/// The number of another user.
const SOMEBODY: u32 = 65_534;

fn serve(site: &Site, arguments: &[&str]) -> Server {
    Server::start(&[&["--workers", "1", "--static", &site.at("/")], arguments].concat())
}

/// Every byte of a path but the slash as an escape.
fn escaped(path: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'/' => "/".to_owned(),
        byte => format!("%{byte:02X}"),
    };
    path.iter().map(escape).collect()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_name_is_whatever_bytes_it_has() {
    let longest = [b'n'; 255];
    let names: &[&[u8]] = &[
        b"with space",
        b"100%",
        b"%2e%2e",
        b"what?",
        b"a#b",
        b"a&b=c;d+e",
        b"two\nlines",
        b"\x01\x7f\t\r",
        b"\xff\xfe not UTF-8 \xc3",
        "Grüße 世界 🎉.txt".as_bytes(),
        b"back\\slash",
        b"\"quoted'<b>",
        b"...",
        b"*",
        b"-",
        &longest,
    ];
    let site = Site::new(&[]);
    let inner = Path::new("in");
    std::fs::create_dir(site.path().join(inner)).unwrap();
    for name in names {
        std::fs::write(site.path().join(inner).join(OsStr::from_bytes(name)), name).unwrap();
    }
    let server = serve(&site, &["--listing"]);
    let mut client = server.connect();
    for _ in 0..2 {
        for name in names.iter().filter(|name| name[0] != b'.') {
            let response = client.get(&format!("/in/{}", escaped(name)));
            assert_eq!(response.status, 200, "{}", name.escape_ascii());
            assert_eq!(response.body, *name, "{}", name.escape_ascii());
        }
    }
    assert_eq!(server.get("/in/100%").status, 400, "an escape without digits");
    assert_eq!(client.get("/in/what?").status, 404, "a query");
    // Each name is in the listing, as a link that leads to it.
    let json = client.request("GET", "/in/", "Accept: application/json\r\n", b"").body;
    let listed: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), names.len() - 1, "but the hidden one");
    for entry in listed {
        let href = entry["href"].as_str().unwrap();
        let response = client.get(&format!("/in/{href}"));
        assert_eq!(response.status, 200, "{href}");
        assert!(names.contains(&&*response.body), "{href}");
    }
}

/// Opens a file so far below that its path is longer than a system call takes.
fn deep(site: &Site, folders: usize, name: &str) -> String {
    let mut path = String::new();
    for _ in 0..folders {
        path.push_str(name);
        path.push('/');
    }
    std::fs::create_dir_all(site.path().join(&path)).unwrap();
    path + "file.txt"
}

#[test]
fn paths_as_deep_and_as_long_as_can_be() {
    let site = Site::new(&[]);
    let deep_path = deep(&site, 64, "d");
    site.write(&deep_path, b"deep");
    let long_path = deep(&site, 15, &"l".repeat(250));
    site.write(&long_path, b"long");
    let server = serve(&site, &[]);
    let mut client = server.connect();
    assert_eq!(client.get(&format!("/{deep_path}")).text(), "deep");
    assert_eq!(client.get(&format!("/{long_path}")).text(), "long");
    // Longer than a name, than a path of the system, and than a target.
    let (name, path) = ("n".repeat(256), "p/".repeat(2100));
    assert_eq!(client.get(&format!("/{name}")).status, 404);
    assert_eq!(client.get(&format!("/{path}")).status, 404);
    assert_eq!(client.get(&format!("/{}", "d/".repeat(4000))).status, 404);
    assert_eq!(server.get(&format!("/{}", "x".repeat(8 * 1024))).status, 414);
    assert_eq!(server.get(&format!("/{deep_path}")).text(), "deep");
}

#[test]
fn a_file_over_4_gib_is_sent_from_any_place() {
    const GIB: u64 = 1 << 30;
    let size = 5 * GIB + 7;
    let site = Site::new(&[]);
    let file = File::create(site.path().join("sparse.bin")).unwrap();
    file.set_len(size).unwrap();
    for place in [0, 2 * GIB - 4, 4 * GIB - 4, size - 8] {
        file.write_all_at(&place.to_be_bytes(), place).unwrap();
    }
    let server = serve(&site, &[]);
    let mut client = server.connect();
    let head = client.request("HEAD", "/sparse.bin", "", b"");
    assert_eq!(head.header("content-length"), Some(&*size.to_string()));
    for place in [0, 2 * GIB - 4, 4 * GIB - 4, size - 8] {
        let range = format!("Range: bytes={place}-{}\r\n", place + 7);
        let response = client.request("GET", "/sparse.bin", &range, b"");
        assert_eq!((response.status, &*response.body), (206, &place.to_be_bytes()[..]));
        let told = format!("bytes {place}-{}/{size}", place + 7);
        assert_eq!(response.header("content-range"), Some(told.as_str()));
    }
    let last = client.request("GET", "/sparse.bin", "Range: bytes=-8\r\n", b"");
    assert_eq!(last.body, (size - 8).to_be_bytes());
    client.send("GET /sparse.bin HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.head_response().header("content-length"), Some(&*size.to_string()));
    assert_eq!(client.take(8), [0; 8]);
}

#[test]
fn an_empty_file_is_an_answer() {
    let site = Site::new(&[("empty.txt", b""), ("empty.html", b"")]);
    let server = serve(&site, &[]);
    let mut client = server.connect();
    for path in ["/empty.txt", "/empty.html"] {
        let coded = client.request("GET", path, "Accept-Encoding: gzip\r\n", b"");
        for response in [coded, client.get(path)] {
            assert_eq!((response.status, response.header("content-length")), (200, Some("0")));
            assert_eq!(response.header("content-encoding"), None);
        }
        assert_eq!(client.request("GET", path, "Range: bytes=0-0\r\n", b"").status, 200);
    }
}

#[test]
fn a_folder_with_very_many_names_shows_some_of_them() {
    let site = Site::new(&[]);
    for number in 0..20_000 {
        File::create(site.path().join(number.to_string())).unwrap();
    }
    let server = serve(&site, &["--listing"]);
    let mut client = server.connect();
    let page = client.get("/").text();
    assert!(page.contains("10,000 files. There are more than can be listed here"));
    let json = client.request("GET", "/", "Accept: application/json\r\n", b"").body;
    let listed: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 10_000);
    assert_eq!(client.get("/19999").status, 200, "also what is not shown");
}

/// Gives a place to somebody else than the server is, with these rights.
fn give_away(path: &Path, mode: u32) {
    std::os::unix::fs::chown(path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    set_mode(path, mode);
}

/// A server without root's right to read everything; None where it cannot be had.
fn serve_without_rights(site: &Site, arguments: &[&str]) -> Option<Server> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files to somebody else");
        return None;
    }
    let usual = corelane();
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-dac_override,-dac_read_search"]);
    if !command.arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: setpriv is not installed, or may not take rights away");
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-dac_override,-dac_read_search"]);
    command.arg(usual.get_program());
    for (name, _) in usual.get_envs() {
        command.env_remove(name);
    }
    command.args(["--bind", "127.0.0.1:0", "--workers", "1", "--static", &site.at("/")]);
    command.args(arguments).current_dir(usual.get_current_dir().unwrap());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(Server::launch(command))
}

#[test]
fn what_may_not_be_read_looks_as_if_it_were_not_there() {
    let site = Site::new(&[
        ("secret.txt", b"s"),
        ("open.txt", b"open"),
        ("unlisted/index.html", b"index"),
        ("unlisted/page.txt", b"page"),
        ("unlisted-bare/page.txt", b"page"),
        ("closed/index.html", b"index"),
        ("shut-index/index.html", b"index"),
    ]);
    let path = |name: &str| site.path().join(name);
    give_away(&path("secret.txt"), 0o600);
    give_away(&path("unlisted"), 0o711);
    give_away(&path("unlisted-bare"), 0o711);
    give_away(&path("closed"), 0o700);
    give_away(&path("shut-index/index.html"), 0o600);
    let Some(server) = serve_without_rights(&site, &["--listing"]) else { return };
    let mut client = server.connect();
    for _ in 0..2 {
        for missing in ["/secret.txt", "/closed/", "/closed/index.html", "/closed", "/none"] {
            assert_eq!(client.get(missing).status, 404, "{missing}");
        }
        assert_eq!(client.get("/open.txt").text(), "open");
        // Who knows a name gets what it stands for; the index is such a name. As with nginx.
        assert_eq!(client.get("/unlisted/page.txt").text(), "page");
        assert_eq!(client.get("/unlisted/").text(), "index");
        assert_eq!(client.get("/unlisted").header("location"), Some("/unlisted/"));
        assert_eq!(client.get("/unlisted-bare/").status, 404, "no list");
        assert_eq!(client.get("/unlisted-bare").status, 404, "no list");
        assert_eq!(client.get("/shut-index/index.html").status, 404);
    }
    assert!(!server.log().contains("ERROR"), "{}", server.log());
    // A root of which only the names are known.
    site.write("index.html", b"root");
    give_away(site.path(), 0o711);
    let started = Instant::now();
    while client.get("/").text() != "root" {
        assert!(started.elapsed() < PATIENCE);
    }
}

#[test]
fn a_file_that_may_not_be_read_any_more_is_gone_within_a_second() {
    let site = Site::new(&[("small.txt", b"small"), ("large.bin", &pattern(100_000))]);
    let Some(server) = serve_without_rights(&site, &[]) else { return };
    let mut client = server.connect();
    for name in ["small.txt", "large.bin"] {
        let gets = |client: &mut Client, status| {
            let started = Instant::now();
            while client.get(&format!("/{name}")).status != status {
                assert!(started.elapsed() < PATIENCE, "{name}: no {status}");
            }
            // One second by the promise; the rest is for a loaded machine.
            assert!(started.elapsed() < Duration::from_secs(3), "{name}: {status}");
        };
        gets(&mut client, 200);
        give_away(&site.path().join(name), 0o600);
        gets(&mut client, 404);
        set_mode(&site.path().join(name), 0o644);
        gets(&mut client, 200);
    }
}

/// Something that is mounted, until it is dropped.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_read_only_file_system_is_served() {
    let outer = Site::new(&[]);
    let folder = outer.path().join("mounted");
    std::fs::create_dir(&folder).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    if let Err(error) = rustix::mount::mount("tmpfs", &folder, "tmpfs", flags, None) {
        eprintln!("skipped: no file system can be mounted here: {error}");
        return;
    }
    let _mount = Mount(folder.clone());
    let large = pattern(100_000);
    std::fs::write(folder.join("page.html"), "<p>text".repeat(500)).unwrap();
    std::fs::write(folder.join("large.bin"), &large).unwrap();
    rustix::mount::mount_remount(&folder, rustix::mount::MountFlags::RDONLY, "").unwrap();
    assert!(std::fs::write(folder.join("more"), "").is_err(), "it is read-only");
    let server = Server::start(&["--listing", "--static", &format!("/={}", folder.display())]);
    let mut client = server.connect();
    let page = client.request("GET", "/page.html", "Accept-Encoding: br\r\n", b"");
    assert_eq!((page.status, page.header("content-encoding")), (200, Some("br")));
    assert!(client.get("/large.bin").body == large);
    assert!(client.get("/").text().contains("page.html"));
}

/// The status of an answer, of which nothing else is read; None where there is none.
fn status(client: &Client) -> Option<u16> {
    let mut line = [0; 12];
    client.stream().read_exact(&mut line).ok()?;
    Some(std::str::from_utf8(&line[9..]).unwrap().parse().unwrap())
}

#[test]
fn more_large_files_than_descriptors_are_refused_and_nobody_hangs() {
    const FILES: usize = 60;
    let bytes = pattern(6 << 20);
    let site = Site::new(&[]);
    for number in 0..FILES {
        site.write(&format!("{number}.bin"), &bytes);
    }
    for io in ["uring", "epoll"] {
        let server = serve(&site, &["--io", io]);
        let mut clients: Vec<Client> = (0..FILES).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.get("/none").status, 404, "all are accepted");
        }
        server.limit_descriptors(20);
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("GET /{number}.bin HTTP/1.1\r\nHost: test\r\n\r\n"));
        }
        // Nobody reads on, so each answer that has begun keeps its file open. Where descriptors are
        // short, connections that have not been asked for anything yet are closed, too.
        let statuses: Vec<_> = clients.iter().map(status).collect();
        for status in [Some(200), Some(503)] {
            assert!(statuses.contains(&status), "{io}: {statuses:?}");
        }
        assert!(statuses.iter().all(|status| matches!(status, None | Some(200 | 503))));
        for (client, status) in clients.iter_mut().zip(statuses) {
            if status == Some(200) {
                client.end_sending();
                assert!(client.rest().ends_with(&bytes));
            }
        }
        drop(clients);
        let started = Instant::now();
        while server.get("/59.bin").status != 200 {
            assert!(started.elapsed() < PATIENCE, "it does not recover");
        }
    }
}
