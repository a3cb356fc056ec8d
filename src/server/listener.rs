//! The listening sockets: one for each lane and address, in one SO_REUSEPORT group.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::limits::BACKLOG;

/// A socket that is bound and does not listen yet, so that nothing queues before the applications
/// are loaded.
pub struct Bound {
    socket: Socket,
    address: SocketAddr,
}

/// Binds `count` sockets to one address. With port 0 the kernel chooses the port once for all.
///
/// # Errors
///
/// EADDRINUSE when another program has the port, also where it would share it by SO_REUSEPORT: two
/// servers that share a port by mistake are hard to notice. EACCES, EADDRNOTAVAIL as bind(2) says.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<Bound>> {
    if address.port() != 0 {
        // Without SO_REUSEPORT this fails where anybody listens.
        open(address)?.bind(&address.into())?;
    }
    let mut bound: Vec<Bound> = Vec::with_capacity(count);
    for _ in 0..count {
        let address = bound.first().map_or(address, |first| first.address);
        let socket = open(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        let local = socket.local_addr()?.as_socket();
        bound.push(Bound { socket, address: local.unwrap_or(address) });
    }
    Ok(bound)
}

impl Bound {
    /// The address, with the port that the kernel chose.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// errno of listen(2): EADDRINUSE when another program took the port meanwhile.
    pub fn listen(self) -> io::Result<OwnedFd> {
        self.socket.listen(BACKLOG)?;
        Ok(self.socket.into())
    }
}

/// A socket with all its options but SO_REUSEPORT. Accepted connections inherit TCP_NODELAY.
fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    if let SocketAddr::V6(address) = address {
        // `[::]` takes IPv4 as well, whatever net.ipv6.bindv6only says.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_shares_the_port_that_the_kernel_chose() {
        let group = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_ne!(group[0].address().port(), 0);
        assert!(group.iter().all(|bound| bound.address() == group[0].address()));
    }

    #[test]
    fn a_port_in_use_is_refused_even_if_it_could_be_shared() {
        let mut group = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = group[0].address();
        let _listening = group.remove(0).listen().unwrap();
        let error = bind(address, 1).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_unspecified_ipv6_address_takes_ipv4_too() {
        // A machine without IPv6 has nothing to show here.
        let Ok(mut group) = bind("[::]:0".parse().unwrap(), 1) else { return };
        let port = group[0].address().port();
        let _listening = group.remove(0).listen().unwrap();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}
