//! Any text as a request-target: no panic, a path that stays below the root, and the same path when
//! it is encoded again.

#![no_main]

use corelane_fuzz::request::Method;
use corelane_fuzz::request::target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &str| {
    for method in [Method::Get, Method::Options] {
        let Ok((parsed, authority)) = target::parse(method, raw) else { continue };
        let path = &*parsed.path;
        assert!(authority.is_none_or(|authority| !authority.contains(&b'@')));
        if path == b"*" {
            continue;
        }
        assert!(path.starts_with(b"/") && !path.contains(&0));
        assert!(!path.split(|byte| *byte == b'/').any(|part| part == b"." || part == b".."));
        let encoded: String = path.iter().map(|byte| format!("%{byte:02x}")).collect();
        let again = format!("/{}", &encoded["%2f".len()..]);
        let (again, _) = target::parse(method, &again).expect("a resolved path is a good one");
        assert_eq!(&*again.path, path);
    }
});
