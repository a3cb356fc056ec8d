//! What answers at an address: index files, clean addresses, slashes, fallbacks, error pages.

use crate::rules::APP;
use crate::support::Client;
use crate::support::Response;
use crate::support::Site;
use crate::support::pattern;
use crate::support::until;

/// A folder `public` at `/`, with more keys for its route.
fn config(route: &str) -> String {
    format!("[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"public\"\n{route}")
}

/// What a client gets: a status, and the text of a file or where it is sent to.
fn outcome(response: &Response) -> (u16, String) {
    match response.header("location") {
        Some(location) => (response.status, location.to_owned()),
        None if response.status == 200 => (200, response.text()),
        None => (response.status, String::new()),
    }
}

/// Asks with GET and HEAD, which must agree.
fn ask(client: &mut Client, path: &str) -> (u16, String) {
    let (get, head) = (client.get(path), client.request("HEAD", path, "", b""));
    assert_eq!(get.status, head.status, "{path}");
    assert_eq!(get.header("location"), head.header("location"), "{path}");
    assert_eq!(get.header("content-length"), head.header("content-length"), "{path}");
    outcome(&get)
}

#[test]
fn the_first_index_that_is_there_stands_for_a_folder() {
    let site = Site::new(&[
        ("public/both/b.htm", b"second"),
        ("public/both/a.html", b"first"),
        ("public/one/b.htm", b"one"),
        ("public/none/c.html", b"none"),
        ("public/folder/a.html/x", b"a folder of that name"),
        ("public/folder/b.htm", b"passed by"),
    ]);
    let server = site.serve(&config("index = [\"a.html\", \"b.htm\"]\n"));
    let mut client = server.connect();
    for (path, status, text) in [
        ("/both/", 200, "first"),
        ("/one/", 200, "one"),
        ("/none/", 404, ""),
        ("/none", 404, ""),
        ("/", 404, ""),
        ("/folder/", 200, "passed by"),
        ("/both", 301, "/both/"),
        ("/one?x=/../&y", 301, "/one/?x=/../&y"),
    ] {
        assert_eq!(ask(&mut client, path), (status, text.to_owned()), "{path}");
    }
    // Removed, made, and put before the other: seen within a second.
    let change = |client: &mut Client, path: &str, expected: &str| {
        until(|| client.get(path), |response| response.text() == expected);
    };
    std::fs::remove_file(site.path().join("public/both/a.html")).unwrap();
    change(&mut client, "/both/", "second");
    site.write("public/none/b.htm", b"made");
    change(&mut client, "/none/", "made");
    site.write("public/none/a.html", b"better");
    change(&mut client, "/none/", "better");
    let server = site.serve(&config("index = []\n"));
    assert_eq!(server.get("/both/").status, 404);
    assert_eq!(server.get("/both/b.htm").text(), "second");
}

#[test]
fn each_policy_of_slashes_has_its_addresses() {
    let site = Site::new(&[
        ("public/index.html", b"home"),
        ("public/docs/index.html", b"docs"),
        ("public/about.html", b"about"),
        ("public/a.txt", b"text"),
        ("public/two.html", b"two page"),
        ("public/two/index.html", b"two folder"),
        ("public/sub/page.html", b"page"),
    ]);
    // path, then what "folders", "add", "remove" and "keep" answer with.
    let table = [
        ("/", ["home"; 4]),
        ("/docs", ["/docs/", "/docs/", "docs", "docs"]),
        ("/docs/", ["docs", "docs", "/docs", "docs"]),
        ("/about", ["about", "/about/", "about", "about"]),
        ("/about/", ["404", "about", "/about", "about"]),
        ("/about.html", ["about"; 4]),
        ("/about.html/", ["404"; 4]),
        ("/a.txt", ["text"; 4]),
        ("/a.txt/", ["404"; 4]),
        ("/two", ["/two/", "/two/", "two folder", "two folder"]),
        ("/two/", ["two folder", "two folder", "/two", "two folder"]),
        ("/sub/page", ["page", "/sub/page/", "page", "page"]),
        ("/sub/page/", ["404", "page", "/sub/page", "page"]),
        ("/sub", ["404"; 4]),
        ("/sub/", ["404"; 4]),
        ("/none", ["404"; 4]),
        ("/docs/index.html", ["docs"; 4]),
        ("//docs//", ["docs", "docs", "/docs", "docs"]),
        ("//about", ["about", "/about/", "about", "about"]),
    ];
    for (column, policy) in ["folders", "add", "remove", "keep"].iter().enumerate() {
        let keys = format!("clean_urls = true\ntrailing_slash = \"{policy}\"\n");
        let server = site.serve(&config(&keys));
        let mut client = server.connect();
        for (path, expected) in table {
            let expected = match expected[column] {
                "404" => (404, String::new()),
                address if address.starts_with('/') => (301, address.to_owned()),
                text => (200, text.to_owned()),
            };
            assert_eq!(ask(&mut client, path), expected, "{path} where {policy}");
            if expected.0 == 301 {
                let query = format!("{path}?q=1&r=%2F");
                let location = format!("{}?q=1&r=%2F", expected.1);
                assert_eq!(ask(&mut client, &query), (301, location));
                // Where one is sent to is not another redirect.
                assert_eq!(client.get(&expected.1).status, 200, "{path} where {policy}");
            }
        }
        for path in ["//evil.test", "//evil.test/", "/\\evil.test/", "///evil.test//?x"] {
            site.write("public/evil.test/index.html", b"x");
            site.write("public/\\evil.test/index.html", b"x");
            let (_, location) = ask(&mut client, path);
            assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{location}");
        }
    }
}

