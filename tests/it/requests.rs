//! HTTP/1.1 as it comes in pieces, in heaps and with a body.

use corelane::limits::REQUESTS_PER_CONNECTION_MAX;

use crate::support::Server;
use crate::support::Site;
use crate::support::pattern;

fn site() -> Site {
    Site::new(&[("a.txt", b"first"), ("b.txt", b"second"), ("large.bin", &pattern(100_000))])
}

fn serve(site: &Site) -> Server {
    Server::start(&["--workers", "1", "--static", &site.at("/")])
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let site = site();
    let server = serve(&site);
    let mut client = server.connect();
    for byte in b"GET /a.txt HTTP/1.1\r\nHost: test\r\nX-Long: abc\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "first");
    assert_eq!(client.get("/b.txt").text(), "second");
}

#[test]
fn several_requests_at_once_are_answered_in_order() {
    let site = site();
    let server = serve(&site);
    let mut client = server.connect();
    let mut requests = String::new();
    for round in 0..200 {
        let path = ["/a.txt", "/b.txt", "/none", "/large.bin"][round % 4];
        requests += &format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    let sender = client.stream().try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        std::io::Write::write_all(&mut &sender, requests.as_bytes()).unwrap();
    });
    for round in 0..200 {
        let response = client.response();
        match round % 4 {
            0 => assert_eq!(response.text(), "first"),
            1 => assert_eq!(response.text(), "second"),
            2 => assert_eq!(response.status, 404),
            _ => assert!(response.body == pattern(100_000)),
        }
    }
    writer.join().unwrap();
}

#[test]
fn pipelined_answers_are_coalesced_into_few_writes() {
    let site = site();
    let server = serve(&site);
    let mut client = server.connect();
    assert_eq!(client.get("/a.txt").text(), "first");
    client.send("GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\n".repeat(16));
    // One receive sees the answers of one write: loopback keeps its borders while nobody reads.
    let one = client.head_response();
    let body = client.take(5);
    assert_eq!((one.status, &*body), (200, &b"first"[..]));
    for _ in 1..16 {
        assert_eq!(client.response().text(), "first");
    }
}

