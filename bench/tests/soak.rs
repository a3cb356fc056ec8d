//! The attacks as the program's own parsers see them, and the soak's command line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::process::Command;
use std::process::Output;
use std::time::Duration;

use corelane::limits;
use corelane::request::Framing;
use corelane::request::chunked::Decoder;
use corelane::request::chunked::Progress;
use corelane::request::head;
use corelane::request::head::Parsed;
use corelane_bench::soak::attacks::ATTACKS;
use corelane_bench::soak::attacks::Ground;
use corelane_bench::soak::bombs::FIELDS_MAX;
use corelane_bench::soak::bombs::HEAD_BYTES_MAX;
use corelane_bench::soak::bombs::TARGET_BYTES_MAX;
use corelane_bench::soak::bombs::chunked_bomb;
use corelane_bench::soak::bombs::header_bomb;
use corelane_bench::soak::questions::ENDLESS_FILE;
use corelane_bench::soak::random::Random;
use corelane_bench::soak::script::Farewell;
use corelane_bench::soak::script::Leaving;
use corelane_bench::soak::script::Reading;
use corelane_bench::soak::script::Script;

fn ground() -> Ground {
    Ground { authority: "127.0.0.1:8000".to_owned(), cases: vec![b"GET /a.txt".to_vec()] }
}

fn scripts(name: &str, count: usize) -> Vec<Script> {
    let attack = ATTACKS.iter().find(|attack| attack.name == name).expect("an attack");
    let (mut random, ground) = (Random::new(7), ground());
    (0..count).map(|_| (attack.script)(&mut random, &ground)).collect()
}

/// What the program makes of the script's first bytes: a framing, or that more must come.
fn parsed(script: &Script, bytes: usize) -> Option<Framing> {
    let mut begin = Vec::new();
    while begin.len() < bytes && !script.sends.piece(begin.len(), 1).is_empty() {
        begin.extend_from_slice(script.sends.piece(begin.len(), bytes - begin.len()));
    }
    let mut slots = head::header_slots();
    match head::parse(&begin, &mut slots) {
        Parsed::Complete(request) => Some(request.framing),
        Parsed::NeedMore => None,
        Parsed::Refused(reject) => panic!("{}: {}", reject.reason(), begin.escape_ascii()),
    }
}

#[test]
fn the_same_seed_makes_the_same_attack() {
    for attack in ATTACKS {
        assert_eq!(scripts(attack.name, 50), scripts(attack.name, 50), "{}", attack.name);
    }
}

#[test]
fn names_differ_and_sums_fit() {
    for (index, attack) in ATTACKS.iter().enumerate() {
        assert!(ATTACKS[..index].iter().all(|other| other.name != attack.name));
    }
    let together: usize = ATTACKS.iter().map(|attack| attack.connections).sum();
    assert!(together < 15_000, "{together} descriptors of 20,000");
}

#[test]
fn slowloris_never_completes_a_head() {
    for script in scripts("slowloris", 20) {
        assert_eq!(parsed(&script, 900), None);
        assert_eq!(script.pace.bytes, 1);
        assert_eq!(script.sends.total(), usize::MAX);
    }
}

#[test]
fn slow_bodies_have_either_framing_and_little_at_a_time() {
    let scripts = scripts("slow body", 50);
    let framings: Vec<_> = scripts.iter().map(|script| parsed(script, 200).unwrap()).collect();
    assert!(framings.contains(&Framing::Chunked));
    assert!(framings.contains(&Framing::Length(1_000_000)));
    assert!(scripts.iter().all(|script| script.pace.bytes <= 6));
}

#[test]
fn half_open_heads_go_on() {
    for script in scripts("half-open heads", 300) {
        assert_eq!(parsed(&script, 1000), None);
        assert!((1..=100).contains(&script.sends.total()));
        assert_eq!(script.leaves, Leaving::AtEnd);
    }
}

#[test]
fn resets_are_resets_and_come_anywhere() {
    let scripts = scripts("resets", 500);
    assert!(scripts.iter().all(|script| script.farewell == Farewell::Reset));
    let count = |is: &dyn Fn(&Script) -> bool| scripts.iter().filter(|one| is(one)).count();
    assert!(count(&|script| script.sends.total() == 0) > 50);
    assert!(count(&|script| script.leaves == Leaving::WhenAnswered) > 50);
    let parts = |script: &Script| script.sends.total() > 0 && parsed(script, 500).is_none();
    assert!(count(&parts) > 50);
    let bodies = |script: &Script| {
        script.sends.total() > 0 && parsed(script, 500) == Some(Framing::Length(100))
    };
    assert!(count(&bodies) > 50);
}

#[test]
fn floods_are_many_whole_requests_and_nobody_reads() {
    for script in scripts("pipelining floods", 20) {
        assert_eq!(script.sends.total() % 2048, 0);
        assert_eq!(parsed(&script, script.sends.total() / 2048), Some(Framing::None));
        assert_eq!(script.reads, Reading::Nothing);
    }
}

#[test]
fn slow_readers_ask_for_a_file_and_for_a_stream() {
    let scripts = scripts("slow read", 50);
    let asks = |path: &str| {
        let begin = format!("GET /{path}");
        scripts.iter().any(|script| script.sends.opening.starts_with(begin.as_bytes()))
    };
    assert!(asks(ENDLESS_FILE) && asks("stream"));
    assert!(scripts.iter().all(|script| script.receive_buffer_bytes == Some(1024)));
}

