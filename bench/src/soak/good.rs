//! Good clients: they ask at fixed moments, compare every answer, and never lose patience too soon.
//!
//! One thread, epoll. A question is due at its moment, waits for a free connection of its class,
//! and its latency counts from that moment, in the phase in which it was due: a server that stalls
//! does not hide behind clients that wait for it. It knows nothing of attacks.

use std::collections::VecDeque;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use mio::net::TcpStream;

use crate::load::answer::Persistence;
use crate::load::connection::RECEIVE_BYTES;
use crate::load::schedule::Schedule;
use crate::load::schedule::Timer;
use crate::load::source::Source;
use crate::soak::answers::Judge;
use crate::soak::answers::Judgement;
use crate::soak::answers::Right;
use crate::soak::questions;
use crate::soak::questions::Class;
use crate::soak::record::Fault;
use crate::soak::record::Record;

/// The good clients' network of source addresses: not that of the attackers.
const NETWORK: u8 = 1;

/// A question that has no answer after this is unanswered.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// How long questions that are due may still be asked and answered before a pause.
const LAST_ANSWERS_TIME_MAX: Duration = Duration::from_secs(60);

/// Answers after which a connection is closed by the client, so that new ones are made all the
/// time.
const ANSWERS_PER_CONNECTION: u32 = 50;

/// Questions of one class that are due and wait for a connection. Further ones are unanswered.
const WAITING_MAX: usize = 100_000;

/// How often overdue answers are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// When the clients' own thread was not run for so long, the machine stood still, and the server
/// with it: what was under way then gets the time back.
const STALL_MIN: Duration = Duration::from_secs(1);

/// Longer than any soak.
const DAY: Duration = Duration::from_secs(100_000);

const EVENTS: usize = 256;
const TIMER: Token = Token(usize::MAX - 1);

/// What good clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// From now on what is due belongs to this phase.
    Phase(usize),
    /// Ask nothing more, take the last answers, close all connections, and say so.
    Pause,
    /// Go on, if they do not.
    Resume,
    /// As [`Command::Pause`], and for good.
    End,
}

/// Asks until it is told to end. Begins paused. Says on `paused` when all connections are closed.
///
/// # Errors
///
/// When epoll fails. What the server does wrong stands in the records, one for each phase.
pub fn run(
    address: SocketAddr,
    rights: &[Right],
    phases: usize,
    commands: &Receiver<Command>,
    paused: &Sender<()>,
) -> Result<Vec<Record>, String> {
    let explain = |error: io::Error| format!("epoll: {error}");
    let mut good = Good::new(address, rights, phases)?;
    let mut is_paused = true;
    loop {
        let command = if is_paused {
            commands.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            commands.try_recv()
        };
        match command {
            Ok(Command::Phase(phase)) => good.phase = phase,
            Ok(Command::Resume) if !is_paused => {}
            Ok(Command::Resume) => {
                good.begin();
                is_paused = false;
            }
            Ok(end @ (Command::Pause | Command::End)) => {
                good.finish().map_err(explain)?;
                let _ = paused.send(());
                is_paused = true;
                if end == Command::End {
                    return Ok(good.records);
                }
            }
            Err(TryRecvError::Disconnected) => return Ok(good.records),
            Err(TryRecvError::Empty) => {}
        }
        if !is_paused {
            good.turn(Asking::GoesOn).map_err(explain)?;
        }
    }
}

struct Good<'g> {
    rights: &'g [Right],
    phase: usize,
    records: Vec<Record>,
    poll: Poll,
    events: Events,
    timer: Timer,
    source: Source,
    slots: Vec<Slot>,
    classes: [Waiting; Class::ALL.len()],
    schedule: Option<Schedule>,
    number: u64,
    swept: Instant,
    turned: Instant,
    buffer: Box<[u8]>,
}

/// What waits for each other, of one class.
#[derive(Debug, Default)]
struct Waiting {
    /// Questions that are due.
    due: VecDeque<Due>,
    /// Slots without a question, the one that rests for longest first.
    free: VecDeque<usize>,
}

/// A question that is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    question: usize,
    moment: Instant,
    phase: usize,
}

/// One connection at a time.
#[derive(Debug)]
struct Slot {
    class: Class,
    link: Option<Link>,
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    due: Due,
    since: Instant,
    sent_bytes: usize,
}

#[derive(Debug)]
struct Link {
    stream: TcpStream,
    judge: Judge,
    answers: u32,
}

/// Whether questions become due.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    GoesOn,
    Ends,
}

/// What came of a connection's news.
enum News {
    Nothing,
    Answer(Judgement, Persistence),
    Broken(String),
}

