//! The PROXY protocol, versions 1 and 2: who is behind the proxy that has connected to us.
//!
//! A proxy that passes bytes on without reading them says first whom it passes them on for
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, "the specification" below). This
//! file takes the bytes at the start of a connection and gives the two addresses, or a refusal.
//! Whether such a header is expected at all is not known here: who expects one must not guess.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use memchr::memchr;

use crate::address::Address;
use crate::limits::PROXY_HEADER_BYTES_MAX;
use crate::limits::PROXY_LINE_BYTES_MAX;

/// What [`parse`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole header; the first request begins behind it.
    Complete(Header),
    /// All bytes so far belong to a header that goes on.
    NeedMore,
    /// These bytes are no header that is taken here. Close: there is nobody to answer to.
    Refused(Refusal),
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The bytes that it took.
    pub used_bytes: usize,
    /// Whom it announces.
    pub announced: Announced,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The proxy's own, such as a health check, or that of somebody whom it cannot name: the
    /// addresses of the connection itself count.
    Nobody,
    /// A client's.
    Client {
        /// Where the client is.
        remote: Address,
        /// Where it connected to.
        local: Address,
    },
}

/// Why the bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// They begin like neither version.
    NoHeader,
    /// A line over 107 bytes.
    LineTooLong,
    /// A line that does not end in CR LF.
    LineEnd,
    /// A line that is not `PROXY TCP4 source destination port port` or the like.
    Line,
    /// A binary header of a version other than 2.
    Version,
    /// Neither LOCAL nor PROXY.
    Command,
    /// No family of addresses for a byte stream.
    Family,
    /// Fewer bytes than the addresses of the family take.
    AddressesCut,
    /// More bytes than [`PROXY_HEADER_BYTES_MAX`].
    TooLong,
}

/// Parses the header at the start of `bytes`, which may hold less or more than it.
///
/// What is refused is so as soon as it can be told; never `NeedMore` with
/// [`PROXY_HEADER_BYTES_MAX`] bytes or more.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let parsed = if may_begin(bytes, SIGNATURE) {
        parse_binary(bytes)
    } else if may_begin(bytes, LINE_START) {
        parse_line(bytes)
    } else {
        Err(Refusal::NoHeader)
    };
    match parsed {
        Ok(Some(header)) => Parsed::Complete(header),
        Ok(None) => Parsed::NeedMore,
        Err(refusal) => Parsed::Refused(refusal),
    }
}

/// The first bytes of version 2 (the specification's section 2.2). No HTTP begins so.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The first bytes of version 1 (section 2.1).
const LINE_START: &[u8; 6] = b"PROXY ";

/// Whether these bytes begin with `start`, as far as they go.
fn may_begin(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, expected)| byte == expected)
}

fn parse_binary(bytes: &[u8]) -> Result<Option<Header>, Refusal> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else { return Ok(None) };
    let [.., command, family, length_high, length_low] = *fixed;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    let used_bytes = FIXED_BYTES.saturating_add(length);
    let addresses_bytes = match (command, family) {
        // "The receiver must accept this connection as valid and must use the real connection
        // endpoints": the family is not looked at.
        (LOCAL, _) | (PROXY, UNSPECIFIED) => 0,
        (PROXY, TCP4) => 12,
        (PROXY, TCP6) => 36,
        (PROXY, UNIX_STREAM) => 216,
        // Among them the datagram families: HTTP does not come in these.
        (PROXY, _) => return Err(Refusal::Family),
        (0x20..=0x2f, _) => return Err(Refusal::Command),
        _ => return Err(Refusal::Version),
    };
    if length < addresses_bytes {
        return Err(Refusal::AddressesCut);
    }
    if used_bytes > PROXY_HEADER_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    // Behind the addresses stand the TLVs, which nothing here needs.
    let Some(block) = rest.get(..length) else { return Ok(None) };
    let announced = match (command, family) {
        (PROXY, TCP4) => ipv4_client(block).ok_or(Refusal::AddressesCut)?,
        (PROXY, TCP6) => ipv6_client(block).ok_or(Refusal::AddressesCut)?,
        (PROXY, UNIX_STREAM) => Announced::Client { remote: Address::Unix, local: Address::Unix },
        _ => Announced::Nobody,
    };
    Ok(Some(Header { used_bytes, announced }))
}

/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

fn ipv4_client(block: &[u8]) -> Option<Announced> {
    let (source, rest) = block.split_first_chunk::<4>()?;
    let (destination, rest) = rest.split_first_chunk::<4>()?;
    client(Ipv4Addr::from(*source).into(), Ipv4Addr::from(*destination).into(), rest)
}

fn ipv6_client(block: &[u8]) -> Option<Announced> {
    let (source, rest) = block.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    client(Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into(), rest)
}

fn client(source: IpAddr, destination: IpAddr, ports: &[u8]) -> Option<Announced> {
    let (source_port, rest) = ports.split_first_chunk::<2>()?;
    let (destination_port, _) = rest.split_first_chunk::<2>()?;
    Some(Announced::Client {
        remote: SocketAddr::new(source, u16::from_be_bytes(*source_port)).into(),
        local: SocketAddr::new(destination, u16::from_be_bytes(*destination_port)).into(),
    })
}

fn parse_line(bytes: &[u8]) -> Result<Option<Header>, Refusal> {
    let window = bytes.get(..PROXY_LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(before_end) = memchr(b'\n', window) else {
        return match window.len() >= PROXY_LINE_BYTES_MAX {
            true => Err(Refusal::LineTooLong),
            false => Ok(None),
        };
    };
    let line = window.get(..before_end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.ok_or(Refusal::LineEnd)?;
    let text = std::str::from_utf8(line).map_err(|_| Refusal::Line)?;
    let words: Vec<&str> = text.split(' ').collect();
    let announced = match *words.as_slice() {
        // "The receiver must ignore anything presented before the CRLF is found."
        ["PROXY", "UNKNOWN", ..] if !text.contains('\r') => Announced::Nobody,
        ["PROXY", family, source, destination, source_port, destination_port] => {
            let remote = end(family, source, source_port).ok_or(Refusal::Line)?;
            let local = end(family, destination, destination_port).ok_or(Refusal::Line)?;
            Announced::Client { remote, local }
        }
        _ => return Err(Refusal::Line),
    };
    Ok(Some(Header { used_bytes: before_end.saturating_add(1), announced }))
}

fn end(family: &str, address: &str, port: &str) -> Option<Address> {
    let ip: IpAddr = match family {
        "TCP4" => address.parse::<Ipv4Addr>().ok()?.into(),
        "TCP6" => address.parse::<Ipv6Addr>().ok()?.into(),
        _ => return None,
    };
    // "Heading zeroes are not permitted in order to avoid any possible confusion with octal
    // numbers." Rust would take a plus sign besides.
    let plain = port == "0" || port.starts_with(|first: char| matches!(first, '1'..='9'));
    let port = if plain { port.parse().ok()? } else { return None };
    Some(SocketAddr::new(ip, port).into())
}

impl Refusal {
    /// The reason in words, for the debug log.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoHeader => "no PROXY header",
            Self::LineTooLong => "PROXY line too long",
            Self::LineEnd => "PROXY line does not end in CR LF",
            Self::Line => "malformed PROXY line",
            Self::Version => "unknown version of the PROXY protocol",
            Self::Command => "unknown PROXY command",
            Self::Family => "PROXY header for another kind of connection",
            Self::AddressesCut => "PROXY header shorter than its addresses",
            Self::TooLong => "PROXY header too long",
        }
    }
}

#[cfg(test)]
mod tests;
