//! The tests of `request/forwarded`.

use super::*;
use crate::address::Proxy;

/// Our proxies are 10.0.0.0/8, and the one that is connected is 10.0.0.1.
fn proxies(host: HostTrust) -> Proxies {
    Proxies::new(vec![Proxy::Network("10.0.0.0/8".parse().unwrap())], host)
}

fn told(fields: &[(&str, &str)]) -> Peer {
    told_to(&proxies(HostTrust::Trusted), fields)
}

fn told_to(proxies: &Proxies, fields: &[(&str, &str)]) -> Peer {
    let fields: Vec<httparse::Header<'_>> = fields
        .iter()
        .map(|(name, value)| httparse::Header { name, value: value.as_bytes() })
        .collect();
    peer("10.0.0.1:4711".parse().unwrap(), proxies, &fields)
}

/// `address scheme host`; the port only where it is known.
fn shown(peer: &Peer) -> String {
    let address = match (peer.address.ip(), peer.address.port()) {
        (Some(ip), None) => ip.to_string(),
        _ => peer.address.to_string(),
    };
    let scheme = match peer.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let host = peer.host.as_deref().map_or("-".into(), String::from_utf8_lossy);
    format!("{address} {scheme} {host}")
}

const NOTHING: &str = "10.0.0.1:4711 http -";

fn check(fields: &[(&str, &str)], expected: &str) {
    assert_eq!(shown(&told(fields)), expected, "{fields:?}");
}

