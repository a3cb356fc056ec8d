//! What good clients ask, and the right answers, known without asking the server.
//!
//! It owns the site that is served and what is known of the application (tests/apps/plain.py).

use std::io;
use std::path::Path;

use crate::soak::random::Random;

/// A file of 13 bytes.
pub const SMALL_FILE: &str = "small.txt";

/// A file that no socket takes in one go, for clients that read slowly.
pub const ENDLESS_FILE: &str = "endless.bin";

const PAGE_FILE: &str = "page.html";
const DATA_FILE: &str = "data.bin";

const SMALL: &[u8] = b"Hello, world!";
const PAGE_BYTES: usize = 4096;
const DATA_BYTES: usize = 100 * 1024;
const ENDLESS_BYTES: usize = 16 << 20;
const ECHO_BYTES: usize = 3000;

/// A request that has one right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// For people.
    pub name: &'static str,
    /// Whose latencies are kept together.
    pub class: Class,
    /// Head and body.
    pub request: Vec<u8>,
    /// The status of the right answer.
    pub status: u16,
    /// The body of the right answer.
    pub body: Vec<u8>,
}

/// Questions whose latencies belong together. Each class has connections of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Small files: what the p99 is about.
    Static,
    /// A file of 100 KiB.
    Large,
    /// The application.
    Python,
}

impl Class {
    /// All of them, each at its index.
    pub const ALL: [Self; 3] = [Self::Static, Self::Large, Self::Python];

    /// Its place in [`Class::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Static => 0,
            Self::Large => 1,
            Self::Python => 2,
        }
    }

    /// Connections of its good clients.
    #[must_use]
    pub const fn connections(self) -> usize {
        match self {
            Self::Static | Self::Python => 8,
            Self::Large => 2,
        }
    }
}

/// Connections of all good clients.
pub const CONNECTIONS: usize =
    Class::Static.connections() + Class::Large.connections() + Class::Python.connections();

/// Questions each second: a modest load, so that an attack and not the good clients fill a core.
pub const RATE: f64 = 450.0;

/// Writes the site into a folder.
///
/// # Errors
///
/// As write(2).
pub fn write_site(folder: &Path) -> io::Result<()> {
    std::fs::write(folder.join(SMALL_FILE), SMALL)?;
    std::fs::write(folder.join(PAGE_FILE), pattern(PAGE_BYTES))?;
    std::fs::write(folder.join(DATA_FILE), pattern(DATA_BYTES))?;
    std::fs::write(folder.join(ENDLESS_FILE), pattern(ENDLESS_BYTES))
}

/// All questions, with this Host.
#[must_use]
pub fn all(authority: &str) -> Vec<Question> {
    let get = |name, class, path: &str, fields: &str, status, body| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n");
        Question { name, class, request: request.into_bytes(), status, body }
    };
    let data = pattern(DATA_BYTES);
    let range = data.get(1000..2000).unwrap_or_default().to_vec();
    let letters: Vec<u8> = (b'a'..=b't').flat_map(|letter| [letter; 5000]).collect();
    let (small, page) = (SMALL.to_vec(), pattern(PAGE_BYTES));
    let range_field = "Range: bytes=1000-1999\r\n";
    let known_field = "If-None-Match: *\r\n";
    vec![
        get("a small file", Class::Static, "/small.txt", "", 200, small.clone()),
        get("a page", Class::Static, "/page.html", "", 200, page),
        get("a range", Class::Static, "/data.bin", range_field, 206, range),
        get("a known file", Class::Static, "/page.html", known_field, 304, Vec::new()),
        get("a file of 100 KiB", Class::Large, "/data.bin", "", 200, data),
        get("hello", Class::Python, "/hello", "", 200, small),
        echo(authority),
        echo_in_chunks(authority),
        get("a streamed answer", Class::Python, "/stream?n=20&size=5000", "", 200, letters),
        get("a view that waits", Class::Python, "/sleep?ms=5", "", 200, b"slept".to_vec()),
    ]
}

fn echo(authority: &str) -> Question {
    let body = pattern(ECHO_BYTES);
    let head =
        format!("POST /echo HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {ECHO_BYTES}\r\n\r\n");
    let request = [head.as_bytes(), &body].concat();
    Question { name: "an echo", class: Class::Python, request, status: 200, body }
}

fn echo_in_chunks(authority: &str) -> Question {
    let body = pattern(ECHO_BYTES);
    let head =
        format!("POST /echo HTTP/1.1\r\nHost: {authority}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut request = head.into_bytes();
    for piece in body.chunks(1100) {
        request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    Question { name: "an echo in chunks", class: Class::Python, request, status: 200, body }
}

/// Which of the questions of these classes has this number: of 45 in a row 40 are static, one is
/// large, 4 are Python's.
#[must_use]
pub fn numbered(classes: impl Iterator<Item = Class> + Clone, number: u64) -> usize {
    let class = match number % 45 {
        44 => Class::Large,
        10 | 21 | 32 | 43 => Class::Python,
        _ => Class::Static,
    };
    let mut of_class = classes.enumerate().filter(|(_, one)| *one == class).map(|(index, _)| index);
    let count = of_class.clone().count().max(1);
    // Round by round another one begins, so that no question is left out.
    let nth = usize::try_from((number + number / 45) % count as u64).unwrap_or(0);
    of_class.nth(nth).unwrap_or(0)
}

/// Bytes that differ at every place, so that a shift or a mix-up shows.
fn pattern(bytes: usize) -> Vec<u8> {
    let mut random = Random::new(bytes as u64);
    let mut pattern = Vec::with_capacity(bytes + 8);
    while pattern.len() < bytes {
        pattern.extend_from_slice(&random.bits().to_le_bytes());
    }
    pattern.truncate(bytes);
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_is_asked_and_the_classes_have_their_shares() {
        let questions = all("a");
        let mut asked = vec![0; questions.len()];
        let mut classes = [0; 3];
        for number in 0..45 * 100 {
            let classes_of = questions.iter().map(|question| question.class);
            let index = numbered(classes_of, number);
            asked[index] += 1;
            classes[questions[index].class.index()] += 1;
        }
        assert!(asked.iter().all(|count| *count >= 50), "{asked:?}");
        assert_eq!(classes, [4000, 100, 400]);
    }

    #[test]
    fn the_site_has_what_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        write_site(folder.path()).unwrap();
        for question in all("a").iter().filter(|question| question.status == 200) {
            let text = String::from_utf8_lossy(&question.request).into_owned();
            let path = text.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
            if question.class != Class::Python {
                assert_eq!(std::fs::read(folder.path().join(path)).unwrap(), question.body);
            }
        }
        let endless = std::fs::metadata(folder.path().join(ENDLESS_FILE)).unwrap();
        assert_eq!(endless.len(), ENDLESS_BYTES as u64);
    }

    #[test]
    fn requests_are_whole() {
        for question in all("127.0.0.1:1") {
            let text = String::from_utf8_lossy(&question.request).into_owned();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("\r\nHost: 127.0.0.1:1"), "{head}");
            assert_eq!(body.is_empty(), head.starts_with("GET "), "{}", question.name);
        }
    }
}
