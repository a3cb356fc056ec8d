//! Realms: who may ask, by however a path is spelt, and that nobody else gets anything.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::rules::APP;
use crate::support::Client;
use crate::support::Response;
use crate::support::Site;

/// Of `sesame`, as quick as a hash can be.
static HASH: LazyLock<String> = LazyLock::new(|| bcrypt::hash("sesame", 4).unwrap());

fn config(rules: &str) -> String {
    format!(
        "[app.echo]\ntarget = \"echo:app\"\nthreads = 1\n\
         [auth.staff]\nrealm = \"Staff \\\"only\\\"\"\nusers = {{ ada = \"{hash}\" }}\n\
         [auth.board]\nusers = {{ bob = \"{hash}\" }}\n\
         [[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"public\"\nfallback = \"app:echo\"\n\
         listing = true\n{rules}",
        hash = *HASH
    )
}

const ADMIN: &str = "[[site.rule]]\npath = \"/admin/**\"\nauth = \"staff\"\n";

fn folder() -> Site {
    Site::new(&[
        ("echo.py", APP.as_bytes()),
        ("public/open.txt", b"open"),
        ("public/admin/index.html", b"secret index"),
        ("public/admin/x", b"secret x"),
        ("public/admin/large.bin", &[b's'; 100_000]),
        ("public/admin/public/a", b"public a"),
        ("401.html", b"<p>who are you?"),
    ])
}

fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
}

fn assert_refused(response: &Response, what: &str) {
    assert_eq!(response.status, 401, "{what}: {response:?}");
    let challenge = "Basic realm=\"Staff \\\"only\\\"\", charset=\"UTF-8\"";
    assert_eq!(response.headers("www-authenticate"), [challenge], "{what}");
    assert!(!response.text().contains("secret"), "{what}");
    for name in ["x-app", "etag", "last-modified", "accept-ranges", "set-cookie"] {
        assert_eq!(response.header(name), None, "{what} tells {name}");
    }
}

#[test]
fn only_the_right_name_and_password_are_let_in() {
    let folder = folder();
    let server = folder.serve(&config(ADMIN));
    let mut client = server.connect();
    let token = STANDARD.encode("ada:sesame");
    for _ in 0..3 {
        for fields in [
            String::new(),
            basic("ada:wrong"),
            basic("ada:"),
            basic("ada:sesame "),
            basic("ada:sesam"),
            basic("ada:sesame\0"),
            basic("Ada:sesame"),
            basic("ada"),
            basic(":sesame"),
            basic("bob:sesame"),
            basic("nobody:sesame"),
            basic(""),
            basic(&format!("ada:sesame{}", "x".repeat(3000))),
            "Authorization:\r\n".to_owned(),
            "Authorization: Basic\r\n".to_owned(),
            "Authorization: Basic !!!\r\n".to_owned(),
            format!("Authorization: Bearer {token}\r\n"),
            format!("Authorization: Basic{token}\r\n"),
            format!("Authorization: {token}\r\n"),
            format!("Proxy-Authorization: Basic {token}\r\n"),
            format!("Authorization: Basic {token}, Basic {token}\r\n"),
            // Who comes behind us might take the other one.
            format!("Authorization: Basic {token}\r\nAuthorization: Basic x\r\n"),
            format!("Cookie: Authorization=Basic {token}\r\n"),
        ] {
            assert_refused(&client.request("GET", "/admin/x", &fields, b""), &fields);
        }
        for fields in [
            basic("ada:sesame"),
            format!("authorization: basic {token}\r\n"),
            format!("AUTHORIZATION: BASIC   {token}\r\n"),
        ] {
            let response = client.request("GET", "/admin/x", &fields, b"");
            assert_eq!((response.status, response.text()), (200, "secret x".to_owned()));
            assert_eq!(response.header("www-authenticate"), None);
        }
    }
}

