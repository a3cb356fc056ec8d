//! The life of a connection: kept, idle, late, slow, and gone in the middle.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

use crate::support::Client;
use crate::support::Response;
use crate::support::Server;
use crate::support::Site;
use crate::support::pattern;

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let site = Site::new(&[("a.txt", b"text")]);
    let server =
        Server::start(&["--workers", "1", "--keep-alive", "1s", "--static", &site.at("/")]);
    let mut used = server.connect();
    assert_eq!(used.get("/a.txt").text(), "text");
    let mut unused = server.connect();
    let start = Instant::now();
    used.expect_end();
    unused.expect_end();
    let waited = start.elapsed();
    assert!(waited > Duration::from_millis(700), "closed too early: {waited:?}");
}

#[test]
fn a_head_that_does_not_come_is_answered_with_408() {
    let site = Site::new(&[("a.txt", b"text")]);
    let server = Server::start(&["--workers", "1", "--static", &site.at("/")]);
    let mut late = server.connect();
    late.send("GET /a.txt HTTP/1.1\r\nHost: x\r\n");
    // One that never pauses for long has no more time.
    let mut dribbler = server.connect();
    dribbler.send("GET /a.txt HTTP/1.1\r\nHost: x\r\nX: ");
    let dribbled = std::thread::spawn(move || dribble(dribbler, "x"));
    // Its connection stays busy; others do not notice.
    assert_eq!(server.get("/a.txt").text(), "text");
    let response = late.response();
    assert_eq!(response.status, 408);
    assert_eq!(response.header("connection"), Some("close"));
    late.expect_end();
    assert_eq!(dribbled.join().unwrap().status, 408);
}

/// Sends the piece once a second until there is an answer.
fn dribble(mut client: Client, piece: &str) -> Response {
    let start = Instant::now();
    client.stream().set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    while client.stream().peek(&mut [0]).is_err() {
        assert!(start.elapsed() < crate::support::PATIENCE, "no answer to {piece:?}");
        client.try_send(piece);
    }
    client.response()
}

#[test]
fn a_body_that_does_not_come_is_answered_with_408() {
    let apps = crate::support::apps();
    let server = Server::start(&["--workers", "1", "--chdir", apps.to_str().unwrap(), "plain:app"]);
    let mut late = server.connect();
    late.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello");
    // Two that never pause for long, and would take hours.
    let dribblers = [
        ("Content-Length: 100000\r\n\r\n", "a"),
        ("Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"),
    ];
    std::thread::scope(|scope| {
        for (framing, piece) in dribblers {
            let mut dribbler = server.connect();
            dribbler.send(format!("POST /echo HTTP/1.1\r\nHost: x\r\n{framing}"));
            scope.spawn(move || assert_eq!(dribble(dribbler, piece).status, 408, "{framing}"));
        }
        assert_eq!(late.response().status, 408);
    });
    late.expect_end();
}

