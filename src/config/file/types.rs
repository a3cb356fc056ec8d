//! `[types]`: the operator's own media types by extension.
//!
//! It takes the top of the file and gives extensions in lower case without their dot, each once,
//! with values of Content-Type.

use crate::config::mistake::Mistake;
use crate::config::table::Table;
use crate::config::value;
use crate::config::written::Written;
use crate::limits::MEDIA_TYPES_MAX;

/// All of them, in the order of the file.
pub(super) fn types(top: &Table<'_>) -> Result<Vec<(String, String)>, Mistake> {
    let example = "[types] and below it md = \"text/markdown\"";
    let mut types: Vec<Written<(String, String)>> = Vec::new();
    for written in top.texts_by_name("types", example)? {
        let written = written.parse(|(name, text)| Ok((extension(name)?, media_type(text)?)))?;
        let name = &written.value.0;
        if let Some(first) = types.iter().find(|other| other.value.0 == *name) {
            let first = first.place.in_passing();
            let text = format!("\"{name}\" already has a type ({first}): remove one of the two");
            return Err(written.mistake(text));
        }
        if types.len() == MEDIA_TYPES_MAX {
            let text = format!("is over {MEDIA_TYPES_MAX} types: remove some of them");
            return Err(written.mistake(text));
        }
        types.push(written);
    }
    Ok(types.into_iter().map(|written| written.value).collect())
}

/// What follows the last dot of a name.
fn extension(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if let Some((_, last)) = lower.rsplit_once('.')
        && !last.is_empty()
    {
        return Err(format!("\"{text}\" has a dot: write what follows the last one, \"{last}\""));
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/.".contains(&byte);
    match !lower.is_empty() && lower.bytes().all(is_plain) {
        true => Ok(lower),
        false => Err(format!("\"{text}\" is no extension: write one such as md")),
    }
}

/// A value of Content-Type (RFC 9110 section 8.3.1), without quotes inside quotes.
fn media_type(text: &str) -> Result<String, String> {
    let wrong =
        || format!("\"{text}\" is no media type: write one such as text/plain; charset=utf-8");
    let value = value::field_value(text).map_err(|_| wrong())?;
    let mut pieces = value.split(';').map(|piece| piece.trim_matches(' '));
    let essence = pieces.next().and_then(|piece| piece.split_once('/'));
    let is_type =
        essence.is_some_and(|(kind, form)| value::is_token(kind) && value::is_token(form));
    let is_parameter = |piece: &str| {
        piece.split_once('=').is_some_and(|(name, value)| {
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            value::is_token(name)
                && (value::is_token(value) || bare.is_some_and(|bare| !bare.contains(['"', '\\'])))
        })
    };
    match is_type && pieces.all(is_parameter) {
        true => Ok(value),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::tests::parse;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        parse(text).map(|file| file.to_serve.types)
    }

    #[test]
    fn extensions_are_in_lower_case() {
        let text =
            "[types]\nMD = \"text/markdown; charset=utf-8\"\n\"c++\" = \"text/x-c; a=\\\"b c\\\"\"";
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let expected =
            vec![pair("md", "text/markdown; charset=utf-8"), pair("c++", "text/x-c; a=\"b c\"")];
        assert_eq!(read(text), Ok(expected));
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            (
                "\".md\" = \"text/markdown\"",
                "2: types..md: \".md\" has a dot: write what follows the last one, \"md\"",
            ),
            (
                "\"tar.gz\" = \"application/gzip\"",
                "2: types.tar.gz: \"tar.gz\" has a dot: write what follows the last one, \"gz\"",
            ),
            ("\"\" = \"a/b\"", "2: types.: \"\" is no extension: write one such as md"),
            ("\"a/b\" = \"a/b\"", "2: types.a/b: \"a/b\" is no extension: write one such as md"),
            (
                "\"\u{e9}\" = \"a/b\"",
                "2: types.\u{e9}: \"\u{e9}\" is no extension: write one such as md",
            ),
            (
                "md = \"a/b\"\nMD = \"a/b\"",
                "3: types.MD: \"md\" already has a type (line 2): remove one of the two",
            ),
            (
                "md = 1",
                "2: types.md: must be a text, but is an integer: write [types] and below it md = \
                 \"text/markdown\"",
            ),
        ] {
            let text = format!("[types]\n{text}");
            assert_eq!(read(&text).unwrap_err(), format!("corelane.toml:{expected}"));
        }
        for text in
            ["", "text", "text/", "/a", "a/b/c", "a b/c", "a/b;", "a/b; c", "a/b; c=", "a/b\u{e9}"]
        {
            assert_eq!(
                read(&format!("[types]\nmd = \"{text}\"")).unwrap_err(),
                format!(
                    "corelane.toml:2: types.md: \"{text}\" is no media type: write one such as \
                     text/plain; charset=utf-8"
                )
            );
        }
    }

    #[test]
    fn the_last_type_that_there_is_room_for() {
        let read = |count| {
            let lines = (0..count).map(|number| format!("x{number} = \"a/b\"\n"));
            read(&format!("[types]\n{}", lines.collect::<String>()))
        };
        assert_eq!(read(MEDIA_TYPES_MAX).unwrap().len(), MEDIA_TYPES_MAX);
        assert_eq!(
            read(MEDIA_TYPES_MAX + 1).unwrap_err(),
            "corelane.toml:1026: types.x1024: is over 1024 types: remove some of them"
        );
    }
}
