//! Which fields the operator may set on answers.
//!
//! It takes a name and a value, and says what is wrong with them. It does not know what answers
//! there are.

use crate::request::head::is_token;

/// Says what is wrong with a field that shall be set on answers, and what to write instead.
///
/// # Errors
///
/// When the name is no token, the value is not one line of plain ASCII, or the field is one that
/// the server alone can know.
pub fn check_field(name: &str, value: &str) -> Result<(), String> {
    if !is_token(name.as_bytes()) {
        return Err(format!("{name:?} is no header name: write one such as X-Frame-Options"));
    }
    let owner = OWNED.iter().find(|(owned, _)| name.eq_ignore_ascii_case(owned));
    if let Some((_, why)) = owner {
        return Err(format!("\"{name}\" {why}"));
    }
    if value.trim().is_empty() {
        return Err(format!("\"{name}\" has no value: write one, or remove it"));
    }
    if value != value.trim_matches(' ') {
        return Err(format!("\"{name}\" has a value with spaces around it: remove them"));
    }
    match value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => Ok(()),
        false => Err(format!("{value:?} is not one line of plain ASCII: remove the rest")),
    }
}

const FRAMING: &str = "tells where the answer ends, which the server decides: remove it";
const CONNECTION: &str = "speaks of the connection, which is the server's: remove it";
const CONTENT: &str = "must be right for the bytes that are sent: remove it, the server sets it";

/// Fields that nobody else may set, and why.
const OWNED: [(&str, &str); 23] = [
    ("Content-Length", FRAMING),
    ("Transfer-Encoding", FRAMING),
    ("Trailer", FRAMING),
    ("Trailers", FRAMING),
    ("Connection", CONNECTION),
    ("Keep-Alive", CONNECTION),
    ("Proxy-Connection", CONNECTION),
    ("Upgrade", CONNECTION),
    ("TE", CONNECTION),
    ("Proxy-Authenticate", CONNECTION),
    ("Proxy-Authorization", CONNECTION),
    ("Proxy-Authentication-Info", CONNECTION),
    ("Content-Range", CONTENT),
    ("Content-Encoding", CONTENT),
    ("Accept-Ranges", CONTENT),
    ("ETag", CONTENT),
    ("Last-Modified", CONTENT),
    ("Content-MD5", CONTENT),
    ("Content-Digest", CONTENT),
    ("Repr-Digest", CONTENT),
    ("Date", "tells when the answer was made: remove it, the server sets it"),
    ("Location", "belongs to a redirect: write a redirect"),
    ("WWW-Authenticate", "asks for a password: write who may have access"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let table = [
            ("Cache-Control", "max-age=31536000, immutable", None),
            ("x-robots-tag", "noindex", None),
            ("Content-Type", "text/plain; charset=utf-8", None),
            ("Vary", "Accept", None),
            ("Date2", "x", None),
            ("", "x", Some("is no header name")),
            ("X Y", "x", Some("is no header name")),
            ("X:", "x", Some("is no header name")),
            ("X\r\nY", "x", Some("\"X\\r\\nY\" is no header name")),
            ("é", "x", Some("is no header name")),
            ("X", "", Some("\"X\" has no value: write one, or remove it")),
            ("X", "  ", Some("has no value")),
            ("X", " a", Some("spaces around it")),
            ("X", "a\r\nSet-Cookie: b", Some("\"a\\r\\nSet-Cookie: b\" is not one line")),
            ("X", "a\tb", Some("is not one line")),
            ("X", "é", Some("is not one line")),
            ("content-length", "5", Some("\"content-length\" tells where the answer ends")),
            ("TRANSFER-ENCODING", "chunked", Some("tells where")),
            ("connection", "close", Some("speaks of the connection")),
            ("te", "trailers", Some("speaks of the connection")),
            ("etag", "\"1\"", Some("must be right for the bytes")),
            ("Content-Encoding", "br", Some("must be right for the bytes")),
            ("DATE", "today", Some("the server sets it")),
            ("Location", "/", Some("write a redirect")),
            ("WWW-Authenticate", "Basic", Some("asks for a password")),
        ];
        for (name, value, expected) in table {
            match (check_field(name, value), expected) {
                (Ok(()), None) => {}
                (Err(text), Some(part)) => assert!(text.contains(part), "{text}"),
                (result, _) => panic!("{name:?} {value:?}: {result:?}"),
            }
        }
    }
}
