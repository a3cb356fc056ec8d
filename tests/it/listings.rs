//! Folders that show what is in them: as a page, and as JSON.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;
use std::time::SystemTime;

use serde_json::Value;

use crate::support::Client;
use crate::support::Server;
use crate::support::Site;
use crate::support::until;

fn serve(site: &Site, keys: &str) -> Server {
    let route =
        "[[site]]\n[[site.route]]\npath = \"/files/\"\nfiles = \"public\"\nlisting = true\n";
    site.serve(&format!("{route}{keys}"))
}

fn json(client: &mut Client, path: &str) -> Vec<Value> {
    let response = client.request("GET", path, "Accept: application/json\r\n", b"");
    assert_eq!(response.status, 200, "{path}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    serde_json::from_slice(&response.body).unwrap()
}

fn names(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

/// The values of `href` in a page, as a browser reads them.
fn links(page: &str) -> Vec<String> {
    let values = page.split("<a href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    values.map(|value| value.replace("&amp;", "&")).collect()
}

/// Where a relative link of a page with a slash at its end leads.
fn resolve(base: &str, link: &str) -> String {
    let mut path = base.trim_end_matches('/').to_owned();
    for segment in link.split('/') {
        match segment {
            "." => {}
            ".." => path.truncate(path.rfind('/').unwrap()),
            segment => path = format!("{path}/{segment}"),
        }
    }
    path
}

#[test]
fn a_folder_shows_what_is_in_it_sorted_with_sizes_and_times() {
    let site = Site::new(&[
        ("public/b.txt", b"four"),
        ("public/A.txt", b""),
        ("public/a10.txt", &[b'x'; 2048]),
        ("public/a2.txt", b"x"),
        ("public/zoo/x", b"x"),
        ("public/Empty/.keep", b""),
    ]);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let file = File::options().append(true).open(site.path().join("public/b.txt")).unwrap();
    file.set_modified(time).unwrap();
    let server = serve(&site, "");
    let mut client = server.connect();
    let entries = json(&mut client, "/files/");
    let expected = ["Empty", "zoo", "A.txt", "a2.txt", "a10.txt", "b.txt"];
    assert_eq!(names(&entries), expected);
    let entry = |name: &str| entries.iter().find(|entry| entry["name"] == name).unwrap();
    assert_eq!(entry("b.txt")["size"], 4);
    assert_eq!(entry("b.txt")["type"], "file");
    assert_eq!(entry("b.txt")["mtime"], "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(entry("zoo")["type"], "directory");
    assert!(entry("zoo").get("size").is_none());
    let page = client.get("/files/");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let text = page.text();
    assert!(text.contains("2.0 KiB") && text.contains("1994-11-06") && text.contains("light dark"));
    let places: Vec<_> = expected.iter().map(|name| text.find(&format!("<bdi>{name}<"))).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
    assert!(client.get("/files/Empty/").text().contains("This folder is empty"));
    let head = client.request("HEAD", "/files/", "", b"");
    assert_eq!(head.header("content-length"), Some(&*page.body.len().to_string()));
    assert_eq!(client.request("POST", "/files/", "", b"").status, 405);
}

#[test]
fn the_form_is_by_accept_and_each_has_its_tag() {
    let site = Site::new(&[("public/a.txt", b"text")]);
    let server = serve(&site, "cache_control = \"no-cache\"\nnosniff = true\n");
    let mut client = server.connect();
    let mut tags = BTreeSet::new();
    for (accept, is_json) in [
        ("", false),
        ("Accept: */*\r\n", false),
        ("Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n", false),
        ("Accept: application/json\r\n", true),
        ("Accept: application/json, text/html;q=0.9\r\n", true),
        ("Accept: text/html;q=0.1, application/*;q=0.2\r\n", true),
        ("Accept: application/json;q=0\r\n", false),
    ] {
        let response = client.request("GET", "/files/", accept, b"");
        let expected = if is_json { "application/json" } else { "text/html; charset=utf-8" };
        assert_eq!(response.header("content-type"), Some(expected), "{accept}");
        assert_eq!(response.header("vary"), Some("Accept"));
        assert_eq!(response.header("cache-control"), Some("no-cache"));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        let etag = response.header("etag").unwrap().to_owned();
        let fields = format!("{accept}If-None-Match: {etag}\r\n");
        let same = client.request("GET", "/files/", &fields, b"");
        assert_eq!((same.status, same.header("vary")), (304, Some("Accept")), "{accept}");
        tags.insert(etag);
    }
    assert_eq!(tags.len(), 2);
    let fields = format!("If-None-Match: {}\r\n", tags.first().unwrap());
    site.write("public/b.txt", b"more");
    let changed = until(
        || client.request("GET", "/files/", "", b""),
        |response| response.text().contains("b.txt"),
    );
    assert!(!tags.contains(changed.header("etag").unwrap()));
    assert_eq!(client.request("GET", "/files/", &fields, b"").status, 200);
    let redirect = client.get("/files?x=1&y");
    assert_eq!((redirect.status, redirect.header("location")), (301, Some("/files/?x=1&y")));
    site.write("public/sub/c.txt", b"c");
    let redirect = until(|| client.get("/files/sub?x=1"), |response| response.status == 301);
    assert_eq!(redirect.header("location"), Some("/files/sub/?x=1"));
}

#[test]
fn any_name_is_shown_harmlessly_and_its_link_leads_to_it() {
    let odd: [&[u8]; 20] = [
        b"<script>alert(1)<",
        b"\"onmouseover=alert(1) x=\"",
        b"'single'",
        b"a&amp;b",
        b"new\nline",
        b"cr\rlf\r\n",
        b"100%",
        b"%41",
        b"what?x=y",
        b"a#b",
        b"javascript:alert(1)",
        b"\xff\xfe",
        b"back\\slash",
        b" blanks ",
        "\u{202e}txt.exe".as_bytes(),
        b"http:",
        b"..a",
        b"a+b",
        b"<!--",
        b"\x1b[31m",
    ];
    let site = Site::new(&[]);
    std::fs::create_dir(site.path().join("public")).unwrap();
    let hidden = b"..a";
    for name in odd {
        let path = site.path().join("public").join(OsStr::from_bytes(name));
        std::fs::write(path, name).unwrap();
        let folder = [b"d ", name].concat();
        std::fs::create_dir(site.path().join("public").join(OsStr::from_bytes(&folder))).unwrap();
    }
    let server = serve(&site, "");
    let mut client = server.connect();
    let page = client.get("/files/").text();
    for raw in ["<script>alert", "\"onmouseover", "<!--", "&amp;b<", "\u{202e}", "\r", "\x1b"] {
        assert!(!page.contains(raw), "{raw:?} in {page}");
    }
    let mut found = BTreeSet::new();
    let mut folders = 0;
    for link in links(&page).iter().filter(|link| !link.starts_with("..")) {
        assert!(link.starts_with("./"), "{link}");
        let response = client.get(&resolve("/files/", link));
        assert_eq!(response.status, 200, "{link}");
        match link.ends_with('/') {
            true => folders += 1,
            false => assert!(found.insert(response.body), "{link}"),
        }
    }
    let expected: BTreeSet<Vec<u8>> =
        odd.iter().filter(|name| **name != hidden).map(|name| name.to_vec()).collect();
    assert_eq!(found, expected);
    assert_eq!(folders, odd.len(), "`d ..a` does not begin with a dot");
    let entries = json(&mut client, "/files/");
    let mut found = BTreeSet::new();
    for entry in entries.iter().filter(|entry| entry["type"] == "file") {
        let response = client.get(&resolve("/files/", entry["href"].as_str().unwrap()));
        assert_eq!(response.header("content-length").unwrap(), entry["size"].to_string());
        found.insert(response.body);
    }
    assert_eq!(found, expected);
    assert!(names(&entries).contains(&"<script>alert(1)<"), "JSON needs no such escapes");
    // A folder of an odd name shows its own name, and the way up.
    let inner = client.get("/files/d%20%3Cscript%3Ealert%281%29%3C/").text();
    assert!(!inner.contains("<script>") && inner.contains("&lt;script&gt;alert(1)&lt;"));
    assert!(
        links(&inner)
            .iter()
            .any(|link| resolve("/files/d/", link).trim_end_matches('/') == "/files")
    );
}

#[test]
fn what_is_not_served_is_not_listed() {
    let outside = Site::new(&[("s.txt", b"outside")]);
    let site = Site::new(&[
        ("public/a.txt", b"text"),
        ("public/.env", b"secret"),
        ("public/.git/x", b"secret"),
        ("public/.well-known/x", b"x"),
        ("public/indexed/index.html", b"the index"),
        ("public/indexed/other.txt", b"x"),
    ]);
    let root = site.path().join("public");
    symlink("a.txt", root.join("inside")).unwrap();
    symlink("indexed", root.join("folder")).unwrap();
    symlink(outside.path().join("s.txt"), root.join("outside")).unwrap();
    symlink("nowhere", root.join("broken")).unwrap();
    symlink("/proc/self/fd", root.join("magic")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("fifo")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    for (keys, expected) in [
        ("", &[".well-known", "folder", "indexed", "a.txt", "inside"][..]),
        ("symlinks = \"deny\"\n", &[".well-known", "indexed", "a.txt"]),
        (
            "hidden_files = true\n",
            &[".git", ".well-known", "folder", "indexed", ".env", "a.txt", "inside"],
        ),
    ] {
        let server = serve(&site, keys);
        let mut client = server.connect();
        let entries = json(&mut client, "/files/");
        assert_eq!(names(&entries), expected, "{keys}");
        // What is listed is served.
        for entry in &entries {
            let path = resolve("/files/", entry["href"].as_str().unwrap());
            assert_eq!(client.get(&path).status, 200, "{path}");
        }
        assert_eq!(client.get("/files/indexed/").text(), "the index");
    }
    let server = serve(&site, "symlinks = \"follow\"\n");
    let entries = json(&mut server.connect(), "/files/");
    assert!(names(&entries).contains(&"outside") && !names(&entries).contains(&"fifo"));
    assert!(!names(&entries).contains(&"broken"));
    // Without the key there are none, and a folder is not told from nothing.
    let server = site.serve("[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"public\"\n");
    for path in ["/", "/.git/", "/none/", "/.git", "/none"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_folder_of_very_many_names_is_cut_and_says_so() {
    let site = Site::new(&[]);
    let folder = site.path().join("public");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..10_001 {
        File::create(folder.join(format!("{number}"))).unwrap();
    }
    let server = serve(&site, "");
    let mut client = server.connect();
    assert_eq!(json(&mut client, "/files/").len(), 10_000);
    let page = client.get("/files/").text();
    assert_eq!(links(&page).len(), 10_000);
    assert!(page.contains("There are more than can be listed here"));
}
