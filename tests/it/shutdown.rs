//! The end: nothing accepted is lost, everything that was asked for is finished, and no longer.

use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;

use crate::support::Client;
use crate::support::Server;
use crate::support::Site;
use crate::support::apps;
use crate::support::pattern;

fn serve(more: &[&str]) -> Server {
    let apps = apps();
    let fixed = ["--workers", "1", "--chdir", apps.to_str().unwrap()];
    Server::start(&[&fixed[..], more, &["plain:app"]].concat())
}

#[test]
fn each_ending_signal_lets_running_requests_finish() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut server = serve(&[]);
        let mut running = server.connect();
        let mut idle = server.connect();
        assert_eq!(idle.get("/hello").text(), "Hello, world!");
        running.send("GET /sleep?ms=700 HTTP/1.1\r\nHost: x\r\n\r\n");
        // On one lane this answer comes after the request above was read.
        assert_eq!(idle.get("/hello").text(), "Hello, world!");
        server.signal(signal);
        idle.expect_end();
        let response = running.response();
        assert_eq!(response.text(), "slept");
        assert_eq!(response.header("connection"), Some("close"));
        running.expect_end();
        assert_eq!(server.wait().code(), Some(0));
        assert!(std::net::TcpStream::connect(server.address).is_err(), "it still listens");
    }
}

#[test]
fn a_download_that_runs_is_finished() {
    let site = Site::new(&[("large.bin", &pattern(20_000_000))]);
    let mut server = Server::start(&["--workers", "1", "--static", &site.at("/")]);
    let mut client = server.connect();
    client.send("GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    client.head_response();
    client.take(1_000_000);
    server.signal(Signal::TERM);
    server.wait_for_log("finishing what is running");
    assert!(client.take(19_000_000) == pattern(20_000_000)[1_000_000..]);
    client.expect_end();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn connections_in_the_queue_are_still_answered() {
    let mut server = serve(&[]);
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    server.signal(Signal::TERM);
    for client in &mut clients {
        assert_eq!(client.response().text(), "Hello, world!");
    }
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_graceful_timeout_cuts_what_does_not_end() {
    let mut server = serve(&["--graceful-timeout", "1s"]);
    let mut running = server.connect();
    running.send("GET /sleep?ms=20000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(server.get("/hello").text(), "Hello, world!");
    let start = Instant::now();
    server.signal(Signal::TERM);
    running.expect_end();
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = serve(&[]);
    let mut running = server.connect();
    running.send("GET /sleep?ms=20000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(server.get("/hello").text(), "Hello, world!");
    server.signal(Signal::TERM);
    server.wait_for_log("finishing what is running");
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(128 + 2));
}

#[test]
fn exit_handlers_of_python_run() {
    let folder = tempfile::tempdir().unwrap();
    let marks = folder.path().join("marks");
    std::fs::write(
        folder.path().join("leaving.py"),
        format!(
            "import atexit\n\
             def mark():\n    open({marks:?}, 'a').write('left\\n')\n\
             atexit.register(mark)\n\
             def app(environ, start_response):\n    \
                 start_response('200 OK', [])\n    return [b'here']\n"
        ),
    )
    .unwrap();
    for threads in ["0", "2"] {
        let _ = std::fs::remove_file(&marks);
        let chdir = folder.path().to_str().unwrap();
        let arguments = ["--workers", "2", "--threads", threads, "--chdir", chdir, "leaving"];
        let mut server = Server::start(&arguments);
        assert_eq!(server.get("/").text(), "here");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        let text = std::fs::read_to_string(&marks).unwrap_or_default();
        assert_eq!(text, "left\nleft\n", "one mark for each lane's interpreter");
    }
}

#[test]
fn a_server_that_ends_refuses_new_connections_while_it_finishes() {
    for io in ["uring", "epoll"] {
        let mut server = serve(&["--io", io]);
        let mut running = server.connect();
        running.send("GET /sleep?ms=4000 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(server.get("/hello").text(), "Hello, world!");
        let mut idle = server.connect();
        idle.get("/hello");
        let start = Instant::now();
        server.signal(Signal::TERM);
        idle.expect_end();
        // Whoever can still connect is answered.
        while let Some(mut late) = Client::try_connect(server.address) {
            assert_eq!(late.get("/hello").text(), "Hello, world!", "{io}");
            assert!(start.elapsed() < Duration::from_secs(3), "{io}: it still listens");
        }
        assert_eq!(running.response().text(), "slept");
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn a_server_without_descriptors_ends_all_the_same() {
    let mut server = serve(&[]);
    server.limit_descriptors(10);
    // Idle ones, as many as can be taken and more.
    let clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    server.wait_for_log("cannot accept connections");
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drop(clients);
}

#[test]
fn an_exit_handler_that_hangs_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let app = "import atexit, time\natexit.register(time.sleep, 600)\n\
               def app(environ, start_response):\n    start_response('200 OK', [])\n    return []\n";
    std::fs::write(folder.path().join("hanging.py"), app).unwrap();
    let chdir = folder.path().to_str().unwrap();
    let mut server = Server::start(&["--workers", "1", "--chdir", chdir, "hanging"]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    server.wait_for_log("took too long");
}

#[test]
fn an_import_that_takes_long_is_said_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let app = "import time\ntime.sleep(11)\n\
               def app(environ, start_response):\n    start_response('200 OK', [])\n    return []\n";
    std::fs::write(folder.path().join("slow.py"), app).unwrap();
    let chdir = folder.path().to_str().unwrap();
    let server = Server::start(&["--workers", "1", "--chdir", chdir, "slow"]);
    server.wait_for_log("still importing");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn exit_handlers_run_although_a_view_outlives_the_graceful_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let marks = folder.path().join("marks");
    let app = format!(
        "import atexit, time\n\
         atexit.register(lambda: open({marks:?}, 'a').write('left\\n'))\n\
         def app(environ, start_response):\n    \
             start_response('200 OK', [])\n    \
             time.sleep(600 if environ['PATH_INFO'] == '/stuck' else 0)\n    return []\n"
    );
    std::fs::write(folder.path().join("stuck.py"), app).unwrap();
    let chdir = folder.path().to_str().unwrap();
    let fixed = ["--workers", "1", "--graceful-timeout", "1s", "--chdir", chdir, "stuck"];
    let mut server = Server::start(&fixed);
    let mut stuck = server.connect();
    stuck.send("GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n");
    // On one lane this answer comes after the request above was handed over.
    assert_eq!(server.get("/").status, 200);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(std::fs::read_to_string(&marks).unwrap_or_default(), "left\n");
}
