//! The configuration file: which keys it has, read into values with their lines.
//!
//! It takes a path and gives options, applications and sites as they are written, each value well
//! formed. Relative paths are joined to the file's folder. Whether the paths exist and the names
//! are known is checked in `sites`.

use crate::address::Proxy;
use crate::config::binds;
use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::table::Source;
use crate::config::table::Table;
use crate::config::value;
use crate::config::written::AppOptions;
use crate::config::written::Options;
use crate::config::written::Written;
use crate::config::written::WrittenApp;
use crate::config::written::WrittenDestination;
use crate::config::written::WrittenRoute;
use crate::config::written::WrittenSite;
use crate::limits::CONFIG_FILE_BYTES_MAX;
use std::fs;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use toml::de::DeTable;

const TOP_KEYS: &[&str] = &[
    "bind",
    "forwarded_allow_ips",
    "forwarded_host",
    "lanes",
    "io",
    "keep_alive",
    "graceful_timeout",
    "limit_request_body",
    "limit_connections_per_client",
    "access_log",
    "log_level",
    "app",
    "site",
];
const APP_KEYS: &[&str] = &["target", "chdir", "pythonpath", "venv", "threads", "isolation"];
const APP_KEYS_LATER: &[&str] = &["timeout"];
const SITE_KEYS: &[&str] = &["hosts", "route"];
const ROUTE_KEYS: &[&str] = &["path", "files", "app", "fallback", "cache_control"];

/// All that the file says.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) options: Options,
    pub(super) apps: Vec<WrittenApp>,
    pub(super) sites: Vec<WrittenSite>,
}

impl ConfigFile {
    /// Reads the file. `path` may be relative to `current`; messages name it as it is written.
    pub(super) fn read(path: &Written<String>, current: &Path) -> Result<Self, Mistake> {
        let name = Path::new(&path.value);
        let full = current.join(name);
        let text = read_text(&full, path)?;
        let folder = full.parent().unwrap_or(current);
        Self::parse(Source { name, text: &text }, folder)
    }

    /// Reads its text. `folder` is absolute.
    fn parse(source: Source<'_>, folder: &Path) -> Result<Self, Mistake> {
        let document =
            DeTable::parse(source.text).map_err(|error| source.syntax_mistake(&error))?;
        let top = Table::top(source, document.get_ref());
        top.check_keys(TOP_KEYS, &[])?;
        let options = options(&top, folder)?;
        let mut apps = Vec::new();
        for (name, table) in top.named_tables("app")? {
            apps.push(app(name, &table, folder)?);
        }
        let mut sites = Vec::new();
        for table in top.list_of_tables("site", "site")? {
            sites.push(site(&table, folder)?);
        }
        Ok(Self { options, apps, sites })
    }
}

fn read_text(full: &Path, path: &Written<String>) -> Result<String, Mistake> {
    let shown = &path.value;
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            path.mistake(format!("there is no file \"{shown}\": make it or correct the path"))
        }
        _ => path.mistake(format!(
            "\"{shown}\" cannot be read ({error}): correct the path or its permissions"
        )),
    };
    let file = fs::File::open(full).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(CONFIG_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    let whole = Place::File(PathBuf::from(shown));
    if bytes.len() as u64 > CONFIG_FILE_BYTES_MAX {
        let text = format!("is over {CONFIG_FILE_BYTES_MAX} bytes: name a configuration file");
        return Err(Mistake::new(&whole, text));
    }
    String::from_utf8(bytes)
        .map_err(|_| Mistake::new(&whole, "is not valid UTF-8: save it in UTF-8"))
}

