//! What stands behind one address of the operator's: a socket for each lane, or one for all.
//!
//! It takes a bind of the settings and gives each lane its listening descriptor. It knows what a
//! connection of it begins with, and nothing of connections.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Instant;

use crate::config::Bind;
use crate::config::BindAddress;
use crate::config::ProxyProtocol;
use crate::config::UnixSocket;
use crate::connection::ProxyHeader;
use crate::limits::ADDRESS_PAUSE;
use crate::limits::ADDRESS_WAIT_MAX;
use crate::server::listener;
use crate::server::listener::Bound;
use crate::server::startup::StartupError;
use crate::server::unix_socket;
use crate::server::unix_socket::SocketFile;

/// The sockets of one bind, before they listen.
pub(super) struct Group {
    bind: Bind,
    sockets: Sockets,
}

enum Sockets {
    Tcp(Vec<Bound>),
    /// To be made when it listens; see [`unix_socket::listen`].
    Unix(UnixSocket),
}

/// A listening descriptor for one lane.
pub(super) struct Listening {
    pub fd: OwnedFd,
    pub proxy_header: ProxyHeader,
}

/// The listening descriptors of a bind, one for each lane.
pub(super) struct Listeners {
    pub of_lanes: Vec<Listening>,
    /// The file of a unix socket, which lives as long as this.
    pub file: Option<SocketFile>,
}

impl Group {
    /// Binds what can be bound before anybody may connect. Waits a little where somebody listens:
    /// of a server that was killed, the kernel ends the polls of its rings, and with them its
    /// listeners, some time after the process is gone.
    pub(super) fn bind(bind: &Bind, lanes: usize) -> Result<Self, StartupError> {
        let until = Instant::now() + ADDRESS_WAIT_MAX;
        loop {
            match open(&bind.address, lanes) {
                Ok(sockets) => return Ok(Self { bind: bind.clone(), sockets }),
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until =>
                {
                    thread::sleep(ADDRESS_PAUSE);
                }
                Err(error) => return Err(StartupError::Bind(bind.address.clone(), error)),
            }
        }
    }

    /// Begins to listen.
    pub(super) fn listen(self, lanes: usize) -> Result<Listeners, StartupError> {
        let Self { bind, sockets } = self;
        let listening = match sockets {
            Sockets::Tcp(bound) => {
                let listening: io::Result<Vec<_>> = bound.into_iter().map(Bound::listen).collect();
                listening.map(|descriptors| (descriptors, None))
            }
            Sockets::Unix(socket) => unix_socket::listen(&socket, lanes)
                .map(|(descriptors, file)| (descriptors, Some(file))),
        };
        let (descriptors, file) =
            listening.map_err(|error| StartupError::Bind(bind.address, error))?;
        let proxy_header = match bind.proxy_protocol {
            ProxyProtocol::On => ProxyHeader::Expected,
            ProxyProtocol::Off => ProxyHeader::Absent,
        };
        let listening = |fd| Listening { fd, proxy_header };
        Ok(Listeners { of_lanes: descriptors.into_iter().map(listening).collect(), file })
    }
}

fn open(address: &BindAddress, lanes: usize) -> io::Result<Sockets> {
    match address {
        BindAddress::Tcp(address) => listener::bind(*address, lanes).map(Sockets::Tcp),
        BindAddress::Unix(socket) => {
            unix_socket::check(socket).map(|()| Sockets::Unix(socket.clone()))
        }
    }
}

/// For the line of the start: with the port that the kernel chose, and an address that a browser on
/// this machine can open.
impl fmt::Display for Group {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sockets {
            Sockets::Unix(_) => self.bind.address.fmt(out)?,
            Sockets::Tcp(bound) => {
                let Some(address) = bound.first().map(Bound::address) else { return Ok(()) };
                write!(out, "http://{address}{}", hint(address))?;
            }
        }
        match self.bind.proxy_protocol {
            ProxyProtocol::On => out.write_str(" behind the PROXY protocol"),
            ProxyProtocol::Off => Ok(()),
        }
    }
}

fn hint(address: SocketAddr) -> String {
    if !address.ip().is_unspecified() {
        return String::new();
    }
    let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    format!(" (here: http://{local})")
}
