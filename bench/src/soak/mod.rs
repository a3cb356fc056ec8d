//! A soak: hostile clients against corelane, one attack after the other and then all together,
//! while good clients ask, compare every byte of every answer, and measure how long it took.
//!
//! The way in is [`course::run`]. What holds is said by [`verdict`], and by nothing else.
//!
//! ```text
//! process (the server) <- good (questions, answers that are compared, latencies)
//!                      <- crowd (the scripts of attacks, garbage) on a thread of its own
//! course (what happens when) -> census (its memory, descriptors, threads) -> verdict -> report
//! ```

pub mod answers;
pub mod attacks;
pub mod bombs;
pub mod census;
pub mod course;
pub mod crowd;
pub mod garbage;
pub mod good;
pub mod plan;
pub mod process;
pub mod questions;
pub mod random;
pub mod record;
pub mod report;
pub mod script;
pub mod verdict;