#[test]
fn without_clean_addresses_a_page_has_its_extension() {
    let site = Site::new(&[("public/about.html", b"about")]);
    for policy in ["folders", "add", "remove", "keep"] {
        let server = site.serve(&config(&format!("trailing_slash = \"{policy}\"\n")));
        for path in ["/about", "/about/"] {
            assert_eq!(server.get(path).status, 404, "{path} where {policy}");
        }
        assert_eq!(server.get("/about.html").text(), "about");
    }
}

#[test]
fn a_fallback_page_answers_who_wants_to_read() {
    let site = Site::new(&[
        ("public/index.html", b"<p>the app"),
        ("public/a.txt", b"text"),
        ("public/empty/x", b"x"),
        ("public/.env", b"secret"),
    ]);
    let server = site.serve(&config("fallback = \"/index.html\"\n"));
    let mut client = server.connect();
    for path in ["/", "/users/7", "/users/7?tab=1", "/a.txt/", "/empty/", "/.env", "//deep//path"] {
        assert_eq!(ask(&mut client, path), (200, "<p>the app".to_owned()), "{path}");
        let response = client.get(path);
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        let condition = format!("If-None-Match: {}\r\n", response.header("etag").unwrap());
        assert_eq!(client.request("GET", path, &condition, b"").status, 304);
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let response = client.request(method, "/users/7", "", b"");
        assert!([404, 405].contains(&response.status), "{method}: {response:?}");
        assert!(!response.text().contains("the app"));
    }
    assert_eq!(client.get("/a.txt").text(), "text");
    // Without it, and as soon as it is there.
    std::fs::remove_file(site.path().join("public/index.html")).unwrap();
    until(|| client.get("/users/7"), |response| response.status == 404);
    site.write("public/index.html", b"new");
    until(|| client.get("/users/7"), |response| response.text() == "new");
}

#[test]
fn an_application_answers_where_no_file_is() {
    let site = Site::new(&[
        ("echo.py", APP.as_bytes()),
        ("public/a.txt", b"text"),
        ("public/docs/index.html", b"docs"),
        ("public/.env", b"secret"),
    ]);
    let app = "[app.echo]\ntarget = \"echo:app\"\nthreads = 1\n";
    let server = site.serve(&format!("{app}{}", config("fallback = \"app:echo\"\n")));
    let mut client = server.connect();
    for (method, path, is_apps) in [
        ("GET", "/a.txt", false),
        ("GET", "/docs", false),
        ("GET", "/docs/", false),
        ("GET", "/", true),
        ("POST", "/none", true),
        ("GET", "/.env", true),
        ("GET", "/a.txt/", true),
        ("DELETE", "/x//y", true),
    ] {
        let response = client.request(method, path, "", b"");
        assert_eq!(response.header("x-app").is_some(), is_apps, "{method} {path}: {response:?}");
        if is_apps {
            let environ: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(environ["PATH_INFO"], path, "as it was asked for");
        }
    }
    assert_eq!(client.request("POST", "/a.txt", "", b"").status, 405);
}

const PAGES: &str = "error_pages = { 404 = \"errors/404.html\", 405 = \"errors/405.txt\", \
                     412 = \"errors/404.html\", 416 = \"errors/large.html\", \
                     500 = \"errors/500.html\", 403 = \"errors/gone.html\" }\n";

fn with_error_pages() -> (Site, crate::support::Server) {
    let site = Site::new(&[
        ("echo.py", APP.as_bytes()),
        ("public/a.txt", b"text"),
        ("errors/404.html", b"<p>not here"),
        ("errors/405.txt", b"not so"),
        ("errors/500.html", b"<p>our fault"),
        ("errors/gone.html", b"<p>forbidden"),
        ("errors/large.html", &pattern(100_000)),
    ]);
    let server = site.serve(&format!(
        "[app.echo]\ntarget = \"echo:app\"\nthreads = 1\n[[site]]\n{PAGES}\
         [[site.route]]\npath = \"/\"\nfiles = \"public\"\ncache_control = \"max-age=3600\"\n\
         [[site.route]]\npath = \"/app\"\napp = \"echo\"\n\
         [[site.rule]]\npath = \"/forbidden/**\"\ndeny = true\nstatus = 403\n"
    ));
    (site, server)
}

