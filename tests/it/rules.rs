//! Rules by glob: headers, other origins, redirects, rewrites, and what is denied.

use crate::support::Client;
use crate::support::Response;
use crate::support::Site;

/// Tells what it was asked, with fields of its own.
pub const APP: &str = "
import json

def app(environ, start_response):
    if environ['PATH_INFO'].startswith('/raise'):
        raise RuntimeError('as it was asked to')
    environ['wsgi.input'].read()
    start_response('200 OK', [
        ('Content-Type', 'application/json'), ('X-Frame-Options', 'ALLOWALL'), ('X-App', 'yes'),
        ('Vary', 'Cookie'), ('Set-Cookie', 'a=1'), ('Cache-Control', 'private'),
    ])
    return [json.dumps({k: v for k, v in environ.items() if isinstance(v, str)}).encode()]
";

/// An application that answers everywhere, and a folder.
const CONFIG: &str = "
[app.echo]
target = \"echo:app\"
threads = 1
[[site]]
[[site.route]]
path = \"/\"
app = \"echo\"
[[site.route]]
path = \"/files/\"
files = \"public\"
";

fn folder() -> Site {
    Site::new(&[
        ("echo.py", APP.as_bytes()),
        ("public/a.txt", b"text"),
        ("public/docs/index.html", b"docs"),
        ("public/app.0a1b2c3d.js", b"js"),
        ("public/x.bak", b"secret"),
        ("public/sub/x.bak", b"secret"),
    ])
}

fn fields_but_date(response: &Response) -> Vec<(String, String)> {
    let mut fields = response.headers.clone();
    fields.retain(|(name, _)| name != "Date");
    fields
}

fn json(response: &Response) -> serde_json::Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {response:?}"))
}

#[test]
fn headers_of_rules_replace_those_of_files_and_of_applications() {
    let folder = folder();
    let server = folder.serve(&format!(
        "{CONFIG}cache_control = \"max-age=1\"\nnosniff = true\n\
         [[site.rule]]\npath = \"/**\"\n[site.rule.headers]\nx-frame-options = \"DENY\"\n\
         Cache-Control = \"max-age=2\"\nVary = \"X-One\"\nSet-Cookie = \"b=2\"\nX-Twice = \"one\"\n\
         [[site.rule]]\npath = \"/files/*.????????.{{js,css}}\"\nheaders = {{ X-Twice = \"two\" }}\n\
         cache_control = \"public, max-age=31536000, immutable\"\n"
    ));
    let mut client = server.connect();
    let etag = client.get("/files/a.txt").header("etag").unwrap().to_owned();
    let matches = format!("If-None-Match: {etag}\r\n");
    for (method, path, fields, status) in [
        ("GET", "/files/a.txt", "", 200),
        ("HEAD", "/files/a.txt", "", 200),
        ("GET", "/files/a.txt", "Range: bytes=1-2\r\n", 206),
        ("GET", "/files/a.txt", "Range: bytes=9-\r\n", 416),
        ("GET", "/files/a.txt", matches.as_str(), 304),
        ("GET", "/files/a.txt", "If-Match: \"x\"\r\n", 412),
        ("GET", "/files/docs", "", 301),
        ("GET", "/files/none", "", 404),
        ("POST", "/files/a.txt", "", 405),
        ("OPTIONS", "/files/a.txt", "", 204),
        ("GET", "/echo", "", 200),
        ("HEAD", "/echo", "", 200),
        ("GET", "/raise", "", 500),
    ] {
        let response = client.request(method, path, fields, b"");
        let shown = format!("{method} {path} {fields}: {response:?}");
        assert_eq!(response.status, status, "{shown}");
        assert_eq!(response.headers("x-frame-options"), ["DENY"], "{shown}");
        let caching: &[&str] = if status < 400 { &["max-age=2"] } else { &[] };
        assert_eq!(response.headers("cache-control"), caching, "{shown}");
        assert_eq!(response.headers("x-twice"), ["one"], "{shown}");
        assert!(response.headers("vary").join(",").contains("X-One"), "{shown}");
        assert!(response.headers("set-cookie").contains(&"b=2"), "{shown}");
        let is_apps = path == "/echo";
        assert_eq!(response.headers("set-cookie").contains(&"a=1"), is_apps, "{shown}");
        assert_eq!(response.headers("vary").join(",").contains("Cookie"), is_apps, "{shown}");
        if matches!(status, 200 | 206) && !is_apps {
            assert!(response.headers("vary").join(",").contains("Accept-Encoding"), "{shown}");
            assert_eq!(response.headers("x-content-type-options"), ["nosniff"], "{shown}");
        }
        if status == 304 {
            assert_eq!(response.header("content-length"), None);
        }
    }
    let hashed = client.get("/files/app.0a1b2c3d.js");
    assert_eq!(hashed.headers("cache-control"), ["public, max-age=31536000, immutable"]);
    assert_eq!(hashed.headers("x-twice"), ["two"]);
    assert_eq!(hashed.text(), "js");
}

