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
        mod multipart;
        #[cfg(test)]
        mod precondition;
        mod range;

        /// The slices of a representation of `size_bytes` that a Range field asks for, each with
        /// its first byte and the one behind it. None: the whole, or 416. With them the bytes of
        /// the answer's body.
        #[must_use]
        pub fn range_slices(value: &[u8], size_bytes: u64) -> Option<(Vec<(u64, u64)>, u64)> {
            let ends = |range: &std::ops::Range<u64>| (range.start, range.end);
            match range::parse(value, size_bytes) {
                range::Asked::Slice(range) => Some((vec![ends(&range)], range.end - range.start)),
                range::Asked::Several(ranges) => {
                    let body = multipart::Multipart::new("text/plain", size_bytes, &ranges);
                    Some((ranges.iter().map(ends).collect(), body.size_bytes))
                }
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
    #[cfg(test)]
    pub mod rules;
}

// Under the names by which they know each other.
pub use rooms::*;
pub use static_files::range_slices;
