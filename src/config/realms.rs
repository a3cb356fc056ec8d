//! Realms: who may ask, from the configuration and from files of htpasswd.
//!
//! It takes realms as they are written and builds each when a rule first names it. A hash is never
//! part of a message.

use crate::auth;
use crate::auth::RealmSpec;
use crate::config::disk;
use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::suggestion;
use crate::config::written::Written;
use crate::config::written::WrittenRealm;
use crate::limits::AUTH_CREDENTIALS_BYTES_MAX;
use crate::limits::AUTH_USERS_MAX;
use crate::limits::HTPASSWD_BYTES_MAX;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// The realms of the file, and those of them that are asked for.
pub(super) struct Realms<'a> {
    written: &'a [WrittenRealm],
    /// Names and realms, in the order in which they were asked for.
    built: Vec<(&'a str, RealmSpec)>,
    /// The files of those, absolute.
    files: Vec<PathBuf>,
}

impl<'a> Realms<'a> {
    pub(super) const fn new(written: &'a [WrittenRealm]) -> Self {
        Self { written, built: Vec::new(), files: Vec::new() }
    }

    /// The index of the realm of this name, which is built when it is first asked for.
    pub(super) fn index(&mut self, name: &str, place: &Place) -> Result<usize, Mistake> {
        if let Some(index) = self.built.iter().position(|(built, _)| *built == name) {
            return Ok(index);
        }
        let Some(realm) = self.written.iter().find(|realm| realm.name.value == name) else {
            let known: Vec<&str> =
                self.written.iter().map(|realm| realm.name.value.as_str()).collect();
            let remedy = match known.is_empty() {
                true => "add it, with its file or users".to_owned(),
                false => suggestion::remedy(name, "the realms", &known),
            };
            return Err(Mistake::new(place, format!("there is no [auth.{name}]: {remedy}")));
        };
        let built = build(realm)?;
        self.files.extend(realm.file.iter().map(|file| disk::absolute(&file.value)));
        self.built.push((&realm.name.value, built));
        Ok(self.built.len() - 1)
    }

    /// The names of those that nobody asked for.
    pub(super) fn unused(&self) -> impl Iterator<Item = String> {
        let is_used = |name: &str| self.built.iter().any(|(built, _)| *built == name);
        let names = self.written.iter().map(|realm| &realm.name.value);
        names.filter(move |name| !is_used(name)).cloned()
    }

    /// The files of those that somebody asked for.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Those that somebody asked for.
    pub(super) fn into_built(self) -> Vec<RealmSpec> {
        self.built.into_iter().map(|(_, realm)| realm).collect()
    }
}

fn build(written: &WrittenRealm) -> Result<RealmSpec, Mistake> {
    let name = written.title.as_ref().unwrap_or(&written.name).value.clone();
    let mut users = written.file.as_ref().map(of_file).transpose()?.unwrap_or_default();
    let in_file: HashSet<String> = users.iter().map(|(name, _)| name.clone()).collect();
    for user in &written.users {
        let (name, hash) = &user.value;
        check_name(name).map_err(|text| user.mistake(text))?;
        auth::check_hash(hash).map_err(|text| user.mistake(text))?;
        if in_file.contains(name) {
            return Err(user.mistake(format!(
                "\"{name}\" is already in the file of the realm: remove one of the two"
            )));
        }
        if users.len() == AUTH_USERS_MAX {
            return Err(user.mistake(format!(
                "is over {AUTH_USERS_MAX} users in a realm: remove some of them"
            )));
        }
        users.push(user.value.clone());
    }
    Ok(RealmSpec { name, users })
}

/// A name as htpasswd(1) would take it: the client sends it before a colon (RFC 7617 section 2).
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
        return Err(format!("{name:?} is no name of a user: write one without colons"));
    }
    // With its colon and a password of one byte.
    match name.len() + 2 > AUTH_CREDENTIALS_BYTES_MAX {
        true => Err(format!(
            "is a name of over {} bytes: write a shorter one",
            AUTH_CREDENTIALS_BYTES_MAX - 2
        )),
        false => Ok(()),
    }
}

