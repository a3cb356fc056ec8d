//! Flask, Django and Pyramid from their real packages: the same requests, in two lanes at once.
//!
//! The packages live in `.venv-test`, which `scripts/check` makes.

use std::path::PathBuf;

use crate::support::Client;
use crate::support::Response;
use crate::support::Server;
use crate::support::apps;
use crate::support::pattern;
use crate::support::repository;

fn venv() -> PathBuf {
    let venv = repository().join(".venv-test");
    assert!(venv.join("pyvenv.cfg").exists(), "no .venv-test: scripts/check makes it");
    venv
}

fn check(target: &str) {
    let server = Server::start(&[
        "--workers",
        "2",
        "--threads",
        "4",
        "--venv",
        venv().to_str().unwrap(),
        "--chdir",
        apps().to_str().unwrap(),
        target,
    ]);
    // Connections until both lanes have answered: the kernel spreads them by their addresses.
    let mut lanes_seen = [false; 2];
    for attempt in 0..64 {
        let mut client = server.connect();
        let environ: serde_json::Value =
            serde_json::from_slice(&client.get("/environ").body).unwrap();
        assert_eq!(environ["SERVER_PROTOCOL"], "HTTP/1.1");
        let lane: usize = environ["corelane.lane"].as_u64().unwrap().try_into().unwrap();
        if !lanes_seen[lane] {
            lanes_seen[lane] = true;
            each_feature(&mut client);
        }
        if lanes_seen == [true; 2] {
            break;
        }
        assert!(attempt < 63, "only one lane answers");
    }
    raise(&server);
}

fn each_feature(client: &mut Client) {
    assert!(client.get("/").text().starts_with("Hello from"));
    form(client);
    session(client);
    redirect(client);
    stream(client);
    upload(client);
    download(client);
    cookies(client);
}

fn form(client: &mut Client) {
    assert!(client.get("/form").text().contains("<form method=\"post\""));
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    let response = client.request("POST", "/form", kind, b"name=Gr%C3%BC%C3%9Fe+an+alle");
    assert_eq!((response.status, response.text().as_str()), (200, "hello Gr\u{fc}\u{df}e an alle"));
}

fn session(client: &mut Client) {
    let mut cookie = String::new();
    for visit in 1..=3 {
        let response = client.request("GET", "/session", &cookie, b"");
        assert_eq!(response.text(), format!("visits: {visit}"));
        let set = response.header("set-cookie").expect("a session cookie");
        cookie = format!("Cookie: {}\r\n", set.split(';').next().unwrap());
    }
}

fn redirect(client: &mut Client) {
    let response = client.get("/redirect");
    assert_eq!(response.status, 302);
    assert_eq!(response.header("location"), Some("http://test/landing"));
    assert_eq!(client.get("/landing").text(), "landed");
}

fn stream(client: &mut Client) {
    let expected: String = (0..1000).map(|number| format!("line {number}\n")).collect();
    assert_eq!(client.get("/stream").text(), expected);
}

fn upload(client: &mut Client) {
    let bytes = pattern(10 * 1024 * 1024);
    let border = "----------corelane";
    let mut body = format!(
        "--{border}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"up.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(&bytes);
    body.extend_from_slice(format!("\r\n--{border}--\r\n").as_bytes());
    let kind = format!("Content-Type: multipart/form-data; boundary={border}\r\n");
    let response = client.request("POST", "/upload", &kind, &body);
    assert_eq!(response.status, 200, "{}", response.text());
    let told: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(told["bytes"], bytes.len());
    assert_eq!(told["sha256"], sha256_of(&bytes));
}

/// By the program of the system, which shares no code with the application.
fn sha256_of(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let output = std::process::Command::new("sha256sum").arg(file.path()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

fn download(client: &mut Client) {
    let response = client.get("/download");
    let expected: Vec<u8> = (0..10 * 1024 * 1024 / 8_u64).flat_map(u64::to_le_bytes).collect();
    assert_eq!(response.header("content-length"), Some("10485760"));
    assert!(response.body == expected);
    let head = client.request("HEAD", "/download", "", b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("10485760")));
}

fn cookies(client: &mut Client) {
    let response: Response = client.get("/cookies");
    let cookies = response.headers("set-cookie");
    assert!(cookies.iter().any(|cookie| cookie.starts_with("first=1")), "{cookies:?}");
    assert!(cookies.iter().any(|cookie| cookie.starts_with("second=2")), "{cookies:?}");
}

fn raise(server: &Server) {
    let response = server.get("/raise");
    assert_eq!(response.status, 500);
    assert!(!response.text().contains("ZeroDivisionError"), "{}", response.text());
    server.wait_for_log("ZeroDivisionError: division by zero");
}

#[test]
fn flask() {
    check("flask_app:create_app()");
}

#[test]
fn django() {
    check("django_app");
}

#[test]
fn pyramid() {
    check("pyramid_app:create_app()");
}
