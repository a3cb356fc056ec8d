//! Sites, routes, and what they lead to: names become indexes, paths are looked at.
//!
//! It takes sites and applications as they are written, wherever that was, and gives those of the
//! settings. Here a path is found to be missing, a name to be unknown, a route to be given twice.

use crate::config::environment::Environment;
use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::settings::App;
use crate::config::settings::Warning;
use crate::config::suggestion;
use crate::config::venv;
use crate::config::written::Written;
use crate::config::written::WrittenApp;
use crate::config::written::WrittenDestination;
use crate::config::written::WrittenRoute;
use crate::config::written::WrittenSite;
use crate::limits::HOST_BYTES_MAX;
use crate::limits::PYTHON_THREADS_DEFAULT;
use crate::route::Destination;
use crate::route::Route;
use crate::route::Site;
use crate::route::Slash;
use crate::rules::Policy;
use crate::static_files::Options;
use std::path;
use std::path::Path;
use std::path::PathBuf;

/// What is served.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) apps: Vec<App>,
    pub(super) files: Vec<Options>,
    pub(super) sites: Vec<Site>,
    pub(super) policies: Vec<Policy>,
    pub(super) warnings: Vec<Warning>,
}

/// Checks and builds all sites, and of the applications those that a route leads to.
pub(super) fn build(
    apps: &[WrittenApp],
    sites: Vec<WrittenSite>,
    environment: &Environment,
) -> Result<Served, Mistake> {
    let mut builder = Builder { apps, environment, served: Served::default() };
    let mut hosts: Vec<(String, Place)> = Vec::new();
    let mut every_host: Option<Place> = None;
    for site in sites {
        if let (true, Some(first)) = (site.hosts.is_empty(), &every_host) {
            let first = first.in_passing();
            return Err(Mistake::new(
                &site.place,
                format!("a second [[site]] without hosts ({first} has none either): add hosts"),
            ));
        }
        if site.hosts.is_empty() {
            every_host = Some(site.place.clone());
        }
        if site.routes.is_empty() {
            let text = "[[site]] has no routes: add a [[site.route]] below it, or remove it";
            return Err(Mistake::new(&site.place, text));
        }
        let mut names = Vec::with_capacity(site.hosts.len());
        for host in site.hosts {
            let host = host.parse(|text| host_pattern(text))?;
            if let Some((name, first)) = hosts.iter().find(|(name, _)| *name == host.value) {
                let first = first.in_passing();
                return Err(host.mistake(format!(
                    "\"{name}\" already belongs to a site ({first}): remove one of the two"
                )));
            }
            hosts.push((host.value.clone(), host.place));
            names.push(host.value);
        }
        let routes = builder.routes(site.routes)?;
        builder.served.sites.push(Site { hosts: names, routes });
        builder.served.policies.push(Policy::default());
    }
    let Served { apps: started, warnings, .. } = &mut builder.served;
    for app in apps.iter().filter(|app| !started.iter().any(|s| s.name == app.name.value)) {
        warnings.push(Warning::UnusedApp(app.name.value.clone()));
    }
    Ok(builder.served)
}

struct Builder<'a> {
    apps: &'a [WrittenApp],
    environment: &'a Environment,
    served: Served,
}

