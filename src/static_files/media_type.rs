//! A file's name to its media type, with the charset where the type is text.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The value of Content-Type for a file of this name. Unknown extensions are bytes, which a browser
/// saves instead of guessing.
#[must_use]
pub(super) fn of(name: &[u8]) -> String {
    let path = Path::new(OsStr::from_bytes(name));
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    let text = guess.type_() == mime_guess::mime::TEXT
        || matches!(guess.essence_str(), "application/javascript" | "application/json");
    if text { format!("{}; charset=utf-8", guess.essence_str()) } else { guess.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_to_types() {
        let cases: &[(&[u8], &str)] = &[
            (b"/index.html", "text/html; charset=utf-8"),
            (b"/a.b/style.CSS", "text/css; charset=utf-8"),
            (b"/app.js", "text/javascript; charset=utf-8"),
            (b"/data.json", "application/json; charset=utf-8"),
            (b"/logo.svg", "image/svg+xml"),
            (b"/photo.png", "image/png"),
            (b"/module.wasm", "application/wasm"),
            (b"/README", "application/octet-stream"),
            (b"/.html", "application/octet-stream"),
            (b"/caf\xe9.\xff", "application/octet-stream"),
        ];
        for (name, media_type) in cases {
            assert_eq!(of(name), *media_type);
        }
    }
}
