//! Whom the operator believes when they speak for others: the proxies before us.
//!
//! It owns the list of `--forwarded-allow-ips` and says of an address whether it is on it. What a
//! proxy says, and how that is read, is the business of `request::forwarded`.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::address::Address;

/// The proxies, and in what they are believed. Empty by default: nobody is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    list: Vec<Proxy>,
    host: HostTrust,
}

/// One item of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Who connects from this network, or from this one address.
    Network(Network),
    /// Who connects to one of our unix sockets.
    Unix,
    /// Whoever connects: `*`. It says nothing of the addresses that they name: of those only the
    /// last one is the proxy's own word.
    Anybody,
}

/// Whether a proxy's word on the host that was asked for goes before the field Host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostTrust {
    /// It does not.
    #[default]
    Ignored,
    /// It does.
    Trusted,
}

/// What the other end of a connection is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A proxy of ours: what it says of its clients is believed.
    Proxy,
    /// Anybody else.
    Stranger,
}

impl Proxies {
    /// The proxies of this list.
    #[must_use]
    pub const fn new(list: Vec<Proxy>, host: HostTrust) -> Self {
        Self { list, host }
    }

    /// What somebody who is connected from there is to us.
    #[must_use]
    pub fn standing(&self, remote: Address) -> Standing {
        match self.list.contains(&Proxy::Anybody) || self.contains(remote) {
            true => Standing::Proxy,
            false => Standing::Stranger,
        }
    }

    /// Whether an address that a proxy names is that of a further proxy of ours, so that the one
    /// before it was named by a proxy too.
    #[must_use]
    pub fn contains(&self, named: Address) -> bool {
        self.list.iter().any(|proxy| match (proxy, named.ip()) {
            (Proxy::Network(network), Some(ip)) => network.contains(ip),
            (Proxy::Unix, None) => true,
            _ => false,
        })
    }

    /// Whether their word on the host counts.
    #[must_use]
    pub const fn host(&self) -> HostTrust {
        self.host
    }

    /// Whether there are any.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// The addresses that have their first bits in common. One address is a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    // INVARIANT: canonical, and 0 behind the prefix.
    first: IpAddr,
    // INVARIANT: at most 32 for IPv4, 128 for IPv6.
    prefix_bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkMistake {
    /// It is neither an address nor `ADDRESS/BITS`.
    Malformed,
    /// The address has bits behind the prefix: this network was meant, or that address.
    BitsBehindPrefix(Network),
}

impl Network {
    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.first, ip.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => {
                self.is_prefix_of((first.to_bits() ^ ip.to_bits()).into(), Ipv4Addr::BITS)
            }
            (IpAddr::V6(first), IpAddr::V6(ip)) => {
                self.is_prefix_of(first.to_bits() ^ ip.to_bits(), Ipv6Addr::BITS)
            }
            _ => false,
        }
    }

    /// Whether two addresses of so many bits, which differ in these, have the prefix in common.
    const fn is_prefix_of(&self, difference: u128, bits: u32) -> bool {
        // A shift by all 128 bits is none: everything is in ::/0.
        match difference.checked_shr(bits.saturating_sub(self.prefix_bits as u32)) {
            Some(difference) => difference == 0,
            None => true,
        }
    }

    /// The network of this size that the address lies in.
    fn around(ip: IpAddr, prefix_bits: u8) -> Self {
        let behind = |bits: u32| bits.saturating_sub(prefix_bits.into());
        let first = match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(behind(Ipv4Addr::BITS)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(behind(Ipv6Addr::BITS)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
            }
        };
        Self { first, prefix_bits }
    }
}

/// `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`.
impl FromStr for Network {
    type Err = NetworkMistake;

