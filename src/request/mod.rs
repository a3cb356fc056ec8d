//! The vocabulary of a request: method, version, header fields, the parsed head.
//!
//! This room is pure: bytes in, values out. It knows HTTP (RFC 9110, RFC 9112) and nothing of
//! sockets, files or Python. The way in is [`head::parse`]; before it [`proxy::parse`] where a
//! proxy announces its client, behind it [`forwarded::peer`] where a proxy speaks in fields.

pub mod accept;
pub mod accept_encoding;
pub mod chunked;
pub mod forwarded;
pub mod framing;
pub mod head;
pub mod proxy;
pub mod reject;
pub mod target;

pub use forwarded::Peer;
pub use forwarded::Scheme;
pub use framing::Framing;
pub use reject::Reject;
pub use target::Target;

/// The protocol version of a request. Other major versions are refused with 505.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: closes after the answer unless it asks to stay, knows no chunked coding.
    Http10,
    /// HTTP/1.1, or a later minor version, which is read as the highest that is known (RFC 9110
    /// section 2.5).
    Http11,
}

/// The methods that corelane itself treats differently. An application gets the name as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET (RFC 9110 section 9.3.1).
    Get,
    /// HEAD: the answer to GET without its body (section 9.3.2).
    Head,
    /// OPTIONS (section 9.3.7).
    Options,
    /// CONNECT (section 9.3.6): no tunnels here, refused with 501.
    Connect,
    /// Any other token.
    Other,
}

/// Whether the connection may carry another request after this one (RFC 9112 section 9.3), as far
/// as the request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// HTTP/1.1 without `close`, or HTTP/1.0 with `keep-alive`.
    KeepAlive,
    /// `Connection: close`, or HTTP/1.0 without `keep-alive`.
    Close,
}

/// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// No `Expect` field.
    None,
    /// `Expect: 100-continue` in an HTTP/1.1 request.
    Continue,
}

/// One parsed and checked request head. Borrows the bytes that it was parsed from.
#[derive(Clone, Debug)]
pub struct Request<'head> {
    /// All bytes of the head, with the empty line.
    pub head: &'head [u8],
    /// The method, as far as we know it.
    pub method: Method,
    /// The method as it came; a token (RFC 9110 section 5.6.2).
    pub method_name: &'head str,
    /// The request-target as it came.
    pub raw_target: &'head str,
    /// The request-target decoded: what the router, the file system and the application see.
    pub target: Target<'head>,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The header fields in the order they came; names are tokens, values hold no control byte but
    /// tab.
    pub headers: &'head [httparse::Header<'head>],
    /// The authority: the value of Host, or of an absolute-form target. Empty in HTTP/1.0 without
    /// Host.
    pub host: &'head [u8],
    /// How the body is delimited.
    pub framing: Framing,
    /// What the request says about the connection.
    pub persistence: Persistence,
    /// What the request says about its body's sending.
    pub expectation: Expectation,
}

impl<'head> Request<'head> {
    /// The value of the first field of this name (any case), or None.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'head [u8]> {
        let same = |field: &&httparse::Header<'head>| field.name.eq_ignore_ascii_case(name);
        self.headers.iter().find(same).map(|field| field.value)
    }

    /// The value of a field that is no list: None where it is missing or comes twice, which makes a
    /// list of it (RFC 9110 section 5.3).
    #[must_use]
    pub fn only_header(&self, name: &str) -> Option<&'head [u8]> {
        let same = |field: &&httparse::Header<'head>| field.name.eq_ignore_ascii_case(name);
        let mut fields = self.headers.iter().filter(same);
        let first = fields.next()?;
        fields.next().is_none().then_some(first.value)
    }
}

impl Method {
    /// The method of this name; names are case-sensitive (RFC 9110 section 9.1).
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            "CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}
