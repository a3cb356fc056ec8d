//! The access log: one line for each answer, in Apache's combined format.
//!
//! Each lane formats its lines into a buffer of its own and hands filled buffers to one writer
//! thread over a bounded queue. The lane never waits: where the queue is full, the lines are
//! dropped and counted, and the writer reports the count. It knows nothing of requests or sockets;
//! it takes an [`Entry`] and gives bytes.

use crate::address::Address;
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
    /// The client's address. An IPv4 client of a dual-stack socket is written as IPv4, who comes
    /// through a unix socket as `unix:`, which is nginx's word for it.
    pub peer: Address,
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
    let _ = match entry.peer.ip() {
        Some(ip) => write!(out, "{ip} - - {time} \""),
        None => write!(out, "{} - - {time} \"", entry.peer),
    };
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
    // Mostly all of it: one copy is a tenth of a microsecond cheaper than one for each byte.
    let is_plain = |byte: &&u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    let plain = value.iter().take(ACCESS_LOG_FIELD_BYTES_MAX).take_while(is_plain).count();
    let (plain, rest) = value.split_at(plain);
    out.extend_from_slice(plain);
    for byte in rest {
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
mod tests;
