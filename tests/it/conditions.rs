//! Conditional requests (RFC 9110 section 13) and the validators that they are about.

use std::fs::File;
use std::time::Duration;
use std::time::SystemTime;

use crate::support::Response;
use crate::support::Server;
use crate::support::Site;
use crate::support::pattern;

/// Sun, 06 Nov 1994 08:49:37 GMT
const MODIFIED_UNIX_SECONDS: u64 = 784_111_777;
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn serve(site: &Site) -> Server {
    Server::start(&["--workers", "1", "--static", &site.at("/")])
}

fn set_modified(site: &Site, name: &str, time: SystemTime) {
    File::options().append(true).open(site.path().join(name)).unwrap().set_modified(time).unwrap();
}

/// In memory, and open.
fn old_files() -> Site {
    let site = Site::new(&[("a.txt", b"0123456789"), ("large.bin", &pattern(100_000))]);
    for name in ["a.txt", "large.bin"] {
        let half = Duration::from_millis(MODIFIED_UNIX_SECONDS * 1000 + 500);
        set_modified(&site, name, SystemTime::UNIX_EPOCH + half);
    }
    site
}

/// What a value of a field says of the file at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// There is no such field.
    Nothing,
    Holds,
    Fails,
    /// It cannot be read.
    Garbage,
}

const ALL: [Says; 4] = [Says::Nothing, Says::Holds, Says::Fails, Says::Garbage];

/// The order of section 13.2.2, written down as it stands there.
fn expected_status(fields: [Says; 4], if_range: Says) -> u16 {
    let [if_match, unmodified, none_match, modified] = fields;
    match (if_match, unmodified) {
        // A tag that cannot be read is none of the file's.
        (Says::Fails | Says::Garbage, _) | (Says::Nothing, Says::Fails) => return 412,
        _ => {}
    }
    match (none_match, modified) {
        (Says::Fails, _) | (Says::Nothing, Says::Fails) => return 304,
        _ => {}
    }
    match if_range {
        Says::Nothing | Says::Holds => 206,
        Says::Fails | Says::Garbage => 200,
    }
}

#[test]
fn the_conditions_go_before_each_other_as_the_rfc_says() {
    let site = old_files();
    let server = serve(&site);
    let mut client = server.connect();
    for path in ["/a.txt", "/large.bin"] {
        let etag = client.get(path).header("etag").unwrap().to_owned();
        let field = |name: &str, says: Says, holds: &str, fails: &str, garbage: &str| match says {
            Says::Nothing => String::new(),
            Says::Holds => format!("{name}: {holds}\r\n"),
            Says::Fails => format!("{name}: {fails}\r\n"),
            Says::Garbage => format!("{name}: {garbage}\r\n"),
        };
        for number in 0..4_usize.pow(5) {
            let says = |place: u32| ALL[number / 4_usize.pow(place) % 4];
            let fields = [says(0), says(1), says(2), says(3)];
            let mut text = field("If-Match", fields[0], &etag, "\"x\"", "x");
            text += &field("If-Unmodified-Since", fields[1], SAME, BEFORE, "soon");
            text += &field("If-None-Match", fields[2], "\"x\"", &etag, "x");
            text += &field("If-Modified-Since", fields[3], BEFORE, SAME, "soon");
            text += &field("If-Range", says(4), &etag, "\"x\"", "x");
            text += "Range: bytes=3-5\r\n";
            let response = client.request("GET", path, &text, b"");
            assert_eq!(response.status, expected_status(fields, says(4)), "{text}");
            if response.status == 206 {
                assert_eq!(response.body.len(), 3);
            }
            // HEAD knows no ranges, and nothing else is different.
            let head = client.request("HEAD", path, &text, b"");
            let status = if response.status == 206 { 200 } else { response.status };
            assert_eq!(head.status, status, "HEAD {text}");
        }
    }
}

