//! Garbage: the raw requests of tests/wire, with a few bytes changed.
//!
//! It takes the files as they are written there (the first line and those with a mark say what to
//! expect, the rest is the request with its escapes) and gives bytes. What the server makes of them
//! does not matter here, as long as it makes nothing of it to anybody else.

use std::io;
use std::path::Path;

use crate::soak::random::Random;

/// Longer requests are left out: most of them are one byte repeated.
const CASE_BYTES_MAX: usize = 4096;

/// Changes made to a request at most.
const CHANGES_MAX: usize = 6;

/// Bytes that mean something to a parser.
const STRANGE: &[u8] = b"\r\n\r\n \t:;,/%.#?*=\"\\\0\x7f\xe9\xff019afGHx-";

/// The requests of all files of a folder, in the order of their names.
///
/// # Errors
///
/// A sentence for the operator: the folder or a file cannot be read, or holds no request.
pub fn cases(folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let explain = |error: io::Error| format!("{}: {error}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(explain)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(explain)?.path());
    }
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let request = request(&text);
        if (1..=CASE_BYTES_MAX).contains(&request.len()) {
            cases.push(request);
        }
    }
    if cases.is_empty() {
        return Err(format!("{}: no raw requests there", folder.display()));
    }
    Ok(cases)
}

/// A request with changes at random places, sometimes with the half of another one behind it.
pub fn mutate(cases: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(cases).cloned().unwrap_or_default();
    if random.once_in(4)
        && let Some(other) = random.pick(cases)
    {
        let cut = random.below(bytes.len() + 1);
        let from = random.below(other.len() + 1);
        bytes.truncate(cut);
        bytes.extend_from_slice(other.get(from..).unwrap_or_default());
    }
    // Mostly few: what is broken at its first byte never reaches the parsers behind.
    let changes_max = random.within(1..=CHANGES_MAX);
    for _ in 0..random.within(1..=changes_max) {
        change(&mut bytes, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let strange = random.pick(STRANGE).copied().unwrap_or_default();
    let at = random.below(bytes.len());
    let Some(byte) = bytes.get_mut(at) else { return bytes.push(strange) };
    match random.below(6) {
        0 => *byte = strange,
        1 => *byte ^= 1 << random.below(8),
        2 => drop(bytes.remove(at)),
        3 => bytes.insert(at, strange),
        4 => bytes.truncate(at),
        _ => {
            let end = (at + random.within(1..=32)).min(bytes.len());
            bytes.extend_from_within(at..end);
        }
    }
}

/// The request of a file, without what is expected of its answer.
fn request(text: &str) -> Vec<u8> {
    let mut rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    while let Some((line, behind)) = rest.split_once('\n')
        && ["# ", "+ ", "= ", "~ ", "- "].iter().any(|mark| line.starts_with(mark))
    {
        rest = behind;
    }
    unescape(rest)
}

/// An escape that is none stands for itself: this is garbage in the end.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter().copied().filter(|byte| *byte != b'\n');
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'x') => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let text = std::str::from_utf8(&digits).unwrap_or_default();
                u8::from_str_radix(text, 16).unwrap_or_default()
            }
            other => other.unwrap_or(b'\\'),
        });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_request() {
        let text = "400 close\n# why\n+ Allow: GET\n= body\nGET /\\x41\\\\ HTTP/1.1\\r\\n\nHost: x\
                    \\r\\n\n\\r\\n\n\\0\\t\n";
        assert_eq!(request(text), b"GET /A\\ HTTP/1.1\r\nHost: x\r\n\r\n\0\t");
        assert_eq!(request("gone"), b"");
    }

    #[test]
    fn the_folder_of_the_repository_has_them() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/wire");
        let cases = cases(&folder).unwrap();
        assert!(cases.len() > 250, "{}", cases.len());
        assert!(cases.iter().any(|case| case.starts_with(b"GET /")));
        assert!(super::cases(Path::new("/no/such/folder")).is_err());
        let empty = tempfile::tempdir().unwrap();
        assert!(super::cases(empty.path()).is_err_and(|text| text.contains("no raw requests")));
    }

    #[test]
    fn mutations_are_changed_bounded_and_repeat() {
        let cases = vec![b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), b"GET /a".to_vec()];
        let some = |seed| {
            let mut random = Random::new(seed);
            (0..500).map(|_| mutate(&cases, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(some(3), some(3));
        assert_ne!(some(3), some(4));
        let all = some(5);
        let changed = all.iter().filter(|bytes| !cases.contains(bytes)).count();
        assert!(changed > 450, "{changed}");
        assert!(all.iter().all(|bytes| bytes.len() < 400));
        let valid = all.iter().filter(|bytes| bytes.starts_with(b"GET / HTTP/1.1\r\n")).count();
        assert!(valid > 50, "some reach what is behind the request line: {valid}");
    }
}
