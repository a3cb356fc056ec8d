//! Whether an answer is right, byte by byte, as it comes in.
//!
//! Body and status are known beforehand. The head is learned from the first answer to each question
//! and must stay the same, but for the value of Date, for Connection, and for the two fields of
//! framing: a streamed answer that is ready in time has a length. The reader of answers holds the
//! body to its framing. It knows no socket but in [`learn`].

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use memchr::memmem;

use crate::load::answer::AnswerReader;
use crate::load::answer::BadAnswer;
use crate::load::answer::Persistence;
use crate::load::answer::Progress;
use crate::soak::questions::Question;

/// How long the first answer may take.
const FIRST_ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Of a longer head only the beginning is compared.
const HEAD_BYTES_MAX: usize = 8192;

/// Fields that may come and go.
const FREE_FIELDS: [&str; 3] = ["connection:", "content-length:", "transfer-encoding:"];

/// A question and all that its answer must be.
#[derive(Clone, Debug)]
pub struct Right {
    /// Request, status, body.
    pub question: Question,
    /// The head without what may differ; empty: not known yet, any will do.
    head: Vec<u8>,
}

/// One answer, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Every byte as it must be.
    Right,
    /// A 503: the server had no place for the request.
    TurnedAway,
    /// Something else; why, for people.
    Wrong(String),
}

/// An answer that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Whether it was right.
    pub judgement: Judgement,
    /// What becomes of the connection.
    pub persistence: Persistence,
}

/// Reads and compares the answers of one connection, one request at a time.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    reader: AnswerReader,
    head: Vec<u8>,
    has_head: bool,
    seen_bytes: usize,
    differs: bool,
}

impl Right {
    /// What is known without asking.
    #[must_use]
    pub const fn of(question: Question) -> Self {
        Self { question, head: Vec::new() }
    }
}

impl Judge {
    /// Takes the next bytes; gives the answer when it is whole.
    ///
    /// # Errors
    ///
    /// When they are no answer.
    pub fn read(&mut self, bytes: &[u8], right: &Right) -> Result<Option<Answered>, BadAnswer> {
        self.keep_head(bytes);
        let Self { reader, seen_bytes, differs, .. } = self;
        let body = &right.question.body;
        let progress = reader.read(bytes, |piece| {
            let end = *seen_bytes + piece.len();
            *differs |= body.get(*seen_bytes..end) != Some(piece);
            *seen_bytes = end;
        })?;
        let Progress::Complete { used_bytes, status, persistence } = progress else {
            return Ok(None);
        };
        let judgement = self.judge(right, status, bytes.len() - used_bytes);
        self.head.clear();
        (self.has_head, self.seen_bytes, self.differs) = (false, 0, false);
        Ok(Some(Answered { judgement, persistence }))
    }

    fn keep_head(&mut self, bytes: &[u8]) {
        if self.has_head {
            return;
        }
        let searched = self.head.len().saturating_sub(3);
        let room = HEAD_BYTES_MAX.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
        let found = memmem::find(self.head.get(searched..).unwrap_or_default(), b"\r\n\r\n");
        if let Some(at) = found {
            self.head.truncate(searched + at + 4);
            self.has_head = true;
        }
    }

    fn judge(&self, right: &Right, status: u16, left_bytes: usize) -> Judgement {
        let question = &right.question;
        if status == 503 {
            return Judgement::TurnedAway;
        }
        let why = if status != question.status {
            format!("status {status} instead of {}", question.status)
        } else if self.differs || self.seen_bytes != question.body.len() {
            format!("a wrong body of {} bytes", self.seen_bytes)
        } else if left_bytes > 0 {
            format!("{left_bytes} bytes that nobody asked for")
        } else if !right.head.is_empty() && without_what_differs(&self.head) != right.head {
            format!("another head: {}", self.head.escape_ascii())
        } else {
            return Judgement::Right;
        };
        Judgement::Wrong(format!("{}: {why}", question.name))
    }
}

/// Asks once on a connection of its own, and keeps the head of a right answer.
///
/// # Errors
///
/// A sentence for the operator: no connection, or no right answer.
pub fn learn(address: SocketAddr, question: Question) -> Result<Right, String> {
    let mut right = Right::of(question);
    let name = right.question.name;
    let explain = |error: &dyn std::fmt::Display| format!("{address}: {name}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, FIRST_ANSWER_TIME_MAX)
        .map_err(|error| explain(&error))?;
    let limited = stream.set_read_timeout(Some(FIRST_ANSWER_TIME_MAX));
    limited
        .and_then(|()| stream.write_all(&right.question.request))
        .map_err(|error| explain(&error))?;
    let (mut judge, mut begin) = (Judge::default(), Vec::new());
    let mut buffer = vec![0; 65_536];
    loop {
        let count = stream.read(&mut buffer).map_err(|error| explain(&error))?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Err(explain(&"the server closed before the end of its answer"));
        }
        let room = HEAD_BYTES_MAX.saturating_sub(begin.len()).min(count);
        begin.extend_from_slice(bytes.get(..room).unwrap_or_default());
        let answered = judge.read(bytes, &right).map_err(|error| explain(&error))?;
        match answered.map(|answered| answered.judgement) {
            None => {}
            Some(Judgement::Right) => {
                let end = memmem::find(&begin, b"\r\n\r\n").map_or(0, |at| at + 4);
                right.head = without_what_differs(begin.get(..end).unwrap_or_default());
                return Ok(right);
            }
            Some(Judgement::TurnedAway) => return Err(explain(&"503")),
            Some(Judgement::Wrong(why)) => return Err(why),
        }
    }
}

