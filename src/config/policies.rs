//! What a site says besides its routes: rules and error pages.
//!
//! It takes them as they are written and gives the policy of the site. Here a target is found not
//! to fit its glob, a realm to be unknown, a page to be missing.

use crate::config::disk;
use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::realms::Realms;
use crate::config::written::Written;
use crate::config::written::WrittenAccess;
use crate::config::written::WrittenErrorPage;
use crate::config::written::WrittenRule;
use crate::rules;
use crate::rules::Access;
use crate::rules::Action;
use crate::rules::ErrorPage;
use crate::rules::Rule;
use crate::static_files::Hidden;
use crate::static_files::Options;
use crate::static_files::Symlinks;

/// The rules of a site, one for each glob, in the order of the file.
pub(super) fn rules(
    written: Vec<WrittenRule>,
    realms: &mut Realms<'_>,
    site: &Place,
) -> Result<Vec<Rule>, Mistake> {
    let mut made = Vec::new();
    for rule in written {
        let access = match &rule.access {
            None => None,
            Some(Written { value: WrittenAccess::Open, .. }) => Some(Access::Open),
            Some(Written { value: WrittenAccess::Realm(name), place }) => {
                Some(Access::Realm(realms.index(name, place)?))
            }
        };
        for pattern in &rule.patterns {
            check_rule(&rule, pattern)?;
            made.push(Rule {
                pattern: pattern.value.clone(),
                action: rule.action.as_ref().map(|action| action.value.clone()),
                fields: rule.fields.iter().map(|field| field.value.clone()).collect(),
                cors: rule.cors.as_ref().map(|cors| cors.value.clone()),
                access,
            });
        }
    }
    rules::check_count(&made).map_err(|text| Mistake::new(site, format!("[[site]] {text}")))?;
    Ok(made)
}

/// What the glob has to do with the rest of its rule: a target names its stars.
fn check_rule(rule: &WrittenRule, pattern: &Written<String>) -> Result<(), Mistake> {
    let glob = pattern.value.as_str();
    rules::check_pattern(glob).map_err(|text| pattern.mistake(text))?;
    let Some(action) = &rule.action else { return Ok(()) };
    match &action.value {
        Action::Redirect { to, .. } => rules::check_redirect(glob, to),
        Action::Rewrite { to } => rules::check_rewrite(glob, to),
        Action::Deny { .. } => Ok(()),
    }
    .map_err(|text| match rule.patterns.len() {
        1 => action.mistake(text),
        _ => action.mistake(format!("for \"{glob}\", {text}")),
    })
}

