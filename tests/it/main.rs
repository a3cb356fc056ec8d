//! The real program, from outside: raw bytes in, raw bytes out, over a real socket on port 0.
//!
//! Each test starts its own server on its own folder. Nothing sleeps to wait: a test reads until
//! what it waits for has come, with a time limit that fails it.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it saw"
)]

mod support;

mod addresses;
mod changing;
mod codings;
mod command_line;
mod conditions;
mod connections;
mod files;
mod frameworks;
mod lanes;
mod leaving;
mod links_and_names;
mod listings;
mod passwords;
mod proxies;
mod ranges;
mod requests;
mod rules;
mod shutdown;
mod slow_disk;
mod slow_readers;
mod trees;
mod unix_sockets;
mod wire;
mod wsgi;
