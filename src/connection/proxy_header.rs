//! The PROXY header before the first request: whom the proxy at the other end has connected for.
//!
//! Only on a bind that asks for it, and there on every connection. The header replaces both
//! addresses of the connection; what does not begin with one ends without an answer, as whoever
//! sends it is not the proxy that the operator means.

use crate::clock::Moment;
use crate::connection::Connection;
use crate::connection::Ended;
use crate::connection::deadline::Waiting;
use crate::connection::service::Phase;
use crate::limits::HEAD_TIME_MAX;
use crate::limits::LINGER_TIME_MAX;
use crate::request::proxy;
use crate::request::proxy::Announced;
use crate::request::proxy::Parsed;

/// Whether the connections of a listener begin with a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// They do, or they end.
    Expected,
    /// They begin with a request. A PROXY header is a bad one.
    Absent,
}

/// Receives the header and takes its addresses for those of the connection. What has come behind
/// it stays in the read buffer.
pub(super) async fn receive(connection: &mut Connection) -> Result<(), Ended> {
    let due = Moment::now().after(HEAD_TIME_MAX);
    loop {
        match proxy::parse(connection.input.unused()) {
            Parsed::Complete(header) => {
                connection.input.consume(header.used_bytes);
                if let Announced::Client { remote, local } = header.announced {
                    connection.remote = remote;
                    connection.local = local;
                    connection.standing = connection.service.proxies.standing(remote);
                    connection.peer = remote.into();
                }
                return Ok(());
            }
            Parsed::Refused(refusal) => {
                let reason = refusal.reason();
                tracing::debug!(peer = %connection.remote, reason, "connection refused");
                return Err(Ended::Closed);
            }
            Parsed::NeedMore => receive_more(connection, due).await?,
        }
    }
}

async fn receive_more(connection: &mut Connection, due: Moment) -> Result<(), Ended> {
    let nothing_came = connection.input.unused().is_empty();
    match connection.service.phase() {
        Phase::Draining if nothing_came => connection.watch.wait(Waiting::Peer, LINGER_TIME_MAX),
        // A lane that begins to drain ends it at once, like one that waits for a request.
        _ if nothing_came => connection.watch.wait_until(Waiting::Idle, due),
        _ => connection.watch.wait_until(Waiting::Request, due),
    }
    let storage = connection.input.lend();
    let (received, storage) = connection.socket.receive(storage, usize::MAX).await;
    connection.input.give_back(storage);
    connection.watch.stop();
    match received {
        Ok(1..) => Ok(()),
        Ok(0) | Err(_) => {
            let reason = "the PROXY header did not come whole";
            tracing::debug!(peer = %connection.remote, reason, "connection refused");
            Err(Ended::PeerGone)
        }
    }
}