#[test]
fn the_client_is_the_last_one_that_is_no_proxy() {
    let table = [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:80", "192.0.2.1:80"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unix:", "unix:"),
        ("  192.0.2.1\t", "192.0.2.1"),
        // What the client says of itself stands before what the proxy says.
        ("198.51.100.9, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1,192.0.2.1", "192.0.2.1"),
        ("garbage, \", 192.0.2.1", "192.0.2.1"),
        // Through several of our proxies.
        ("198.51.100.9, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("198.51.100.9, 192.0.2.1, 10.0.0.3, 10.0.0.2:5", "192.0.2.1"),
        ("192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        // What is malformed ends the reading: the last one that was told counts.
        ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1, , 10.0.0.2", "10.0.0.2"),
    ];
    for (value, address) in table {
        check(&[("X-Forwarded-For", value)], &format!("{address} http -"));
    }
}

#[test]
fn what_is_malformed_counts_for_nothing() {
    for value in [
        "",
        " ",
        ",",
        "192.0.2.1,",
        "192.0.2.1, unknown",
        "192.0.2.1 10.0.0.2",
        "192.0.2.256",
        "192.0.2.01",
        "192.0.2.1:",
        "192.0.2.1:x",
        "192.0.2.1:65536",
        "[192.0.2.1]",
        "[2001:db8::1",
        "2001:db8::1]",
        "2001:db8::1%eth0",
        "_hidden",
        "localhost",
        "for=192.0.2.1",
        "\"192.0.2.1\"",
        "192.0.2.1\u{e9}",
    ] {
        check(&[("X-Forwarded-For", value)], NOTHING);
    }
    for value in ["", "ftp", "httpss", "https:", "https http", "on", "https,", "https, wss"] {
        check(&[("X-Forwarded-Proto", value)], NOTHING);
    }
    for value in ["", "a b", "a/b", "a@b", "a:x", "a,", "a, b c", "[::1", "a\u{e9}"] {
        check(&[("X-Forwarded-Host", value)], NOTHING);
    }
    check(&[], NOTHING);
    check(&[("X-Forwarded", "for=192.0.2.1"), ("X-Real-IP", "192.0.2.1")], NOTHING);
}

#[test]
fn scheme_and_host_are_those_that_the_client_used() {
    let https = ("X-Forwarded-Proto", "https");
    check(&[https], "10.0.0.1:4711 https -");
    check(&[("x-forwarded-proto", "HTTPS")], "10.0.0.1:4711 https -");
    check(&[("X-Forwarded-Proto", "http")], NOTHING);
    check(&[("X-Forwarded-Host", "a.example:81")], "10.0.0.1:4711 http a.example:81");
    let one_hop = ("X-Forwarded-For", "192.0.2.1");
    let two_hops = ("X-Forwarded-For", "192.0.2.1, 10.0.0.2");
    // The client's own word stands before the proxy's.
    check(&[one_hop, ("X-Forwarded-Proto", "https, http")], "192.0.2.1 http -");
    check(&[one_hop, ("X-Forwarded-Host", "evil, good")], "192.0.2.1 http good");
    // Two proxies that both add, and two of which the inner one passes on.
    check(&[two_hops, ("X-Forwarded-Proto", "https, http")], "192.0.2.1 https -");
    check(&[two_hops, ("X-Forwarded-Proto", "http, https, http")], "192.0.2.1 https -");
    check(&[two_hops, https], "192.0.2.1 https -");
    check(&[two_hops, ("X-Forwarded-Host", "evil, good, inner")], "192.0.2.1 http good");
}

#[test]
fn several_fields_are_one_list() {
    let split = [("X-Forwarded-For", "198.51.100.9, 192.0.2.1"), ("x-forwarded-for", "10.0.0.2")];
    check(&split, "192.0.2.1 http -");
    let with_others = [
        ("Forwarded", "for=198.51.100.9"),
        ("Host", "a"),
        ("Forwarded", "for=192.0.2.1;proto=https, for=10.0.0.2"),
    ];
    check(&with_others, "192.0.2.1 https -");
}

#[test]
fn elements_of_forwarded() {
    let table = [
        ("for=192.0.2.1", "192.0.2.1 http -"),
        ("For=192.0.2.1;Proto=HTTPS;Host=a.example;by=10.0.0.1", "192.0.2.1 https a.example"),
        ("for=\"192.0.2.1:80\"", "192.0.2.1:80 http -"),
        ("for=\"[2001:db8::1]:80\";host=\"a.example:81\"", "[2001:db8::1]:80 http a.example:81"),
        ("for=\"[2001:db8::1]\"", "2001:db8::1 http -"),
        ("for=\"192.0.2.1:_port\"", "192.0.2.1 http -"),
        ("for=192.0.2.1; proto=https ;", "192.0.2.1 https -"),
        (";for=192.0.2.1;;ext=\"a;b, c\"", "192.0.2.1 http -"),
        ("for=198.51.100.9;proto=https, for=192.0.2.1", "192.0.2.1 http -"),
        ("for=192.0.2.1;proto=https, for=10.0.0.2;proto=http", "192.0.2.1 https -"),
        // A proxy that keeps its client to itself: the rest of what it says counts.
        ("for=unknown;proto=https", "10.0.0.1:4711 https -"),
        ("for=192.0.2.1, for=_hidden;proto=https", "10.0.0.1:4711 https -"),
        ("for=192.0.2.1, for=unknown;host=a, for=10.0.0.2;host=b", "10.0.0.2 http a"),
        ("proto=https", "10.0.0.1:4711 https -"),
        // The host is the client's choice, and cannot hide its address.
        ("for=192.0.2.1;host=\"a b\";proto=wss", "192.0.2.1 http -"),
        // A stranger's open quote ends where the proxy's word begins.
        ("for=\", for=192.0.2.1;proto=https", "192.0.2.1 https -"),
        ("for=198.51.100.9;x=\", for=\"[2001:db8::1]\"", "2001:db8::1 http -"),
        ("\"\"\", for=192.0.2.1", "192.0.2.1 http -"),
    ];
    for (value, expected) in table {
        check(&[("Forwarded", value)], expected);
    }
}

#[test]
fn wrong_elements_of_forwarded_count_for_nothing() {
    for value in [
        "",
        "192.0.2.1",
        "for",
        "for 192.0.2.1",
        "for =192.0.2.1",
        "for= 192.0.2.1",
        "=192.0.2.1",
        "for=",
        "for=192.0.2.1:80",
        "for=[2001:db8::1]",
        "for=2001:db8::1",
        "for=\"192.0.2.1",
        "for=192.0.2.1\"",
        "for=\"192.0.2.1\"x",
        "for=\"192.0.2.\\1\"",
        "for=192.0.2.1;for=192.0.2.1",
        "proto=https;proto=https",
        "for=192.0.2.1;a b=c",
        "for=192.0.2.1,",
        "for=192.0.2.1, bad element",
    ] {
        check(&[("Forwarded", value)], NOTHING);
    }
}

/// A client that says nonsense as its Host, to a proxy that passes it on, still has its address.
#[test]
fn a_wrong_host_of_forwarded_hides_no_address() {
    for host in ["a:80", "a b", "", "\"\"", "\"a/b\"", "\"u@a\""] {
        for value in [format!("for=192.0.2.1;host={host}"), format!("host={host};for=192.0.2.1")] {
            check(&[("Forwarded", &value)], "192.0.2.1 http -");
        }
    }
    check(&[("Forwarded", "host=a:80;for=192.0.2.1;host=a:80")], NOTHING);
}

#[test]
fn where_the_two_kinds_disagree_neither_is_believed() {
    let usual = ("X-Forwarded-For", "192.0.2.1");
    check(&[usual, ("Forwarded", "for=\"192.0.2.1:80\"")], "192.0.2.1 http -");
    check(&[usual, ("Forwarded", "for=198.51.100.9")], NOTHING);
    check(&[usual, ("Forwarded", "for=unknown")], "192.0.2.1 http -");
    check(&[usual, ("Forwarded", "nonsense")], "192.0.2.1 http -");
    let https = ("X-Forwarded-Proto", "https");
    check(&[https, ("Forwarded", "proto=https")], "10.0.0.1:4711 https -");
    check(&[https, ("Forwarded", "proto=http")], NOTHING);
    let host = ("X-Forwarded-Host", "a.example");
    check(&[host, ("Forwarded", "host=A.example")], "10.0.0.1:4711 http a.example");
    check(&[host, ("Forwarded", "host=b.example")], NOTHING);
}

#[test]
fn the_host_counts_only_where_it_is_trusted() {
    let fields = [("X-Forwarded-Host", "a"), ("X-Forwarded-For", "192.0.2.1")];
    assert_eq!(shown(&told_to(&proxies(HostTrust::Ignored), &fields)), "192.0.2.1 http -");
    assert_eq!(shown(&told_to(&proxies(HostTrust::Trusted), &fields)), "192.0.2.1 http a");
}

#[test]
fn of_anybody_only_the_last_word_counts() {
    let anybody = Proxies::new(vec![Proxy::Anybody], HostTrust::Ignored);
    let fields = [("X-Forwarded-For", "198.51.100.9, 192.0.2.1"), ("X-Forwarded-Proto", "https")];
    assert_eq!(shown(&told_to(&anybody, &fields)), "192.0.2.1 https -");
    let unix = Proxies::new(vec![Proxy::Unix], HostTrust::Ignored);
    let fields = [("X-Forwarded-For", "198.51.100.9, 192.0.2.1, unix:")];
    assert_eq!(shown(&told_to(&unix, &fields)), "192.0.2.1 http -");
}

/// Every node of the random lists, and its address: the slow twin looks here.
const NODES: [(&str, Option<&str>); 8] = [
    ("192.0.2.1", Some("192.0.2.1:0")),
    ("198.51.100.9:80", Some("198.51.100.9:80")),
    ("[2001:db8::1]", Some("[2001:db8::1]:0")),
    ("10.0.0.2", Some("10.0.0.2:0")),
    ("10.1.2.3:81", Some("10.1.2.3:81")),
    ("[::ffff:10.0.0.5]:82", Some("[::ffff:10.0.0.5]:82")),
    ("unknown", None),
    ("_x", None),
];

fn slow_node(text: &str) -> Option<Address> {
    let address = NODES.iter().find(|(node, _)| *node == text).and_then(|(_, address)| *address);
    address.map(|address| address.parse().unwrap())
}

fn slow_is_ours(address: Address) -> bool {
    address.ip().unwrap().to_string().starts_with("10.")
}

fn random() -> impl FnMut(usize) -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    }
}

