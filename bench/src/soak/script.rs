//! What one hostile connection does, as plain data: what it sends and how fast, what it reads, when
//! and how it leaves. It knows no socket; the crowd plays it.

use std::time::Duration;

/// The life of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What it sends.
    pub sends: Bytes,
    /// How fast.
    pub pace: Pace,
    /// What it does with answers.
    pub reads: Reading,
    /// When it leaves, if the server does not close before.
    pub leaves: Leaving,
    /// The longest that it stays.
    pub stays: Duration,
    /// How it leaves.
    pub farewell: Farewell,
    /// The size that SO_RCVBUF is set to (the kernel doubles it, tcp(7)); None: the kernel's own.
    pub receive_buffer_bytes: Option<usize>,
}

/// Longer than any attack: until it is told to end, or the server closes.
pub const FOR_EVER: Duration = Duration::from_secs(1_000_000);

impl Script {
    /// Sends these bytes at once, reads what comes, and leaves with an ordinary FIN at the first
    /// bytes of an answer, or after this time.
    #[must_use]
    pub const fn ask(sends: Bytes, stays: Duration) -> Self {
        Self {
            sends,
            pace: Pace::AT_ONCE,
            reads: Reading::All,
            leaves: Leaving::WhenAnswered,
            stays,
            farewell: Farewell::Fin,
            receive_buffer_bytes: None,
        }
    }
}

/// Bytes to send: an opening, something that is repeated, an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Sent once.
    pub opening: Vec<u8>,
    /// Sent `repeats` times.
    pub repeated: Vec<u8>,
    /// How often.
    pub repeats: usize,
    /// Sent once behind that.
    pub end: Vec<u8>,
}

impl Bytes {
    /// Only these.
    #[must_use]
    pub fn once(opening: impl Into<Vec<u8>>) -> Self {
        Self { opening: opening.into(), ..Self::default() }
    }

    /// `repeated` behind `opening`, without an end.
    #[must_use]
    pub fn endless(opening: impl Into<Vec<u8>>, repeated: impl Into<Vec<u8>>) -> Self {
        let (opening, repeated) = (opening.into(), repeated.into());
        Self { opening, repeated, repeats: usize::MAX, end: Vec::new() }
    }

    /// Bytes from this place on, as many as lie together, up to `bytes_max`. Empty at the end.
    #[must_use]
    pub fn piece(&self, from: usize, bytes_max: usize) -> &[u8] {
        let repeated = self.repeated.len().saturating_mul(self.repeats);
        let piece = if let Some(opening) = self.opening.get(from..).filter(|rest| !rest.is_empty())
        {
            opening
        } else {
            let behind = from - self.opening.len();
            if behind < repeated {
                self.repeated.get(behind % self.repeated.len()..).unwrap_or_default()
            } else {
                self.end.get(behind - repeated..).unwrap_or_default()
            }
        };
        piece.get(..bytes_max).unwrap_or(piece)
    }

    /// How many they are.
    #[must_use]
    pub const fn total(&self) -> usize {
        let repeated = self.repeated.len().saturating_mul(self.repeats);
        self.opening.len().saturating_add(repeated).saturating_add(self.end.len())
    }
}

/// How fast a script sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// At most so many at first.
    pub first_bytes: usize,
    /// At most so many at a time behind that.
    pub bytes: usize,
    /// From one time to the next.
    pub every: Duration,
}

impl Pace {
    /// As fast as the socket takes them.
    pub const AT_ONCE: Self =
        Self { first_bytes: usize::MAX, bytes: usize::MAX, every: Duration::ZERO };

    /// So many bytes at fixed moments, the first of them at once.
    #[must_use]
    pub const fn drip(bytes: usize, every: Duration) -> Self {
        Self { first_bytes: bytes, bytes, every }
    }
}

/// What a script does with answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Reads whatever comes.
    All,
    /// Never reads: the answers fill the sockets.
    Nothing,
    /// Reads a little now and then.
    Slowly(Pace),
}

/// When a script is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// When everything has been handed to the socket.
    WhenSent,
    /// When a status line has come.
    WhenAnswered,
    /// When the time is over.
    AtEnd,
}

/// How a script ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// close(2): a FIN, or a reset where answers were not read.
    Fin,
    /// SO_LINGER with 0: a reset, whatever was sent.
    Reset,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All bytes, taken this many at a time.
    fn all(bytes: &Bytes, bytes_max: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while taken.len() < 10_000 {
            let piece = bytes.piece(taken.len(), bytes_max);
            if piece.is_empty() {
                break;
            }
            assert!(piece.len() <= bytes_max);
            taken.extend_from_slice(piece);
        }
        taken
    }

    #[test]
    fn pieces_of_any_size_make_the_same_bytes() {
        let of = |opening: &str, repeated: &str, repeats, end: &str| Bytes {
            opening: opening.into(),
            repeated: repeated.into(),
            repeats,
            end: end.into(),
        };
        let cases = [
            (of("ab", "cde", 3, "fg"), "abcdecdecdefg"),
            (of("", "cde", 2, ""), "cdecde"),
            (of("ab", "", 5, "fg"), "abfg"),
            (of("ab", "cde", 0, "fg"), "abfg"),
            (of("", "", 0, ""), ""),
            (Bytes::once("once"), "once"),
        ];
        for (bytes, expected) in cases {
            for bytes_max in 1..15 {
                assert_eq!(all(&bytes, bytes_max), expected.as_bytes(), "{bytes_max}");
            }
            assert_eq!(bytes.total(), expected.len());
        }
    }

    #[test]
    fn endless_bytes_do_not_end() {
        let bytes = Bytes::endless("<", "ab");
        assert_eq!(bytes.piece(0, 9), b"<");
        assert_eq!(bytes.piece(2_000_000, 9), b"b");
        assert_eq!(bytes.total(), usize::MAX);
    }
}
