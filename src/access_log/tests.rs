//! The tests of `access_log`.

use super::*;
use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;

const NOVEMBER: u64 = 1_795_237_975; // 2026-11-21 05:12:55 UTC

fn entry() -> Entry<'static> {
    Entry {
        peer: "127.0.0.1:4711".parse().unwrap(),
        unix_seconds: NOVEMBER,
        method: b"GET",
        raw_target: b"/a?b=c",
        version: "HTTP/1.1",
        status: 200,
        body_bytes_sent: 13,
        referer: Some(b"http://example.com/"),
        user_agent: Some(b"curl/8.5.0"),
    }
}

fn text(entry: &Entry<'_>) -> String {
    let mut time = TimeText { time_zone: TimeZone::UTC, unix_seconds: None, text: "".into() };
    let mut out = Vec::new();
    append_line(&mut out, entry, time.at(entry.unix_seconds));
    String::from_utf8(out).unwrap()
}

#[test]
fn a_line_is_apache_combined() {
    assert_eq!(
        text(&entry()),
        "127.0.0.1 - - [21/Nov/2026:05:12:55 +0000] \"GET /a?b=c HTTP/1.1\" 200 13 \
         \"http://example.com/\" \"curl/8.5.0\"\n"
    );
}

#[test]
fn what_is_not_there_is_a_dash() {
    let bare = Entry {
        method: b"",
        raw_target: b"",
        status: 400,
        body_bytes_sent: 0,
        referer: None,
        user_agent: None,
        ..entry()
    };
    assert_eq!(text(&bare), "127.0.0.1 - - [21/Nov/2026:05:12:55 +0000] \"-\" 400 - \"-\" \"-\"\n");
}

#[test]
fn an_ipv4_client_of_a_dual_stack_socket_is_ipv4() {
    let mapped = Entry { peer: "[::ffff:10.1.2.3]:5".parse().unwrap(), ..entry() };
    assert!(text(&mapped).starts_with("10.1.2.3 - - "));
    let ipv6 = Entry { peer: "[2001:db8::1]:5".parse().unwrap(), ..entry() };
    assert!(text(&ipv6).starts_with("2001:db8::1 - - "));
    let unix = Entry { peer: Address::Unix, ..entry() };
    assert!(text(&unix).starts_with("unix: - - ["));
}