#[test]
fn other_origins_may_read_what_a_rule_permits() {
    let folder = folder();
    let server = folder.serve(&format!(
        "{CONFIG}[[site.rule]]\npath = \"/files/**\"\ncors = true\n\
         [[site.rule]]\npath = \"/api/**\"\n[site.rule.cors]\n\
         origins = [\"https://a.test\", \"http://b.test:8080\"]\nmethods = [\"PUT\"]\n\
         headers = [\"X-Token\"]\nexpose = [\"X-Total\"]\ncredentials = true\nmax_age = \"1h\"\n"
    ));
    let mut client = server.connect();
    for origin in ["Origin: https://any.test\r\n", "Origin: null\r\n", ""] {
        let response = client.request("GET", "/files/a.txt", origin, b"");
        assert_eq!(response.headers("access-control-allow-origin"), ["*"]);
        assert_eq!(response.header("access-control-allow-credentials"), None);
        assert_eq!((response.status, response.text()), (200, "text".to_owned()));
    }
    for (origin, permitted) in [
        ("https://a.test", true),
        ("http://b.test:8080", true),
        ("https://a.test.evil.test", false),
        ("https://evil-a.test", false),
        ("http://a.test", false),
        ("https://a.test:443", false),
        ("https://A.test", false),
        ("http://b.test", false),
        ("null", false),
        ("", false),
    ] {
        let field = format!("Origin: {origin}\r\n");
        let response = client.request("GET", "/api/x", &field, b"");
        assert_eq!(response.header("x-app"), Some("yes"), "the answer comes in any case");
        let expected = if permitted { vec![origin] } else { vec![] };
        assert_eq!(response.headers("access-control-allow-origin"), expected);
        let credentials = response.header("access-control-allow-credentials");
        assert_eq!(credentials, permitted.then_some("true"));
        let exposed = response.header("access-control-expose-headers");
        assert_eq!(exposed, permitted.then_some("X-Total"));
        assert_eq!(response.header("vary"), Some("Cookie, Origin"), "{origin}");
        let preflight = format!("{field}Access-Control-Request-Method: PUT\r\n");
        let response = client.request("OPTIONS", "/api/x", &preflight, b"");
        assert_eq!((response.status, response.header("x-app")), (204, None));
        let say = |name: &str, value: &'static str| {
            assert_eq!(response.header(name), permitted.then_some(value), "{origin}");
        };
        say("access-control-allow-methods", "PUT");
        say("access-control-allow-headers", "X-Token");
        say("access-control-allow-credentials", "true");
        say("access-control-max-age", "3600");
        assert_eq!(response.headers("access-control-allow-origin"), expected);
        assert!(response.headers("vary").join(",").contains("Origin"));
    }
    // What is no preflight goes to whoever answers.
    for fields in ["", "Origin: https://a.test\r\n", "Access-Control-Request-Method: PUT\r\n"] {
        let response = client.request("OPTIONS", "/api/x", fields, b"");
        assert_eq!(response.header("x-app"), Some("yes"), "{fields}");
    }
    let asked = "Origin: http://o.test\r\nAccess-Control-Request-Method: GET\r\n\
                 Access-Control-Request-Headers: x-one,Authorization\r\n";
    let response = client.request("OPTIONS", "/files/a.txt", asked, b"");
    assert_eq!(response.header("access-control-allow-headers"), Some("x-one, Authorization"));
    let response = client.request("OPTIONS", "/other", asked, b"");
    assert_eq!(response.header("x-app"), Some("yes"), "no rule permits anything here");
    assert_eq!(response.header("access-control-allow-origin"), None);
}

