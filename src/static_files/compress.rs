//! stub
use crate::request::accept_encoding::Coding;
pub fn compress(_: Coding, _: &[u8]) -> Option<Vec<u8>> {
    None
}
