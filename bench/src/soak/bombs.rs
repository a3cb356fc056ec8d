//! Bombs: requests that are cheap to send and made to be dear to read. Heads with too much in them,
//! and chunked bodies that are nearly nothing but framing.
//!
//! The numbers around which they go are corelane's bounds; a test compares them.

use std::time::Duration;

use crate::soak::attacks::Ground;
use crate::soak::questions::SMALL_FILE;
use crate::soak::random::Random;
use crate::soak::script::Bytes;
use crate::soak::script::Farewell;
use crate::soak::script::Script;

/// Header fields that are taken.
pub const FIELDS_MAX: usize = 100;

/// Bytes of a head that are taken.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Bytes of a target that are taken.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;

/// How long an answer is waited for.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// A head up to a bound, at it, or over it: fields, bytes, target; or without an end.
pub fn header_bomb(random: &mut Random, ground: &Ground) -> Script {
    let authority = &ground.authority;
    let line = format!("GET /{SMALL_FILE} HTTP/1.1\r\nHost: {authority}\r\n");
    let sends = match random.below(7) {
        0 => {
            // Host is one of them.
            let count = random.within(FIELDS_MAX - 10..=FIELDS_MAX + 10);
            Bytes::once(line + &fields(count) + "\r\n")
        }
        1 => Bytes::once(line + &fields(random.within(1000..=3000)) + "\r\n"),
        2 => {
            let around = random.within(HEAD_BYTES_MAX - 8..=HEAD_BYTES_MAX + 8);
            let rest = around.saturating_sub(line.len() + "X: \r\n\r\n".len());
            Bytes::once(format!("{line}X: {}\r\n\r\n", "v".repeat(rest)))
        }
        3 => {
            let bytes = random.within(HEAD_BYTES_MAX..=8 * HEAD_BYTES_MAX);
            Bytes::once(format!("{line}X: {}\r\n\r\n", "v".repeat(bytes)))
        }
        4 => {
            let bytes = match random.once_in(3) {
                true => random.within(TARGET_BYTES_MAX..=5 * TARGET_BYTES_MAX),
                false => random.within(TARGET_BYTES_MAX - 4..=TARGET_BYTES_MAX + 4),
            };
            let target = format!("/{SMALL_FILE}?{}", "q".repeat(bytes - SMALL_FILE.len() - 2));
            Bytes::once(format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n"))
        }
        5 => {
            let name = "N".repeat(random.within(1..=2 * HEAD_BYTES_MAX));
            Bytes::once(format!("{line}{name}: v\r\n\r\n"))
        }
        _ => Bytes::endless(line, "Cookie: a=b\r\n"),
    };
    leave(Script::ask(sends, ANSWER_TIME_MAX), random)
}

/// A chunked body of tiny chunks, of extensions, of trailers, or with a size that nobody can mean.
pub fn chunked_bomb(random: &mut Random, ground: &Ground) -> Script {
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        ground.authority
    );
    let sends = match random.below(6) {
        0 => Bytes {
            opening: head.into_bytes(),
            repeated: b"1\r\na\r\n".repeat(100),
            repeats: random.within(50..=200),
            end: b"0\r\n\r\n".to_vec(),
        },
        1 => Bytes::endless(head + "1;", "a=b;".repeat(64)),
        2 => {
            let extension = format!("1;e={}\r\na\r\n", "x".repeat(random.within(1..=200)));
            Bytes::endless(head, extension.repeat(16))
        }
        3 => Bytes::endless(head + "0\r\n", "X-Trailer: y\r\n".repeat(16)),
        4 => {
            let sizes = ["7fffffffffffffff", "ffffffffffffffff", "10000000000000000", "fffffff"];
            let size = random.pick(&sizes).copied().unwrap_or_default();
            Bytes::endless(format!("{head}{size}\r\n"), "a".repeat(1024))
        }
        _ => Bytes::endless(head, "0".repeat(1024)),
    };
    leave(Script::ask(sends, ANSWER_TIME_MAX), random)
}

/// Half of them leave with a reset.
fn leave(script: Script, random: &mut Random) -> Script {
    let farewell = if random.once_in(2) { Farewell::Reset } else { Farewell::Fin };
    Script { farewell, ..script }
}

fn fields(count: usize) -> String {
    (0..count.saturating_sub(1)).map(|number| format!("X-{number}: {number}\r\n")).collect()
}
