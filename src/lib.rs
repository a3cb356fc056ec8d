//! corelane serves static files and WSGI applications from one pinned io_uring lane per CPU core.
//!
//! The rooms, in the order in which a request travels:
//!
//! ```text
//! server -> connection -> request -> route -+-> static_files -+
//! (lanes)                                   `-> python -------+-> response -> connection/outbox
//!                         uring: the kernel operations that tokio-uring lacks
//! ```
//!
//! ARCHITECTURE.md tells what each room owns; `tests/house_rules.rs` holds the table of who may
//! know whom.

pub mod access_log;
pub mod address;
pub mod auth;
pub mod clock;
pub mod config;
pub mod connection;
pub mod limits;
pub mod python;
pub mod request;
pub mod response;
pub mod route;
pub mod rules;
pub mod server;
pub mod static_files;
pub mod uring;
pub mod workshop;
