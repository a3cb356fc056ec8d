//! Content coding: compressed files beside a file, and what the server compresses itself.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;
use std::time::SystemTime;

use crate::support::Client;
use crate::support::Response;
use crate::support::Server;
use crate::support::Site;
use crate::support::pattern;
use crate::support::until;

const CODINGS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];

fn serve(site: &Site) -> Server {
    Server::start(&["--workers", "1", "--static", &site.at("/")])
}

fn accepting(client: &mut Client, path: &str, codings: &str) -> Response {
    client.request("GET", path, &format!("Accept-Encoding: {codings}\r\n"), b"")
}

/// Lines that differ from each other and become much smaller.
fn text(bytes: usize, word: &str) -> Vec<u8> {
    let lines =
        (0_u32..).flat_map(|line| format!("{word} {} of the text\n", line * 7).into_bytes());
    lines.take(bytes).collect()
}

fn decode(response: &Response) -> Vec<u8> {
    let mut body = response.body.as_slice();
    let mut bytes = Vec::new();
    match response.header("content-encoding") {
        None => bytes = response.body.clone(),
        Some("br") => brotli::BrotliDecompress(&mut body, &mut bytes).unwrap(),
        Some("zstd") => bytes = zstd::stream::decode_all(body).unwrap(),
        Some("gzip") => {
            flate2::read::GzDecoder::new(body).read_to_end(&mut bytes).unwrap();
        }
        Some(other) => panic!("nobody asked for {other}"),
    }
    bytes
}

fn set_modified(site: &Site, name: &str, unix_ns: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns);
    File::options().append(true).open(site.path().join(name)).unwrap().set_modified(time).unwrap();
}

/// A style sheet whose sidecars can be told apart.
fn with_sidecars() -> Site {
    let site = Site::new(&[("app.css", &text(3000, "plain"))]);
    for (coding, extension) in CODINGS {
        site.write(&format!("app.css{extension}"), format!("the form of {coding}").as_bytes());
    }
    site
}

