//! Clients that leave while their answer is made, in each way that TCP has.

use std::time::Duration;
use std::time::Instant;

use corelane::limits::PYTHON_QUEUE_MAX;
use socket2::SockRef;

use crate::support::Client;
use crate::support::Marks;
use crate::support::Server;
use crate::support::Site;

/// Each path does one thing, and marks what was begun and what was closed.
const APP: &str = r#"
import os, time

def mark(line):
    with open(os.environ["CORELANE_TEST_MARKS"], "a") as file:
        file.write(line + "\n")

class Endless:
    def __init__(self, path, piece):
        self.path, self.piece, self.begun = path, piece, False
    def __iter__(self):
        return self
    def __next__(self):
        if not self.begun:
            self.begun = True
            return b"begun"
        time.sleep(0.01)
        return self.piece
    def close(self):
        mark("closed " + self.path)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    mark("began " + path)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/slow":
        time.sleep(3)
    if path == "/slower":
        time.sleep(20)
    if path.startswith("/silent"):
        return Endless(path, b"")
    if path.startswith("/stream"):
        return Endless(path, b"x" * 1000)
    return [b"answered"]
"#;

fn serve(marks: &Marks, threads: &str, io: &str, further: &[&str]) -> Server {
    marks.serve(&[&["--threads", threads, "--io", io], further].concat(), "/tmp")
}

fn wait_for(marks: &Marks, line: &str) {
    marks.wait_for(|marks| marks.lines().any(|other| other == line));
}

/// Closes with a reset.
fn reset(client: Client) {
    SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
}

fn ask(server: &Server, path: &str) -> Client {
    let mut client = server.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    client
}

#[test]
fn a_request_that_waits_is_not_executed_when_its_client_has_left() {
    for io in ["uring", "epoll"] {
        let marks = Marks::new(APP);
        let server = serve(&marks, "1", io, &[]);
        let mut slow = ask(&server, "/slow");
        wait_for(&marks, "began /slow");
        drop(ask(&server, "/left/closed"));
        reset(ask(&server, "/left/reset"));
        let mut half = ask(&server, "/left/half");
        half.end_sending();
        let mut stays = ask(&server, "/stays");
        half.expect_end();
        assert_eq!(slow.response().text(), "answered");
        assert_eq!(stays.response().text(), "answered");
        assert_eq!(marks.text(), "began /slow\nbegan /stays\n", "{io}");
    }
}

#[test]
fn a_streamed_answer_stops_when_its_client_has_left() {
    for (threads, io) in [("0", "uring"), ("2", "uring"), ("2", "epoll")] {
        let marks = Marks::new(APP);
        let server = serve(&marks, threads, io, &[]);
        for path in ["/silent/reset", "/stream/reset", "/stream/closed"] {
            let mut client = ask(&server, path);
            client.take_until(b"begun");
            if path.ends_with("reset") {
                reset(client);
            } else {
                drop(client);
            }
            wait_for(&marks, &format!("closed {path}"));
        }
        assert_eq!(server.get("/others").text(), "answered");
    }
}

#[test]
fn a_client_that_has_only_ended_its_sending_gets_its_answer() {
    for io in ["uring", "epoll"] {
        let marks = Marks::new(APP);
        let server = serve(&marks, "1", io, &[]);
        let mut half = server.connect();
        // Two at once: the second one does not wait for a thread, only for the first.
        half.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
        half.end_sending();
        assert_eq!(half.response().text(), "answered");
        assert_eq!(half.response().text(), "answered");
        half.expect_end();
        assert_eq!(marks.text(), "began /slow\nbegan /next\n", "{io}");
    }
}

#[test]
fn those_who_have_left_take_no_places_in_the_queue() {
    let marks = Marks::new(APP);
    let server = serve(&marks, "1", "uring", &[]);
    let slower = ask(&server, "/slower");
    wait_for(&marks, "began /slower");
    let waiting: Vec<Client> = (0..PYTHON_QUEUE_MAX + 50).map(|_| ask(&server, "/left")).collect();
    assert_eq!(ask(&server, "/refused").response().status, 503);
    waiting.into_iter().for_each(reset);
    // Whoever is not refused at once waits for the only thread.
    let start = Instant::now();
    loop {
        let mut next = ask(&server, "/next");
        next.stream().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        if next.stream().peek(&mut [0]).is_err() {
            break;
        }
        assert_eq!(next.response().status, 503);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "only when the thread was free again");
    drop(slower);
}

/// A request that was taken up has its line, whatever became of it: 499 where the client left before
/// an answer began, else the status and the bytes that were sent.
#[test]
fn those_who_have_left_are_in_the_access_log() {
    let site = Site::new(&[("large.bin", &vec![b'x'; 50_000_000])]);
    for io in ["uring", "epoll"] {
        let marks = Marks::new(APP);
        let log = marks.path("access.log");
        let files = site.at("/files");
        let further = ["--access-logfile", log.to_str().unwrap(), "--static", &files];
        let mut server = serve(&marks, "1", io, &further);

        let mut upload = server.connect();
        upload.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\npart");
        reset(upload);
        let mut download = ask(&server, "/files/large.bin");
        download.take_until(b"xxx");
        reset(download);
        let mut streamed = ask(&server, "/stream/reset");
        streamed.take_until(b"begun");
        reset(streamed);
        wait_for(&marks, "closed /stream/reset");
        let mut slow = ask(&server, "/slow");
        wait_for(&marks, "began /slow");
        reset(ask(&server, "/waits"));
        assert_eq!(slow.response().text(), "answered");

        server.signal(rustix::process::Signal::TERM);
        assert!(server.wait().success());
        let text = std::fs::read_to_string(&log).unwrap();
        let of = |path: &str| {
            let line = text.lines().find(|line| line.contains(path));
            let line = line.unwrap_or_else(|| panic!("{io}: no {path} in {text}"));
            let mut words = line.rsplit_once("HTTP/1.1\" ").unwrap().1.split(' ');
            let mut number = || words.next().unwrap().replace('-', "0").parse::<u64>().unwrap();
            (number(), number())
        };
        assert_eq!(of("/upload"), (499, 0), "{io}");
        assert_eq!(of("/waits"), (499, 0), "{io}");
        assert_eq!(of("/slow"), (200, 8), "{io}");
        let (status, bytes) = of("/files/large.bin");
        assert!(status == 200 && bytes < 50_000_000, "{io}: {status} {bytes}");
        let (status, bytes) = of("/stream/reset");
        assert!(status == 200 && bytes >= 5, "{io}: {status} {bytes}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