#[test]
fn the_connection_stays_or_closes_as_the_request_says() {
    let site = site();
    let server = serve(&site);
    let mut client = server.connect();
    for _ in 0..3 {
        let response = client.get("/a.txt");
        assert_eq!(response.header("connection"), None);
    }
    let response = client.request("GET", "/a.txt", "Connection: close\r\n", b"");
    assert_eq!(response.header("connection"), Some("close"));
    client.expect_end();

    let mut client = server.connect();
    client.send("GET /a.txt HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "first"));
    client.expect_end();

    let mut client = server.connect();
    for _ in 0..2 {
        client.send("GET /a.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!(client.response().header("connection"), Some("keep-alive"));
    }
}

#[test]
fn requests_behind_a_closing_one_are_not_answered() {
    let site = site();
    let server = serve(&site);
    let mut client = server.connect();
    client.send(
        "GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n\
         GET /b.txt HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    assert_eq!(client.response().text(), "first");
    client.expect_end();
}

#[test]
fn a_connection_carries_so_many_requests_and_no_more() {
    let requests = usize::try_from(REQUESTS_PER_CONNECTION_MAX).unwrap();
    let site = site();
    let server = serve(&site);
    let mut client = server.connect();
    let sender = client.stream().try_clone().unwrap();
    // What stands behind the last one may meet a closed connection.
    let writer = std::thread::spawn(move || {
        let many = "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
        for _ in 0..=requests / 1000 {
            if std::io::Write::write_all(&mut &sender, many.as_bytes()).is_err() {
                break;
            }
        }
    });
    // Head and body of each answer but the last have the same length.
    let first = client.take_until(b"\r\n\r\nfirst").len();
    client.take((requests - 3) * first);
    let answer = client.response();
    assert_eq!((answer.header("connection"), answer.text().as_str()), (None, "first"));
    let last = client.response();
    assert_eq!((last.header("connection"), last.text().as_str()), (Some("close"), "first"));
    client.expect_end();
    writer.join().unwrap();
    assert_eq!(server.get("/a.txt").text(), "first");
}

#[test]
fn an_unread_body_is_drained_or_ends_the_connection() {
    let site = site();
    let server = serve(&site);
    let mut client = server.connect();
    let response = client.request("POST", "/a.txt", "", &pattern(50_000));
    assert_eq!(response.status, 405);
    assert_eq!(client.get("/b.txt").text(), "second");

    client.send("POST /a.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 405);
    assert_eq!(client.get("/b.txt").text(), "second");

    client.send("POST /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 405);
    assert_eq!(response.header("connection"), Some("close"));
    client.expect_end();

    // A size line says that too much is to come: nobody waits for it.
    let mut client = server.connect();
    client.send("POST /a.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n");
    assert_eq!(client.response().status, 405);
    client.expect_end();
}

#[test]
fn head_and_error_pages_carry_date_and_length() {
    let site = site();
    let server = serve(&site);
    let mut client = server.connect();
    let response = client.get("/none");
    assert_eq!(response.status, 404);
    assert!(response.header("date").is_some());
    assert_eq!(response.header("content-length"), Some(&*response.body.len().to_string()));
    let head = client.request("HEAD", "/none", "", b"");
    assert_eq!(head.header("content-length"), response.header("content-length"));
    assert_eq!(client.get("/a.txt").text(), "first");
}

#[test]
fn options_of_the_server_itself_is_answered() {
    let site = site();
    let server = serve(&site);
    let mut client = server.connect();
    assert_eq!(client.request("OPTIONS", "*", "", b"").status, 204);
    assert_eq!(client.get("/a.txt").text(), "first");
}

#[test]
fn no_spelling_of_a_path_changes_whose_it_is() {
    let site = site();
    let apps = crate::support::apps();
    let server = Server::start(&[
        "--workers",
        "1",
        "--threads",
        "1",
        "--static",
        &site.at("/files"),
        "--chdir",
        apps.to_str().unwrap(),
        "plain:app",
    ]);
    let mut client = server.connect();
    let ours = [
        "/files/a.txt",
        "/%66iles/a.txt",
        "/files%2fa.txt",
        "/files/./a.txt",
        "/files/x/../a.txt",
        "/files/x/%2e%2e/a.txt",
        "/x/../files/a.txt",
        "/x%2f..%2ffiles%2fa.txt",
        "http://test/files/a.txt",
        // Below the prefix a run of slashes is one.
        "/files//a.txt",
        "/files/%2fa.txt",
    ];
    for path in ours {
        let response = client.get(path);
        assert_eq!((response.status, response.text().as_str()), (200, "first"), "{path}");
    }
    // Out of the folder's prefix by whatever spelling: the application's, which sees that path too.
    for path in
        ["/files/../hello", "/files/..%2fhello", "/files%2f..%2fhello", "/files/%2e%2e/hello"]
    {
        assert_eq!(client.get(path).text(), "Hello, world!", "{path}");
    }
    // Not the folder's, however much alike; the application knows no such path.
    let theirs = [
        "//files/a.txt",
        "/files\\a.txt",
        "/files%5ca.txt",
        "/%2566iles/a.txt",
        "/files%252fa.txt",
        "/files;/a.txt",
        "/Files/a.txt",
        "/files%c0%afa.txt",
        "/files%20/a.txt",
    ];
    for path in theirs {
        let response = client.get(path);
        assert_eq!(response.text(), "no such path in plain.py", "{path}");
    }
    // The folder's, and no file of it.
    for path in ["/files/..%5chello", "/files/%252e%252e/hello"] {
        let response = client.get(path);
        assert_eq!(response.status, 404, "{path}");
        assert!(response.text().contains("<h1>404</h1>"), "{path}: {}", response.text());
    }
}

#[test]
fn a_large_body_that_is_not_read_does_not_cost_the_answer() {
    let site = site();
    let apps = crate::support::apps();
    for io in ["uring", "epoll"] {
        let fixed = ["--io", io, "--workers", "1", "--limit-request-body", "1m"];
        let chdir = ["--static", &site.at("/files"), "--chdir", apps.to_str().unwrap()];
        let server = Server::start(&[&fixed[..], &chdir, &["plain:app"]].concat());
        let body = pattern(10_000_000);
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        let chunked = "Transfer-Encoding: chunked\r\n\r\n989680\r\n".to_owned();
        let cases =
            [("/files/a.txt", &chunked, 405), ("/echo", &length, 413), ("/echo", &chunked, 413)];
        for (path, framing, status) in cases {
            let mut client = server.connect();
            // All of it is sent before the answer is looked at, as most clients do.
            client.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{framing}")).send(&body);
            let response = client.response();
            assert_eq!(response.status, status, "{io}: {path} {framing}");
            assert_eq!(response.header("connection"), (status == 413).then_some("close"));
            drop(client);
        }
    }
}

#[test]
fn a_body_that_nobody_wants_is_not_asked_for() {
    let site = site();
    let server = serve(&site);
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let mut client = server.connect();
        client.send(format!(
            "POST /a.txt HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"
        ));
        // The very first answer, and nothing can follow: the body may come or not.
        let response = client.response();
        assert_eq!((response.status, response.header("connection")), (405, Some("close")));
        client.expect_end();
    }
}
