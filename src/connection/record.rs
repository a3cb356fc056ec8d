//! What a line of the access log needs of a request after the request is gone.

use crate::access_log::AccessLog;
use crate::access_log::Entry;
use crate::address::Address;
use crate::clock;
use crate::connection::service::Service;
use crate::request::Request;
use crate::request::Version;
use crate::request::head;
use crate::request::head::Parsed;

/// A copy of a request's head, made only when there is an access log.
pub(super) struct Record {
    head: Vec<u8>,
    peer: Address,
}

impl Record {
    /// The record of a request, or None when nothing is logged.
    pub(super) fn new(service: &Service, peer: Address, request: &Request<'_>) -> Option<Self> {
        let wanted = matches!(*service.access_log.borrow(), AccessLog::On(_));
        wanted.then(|| Self { head: request.head.to_vec(), peer })
    }

    /// Bytes of memory that it owns.
    pub(super) fn held_bytes(&self) -> usize {
        self.head.capacity()
    }

    /// Writes the line, now that the answer is complete.
    pub(super) fn log(&self, service: &Service, status: u16, body_bytes: u64) {
        let mut slots = head::header_slots();
        // It parsed before; a copy of the same bytes parses again.
        if let Parsed::Complete(request) = head::parse(&self.head, &mut slots) {
            log(service, self.peer, &request, status, body_bytes);
        }
    }
}

/// Writes the line of a request that was answered at once.
pub(super) fn log(
    service: &Service,
    peer: Address,
    request: &Request<'_>,
    status: u16,
    body_bytes: u64,
) {
    let access_log = &mut *service.access_log.borrow_mut();
    if matches!(access_log, AccessLog::Off) {
        return; // before the fields are searched for
    }
    access_log.line(&Entry {
        peer,
        unix_seconds: clock::unix_seconds(),
        method: request.method_name.as_bytes(),
        raw_target: request.raw_target.as_bytes(),
        version: match request.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        },
        status,
        body_bytes_sent: body_bytes,
        referer: request.header("referer"),
        user_agent: request.header("user-agent"),
    });
}

/// Writes the line of a request that was refused: nothing that it said can be relied on.
pub(super) fn log_refusal(service: &Service, peer: Address, status: u16, body_bytes: u64) {
    service.access_log.borrow_mut().line(&Entry {
        peer,
        unix_seconds: clock::unix_seconds(),
        method: b"",
        raw_target: b"",
        version: "",
        status,
        body_bytes_sent: body_bytes,
        referer: None,
        user_agent: None,
    });
}
