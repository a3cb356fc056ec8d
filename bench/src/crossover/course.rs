//! Rounds: each contestant sends for a moment in each of them, so that a slow moment of the machine
//! is nobody's, and the median of its rounds counts.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use rustix::thread::CpuSet;

use crate::crossover::raw;
use crate::crossover::reader;
use crate::crossover::sender;
use crate::crossover::sender::Sender;
use crate::crossover::sender::Source;
use crate::crossover::sender::Spent;
use crate::crossover::way::Contestant;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds.
    pub rounds: usize,
    /// Of one contestant in one round.
    pub moment: Duration,
    /// Connections that are sent to in turns.
    pub connections: usize,
    /// Bytes that the peer reads at once: wrk's buffer has 8 KiB.
    pub read_bytes: usize,
    /// The CPUs of the sender and of the peer.
    pub cpus: [usize; 2],
}

/// What was seen of one contestant.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// CPU time of a send: the median of the rounds, the least, the greatest; in microseconds.
    pub cpu_us: [f64; 3],
    /// Calls for a send.
    pub calls: f64,
    /// Waits for a send.
    pub waits: f64,
}

/// All rounds with a file of so many bytes in this folder.
///
/// # Errors
///
/// Whatever the kernel says.
pub fn run(
    plan: &Plan,
    folder: &Path,
    file_bytes: usize,
    all: &[Contestant],
) -> io::Result<Vec<Seen>> {
    pin(plan.cpus[0])?;
    let source = source(folder, file_bytes)?;
    let mut rounds = vec![Vec::new(); all.len()];
    for _ in 0..plan.rounds {
        for (contestant, seen) in all.iter().zip(&mut rounds) {
            seen.push(one_round(plan, *contestant, &source)?);
        }
    }
    Ok(rounds.iter().map(|rounds| summary(rounds)).collect())
}

fn source(folder: &Path, file_bytes: usize) -> io::Result<Source> {
    let memory: Vec<u8> = (0..file_bytes).map(|at| at.wrapping_mul(31).to_le_bytes()[1]).collect();
    let named = tempfile::NamedTempFile::new_in(folder)?;
    std::fs::write(named.path(), &memory)?;
    let file = File::open(named.path())?;
    file.sync_all()?;
    let mapping = raw::map(&file, file_bytes)?;
    Ok(Source { file, memory, mapping })
}

fn one_round(plan: &Plan, contestant: Contestant, source: &Source) -> io::Result<Spent> {
    let mut sender = Sender::new(contestant)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..plan.connections {
        theirs.push(TcpStream::connect(listener.local_addr()?)?);
        let (accepted, _) = listener.accept()?;
        sender.prepare(&accepted)?;
        ours.push(accepted);
    }
    let answer_bytes = sender::answer_bytes(source.memory.len());
    let reader = reader::start(theirs, answer_bytes, plan.read_bytes, plan.cpus[1]);
    // The first answers open the windows.
    for _ in 0..4 {
        for connection in &mut ours {
            sender.answer(connection, source)?;
        }
    }
    sender.spent = Spent::default();
    let start = Instant::now();
    while start.elapsed() < plan.moment {
        for connection in &mut ours {
            sender.answer(connection, source)?;
        }
    }
    drop(ours);
    let _ = reader.join(); // its connections were closed in the middle of what it reads
    Ok(sender.spent)
}

fn summary(rounds: &[Spent]) -> Seen {
    let clock = clock_cost().as_secs_f64();
    let each = |spent: &Spent| 1e6 * (spent.cpu.as_secs_f64() / f64::from(spent.sends) - clock);
    let mut cpu_us: Vec<f64> = rounds.iter().map(each).collect();
    cpu_us.sort_by(f64::total_cmp);
    let sends: f64 = rounds.iter().map(|spent| f64::from(spent.sends)).sum();
    let mean = |of: fn(&Spent) -> u64| rounds.iter().map(|spent| of(spent) as f64).sum::<f64>();
    let at = |index: usize| cpu_us.get(index).copied().unwrap_or(f64::NAN);
    Seen {
        cpu_us: [at(cpu_us.len() / 2), at(0), at(cpu_us.len().saturating_sub(1))],
        calls: mean(|spent| spent.calls) / sends,
        waits: mean(|spent| spent.waits) / sends,
    }
}

/// What two readings of the clock take of what they measure.
fn clock_cost() -> Duration {
    let tries = 1000;
    let mut sum = Duration::ZERO;
    for _ in 0..tries {
        let start = sender::cpu_time();
        sum += sender::cpu_time().saturating_sub(start);
    }
    sum / tries
}

/// Keeps the calling thread on this CPU.
///
/// # Errors
///
/// As sched_setaffinity(2).
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no CPU {cpu}")));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}