#[test]
fn each_byte_from_the_peer_keeps_the_line_whole() {
    for byte in 0..=u8::MAX {
        let value = [b'a', byte, b'z'];
        let mut out = Vec::new();
        append_escaped(&mut out, &value);
        let expected = match byte {
            b'"' => "a\\\"z".to_owned(),
            b'\\' => "a\\\\z".to_owned(),
            b'\n' => "a\\nz".to_owned(),
            b'\r' => "a\\rz".to_owned(),
            b'\t' => "a\\tz".to_owned(),
            32..127 => format!("a{}z", char::from(byte)),
            _ => format!("a\\x{byte:02x}z"),
        };
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn a_value_over_its_bound_is_cut_and_the_longest_line_keeps_its_bound() {
    let mut out = Vec::new();
    append_escaped(&mut out, &[b'a'; ACCESS_LOG_FIELD_BYTES_MAX]);
    assert_eq!(out, [b'a'; ACCESS_LOG_FIELD_BYTES_MAX]);
    out.clear();
    append_escaped(&mut out, &[b'a'; ACCESS_LOG_FIELD_BYTES_MAX + 1]);
    assert_eq!(out.len(), ACCESS_LOG_FIELD_BYTES_MAX + 3);
    assert!(out.ends_with(b"a..."));

    let long = [1_u8; ACCESS_LOG_BUFFER_BYTES];
    let worst = Entry {
        peer: "[2001:db8:1111:2222:3333:4444:5555:6666]:5".parse().unwrap(),
        method: &long,
        raw_target: &long,
        body_bytes_sent: u64::MAX,
        referer: Some(&long),
        user_agent: Some(&long),
        ..entry()
    };
    let bytes = text(&worst).len();
    assert!(bytes > 4 * ACCESS_LOG_FIELD_BYTES_MAX && bytes <= ACCESS_LOG_LINE_BYTES_MAX);
}

#[test]
fn the_time_is_local_and_follows_the_second() {
    let time_zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let mut time = TimeText { time_zone, unix_seconds: None, text: String::new() };
    assert_eq!(time.at(NOVEMBER), "[21/Nov/2026:06:12:55 +0100]");
    assert_eq!(time.at(NOVEMBER), "[21/Nov/2026:06:12:55 +0100]");
    assert_eq!(time.at(NOVEMBER + 1), "[21/Nov/2026:06:12:56 +0100]");
    assert_eq!(time.at(1_784_610_775), "[21/Jul/2026:07:12:55 +0200]");
    assert_eq!(time.at(u64::MAX), "[-]");
    assert_eq!(time.at(0), "[01/Jan/1970:01:00:00 +0100]");
}

#[test]
fn the_lines_of_all_lanes_reach_the_end_of_the_file() {
    const LINES: usize = if cfg!(miri) { 50 } else { 1000 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, "before\n").unwrap();
    let writer = Writer::start(&Target::File(path.clone())).unwrap();
    let mut lanes = [writer.lane(), writer.lane()];
    for lane in &mut lanes {
        for _ in 0..LINES {
            lane.line(&entry());
        }
    }
    drop(lanes); // hands over the rest
    writer.stop();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("before\n127.0.0.1 - - ["));
    assert_eq!(text.lines().count(), 1 + 2 * LINES);
    assert!(text.lines().skip(1).all(|line| line.ends_with("\"curl/8.5.0\"")));
}

#[test]
fn a_flush_hands_over_what_is_there_and_nothing_twice() {
    let (queue, messages) = bounded(4);
    let mut log = AccessLog::On(Box::new(Lane::new(queue, TimeZone::UTC)));
    log.flush();
    assert!(messages.is_empty());
    log.line(&entry());
    assert!(messages.is_empty());
    log.flush();
    log.flush();
    assert_eq!(messages.len(), 1);
    let Ok(Message::Lines { bytes, line_count: 1, dropped_count: 0 }) = messages.recv() else {
        panic!("one line was handed over");
    };
    assert_eq!(String::from_utf8(bytes).unwrap(), text(&entry()));
}

#[test]
fn a_full_queue_drops_lines_counts_them_and_never_waits() {
    let (queue, messages) = bounded(1);
    let mut lane = Lane::new(queue, TimeZone::UTC);
    for _ in 0..3 {
        lane.line(&entry());
        lane.flush(); // the first one is taken, the second and third are dropped
    }
    assert!(matches!(messages.recv(), Ok(Message::Lines { dropped_count: 0, .. })));
    lane.line(&entry());
    lane.flush();
    assert!(matches!(messages.recv(), Ok(Message::Lines { dropped_count: 2, .. })));
    lane.line(&entry());
    lane.flush();
    assert!(matches!(messages.recv(), Ok(Message::Lines { dropped_count: 0, .. })));
}

#[test]
fn a_buffer_never_grows() {
    const LINES: usize = if cfg!(miri) { 200 } else { 1000 };
    let (queue, messages) = bounded(1000);
    let mut lane = Lane::new(queue, TimeZone::UTC);
    let long = [1_u8; ACCESS_LOG_BUFFER_BYTES];
    for index in 0..LINES {
        let user_agent = Some(if index % 7 == 0 { &long[..] } else { &b"x"[..] });
        lane.line(&Entry { user_agent, ..entry() });
        assert_eq!(lane.buffer.capacity(), ACCESS_LOG_BUFFER_BYTES);
    }
    assert!(messages.len() >= LINES / 100);
}

/// An output that takes nothing until it is told to.
struct Stuck {
    begun: mpsc::Sender<()>,
    release: mpsc::Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.begun.send(());
        let _ = self.release.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_takes_nothing_stops_neither_lane_nor_end() {
    let (release, wait) = mpsc::channel();
    let (begin, begun) = mpsc::channel();
    let stuck = Stuck { begun: begin, release: wait };
    let writer = Writer::start_with(stuck, TimeZone::UTC).unwrap();
    let mut log = writer.lane();
    let mut hand_over = |count: usize| {
        for _ in 0..count {
            log.line(&entry());
            log.flush();
        }
    };
    hand_over(1);
    begun.recv().unwrap(); // the writer holds the first one, and no room is made from here on
    hand_over(ACCESS_LOG_QUEUE_MAX + 10);
    let AccessLog::On(lane) = &log else { panic!("the log is on") };
    assert_eq!(lane.dropped_count, 10);
    let begun = Instant::now();
    writer.stop();
    assert!(begun.elapsed() >= ACCESS_LOG_STOP_TIME_MAX);
    drop(release);
}

/// An output that fails while the disk is full.
struct Full(mpsc::Sender<Vec<u8>>, usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1 > 0 {
            self.1 -= 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.send(bytes.to_vec()).unwrap();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the error log got, as text.
#[derive(Clone, Default)]
struct ErrorLog(Arc<Mutex<Vec<u8>>>);

impl Write for ErrorLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_write_does_not_end_the_log_and_lines_not_written_are_reported() {
    let error_log = ErrorLog::default();
    let maker = error_log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || maker.clone())
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .finish();
    let (queue, messages) = bounded(8);
    for (number, dropped_count) in [(b'1', 0), (b'2', 0), (b'3', 7), (b'4', 0)] {
        let lines = Message::Lines { bytes: vec![number], line_count: 5, dropped_count };
        queue.send(lines).unwrap();
    }
    queue.send(Message::Stop).unwrap();
    let (sender, written) = mpsc::channel();
    tracing::subscriber::with_default(subscriber, || {
        write_all_messages(Full(sender, 2), &messages);
    });
    assert_eq!(written.try_iter().collect::<Vec<_>>(), [b"3", b"4"]);
    let said = String::from_utf8(error_log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        said.lines().map(str::trim_start).collect::<Vec<_>>(),
        [
            "WARN access log: cannot write: no storage space",
            "WARN access log: 7 lines dropped: the output is too slow",
            "WARN access log: writing again, 10 lines lost",
        ]
    );
}

#[test]
fn an_unopenable_file_is_an_error_of_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/access.log");
    let error = Writer::start(&Target::File(path)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_log_that_is_off_takes_lines_and_does_nothing() {
    let mut log = AccessLog::Off;
    log.line(&entry());
    log.flush();
    assert!(matches!(log, AccessLog::Off));
}
