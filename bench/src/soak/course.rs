//! The course of a soak: what happens when, from the start of the server to the verdict.
//!
//! ```text
//! start, learn the right answers
//! warm-up: waves of all attacks together, each -> gone -> quiet -> census (nobody connected)
//! each attack -> its connections are gone -> quiet
//! all attacks together -> gone -> quiet -> census (nobody connected) -> stop
//! ```
//!
//! Good clients ask all the time but during a census. It owns the threads and the phases.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Resource;

use crate::load::descriptors;
use crate::soak::answers;
use crate::soak::answers::Right;
use crate::soak::attacks::ATTACKS;
use crate::soak::attacks::Attack;
use crate::soak::attacks::Ground;
use crate::soak::census;
use crate::soak::census::Census;
use crate::soak::census::Usage;
use crate::soak::crowd;
use crate::soak::crowd::Strength;
use crate::soak::crowd::Tally;
use crate::soak::garbage;
use crate::soak::good;
use crate::soak::good::Command;
use crate::soak::plan;
use crate::soak::plan::Plan;
use crate::soak::process;
use crate::soak::process::End;
use crate::soak::process::Program;
use crate::soak::process::Server;
use crate::soak::questions;
use crate::soak::record::Counts;
use crate::soak::record::Record;
use crate::soak::report;
use crate::soak::report::Row;
use crate::soak::report::Settled;
use crate::soak::verdict;
use crate::soak::verdict::AttackSeen;
use crate::soak::verdict::Finding;
use crate::soak::verdict::Life;
use crate::soak::verdict::Seen;

/// Phases before those of the attacks.
const WARM: usize = 0;
const QUIET: usize = 1;
const BETWEEN: usize = 2;
const FIRST_ATTACK: usize = 3;

/// How long the server has to close what attackers have left, behind each attack.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(5);

/// The same before a census.
const LAST_SETTLE_TIME_MAX: Duration = Duration::from_secs(20);

/// From the last closed connection to a census.
const REST_TIME: Duration = Duration::from_millis(500);

/// Good clients alone before a census: allocators give memory back late, and only while they work.
const CALM_TIME: Duration = Duration::from_secs(2);

/// Waves of a warm-up at most, and the growth of memory behind one that calls for another.
const WAVES_MAX: u64 = 6;
const WAVE_GROWTH_MIN: u64 = 2 << 20;

/// In a shorter wave garbage does not fill the cache of files that are not there.
const WAVE_TIME_MIN: Duration = Duration::from_secs(6);

/// A census is taken again until memory has fallen by less than this, at most so often.
const FALL_BYTES_MAX: u64 = 512 * 1024;
const CENSUSES_MAX: usize = 6;

/// Good clients take their last answers before a pause; more than their own patience.
const PAUSE_TIME_MAX: Duration = Duration::from_secs(120);

/// How often memory and the server's life are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Descriptors of this process that are no connections of attackers.
const OTHER_DESCRIPTORS: usize = 500;

/// What to soak, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// All phases together; most of a short run's warm-up, and what the server needs to settle,
    /// come on top of it.
    pub time: Duration,
    /// Of all random numbers.
    pub seed: u64,
    /// The server.
    pub program: Program,
    /// The raw requests that garbage is made of.
    pub cases: PathBuf,
    /// Names of attacks; none: all.
    pub only: Vec<String>,
    /// What memory may reach under any attack.
    pub memory_bytes_max: u64,
}

