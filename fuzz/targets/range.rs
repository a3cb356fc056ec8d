//! Any bytes as a Range field of a file of any size: a slice is inside of the file and not empty.

#![no_main]

use corelane_fuzz::range_slice;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (size_bytes, value) = input;
    if let Some((first, behind)) = range_slice(value, size_bytes) {
        assert!(first < behind && behind <= size_bytes, "{first}..{behind} of {size_bytes}");
    }
});
