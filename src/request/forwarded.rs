//! Who asks: the other end of the connection, or, where that is a proxy of ours, whom it asks for.
//!
//! It takes the fields of one request and the list of our proxies, and gives a [`Peer`]. A proxy
//! adds to the end of a list what it knows, and what stands before may come from anybody: so the
//! lists are read from their end, and the first address that is no proxy's is the client's. What is
//! malformed ends the reading and counts for nothing. Nobody calls this for a stranger's request.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::iter;
use std::net::AddrParseError;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::address::Address;
use crate::address::HostTrust;
use crate::address::Proxies;
use crate::request::head::is_token;
use crate::request::target;

/// Who asks, and how it came, as the application and the access log are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: Address,
    /// What the client spoke, as far as we know.
    pub scheme: Scheme,
    /// The host that the client asked for, where a proxy has said so and that counts. It goes
    /// before the field Host. Checked like one.
    pub host: Option<Vec<u8>>,
}

/// The scheme of a request's URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// http: what is spoken here.
    Http,
    /// https: a proxy before us has taken the encryption off.
    Https,
}

/// Somebody who is connected to us and speaks for nobody else.
impl From<Address> for Peer {
    fn from(address: Address) -> Self {
        Self { address, scheme: Scheme::Http, host: None }
    }
}

/// As an [`Address`], of somebody who speaks for nobody else.
impl FromStr for Peer {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse::<Address>().map(Self::from)
    }
}

/// Whom the proxy at `remote` asks for. That it is one of `proxies` is the caller's knowledge.
///
/// `X-Forwarded-For`, `-Proto` and `-Host` are read, and `Forwarded` (RFC 7239). Many proxies write
/// the one kind and pass on what a client says in the other: where the two disagree, neither is
/// believed.
#[must_use]
pub fn peer(remote: Address, proxies: &Proxies, fields: &[httparse::Header<'_>]) -> Peer {
    let told = agreed(told_by_x_forwarded(proxies, fields), told_by_forwarded(proxies, fields));
    let host = match proxies.host() {
        HostTrust::Trusted => told.host.map(<[u8]>::to_vec),
        HostTrust::Ignored => None,
    };
    Peer {
        address: told.address.unwrap_or(remote),
        scheme: told.scheme.unwrap_or(Scheme::Http),
        host,
    }
}

/// What the proxies have said of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told<'h> {
    address: Option<Address>,
    scheme: Option<Scheme>,
    host: Option<&'h [u8]>,
}

fn agreed<'h>(one: Told<'h>, other: Told<'h>) -> Told<'h> {
    let same_place = |one: &Address, other: &Address| one.ip() == other.ip();
    Told {
        address: either(one.address, other.address, same_place),
        scheme: either(one.scheme, other.scheme, PartialEq::eq),
        host: either(one.host, other.host, |one, other| one.eq_ignore_ascii_case(other)),
    }
}

/// The one that is there, or both where they are the same.
fn either<T>(one: Option<T>, other: Option<T>, same: impl Fn(&T, &T) -> bool) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => same(&one, &other).then_some(one),
        (one, other) => one.or(other),
    }
}

fn told_by_x_forwarded<'h>(proxies: &Proxies, fields: &[httparse::Header<'h>]) -> Told<'h> {
    let mut address = None;
    let mut hops = 0_usize;
    for member in members(fields, "x-forwarded-for", last_comma) {
        let Some(named) = node(member) else { break };
        if address.is_some() {
            hops = hops.saturating_add(1);
        }
        address = Some(named);
        if !proxies.contains(named) {
            break;
        }
    }
    // These lists have a member for each proxy, or one in all that every further proxy passes on.
    let of_client =
        |name: &'static str| members(fields, name, last_comma).take(hops.saturating_add(1)).last();
    Told {
        address,
        scheme: of_client("x-forwarded-proto").and_then(scheme),
        host: of_client("x-forwarded-host").and_then(authority),
    }
}

fn told_by_forwarded<'h>(proxies: &Proxies, fields: &[httparse::Header<'h>]) -> Told<'h> {
    let mut told = Told::default();
    for member in members(fields, "forwarded", last_unquoted_comma) {
        let Some(element) = element(member) else { break };
        (told.scheme, told.host) = (element.scheme, element.host);
        // `unknown`, a made-up name, or not a word of it: the proxy keeps its client to itself.
        let Some(named) = element.address else { break };
        told.address = Some(named);
        if !proxies.contains(named) {
            break;
        }
    }
    told
}

