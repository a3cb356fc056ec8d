//! The right body, and the comparison of answers with it as they come in.
//!
//! The right body is that of a file, or of the first answer, which is fetched before anything is
//! measured.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::load::answer::AnswerReader;
use crate::load::answer::Progress;
use crate::load::target::Target;

/// How long the first answer may take.
const FIRST_ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// What the body of every answer is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    body: Vec<u8>,
}

/// How far one answer's body agrees with the reference.
#[derive(Clone, Copy, Debug, Default)]
pub struct Comparison {
    seen_bytes: usize,
    differs: bool,
}

impl Reference {
    /// The body is known.
    #[must_use]
    pub const fn new(body: Vec<u8>) -> Self {
        Self { body }
    }

    /// Fetches the body, on a connection of its own, which is closed behind it.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: no connection, no readable answer, or another status than 200.
    pub fn fetch(target: &Target) -> Result<Self, String> {
        let explain = |error: &dyn std::fmt::Display| format!("{}: {error}", target.address);
        let mut stream = TcpStream::connect_timeout(&target.address, FIRST_ANSWER_TIME_MAX)
            .map_err(|error| explain(&error))?;
        let limited = stream.set_read_timeout(Some(FIRST_ANSWER_TIME_MAX));
        limited
            .and_then(|()| stream.write_all(target.requests(1)))
            .map_err(|error| explain(&error))?;
        let (mut reader, mut body) = (AnswerReader::default(), Vec::new());
        let mut buffer = vec![0; 65_536];
        loop {
            let count = stream.read(&mut buffer).map_err(|error| explain(&error))?;
            let bytes = buffer.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return Err(explain(&"the server closed before the end of its first answer"));
            }
            let progress = reader.read(bytes, |piece| body.extend_from_slice(piece));
            match progress.map_err(|error| explain(&error))? {
                Progress::NeedMore => {}
                Progress::Complete { status: 200, .. } => return Ok(Self { body }),
                Progress::Complete { status, .. } => {
                    return Err(explain(&format!("the first answer has status {status}")));
                }
            }
        }
    }

    /// Compares the next piece of an answer's body.
    pub fn compare(&self, comparison: &mut Comparison, piece: &[u8]) {
        let end = comparison.seen_bytes + piece.len();
        comparison.differs |= self.body.get(comparison.seen_bytes..end) != Some(piece);
        comparison.seen_bytes = end;
    }

    /// Whether an answer that ended is right.
    #[must_use]
    pub const fn is_right(&self, status: u16, comparison: Comparison) -> bool {
        status == 200 && !comparison.differs && comparison.seen_bytes == self.body.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_is_the_same_bytes_and_200() {
        let reference = Reference::new(b"abc".to_vec());
        let cases: [(&[&[u8]], u16, bool); 7] = [
            (&[b"abc"], 200, true),
            (&[b"a", b"", b"bc"], 200, true),
            (&[b"abc"], 500, false),
            (&[b"ab"], 200, false),
            (&[b"abcd"], 200, false),
            (&[b"abd"], 200, false),
            (&[b"x", b"bc"], 200, false),
        ];
        for (pieces, status, right) in cases {
            let mut comparison = Comparison::default();
            pieces.iter().for_each(|piece| reference.compare(&mut comparison, piece));
            assert_eq!(reference.is_right(status, comparison), right, "{pieces:?} {status}");
        }
        assert!(Reference::new(Vec::new()).is_right(200, Comparison::default()));
    }
}
