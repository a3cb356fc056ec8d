//! The crowd: plays the scripts of attacks, all on one thread with one epoll.
//!
//! It owns the hostile connections. A script's moments (the next bytes to send, the next to read,
//! its end) wait in one heap; the rest is what epoll says. What it saw is counted for each attack.
//! It knows neither what an attack is for nor whether the server did well.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use mio::event::Event;
use mio::net::TcpStream;
use socket2::SockRef;

use crate::load::schedule::RATE_MAX;
use crate::load::schedule::Schedule;
use crate::load::source::Source;
use crate::soak::attacks::Attack;
use crate::soak::attacks::Ground;
use crate::soak::random::Random;
use crate::soak::script::Farewell;
use crate::soak::script::Leaving;
use crate::soak::script::Reading;
use crate::soak::script::Script;

/// Connections of one attack that are opened before the others have their turn.
const OPENED_IN_A_ROW_MAX: usize = 64;

/// Reads or writes of one connection before the others have their turn.
const CALLS_IN_A_ROW_MAX: usize = 16;

/// Bytes of one write.
const WRITE_BYTES_MAX: usize = 65_536;

/// The longest wait for events, so that a schedule is late by at most this.
const WAIT_MAX: Duration = Duration::from_millis(2);

const EVENTS: usize = 1024;

/// An attack, and how strongly it is made now.
#[derive(Clone, Copy, Debug)]
pub struct Strength<'a> {
    /// Which.
    pub attack: &'a Attack,
    /// Connections at a time at most.
    pub connections: usize,
    /// Connections opened each second at most.
    pub opens_per_second: f64,
}

/// What one attack did and saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that the kernel or the server refused.
    pub refused: u64,
    /// Connections that the server closed or reset.
    pub closed_by_server: u64,
    /// Open at the same time at most.
    pub open_max: usize,
    /// Bytes that were sent.
    pub sent_bytes: u64,
    /// First answers of connections, by status; 0: what is no status line.
    pub statuses: BTreeMap<u16, u64>,
}

/// Plays attacks until the end, or until `stop`. Then all connections are closed. Tallies come in
/// the order of the attacks.
///
/// # Errors
///
/// When epoll fails.
pub fn run(
    address: SocketAddr,
    ground: &Ground,
    strengths: &[Strength<'_>],
    end: Instant,
    seed: u64,
    stop: &AtomicBool,
) -> io::Result<Vec<Tally>> {
    let mut field = Field::new(address, ground, strengths, end, seed)?;
    let mut events = Events::with_capacity(EVENTS);
    loop {
        let now = Instant::now();
        if now >= end || stop.load(Ordering::Relaxed) {
            break;
        }
        for crowd in 0..field.crowds.len() {
            field.open_due(crowd, now);
        }
        field.wake_due(now);
        let wait = field.wait(end);
        match field.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            field.handle(event);
        }
    }
    Ok(field.finish())
}

struct Field<'f> {
    ground: &'f Ground,
    poll: Poll,
    source: Source,
    crowds: Vec<Crowd<'f>>,
    wakes: BinaryHeap<Reverse<Wake>>,
    next_id: u64,
    buffer: Box<[u8]>,
}

/// One attack's connections.
struct Crowd<'f> {
    strength: Strength<'f>,
    schedule: Schedule,
    random: Random,
    members: Vec<Option<Member>>,
    free: Vec<usize>,
    open: usize,
    tally: Tally,
}

/// One connection and how far its script has come.
struct Member {
    /// No two members have the same: a wake for one that is gone wakes nobody.
    id: u64,
    /// The one wake that counts; others in the heap are of the past.
    wake: Instant,
    stream: TcpStream,
    script: Script,
    sent_bytes: usize,
    /// Bytes that it may send now.
    allowed_bytes: usize,
    next_send: Instant,
    next_read: Instant,
    ends: Instant,
    status: StatusLine,
}

/// The first bytes of the first answer: `HTTP/1.1 200`.
#[derive(Default)]
struct StatusLine {
    bytes: [u8; 12],
    count: usize,
}

/// A moment of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wake {
    at: Instant,
    id: u64,
    place: Place,
}

/// Where a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    crowd: usize,
    member: usize,
}