/// The members of a list that may have come in several fields (RFC 9110 section 5.3), the last one
/// first. `last_comma` tells where the last one of a value begins.
fn members<'f, 'h>(
    fields: &'f [httparse::Header<'h>],
    name: &'f str,
    last_comma: fn(&[u8]) -> Option<usize>,
) -> impl Iterator<Item = &'h [u8]> {
    let named = move |field: &&httparse::Header<'h>| field.name.eq_ignore_ascii_case(name);
    fields.iter().rev().filter(named).flat_map(move |field| {
        let mut rest = Some(field.value);
        iter::from_fn(move || {
            let value = rest.take()?;
            let Some(at) = last_comma(value) else { return Some(value.trim_ascii()) };
            rest = value.get(..at);
            value.get(at.saturating_add(1)..).map(<[u8]>::trim_ascii)
        })
    })
}

fn last_comma(value: &[u8]) -> Option<usize> {
    value.iter().rposition(|byte| *byte == b',')
}

/// From the end a quote that a stranger has left open does not reach into what a proxy has added.
/// An escaped quote would be miscounted: `element` takes none.
fn last_unquoted_comma(value: &[u8]) -> Option<usize> {
    let mut quoted = false;
    value.iter().rposition(|byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
}

/// One element of Forwarded (RFC 7239 section 4), or None when it is malformed. White space around
/// the semicolons is forgiven. A scheme or a host that is none counts as not told: the host is the
/// client's to choose, and must not hide its address.
fn element(member: &[u8]) -> Option<Told<'_>> {
    let (mut named, mut proto, mut host) = (None, None, None);
    let mut rest = Some(member);
    while let Some(value) = rest {
        let mut quoted = false;
        let end = value.iter().position(|byte| {
            quoted ^= *byte == b'"';
            *byte == b';' && !quoted
        });
        rest = end.and_then(|end| value.get(end.saturating_add(1)..));
        let pair = value.get(..end.unwrap_or(value.len()))?.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        let value = match unquoted(value.strip_prefix(b"=")?) {
            Some(value) => value,
            // A proxy that copies Host as it came does not quote the colon before a port.
            None if name.eq_ignore_ascii_case(b"host") => b"",
            None => return None,
        };
        let place = match name {
            name if name.eq_ignore_ascii_case(b"for") => &mut named,
            name if name.eq_ignore_ascii_case(b"proto") => &mut proto,
            name if name.eq_ignore_ascii_case(b"host") => &mut host,
            name if is_token(name) => continue, // `by`, or an extension
            _ => return None,
        };
        // "Each parameter MUST NOT occur more than once per field-value."
        if place.replace(value).is_some() {
            return None;
        }
    }
    Some(Told {
        address: named.and_then(node),
        scheme: proto.and_then(scheme),
        host: host.and_then(authority),
    })
}

/// The text of `token / quoted-string`. Nothing that a node, a scheme or a host is made of has to
/// be escaped, so nothing may be.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value {
        [b'"', inner @ .., b'"'] => {
            (!inner.iter().any(|byte| matches!(byte, b'"' | b'\\'))).then_some(inner)
        }
        token => is_token(token).then_some(token),
    }
}

/// An address as proxies write it: `192.0.2.1`, `2001:db8::1`, both with a port, the latter in
/// brackets then, and `unix:`, which is nginx's word for who came through a unix socket. None for
/// all else, such as `unknown`.
fn node(value: &[u8]) -> Option<Address> {
    let text = std::str::from_utf8(value).ok()?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    // A port may be made up as well (RFC 7239 section 6.2): `192.0.2.1:_x`.
    let ip = text.split_once(":_").map_or(text, |(ip, _)| ip);
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    let ip: IpAddr = bare.unwrap_or(ip).parse().ok()?;
    (bare.is_none() || ip.is_ipv6()).then(|| SocketAddr::new(ip, 0).into())
}

fn scheme(value: &[u8]) -> Option<Scheme> {
    if value.eq_ignore_ascii_case(b"https") {
        Some(Scheme::Https)
    } else if value.eq_ignore_ascii_case(b"http") {
        Some(Scheme::Http)
    } else {
        None
    }
}

/// What may stand in Host.
fn authority(value: &[u8]) -> Option<&[u8]> {
    target::check_authority(value).ok().filter(|()| !value.is_empty()).map(|()| value)
}

#[cfg(test)]
mod tests;
