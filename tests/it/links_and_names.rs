//! Which names are served: symbolic links by policy, hidden names, odd names, media types.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

use crate::support::Site;
use crate::support::until;

fn config(route: &str) -> String {
    format!("[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"public\"\n{route}")
}

/// A folder with every kind of link, and what is outside of it.
fn with_links(outside: &Site) -> Site {
    let site = Site::new(&[
        ("public/a.txt", b"inside"),
        ("public/sub/b.txt", b"below"),
        ("public/sub/index.html", b"index"),
        ("private/p.txt", b"private"),
    ]);
    let root = site.path().join("public");
    for (target, link) in [
        ("a.txt", "file"),
        ("sub", "folder"),
        ("sub/../a.txt", "dots_within"),
        ("../public/a.txt", "out_and_in"),
        ("../private/p.txt", "up"),
        ("../private", "up_folder"),
        ("nowhere", "broken"),
        ("loop", "loop"),
        ("file", "link_to_link"),
        ("/proc/self/root/etc/passwd", "magic"),
        ("/proc/self/environ", "environ"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    symlink("../../private/p.txt", root.join("sub/up_twice")).unwrap();
    symlink(root.join("a.txt"), root.join("absolute_inside")).unwrap();
    symlink(outside.path().join("s.txt"), root.join("absolute_outside")).unwrap();
    symlink(outside.path(), root.join("outside_folder")).unwrap();
    std::fs::create_dir(root.join("linked_index")).unwrap();
    symlink("../a.txt", root.join("linked_index/index.html")).unwrap();
    site
}

#[test]
fn links_lead_as_far_as_the_policy_says() {
    let outside = Site::new(&[("s.txt", b"outside")]);
    let site = with_links(&outside);
    // path, then what "beneath", "deny" and "follow" answer with.
    let table = [
        ("/a.txt", ["inside"; 3]),
        ("/file", ["inside", "", "inside"]),
        ("/link_to_link", ["inside", "", "inside"]),
        ("/folder/b.txt", ["below", "", "below"]),
        ("/folder/", ["index", "", "index"]),
        ("/folder", ["/folder/", "", "/folder/"]),
        ("/dots_within", ["inside", "", "inside"]),
        ("/linked_index/", ["inside", "", "inside"]),
        ("/out_and_in", ["", "", "inside"]),
        ("/up", ["", "", "private"]),
        ("/up_folder/p.txt", ["", "", "private"]),
        ("/sub/up_twice", ["", "", "private"]),
        ("/absolute_inside", ["", "", "inside"]),
        ("/absolute_outside", ["", "", "outside"]),
        ("/outside_folder/s.txt", ["", "", "outside"]),
        ("/broken", [""; 3]),
        ("/loop", [""; 3]),
        ("/up_folder/../a.txt", ["inside"; 3]),
        ("/folder/../a.txt", ["inside"; 3]),
        ("/magic", ["", "", "?"]),
        ("/environ", ["", "", "?"]),
    ];
    for (column, policy) in ["beneath", "deny", "follow"].iter().enumerate() {
        let server = site.serve(&config(&format!("symlinks = \"{policy}\"\n")));
        let mut client = server.connect();
        for (path, expected) in table {
            let response = client.get(path);
            let shown = format!("{path} where {policy}: {response:?}");
            match expected[column] {
                "" => assert_eq!(response.status, 404, "{shown}"),
                "?" => {}
                location if location.starts_with('/') => {
                    assert_eq!(response.header("location"), Some(location), "{shown}");
                }
                text => {
                    assert_eq!((response.status, &*response.text()), (200, text), "{shown}");
                }
            }
        }
    }
}

#[test]
fn a_link_turned_elsewhere_is_seen_within_a_second() {
    let outside = Site::new(&[("s.txt", b"outside")]);
    let site = Site::new(&[("public/one.txt", b"one"), ("public/two.txt", b"two")]);
    let link = site.path().join("public/link");
    let turn = |target: &std::path::Path| {
        let fresh = site.path().join("public/fresh");
        symlink(target, &fresh).unwrap();
        std::fs::rename(&fresh, &link).unwrap();
    };
    turn("one.txt".as_ref());
    let server = site.serve(&config(""));
    let mut client = server.connect();
    assert_eq!(client.get("/link").text(), "one");
    turn("two.txt".as_ref());
    until(|| client.get("/link"), |response| response.text() == "two");
    turn(&outside.path().join("s.txt"));
    until(|| client.get("/link"), |response| response.status == 404);
}

#[test]
fn a_folder_that_is_deployed_by_turning_its_link_is_the_new_one_within_a_second() {
    let site = Site::new(&[
        ("v1/a.txt", b"one"),
        ("v1/gone.txt", b"gone"),
        ("v2/a.txt", b"two"),
        ("v2/new.txt", b"new"),
    ]);
    symlink("v1", site.path().join("public")).unwrap();
    for policy in ["beneath", "deny"] {
        let server = site.serve(&config(&format!("symlinks = \"{policy}\"\n")));
        let mut client = server.connect();
        for version in ["v2", "v1"] {
            let fresh = site.path().join("fresh");
            symlink(version, &fresh).unwrap();
            std::fs::rename(&fresh, site.path().join("public")).unwrap();
            let (text, new, gone) = match version {
                "v2" => ("two", 200, 404),
                _ => ("one", 404, 200),
            };
            until(|| client.get("/a.txt"), |response| response.text() == text);
            until(|| client.get("/new.txt"), |response| response.status == new);
            until(|| client.get("/gone.txt"), |response| response.status == gone);
        }
    }
}

#[test]
fn hidden_names_are_shown_to_nobody_unless_the_operator_wants_it() {
    let site = Site::new(&[
        ("public/.env", b"secret"),
        ("public/.git/config", b"secret"),
        ("public/.dir/index.html", b"secret"),
        ("public/a/.b/c", b"secret"),
        ("public/...", b"secret"),
        ("public/.well-known/acme/token", b"token"),
        ("public/.well-known/.hidden", b"secret"),
        ("public/.well-knownx", b"secret"),
        ("public/a.txt", b"text"),
        ("public/x/.index.html", b"secret"),
    ]);
    symlink(".env", site.path().join("public/env.txt")).unwrap();
    let paths = [
        "/.env",
        "/%2eenv",
        "/%2Eenv",
        "//.env",
        "/.env/",
        "/.git/config",
        "/.git/",
        "/.git",
        "/.dir/",
        "/.dir",
        "/a/.b/c",
        "/a/../.env",
        "/a/%2e%2e/.env",
        "/...",
        "/.well-known/.hidden",
        "/.well-knownx",
        "/.well-known/../.env",
    ];
    let server = site.serve(&config("index = [\"index.html\", \".index.html\"]\n"));
    for path in paths {
        let (response, missing) = (server.get(path), server.get("/none"));
        assert_eq!((response.status, response.text()), (404, missing.text()), "{path}");
        assert_eq!(server.connect().request("POST", path, "", b"").status, 404, "{path}");
    }
    assert_eq!(server.get("/.well-known/acme/token").text(), "token");
    assert_eq!(server.get("/.%77ell-known/acme/token").text(), "token");
    // The operator has named these: a link, and an index.
    assert_eq!(server.get("/env.txt").text(), "secret");
    let server = site.serve(&config("hidden_files = true\n"));
    for path in ["/.env", "/.git/config", "/.dir/", "/a/.b/c", "/...", "/.well-known/.hidden"] {
        assert_eq!(server.get(path).text(), "secret", "{path}");
    }
    assert_eq!(server.get("/.").status, 404, "the folder itself");
    assert_eq!(server.get("/..").status, 400);
}

#[test]
fn every_name_that_a_disk_permits_is_served() {
    let long = "n".repeat(255);
    let deep = vec!["d"; 60].join("/");
    let names: Vec<Vec<u8>> = [
        &b"with space"[..],
        b"100%",
        b"%41",
        b"what?",
        b"a#b",
        b"a&b=c+d;e",
        b"quote\"'`",
        b"back\\slash",
        b"<script>",
        b"\xff\xfe not utf-8",
        "\u{fc}\u{4e16}\u{1f600}".as_bytes(),
        b"new\nline",
        b"tab\t",
        b"-dash",
        b"~tilde",
        b"colon:x",
        b"star*[x]{y}",
        b"\x01\x7f",
        b"trailing.",
        b"trailing ",
        long.as_bytes(),
    ]
    .iter()
    .map(|name| name.to_vec())
    .collect();
    let site = Site::new(&[("public/A.txt", b"A"), ("public/x", b"x")]);
    site.write(&format!("public/{deep}/f"), b"deep");
    for name in &names {
        std::fs::write(site.path().join("public").join(OsStr::from_bytes(name)), name).unwrap();
    }
    let server = site.serve(&config(""));
    let mut client = server.connect();
    for name in &names {
        let encoded: String = name.iter().map(|byte| format!("%{byte:02x}")).collect();
        let response = client.get(&format!("/{encoded}"));
        assert_eq!(response.status, 200, "{}", name.escape_ascii());
        assert!(response.body == *name, "{}", name.escape_ascii());
    }
    assert_eq!(client.get(&format!("/{deep}/f")).text(), "deep");
    for path in ["/a.txt", "/A.TXT", "/100%25x", "/with+space", "/A", "/A.txt%20", "/A.txt."] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    assert_eq!(client.get(&format!("/{long}n")).status, 404, "too long for any name");
    assert_eq!(client.get(&format!("/{}", "y/".repeat(2500))).status, 404);
    for path in ["/x%00", "/x%00.html", "/%", "/%zz", "/%4"] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
}

#[test]
fn what_cannot_be_read_looks_as_if_it_were_not_there() {
    if rustix::process::geteuid().is_root() {
        eprintln!("root may read everything: this test shows nothing");
        return;
    }
    let site = Site::new(&[("public/a.txt", b"text"), ("public/shut/b.txt", b"text")]);
    let shut = |name: &str| {
        let permissions = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(site.path().join(name), permissions).unwrap();
    };
    shut("public/a.txt");
    shut("public/shut");
    let server = site.serve(&config(""));
    for path in ["/a.txt", "/shut/b.txt", "/shut/", "/shut"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(site.path().join("public/shut"), permissions).unwrap();
}

#[test]
fn types_are_told_by_extension_and_the_operators_go_first() {
    let names = [
        ("a.html", "text/html; charset=utf-8"),
        ("A.HTML", "text/html; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.mp4", "video/mp4"),
        ("a.pdf", "application/pdf"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.xml", "text/xml"),
        ("a.glb", "model/x-own"),
        ("a.MD", "text/x-own; charset=utf-8"),
        ("a.tar.gz", "application/gzip"),
        ("noextension", "application/octet-stream"),
        ("a.unknownextension", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("html", "application/octet-stream"),
    ];
    let site = Site::new(&[]);
    for (name, _) in names {
        site.write(&format!("public/{name}"), b"x");
    }
    let server = site.serve(&format!(
        "[types]\nglb = \"model/x-own\"\nMD = \"text/x-own; charset=utf-8\"\n{}",
        config("nosniff = true\n")
    ));
    let mut client = server.connect();
    for (name, expected) in names {
        let response = client.get(&format!("/{name}"));
        assert_eq!(response.headers("content-type"), [expected], "{name}");
        assert_eq!(response.headers("x-content-type-options"), ["nosniff"], "{name}");
    }
    let server = site.serve(&config(""));
    assert_eq!(server.get("/a.html").header("x-content-type-options"), None);
    assert_ne!(server.get("/a.glb").header("content-type"), Some("model/x-own"));
}
