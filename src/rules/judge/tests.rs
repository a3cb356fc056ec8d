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

fn judge(rules: &Rules, head: &str) -> Judgement {
    let head =
        format!("{head} HTTP/1.1\r\nHost: h\r\n\r\n").replace('|', " HTTP/1.1\r\nHost: h\r\n");
    let head = match head.matches("HTTP/1.1").count() {
        2 => head.replace("\r\n\r\n", "").replacen(" HTTP/1.1\r\nHost: h", "", 0),
        _ => head,
    };
    let mut slots = header_slots();
    match parse(head.as_bytes(), &mut slots) {
        Parsed::Complete(request) => rules.judge(&request),
        other => panic!("{head:?}: {other:?}"),
    }
}