#[test]
fn a_sidecar_is_chosen_by_what_the_client_likes() {
    let site = with_sidecars();
    let server = serve(&site);
    let mut client = server.connect();
    let whole = client.get("/app.css");
    assert_eq!(whole.header("content-encoding"), None);
    for (accepted, expected) in [
        ("", Some("")),
        ("identity", Some("")),
        ("gzip", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("GZip", Some("gzip")),
        ("zstd", Some("zstd")),
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip, br;q=0.9", Some("gzip")),
        ("gzip;Q=0.3, br ; q=0.2", Some("gzip")),
        ("gzip;q=0.5", Some("gzip")),
        ("gzip;q=0.5, identity;q=0.8", Some("")),
        ("gzip;q=0.5, identity;q=0.5", Some("gzip")),
        ("*", Some("br")),
        ("br;q=0, *", Some("zstd")),
        ("*;q=0, gzip", Some("gzip")),
        ("gzip;q=0", Some("")),
        ("gzip;q=0.000", Some("")),
        ("gzip;q=2, br;q=x, zstd;level=1", Some("")),
        ("deflate, compress", Some("")),
        ("identity;q=0, gzip;q=0.001", Some("gzip")),
        ("deflate\r\nAccept-Encoding: zstd", Some("zstd")),
        ("identity;q=0", None),
        ("identity;q=0, deflate", None),
        ("*;q=0", None),
    ] {
        let response = accepting(&mut client, "/app.css", accepted);
        let vary = response.headers("vary").join(", ");
        assert!(vary.contains("Accept-Encoding"), "{accepted}: {vary}");
        let Some(expected) = expected else {
            assert_eq!(response.status, 406, "{accepted}");
            continue;
        };
        assert_eq!(response.status, 200, "{accepted}");
        assert_eq!(response.header("content-encoding").unwrap_or_default(), expected, "{accepted}");
        assert_eq!(response.header("content-type"), Some("text/css; charset=utf-8"));
        match expected {
            "" => assert_eq!(response.body, whole.body, "{accepted}"),
            coding => assert_eq!(response.text(), format!("the form of {coding}"), "{accepted}"),
        }
    }
}

#[test]
fn each_coding_has_a_tag_of_its_own() {
    let site = with_sidecars();
    site.write("made.js", &text(200_000, "made"));
    let server = serve(&site);
    let mut client = server.connect();
    for path in ["/app.css", "/made.js"] {
        let names = ["identity", "br", "zstd", "gzip"];
        let forms = names.map(|name| accepting(&mut client, path, name));
        let tags = [0, 1, 2, 3].map(|at: usize| forms[at].header("etag").unwrap().to_owned());
        for (at, name) in names.iter().enumerate() {
            let coding = format!("Accept-Encoding: {name}\r\n");
            for (other, tag) in tags.iter().enumerate() {
                let same = at == other;
                let condition = format!("{coding}If-None-Match: {tag}\r\n");
                let response = client.request("GET", path, &condition, b"");
                assert_eq!(response.status, if same { 304 } else { 200 }, "{path} {name} {tag}");
                assert_eq!(response.header("etag"), Some(tags[at].as_str()));
                assert_eq!(response.header("vary"), Some("Accept-Encoding"));
                let condition = format!("{coding}If-Match: {tag}\r\n");
                let status = client.request("HEAD", path, &condition, b"").status;
                assert_eq!(status, if same { 200 } else { 412 });
                let condition = format!("{coding}If-Range: {tag}\r\nRange: bytes=2-6\r\n");
                let response = client.request("GET", path, &condition, b"");
                assert_eq!(response.status, if same { 206 } else { 200 });
                if same {
                    assert_eq!(response.body, forms[at].body[2..=6]);
                    let range = format!("bytes 2-6/{}", forms[at].body.len());
                    assert_eq!(response.header("content-range"), Some(&*range));
                    let (part, form) = (&response, &forms[at]);
                    assert_eq!(part.header("content-encoding"), form.header("content-encoding"));
                    assert_eq!(part.header("vary"), Some("Accept-Encoding"));
                }
            }
            let head = client.request("HEAD", path, &coding, b"");
            let fields = |response: &Response| {
                let mut fields = response.headers.clone();
                fields.retain(|(name, _)| name != "Date");
                fields
            };
            assert_eq!((head.status, fields(&head)), (200, fields(&forms[at])));
        }
    }
}

#[test]
fn a_sidecar_that_is_older_than_its_file_is_not_sent() {
    const SECOND: u64 = 1_000_000_000;
    let site = Site::new(&[]);
    let server = Server::start(&["--workers", "1", "--static", &site.at("/")]);
    let mut client = server.connect();
    let file = 1_700_000_000 * SECOND + 500_123_456;
    for (name, sidecar, is_sent) in [
        ("newer", file + 1, true),
        ("same", file, true),
        ("second_before", file - SECOND, false),
        ("copied_without_nanoseconds", file - 500_123_456, true),
        ("copied_without_microseconds", file - 123_456, true),
        ("copied_to_the_microsecond", file - 456, true),
        ("in_the_same_second_but_before", file - 200_000_001, false),
        ("just_before", file - 1, false),
    ] {
        let (plain, packed) = (format!("{name}.css"), format!("{name}.css.gz"));
        site.write(&plain, b"the file itself");
        site.write(&packed, b"its form");
        set_modified(&site, &plain, file);
        set_modified(&site, &packed, sidecar);
        let response = accepting(&mut client, &format!("/{plain}"), "gzip");
        let expected = if is_sent { "its form" } else { "the file itself" };
        assert_eq!(response.text(), expected, "{name}");
    }
}

#[test]
fn a_sidecar_comes_changes_and_goes_within_a_second() {
    let site = Site::new(&[("app.css", b"plain")]);
    let server = serve(&site);
    let mut client = server.connect();
    let mut shows = |expected: &str| {
        let started = std::time::Instant::now();
        let ask = || accepting(&mut client, "/app.css", "gzip");
        let response = until(ask, |response| response.text() == expected);
        let coding = if expected == "plain" { None } else { Some("gzip") };
        assert_eq!(response.header("content-encoding"), coding);
        // One second by the promise; the rest is for a loaded machine.
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    };
    shows("plain");
    site.write("app.css.gz", b"one");
    shows("one");
    site.write("app.css.gz", b"two");
    shows("two");
    site.write("tmp", b"six");
    std::fs::rename(site.path().join("tmp"), site.path().join("app.css.gz")).unwrap();
    shows("six");
    std::fs::remove_file(site.path().join("app.css.gz")).unwrap();
    shows("plain");
}

#[test]
fn what_is_beside_a_file_and_no_file_is_no_sidecar() {
    let outside = Site::new(&[("secret", b"secret")]);
    let site = Site::new(&[("a.css", b"a"), ("b.css", b"b"), ("c.css", b"c")]);
    symlink(outside.path().join("secret"), site.path().join("a.css.gz")).unwrap();
    std::fs::create_dir(site.path().join("b.css.gz")).unwrap();
    let fifo = site.path().join("c.css.gz");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let server = serve(&site);
    let mut client = server.connect();
    for name in ["a", "b", "c"] {
        let response = accepting(&mut client, &format!("/{name}.css"), "gzip");
        assert_eq!((response.status, response.text()), (200, name.to_owned()));
        assert_eq!(response.header("content-encoding"), None);
    }
}

#[test]
fn an_index_a_clean_address_and_a_fallback_have_sidecars_too() {
    let site = Site::new(&[("public/index.html", b"home"), ("public/about.html", b"about")]);
    site.write("public/index.html.br", b"home in br");
    site.write("public/about.html.br", b"about in br");
    let server = site.serve(
        "[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"public\"\nclean_urls = true\n\
         fallback = \"/index.html\"\n",
    );
    let mut client = server.connect();
    for (path, expected) in
        [("/", "home in br"), ("/about", "about in br"), ("/app/state", "home in br")]
    {
        let response = accepting(&mut client, path, "br");
        assert_eq!((response.status, response.text()), (200, expected.to_owned()), "{path}");
        assert_eq!(response.header("content-encoding"), Some("br"));
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    }
}

#[test]
fn what_the_server_compresses_is_the_file_and_stays_the_same() {
    // Forms in memory, and forms that leave by sendfile.
    let mut mixed = text(60_000, "mixed");
    mixed.extend(pattern(90_000));
    let files = [("small.js", text(1024, "small")), ("a.html", text(300_000, "large"))];
    let site = Site::new(&[]);
    for (name, bytes) in files.iter().chain([&("mixed.svg", mixed)]) {
        site.write(name, bytes);
    }
    let mut first: Vec<Response> = Vec::new();
    for workers in ["1", "2"] {
        let server = Server::start(&["--workers", workers, "--static", &site.at("/")]);
        for round in 0..6 {
            // On connections of their own, which different lanes take.
            let mut client = server.connect();
            let mut seen = Vec::new();
            for name in ["small.js", "a.html", "mixed.svg"] {
                for (coding, _) in CODINGS {
                    let response = accepting(&mut client, &format!("/{name}"), coding);
                    assert_eq!(response.header("content-encoding"), Some(coding), "{name}");
                    let bytes = std::fs::read(site.path().join(name)).unwrap();
                    assert!(decode(&response) == bytes, "{name} {coding} in round {round}");
                    seen.push(response);
                }
            }
            if first.is_empty() {
                first = seen;
                continue;
            }
            for (one, other) in first.iter().zip(&seen) {
                assert_eq!(one.header("etag"), other.header("etag"));
                assert!(one.body == other.body, "another form under the same tag");
            }
        }
    }
}

#[test]
fn a_file_is_compressed_once_for_all_who_ask_at_the_same_time() {
    let bytes = text(3_000_000, "once");
    let site = Site::new(&[("one.txt", &bytes), ("many.txt", &bytes)]);
    let server = serve(&site);
    let cost = |count: usize, path: &str| {
        let before = server.cpu_time();
        let mut clients: Vec<Client> = (0..count).map(|_| server.connect()).collect();
        for client in &mut clients {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
            client.send(request);
        }
        for client in &mut clients {
            let response = client.response();
            assert_eq!(response.header("content-encoding"), Some("gzip"));
            assert!(decode(&response) == bytes);
        }
        server.cpu_time() - before
    };
    let (one, many) = (cost(1, "/one.txt"), cost(20, "/many.txt"));
    assert!(one > Duration::from_millis(40), "{one:?} is too little to be compared with");
    assert!(many < 4 * one, "{many:?} for 20 requests, {one:?} for one");
    assert!(cost(1, "/many.txt") < one / 2, "it is kept");
}

#[test]
fn what_is_not_worth_it_is_not_compressed() {
    let site = Site::new(&[
        ("public/small.txt", &text(1023, "small")),
        ("public/a.png", &text(5000, "png")),
        ("public/a.zip", &text(5000, "zip")),
        ("public/a.woff2", &text(5000, "font")),
        ("public/a.mp4", &text(5000, "film")),
        ("public/noise.txt", &pattern(5000)),
        ("public/empty.txt", b""),
        ("public/large.txt", &text(4 * 1024 * 1024 + 1, "large")),
        ("off/a.txt", &text(5000, "off")),
        ("off/side.txt", b"side"),
        ("off/side.txt.gz", b"sidecar"),
    ]);
    let server = site.serve(
        "[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"public\"\n\
         [[site.route]]\npath = \"/off/\"\nfiles = \"off\"\ncompress = false\n\
         [[site.route]]\npath = \"/bare/\"\nfiles = \"off\"\nprecompressed = false\n",
    );
    let mut client = server.connect();
    for _ in 0..2 {
        for path in ["small.txt", "a.png", "a.zip", "a.woff2", "a.mp4", "noise.txt", "empty.txt"]
            .iter()
            .chain(&["large.txt", "off/a.txt", "bare/side.txt"])
        {
            let response = accepting(&mut client, &format!("/{path}"), "gzip, br, zstd");
            assert_eq!(response.status, 200, "{path}");
            assert_eq!(response.header("content-encoding"), None, "{path}");
        }
    }
    assert_eq!(accepting(&mut client, "/off/side.txt", "gzip").text(), "sidecar");
    let made = accepting(&mut client, "/bare/a.txt", "gzip");
    assert_eq!(made.header("content-encoding"), Some("gzip"));
    // A compressed file that is asked for by its own name is a file like others.
    let own = accepting(&mut client, "/off/side.txt.gz", "gzip");
    assert_eq!(own.header("content-type"), Some("application/gzip"));
    assert_eq!((own.header("content-encoding"), own.text()), (None, "sidecar".to_owned()));
}

#[test]
fn an_empty_file_beside_another_is_no_form_of_it() {
    let bytes = text(5000, "whole");
    let site = Site::new(&[("a.txt", &bytes), ("a.txt.gz", b""), ("a.txt.br", b"")]);
    let server = serve(&site);
    let mut client = server.connect();
    for coding in ["gzip", "br"] {
        let response = accepting(&mut client, "/a.txt", coding);
        assert_eq!(response.header("content-encoding"), Some(coding), "made of the file");
        assert_eq!(decode(&response), bytes);
    }
}

#[test]
fn what_is_compressed_already_is_compressed_for_nobody() {
    let site = Site::new(&[("a.zip", &text(5000, "stored")), ("small.txt", b"small")]);
    let server = serve(&site);
    let mut client = server.connect();
    for path in ["/a.zip", "/small.txt"] {
        assert_eq!(accepting(&mut client, path, "gzip").header("content-encoding"), None);
        // Who takes neither it nor anything that there is.
        let refused = accepting(&mut client, path, "gzip, identity;q=0");
        assert_eq!(refused.status, 406, "{path}");
        assert!(refused.headers("vary").join(",").contains("Accept-Encoding"), "{refused:?}");
    }
}

#[test]
fn a_changed_file_is_never_sent_in_the_compressed_form_of_the_old_one() {
    for size in [20_000, 120_000] {
        let site = Site::new(&[("a.txt", &text(size, "version 0"))]);
        let server = serve(&site);
        let mut client = server.connect();
        let mut tags: Vec<(String, Vec<u8>)> = Vec::new();
        for version in 1..=6 {
            // Of the same length: only the bytes and the time tell.
            let newer = text(size, &format!("version {version}"));
            site.write("tmp", &newer);
            std::fs::rename(site.path().join("tmp"), site.path().join("a.txt")).unwrap();
            for coding in ["gzip", "identity", "br", "zstd"].into_iter().cycle() {
                let response = accepting(&mut client, "/a.txt", coding);
                let bytes = decode(&response);
                let tag = response.header("etag").unwrap().to_owned();
                match tags.iter().find(|(known, _)| *known == tag) {
                    Some((_, known)) => assert!(*known == bytes, "{tag} for two versions"),
                    None => tags.push((tag, bytes.clone())),
                }
                if bytes == newer {
                    break;
                }
                assert!(bytes == text(size, &format!("version {}", version - 1)), "mixed");
            }
            for coding in ["gzip", "br", "zstd", "identity"] {
                let response = accepting(&mut client, "/a.txt", coding);
                assert!(decode(&response) == newer, "{coding} is of the old file");
            }
        }
    }
}
