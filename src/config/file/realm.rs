//! `[auth.NAME]`: a realm, which is who may ask.
//!
//! It takes the tables of the file and gives the realms as they are written. Hashes are looked at
//! when a rule asks for the realm.

use crate::config::mistake::Mistake;
use crate::config::table::Table;
use crate::config::value;
use crate::config::written::Written;
use crate::config::written::WrittenRealm;
use std::path::Path;

const KEYS: &[&str] = &["realm", "file", "users"];

/// All realms. `folder` is absolute.
pub(super) fn realms(top: &Table<'_>, folder: &Path) -> Result<Vec<WrittenRealm>, Mistake> {
    let mut realms = Vec::new();
    for (name, table) in top.named_tables("auth")? {
        realms.push(realm(name, &table, folder)?);
    }
    Ok(realms)
}

fn realm(name: Written<String>, table: &Table<'_>, folder: &Path) -> Result<WrittenRealm, Mistake> {
    table.check_keys(KEYS, &[])?;
    if name.value == "off" {
        let text = "[auth.off] cannot be asked for, as auth = \"off\" lets everybody in: choose \
                    another name";
        return Err(name.mistake(text));
    }
    let title = table.text("realm", "realm = \"Staff only\"")?;
    if title.is_none() && value::field_value(&name.value).is_err() {
        let text = format!(
            "browsers cannot show \"{}\", which is not plain ASCII: add realm = \"Staff only\"",
            name.value
        );
        return Err(name.mistake(text));
    }
    let file = table.text("file", "file = \"users.htpasswd\"")?;
    let example = "users = { ada = \"$2y$12$...\" }";
    let users = table.texts_by_name("users", example)?;
    if file.is_none() && users.is_empty() {
        let text = format!("[auth.{}] has nobody: add file = \"users.htpasswd\"", name.value);
        return Err(name.mistake(text));
    }
    Ok(WrittenRealm {
        title: title.map(|text| text.parse(|text| value::field_value(text))).transpose()?,
        file: file.map(|text| text.parse(|text| Ok(folder.join(text)))).transpose()?,
        users,
        name,
    })
}
