//! Unix sockets: who may connect, which lanes answer, what an application is told, and which files
//! come and go.

use std::collections::HashSet;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::Server;
use crate::support::Site;
use crate::support::apps;
use crate::support::corelane;
use crate::support::pattern;

/// A folder, the path of a socket in it, and the value of `--bind`.
fn place() -> (TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let bind = format!("unix:{}", path.display());
    (folder, path, bind)
}

fn serve(bind: &str, arguments: &[&str]) -> Server {
    let apps = apps();
    let fixed = ["--bind", bind, "--chdir", apps.to_str().unwrap()];
    let server = Server::start(&[&fixed[..], arguments, &["plain:app"]].concat());
    server.wait_for_log(&format!("listening on {bind}"));
    server
}

/// All that comes back for these bytes, up to the end.
fn exchange(path: &Path, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes.as_ref()).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {}", answer.escape_ascii()),
    }
    answer
}

/// The body of the answer to one request.
fn get(path: &Path, target: &str, fields: &str) -> Vec<u8> {
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: a.example:81\r\nConnection: close\r\n{fields}\r\n");
    let answer = exchange(path, request);
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    answer[body..].to_vec()
}

fn environ(path: &Path, fields: &str) -> serde_json::Value {
    serde_json::from_slice(&get(path, "/environ", fields)).unwrap()
}

#[test]
fn requests_are_answered_over_a_unix_socket() {
    let site = Site::new(&[("a.txt", b"text"), ("large.bin", &pattern(3_000_000))]);
    for io in ["uring", "epoll"] {
        let (_folder, path, bind) = place();
        let log = path.with_file_name("access.log");
        let files = site.at("/static");
        let log_to = ["--access-logfile", log.to_str().unwrap(), "--static", &files];
        let fixed = ["--io", io, "--workers", "1"];
        let mut server = serve(&bind, &[&fixed[..], &log_to].concat());
        assert_eq!(get(&path, "/static/a.txt", ""), b"text");
        assert!(get(&path, "/static/large.bin", "") == pattern(3_000_000));
        assert_eq!(get(&path, "/hello", ""), b"Hello, world!");
        let told = environ(&path, "");
        // Nobody has an address here, and the server is called as the client called it.
        for (key, value) in [
            ("REMOTE_ADDR", ""),
            ("REMOTE_PORT", ""),
            ("SERVER_NAME", "a.example"),
            ("SERVER_PORT", "81"),
            ("HTTP_HOST", "a.example:81"),
            ("wsgi.url_scheme", "http"),
        ] {
            assert_eq!(told[key], value, "{key}");
        }
        let old = exchange(&path, "GET /environ HTTP/1.0\r\n\r\n");
        let old = String::from_utf8(old).unwrap();
        assert!(old.contains("\"SERVER_NAME\": \"localhost\""), "{old}");
        assert_eq!(get(&path, "/validated", ""), get(&path, "/validated", ""));
        let refused = exchange(&path, "nonsense\r\n\r\n");
        assert!(refused.starts_with(b"HTTP/1.1 400 "), "{}", refused.escape_ascii());
        // TCP beside it is as ever.
        assert_eq!(server.get("/static/a.txt").text(), "text");
        let start = Instant::now();
        server.signal(Signal::TERM);
        assert!(server.wait().success());
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(20), "{io}: a lane waits for nobody: {waited:?}");
        assert!(!path.exists(), "the file ends with the server");
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.starts_with("unix: - - ["), "{text}");
        assert!(text.lines().last().unwrap().starts_with("127.0.0.1 - - ["), "{text}");
    }
}

#[test]
fn all_lanes_answer_on_the_one_socket() {
    for io in ["uring", "epoll"] {
        let (_folder, path, bind) = place();
        let mut server = serve(&bind, &["--io", io, "--workers", "2", "--threads", "1"]);
        let mut lanes = HashSet::new();
        let open: Vec<_> = (0..50).map(|_| UnixStream::connect(&path).unwrap()).collect();
        for _ in 0..2000 {
            lanes.insert(get(&path, "/lane", ""));
            if lanes.len() == 2 {
                break;
            }
        }
        assert_eq!(lanes.len(), 2, "{io}: {lanes:?}");
        server.signal(Signal::TERM);
        assert!(server.wait().success(), "{io}: {}", server.log());
        for mut stream in open {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert!(rest.is_empty());
        }
    }
}

