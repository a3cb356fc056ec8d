//! A URL: where to connect, and the request that is sent there.
//!
//! Plain `http://` alone. The request is made once, repeated as often as one write may hold.

use std::net::SocketAddr;
use std::net::ToSocketAddrs;

/// Requests in flight on one connection at most.
pub const PIPELINE_MAX: usize = 1024;

/// Where requests go, and their bytes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The first address of the URL's host.
    pub address: SocketAddr,
    requests: Vec<u8>,
    request_bytes: usize,
}

impl Target {
    /// The target of `http://HOST[:PORT][/PATH]`, with requests for writes of up to `pipeline`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: another scheme, a host without an address, or a byte that has
    /// no place in a request line.
    pub fn parse(url: &str, pipeline: usize) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or_else(|| format!("{url}: not http://"))?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        if authority.is_empty() || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{url}: not a URL"));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let with_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let mut addresses =
            with_port.to_socket_addrs().map_err(|error| format!("{authority}: {error}"))?;
        let address = addresses.next().ok_or_else(|| format!("{authority}: no address"))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n").into_bytes();
        let pipeline = pipeline.clamp(1, PIPELINE_MAX);
        Ok(Self { address, request_bytes: request.len(), requests: request.repeat(pipeline) })
    }

    /// The bytes of so many requests, up to the pipeline's depth.
    #[must_use]
    pub fn requests(&self, count: usize) -> &[u8] {
        self.requests.get(..count * self.request_bytes).unwrap_or(&self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_an_address_and_a_request() {
        let target = Target::parse("http://127.0.0.1:8001/a?b", 3).unwrap();
        assert_eq!(target.address, "127.0.0.1:8001".parse().unwrap());
        let request = b"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:8001\r\n\r\n";
        assert_eq!(target.requests(1), request);
        assert_eq!(target.requests(2), request.repeat(2));
        let bare = Target::parse("http://127.0.0.1", 1).unwrap();
        assert_eq!(bare.address, "127.0.0.1:80".parse().unwrap());
        assert!(bare.requests(1).starts_with(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"));
        let six = Target::parse("http://[::1]:8001/", 1).unwrap();
        assert_eq!(six.address, "[::1]:8001".parse().unwrap());
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["https://127.0.0.1/", "127.0.0.1", "http:///", "http://127.0.0.1/a b", ""] {
            assert!(Target::parse(url, 1).is_err(), "{url}");
        }
    }
}
