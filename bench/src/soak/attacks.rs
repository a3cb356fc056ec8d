//! The attacks: what each does, how many connections it has, how fast they come.
//!
//! Each is a row of [`ATTACKS`] with a function that writes the script of one connection; the crowd
//! plays them. Their rates are what one client thread can do beside the others: an attack is there
//! to find what holds memory, descriptors or a lane, not to fill a core with honest work.

use std::time::Duration;

use crate::soak::bombs;
use crate::soak::garbage;
use crate::soak::questions::ENDLESS_FILE;
use crate::soak::questions::SMALL_FILE;
use crate::soak::random::Random;
use crate::soak::script::Bytes;
use crate::soak::script::FOR_EVER;
use crate::soak::script::Farewell;
use crate::soak::script::Leaving;
use crate::soak::script::Pace;
use crate::soak::script::Reading;
use crate::soak::script::Script;

/// Resets of a run of 600 s. A shorter run has its share.
pub const RESETS_OF_600_S: u32 = 1_000_000;

/// One way to do harm.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Its name.
    pub name: &'static str,
    /// What it does, for people.
    pub does: &'static str,
    /// Connections at a time at most.
    pub connections: usize,
    /// How fast they come.
    pub opens: Opens,
    /// Its share of the time, beside the others.
    pub weight: u32,
    /// What one connection does.
    pub script: fn(&mut Random, &Ground) -> Script,
}

/// How fast connections come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Opens {
    /// As many each second.
    PerSecond(f64),
    /// All connections within the first quarter of the attack; whoever is closed comes again.
    InAQuarter,
    /// [`RESETS_OF_600_S`], or a run's share of them.
    Resets,
}

/// What scripts need to know.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The Host.
    pub authority: String,
    /// Raw requests to mutate.
    pub cases: Vec<Vec<u8>>,
}

/// All attacks, in the order in which they are run.
pub static ATTACKS: [Attack; 11] = [
    Attack {
        name: "slowloris",
        does: "heads byte by byte, without an end",
        connections: 1000,
        opens: Opens::InAQuarter,
        weight: 1,
        script: slowloris,
    },
    Attack {
        name: "slow body",
        does: "bodies byte by byte, with a length or in chunks",
        connections: 1000,
        opens: Opens::InAQuarter,
        weight: 1,
        script: slow_body,
    },
    Attack {
        name: "slow read",
        does: "a large file or a long stream, asked for and hardly read",
        connections: 100,
        opens: Opens::InAQuarter,
        weight: 1,
        script: slow_read,
    },
    Attack {
        name: "half-open heads",
        does: "a part of a head, then silence",
        connections: 10_000,
        opens: Opens::InAQuarter,
        weight: 1,
        script: half_open,
    },
    Attack {
        name: "resets",
        does: "connections that end in a reset, anywhere in a request",
        connections: 256,
        opens: Opens::Resets,
        weight: 3,
        script: reset,
    },
    Attack {
        name: "header bombs",
        does: "heads up to every bound, at it, over it, and without an end",
        connections: 64,
        opens: Opens::PerSecond(500.0),
        weight: 1,
        script: bombs::header_bomb,
    },
    Attack {
        name: "pipelining floods",
        does: "2,048 requests in a row, whose answers nobody reads",
        connections: 20,
        opens: Opens::PerSecond(10.0),
        weight: 1,
        script: pipelining,
    },
    Attack {
        name: "chunked bombs",
        does: "tiny chunks, endless extensions and trailers, impossible sizes",
        connections: 32,
        opens: Opens::PerSecond(100.0),
        weight: 1,
        script: bombs::chunked_bomb,
    },
    Attack {
        name: "connection storm",
        does: "connections that are closed at once",
        connections: 256,
        opens: Opens::PerSecond(4000.0),
        weight: 1,
        script: storm,
    },
    Attack {
        name: "garbage",
        does: "raw requests of tests/wire with a few bytes changed",
        connections: 200,
        opens: Opens::PerSecond(500.0),
        weight: 1,
        script: garbled,
    },
    Attack {
        name: "leaving clients",
        does: "clients that leave while their request waits for Python, 400 a second",
        connections: 64,
        opens: Opens::PerSecond(400.0),
        weight: 1,
        script: leaving,
    },
];

fn slowloris(random: &mut Random, ground: &Ground) -> Script {
    let opening = format!("GET /{SMALL_FILE} HTTP/1.1\r\nHost: {}\r\n", ground.authority);
    Script {
        pace: Pace::drip(1, random.milliseconds(100..=1000)),
        leaves: Leaving::AtEnd,
        ..Script::ask(Bytes::endless(opening, "X-Slow: a\r\n"), FOR_EVER)
    }
}

