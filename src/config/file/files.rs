//! How a folder is served: the keys of a route with `files`.
//!
//! It takes the table of a route and gives a folder with its options, well formed. It does not look
//! whether anything is there.

use crate::config::mistake::Mistake;
use crate::config::prefix;
use crate::config::switch::Switch;
use crate::config::table::Table;
use crate::config::value;
use crate::config::written::Written;
use crate::config::written::WrittenFiles;
use crate::limits::INDEX_NAMES_MAX;
use crate::static_files::Options;
use std::path::PathBuf;

/// Those that make sense beside `files` alone.
pub(super) const KEYS: &[&str] = &[
    "fallback",
    "cache_control",
    "index",
    "listing",
    "clean_urls",
    "trailing_slash",
    "hidden_files",
    "symlinks",
    "precompressed",
    "compress",
    "nosniff",
];

/// The folder with all that the route says of it.
pub(super) fn files(table: &Table<'_>, folder: Written<PathBuf>) -> Result<WrittenFiles, Mistake> {
    let plain = Options::plain(folder.value.clone());
    let cache_control = table.text("cache_control", "cache_control = \"max-age=3600\"")?;
    let cache_control = cache_control.map(|text| text.parse(|text| value::field_value(text)));
    let slash = table.text("trailing_slash", "trailing_slash = \"folders\"")?;
    let slash = slash.map(|text| text.parse(|text| value::trailing_slash(text))).transpose()?;
    let symlinks = table.text("symlinks", "symlinks = \"beneath\"")?;
    let symlinks = symlinks.map(|text| text.parse(|text| value::symlinks(text))).transpose()?;
    let fallback = table.text("fallback", "fallback = \"/index.html\"")?;
    let (mut app, mut file) = (None, None);
    match fallback.map(|text| text.parse(|text| fallback_of(text))).transpose()? {
        Some(Written { value: Fallback::App(name), place }) => {
            app = Some(Written::new(name, place));
        }
        Some(Written { value: Fallback::File(path), .. }) => file = Some(path),
        None => {}
    }
    let options = Options {
        cache_control: cache_control.transpose()?.map(|text| text.value),
        index: index(table)?.unwrap_or(plain.index),
        listing: switch(table, "listing", plain.listing)?,
        clean_urls: switch(table, "clean_urls", plain.clean_urls)?,
        trailing_slash: slash.map_or(plain.trailing_slash, |slash| slash.value),
        fallback: file,
        hidden: switch(table, "hidden_files", plain.hidden)?,
        symlinks: symlinks.map_or(plain.symlinks, |symlinks| symlinks.value),
        sidecars: switch(table, "precompressed", plain.sidecars)?,
        compression: switch(table, "compress", plain.compression)?,
        sniffing: switch(table, "nosniff", plain.sniffing)?,
        root: plain.root,
        types: plain.types,
    };
    Ok(WrittenFiles { folder, app, options })
}

fn switch<T: From<Switch>>(table: &Table<'_>, key: &str, default: T) -> Result<T, Mistake> {
    let written = table.switch(key, &format!("{key} = true"))?;
    Ok(written.map_or(default, |switch| switch.value.into()))
}

fn index(table: &Table<'_>) -> Result<Option<Vec<String>>, Mistake> {
    let Some(list) = table.texts("index", "index = [\"index.html\"]")? else { return Ok(None) };
    if list.value.len() > INDEX_NAMES_MAX {
        let text = format!("has over {INDEX_NAMES_MAX} names: remove some of them");
        return Err(list.mistake(text));
    }
    let mut names = Vec::with_capacity(list.value.len());
    for name in list.value {
        names.push(name.parse(|text| index_name(text))?.value);
    }
    Ok(Some(names))
}

fn index_name(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err(format!("\"{text}\" is no file: write one such as index.html")),
        _ if text.contains('/') => {
            Err(format!("\"{text}\" has a slash: write the name of a file, such as index.html"))
        }
        _ if text.chars().any(char::is_control) => {
            Err(format!("{text:?} has a control character: remove it"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Who answers where no file is.
#[derive(Debug, PartialEq, Eq)]
enum Fallback {
    App(String),
    File(String),
}

fn fallback_of(text: &str) -> Result<Fallback, String> {
    if let Some(name) = text.strip_prefix("app:") {
        return Ok(Fallback::App(name.to_owned()));
    }
    if text.starts_with('/') {
        return prefix::file(text).map(Fallback::File);
    }
    let bare = text.strip_prefix("./").unwrap_or(text);
    Err(format!(
        "\"{text}\" is neither a file nor an application: write \"/{bare}\" for a file of the \
         folder, or \"app:NAME\""
    ))
}