fn options(top: &Table<'_>, folder: &Path) -> Result<Options, Mistake> {
    let forwarded_host = top.switch("forwarded_host", "forwarded_host = true")?;
    let lanes = top.text_or_number("lanes", "lanes = \"auto\" or lanes = 4")?;
    let keep_alive = top.text_or_number("keep_alive", "keep_alive = \"75s\"")?;
    let graceful_timeout = top.text_or_number("graceful_timeout", "graceful_timeout = \"30s\"")?;
    let body = top.text_or_number("limit_request_body", "limit_request_body = \"10m\"")?;
    let connections_per_client_max =
        top.text_or_number("limit_connections_per_client", "limit_connections_per_client = 512")?;
    let access_log = top.text("access_log", "access_log = \"-\"")?;
    let log_level = top.text("log_level", "log_level = \"info\"")?;
    let io = top.text("io", "io = \"auto\"")?;
    Ok(Options {
        binds: binds::of_file(top, folder)?,
        proxies: proxies(top)?,
        forwarded_host: forwarded_host
            .map(|switch| Written::new(switch.value.into(), switch.place)),
        lanes: lanes.map(|text| text.parse(|text| value::lanes(text))).transpose()?,
        keep_alive: keep_alive
            .map(|text| text.parse(|text| value::keep_alive(text)))
            .transpose()?,
        graceful_timeout: graceful_timeout
            .map(|text| text.parse(|text| value::duration(text)))
            .transpose()?,
        body_bytes_max: body
            .map(|text| text.parse(|text| value::body_bytes_max(text)))
            .transpose()?,
        connections_per_client_max: connections_per_client_max
            .map(|text| text.parse(|text| value::connections_per_client_max(text)))
            .transpose()?,
        access_log: access_log
            .map(|text| text.parse(|text| Ok(value::access_log(text, folder))))
            .transpose()?,
        log_level: log_level.map(|text| text.parse(|text| value::log_level(text))).transpose()?,
        io: io.map(|text| text.parse(|text| value::io(text))).transpose()?,
    })
}

fn proxies(top: &Table<'_>) -> Result<Option<Written<Vec<Proxy>>>, Mistake> {
    let example = "forwarded_allow_ips = [\"127.0.0.1\"]";
    let Some(list) = top.texts("forwarded_allow_ips", example)? else { return Ok(None) };
    let mut proxies = Vec::with_capacity(list.value.len());
    for text in list.value {
        proxies.push(text.parse(|text| value::proxy(text))?.value);
    }
    Written::new(proxies, list.place).parse(|list| value::proxies(list.clone())).map(Some)
}

fn app(name: Written<String>, table: &Table<'_>, folder: &Path) -> Result<WrittenApp, Mistake> {
    let join = |text: Written<String>| text.parse(|text| Ok(folder.join(text)));
    table.check_keys(APP_KEYS, APP_KEYS_LATER)?;
    if let Some(isolation) = table.text("isolation", "isolation = \"auto\"")? {
        isolation.parse(|text| check_isolation(text))?;
    }
    let Some(target) = table.text("target", "target = \"module:app\"")? else {
        let text = format!("[app.{}] has no target: add target = \"module:app\"", name.value);
        return Err(name.mistake(text));
    };
    let pythonpath = table.texts("pythonpath", "pythonpath = [\"lib\"]")?;
    let threads = table.text_or_number("threads", "threads = 8")?;
    let options = AppOptions {
        chdir: table.text("chdir", "chdir = \".\"")?.map(join).transpose()?,
        pythonpath: pythonpath.map(|list| Written {
            value: list.value.iter().map(|piece| folder.join(&piece.value)).collect(),
            place: list.place,
        }),
        venv: table.text("venv", "venv = \".venv\"")?.map(join).transpose()?,
        threads: threads.map(|text| text.parse(|text| value::threads(text))).transpose()?,
    };
    let target = target.parse(|text| value::app_target(text))?;
    Ok(WrittenApp { name, target, options, folder: folder.to_owned() })
}

/// There is one kind of isolation so far. The key is taken so that a file may say what it needs.
fn check_isolation(text: &str) -> Result<(), String> {
    match text {
        "auto" | "interpreter" => Ok(()),
        "process" | "freethreaded" => {
            Err(format!("\"{text}\" is not supported yet: write \"auto\" or \"interpreter\""))
        }
        _ => {
            Err(format!("\"{text}\" is not a kind of isolation: write \"auto\" or \"interpreter\""))
        }
    }
}

