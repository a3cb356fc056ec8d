//! Tests of what rules say together.

use super::*;
use crate::request::head::Parsed;
use crate::request::head::header_slots;
use crate::request::head::parse;
use crate::rules::Cors;
use crate::rules::Credentials;

fn rule(pattern: &str) -> Rule {
    Rule { pattern: pattern.to_owned(), action: None, fields: Vec::new(), cors: None, access: None }
}

fn setting(pattern: &str, name: &str, value: &str) -> Rule {
    Rule { fields: vec![(name.to_owned(), value.to_owned())], ..rule(pattern) }
}

fn acting(pattern: &str, action: Action) -> Rule {
    Rule { action: Some(action), ..rule(pattern) }
}

fn redirect(status: u16, to: &str) -> Action {
    Action::Redirect { status, to: to.to_owned() }
}

fn rewrite(to: &str) -> Action {
    Action::Rewrite { to: to.to_owned() }
}

fn asking(pattern: &str, access: Access) -> Rule {
    Rule { access: Some(access), ..rule(pattern) }
}

fn sharing(pattern: &str, origin: Option<&str>) -> Rule {
    let cors = Cors {
        origins: origin.map(|origin| vec![origin.to_owned()]),
        methods: Vec::new(),
        request_fields: None,
        exposed_fields: Vec::new(),
        credentials: Credentials::Refused,
        seconds_max: None,
    };
    Rule { cors: Some(cors), ..rule(pattern) }
}

