//! Many connections that do nothing: what they cost a server, and whether it keeps them.
//!
//! Each carries one request when it is opened and one when it is asked again; in between nothing is
//! sent, and nothing is read either.

use std::io;
use std::time::Duration;

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
use crate::load::source::Source;
use crate::load::steady::OPENING_MAX;
use crate::load::target::Target;

/// When nothing happens for so long, the answers that are missing are not waited for.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(30);

const EVENTS: usize = 1024;

/// Connections that are held open.
pub struct Idle<'l> {
    target: &'l Target,
    reference: &'l Reference,
    source: Source,
    poll: Poll,
    slots: Vec<Slot>,
    buffer: Box<[u8]>,
    round: Round,
}

#[derive(Debug, Default)]
struct Slot {
    /// None: not there yet, or gone.
    connection: Option<Connection>,
    is_asked: bool,
}

/// What happened since the last count.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    in_flight: usize,
    answered: usize,
    wrong: usize,
    first_fault: Option<Trouble>,
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Connecting(io::ErrorKind),
    Closed,
    Wrong,
    Silent,
}

/// What became of the connections when they were opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// So many are open and have answered rightly.
    pub open: usize,
    /// So many are not.
    pub errors: usize,
    /// Why the first of them is not, for people.
    pub first_fault: Option<String>,
}

/// What became of the connections when they were asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Right answers.
    pub answered: usize,
    /// Connections that the server closed, before or instead of its answer.
    pub closed: usize,
    /// Wrong answers.
    pub wrong: usize,
}

impl<'l> Idle<'l> {
    /// Opens so many connections and asks each once; a few at a time.
    ///
    /// # Errors
    ///
    /// When epoll fails.
    pub fn open(
        target: &'l Target,
        reference: &'l Reference,
        connections: usize,
    ) -> io::Result<(Self, Opened)> {
        let mut idle = Self {
            target,
            reference,
            source: Source::new(target.address),
            poll: Poll::new()?,
            slots: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
            round: Round::default(),
        };
        idle.slots.resize_with(connections, Slot::default);
        idle.ask_each(Self::connect)?;
        let open = idle.open_count();
        let first_fault = idle.round.first_fault.map(|trouble| trouble.to_string());
        Ok((idle, Opened { open, errors: connections - open, first_fault }))
    }

    /// Asks every connection that was open once more.
    ///
    /// # Errors
    ///
    /// When epoll fails.
    pub fn ask_again(&mut self) -> io::Result<Asked> {
        let before = self.open_count();
        self.round = Round::default();
        self.ask_each(|_, _| {})?;
        let (answered, wrong) = (self.round.answered, self.round.wrong);
        Ok(Asked { answered, wrong, closed: before.saturating_sub(answered + wrong) })
    }

    fn open_count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.connection.is_some()).count()
    }

    /// Prepares each slot and sends it a request, `OPENING_MAX` at a time, until all are answered.
    fn ask_each(&mut self, prepare: fn(&mut Self, usize)) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut next = 0;
        loop {
            while next < self.slots.len() && self.round.in_flight < OPENING_MAX {
                prepare(self, next);
                self.ask(next);
                next += 1;
            }
            if self.round.in_flight == 0 {
                return Ok(());
            }
            match self.poll.poll(&mut events, Some(SILENCE_TIME_MAX)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            if events.is_empty() {
                self.give_up();
            }
            for event in &events {
                self.handle(event);
            }
        }
    }

    fn connect(&mut self, index: usize) {
        let opened = self.source.connect().and_then(|mut stream| {
            let interests = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(index), interests)?;
            Ok(Connection::new(stream))
        });
        match (opened, self.slots.get_mut(index)) {
            (Ok(connection), Some(slot)) => slot.connection = Some(connection),
            (Err(error), _) => self.round.note(Trouble::Connecting(error.kind())),
            (Ok(_), None) => {}
        }
    }

    fn ask(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(connection) = &mut slot.connection else { return };
        slot.is_asked = true;
        self.round.in_flight += 1;
        if let Err(error) = connection.send(self.target, 1) {
            self.lose(index, Trouble::Connecting(error.kind()));
        }
    }

    fn handle(&mut self, event: &Event) {
        let index = event.token().0;
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(connection) = &mut slot.connection else { return };
        if event.is_writable()
            && connection.is_sending()
            && let Err(error) = connection.flush(self.target)
        {
            return self.lose(index, Trouble::Connecting(error.kind()));
        }
        let has_ended = event.is_read_closed() || event.is_error();
        let news = if has_ended { News::End } else { News::Bytes };
        let received = connection.receive(&mut self.buffer, self.reference, news);
        if slot.is_asked && received.right + received.wrong > 0 {
            slot.is_asked = false;
            self.round.in_flight -= 1;
            self.round.answered += usize::from(received.wrong == 0);
            self.round.wrong += usize::from(received.wrong > 0);
        }
        match received.state {
            _ if received.wrong > 0 => self.lose(index, Trouble::Wrong),
            State::Open => {}
            State::Last | State::Ended | State::Broken(_) => self.lose(index, Trouble::Closed),
        }
    }

    fn lose(&mut self, index: usize, trouble: Trouble) {
        self.round.note(trouble);
        if let Some(slot) = self.slots.get_mut(index) {
            self.round.in_flight -= usize::from(slot.is_asked);
            *slot = Slot::default();
        }
    }

    fn give_up(&mut self) {
        for index in 0..self.slots.len() {
            if self.slots.get(index).is_some_and(|slot| slot.is_asked) {
                self.lose(index, Trouble::Silent);
            }
        }
    }
}

impl Round {
    fn note(&mut self, trouble: Trouble) {
        self.first_fault.get_or_insert(trouble);
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connecting(kind) => write!(f, "{kind}"),
            Self::Closed => f.write_str("closed by the server"),
            Self::Wrong => f.write_str("an answer with a wrong status or body"),
            Self::Silent => write!(f, "no answer within {SILENCE_TIME_MAX:?}"),
        }
    }
}
