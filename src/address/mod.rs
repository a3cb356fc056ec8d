//! Where somebody is: an IP address with its port, or a unix socket.
//!
//! The one word for it throughout: from the listener over the log to REMOTE_ADDR. `proxies` says
//! whom of them the operator believes. It knows no socket; it is text and numbers.

mod proxies;

pub use proxies::HostTrust;
pub use proxies::Network;
pub use proxies::NetworkMistake;
pub use proxies::Proxies;
pub use proxies::Proxy;
pub use proxies::Standing;

use std::fmt;
use std::net::AddrParseError;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::str::FromStr;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address with its port, which is 0 where a proxy has told the address alone.
    Ip(SocketAddr),
    /// A unix socket. Those who connect to one have no name as a rule (unix(7)), so none is kept.
    Unix,
}

impl Address {
    /// The IP address, if there is one. What a dual-stack socket calls `::ffff:192.0.2.1` is
    /// 192.0.2.1 here.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip().to_canonical()),
            Self::Unix => None,
        }
    }

    /// The port, where it is known.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(address) if address.port() != 0 => Some(address.port()),
            Self::Ip(_) | Self::Unix => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// `192.0.2.1:4711`, or `unix:` as nginx writes it.
impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(out),
            Self::Unix => out.write_str(UNIX),
        }
    }
}

/// As it is displayed.
impl FromStr for Address {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        match text {
            UNIX => Ok(Self::Unix),
            _ => text.parse().map(Self::Ip),
        }
    }
}

const UNIX: &str = "unix:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        for text in ["192.0.2.1:4711", "[2001:db8::1]:80", "unix:"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["192.0.2.1", "unix", "unix:/run/a", "", "a:1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_mapped_address_is_ipv4() {
        let mapped: Address = "[::ffff:192.0.2.1]:5".parse().unwrap();
        assert_eq!(mapped.ip(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(mapped.port(), Some(5));
        assert_eq!((Address::Unix.ip(), Address::Unix.port()), (None, None));
        assert_eq!("192.0.2.1:0".parse::<Address>().unwrap().port(), None);
    }
}
