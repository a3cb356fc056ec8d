//! What the measuring programs of corelane are made of.
//!
//! [`floor`] is the least that a server can do for a request: the limit beside which corelane's
//! numbers are read. [`load`] is a client that counts, checks and times answers. Neither knows
//! corelane; the micro benchmarks beside them do. [`soak`] attacks corelane while good clients ask.
//! [`crossover`] asks the kernel alone what each way to send a file costs.

pub mod crossover;
pub mod floor;
pub mod load;
pub mod soak;
