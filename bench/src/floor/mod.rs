//! A bare io_uring loop that answers every request alike: what any server of this kind must spend.
//!
//! One thread, one ring. A request costs one completion of a multishot receive, one parse, and one
//! send with its completion; a single `io_uring_enter` serves all connections of a turn. It routes
//! nothing, reads no body (a request that has one is answered, then its connection is closed) and
//! sets no deadlines.
//!
//! ```text
//! server (the loop) -> heads (how many requests are there?) -> answer (so many answers)
//!                   -> buffers (where the kernel receives)
//!                   -> ring (entries, and the system call)
//! ```

pub mod answer;
pub mod buffers;
pub mod heads;
pub mod ring;
pub mod server;
