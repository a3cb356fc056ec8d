//! The tests of `config/binds`.

use super::*;
use crate::config::Arguments;
use crate::config::Settings;
use std::fs;
use tempfile::TempDir;

fn binds(folder: &TempDir, words: &[&str], file: &str) -> Result<Vec<Bind>, String> {
    let site = "[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \".\"\n";
    fs::write(folder.path().join("corelane.toml"), format!("{file}\n{site}")).unwrap();
    let arguments = Arguments::from_words(["corelane"].iter().chain(words)).unwrap();
    let environment = Environment::new(folder.path(), &[]);
    let settings = Settings::new(arguments, &environment).map_err(|mistake| mistake.to_string());
    settings.map(|settings| settings.binds)
}

fn tcp(text: &str, proxy_protocol: ProxyProtocol) -> Bind {
    Bind { address: BindAddress::Tcp(text.parse().unwrap()), proxy_protocol }
}

fn unix(path: PathBuf, mode: u32, user: Option<u32>, group: Option<u32>) -> Bind {
    let address = BindAddress::Unix(UnixSocket { path, mode, owner: Owner { user, group } });
    Bind { address, proxy_protocol: ProxyProtocol::Off }
}

use ProxyProtocol::Off;
use ProxyProtocol::On;

#[test]
fn texts_and_tables_stand_in_one_list() {
    let folder = tempfile::tempdir().unwrap();
    let file = "bind = [\"127.0.0.1:80\", { address = \"127.0.0.1:81\", proxy_protocol = true }, \
                \"unix:a.sock\", { address = \"unix:/b\", mode = \"600\", owner = \"0:5\" }]";
    let found = binds(&folder, &[], file).unwrap();
    let here = folder.path().join("a.sock");
    let expected = [
        tcp("127.0.0.1:80", Off),
        tcp("127.0.0.1:81", On),
        unix(here, SOCKET_MODE_DEFAULT, None, None),
        unix("/b".into(), 0o600, Some(0), Some(5)),
    ];
    assert_eq!(found, expected);
    let file = "[[bind]]\naddress = \"80\"\n[[bind]]\naddress = \"81\"\nproxy_protocol = false";
    let expected = [tcp("0.0.0.0:80", Off), tcp("0.0.0.0:81", Off)];
    assert_eq!(binds(&folder, &[], file).unwrap(), expected);
}

#[test]
fn flags_for_all_addresses_go_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = "bind = [{ address = \"80\", proxy_protocol = false }, { address = \"unix:/b\", mode \
                = \"600\", owner = \"5\" }]";
    let words = ["--proxy-protocol", "--socket-mode", "666", "--socket-owner", ":7"];
    let mut socket = unix("/b".into(), 0o666, None, Some(7));
    socket.proxy_protocol = On;
    assert_eq!(binds(&folder, &words, file).unwrap(), [tcp("0.0.0.0:80", On), socket]);
    assert_eq!(binds(&folder, &["--proxy-protocol"], "").unwrap(), [tcp("127.0.0.1:8000", On)]);
    let off = binds(
        &folder,
        &["--proxy-protocol=off"],
        "[[bind]]\naddress = \"80\"\n\
                     proxy_protocol = true",
    );
    assert_eq!(off.unwrap(), [tcp("0.0.0.0:80", Off)]);
}

#[test]
fn mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let long = "x".repeat(UNIX_PATH_BYTES_MAX);
    for (words, file, expected) in [
        (
            &["-b", "unix:a", "-b", "unix:./a"][..],
            "",
            format!("--bind: unix:{root}/a is given twice: remove one"),
        ),
        (
            &["-b", "unix:"],
            "",
            "--bind: \"unix:\" has no path: write one, such as unix:/run/corelane.sock".to_owned(),
        ),
        (
            &["-b", "unix:b/a"],
            "",
            format!("--bind: there is no directory \"{root}/b\": make it or correct the path"),
        ),
        (&["-b", "unix:."], "", format!("--bind: \"{root}\" is a directory: name a file in it")),
        (
            &["-b", &format!("unix:/{long}")],
            "",
            format!(
                "--bind: \"/{long}\" is over 107 bytes, the most that a socket's path may have: \
                 choose a shorter one"
            ),
        ),
        (
            &["--socket-mode", "600"],
            "",
            "--socket-mode: no address is a unix socket: remove it, or bind to unix:PATH"
                .to_owned(),
        ),
        (
            &["--socket-owner", "0", "-b", "80"],
            "",
            "--socket-owner: no address is a unix socket: remove it, or bind to unix:PATH"
                .to_owned(),
        ),
        (
            &[],
            "[[bind]]\naddress = \"80\"\nowner = \"0\"",
            "corelane.toml:3: owner: belongs to a unix socket: remove it, or write address = \
             \"unix:PATH\""
                .to_owned(),
        ),
        (
            &[],
            "[[bind]]\naddress = \"unix:a\"\nowner = \":nobody-of-this-name\"",
            "corelane.toml:3: owner: there is no group \"nobody-of-this-name\" in /etc/group: \
             correct the name, or write its number"
                .to_owned(),
        ),
    ] {
        assert_eq!(binds(&folder, words, file).unwrap_err(), expected);
    }
}
