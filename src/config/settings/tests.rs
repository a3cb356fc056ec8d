//! The tests of `config/settings`.

use super::*;
use crate::limits::PYTHON_THREADS_DEFAULT;
use crate::route::Destination;
use crate::route::Route;
use crate::route::Slash;
use std::fs;
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["public", "static"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    folder
}

fn settings(
    folder: &TempDir,
    words: &[&str],
    variables: &[(&str, &str)],
) -> Result<Settings, String> {
    let arguments = Arguments::from_words(["corelane"].iter().chain(words)).unwrap();
    let environment = Environment::new(folder.path(), variables);
    Settings::new(arguments, &environment).map_err(|mistake| mistake.to_string())
}

fn app_at(folder: &Path) -> App {
    App {
        name: "app".to_owned(),
        target: "shop:app".to_owned(),
        chdir: folder.to_owned(),
        pythonpath: Vec::new(),
        venv: None,
        threads: PYTHON_THREADS_DEFAULT,
    }
}

fn route(prefix: &str, slash: Slash, destination: Destination) -> Route {
    Route { prefix: prefix.to_owned(), slash, destination }
}

fn tcp(text: &str) -> Bind {
    let address = BindAddress::Tcp(text.parse().unwrap());
    Bind { address, proxy_protocol: ProxyProtocol::Off }
}

#[test]
fn an_application_alone_has_the_defaults() {
    let folder = folder();
    let expected = Settings {
        binds: vec![tcp("127.0.0.1:8000")],
        proxies: Proxies::default(),
        lanes: Lanes::Auto,
        apps: vec![app_at(folder.path())],
        files: Vec::new(),
        sites: vec![Site {
            hosts: Vec::new(),
            routes: vec![route("", Slash::Optional, Destination::App(0))],
        }],
        policies: vec![Policy::default()],
        realms: Vec::new(),
        body_bytes_max: BODY_BYTES_MAX_DEFAULT,
        connections_per_client_max: Some(CONNECTIONS_PER_CLIENT_MAX_DEFAULT),
        idle_time_max: IDLE_TIME_MAX_DEFAULT,
        graceful_time_max: GRACEFUL_TIME_MAX_DEFAULT,
        access_log: AccessLog::Off,
        log_level: LogLevel::Info,
        io: Io::Auto,
        warnings: Vec::new(),
    };
    assert_eq!(settings(&folder, &["shop:app"], &[]).as_ref(), Ok(&expected));
    assert_eq!(
        expected.summary(),
        "configuration is good: 1 site, 1 route, 1 application, 1 address"
    );
}

#[test]
fn files_and_an_application() {
    let folder = folder();
    let words = ["--static", "/static/=static", "shop:app"];
    let beside = settings(&folder, &words, &[]).unwrap();
    assert_eq!(
        beside.sites[0].routes,
        [
            route("/static", Slash::Required, Destination::Files { files: 0, fallback: None }),
            route("", Slash::Optional, Destination::App(0)),
        ]
    );
    assert_eq!(beside.files[0].root, folder.path().join("static"));
    let words = ["--static", "/=public", "--static", "/s=./static", "-b", "1", "-b", "2", "a"];
    let behind = settings(&folder, &words, &[]).unwrap();
    assert_eq!(
        behind.sites[0].routes,
        [
            route("", Slash::Optional, Destination::Files { files: 0, fallback: Some(0) }),
            route("/s", Slash::Optional, Destination::Files { files: 1, fallback: None }),
        ]
    );
    assert_eq!(
        behind.summary(),
        "configuration is good: 1 site, 2 routes, 1 application, 2 addresses"
    );
    let alone = settings(&folder, &["--static", "/=public"], &[]).unwrap();
    let files = Destination::Files { files: 0, fallback: None };
    assert_eq!(alone.sites[0].routes, [route("", Slash::Optional, files)]);
    assert!(alone.apps.is_empty());
}