#[test]
fn redirects_have_captures_statuses_and_the_query() {
    let folder = folder();
    let mut config = CONFIG.to_owned();
    for (path, to, status) in [
        ("/blog/*", "/news/$1", 301),
        ("/r302/*/*", "/$2/$1", 302),
        ("/r303/**", "/x/$1", 303),
        ("/r307", "https://other.test/a?b=c", 307),
        ("/r308/**", "https://other.test/$1", 308),
        ("/q/*", "/search?q=$1", 302),
        ("/cost", "/a$$b", 302),
        ("/frag", "/page#part", 302),
    ] {
        config +=
            &format!("[[site.rule]]\npath = \"{path}\"\nredirect = \"{to}\"\nstatus = {status}\n");
    }
    let server = folder.serve(&config);
    let mut client = server.connect();
    for (path, status, location) in [
        ("/blog/a", 301, "/news/a"),
        ("/blog/a?x=1&y=%20", 301, "/news/a?x=1&y=%20"),
        ("/blog/a%20b%2525", 301, "/news/a%20b%2525"),
        ("/blog/%C3%A9%FF", 301, "/news/%C3%A9%FF"),
        ("/blog/%3F%23", 301, "/news/%3F%23"),
        ("/blog/$1", 301, "/news/$1"),
        ("/r302/a/b?c", 302, "/b/a?c"),
        ("/r303/a/b", 303, "/x/a/b"),
        ("/r307?own=1", 307, "https://other.test/a?b=c"),
        ("/r308/a/b?c", 308, "https://other.test/a/b?c"),
        ("/q/a&b=c%20d?x", 302, "/search?q=a%26b%3Dc%20d"),
        ("/cost", 302, "/a$b"),
        ("/frag?x=1", 302, "/page?x=1#part"),
    ] {
        for (method, body) in [("GET", ""), ("HEAD", ""), ("POST", "some body")] {
            let response = client.request(method, path, "", body.as_bytes());
            assert_eq!(response.status, status, "{method} {path}");
            assert_eq!(response.headers("location"), [location], "{method} {path}");
            assert_eq!(response.header("x-app"), None);
        }
    }
    assert_eq!(client.get("/blog/a/b").header("x-app"), Some("yes"), "a star ends at a slash");
}

