//! Closes sockets, a few in each turn of the lane.
//!
//! close(2) of a TCP socket sends its last segment, which takes longer than serving a small file.
//! When thousands of peers leave in one moment, whoever asks meanwhile would wait for all of their
//! sockets: so each connection that ends leaves its socket here.

use std::cell::RefCell;
use std::collections::VecDeque;

use tokio::sync::Notify;

use crate::connection::service::Open;
use crate::limits::CLOSE_BATCH_MAX;
use crate::uring::Io;
use crate::uring::socket::Socket;

/// The sockets of connections that have ended. There are at most as many as connections: each
/// counts as open until it is closed.
#[derive(Default)]
pub(super) struct Closing {
    ended: RefCell<VecDeque<Ended>>,
    first: Notify,
}

/// A socket that nobody uses any more. Closed when dropped.
struct Ended {
    _socket: Socket,
    // Behind the socket: the place is free when the descriptor is.
    _open: Open,
}

impl Closing {
    /// Takes the socket of a connection that has ended.
    pub(super) fn add(&self, socket: Socket, open: Open) {
        let mut ended = self.ended.borrow_mut();
        if ended.is_empty() {
            self.first.notify_one();
        }
        ended.push_back(Ended { _socket: socket, _open: open });
    }

    /// Closes what is here and what comes. Never ends; `io` is what the lane waits on.
    pub(super) async fn close_in_turns(&self, io: Io) {
        loop {
            self.first.notified().await;
            while self.close_some() {
                io.give_way().await;
            }
        }
    }

    /// Closes at most [`CLOSE_BATCH_MAX`]. Gives whether there are more.
    fn close_some(&self) -> bool {
        for _ in 0..CLOSE_BATCH_MAX {
            let Some(ended) = self.ended.borrow_mut().pop_front() else { break };
            drop(ended);
        }
        let mut ended = self.ended.borrow_mut();
        if ended.is_empty() {
            ended.shrink_to(CLOSE_BATCH_MAX);
        }
        !ended.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::os::fd::OwnedFd;

    use crate::connection::service::Service;
    use crate::uring::runtime::Runtime;
    use crate::uring::socket::Listener;

    #[test]
    fn sockets_close_in_order_and_few_at_a_time() {
        Runtime::epoll().unwrap().block_on(async {
            let bound = TcpListener::bind("127.0.0.1:0").unwrap();
            bound.set_nonblocking(true).unwrap();
            let address = bound.local_addr().unwrap();
            let listener = Listener::new(Io::Epoll, OwnedFd::from(bound)).unwrap();
            let service = Service::bare(Io::Epoll);
            let closing = Closing::default();
            let clients: Vec<TcpStream> = (0..=2 * CLOSE_BATCH_MAX)
                .map(|_| {
                    let client = TcpStream::connect(address).unwrap();
                    let (socket, _) = listener.accept_now().unwrap();
                    closing.add(socket, service.open(None).unwrap());
                    client.set_nonblocking(true).unwrap();
                    client
                })
                .collect();
            for (batch, more) in [(1, true), (2, true), (3, false)] {
                assert_eq!(closing.close_some(), more);
                let closed = (batch * CLOSE_BATCH_MAX).min(clients.len());
                for (place, mut client) in clients.iter().enumerate() {
                    let has_ended = matches!(client.read(&mut [0]), Ok(0));
                    assert_eq!(has_ended, place < closed, "{place} behind batch {batch}");
                }
                assert_eq!(service.open_count(), clients.len() - closed, "a place for each");
            }
            assert!(
                closing.ended.borrow().capacity() <= 2 * CLOSE_BATCH_MAX,
                "memory is given back"
            );
        });
    }
}
