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

mod changing;
mod command_line;
mod connections;
mod files;
mod frameworks;
mod lanes;
mod leaving;
mod proxies;
mod requests;
mod shutdown;
mod slow_disk;
mod slow_readers;
mod trees;
mod unix_sockets;
mod wire;
mod wsgi;