#[test]
fn no_redirect_leads_where_a_stranger_wants() {
    let folder = folder();
    let server = folder.serve(&format!(
        "{CONFIG}[[site.rule]]\npath = \"/old/**\"\nredirect = \"/$1\"\n\
         [[site.rule]]\npath = \"/bare**\"\nredirect = \"/$1\"\n\
         [[site.rule]]\npath = \"/host/**\"\nredirect = \"https://good.test/$1\"\n"
    ));
    let mut client = server.connect();
    for rest in [
        "/evil.test",
        "//evil.test",
        "///evil.test",
        "\\evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "%5Cevil.test",
        "%2Fevil.test",
        "%2F%2Fevil.test",
        "%2f%5cevil.test",
        "%09/evil.test",
        "/%09/evil.test",
        "%20//evil.test",
        "%0d%0aSet-Cookie:%20evil=1",
        "%0D%0A%0D%0A<script>",
        "%E5%98%8A%E5%98%8DSet-Cookie:evil=1",
        "@evil.test",
        ":@evil.test",
        ".evil.test",
        "javascript:alert(1)",
        "https://evil.test",
        "https:evil.test",
        "%2e%2e//evil.test",
        "./%2e//evil.test",
        "%252e%252e/evil.test",
        "?//evil.test",
        "?%0d%0aevil: 1",
        "%00",
        "/%2e%2e%2f/evil.test",
    ] {
        for prefix in ["/old/", "/old", "/bare", "//old/", "/host/", "/x/../old/"] {
            let path = format!("{prefix}{rest}");
            let response = server.get(&path);
            if response.status != 301 {
                assert!([200, 400, 404].contains(&response.status), "{path}: {response:?}");
                continue;
            }
            let location = response.header("location").unwrap();
            let own = location.strip_prefix("https://good.test").unwrap_or(location);
            assert!(own.starts_with('/'), "{path}: {location}");
            let second = own.as_bytes().get(1);
            let is_ours = !matches!(second, Some(b'/' | b'\\')) || own != location;
            assert!(is_ours, "{path}: {location}");
            assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{path}: {location}");
            let segments: Vec<_> = own.split(['/', '?']).collect();
            assert!(!segments.iter().any(|s| ["..", "%2e%2e", "%2E%2E"].contains(s)), "{location}");
            assert_eq!(response.header("set-cookie"), None);
            assert_eq!(response.header("evil"), None);
        }
    }
    assert_eq!(client.get("/old/a?b").header("location"), Some("/a?b"));
}

#[test]
fn a_rewritten_path_is_answered_as_if_it_had_been_asked_for() {
    let folder = folder();
    let server = folder.serve(&format!(
        "{CONFIG}[[site.route]]\npath = \"/shop/\"\napp = \"echo\"\n\
         [[site.rule]]\npath = \"/v1/**\"\nrewrite = \"/files/$1\"\n\
         [[site.rule]]\npath = \"/to-app/**\"\nrewrite = \"/new/$1\"\n\
         [[site.rule]]\npath = \"/to-shop/*\"\nrewrite = \"/shop/$1\"\n\
         [[site.rule]]\npath = \"/dots/*\"\nrewrite = \"/files/.$1/a.txt\"\n\
         [[site.rule]]\npath = \"/twice/*\"\nrewrite = \"/v1/$1\"\n"
    ));
    let mut client = server.connect();
    let (own, rewritten) = (client.get("/files/a.txt"), client.get("/v1/a.txt?x"));
    assert_eq!((rewritten.status, rewritten.text()), (200, "text".to_owned()));
    assert_eq!(fields_but_date(&own), fields_but_date(&rewritten));
    let condition = format!("If-None-Match: {}\r\n", own.header("etag").unwrap());
    assert_eq!(client.request("GET", "/v1/a.txt", &condition, b"").status, 304);
    assert_eq!(client.request("HEAD", "/v1/a.txt", "", b"").status, 200);
    assert_eq!(client.request("POST", "/v1/a.txt", "", b"").status, 405);
    let part = client.request("GET", "/v1/a.txt", "Range: bytes=1-2\r\n", b"");
    assert_eq!(part.text(), "ex");
    assert_eq!(client.get("/v1/none").status, 404);
    assert_eq!(client.get("/v1/docs/").text(), "docs");
    for (path, path_info, script_name) in [
        ("/to-app/a%20b?q=1", "/new/a b", ""),
        ("/to-app/%25x//y", "/new/%x/y", ""),
        ("/to-shop/cart", "/cart", "/shop"),
    ] {
        let response = client.request("POST", path, "", b"body");
        let environ = json(&response);
        assert_eq!(environ["PATH_INFO"], path_info, "{path}");
        assert_eq!(environ["SCRIPT_NAME"], script_name, "{path}");
        assert_eq!(environ["REQUEST_URI"], path);
        assert_eq!(environ["RAW_URI"], path);
        assert_eq!(environ["QUERY_STRING"], path.split_once('?').map_or("", |(_, query)| query));
    }
    // A star that would make dots of its text makes nothing at all.
    assert_eq!(client.get("/dots/.").status, 404);
    assert_eq!(client.get("/dots/%2e").status, 404);
    // A path is rewritten once.
    assert_eq!(json(&client.get("/twice/a.txt"))["PATH_INFO"], "/v1/a.txt");
}