/// Soaks, says on the way what is done, and then what was seen.
///
/// # Errors
///
/// A sentence for the operator: the soak itself could not be made. What the server does wrong
/// stands in the findings.
pub fn run(options: &Options, say: &dyn Fn(&str)) -> Result<Vec<Finding>, String> {
    let attacks = chosen(&options.only)?;
    let connections_max = provide_descriptors(&attacks)?;
    let cases = garbage::cases(&options.cases)?;
    let site = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    questions::write_site(site.path()).map_err(|error| format!("the site: {error}"))?;
    let cpus = process::cpus();
    let (theirs, ours) = match cpus[..] {
        [first, second, ..] => (Some(first), Some(second)),
        _ => (None, None),
    };
    theirs.map_or(Ok(()), process::pin)?;
    let mut server = Server::start(&options.program, site.path())?;
    ours.map_or(Ok(()), process::pin)?;
    say(&beginning(options, &server, theirs, ours));
    let authority = server.address().to_string();
    let mut rights = Vec::new();
    for question in questions::all(&authority) {
        rights.push(answers::learn(server.address(), question)?);
    }
    let mut course = Course {
        plan: Plan::new(options.time, &attacks),
        ground: Ground { authority, cases },
        options,
        attacks,
        connections_max,
        base_sockets: sockets(server.process()),
        cold_bytes: census::pss_bytes(server.process()).unwrap_or(0),
        done: Vec::new(),
        begin: None,
        end: None,
        quiet_peak_bytes: 0,
        quiet_others: 0.0,
        cpu: theirs.unwrap_or(0),
        say,
    };
    let (halt, records) = course.go_with_good_clients(&mut server, &rights)?;
    let life = match halt {
        Some(death) => Life::Died(death),
        None => life_at_end(server.stop()),
    };
    Ok(course.conclude(&records, life, &server))
}

/// The attacks of these names, in their order; of no names, all.
fn chosen(only: &[String]) -> Result<Vec<&'static Attack>, String> {
    for name in only {
        if !ATTACKS.iter().any(|attack| attack.name == name) {
            let all: Vec<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
            return Err(format!("no attack is named {name:?}; there are: {}", all.join(", ")));
        }
    }
    let is_chosen =
        |attack: &&Attack| only.is_empty() || only.iter().any(|name| name == attack.name);
    Ok(ATTACKS.iter().filter(is_chosen).collect())
}

/// Raises the limit of descriptors. Gives the connections that one attack may have when all are
/// made together.
fn provide_descriptors(attacks: &[&Attack]) -> Result<usize, String> {
    let largest = attacks.iter().map(|attack| attack.connections).max().unwrap_or(0);
    let all: usize = attacks.iter().map(|attack| attack.connections).sum();
    let others = all - largest + questions::CONNECTIONS + OTHER_DESCRIPTORS;
    descriptors::provide(others)?;
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(limit.saturating_sub(others))
}

fn beginning(
    options: &Options,
    server: &Server,
    theirs: Option<usize>,
    ours: Option<usize>,
) -> String {
    let cpus = match (theirs, ours) {
        (Some(theirs), Some(ours)) => {
            format!("corelane on CPU {theirs}, good and hostile clients together on CPU {ours}")
        }
        _ => "all on one CPU: the timings say nothing".to_owned(),
    };
    format!(
        "corelane soak: {} s, seed {}, process {} at {}; {cpus}\n\
         No kills of workers: there is no supervisor yet, the process is all there is. Kills come \
         with it.\n",
        options.time.as_secs(),
        options.seed,
        server.process(),
        server.address(),
    )
}

fn life_at_end(end: End) -> Life {
    match end {
        End::Exited(status) if status.success() => Life::Served,
        End::Exited(status) => Life::EndedBadly(status.to_string()),
        End::Killed => Life::EndedBadly("it had to be killed".to_owned()),
    }
}

fn sockets(process: u32) -> usize {
    census::descriptors(process).ok().and_then(|kinds| kinds.get("socket").copied()).unwrap_or(0)
}

struct Course<'c> {
    options: &'c Options,
    plan: Plan,
    attacks: Vec<&'static Attack>,
    ground: Ground,
    connections_max: usize,
    /// Sockets of the server with no client: its listeners.
    base_sockets: usize,
    cold_bytes: u64,
    done: Vec<Done>,
    begin: Option<Census>,
    end: Option<Census>,
    quiet_peak_bytes: u64,
    /// The most that others took of the server's CPU in a quiet time.
    quiet_others: f64,
    /// The server's.
    cpu: usize,
    say: &'c dyn Fn(&str),
}

/// An attack that was made.
struct Done {
    name: &'static str,
    phase: usize,
    peak_bytes: u64,
    others: f64,
    tally: Tally,
    settled: Settled,
}

/// Why a soak does not go on.
enum Halt {
    /// The server died; how.
    Death(String),
    /// The soak itself failed.
    Trouble(String),
}

/// The good clients' thread, as the course sees it.
struct Wires {
    command: Sender<Command>,
    paused: Receiver<()>,
}

