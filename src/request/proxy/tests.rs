//! The tests of `request/proxy`.

use super::*;

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn client(remote: &str, local: &str) -> Announced {
    Announced::Client { remote: address(remote), local: address(local) }
}

/// A binary header, put together from its parts.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, block].concat()
}

const IPV4_BLOCK: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 0, 80];

fn ipv6_block() -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    [&ip("2001:db8::1")[..], &ip("2001:db8::2"), &[0xff, 0xff, 0, 0]].concat()
}

/// The slow twin: has all bytes, reads the line by hand and the binary form by its offsets.
fn slow(bytes: &[u8]) -> Parsed {
    if bytes.len() >= 12 && bytes[..12] == *SIGNATURE {
        return slow_binary(bytes);
    }
    if bytes.len() >= 6 && bytes[..6] == *b"PROXY " {
        return slow_line(bytes);
    }
    match SIGNATURE.starts_with(bytes) || b"PROXY ".starts_with(bytes) {
        true => Parsed::NeedMore,
        false => Parsed::Refused(Refusal::NoHeader),
    }
}

fn slow_binary(bytes: &[u8]) -> Parsed {
    if bytes.len() < 16 {
        return Parsed::NeedMore;
    }
    if bytes[12] / 16 != 2 {
        return Parsed::Refused(Refusal::Version);
    }
    if bytes[12] % 16 > 1 {
        return Parsed::Refused(Refusal::Command);
    }
    let is_local = bytes[12] == 0x20;
    let wanted = match bytes[13] {
        _ if is_local => 0,
        0 => 0,
        0x11 => 4 + 4 + 2 + 2,
        0x21 => 16 + 16 + 2 + 2,
        0x31 => 108 + 108,
        _ => return Parsed::Refused(Refusal::Family),
    };
    let length = usize::from(bytes[14]) * 256 + usize::from(bytes[15]);
    if length < wanted {
        return Parsed::Refused(Refusal::AddressesCut);
    }
    if 16 + length > 4096 {
        return Parsed::Refused(Refusal::TooLong);
    }
    if bytes.len() < 16 + length {
        return Parsed::NeedMore;
    }
    let port = |at: usize| u16::from(bytes[at]) * 256 + u16::from(bytes[at + 1]);
    let ipv4 = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    let ipv6 = |at: usize| {
        let mut groups = [0; 8];
        for (place, group) in groups.iter_mut().enumerate() {
            *group = port(at + 2 * place);
        }
        Ipv6Addr::from(groups)
    };
    let announced = match wanted {
        12 => Announced::Client {
            remote: SocketAddr::new(ipv4(16).into(), port(24)).into(),
            local: SocketAddr::new(ipv4(20).into(), port(26)).into(),
        },
        36 => Announced::Client {
            remote: SocketAddr::new(ipv6(16).into(), port(48)).into(),
            local: SocketAddr::new(ipv6(32).into(), port(50)).into(),
        },
        216 => Announced::Client { remote: Address::Unix, local: Address::Unix },
        _ => Announced::Nobody,
    };
    Parsed::Complete(Header { used_bytes: 16 + length, announced })
}

fn slow_line(bytes: &[u8]) -> Parsed {
    let mut line = Vec::new();
    for byte in bytes.iter().take(107) {
        line.push(*byte);
        if *byte == b'\n' {
            break;
        }
    }
    match (line.last(), line.len()) {
        (Some(b'\n'), _) => {}
        (_, 107) => return Parsed::Refused(Refusal::LineTooLong),
        _ => return Parsed::NeedMore,
    }
    let used_bytes = line.len();
    line.pop();
    if line.pop() != Some(b'\r') {
        return Parsed::Refused(Refusal::LineEnd);
    }
    match slow_announced(&line) {
        Some(announced) => Parsed::Complete(Header { used_bytes, announced }),
        None => Parsed::Refused(Refusal::Line),
    }
}

