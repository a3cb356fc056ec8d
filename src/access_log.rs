//! The access log: one line for each answer, in Apache's combined format.
//!
//! Each lane formats its lines into a buffer of its own and hands filled buffers to one writer
//! thread over a bounded queue. The lane never waits: where the queue is full, the lines are
//! dropped and counted, and the writer reports the count. It knows nothing of requests or sockets;
//! it takes an [`Entry`] and gives bytes.

use crate::limits::ACCESS_LOG_BUFFER_BYTES;
use crate::limits::ACCESS_LOG_FIELD_BYTES_MAX;
use crate::limits::ACCESS_LOG_LINE_BYTES_MAX;
use crate::limits::ACCESS_LOG_QUEUE_MAX;
use crate::limits::ACCESS_LOG_STOP_TIME_MAX;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use crossbeam_channel::bounded;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fs::File;
use std::io;
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The standard output of the process.
    Stdout,
    /// The end of this file, which is made if it is not there.
    File(PathBuf),
}

/// The thread that writes the lines of all lanes. Belongs to the server.
#[derive(Debug)]
pub struct Writer {
    queue: Sender<Message>,
    ended: Receiver<()>,
    time_zone: TimeZone,
}

/// A lane's end of the access log.
#[derive(Debug)]
pub enum AccessLog {
    /// Nothing is logged.
    Off,
    /// Lines are collected here.
    On(Box<Lane>),
}

/// The lines that a lane has collected, and how it formats the next one.
#[derive(Debug)]
pub struct Lane {
    queue: Sender<Message>,
    /// Whole lines. Never grows: it is handed over while one more line of any length fits.
    buffer: Vec<u8>,
    line_count: u64,
    /// Lines dropped since the writer was last told.
    dropped_count: u64,
    time: TimeText,
}

/// What one line says. Values from the peer may hold any bytes: they are escaped.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The client's address. An IPv4 client of a dual-stack socket is written as IPv4.
    pub peer: IpAddr,
    /// Seconds since 1970 at which the answer ended.
    pub unix_seconds: u64,
    /// The method as it came. Empty where no request line could be read: the line says `"-"`.
    pub method: &'a [u8],
    /// The request-target as it came.
    pub raw_target: &'a [u8],
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the answer's body that were sent.
    pub body_bytes_sent: u64,
    /// The value of Referer.
    pub referer: Option<&'a [u8]>,
    /// The value of User-Agent.
    pub user_agent: Option<&'a [u8]>,
}

#[derive(Debug)]
enum Message {
    Lines { bytes: Vec<u8>, line_count: u64, dropped_count: u64 },
    Stop,
}

impl Writer {
    /// Opens the target and starts the thread.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or the thread cannot be started.
    pub fn start(target: &Target) -> io::Result<Self> {
        let file = match target {
            // A descriptor of our own: Rust's standard output would search each buffer for lines.
            Target::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Target::File(path) => File::options().append(true).create(true).open(path)?,
        };
        Self::start_with(file, TimeZone::system())
    }

    fn start_with(output: impl Write + Send + 'static, time_zone: TimeZone) -> io::Result<Self> {
        let (queue, messages) = bounded(ACCESS_LOG_QUEUE_MAX);
        let (end, ended) = bounded(1);
        let run = move || {
            write_all_messages(output, &messages);
            drop(end); // the receiver sees the channel closed, also when the thread panicked
        };
        thread::Builder::new().name("access-log".to_owned()).spawn(run)?;
        Ok(Self { queue, ended, time_zone })
    }

    /// A new lane's end. Call it on any thread before the lane starts.
    #[must_use]
    pub fn lane(&self) -> AccessLog {
        AccessLog::On(Box::new(Lane::new(self.queue.clone(), self.time_zone.clone())))
    }

