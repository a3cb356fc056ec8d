//! Tests of the fields for other origins, as a browser would see them.

use super::*;
use crate::request::head::Parsed;
use crate::request::head::header_slots;
use crate::request::head::parse;
use crate::response::Head;
use crate::response::head::ConnectionField;
use crate::response::head::Delimitation;

fn with_request<T>(method: &str, fields: &str, see: impl FnOnce(&Request<'_>) -> T) -> T {
    let head = format!("{method} / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let mut slots = header_slots();
    match parse(head.as_bytes(), &mut slots) {
        Parsed::Complete(request) => see(&request),
        other => panic!("{other:?}"),
    }
}

/// The fields of a plain answer, or of that to a preflight.
fn fields(cors: &Cors, method: &str, fields: &str) -> String {
    let permission = Permission::new(cors).unwrap();
    let mut overlay = Overlay::default();
    with_request(method, fields, |request| match is_preflight(request) {
        true => permission.preflight(request, &mut overlay),
        false => permission.answer(request, &mut overlay),
    });
    let mut head = Head::new(204);
    head.overlay(&overlay);
    let mut out = Vec::new();
    head.encode(&mut out, b"D", Delimitation::None, ConnectionField::Implied);
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("HTTP/1.1 204 No Content\r\nDate: D\r\n").unwrap();
    text.strip_suffix("\r\n").unwrap().replace("\r\n", "\n")
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn any() -> Cors {
    Cors {
        origins: None,
        methods: Vec::new(),
        request_fields: None,
        exposed_fields: Vec::new(),
        credentials: Credentials::Refused,
        seconds_max: None,
    }
}

fn some() -> Cors {
    Cors {
        origins: Some(strings(&["https://a.example", "http://localhost:3000"])),
        methods: strings(&["PUT", "DELETE"]),
        request_fields: Some(strings(&["X-Token", "Content-Type"])),
        exposed_fields: strings(&["X-Total", "ETag"]),
        credentials: Credentials::Permitted,
        seconds_max: Some(600),
    }
}

#[test]
fn answers() {
    let open = "Access-Control-Allow-Origin: *\n";
    let closed = "Vary: Origin\n";
    let permitted = |origin: &str| {
        format!(
            "Access-Control-Allow-Origin: {origin}\nAccess-Control-Allow-Credentials: true\n\
             Access-Control-Expose-Headers: X-Total, ETag\nVary: Origin\n"
        )
    };
    assert_eq!(fields(&any(), "GET", "Origin: https://a.example\r\n"), open);
    assert_eq!(fields(&any(), "GET", "Origin: null\r\n"), open);
    assert_eq!(fields(&any(), "GET", ""), open);
    let exposing = Cors { exposed_fields: strings(&["X-Total"]), ..any() };
    let expected = "Access-Control-Allow-Origin: *\nAccess-Control-Expose-Headers: X-Total\n";
    assert_eq!(fields(&exposing, "GET", ""), expected);

    for origin in ["https://a.example", "http://localhost:3000"] {
        let field = format!("Origin: {origin}\r\n");
        assert_eq!(fields(&some(), "GET", &field), permitted(origin));
        assert_eq!(fields(&some(), "OPTIONS", &field), permitted(origin), "no preflight");
    }
    let others = [
        "",
        "null",
        "https://A.example",
        "http://a.example",
        "https://a.example:443",
        "https://a.example/",
        "https://a.example.evil.example",
        "https://b.a.example",
        "https://a.exampl",
        "http://localhost",
        "https://a.example http://localhost:3000",
    ];
    for origin in others {
        assert_eq!(fields(&some(), "GET", &format!("Origin: {origin}\r\n")), closed, "{origin}");
    }
    assert_eq!(fields(&some(), "GET", ""), closed);
    let plain = Cors { credentials: Credentials::Refused, exposed_fields: Vec::new(), ..some() };
    let expected = "Access-Control-Allow-Origin: https://a.example\nVary: Origin\n";
    assert_eq!(fields(&plain, "GET", "Origin: https://a.example\r\n"), expected);
}

#[test]
fn preflights() {
    let vary = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\n";
    let asking = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n";
    let asked = |names: &str| {
        let fields_asked = format!("{asking}Access-Control-Request-Headers: {names}\r\n");
        fields(&any(), "OPTIONS", &fields_asked)
    };
    assert_eq!(
        fields(&some(), "OPTIONS", asking),
        format!(
            "Access-Control-Allow-Origin: https://a.example\n\
             Access-Control-Allow-Credentials: true\n\
             Access-Control-Allow-Methods: PUT, DELETE\n\
             Access-Control-Allow-Headers: X-Token, Content-Type\n\
             Access-Control-Max-Age: 600\n{vary}"
        )
    );
    let stranger = asking.replace("a.example", "evil.example");
    assert_eq!(fields(&some(), "OPTIONS", &stranger), vary);
    let open = format!("Access-Control-Allow-Origin: *\n{vary}");
    assert_eq!(fields(&any(), "OPTIONS", asking), open);
    let none = Cors { request_fields: Some(Vec::new()), ..any() };
    let asking_more = format!("{asking}Access-Control-Request-Headers: x-a\r\n");
    assert_eq!(fields(&none, "OPTIONS", &asking_more), open);

    let echoed = |names: &str| {
        format!("Access-Control-Allow-Origin: *\nAccess-Control-Allow-Headers: {names}\n{vary}")
    };
    assert_eq!(asked("authorization,x-a"), echoed("authorization, x-a"));
    assert_eq!(asked(" x-a ,\tx-b"), echoed("x-a, x-b"));
    for malformed in ["", ",", "x-a,", "x a", "x-a: b", "(x)", "\u{e9}"] {
        assert_eq!(asked(malformed), open, "{malformed}");
    }
}

#[test]
fn what_is_a_preflight() {
    let both = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n";
    let table = [
        ("OPTIONS", both, true),
        ("OPTIONS", "origin: null\r\naccess-control-request-method: X\r\n", true),
        ("OPTIONS", "Origin: https://a.example\r\n", false),
        ("OPTIONS", "Access-Control-Request-Method: PUT\r\n", false),
        ("OPTIONS", "", false),
        ("GET", both, false),
        ("options", both, false),
    ];
    for (method, fields, expected) in table {
        assert_eq!(with_request(method, fields, is_preflight), expected, "{method} {fields}");
    }
}

#[test]
fn permissions_that_are_refused() {
    let many = |count: usize| vec!["https://a.example".to_owned(); count];
    check(&any()).unwrap();
    check(&some()).unwrap();
    check(&Cors { origins: Some(many(CORS_ENTRIES_MAX)), ..any() }).unwrap();
    let table = [
        (Cors { credentials: Credentials::Permitted, ..any() }, "credentials to every origin"),
        (Cors { origins: Some(many(CORS_ENTRIES_MAX + 1)), ..any() }, "list of over 256"),
        (Cors { methods: many(CORS_ENTRIES_MAX + 1), ..any() }, "list of over 256"),
        (Cors { origins: Some(strings(&["a.example"])), ..any() }, "has no scheme"),
        (Cors { methods: strings(&["PUT,GET"]), ..any() }, "\"PUT,GET\" is no method"),
        (Cors { request_fields: Some(strings(&["X A"])), ..any() }, "\"X A\" is no header name"),
        (Cors { exposed_fields: strings(&["X\r\n"]), ..any() }, "is no header name"),
    ];
    for (cors, expected) in table {
        let error = check(&cors).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert_eq!(Permission::new(&cors).map(|_| ()), Err(error));
    }
}

#[test]
fn origins() {
    for good in [
        "https://example.com",
        "http://localhost:3000",
        "https://[::1]:8443",
        "http://example.com:443",
        "chrome-extension://abcdef",
        "capacitor://localhost",
    ] {
        assert_eq!(check_origin(good), Ok(()));
    }
    let table = [
        ("*", "is every origin: leave the list out"),
        ("null", "is the origin of any sandboxed page"),
        ("example.com", "has no scheme: write one such as https://example.com"),
        ("", "has no scheme"),
        ("https://Example.com", "not in lower case: write \"https://example.com\""),
        ("https://example.com/", "has a path: write \"https://example.com\""),
        ("https://example.com/a?b", "has a path: write \"https://example.com\""),
        ("https://example.com:443", "has the usual port: write \"https://example.com\""),
        ("http://example.com:80", "has the usual port"),
        ("http://example.com:", "has the usual port: write \"http://example.com\""),
        ("https://*.example.com", "has a star: write each origin whole"),
        ("https://", "is no origin"),
        ("https://me@example.com", "is no origin"),
        ("://example.com", "is no origin"),
        ("https://a.example\r\nx", "is no origin"),
        ("https://a.example b", "is no origin"),
    ];
    for (origin, expected) in table {
        let error = check_origin(origin).unwrap_err();
        assert!(error.contains(expected), "{origin}: {error}");
    }
}
