//! The pure rooms of the server, without Python, sockets or files, as fuzz targets want them.
//!
//! They are the very files of the server, so that a target needs nothing of Python to be built.
//! The tests in them come along, and for the tests alone more rooms: `scripts/miri` runs those.

// What the server uses of them and the targets do not.
#![allow(dead_code, unused_imports)]

#[path = "../../src"]
mod rooms {
    pub mod address;
    pub mod limits;
    pub mod request;
    pub mod static_files {
        #[cfg(test)]
        mod media_type;
        #[cfg(test)]
        mod precondition;
        mod range;

        /// The slice of a representation of `size_bytes` that a Range field asks for, first and
        /// behind last. None: the whole, or 416.
        #[must_use]
        pub fn range_slice(value: &[u8], size_bytes: u64) -> Option<(u64, u64)> {
            match range::parse(value, size_bytes) {
                range::Asked::Slice(range) => Some((range.start, range.end)),
                range::Asked::Whole | range::Asked::Unsatisfiable => None,
            }
        }
    }

    #[cfg(test)]
    pub mod access_log;
    #[cfg(test)]
    pub mod clock;
    #[cfg(test)]
    pub mod connection {
        mod clients;
        mod lifecycle;
        mod pace;
        mod read_buffer;
    }
    #[cfg(test)]
    pub mod response;
    #[cfg(test)]
    pub mod route;
}

// Under the names by which they know each other.
pub use rooms::*;
pub use static_files::range_slice;
