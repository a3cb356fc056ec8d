//! The floor as a process: heads that come in pieces or together, and the ends of connections.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use corelane_bench::floor::answer::ANSWER;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

struct Floor {
    process: Child,
    address: String,
}

impl Floor {
    fn start() -> Self {
        Self::from(Command::new(env!("CARGO_BIN_EXE_floor")).arg("0"))
    }

    /// With so many descriptors at most.
    fn with_descriptors(count: usize) -> Self {
        let script = format!("ulimit -n {count}; exec \"$0\" 0");
        Self::from(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_floor")]))
    }

    fn from(command: &mut Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn assert_answers(stream: &mut TcpStream, count: usize) {
    let mut bytes = vec![0; ANSWER.len() * count];
    stream.read_exact(&mut bytes).unwrap();
    assert!(bytes == ANSWER.repeat(count), "{}", String::from_utf8_lossy(&bytes));
}

fn assert_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => assert_eq!(rest, b""),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn a_head_in_pieces_gets_one_answer() {
    let floor = Floor::start();
    let mut stream = floor.connect();
    for cut in 1..GET.len() {
        let (a, b) = GET.split_at(cut);
        stream.write_all(a).unwrap();
        // Another connection's answer says that the loop has been round since.
        let mut other = floor.connect();
        other.write_all(LAST).unwrap();
        assert_answers(&mut other, 1);
        assert_closed(&mut other);
        stream.write_all(b).unwrap();
        assert_answers(&mut stream, 1);
    }
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(8000));
    stream.write_all(long.as_bytes()).unwrap();
    assert_answers(&mut stream, 1);
    stream.write_all(&[b'a'; 8192]).unwrap();
    assert_closed(&mut stream);
}

#[test]
fn pipelined_heads_are_all_answered() {
    let floor = Floor::start();
    let mut stream = floor.connect();
    for count in [1, 2, 3, 64, 65, 400] {
        stream.write_all(&GET.repeat(count)).unwrap();
        assert_answers(&mut stream, count);
    }
    // More than a send, more than the buffers of all receives, and the peer reads late.
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&GET.repeat(30_000)).unwrap());
    assert_answers(&mut stream, 30_000);
    writing.join().unwrap();
}

#[test]
fn close_closes_after_the_answer_and_answers_nothing_more() {
    let floor = Floor::start();
    let lasts: [&[u8]; 3] = [
        LAST,
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
    ];
    for last in lasts {
        let mut stream = floor.connect();
        stream.write_all(&[GET, last].concat()).unwrap();
        assert_answers(&mut stream, 2);
        assert_closed(&mut stream);
    }
    let mut garbage = floor.connect();
    garbage.write_all(b"\x16\x03\x01\x02\x00").unwrap();
    assert_closed(&mut garbage);
    // A client that has said all it has to say still gets its answers.
    let mut half = floor.connect();
    half.write_all(&GET.repeat(2)).unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert_answers(&mut half, 2);
    assert_closed(&mut half);
}

#[test]
fn without_descriptors_it_closes_what_comes_and_goes_on_later() {
    let floor = Floor::with_descriptors(64);
    let mut streams: Vec<_> = (0..64).map(|_| floor.connect()).collect();
    for stream in &mut streams {
        stream.write_all(GET).unwrap();
        assert_answers(stream, 1);
    }
    for _ in 0..3 {
        assert_closed(&mut floor.connect());
    }
    for stream in &mut streams {
        stream.write_all(GET).unwrap();
        assert_answers(stream, 1);
    }
    drop(streams);
    // When the closes have been heard there is room again; until then tries are closed too.
    let is_answered = || {
        let (mut stream, mut answer) = (floor.connect(), Vec::new());
        let asked = stream.write_all(LAST).and_then(|()| stream.read_to_end(&mut answer));
        asked.is_ok() && answer == ANSWER
    };
    let is_answered_soon = || (0..200).any(|_| is_answered());
    assert!((0..100).all(|_| is_answered_soon()));
}
