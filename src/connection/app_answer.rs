//! The answer of an application: its head framed for this peer, its pieces relayed as they come.
//!
//! The application's iterator is held back when the peer reads slowly: nothing more is taken from
//! the bounded stream until the socket has taken what came before.

use crate::connection::Connection;
use crate::connection::Ended;
use crate::connection::body;
use crate::connection::body::NoBody;
use crate::connection::deadline::Watch;
use crate::connection::decide::Call;
use crate::connection::decide::Facts;
use crate::connection::decide::Settlement;
use crate::connection::decide::Unread;
use crate::connection::error_page;
use crate::connection::lifecycle;
use crate::connection::lifecycle::BodyRest;
use crate::connection::slow_reader;
use crate::limits::COPY_BODY_BYTES_MAX;
use crate::limits::STREAM_PIECES_MAX;
use crate::python::Reply;
use crate::python::RequestBody;
use crate::python::WsgiRequest;
use crate::request::Expectation;
use crate::request::Method;
use crate::request::Version;
use crate::response::Head;
use crate::response::head::Delimitation;
use crate::response::status::forbids_body;
use crate::response::stream::End;
use crate::response::stream::Received;
use crate::uring::socket::More;
use crate::uring::socket::Presence;

/// What the access log says of a request whose client has left before the answer began. nginx's
/// number, which log readers know; it is never sent.
const CLIENT_LEFT: u16 = 499;

/// Reads the request's body, calls the application, and sends what it answers. The request's head
/// has been consumed.
pub(super) async fn answer(connection: &mut Connection, call: Call) -> Result<Settlement, Ended> {
    let body = match request_body(connection, &call).await {
        Ok(body) => body,
        Err(NoBody::Ended(ended)) => {
            call.log(&connection.service, CLIENT_LEFT, 0);
            return Err(ended);
        }
        Err(NoBody::Refused(reject)) => return Ok(connection.refuse(reject, call.asked)),
        Err(NoBody::Spool(error)) => {
            tracing::error!(%error, "a request body could not be kept in a temporary file");
            return Ok(connection.close_with_page(Head::new(500), call.asked));
        }
    };
    relay(connection, call, body).await
}

