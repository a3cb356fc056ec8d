//! The answer to a request for a file: head, and bytes from memory or from the page cache.

use std::rc::Rc;

use crate::connection::decide::Desk;
use crate::connection::decide::SendFile;
use crate::connection::decide::Step;
use crate::connection::record;
use crate::limits::COPY_BODY_BYTES_MAX;
use crate::request::Method;
use crate::request::Request;
use crate::response::head::Delimitation;
use crate::static_files::Content;
use crate::static_files::Entry;
use crate::static_files::Reply;
use crate::static_files::answer as file_reply;

/// Puts the head and, when it is small, the body into the outbox; otherwise tells what to send.
pub(super) fn answer(desk: &mut Desk<'_>, request: &Request<'_>, entry: Rc<Entry>) -> Step {
    let (head, file, slice) = match file_reply(request, &entry) {
        Reply::Bytes(head, file, slice) => (head, file, slice),
        Reply::Error(head) => return desk.own_answer(request, head),
        Reply::SlashRedirect => return desk.slash_redirect(request),
        Reply::HeadOnly(head) => {
            let (settlement, connection) = desk.settlement(request);
            let out = &mut *desk.out;
            desk.service.with_date(|date| head.encode(out, date, Delimitation::None, connection));
            record::log(desk.service, desk.peer, request, head.status(), 0);
            return Step::Answered(settlement);
        }
    };
    let (settlement, connection) = desk.settlement(request);
    let bytes = slice.end - slice.start;
    let out = &mut *desk.out;
    desk.service.with_date(|date| {
        head.encode(out, date, Delimitation::Length(bytes), connection);
    });
    let status = head.status();
    if request.method == Method::Head || bytes == 0 {
        record::log(desk.service, desk.peer, request, status, 0);
        return Step::Answered(settlement);
    }
    if let Content::Inline(content) = &file.content
        && let Some(body) = in_memory(content, slice.start, bytes)
        && body.len() <= COPY_BODY_BYTES_MAX
    {
        desk.out.extend_from_slice(body);
        record::log(desk.service, desk.peer, request, status, bytes);
        return Step::Answered(settlement);
    }
    drop(head);
    let record = desk.record(request);
    Step::SendFile(SendFile { entry, slice, status, settlement, record })
}

/// A slice of a file in memory.
pub(super) fn in_memory(content: &[u8], start: u64, bytes: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    let bytes = usize::try_from(bytes).ok()?;
    content.get(start..start.checked_add(bytes)?)
}