/// `line` is a method and a target, `fields` are lines with their ends.
fn judge(rules: &[Rule], line: &str, fields: &str) -> Judgement {
    let rules = Rules::new(rules).unwrap_or_else(|error| panic!("{error}"));
    let head = format!("{line} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let mut slots = header_slots();
    match parse(head.as_bytes(), &mut slots) {
        Parsed::Complete(request) => rules.judge(&request),
        other => panic!("{head:?}: {other:?}"),
    }
}

fn verdict(rules: &[Rule], line: &str) -> Verdict {
    judge(rules, line, "").verdict
}

fn overlay(fields: &[(&str, &str)]) -> Overlay {
    let mut overlay = Overlay::default();
    fields.iter().for_each(|(name, value)| overlay.set(name, value));
    overlay
}

#[test]
fn no_rule_says_nothing() {
    let nothing =
        Judgement { overlay: Overlay::default(), access: None, verdict: Verdict::Proceed };
    let rules = [
        setting("/a/**", "X", "1"),
        acting("/a/**", Action::Deny { status: 404 }),
        sharing("/a/**", None),
        asking("/a/**", Access::Realm(0)),
    ];
    assert!(Rules::new(&[]).unwrap().is_empty());
    assert!(!Rules::new(&rules).unwrap().is_empty());
    assert_eq!(judge(&[], "GET /a/b", ""), nothing);
    assert_eq!(judge(&rules, "GET /ab", ""), nothing);
    assert_eq!(judge(&rules, "OPTIONS *", ""), nothing);
}

#[test]
fn fields_of_later_rules_replace_those_of_earlier_ones() {
    let rules = [
        setting("/**", "Cache-Control", "no-cache"),
        setting("/**", "Vary", "Accept"),
        setting("/assets/**", "cache-control", "immutable"),
        setting("/**/*.js", "X-Js", "1"),
        setting("/**/*.js", "Vary", "Cookie"),
    ];
    let table: &[(&str, &[(&str, &str)])] = &[
        ("/", &[("Cache-Control", "no-cache"), ("Vary", "Accept")]),
        ("/assets/a", &[("Vary", "Accept"), ("cache-control", "immutable")]),
        ("/a.js", &[("Cache-Control", "no-cache"), ("X-Js", "1"), ("Vary", "Accept, Cookie")]),
    ];
    for (path, expected) in table {
        let judgement = judge(&rules, &format!("GET {path}?q"), "");
        assert_eq!(judgement.overlay, overlay(expected), "{path}");
        assert_eq!(judgement.verdict, Verdict::Proceed);
    }
}

#[test]
fn the_first_action_decides() {
    let rules = [
        setting("/**", "X", "1"),
        acting("/old/keep/**", rewrite("/kept/$1")),
        acting("/old/**", redirect(301, "/new/$1")),
        acting("/old/**", Action::Deny { status: 410 }),
        acting("/moved", redirect(308, "https://example.org/?a=b")),
        acting("/**/.*", Action::Deny { status: 404 }),
        acting("/x*", rewrite("/y/$1")),
        acting("/twice**", redirect(302, "/$1$1$1$1$1$1")),
    ];
    let moved =
        |status, location: &str| Verdict::Redirect { status, location: location.to_owned() };
    let long = format!("GET /twice{}", "%0a".repeat(2000));
    let table = [
        ("GET /", Verdict::Proceed),
        ("GET /older", Verdict::Proceed),
        ("GET /old", moved(301, "/new/")),
        ("GET /old/a?b=c", moved(301, "/new/a?b=c")),
        ("POST /old/%2e%2e/old/a", moved(301, "/new/a")),
        ("GET /old/keep/a%20b?c", Verdict::Rewrite(b"/kept/a b".to_vec())),
        ("GET /moved?c=d", moved(308, "https://example.org/?a=b")),
        ("GET /.git", Verdict::Deny { status: 404 }),
        ("GET /a/.env", Verdict::Deny { status: 404 }),
        ("GET /xa", Verdict::Rewrite(b"/y/a".to_vec())),
        ("GET /x%2e%2e", Verdict::Deny { status: 404 }),
        (&long, Verdict::Deny { status: 414 }),
    ];
    for (line, expected) in table {
        let judgement = judge(&rules, line, "");
        assert_eq!(judgement.verdict, expected, "{line}");
        assert_eq!(judgement.overlay, overlay(&[("X", "1")]), "{line}");
    }
}

#[test]
fn the_last_access_decides() {
    let rules = [
        asking("/**", Access::Realm(0)),
        asking("/admin/**", Access::Realm(7)),
        setting("/**", "X", "1"),
        asking("/**/public/**", Access::Open),
        acting("/old", redirect(301, "/new")),
    ];
    let table = [
        ("/", Some(0)),
        ("/administrator", Some(0)),
        ("/admin", Some(7)),
        ("/admin/", Some(7)),
        ("/admin/x/public/y", None),
        ("/public/x", None),
        ("/old", Some(0)),
    ];
    for (path, expected) in table {
        assert_eq!(judge(&rules, &format!("GET {path}"), "").access, expected, "{path}");
    }
}

const PREFLIGHT: &str = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n";

#[test]
fn a_preflight_goes_before_access_and_actions() {
    let rules = [
        asking("/**", Access::Realm(0)),
        setting("/**", "X", "1"),
        sharing("/api/**", None),
        acting("/api/**", Action::Deny { status: 403 }),
    ];
    let preflight = judge(&rules, "OPTIONS /api/a", PREFLIGHT);
    assert_eq!((preflight.verdict, preflight.access), (Verdict::Preflight, None));
    let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    let fields = [("X", "1"), ("Vary", vary), ("Access-Control-Allow-Origin", "*")];
    assert_eq!(preflight.overlay, overlay(&fields));
    let fields = [("X", "1"), ("Access-Control-Allow-Origin", "*")];
    for (line, fields_asked) in [("OPTIONS /api/a", ""), ("PUT /api/a", PREFLIGHT)] {
        let judgement = judge(&rules, line, fields_asked);
        let denied = Verdict::Deny { status: 403 };
        assert_eq!((judgement.verdict, judgement.access), (denied, Some(0)), "{line}");
        assert_eq!(judgement.overlay, overlay(&fields), "{line}");
    }
    // Where no rule speaks of other origins, the application answers.
    let judgement = judge(&rules, "OPTIONS /a", PREFLIGHT);
    assert_eq!((judgement.verdict, judgement.access), (Verdict::Proceed, Some(0)));
}

#[test]
fn the_last_permission_decides() {
    let rules = [sharing("/**", None), sharing("/a/**", Some("https://a.example")), rule("/a/**")];
    let open = overlay(&[("Access-Control-Allow-Origin", "*")]);
    assert_eq!(judge(&rules, "GET /b", PREFLIGHT).overlay, open);
    let named = [("Vary", "Origin"), ("Access-Control-Allow-Origin", "https://a.example")];
    assert_eq!(judge(&rules, "GET /a/b", PREFLIGHT).overlay, overlay(&named));
    assert_eq!(judge(&rules, "GET /a/b", "").overlay, overlay(&[("Vary", "Origin")]));
}

#[test]
fn rules_that_are_refused() {
    let field = |name: &str| setting("/a", name, "x");
    let table = [
        (rule("a"), "the rule for \"a\": \"a\" does not begin with a slash: write \"/a\""),
        (field("Date"), "the rule for \"/a\": \"Date\" tells when the answer was made"),
        (acting("/a", redirect(301, "/$1")), "\"/$1\" has $1, and its pattern no star"),
        (acting("/a", rewrite("b")), "\"b\" does not begin with a slash"),
        (acting("/a", redirect(304, "/b")), "304 is no redirect: write one of [301, 302,"),
        (acting("/a", Action::Deny { status: 200 }), "200 denies nothing: write one of [403,"),
        (sharing("/a", Some("null")), "\"null\" is the origin of any sandboxed page"),
    ];
    for (rule, expected) in table {
        let error = Rules::new(&[rule]).map(|_| ()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    for status in REDIRECT_STATUSES {
        let expected = Verdict::Redirect { status, location: "/b".to_owned() };
        assert_eq!(verdict(&[acting("/a", redirect(status, "/b"))], "GET /a"), expected);
    }
    for status in DENY_STATUSES {
        let rules = [acting("/a", Action::Deny { status })];
        assert_eq!(verdict(&rules, "GET /a"), Verdict::Deny { status });
    }
    check_redirect("/*", "/$1").unwrap();
    check_rewrite("/*", "/$1").unwrap();
    check_redirect("/", "/$1").unwrap_err();
    check_rewrite("/", "/$1").unwrap_err();
    check_rewrite("a", "/").unwrap_err();
}

#[test]
fn the_bounds_are_reached_exactly() {
    let rules = vec![rule("/a"); RULES_PER_SITE_MAX + 1];
    assert!(Rules::new(&rules[1..]).is_ok());
    assert!(Rules::new(&rules).map(|_| ()).unwrap_err().contains("over 1024 rules"));
    let half = "x".repeat(RULES_FIELDS_BYTES_MAX / 2 - "A: \r\n".len());
    let mut rules = [setting("/a", "A", &half), setting("/b", "B", &half)];
    check_count(&rules).unwrap();
    rules[1].fields[0].1.push('x');
    assert!(check_count(&rules).unwrap_err().contains("over 32768 bytes of headers"));
}
