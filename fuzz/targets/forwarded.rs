//! Any two values in the fields of proxies: no panic, and what stands before a proxy's own word
//! changes nothing.

#![no_main]

use corelane_fuzz::address::HostTrust;
use corelane_fuzz::address::Proxies;
use corelane_fuzz::address::Proxy;
use corelane_fuzz::request::forwarded::peer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (before, word) = input;
    let ours = "10.0.0.0/8".parse().expect("a network");
    let proxies = Proxies::new(vec![Proxy::Network(ours), Proxy::Unix], HostTrust::Trusted);
    let remote = "10.0.0.1:80".parse().expect("an address");
    for name in ["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host"] {
        let field = |value| httparse::Header { name, value };
        let alone = peer(remote, &proxies, &[field(word)]);
        let apart = peer(remote, &proxies, &[field(before), field(word)]);
        let joined = [before, b", ", word].concat();
        let joined = peer(remote, &proxies, &[field(&joined)]);
        if !word.contains(&b'"') {
            assert_eq!(joined, apart, "two fields are one list");
        }
        // A word that ends at somebody who is no proxy of ours is the last one.
        let is_final = alone.address.ip().is_some_and(|ip| !ip.to_string().starts_with("10."));
        if is_final {
            assert_eq!(apart, alone);
        }
    }
});