#[test]
fn errors_have_the_pages_of_the_operator() {
    let (site, server) = with_error_pages();
    let mut client = server.connect();
    let large = pattern(100_000);
    for round in 0..2 {
        for (method, path, fields, status, page) in [
            ("GET", "/none", "", 404, &b"<p>not here"[..]),
            ("GET", "/none", "Accept: application/json\r\n", 404, b"<p>not here"),
            ("GET", "/none", "Accept-Encoding: gzip, identity;q=0\r\n", 404, b"<p>not here"),
            ("GET", "/none", "Range: bytes=0-1\r\nIf-None-Match: *\r\n", 404, b"<p>not here"),
            ("POST", "/none", "", 404, b"<p>not here"),
            ("POST", "/a.txt", "", 405, b"not so"),
            ("GET", "/a.txt", "If-Match: \"x\"\r\n", 412, b"<p>not here"),
            ("GET", "/a.txt", "Range: bytes=9-\r\n", 416, &large),
            ("GET", "/forbidden/x", "", 403, b"<p>forbidden"),
        ] {
            let response = client.request(method, path, fields, b"");
            let shown = format!("{method} {path} {fields} in round {round}");
            assert_eq!(response.status, status, "{shown}");
            assert!(response.body == page, "{shown}");
            assert_eq!(response.headers("content-length"), [page.len().to_string()], "{shown}");
            for name in ["etag", "last-modified", "content-encoding", "accept-ranges"] {
                assert_eq!(
                    response.header(name),
                    None,
                    "{shown}: {name} is not the page's to tell"
                );
            }
            assert_eq!(response.header("cache-control"), None, "{shown}");
            if method == "GET" {
                let head = client.request("HEAD", path, fields, b"");
                let length = head.header("content-length").map(str::to_owned);
                // HEAD knows no ranges.
                let status = if status == 416 { 200 } else { status };
                assert_eq!(head.status, status, "HEAD {shown}");
                assert!(length.is_some());
            }
        }
    }
    let of = |path: &str, name: &str| server.get(path).header(name).map(str::to_owned);
    assert_eq!(of("/none", "content-type").unwrap(), "text/html; charset=utf-8");
    let allowed = client.request("POST", "/a.txt", "", b"");
    assert_eq!(allowed.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(allowed.header("allow"), Some("GET, HEAD, OPTIONS"));
    // Gone from the disk: our own page. Changed: the new one.
    std::fs::remove_file(site.path().join("errors/gone.html")).unwrap();
    site.write("errors/404.html", b"<p>still not here");
    until(|| client.get("/none"), |response| response.text() == "<p>still not here");
    let own = until(|| client.get("/forbidden/x"), |own| own.text().contains("<h1>403</h1>"));
    assert_eq!((own.status, own.header("content-type")), (403, Some("text/html; charset=utf-8")));
}

#[test]
fn an_application_that_raises_has_the_operators_page() {
    let (_site, server) = with_error_pages();
    let mut client = server.connect();
    for _ in 0..2 {
        let response = client.get("/app/raise");
        assert_eq!((response.status, response.text()), (500, "<p>our fault".to_owned()));
        assert_eq!(response.header("x-app"), None);
        let head = client.request("HEAD", "/app/raise", "", b"");
        assert_eq!((head.status, head.header("content-length")), (500, Some("12")));
        assert_eq!(client.request("POST", "/app/raise", "", b"body").text(), "<p>our fault");
        assert_eq!(client.get("/app/fine").header("x-app"), Some("yes"));
    }
    server.wait_for_log("RuntimeError: as it was asked to");
}

#[test]
fn our_own_pages_come_as_the_client_likes_them() {
    let site = Site::new(&[("public/a.txt", b"text")]);
    let server = site.serve(&config(""));
    let mut client = server.connect();
    for (accept, media_type) in [
        ("", "text/html; charset=utf-8"),
        ("Accept: */*\r\n", "text/html; charset=utf-8"),
        ("Accept: application/json\r\n", "application/json"),
        ("Accept: text/plain\r\n", "text/plain; charset=utf-8"),
        ("Accept: image/avif,image/webp\r\n", "text/plain; charset=utf-8"),
    ] {
        let response = client.request("GET", "/none<script>", accept, b"");
        assert_eq!(response.header("content-type"), Some(media_type), "{accept}");
        assert!(!response.text().contains("script"));
        assert_eq!(response.header("vary"), Some("Accept"));
        let head = client.request("HEAD", "/none<script>", accept, b"");
        assert_eq!(head.header("content-length"), response.header("content-length"));
    }
}
