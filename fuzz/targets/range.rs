//! Any bytes as a Range field of a file of any size: slices are inside of the file, not empty, and
//! far enough from each other, and what is sent is hardly more than the file.

#![no_main]

use corelane_fuzz::limits::RANGE_PART_HEAD_BYTES;
use corelane_fuzz::limits::RANGES_MAX;
use corelane_fuzz::range_slices;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (drawn, value) = input;
    let size_bytes = drawn >> 1; // an off_t is signed
    let Some((mut slices, sent_bytes)) = range_slices(value, size_bytes) else { return };
    assert!(!slices.is_empty() && slices.len() <= RANGES_MAX, "{slices:?}");
    // Heads are counted by an estimate, which may be short by some bytes for each.
    assert!(sent_bytes <= size_bytes.saturating_add(64 * slices.len() as u64), "{sent_bytes}");
    slices.sort_unstable();
    for (first, behind) in &slices {
        assert!(first < behind && *behind <= size_bytes, "{first}..{behind} of {size_bytes}");
    }
    for pair in slices.windows(2) {
        assert!(pair[1].0 - pair[0].1 >= RANGE_PART_HEAD_BYTES, "{pair:?}");
    }
});
