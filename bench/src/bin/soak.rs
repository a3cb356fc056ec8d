//! `soak`: hostile clients against corelane, one attack after the other and then all together,
//! while good clients ask and compare. See [`corelane_bench::soak`] and docs/soak.md.

#![expect(clippy::print_stderr, reason = "a program for the terminal says there what is wrong")]

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::time::SystemTime;

use clap::Parser;
use corelane_bench::soak::attacks::ATTACKS;
use corelane_bench::soak::course;
use corelane_bench::soak::course::Options;
use corelane_bench::soak::process::Program;
use corelane_bench::soak::verdict;

/// The soak itself could not be made, which says nothing of the server.
const NOT_MADE: u8 = 2;

/// Attacks corelane while good clients ask. Exit code 0: it holds, 1: it does not, 2: not made.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// How long, all phases together
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(20..=86_400))]
    seconds: u64,
    /// Of all random numbers; otherwise one is drawn, and told
    #[arg(long)]
    seed: Option<u64>,
    /// Only this attack (repeatable); --list names them
    #[arg(long)]
    only: Vec<String>,
    /// What the process's memory may reach under any attack
    #[arg(long, value_name = "MIB", default_value_t = 256,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    memory: u64,
    /// Names the attacks and does nothing
    #[arg(long)]
    list: bool,
    /// The release build of corelane
    #[arg(long, default_value = "target/release/corelane")]
    server: PathBuf,
    /// The folder of plain.py
    #[arg(long, default_value = "tests/apps")]
    apps: PathBuf,
    /// The folder of raw requests
    #[arg(long, default_value = "tests/wire")]
    wire: PathBuf,
    /// Further arguments for corelane, behind --
    #[arg(last = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        ATTACKS.iter().for_each(|attack| say(&format!("{:<18} {}", attack.name, attack.does)));
        return ExitCode::SUCCESS;
    }
    let made = options(arguments).and_then(|options| course::run(&options, &say));
    match made {
        Ok(findings) if verdict::holds(&findings) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::from(NOT_MADE)
        }
    }
}

fn options(arguments: Arguments) -> Result<Options, String> {
    let found = |path: &PathBuf| {
        path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))
    };
    let path = found(&arguments.server)
        .map_err(|error| format!("{error}: cargo build --release makes it"))?;
    let program = Program { path, arguments: arguments.arguments, apps: found(&arguments.apps)? };
    Ok(Options {
        time: Duration::from_secs(arguments.seconds),
        seed: arguments.seed.unwrap_or_else(drawn),
        program,
        cases: found(&arguments.wire)?,
        only: arguments.only,
        memory_bytes_max: arguments.memory << 20,
    })
}

/// A seed that is short enough to be typed.
fn drawn() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ (since.as_secs() & 0xffff)
}

/// If nobody reads it, the exit code still tells.
fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}
