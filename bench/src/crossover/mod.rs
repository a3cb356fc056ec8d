//! What it costs the sender to hand a file to TCP, by each way that the kernel has.
//!
//! One thread sends a head and a file over loopback connections in turns, another one, on another
//! CPU, reads them. What is counted is CPU time of the sending thread between two clock readings
//! around a whole send, with its waits for room. The bounds of corelane from which on a file leaves
//! by sendfile, and how much one call may move, come from here.
//!
//! ```text
//! course (rounds, medians) -> sender (one send) -> way (what is compared)
//!                          -> reader (the peer)    raw (mmap, vmsplice, options without a safe crate)
//! ```

pub mod course;
pub mod raw;
pub mod reader;
pub mod sender;
pub mod way;