#[test]
fn what_is_denied_looks_as_if_it_were_not_there() {
    let folder = folder();
    let mut config = format!("{CONFIG}[[site.rule]]\npath = \"/**/*.{{bak,sql}}\"\ndeny = true\n");
    for status in [403, 410, 451] {
        config +=
            &format!("[[site.rule]]\npath = \"/s{status}/**\"\ndeny = true\nstatus = {status}\n");
    }
    config += "[[site.rule]]\npath = \"/renamed\"\nrewrite = \"/files/x.bak\"\n";
    let server = folder.serve(&config);
    let mut client = server.connect();
    for path in [
        "/files/x.bak",
        "/files/sub/x.bak",
        "/files//x.bak",
        "//files/x.bak",
        "/files/x%2ebak",
        "/files/%78.bak",
        "/files/sub/../x.bak",
        "/files/%2e/x.bak",
        "/files/x.bak/",
        "/files/x.bak?y",
        "/renamed",
        "/app.sql",
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE"] {
            let missing = client.request(method, "/files/none", "", b"");
            let denied = client.request(method, path, "", b"");
            assert_eq!(denied.status, 404, "{method} {path}");
            assert_eq!(fields_but_date(&denied), fields_but_date(&missing), "{method} {path}");
            assert_eq!(denied.body, missing.body);
        }
    }
    for (path, status) in [("/s403/x", 403), ("/s410/x/y", 410), ("/s451/", 451), ("/s410", 410)] {
        let response = client.get(path);
        assert_eq!((response.status, response.header("x-app")), (status, None), "{path}");
    }
    // A star is any bytes: also those that end lines, and those that are no text.
    for path in ["/a%0ab.sql", "/a%0a/b.sql", "/%0d%0a/b.sql", "/%ff%fe/b.sql", "/%c3%a9/%f0.sql"] {
        let response = client.get(path);
        assert_eq!((response.status, response.header("x-app")), (404, None), "{path}");
    }
    // Conditions and ranges do not tell that something is there.
    for fields in ["If-None-Match: *\r\n", "If-Match: \"x\"\r\n", "Range: bytes=99-\r\n"] {
        assert_eq!(client.request("GET", "/files/x.bak", fields, b"").status, 404, "{fields}");
    }
    assert_eq!(client.get("/files/a.txt").text(), "text");
}

#[test]
fn the_first_action_and_the_last_header_count() {
    let folder = folder();
    let server = folder.serve(&format!(
        "{CONFIG}[[site.rule]]\npath = \"/a/*\"\nredirect = \"/first/$1\"\nstatus = 302\n\
         [[site.rule]]\npath = \"/a/x\"\ndeny = true\n\
         [[site.rule]]\npath = [\"/b\", \"/c\"]\ndeny = true\nstatus = 410\n\
         headers = {{ X-Why = \"gone\" }}\n\
         [[site.rule]]\npath = \"/c\"\nredirect = \"/never\"\nheaders = {{ X-Why = \"late\" }}\n"
    ));
    let mut client: Client = server.connect();
    let response = client.get("/a/x");
    assert_eq!((response.status, response.header("location")), (302, Some("/first/x")));
    let response = client.get("/b");
    assert_eq!((response.status, response.header("x-why")), (410, Some("gone")));
    let response = client.get("/c");
    assert_eq!((response.status, response.header("x-why")), (410, Some("late")));
    // Rules of one site are none of an unknown one's, and a star as target has no path.
    assert_eq!(client.request("OPTIONS", "*", "", b"").status, 204);
}
