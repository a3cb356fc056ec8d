//! Behind other proxies: the PROXY protocol on the binds that ask for it, and the fields of proxies
//! that are believed, up to what an application and the access log are told.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;

use crate::support::Client;
use crate::support::PATIENCE;
use crate::support::Response;
use crate::support::Server;
use crate::support::Site;
use crate::support::apps;
use crate::support::corelane;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const ENVIRON: &str = "GET /environ HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// A server of the application that tells its environ.
fn serve(arguments: &[&str]) -> Server {
    let apps = apps();
    let fixed = ["--workers", "1", "--log-level", "debug", "--chdir", apps.to_str().unwrap()];
    Server::start(&[&fixed[..], arguments, &["plain:app"]].concat())
}

fn json(response: &Response) -> serde_json::Value {
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

/// The address and the port of the client, the server's, and the scheme.
fn told(environ: &serde_json::Value) -> String {
    let keys = ["REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme"];
    keys.map(|key| environ[key].as_str().unwrap()).join(" ")
}

/// A header of version 2.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

fn ipv4_block() -> Vec<u8> {
    vec![192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 1, 187]
}

#[test]
fn an_announced_client_is_the_client() {
    let mut ipv6_block = vec![0; 36];
    ipv6_block[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    ipv6_block[15] = 1;
    ipv6_block[31] = 1;
    ipv6_block[33] = 5;
    ipv6_block[35] = 80;
    let tlvs = [0x04, 0, 2, 1, 2, 0x20, 0, 1, 0xff];
    for io in ["uring", "epoll"] {
        let server = serve(&["--io", io, "--proxy-protocol"]);
        let own = |client: &Client| {
            let remote = client.stream().local_addr().unwrap();
            format!("127.0.0.1 {} 127.0.0.1 {} http", remote.port(), server.address.port())
        };
        let four = Some("192.0.2.1 4711 198.51.100.2 443 http");
        let six = Some("2001:db8::1 5 ::1 80 http");
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n".to_vec(), four),
            (b"PROXY TCP6 2001:db8::1 ::1 5 80\r\n".to_vec(), six),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (binary(0x21, 0x11, &ipv4_block()), four),
            (binary(0x21, 0x11, &[ipv4_block(), tlvs.to_vec()].concat()), four),
            (binary(0x21, 0x21, &ipv6_block), six),
            // A client of a unix socket: the server is called as the client called it.
            (binary(0x21, 0x31, &[b'/'; 216]), Some("  a.example 80 http")),
            (binary(0x20, 0x00, b""), None),
            (binary(0x20, 0x11, &ipv4_block()), None),
            (binary(0x21, 0x00, &tlvs), None),
        ] {
            let bytes = [&header[..], ENVIRON.as_bytes()].concat();
            // Whole, cut at every byte of the header, and byte by byte.
            let mut cuts: Vec<Vec<usize>> = (1..=header.len() + 1).map(|cut| vec![cut]).collect();
            cuts.push(Vec::new());
            cuts.push((1..header.len() + 5).collect());
            for cut in cuts {
                let mut client = server.connect();
                let mut from = 0;
                for cut in &cut {
                    client.send(&bytes[from..*cut]);
                    from = *cut;
                }
                client.send(&bytes[from..]);
                let expected = expected.map_or_else(|| own(&client), ToOwned::to_owned);
                let what = format!("{} cut at {cut:?}", header.escape_ascii());
                assert_eq!(told(&json(&client.response())), expected, "{what}");
                // It announces the connection, not one request.
                client.send(ENVIRON);
                assert_eq!(told(&json(&client.response())), expected, "{what}");
            }
        }
    }
}

#[test]
fn what_begins_otherwise_is_closed_without_a_word() {
    let server = serve(&["--proxy-protocol"]);
    let mut too_long = binary(0x21, 0x11, &[0; 5000]);
    too_long.truncate(16);
    for start in [
        Vec::new(),
        b"\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\n".to_vec(),
        b"proxy UNKNOWN\r\n".to_vec(),
        format!("PROXY UNKNOWN {}\r\n", "x".repeat(200)).into_bytes(),
        binary(0x31, 0x11, &ipv4_block()),
        binary(0x22, 0x11, &ipv4_block()),
        binary(0x21, 0x12, &ipv4_block()),
        binary(0x21, 0x11, &[192, 0, 2, 1]),
        too_long,
    ] {
        let mut client = server.connect();
        client.try_send([&start[..], ENVIRON.as_bytes()].concat());
        client.expect_end();
    }
    server.wait_for_log("reason=\"no PROXY header\"");
    server.wait_for_log("reason=\"malformed PROXY line\"");
    server.wait_for_log("reason=\"PROXY header too long\"");
    // Two headers are one too many: the second one is a bad request.
    let mut client = server.connect();
    client.send("PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n\r\n");
    assert_eq!(client.response().status, 400);
    client.expect_end();
}

#[test]
fn a_header_that_does_not_come_ends_the_connection() {
    let server = serve(&["--proxy-protocol"]);
    let start = Instant::now();
    let mut silent = server.connect();
    let mut begun = server.connect();
    begun.send("PROXY TCP4 192");
    let mut gone = server.connect();
    gone.send("PROXY TCP4 192").end_sending();
    gone.expect_end();
    assert!(start.elapsed() < Duration::from_secs(10), "the peer's end is no wait");
    silent.expect_end();
    begun.expect_end();
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(10) && waited < PATIENCE, "{waited:?}");
}

