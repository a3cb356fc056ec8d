//! How many connections each client has open in a lane, so that one of them cannot take all places.
//! Pure.
//!
//! A client is an IPv4 address, or the IPv6 network of 64 bits that a customer gets at least
//! (RFC 6177): within it an attacker has as many addresses as he likes. Peers on this machine do
//! not count: they are proxies. There are at most as many entries as connections.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;

/// Who counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    V4(Ipv4Addr),
    /// The first half of an IPv6 address.
    V6([u8; 8]),
}

impl Client {
    /// The client at an address; None for this machine.
    pub(super) fn at(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            own if own.is_loopback() => None,
            IpAddr::V4(address) => Some(Self::V4(address)),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Some(Self::V6([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

/// The clients of a lane that have connections, with how many.
#[derive(Debug, Default)]
pub(super) struct Clients {
    open: RefCell<HashMap<Client, usize>>,
}

/// Whether a client may have one more connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// It has; to be taken back with [`Clients::leave`].
    Granted,
    /// It has as many as it may.
    Refused,
}

impl Clients {
    /// Counts one more connection of a client that has fewer than `connections_max`.
    pub(super) fn enter(&self, client: Client, connections_max: usize) -> Entrance {
        let mut open = self.open.borrow_mut();
        let count = open.get(&client).copied().unwrap_or_default();
        if count >= connections_max {
            return Entrance::Refused;
        }
        open.insert(client, count + 1);
        Entrance::Granted
    }

    /// Counts one less.
    pub(super) fn leave(&self, client: Client) {
        let mut open = self.open.borrow_mut();
        match open.get_mut(&client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Client> {
        Client::at(text.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_address_or_a_network() {
        assert_eq!(at("192.0.2.1"), at("::ffff:192.0.2.1"), "IPv4 through an IPv6 listener");
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(at("2001:db8:0:1::1"), at("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(at("2001:db8:0:1::1"), at("2001:db8:0:2::1"));
        for own in ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(at(own), None, "{own}");
        }
    }

    /// Compared with a list of all connections.
    #[test]
    fn each_has_so_many_places_and_no_more() {
        const ROUNDS: usize = if cfg!(miri) { 500 } else { 10_000 };
        let clients = Clients::default();
        let mut twin: Vec<Client> = Vec::new();
        let all: Vec<Client> =
            ["192.0.2.1", "192.0.2.2", "2001:db8::1"].into_iter().filter_map(at).collect();
        let mut state = 1_u32;
        for _ in 0..ROUNDS {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let client = all[(state >> 8) as usize % all.len()];
            let count = twin.iter().filter(|other| **other == client).count();
            if state >> 31 == 0 {
                let entrance = clients.enter(client, 5);
                assert_eq!(entrance == Entrance::Granted, count < 5);
                if entrance == Entrance::Granted {
                    twin.push(client);
                }
            } else if let Some(at) = twin.iter().position(|other| *other == client) {
                twin.swap_remove(at);
                clients.leave(client);
            }
        }
        for client in twin {
            clients.leave(client);
        }
        assert!(clients.open.borrow().is_empty(), "a client that has left costs nothing");
    }
}