/// Why a member goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Event,
    Wake,
}

/// What becomes of a member.
#[derive(Debug, PartialEq, Eq)]
enum Life {
    /// It waits for events, and for this moment.
    GoesOn(Instant),
    /// Its script is over.
    Leaves,
    /// The server has closed.
    Closed,
}

impl<'f> Field<'f> {
    fn new(
        address: SocketAddr,
        ground: &'f Ground,
        strengths: &[Strength<'f>],
        end: Instant,
        seed: u64,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let crowds = strengths.iter().enumerate().map(|(index, strength)| Crowd {
            strength: *strength,
            schedule: Schedule::new(now, end, strength.opens_per_second.clamp(0.1, RATE_MAX)),
            random: Random::part(seed, index as u64),
            members: Vec::new(),
            free: Vec::new(),
            open: 0,
            tally: Tally::default(),
        });
        Ok(Self {
            ground,
            poll: Poll::new()?,
            source: Source::new(address),
            crowds: crowds.collect(),
            wakes: BinaryHeap::new(),
            next_id: 0,
            buffer: vec![0; WRITE_BYTES_MAX].into_boxed_slice(),
        })
    }

    fn open_due(&mut self, index: usize, now: Instant) {
        for _ in 0..OPENED_IN_A_ROW_MAX {
            let Some(crowd) = self.crowds.get_mut(index) else { return };
            if crowd.open >= crowd.strength.connections || crowd.schedule.take_due(now).is_none() {
                return;
            }
            self.open(index);
        }
    }

    fn open(&mut self, index: usize) {
        let Some(crowd) = self.crowds.get_mut(index) else { return };
        let script = (crowd.strength.attack.script)(&mut crowd.random, self.ground);
        let opened = self.source.connect_shaped(|socket| {
            script.receive_buffer_bytes.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))
        });
        let Ok(stream) = opened else {
            crowd.tally.refused += 1;
            return;
        };
        crowd.tally.opened += 1;
        self.next_id += 1;
        let mut member = Member::new(self.next_id, stream, script);
        match member.advance(&mut self.buffer, &mut crowd.tally) {
            Life::GoesOn(wake) => self.admit(index, member, wake),
            life => crowd.part_with(member, &life),
        }
    }

    /// Gives a member that stays its place.
    fn admit(&mut self, index: usize, mut member: Member, wake: Instant) {
        let Some(crowd) = self.crowds.get_mut(index) else { return };
        let number = crowd.free.pop().unwrap_or_else(|| {
            crowd.members.push(None);
            crowd.members.len() - 1
        });
        let place = Place { crowd: index, member: number };
        let interests = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut member.stream, place.token(), interests).is_err() {
            crowd.free.push(number);
            crowd.tally.refused += 1;
            return;
        }
        member.wake = wake;
        self.wakes.push(Reverse(Wake { at: wake, id: member.id, place }));
        if let Some(slot) = crowd.members.get_mut(number) {
            *slot = Some(member);
            crowd.open += 1;
            crowd.tally.open_max = crowd.tally.open_max.max(crowd.open);
        }
    }

    fn wake_due(&mut self, now: Instant) {
        let mut due = Vec::new();
        while let Some(Reverse(wake)) = self.wakes.peek()
            && wake.at <= now
        {
            due.push(*wake);
            self.wakes.pop();
        }
        for wake in due {
            let is_meant = |member: &Member| member.id == wake.id && member.wake == wake.at;
            if self.member(wake.place).is_some_and(is_meant) {
                self.advance(wake.place, Cause::Wake);
            }
        }
    }

    fn wait(&self, end: Instant) -> Duration {
        let now = Instant::now();
        let next = self.wakes.peek().map_or(end, |Reverse(wake)| wake.at.min(end));
        next.saturating_duration_since(now).min(WAIT_MAX)
    }

    fn handle(&mut self, event: &Event) {
        let place = Place::of(event.token());
        let Some(member) = self.member(place) else { return };
        let has_ended = event.is_read_closed() || event.is_error();
        if has_ended && member.script.reads != Reading::All {
            return self.end(place, &Life::Closed);
        }
        self.advance(place, Cause::Event);
    }

    /// Lets a member go on.
    fn advance(&mut self, place: Place, cause: Cause) {
        let Self { crowds, buffer, wakes, .. } = self;
        let Some(Crowd { members, tally, .. }) = crowds.get_mut(place.crowd) else { return };
        let Some(Some(member)) = members.get_mut(place.member) else { return };
        match member.advance(buffer, tally) {
            Life::GoesOn(at) if cause == Cause::Wake || at < member.wake => {
                member.wake = at;
                wakes.push(Reverse(Wake { at, id: member.id, place }));
            }
            // Its wake is in the heap.
            Life::GoesOn(_) => {}
            life => self.end(place, &life),
        }
    }

    fn member(&self, place: Place) -> Option<&Member> {
        self.crowds.get(place.crowd)?.members.get(place.member)?.as_ref()
    }

    fn end(&mut self, place: Place, life: &Life) {
        let Some(crowd) = self.crowds.get_mut(place.crowd) else { return };
        let Some(member) = crowd.members.get_mut(place.member).and_then(Option::take) else {
            return;
        };
        crowd.open -= 1;
        crowd.free.push(place.member);
        crowd.part_with(member, life);
    }

    fn finish(self) -> Vec<Tally> {
        let mut tallies = Vec::new();
        for mut crowd in self.crowds {
            for member in std::mem::take(&mut crowd.members).into_iter().flatten() {
                crowd.part_with(member, &Life::Leaves);
            }
            tallies.push(crowd.tally);
        }
        tallies
    }
}