#[test]
fn a_drain_does_not_wait_for_headers() {
    let mut server = serve(&["--proxy-protocol", "--graceful-timeout", "50s"]);
    let mut silent = server.connect();
    let mut known = server.connect();
    known.send("PROXY UNKNOWN\r\n").send(ENVIRON);
    json(&known.response());
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    silent.expect_end();
    known.expect_end();
}

#[test]
fn one_bind_may_ask_for_the_header_and_another_not() {
    let site = Site::new(&[("a.txt", b"text")]);
    let text = format!(
        "bind = [\"127.0.0.1:0\", {{ address = \"127.0.0.1:0\", proxy_protocol = true }}]\n\
         lanes = 1\n[[site]]\n[[site.route]]\npath = \"/\"\nfiles = {:?}\n",
        site.path()
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corelane.toml");
    std::fs::write(&path, text).unwrap();
    let mut command = corelane();
    command.arg("-c").arg(&path);
    let server = Server::launch(command);
    let line = server.wait_for_log(" behind the PROXY protocol");
    let address = line.split("http://").nth(1).unwrap().split(' ').next().unwrap();
    let behind: SocketAddr = address.parse().unwrap();
    assert_ne!(behind, server.address);

    assert_eq!(server.get("/a.txt").text(), "text");
    let mut refused = server.connect();
    refused.send("PROXY UNKNOWN\r\nGET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(refused.response().status, 400);
    refused.expect_end();
    let mut announced = Client::connect(behind);
    announced.send("PROXY UNKNOWN\r\n");
    assert_eq!(announced.get("/a.txt").text(), "text");
    let mut closed = Client::connect(behind);
    closed.try_send("GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    closed.expect_end();
}

fn ask(server: &Server, fields: &str) -> serde_json::Value {
    let mut client = server.connect();
    client.send(format!("GET /environ HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n"));
    json(&client.response())
}

/// REMOTE_ADDR, scheme and host.
fn heard(environ: &serde_json::Value) -> String {
    ["REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST"]
        .map(|key| environ[key].as_str().unwrap())
        .join(" ")
}

const FORWARDED: &str = "X-Forwarded-For: 198.51.100.9, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
                         X-Forwarded-Host: b.example\r\n";

#[test]
fn nobody_is_believed_unless_named() {
    for arguments in [&[][..], &["--forwarded-allow-ips", "10.0.0.0/8,::1,unix"]] {
        let server = serve(arguments);
        let environ = ask(&server, FORWARDED);
        assert_eq!(heard(&environ), "127.0.0.1 http a.example");
        // Fields are fields: what an application makes of them is its own business.
        assert_eq!(environ["HTTP_X_FORWARDED_FOR"], "198.51.100.9, 192.0.2.1");
        assert_eq!(environ["HTTP_X_FORWARDED_HOST"], "b.example");
        let environ = ask(&server, "Forwarded: for=192.0.2.1;proto=https;host=b\r\n");
        assert_eq!(heard(&environ), "127.0.0.1 http a.example");
    }
}

#[test]
fn a_proxy_that_is_named_is_believed() {
    for threads in ["0", "1"] {
        let server =
            serve(&["--threads", threads, "--forwarded-allow-ips", "127.0.0.0/8,10.0.0.0/8"]);
        let plain = "127.0.0.1 http a.example";
        for (fields, expected) in [
            ("", plain),
            (FORWARDED, "192.0.2.1 https a.example"),
            ("X-Forwarded-For: 192.0.2.1, 10.0.0.3\r\n", "192.0.2.1 http a.example"),
            ("Forwarded: for=192.0.2.1;proto=https\r\n", "192.0.2.1 https a.example"),
            ("Forwarded: for=\"[2001:db8::1]:5\"\r\n", "2001:db8::1 http a.example"),
            // What is malformed is no reason to refuse a request.
            ("X-Forwarded-For: nonsense\r\nX-Forwarded-Proto: gopher\r\n", plain),
            ("Forwarded: for=\"\r\n", plain),
            ("X-Forwarded-For: 192.0.2.1\r\nForwarded: for=198.51.100.9\r\n", plain),
        ] {
            assert_eq!(heard(&ask(&server, fields)), expected, "{fields}");
        }
        // The port is the client's own or not told.
        assert_eq!(ask(&server, "X-Forwarded-For: 192.0.2.1:5\r\n")["REMOTE_PORT"], "5");
        assert_eq!(ask(&server, "X-Forwarded-For: 192.0.2.1\r\n")["REMOTE_PORT"], "");
        // What one request said does not stay for the next one.
        let mut client = server.connect();
        let forwarded = format!("GET /environ HTTP/1.1\r\nHost: a.example\r\n{FORWARDED}\r\n");
        client.send(format!("{forwarded}{ENVIRON}{forwarded}"));
        for expected in ["192.0.2.1 https a.example", plain, "192.0.2.1 https a.example"] {
            assert_eq!(heard(&json(&client.response())), expected);
        }
    }
}

#[test]
fn the_announced_client_and_not_the_connection_is_believed_or_not() {
    let server = serve(&["--proxy-protocol", "--forwarded-allow-ips", "192.0.2.0/24"]);
    for (source, expected) in [
        ("192.0.2.7", "203.0.113.5 https a.example"),
        ("198.51.100.7", "198.51.100.7 http a.example"),
    ] {
        let mut client = server.connect();
        client.send(format!("PROXY TCP4 {source} 198.51.100.2 5 80\r\n"));
        client.send(
            "GET /environ HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 203.0.113.5\r\n\
             X-Forwarded-Proto: https\r\n\r\n",
        );
        assert_eq!(heard(&json(&client.response())), expected);
    }
}

#[test]
fn a_host_that_is_believed_chooses_the_site_as_well() {
    let site = Site::new(&[("who.txt", b"site a")]);
    let text = |trust: &str| {
        format!(
            "lanes = 1\nforwarded_allow_ips = [\"127.0.0.1\"]\n{trust}\n[app.plain]\n\
             target = \"plain:app\"\nchdir = {:?}\n\
             [[site]]\nhosts = [\"a.example\"]\n[[site.route]]\npath = \"/\"\nfiles = {:?}\n\
             [[site]]\nhosts = [\"b.example\"]\n[[site.route]]\npath = \"/\"\napp = \"plain\"\n",
            apps(),
            site.path()
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corelane.toml");
    let forwarded = |host: &str| {
        format!("GET /environ HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Host: {host}\r\n\r\n")
    };
    std::fs::write(&path, text("forwarded_host = true")).unwrap();
    let server = Server::start(&["-c", path.to_str().unwrap()]);
    let mut client = server.connect();
    let environ = json(&client.send(forwarded("b.example")).response());
    assert_eq!(heard(&environ), "127.0.0.1 http b.example");
    // What is no host leaves the one of the request, which is that of the other site.
    assert_eq!(client.send(forwarded("b.example/")).response().status, 404);
    client.send("GET /who.txt HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(client.response().text(), "site a");

    std::fs::write(&path, text("")).unwrap();
    let server = Server::start(&["-c", path.to_str().unwrap()]);
    assert_eq!(server.connect().send(forwarded("b.example")).response().status, 404);
}

#[test]
fn the_access_log_names_the_client() {
    let site = Site::new(&[("a.txt", b"text"), ("large.bin", &[0; 100_000])]);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let mut server = serve(&[
        "--forwarded-allow-ips",
        "127.0.0.1",
        "--access-logfile",
        log.to_str().unwrap(),
        "--static",
        &site.at("/static"),
        "--limit-request-body",
        "10",
    ]);
    let mut client = server.connect();
    let from = |last: u8| format!("Host: a\r\nX-Forwarded-For: 192.0.2.{last}\r\n");
    client.send("GET /static/none HTTP/1.1\r\nHost: a\r\n\r\n").response();
    for (path, last) in [("/static/a.txt", 1), ("/static/large.bin", 2), ("/hello", 3)] {
        client.send(format!("GET {path} HTTP/1.1\r\n{}\r\n", from(last))).response();
    }
    let mut too_large = server.connect();
    let length = "Content-Length: 11\r\n";
    too_large.send(format!("POST /echo HTTP/1.1\r\n{}{length}\r\n", from(4))).response();
    // Of a head that is refused nothing is believed, and nothing of the one before.
    client.send(format!("G@T / HTTP/1.1\r\n{}\r\n", from(5))).response();
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    let text = std::fs::read_to_string(&log).unwrap();
    let addresses: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let expected = ["127.0.0.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "127.0.0.1"];
    assert_eq!(addresses, expected, "{text}");
}

#[test]
fn a_header_and_its_request_in_many_connections_at_once() {
    let server = serve(&["--proxy-protocol"]);
    let mut clients: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    for (at, client) in clients.iter().enumerate() {
        let header = format!("PROXY TCP4 192.0.2.{at} 198.51.100.2 {} 443\r\n", 1000 + at);
        client.stream().write_all(format!("{header}{ENVIRON}").as_bytes()).unwrap();
    }
    for (at, client) in clients.iter_mut().enumerate() {
        let expected = format!("192.0.2.{at} {} 198.51.100.2 443 http", 1000 + at);
        assert_eq!(told(&json(&client.response())), expected);
    }
}