async fn request_body(connection: &mut Connection, call: &Call) -> Result<RequestBody, NoBody> {
    let facts = call.facts;
    if facts.expectation == Expectation::Continue && connection.input.unused().is_empty() {
        connection.outbox.bytes.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    // Answers to the requests before this one must not wait for Python.
    connection.flush().await.map_err(NoBody::Ended)?;
    body::read(connection, facts.framing, call.held_bytes()).await
}

async fn relay(
    connection: &mut Connection,
    mut call: Call,
    body: RequestBody,
) -> Result<Settlement, Ended> {
    let request = WsgiRequest {
        head: std::mem::take(&mut call.head),
        path: call.path.take(),
        script_name_bytes: call.script_name_bytes,
        peer: connection.peer.clone(),
        user: call.user.take(),
        local: connection.local,
        body,
    };
    let service = std::rc::Rc::clone(&connection.service);
    let Some(gateway) = service.apps.get(call.app) else {
        return fail(connection, &call, Head::new(500)).await;
    };
    // The client's leaving is looked for from here on, and not from an earlier request's time.
    connection.watch.stop();
    let Ok(mut reply) = gateway.call(request) else {
        let mut head = Head::new(503);
        head.field("Retry-After", "1");
        return fail(connection, &call, head).await;
    };
    let mut piece = service.take_buffer();
    let first = match receive(&connection.watch, &mut reply, &mut piece).await {
        Ok(first) => first,
        Err(ended) => {
            call.log(&connection.service, CLIENT_LEFT, 0);
            return Err(ended);
        }
    };
    let Received { head: Some(mut head), end } = first else {
        return fail(connection, &call, Head::new(500)).await;
    };
    head.overlay(&call.overlay);
    let settlement = send(connection, &call, &head, end, &mut piece, reply).await?;
    service.keep_buffer(piece);
    Ok(settlement)
}

/// The next of the answer, unless its client leaves before. A client that has closed and one that
/// has only ended its sending look the same: a request that waits for Python is taken back from
/// both, as with nginx; once the application has been called, the answer goes to whoever still
/// reads.
async fn receive(watch: &Watch, reply: &mut Reply, piece: &mut Vec<u8>) -> Result<Received, Ended> {
    loop {
        let left = tokio::select! {
            biased;
            received = reply.receive(piece) => return Ok(received),
            left = watch.peer_leaves() => left,
        };
        if left == Presence::Gone || !reply.has_begun() {
            return Err(Ended::PeerGone);
        }
    }
}

/// Answers in the application's place, after the body was read.
async fn fail(
    connection: &mut Connection,
    call: &Call,
    mut head: Head,
) -> Result<Settlement, Ended> {
    let status = head.status();
    head.overlay(&call.overlay);
    let exchange =
        call.facts.exchange(connection.service.phase(), BodyRest::Nothing, Delimitation::Length(0));
    let field = lifecycle::connection_field(&exchange);
    let service = std::rc::Rc::clone(&connection.service);
    let answer = error_page::Answer { head, asked: call.asked, connection: field };
    let mut bytes = 0;
    let sent = match service.error_page(call.site, status) {
        Some((files, path)) => {
            error_page::answer_with(connection, answer, files, path, &mut bytes).await
        }
        None => {
            bytes = answer.encode(&service, &mut connection.outbox.bytes);
            Ok(())
        }
    };
    call.log(&service, status, bytes);
    sent?;
    Ok(Settlement { next: lifecycle::after(&exchange), unread: Unread::Nothing })
}

/// How an answer goes out.
struct Plan {
    delimitation: Delimitation,
    body: Body,
}

#[derive(PartialEq, Eq)]
enum Body {
    Sent,
    /// HEAD, 204, 205, 304: whatever the application returns (RFC 9112 section 6.3, RFC 9110
    /// section 15.3.6).
    Omitted,
}

/// Sends the head, the first piece, and what follows.
async fn send(
    connection: &mut Connection,
    call: &Call,
    head: &Head,
    first_end: End,
    piece: &mut Vec<u8>,
    reply: Reply,
) -> Result<Settlement, Ended> {
    let plan = plan(&call.facts, head, &first_end, piece.len());
    let exchange =
        call.facts.exchange(connection.service.phase(), BodyRest::Nothing, plan.delimitation);
    let field = lifecycle::connection_field(&exchange);
    let out = &mut connection.outbox.bytes;
    connection.service.with_date(|date| head.encode(out, date, plan.delimitation, field));
    if plan.delimitation == Delimitation::Close {
        connection.watch.cut_by_reset();
    }
    let mut body_bytes = 0;
    let sent = if plan.body == Body::Omitted {
        // The application sees that its answer is not wanted: close() is called at its next piece.
        drop(reply);
        Ok(())
    } else {
        send_pieces(connection, plan.delimitation, first_end, piece, reply, &mut body_bytes).await
    };
    call.log(&connection.service, head.status(), body_bytes);
    sent?;
    Ok(Settlement { next: lifecycle::after(&exchange), unread: Unread::Nothing })
}

/// Sends the body: the first piece, and what follows it up to its end. Adds the bytes of the pieces
/// that the socket has taken, or will with the next flush, to `body_bytes`.
async fn send_pieces(
    connection: &mut Connection,
    delimitation: Delimitation,
    first_end: End,
    piece: &mut Vec<u8>,
    mut reply: Reply,
    body_bytes: &mut u64,
) -> Result<(), Ended> {
    let mut end = first_end;
    let mut pieces = 0;
    let frame = |out: &mut Vec<u8>, piece: &[u8], end| frame(out, piece, delimitation, end);
    loop {
        connection.outbox.beside_bytes = piece.capacity();
        if end == End::More && reply.holds_a_thread() {
            let unsent = push_now(connection, piece, delimitation)?;
            *body_bytes += piece.len() as u64;
            if !unsent.is_empty() {
                // It is in there, and a slow reader must not hold it as well.
                connection.service.keep_buffer(std::mem::take(piece));
                connection.outbox.beside_bytes = 0;
                end = slow_reader::relay(connection, &mut reply, unsent, frame, body_bytes).await?;
            }
        } else {
            push(connection, piece, delimitation, end).await?;
            *body_bytes += piece.len() as u64;
        }
        match end {
            End::Complete => break,
            End::Failed => {
                connection.flush().await?;
                return Err(cut_short(delimitation));
            }
            End::More => {}
        }
        pieces += 1;
        if pieces % STREAM_PIECES_MAX == 0 {
            connection.service.io.give_way().await;
        }
        piece.clear();
        end = receive(&connection.watch, &mut reply, piece).await?.end;
    }
    connection.outbox.beside_bytes = 0;
    Ok(())
}

fn plan(facts: &Facts, head: &Head, end: &End, piece_bytes: usize) -> Plan {
    if forbids_body(head.status()) {
        return Plan { delimitation: Delimitation::None, body: Body::Omitted };
    }
    if head.status() == 205 {
        return Plan { delimitation: Delimitation::Length(0), body: Body::Omitted };
    }
    let is_head = facts.method == Method::Head;
    let body = if is_head { Body::Omitted } else { Body::Sent };
    let delimitation = match (head.content_length(), end) {
        (Some(bytes), _) => Delimitation::Length(bytes),
        // What GET would have brought is not known here (RFC 9110 section 8.6).
        (None, _) if is_head => Delimitation::None,
        (None, End::Complete) => Delimitation::Length(piece_bytes as u64),
        (None, _) if facts.version == Version::Http11 => Delimitation::Chunked,
        (None, _) => Delimitation::Close,
    };
    Plan { delimitation, body }
}

/// An answer that ends too early. Where only the connection's end marks the body's end, the peer
/// must see a reset.
const fn cut_short(delimitation: Delimitation) -> Ended {
    match delimitation {
        Delimitation::Close => Ended::Reset,
        Delimitation::Length(_) | Delimitation::Chunked | Delimitation::None => Ended::CutShort,
    }
}

/// Puts one piece into the outbox, and sends it unless the answer is complete and small.
async fn push(
    connection: &mut Connection,
    piece: &[u8],
    delimitation: Delimitation,
    end: End,
) -> Result<(), Ended> {
    let Connection { outbox, socket, watch, .. } = connection;
    if piece.len() <= COPY_BODY_BYTES_MAX {
        frame(&mut outbox.bytes, piece, delimitation, end);
    } else {
        open_chunk(&mut outbox.bytes, piece, delimitation);
        let more = if is_chunked(delimitation) { More::Follows } else { More::Nothing };
        outbox.flush(socket, watch, piece, more).await?;
        close_chunk(&mut outbox.bytes, piece, delimitation, end);
    }
    match end {
        // The next answer, if its request is here already, goes out with this one.
        End::Complete => Ok(()),
        End::More | End::Failed => connection.flush().await,
    }
}

/// Sends what the socket has room for of everything collected and of a piece behind which more will
/// come, without waiting. Gives what it had no room for.
fn push_now(
    connection: &mut Connection,
    piece: &[u8],
    delimitation: Delimitation,
) -> Result<Vec<u8>, Ended> {
    let Connection { outbox, socket, .. } = connection;
    if piece.len() <= COPY_BODY_BYTES_MAX {
        frame(&mut outbox.bytes, piece, delimitation, End::More);
        return outbox.flush_now(socket, &[], More::Nothing);
    }
    open_chunk(&mut outbox.bytes, piece, delimitation);
    let more = if is_chunked(delimitation) { More::Follows } else { More::Nothing };
    let mut unsent = outbox.flush_now(socket, piece, more)?;
    if unsent.is_empty() {
        close_chunk(&mut outbox.bytes, piece, delimitation, End::More);
        return outbox.flush_now(socket, &[], More::Nothing);
    }
    close_chunk(&mut unsent, piece, delimitation, End::More);
    Ok(unsent)
}

/// Appends a piece as it goes over the wire, with the end of the body behind the last one.
fn frame(out: &mut Vec<u8>, piece: &[u8], delimitation: Delimitation, end: End) {
    open_chunk(out, piece, delimitation);
    out.extend_from_slice(piece);
    close_chunk(out, piece, delimitation, end);
}

fn open_chunk(out: &mut Vec<u8>, piece: &[u8], delimitation: Delimitation) {
    if is_chunked(delimitation) && !piece.is_empty() {
        push_chunk_size(out, piece.len());
    }
}

fn close_chunk(out: &mut Vec<u8>, piece: &[u8], delimitation: Delimitation, end: End) {
    if !is_chunked(delimitation) {
        return;
    }
    if !piece.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    if end == End::Complete {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

const fn is_chunked(delimitation: Delimitation) -> bool {
    matches!(delimitation, Delimitation::Chunked)
}

/// The size line of a chunk (RFC 9112 section 7.1).
fn push_chunk_size(out: &mut Vec<u8>, bytes: usize) {
    let digits = (usize::BITS - bytes.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (bytes >> (place * 4)) & 0xf;
        out.push(b"0123456789abcdef".get(digit).copied().unwrap_or(b'0'));
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_hexadecimal_without_leading_zeros() {
        for bytes in [0, 1, 9, 10, 15, 16, 255, 256, 4095, 65536, usize::MAX] {
            let mut out = Vec::new();
            push_chunk_size(&mut out, bytes);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{bytes:x}\r\n"));
        }
    }
}
