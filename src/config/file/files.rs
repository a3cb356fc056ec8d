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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::tests::parse;
    use crate::config::written::WrittenDestination;
    use crate::static_files::CleanUrls;
    use crate::static_files::Compression;
    use crate::static_files::Hidden;
    use crate::static_files::Listing;
    use crate::static_files::Sidecars;
    use crate::static_files::Sniffing;
    use crate::static_files::Symlinks;
    use crate::static_files::TrailingSlash;

    fn read(text: &str) -> Result<WrittenFiles, String> {
        let text = format!("[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"a\"\n{text}");
        let mut sites = parse(&text)?.to_serve.sites;
        match sites.remove(0).routes.remove(0).destination {
            WrittenDestination::Files(files) => Ok(*files),
            WrittenDestination::App(_) => panic!("it is a route with files"),
        }
    }

    const EVERY_KEY: &str = r#"
fallback = "/app/index.html"
cache_control = " no-cache "
index = ["index.html", "index.htm"]
listing = true
clean_urls = true
trailing_slash = "add"
hidden_files = true
symlinks = "follow"
precompressed = false
compress = false
nosniff = true
"#;

    #[test]
    fn every_key_is_read_and_has_a_default() {
        let expected = Options {
            root: "/srv/a".into(),
            cache_control: Some("no-cache".to_owned()),
            index: vec!["index.html".to_owned(), "index.htm".to_owned()],
            listing: Listing::On,
            clean_urls: CleanUrls::On,
            trailing_slash: TrailingSlash::Add,
            fallback: Some("/app/index.html".to_owned()),
            hidden: Hidden::Served,
            symlinks: Symlinks::Followed,
            sidecars: Sidecars::Ignored,
            compression: Compression::Off,
            sniffing: Sniffing::Refused,
            types: Vec::new(),
        };
        let every = read(EVERY_KEY).unwrap();
        assert_eq!(every.options, expected);
        assert!(every.app.is_none());
        for key in KEYS {
            assert!(EVERY_KEY.contains(&format!("\n{key} = ")), "{key}");
        }
        assert_eq!(read("").unwrap().options, Options::plain("/srv/a".into()));
        assert_eq!(read("nosniff = false\nlisting = false").unwrap().options.listing, Listing::Off);
    }

    #[test]
    fn choices() {
        let slash = |text| read(&format!("trailing_slash = \"{text}\"")).unwrap();
        assert_eq!(slash("folders").options.trailing_slash, TrailingSlash::Folders);
        assert_eq!(slash("remove").options.trailing_slash, TrailingSlash::Remove);
        assert_eq!(slash("keep").options.trailing_slash, TrailingSlash::Keep);
        let links = |text| read(&format!("symlinks = \"{text}\"")).unwrap();
        assert_eq!(links("beneath").options.symlinks, Symlinks::Beneath);
        assert_eq!(links("deny").options.symlinks, Symlinks::Refused);
        assert_eq!(read("index = []").unwrap().options.index, Vec::<String>::new());
        assert_eq!(read("index = \"a.html\"").unwrap().options.index, ["a.html"]);
        let behind = read("fallback = \"app:shop\"").unwrap();
        assert_eq!((behind.app.unwrap().value, behind.options.fallback), ("shop".to_owned(), None));
    }

    #[test]
    fn the_last_index_name_that_there_is_room_for() {
        let read = |count| read(&format!("index = [{}]", "\"a\",".repeat(count)));
        assert_eq!(read(INDEX_NAMES_MAX).unwrap().options.index.len(), INDEX_NAMES_MAX);
        let expected = "corelane.toml:5: index: has over 16 names: remove some of them";
        assert_eq!(read(INDEX_NAMES_MAX + 1).unwrap_err(), expected);
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            (
                "fallback = \"index.html\"",
                "fallback: \"index.html\" is neither a file nor an application: write \
                 \"/index.html\" for a file of the folder, or \"app:NAME\"",
            ),
            (
                "fallback = \"./index.html\"",
                "fallback: \"./index.html\" is neither a file nor an application: write \
                 \"/index.html\" for a file of the folder, or \"app:NAME\"",
            ),
            ("fallback = \"/\"", "fallback: \"/\" names a folder: write the file, \"/index.html\""),
            (
                "fallback = \"/a/../b\"",
                "fallback: \"/a/../b\" has an empty or dotted segment, which no request has: \
                 remove it",
            ),
            (
                "index = [\"a\", \"b/index.html\"]",
                "index: \"b/index.html\" has a slash: write the name of a file, such as index.html",
            ),
            ("index = \"..\"", "index: \"..\" is no file: write one such as index.html"),
            ("index = \"\"", "index: \"\" is no file: write one such as index.html"),
            ("index = \"a\\u0000\"", "index: \"a\\0\" has a control character: remove it"),
            (
                "index = true",
                "index: must be a list of texts, but is a boolean: write index = \
                 [\"index.html\"]",
            ),
            (
                "listing = \"on\"",
                "listing: must be true or false, but is a text: write listing = true",
            ),
            (
                "trailing_slash = \"always\"",
                "trailing_slash: \"always\" is not a policy for slashes: the choices are folders, \
                 add, remove, keep",
            ),
            (
                "symlinks = \"followed\"",
                "symlinks: \"followed\" is not a policy for links: did you mean \"follow\"?",
            ),
            (
                "cache_control = \"\"",
                "cache_control: is empty: write a value such as \"max-age=3600\", or remove it",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), format!("corelane.toml:5: {expected}"));
        }
        assert_eq!(
            read("hidden = true").unwrap_err(),
            "corelane.toml:5: unknown key \"hidden\" in [[site.route]]: did you mean \
             \"hidden_files\"?"
        );
    }
}