impl Builder<'_> {
    fn routes(&mut self, written: Vec<WrittenRoute>) -> Result<Vec<Route>, Mistake> {
        let mut places: Vec<Place> = Vec::with_capacity(written.len());
        let mut routes: Vec<Route> = Vec::with_capacity(written.len());
        for route in written {
            let path = route.path.parse(|text| prefix(text))?;
            let Written { value: (prefix, slash), place } = path;
            let same = routes.iter().position(|other| other.prefix == prefix);
            if let Some(first) = same.and_then(|index| places.get(index)) {
                let (path, first) = (slashed(&prefix), first.in_passing());
                return Err(Mistake::new(
                    &place,
                    format!("\"{path}\" already has a route ({first}): remove one of the two"),
                ));
            }
            let destination = self.destination(route.destination)?;
            places.push(place);
            routes.push(Route { prefix, slash, destination });
        }
        Ok(routes)
    }

    fn destination(&mut self, written: WrittenDestination) -> Result<Destination, Mistake> {
        let (folder, fallback, cache_control) = match written {
            WrittenDestination::App(name) => return Ok(Destination::App(self.app(&name)?)),
            WrittenDestination::Files { folder, fallback, cache_control } => {
                (folder, fallback, cache_control)
            }
        };
        let root = directory(&folder)?;
        let cache_control = cache_control.map(|text| text.parse(|text| field_value(text)));
        let cache_control = cache_control.transpose()?.map(|text| text.value);
        let fallback = fallback.map(|name| self.app(&name)).transpose()?;
        self.served.files.push(Options { cache_control, ..Options::plain(root) });
        Ok(Destination::Files { files: self.served.files.len() - 1, fallback })
    }

    /// The index of the application of this name, which is built when it is first asked for.
    fn app(&mut self, name: &Written<String>) -> Result<usize, Mistake> {
        let built = self.served.apps.iter().position(|app| app.name == name.value);
        if let Some(index) = built {
            return Ok(index);
        }
        let Some(app) = self.apps.iter().find(|app| app.name.value == name.value) else {
            let known: Vec<&str> = self.apps.iter().map(|app| app.name.value.as_str()).collect();
            let remedy = match known.is_empty() {
                true => "add it, with its target".to_owned(),
                false => suggestion::remedy(&name.value, "the applications", &known),
            };
            return Err(name.mistake(format!("there is no [app.{}]: {remedy}", name.value)));
        };
        let chdir = match &app.options.chdir {
            Some(written) => directory(written)?,
            None => absolute(&app.folder),
        };
        let mut pythonpath = Vec::new();
        if let Some(written) = &app.options.pythonpath {
            for place in &written.value {
                pythonpath.push(import_place(place, written)?);
            }
        }
        let given = app.options.venv.as_ref();
        let venv = venv::find(given, self.environment, &chdir, &mut self.served.warnings)?;
        self.served.apps.push(App {
            name: app.name.value.clone(),
            target: app.target.value.clone(),
            chdir,
            pythonpath,
            venv,
            threads: app.options.threads.as_ref().map_or(PYTHON_THREADS_DEFAULT, |w| w.value),
        });
        Ok(self.served.apps.len() - 1)
    }
}

/// Without `.` and doubled slashes; links and `..` stay as they are, so that a link that is turned
/// to another release still leads there. `path` has its folder before it.
pub(super) fn absolute(path: &Path) -> PathBuf {
    // An error means an empty path or no current folder; neither can be with a folder before it.
    path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn directory(written: &Written<PathBuf>) -> Result<PathBuf, Mistake> {
    let path = absolute(&written.value);
    let shown = path.display();
    match (path.is_dir(), path.exists()) {
        (true, _) => Ok(path),
        (false, true) => Err(written.mistake(format!("\"{shown}\" is a file: name a directory"))),
        (false, false) => Err(written
            .mistake(format!("there is no directory \"{shown}\": make it or correct the path"))),
    }
}

/// A folder, or an archive: Python imports from zip files as well.
fn import_place(path: &Path, written: &Written<Vec<PathBuf>>) -> Result<PathBuf, Mistake> {
    let path = absolute(path);
    match path.exists() {
        true => Ok(path),
        false => Err(written.mistake(format!(
            "there is no directory \"{}\": make it or correct the path",
            path.display()
        ))),
    }
}

/// The prefix without trailing slash, and whether it had one. The request's path is compared in its
/// decoded form, so the prefix must be one that a decoded path can have.
fn prefix(text: &str) -> Result<(String, Slash), String> {
    if !text.starts_with('/') {
        return Err(format!("\"{text}\" does not begin with a slash: write \"/{text}\""));
    }
    if text == "/" {
        return Ok((String::new(), Slash::Optional));
    }
    let bare = text.strip_suffix('/').unwrap_or(text);
    let slash = if bare.len() < text.len() { Slash::Required } else { Slash::Optional };
    if bare.contains('*') {
        let below = slashed(bare.split('*').next().unwrap_or_default().trim_end_matches('/'));
        return Err(format!(
            "\"{text}\" has a star, but a path owns all below it already: write \"{below}\""
        ));
    }
    if bare.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(format!(
            "\"{text}\" has an empty or dotted segment, which no request has: remove it"
        ));
    }
    if bare.contains(['?', '#']) {
        return Err(format!("\"{text}\" has a query or fragment: write the path alone"));
    }
    if bare.chars().any(char::is_control) {
        return Err(format!("{text:?} has a control character: remove it"));
    }
    if has_escape(bare) {
        return Err(format!("\"{text}\" is percent-encoded: write the characters themselves"));
    }
    Ok((bare.to_owned(), slash))
}

