//! `load steady URL …` and `load idle URL …`: clients that count, check and time answers. One JSON
//! object on stdout; what went wrong first, in words, on stderr. See [`corelane_bench::load`].

#![expect(clippy::print_stderr, reason = "a program for the terminal says there what is wrong")]

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::Parser;
use corelane_bench::load::descriptors;
use corelane_bench::load::idle::Idle;
use corelane_bench::load::reference::Reference;
use corelane_bench::load::schedule::RATE_MAX;
use corelane_bench::load::steady;
use corelane_bench::load::steady::Plan;
use corelane_bench::load::target::PIPELINE_MAX;
use corelane_bench::load::target::Target;
use serde_json::Value;
use serde_json::json;

/// A load generator for HTTP/1.1 servers on one thread, which checks every answer.
#[derive(Debug, Parser)]
#[command(version)]
enum Arguments {
    /// Keep connections busy, or send at fixed moments; print counts and latencies
    Steady(Steady),
    /// Open connections and hold them until a line comes on stdin; then ask each once more
    Idle(IdleArguments),
}

#[derive(Args, Debug)]
struct Common {
    /// http://HOST:PORT/PATH
    url: String,
    /// Connections at a time
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// The right body; otherwise that of the first answer, on a connection of its own, is taken
    #[arg(long)]
    expect_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Steady {
    #[command(flatten)]
    common: Common,
    /// How long is measured
    #[arg(long, value_parser = some_seconds)]
    seconds: Duration,
    /// How long the same is done before that
    #[arg(long, default_value = "0", value_parser = seconds)]
    warm_seconds: Duration,
    /// Requests of one write, and in flight on a connection at most
    #[arg(long, default_value = "1", value_parser = pipeline)]
    pipeline: usize,
    /// Answers after which a connection is closed (by the client, in order) and a new one opened
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_connection: Option<u32>,
    /// Requests each second, all connections together, at fixed moments from which latency counts
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
}

#[derive(Args, Debug)]
struct IdleArguments {
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let result = match Arguments::parse() {
        Arguments::Steady(arguments) => run_steady(&arguments),
        Arguments::Idle(arguments) => run_idle(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_steady(arguments: &Steady) -> Result<(), String> {
    let (target, reference) = prepare(&arguments.common, arguments.pipeline)?;
    let plan = Plan {
        connections: arguments.common.connections as usize,
        measured: arguments.seconds,
        warm: arguments.warm_seconds,
        pipeline: arguments.pipeline,
        requests_per_connection: arguments.requests_per_connection.map(|count| count as usize),
        rate: arguments.rate,
    };
    let report = steady::run(&target, &reference, &plan)?;
    if let Some(fault) = &report.first_fault {
        eprintln!("load: the first fault: {fault}");
    }
    print(&report.to_json(plan.measured))
}

fn run_idle(arguments: &IdleArguments) -> Result<(), String> {
    let (target, reference) = prepare(&arguments.common, 1)?;
    let explain = |error: io::Error| format!("epoll: {error}");
    let connections = arguments.common.connections as usize;
    let (mut idle, opened) = Idle::open(&target, &reference, connections).map_err(explain)?;
    if let Some(fault) = &opened.first_fault {
        eprintln!("load: the first fault: {fault}");
    }
    print(&json!({"open": opened.open, "errors": opened.errors}))?;
    io::stdin().read_line(&mut String::new()).map_err(|error| format!("stdin: {error}"))?;
    let asked = idle.ask_again().map_err(explain)?;
    print(&json!({"answered": asked.answered, "closed": asked.closed, "wrong": asked.wrong}))
}

fn prepare(common: &Common, pipeline: usize) -> Result<(Target, Reference), String> {
    let target = Target::parse(&common.url, pipeline)?;
    descriptors::provide(common.connections as usize)?;
    let reference = match &common.expect_file {
        Some(file) => Reference::new(
            std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?,
        ),
        None => Reference::fetch(&target)?,
    };
    Ok((target, reference))
}

fn print(object: &Value) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{object}").and_then(|()| stdout.flush());
    written.map_err(|error| format!("stdout: {error}"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if seconds <= 86_400.0 => Ok(duration),
        _ => Err("not within 0 to 86400".to_owned()),
    }
}

fn some_seconds(text: &str) -> Result<Duration, String> {
    seconds(text)
        .and_then(|time| if time.is_zero() { Err("not above 0".to_owned()) } else { Ok(time) })
}

fn pipeline(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(depth @ 1..=PIPELINE_MAX) => Ok(depth),
        _ => Err(format!("not within 1 to {PIPELINE_MAX}")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= RATE_MAX => Ok(rate),
        _ => Err(format!("not above 0 and up to {RATE_MAX}")),
    }
}