fn of_file(written: &Written<PathBuf>) -> Result<Vec<(String, String)>, Mistake> {
    let path = disk::absolute(&written.value);
    let shown = path.display();
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => written.mistake(format!(
            "there is no file \"{shown}\": make it with htpasswd -B -c, or correct the path"
        )),
        _ => written.mistake(format!(
            "\"{shown}\" cannot be read ({error}): correct the path or its permissions"
        )),
    };
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(cannot)?;
    file.take(HTPASSWD_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > HTPASSWD_BYTES_MAX {
        return Err(written.mistake(format!(
            "\"{shown}\" is over {HTPASSWD_BYTES_MAX} bytes: name a file of htpasswd"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        written.mistake(format!("\"{shown}\" is not valid UTF-8: save it in UTF-8"))
    })?;
    let users = auth::parse_htpasswd(&text)
        .map_err(|(line, text)| Mistake::new(&Place::Line(path.clone(), line), text))?;
    match users.is_empty() {
        true => Err(written.mistake(format!("\"{shown}\" has no users: add one with htpasswd -B"))),
        false => Ok(users),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Environment;
    use crate::config::file::ConfigFile;
    use crate::config::settings::Warning;
    use crate::config::sites;
    use crate::config::sites::Served;
    use crate::rules::Access;
    use std::fs;
    use std::path::Path;
    use tempfile::TempDir;

    /// `htpasswd -nbB -C 4 joe "open sesame"`.
    const HASH: &str = "$2y$04$gxqadTEa84EQePNyXKo.BuOtTh6ilDKtEI2z23W8fcOO.FAEbwXJK";

    fn served(folder: &Path, realms: &str, rules: &str) -> Result<Served, String> {
        let site = "[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \".\"\n";
        fs::write(folder.join("c.toml"), format!("{realms}\n{site}{rules}")).unwrap();
        let path = Written::new("c.toml".to_owned(), Place::Flag("--config"));
        ConfigFile::read(&path, folder)
            .and_then(|file| sites::build(file.to_serve, &Environment::new(folder, &[])))
            .map_err(|mistake| mistake.to_string())
    }

    fn rule(path: &str, auth: &str) -> String {
        format!("[[site.rule]]\npath = \"{path}\"\nauth = \"{auth}\"\n")
    }

    /// The first realm, or the mistake; `line` stands below [auth.staff].
    fn realm(folder: &Path, line: &str) -> Result<RealmSpec, String> {
        let realms = format!("[auth.staff]\n{line}");
        served(folder, &realms, &rule("/**", "staff")).map(|mut served| served.realms.remove(0))
    }

    fn with_file(text: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("u"), text).unwrap();
        folder
    }

    #[test]
    fn realms_become_indexes_in_the_order_of_their_first_rule() {
        let folder = with_file("");
        fs::write(folder.path().join(".u"), format!("# staff\nbob:{HASH}\n")).unwrap();
        let realms = format!(
            "[auth.a]\nusers.x = \"{HASH}\"\n[auth.idle]\nfile = \"missing\"\n\
             [auth.b]\nrealm = \"The staff\"\nfile = \".u\"\nusers = {{ ada = \"{HASH}\" }}"
        );
        let rules = [rule("/b", "b"), rule("/a", "a"), rule("/o", "off"), rule("/c", "b")];
        let served = served(folder.path(), &realms, &rules.concat()).unwrap();
        let users = |names: &[&str]| {
            names.iter().map(|name| ((*name).to_owned(), HASH.to_owned())).collect()
        };
        let spec =
            |name: &str, names: &[&str]| RealmSpec { name: name.to_owned(), users: users(names) };
        assert_eq!(served.realms, [spec("The staff", &["bob", "ada"]), spec("a", &["x"])]);
        let access: Vec<_> = served.policies[0].rules.iter().map(|rule| rule.access).collect();
        let of = |realm| Some(Access::Realm(realm));
        assert_eq!(access, [of(0), of(1), Some(Access::Open), of(0)]);
        assert_eq!(served.warnings, [Warning::UnusedRealm("idle".to_owned())]);
        assert_eq!(
            served.warnings[0].to_string(),
            "no rule asks for [auth.idle]: it protects nothing"
        );
    }

    #[test]
    fn a_file_that_everybody_can_read_is_a_warning() {
        let line = format!("ada:{HASH}");
        let folder = with_file(&line);
        fs::write(folder.path().join(".u"), &line).unwrap();
        let outside = with_file(&line);
        let warnings = |file: &Path| {
            let realms = format!("[auth.staff]\nfile = \"{}\"", file.display());
            served(folder.path(), &realms, &rule("/**", "staff")).unwrap().warnings
        };
        assert_eq!(warnings(Path::new(".u")), [], "hidden files are not served");
        assert_eq!(warnings(&outside.path().join("u")), []);
        let file = folder.path().join("u");
        let found = warnings(Path::new("u"));
        assert_eq!(found, [Warning::ServedPasswords(file.clone())]);
        assert_eq!(
            found[0].to_string(),
            format!(
                "\"{}\" lies in a folder that is served: put it where no route leads",
                file.display()
            )
        );
    }

    #[test]
    fn an_unknown_realm() {
        let folder = with_file("");
        for (realms, expected) in [
            ("", "8: auth: there is no [auth.stuff]: add it, with its file or users"),
            (
                "[auth.staff]\nfile = \"u\"",
                "9: auth: there is no [auth.stuff]: did you mean \"staff\"?",
            ),
            ("[auth.x]\nfile = \"u\"", "9: auth: there is no [auth.stuff]: the realms are x"),
        ] {
            let mistake = served(folder.path(), realms, &rule("/", "stuff")).unwrap_err();
            assert_eq!(mistake, format!("c.toml:{expected}"));
        }
    }

    #[test]
    fn hashes_of_other_kinds_and_none() {
        for (hash, what) in [
            ("$apr1$TLvE27z5$CEfwGqqJqXZKexlh4BpVU1", "an MD5 hash"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "a SHA-1 hash"),
            ("$6$salt$hash", "a hash of crypt(3)"),
            ("correct horse", "neither a bcrypt nor an Argon2 hash"),
            ("", "nothing"),
        ] {
            let sentence = format!("this is {what}: make one with `htpasswd -B`");
            let folder = with_file(&format!("# staff\nada:{HASH}\nbob:{hash}\n"));
            let file = folder.path().join("u");
            assert_eq!(
                realm(folder.path(), "file = \"u\"").unwrap_err(),
                format!("{}:3: {sentence}", file.display())
            );
            assert_eq!(
                realm(folder.path(), &format!("users = {{ bob = \"{hash}\" }}")).unwrap_err(),
                format!("c.toml:2: users.bob: {sentence}")
            );
        }
    }

    #[test]
    fn users_that_do_not_fit() {
        let folder = with_file(&format!("ada:{HASH}"));
        for (users, expected) in [
            (
                format!("ada = \"{HASH}\""),
                "users.ada: \"ada\" is already in the file of the realm: remove one of the two",
            ),
            (
                format!("\"a:b\" = \"{HASH}\""),
                "users.a:b: \"a:b\" is no name of a user: write one without colons",
            ),
            (
                format!("\"\" = \"{HASH}\""),
                "users.: \"\" is no name of a user: write one without colons",
            ),
        ] {
            let line = format!("file = \"u\"\nusers = {{ {users} }}");
            assert_eq!(realm(folder.path(), &line).unwrap_err(), format!("c.toml:3: {expected}"));
        }
        let user = |bytes| {
            let line = format!("users = {{ {} = \"{HASH}\" }}", "a".repeat(bytes));
            realm(folder.path(), &line)
        };
        assert!(user(AUTH_CREDENTIALS_BYTES_MAX - 2).is_ok());
        let mistake = user(AUTH_CREDENTIALS_BYTES_MAX - 1).unwrap_err();
        assert!(mistake.ends_with(": is a name of over 1022 bytes: write a shorter one"));
        fs::write(folder.path().join("u"), "ada\n").unwrap();
        assert_eq!(
            realm(folder.path(), "file = \"u\"").unwrap_err(),
            format!(
                "{}:1: there is no colon between a name and a hash: write user:hash, as htpasswd -B \
                 does",
                folder.path().join("u").display()
            )
        );
    }

    #[test]
    fn files_that_are_none_of_htpasswd() {
        let folder = with_file("\n# nobody\n");
        let root = folder.path().display();
        fs::create_dir(folder.path().join("d")).unwrap();
        fs::write(folder.path().join("latin"), b"\xe9:x").unwrap();
        let bytes_max = usize::try_from(HTPASSWD_BYTES_MAX).unwrap();
        let user = format!("ada:{HASH}");
        let fill = |bytes: usize| user.clone() + &"\n".repeat(bytes - user.len());
        fs::write(folder.path().join("full"), fill(bytes_max)).unwrap();
        fs::write(folder.path().join("over"), fill(bytes_max + 1)).unwrap();
        for (name, expected) in [
            ("u", "has no users: add one with htpasswd -B"),
            (
                "d",
                "cannot be read (Is a directory (os error 21)): correct the path or its permissions",
            ),
            ("latin", "is not valid UTF-8: save it in UTF-8"),
            ("over", "is over 4194304 bytes: name a file of htpasswd"),
        ] {
            assert_eq!(
                realm(folder.path(), &format!("file = \"{name}\"")).unwrap_err(),
                format!("c.toml:2: file: \"{root}/{name}\" {expected}")
            );
        }
        assert_eq!(realm(folder.path(), "file = \"full\"").unwrap().users.len(), 1);
        assert_eq!(
            realm(folder.path(), "file = \"x\"").unwrap_err(),
            format!(
                "c.toml:2: file: there is no file \"{root}/x\": make it with htpasswd -B -c, or \
                 correct the path"
            )
        );
    }

    #[test]
    fn the_last_user_that_there_is_room_for() {
        let lines = (1..AUTH_USERS_MAX).map(|number| format!("u{number}:{HASH}\n"));
        let folder = with_file(&lines.collect::<String>());
        let line = format!("file = \"u\"\nusers = {{ ada = \"{HASH}\" }}");
        assert_eq!(realm(folder.path(), &line).unwrap().users.len(), AUTH_USERS_MAX);
        let line = format!("file = \"u\"\nusers = {{ ada = \"{HASH}\", bob = \"{HASH}\" }}");
        assert_eq!(
            realm(folder.path(), &line).unwrap_err(),
            "c.toml:3: users.bob: is over 10000 users in a realm: remove some of them"
        );
    }
}
