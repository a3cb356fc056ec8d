//! Tests of fields that are laid over a head.

use super::*;
use crate::response::head::ConnectionField;
use crate::response::head::Delimitation;

fn overlay(fields: &[(&str, &str)]) -> Overlay {
    let mut overlay = Overlay::default();
    fields.iter().for_each(|(name, value)| overlay.set(name, value));
    overlay
}

/// The fields of a head, each as a line.
fn laid_over(status: u16, fields: &[(&str, &str)], over: &[(&str, &str)]) -> String {
    let mut head = Head::new(status);
    for (name, value) in fields {
        head.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    head.overlay(&overlay(over));
    let mut out = Vec::new();
    head.encode(&mut out, b"D", Delimitation::Length(5), ConnectionField::Implied);
    let text = String::from_utf8(out).unwrap().replace("\r\n", "\n");
    let (_, text) = text.split_once("\nDate: D\n").unwrap();
    text.strip_suffix("Content-Length: 5\n\n").unwrap().to_owned()
}

#[test]
fn the_last_one_wins_but_for_some() {
    let lines = |fields: &[(&str, &str)]| String::from_utf8(overlay(fields).lines).unwrap();
    assert!(overlay(&[]).is_empty());
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("A", "1"), ("B", "2")], "A: 1\r\nB: 2\r\n"),
        (&[("A", "1"), ("B", "2"), ("a", "3")], "B: 2\r\na: 3\r\n"),
        (&[("A", "a: b"), ("AA", "2"), ("A", "")], "AA: 2\r\nA: \r\n"),
        (&[("Set-Cookie", "a"), ("set-cookie", "a")], "Set-Cookie: a\r\nset-cookie: a\r\n"),
        (&[("Link", "<a>"), ("Link", "<b>")], "Link: <a>\r\nLink: <b>\r\n"),
        (&[("Vary", "A"), ("X", "1"), ("vary", "b, a")], "X: 1\r\nvary: A, b\r\n"),
        (&[("Vary", " A ,, a,B")], "Vary: A, B\r\n"),
        (
            &[("Content-Security-Policy", "a"), ("Content-Security-Policy", "b")],
            "Content-Security-Policy: b\r\n",
        ),
    ];
    for (fields, expected) in table {
        assert_eq!(lines(fields), *expected);
    }
    let one = overlay(&[("Vary", "A"), ("X-Empty", "")]);
    assert!(!one.is_empty());
    assert_eq!(one.value(b"vary"), Some(&b"A"[..]));
    assert_eq!(one.value(b"x-empty"), Some(&b""[..]));
    assert_eq!(one.value(b"x"), None);
}

type Fields = &'static [(&'static str, &'static str)];

#[test]
fn fields_of_a_head_are_replaced_or_joined() {
    let table: &[(Fields, Fields, &str)] = &[
        (&[("A", "1")], &[], "A: 1\n"),
        (&[], &[("A", "1")], "A: 1\n"),
        (&[("A", "1"), ("a", "2"), ("B", "3")], &[("a", "4")], "B: 3\na: 4\n"),
        (&[("AB", "1"), ("A", "")], &[("A", "2")], "AB: 1\nA: 2\n"),
        (&[("Set-Cookie", "a")], &[("Set-Cookie", "b")], "Set-Cookie: a\nSet-Cookie: b\n"),
        (&[("Link", "<a>")], &[("link", "<b>")], "Link: <a>\nlink: <b>\n"),
        (
            &[("Vary", "Accept-Encoding"), ("X", "1")],
            &[("vary", "Origin")],
            "X: 1\nVary: Accept-Encoding, Origin\n",
        ),
        (&[("Vary", "A"), ("vary", "B, origin")], &[("Vary", "Origin")], "Vary: A, B, origin\n"),
        (&[("Vary", "*")], &[("Vary", "Origin")], "Vary: *, Origin\n"),
        (&[("Vary", "A")], &[("X", "1")], "X: 1\nVary: A\n"),
        (
            &[("content-security-policy", "a"), ("Cache-Control", "no-store")],
            &[("Content-Security-Policy", "b"), ("cache-control", "public")],
            "Content-Security-Policy: b\ncache-control: public\n",
        ),
        (&[("Content-Type", "text/html")], &[("content-type", "a/b")], "content-type: a/b\n"),
        (&[], &[("Content-Type", "a/b")], "Content-Type: a/b\n"),
    ];
    for (fields, over, expected) in table {
        assert_eq!(laid_over(200, fields, over), *expected, "{fields:?} {over:?}");
    }
}

#[test]
fn the_type_is_that_of_what_was_asked_for() {
    let over = [("Content-Type", "a/b"), ("X", "1")];
    let page = [("content-type", "text/html")];
    let parts = [("Content-Type", "Multipart/ByteRanges; boundary=x")];
    for status in [200, 203, 206] {
        assert_eq!(laid_over(status, &page, &over), "Content-Type: a/b\nX: 1\n", "{status}");
    }
    for status in [301, 304, 404, 500] {
        let kept = "content-type: text/html\nX: 1\n";
        assert_eq!(laid_over(status, &page, &over), kept, "{status}");
    }
    assert_eq!(laid_over(304, &[], &over), "X: 1\n");
    assert_eq!(laid_over(204, &[], &over), "X: 1\n");
    let kept = "Content-Type: Multipart/ByteRanges; boundary=x\nX: 1\n";
    assert_eq!(laid_over(206, &parts, &over), kept);
}

#[test]
fn the_date_and_the_length_of_an_application_stay() {
    let mut head = Head::new(200);
    head.push(b"Date", b"yesterday").unwrap();
    head.push(b"Content-Length", b"12").unwrap();
    head.overlay(&overlay(&[("X", "1")]));
    assert_eq!(head.content_length(), Some(12));
    let mut out = Vec::new();
    head.encode(&mut out, b"D", Delimitation::None, ConnectionField::Implied);
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nDate: yesterday\r\nX: 1\r\n\r\n");
}

#[test]
fn no_error_is_kept_for_long() {
    let mut overlay = Overlay::default();
    overlay.set("Cache-Control", "max-age=31536000, immutable");
    overlay.set("expires", "Sun, 06 Nov 1994 08:49:37 GMT");
    overlay.set("X-Frame-Options", "DENY");
    for (status, is_told) in [(200, true), (301, true), (304, true), (404, false), (503, false)] {
        let mut head = Head::new(status);
        head.overlay(&overlay);
        let fields = String::from_utf8(head.fields).unwrap();
        assert_eq!(fields.contains("immutable") && fields.contains("expires"), is_told, "{status}");
        assert!(fields.contains("X-Frame-Options"), "{status}");
    }
    let mut forbidding = Overlay::default();
    forbidding.set("Cache-Control", "private, No-Store");
    let mut head = Head::new(404);
    head.overlay(&forbidding);
    assert!(String::from_utf8(head.fields).unwrap().contains("No-Store"));
    // What an application says of its own error stays.
    let mut head = Head::new(404);
    head.field("Cache-Control", "no-store");
    head.overlay(&overlay);
    assert!(String::from_utf8(head.fields).unwrap().contains("Cache-Control: no-store"));
}
