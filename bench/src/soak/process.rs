//! The server under attack: started on its CPU, watched, ended, by its process id alone.
//!
//! It owns the child process and its log, of which only what matters is kept.

#![expect(unsafe_code, reason = "sched_setscheduler(2) has no safe wrapper")]

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::thread::CpuSet;

/// From the start to the line that tells the address.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// From SIGTERM to the end: more than the server's own patience.
const STOP_TIME_MAX: Duration = Duration::from_secs(45);

/// Lines of the log that are kept, the first that matter.
const KEPT_LINES_MAX: usize = 10;

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What to start.
#[derive(Clone, Debug)]
pub struct Program {
    /// The release build of corelane.
    pub path: PathBuf,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// The folder of the application.
    pub apps: PathBuf,
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

/// What a log said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Lines of level WARN.
    pub warnings: u64,
    /// Lines of level ERROR.
    pub errors: u64,
    /// Panics.
    pub panics: u64,
    /// Exceptions of the application: garbage asks for views that fail. They are not kept.
    pub application_failures: u64,
    /// The first of these lines.
    pub kept: Vec<String>,
}

/// How a server ended that was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It did not.
    Killed,
}

impl Server {
    /// Starts the server with this site and waits until it listens. It inherits the CPUs of this
    /// thread.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: it cannot be started, or does not listen.
    pub fn start(program: &Program, site: &Path) -> Result<Self, String> {
        let path = program.path.display();
        let mut child = command(program, site)
            .spawn()
            .map_err(|error| format!("{path}: {error}: cargo build --release makes it"))?;
        let log = Arc::new(Mutex::new(Log::default()));
        let (tell, told) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                read_log(stderr, &log, |address| {
                    let _ = tell.send(address);
                });
            });
        }
        let Ok(address) = told.recv_timeout(START_TIME_MAX) else {
            let _ = child.kill();
            let _ = child.wait();
            let kept = lock(&log).kept.join("\n");
            return Err(format!("{path} does not listen:\n{kept}"));
        };
        Ok(Self { child, address, log })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// How it has ended, if it has.
    pub fn exit(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The log so far.
    #[must_use]
    pub fn log(&self) -> Log {
        lock(&self.log).clone()
    }

    /// Tells it to end, and kills it if it does not.
    pub fn stop(&mut self) -> End {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(process) = process {
            let _ = rustix::process::kill_process(process, Signal::TERM);
        }
        let last = Instant::now() + STOP_TIME_MAX;
        while Instant::now() < last {
            if let Some(status) = self.exit() {
                return End::Exited(status);
            }
            thread::sleep(LOOK_EVERY);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        End::Killed
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(program: &Program, site: &Path) -> Command {
    let mut command = Command::new(&program.path);
    let mut files = std::ffi::OsString::from("/=");
    files.push(site);
    command.args(["--bind", "127.0.0.1:0", "--static"]).arg(files);
    command.arg("--chdir").arg(&program.apps).args(&program.arguments).arg("plain:app");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_setting = text.starts_with("CORELANE_");
        if is_setting || ["PORT", "WEB_CONCURRENCY", "VIRTUAL_ENV", "PYTHONPATH"].contains(&&*text)
        {
            command.env_remove(&name);
        }
    }
    // Nobody may write there: the soak leaves no traces in the repository.
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(site);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Reads the log to its end.
fn read_log(log: impl Read, into: &Mutex<Log>, mut listens: impl FnMut(SocketAddr)) {
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        if let Some(address) = address_in(&line) {
            listens(address);
        }
        lock(into).take(line);
    }
}

/// The address in the line that tells it.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on http://")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    fn take(&mut self, line: String) {
        let has = |text: &str| line.contains(text);
        let counter = if has("panicked at") {
            &mut self.panics
        } else if has(": the application failed") {
            self.application_failures += 1;
            return;
        } else if has(" ERROR ") || line.starts_with("corelane: ") {
            &mut self.errors
        } else if has(" WARN ") {
            &mut self.warnings
        } else {
            return;
        };
        *counter += 1;
        if self.kept.len() < KEPT_LINES_MAX {
            self.kept.push(line);
        }
    }
}

/// The CPUs that this process may use.
#[must_use]
pub fn cpus() -> Vec<usize> {
    let Ok(allowed) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect()
}

/// Keeps this thread, and what it starts from now on, on one CPU.
///
/// # Errors
///
/// A sentence for the operator.
pub fn pin(cpu: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).map_err(|error| format!("CPU {cpu}: {error}"))
}

/// Puts the calling thread before all others of this CPU, where that is permitted: a question that
/// is due is asked, whatever the attackers do.
pub fn come_first() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: `parameters` lives for the call, which only reads it; 0 names the calling thread. A
    // reference to something else than a sched_param would undo it.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
}

/// Lets the other threads of this CPU go first. Only a wish.
pub fn step_back() {
    // Of the calling thread alone (setpriority(2)).
    let _ = rustix::process::setpriority_process(None, 19);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_of_a_log_is_kept_and_counted() {
        let mut text = String::from(
            "2026-01-01T00:00:00Z  INFO listening on http://127.0.0.1:4711 (here: x)\n\
             2026-01-01T00:00:00Z  WARN cannot accept connections just now\n\
             2026-01-01T00:00:00Z ERROR GET /raise: the application failed\n\
             thread 'corelane-0' panicked at src/x.rs:1:\n",
        );
        text += &"2026-01-01T00:00:00Z ERROR a file\n".repeat(30);
        let (log, mut addresses) = (Mutex::new(Log::default()), Vec::new());
        read_log(text.as_bytes(), &log, |address| addresses.push(address));
        let log = log.into_inner().unwrap();
        assert_eq!(addresses, ["127.0.0.1:4711".parse().unwrap()]);
        assert_eq!((log.warnings, log.errors, log.panics), (1, 30, 1));
        assert_eq!((log.application_failures, log.kept.len()), (1, KEPT_LINES_MAX));
    }

    #[test]
    fn a_program_that_is_none_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let program = |path: &str| Program {
            path: path.into(),
            arguments: Vec::new(),
            apps: folder.path().to_owned(),
        };
        let missing = Server::start(&program("/no/such/program"), folder.path());
        assert!(missing.err().unwrap().contains("cargo build --release"));
        let other = Server::start(&program("/bin/false"), folder.path());
        assert!(other.err().unwrap().contains("does not listen"));
    }

    #[test]
    fn a_thread_can_be_kept_on_a_cpu() {
        thread::spawn(|| {
            let first = cpus()[0];
            pin(first).unwrap();
            assert_eq!(cpus(), [first]);
        })
        .join()
        .unwrap();
    }
}
