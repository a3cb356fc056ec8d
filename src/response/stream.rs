//! The bounded hand-over of one answer from the thread that makes it to the connection that sends
//! it.
//!
//! It owns the head until it leaves, the body bytes that wait for the socket, and the rules of an
//! answer's length: bytes after Content-Length are cut, too few of them are a failure. In go a
//! [`Head`] and pieces of a body, from a thread that may block; out come [`Received`] values, to a
//! task that may not. At most [`limits::STREAM_BYTES_MAX`] bytes wait here. It knows neither Python
//! nor sockets, and needs no runtime: one lock, one condition variable, one waker for each answer.

use crate::limits;
use crate::response::head::Head;
use crate::response::status;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

/// A new stream for one answer.
#[must_use]
pub fn bounded() -> (Producer, Consumer) {
    let channel = Arc::new(Channel { state: Mutex::new(State::new()), room: Condvar::new() });
    (Producer { channel: Arc::clone(&channel), start: Start::new() }, Consumer { channel })
}

/// The end that makes the answer. Dropping it before [`Producer::finish`] fails the answer.
#[derive(Debug)]
pub struct Producer {
    channel: Arc<Channel>,
    start: Start,
}

/// How far the producer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No head yet.
    Unstarted,
    /// A head is known and may still be replaced.
    Started,
    /// The head has left.
    HeadLeft,
}

/// Whether an answer that is about to be made is wanted.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is.
    Wanted,
    /// Nobody reads any more.
    Gone,
}

/// What became of pushed bytes.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// All bytes are on their way; those beyond Content-Length are cut.
    Taken,
    /// Only the first `taken` bytes found room. See [`Producer::room`].
    Full {
        /// Bytes taken of the piece; may be 0.
        taken: usize,
    },
    /// Nothing was taken: Content-Length bytes had come before.
    Over,
    /// Nothing was taken: this answer has no body (HEAD, 1xx, 204, 304), so it is complete.
    Unwanted,
    /// Nothing was taken, and the answer is not complete: nobody reads any more.
    Gone,
}

/// How an answer came to its end.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The answer is whole.
    Whole,
    /// Bytes were missing from its Content-Length: the answer has failed.
    Short {
        /// Missing bytes.
        missing: u64,
    },
    /// No head was started: the answer has failed.
    Headless,
}

/// What a wait for room ended with.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Bytes can be pushed again.
    Room,
    /// Nobody reads any more.
    Gone,
}

/// A wait for room that can be taken away from its [`Producer`], so that no lock around the
/// producer needs to be held during the wait.
#[derive(Debug)]
pub struct RoomWait {
    channel: Arc<Channel>,
}

