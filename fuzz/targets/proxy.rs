//! Any bytes as a PROXY header: no panic, never left waiting beyond the bound, and the same outcome
//! however many of the bytes have come when the reader asks.

#![no_main]

use corelane_fuzz::limits::PROXY_HEADER_BYTES_MAX;
use corelane_fuzz::request::proxy::Parsed;
use corelane_fuzz::request::proxy::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    match whole {
        Parsed::Complete(header) => {
            let used = header.used_bytes;
            assert!(used > 0 && used <= bytes.len() && used <= PROXY_HEADER_BYTES_MAX);
            assert_eq!(parse(&bytes[..used]), whole, "what stands behind makes no difference");
        }
        Parsed::NeedMore => assert!(bytes.len() < PROXY_HEADER_BYTES_MAX),
        Parsed::Refused(refusal) => assert!(!refusal.reason().is_empty()),
    }
    for count in 0..bytes.len() {
        let begun = parse(&bytes[..count]);
        assert!(begun == Parsed::NeedMore || begun == whole);
    }
});