    /// Writes what the lanes have handed over so far and ends the thread. Waits at most
    /// `ACCESS_LOG_STOP_TIME_MAX`: an output that takes nothing must not keep the process alive.
    pub fn stop(self) {
        let deadline = Instant::now() + ACCESS_LOG_STOP_TIME_MAX;
        // Behind all handed-over buffers. An error means that the thread is gone or stuck.
        let _ = self.queue.send_deadline(Message::Stop, deadline);
        let _ = self.ended.recv_deadline(deadline);
    }
}

/// The writer's thread: until told to stop, or until nobody is left who could.
fn write_all_messages(mut output: impl Write, messages: &Receiver<Message>) {
    let mut lost_count = 0;
    while let Ok(Message::Lines { bytes, line_count, dropped_count }) = messages.recv() {
        if dropped_count > 0 {
            tracing::warn!("access log: {dropped_count} lines dropped: the output is too slow");
        }
        match output.write_all(&bytes) {
            Ok(()) if lost_count > 0 => {
                tracing::warn!("access log: writing again, {lost_count} lines lost");
                lost_count = 0;
            }
            Ok(()) => {}
            // Said once for each series: a full disk must not fill the error log as well.
            Err(error) => {
                if lost_count == 0 {
                    tracing::warn!("access log: cannot write: {error}");
                }
                lost_count += line_count;
            }
        }
    }
    let _ = output.flush();
}

impl AccessLog {
    /// Adds the line of one answer. Never waits.
    pub fn line(&mut self, entry: &Entry<'_>) {
        if let Self::On(lane) = self {
            lane.line(entry);
        }
    }

    /// Hands over what has been collected, if anything. The lane calls it at least once each
    /// `ACCESS_LOG_DELAY_MAX` and at its end. Never waits.
    pub fn flush(&mut self) {
        if let Self::On(lane) = self {
            lane.flush();
        }
    }
}

impl Lane {
    fn new(queue: Sender<Message>, time_zone: TimeZone) -> Self {
        let buffer = Vec::with_capacity(ACCESS_LOG_BUFFER_BYTES);
        let time = TimeText { time_zone, unix_seconds: None, text: String::new() };
        Self { queue, buffer, line_count: 0, dropped_count: 0, time }
    }

    fn line(&mut self, entry: &Entry<'_>) {
        let time = self.time.at(entry.unix_seconds);
        append_line(&mut self.buffer, entry, time);
        self.line_count += 1;
        if self.buffer.len() > ACCESS_LOG_BUFFER_BYTES - ACCESS_LOG_LINE_BYTES_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.line_count == 0 {
            return;
        }
        let lines = Message::Lines {
            bytes: std::mem::take(&mut self.buffer),
            line_count: self.line_count,
            dropped_count: self.dropped_count,
        };
        match self.queue.try_send(lines) {
            Ok(()) => {
                self.buffer = Vec::with_capacity(ACCESS_LOG_BUFFER_BYTES);
                self.dropped_count = 0;
            }
            // The warning is the writer's: standard error may block as well.
            Err(refused) => {
                self.dropped_count += self.line_count;
                if let Message::Lines { mut bytes, .. } = refused.into_inner() {
                    bytes.clear();
                    self.buffer = bytes;
                }
            }
        }
        self.line_count = 0;
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.flush();
    }
}

/// `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i"`, as Apache's documentation of
/// mod_log_config writes the combined format.
fn append_line(out: &mut Vec<u8>, entry: &Entry<'_>, time: &str) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{} - - {time} \"", entry.peer.to_canonical());
    if entry.method.is_empty() {
        out.push(b'-');
    } else {
        append_escaped(out, entry.method);
        out.push(b' ');
        append_escaped(out, entry.raw_target);
        let _ = write!(out, " {}", entry.version);
    }
    let _ = write!(out, "\" {} ", entry.status);
    match entry.body_bytes_sent {
        0 => out.push(b'-'),
        bytes => drop(write!(out, "{bytes}")),
    }
    for value in [entry.referer, entry.user_agent] {
        out.extend_from_slice(b" \"");
        append_escaped(out, value.unwrap_or(b"-"));
        out.push(b'"');
    }
    out.push(b'\n');
}

