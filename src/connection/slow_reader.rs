//! An answer whose client reads more slowly than a Python thread makes it.
//!
//! A stranger with a few such connections would hold all threads. So after a short wait the answer
//! goes on into a temporary file, from which the client gets it at its own pace, and the thread is
//! free when it has made the rest. Where there is no room for that, the thread waits.

use std::pin::pin;

use crate::clock::Moment;
use crate::connection::Connection;
use crate::connection::Ended;
use crate::connection::backlog::Backlog;
use crate::connection::deadline::Waiting;
use crate::connection::pace::Pace;
use crate::limits::SEND_WAIT_MAX;
use crate::limits::SLOW_READER_PATIENCE;
use crate::python::Reply;
use crate::response::stream;
use crate::uring::socket::End;

/// Sends `unsent`, and what the application makes meanwhile, until the client has read all that
/// there is. `frame` appends a piece as it goes over the wire. Gives whether more will come, and
/// adds the bytes of the pieces to `body_bytes`.
///
/// # Errors
///
/// [`Ended`] when the client is gone or reads too slowly.
pub(super) async fn relay(
    connection: &Connection,
    reply: &mut Reply,
    unsent: Vec<u8>,
    frame: impl Fn(&mut Vec<u8>, &[u8], stream::End),
    body_bytes: &mut u64,
) -> Result<stream::End, Ended> {
    let mut backlog = Backlog::new(&connection.service, unsent);
    let relayed = relay_from(connection, &mut backlog, reply, frame, body_bytes).await;
    connection.watch.stop();
    if relayed.is_err() {
        *body_bytes = body_bytes.saturating_sub(backlog.unsent_bytes());
    }
    backlog.free_in_turns().await;
    relayed
}

async fn relay_from(
    connection: &Connection,
    backlog: &mut Backlog,
    reply: &mut Reply,
    frame: impl Fn(&mut Vec<u8>, &[u8], stream::End),
    body_bytes: &mut u64,
) -> Result<stream::End, Ended> {
    let Connection { service, socket, watch, outbox, .. } = connection;
    let mut pace = Pace::new(Moment::now(), SEND_WAIT_MAX);
    let hold = |backlog: &Backlog| watch.hold(backlog.held_bytes() + outbox.held_bytes());
    let wait_for_room = |pace: &Pace, backlog: &Backlog| {
        watch.wait_until(Waiting::Peer, pace.due(Moment::now()));
        hold(backlog);
        socket.writable()
    };
    // Kept from one turn to the next: a wait that is dropped would keep the socket open.
    let mut room = pin!(wait_for_room(&pace, backlog));
    let mut patience = pin!(tokio::time::sleep(SLOW_READER_PATIENCE));
    let mut end = stream::End::More;
    let mut is_patient = true;
    loop {
        let wants_more = end == stream::End::More && backlog.has_file();
        let takes_more = wants_more && backlog.has_room();
        let mut piece = Vec::new();
        tokio::select! {
            biased;
            waited = room.as_mut() => {
                watch.stop();
                if watch.has_passed(End::Both) {
                    return Err(Ended::TooSlow);
                }
                waited.map_err(|_| Ended::PeerGone)?;
                pace.moved(backlog.send(socket)?);
                if backlog.unsent_bytes() == 0 {
                    return Ok(end);
                }
                room.set(wait_for_room(&pace, backlog));
            }
            () = patience.as_mut(), if is_patient => {
                is_patient = false;
                backlog.open_file().await;
                hold(backlog);
            }
            received = reply.receive(&mut piece), if takes_more => {
                end = received.end;
                *body_bytes += piece.len() as u64;
                let mut framed = service.take_buffer();
                frame(&mut framed, &piece, end);
                service.keep_buffer(piece);
                backlog.append(framed).await;
                hold(backlog);
                // The file is in memory as a rule: without this nobody else would have a turn.
                service.io.give_way().await;
            }
            () = service.spools_shrink(), if wants_more && !takes_more => {}
        }
    }
}
