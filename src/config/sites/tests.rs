//! The tests of `config/sites`.

use super::*;
use crate::config::file::ConfigFile;
use crate::route::Slash;
use crate::static_files::Listing;
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
        .and_then(|file| build(file.to_serve, &environment))
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
    let route =
        |prefix: &str, slash, destination| Route { prefix: prefix.to_owned(), slash, destination };
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
    assert_eq!(served.warnings[0].to_string(), "no route leads to [app.idle]: it is not started");
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
            format!("3: chdir: there is no directory \"{root}/b\": make it or correct the path"),
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
            format!("[app.a]\ntarget = \"a\"\nvenv = \"lib\"\n{ROUTE}path = \"/\"\napp = \"a\""),
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
fn all_folders_have_the_types_and_a_missing_fallback_is_a_warning() {
    let folder = folder();
    let text = format!(
        "types.MD = \"text/markdown\"\n{ROUTE}path = \"/\"\nfiles = \"public\"\n\
         fallback = \"/index.html\"\nlisting = true\n[[site.route]]\npath = \"/s\"\n\
         files = \"static\""
    );
    let found = served(&folder, &text).unwrap();
    let types = vec![("md".to_owned(), "text/markdown".to_owned())];
    let second = Options { types, ..Options::plain(folder.path().join("static")) };
    let first = Options {
        root: folder.path().join("public"),
        listing: Listing::On,
        fallback: Some("/index.html".to_owned()),
        ..second.clone()
    };
    assert_eq!(found.files, [first, second]);
    let file = folder.path().join("public/index.html");
    assert_eq!(found.warnings, [Warning::MissingFallback(file.clone())]);
    assert_eq!(
        found.warnings[0].to_string(),
        format!(
            "there is no file \"{}\": until it is there, what is missing is answered with 404",
            file.display()
        )
    );
    fs::write(file, "").unwrap();
    assert_eq!(served(&folder, &text).unwrap().warnings, []);
}
