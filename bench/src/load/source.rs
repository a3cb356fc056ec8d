//! New sockets, whose source addresses go round 127.0.0.2 to 127.0.0.250, or another network of
//! loopback.
//!
//! A client that closes first keeps the pair of addresses in TIME_WAIT for a minute; with one
//! source address 28,000 connections use up its ports. Only a server on IPv4 loopback can be
//! reached from the others.

#![expect(unsafe_code, reason = "IP_BIND_ADDRESS_NO_PORT has no safe wrapper")]

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use mio::net::TcpStream;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

/// The last bytes of the source addresses.
const FIRST: u8 = 2;
const LAST: u8 = 250;

/// Opens connections to one address.
#[derive(Debug)]
pub struct Source {
    server: SocketAddr,
    network: u8,
    next: u8,
}

impl Source {
    /// Begins with 127.0.0.2.
    #[must_use]
    pub const fn new(server: SocketAddr) -> Self {
        Self::in_network(server, 0)
    }

    /// Goes round 127.0.`network`.2 to 127.0.`network`.250 instead: what a server allows to one
    /// address, clients of several networks do not take from each other.
    #[must_use]
    pub const fn in_network(server: SocketAddr, network: u8) -> Self {
        Self { server, network, next: FIRST }
    }

    /// A socket that is connecting, or connected. TCP_NODELAY is set.
    ///
    /// # Errors
    ///
    /// As socket(2), bind(2) and connect(2), but for EINPROGRESS.
    pub fn connect(&mut self) -> io::Result<TcpStream> {
        self.connect_shaped(|_| Ok(()))
    }

    /// As [`Source::connect`], with a say in the socket's options before it connects.
    ///
    /// # Errors
    ///
    /// As [`Source::connect`], and those of `shape`.
    pub fn connect_shaped(
        &mut self,
        shape: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        shape(&socket)?;
        if matches!(self.server.ip(), IpAddr::V4(address) if address.is_loopback()) {
            let address = Ipv4Addr::new(127, 0, self.network, self.next);
            self.next = if self.next == LAST { FIRST } else { self.next + 1 };
            choose_port_at_connect(&socket)?;
            socket.bind(&SocketAddr::from((address, 0)).into())?;
        }
        match socket.connect(&self.server.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }
}

/// Lets the kernel choose the port when the server's address is known (ip(7)): the same port then
/// serves for several pairs, and bind does not search.
fn choose_port_at_connect(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let bytes = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    // SAFETY: the pointer and the length are those of `on`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            bytes,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn source_addresses_go_round() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut source = Source::new(listener.local_addr().unwrap());
        source.next = LAST - 1;
        let expected = [[127, 0, 0, 249], [127, 0, 0, 250], [127, 0, 0, 2]];
        for expected in expected {
            let stream = source.connect().unwrap();
            let (_accepted, peer) = listener.accept().unwrap();
            assert_eq!(peer.ip(), IpAddr::from(expected));
            assert_eq!(stream.local_addr().unwrap(), peer);
        }
    }

    #[test]
    fn another_network_and_a_shaped_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut source = Source::in_network(listener.local_addr().unwrap(), 7);
        let stream = source.connect_shaped(|socket| socket.set_recv_buffer_size(4096)).unwrap();
        let (_accepted, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), IpAddr::from([127, 0, 7, 2]));
        // The kernel doubles it (socket(7)).
        assert_eq!(socket2::SockRef::from(&stream).recv_buffer_size().unwrap(), 8192);
        let refused = source.connect_shaped(|_| Err(io::ErrorKind::Unsupported.into()));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
