//! `[[site.rule]]`: some globs, and what holds for the paths that they match.
//!
//! It takes the table of a rule and gives it as it is written. The grammar of globs and targets is
//! that of the room `rules`, which is asked when all names are known.

use crate::config::file::cors;
use crate::config::mistake::Mistake;
use crate::config::switch::Switch;
use crate::config::table::Table;
use crate::config::value;
use crate::config::written::Written;
use crate::config::written::WrittenAccess;
use crate::config::written::WrittenRule;
use crate::rules;
use crate::rules::Action;

const KEYS: &[&str] =
    &["path", "redirect", "rewrite", "deny", "status", "cache_control", "headers", "cors", "auth"];
const ACTIONS: &[&str] = &["redirect", "rewrite", "deny"];

/// Of a redirect that says none. It is what nginx's `permanent` and most people write.
const REDIRECT_STATUS_DEFAULT: u16 = 301;
/// What is refused looks as if it were not there.
const DENY_STATUS_DEFAULT: u16 = 404;

/// One rule.
pub(super) fn rule(table: &Table<'_>) -> Result<WrittenRule, Mistake> {
    let mistake = |text: &str| Mistake::new(&table.place(), text);
    table.check_keys(KEYS, &[])?;
    let Some(patterns) = table.texts("path", "path = \"/assets/**\"")? else {
        return Err(mistake("[[site.rule]] has no path: add path = \"/assets/**\""));
    };
    if patterns.value.is_empty() {
        return Err(patterns.mistake("is empty: write a path such as \"/assets/**\""));
    }
    let auth = table.text("auth", "auth = \"NAME\"")?;
    let rule = WrittenRule {
        patterns: patterns.value,
        action: action(table)?,
        fields: fields(table)?,
        cors: cors::cors(table)?,
        access: auth.map(|text| text.parse(|text| Ok(access(text)))).transpose()?,
    };
    let says_nothing = rule.action.is_none()
        && rule.fields.is_empty()
        && rule.cors.is_none()
        && rule.access.is_none();
    match says_nothing {
        true => Err(mistake(
            "[[site.rule]] does nothing: add cache_control, headers, cors, auth, redirect, \
             rewrite or deny",
        )),
        false => Ok(rule),
    }
}

fn action(table: &Table<'_>) -> Result<Option<Written<Action>>, Mistake> {
    if let [first, second, ..] = &table.present(ACTIONS)[..] {
        return Err(second.mistake(format!(
            "stands beside \"{}\", but a rule can do only one of them: remove one of the two",
            first.value
        )));
    }
    let status = table.text_or_number("status", "status = 302")?;
    if let Some(to) = table.text("redirect", "redirect = \"/new/$1\"")? {
        let status = status.map(|text| text.parse(|text| redirect_status(text))).transpose()?;
        let status = status.map_or(REDIRECT_STATUS_DEFAULT, |status| status.value);
        return Ok(Some(Written::new(Action::Redirect { status, to: to.value }, to.place)));
    }
    if let Some(deny) = table.switch("deny", "deny = true")? {
        if deny.value == Switch::Off {
            return Err(deny.mistake("false denies nothing: write true, or remove it"));
        }
        let status = status.map(|text| text.parse(|text| deny_status(text))).transpose()?;
        let status = status.map_or(DENY_STATUS_DEFAULT, |status| status.value);
        return Ok(Some(Written::new(Action::Deny { status }, deny.place)));
    }
    if let Some(status) = status {
        return Err(status.mistake("belongs to \"redirect\" or \"deny\": add one, or remove it"));
    }
    let to = table.text("rewrite", "rewrite = \"/new/$1\"")?;
    Ok(to.map(|to| Written::new(Action::Rewrite { to: to.value }, to.place)))
}

fn redirect_status(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(status) if rules::REDIRECT_STATUSES.contains(&status) => Ok(status),
        _ => Err(format!("\"{text}\" is no status of a redirect: write 301, 302, 303, 307 or 308")),
    }
}

fn deny_status(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(status) if rules::DENY_STATUSES.contains(&status) => Ok(status),
        _ => Err(format!("\"{text}\" is no status of \"deny\": write 403, 404, 410 or 451")),
    }
}

/// `cache_control` first, then `headers` in the order of the file; each name once.
fn fields(table: &Table<'_>) -> Result<Vec<Written<(String, String)>>, Mistake> {
    let mut fields: Vec<Written<(String, String)>> = Vec::new();
    if let Some(text) = table.text("cache_control", "cache_control = \"max-age=3600\"")? {
        let named = |text: &String| Ok(("Cache-Control".to_owned(), value::field_value(text)?));
        fields.push(text.parse(named)?);
    }
    for field in table.texts_by_name("headers", "headers = { X-Frame-Options = \"DENY\" }")? {
        let name = field.value.0.as_str();
        let same = |other: &&Written<(String, String)>| other.value.0.eq_ignore_ascii_case(name);
        if let Some(first) = fields.iter().find(same) {
            let first = first.place.in_passing();
            let text = format!("\"{name}\" is given twice (before: {first}): remove one");
            return Err(field.mistake(text));
        }
        fields.push(field.parse(|(name, text)| {
            rules::check_field(name, text)?;
            Ok((name.clone(), text.clone()))
        })?);
    }
    Ok(fields)
}

