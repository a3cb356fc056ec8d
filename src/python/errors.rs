//! What applications and their faults write to the error log.
//!
//! It owns the events: a line of `wsgi.errors`, and an exception with its traceback beside the
//! request that met it. The traceback's text is made by `shim.py`. Nothing of it reaches the peer.

use crate::python::interpreter::Attached;
use crate::python::object::PyRef;
use crate::python::object::Raised;
use crate::request::head;
use crate::request::head::Parsed;
use tracing::error;

/// Logs a line that an application wrote to `wsgi.errors`.
pub(super) fn log_line(attached: &Attached, line: &PyRef) {
    // Named in the text: the error log shows no targets, and without the name whatever an
    // application writes could pass for a word of ours.
    error!("wsgi.errors: {}", attached.text_of(line));
}

/// Logs the exception that is set, with its traceback, and takes it off this thread.
/// `request_head` are the bytes of the request's head; `format` is `format_exception` of `shim.py`;
/// `what` says in a few words what has failed.
pub(super) fn log_raised(
    attached: &Attached,
    format: &PyRef,
    request_head: &[u8],
    what: &str,
    raised: Raised,
) {
    let Some(exception) = attached.take(raised) else { return };
    let traceback = match attached.call(format, [&exception]) {
        Ok(text) => attached.text_of(&text),
        // Out of memory or stack while formatting: the name is better than nothing.
        Err(raised) => {
            let formatting = attached.describe(raised);
            format!("{} (no traceback: {formatting})", attached.type_name(&exception))
        }
    };
    // Indented, so that no line of a text from the peer, which an exception may well carry, can
    // pass for a line of the log.
    let traceback = traceback.trim_end().replace('\n', "\n  ");
    log_fault(request_head, &format!("{what}\n  {traceback}"));
}

/// Logs that the application broke the protocol, beside the request that met it.
pub(super) fn log_fault(request_head: &[u8], what: &str) {
    let mut slots = head::header_slots();
    match head::parse(request_head, &mut slots) {
        Parsed::Complete(request) => {
            // The request stands first, before a traceback of many lines.
            error!("{} {}: {what}", request.method_name, request.raw_target);
        }
        _ => error!("{what}"),
    }
}
