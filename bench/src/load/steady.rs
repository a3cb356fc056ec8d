//! A steady load: every connection kept busy, or requests at fixed moments.
//!
//! It owns the connections and the loop. A closed loop sends the next requests of a connection when
//! all answers to the last have come. With a rate, request k is due at its moment on connection
//! k mod N, waits there if the connection is busy, and its latency counts from that moment.
//!
//! After so many requests a connection is closed by the client with an ordinary FIN, when its last
//! answer has been read, as browsers and wrk do, and a new one is opened at once.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use mio::event::Event;

use crate::load::connection::Connection;
use crate::load::connection::News;
use crate::load::connection::RECEIVE_BYTES;
use crate::load::connection::State;
use crate::load::reference::Reference;
use crate::load::report::Report;
use crate::load::schedule::Schedule;
use crate::load::schedule::Timer;
use crate::load::source::Source;
use crate::load::target::Target;

/// Connections that wait for their very first answer at most: more would overflow the queue of a
/// server's listener.
pub const OPENING_MAX: usize = 128;

/// Requests that are due and wait for their connection, all together. Further ones are late.
const WAITING_MAX: usize = 1 << 20;

/// Before a connection that failed is opened again: a server that refuses is not hammered.
const REOPEN_AFTER: Duration = Duration::from_millis(10);

/// How long answers may come in after the end, with a rate.
const LAST_ANSWERS_TIME_MAX: Duration = Duration::from_secs(2);

const EVENTS: usize = 1024;
const TIMER: Token = Token(usize::MAX - 1);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Connections at a time.
    pub connections: usize,
    /// How long is measured.
    pub measured: Duration,
    /// How long the same is done before that.
    pub warm: Duration,
    /// Requests of one write, and in flight on a connection at most.
    pub pipeline: usize,
    /// Answers after which a connection is closed.
    pub requests_per_connection: Option<usize>,
    /// Requests each second, all connections together; None: as many as possible.
    pub rate: Option<f64>,
}

/// Does what the plan says.
///
/// # Errors
///
/// When epoll fails. What the server does wrong stands in the report.
pub fn run(target: &Target, reference: &Reference, plan: &Plan) -> Result<Report, String> {
    let explain = |error: io::Error| format!("epoll: {error}");
    let mut steady = Steady::new(target, reference, plan)?;
    let mut poll = Poll::new().map_err(explain)?;
    let mut events = Events::with_capacity(EVENTS);
    steady.schedule(&poll).map_err(explain)?;
    while let Some(wait) = steady.turn(&poll).map_err(explain)? {
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(explain(error)),
            _ => {}
        }
        for event in events.iter().filter(|event| event.token() != TIMER) {
            steady.handle(&poll, event);
        }
    }
    Ok(steady.finish())
}

struct Steady<'l> {
    target: &'l Target,
    reference: &'l Reference,
    plan: &'l Plan,
    source: Source,
    slots: Vec<Slot>,
    /// Slots that wait for their first answer.
    opening: usize,
    /// Slots to be opened again, and since when the first of them waits.
    broken: Vec<usize>,
    broken_since: Instant,
    waiting: usize,
    rate: Option<(Schedule, Timer)>,
    measure_from: Instant,
    end: Instant,
    report: Report,
    buffer: Box<[u8]>,
}

/// One of the plan's connections, through all sockets that it has one after the other.
#[derive(Debug, Default)]
struct Slot {
    connection: Option<Connection>,
    /// For each request in flight, the moment from which its latency counts.
    in_flight: VecDeque<Instant>,
    /// Moments of requests that are due and not sent.
    waiting: VecDeque<Instant>,
    /// Answers on this socket.
    answered: usize,
    proven: bool,
}