const FILE: &str = r#"
bind = "127.0.0.1:1"
lanes = 2
keep_alive = 3
[app.shop]
target = "shop:app"
threads = 4
chdir = "public"
[[site]]
[[site.route]]
path = "/"
app = "shop"
"#;

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let folder = folder();
    fs::write(folder.path().join("corelane.toml"), FILE).unwrap();
    let port = ("PORT", "9");
    let from_file = settings(&folder, &[], &[port]).unwrap();
    assert_eq!(from_file.binds, [tcp("127.0.0.1:1")]);
    assert_eq!(from_file.lanes, Lanes::Exactly(2));
    assert_eq!(from_file.idle_time_max, Duration::from_secs(3));
    assert_eq!(from_file.graceful_time_max, GRACEFUL_TIME_MAX_DEFAULT);
    assert_eq!(from_file.apps[0].threads, 4);
    assert_eq!(from_file.apps[0].chdir, folder.path().join("public"));

    let variables = [
        ("CORELANE_BIND", "127.0.0.1:5"),
        ("WEB_CONCURRENCY", "6"),
        ("CORELANE_THREADS", "7"),
        ("CORELANE_CHDIR", "static"),
        port,
    ];
    let from_variables = settings(&folder, &[], &variables).unwrap();
    assert_eq!(from_variables.binds, [tcp("127.0.0.1:5")]);
    assert_eq!(from_variables.lanes, Lanes::Exactly(6));
    assert_eq!(from_variables.idle_time_max, Duration::from_secs(3));
    assert_eq!(from_variables.apps[0].threads, 7);
    assert_eq!(from_variables.apps[0].chdir, folder.path().join("static"));

    let words = ["-b", "127.0.0.1:8", "-w", "9", "--threads", "10", "--chdir", "."];
    let from_flags = settings(&folder, &words, &variables).unwrap();
    assert_eq!(from_flags.binds, [tcp("127.0.0.1:8")]);
    assert_eq!(from_flags.lanes, Lanes::Exactly(9));
    assert_eq!(from_flags.apps[0].threads, 10);
    assert_eq!(from_flags.apps[0].chdir, folder.path());
}

#[test]
fn what_is_served_comes_from_the_command_line_or_else_from_the_file() {
    let folder = folder();
    fs::write(folder.path().join("corelane.toml"), FILE).unwrap();
    // The file of the current folder is not even read beside APP or --static.
    let from_app = settings(&folder, &["other"], &[]).unwrap();
    assert_eq!((from_app.apps[0].target.as_str(), from_app.lanes), ("other", Lanes::Auto));
    let from_static = settings(&folder, &["--static", "/=public"], &[]).unwrap();
    assert_eq!((from_static.apps.len(), from_static.lanes), (0, Lanes::Auto));
    let from_variable = settings(&folder, &[], &[("CORELANE_APP", "other")]).unwrap();
    assert_eq!(from_variable.apps[0].target, "other");
    // A file that was asked for gives its options.
    let both = settings(&folder, &["-c", "corelane.toml", "other"], &[]).unwrap();
    assert_eq!((both.apps[0].target.as_str(), both.lanes), ("other", Lanes::Exactly(2)));
    assert_eq!((both.apps.len(), both.apps[0].threads), (1, PYTHON_THREADS_DEFAULT));
    assert_eq!(both.apps[0].chdir, folder.path());
}

#[test]
fn paths_in_the_file_begin_at_its_folder() {
    let folder = folder();
    let inner = folder.path().join("public");
    fs::create_dir(inner.join("www")).unwrap();
    let text = "[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"./www\"";
    fs::write(inner.join("c.toml"), text).unwrap();
    let found = settings(&folder, &["-c", "public/c.toml"], &[]).unwrap();
    assert_eq!(found.files[0].root, inner.join("www"));
    fs::remove_dir(inner.join("www")).unwrap();
    assert_eq!(
        settings(&folder, &["-c", "public/c.toml"], &[]).unwrap_err(),
        format!(
            "public/c.toml:4: files: there is no directory \"{}/www\": make it or correct the \
                 path",
            inner.display()
        )
    );
}

#[test]
fn port_stands_in_where_no_address_is_given() {
    let folder = folder();
    let port = [("PORT", "9000")];
    assert_eq!(settings(&folder, &["a"], &port).unwrap().binds, [tcp("0.0.0.0:9000")]);
    assert_eq!(settings(&folder, &["a", "-b", "1"], &port).unwrap().binds, [tcp("0.0.0.0:1")]);
}

#[test]
fn nothing_to_serve_shows_three_commands() {
    let folder = folder();
    let expected = "nothing to serve: name an application, a folder, or both, for example

  corelane app:app
  corelane --static /=./public
  corelane --static /static=./static 'flaskr:create_app()'

or write a corelane.toml. corelane --help tells more";
    assert_eq!(settings(&folder, &[], &[]).unwrap_err(), expected);
    fs::write(folder.path().join("corelane.toml"), "lanes = 1").unwrap();
    let expected = "corelane.toml: nothing to serve: add a route, for example

  [[site]]
  [[site.route]]
  path = \"/\"
  files = \"./public\"";
    assert_eq!(settings(&folder, &[], &[]).unwrap_err(), expected);
}

