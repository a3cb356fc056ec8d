//! The pure rooms of the server, without Python, sockets or files, as fuzz targets want them.
//!
//! They are the very files of the server, so that a target needs nothing of Python to be built.

// What the server uses of them and the targets do not.
#![allow(dead_code)]

#[path = "../../src/address/mod.rs"]
pub mod address;
#[path = "../../src/limits.rs"]
pub mod limits;
#[path = "../../src/request/mod.rs"]
pub mod request;

#[path = "../../src/static_files/range.rs"]
mod range;

/// The slice of a representation of `size_bytes` that a Range field asks for, first and behind
/// last. None: the whole, or 416.
#[must_use]
pub fn range_slice(value: &[u8], size_bytes: u64) -> Option<(u64, u64)> {
    match range::parse(value, size_bytes) {
        range::Asked::Slice(range) => Some((range.start, range.end)),
        range::Asked::Whole | range::Asked::Unsatisfiable => None,
    }
}