impl Crowd<'_> {
    fn part_with(&mut self, member: Member, life: &Life) {
        self.tally.sent_bytes += member.sent_bytes as u64;
        if *life == Life::Closed {
            self.tally.closed_by_server += 1;
        } else if member.script.farewell == Farewell::Reset {
            // If it fails, the connection is gone already.
            let _ = SockRef::from(&member.stream).set_linger(Some(Duration::ZERO));
        }
        drop(member);
    }
}

impl Member {
    fn new(id: u64, stream: TcpStream, script: Script) -> Self {
        let now = Instant::now();
        Self {
            id,
            wake: now,
            stream,
            sent_bytes: 0,
            allowed_bytes: script.pace.first_bytes,
            next_send: now + script.pace.every,
            next_read: now,
            ends: now + script.stays,
            status: StatusLine::default(),
            script,
        }
    }

    /// Sends and reads what the script has for now.
    fn advance(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Life {
        let now = Instant::now();
        let drips = !self.script.pace.every.is_zero();
        if drips && now >= self.next_send {
            self.allowed_bytes = self.script.pace.bytes;
            self.next_send = now + self.script.pace.every;
        }
        let sent = self.send();
        if matches!(sent, Ok(Done::All)) && self.script.leaves == Leaving::WhenSent {
            return Life::Leaves;
        }
        // Also where nothing more can be sent: the answer that says why may be there.
        let read = self.read(now, buffer, tally);
        let (Ok(sent), Ok(read)) = (sent, read) else { return Life::Closed };
        let is_answered = self.status.is_whole();
        if (is_answered && self.script.leaves == Leaving::WhenAnswered) || now >= self.ends {
            return Life::Leaves;
        }
        if sent == Done::NotYet || read == Done::NotYet {
            return Life::GoesOn(now);
        }
        let mut wake = self.ends;
        if drips && sent != Done::All {
            wake = wake.min(self.next_send);
        }
        if matches!(self.script.reads, Reading::Slowly(_)) {
            wake = wake.min(self.next_read);
        }
        Life::GoesOn(wake)
    }

    fn send(&mut self) -> io::Result<Done> {
        for _ in 0..CALLS_IN_A_ROW_MAX {
            if self.sent_bytes == self.script.sends.total() {
                return Ok(Done::All);
            }
            let bytes_max = self.allowed_bytes.min(WRITE_BYTES_MAX);
            if bytes_max == 0 {
                return Ok(Done::ForNow);
            }
            let piece = self.script.sends.piece(self.sent_bytes, bytes_max);
            match self.stream.write(piece) {
                Ok(count) => {
                    self.sent_bytes += count;
                    self.allowed_bytes -= count.min(self.allowed_bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) => return Ok(Done::ForNow),
                Err(error) => return Err(error),
            }
        }
        Ok(Done::NotYet)
    }

    fn read(&mut self, now: Instant, buffer: &mut [u8], tally: &mut Tally) -> io::Result<Done> {
        let (calls, bytes_max) = match self.script.reads {
            Reading::Nothing => return Ok(Done::ForNow),
            Reading::All => (CALLS_IN_A_ROW_MAX, buffer.len()),
            Reading::Slowly(_) if now < self.next_read => return Ok(Done::ForNow),
            Reading::Slowly(pace) => {
                self.next_read = now + pace.every;
                (1, pace.bytes)
            }
        };
        let buffer = buffer.get_mut(..bytes_max).unwrap_or_default();
        for _ in 0..calls {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    if let Some(status) = self.status.take(buffer.get(..count).unwrap_or_default())
                    {
                        *tally.statuses.entry(status).or_insert(0) += 1;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) => return Ok(Done::ForNow),
                Err(error) => return Err(error),
            }
        }
        Ok(if calls == 1 { Done::ForNow } else { Done::NotYet })
    }
}

/// How far a member got with what it has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// With everything that it will ever have.
    All,
    /// With all that the moment or the socket allows.
    ForNow,
    /// The others have their turn first.
    NotYet,
}

