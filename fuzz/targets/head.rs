//! Any bytes as a head: no panic, no head that takes more than there is, and the same outcome when
//! the bytes come in two pieces.

#![no_main]

use corelane_fuzz::limits::HEAD_BYTES_MAX;
use corelane_fuzz::request::head;
use corelane_fuzz::request::head::Parsed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut slots = head::header_slots();
    let request = match head::parse(bytes, &mut slots) {
        Parsed::Complete(request) => request,
        Parsed::NeedMore => {
            assert!(bytes.len() < HEAD_BYTES_MAX, "a full window is never left waiting");
            return;
        }
        Parsed::Refused(reject) => {
            assert!((400..=505).contains(&reject.status()));
            return;
        }
    };
    let used = request.head.len();
    assert!(used <= bytes.len() && request.head.ends_with(b"\r\n\r\n"));
    assert!(!request.head.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'));
    let path = &request.target.path;
    assert!(path.starts_with(b"/") || **path == *b"*");
    assert!(!path.contains(&0) && !path.split(|byte| *byte == b'/').any(|part| part == b".."));
    for cut in [used / 2, used.saturating_sub(1)] {
        let mut slots = head::header_slots();
        let begun = head::parse(&bytes[..cut], &mut slots);
        assert!(matches!(begun, Parsed::NeedMore), "a part of a good head only wants more");
    }
    let mut slots = head::header_slots();
    let again = head::parse(request.head, &mut slots);
    assert_eq!(format!("{again:?}"), format!("{:?}", Parsed::Complete(request)));
});
