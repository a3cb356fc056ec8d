//! What is on the disk where the operator says that it is.
//!
//! It takes paths with their folders before them and gives absolute ones that lead to what they
//! should, or a mistake. Nothing is kept open.

use crate::config::mistake::Mistake;
use crate::config::written::Written;
use std::path;
use std::path::Path;
use std::path::PathBuf;

/// Without `.` and doubled slashes; links and `..` stay as they are, so that a link that is turned
/// to another release still leads there. `path` has its folder before it.
pub(super) fn absolute(path: &Path) -> PathBuf {
    // An error means an empty path or no current folder; neither can be with a folder before it.
    path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A folder.
pub(super) fn directory(written: &Written<PathBuf>) -> Result<PathBuf, Mistake> {
    let path = absolute(&written.value);
    let shown = path.display();
    match (path.is_dir(), path.exists()) {
        (true, _) => Ok(path),
        (false, true) => Err(written.mistake(format!("\"{shown}\" is a file: name a directory"))),
        (false, false) => Err(written
            .mistake(format!("there is no directory \"{shown}\": make it or correct the path"))),
    }
}

/// A file: its folder and its name.
pub(super) fn file(written: &Written<PathBuf>) -> Result<(PathBuf, String), Mistake> {
    let path = absolute(&written.value);
    let shown = path.display();
    if path.is_dir() {
        return Err(written.mistake(format!("\"{shown}\" is a directory: name a file in it")));
    }
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent(), name) {
        (Some(folder), Some(name)) if path.is_file() => Ok((folder.to_owned(), name.to_owned())),
        _ => {
            Err(written
                .mistake(format!("there is no file \"{shown}\": make it or correct the path")))
        }
    }
}

/// A folder, or an archive: Python imports from zip files as well.
pub(super) fn import_place(
    path: &Path,
    written: &Written<Vec<PathBuf>>,
) -> Result<PathBuf, Mistake> {
    let path = absolute(path);
    match path.exists() {
        true => Ok(path),
        false => Err(written.mistake(format!(
            "there is no directory \"{}\": make it or correct the path",
            path.display()
        ))),
    }
}