fn slow_body(random: &mut Random, ground: &Ground) -> Script {
    let authority = &ground.authority;
    let (field, piece) = match random.once_in(2) {
        true => ("Transfer-Encoding: chunked", "1\r\na\r\n"),
        false => ("Content-Length: 1000000", "a"),
    };
    let head = format!("POST /echo HTTP/1.1\r\nHost: {authority}\r\n{field}\r\n\r\n");
    let drip = Pace::drip(piece.len(), random.milliseconds(100..=400));
    Script {
        pace: Pace { first_bytes: head.len(), ..drip },
        leaves: Leaving::AtEnd,
        ..Script::ask(Bytes::endless(head, piece), FOR_EVER)
    }
}

fn slow_read(random: &mut Random, ground: &Ground) -> Script {
    let path = match random.once_in(4) {
        true => "/stream?n=256&size=65536".to_owned(),
        false => format!("/{ENDLESS_FILE}"),
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", ground.authority);
    Script {
        reads: Reading::Slowly(Pace::drip(256, Duration::from_millis(100))),
        leaves: Leaving::AtEnd,
        farewell: Farewell::Reset,
        receive_buffer_bytes: Some(1024),
        ..Script::ask(Bytes::once(request), FOR_EVER)
    }
}

fn half_open(random: &mut Random, ground: &Ground) -> Script {
    let bytes = random.within(1..=100);
    Script { leaves: Leaving::AtEnd, ..Script::ask(Bytes::once(part(ground, bytes)), FOR_EVER) }
}

fn reset(random: &mut Random, ground: &Ground) -> Script {
    let whole = format!("GET /{SMALL_FILE} HTTP/1.1\r\nHost: {}\r\n\r\n", ground.authority);
    let (sends, leaves) = match random.below(5) {
        0 => (String::new(), Leaving::WhenSent),
        1 => (whole, Leaving::WhenSent),
        2 => (whole, Leaving::WhenAnswered),
        3 => (part(ground, random.within(1..=100)), Leaving::WhenSent),
        _ => {
            let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n";
            (format!("{head}{}", "a".repeat(random.below(100))), Leaving::WhenSent)
        }
    };
    let ask = Script::ask(Bytes::once(sends), Duration::from_secs(1));
    Script { leaves, farewell: Farewell::Reset, ..ask }
}

fn pipelining(random: &mut Random, ground: &Ground) -> Script {
    let path = if random.once_in(8) { "hello" } else { SMALL_FILE };
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {}\r\n\r\n", ground.authority);
    let repeated = request.repeat(64).into_bytes();
    let sends = Bytes { repeated, repeats: 32, ..Bytes::default() };
    Script {
        reads: Reading::Nothing,
        leaves: Leaving::AtEnd,
        farewell: if random.once_in(2) { Farewell::Reset } else { Farewell::Fin },
        ..Script::ask(sends, random.milliseconds(500..=2000))
    }
}

fn storm(_random: &mut Random, _ground: &Ground) -> Script {
    let ask = Script::ask(Bytes::default(), Duration::from_secs(1));
    Script { leaves: Leaving::WhenSent, ..ask }
}

fn garbled(random: &mut Random, ground: &Ground) -> Script {
    let bytes = garbage::mutate(&ground.cases, random);
    Script {
        leaves: Leaving::AtEnd,
        farewell: if random.once_in(4) { Farewell::Reset } else { Farewell::Fin },
        ..Script::ask(Bytes::once(bytes), random.milliseconds(50..=300))
    }
}

/// 50 ms of Python for each, which is more than its threads have: a server keeps up only if it
/// forgets the requests of those who have left. One in four leaves with a FIN, which a server
/// cannot tell from a client that only ends its sending.
fn leaving(random: &mut Random, ground: &Ground) -> Script {
    let head = format!("/sleep?ms=50 HTTP/1.1\r\nHost: {}\r\n", ground.authority);
    let request = match random.once_in(2) {
        true => format!("GET {head}\r\n"),
        false => format!("POST {head}Content-Length: 4\r\n\r\nbody"),
    };
    Script {
        reads: Reading::Nothing,
        leaves: Leaving::AtEnd,
        farewell: if random.once_in(4) { Farewell::Fin } else { Farewell::Reset },
        ..Script::ask(Bytes::once(request), random.milliseconds(1..=20))
    }
}

/// So many bytes of a head that goes on behind them.
fn part(ground: &Ground, bytes: usize) -> String {
    let field = "User-Agent: half of a head, and no more than that will ever come";
    let mut head = format!(
        "GET /{SMALL_FILE} HTTP/1.1\r\nHost: {}\r\n{field}\r\nAccept: */*\r\n",
        ground.authority
    );
    head.truncate(bytes.min(head.len()));
    head
}
