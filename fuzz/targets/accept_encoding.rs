//! Any bytes as Accept-Encoding: no coding comes twice, and commas are as good as several fields.

#![no_main]

use corelane_fuzz::request::accept_encoding::Accepted;
use corelane_fuzz::request::accept_encoding::Coding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let accepted = Accepted::of(std::iter::once(value));
    let ranked: Vec<Coding> = accepted.ranked().collect();
    for (at, coding) in ranked.iter().enumerate() {
        assert!(!ranked[..at].contains(coding), "{coding:?} comes twice");
    }
    assert_eq!(Accepted::of(value.split(|byte| *byte == b',')), accepted);
});