fn site(table: &Table<'_>, folder: &Path) -> Result<WrittenSite, Mistake> {
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
    let hosts = hosts.map(|list| list.value).unwrap_or_default();
    Ok(WrittenSite { hosts, routes, place: table.place() })
}

fn route(table: &Table<'_>, folder: &Path) -> Result<WrittenRoute, Mistake> {
    let mistake = |text: &str| Mistake::new(&table.place(), text);
    table.check_keys(ROUTE_KEYS, &[])?;
    let Some(path) = table.text("path", "path = \"/static/\"")? else {
        return Err(mistake("[[site.route]] has no path: add path = \"/\""));
    };
    let files = table.text("files", "files = \"./public\"")?;
    let app = table.text("app", "app = \"NAME\"")?;
    let fallback = table.text("fallback", "fallback = \"app:NAME\"")?;
    let cache_control = table.text("cache_control", "cache_control = \"max-age=3600\"")?;
    let destination = match (files, app) {
        (Some(files), None) => WrittenDestination::Files {
            folder: files.parse(|text| Ok(folder.join(text)))?,
            fallback: fallback.map(|text| text.parse(|text| fallback_name(text))).transpose()?,
            cache_control,
        },
        (None, Some(app)) => {
            if let Some(extra) = fallback.or(cache_control) {
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

/// The prefix is asked for because a fallback that is a file will want the bare text.
fn fallback_name(text: &str) -> Result<String, String> {
    match text.strip_prefix("app:") {
        Some(name) => Ok(name.to_owned()),
        None => Err(format!("\"{text}\" does not name an application: write \"app:{text}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::HostTrust;
    use crate::config::binds::WrittenAddress;
    use crate::config::settings::AccessLog;
    use crate::config::settings::Io;
    use crate::config::settings::Lanes;
    use crate::config::settings::LogLevel;
    use std::time::Duration;

    fn parse(text: &str) -> Result<ConfigFile, String> {
        let source = Source { name: Path::new("corelane.toml"), text };
        ConfigFile::parse(source, Path::new("/srv")).map_err(|mistake| mistake.to_string())
    }

    fn value<T>(written: Option<Written<T>>) -> Option<T> {
        written.map(|written| written.value)
    }

    const EVERY_KEY: &str = r#"
bind = ["0.0.0.0:80", "[::]:81"]
forwarded_allow_ips = ["127.0.0.1", "unix"]
forwarded_host = true
lanes = 4
io = "epoll"
keep_alive = "1m"
graceful_timeout = 10
limit_request_body = "10m"
limit_connections_per_client = 100
access_log = "log/access.log"
log_level = "debug"

[app.shop]
target = "flaskr:create_app()"
chdir = "shop"
pythonpath = ["lib", "/opt/lib"]
venv = ".venv"
threads = 16
isolation = "auto"

[[site]]
hosts = ["example.com", "*.example.com"]
[[site.route]]
path = "/static/"
files = "./static"
cache_control = "max-age=1"
[[site.route]]
path = "/"
files = "./public"
fallback = "app:shop"

[[site]]
[[site.route]]
path = "/"
app = "app:shop"
"#;

    #[test]
    fn every_key_is_read() {
        let file = parse(EVERY_KEY).unwrap();
        let options = file.options;
        let binds: Vec<_> = options.binds.iter().map(|bind| bind.address.value.clone()).collect();
        let tcp = |text: &str| WrittenAddress::Tcp(text.parse().unwrap());
        assert_eq!(binds, [tcp("0.0.0.0:80"), tcp("[::]:81")]);
        assert_eq!(options.binds[1].address.place.to_string(), "corelane.toml:2: bind");
        let near = Proxy::Network("127.0.0.1".parse().unwrap());
        assert_eq!(value(options.proxies), Some(vec![near, Proxy::Unix]));
        assert_eq!(value(options.forwarded_host), Some(HostTrust::Trusted));
        assert_eq!(value(options.lanes), Some(Lanes::Exactly(4)));
        assert_eq!(value(options.io), Some(Io::Epoll));
        assert_eq!(value(options.keep_alive), Some(Duration::from_secs(60)));
        assert_eq!(value(options.graceful_timeout), Some(Duration::from_secs(10)));
        assert_eq!(value(options.body_bytes_max), Some(10 << 20));
        assert_eq!(value(options.connections_per_client_max), Some(Some(100)));
        let log = AccessLog::File("/srv/log/access.log".into());
        assert_eq!(value(options.access_log), Some(log));
        assert_eq!(value(options.log_level), Some(LogLevel::Debug));

        let [app] = &file.apps[..] else { panic!("one application") };
        assert_eq!(
            (app.name.value.as_str(), app.target.value.as_str()),
            ("shop", "flaskr:create_app()")
        );
        let options = app.options.clone();
        assert_eq!(value(options.chdir), Some("/srv/shop".into()));
        assert_eq!(value(options.pythonpath), Some(vec!["/srv/lib".into(), "/opt/lib".into()]));
        assert_eq!(value(options.venv), Some("/srv/.venv".into()));
        assert_eq!(value(options.threads), Some(16));

        let [first, second] = &file.sites[..] else { panic!("two sites") };
        let hosts: Vec<&str> = first.hosts.iter().map(|host| host.value.as_str()).collect();
        assert_eq!(hosts, ["example.com", "*.example.com"]);
        assert!(second.hosts.is_empty());
        let WrittenDestination::Files { folder, fallback: None, cache_control: Some(text) } =
            &first.routes[0].destination
        else {
            panic!("files without fallback");
        };
        assert_eq!(
            (folder.value.as_path(), text.value.as_str()),
            (Path::new("/srv/./static"), "max-age=1")
        );
        let WrittenDestination::Files { fallback: Some(name), cache_control: None, .. } =
            &first.routes[1].destination
        else {
            panic!("files with fallback");
        };
        assert_eq!(name.value, "shop");
        let WrittenDestination::App(name) = &second.routes[0].destination else {
            panic!("an application");
        };
        assert_eq!((name.value.as_str(), second.routes[0].path.value.as_str()), ("shop", "/"));
    }

    #[test]
    fn one_text_stands_for_a_list_and_applications_keep_their_order() {
        let file = parse("bind = \"8000\"\napp.b.target = \"b\"\napp.a.target = \"a\"").unwrap();
        let address = WrittenAddress::Tcp("0.0.0.0:8000".parse().unwrap());
        assert_eq!(file.options.binds[0].address.value, address);
        let names: Vec<&str> = file.apps.iter().map(|app| app.name.value.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn mistakes_of_keys() {
        for (text, expected) in [
            (
                "\nbindd = []",
                "2: unknown key \"bindd\" at the top of the file: did you mean \"bind\"?",
            ),
            ("[sites]", "1: unknown key \"sites\" at the top of the file: did you mean \"site\"?"),
            (
                "gzip = true",
                "1: unknown key \"gzip\" at the top of the file: known keys are bind, \
                 forwarded_allow_ips, forwarded_host, lanes, io, keep_alive, graceful_timeout, \
                 limit_request_body, limit_connections_per_client, access_log, log_level, app, site",
            ),
            (
                "zz = 1\naa = 2",
                "1: unknown key \"zz\" at the top of the file: known keys are bind, \
                 forwarded_allow_ips, forwarded_host, lanes, io, keep_alive, graceful_timeout, \
                 limit_request_body, limit_connections_per_client, access_log, log_level, app, site",
            ),
            (
                "[app.shop]\ntarget = \"a\"\nthread = 4",
                "3: unknown key \"thread\" in [app.shop]: did you mean \"threads\"?",
            ),
            (
                "[app.shop]\ntarget = \"a\"\ntimeout = \"30s\"",
                "3: \"timeout\" in [app.shop] is not supported yet: remove it",
            ),
            (
                "[[site]]\nhost = \"a\"",
                "2: unknown key \"host\" in [[site]]: did you mean \"hosts\"?",
            ),
            (
                "[[site]]\n[[site.route]]\npath = \"/\"\n\n\n\nfles = \"a\"",
                "7: unknown key \"fles\" in [[site.route]]: did you mean \"files\"?",
            ),
            (
                "[app.shop]\nvenv = \"a\"",
                "1: [app.shop] has no target: add target = \"module:app\"",
            ),
            (
                "[[site]]\n[[site.route]]\nfiles = \".\"",
                "2: [[site.route]] has no path: add path = \"/\"",
            ),
            (
                "[[site]]\n[[site.route]]\npath = \"/\"",
                "2: [[site.route]] leads nowhere: add files = \"./public\" or app = \"NAME\"",
            ),
            ("bind = \"80\"\nbind = \"81\"", "2: is not TOML: duplicate key: correct the line"),
        ] {
            assert_eq!(parse(text).unwrap_err(), format!("corelane.toml:{expected}"), "{text}");
        }
    }

    #[test]
    fn mistakes_of_types() {
        for (text, expected) in [
            (
                "bind = 8000",
                "1: bind: must be a list of texts or tables, but is an integer: write bind = \
                 [\"127.0.0.1:8000\"]",
            ),
            (
                "bind = [\n\"8000\",\n8001]",
                "3: bind: must be a list of texts or tables, but is an integer: write bind = \
                 [\"127.0.0.1:8000\"]",
            ),
            (
                "bind = { address = \"80\" }",
                "1: bind: must be a list of texts or tables, but is a table: write bind = \
                 [\"127.0.0.1:8000\"]",
            ),
            (
                "forwarded_host = \"on\"",
                "1: forwarded_host: must be true or false, but is a text: write forwarded_host = \
                 true",
            ),
            (
                "[[bind]]\naddress = \"unix:a\"\nmode = 660",
                "3: mode: must be a text, but is an integer: write mode = \"660\"",
            ),
            (
                "bind = [{ address = \"80\",\n proxy_protocol = 1 }]",
                "2: proxy_protocol: must be true or false, but is an integer: write \
                 proxy_protocol = true",
            ),
            (
                "lanes = true",
                "1: lanes: must be a text or a number, but is a boolean: write lanes = \"auto\" \
                 or lanes = 4",
            ),
            (
                "keep_alive = 1.5",
                "1: keep_alive: must be a text or a number, but is a float: write keep_alive = \
                 \"75s\"",
            ),
            (
                "log_level = []",
                "1: log_level: must be a text, but is a list: write log_level = \"info\"",
            ),
            ("[site]", "1: site: must be a list of tables, but is a table: write [[site]]"),
            ("site = [1]", "1: site: must be a list of tables, but is an integer: write [[site]]"),
            (
                "[[site]]\n[site.route]",
                "2: route: must be a list of tables, but is a table: write [[site.route]]",
            ),
            (
                "[[app]]",
                "1: app: must be a table, but is a list: write [app.NAME] with a name of your \
                 choice",
            ),
            (
                "[app]\ntarget = \"a\"",
                "2: app.target: must be a table, but is a text: write [app.NAME] with a name of \
                 your \
                 choice",
            ),
            (
                "[app.shop]\ntarget = 1",
                "2: target: must be a text, but is an integer: write target = \"module:app\"",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), format!("corelane.toml:{expected}"), "{text}");
        }
    }

    #[test]
    fn mistakes_of_values() {
        for (text, expected) in [
            ("bind = []", "1: bind: is empty: name an address, such as \"127.0.0.1:8000\""),
            (
                "bind = [\"80\",\n\"unix:\"]",
                "2: bind: \"unix:\" has no path: write one, such as unix:/run/corelane.sock",
            ),
            (
                "lanes = 0",
                "1: lanes: \"0\" is not a number of lanes: write a number from 1 to 256, or auto",
            ),
            (
                "lanes = 0x1_0000",
                "1: lanes: \"65536\" is not a number of lanes: write a number from 1 to 256, or \
                 auto",
            ),
            (
                "lanes = 99999999999999999999",
                "1: lanes: \"99999999999999999999\" is not a number of lanes: write a number from \
                 1 to 256, or auto",
            ),
            (
                "keep_alive = -1",
                "1: keep_alive: \"-1\" is not a duration: write seconds, or a time such as 30s or \
                 1h30m",
            ),
            (
                "[app.shop]\ntarget = \"a\"\nisolation = \"process\"",
                "3: isolation: \"process\" is not supported yet: write \"auto\" or \"interpreter\"",
            ),
            (
                "[app.shop]\ntarget = \"a\"\nisolation = \"none\"",
                "3: isolation: \"none\" is not a kind of isolation: write \"auto\" or \
                 \"interpreter\"",
            ),
            (
                "[[site]]\nhosts = []",
                "2: hosts: is empty: name a host, or remove the key to serve every host",
            ),
            (
                "[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \".\"\nfallback = \"shop\"",
                "5: fallback: \"shop\" does not name an application: write \"app:shop\"",
            ),
            (
                "[[site]]\n[[site.route]]\npath = \"/\"\napp = \"a\"\nfallback = \"app:a\"",
                "5: fallback: belongs to a route with \"files\": remove it",
            ),
            (
                "[[site]]\n[[site.route]]\npath = \"/\"\napp = \"a\"\ncache_control = \"a\"",
                "5: cache_control: belongs to a route with \"files\": remove it",
            ),
            (
                "[[site]]\n[[site.route]]\npath = \"/\"\napp = \"a\"\nfiles = \".\"",
                "4: app: stands beside \"files\": keep one of the two, or write fallback = \
                 \"app:NAME\" for files first",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), format!("corelane.toml:{expected}"), "{text}");
        }
    }

    #[test]
    fn mistakes_of_addresses() {
        for (text, expected) in [
            (
                "[[bind]]\nproxy_protocol = true",
                "1: [[bind]] has no address: add address = \"127.0.0.1:8000\"",
            ),
            (
                "bind = [\n{ adress = \"80\" }]",
                "2: unknown key \"adress\" in [[bind]]: did you mean \"address\"?",
            ),
            (
                "[[bind]]\naddress = \"80\"\nmode = \"999\"",
                "3: mode: \"999\" is no mode of a file: write three octal digits, such as 660",
            ),
            (
                "forwarded_allow_ips = [\"::1\",\n\"10.0.0.1/8\"]",
                "2: forwarded_allow_ips: \"10.0.0.1/8\" is no network: write 10.0.0.0/8, or \
                 10.0.0.1 for this one address",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), format!("corelane.toml:{expected}"), "{text}");
        }
    }

    #[test]
    fn isolation_by_interpreter_is_what_there_is() {
        for kind in ["auto", "interpreter"] {
            let text = format!("[app.shop]\ntarget = \"a\"\nisolation = \"{kind}\"");
            assert_eq!(parse(&text).unwrap().apps.len(), 1);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| {
            let path = Written::new(name.to_owned(), Place::Flag("--config"));
            ConfigFile::read(&path, folder.path()).unwrap_err().to_string()
        };
        assert_eq!(
            read("a.toml"),
            "--config: there is no file \"a.toml\": make it or correct the path"
        );
        fs::create_dir(folder.path().join("d")).unwrap();
        assert_eq!(
            read("d"),
            "--config: \"d\" cannot be read (Is a directory (os error 21)): correct the path or \
             its permissions"
        );
        fs::write(folder.path().join("b.toml"), b"\xff").unwrap();
        assert_eq!(read("b.toml"), "b.toml: is not valid UTF-8: save it in UTF-8");
        let bytes_max = usize::try_from(CONFIG_FILE_BYTES_MAX).unwrap();
        fs::write(folder.path().join("c.toml"), vec![b'\n'; bytes_max + 1]).unwrap();
        assert_eq!(read("c.toml"), "c.toml: is over 1048576 bytes: name a configuration file");
        fs::write(folder.path().join("c.toml"), vec![b'\n'; bytes_max]).unwrap();
        let path = Written::new("c.toml".to_owned(), Place::Flag("--config"));
        assert!(ConfigFile::read(&path, folder.path()).is_ok());
    }
}
