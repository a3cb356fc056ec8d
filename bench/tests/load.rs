//! The load against small servers that answer as each test wants, and count what they saw.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

/// What a server does with the request of this number, on the connection of this number; both from
/// 0, requests counted on their connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Answer(&'static str),
    Close,
}

const RIGHT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nri\r\n3\r\nght\r\n0\r\n\r\n";
const WRONG: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong";
const LAST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nright";

/// What a server saw: for each connection, the number of requests in each of its reads.
type Seen = Arc<Mutex<Vec<Vec<usize>>>>;

struct Server {
    url: String,
    seen: Seen,
}

/// A server with a thread for each connection, which ends with the test's process.
fn serve(deed: fn(usize, usize) -> Deed) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let seen = Seen::default();
    let counts = Arc::clone(&seen);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            counts.lock().unwrap().push(Vec::new());
            let counts = Arc::clone(&counts);
            thread::spawn(move || converse(&mut stream.unwrap(), number, deed, &counts));
        }
    });
    Server { url, seen }
}

fn converse(stream: &mut TcpStream, number: usize, deed: fn(usize, usize) -> Deed, seen: &Seen) {
    stream.set_nodelay(true).unwrap();
    let (mut buffer, mut request) = (vec![0; 65_536], 0);
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        let heads = String::from_utf8_lossy(&buffer[..bytes]).matches("\r\n\r\n").count();
        seen.lock().unwrap()[number].push(heads);
        for _ in 0..heads {
            match deed(number, request) {
                Deed::Answer(answer) if stream.write_all(answer.as_bytes()).is_ok() => {}
                _ => return,
            }
            if deed(number, request) == Deed::Answer(LAST) {
                return;
            }
            request += 1;
        }
    }
}

fn steady(server: &Server, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(["steady", &server.url, "--seconds", "0.4"]).args(arguments);
    let output = command.output().unwrap();
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problems}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name} in {report}"))
}

/// The reads of all connections but the first, which is that of the reference.
fn measured(server: &Server) -> Vec<Vec<usize>> {
    server.seen.lock().unwrap().iter().skip(1).cloned().collect()
}

#[test]
fn right_answers_are_counted() {
    let server = serve(|_, request| Deed::Answer([RIGHT, CHUNKED][request % 2]));
    let report = steady(&server, &["--connections", "3"]);
    assert_eq!((count(&report, "wrong"), count(&report, "errors")), (0, 0), "{report}");
    assert_eq!(count(&report, "connections_opened"), 3);
    let seen: usize = measured(&server).iter().flatten().sum();
    let requests = usize::try_from(count(&report, "requests")).unwrap();
    // What was in flight at the end is not counted.
    assert!(requests > 0 && requests <= seen && seen <= requests + 3, "{seen} seen, {report}");
    assert!(report["latency_us"]["p50"].as_f64().unwrap() > 0.0);
}