#[test]
fn tags_are_compared_weakly_or_strongly_one_by_one() {
    let site = old_files();
    let server = serve(&site);
    let mut client = server.connect();
    let etag = client.get("/a.txt").header("etag").unwrap().to_owned();
    let bare = etag.trim_matches('"');
    for (value, strong, weak) in [
        (etag.clone(), true, true),
        (format!("W/{etag}"), false, true),
        (format!("w/{etag}"), false, false),
        (format!("\"x\", {etag}"), true, true),
        (format!("\"x\",W/\"y\" ,\t{etag},"), true, true),
        (format!(",, ,{etag}"), true, true),
        (format!("\"x\", W/{etag}"), false, true),
        (format!("\"x\"\r\nIF: {etag}"), true, true),
        ("*".to_owned(), true, true),
        (bare.to_owned(), false, false),
        (format!("\"{bare}"), false, false),
        (format!("\"{}\"", bare.to_uppercase()), false, false),
        (format!("\"{bare}x\""), false, false),
        (format!("\"{}\"", bare.split_at(bare.len() - 1).0), false, false),
        (format!("\"a,b\", \"c {bare}\""), false, false),
        ("\"\"".to_owned(), false, false),
        (String::new(), false, false),
        ("W/".to_owned(), false, false),
        ("\"".to_owned(), false, false),
        ("\u{fc}\"".to_owned(), false, false),
    ] {
        for (name, holds, [yes, no]) in
            [("If-Match", strong, [200, 412]), ("If-None-Match", weak, [304, 200])]
        {
            let fields = format!("{name}: {}\r\n", value.replace("IF", name));
            let response = client.request("GET", "/a.txt", &fields, b"");
            assert_eq!(response.status, if holds { yes } else { no }, "{fields}");
        }
    }
}

#[test]
fn dates_are_read_in_all_three_forms_and_nothing_else() {
    let site = old_files();
    let server = serve(&site);
    let mut client = server.connect();
    for (value, since, unmodified) in [
        (SAME, 304, 200),
        (AFTER, 304, 200),
        (BEFORE, 200, 412),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 304, 200),
        ("Sunday, 06-Nov-94 08:49:36 GMT", 200, 412),
        ("Sun Nov  6 08:49:37 1994", 304, 200),
        ("Sun Nov  6 08:49:36 1994", 200, 412),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200, 412),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 304, 200),
        // What is no date is ignored, and so is a list of dates.
        ("", 200, 200),
        ("0", 200, 200),
        ("784111777", 200, 200),
        ("Sun, 06 Nov 1994 08:49:37", 200, 200),
        ("Sun, 31 Feb 1994 08:49:37 GMT", 200, 200),
        ("Sun, 06 Nov 1994 25:49:37 GMT", 200, 200),
        ("1994-11-06T08:49:37Z", 200, 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT; length=10", 200, 200),
        ("Sun, 06 Nov 1994 08:49:36 GMT, Sun, 06 Nov 1994 08:49:36 GMT", 200, 200),
        ("Sun, 06 Nov 1994 08:49:36 GMT\r\nIF: Sun, 06 Nov 1994 08:49:36 GMT", 200, 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT\r\nIF: Sun, 06 Nov 1994 08:49:37 GMT", 200, 200),
        ("\u{661}", 200, 200),
    ] {
        for (name, status) in [("If-Modified-Since", since), ("If-Unmodified-Since", unmodified)] {
            let fields = format!("{name}: {}\r\n", value.replace("IF", name));
            let response = client.request("GET", "/a.txt", &fields, b"");
            assert_eq!(response.status, status, "{fields}");
        }
    }
}

#[test]
fn if_range_counts_only_when_it_is_certain() {
    let site = old_files();
    site.write("b.png", b"0123456789");
    let time = std::fs::metadata(site.path().join("a.txt")).unwrap().modified().unwrap();
    set_modified(&site, "b.png", time);
    let server = serve(&site);
    let mut client = server.connect();
    for path in ["/a.txt", "/b.png"] {
        let etag = client.get(path).header("etag").unwrap().to_owned();
        // The text may have other forms of the same time, which are other bytes.
        let by_date = if path == "/b.png" { 206 } else { 200 };
        for (value, status) in [
            (etag.clone(), 206),
            (format!("W/{etag}"), 200),
            (format!("{etag}, \"x\""), 200),
            (format!("{etag}\r\nIf-Range: {etag}"), 200),
            ("*".to_owned(), 200),
            (String::new(), 200),
            (SAME.to_owned(), by_date),
            (format!("{SAME}\r\nIf-Range: {SAME}"), 200),
            (BEFORE.to_owned(), 200),
            // A date must be the very one (section 13.1.5).
            (AFTER.to_owned(), 200),
        ] {
            let fields = format!("If-Range: {value}\r\nRange: bytes=0-0\r\n");
            let response = client.request("GET", path, &fields, b"");
            assert_eq!(response.status, status, "{path} {fields}");
            // Where the range is too far, it is not looked at either.
            let fields = format!("If-Range: {value}\r\nRange: bytes=99-\r\n");
            let status = if status == 206 { 416 } else { 200 };
            assert_eq!(client.request("GET", path, &fields, b"").status, status, "{fields}");
        }
    }
}

