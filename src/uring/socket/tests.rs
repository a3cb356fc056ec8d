use super::*;
use std::future::poll_fn;
use std::io::Read;
use std::net::Shutdown as Ends;
use std::net::TcpListener;
use std::net::TcpStream;
use std::pin::pin;
use std::task::Poll;

use crate::uring::runtime::Runtime;

/// A connection whose peer reads nothing, has ended its sending, and whose socket is full. Gives
/// also the bytes that are on their way.
fn full(io: Io) -> (Socket, TcpStream, usize) {
    let bound = TcpListener::bind("127.0.0.1:0").unwrap();
    bound.set_nonblocking(true).unwrap();
    let peer = TcpStream::connect(bound.local_addr().unwrap()).unwrap();
    let listener = Listener::new(io, OwnedFd::from(bound)).unwrap();
    let (socket, _) = listener.accept_now().unwrap();
    peer.shutdown(Ends::Write).unwrap();
    while socket.ending().presence() != Presence::SendsNoMore {
        std::thread::yield_now();
    }
    let mut bytes = 0;
    let piece = vec![b'x'; 1 << 20];
    while let Ok(sent) = socket.send_now(&[IoSlice::new(&piece)], More::Nothing) {
        bytes += sent;
    }
    (socket, peer, bytes)
}

/// Whether `wait` is still pending after many turns of the lane.
async fn still_waits(io: Io, mut wait: std::pin::Pin<&mut impl Future>) -> bool {
    for _ in 0..200 {
        if poll_fn(|context| Poll::Ready(wait.as_mut().poll(context).is_ready())).await {
            return false;
        }
        io.give_way().await;
    }
    true
}

fn each(test: impl AsyncFn(Io)) {
    for runtime in [Runtime::epoll(), Runtime::ring()].into_iter().flatten() {
        runtime.block_on(test(runtime.io()));
    }
}

fn read(peer: &mut TcpStream, bytes: usize) {
    let mut left = vec![0; bytes];
    peer.read_exact(&mut left).unwrap();
}

#[test]
fn a_peer_that_has_ended_its_sending_makes_no_room() {
    each(async |io| {
        let (socket, mut peer, bytes) = full(io);
        let mut room = pin!(socket.writable());
        assert!(still_waits(io, room.as_mut()).await, "{io:?}: there is no room");
        read(&mut peer, bytes);
        room.await.unwrap();
        assert!(socket.send_now(&[IoSlice::new(b"x")], More::Nothing).is_ok());
    });
}

#[test]
fn a_send_waits_for_such_a_peer_and_is_whole() {
    each(async |io| {
        let (socket, mut peer, bytes) = full(io);
        let mut send = pin!(socket.send(vec![b'y'; 300_000]));
        assert!(still_waits(io, send.as_mut()).await, "{io:?}: there is no room");
        let reader = std::thread::spawn(move || {
            read(&mut peer, bytes);
            let mut rest = vec![0; 300_000];
            peer.read_exact(&mut rest).unwrap();
            rest
        });
        let (sent, _) = send.await;
        sent.unwrap();
        assert!(reader.join().unwrap() == vec![b'y'; 300_000]);
    });
}

#[test]
fn the_wait_for_such_a_peer_ends_with_the_connection() {
    each(async |io| {
        let (socket, peer, _) = full(io);
        let mut room = pin!(socket.writable());
        assert!(still_waits(io, room.as_mut()).await);
        socket.ending().end(End::Both);
        room.await.unwrap();
        drop(peer);
        let (socket, peer, _) = full(io);
        let mut room = pin!(socket.writable());
        assert!(still_waits(io, room.as_mut()).await);
        drop(peer); // with bytes that it has not read: a reset
        room.await.unwrap();
        assert!(socket.send_now(&[IoSlice::new(b"x")], More::Nothing).is_err());
    });
}