fn access(text: &str) -> WrittenAccess {
    match text {
        "off" => WrittenAccess::Open,
        name => WrittenAccess::Realm(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::tests::parse;

    fn read(text: &str) -> Result<WrittenRule, String> {
        let text = format!("[[site]]\n[[site.rule]]\n{text}");
        parse(&text).map(|file| file.to_serve.sites.into_iter().next().unwrap().rules.remove(0))
    }

    fn action_of(text: &str) -> Option<Action> {
        read(&format!("path = \"/a\"\n{text}")).unwrap().action.map(|action| action.value)
    }

    #[test]
    fn every_key_is_read() {
        let rule = read(
            "path = [\"/a/**\", \"/b\"]\nredirect = \"/c/$1\"\nstatus = 308\n\
             cache_control = \" no-store \"\nheaders = { X-B = \"b\", X-A = \"a\" }\n\
             auth = \"staff\"\ncors = true",
        )
        .unwrap();
        let patterns: Vec<&str> = rule.patterns.iter().map(|w| w.value.as_str()).collect();
        assert_eq!(patterns, ["/a/**", "/b"]);
        let to = "/c/$1".to_owned();
        assert_eq!(rule.action.unwrap().value, Action::Redirect { status: 308, to });
        let fields: Vec<_> = rule.fields.iter().map(|w| (&*w.value.0, &*w.value.1)).collect();
        assert_eq!(fields, [("Cache-Control", "no-store"), ("X-B", "b"), ("X-A", "a")]);
        assert_eq!(rule.fields[2].place.to_string(), "corelane.toml:7: headers.X-A");
        assert_eq!(rule.access.unwrap().value, WrittenAccess::Realm("staff".to_owned()));
        assert!(rule.cors.is_some());
    }

    #[test]
    fn actions() {
        let to = || "/b".to_owned();
        let redirect = |status| Some(Action::Redirect { status, to: to() });
        assert_eq!(action_of("redirect = \"/b\""), redirect(301));
        for status in [301, 302, 303, 307, 308] {
            let text = format!("redirect = \"/b\"\nstatus = {status}");
            assert_eq!(action_of(&text), redirect(status));
        }
        assert_eq!(action_of("rewrite = \"/b\""), Some(Action::Rewrite { to: to() }));
        assert_eq!(action_of("deny = true"), Some(Action::Deny { status: 404 }));
        for status in [403, 404, 410, 451] {
            let text = format!("deny = true\nstatus = \"{status}\"");
            assert_eq!(action_of(&text), Some(Action::Deny { status }));
        }
        assert_eq!(action_of("auth = \"off\""), None);
        let open = read("path = \"/a\"\nauth = \"off\"").unwrap().access.unwrap();
        assert_eq!(open.value, WrittenAccess::Open);
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            ("deny = true", "2: [[site.rule]] has no path: add path = \"/assets/**\""),
            ("path = []\ndeny = true", "3: path: is empty: write a path such as \"/assets/**\""),
            (
                "path = \"/a\"",
                "2: [[site.rule]] does nothing: add cache_control, headers, cors, auth, redirect, \
                 rewrite or deny",
            ),
            (
                "path = \"/a\"\nheaders = {}",
                "2: [[site.rule]] does nothing: add cache_control, headers, cors, auth, redirect, \
                 rewrite or deny",
            ),
            (
                "paths = [\"/a\"]",
                "3: unknown key \"paths\" in [[site.rule]]: did you mean \"path\"?",
            ),
            (
                "path = \"/a\"\nrewrite = \"/b\"\n\nredirect = \"/c\"",
                "6: redirect: stands beside \"rewrite\", but a rule can do only one of them: \
                 remove one of the two",
            ),
            (
                "path = \"/a\"\ndeny = false\nredirect = \"/c\"",
                "5: redirect: stands beside \"deny\", but a rule can do only one of them: remove \
                 one of the two",
            ),
            (
                "path = \"/a\"\nstatus = 404",
                "4: status: belongs to \"redirect\" or \"deny\": add one, or remove it",
            ),
            (
                "path = \"/a\"\nrewrite = \"/b\"\nstatus = 301",
                "5: status: belongs to \"redirect\" or \"deny\": add one, or remove it",
            ),
            (
                "path = \"/a\"\nredirect = \"/b\"\nstatus = 404",
                "5: status: \"404\" is no status of a redirect: write 301, 302, 303, 307 or 308",
            ),
            (
                "path = \"/a\"\ndeny = true\nstatus = 401",
                "5: status: \"401\" is no status of \"deny\": write 403, 404, 410 or 451",
            ),
            (
                "path = \"/a\"\ndeny = false",
                "4: deny: false denies nothing: write true, or remove it",
            ),
            (
                "path = \"/a\"\ndeny = 404",
                "4: deny: must be true or false, but is an integer: write deny = true",
            ),
            (
                "path = \"/a\"\ncache_control = \"a\"\nheaders = { cache-control = \"b\" }",
                "5: headers.cache-control: \"cache-control\" is given twice (before: line 4): \
                 remove one",
            ),
            (
                "path = \"/a\"\nheaders = { X-A = \"a\", x-a = \"b\" }",
                "4: headers.x-a: \"x-a\" is given twice (before: line 4): remove one",
            ),
            (
                "path = \"/a\"\nheaders = [\"X-A: b\"]",
                "4: headers: must be a table, but is a list: write headers = { X-Frame-Options = \
                 \"DENY\" }",
            ),
            (
                "path = \"/a\"\n[site.rule.headers]\nX-A = 1",
                "5: headers.X-A: must be a text, but is an integer: write headers = { \
                 X-Frame-Options = \"DENY\" }",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), format!("corelane.toml:{expected}"), "{text}");
        }
    }
}
