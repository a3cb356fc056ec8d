//! Lanes, from the first to the last: start them together or not at all, tell them to drain, end.
//!
//! The only place where lanes meet. They share nothing but the settings, the writer of the access
//! log and this room's commands; no request passes through here.

mod announce;
mod descriptors;
mod exit;
mod group;
mod lane;
pub mod listener;
mod scheduling;
mod signals;
pub mod startup;
mod unix_socket;

pub use exit::now as exit_now;

use std::convert::Infallible;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use core_affinity::CoreId;
use tokio::sync::watch;

use crate::access_log::AccessLog;
use crate::access_log::Target;
use crate::access_log::Writer;
use crate::config;
use crate::config::Settings;
use crate::limits::EXIT_HANDLERS_TIME_MAX;
use crate::limits::IMPORT_NOTICE_TIME;
use crate::limits::LANES_MAX;
use crate::limits::PYTHON_STACK_BYTES;
use crate::python;
use crate::server::group::Group;
use crate::server::group::Listening;
use crate::server::lane::Command;
use crate::server::lane::Lane;
use crate::server::lane::Plan;
use crate::server::signals::Signal;
use crate::server::startup::StartupError;
use crate::server::unix_socket::SocketFile;
use crate::uring::Io;

/// What the server's own thread hears.
enum Event {
    Signal(Signal),
    /// A lane is ready, and waits on this.
    Ready(Io),
    /// A lane cannot start.
    Failed(StartupError),
    /// A lane has ended.
    Ended,
}

/// The lanes of this process, seen from the server's own thread.
struct Lanes {
    commands: watch::Sender<Command>,
    events: mpsc::Receiver<Event>,
    listeners: Vec<mpsc::Sender<Vec<Listening>>>,
    /// The files of the unix sockets, which end with the process.
    socket_files: Vec<SocketFile>,
    running: usize,
}

/// Serves until a signal ends it. Does not return after that: the process exits with 0 when
/// everything that had begun was finished.
///
/// # Errors
///
/// What kept the server from starting; nothing was served then.
pub fn run(settings: Settings) -> Result<Infallible, StartupError> {
    descriptors::permit();
    let settings = Arc::new(settings);
    let (hear, events) = mpsc::channel();
    let signal = hear.clone();
    signals::listen(move |heard| drop(signal.send(Event::Signal(heard))))
        .map_err(StartupError::Runtime)?;
    let cores = choose_cores(&settings);
    let mut groups = Vec::with_capacity(settings.binds.len());
    for bind in &settings.binds {
        groups.push(Group::bind(bind, cores.len())?);
    }
    let access_log = start_access_log(&settings)?;
    let python = start_python(&settings)?;
    let mut lanes =
        start_lanes(&settings, &cores, access_log.as_ref(), python.as_ref(), &hear, events)?;
    let io = lanes.wait_until_ready()?;
    let shown: Vec<String> = groups.iter().map(Group::to_string).collect();
    lanes.hand_over(groups)?;
    announce::say(&settings, &cores, &shown, io);
    let signal = lanes.wait_for_signal();
    lanes.end(signal, settings.graceful_time_max);
    if let Some(access_log) = access_log {
        access_log.stop();
    }
    lanes.exit(0)
}

fn start_access_log(settings: &Settings) -> Result<Option<Writer>, StartupError> {
    let target = match &settings.access_log {
        config::AccessLog::Off => return Ok(None),
        config::AccessLog::Stdout => Target::Stdout,
        config::AccessLog::File(path) => Target::File(path.clone()),
    };
    Writer::start(&target).map(Some).map_err(StartupError::AccessLog)
}

fn start_python(settings: &Settings) -> Result<Option<Arc<python::Runtime>>, StartupError> {
    if settings.apps.is_empty() {
        return Ok(None);
    }
    let python = python::Runtime::start();
    python.map(|python| Some(Arc::new(python))).map_err(|fault| StartupError::python(&fault))
}

/// The CPUs of the lanes: those that the affinity mask leaves this process, at most as many as the
/// cgroup's quota pays for; or as many lanes as the operator wants, going round.
fn choose_cores(settings: &Settings) -> Vec<Option<CoreId>> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let paid = thread::available_parallelism().map_or(1, NonZero::get);
    let count = lane_count(settings.lanes, paid, cores.len());
    (0..count).map(|lane| cores.get(lane % cores.len().max(1)).copied()).collect()
}

fn lane_count(wanted: config::Lanes, paid_cpus: usize, cpus: usize) -> usize {
    let count = match wanted {
        config::Lanes::Auto => paid_cpus.min(cpus),
        config::Lanes::Exactly(count) => count,
    };
    count.clamp(1, LANES_MAX)
}