impl StatusLine {
    /// Gives the status when its last byte is among these. 0: it is none.
    fn take(&mut self, bytes: &[u8]) -> Option<u16> {
        if self.is_whole() {
            return None;
        }
        for (place, byte) in self.bytes.iter_mut().skip(self.count).zip(bytes) {
            *place = *byte;
            self.count += 1;
        }
        let text = std::str::from_utf8(&self.bytes).ok();
        let code = text.and_then(|text| text.strip_prefix("HTTP/1.1 "));
        self.is_whole().then(|| code.and_then(|code| code.parse().ok()).unwrap_or(0))
    }

    const fn is_whole(&self) -> bool {
        self.count == self.bytes.len()
    }
}

impl Place {
    const fn token(self) -> Token {
        Token((self.crowd << 32) | self.member)
    }

    const fn of(token: Token) -> Self {
        Self { crowd: token.0 >> 32, member: token.0 & 0xffff_ffff }
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::script::Bytes;
    use crate::soak::script::FOR_EVER;
    use crate::soak::script::Pace;
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    /// What a server sees of one connection.
    #[derive(Debug)]
    struct Seen {
        bytes: Vec<u8>,
        reads: usize,
        ended: io::Result<()>,
    }

    /// Plays an attack against a server that answers each connection's first bytes with `answer`,
    /// and gives what the server saw of the first connections.
    fn play(
        attack: Attack,
        opens_per_second: f64,
        answer: &'static [u8],
        seen: usize,
    ) -> (Tally, Vec<Seen>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, tell) = (stream.unwrap(), tell.clone());
                thread::spawn(move || {
                    let (mut bytes, mut reads, mut buffer) = (Vec::new(), 0, vec![0; 65_536]);
                    let ended = loop {
                        match stream.read(&mut buffer) {
                            Ok(0) => break Ok(()),
                            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                            Err(error) => break Err(error),
                        }
                        reads += 1;
                        if reads == 1 && !answer.is_empty() && stream.write_all(answer).is_err() {
                            break Ok(());
                        }
                    };
                    let _ = tell.send(Seen { bytes, reads, ended });
                });
            }
        });
        let ground = Ground { authority: address.to_string(), cases: Vec::new() };
        let strength =
            Strength { attack: &attack, connections: attack.connections, opens_per_second };
        let stop = AtomicBool::new(false);
        let end = Instant::now() + Duration::from_secs(30);
        thread::scope(|scope| {
            let playing =
                scope.spawn(|| run(address, &ground, &[strength], end, 1, &stop).unwrap());
            let first: Vec<Seen> = (0..seen).map(|_| told.recv().unwrap()).collect();
            stop.store(true, Ordering::Relaxed);
            (playing.join().unwrap().remove(0), first)
        })
    }

    fn attack(connections: usize, script: fn(&mut Random, &Ground) -> Script) -> Attack {
        let opens = crate::soak::attacks::Opens::InAQuarter;
        Attack { name: "it", does: "it", connections, opens, weight: 1, script }
    }

    const ANSWER: &[u8] = b"HTTP/1.1 431 x\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn bytes_come_one_by_one_and_the_end_is_a_fin() {
        let attack = attack(1, |_, _| Script {
            pace: Pace::drip(1, Duration::from_millis(5)),
            leaves: Leaving::WhenSent,
            ..Script::ask(Bytes::once("slowly"), FOR_EVER)
        });
        let (tally, seen) = play(attack, 1000.0, b"", 2);
        for one in &seen {
            assert_eq!(one.bytes, b"slowly");
            // The client's thread may be late, and then two of them come together.
            assert!(one.reads >= 3, "{one:?}");
            assert!(one.ended.is_ok(), "{one:?}");
        }
        assert!(tally.opened >= 2 && tally.open_max == 1, "{tally:?}");
        assert!(tally.sent_bytes >= 12, "{tally:?}");
    }

    #[test]
    fn a_reset_is_a_reset() {
        let attack = attack(1, |_, _| Script {
            leaves: Leaving::AtEnd,
            farewell: Farewell::Reset,
            ..Script::ask(Bytes::once("a"), Duration::from_millis(20))
        });
        let (_, seen) = play(attack, 1000.0, b"", 1);
        let error = seen[0].ended.as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    #[test]
    fn answers_are_counted_by_status_and_end_the_script() {
        let attack = attack(3, |_, _| Script::ask(Bytes::once("a"), FOR_EVER));
        let (tally, _) = play(attack, 1000.0, ANSWER, 5);
        assert_eq!(tally.statuses.keys().collect::<Vec<_>>(), [&431]);
        assert!(tally.statuses[&431] >= 5, "{tally:?}");
        let nonsense = play(attack, 1000.0, b"SSH-2.0-x.y.z", 5).0;
        assert!(nonsense.statuses[&0] >= 5, "{nonsense:?}");
    }

    #[test]
    fn as_many_stay_as_are_allowed() {
        let attack = attack(7, |_, _| Script {
            leaves: Leaving::AtEnd,
            reads: Reading::Nothing,
            ..Script::ask(Bytes::once("a"), Duration::from_millis(100))
        });
        let (tally, _) = play(attack, 100_000.0, ANSWER, 30);
        assert_eq!(tally.open_max, 7, "{tally:?}");
        assert!(tally.statuses.is_empty(), "nothing was read: {tally:?}");
    }

    #[test]
    fn who_reads_slowly_takes_little() {
        let attack = attack(1, |_, _| Script {
            leaves: Leaving::AtEnd,
            reads: Reading::Slowly(Pace::drip(4, Duration::from_millis(10))),
            ..Script::ask(Bytes::once("a"), Duration::from_millis(200))
        });
        // Its status line has come after three reads.
        let (tally, _) = play(attack, 1000.0, ANSWER, 2);
        assert!(tally.statuses[&431] >= 1, "{tally:?}");
    }

    #[test]
    fn a_server_that_closes_is_noticed() {
        for reads in [Reading::All, Reading::Nothing] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            thread::spawn(move || listener.incoming().for_each(drop));
            let script: fn(&mut Random, &Ground) -> Script = match reads {
                Reading::All => |_, _| Script {
                    leaves: Leaving::AtEnd,
                    ..Script::ask(Bytes::default(), FOR_EVER)
                },
                _ => |_, _| Script {
                    leaves: Leaving::AtEnd,
                    reads: Reading::Nothing,
                    ..Script::ask(Bytes::default(), FOR_EVER)
                },
            };
            let attack = attack(1, script);
            let strength = Strength { attack: &attack, connections: 1, opens_per_second: 1000.0 };
            let ground = Ground { authority: String::new(), cases: Vec::new() };
            let end = Instant::now() + Duration::from_millis(300);
            let stop = AtomicBool::new(false);
            let tally = run(address, &ground, &[strength], end, 1, &stop).unwrap().remove(0);
            assert!(tally.closed_by_server > 1, "{reads:?}: {tally:?}");
        }
    }
}
