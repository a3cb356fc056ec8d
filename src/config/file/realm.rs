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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::tests::parse;

    fn read(text: &str) -> Result<Vec<WrittenRealm>, String> {
        parse(text).map(|file| file.to_serve.realms)
    }

    #[test]
    fn every_key_is_read() {
        let text = "[auth.staff]\nrealm = \"Staff only\"\nfile = \"a.htpasswd\"\n\
                    users = { ada = \"x\", bob = \"y\" }\n[auth.b]\nusers.ada = \"x\"";
        let realms = read(text).unwrap();
        let staff = &realms[0];
        assert_eq!(staff.name.value, "staff");
        assert_eq!(staff.title.as_ref().unwrap().value, "Staff only");
        assert_eq!(staff.file.as_ref().unwrap().value, Path::new("/srv/a.htpasswd"));
        let names: Vec<&str> = staff.users.iter().map(|user| user.value.0.as_str()).collect();
        assert_eq!(names, ["ada", "bob"]);
        assert_eq!(staff.users[1].place.to_string(), "corelane.toml:4: users.bob");
        assert_eq!((realms.len(), realms[1].title.is_none()), (2, true));
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            ("[auth.staff]", "1: [auth.staff] has nobody: add file = \"users.htpasswd\""),
            (
                "[auth.staff]\nusers = {}",
                "1: [auth.staff] has nobody: add file = \"users.htpasswd\"",
            ),
            (
                "[auth.off]\nfile = \"a\"",
                "1: [auth.off] cannot be asked for, as auth = \"off\" lets everybody in: choose \
                 another name",
            ),
            (
                "[auth.staff]\nuser = \"a\"",
                "2: unknown key \"user\" in [auth.staff]: did you mean \"users\"?",
            ),
            (
                "[auth]\nfile = \"a\"",
                "2: auth.file: must be a table, but is a text: write [auth.NAME] with a name of \
                 your choice",
            ),
            (
                "[auth.staff]\nusers = [\"ada\"]",
                "2: users: must be a table, but is a list: write users = { ada = \
                 \"$2y$12$...\" }",
            ),
            (
                "[auth.\"caf\u{e9}\"]\nfile = \"a\"",
                "1: browsers cannot show \"caf\u{e9}\", which is not plain ASCII: add realm = \
                 \"Staff only\"",
            ),
            (
                "[auth.a]\nfile = \"a\"\nrealm = \"caf\u{e9}\"",
                "3: realm: \"caf\u{e9}\" is not one line of plain ASCII: remove the rest",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), format!("corelane.toml:{expected}"), "{text}");
        }
    }
}