/// The error pages of a site. Their folders become further entries of `files`; one that is served
/// in the same way already is not listed twice.
pub(super) fn error_pages(
    written: Vec<WrittenErrorPage>,
    types: &[(String, String)],
    files: &mut Vec<Options>,
) -> Result<Vec<ErrorPage>, Mistake> {
    let mut pages = Vec::with_capacity(written.len());
    for WrittenErrorPage { status, file } in written {
        let (folder, name) = disk::file(&file)?;
        // No route leads to the folder, and the operator has named this very file: whatever its
        // name begins with and wherever it leads as a link.
        let options = Options {
            hidden: Hidden::Served,
            symlinks: Symlinks::Followed,
            types: types.to_vec(),
            ..Options::plain(folder)
        };
        let index = files.iter().position(|known| *known == options).unwrap_or_else(|| {
            files.push(options);
            files.len() - 1
        });
        pages.push(ErrorPage { status, files: index, path: format!("/{name}") });
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Environment;
    use crate::config::file::ConfigFile;
    use crate::config::sites;
    use crate::config::sites::Served;
    use crate::limits::RULES_PER_SITE_MAX;
    use crate::rules::Policy;
    use std::fs;
    use tempfile::TempDir;

    /// A folder with some pages, one of which is a link.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["public", "errors"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in ["public/404.html", "errors/busy.html", "errors/.gone.html"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    fn served(folder: &TempDir, text: &str) -> Result<Served, String> {
        fs::write(folder.path().join("c.toml"), text).unwrap();
        let path = Written::new("c.toml".to_owned(), Place::Flag("--config"));
        ConfigFile::read(&path, folder.path())
            .and_then(|file| sites::build(file.to_serve, &Environment::new(folder.path(), &[])))
            .map_err(|mistake| mistake.to_string())
    }

    /// A site with its first line, more lines, and a route.
    fn site(text: &str) -> String {
        format!("[[site]]\n{text}\n[[site.route]]\npath = \"/\"\nfiles = \"public\"\n")
    }

    fn policy(text: &str) -> Result<Policy, String> {
        served(&folder(), &site(text)).map(|mut served| served.policies.remove(0))
    }

    #[test]
    fn each_glob_of_a_list_gets_a_rule_in_the_order_of_the_file() {
        let text = "[[site.rule]]\npath = [\"/b/*\", \"/a/*\"]\nredirect = \"/c/$1\"\n\
                    headers = { X-A = \"a\" }\n[[site.rule]]\npath = \"/\"\nauth = \"off\"";
        let rule = |pattern: &str| Rule {
            pattern: pattern.to_owned(),
            action: Some(Action::Redirect { status: 301, to: "/c/$1".to_owned() }),
            fields: vec![("X-A".to_owned(), "a".to_owned())],
            cors: None,
            access: None,
        };
        let open =
            Rule { action: None, fields: Vec::new(), access: Some(Access::Open), ..rule("/") };
        assert_eq!(policy(text).unwrap().rules, [rule("/b/*"), rule("/a/*"), open]);
        assert!(rules::Rules::new(&policy(text).unwrap().rules).is_ok());
        assert_eq!(policy(""), Ok(Policy::default()));
    }

    #[test]
    fn mistakes_of_rules() {
        for (text, expected) in [
            (
                "path = \"assets/**\"\ndeny = true",
                "3: path: \"assets/**\" does not begin with a slash: write \"/assets/**\"",
            ),
            (
                "path = [\"/a\",\n\"/***\"]\ndeny = true",
                "4: path: \"/***\" has three stars in a row: write ** for any folders",
            ),
            (
                "path = \"/a/*\"\nredirect = \"b/$1\"",
                "4: redirect: \"b/$1\" is neither a path nor a URL: begin with a slash, http:// or \
                 https://",
            ),
            (
                "path = \"/a/*\"\nrewrite = \"https://b\"",
                "4: rewrite: \"https://b\" is a URL: write a path, or redirect to it",
            ),
            (
                "path = [\"/a/*\", \"/b\"]\nrewrite = \"/c/$1\"",
                "4: rewrite: for \"/b\", \"/c/$1\" has $1, and its pattern no star: write $$ for a \
                 dollar sign",
            ),
            (
                "path = \"/a\"\nheaders = { Content-Length = \"5\" }",
                "4: headers.Content-Length: \"Content-Length\" tells where the answer ends, which \
                 the server decides: remove it",
            ),
            (
                "path = \"/a\"\nheaders = { X = \"a\\nb\" }",
                "4: headers.X: \"a\\nb\" is not one line of plain ASCII: remove the rest",
            ),
            (
                "path = \"/a\"\ncors.origins = [\"https://a.example\", \"https://b.example/\"]",
                "4: origins: \"https://b.example/\" has a path: write \"https://b.example\"",
            ),
            (
                "path = \"/a\"\nauth = \"staff\"",
                "4: auth: there is no [auth.staff]: add it, with its file or users",
            ),
        ] {
            let text = format!("[[site.rule]]\n{text}");
            assert_eq!(policy(&text).unwrap_err(), format!("c.toml:{expected}"), "{text}");
        }
    }

    #[test]
    fn the_last_rule_that_there_is_room_for() {
        let read = |count| {
            let path = "\"/a\",".repeat(count);
            policy(&format!("[[site.rule]]\npath = [{path}]\ndeny = true"))
        };
        assert_eq!(read(RULES_PER_SITE_MAX).unwrap().rules.len(), RULES_PER_SITE_MAX);
        assert_eq!(
            read(RULES_PER_SITE_MAX + 1).unwrap_err(),
            "c.toml:1: [[site]] has over 1024 rules: join some by {a,b} or stars"
        );
    }

    #[test]
    fn pages_of_one_folder_share_it() {
        let folder = folder();
        let root = folder.path();
        let pages = "error_pages = { 404 = \"./public/404.html\", 503 = \"errors/busy.html\", \
                     410 = \"errors/.gone.html\" }";
        let other = "[[site]]\nhosts = [\"a.b\"]\nerror_pages.503 = \"errors/busy.html\"\n\
                     [[site.route]]\npath = \"/\"\nfiles = \"public\"";
        let text = format!("types.html = \"text/plain\"\n{}{other}", site(pages));
        let served = served(&folder, &text).unwrap();
        let types = vec![("html".to_owned(), "text/plain".to_owned())];
        let route = Options { types, ..Options::plain(root.join("public")) };
        let public =
            Options { hidden: Hidden::Served, symlinks: Symlinks::Followed, ..route.clone() };
        let errors = Options { root: root.join("errors"), ..public.clone() };
        assert_eq!(served.files, [route.clone(), public, errors, route]);
        let page = |status, files, path: &str| ErrorPage { status, files, path: path.to_owned() };
        let first =
            [page(404, 1, "/404.html"), page(503, 2, "/busy.html"), page(410, 2, "/.gone.html")];
        assert_eq!(served.policies[0].error_pages, first);
        assert_eq!(served.policies[1].error_pages, [page(503, 2, "/busy.html")]);
    }

    #[test]
    fn missing_pages() {
        let folder = folder();
        let root = folder.path().display();
        for (file, expected) in [
            (
                "errors/no.html",
                format!("there is no file \"{root}/errors/no.html\": make it or correct the path"),
            ),
            ("errors", format!("\"{root}/errors\" is a directory: name a file in it")),
            (
                "errors/busy.html/x",
                format!(
                    "there is no file \"{root}/errors/busy.html/x\": make it or correct the path"
                ),
            ),
        ] {
            let text = site(&format!("error_pages = {{ 404 = \"{file}\" }}"));
            assert_eq!(
                served(&folder, &text).unwrap_err(),
                format!("c.toml:2: error_pages.404: {expected}")
            );
        }
    }
}
