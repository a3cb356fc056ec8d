//! How many whole request heads stand in received bytes, and what becomes of the connection.
//!
//! Pure: bytes in, a count out. httparse knows the grammar.

use std::mem::MaybeUninit;

use httparse::Header;
use httparse::Status;

/// A longer head closes the connection. As corelane's own bound for a browser's fields would be.
pub const HEAD_BYTES_MAX: usize = 8192;

/// A head with more fields closes the connection.
const FIELDS_MAX: usize = 64;

/// What [`count`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Whole heads: so many answers are owed.
    pub complete: usize,
    /// The bytes of these heads. What stands behind them is the beginning of another.
    pub used_bytes: usize,
    /// What comes after these answers.
    pub then: Then,
}

/// What a connection does after its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Reads on.
    Read,
    /// Closes: the peer asked for it, sends a body, or does not speak HTTP.
    Close,
}

/// Counts the heads at the start of `bytes`, up to the first after which the connection closes.
#[must_use]
pub fn count(bytes: &[u8]) -> Heads {
    let mut heads = Heads { complete: 0, used_bytes: 0, then: Then::Read };
    while let Some(rest) = bytes.get(heads.used_bytes..)
        && !rest.is_empty()
        && heads.then == Then::Read
    {
        let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(rest, &mut slots) {
            Ok(Status::Complete(used)) if used <= HEAD_BYTES_MAX => {
                heads.complete += 1;
                heads.used_bytes += used;
                heads.then = after(&request);
            }
            Ok(Status::Partial) if rest.len() < HEAD_BYTES_MAX => break,
            _ => heads.then = Then::Close,
        }
    }
    heads
}

fn after(request: &httparse::Request<'_, '_>) -> Then {
    // Lengths first: most fields of most requests are told apart by them.
    let ends = |field: &Header<'_>| match field.name.len() {
        10 => field.name.eq_ignore_ascii_case("connection") && says_close(field.value),
        14 => field.name.eq_ignore_ascii_case("content-length") && field.value != b"0",
        17 => field.name.eq_ignore_ascii_case("transfer-encoding"),
        _ => false,
    };
    if request.version != Some(1) || request.headers.iter().any(ends) {
        return Then::Close;
    }
    Then::Read
}

fn says_close(value: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn whole_heads_are_counted_and_the_rest_is_left() {
        let all = GET.repeat(3);
        for cut in 0..=all.len() {
            let expected = Heads {
                complete: cut / GET.len(),
                used_bytes: cut / GET.len() * GET.len(),
                then: Then::Read,
            };
            assert_eq!(count(&all[..cut]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_closes_closes_after_its_own_answer() {
        let last = [
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nCONNECTION: TE, Close\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ];
        for last in last {
            let bytes = [GET, last.as_bytes(), GET].concat();
            let heads = count(&bytes);
            assert_eq!((heads.complete, heads.then), (2, Then::Close), "{last:?}");
        }
        let open = b"POST / HTTP/1.1\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(count(open).then, Then::Read);
    }

    #[test]
    fn what_is_no_head_closes_without_an_answer() {
        let garbage = Heads { complete: 0, used_bytes: 0, then: Then::Close };
        assert_eq!(count(b"\x16\x03\x01\x02\x00"), garbage);
        let mut endless = b"GET / HTTP/1.1\r\nA: ".to_vec();
        endless.resize(HEAD_BYTES_MAX - 1, b'a');
        assert_eq!(count(&endless).then, Then::Read);
        endless.push(b'a');
        assert_eq!(count(&endless), garbage);
        endless.extend_from_slice(b"\r\n\r\n");
        assert_eq!(count(&endless), garbage);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(count(many.as_bytes()), garbage);
    }
}
