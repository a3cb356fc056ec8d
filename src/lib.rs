//! corelane serves static files and WSGI applications from one pinned io_uring lane per CPU core.
//!
//! The rooms, in the order in which a request travels:
//!
//! ```text
//! server (listener, lane) -> connection -> request -> route -+-> static_files -+
//!                                                            `-> python -------+-> response -> connection/send
//!                                         uring: the kernel operations that tokio-uring lacks
//! ```
//!
//! ARCHITECTURE.md tells what each room owns; `tests/house_rules.rs` holds the table of who may know whom.

pub mod access_log;
pub mod config;
pub mod limits;
pub mod route;
