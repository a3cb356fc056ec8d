//! The hosts of a site, as the router compares them.
//!
//! It takes one text and gives the pattern or a sentence.

use crate::limits::HOST_BYTES_MAX;

/// A host name, a wildcard or an IP address, in lower case and without trailing dot.
pub(super) fn pattern(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.len() > HOST_BYTES_MAX {
        return Err(format!("a host of over {HOST_BYTES_MAX} bytes is no name: correct it"));
    }
    if let Some(inside) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return match inside.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(name),
            Err(_) => Err(format!("\"{text}\" is not an IPv6 address: write one such as [::1]")),
        };
    }
    if name == "*" {
        return Err("\"*\" is every host: remove the key hosts to serve every host".to_owned());
    }
    if let Some((host, port)) = name.rsplit_once(':')
        && !host.contains(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(format!("\"{text}\" has a port: write \"{host}\", every port is meant"));
    }
    let labels = name.strip_prefix("*.").unwrap_or(&name);
    let is_label = |label: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(is_part)
    };
    if labels.split('.').all(is_label) {
        return Ok(name);
    }
    if !text.is_ascii() {
        return Err(format!("\"{text}\" is not ASCII: write its xn-- form, as browsers send it"));
    }
    Err(format!("\"{text}\" is not a host: write one such as example.com or *.example.com"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, name) in [
            ("Example.COM.", "example.com"),
            ("*.example.com", "*.example.com"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("a_b.xn--caf-dma.fr", "a_b.xn--caf-dma.fr"),
        ] {
            assert_eq!(pattern(text), Ok(name.to_owned()), "{text}");
        }
        let long = "a".repeat(HOST_BYTES_MAX + 1);
        assert!(pattern(&long[1..]).is_ok());
        for (text, expected) in [
            ("*", "\"*\" is every host: remove the key hosts to serve every host"),
            ("a.b:80", "\"a.b:80\" has a port: write \"a.b\", every port is meant"),
            ("[::g]", "\"[::g]\" is not an IPv6 address: write one such as [::1]"),
            ("café.fr", "\"café.fr\" is not ASCII: write its xn-- form, as browsers send it"),
            ("", "\"\" is not a host: write one such as example.com or *.example.com"),
            ("a..b", "\"a..b\" is not a host: write one such as example.com or *.example.com"),
            ("*.*.b", "\"*.*.b\" is not a host: write one such as example.com or *.example.com"),
            ("a.*", "\"a.*\" is not a host: write one such as example.com or *.example.com"),
            ("::1", "\"::1\" is not a host: write one such as example.com or *.example.com"),
            (
                "http://a.b",
                "\"http://a.b\" is not a host: write one such as example.com or *.example.com",
            ),
            (&long, "a host of over 253 bytes is no name: correct it"),
        ] {
            assert_eq!(pattern(text), Err(expected.to_owned()), "{text}");
        }
    }
}
