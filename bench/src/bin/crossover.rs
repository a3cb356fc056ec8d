//! `crossover FOLDER...`: what a file costs its sender by each way that the kernel has, as a table.
//! See [`corelane_bench::crossover`].

#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(clippy::print_stderr, reason = "a program for the terminal says there what is wrong")]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use corelane_bench::crossover::course;
use corelane_bench::crossover::course::Plan;
use corelane_bench::crossover::way;
use corelane_bench::crossover::way::Size;

/// CPU time of the sender for a file over loopback.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the file lies: one table for each folder.
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Bytes of the file.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1024,4096,16384,32768,65536,102400,262144,1048576,10485760"
    )]
    sizes: Vec<usize>,
    /// Compares options of the socket instead of ways.
    #[arg(long)]
    options: bool,
    /// Only those whose line begins so.
    #[arg(long, default_value = "")]
    only: String,
    /// How often each way has its moment.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds of a moment.
    #[arg(long, default_value_t = 60)]
    moment_ms: u64,
    /// Connections that are sent to in turns.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Bytes that the peer reads at once; wrk reads 8 KiB.
    #[arg(long, default_value_t = 8192)]
    read_bytes: usize,
    /// The CPUs of sender and peer.
    #[arg(long, num_args = 2, value_delimiter = ',', default_values_t = [0, 1])]
    cpus: Vec<usize>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crossover: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let [ours, theirs] = arguments.cpus[..] else { return Err(io::ErrorKind::InvalidInput.into()) };
    let plan = Plan {
        rounds: arguments.rounds,
        moment: Duration::from_millis(arguments.moment_ms),
        connections: arguments.connections,
        read_bytes: arguments.read_bytes,
        cpus: [ours, theirs],
    };
    let mut all = if arguments.options { way::options() } else { way::ways() };
    all.retain(|contestant| contestant.to_string().starts_with(&arguments.only));
    let (kernel, congestion) = (said("kernel/osrelease"), said("net/ipv4/tcp_congestion_control"));
    println!("Linux {kernel}, {congestion}; {} rounds of {} ms", plan.rounds, arguments.moment_ms);
    for folder in &arguments.folders {
        println!("\n{}: CPU us a send (least to greatest; calls, waits)\n", folder.display());
        let mut columns = Vec::new();
        for size in &arguments.sizes {
            columns.push(course::run(&plan, folder, *size, &all)?);
        }
        let head: Vec<String> =
            arguments.sizes.iter().map(|size| Size(*size).to_string()).collect();
        println!("| way | {} |\n|---{}|", head.join(" | "), "|---".repeat(head.len()));
        for (row, contestant) in all.iter().enumerate() {
            let cells = columns.iter().filter_map(|column| column.get(row)).map(|seen| {
                let [median, least, greatest] = seen.cpu_us;
                let (calls, waits) = (seen.calls, seen.waits);
                format!("{median:.1} ({least:.1}-{greatest:.1}; {calls:.0}, {waits:.1})")
            });
            println!("| {contestant} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }
    Ok(())
}

/// What the kernel says of itself.
fn said(name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
    text.trim().to_owned()
}