impl<'g> Good<'g> {
    fn new(address: SocketAddr, rights: &'g [Right], phases: usize) -> Result<Self, String> {
        let explain = |error: io::Error| format!("epoll: {error}");
        let poll = Poll::new().map_err(explain)?;
        let timer = Timer::new(poll.registry(), TIMER).map_err(explain)?;
        let (mut slots, mut classes) = (Vec::new(), <[Waiting; Class::ALL.len()]>::default());
        for (class, waiting) in Class::ALL.into_iter().zip(&mut classes) {
            for _ in 0..class.connections() {
                waiting.free.push_back(slots.len());
                slots.push(Slot { class, link: None, asked: None });
            }
        }
        Ok(Self {
            rights,
            phase: 0,
            records: (0..phases).map(|_| Record::new()).collect::<Result<_, _>>()?,
            poll,
            events: Events::with_capacity(EVENTS),
            timer,
            source: Source::in_network(address, NETWORK),
            slots,
            classes,
            schedule: None,
            number: 0,
            swept: Instant::now(),
            turned: Instant::now(),
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
        })
    }

    fn begin(&mut self) {
        let now = Instant::now();
        self.turned = now;
        self.schedule = Some(Schedule::new(now, now + DAY, questions::RATE));
    }

    /// Takes what is still to come, then closes all connections. What has not come counts as
    /// unanswered.
    fn finish(&mut self) -> io::Result<()> {
        self.schedule = None;
        self.turned = Instant::now();
        let last = Instant::now() + LAST_ANSWERS_TIME_MAX;
        let is_open = |good: &Self| {
            good.slots.iter().any(|slot| slot.asked.is_some())
                || good.classes.iter().any(|waiting| !waiting.due.is_empty())
        };
        while is_open(self) && Instant::now() < last {
            self.turn(Asking::Ends)?;
        }
        for index in 0..self.slots.len() {
            self.lose(index, Fault::Unanswered, "no answer before the end of the soak");
            if let Some(slot) = self.slots.get_mut(index) {
                slot.link = None;
            }
        }
        let left: Vec<Due> = self.classes.iter_mut().flat_map(|one| one.due.drain(..)).collect();
        for due in left {
            self.note(due, Fault::Unanswered, "not asked before the end of the soak");
        }
        Ok(())
    }

    /// Asks what is due, waits for events, and takes them.
    fn turn(&mut self, asking: Asking) -> io::Result<()> {
        let now = Instant::now();
        let stood = now.saturating_duration_since(self.turned);
        self.turned = now;
        if stood >= STALL_MIN {
            self.make_up_for(stood);
        }
        if asking == Asking::GoesOn {
            self.take_due(now);
            if let Some(next) = self.schedule.as_ref().and_then(Schedule::next) {
                self.timer.wake_after(next.saturating_duration_since(Instant::now()))?;
            }
        }
        for class in Class::ALL {
            self.feed(class);
        }
        if now.saturating_duration_since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            self.sweep(now);
        }
        match self.poll.poll(&mut self.events, Some(Duration::from_millis(10))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let tokens: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        for index in tokens.into_iter().filter(|index| *index != TIMER.0) {
            self.handle(index);
        }
        Ok(())
    }

    /// The machine stood still for this time. Nothing became due in it, and nobody was late.
    fn make_up_for(&mut self, stood: Duration) {
        if let Some(record) = self.records.get_mut(self.phase) {
            record.stalls += 1;
            record.stall_max = record.stall_max.max(stood);
        }
        if self.schedule.is_some() {
            self.begin();
        }
        let asked = self.slots.iter_mut().filter_map(|slot| slot.asked.as_mut());
        for asked in asked {
            asked.since += stood;
            asked.due.moment += stood;
        }
        for due in self.classes.iter_mut().flat_map(|waiting| &mut waiting.due) {
            due.moment += stood;
        }
    }

    fn take_due(&mut self, now: Instant) {
        while let Some(schedule) = &mut self.schedule
            && let Some((_, moment)) = schedule.take_due(now)
        {
            let question = self.choose();
            self.number += 1;
            let Some(right) = self.rights.get(question) else { return };
            let class = right.question.class;
            let due = Due { question, moment, phase: self.phase };
            if let Some(record) = self.records.get_mut(self.phase) {
                record.counts.asked += 1;
                record.own.take(now.saturating_duration_since(moment));
            }
            match self.classes.get_mut(class.index()) {
                Some(waiting) if waiting.due.len() < WAITING_MAX => waiting.due.push_back(due),
                _ => self.note(due, Fault::Unanswered, "too many questions wait already"),
            }
        }
    }

    fn choose(&self) -> usize {
        questions::numbered(self.rights.iter().map(|right| right.question.class), self.number)
    }

    /// Gives free connections of a class the questions that wait.
    fn feed(&mut self, class: Class) {
        loop {
            let Some(waiting) = self.classes.get_mut(class.index()) else { return };
            if waiting.due.is_empty() {
                return;
            }
            let Some(index) = waiting.free.pop_front() else { return };
            let Some(due) = waiting.due.pop_front() else { return };
            self.ask(index, due);
        }
    }