impl<'l> Steady<'l> {
    fn new(target: &'l Target, reference: &'l Reference, plan: &'l Plan) -> Result<Self, String> {
        let now = Instant::now();
        let measure_from = now + plan.warm;
        Ok(Self {
            target,
            reference,
            plan,
            source: Source::new(target.address),
            slots: Vec::with_capacity(plan.connections),
            opening: 0,
            broken: Vec::new(),
            broken_since: now,
            waiting: 0,
            rate: None,
            measure_from,
            end: measure_from + plan.measured,
            report: Report::new()?,
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
        })
    }

    fn schedule(&mut self, poll: &Poll) -> io::Result<()> {
        if let Some(rate) = self.plan.rate {
            let timer = Timer::new(poll.registry(), TIMER)?;
            let start = self.measure_from.checked_sub(self.plan.warm).unwrap_or(self.measure_from);
            self.rate = Some((Schedule::new(start, self.end, rate), timer));
        }
        Ok(())
    }

    /// Does what time has brought, and says how long to wait for events. None: it is over.
    fn turn(&mut self, poll: &Poll) -> io::Result<Option<Duration>> {
        let now = Instant::now();
        let mut wait = self.end.saturating_duration_since(now);
        if now >= self.end {
            let last = self.end + LAST_ANSWERS_TIME_MAX;
            let open = self.waiting > 0 || self.slots.iter().any(|slot| !slot.in_flight.is_empty());
            if self.rate.is_none() || !open || now >= last {
                return Ok(None);
            }
            wait = last.saturating_duration_since(now);
        }
        while self.slots.len() < self.plan.connections && self.opening < OPENING_MAX {
            self.slots.push(Slot::default());
            self.opening += 1;
            self.open(poll, self.slots.len() - 1);
        }
        if !self.broken.is_empty() {
            if now >= self.broken_since + REOPEN_AFTER {
                for index in std::mem::take(&mut self.broken) {
                    self.open(poll, index);
                }
            }
            wait = wait.min(REOPEN_AFTER);
        }
        self.send_due(poll, now)?;
        Ok(Some(wait))
    }

    fn send_due(&mut self, poll: &Poll, now: Instant) -> io::Result<()> {
        while let Some((schedule, _)) = &mut self.rate
            && let Some((number, moment)) = schedule.take_due(now)
        {
            #[expect(clippy::cast_possible_truncation, reason = "it is below plan.connections")]
            let index = (number % self.plan.connections as u64) as usize;
            // A slot that is not there yet is opened soon; until then another does its work.
            let index = index % self.slots.len().max(1);
            match self.slots.get_mut(index) {
                Some(slot) if self.waiting < WAITING_MAX => {
                    slot.waiting.push_back(moment);
                    self.waiting += 1;
                    self.feed(poll, index);
                }
                _ => self.report.late += u64::from(moment >= self.measure_from),
            }
        }
        if let Some((schedule, timer)) = &self.rate
            && let Some(next) = schedule.next()
        {
            timer.wake_after(next.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    }

    fn open(&mut self, poll: &Poll, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.answered = 0;
        let opened = self.source.connect().and_then(|mut stream| {
            let interests = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(index), interests)?;
            Ok(Connection::new(stream))
        });
        match opened {
            Ok(connection) => {
                slot.connection = Some(connection);
                self.report.connections_opened += 1;
                self.feed(poll, index);
            }
            Err(error) => self.fail(index, || error.to_string()),
        }
    }

    /// Sends what the connection may have in flight now.
    fn feed(&mut self, poll: &Poll, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(connection) = &mut slot.connection else { return };
        if connection.is_sending() {
            return;
        }
        let mut count = self.plan.pipeline.saturating_sub(slot.in_flight.len());
        if let Some(most) = self.plan.requests_per_connection {
            count = count.min(most.saturating_sub(slot.answered + slot.in_flight.len()));
        }
        if self.rate.is_some() {
            count = count.min(slot.waiting.len());
            slot.in_flight.extend(slot.waiting.drain(..count));
            self.waiting -= count;
        } else {
            let now = Instant::now();
            // Behind the end nothing is sent that nobody would count.
            if !slot.in_flight.is_empty() || now >= self.end {
                count = 0;
            }
            slot.in_flight.extend(std::iter::repeat_n(now, count));
        }
        if count > 0
            && let Err(error) = connection.send(self.target, count)
        {
            let _ = poll.registry().deregister(connection.stream());
            self.fail(index, || error.to_string());
        }
    }

    fn handle(&mut self, poll: &Poll, event: &Event) {
        let index = event.token().0;
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(connection) = &mut slot.connection else { return };
        if event.is_writable()
            && connection.is_sending()
            && let Err(error) = connection.flush(self.target)
        {
            return self.fail(index, || error.to_string());
        }
        let news = if event.is_read_closed() || event.is_error() { News::End } else { News::Bytes };
        if !event.is_readable() && news == News::Bytes {
            return self.feed(poll, index);
        }
        let received = connection.receive(&mut self.buffer, self.reference, news);
        let now = Instant::now();
        if now >= self.measure_from && now < self.end {
            self.report.bytes += received.bytes;
        }
        self.report.wrong += received.wrong as u64;
        if received.wrong > 0 {
            self.report.note(|| "an answer with a wrong status or body".to_owned());
        }
        self.count(index, received.right + received.wrong, now);
        self.settle(poll, index, received.state);
    }

    /// Counts answers that came now.
    fn count(&mut self, index: usize, answers: usize, now: Instant) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if answers > 0 && !slot.proven {
            slot.proven = true;
            self.opening -= 1;
        }
        slot.answered += answers;
        for _ in 0..answers {
            let Some(since) = slot.in_flight.pop_front() else {
                self.report.wrong += 1;
                self.report.note(|| "an answer that nobody asked for".to_owned());
                return;
            };
            // A rate counts what was due in the measured time; a closed loop, what came in it.
            let moment = if self.rate.is_some() { since } else { now };
            if moment >= self.measure_from && moment < self.end {
                self.report.answer(now.saturating_duration_since(since));
            }
        }
    }