#[test]
fn what_was_queued_is_answered_before_the_end() {
    let (_folder, path, bind) = place();
    let mut server = serve(&bind, &["--workers", "2", "--threads", "1"]);
    let request = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let clients: Vec<UnixStream> = (0..300)
        .map(|_| {
            let mut client = UnixStream::connect(&path).unwrap();
            client.write_all(request.as_bytes()).unwrap();
            client
        })
        .collect();
    server.signal(Signal::TERM);
    for mut client in clients {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(b"Hello, world!"), "{}", answer.escape_ascii());
    }
    assert!(server.wait().success());
}

#[test]
fn the_file_has_the_mode_and_the_owner_that_were_asked_for() {
    let (folder, path, bind) = place();
    let server = serve(&bind, &[]);
    let found = std::fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.mode() & 0o7777, 0o660, "nobody else by default");
    drop(server);

    let own = std::fs::metadata(folder.path()).unwrap();
    let owner = format!("{}:{}", own.uid(), own.gid());
    let second = folder.path().join("b.sock");
    let text = format!(
        "lanes = 1\nbind = [\"127.0.0.1:0\", {{ address = \"unix:b.sock\", mode = \"604\", \
         owner = \"{owner}\" }}]\n[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \".\"\n"
    );
    let config = folder.path().join("corelane.toml");
    std::fs::write(&config, text).unwrap();
    let mut command = corelane();
    command.arg("-c").arg(&config);
    let server = Server::launch(command);
    let found = std::fs::metadata(&second).unwrap();
    assert_eq!(found.mode() & 0o7777, 0o604);
    assert_eq!((found.uid(), found.gid()), (own.uid(), own.gid()));
    drop(server);
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_a_living_one_is_not() {
    let (_folder, path, bind) = place();
    let server = serve(&bind, &["--workers", "1"]);
    drop(server); // killed: its file stays
    assert!(path.exists());
    let mut server = serve(&bind, &["--workers", "1"]);
    assert_eq!(get(&path, "/hello", ""), b"Hello, world!");

    let other = corelane().args(["--bind", &bind, "--static", "/=."]).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    let said = String::from_utf8(other.stderr).unwrap();
    assert!(said.contains(&format!("cannot listen on {bind}: ")), "{said}");
    assert!(said.contains("ss -lxp"), "{said}");
    assert_eq!(get(&path, "/hello", ""), b"Hello, world!");

    // What has taken its place is not its own.
    let moved = path.with_file_name("moved.sock");
    std::fs::rename(&path, &moved).unwrap();
    let _stranger = UnixListener::bind(&path).unwrap();
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    assert!(path.exists() && moved.exists());
}

#[test]
fn another_kind_of_file_is_no_place_for_a_socket() {
    let (_folder, path, bind) = place();
    std::fs::write(&path, "precious").unwrap();
    let other = corelane().args(["--bind", &bind, "--static", "/=."]).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    let said = String::from_utf8(other.stderr).unwrap();
    assert!(said.contains("there is a file that is no socket: remove it"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_start_that_fails_and_a_second_signal_leave_no_file() {
    let (folder, path, bind) = place();
    std::fs::write(folder.path().join("broken.py"), "raise ValueError\n").unwrap();
    let chdir = folder.path().to_str().unwrap();
    let failed = corelane().args(["-b", &bind, "--chdir", chdir, "broken"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(!path.exists());
    let mut server = serve(&bind, &["--workers", "1"]);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"GET /sleep?ms=20000 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // An answer on another connection: the first one is with the application by now, or will be.
    get(&path, "/hello", "");
    server.signal(Signal::TERM);
    server.wait_for_log("a second signal ends at once");
    server.signal(Signal::INT);
    server.wait();
    assert!(!path.exists());
}

#[test]
fn who_comes_through_a_unix_socket_may_be_believed() {
    let (_folder, path, bind) = place();
    let fields = "X-Forwarded-For: 198.51.100.9, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n";
    let heard = |told: &serde_json::Value| {
        ["REMOTE_ADDR", "wsgi.url_scheme"].map(|key| told[key].as_str().unwrap().to_owned())
    };
    let server = serve(&bind, &["--forwarded-allow-ips", "127.0.0.1"]);
    assert_eq!(heard(&environ(&path, fields)), ["", "http"]);
    drop(server);
    let server = serve(&bind, &["--forwarded-allow-ips", "unix"]);
    assert_eq!(heard(&environ(&path, fields)), ["192.0.2.1", "https"]);
    assert_eq!(heard(&environ(&path, "")), ["", "http"]);
    drop(server);
    let _server = serve(&bind, &["--proxy-protocol"]);
    let request = "GET /environ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = exchange(&path, format!("PROXY TCP4 192.0.2.5 192.0.2.6 7 8\r\n{request}"));
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("\"REMOTE_ADDR\": \"192.0.2.5\""), "{answer}");
    assert!(exchange(&path, request).is_empty());
}
