//! Clients that read more slowly than an application makes its answer: its thread does not wait for
//! them.

use std::time::Duration;
use std::time::Instant;

use corelane::limits::ANSWER_SPOOL_BYTES_MAX;
use socket2::SockRef;

use crate::support::Client;
use crate::support::Marks;
use crate::support::PATIENCE;
use crate::support::Server;
use crate::support::Site;

const MIB: usize = 1 << 20;

/// `/N` is an answer of so many pieces of 1 MiB, each of another letter; a mark for each piece that
/// was asked for, and one for `close()`.
const APP: &str = r#"
import os

def mark(text):
    with open(os.environ["CORELANE_TEST_MARKS"], "a") as file:
        file.write(text)

class Pieces:
    def __init__(self, count):
        self.count, self.made = count, 0
    def __iter__(self):
        return self
    def __next__(self):
        if self.made == self.count:
            raise StopIteration
        piece = bytes([97 + self.made % 26]) * (1 << 20)
        self.made += 1
        mark(".")
        return piece
    def close(self):
        mark("!")

def app(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain")]
    if path == "/hello":
        start_response("200 OK", headers)
        return [b"hello"]
    count = int(path[1:])
    if environ["QUERY_STRING"] == "length":
        headers.append(("Content-Length", str(count << 20)))
    start_response("200 OK", headers)
    return Pieces(count)
"#;

/// A lane with one Python thread.
fn serve(marks: &Marks, io: &str, temporary: &str, further: &[&str]) -> Server {
    marks.serve(&[&["--threads", "1", "--io", io], further].concat(), temporary)
}

fn ask(server: &Server, target: &str, version: &str) -> Client {
    let mut client = server.connect();
    client.send(format!("GET {target} {version}\r\nHost: x\r\n\r\n"));
    client
}

fn expected(pieces: usize) -> Vec<u8> {
    (0..pieces).flat_map(|piece| vec![b'a' + u8::try_from(piece % 26).unwrap(); MIB]).collect()
}

#[test]
fn an_answer_goes_on_without_its_reader() {
    for io in ["uring", "epoll"] {
        for (target, version) in
            [("/40", "HTTP/1.1"), ("/40?length", "HTTP/1.1"), ("/40", "HTTP/1.0")]
        {
            let marks = Marks::new(APP);
            let server = serve(&marks, io, "/tmp", &[]);
            let mut slow = ask(&server, target, version);
            slow.stream().peek(&mut [0]).unwrap();
            // The only thread has made all of it, and is free.
            marks.wait_for(|marks| marks.ends_with('!'));
            assert_eq!(server.get("/hello").text(), "hello");
            let answer = slow.response();
            assert!(answer.body == expected(40), "{io} {target} {version}");
            if version == "HTTP/1.1" {
                assert_eq!(slow.get("/hello").text(), "hello", "the connection goes on");
            } else {
                slow.expect_end();
            }
        }
    }
}

#[test]
fn a_reader_that_leaves_frees_the_file() {
    for io in ["uring", "epoll"] {
        let marks = Marks::new(APP);
        let server = serve(&marks, io, "/tmp", &[]);
        assert_eq!(server.get("/hello").text(), "hello");
        let before = descriptors(&server);
        let slow = ask(&server, "/40", "HTTP/1.1");
        slow.stream().peek(&mut [0]).unwrap();
        marks.wait_for(|marks| marks.ends_with('!'));
        assert!(descriptors(&server) > before, "a connection and its file");
        SockRef::from(slow.stream()).set_linger(Some(Duration::ZERO)).unwrap();
        drop(slow);
        let deadline = Instant::now() + PATIENCE;
        while descriptors(&server) > before {
            assert!(Instant::now() < deadline, "the file is still open");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(server.get("/hello").text(), "hello");
    }
}

fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

#[test]
fn an_answer_over_the_bound_waits_for_its_reader() {
    let pieces_max = usize::try_from(ANSWER_SPOOL_BYTES_MAX).unwrap() / MIB;
    let pieces = pieces_max + 40;
    let marks = Marks::new(APP);
    let server = serve(&marks, "auto", "/tmp", &[]);
    let mut slow = ask(&server, &format!("/{pieces}"), "HTTP/1.1");
    slow.stream().peek(&mut [0]).unwrap();
    marks.wait_for(|marks| marks.len() >= pieces_max);
    let mut waiting = ask(&server, "/hello", "HTTP/1.1");
    waiting.stream().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(waiting.stream().peek(&mut [0]).is_err(), "the only thread waits for the reader");
    // Beside the file: the socket's buffers, and the pieces on their way.
    let made = marks.wait_for(|marks| marks.len() >= pieces_max).len();
    assert!(made < pieces_max + 20, "{made} of {pieces} pieces are made");
    assert!(slow.response().body == expected(pieces));
    waiting.stream().set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(waiting.response().text(), "hello");
}

#[test]
fn without_temporary_files_threads_wait_and_answers_are_whole() {
    for io in ["uring", "epoll"] {
        let marks = Marks::new(APP);
        let server = serve(&marks, io, "/nonexistent", &[]);
        let mut slow = ask(&server, "/40", "HTTP/1.1");
        slow.stream().peek(&mut [0]).unwrap();
        server.wait_for_log("no temporary file for answers to slow clients");
        assert!(slow.response().body == expected(40), "{io}");
        assert_eq!(server.get("/hello").text(), "hello");
    }
}

/// An answer whose end only the connection's end marks must not look whole.
#[test]
fn an_answer_that_is_cut_at_the_end_of_the_server_is_cut_visibly() {
    for io in ["uring", "epoll"] {
        let marks = Marks::new(APP);
        let mut server = serve(&marks, io, "/tmp", &["--graceful-timeout", "0"]);
        let slow = ask(&server, "/40", "HTTP/1.0");
        slow.stream().peek(&mut [0]).unwrap();
        marks.wait_for(|marks| marks.ends_with('!'));
        server.signal(rustix::process::Signal::TERM);
        assert!(server.wait().success());
        let ended = std::io::copy(&mut slow.stream(), &mut std::io::sink());
        let ended = ended.map_err(|error| error.kind());
        assert_eq!(ended, Err(std::io::ErrorKind::ConnectionReset), "{io}");
    }
}

/// With a client that has ended its sending the lane has nothing to do until it reads on.
#[test]
fn a_slow_reader_that_sends_no_more_costs_no_time() {
    let site = Site::new(&[("large.bin", &expected(40))]);
    for io in ["uring", "epoll"] {
        let marks = Marks::new(APP);
        let server = serve(&marks, io, "/tmp", &["--static", &site.at("/files")]);
        for target in ["/40", "/files/large.bin"] {
            let mut slow = ask(&server, target, "HTTP/1.1");
            slow.stream().peek(&mut [0]).unwrap();
            if target == "/40" {
                marks.wait_for(|marks| marks.ends_with('!'));
            }
            slow.end_sending();
            let before = server.cpu_time();
            std::thread::sleep(Duration::from_secs(1)); // nothing is waited for
            let used = server.cpu_time() - before;
            assert!(used < Duration::from_millis(500), "{io} {target}: {used:?} in a second");
            assert!(slow.response().body == expected(40), "{io} {target}");
        }
    }
}
