//! What can go wrong between the command line and the first request, in words for the operator.

use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::config::BindAddress;
use crate::python::PythonFault;

/// Why the server did not start. Nothing was served, nothing is left running.
#[derive(Debug)]
pub enum StartupError {
    /// An address could not be bound.
    Bind(BindAddress, io::Error),
    /// A folder of a files route could not be opened.
    Folder(PathBuf, io::Error),
    /// A rule of a site or a user of a realm is not what config should have let through.
    Policy(String),
    /// Python itself did not start.
    Python(String),
    /// An application could not be loaded: its name, and the fault's own words.
    App(String, String),
    /// io_uring was asked for and is refused.
    Ring(io::Error),
    /// epoll, a thread or the signal handlers could not be had.
    Runtime(io::Error),
    /// The access log could not be opened.
    AccessLog(io::Error),
    /// A lane ended while the others were getting ready.
    LaneLost(usize),
}

impl StartupError {
    pub(super) fn folder(root: &Path, error: io::Error) -> Self {
        Self::Folder(root.to_path_buf(), error)
    }

    pub(super) fn python(fault: &PythonFault) -> Self {
        Self::Python(fault.to_string())
    }

    pub(super) fn app(name: &str, fault: &PythonFault) -> Self {
        Self::App(name.to_owned(), fault.to_string())
    }
}

impl fmt::Display for StartupError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address, error) => {
                write!(out, "cannot listen on {address}: {error}{}", bind_remedy(address, error))
            }
            Self::Folder(root, error) => write!(out, "cannot open {}: {error}", root.display()),
            Self::Policy(text) => write!(out, "a rule or a realm cannot be used: {text}"),
            Self::Python(fault) => write!(out, "Python did not start: {fault}"),
            Self::App(name, fault) => {
                write!(out, "application \"{name}\" cannot be loaded: {fault}")
            }
            Self::Ring(error) => write!(
                out,
                "the kernel refuses io_uring ({error}). Without --io uring corelane goes on with \
                 epoll"
            ),
            Self::Runtime(error) => write!(out, "cannot start a lane: {error}"),
            Self::AccessLog(error) => write!(out, "cannot write the access log: {error}"),
            Self::LaneLost(lane) => write!(out, "lane {lane} ended before it was ready"),
        }
    }
}

fn bind_remedy(address: &BindAddress, error: &io::Error) -> String {
    match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, BindAddress::Tcp(address)) => format!(
            ". Another program has this port (ss -ltnp 'sport = :{}' shows which): stop it, or \
             choose another with --bind",
            address.port()
        ),
        (io::ErrorKind::AddrInUse, BindAddress::Unix(_)) => {
            ". Another program listens there (ss -lxp shows which): stop it, or choose another \
             path with --bind"
                .to_owned()
        }
        (io::ErrorKind::PermissionDenied, BindAddress::Tcp(address)) => format!(
            ". Ports under 1024 need the right CAP_NET_BIND_SERVICE: \
             choose another with --bind than {}",
            address.port()
        ),
        (io::ErrorKind::PermissionDenied, BindAddress::Unix(_)) => {
            ". To make a socket takes the right to write into its folder; to give it another \
             owner takes CAP_CHOWN, or to be a member of the group"
                .to_owned()
        }
        (io::ErrorKind::AddrNotAvailable, _) => {
            ". This machine has no such address: see `ip address`, or use 0.0.0.0".to_owned()
        }
        _ => String::new(),
    }
}