    /// Goes on with a connection in this state.
    fn settle(&mut self, poll: &Poll, index: usize, state: State) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let most = self.plan.requests_per_connection;
        let is_done = most.is_some_and(|most| slot.answered >= most) && slot.in_flight.is_empty();
        match state {
            State::Broken(fault) => self.fail(index, || fault.to_string()),
            State::Ended if !slot.in_flight.is_empty() => {
                self.fail(index, || "closed by the server before an answer".to_owned());
            }
            // An unused connection was closed, which a server may do. Not at once, lest one that
            // closes all of them keeps us at nothing else.
            State::Ended if !is_done => self.close(index),
            State::Open if !is_done => self.feed(poll, index),
            State::Last | State::Ended | State::Open => {
                // Requests behind the last answer were not heard, and a rate sends them again.
                slot.connection = None;
                if self.rate.is_some() {
                    self.waiting += slot.in_flight.len();
                    while let Some(moment) = slot.in_flight.pop_back() {
                        slot.waiting.push_front(moment);
                    }
                }
                slot.in_flight.clear();
                self.open(poll, index);
            }
        }
    }

    fn fail(&mut self, index: usize, fault: impl FnOnce() -> String) {
        self.report.errors += 1;
        self.report.note(fault);
        self.close(index);
    }

    /// Gives the socket up, and what is in flight on it; another is opened a little later.
    fn close(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.connection = None;
        if self.rate.is_some() {
            let measured = slot.in_flight.iter().filter(|moment| **moment >= self.measure_from);
            self.report.late += measured.count() as u64;
        }
        slot.in_flight.clear();
        if self.broken.is_empty() {
            self.broken_since = Instant::now();
        }
        self.broken.push(index);
    }

    fn finish(mut self) -> Report {
        if self.rate.is_some() {
            let left =
                self.slots.iter().flat_map(|slot| slot.in_flight.iter().chain(&slot.waiting));
            let measured = left.filter(|moment| **moment >= self.measure_from).count();
            self.report.late += measured as u64;
        }
        self.report
    }
}
