//! The one answer, and a run of it that pipelined requests are answered from without copying.
//!
//! It has the fields that corelane sends with a file of 13 bytes, so that both send the same number
//! of bytes; the date stands still.

/// What every request gets.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Sat, 21 Nov 2026 08:01:02 GMT\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Last-Modified: Sat, 21 Nov 2026 08:01:02 GMT\r\n\
    ETag: \"18ea0099d0c117f2-d\"\r\n\
    Accept-Ranges: bytes\r\n\
    Content-Length: 13\r\n\
    \r\n\
    Hello, world!";

/// Answers in one send at most; more requests in one read take a further send.
pub const ANSWERS_MAX: usize = 64;

/// [`ANSWERS_MAX`] answers, one behind the other. As a static it outlives every send.
static RUN: [[u8; ANSWER.len()]; ANSWERS_MAX] = [const_answer(); ANSWERS_MAX];

/// The bytes of as many answers, [`ANSWERS_MAX`] at most.
#[must_use]
pub fn answers(count: usize) -> &'static [u8] {
    RUN.get(..count).unwrap_or(&RUN).as_flattened()
}

const fn const_answer() -> [u8; ANSWER.len()] {
    match ANSWER.first_chunk() {
        Some(answer) => *answer,
        None => [0; ANSWER.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_one_behind_the_other() {
        assert_eq!(answers(0), b"");
        assert_eq!(answers(1), ANSWER);
        assert_eq!(answers(3), [ANSWER, ANSWER, ANSWER].concat());
        assert_eq!(answers(ANSWERS_MAX + 1).len(), ANSWERS_MAX * ANSWER.len());
    }
}