#[test]
fn mistakes_between_flags_and_the_disk() {
    let folder = folder();
    let root = folder.path().display();
    fs::write(folder.path().join("file"), "").unwrap();
    for (words, expected) in [
        (
            &["--static", "/=pubic"][..],
            format!(
                "--static: there is no directory \"{root}/pubic\": make it or correct the path"
            ),
        ),
        (
            &["--static", "static=static"],
            "--static: \"static\" does not begin with a slash: write \"/static\"".to_owned(),
        ),
        (
            &["--static", "/a=static", "--static", "/a/=public"],
            "--static: \"/a\" already has a route (--static): remove one of the two".to_owned(),
        ),
        (
            &["--chdir", "x", "a"],
            format!("--chdir: there is no directory \"{root}/x\": make it or correct the path"),
        ),
        (
            &["--pythonpath", "static,x", "a"],
            format!(
                "--pythonpath: there is no directory \"{root}/x\": make it or correct the path"
            ),
        ),
        (
            &["-b", "127.0.0.1:80", "-b", "127.0.0.1:80", "a"],
            "--bind: 127.0.0.1:80 is given twice: remove one".to_owned(),
        ),
        (
            &["--forwarded-host", "a"],
            "--forwarded-host: there is nobody to be believed: name your proxies with \
             --forwarded-allow-ips or forwarded_allow_ips"
                .to_owned(),
        ),
        (
            &["--access-logfile", "log/access.log", "a"],
            format!(
                "--access-logfile: there is no directory \"{root}/log\": make it or correct \
                     the path"
            ),
        ),
        (
            &["--access-logfile", "static", "a"],
            format!("--access-logfile: \"{root}/static\" is a directory: name a file in it"),
        ),
        (
            &["-c", "x.toml"],
            "--config: there is no file \"x.toml\": make it or correct the path".to_owned(),
        ),
    ] {
        assert_eq!(settings(&folder, words, &[]).unwrap_err(), expected);
    }
    let free = settings(&folder, &["-b", "127.0.0.1:0", "-b", "127.0.0.1:0", "a"], &[]);
    assert_eq!(free.unwrap().binds.len(), 2);
    let log = settings(&folder, &["--access-logfile", "./a.log", "a"], &[]).unwrap();
    assert_eq!(log.access_log, AccessLog::File(folder.path().join("a.log")));
}

#[test]
fn a_stale_virtual_env_is_a_warning() {
    let folder = folder();
    let found = settings(&folder, &["a"], &[("VIRTUAL_ENV", "/gone")]).unwrap();
    assert_eq!(found.warnings, [Warning::StaleVirtualEnv("/gone".into())]);
    assert_eq!(found.apps[0].venv, None);
}

#[test]
fn whom_we_believe() {
    let folder = folder();
    let local = Proxy::Network("127.0.0.1".parse().unwrap());
    let words = ["--forwarded-allow-ips", "127.0.0.1", "--forwarded-host", "a"];
    let found = settings(&folder, &words, &[]).unwrap();
    assert_eq!(found.proxies, Proxies::new(vec![local], HostTrust::Trusted));
    let variables = [("CORELANE_FORWARDED_ALLOW_IPS", "127.0.0.1,unix")];
    let found = settings(&folder, &["a"], &variables).unwrap();
    assert_eq!(found.proxies, Proxies::new(vec![local, Proxy::Unix], HostTrust::Ignored));
    assert!(settings(&folder, &["a"], &[]).unwrap().proxies.is_empty(), "nobody by default");
    // An empty list on the command line takes the file's away.
    let text = format!("forwarded_allow_ips = \"10.0.0.0/8\"\n{FILE}");
    fs::write(folder.path().join("corelane.toml"), text).unwrap();
    assert!(!settings(&folder, &[], &[]).unwrap().proxies.is_empty());
    assert!(settings(&folder, &["--forwarded-allow-ips", ""], &[]).unwrap().proxies.is_empty());
}

const WITH_RULES: &str = r#"
[types]
md = "text/markdown"
[[site]]
error_pages = { 404 = "public/404.html" }
[[site.route]]
path = "/"
files = "public"
[[site.rule]]
path = ["/a/**", "/b/**"]
cache_control = "no-cache"
[[site.rule]]
path = "/c"
deny = true
"#;

#[test]
fn rules_belong_to_the_file_and_types_to_all_folders() {
    let folder = folder();
    fs::write(folder.path().join("corelane.toml"), WITH_RULES).unwrap();
    fs::write(folder.path().join("public/404.html"), "").unwrap();
    let from_file = settings(&folder, &[], &[]).unwrap();
    assert_eq!(
        from_file.summary(),
        "configuration is good: 1 site, 1 route, 3 rules, 0 applications, 1 address"
    );
    assert_eq!((from_file.policies.len(), from_file.files.len()), (1, 2));
    let words = ["-c", "corelane.toml", "--static", "/=static", "--listing"];
    let typed = settings(&folder, &words, &[]).unwrap();
    assert_eq!(typed.policies, [Policy::default()]);
    let expected = static_files::Options {
        listing: static_files::Listing::On,
        types: vec![("md".to_owned(), "text/markdown".to_owned())],
        ..static_files::Options::plain(folder.path().join("static"))
    };
    assert_eq!(typed.files, [expected]);
}
