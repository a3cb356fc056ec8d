//! The grammar of the file: what is read, and each mistake with its line.

use super::*;
use crate::address::HostTrust;
use crate::config::binds::WrittenAddress;
use crate::config::settings::AccessLog;
use crate::config::settings::Io;
use crate::config::settings::Lanes;
use crate::config::settings::LogLevel;
use crate::config::written::WrittenDestination;
use crate::static_files;
use std::time::Duration;

pub(super) fn parse(text: &str) -> Result<ConfigFile, String> {
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

    let [app] = &file.to_serve.apps[..] else { panic!("one application") };
    assert_eq!(
        (app.name.value.as_str(), app.target.value.as_str()),
        ("shop", "flaskr:create_app()")
    );
    let options = app.options.clone();
    assert_eq!(value(options.chdir), Some("/srv/shop".into()));
    assert_eq!(value(options.pythonpath), Some(vec!["/srv/lib".into(), "/opt/lib".into()]));
    assert_eq!(value(options.venv), Some("/srv/.venv".into()));
    assert_eq!(value(options.threads), Some(16));

    let [first, second] = &file.to_serve.sites[..] else { panic!("two sites") };
    let hosts: Vec<&str> = first.hosts.iter().map(|host| host.value.as_str()).collect();
    assert_eq!(hosts, ["example.com", "*.example.com"]);
    assert!(second.hosts.is_empty());
    let WrittenDestination::Files(files) = &first.routes[0].destination else { panic!("files") };
    assert_eq!(files.folder.value, Path::new("/srv/./static"));
    assert_eq!(files.options.cache_control.as_deref(), Some("max-age=1"));
    assert!(files.app.is_none());
    let WrittenDestination::Files(files) = &first.routes[1].destination else { panic!("files") };
    assert_eq!(files.app.as_ref().unwrap().value, "shop");
    assert_eq!(files.options, static_files::Options::plain("/srv/./public".into()));
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
    let names: Vec<&str> = file.to_serve.apps.iter().map(|app| app.name.value.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn mistakes_of_keys() {
    for (text, expected) in [
        ("\nbindd = []", "2: unknown key \"bindd\" at the top of the file: did you mean \"bind\"?"),
        ("[sites]", "1: unknown key \"sites\" at the top of the file: did you mean \"site\"?"),
        (
            "gzip = true",
            "1: unknown key \"gzip\" at the top of the file: known keys are bind, \
             forwarded_allow_ips, forwarded_host, lanes, io, keep_alive, graceful_timeout, \
             limit_request_body, limit_connections_per_client, access_log, log_level, types, app, \
             auth, site",
        ),
        (
            "zz = 1\naa = 2",
            "1: unknown key \"zz\" at the top of the file: known keys are bind, \
             forwarded_allow_ips, forwarded_host, lanes, io, keep_alive, graceful_timeout, \
             limit_request_body, limit_connections_per_client, access_log, log_level, types, app, \
             auth, site",
        ),
        (
            "[app.shop]\ntarget = \"a\"\nthread = 4",
            "3: unknown key \"thread\" in [app.shop]: did you mean \"threads\"?",
        ),
        (
            "[app.shop]\ntarget = \"a\"\ntimeout = \"30s\"",
            "3: \"timeout\" in [app.shop] is not supported yet: remove it",
        ),
        ("[[site]]\nhost = \"a\"", "2: unknown key \"host\" in [[site]]: did you mean \"hosts\"?"),
        (
            "[[site]]\n[[site.route]]\npath = \"/\"\n\n\n\nfles = \"a\"",
            "7: unknown key \"fles\" in [[site.route]]: did you mean \"files\"?",
        ),
        ("[app.shop]\nvenv = \"a\"", "1: [app.shop] has no target: add target = \"module:app\""),
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
            "5: fallback: \"shop\" is neither a file nor an application: write \"/shop\" for a file of \
             the folder, or \"app:NAME\"",
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
        assert_eq!(parse(&text).unwrap().to_serve.apps.len(), 1);
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