#[test]
fn wrong_bodies_are_counted_as_wrong() {
    let server = serve(|_, request| Deed::Answer(if request == 2 { WRONG } else { RIGHT }));
    let report = steady(&server, &["--connections", "2"]);
    assert_eq!((count(&report, "wrong"), count(&report, "errors")), (2, 0), "{report}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("expected");
    std::fs::write(&file, "other").unwrap();
    let file = file.to_str().unwrap();
    let report = steady(&server, &["--connections", "1", "--expect-file", file]);
    assert!(count(&report, "wrong") >= count(&report, "requests"), "{report}");
    assert!(count(&report, "requests") > 0);
}

#[test]
fn an_early_close_is_an_error_and_the_connection_is_opened_again() {
    let server = serve(|connection, request| match (connection, request) {
        (2, 3) => Deed::Close,
        _ => Deed::Answer(RIGHT),
    });
    let report = steady(&server, &["--connections", "2"]);
    assert_eq!((count(&report, "wrong"), count(&report, "errors")), (0, 1), "{report}");
    assert_eq!(count(&report, "connections_opened"), 3);
    assert_eq!(measured(&server).len(), 3);
}

#[test]
fn a_last_answer_is_no_error() {
    let server = serve(|_, request| Deed::Answer(if request == 4 { LAST } else { RIGHT }));
    let report = steady(&server, &["--connections", "2"]);
    assert_eq!((count(&report, "wrong"), count(&report, "errors")), (0, 0), "{report}");
    let connections = measured(&server);
    assert!(connections.len() > 2);
    assert!(connections.iter().all(|reads| reads.iter().sum::<usize>() <= 5));
}

#[test]
fn a_connection_carries_as_many_requests_as_it_should() {
    let server = serve(|_, _| Deed::Answer(RIGHT));
    let more = ["--connections", "2", "--pipeline", "2", "--requests-per-connection", "3"];
    let report = steady(&server, &more);
    assert_eq!((count(&report, "wrong"), count(&report, "errors")), (0, 0), "{report}");
    // The last ones may still stand in the listener's queue when the client has gone.
    let opened = usize::try_from(count(&report, "connections_opened")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while measured(&server).len() < opened && Instant::now() < deadline {
        thread::yield_now();
    }
    let connections = measured(&server);
    assert!(connections.len() > 2);
    assert_eq!(connections.len(), opened);
    let whole = connections.iter().filter(|reads| **reads == [2, 1]).count();
    assert!(whole + 2 >= connections.len(), "{connections:?}");
    assert!(connections.iter().all(|reads| reads.iter().sum::<usize>() <= 3));
}

#[test]
fn pipelined_requests_come_together() {
    let server = serve(|_, _| Deed::Answer(RIGHT));
    let report = steady(&server, &["--connections", "1", "--pipeline", "16"]);
    assert_eq!((count(&report, "wrong"), count(&report, "errors")), (0, 0), "{report}");
    let connections = measured(&server);
    assert!(connections[0].len() > 1);
    assert!(connections[0].iter().all(|heads| *heads == 16), "{connections:?}");
}

#[test]
fn a_rate_sends_what_is_due_and_no_more() {
    let server = serve(|_, _| Deed::Answer(RIGHT));
    let report = steady(&server, &["--connections", "3", "--rate", "500"]);
    assert_eq!((count(&report, "wrong"), count(&report, "errors")), (0, 0), "{report}");
    assert_eq!(count(&report, "requests") + count(&report, "late"), 200, "{report}");
    assert_eq!(measured(&server).iter().flatten().sum::<usize>(), 200);
    // A server that says nothing more leaves the rest unanswered, which is told.
    let mute = serve(|connection, request| {
        Deed::Answer(if connection > 0 && request > 0 { "" } else { RIGHT })
    });
    let report = steady(&mute, &["--connections", "2", "--rate", "500"]);
    assert_eq!((count(&report, "requests"), count(&report, "late")), (2, 198), "{report}");
}

#[test]
fn a_refused_connection_is_an_exit_code() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    let output = command.args(["steady", &url, "--seconds", "1", "--connections", "1"]);
    let output = output.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("refused"));
    assert!(output.stdout.is_empty());
}

#[test]
fn idle_connections_are_held_and_asked_again() {
    // Of ten connections (behind that of the reference) two are closed at the second request.
    let server = serve(|connection, request| match (connection % 5, request) {
        (3, 1..) => Deed::Close,
        _ => Deed::Answer(RIGHT),
    });
    let mut load = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["idle", &server.url, "--connections", "10"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(load.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let opened = next();
    assert_eq!((count(&opened, "open"), count(&opened, "errors")), (10, 0));
    assert!(measured(&server).iter().all(|reads| *reads == [1]));
    load.stdin.take().unwrap().write_all(b"\n").unwrap();
    let asked = next();
    assert_eq!((count(&asked, "answered"), count(&asked, "closed")), (8, 2), "{asked}");
    assert!(measured(&server).iter().all(|reads| *reads == [1, 1]));
    assert!(load.wait().unwrap().success());
}