impl Course<'_> {
    /// Goes the course while good clients ask. Gives how the server died, if it did, and what the
    /// good clients saw.
    fn go_with_good_clients(
        &mut self,
        server: &mut Server,
        rights: &[Right],
    ) -> Result<(Option<String>, Vec<Record>), String> {
        let address = server.address();
        let phases = FIRST_ATTACK + self.attacks.len() + 1;
        let (command, commands) = mpsc::channel();
        let (pausing, paused) = mpsc::channel();
        thread::scope(|scope| {
            let good = scope.spawn(move || {
                process::come_first();
                good::run(address, rights, phases, &commands, &pausing)
            });
            let wires = Wires { command, paused };
            let gone = self.go(server, &wires);
            if gone.is_ok() {
                wires.tell(Command::End);
            }
            // Without it the good clients end at once.
            drop(wires);
            let records = good.join().map_err(|_| "the good clients' thread died".to_owned())??;
            match gone {
                Ok(()) => Ok((None, records)),
                Err(Halt::Death(how)) => Ok((Some(how), records)),
                Err(Halt::Trouble(why)) => Err(why),
            }
        })
    }

    fn go(&mut self, server: &mut Server, wires: &Wires) -> Result<(), Halt> {
        let all = self.strengths(self.plan.together);
        self.begin = Some(self.warm_up(server, wires, &all)?);
        wires.tell(Command::Resume);
        self.be_quiet(server, wires)?;
        for (index, attack) in self.attacks.clone().into_iter().enumerate() {
            let time = self.plan.alone.get(index).copied().unwrap_or_default();
            let strength = self.plan.strength(attack, time, self.connections_max);
            self.attack(server, wires, attack.name, attack.does, &[strength], time)?;
        }
        let (time, does) = (self.plan.together, "everything at the same time");
        self.attack(server, wires, "all together", does, &all, time)?;
        self.end = Some(self.count(server, wires)?);
        Ok(())
    }

    /// Attacks in waves until memory has grown as far as it does. Gives what is held then, with the
    /// most memory that was there behind any of the waves.
    fn warm_up(
        &self,
        server: &mut Server,
        wires: &Wires,
        all: &[Strength<'_>],
    ) -> Result<Census, Halt> {
        let time = (self.plan.warm / 2).max(WAVE_TIME_MIN);
        let (mut pss_bytes, mut calm_waves) = (0, 0);
        for wave in 1..=WAVES_MAX {
            let note = format!("warm-up, wave {wave} ({:.1} s): all attacks", seconds(time));
            (self.say)(&note);
            wires.tell(Command::Phase(WARM));
            wires.tell(Command::Resume);
            self.act(server, all, time, u64::MAX - wave)?;
            wires.tell(Command::Phase(BETWEEN));
            self.settle(server, SETTLE_TIME_MAX, questions::CONNECTIONS)?;
            let census = self.count_once(server, wires)?;
            (self.say)(&format!("    PSS {:.1} MiB behind it", verdict::mib(census.pss_bytes)));
            let grown = census.pss_bytes.saturating_sub(pss_bytes);
            pss_bytes = pss_bytes.max(census.pss_bytes);
            calm_waves = if grown < WAVE_GROWTH_MIN { calm_waves + 1 } else { 0 };
            if calm_waves == 2 {
                break;
            }
        }
        let census = self.count(server, wires)?;
        Ok(Census { pss_bytes: census.pss_bytes.max(pss_bytes), ..census })
    }

    /// All attacks, each as strong as when it is made alone.
    fn strengths(&self, together: Duration) -> Vec<Strength<'static>> {
        let one = |(index, attack): (usize, &&'static Attack)| {
            let alone = self.plan.alone.get(index).copied().unwrap_or(together);
            self.plan.strength(attack, alone, self.connections_max)
        };
        self.attacks.iter().enumerate().map(one).collect()
    }

    /// One phase of hostile clients and the quiet behind it.
    fn attack(
        &mut self,
        server: &mut Server,
        wires: &Wires,
        name: &'static str,
        does: &str,
        strengths: &[Strength<'_>],
        time: Duration,
    ) -> Result<(), Halt> {
        let phase = FIRST_ATTACK + self.done.len();
        (self.say)(&format!("{name} ({:.1} s): {does}", seconds(time)));
        let can_forget = census::forget_peak(server.process()).is_ok();
        let before = self.usage(server);
        wires.tell(Command::Phase(phase));
        let acting = plan::acting(time);
        let (tallies, seen_peak) = self.act(server, strengths, acting, phase as u64)?;
        // They have left; the server is still at it.
        let later_peak = watch(server, time.saturating_sub(acting))?;
        let kernel_peak = match can_forget {
            true => census::peak_bytes(server.process()).unwrap_or(0),
            false => 0,
        };
        let others = self.others_since(before, server);
        wires.tell(Command::Phase(BETWEEN));
        let settled = self.settle(server, SETTLE_TIME_MAX, questions::CONNECTIONS)?;
        let mut tally = Tally::default();
        tallies.iter().for_each(|one| report::add(&mut tally, one));
        let peak_bytes = seen_peak.max(later_peak).max(kernel_peak);
        self.done.push(Done { name, phase, peak_bytes, others, tally, settled });
        self.be_quiet(server, wires)
    }

    /// Lets attackers act for this time, on a thread that steps back behind the good clients'.
    fn act(
        &self,
        server: &mut Server,
        strengths: &[Strength<'_>],
        time: Duration,
        part: u64,
    ) -> Result<(Vec<Tally>, u64), Halt> {
        let (address, ground, stop) = (server.address(), &self.ground, AtomicBool::new(false));
        let seed = self.options.seed ^ part.rotate_left(32);
        let end = Instant::now() + time;
        thread::scope(|scope| {
            let acting = scope.spawn(|| {
                process::step_back();
                crowd::run(address, ground, strengths, end, seed, &stop)
            });
            let watched = watch(server, time);
            stop.store(true, Ordering::Relaxed);
            let tallies = acting.join().map_err(|_| trouble("the attackers' thread died"))?;
            let tallies = tallies.map_err(|error| trouble(&format!("epoll: {error}")))?;
            Ok((tallies, watched?))
        })
    }

    fn be_quiet(&mut self, server: &mut Server, wires: &Wires) -> Result<(), Halt> {
        let before = self.usage(server);
        wires.tell(Command::Phase(QUIET));
        let peak = watch(server, self.plan.quiet)?;
        self.quiet_others = self.quiet_others.max(self.others_since(before, server));
        self.quiet_peak_bytes = self.quiet_peak_bytes.max(peak);
        wires.tell(Command::Phase(BETWEEN));
        Ok(())
    }

    fn usage(&self, server: &Server) -> Option<Usage> {
        Usage::take(self.cpu, server.process()).ok()
    }

    /// 0 where /proc does not tell.
    fn others_since(&self, before: Option<Usage>, server: &Server) -> f64 {
        let now = self.usage(server);
        now.zip(before).map_or(0.0, |(now, before)| now.others_since(&before))
    }

    /// Waits until the server has no more sockets than its own and these.
    fn settle(
        &self,
        server: &mut Server,
        time_max: Duration,
        connections: usize,
    ) -> Result<Settled, Halt> {
        let start = Instant::now();
        loop {
            let left = sockets(server.process()).saturating_sub(self.base_sockets + connections);
            match start.elapsed() {
                time if left == 0 => return Ok(Settled::After(time)),
                time if time >= time_max => return Ok(Settled::Not(left)),
                _ => {
                    watch(server, LOOK_EVERY)?;
                }
            }
        }
    }

    /// Counts what the server holds when nobody is connected, as soon as memory no longer falls.
    fn count(&self, server: &mut Server, wires: &Wires) -> Result<Census, Halt> {
        let mut last = self.count_once(server, wires)?;
        for _ in 1..CENSUSES_MAX {
            let census = self.count_once(server, wires)?;
            let fell = last.pss_bytes.saturating_sub(census.pss_bytes);
            last = census;
            if fell < FALL_BYTES_MAX {
                break;
            }
        }
        Ok(last)
    }

    fn count_once(&self, server: &mut Server, wires: &Wires) -> Result<Census, Halt> {
        wires.tell(Command::Phase(BETWEEN));
        wires.tell(Command::Resume);
        watch(server, CALM_TIME)?;
        wires.tell(Command::Pause);
        if wires.paused.recv_timeout(PAUSE_TIME_MAX).is_err() {
            alive(server)?;
            return Err(trouble("the good clients do not come to an end"));
        }
        self.settle(server, LAST_SETTLE_TIME_MAX, 0)?;
        watch(server, REST_TIME)?;
        match Census::take(server.process()) {
            Ok(census) => Ok(census),
            Err(error) => {
                alive(server)?;
                Err(trouble(&format!("/proc/{}: {error}", server.process())))
            }
        }
    }

    fn conclude(&self, records: &[Record], life: Life, server: &Server) -> Vec<Finding> {
        let Some(quiet) = records.get(QUIET) else { return Vec::new() };
        let quiet_ms = quiet.of_static().at_ms(0.99);
        let slower = |record: &Record| {
            let latencies = record.of_static();
            (latencies.count() > 0 && quiet_ms > 0.0).then(|| latencies.at_ms(0.99) / quiet_ms)
        };
        let (mut rows, mut attacks) = (Vec::new(), Vec::new());
        for Done { name, phase, peak_bytes, others, tally, settled } in &self.done {
            let Some(record) = records.get(*phase) else { continue };
            let (slower, peak_bytes, others) = (slower(record), *peak_bytes, *others);
            rows.push(Row { name, record, slower, peak_bytes, others, tally, settled: *settled });
            attacks.push(AttackSeen { name: (*name).to_owned(), slower, peak_bytes });
        }
        (self.say)(&report::table(quiet, self.quiet_others, self.quiet_peak_bytes, &rows));
        let mut counts = Counts::default();
        records.iter().for_each(|record| counts.add(&record.counts));
        for (phase, record) in records.iter().enumerate() {
            for fault in &record.faults {
                (self.say)(&format!("fault, {}: {fault}", self.phase_name(phase)));
            }
            if record.stalls > 0 {
                (self.say)(&format!(
                    "stall, {}: the machine stood still {} times, for {:.1} s at most",
                    self.phase_name(phase),
                    record.stalls,
                    seconds(record.stall_max)
                ));
            }
        }
        let log = server.log();
        log.kept.iter().for_each(|line| (self.say)(&format!("log: {line}")));
        let findings = verdict::judge(&Seen {
            counts,
            cold_bytes: self.cold_bytes,
            begin: self.begin.clone(),
            end: self.end.clone(),
            attacks,
            memory_bytes_max: self.options.memory_bytes_max,
            life,
            log,
        });
        (self.say)(&report::verdict(&findings));
        findings
    }

    fn phase_name(&self, phase: usize) -> &'static str {
        match phase {
            WARM => "warm-up",
            QUIET => "quiet",
            BETWEEN => "between two phases",
            phase => {
                self.attacks.get(phase - FIRST_ATTACK).map_or("all together", |attack| attack.name)
            }
        }
    }
}