#[test]
fn random_lists_are_read_as_the_twin_reads_them() {
    const ROUNDS: usize = if cfg!(miri) { 15 } else { 5_000 };
    let mut random = random();
    for _ in 0..ROUNDS {
        let mut list = |count: usize, words: &[&str]| -> Vec<String> {
            (0..random(count + 1)).map(|_| words[random(words.len())].to_owned()).collect()
        };
        let nodes = list(5, &NODES.map(|(node, _)| node));
        let schemes = list(4, &["http", "https", "ftp"]);
        let hosts = list(4, &["a", "b:81", "not a host"]);

        // The twin pops from the end.
        let (mut address, mut used) = (None, 0);
        let mut left = nodes.clone();
        while let Some(named) = left.pop().and_then(|last| slow_node(&last)) {
            address = Some(named);
            used += 1;
            if !slow_is_ours(named) {
                break;
            }
        }
        let of_client = |list: &[String]| {
            let from_end = used.max(1).min(list.len());
            list.get(list.len() - from_end).cloned().unwrap_or_default()
        };
        let host = of_client(&hosts);
        let expected = Peer {
            address: address.unwrap_or("10.0.0.1:4711".parse().unwrap()),
            scheme: if of_client(&schemes) == "https" { Scheme::Https } else { Scheme::Http },
            host: ["a", "b:81"].contains(&&*host).then(|| host.into_bytes()),
        };

        // As one field or as one for each.
        let joined = [("X-Forwarded-For", &nodes), ("X-Forwarded-Proto", &schemes)];
        let joined = [&joined[..], &[("X-Forwarded-Host", &hosts)]].concat();
        let given = joined.into_iter().filter(|(_, list)| !list.is_empty());
        let joined: Vec<(&str, String)> = given.map(|(n, list)| (n, list.join(" ,"))).collect();
        let joined: Vec<(&str, &str)> = joined.iter().map(|(n, value)| (*n, &**value)).collect();
        assert_eq!(told(&joined), expected, "{joined:?}");
        let each = |name, list: &'_ [String]| -> Vec<(&'static str, String)> {
            list.iter().map(|member| (name, member.clone())).collect()
        };
        let apart = [
            each("X-Forwarded-For", &nodes),
            each("X-Forwarded-Proto", &schemes),
            each("X-Forwarded-Host", &hosts),
        ]
        .concat();
        let apart: Vec<(&str, &str)> = apart.iter().map(|(n, value)| (*n, &**value)).collect();
        assert_eq!(told(&apart), expected, "{apart:?}");
    }
}

