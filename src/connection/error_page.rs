//! The body of an answer that corelane words itself: small, correct, and silent about the inside.

use crate::connection::service::Service;
use crate::request::Method;
use crate::response::Head;
use crate::response::head::ConnectionField;
use crate::response::head::Delimitation;
use crate::response::status::forbids_body;
use crate::response::status::reason_phrase;

/// Appends a complete answer with this head to `out`, with a page that names its status. Gives the
/// bytes of the body.
pub(super) fn encode(
    service: &Service,
    out: &mut Vec<u8>,
    mut head: Head,
    method: Method,
    connection: ConnectionField,
) -> u64 {
    let status = head.status();
    if forbids_body(status) {
        service.with_date(|date| head.encode(out, date, Delimitation::None, connection));
        return 0;
    }
    head.field("Content-Type", "text/html; charset=utf-8");
    let page = page(status);
    let length = Delimitation::Length(page.len() as u64);
    service.with_date(|date| head.encode(out, date, length, connection));
    if method == Method::Head {
        return 0;
    }
    out.extend_from_slice(page.as_bytes());
    page.len() as u64
}

fn page(status: u16) -> String {
    let reason = reason_phrase(status);
    format!(
        "<!doctype html><meta charset=utf-8><meta name=color-scheme content=\"light dark\">\
         <title>{status} {reason}</title>\
         <body style=\"font:1rem/1.5 system-ui;max-width:30rem;margin:20vh auto;padding:0 1rem\">\
         <h1>{status}</h1><p>{reason}</p>"
    )
}