impl Wires {
    /// A thread that is gone is noticed when it is joined.
    fn tell(&self, command: Command) {
        let _ = self.command.send(command);
    }
}

/// Waits, and looks at the server meanwhile. Gives the most memory that was seen.
fn watch(server: &mut Server, time: Duration) -> Result<u64, Halt> {
    let end = Instant::now() + time;
    let mut peak_bytes = 0;
    loop {
        alive(server)?;
        peak_bytes = peak_bytes.max(census::resident_bytes(server.process()).unwrap_or(0));
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(peak_bytes);
        }
        thread::sleep(left.min(LOOK_EVERY));
    }
}

fn alive(server: &mut Server) -> Result<(), Halt> {
    match server.exit() {
        None => Ok(()),
        Some(status) => Err(Halt::Death(status.to_string())),
    }
}

fn trouble(why: &str) -> Halt {
    Halt::Trouble(why.to_owned())
}

const fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_chosen_by_name() {
        assert_eq!(chosen(&[]).unwrap().len(), ATTACKS.len());
        let two = ["garbage".to_owned(), "slowloris".to_owned()];
        let names: Vec<_> = chosen(&two).unwrap().iter().map(|attack| attack.name).collect();
        assert_eq!(names, ["slowloris", "garbage"], "in the order of the soak");
        let unknown = chosen(&["nonsense".to_owned()]).unwrap_err();
        assert!(unknown.contains("\"nonsense\"") && unknown.contains("slow body"), "{unknown}");
    }

    #[test]
    fn the_largest_attack_takes_what_the_others_leave() {
        let all = chosen(&[]).unwrap();
        let most = provide_descriptors(&all).unwrap();
        assert!(most > 0);
    }
}