#[test]
fn conditions_are_about_answers_of_200_alone() {
    let site = old_files();
    site.write("docs/index.html", b"docs");
    let server = serve(&site);
    let mut client = server.connect();
    // Section 13.2.1: what would be another status without them stays it.
    for condition in [
        "If-Match: *",
        "If-Match: \"x\"",
        "If-None-Match: *",
        "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
    ] {
        let fields = format!("{condition}\r\n");
        for (method, path, status) in [
            ("GET", "/none", 404),
            ("HEAD", "/none", 404),
            ("GET", "/docs", 301),
            ("DELETE", "/a.txt", 405),
            ("OPTIONS", "/a.txt", 204),
        ] {
            let response = client.request(method, path, &fields, b"");
            assert_eq!(response.status, status, "{method} {path} {condition}");
        }
    }
}

#[test]
fn a_304_tells_what_a_cache_must_know_and_no_more() {
    let site = Site::new(&[("public/a.txt", b"text")]);
    let server = site.serve(
        "[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"public\"\ncache_control = \"max-age=9\"\n",
    );
    let mut client = server.connect();
    let whole = client.get("/a.txt");
    let same = |response: &Response, name: &str| {
        assert_eq!(response.header(name), whole.header(name), "{name}");
        assert!(response.header(name).is_some(), "{name}");
    };
    let field = format!("If-None-Match: {}\r\n", whole.header("etag").unwrap());
    for method in ["GET", "HEAD"] {
        let response = client.request(method, "/a.txt", &field, b"");
        assert_eq!((response.status, response.reason.as_str()), (304, "Not Modified"));
        for name in ["ETag", "Last-Modified", "Cache-Control", "Vary"] {
            same(&response, name);
        }
        assert!(response.header("date").is_some());
        for name in ["Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding"] {
            assert_eq!(response.header(name), None, "{name}");
        }
    }
    assert_eq!(client.get("/a.txt").text(), "text", "the connection is in step");
}

#[test]
fn a_tag_is_the_same_on_all_lanes_and_after_a_restart_and_on_a_copy() {
    let site = old_files();
    let copy = Site::new(&[]);
    for name in ["a.txt", "large.bin"] {
        copy.write(name, &std::fs::read(site.path().join(name)).unwrap());
        let time = std::fs::metadata(site.path().join(name)).unwrap().modified().unwrap();
        set_modified(&copy, name, time);
    }
    let mut seen = std::collections::BTreeSet::new();
    for (folder, workers) in [(&site, "2"), (&site, "1"), (&copy, "1")] {
        let server = Server::start(&["--workers", workers, "--static", &folder.at("/")]);
        for _ in 0..20 {
            for path in ["/a.txt", "/large.bin"] {
                let response = server.get(path);
                seen.insert((path, response.header("etag").unwrap().to_owned()));
            }
        }
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn a_tag_changes_with_each_version_of_a_file() {
    let site = Site::new(&[]);
    let server = serve(&site);
    let mut seen = std::collections::BTreeSet::new();
    let base = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED_UNIX_SECONDS);
    let versions = [(3, 0), (4, 0), (3, 1), (3, 1000), (3, 1_000_000_000), (40_000, 1)];
    for (number, (size, nanoseconds)) in versions.into_iter().enumerate() {
        let name = format!("{number}.bin");
        site.write(&name, &pattern(size));
        set_modified(&site, &name, base + Duration::from_nanos(nanoseconds));
        seen.insert(server.get(&format!("/{name}")).header("etag").unwrap().to_owned());
    }
    assert_eq!(seen.len(), versions.len(), "{seen:?}");
}

#[test]
fn no_file_was_modified_after_the_date_of_its_answer() {
    // RFC 9110 section 8.8.2.1: a time in the future must not be told.
    let site = Site::new(&[("a.html", b"from the future"), ("b.html", &pattern(100_000))]);
    let day = Duration::from_secs(24 * 60 * 60);
    for name in ["a.html", "b.html"] {
        set_modified(&site, name, SystemTime::now() + day);
    }
    let server = serve(&site);
    let mut client = server.connect();
    for path in ["/a.html", "/b.html"] {
        let response = client.get(path);
        let date =
            |name| response.header(name).map(|text| httpdate::parse_http_date(text).unwrap());
        assert!(date("last-modified").is_none_or(|modified| modified <= date("date").unwrap()));
        let fields = format!("If-None-Match: {}\r\n", response.header("etag").unwrap());
        assert_eq!(client.request("GET", path, &fields, b"").status, 304);
        let fields = "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT\r\n";
        assert!([200, 304].contains(&client.request("GET", path, fields, b"").status));
    }
}