fn slow_announced(line: &[u8]) -> Option<Announced> {
    let text = String::from_utf8(line.to_vec()).ok()?;
    let rest = text.strip_prefix("PROXY ")?;
    if rest == "UNKNOWN" || (rest.starts_with("UNKNOWN ") && !rest.contains('\r')) {
        return Some(Announced::Nobody);
    }
    let mut parts = rest.split(' ').map(str::to_owned);
    let (family, source, destination) = (parts.next()?, parts.next()?, parts.next()?);
    let (source_port, destination_port) = (parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let ip = |text: &str| {
        let ip: IpAddr = text.parse().ok()?;
        (ip.is_ipv4() == (family == "TCP4") && ["TCP4", "TCP6"].contains(&&*family)).then_some(ip)
    };
    // Its own digits are what a number is written with.
    let port = |text: &str| {
        let number: u16 = text.parse().ok()?;
        (number.to_string() == text).then_some(number)
    };
    Some(Announced::Client {
        remote: SocketAddr::new(ip(&source)?, port(&source_port)?).into(),
        local: SocketAddr::new(ip(&destination)?, port(&destination_port)?).into(),
    })
}

/// What a reader comes to that asks again with each further byte.
fn byte_by_byte(bytes: &[u8]) -> Parsed {
    let outcomes = (0..=bytes.len()).map(|count| parse(&bytes[..count]));
    let mut last = Parsed::NeedMore;
    for outcome in outcomes {
        last = outcome;
        if last != Parsed::NeedMore {
            break;
        }
    }
    last
}

/// Whole, and with every byte as the last one that has come: more bytes never change an outcome.
fn check(bytes: &[u8]) -> Parsed {
    let whole = parse(bytes);
    assert_eq!(whole, slow(bytes), "{}", bytes.escape_ascii());
    assert_eq!(byte_by_byte(bytes), whole, "{}", bytes.escape_ascii());
    let step = if cfg!(miri) { 5 } else { 1 };
    for cut in (0..bytes.len()).step_by(step) {
        let begun = parse(&bytes[..cut]);
        assert_eq!(begun, slow(&bytes[..cut]), "cut at {cut}: {}", bytes.escape_ascii());
        assert!(begun == Parsed::NeedMore || begun == whole, "{}", bytes.escape_ascii());
    }
    whole
}

/// Asserts a whole header, alone and with a request behind it.
fn complete(header: &[u8], announced: Announced) {
    let expected = Parsed::Complete(Header { used_bytes: header.len(), announced });
    assert_eq!(check(header), expected);
    assert_eq!(check(&[header, b"GET / HTTP/1.1\r\n"].concat()), expected);
    assert_eq!(check(&[header, header].concat()), expected);
    assert_eq!(parse(&header[..header.len() - 1]), Parsed::NeedMore);
}

fn refused(bytes: &[u8], refusal: Refusal) {
    assert_eq!(check(bytes), Parsed::Refused(refusal), "{}", bytes.escape_ascii());
}

#[test]
fn lines() {
    let four = client("192.0.2.1:56324", "198.51.100.2:443");
    complete(b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", four);
    let six = client("[2001:db8::1]:0", "[::ffff:192.0.2.1]:65535");
    complete(b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 0 65535\r\n", six);
    complete(b"PROXY UNKNOWN\r\n", Announced::Nobody);
    complete(b"PROXY UNKNOWN \r\n", Announced::Nobody);
    complete(b"PROXY UNKNOWN ffff::1 whatever  this is\r\n", Announced::Nobody);
    // The longest one that the specification allows.
    let all = ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"; 2].join(" ");
    let longest = format!("PROXY UNKNOWN {all} 65535 65535\r\n");
    assert_eq!(longest.len(), 107);
    complete(longest.as_bytes(), Announced::Nobody);
}

#[test]
fn wrong_lines() {
    for line in [
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1\t192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 00 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 0x1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 99999999999\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 ::1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 [::1] [::1] 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY UNKNOWN a\rb\r\n",
        "PROXY localhost HTTP/1.1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 \u{e9} 2\r\n",
    ] {
        refused(line.as_bytes(), Refusal::Line);
    }
    refused(b"PROXY UNKNOWN \xff\r\n", Refusal::Line);
    refused(b"PROXY UNKNOWN\n", Refusal::LineEnd);
    refused(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n", Refusal::LineEnd);
    refused(format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)).as_bytes(), Refusal::LineTooLong);
    refused(format!("PROXY UNKNOWN {}", "x".repeat(300)).as_bytes(), Refusal::LineTooLong);
}

#[test]
fn binary_headers() {
    let four = client("192.0.2.1:4711", "198.51.100.2:80");
    let six = client("[2001:db8::1]:65535", "[2001:db8::2]:0");
    let unix = Announced::Client { remote: Address::Unix, local: Address::Unix };
    let tlvs = [&[0x04, 0, 3][..], b"abc", &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
    complete(&binary(0x21, 0x11, IPV4_BLOCK), four);
    complete(&binary(0x21, 0x21, &ipv6_block()), six);
    complete(&binary(0x21, 0x31, &[b'/'; 216]), unix);
    complete(&binary(0x21, 0x11, &[IPV4_BLOCK, &tlvs].concat()), four);
    complete(&binary(0x21, 0x21, &[&ipv6_block()[..], &tlvs].concat()), six);
    // TLVs are skipped, not read: what they hold may be anything.
    complete(&binary(0x21, 0x11, &[IPV4_BLOCK, &[0xff; 7]].concat()), four);
    complete(&binary(0x21, 0x00, b""), Announced::Nobody);
    complete(&binary(0x21, 0x00, &tlvs), Announced::Nobody);
    for family in [0x00, 0x11, 0x12, 0x21, 0x31, 0x44, 0xff] {
        complete(&binary(0x20, family, b""), Announced::Nobody);
        complete(&binary(0x20, family, IPV4_BLOCK), Announced::Nobody);
    }
}

#[test]
fn wrong_binary_headers() {
    for command in [0x00, 0x01, 0x10, 0x11, 0x30, 0x31, 0xf1, 0x0a, b'P'] {
        refused(&binary(command, 0x11, IPV4_BLOCK), Refusal::Version);
    }
    for command in [0x22, 0x23, 0x2f] {
        refused(&binary(command, 0x11, IPV4_BLOCK), Refusal::Command);
    }
    for family in [0x01, 0x02, 0x10, 0x12, 0x13, 0x20, 0x22, 0x30, 0x32, 0x41, 0xff] {
        refused(&binary(0x21, family, &[0; 216]), Refusal::Family);
    }
    refused(&binary(0x21, 0x11, &IPV4_BLOCK[..11]), Refusal::AddressesCut);
    refused(&binary(0x21, 0x11, b""), Refusal::AddressesCut);
    refused(&binary(0x21, 0x21, &[0; 35]), Refusal::AddressesCut);
    refused(&binary(0x21, 0x31, &[0; 215]), Refusal::AddressesCut);
}

#[test]
#[cfg_attr(miri, ignore = "kilobytes, cut at every byte")]
fn a_header_has_its_bound() {
    let most = PROXY_HEADER_BYTES_MAX - FIXED_BYTES;
    let block = |bytes: usize| [IPV4_BLOCK, &vec![0; bytes - IPV4_BLOCK.len()]].concat();
    complete(&binary(0x21, 0x11, &block(most)), client("192.0.2.1:4711", "198.51.100.2:80"));
    // Told by its length, before any of it has come.
    let over = binary(0x21, 0x11, &block(most + 1));
    assert_eq!(parse(&over[..FIXED_BYTES]), Parsed::Refused(Refusal::TooLong));
    let over = binary(0x20, 0x00, &[0; 65535]);
    assert_eq!(parse(&over[..FIXED_BYTES]), Parsed::Refused(Refusal::TooLong));
}

#[test]
fn anything_else_is_refused_at_its_first_wrong_byte() {
    for text in ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\0\x01\0", "\n", " PROXY UNKNOWN\r\n"] {
        assert_eq!(check(text.as_bytes()), Parsed::Refused(Refusal::NoHeader));
        assert_eq!(parse(&text.as_bytes()[..1]), Parsed::Refused(Refusal::NoHeader), "{text:?}");
    }
    for text in ["POST / HTTP/1.1\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\n", "PROXYTCP4", "Proxy "] {
        refused(text.as_bytes(), Refusal::NoHeader);
    }
    assert_eq!(parse(b""), Parsed::NeedMore);
}

#[test]
fn mutated_headers_are_read_as_the_twin_reads_them() {
    const ROUNDS: usize = if cfg!(miri) { 30 } else { 20_000 };
    let seeds = [
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(),
        b"PROXY UNKNOWN a b\r\n".to_vec(),
        binary(0x21, 0x11, IPV4_BLOCK),
        binary(0x21, 0x21, &ipv6_block()),
        binary(0x20, 0x00, b"abc"),
        binary(0x21, 0x31, &[b'x'; 220]),
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let mut outcomes = std::collections::HashSet::new();
    for round in 0..ROUNDS {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random(3) {
            let at = random(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match random(4) {
                0 => bytes.insert(at, b" \r\n0\xff"[random(5)]),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => bytes[at] = u8::try_from(random(256)).unwrap(),
                _ => bytes[at] ^= 1 << random(8),
            }
        }
        let parsed = parse(&bytes);
        assert_eq!(parsed, slow(&bytes), "{}", bytes.escape_ascii());
        assert_eq!(byte_by_byte(&bytes), parsed, "{}", bytes.escape_ascii());
        outcomes.insert(std::mem::discriminant(&parsed));
        if let Parsed::Refused(refusal) = parsed {
            assert!(!refusal.reason().is_empty());
        }
    }
    assert_eq!(outcomes.len(), 3, "the mutations reach every kind of outcome");
}