/// Appends printable ASCII as it is and all else so that a line stays one line and a quoted value
/// ends at its quote; `...` stands for what is over `ACCESS_LOG_FIELD_BYTES_MAX`.
fn append_escaped(out: &mut Vec<u8>, value: &[u8]) {
    let room_end = out.len() + ACCESS_LOG_FIELD_BYTES_MAX;
    for byte in value {
        let mut hexadecimal = *b"\\x00";
        let text: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            b' '..=b'~' => std::slice::from_ref(byte),
            _ => {
                let [_, _, high, low] = &mut hexadecimal;
                (*high, *low) = (hexadecimal_digit(byte >> 4), hexadecimal_digit(byte & 15));
                &hexadecimal
            }
        };
        if out.len() + text.len() > room_end {
            out.extend_from_slice(b"...");
            return;
        }
        out.extend_from_slice(text);
    }
}

/// The digit of a number below 16.
const fn hexadecimal_digit(number: u8) -> u8 {
    if number < 10 { b'0' + number } else { b'a' + number - 10 }
}

/// The local time as the log writes it, renewed only when the second changes.
#[derive(Debug)]
struct TimeText {
    time_zone: TimeZone,
    unix_seconds: Option<u64>,
    text: String,
}

impl TimeText {
    fn at(&mut self, unix_seconds: u64) -> &str {
        if self.unix_seconds != Some(unix_seconds) {
            self.unix_seconds = Some(unix_seconds);
            self.text = self.format(unix_seconds).unwrap_or_else(|| "[-]".to_owned());
        }
        &self.text
    }

    /// None for a second that no calendar has.
    fn format(&self, unix_seconds: u64) -> Option<String> {
        let moment = Timestamp::from_second(i64::try_from(unix_seconds).ok()?).ok()?;
        let local = moment.to_zoned(self.time_zone.clone());
        Some(local.strftime("[%d/%b/%Y:%H:%M:%S %z]").to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::sync::mpsc;

    const NOVEMBER: u64 = 1_795_237_975; // 2026-11-21 05:12:55 UTC

    fn entry() -> Entry<'static> {
        Entry {
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
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
        assert_eq!(
            text(&bare),
            "127.0.0.1 - - [21/Nov/2026:05:12:55 +0000] \"-\" 400 - \"-\" \"-\"\n"
        );
    }

    #[test]
    fn an_ipv4_client_of_a_dual_stack_socket_is_ipv4() {
        let mapped = Entry { peer: Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped().into(), ..entry() };
        assert!(text(&mapped).starts_with("10.1.2.3 - - "));
        let ipv6 = Entry { peer: "2001:db8::1".parse().unwrap(), ..entry() };
        assert!(text(&ipv6).starts_with("2001:db8::1 - - "));
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
            peer: "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(),
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        fs::write(&path, "before\n").unwrap();
        let writer = Writer::start(&Target::File(path.clone())).unwrap();
        let mut lanes = [writer.lane(), writer.lane()];
        for lane in &mut lanes {
            for _ in 0..1000 {
                lane.line(&entry());
            }
        }
        drop(lanes); // hands over the rest
        writer.stop();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("before\n127.0.0.1 - - ["));
        assert_eq!(text.lines().count(), 2001);
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
        let (queue, messages) = bounded(1000);
        let mut lane = Lane::new(queue, TimeZone::UTC);
        let long = [1_u8; ACCESS_LOG_BUFFER_BYTES];
        for index in 0..1000 {
            let user_agent = Some(if index % 7 == 0 { &long[..] } else { &b"x"[..] });
            lane.line(&Entry { user_agent, ..entry() });
            assert_eq!(lane.buffer.capacity(), ACCESS_LOG_BUFFER_BYTES);
        }
        assert!(messages.len() > 10);
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
}
