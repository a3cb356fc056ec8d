//! The body of an answer that corelane words itself: small, correct, and silent about the inside.
//!
//! It comes as HTML, as JSON or as plain text, whichever the client's Accept asks for.

use std::rc::Rc;

use crate::connection::Connection;
use crate::connection::Ended;
use crate::connection::file_answer;
use crate::connection::service::Service;
use crate::request::Method;
use crate::request::Request;
use crate::request::accept;
use crate::request::head;
use crate::request::head::Parsed;
use crate::response::Head;
use crate::response::head::ConnectionField;
use crate::response::head::Delimitation;
use crate::response::status::forbids_body;
use crate::response::status::reason_phrase;

/// What of a request its page depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub method: Method,
    pub form: Form,
}

/// How a page is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    /// With the member names of RFC 9457.
    Json,
    /// Also for those who accept none of the three: short words are better than none.
    Text,
}

impl Asked {
    pub(super) fn of(request: &Request<'_>) -> Self {
        Self { method: request.method, form: Form::of(request) }
    }

    /// Of a request that is refused, which may be for its head: `bytes` begin with it.
    pub(super) fn of_refused(bytes: &[u8]) -> Self {
        let mut slots = head::header_slots();
        match head::parse(bytes, &mut slots) {
            Parsed::Complete(request) => Self::of(&request),
            Parsed::NeedMore | Parsed::Refused(_) => {
                Self { method: head::method_begun(bytes), form: Form::Html }
            }
        }
    }
}

impl Form {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let is_accept = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case("accept");
        let values = request.headers.iter().filter(is_accept).map(|field| field.value);
        match accept::preferred(values, &["text/html", "application/json", "text/plain"]) {
            Some(0) => Self::Html,
            Some(1) => Self::Json,
            _ => Self::Text,
        }
    }
}

/// An answer of our own: all but its page.
pub(super) struct Answer {
    pub head: Head,
    pub asked: Asked,
    pub connection: ConnectionField,
}

impl Answer {
    /// Appends the complete answer to `out`, with a page that names its status. Gives the bytes of
    /// the body.
    pub(super) fn encode(mut self, service: &Service, out: &mut Vec<u8>) -> u64 {
        let status = self.head.status();
        if forbids_body(status) {
            self.put_head(service, out, Delimitation::None);
            return 0;
        }
        let (media_type, page) = page(status, self.asked.form);
        self.head.field("Content-Type", media_type);
        // A cache that keeps one form must not give it to those who want another.
        self.head.field("Vary", "Accept");
        self.put_head(service, out, Delimitation::Length(page.len() as u64));
        if self.asked.method == Method::Head {
            return 0;
        }
        out.extend_from_slice(page.as_bytes());
        page.len() as u64
    }

    fn put_head(&self, service: &Service, out: &mut Vec<u8>, delimitation: Delimitation) {
        service.with_date(|date| self.head.encode(out, date, delimitation, self.connection));
    }
}

/// Answers with the operator's page from a folder; with our own where it is not to be had. Adds the
/// bytes of the body that were sent to `sent_bytes`, also where it breaks off.
pub(super) async fn answer_with(
    connection: &mut Connection,
    mut answer: Answer,
    files: usize,
    path: &str,
    sent_bytes: &mut u64,
) -> Result<(), Ended> {
    let service = Rc::clone(&connection.service);
    let entry = match file_answer::whole(&service, files, path).await {
        Some(entry) if !forbids_body(answer.head.status()) => entry,
        _ => {
            *sent_bytes += answer.encode(&service, &mut connection.outbox.bytes);
            return Ok(());
        }
    };
    let Some(file) = entry.file() else { return Err(Ended::CutShort) };
    answer.head.field("Content-Type", file.media_type());
    let length = Delimitation::Length(file.size_bytes);
    answer.put_head(&service, &mut connection.outbox.bytes, length);
    if answer.asked.method == Method::Head {
        return Ok(());
    }
    file_answer::send_slice(connection, file, 0..file.size_bytes, sent_bytes).await
}

fn page(status: u16, form: Form) -> (&'static str, String) {
    let reason = reason_phrase(status);
    match form {
        Form::Html => (
            "text/html; charset=utf-8",
            format!(
                "<!doctype html><meta charset=utf-8>\
                 <meta name=color-scheme content=\"light dark\"><title>{status} {reason}</title>\
                 <body style=\"font:1rem/1.5 system-ui;max-width:30rem;margin:20vh auto;\
                 padding:0 1rem\"><h1>{status}</h1><p>{reason}</p>"
            ),
        ),
        Form::Json => {
            ("application/json", format!("{{\"status\":{status},\"title\":\"{reason}\"}}\n"))
        }
        Form::Text => ("text/plain; charset=utf-8", format!("{status} {reason}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_small_and_well_formed() {
        for status in 200..=599 {
            let (_, html) = page(status, Form::Html);
            assert!(html.len() < 512 && html.contains(&format!("<h1>{status}</h1>")));
            let (_, json) = page(status, Form::Json);
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["status"], status);
            assert_eq!(json["title"], reason_phrase(status));
            let (_, text) = page(status, Form::Text);
            assert_eq!(text, format!("{status} {}\n", reason_phrase(status)));
        }
    }

    #[test]
    fn what_a_request_asks_for() {
        let asked = |line: &str, accept: &str| {
            Asked::of_refused(format!("{line}\r\nHost: a\r\n{accept}\r\n\r\n").as_bytes())
        };
        let (get, head) = ("GET / HTTP/1.1", "HEAD / HTTP/1.1");
        assert_eq!(asked(get, "A: b"), Asked { method: Method::Get, form: Form::Html });
        assert_eq!(asked(get, "Accept: text/plain").form, Form::Text);
        assert_eq!(asked(get, "Accept: image/png").form, Form::Text);
        assert_eq!(asked(get, "Accept: text/plain, */*").form, Form::Text);
        assert_eq!(asked(get, "ACCEPT: application/json").form, Form::Json);
        assert_eq!(asked(get, "Accept: a/b\r\nAccept: application/json").form, Form::Json);
        assert_eq!(asked(head, "Accept: */*"), Asked { method: Method::Head, form: Form::Html });
        // Of a head that was refused nothing is believed but that it was HEAD.
        let refused = asked("HEAD /.. HTTP/1.1", "Accept: application/json");
        assert_eq!(refused, Asked { method: Method::Head, form: Form::Html });
        assert_eq!(asked("G@T / HTTP/1.1", "A: b").method, Method::Other);
    }
}
