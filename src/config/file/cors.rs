//! `cors` of a rule: who may read answers from scripts of other origins.
//!
//! `true` is any origin without cookies; a table says more. It gives the value of the room `rules`,
//! well formed.

use crate::config::mistake::Mistake;
use crate::config::switch::Switch;
use crate::config::table::SwitchOrTable;
use crate::config::table::Table;
use crate::config::value;
use crate::config::written::Written;
use crate::limits::CORS_ENTRIES_MAX;
use crate::rules;
use crate::rules::Cors;
use crate::rules::Credentials;

const KEYS: &[&str] = &["origins", "methods", "headers", "expose", "credentials", "max_age"];

/// What the rule says of other origins.
pub(super) fn cors(rule: &Table<'_>) -> Result<Option<Written<Cors>>, Mistake> {
    let Some(place) = rule.place_of("cors") else { return Ok(None) };
    let any = Cors {
        origins: None,
        methods: Vec::new(),
        request_fields: None,
        exposed_fields: Vec::new(),
        credentials: Credentials::Refused,
        seconds_max: None,
    };
    let cors = match rule.switch_or_table("cors", "site.rule.cors", "cors = true")? {
        None => return Ok(None),
        Some(SwitchOrTable::Switch(Written { value: Switch::On, .. })) => any,
        Some(SwitchOrTable::Switch(off)) => {
            return Err(off.mistake("false permits nothing: write true, or remove it"));
        }
        Some(SwitchOrTable::Table(table)) => of_table(&table)?,
    };
    Ok(Some(Written::new(cors, place)))
}

fn of_table(table: &Table<'_>) -> Result<Cors, Mistake> {
    table.check_keys(KEYS, &[])?;
    let origins = names_or_any(table, "origins", "origins = [\"https://example.com\"]", origin)?;
    let credentials = table.switch("credentials", "credentials = true")?;
    let max_age = table.text_or_number("max_age", "max_age = \"1h\"")?;
    let max_age = max_age.map(|text| text.parse(|text| value::duration(text))).transpose()?;
    if let (Some(Written { value: Switch::On, place }), None) = (&credentials, &origins) {
        return Err(Mistake::new(
            place,
            "browsers refuse cookies for any origin: name those that may send them, such as \
             origins = [\"https://example.com\"]",
        ));
    }
    Ok(Cors {
        origins,
        methods: names(table, "methods", "methods = [\"PUT\"]", method)?.unwrap_or_default(),
        request_fields: names_or_any(table, "headers", "headers = [\"X-Token\"]", field)?,
        exposed_fields: names(table, "expose", "expose = [\"X-Total\"]", field)?
            .unwrap_or_default(),
        credentials: credentials.map_or(Credentials::default(), |switch| switch.value.into()),
        seconds_max: max_age.map(|time| time.value.as_secs()),
    })
}

/// A list in which a star, by itself, stands for any: None, as if there were no list.
fn names_or_any(
    table: &Table<'_>,
    key: &str,
    example: &str,
    parse: impl Fn(&str) -> Result<String, String>,
) -> Result<Option<Vec<String>>, Mistake> {
    match table.texts(key, example)? {
        Some(list) if list.value.len() == 1 && list.value.iter().all(|w| w.value == "*") => {
            Ok(None)
        }
        _ => names(table, key, example, |text| match text {
            "*" => Err("\"*\" is any: write it alone, or remove it".to_owned()),
            text => parse(text),
        }),
    }
}

fn names(
    table: &Table<'_>,
    key: &str,
    example: &str,
    parse: impl Fn(&str) -> Result<String, String>,
) -> Result<Option<Vec<String>>, Mistake> {
    let Some(list) = table.texts(key, example)? else { return Ok(None) };
    if list.value.len() > CORS_ENTRIES_MAX {
        let text = format!("has over {CORS_ENTRIES_MAX} items: remove some of them");
        return Err(list.mistake(text));
    }
    if list.value.is_empty() && key == "origins" {
        return Err(list.mistake("is empty: name an origin, or remove the key to permit any"));
    }
    let mut names = Vec::with_capacity(list.value.len());
    for name in list.value {
        names.push(name.parse(|text| parse(text))?.value);
    }
    Ok(Some(names))
}