#[test]
fn what_a_stranger_has_put_before_changes_nothing() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 20_000 };
    let mut random = random();
    let pieces = [
        "\"",
        "\\",
        ",",
        ";",
        "=",
        " ",
        "for",
        "proto=https",
        "for=198.51.100.9",
        "host=evil",
        "for=\"198.51.100.9",
        "x",
        "\t",
        "10.0.0.2",
    ];
    let words = [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-For", "192.0.2.1, 10.0.0.2"),
        ("Forwarded", "for=192.0.2.1;proto=https;host=a"),
        ("Forwarded", "for=\"[2001:db8::1]:80\";host=\"a:81\", for=10.0.0.2;proto=http"),
        ("Forwarded", "proto=https;for=\"192.0.2.1\""),
    ];
    for round in 0..ROUNDS {
        let (name, word) = words[round % words.len()];
        let alone = told(&[(name, word)]);
        let before: String = (0..random(8)).map(|_| pieces[random(pieces.len())]).collect();
        let behind = format!("{before}, {word}");
        assert_eq!(told(&[(name, behind.as_str())]), alone, "{behind}");
        assert_eq!(told(&[(name, before.as_str()), (name, word)]), alone, "{before}");
    }
}

#[test]
fn a_peer_that_speaks_for_itself() {
    let plain: Peer = "192.0.2.1:5".parse().unwrap();
    assert_eq!(plain, Peer::from(plain.address));
    assert_eq!((plain.scheme, plain.host), (Scheme::Http, None));
}