#[test]
fn no_spelling_of_a_path_goes_round_a_password() {
    let folder = folder();
    let server = folder.serve(&config(ADMIN));
    let mut client = server.connect();
    for path in [
        "/admin",
        "/admin/",
        "/admin/x",
        "//admin/x",
        "///admin/x",
        "/admin//x",
        "/admin///x",
        "/%61dmin/x",
        "/%61%64%6d%69%6e/%78",
        "/admin/../admin/x",
        "/x/../admin/x",
        "/./admin/x",
        "/admin/./x",
        "/admin/x/.",
        "/admin/x/",
        "/admin/none",
        "/admin%2fx",
        "/admin%2Fx",
        "/%2fadmin/x",
        "/%2e/admin/x",
        "/x/%2e%2e/admin/x",
        "/x/%2e%2e%2fadmin/x",
        "/admin/x?y",
        "/admin?x",
        "/admin/x?/../open.txt",
        "http://test/admin/x",
        "http://test//admin/x",
        "/admin/..//admin/x",
        "/open.txt/../admin/x",
        "//admin",
        "/admin/%00/../x",
        "/admin/large.bin",
        "/admin/..;/admin/x",
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "FOO", "TRACE"] {
            // Each on a connection of its own: a bad request ends it.
            let response = server.connect().request(method, path, "", b"");
            if response.status != 400 || !path.contains("%00") {
                assert_refused(&response, &format!("{method} {path}"));
            }
        }
    }
    // Other paths are other paths, and nothing secret is there.
    for path in
        ["/Admin/x", "/admin;/x", "/admin.", "/adminx", "/admin%20/x", "/admin\\x", "/%2561dmin/x"]
    {
        let response = client.get(path);
        assert!(!response.text().contains("secret"), "{path}");
    }
    // What a client with a password may do, it may do by every spelling.
    for path in ["/admin/x", "//admin/x", "/%61dmin/x", "/x/../admin/x"] {
        let response = client.request("GET", path, &basic("ada:sesame"), b"");
        assert_eq!(response.text(), "secret x", "{path}");
    }
}

