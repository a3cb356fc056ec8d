//! The program: arguments to settings to the server. It owns the exit codes: 2 for a mistake of the
//! operator's, 1 for a start that failed, 0 for the rest.

use corelane::config::Arguments;
use corelane::config::Environment;
use corelane::config::Settings;
use corelane::config::Task;
use corelane::server;
use mimalloc::MiMalloc;
use std::env;
use std::fmt::Display;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const START_FAILED: u8 = 1;
const MISTAKE: u8 = 2;

fn main() -> ExitCode {
    let arguments = match Arguments::from_words(env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // The help or the version, to standard output with 0; or a mistake, to standard error.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(MISTAKE) } else { ExitCode::SUCCESS };
        }
    };
    let environment = match Environment::of_process() {
        Ok(environment) => environment,
        Err(error) => {
            complain(format_args!("the current folder cannot be read: {error}"));
            return ExitCode::from(START_FAILED);
        }
    };
    let task = arguments.task();
    let settings = match Settings::new(arguments, &environment) {
        Ok(settings) => settings,
        Err(mistake) => {
            complain(mistake);
            return ExitCode::from(MISTAKE);
        }
    };
    match task {
        Task::Check => check(&settings),
        Task::Serve => run(settings),
    }
}

fn check(settings: &Settings) -> ExitCode {
    for warning in &settings.warnings {
        complain(format_args!("warning: {warning}"));
    }
    match writeln!(io::stdout(), "{}", settings.summary()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(START_FAILED), // nobody reads the answer
    }
}

fn run(settings: Settings) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_env_filter(settings.log_level.name())
        .init();
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    match server::run(settings) {
        Ok(never) => match never {},
        Err(error) => {
            complain(error);
            // Not by exit(3): lanes that were getting ready may still run Python.
            server::exit_now(START_FAILED.into())
        }
    }
}

/// Standard error may be closed; then there is nobody to tell.
fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "corelane: {text}");
}
