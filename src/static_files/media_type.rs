//! stub
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
#[derive(Clone, Debug)]
pub struct MediaType {
    pub value: String,
    pub weight: Weight,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Packed,
    Opaque,
    Text,
}
pub(super) struct Types;
impl Types {
    pub(super) fn new(_: &[(String, String)]) -> Self {
        Self
    }
    pub(super) fn of(&self, name: &[u8]) -> MediaType {
        let path = Path::new(OsStr::from_bytes(name));
        let guess = mime_guess::from_path(path).first_or_octet_stream();
        let text = guess.type_() == mime_guess::mime::TEXT
            || matches!(guess.essence_str(), "application/javascript" | "application/json");
        let value = if text {
            format!("{}; charset=utf-8", guess.essence_str())
        } else {
            guess.to_string()
        };
        MediaType {
            weight: if text {
                Weight::Text
            } else if value == "application/octet-stream" {
                Weight::Opaque
            } else {
                Weight::Packed
            },
            value,
        }
    }
}