#[test]
fn conditions_and_ranges_tell_nothing_without_a_password() {
    let folder = folder();
    let server = folder.serve(&config(ADMIN));
    let mut client = server.connect();
    let known = client.request("GET", "/admin/x", &basic("ada:sesame"), b"");
    let etag = known.header("etag").unwrap();
    for fields in [
        format!("If-None-Match: {etag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        "If-Match: \"x\"\r\n".to_owned(),
        "Range: bytes=0-1\r\n".to_owned(),
        "Range: bytes=999-\r\n".to_owned(),
        "Accept-Encoding: identity;q=0\r\n".to_owned(),
        "Expect: 100-continue\r\n".to_owned(),
    ] {
        assert_refused(&client.request("GET", "/admin/x", &fields, b""), &fields);
    }
}

#[test]
fn a_refused_body_leaves_the_connection_in_step() {
    let folder = folder();
    let server = folder.serve(&config(ADMIN));
    let mut client = server.connect();
    for body in [&b"GET /admin/x HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[b'x'; 30_000]] {
        assert_refused(&client.request("POST", "/admin/x", "", body), "POST");
        assert_eq!(client.get("/open.txt").text(), "open");
    }
    // A password counts for its own request, not for those behind it.
    let one = |fields: &str| format!("GET /admin/x HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    client.send([one(&basic("ada:sesame")), one(""), one(&basic("ada:no")), one("")].concat());
    assert_eq!(client.response().text(), "secret x");
    for at in 1..4 {
        assert_refused(&client.response(), &format!("request {at}"));
    }
}

#[test]
fn a_right_password_is_hashed_once() {
    let folder = folder();
    let hash = bcrypt::hash("sesame", 8).unwrap();
    let server = folder.serve(&config(ADMIN).replace(&*HASH, &hash));
    let mut client = server.connect();
    let mut cost = |count: u32, pair: &str, status: u16| {
        let before = server.cpu_time();
        for _ in 0..count {
            assert_eq!(client.request("GET", "/admin/x", &basic(pair), b"").status, status);
        }
        server.cpu_time() - before
    };
    let wrong = cost(10, "ada:wrong", 401);
    cost(1, "ada:sesame", 200);
    let right = cost(10, "ada:sesame", 200);
    assert!(right * 3 < wrong, "{right:?} for 10 right ones, {wrong:?} for 10 wrong ones");
    // Nobody's name costs what somebody's does.
    let nobody = cost(10, "nobody:wrong", 401);
    assert!(nobody * 2 > wrong, "{nobody:?} for a name that is not there, {wrong:?} for one");
}

#[test]
fn a_rewrite_opens_no_door() {
    let folder = folder();
    let server = folder.serve(&config(&format!(
        "{ADMIN}[[site.rule]]\npath = \"/old/**\"\nrewrite = \"/admin/$1\"\n\
         [[site.rule]]\npath = \"/lobby/**\"\nrewrite = \"/open.txt\"\nauth = \"board\"\n\
         [[site.rule]]\npath = \"/both/**\"\nrewrite = \"/admin/$1\"\nauth = \"board\"\n\
         [[site.rule]]\npath = \"/open/**\"\nrewrite = \"/admin/$1\"\nauth = \"off\"\n\
         [[site.rule]]\npath = \"/admin/**\"\ncors = true\n"
    )));
    let mut client = server.connect();
    let (ada, bob) = (basic("ada:sesame"), basic("bob:sesame"));
    for path in ["/old/x", "//old/x", "/old/none", "/open/x", "/old/../old/x", "/old/"] {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let what = format!("{method} {path}");
            assert_refused(&client.request(method, path, "", b""), &what);
            assert_refused(&client.request(method, path, &bob, b""), &what);
        }
    }
    assert_eq!(client.request("GET", "/old/x", &ada, b"").text(), "secret x");
    assert_eq!(client.request("GET", "/lobby/x", "", b"").status, 401);
    assert_eq!(client.request("GET", "/lobby/x", &ada, b"").status, 401);
    assert_eq!(client.request("GET", "/lobby/x", &bob, b"").text(), "open");
    // Two realms, and nobody is in both.
    for fields in ["", &ada, &bob] {
        assert_eq!(client.request("GET", "/both/x", fields, b"").status, 401);
    }
    // What looks like a preflight is not led to where a password is asked for.
    let preflight = "Origin: http://o.test\r\nAccess-Control-Request-Method: PUT\r\n";
    for path in ["/old/x", "/old/none", "/open/none"] {
        let response = client.request("OPTIONS", path, preflight, b"");
        assert_eq!(response.header("x-app"), None, "{path}: the application was called");
        assert!([204, 401].contains(&response.status), "{path}: {response:?}");
    }
}

#[test]
fn no_other_address_of_a_file_opens_a_door() {
    let folder = folder();
    for (name, text) in [
        ("secret.html", "secret page"),
        ("secret.html.gz", "secret form"),
        ("app.html", "secret app"),
        ("docs/index.html", "secret docs"),
        ("kept/index.html", "secret kept"),
    ] {
        folder.write(&format!("public/{name}"), text.as_bytes());
    }
    let rules = "[[site.rule]]\npath = [\"/secret.html\", \"/app.html\", \"/**/index.html\"]\n\
                 auth = \"staff\"\n[[site.rule]]\npath = \"/kept/index.html\"\ndeny = true\n";
    let keys = "clean_urls = true\ntrailing_slash = \"keep\"\n";
    let config = config(&format!("{keys}{rules}"));
    for (fallback, deep) in
        [("fallback = \"app:echo\"", None), ("fallback = \"/app.html\"", Some("/x"))]
    {
        let server = folder.serve(&config.replace("fallback = \"app:echo\"", fallback));
        let mut client = server.connect();
        let paths =
            ["/secret", "/secret/", "/docs/", "/docs", "/docs/index", "/admin/", "//secret"];
        for path in paths.into_iter().chain(deep) {
            for fields in ["", "Accept-Encoding: gzip\r\n", "If-None-Match: *\r\n"] {
                for method in ["GET", "HEAD", "POST"] {
                    let response = client.request(method, path, fields, b"");
                    assert_refused(&response, &format!("{method} {path} {fields}"));
                }
            }
            assert_refused(&client.request("GET", path, &basic("ada:wrong"), b""), path);
            let response = client.request("GET", path, &basic("ada:sesame"), b"");
            assert_eq!(response.status, 200, "{path}: {response:?}");
            assert!(response.text().starts_with("secret"), "{path}");
        }
        for path in ["/kept/", "/kept", "/kept/index"] {
            assert_refused(&client.get(path), path);
            assert_eq!(
                client.request("GET", path, &basic("ada:sesame"), b"").status,
                404,
                "{path}"
            );
        }
        assert_eq!(client.get("/open.txt").text(), "open");
    }
}

#[test]
fn a_password_that_takes_longer_than_a_file_stays_fresh_is_checked_once() {
    let folder = folder();
    folder.write("public/secret.html", b"secret page");
    let rules = "clean_urls = true\n[[site.rule]]\npath = \"/secret.html\"\nauth = \"staff\"\n";
    let slow = bcrypt::hash("sesame", 13).unwrap();
    let server = folder.serve(&config(rules).replace(&*HASH, &slow));
    let mut client = server.connect();
    assert_refused(&client.request("GET", "/secret", &basic("ada:wrong"), b""), "wrong");
    let response = client.request("GET", "/secret", &basic("ada:sesame"), b"");
    assert_eq!(response.text(), "secret page");
}

#[test]
fn a_preflight_needs_no_password_and_gets_nothing_but_permission() {
    let folder = folder();
    let server = folder.serve(&config(&format!("{ADMIN}cors = true\n")));
    let mut client = server.connect();
    let preflight = "Origin: http://o.test\r\nAccess-Control-Request-Method: GET\r\n\
                     Access-Control-Request-Headers: authorization\r\n";
    for path in ["/admin/x", "//admin/x", "/admin/none"] {
        let response = client.request("OPTIONS", path, preflight, b"");
        assert_eq!((response.status, response.header("x-app")), (204, None), "{path}");
        assert_eq!(response.header("access-control-allow-headers"), Some("authorization"));
        for method in ["GET", "POST", "HEAD"] {
            assert_refused(&client.request(method, path, preflight, b""), path);
        }
        assert_refused(&client.request("OPTIONS", path, "Origin: http://o.test\r\n", b""), path);
    }
    // A script may see that it was refused.
    let response = client.request("GET", "/admin/x", "Origin: http://o.test\r\n", b"");
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn a_later_rule_opens_a_part_and_no_more() {
    let folder = folder();
    let server = folder.serve(&config(&format!(
        "{ADMIN}[[site.rule]]\npath = \"/admin/public/**\"\nauth = \"off\"\n"
    )));
    let mut client = server.connect();
    for path in ["/admin/public/a", "/admin//public/a", "/admin/x/../public/a"] {
        assert_eq!(client.get(path).text(), "public a", "{path}");
    }
    for path in [
        "/admin/public/../x",
        "/admin/public/%2e%2e/x",
        "/admin/public/..%2fx",
        "/admin/public%2f..%2fx",
        "/admin/publicx",
        "/admin/x/public/a",
    ] {
        assert_refused(&client.get(path), path);
    }
}

#[test]
fn who_was_let_in_is_told_to_the_application() {
    let folder = folder();
    let server = folder.serve(&config(ADMIN));
    let mut client: Client = server.connect();
    let field = basic("ada:sesame");
    let response = client.request("POST", "/admin/app", &field, b"body");
    let environ: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let value = field.trim_end().split_once(": ").unwrap().1;
    assert_eq!(environ["HTTP_AUTHORIZATION"], value);
    assert_eq!(environ["PATH_INFO"], "/admin/app");
}

#[test]
fn a_refusal_has_the_operators_page() {
    let folder = folder();
    let config =
        config(ADMIN).replace("[[site]]\n", "[[site]]\nerror_pages = { 401 = \"401.html\" }\n");
    let server = folder.serve(&config);
    let mut client = server.connect();
    for fields in [String::new(), basic("ada:wrong")] {
        let response = client.request("GET", "/admin/x", &fields, b"");
        assert_refused(&response, &fields);
        assert_eq!(response.text(), "<p>who are you?");
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        let head = client.request("HEAD", "/admin/x", &fields, b"");
        assert_refused(&head, &fields);
        assert_eq!(head.header("content-length"), Some("15"));
    }
}