#[test]
fn clients_that_leave_at_any_point_harm_nobody() {
    let site = Site::new(&[("a.txt", b"text"), ("large.bin", &pattern(5_000_000))]);
    let apps = crate::support::apps();
    let server = Server::start(&[
        "--workers",
        "1",
        "--static",
        &site.at("/static"),
        "--chdir",
        apps.to_str().unwrap(),
        "plain:app",
    ]);
    let requests = [
        "GET /static/a.txt HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /stream?n=1000&size=10000 HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome of it",
        "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /hel",
    ];
    for round in 0..60 {
        for request in requests {
            let mut client = server.connect();
            client.send(request);
            if round % 3 == 0 {
                // Closing with unread bytes resets the connection.
                std::thread::yield_now();
            }
            if round % 3 == 1 {
                client.try_send(request);
            }
        }
    }
    assert_eq!(server.get("/static/a.txt").text(), "text");
    assert_eq!(server.get("/hello").text(), "Hello, world!");
    // The descriptors of those that left are closed: what is open is the server's own.
    let count = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let deadline = Instant::now() + crate::support::PATIENCE;
    while count() > 60 {
        assert!(Instant::now() < deadline, "{} descriptors are still open", count());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn requests_are_answered_through_epoll_as_well() {
    let site = Site::new(&[("a.txt", b"text"), ("large.bin", &pattern(3_000_000))]);
    let apps = crate::support::apps();
    let server = Server::start(&[
        "--workers",
        "1",
        "--io",
        "epoll",
        "--static",
        &site.at("/static"),
        "--chdir",
        apps.to_str().unwrap(),
        "plain:app",
    ]);
    server.wait_for_log("with epoll");
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/static/a.txt").text(), "text");
        assert!(client.get("/static/large.bin").body == pattern(3_000_000));
        assert_eq!(client.get("/hello").text(), "Hello, world!");
        let body = pattern(300_000);
        assert!(client.request("POST", "/echo", "", &body).body == body);
    }
    let mut slow = server.connect();
    slow.send("GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    slow.head_response();
    for _ in 0..20 {
        assert_eq!(server.get("/static/a.txt").text(), "text");
    }
    assert!(slow.take(3_000_000) == pattern(3_000_000));
}

#[test]
fn each_answer_is_in_the_access_log() {
    let site = Site::new(&[("a.txt", b"text"), ("large.bin", &pattern(100_000))]);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let apps = crate::support::apps();
    let mut server = Server::start(&[
        "--workers",
        "1",
        "--access-logfile",
        log.to_str().unwrap(),
        "--static",
        &site.at("/static"),
        "--chdir",
        apps.to_str().unwrap(),
        "plain:app",
    ]);
    let mut client = server.connect();
    client.request(
        "GET",
        "/static/a.txt?x=1",
        "User-Agent: tester \"1\"\r\nReferer: http://r/\r\n",
        b"",
    );
    client.get("/static/large.bin");
    client.get("/static/none");
    client.get("/hello");
    client.get("/raise");
    client.send("nonsense\r\n\r\n").response();
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{text}");
    assert!(lines[0].contains("\"GET /static/a.txt?x=1 HTTP/1.1\" 200 4 \"http://r/\""), "{text}");
    assert!(lines[0].ends_with("\"tester \\\"1\\\"\""), "{text}");
    assert!(lines[1].contains("\"GET /static/large.bin HTTP/1.1\" 200 100000"), "{text}");
    assert!(lines[2].contains("\"GET /static/none HTTP/1.1\" 404 "), "{text}");
    assert!(lines[3].contains("\"GET /hello HTTP/1.1\" 200 13"), "{text}");
    assert!(lines[4].contains("\"GET /raise HTTP/1.1\" 500 "), "{text}");
    assert!(lines[5].contains(" 400 "), "{text}");
}

#[test]
fn a_client_that_never_pauses_leaves_turns_for_others() {
    let site = Site::new(&[("a.txt", b"text")]);
    for io in ["uring", "epoll"] {
        let server = Server::start(&["--io", io, "--workers", "1", "--static", &site.at("/")]);
        let greedy = server.connect();
        let mut answers = greedy.stream().try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let mut sink = vec![0; 1 << 20];
            while matches!(answers.read(&mut sink), Ok(1..)) {}
        });
        let mut requests = greedy.stream().try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            let many = "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
            while requests.write_all(many.as_bytes()).is_ok() {}
        });
        for _ in 0..20 {
            assert_eq!(server.get("/a.txt").text(), "text", "{io}");
        }
        greedy.stream().shutdown(Shutdown::Both).unwrap();
        writer.join().unwrap();
        reader.join().unwrap();
    }
}

#[test]
fn the_last_answer_ends_without_a_reset() {
    let site = Site::new(&[("a.txt", b"text")]);
    for io in ["uring", "epoll"] {
        let server = Server::start(&["--io", io, "--workers", "1", "--static", &site.at("/")]);
        // The head fills the first receive to its last byte; what follows stays in the kernel.
        let start = "GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Padding: ";
        let padding = "x".repeat(2048 - start.len() - 4);
        let mut client = server.connect();
        client.send(format!("{start}{padding}\r\n\r\nand more that nobody reads"));
        assert_eq!(client.response().text(), "text");
        let mut rest = Vec::new();
        client.stream().read_to_end(&mut rest).expect("an end, and no reset");
        assert!(rest.is_empty(), "{io}");
    }
}

#[test]
fn a_client_that_goes_on_sending_after_its_refusal_is_reset() {
    let site = Site::new(&[("a.txt", b"text")]);
    for io in ["uring", "epoll"] {
        let server = Server::start(&["--io", io, "--workers", "1", "--static", &site.at("/")]);
        let client = server.connect();
        let mut stream = client.stream();
        let head = "POST /a.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(65536));
        let error = loop {
            if let Err(error) = stream.write_all(chunk.as_bytes()) {
                break error.kind();
            }
        };
        let is_end = matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        assert!(is_end, "{io}: {error}");
    }
}