fn has_escape(text: &str) -> bool {
    text.as_bytes().windows(3).any(|window| match window {
        [b'%', high, low] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    })
}

/// A prefix as a person writes it.
fn slashed(prefix: &str) -> String {
    if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() }
}

/// A host name, a wildcard or an IP address, in lower case and without trailing dot.
fn host_pattern(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.len() > HOST_BYTES_MAX {
        return Err(format!("a host of over {HOST_BYTES_MAX} bytes is no name: correct it"));
    }
    if let Some(inside) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return match inside.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(name),
            Err(_) => Err(format!("\"{text}\" is not an IPv6 address: write one such as [::1]")),
        };
    }
    if name == "*" {
        return Err("\"*\" is every host: remove the key hosts to serve every host".to_owned());
    }
    if let Some((host, port)) = name.rsplit_once(':')
        && !host.contains(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(format!("\"{text}\" has a port: write \"{host}\", every port is meant"));
    }
    let labels = name.strip_prefix("*.").unwrap_or(&name);
    let is_label = |label: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(is_part)
    };
    if labels.split('.').all(is_label) {
        return Ok(name);
    }
    if !text.is_ascii() {
        return Err(format!("\"{text}\" is not ASCII: write its xn-- form, as browsers send it"));
    }
    Err(format!("\"{text}\" is not a host: write one such as example.com or *.example.com"))
}

