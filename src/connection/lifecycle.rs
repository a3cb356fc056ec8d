//! Whether a connection may carry another request: every rule on reuse, in one pure function.
//!
//! Takes what is known about one exchange, gives what to do with the connection after it, and what
//! the head of the answer says about that. It knows neither the socket nor the clock.

use crate::limits::DRAIN_BYTES_MAX;
use crate::limits::REQUESTS_PER_CONNECTION_MAX;
use crate::request::Persistence;
use crate::request::Version;
use crate::response::head::ConnectionField;
use crate::response::head::Delimitation;

/// One request and its answer, as far as they matter for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// Which request of its connection this is, from 1 on.
    pub number: u64,
    /// The version of the request.
    pub version: Version,
    /// What the request said about the connection.
    pub persistence: Persistence,
    /// What of the request's body has not been read.
    pub body: BodyRest,
    /// How the answer is delimited.
    pub delimitation: Delimitation,
    /// Whether the server goes on.
    pub service: Service,
}

/// What of a request's body has not been read from the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyRest {
    /// Nothing: there was none, or all of it was read.
    Nothing,
    /// This many bytes of a body with a length.
    Bytes(u64),
    /// Some of a chunked body; how much is not known.
    Unknown,
    /// The client waits for `100 Continue`, which was not sent: the body may come or not.
    Withheld,
}

/// Whether the server takes further requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// It does.
    Open,
    /// It is stopping: each connection ends with its running request.
    Ending,
}

/// What to do with the connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read the next request.
    Keep,
    /// Read and throw away the rest of the request's body, then read the next request. Close when
    /// it is longer than this, which can only happen with chunks.
    Drain {
        /// Bytes to throw away at most.
        bytes_max: u64,
    },
    /// Close, after the peer had time to read the answer (RFC 9112 section 9.6).
    Close,
}

/// Decides what happens to the connection after this exchange (RFC 9112 section 9.3).
#[must_use]
pub(super) const fn after(exchange: &Exchange) -> Next {
    if matches!(exchange.service, Service::Ending) {
        return Next::Close;
    }
    if matches!(exchange.persistence, Persistence::Close) {
        return Next::Close;
    }
    if exchange.number >= REQUESTS_PER_CONNECTION_MAX {
        return Next::Close;
    }
    match (exchange.delimitation, exchange.version) {
        (Delimitation::Close, _) => return Next::Close,
        // HTTP/1.0 knows no chunks (section 6.1): it reads on to the end of the connection.
        (Delimitation::Chunked, Version::Http10) => return Next::Close,
        (Delimitation::Chunked, Version::Http11) => {}
        (Delimitation::Length(_) | Delimitation::None, _) => {}
    }
    match exchange.body {
        BodyRest::Nothing | BodyRest::Bytes(0) => Next::Keep,
        BodyRest::Bytes(bytes) if bytes <= DRAIN_BYTES_MAX => Next::Drain { bytes_max: bytes },
        BodyRest::Bytes(_) => Next::Close,
        BodyRest::Unknown => Next::Drain { bytes_max: DRAIN_BYTES_MAX },
        // The next bytes may be the body or the next request (RFC 9110 section 10.1.1).
        BodyRest::Withheld => Next::Close,
    }
}

/// What the head of the answer says about the connection, from what is known before it is sent.
#[must_use]
pub(super) const fn connection_field(exchange: &Exchange) -> ConnectionField {
    match (after(exchange), exchange.version) {
        (Next::Close, _) => ConnectionField::Close,
        (Next::Keep | Next::Drain { .. }, Version::Http10) => ConnectionField::KeepAlive,
        (Next::Keep | Next::Drain { .. }, Version::Http11) => ConnectionField::Implied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plain exchange that keeps its connection.
    const PLAIN: Exchange = Exchange {
        number: 1,
        version: Version::Http11,
        persistence: Persistence::KeepAlive,
        body: BodyRest::Nothing,
        delimitation: Delimitation::Length(5),
        service: Service::Open,
    };
    const OLD: Exchange = Exchange { version: Version::Http10, ..PLAIN };
    const DRAIN_ALL: Next = Next::Drain { bytes_max: DRAIN_BYTES_MAX };

    #[test]
    fn the_table() {
        use ConnectionField::{Close as SayClose, Implied, KeepAlive};
        use Next::{Close, Drain, Keep};
        let body = |body| Exchange { body, ..PLAIN };
        let delimited = |delimitation| Exchange { delimitation, ..PLAIN };
        let last = Persistence::Close;
        let chunked = Delimitation::Chunked;
        let table = [
            (PLAIN, Keep, Implied),
            (OLD, Keep, KeepAlive),
            (Exchange { persistence: last, ..PLAIN }, Close, SayClose),
            (Exchange { persistence: last, ..OLD }, Close, SayClose),
            (Exchange { number: REQUESTS_PER_CONNECTION_MAX - 1, ..PLAIN }, Keep, Implied),
            (Exchange { number: REQUESTS_PER_CONNECTION_MAX, ..PLAIN }, Close, SayClose),
            (Exchange { number: u64::MAX, ..OLD }, Close, SayClose),
            (Exchange { service: Service::Ending, ..PLAIN }, Close, SayClose),
            (Exchange { service: Service::Ending, ..OLD }, Close, SayClose),
            (delimited(chunked), Keep, Implied),
            (Exchange { delimitation: chunked, ..OLD }, Close, SayClose),
            (delimited(Delimitation::None), Keep, Implied),
            (delimited(Delimitation::Close), Close, SayClose),
            (Exchange { delimitation: Delimitation::Close, ..OLD }, Close, SayClose),
            (body(BodyRest::Bytes(0)), Keep, Implied),
            (body(BodyRest::Bytes(1)), Drain { bytes_max: 1 }, Implied),
            (body(BodyRest::Bytes(DRAIN_BYTES_MAX)), DRAIN_ALL, Implied),
            (body(BodyRest::Bytes(DRAIN_BYTES_MAX + 1)), Close, SayClose),
            (body(BodyRest::Bytes(u64::MAX)), Close, SayClose),
            (body(BodyRest::Unknown), DRAIN_ALL, Implied),
            (body(BodyRest::Withheld), Close, SayClose),
            (Exchange { body: BodyRest::Bytes(7), ..OLD }, Drain { bytes_max: 7 }, KeepAlive),
        ];
        for (exchange, next, field) in table {
            assert_eq!(after(&exchange), next, "{exchange:?}");
            assert_eq!(connection_field(&exchange), field, "{exchange:?}");
        }
    }

    #[test]
    fn one_reason_to_close_is_enough() {
        let bodies = [BodyRest::Nothing, BodyRest::Bytes(9), BodyRest::Unknown];
        for version in [Version::Http10, Version::Http11] {
            for body in bodies {
                let exchange = Exchange { version, body, ..PLAIN };
                assert_ne!(after(&exchange), Next::Close);
                let closing = [
                    Exchange { persistence: Persistence::Close, ..exchange },
                    Exchange { delimitation: Delimitation::Close, ..exchange },
                    Exchange { service: Service::Ending, ..exchange },
                    Exchange { body: BodyRest::Withheld, ..exchange },
                    Exchange { number: REQUESTS_PER_CONNECTION_MAX, ..exchange },
                ];
                for exchange in closing {
                    assert_eq!(after(&exchange), Next::Close, "{exchange:?}");
                }
            }
        }
    }
}
