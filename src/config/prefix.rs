//! Paths of a site as the operator writes them: decoded, and such as a request can have.
//!
//! It takes one text and gives the path or a sentence.

use crate::route::Slash;

/// The prefix without trailing slash, and whether it had one. The request's path is compared in its
/// decoded form, so the prefix must be one that a decoded path can have.
pub(super) fn prefix(text: &str) -> Result<(String, Slash), String> {
    if !text.starts_with('/') {
        return Err(format!("\"{text}\" does not begin with a slash: write \"/{text}\""));
    }
    if text == "/" {
        return Ok((String::new(), Slash::Optional));
    }
    let bare = text.strip_suffix('/').unwrap_or(text);
    let slash = if bare.len() < text.len() { Slash::Required } else { Slash::Optional };
    if bare.contains('*') {
        let below = slashed(bare.split('*').next().unwrap_or_default().trim_end_matches('/'));
        return Err(format!(
            "\"{text}\" has a star, but a path owns all below it already: write \"{below}\""
        ));
    }
    check_decoded(text, bare)?;
    Ok((bare.to_owned(), slash))
}

/// A file beneath a folder, with its leading slash.
pub(super) fn file(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        let bare = text.strip_prefix("./").unwrap_or(text);
        return Err(format!("\"{text}\" does not begin with a slash: write \"/{bare}\""));
    }
    if text.ends_with('/') {
        return Err(format!("\"{text}\" names a folder: write the file, \"{text}index.html\""));
    }
    check_decoded(text, text)?;
    Ok(text.to_owned())
}

/// Refuses what no decoded path of a request has.
fn check_decoded(text: &str, bare: &str) -> Result<(), String> {
    if bare.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(format!(
            "\"{text}\" has an empty or dotted segment, which no request has: remove it"
        ));
    }
    if bare.contains(['?', '#']) {
        return Err(format!("\"{text}\" has a query or fragment: write the path alone"));
    }
    if bare.chars().any(char::is_control) {
        return Err(format!("{text:?} has a control character: remove it"));
    }
    if has_escape(bare) {
        return Err(format!("\"{text}\" is percent-encoded: write the characters themselves"));
    }
    Ok(())
}

fn has_escape(text: &str) -> bool {
    text.as_bytes().windows(3).any(|window| match window {
        [b'%', high, low] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    })
}

/// A prefix as a person writes it.
pub(super) fn slashed(prefix: &str) -> String {
    if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        use Slash::{Optional, Required};
        for (text, bare, slash) in [
            ("/", "", Optional),
            ("/book", "/book", Optional),
            ("/book/", "/book", Required),
            ("/a/b.c/..d/", "/a/b.c/..d", Required),
            ("/café 100%", "/café 100%", Optional),
        ] {
            assert_eq!(prefix(text), Ok((bare.to_owned(), slash)), "{text}");
        }
        for (text, expected) in [
            ("", "\"\" does not begin with a slash: write \"/\""),
            ("book", "\"book\" does not begin with a slash: write \"/book\""),
            (
                "/static/*",
                "\"/static/*\" has a star, but a path owns all below it already: write \"/static\"",
            ),
            ("/*", "\"/*\" has a star, but a path owns all below it already: write \"/\""),
            ("//", "\"//\" has an empty or dotted segment, which no request has: remove it"),
            ("/a//b", "\"/a//b\" has an empty or dotted segment, which no request has: remove it"),
            (
                "/a/../b",
                "\"/a/../b\" has an empty or dotted segment, which no request has: remove it",
            ),
            ("/./", "\"/./\" has an empty or dotted segment, which no request has: remove it"),
            ("/a?b", "\"/a?b\" has a query or fragment: write the path alone"),
            ("/a#b", "\"/a#b\" has a query or fragment: write the path alone"),
            ("/a\n", "\"/a\\n\" has a control character: remove it"),
            ("/caf%C3%A9", "\"/caf%C3%A9\" is percent-encoded: write the characters themselves"),
        ] {
            assert_eq!(prefix(text), Err(expected.to_owned()), "{text}");
        }
    }
}
