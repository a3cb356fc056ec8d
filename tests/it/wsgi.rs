//! PEP 3333 over the socket, against `tests/apps/plain.py`: on Python threads, and inline.

use crate::support::Client;
use crate::support::PATIENCE;
use crate::support::Response;
use crate::support::Server;
use crate::support::Site;
use crate::support::apps;
use crate::support::pattern;

/// Where the application runs.
const WAYS: [&str; 3] = ["0", "1", "4"];

fn serve(threads: &str, more: &[&str]) -> Server {
    let apps = apps();
    let fixed = ["--workers", "1", "--threads", threads, "--chdir", apps.to_str().unwrap()];
    Server::start(&[&fixed[..], more, &["plain:app"]].concat())
}

/// Runs the same check against an application on threads and inline.
fn each_way(check: impl Fn(&Server)) {
    for threads in WAYS {
        check(&serve(threads, &[]));
    }
}

fn json(response: &Response) -> serde_json::Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

#[test]
fn right_answers_arrive_as_they_were_meant() {
    each_way(|server| {
        let mut client = server.connect();
        let response = client.get("/hello");
        assert_eq!((response.status, response.reason.as_str()), (200, "OK"));
        assert_eq!(response.text(), "Hello, world!");
        assert_eq!(response.header("content-length"), Some("13"));
        assert_eq!(response.header("content-type"), Some("text/plain"));
        assert!(response.header("date").is_some());
        assert_eq!(client.get("/generator").text(), "one two three");
        assert_eq!(client.get("/write").text(), "written twice, then returned");
        let response = client.get("/empty");
        assert_eq!((response.status, response.body.len()), (200, 0));
        assert_eq!(response.header("content-length"), Some("0"));
        let response = client.get("/nothing-here");
        assert_eq!(response.status, 404);
    });
}

#[test]
fn status_and_repeated_fields_are_kept() {
    each_way(|server| {
        let mut client = server.connect();
        client.send("GET /fields HTTP/1.1\r\nHost: test\r\n\r\n");
        let head = client.take_until(b"\r\n\r\n");
        let head: String = head.iter().map(|byte| *byte as char).collect();
        assert!(head.starts_with("HTTP/1.1 299 Quite Fine\r\n"), "{head}");
        assert!(head.contains("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"), "{head}");
        assert!(head.contains("X-Latin: caf\u{e9}\r\n"), "{head}");
    });
}

#[test]
fn exc_info_replaces_an_answer_that_has_not_begun() {
    each_way(|server| {
        let response = server.get("/exc_info");
        assert_eq!((response.status, response.text().as_str()), (500, "replaced"));
        assert_eq!(response.header("x-first"), None);
        assert_eq!(response.header("x-second"), Some("yes"));
    });
}

#[test]
fn answers_without_a_body_have_none() {
    each_way(|server| {
        let mut client = server.connect();
        for (path, status) in [("/no_content", 204), ("/not_modified", 304)] {
            let response = client.get(path);
            assert_eq!(response.status, status);
            assert_eq!(response.header("content-length"), None);
            assert_eq!(response.header("transfer-encoding"), None);
        }
        let response = client.get("/reset_content");
        assert_eq!((response.status, response.header("content-length")), (205, Some("0")));
        for path in ["/hello", "/generator", "/stream?n=1000&size=100000", "/raise"] {
            let response = client.request("HEAD", path, "", b"");
            assert!(matches!(response.status, 200 | 500), "{path}");
        }
        assert_eq!(client.get("/hello").text(), "Hello, world!");
    });
}

#[test]
fn a_generator_is_streamed_chunked_or_to_the_end() {
    each_way(|server| {
        let mut client = server.connect();
        let wanted: Vec<u8> =
            (0..300_u16).flat_map(|number| vec![b'a' + (number % 26) as u8; 10_000]).collect();
        let response = client.get("/stream?n=300&size=10000");
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert!(response.body == wanted);
        client.send("GET /stream?n=300&size=10000 HTTP/1.0\r\n\r\n");
        let response = client.response();
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(response.header("connection"), Some("close"));
        assert!(response.body == wanted);
        client.expect_end();
    });
}