impl Producer {
    /// Whether anybody reads.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.channel.lock().reader == Reader::There
    }

    /// Says that the work for the answer begins, unless nobody wants it any more.
    pub fn begin(&self) -> Begin {
        let mut state = self.channel.lock();
        if state.reader == Reader::Gone {
            return Begin::Gone;
        }
        state.producer = Writer::Runs;
        Begin::Wanted
    }

    /// The answer must not have a body whatever its head says (it answers HEAD): it is complete
    /// with its head, and a body shorter than Content-Length is no failure (RFC 9110 section
    /// 9.3.2).
    pub const fn expect_no_body(&mut self) {
        self.start.body = BodyRule::None;
    }

    /// How far the answer has come.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.start.phase
    }

    /// Sets the head, or replaces it as long as it has not left. It leaves with the first byte of
    /// the body or with the end. After it has left this does nothing.
    pub fn start(&mut self, head: Head) {
        debug_assert!(self.start.phase != Phase::HeadLeft, "the head of this answer has left");
        if self.start.phase != Phase::HeadLeft {
            self.start.head = Some(head);
            self.start.phase = Phase::Started;
        }
    }

    /// Whether a head waits to leave that has no Content-Length and could have one.
    #[must_use]
    pub fn wants_length(&self) -> bool {
        let wants =
            |head: &Head| head.content_length().is_none() && !status::forbids_body(head.status());
        self.start.head.as_ref().is_some_and(wants)
    }

    /// Tells the whole body's length before its first byte, to a head that wants it.
    pub fn declare_length(&mut self, bytes: u64) {
        if self.wants_length()
            && let Some(head) = &mut self.start.head
        {
            let pushed = head.push(b"Content-Length", bytes.to_string().as_bytes());
            debug_assert!(pushed.is_ok(), "a number is a valid Content-Length");
        }
    }

    /// Copies the next piece of the body. An empty piece does not make the head leave.
    /// A head must have been started.
    pub fn push(&mut self, bytes: &[u8]) -> Pushed {
        self.push_within(bytes, limits::STREAM_BYTES_MAX)
    }

    /// Like [`Producer::push`], with another bound on the bytes that wait.
    pub fn push_within(&mut self, bytes: &[u8], bytes_max: usize) -> Pushed {
        let mut state = self.channel.lock();
        let pushed = state.push(&mut self.start, bytes, bytes_max);
        let waker = state.waker_for_news();
        drop(state);
        wake(waker);
        pushed
    }

    /// Copies the rest of the body and ends the answer, in one hand-over: the consumer is woken
    /// once and sees head, body and end together. When not all bytes found room, or nobody reads,
    /// this is a mere [`Producer::push`] and the answer is not ended.
    pub fn finish_with(&mut self, bytes: &[u8]) -> Pushed {
        let mut state = self.channel.lock();
        let pushed = state.push(&mut self.start, bytes, limits::STREAM_BYTES_MAX);
        if pushed == Pushed::Taken {
            let _ = state.finish(&mut self.start);
        }
        let waker = state.waker_for_news();
        drop(state);
        wake(waker);
        pushed
    }

    /// A wait for room, to be used without any lock that others need (and without the GIL).
    #[must_use]
    pub fn room(&self) -> RoomWait {
        RoomWait { channel: Arc::clone(&self.channel) }
    }

    /// Ends the answer: whatever was started is whole, unless bytes are missing.
    pub fn finish(mut self) -> Finish {
        let mut state = self.channel.lock();
        let finish = state.finish(&mut self.start);
        let waker = state.waker_for_news();
        drop(state);
        wake(waker);
        finish
    }

    /// Ends the answer as failed. A head that has not left never will.
    pub fn fail(self) {
        drop(self);
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let mut state = self.channel.lock();
        if state.end == End::More {
            state.end = End::Failed;
        }
        let waker = state.waker_for_news();
        drop(state);
        wake(waker);
    }
}

impl RoomWait {
    /// Blocks until bytes can be pushed again or nobody reads any more.
    pub fn wait(&self) -> Room {
        self.channel.wait_for_room()
    }
}

/// The end that sends the answer. Dropping it tells the producer that nobody reads.
#[derive(Debug)]
pub struct Consumer {
    channel: Arc<Channel>,
}

/// What a receive brought, beside the bytes in its buffer.
#[must_use]
#[derive(Debug)]
pub struct Received {
    /// The head: exactly once, before or with the first byte. An answer that failed before its
    /// head left has none.
    pub head: Option<Head>,
    /// Whether more will come.
    pub end: End,
}

/// Whether more of an answer will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// More may come.
    More,
    /// The answer is whole.
    Complete,
    /// The rest will never come: cut the connection, or answer 500 when no head has come.
    Failed,
}

impl Consumer {
    /// Waits until there is something, and moves all of it behind what `buffer` holds. An empty
    /// buffer may be exchanged for another. Dropping the future loses nothing.
    pub async fn receive(&mut self, buffer: &mut Vec<u8>) -> Received {
        poll_fn(|context| self.poll_receive(context, buffer)).await
    }

    /// Whether the work for the answer has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.channel.lock().producer != Writer::NotBegun
    }

    /// What there is now; None when there is nothing.
    pub fn try_receive(&mut self, buffer: &mut Vec<u8>) -> Option<Received> {
        let mut state = self.channel.lock();
        let received = state.receive(buffer)?;
        self.channel.announce_room(state);
        Some(received)
    }

    fn poll_receive(&self, context: &Context<'_>, buffer: &mut Vec<u8>) -> Poll<Received> {
        let mut state = self.channel.lock();
        if let Some(received) = state.receive(buffer) {
            self.channel.announce_room(state);
            return Poll::Ready(received);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => state.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut state = self.channel.lock();
        state.reader = Reader::Gone;
        state.body = Vec::new();
        state.waker = None;
        self.channel.announce_room(state);
    }
}

/// What the producer holds back until the first byte or the end.
#[derive(Debug)]
struct Start {
    head: Option<Head>,
    phase: Phase,
    body: BodyRule,
}

/// Whether the answer has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyRule {
    AsDeclared,
    None,
}

impl Start {
    const fn new() -> Self {
        Self { head: None, phase: Phase::Unstarted, body: BodyRule::AsDeclared }
    }
}

#[derive(Debug)]
struct Channel {
    state: Mutex<State>,
    /// Signalled when a waiting producer can go on.
    room: Condvar,
}

