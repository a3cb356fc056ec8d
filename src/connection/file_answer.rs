//! The answer to a request for a file: head, and bytes from memory or from the page cache.

use std::io;
use std::ops::Range;
use std::rc::Rc;

use crate::connection::Connection;
use crate::connection::Ended;
use crate::connection::decide::Desk;
use crate::connection::decide::SendFile;
use crate::connection::decide::Settlement;
use crate::connection::decide::Step;
use crate::connection::decide::Trouble;
use crate::connection::outbox::Care;
use crate::connection::record;
use crate::connection::service::Service;
use crate::limits::COPY_BODY_BYTES_MAX;
use crate::request::Method;
use crate::request::Request;
use crate::response::Head;
use crate::response::head::Delimitation;
use crate::static_files;
use crate::static_files::Body;
use crate::static_files::Content;
use crate::static_files::Entry;
use crate::static_files::File;
use crate::static_files::Multipart;
use crate::static_files::Ready;
use crate::static_files::Reply;
use crate::static_files::Slash;
use crate::static_files::answer as file_reply;
use crate::uring::socket::More;

/// What an entry answers.
pub(super) enum Answer {
    /// The answer, or what has to be sent.
    Step(Step),
    /// Nothing is there: somebody else may answer.
    Nothing,
    /// The page has another address.
    Moved(Slash),
}

/// Puts the head and, when it is small, the body into the outbox; otherwise tells what to send.
pub(super) fn answer(desk: &mut Desk<'_>, request: &Request<'_>, entry: Rc<Entry>) -> Answer {
    let (head, file, body) = match file_reply(request, &entry) {
        Reply::Bytes(head, file, body) => (head, file, body),
        Reply::Error(head) if head.status() == 404 => return Answer::Nothing,
        Reply::Error(head) => return Answer::Step(desk.own_answer(request, head)),
        Reply::Moved(slash) => return Answer::Moved(slash),
        Reply::HeadOnly(head) => {
            let settlement = put_head(desk, request, &head, Delimitation::None);
            record::log(desk.service, desk.peer, request, head.status(), 0);
            return Answer::Step(Step::Answered(settlement));
        }
    };
    let bytes = body.size_bytes();
    let status = head.status();
    let settlement = put_head(desk, request, &head, Delimitation::Length(bytes));
    if request.method == Method::Head || bytes == 0 {
        record::log(desk.service, desk.peer, request, status, 0);
        return Answer::Step(Step::Answered(settlement));
    }
    if let (Content::Inline(content), Body::Slice(slice)) = (&file.content, &body)
        && let Some(copied) = in_memory(content, slice)
        && copied.len() <= COPY_BODY_BYTES_MAX
    {
        desk.out.extend_from_slice(copied);
        record::log(desk.service, desk.peer, request, status, bytes);
        return Answer::Step(Step::Answered(settlement));
    }
    drop(head);
    let record = desk.record(request);
    Answer::Step(Step::SendFile(SendFile { entry, body, status, settlement, record }))
}

/// Asks the disk. What fails is told in the log.
pub(super) async fn look(
    service: &Service,
    number: usize,
    question: static_files::Look,
) -> Result<Rc<Entry>, Trouble> {
    let Some(files) = service.files.get(number) else { return Err(Trouble::Disk) };
    let looking = static_files::Looking {
        io: service.io,
        cache: &service.cache,
        workshop: &service.workshop,
        reading: &service.reading,
    };
    let path = question.path().escape_ascii().to_string();
    static_files::look(&looking, files, question).await.map_err(|error| {
        let short = static_files::lacks_descriptors(&error);
        if short {
            service.release_descriptors();
        }
        if error.kind() == io::ErrorKind::ResourceBusy {
            tracing::debug!(path, "there is too much to do for a file just now");
            return Trouble::Busy; // which a stranger can bring about
        }
        tracing::error!(%error, path, "a file could not be opened");
        match error.kind() {
            io::ErrorKind::OutOfMemory => Trouble::Busy,
            _ if short => Trouble::Busy,
            _ => Trouble::Disk,
        }
    })
}