/// A head without the value of Date, and without fields that may come and go.
fn without_what_differs(head: &[u8]) -> Vec<u8> {
    let mut same = Vec::with_capacity(head.len());
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let begins = |name: &str| {
            line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        };
        if begins("date:") {
            same.extend_from_slice(b"Date\r\n");
        } else if !FREE_FIELDS.into_iter().any(begins) {
            same.extend_from_slice(line);
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::questions::Class;
    use std::net::TcpListener;
    use std::thread;

    const ANSWER: &str =
        "HTTP/1.1 200 OK\r\nDate: now\r\nX-Own: 1\r\nContent-Length: 5\r\n\r\nright";

    fn question() -> Question {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        let body = b"right".to_vec();
        Question { name: "it", class: Class::Static, request, status: 200, body }
    }

    fn known() -> Right {
        let head = b"HTTP/1.1 200 OK\r\nDate\r\nX-Own: 1\r\n\r\n".to_vec();
        Right { question: question(), head }
    }

    /// The one answer in these pieces.
    fn judged(pieces: &[&[u8]]) -> Result<Judgement, BadAnswer> {
        let (mut judge, right) = (Judge::default(), known());
        for piece in pieces {
            if let Some(answered) = judge.read(piece, &right)? {
                return Ok(answered.judgement);
            }
        }
        panic!("it has not ended");
    }

    #[test]
    fn right_however_it_is_cut() {
        for at in 0..ANSWER.len() {
            let (first, second) = ANSWER.as_bytes().split_at(at);
            assert_eq!(judged(&[first, second]), Ok(Judgement::Right), "cut at {at}");
        }
        let bytes: Vec<&[u8]> = ANSWER.as_bytes().chunks(1).collect();
        assert_eq!(judged(&bytes), Ok(Judgement::Right));
        let closing = ANSWER.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        assert_eq!(judged(&[closing.as_bytes()]), Ok(Judgement::Right));
        let chunked = ANSWER
            .replace("Content-Length: 5", "Transfer-Encoding: chunked")
            .replace("right", "5\r\nright\r\n0\r\n\r\n");
        assert_eq!(judged(&[chunked.as_bytes()]), Ok(Judgement::Right));
        let later = ANSWER.replace("now", "later");
        assert_eq!(judged(&[later.as_bytes()]), Ok(Judgement::Right));
    }

    #[test]
    fn anything_else_is_wrong_and_says_why() {
        let wrong = [
            (ANSWER.replace("right", "wrong"), "wrong body"),
            (ANSWER.replace("200 OK", "404 Not Found"), "status 404"),
            (ANSWER.replace(": 5", ": 4"), "wrong body of 4"),
            (ANSWER.replace("\r\n\r\n", "\r\nX-Foreign: 1\r\n\r\n"), "X-Foreign"),
            (ANSWER.replace("Date: now\r\n", ""), "another head"),
            (ANSWER.replace("X-Own: 1\r\n", ""), "another head"),
            (format!("{ANSWER}{ANSWER}"), "nobody asked"),
        ];
        for (answer, why) in wrong {
            match judged(&[answer.as_bytes()]) {
                Ok(Judgement::Wrong(text)) => assert!(text.contains(why), "{text}"),
                other => panic!("{answer}: {other:?}"),
            }
        }
        let busy = ANSWER.replace("200 OK", "503 Service Unavailable");
        assert_eq!(judged(&[busy.as_bytes()]), Ok(Judgement::TurnedAway));
        assert_eq!(judged(&[b"SSH-2.0\r\n"]), Err(BadAnswer::Head));
    }

    #[test]
    fn one_answer_behind_the_other() {
        let (mut judge, right) = (Judge::default(), known());
        for answer in [ANSWER, &ANSWER.replace("right", "wrong"), ANSWER] {
            let judgement = judge.read(answer.as_bytes(), &right).unwrap().unwrap().judgement;
            assert_eq!(judgement == Judgement::Right, answer == ANSWER);
        }
    }

    #[test]
    fn the_head_is_learned() {
        for cut in [0, 30, ANSWER.len() - 2] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_nodelay(true).unwrap();
                let asked = stream.read(&mut [0; 1000]).unwrap();
                let (first, second) = ANSWER.as_bytes().split_at(cut);
                stream.write_all(first).unwrap();
                stream.write_all(second).unwrap();
                asked
            });
            let right = learn(address, question()).unwrap();
            assert_eq!(right.head, known().head, "cut at {cut}");
            assert_eq!(server.join().unwrap(), question().request.len());
        }
    }
}
