//! stub
use crate::static_files::listing::Completeness;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
}
pub struct Listed {
    pub name: Vec<u8>,
    pub kind: Kind,
    pub size_bytes: u64,
    pub modified_unix_seconds: u64,
}
pub fn sort(_: &mut [Listed]) {}
pub(super) fn html(_: &[u8], _: &[Listed], _: Completeness) -> Vec<u8> {
    Vec::new()
}
pub fn json(_: &[Listed]) -> Vec<u8> {
    Vec::new()
}