/// The file at a path of a folder as it is there, for whoever asks.
pub(super) async fn whole(service: &Service, number: usize, path: &str) -> Option<Rc<Entry>> {
    let files = service.files.get(number)?;
    let ready = static_files::ready_plain(&service.cache.borrow(), files, path.as_bytes());
    let entry = match ready {
        Ready::Entry(entry) => entry,
        Ready::Look(question) => look(service, number, question).await.ok()?,
    };
    entry.file().is_some().then_some(entry)
}

fn put_head(
    desk: &mut Desk<'_>,
    request: &Request<'_>,
    head: &Head,
    delimitation: Delimitation,
) -> Settlement {
    let (settlement, connection) = desk.settlement(request);
    let (out, overlay) = (&mut *desk.out, &desk.overlay);
    desk.service.with_date(|date| {
        if overlay.is_empty() {
            return head.encode(out, date, delimitation, connection);
        }
        let mut head = head.clone();
        head.overlay(overlay);
        head.encode(out, date, delimitation, connection);
    });
    settlement
}

/// Sends the body of an answer whose head is in the outbox.
pub(super) async fn send(connection: &mut Connection, file: SendFile) -> Result<Settlement, Ended> {
    let SendFile { entry, body, status, settlement, record } = file;
    let Some(content) = entry.file() else { return Err(Ended::CutShort) };
    let mut sent_bytes = 0;
    let sent = match body {
        Body::Slice(slice) => send_slice(connection, content, slice, &mut sent_bytes).await,
        Body::Parts(parts) => send_parts(connection, content, *parts, &mut sent_bytes).await,
    };
    if let Some(record) = &record {
        record.log(&connection.service, status, sent_bytes);
    }
    sent.map(|()| settlement)
}

/// Adds the bytes that the socket has taken, or will with the next flush, to `sent_bytes`.
async fn send_parts(
    connection: &mut Connection,
    file: &File,
    multipart: Multipart,
    sent_bytes: &mut u64,
) -> Result<(), Ended> {
    for part in multipart.parts {
        connection.outbox.bytes.extend_from_slice(&part.head);
        *sent_bytes += part.head.len() as u64;
        send_slice(connection, file, part.range, sent_bytes).await?;
    }
    connection.outbox.bytes.extend_from_slice(&multipart.tail);
    *sent_bytes += multipart.tail.len() as u64;
    Ok(())
}

/// Sends what is in the outbox, and this slice of a file behind it.
pub(super) async fn send_slice(
    connection: &mut Connection,
    file: &File,
    mut slice: Range<u64>,
    sent_bytes: &mut u64,
) -> Result<(), Ended> {
    let Connection { outbox, socket, watch, service, .. } = connection;
    match &file.content {
        Content::Inline(memory) => {
            let body = in_memory(memory, &slice).unwrap_or_default();
            outbox.flush(socket, watch, body, More::Nothing).await?;
            *sent_bytes += body.len() as u64;
            Ok(())
        }
        Content::Descriptor(fd) => {
            outbox.flush(socket, watch, &[], More::Follows).await?;
            let start = slice.start;
            let is_same = || file.has_same_bytes();
            let care = Care {
                medium: file.medium(),
                is_hot: file.is_hot(),
                is_same: &is_same,
                transfers: service.transfers(),
            };
            let sent = outbox.send_file(service.io, socket, watch, fd, &mut slice, care).await;
            *sent_bytes += slice.start - start;
            sent?;
            // It was written to meanwhile: what has left is neither the old nor the new one. Most
            // of it is still on its way, and a reset tells the peer that it is nothing.
            if !file.has_same_bytes() {
                return Err(Ended::Reset);
            }
            if slice.start - start == file.size_bytes {
                file.note_hot();
            }
            Ok(())
        }
    }
}

/// A slice of a file in memory.
fn in_memory<'c>(content: &'c [u8], slice: &Range<u64>) -> Option<&'c [u8]> {
    let start = usize::try_from(slice.start).ok()?;
    let end = usize::try_from(slice.end).ok()?;
    content.get(start..end)
}