#[test]
fn pieces_leave_as_they_are_made() {
    each_way(|server| {
        // The first piece arrives although the iterable then raises.
        let mut client = server.connect();
        client.send("GET /raise_midway HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.head_response().status, 200);
        assert_eq!(client.take_until(b"\r\n"), b"11\r\n");
        assert_eq!(client.take(17), b"the first piece, ");
    });
}

#[test]
fn a_slow_reader_holds_the_iterator_back() {
    each_way(|server| {
        let before = resident_kib(server);
        let mut client = server.connect();
        client.send("GET /stream?n=2000&size=100000 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.head_response().status, 200);
        // Others are answered meanwhile, also on the only Python thread's lane when it is inline.
        let other = server.connect().request("GET", "/none", "", b"");
        let _ = other;
        let grown = resident_kib(server).saturating_sub(before);
        assert!(grown < 64 * 1024, "{grown} KiB for an answer that nobody reads");
    });
}

fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn request_bodies_reach_the_application_whole() {
    each_way(|server| {
        let mut client = server.connect();
        for size in [0, 1, 1000, 65_535, 65_536, 65_537, 1_000_000, 10_000_000] {
            let body = pattern(size);
            let response = client.request("POST", "/echo", "", &body);
            assert_eq!(response.status, 200, "{size}");
            assert_eq!(response.header("x-content-length"), Some(&*size.to_string()));
            assert_eq!(response.header("x-method"), Some("POST"));
            assert!(response.body == body, "{size} bytes differ");
            let chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
            client.send(chunked);
            for piece in body.chunks(7777) {
                client.send(format!("{:x}\r\n", piece.len())).send(piece).send("\r\n");
            }
            let response = client.send("0\r\n\r\n").response();
            assert_eq!(response.header("x-content-length"), Some(&*size.to_string()));
            assert!(response.body == body, "{size} bytes in chunks differ");
        }
    });
}

#[test]
fn the_body_is_asked_for_with_100_continue() {
    each_way(|server| {
        let mut client = server.connect();
        client.send(
            "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        );
        assert_eq!(client.take_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(client.send("hello").response().text(), "hello");
        assert_eq!(client.get("/hello").status, 200);
    });
}

#[test]
fn a_body_that_breaks_off_never_reaches_the_application() {
    let folder = tempfile::tempdir().unwrap();
    let closes = folder.path().join("closes");
    let apps = apps();
    let server = Server::start_with(
        &["--workers", "1", "--chdir", apps.to_str().unwrap(), "plain:app"],
        |command| command.env("CORELANE_TEST_CLOSES", &closes),
    );
    for part in ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n5\r\nhal"] {
        let mut client = server.connect();
        client.send(format!("POST /closes HTTP/1.1\r\nHost: x\r\n{part}"));
        client.end_sending().expect_end();
    }
    assert!(!closes.exists(), "the application was called");
    assert_eq!(server.get("/closes").status, 200);
    wait_for(|| std::fs::read_to_string(&closes).is_ok_and(|text| text == "closed\n"));
}

#[test]
fn the_body_is_asked_for_when_its_turn_has_come() {
    let server = serve("1", &[]);
    let mut client = server.connect();
    client.send(
        "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n\
         POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!(client.response().text(), "Hello, world!");
    assert_eq!(client.take_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.send("hello").response().text(), "hello");
}

#[test]
fn requests_behind_a_closing_one_never_reach_the_application() {
    let folder = tempfile::tempdir().unwrap();
    let closes = folder.path().join("closes");
    let apps = apps();
    for threads in ["0", "1"] {
        let fixed = ["--workers", "1", "--threads", threads, "--chdir", apps.to_str().unwrap()];
        let server = Server::start_with(&[&fixed[..], &["plain:app"]].concat(), |command| {
            command.env("CORELANE_TEST_CLOSES", &closes)
        });
        let last = [
            "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "GET /hello HTTP/1.0\r\n\r\n",
            "GET /hello HTTP/1.1\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 0\r\n\r\n",
        ];
        for request in last {
            let mut client = server.connect();
            client.send(format!("{request}GET /closes HTTP/1.1\r\nHost: x\r\n\r\n"));
            client.response();
            client.expect_end();
        }
        // The one thread has done what came before.
        assert_eq!(server.get("/hello").status, 200);
        assert!(!closes.exists(), "{threads}: something was executed");
    }
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let server = serve("1", &["--limit-request-body", "1000"]);
    let mut client = server.connect();
    assert_eq!(client.request("POST", "/echo", "", &pattern(1000)).status, 200);
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
    assert_eq!(client.response().status, 413);
    client.expect_end();
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3e9\r\n").send(pattern(1001)).send("\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 413);
    client.expect_end();
}

#[test]
fn the_input_is_read_in_every_way_that_pep_3333_names() {
    each_way(|server| {
        let mut client = server.connect();
        let body = b"first line\nsecond\n\nlast without end";
        let lines = ["first line\n", "second\n", "\n", "last without end"];
        for by in ["iterate", "readline", "readlines", "readlines_10"] {
            let response = client.request("POST", &format!("/lines?by={by}"), "", body);
            assert_eq!(json(&response), serde_json::json!(lines), "{by}");
        }
        let response = client.request("POST", "/lines?by=read_all", "", body);
        let whole = String::from_utf8_lossy(body);
        assert_eq!(json(&response), serde_json::json!([whole, "", ""]));
        for by in ["read_3", "readline_5"] {
            let response = client.request("POST", &format!("/lines?by={by}"), "", body);
            let pieces: Vec<String> = serde_json::from_value(json(&response)).unwrap();
            assert_eq!(pieces.concat(), whole, "{by}");
            assert!(pieces.iter().all(|piece| piece.len() <= 5), "{by}");
        }
    });
}

#[test]
fn environ_is_complete() {
    each_way(|server| {
        let mut client = server.connect();
        client.send(
            "GET /environ?a=b%20c&d HTTP/1.1\r\nHost: shop.test:81\r\nUser-Agent: test\r\n\
             X-Twice: 1\r\nX-Twice: 2\r\nCookie: a=1\r\nCookie: b=2\r\nX_Under: no\r\n\
             X-Latin: caf\u{e9}\r\nContent-Type: text/odd\r\n\r\n",
        );
        let environ = json(&client.response());
        let local = server.address.port().to_string();
        let remote = client.stream().local_addr().unwrap().port().to_string();
        let expected = [
            ("REQUEST_METHOD", "GET"),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", "/environ"),
            ("QUERY_STRING", "a=b%20c&d"),
            ("REQUEST_URI", "/environ?a=b%20c&d"),
            ("RAW_URI", "/environ?a=b%20c&d"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_NAME", "127.0.0.1"),
            ("SERVER_PORT", &local),
            ("REMOTE_ADDR", "127.0.0.1"),
            ("REMOTE_PORT", &remote),
            ("HTTP_HOST", "shop.test:81"),
            ("HTTP_USER_AGENT", "test"),
            ("HTTP_X_TWICE", "1,2"),
            ("HTTP_COOKIE", "a=1; b=2"),
            ("HTTP_X_LATIN", "caf\u{c3}\u{a9}"),
            ("CONTENT_TYPE", "text/odd"),
            ("wsgi.url_scheme", "http"),
        ];
        for (key, value) in expected {
            assert_eq!(environ[key], value, "{key}");
        }
        assert_eq!(environ["wsgi.version"], serde_json::json!([1, 0]));
        assert_eq!(environ["wsgi.run_once"], false);
        assert_eq!(environ["wsgi.multiprocess"], true);
        assert!(environ["wsgi.multithread"].is_boolean());
        assert_eq!(environ["wsgi.input_terminated"], true);
        for absent in ["HTTP_X_UNDER", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"] {
            assert!(environ[absent].is_null(), "{absent}");
        }
        assert!(environ["wsgi.errors"].is_string() && environ["wsgi.input"].is_string());
    });
}

#[test]
fn a_mounted_application_sees_its_own_paths() {
    let config = tempfile::tempdir().unwrap();
    let site = Site::new(&[("index.html", b"home"), ("shop.txt", b"file")]);
    std::fs::write(
        config.path().join("corelane.toml"),
        format!(
            "lanes = 1\n[app.plain]\ntarget = \"plain:app\"\nchdir = {:?}\n\
             [[site]]\n[[site.route]]\npath = \"/\"\nfiles = {:?}\nfallback = \"app:plain\"\n\
             [[site.route]]\npath = \"/shop/\"\napp = \"plain\"\n",
            apps(),
            site.path()
        ),
    )
    .unwrap();
    let server = Server::start(&["-c", config.path().join("corelane.toml").to_str().unwrap()]);
    let environ = json(&server.get("/shop/environ?x=%C3%A9"));
    assert_eq!(environ["SCRIPT_NAME"], "/shop");
    assert_eq!(environ["PATH_INFO"], "/environ");
    assert_eq!(environ["REQUEST_URI"], "/shop/environ?x=%C3%A9");
    assert_eq!(server.get("/shop").header("location"), Some("/shop/"));
    assert_eq!(server.get("/").text(), "home");
    assert_eq!(server.get("/shop.txt").text(), "file");
    // No such file: the fallback is asked, with the whole path.
    assert_eq!(server.get("/hello").text(), "Hello, world!");
    assert_eq!(json(&server.get("/environ"))["SCRIPT_NAME"], "");
}

#[test]
fn lines_on_wsgi_errors_are_in_the_log() {
    each_way(|server| {
        assert_eq!(server.get("/errors").text(), "logged");
        for line in [
            "one line from the application",
            "half a line, its end: gr\u{fc}ezi",
            "printed to wsgi.errors",
        ] {
            server.wait_for_log(&format!("ERROR wsgi.errors: {line}"));
        }
    });
}

#[test]
fn a_faulty_application_gives_500_and_a_traceback_in_the_log_only() {
    each_way(|server| {
        let mut client = server.connect();
        for path in [
            "/raise",
            "/exit",
            "/bad_header",
            "/bad_status",
            "/interim",
            "/hop_by_hop",
            "/started_twice",
            "/never_started",
            "/not_bytes",
            "/none",
        ] {
            let response = client.get(path);
            assert_eq!(response.status, 500, "{path}");
            let text = response.text();
            assert!(!text.contains("Traceback") && !text.contains("plain.py"), "{path}: {text}");
            assert!(!text.contains("must not be sent") && response.header("x-injected").is_none());
            server.wait_for_log(&format!("GET {path}"));
        }
        server.wait_for_log("RuntimeError: raised by /raise");
        server.wait_for_log("plain.py");
        assert_eq!(client.get("/hello").status, 200);
    });
}

#[test]
fn a_broken_promise_is_visible_to_the_client() {
    each_way(|server| {
        // 100 bytes promised, 10 given: the connection ends before the promise is kept.
        let mut client = server.connect();
        client.send("GET /short HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = client.head_response();
        if head.status == 200 {
            assert_eq!(head.header("content-length"), Some("100"));
            assert_eq!(client.rest(), b"0123456789");
        } else {
            assert_eq!(head.status, 500);
        }
        // 5 promised, 10 given: the rest is cut and the connection goes on.
        let mut client = server.connect();
        assert_eq!(client.get("/long").text(), "01234");
        assert_eq!(client.get("/hello").status, 200);
        // No end chunk where the iterable has raised.
        for path in ["/raise_midway", "/exc_info_midway"] {
            let mut client = server.connect();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(client.rest().windows(5).filter(|bytes| bytes == b"0\r\n\r\n").count(), 0);
        }
        server.wait_for_log("RuntimeError: raised by /raise_midway");
    });
}

#[test]
fn close_is_called_exactly_once_in_every_case() {
    for threads in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let closes = folder.path().join("closes");
        let apps = apps();
        let server = Server::start_with(
            &[
                "--workers",
                "1",
                "--threads",
                threads,
                "--chdir",
                apps.to_str().unwrap(),
                "plain:app",
            ],
            |command| command.env("CORELANE_TEST_CLOSES", &closes),
        );
        let count = || std::fs::read_to_string(&closes).map_or(0, |text| text.lines().count());
        let mut expected = 0;
        let mut then = || {
            expected += 1;
            wait_for(|| count() >= expected);
            assert_eq!(count(), expected);
        };
        let mut client = server.connect();
        assert_eq!(client.get("/closes?n=3").status, 200);
        then();
        assert_eq!(client.request("HEAD", "/closes?n=3", "", b"").status, 200);
        then();
        // Raised before anything was sent: a clean 500.
        assert_eq!(client.get("/closes?n=1&raise=1").status, 500);
        then();
        client.send("GET /closes?n=2&raise=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        client.rest();
        then();
        // The client leaves in the middle of an endless answer.
        let mut leaving = server.connect();
        leaving.send("GET /closes?n=100000000&size=65536 HTTP/1.1\r\nHost: x\r\n\r\n");
        leaving.take(100_000);
        drop(leaving);
        then();
        drop(server);
        assert_eq!(count(), expected, "nothing is closed twice");
    }
}

#[test]
fn the_validator_of_the_standard_library_is_content() {
    each_way(|server| {
        let mut client = server.connect();
        assert_eq!(client.get("/validated").status, 200, "{}", server.log());
        let response = client.request("POST", "/validated?x=1", "", &pattern(100_000));
        assert!(response.body == pattern(100_000), "{}", server.log());
    });
}

#[test]
fn sleeping_views_do_not_delay_static_files() {
    let site = Site::new(&[("a.txt", b"text")]);
    let server = serve("4", &["--static", &site.at("/static")]);
    let mut sleeping: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    let start = std::time::Instant::now();
    for client in &mut sleeping {
        client.send("GET /sleep?ms=3000 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    // The requests above are read first on this lane: its threads sleep, and more requests wait.
    let mut client = server.connect();
    for _ in 0..200 {
        assert_eq!(client.get("/static/a.txt").text(), "text");
    }
    assert!(start.elapsed().as_millis() < 3000, "200 files took {:?}", start.elapsed());
    for client in &mut sleeping {
        assert_eq!(client.response().text(), "slept");
    }
    // Eight sleeps of three seconds on four threads, one after the other on a single one.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn an_inline_answer_without_end_leaves_turns_for_others() {
    let server = serve("0", &[]);
    // Empty pieces for ever: nothing is sent, and the lane must not be kept busy by it.
    let mut silent = server.connect();
    silent.send("GET /stream?n=1000000000&size=0 HTTP/1.1\r\nHost: x\r\n\r\n");
    // Many small pieces to a client that takes all of them: the socket never makes the lane wait.
    let mut endless = server.connect();
    endless.send("GET /stream?n=200000000&size=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(endless.head_response().status, 200);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                endless.take(1000);
            }
        });
        for _ in 0..20 {
            assert_eq!(server.get("/hello").text(), "Hello, world!");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_full_queue_is_answered_with_503() {
    let server = serve("1", &[]);
    // One runs, 1024 wait (PYTHON_QUEUE_MAX); the rest is refused at once.
    let mut clients: Vec<Client> = (0..1100).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET /sleep?ms=2000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    let refused = clients.last_mut().unwrap().response();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
}

/// Waits until something on disk is as expected.
fn wait_for(mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "it does not come");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
