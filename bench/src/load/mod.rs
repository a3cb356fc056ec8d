//! A client that counts, checks and times answers, for what wrk cannot do: connections that are
//! opened anew, requests at fixed moments, thousands of idle connections, bodies that are compared.
//!
//! One thread, epoll. The ways in are [`steady::run`] and [`idle::Idle::open`].
//!
//! ```text
//! target (URL) -> connection (a socket) -> answer (bytes to answers) -> reference (is it right?)
//!    steady, idle: which connection sends what and when -> report (counts and latencies)
//! ```

pub mod answer;
pub mod connection;
pub mod descriptors;
pub mod idle;
pub mod reference;
pub mod report;
pub mod schedule;
pub mod source;
pub mod steady;
pub mod target;