fn start_lanes(
    settings: &Arc<Settings>,
    cores: &[Option<CoreId>],
    access_log: Option<&Writer>,
    python: Option<&Arc<python::Runtime>>,
    hear: &mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
) -> Result<Lanes, StartupError> {
    let (commands, _) = watch::channel(Command::Prepare);
    let mut listeners = Vec::with_capacity(cores.len());
    for (index, core) in cores.iter().enumerate() {
        let (hand, handed) = mpsc::channel();
        listeners.push(hand);
        let plan = Plan {
            index,
            core: *core,
            settings: Arc::clone(settings),
            python: python.map(Arc::clone),
            access_log: access_log.map_or(AccessLog::Off, Writer::lane),
            commands: commands.subscribe(),
            listeners: handed,
        };
        let hear = hear.clone();
        thread::Builder::new()
            .name(format!("corelane-{index}"))
            // With `--threads 0` Python runs here, and its recursion limit counts on this much.
            .stack_size(PYTHON_STACK_BYTES)
            .spawn(move || live(plan, &hear))
            .map_err(StartupError::Runtime)?;
    }
    Ok(Lanes { commands, events, listeners, socket_files: Vec::new(), running: cores.len() })
}

/// A lane's thread from its first to its last line.
fn live(plan: Plan, hear: &mpsc::Sender<Event>) {
    let index = plan.index;
    // The server's thread is there as long as any lane is; were it not, there would be nobody to
    // tell.
    let say = |event| drop(hear.send(event));
    match Lane::prepare(plan) {
        Ok(lane) => {
            say(Event::Ready(lane.io()));
            if let Err(error) = lane.run() {
                tracing::error!(%error, lane = index, "a lane has failed");
            }
            say(Event::Ended);
        }
        Err(error) => say(Event::Failed(error)),
    }
}

impl Lanes {
    fn wait_until_ready(&self) -> Result<Io, StartupError> {
        let mut io = Io::Ring;
        let mut ready = 0;
        while ready < self.running {
            match self.events.recv_timeout(IMPORT_NOTICE_TIME) {
                Ok(Event::Ready(lane_io)) => {
                    io = lane_io;
                    ready += 1;
                }
                Ok(Event::Failed(error)) => return Err(error),
                Ok(Event::Ended) => return Err(StartupError::LaneLost(ready)),
                Ok(Event::Signal(signal)) => {
                    tracing::info!("{}: ending before the start was complete", signal.name());
                    exit::now(signal.exit_code())
                }
                Err(_) => tracing::info!("still importing the applications"),
            }
        }
        Ok(io)
    }

    /// Begins to listen everywhere, and gives each lane its socket of every group.
    fn hand_over(&mut self, groups: Vec<Group>) -> Result<(), StartupError> {
        let mut of_lane: Vec<Vec<Listening>> = self.listeners.iter().map(|_| Vec::new()).collect();
        for group in groups {
            let listeners = group.listen(of_lane.len())?;
            self.socket_files.extend(listeners.file);
            for (lane, listening) in of_lane.iter_mut().zip(listeners.of_lanes) {
                lane.push(listening);
            }
        }
        for (hand, listeners) in self.listeners.iter().zip(of_lane) {
            // A lane that is gone has said so, and its sockets close here.
            let _ = hand.send(listeners);
        }
        self.commands.send_replace(Command::Serve);
        Ok(())
    }

    fn wait_for_signal(&mut self) -> Signal {
        loop {
            match self.events.recv() {
                Ok(Event::Signal(signal)) => return signal,
                Ok(Event::Ended) => self.running -= 1,
                Ok(Event::Ready(_) | Event::Failed(_)) => {}
                Err(_) => self.exit(1),
            }
            if self.running == 0 {
                tracing::error!("no lane is left");
                self.exit(1);
            }
        }
    }

    /// Ends the process, and with it what it has put into the file system.
    fn exit(&mut self, code: i32) -> ! {
        self.socket_files.clear();
        exit::now(code)
    }

    /// Drains; cuts what is left when the time is over; a second signal ends at once.
    fn end(&mut self, signal: Signal, graceful_time_max: Duration) {
        tracing::info!(
            "{}: finishing what is running, for at most {graceful_time_max:?}; \
             a second signal ends at once",
            signal.name()
        );
        self.commands.send_replace(Command::Drain);
        self.wait_for_lanes(graceful_time_max);
        if self.running > 0 {
            tracing::warn!("the graceful timeout is over: cutting what is still running");
            self.commands.send_replace(Command::Cut);
            self.wait_for_lanes(EXIT_HANDLERS_TIME_MAX);
        }
        tracing::info!("ended");
    }

    fn wait_for_lanes(&mut self, wait_max: Duration) {
        let until = Instant::now() + wait_max;
        while self.running > 0 {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Ended) => self.running -= 1,
                Ok(Event::Signal(signal)) => {
                    tracing::warn!("{}: ending at once", signal.name());
                    self.exit(signal.exit_code());
                }
                Ok(Event::Ready(_) | Event::Failed(_)) => {}
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_lane_and_at_most_so_many() {
        let auto = config::Lanes::Auto;
        for (paid_cpus, cpus, expected) in [
            (4, 8, 4),
            (8, 4, 4),
            (1, 0, 1),
            (0, 0, 1),
            (LANES_MAX, LANES_MAX, LANES_MAX),
            (LANES_MAX + 1, LANES_MAX + 1, LANES_MAX),
        ] {
            assert_eq!(lane_count(auto, paid_cpus, cpus), expected, "{paid_cpus} of {cpus}");
        }
        assert_eq!(lane_count(config::Lanes::Exactly(3), 1, 1), 3, "as the operator says");
        assert_eq!(lane_count(config::Lanes::Exactly(usize::MAX), 1, 1), LANES_MAX);
    }
}
