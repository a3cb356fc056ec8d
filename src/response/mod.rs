//! The vocabulary of a response: status, head, date, and the bounded stream of an application's
//! body.
//!
//! This room is pure apart from [`stream`], which is the hand-over between the thread that makes a
//! body and the one that sends it. It knows nothing of sockets, files or Python.

pub mod date;
pub mod head;
pub mod overlay;
pub mod status;
pub mod stream;

pub use head::Head;
pub use head::InvalidHeader;
pub use overlay::Overlay;