impl Channel {
    /// No code panics while it holds this lock, and the state is valid after each statement, so a
    /// poisoned lock is a lock like any other.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_room(&self) -> Room {
        let mut state = self.lock();
        loop {
            if state.reader == Reader::Gone {
                return Room::Gone;
            }
            if state.body.len() < limits::STREAM_BYTES_MAX {
                return Room::Room;
            }
            state.producer = Writer::Waits;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn announce_room(&self, mut state: MutexGuard<'_, State>) {
        let waits = state.producer == Writer::Waits;
        if waits {
            state.producer = Writer::Runs;
        }
        drop(state);
        if waits {
            self.room.notify_all();
        }
    }
}

/// Wakes outside of the lock, so that the woken task does not run into it.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[derive(Debug)]
struct State {
    head: Option<Head>,
    body: Vec<u8>,
    /// Bytes that Content-Length still promises, once the head has left.
    bytes_left: Option<u64>,
    end: End,
    reader: Reader,
    producer: Writer,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    NotBegun,
    Runs,
    Waits,
}

impl State {
    const fn new() -> Self {
        Self {
            head: None,
            body: Vec::new(),
            bytes_left: None,
            end: End::More,
            reader: Reader::There,
            producer: Writer::NotBegun,
            waker: None,
        }
    }

    fn push(&mut self, start: &mut Start, bytes: &[u8], bytes_max: usize) -> Pushed {
        // The end first: whoever has all of an answer goes, which is not to look like a client
        // that has left too early.
        if self.end != End::More {
            return Self::over(start);
        }
        if self.reader == Reader::Gone {
            return Pushed::Gone;
        }
        if bytes.is_empty() {
            return Pushed::Taken;
        }
        self.let_head_leave(start);
        if self.end != End::More {
            return Self::over(start);
        }
        let left = self.bytes_left.unwrap_or(u64::MAX);
        let promised = usize::try_from(left).unwrap_or(usize::MAX);
        let wanted = bytes.len().min(promised);
        let taken = wanted.min(bytes_max.saturating_sub(self.body.len()));
        self.body.extend_from_slice(bytes.get(..taken).unwrap_or(bytes));
        if let Some(left) = &mut self.bytes_left {
            *left = left.saturating_sub(taken as u64);
            if *left == 0 {
                self.end = End::Complete;
            }
        }
        if taken < wanted { Pushed::Full { taken } } else { Pushed::Taken }
    }

    /// What becomes of bytes after the end.
    const fn over(start: &Start) -> Pushed {
        match start.body {
            BodyRule::None => Pushed::Unwanted,
            BodyRule::AsDeclared => Pushed::Over,
        }
    }

    fn finish(&mut self, start: &mut Start) -> Finish {
        self.let_head_leave(start);
        if start.phase == Phase::Unstarted {
            self.end = End::Failed;
            return Finish::Headless;
        }
        match self.bytes_left {
            Some(missing) if missing > 0 => {
                self.end = End::Failed;
                Finish::Short { missing }
            }
            _ => {
                self.end = End::Complete;
                Finish::Whole
            }
        }
    }

    /// The head leaves with the first byte or the end, and its Content-Length begins to count.
    fn let_head_leave(&mut self, start: &mut Start) {
        let Some(head) = start.head.take() else { return };
        start.phase = Phase::HeadLeft;
        if status::forbids_body(head.status()) {
            start.body = BodyRule::None;
        }
        match (start.body, head.content_length()) {
            (BodyRule::None, _) => self.end = End::Complete,
            (BodyRule::AsDeclared, bytes) => self.bytes_left = bytes,
        }
        if self.bytes_left == Some(0) {
            self.end = End::Complete;
        }
        self.head = Some(head);
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> Option<Received> {
        if !self.has_news() {
            return None;
        }
        // A small body is copied into the buffer that is there; a large one comes with its own.
        if buffer.is_empty() && self.body.len() > limits::COPY_BODY_BYTES_MAX {
            std::mem::swap(buffer, &mut self.body);
        } else {
            buffer.append(&mut self.body);
        }
        Some(Received { head: self.head.take(), end: self.end })
    }

    const fn has_news(&self) -> bool {
        self.head.is_some() || !self.body.is_empty() || !matches!(self.end, End::More)
    }

    /// The waker of a consumer that waits, when there is something to receive.
    const fn waker_for_news(&mut self) -> Option<Waker> {
        if self.has_news() { self.waker.take() } else { None }
    }
}

#[cfg(test)]
mod tests;
