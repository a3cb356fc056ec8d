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
use crate::limits::RULE_FIELDS_MAX;
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
        Ok(status @ (301 | 302 | 303 | 307 | 308)) => Ok(status),
        _ => Err(format!("\"{text}\" is no status of a redirect: write 301, 302, 303, 307 or 308")),
    }
}

fn deny_status(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(status @ (403 | 404 | 410 | 451)) => Ok(status),
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
        fields.push(field.parse(|(name, text)| Ok((name.clone(), value::field_value(text)?)))?);
    }
    match fields.get(RULE_FIELDS_MAX) {
        Some(field) => {
            Err(field.mistake(format!("is over {RULE_FIELDS_MAX} headers in a rule: remove some")))
        }
        None => Ok(fields),
    }
}

fn access(text: &str) -> WrittenAccess {
    match text {
        "off" => WrittenAccess::Open,
        name => WrittenAccess::Realm(name.to_owned()),
    }
}