#[test]
fn idle_connections_make_room_where_descriptors_are_short() {
    let site = Site::new(&[("a.txt", b"text")]);
    let apps = crate::support::apps();
    for io in ["uring", "epoll"] {
        let fixed = ["--io", io, "--workers", "1", "--static", &site.at("/static")];
        let app = ["--chdir", apps.to_str().unwrap(), "plain:app"];
        let server = Server::start(&[&fixed[..], &app].concat());
        assert_eq!(server.get("/hello").text(), "Hello, world!");
        server.limit_descriptors(20);
        let mut idle = Vec::new();
        for _ in 0..100 {
            let mut client = server.connect();
            assert_eq!(client.get("/hello").text(), "Hello, world!", "{io}");
            idle.push(client);
        }
        server.wait_for_log("cannot accept connections");
        // Opening a file needs a descriptor as well.
        let deadline = Instant::now() + crate::support::PATIENCE;
        while server.get("/static/a.txt").status != 200 {
            assert!(Instant::now() < deadline, "{io}: no file can be opened");
        }
    }
}

#[test]
fn a_server_whose_descriptors_are_all_busy_rests_until_one_is_free() {
    let apps = crate::support::apps();
    for io in ["uring", "epoll"] {
        let fixed = ["--io", io, "--workers", "1", "--chdir", apps.to_str().unwrap()];
        let server = Server::start(&[&fixed[..], &["plain:app"]].concat());
        let mut busy: Vec<Client> = (0..10).map(|_| server.connect()).collect();
        for client in &mut busy {
            assert_eq!(client.get("/hello").text(), "Hello, world!");
            client.send("GET /hello HTTP/1.1\r\n");
        }
        server.limit_descriptors(0);
        let before = server.cpu_time();
        let start = Instant::now();
        // The heads that do not come end in 15 seconds, and then this one is heard.
        assert_eq!(server.get("/hello").text(), "Hello, world!");
        server.wait_for_log("cannot accept connections");
        let (used, passed) = (server.cpu_time() - before, start.elapsed());
        assert!(passed > Duration::from_secs(5), "{io}: {passed:?}");
        assert!(
            used < passed / 4 + Duration::from_millis(200),
            "{io}: {used:?} of CPU time in {passed:?}"
        );
        let lines = server.log().matches("cannot accept connections").count();
        assert!(lines < 5, "{io}: {lines} lines in the log");
    }
}

#[test]
fn a_client_has_so_many_connections_and_no_more() {
    let site = Site::new(&[("a.txt", b"text")]);
    // No packet leaves for it: the kernel only says with which address it would. A machine that is
    // nowhere connected has nothing to show here.
    let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
    if probe.connect("192.0.2.1:9").is_err() {
        return;
    }
    let own = probe.local_addr().unwrap().ip();
    let mut command = crate::support::corelane();
    command.args(["--bind", "0.0.0.0:0", "--workers", "1", "--static", &site.at("/")]);
    command.args(["--limit-connections-per-client", "3"]);
    let server = Server::launch(command);
    let address = (own, server.address.port()).into();
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/a.txt").text(), "text");
    }
    Client::connect(address).expect_end();
    server.wait_for_log("limit_connections_per_client");
    let local = SocketAddr::from(([127, 0, 0, 1], server.address.port()));
    let mut proxies: Vec<Client> = (0..9).map(|_| Client::connect(local)).collect();
    for proxy in &mut proxies {
        assert_eq!(proxy.get("/a.txt").text(), "text");
    }
    for client in &mut clients {
        assert_eq!(client.get("/a.txt").text(), "text", "what is open stays");
    }
    clients.pop();
    let deadline = Instant::now() + crate::support::PATIENCE;
    loop {
        let mut next = Client::connect(address);
        next.try_send("GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        if next.rest().starts_with(b"HTTP/1.1 200 ") {
            break;
        }
        assert!(Instant::now() < deadline, "a place that is free again is not given");
    }
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let site = Site::new(&[("large.bin", &pattern(20_000_000)), ("a.txt", b"text")]);
    let arguments = ["--workers", "1", "--log-level", "trace", "--static", &site.at("/")];
    let server = Server::start(&arguments);
    let mut deaf = server.connect();
    deaf.send("GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    server.wait_for_log("ended=TooSlow");
    assert!(deaf.rest().len() < 20_000_000, "the answer was cut");
    assert_eq!(server.get("/a.txt").text(), "text");
}