/// A header value that is plain text (RFC 9110 section 5.5, without obs-text and tab).
fn field_value(text: &str) -> Result<String, String> {
    let value = text.trim_matches(' ');
    if value.is_empty() {
        return Err("is empty: write a value such as \"max-age=3600\", or remove it".to_owned());
    }
    match value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => Ok(value.to_owned()),
        false => Err(format!("{text:?} is not one line of plain ASCII: remove the rest")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::ConfigFile;
    use std::fs;
    use tempfile::TempDir;

    /// A folder with some folders and one file.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["public", "static", "lib"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("file"), "").unwrap();
        folder
    }

    fn served(folder: &TempDir, text: &str) -> Result<Served, String> {
        fs::write(folder.path().join("c.toml"), text).unwrap();
        let path = Written::new("c.toml".to_owned(), Place::Flag("--config"));
        let environment = Environment::new(folder.path(), &[]);
        ConfigFile::read(&path, folder.path())
            .and_then(|file| build(&file.apps, file.sites, &environment))
            .map_err(|mistake| mistake.to_string())
    }

    const ROUTE: &str = "[[site]]\n[[site.route]]\n";

    const TWO_SITES: &str = r#"
[app.idle]
target = "idle"
[app.blog]
target = "blog"
[app.shop]
target = "shop:app"
chdir = "lib"
pythonpath = ["static", "./file"]
threads = 2

[[site]]
hosts = ["Example.com.", "*.Example.com", "[::1]"]
[[site.route]]
path = "/static/"
files = "./static"
cache_control = " max-age=1 "
[[site.route]]
path = "/"
files = "public"
fallback = "app:shop"

[[site]]
[[site.route]]
path = "/blog"
app = "blog"
[[site.route]]
path = "/shop"
app = "shop"
"#;

    #[test]
    fn names_become_indexes_and_paths_absolute() {
        let folder = folder();
        let served = served(&folder, TWO_SITES).unwrap();
        let root = folder.path();
        let app = |name: &str, target: &str, chdir| App {
            name: name.to_owned(),
            target: target.to_owned(),
            chdir,
            pythonpath: Vec::new(),
            venv: None,
            threads: PYTHON_THREADS_DEFAULT,
        };
        let shop = App {
            pythonpath: vec![root.join("static"), root.join("file")],
            threads: 2,
            ..app("shop", "shop:app", root.join("lib"))
        };
        assert_eq!(served.apps, [shop, app("blog", "blog", root.to_owned())]);
        let files = |name, cache_control: Option<&str>| Options {
            cache_control: cache_control.map(str::to_owned),
            ..Options::plain(root.join(name))
        };
        assert_eq!(served.files, [files("static", Some("max-age=1")), files("public", None)]);
        let route = |prefix: &str, slash, destination| Route {
            prefix: prefix.to_owned(),
            slash,
            destination,
        };
        let first = Site {
            hosts: vec!["example.com".into(), "*.example.com".into(), "[::1]".into()],
            routes: vec![
                route("/static", Slash::Required, Destination::Files { files: 0, fallback: None }),
                route("", Slash::Optional, Destination::Files { files: 1, fallback: Some(0) }),
            ],
        };
        let second = Site {
            hosts: Vec::new(),
            routes: vec![
                route("/blog", Slash::Optional, Destination::App(1)),
                route("/shop", Slash::Optional, Destination::App(0)),
            ],
        };
        assert_eq!(served.sites, [first, second]);
        assert_eq!(served.warnings, [Warning::UnusedApp("idle".to_owned())]);
        assert_eq!(
            served.warnings[0].to_string(),
            "no route leads to [app.idle]: it is not started"
        );
    }

    #[test]
    fn missing_paths() {
        let folder = folder();
        let root = folder.path().display();
        for (text, expected) in [
            (
                format!("{ROUTE}path = \"/\"\nfiles = \"pubic\""),
                format!(
                    "4: files: there is no directory \"{root}/pubic\": make it or correct the path"
                ),
            ),
            (
                format!("{ROUTE}path = \"/\"\nfiles = \"file\""),
                format!("4: files: \"{root}/file\" is a file: name a directory"),
            ),
            (
                format!("[app.a]\ntarget = \"a\"\nchdir = \"b\"\n{ROUTE}path = \"/\"\napp = \"a\""),
                format!(
                    "3: chdir: there is no directory \"{root}/b\": make it or correct the path"
                ),
            ),
            (
                format!(
                    "[app.a]\ntarget = \"a\"\npythonpath = [\"lib\", \"b\"]\n{ROUTE}path = \"/\"\n\
                     app = \"a\""
                ),
                format!(
                    "3: pythonpath: there is no directory \"{root}/b\": make it or correct the path"
                ),
            ),
            (
                format!(
                    "[app.a]\ntarget = \"a\"\nvenv = \"lib\"\n{ROUTE}path = \"/\"\napp = \"a\""
                ),
                format!(
                    "3: venv: \"{root}/lib\" is not a virtual environment (it has no pyvenv.cfg): \
                     make it with python{version} -m venv \"{root}/lib\", or correct the path",
                    version = env!("CORELANE_PYTHON_VERSION"),
                ),
            ),
        ] {
            assert_eq!(served(&folder, &text).unwrap_err(), format!("c.toml:{expected}"));
        }
    }

    #[test]
    fn names_that_do_not_fit() {
        let folder = folder();
        for (text, expected) in [
            (
                format!("{ROUTE}path = \"/\"\napp = \"shop\""),
                "4: app: there is no [app.shop]: add it, with its target",
            ),
            (
                format!("[app.shop]\ntarget = \"a\"\n{ROUTE}path = \"/\"\napp = \"shpo\""),
                "6: app: there is no [app.shpo]: did you mean \"shop\"?",
            ),
            (
                format!(
                    "[app.shop]\ntarget = \"a\"\n{ROUTE}path = \"/\"\nfiles = \"lib\"\n\
                     fallback = \"app:x\""
                ),
                "7: fallback: there is no [app.x]: the applications are shop",
            ),
            (
                format!(
                    "{ROUTE}path = \"/a\"\nfiles = \"lib\"\n[[site.route]]\npath = \"/a/\"\n\
                     files = \"lib\""
                ),
                "6: path: \"/a\" already has a route (line 3): remove one of the two",
            ),
            (
                format!(
                    "{ROUTE}path = \"/\"\nfiles = \"lib\"\n[[site.route]]\npath = \"/\"\n\
                     files = \"lib\""
                ),
                "6: path: \"/\" already has a route (line 3): remove one of the two",
            ),
            (
                format!(
                    "{ROUTE}path = \"/\"\nfiles = \"lib\"\n{ROUTE}path = \"/\"\nfiles = \
                 \"lib\""
                ),
                "5: a second [[site]] without hosts (line 1 has none either): add hosts",
            ),
            (
                "[[site]]\nhosts = [\"a.b\", \"A.b.\"]\n[[site.route]]\npath = \"/\"\nfiles = \
                 \"lib\""
                    .to_owned(),
                "2: hosts: \"a.b\" already belongs to a site (line 2): remove one of the two",
            ),
            (
                "[[site]]\nhosts = [\"a.b\"]".to_owned(),
                "1: [[site]] has no routes: add a [[site.route]] below it, or remove it",
            ),
        ] {
            assert_eq!(served(&folder, &text).unwrap_err(), format!("c.toml:{expected}"));
        }
    }

    #[test]
    fn prefixes() {
        use Slash::{Optional, Required};
        for (text, bare, slash) in [
            ("/", "", Optional),
            ("/book", "/book", Optional),
            ("/book/", "/book", Required),
            ("/a/b.c/..d/", "/a/b.c/..d", Required),
            ("/café 100%", "/café 100%", Optional),
        ] {
            assert_eq!(prefix(text), Ok((bare.to_owned(), slash)), "{text}");
        }
        for (text, expected) in [
            ("", "\"\" does not begin with a slash: write \"/\""),
            ("book", "\"book\" does not begin with a slash: write \"/book\""),
            (
                "/static/*",
                "\"/static/*\" has a star, but a path owns all below it already: write \"/static\"",
            ),
            ("/*", "\"/*\" has a star, but a path owns all below it already: write \"/\""),
            ("//", "\"//\" has an empty or dotted segment, which no request has: remove it"),
            ("/a//b", "\"/a//b\" has an empty or dotted segment, which no request has: remove it"),
            (
                "/a/../b",
                "\"/a/../b\" has an empty or dotted segment, which no request has: remove it",
            ),
            ("/./", "\"/./\" has an empty or dotted segment, which no request has: remove it"),
            ("/a?b", "\"/a?b\" has a query or fragment: write the path alone"),
            ("/a#b", "\"/a#b\" has a query or fragment: write the path alone"),
            ("/a\n", "\"/a\\n\" has a control character: remove it"),
            ("/caf%C3%A9", "\"/caf%C3%A9\" is percent-encoded: write the characters themselves"),
        ] {
            assert_eq!(prefix(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn hosts() {
        for (text, name) in [
            ("Example.COM.", "example.com"),
            ("*.example.com", "*.example.com"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("a_b.xn--caf-dma.fr", "a_b.xn--caf-dma.fr"),
        ] {
            assert_eq!(host_pattern(text), Ok(name.to_owned()), "{text}");
        }
        let long = "a".repeat(HOST_BYTES_MAX + 1);
        assert!(host_pattern(&long[1..]).is_ok());
        for (text, expected) in [
            ("*", "\"*\" is every host: remove the key hosts to serve every host"),
            ("a.b:80", "\"a.b:80\" has a port: write \"a.b\", every port is meant"),
            ("[::g]", "\"[::g]\" is not an IPv6 address: write one such as [::1]"),
            ("café.fr", "\"café.fr\" is not ASCII: write its xn-- form, as browsers send it"),
            ("", "\"\" is not a host: write one such as example.com or *.example.com"),
            ("a..b", "\"a..b\" is not a host: write one such as example.com or *.example.com"),
            ("*.*.b", "\"*.*.b\" is not a host: write one such as example.com or *.example.com"),
            ("a.*", "\"a.*\" is not a host: write one such as example.com or *.example.com"),
            ("::1", "\"::1\" is not a host: write one such as example.com or *.example.com"),
            (
                "http://a.b",
                "\"http://a.b\" is not a host: write one such as example.com or *.example.com",
            ),
            (&long, "a host of over 253 bytes is no name: correct it"),
        ] {
            assert_eq!(host_pattern(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn header_values() {
        let good = "public, max-age=31536000, immutable";
        assert_eq!(field_value(good), Ok(good.to_owned()));
        for (text, expected) in [
            ("", "is empty: write a value such as \"max-age=3600\", or remove it"),
            ("  ", "is empty: write a value such as \"max-age=3600\", or remove it"),
            ("a\r\nb: c", "\"a\\r\\nb: c\" is not one line of plain ASCII: remove the rest"),
            ("é", "\"é\" is not one line of plain ASCII: remove the rest"),
            ("a\u{7f}", "\"a\\u{7f}\" is not one line of plain ASCII: remove the rest"),
        ] {
            assert_eq!(field_value(text), Err(expected.to_owned()), "{text:?}");
        }
    }
}