fn origin(text: &str) -> Result<String, String> {
    rules::check_origin(text).map(|()| text.to_owned())
}

/// Browsers put the usual methods into capitals, but not PATCH: `patch` would never match.
fn method(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    match (value::is_token(text) && text != "*", upper == text) {
        (true, true) => Ok(upper),
        (true, false) => Err(format!("\"{text}\" is in small letters: write \"{upper}\"")),
        (false, _) => Err(format!("\"{text}\" is no method: write one such as PUT")),
    }
}

fn field(text: &str) -> Result<String, String> {
    match value::is_token(text) && text != "*" {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" is no name of a header: write one such as X-Token")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::tests::parse;

    fn read(text: &str) -> Result<Cors, String> {
        let text = format!("[[site]]\n[[site.rule]]\npath = \"/a\"\n{text}");
        let mut sites = parse(&text)?.to_serve.sites;
        Ok(sites.remove(0).rules.remove(0).cors.unwrap().value)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    const EVERY_KEY: &str = r#"[site.rule.cors]
origins = ["https://a.example", "http://localhost:5173"]
methods = ["PUT", "PATCH"]
headers = ["X-Token"]
expose = "X-Total"
credentials = true
max_age = "1h"
"#;

    #[test]
    fn a_switch_or_a_table() {
        let any = Cors {
            origins: None,
            methods: Vec::new(),
            request_fields: None,
            exposed_fields: Vec::new(),
            credentials: Credentials::Refused,
            seconds_max: None,
        };
        assert_eq!(read("cors = true"), Ok(any.clone()));
        assert_eq!(read("cors = {}"), Ok(any.clone()));
        assert_eq!(read("cors = { origins = \"*\", headers = [\"*\"] }"), Ok(any.clone()));
        let none = Cors { request_fields: Some(Vec::new()), ..any };
        assert_eq!(read("cors = { headers = [] }"), Ok(none));
        let every = Cors {
            origins: Some(texts(&["https://a.example", "http://localhost:5173"])),
            methods: texts(&["PUT", "PATCH"]),
            request_fields: Some(texts(&["X-Token"])),
            exposed_fields: texts(&["X-Total"]),
            credentials: Credentials::Permitted,
            seconds_max: Some(3600),
        };
        assert_eq!(read(EVERY_KEY), Ok(every));
        for key in KEYS {
            assert!(EVERY_KEY.contains(&format!("\n{key} = ")), "{key}");
        }
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            (
                "cors = \"*\"",
                "cors: must be true, false or a table, but is a text: write cors = true",
            ),
            ("cors = false", "cors: false permits nothing: write true, or remove it"),
            (
                "cors = { credentials = true }",
                "credentials: browsers refuse cookies for any origin: name those that may send \
                 them, such as origins = [\"https://example.com\"]",
            ),
            (
                "cors = { origins = [\"*\"], credentials = true }",
                "credentials: browsers refuse cookies for any origin: name those that may send \
                 them, such as origins = [\"https://example.com\"]",
            ),
            (
                "cors = { origins = [] }",
                "origins: is empty: name an origin, or remove the key to permit any",
            ),
            (
                "cors = { origins = [\"https://a.example\", \"*\"] }",
                "origins: \"*\" is any: write it alone, or remove it",
            ),
            ("cors = { methods = \"*\" }", "methods: \"*\" is no method: write one such as PUT"),
            (
                "cors = { methods = [\"patch\"] }",
                "methods: \"patch\" is in small letters: write \"PATCH\"",
            ),
            (
                "cors = { headers = [\"X Token\"] }",
                "headers: \"X Token\" is no name of a header: write one such as X-Token",
            ),
            (
                "cors = { expose = \"*\" }",
                "expose: \"*\" is no name of a header: write one such as X-Token",
            ),
            ("cors = { max_age = \"2days\" }", "max_age: \"2days\" is too long: write 24h or less"),
        ] {
            assert_eq!(read(text).unwrap_err(), format!("corelane.toml:4: {expected}"), "{text}");
        }
        assert_eq!(
            read("[site.rule.cors]\norigin = \"*\"").unwrap_err(),
            "corelane.toml:5: unknown key \"origin\" in [site.rule.cors]: did you mean \"origins\"?"
        );
    }
}
