//! `[[site]]` and `[[site.route]]`: hosts, routes, error pages, and in `rule` the rules.
//!
//! It takes the table of a site and gives it as it is written, each value well formed.

use crate::config::file::files;
use crate::config::file::rule;
use crate::config::mistake::Mistake;
use crate::config::table::Table;
use crate::config::written::Written;
use crate::config::written::WrittenDestination;
use crate::config::written::WrittenErrorPage;
use crate::config::written::WrittenRoute;
use crate::config::written::WrittenSite;
use std::path::Path;

const SITE_KEYS: &[&str] = &["hosts", "route", "rule", "error_pages"];
const ROUTE_KEYS: &[&str] = &["path", "files", "app"];

/// One site with all below it. `folder` is absolute.
pub(super) fn site(table: &Table<'_>, folder: &Path) -> Result<WrittenSite, Mistake> {
    table.check_keys(SITE_KEYS, &[])?;
    let hosts = table.texts("hosts", "hosts = [\"example.com\"]")?;
    // An empty list would quietly mean every host.
    if let Some(list) = hosts.as_ref().filter(|list| list.value.is_empty()) {
        return Err(list.mistake("is empty: name a host, or remove the key to serve every host"));
    }
    let mut routes = Vec::new();
    for table in table.list_of_tables("route", "site.route")? {
        routes.push(route(&table, folder)?);
    }
    let mut rules = Vec::new();
    for table in table.list_of_tables("rule", "site.rule")? {
        rules.push(rule::rule(&table)?);
    }
    Ok(WrittenSite {
        hosts: hosts.map(|list| list.value).unwrap_or_default(),
        routes,
        rules,
        error_pages: error_pages(table, folder)?,
        place: table.place(),
    })
}

fn error_pages(table: &Table<'_>, folder: &Path) -> Result<Vec<WrittenErrorPage>, Mistake> {
    let example = "error_pages = { 404 = \"./errors/404.html\" }";
    let mut pages: Vec<WrittenErrorPage> = Vec::new();
    for page in table.texts_by_name("error_pages", example)? {
        let status = error_status(&page.value.0).map_err(|text| page.mistake(text))?;
        if let Some(first) = pages.iter().find(|page| page.status == status) {
            let first = first.file.place.in_passing();
            let text = format!("{status} already has a page ({first}): remove one of the two");
            return Err(page.mistake(text));
        }
        let file = Written::new(folder.join(page.value.1), page.place);
        pages.push(WrittenErrorPage { status, file });
    }
    Ok(pages)
}

fn error_status(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(status @ 400..=599) if text.len() == 3 => Ok(status),
        _ => Err(format!(
            "\"{text}\" is no status of an error: write a number from 400 to 599, such as 404"
        )),
    }
}

fn route(table: &Table<'_>, folder: &Path) -> Result<WrittenRoute, Mistake> {
    let mistake = |text: &str| Mistake::new(&table.place(), text);
    let known: Vec<&str> = ROUTE_KEYS.iter().chain(files::KEYS).copied().collect();
    table.check_keys(&known, &[])?;
    let Some(path) = table.text("path", "path = \"/static/\"")? else {
        return Err(mistake("[[site.route]] has no path: add path = \"/\""));
    };
    let root = table.text("files", "files = \"./public\"")?;
    let app = table.text("app", "app = \"NAME\"")?;
    let destination = match (root, app) {
        (Some(root), None) => {
            let root = root.parse(|text| Ok(folder.join(text)))?;
            WrittenDestination::Files(Box::new(files::files(table, root)?))
        }
        (None, Some(app)) => {
            if let Some(extra) = table.present(files::KEYS).first() {
                return Err(extra.mistake("belongs to a route with \"files\": remove it"));
            }
            WrittenDestination::App(
                app.parse(|text| Ok(text.strip_prefix("app:").unwrap_or(text).to_owned()))?,
            )
        }
        (Some(_), Some(app)) => {
            return Err(app.mistake(
                "stands beside \"files\": keep one of the two, or write fallback = \"app:NAME\" \
                 for files first",
            ));
        }
        (None, None) => {
            return Err(mistake(
                "[[site.route]] leads nowhere: add files = \"./public\" or app = \"NAME\"",
            ));
        }
    };
    Ok(WrittenRoute { path, destination })
}

#[cfg(test)]
mod tests {
    use crate::config::file::files;
    use crate::config::file::tests::parse;
    use std::path::Path;

    #[test]
    fn error_pages_by_status() {
        let text = "[[site]]\nerror_pages = { 404 = \"./a.html\", \"503\" = \"/b.html\" }";
        let site = parse(text).unwrap().to_serve.sites.remove(0);
        let pages: Vec<_> = site
            .error_pages
            .iter()
            .map(|page| (page.status, page.file.value.as_path(), page.file.place.to_string()))
            .collect();
        let place = |status: u16| format!("corelane.toml:2: error_pages.{status}");
        assert_eq!(
            pages,
            [
                (404, Path::new("/srv/./a.html"), place(404)),
                (503, Path::new("/b.html"), place(503))
            ]
        );
        // As a table of its own.
        let text = "[[site]]\n[site.error_pages]\n404 = \"a.html\"";
        assert_eq!(parse(text).unwrap().to_serve.sites[0].error_pages[0].status, 404);
    }

    #[test]
    fn mistakes_of_error_pages() {
        for (text, expected) in [
            (
                "error_pages = \"404.html\"",
                "2: error_pages: must be a table, but is a text: write error_pages = { 404 = \
                 \"./errors/404.html\" }",
            ),
            (
                "error_pages = { 404 = true }",
                "2: error_pages.404: must be a text, but is a boolean: write error_pages = { 404 = \
                 \"./errors/404.html\" }",
            ),
            (
                "[site.error_pages]\n\n404 = \"a\"\n200 = \"a\"",
                "5: error_pages.200: \"200\" is no status of an error: write a number from 400 to \
                 599, such as 404",
            ),
            (
                "error_pages = { 4xx = \"a\" }",
                "2: error_pages.4xx: \"4xx\" is no status of an error: write a number from 400 to \
                 599, such as 404",
            ),
            (
                "error_pages = { 0404 = \"a\" }",
                "2: error_pages.0404: \"0404\" is no status of an error: write a number from 400 \
                 to 599, such as 404",
            ),
            (
                "error_pages = { 600 = \"a\" }",
                "2: error_pages.600: \"600\" is no status of an error: write a number from 400 to \
                 599, such as 404",
            ),
        ] {
            let text = format!("[[site]]\n{text}");
            assert_eq!(parse(&text).unwrap_err(), format!("corelane.toml:{expected}"), "{text}");
        }
    }

    #[test]
    fn an_application_has_no_keys_of_files() {
        for key in files::KEYS {
            let text = format!(
                "[[site]]\n[[site.route]]\npath = \"/\"\napp = \"a\"\n{key} = true\nnosniff = true"
            );
            let text = text.replace("nosniff = true\nnosniff = true", "nosniff = true");
            assert_eq!(
                parse(&text).unwrap_err(),
                format!("corelane.toml:5: {key}: belongs to a route with \"files\": remove it")
            );
        }
    }
}
