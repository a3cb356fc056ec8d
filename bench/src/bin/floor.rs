//! `floor PORT [--cpu N]`: answers every request on 127.0.0.1:PORT with 13 bytes, as cheaply as one
//! thread and one io_uring can. See [`corelane_bench::floor`].

#![expect(clippy::print_stderr, reason = "a program for the terminal says there what is wrong")]

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::process::ExitCode;

use clap::Parser;
use corelane_bench::floor::server;
use rustix::process::Resource;
use rustix::thread::CpuSet;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

/// The least that an HTTP server can do, for comparison.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The port on 127.0.0.1; 0 takes a free one. It is printed to stderr.
    port: u16,
    /// The CPU that the thread stays on.
    #[arg(long)]
    cpu: Option<usize>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    if let Some(cpu) = arguments.cpu {
        pin(cpu)?;
    }
    let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port)))?;
    eprintln!("floor: listening on {}", listener.local_addr()?);
    server::serve(&listener, connections_max()?)
}

fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no CPU {cpu}")));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Direct descriptors count against the limit of the process (io_uring_register(2)).
fn connections_max() -> io::Result<u32> {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(Resource::Nofile, limit)?;
    let descriptors = limit.maximum.and_then(|limit| u32::try_from(limit).ok());
    Ok(descriptors.unwrap_or(u32::MAX).min(server::CONNECTIONS_MAX))
}