#[test]
fn who_leaves_has_asked_for_all() {
    let scripts = scripts("leaving clients", 100);
    assert!(scripts.iter().all(|script| parsed(script, 1000).is_some()));
    assert!(scripts.iter().all(|script| script.stays < Duration::from_millis(50)));
    let resets = scripts.iter().filter(|one| one.farewell == Farewell::Reset).count();
    assert!((50..100).contains(&resets), "{resets}");
}

#[test]
fn a_storm_says_nothing_and_garbage_is_bounded() {
    assert!(scripts("connection storm", 5).iter().all(|script| script.sends.total() == 0));
    for script in scripts("garbage", 100) {
        assert!(script.sends.total() < 500 && script.stays < Duration::from_secs(1));
    }
}

/// The first so many bytes that a script sends.
fn begin(script: &Script, bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < bytes_max {
        let piece = script.sends.piece(bytes.len(), bytes_max - bytes.len());
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(piece);
    }
    bytes
}

#[test]
fn the_bounds_are_those_of_the_program() {
    assert_eq!(FIELDS_MAX, limits::HEADER_COUNT_MAX);
    assert_eq!(HEAD_BYTES_MAX, limits::HEAD_BYTES_MAX);
    assert_eq!(TARGET_BYTES_MAX, limits::TARGET_BYTES_MAX);
}

#[test]
fn header_bombs_are_on_both_sides_of_every_bound() {
    let mut random = Random::new(1);
    let (mut counts, mut endless) = (BTreeMap::new(), 0);
    let (mut fields_taken, mut bytes_taken, mut target_taken) = (0, 0, 0);
    for _ in 0..2000 {
        let script = header_bomb(&mut random, &ground());
        endless += usize::from(script.sends.total() == usize::MAX);
        let bytes = begin(&script, 10 * HEAD_BYTES_MAX);
        let mut slots = head::header_slots();
        let status = match head::parse(&bytes, &mut slots) {
            Parsed::Complete(request) => {
                fields_taken = fields_taken.max(request.headers.len());
                bytes_taken = bytes_taken.max(request.head.len());
                let line = request.head.split(|byte| *byte == b'\r').next().unwrap();
                target_taken = target_taken.max(line.len() - "GET  HTTP/1.1".len());
                200
            }
            Parsed::NeedMore => 0,
            Parsed::Refused(reject) => reject.status(),
        };
        *counts.entry(status).or_insert(0) += 1;
    }
    assert!(endless > 100, "{endless}");
    assert!(counts.keys().all(|status| [200, 414, 431].contains(status)), "{counts:?}");
    assert!(counts.values().all(|count| *count > 100), "{counts:?}");
    let reached = [fields_taken, bytes_taken, target_taken];
    assert_eq!(reached, [FIELDS_MAX, HEAD_BYTES_MAX, TARGET_BYTES_MAX]);
}

#[test]
fn chunked_bombs_are_bodies_to_the_end_or_are_refused() {
    let mut random = Random::new(2);
    let (mut whole, mut refused, mut goes_on) = (0, 0, 0);
    for _ in 0..300 {
        let script = chunked_bomb(&mut random, &ground());
        let bytes = begin(&script, 256 * 1024);
        let mut slots = head::header_slots();
        let Parsed::Complete(request) = head::parse(&bytes, &mut slots) else {
            panic!("the head of a chunked bomb is good");
        };
        let mut body = Vec::new();
        let rest = &bytes[request.head.len()..];
        match Decoder::new().decode(rest, &mut body) {
            Ok(Progress::Complete { used }) => {
                assert_eq!((used, rest.len()), (rest.len(), 6 * body.len() + 5));
                assert!((5_000..=20_000).contains(&body.len()));
                whole += 1;
            }
            // "fffffff" is a size that one can mean, of a body that is too large.
            Ok(Progress::NeedMore { .. }) => goes_on += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(whole > 20 && refused > 100, "{whole} whole, {refused} refused, {goes_on} go on");
    assert!(goes_on < 50, "{goes_on}");
}

fn soak(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_soak")).args(arguments).output().unwrap()
}

#[test]
fn attacks_are_listed() {
    let output = soak(&["--list"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(ATTACKS.iter().all(|attack| text.contains(attack.name)), "{text}");
}

#[test]
fn a_soak_that_cannot_be_made_is_not_one_that_fails() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests");
    let (apps, wire) = (format!("{tests}/apps"), format!("{tests}/wire"));
    let there = ["--apps", &apps, "--wire", &wire, "--server", "/bin/false"];
    let cases: [(&[&str], &str); 5] = [
        (&["--server", "/no/such/program"], "cargo build --release"),
        (&["--apps", "/no/such/folder", "--server", "/bin/false"], "/no/such/folder"),
        (&there, "does not listen"),
        (&[&there[..], &["--only", "nonsense"]].concat(), "no attack is named"),
        (&["--seconds", "5"], "20..=86400"),
    ];
    for (arguments, why) in cases {
        let output = soak(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(why), "{text}");
    }
}