    fn ask(&mut self, index: usize, due: Due) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.asked = Some(Asked { due, since: Instant::now(), sent_bytes: 0 });
        if slot.link.is_none() {
            let opened = self.source.connect().and_then(|mut stream| {
                let interests = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut stream, Token(index), interests)?;
                Ok(Link { stream, judge: Judge::default(), answers: 0 })
            });
            match opened {
                Ok(link) => slot.link = Some(link),
                Err(error) => {
                    return self.lose(index, Fault::Broken, &format!("connecting: {error}"));
                }
            }
        }
        if let Err(error) = self.send(index) {
            self.lose(index, Fault::Broken, &format!("sending: {error}"));
        }
    }

    /// Sends what the socket takes of the question.
    fn send(&mut self, index: usize) -> io::Result<()> {
        let Some(Slot { link: Some(link), asked: Some(asked), .. }) = self.slots.get_mut(index)
        else {
            return Ok(());
        };
        let Some(right) = self.rights.get(asked.due.question) else { return Ok(()) };
        while let Some(rest) = right.question.request.get(asked.sent_bytes..)
            && !rest.is_empty()
        {
            match link.stream.write(rest) {
                Ok(count) => asked.sent_bytes += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn handle(&mut self, index: usize) {
        if let Err(error) = self.send(index) {
            return self.lose(index, Fault::Broken, &format!("sending: {error}"));
        }
        match self.receive(index) {
            News::Nothing => {}
            News::Broken(why) => self.lose(index, Fault::Broken, &why),
            News::Answer(judgement, persistence) => self.conclude(index, judgement, persistence),
        }
    }

    fn receive(&mut self, index: usize) -> News {
        let Self { slots, buffer, rights, .. } = self;
        let Some(slot) = slots.get_mut(index) else { return News::Nothing };
        let Some(link) = &mut slot.link else { return News::Nothing };
        let right = slot.asked.as_ref().and_then(|asked| rights.get(asked.due.question));
        loop {
            let count = match link.stream.read(buffer) {
                // A connection that rests may be closed; a question needs its answer.
                Ok(0) if right.is_none() => {
                    slot.link = None;
                    return News::Nothing;
                }
                Ok(0) => return News::Broken("closed by the server before an answer".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if is_not_yet(&error) => return News::Nothing,
                Err(_) if right.is_none() => {
                    slot.link = None;
                    return News::Nothing;
                }
                Err(error) => return News::Broken(format!("receiving: {error}")),
            };
            let Some(right) = right else {
                slot.link = None;
                return News::Nothing;
            };
            match link.judge.read(buffer.get(..count).unwrap_or_default(), right) {
                Ok(None) => {}
                Ok(Some(answered)) => {
                    return News::Answer(answered.judgement, answered.persistence);
                }
                Err(bad) => {
                    let why = format!("{}: {bad}", right.question.name);
                    return News::Answer(Judgement::Wrong(why), Persistence::Close);
                }
            }
        }
    }

    /// Counts an answer and frees its connection.
    fn conclude(&mut self, index: usize, judgement: Judgement, persistence: Persistence) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(Asked { due, .. }) = slot.asked.take() else { return };
        if let Some(link) = &mut slot.link {
            link.answers += 1;
            if persistence == Persistence::Close
                || link.answers >= ANSWERS_PER_CONNECTION
                || judgement != Judgement::Right
            {
                slot.link = None;
            }
        }
        let class = slot.class;
        if let Some(waiting) = self.classes.get_mut(class.index()) {
            waiting.free.push_back(index);
        }
        match judgement {
            Judgement::Right => {
                let latency = due.moment.elapsed();
                if let Some(record) = self.records.get_mut(due.phase) {
                    record.right(class, latency);
                }
            }
            Judgement::TurnedAway => self.note(due, Fault::TurnedAway, "503"),
            Judgement::Wrong(why) => self.note(due, Fault::Wrong, &why),
        }
        self.feed(class);
    }

    fn sweep(&mut self, now: Instant) {
        for index in 0..self.slots.len() {
            let asked = self.slots.get(index).and_then(|slot| slot.asked.as_ref());
            if asked
                .is_some_and(|asked| now.saturating_duration_since(asked.since) >= ANSWER_TIME_MAX)
            {
                let why = format!("no answer within {} s", ANSWER_TIME_MAX.as_secs());
                self.lose(index, Fault::Unanswered, &why);
            }
        }
    }

    /// Gives a connection up with the question that it carries, if it carries one.
    fn lose(&mut self, index: usize, fault: Fault, why: &str) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(asked) = slot.asked.take() else { return };
        slot.link = None;
        let class = slot.class;
        if let Some(waiting) = self.classes.get_mut(class.index()) {
            waiting.free.push_back(index);
        }
        self.note(asked.due, fault, why);
    }

    fn note(&mut self, due: Due, fault: Fault, why: &str) {
        let name = self.rights.get(due.question).map_or("?", |right| right.question.name);
        if let Some(record) = self.records.get_mut(due.phase) {
            let told = why.starts_with(name);
            let why = || if told { why.to_owned() } else { format!("{name}: {why}") };
            record.fault(fault, why);
        }
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::questions::Question;
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    /// What a server does with the request of this number, over all connections.
    type Deed = fn(usize) -> Option<&'static str>;

    const RIGHT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright";
    const WRONG: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong";
    const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    const LAST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nright";

    fn rights() -> Vec<Right> {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        let (name, class, body) = ("it", Class::Static, b"right".to_vec());
        vec![Right::of(Question { name, class, request, status: 200, body })]
    }

    /// A server with a thread for each connection, which ends with the test's process.
    fn serve(deed: Deed) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests: &'static _ = Box::leak(Box::new(std::sync::atomic::AtomicUsize::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut buffer = [0; 1000];
                    while let Ok(1..) = stream.read(&mut buffer) {
                        let number = requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        match deed(number) {
                            Some(answer) => drop(stream.write_all(answer.as_bytes())),
                            None => return,
                        }
                    }
                });
            }
        });
        address
    }

    /// The records of two phases, after so many questions in the second one.
    fn ask(deed: Deed) -> Vec<Record> {
        let (address, rights) = (serve(deed), &rights()[..]);
        let (command, commands) = mpsc::channel();
        let (pausing, paused) = mpsc::channel();
        thread::scope(|scope| {
            let good = scope.spawn(move || run(address, rights, 2, &commands, &pausing));
            command.send(Command::Resume).unwrap();
            thread::sleep(Duration::from_millis(100));
            command.send(Command::Pause).unwrap();
            paused.recv().unwrap();
            command.send(Command::Phase(1)).unwrap();
            command.send(Command::Resume).unwrap();
            thread::sleep(Duration::from_millis(300));
            command.send(Command::End).unwrap();
            good.join().unwrap().unwrap()
        })
    }

    #[test]
    fn every_question_is_answered_in_its_phase() {
        let records = ask(|number| Some(if number % 7 == 3 { LAST } else { RIGHT }));
        for record in &records {
            let counts = record.counts;
            assert!(counts.asked > 5, "{counts:?}");
            assert_eq!((counts.right, counts.faults()), (counts.asked, 0), "{:?}", record.faults);
            assert_eq!(record.of_static().count(), counts.right);
            assert_eq!(record.own.count(), counts.asked);
        }
        // 450 each second.
        assert!(records[1].counts.asked > records[0].counts.asked, "{records:?}");
    }

    #[test]
    fn faults_are_told_apart_and_none_is_lost() {
        let records = ask(|number| match number % 5 {
            0 => Some(WRONG),
            1 => Some(BUSY),
            2 => None,
            3 => Some("nonsense\r\n\r\n"),
            _ => Some(RIGHT),
        });
        for record in records {
            let counts = record.counts;
            let all = [counts.right, counts.wrong, counts.turned_away, counts.broken];
            assert!(all.iter().all(|count| *count > 0), "{counts:?}");
            assert!(counts.wrong > counts.turned_away, "nonsense is wrong too: {counts:?}");
            assert_eq!(counts.right + counts.faults(), counts.asked, "{counts:?}");
            assert!(record.faults.iter().all(|fault| fault.starts_with("it: ")));
        }
    }

    #[test]
    fn a_machine_that_stands_still_is_no_fault_of_the_server() {
        let (address, rights) = (serve(|_| Some(RIGHT)), rights());
        let mut good = Good::new(address, &rights, 1).unwrap();
        good.begin();
        while good.records[0].counts.asked < 10 {
            good.turn(Asking::GoesOn).unwrap();
        }
        good.make_up_for(Duration::from_secs(100));
        assert_eq!(good.schedule.as_ref().and_then(Schedule::next), Some(good.turned));
        good.finish().unwrap();
        let record = &good.records[0];
        assert_eq!((record.stalls, record.stall_max), (1, Duration::from_secs(100)));
        assert_eq!(record.counts.right, record.counts.asked);
        assert!(record.of_static().max_ms() < 50_000.0);
    }

    #[test]
    fn nobody_listens_and_each_question_is_a_fault() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let rights = rights();
        let mut good = Good::new(closed, &rights, 1).unwrap();
        good.begin();
        while good.records[0].counts.asked < 10 {
            good.turn(Asking::GoesOn).unwrap();
        }
        good.finish().unwrap();
        let counts = good.records[0].counts;
        assert_eq!((counts.broken, counts.right), (counts.asked, 0), "{counts:?}");
    }
}