    fn from_str(text: &str) -> Result<Self, NetworkMistake> {
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let typed: IpAddr = ip.parse().map_err(|_| NetworkMistake::Malformed)?;
        let ip = typed.to_canonical();
        let bits = |ip: IpAddr| if ip.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => bits(ip),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let prefix: u8 = digits.parse().map_err(|_| NetworkMistake::Malformed)?;
                // `::ffff:10.0.0.0/104` is 10.0.0.0/8.
                let mapped = bits(typed) - bits(ip);
                prefix.checked_sub(mapped).ok_or(NetworkMistake::Malformed)?
            }
            Some(_) => return Err(NetworkMistake::Malformed),
        };
        if prefix_bits > bits(ip) {
            return Err(NetworkMistake::Malformed);
        }
        let network = Self::around(ip, prefix_bits);
        match network.first == ip {
            true => Ok(network),
            false => Err(NetworkMistake::BitsBehindPrefix(network)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.first, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    /// Compares bit by bit, as texts of 0 and 1.
    fn slow_contains(network: &str, ip: IpAddr) -> bool {
        let bits = |ip: IpAddr| match ip.to_canonical() {
            IpAddr::V4(ip) => format!("4{:032b}", ip.to_bits()),
            IpAddr::V6(ip) => format!("6{:0128b}", ip.to_bits()),
        };
        let (first, prefix) = network.split_once('/').unwrap();
        let first = bits(first.parse().unwrap());
        bits(ip).starts_with(&first[..1 + prefix.parse::<usize>().unwrap()])
    }

    #[test]
    fn networks_contain_what_their_bits_say() {
        let networks = [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "192.0.2.128/25",
            "192.0.2.1/32",
            "128.0.0.0/1",
            "::/0",
            "2001:db8::/32",
            "2001:db8::1/128",
            "8000::/1",
        ];
        let addresses = [
            "0.0.0.0",
            "9.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "11.0.0.0",
            "127.255.255.255",
            "128.0.0.0",
            "192.0.2.0",
            "192.0.2.1",
            "192.0.2.127",
            "192.0.2.128",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.1.2.3",
            "::a00:1",
            "2001:db7:ffff::",
            "2001:db8::",
            "2001:db8::1",
            "2001:db8:ffff::1",
            "2001:db9::",
            "ffff::",
        ];
        for text in networks {
            for ip in addresses {
                let ip: IpAddr = ip.parse().unwrap();
                assert_eq!(network(text).contains(ip), slow_contains(text, ip), "{ip} in {text}");
            }
        }
    }

    #[test]
    fn one_address_is_a_network() {
        assert_eq!(network("192.0.2.1"), network("192.0.2.1/32"));
        assert_eq!(network("::1"), network("::1/128"));
        assert_eq!(network("::ffff:10.0.0.0/104"), network("10.0.0.0/8"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_eq!(network("fd00::/8").to_string(), "fd00::/8");
    }

    #[test]
    fn what_is_no_network() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "10.0.0.0/255.0.0.0",
            "10/8",
            "010.0.0.0/8",
            "::/129",
            "::/256",
            "::ffff:10.0.0.0/95",
            "[::1]",
            "localhost",
            "10.0.0.1:80",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NetworkMistake::Malformed), "{text}");
        }
        let meant = NetworkMistake::BitsBehindPrefix(network("10.0.0.0/8"));
        assert_eq!("10.0.0.1/8".parse::<Network>(), Err(meant));
        let meant = NetworkMistake::BitsBehindPrefix(network("2001:db8::/32"));
        assert_eq!("2001:db8::1/32".parse::<Network>(), Err(meant));
    }

    #[test]
    fn who_is_believed() {
        let one = |proxy| Proxies::new(vec![proxy], HostTrust::Ignored);
        let near: Address = "127.0.0.1:5".parse().unwrap();
        let mapped: Address = "[::ffff:127.0.0.1]:5".parse().unwrap();
        let far: Address = "192.0.2.1:5".parse().unwrap();
        let loopback = one(Proxy::Network(network("127.0.0.0/8")));
        for (proxies, address, standing, contains) in [
            (&Proxies::default(), near, Standing::Stranger, false),
            (&Proxies::default(), Address::Unix, Standing::Stranger, false),
            (&loopback, near, Standing::Proxy, true),
            (&loopback, mapped, Standing::Proxy, true),
            (&loopback, far, Standing::Stranger, false),
            (&loopback, Address::Unix, Standing::Stranger, false),
            (&one(Proxy::Unix), Address::Unix, Standing::Proxy, true),
            (&one(Proxy::Unix), near, Standing::Stranger, false),
            (&one(Proxy::Anybody), far, Standing::Proxy, false),
            (&one(Proxy::Anybody), Address::Unix, Standing::Proxy, false),
        ] {
            assert_eq!(proxies.standing(address), standing, "{address} {proxies:?}");
            assert_eq!(proxies.contains(address), contains, "{address} {proxies:?}");
        }
        assert!(Proxies::default().is_empty() && !loopback.is_empty());
    }
}
