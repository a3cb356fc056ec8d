//! The addresses to listen on: as they are written, then checked against each other and the disk.
//!
//! An address is a text, or in the file a table with what else is to be said about it. The flags
//! for all addresses go before what the file says of each.

use crate::config::command_line;
use crate::config::disk;
use crate::config::environment::Environment;
use crate::config::mistake::Mistake;
use crate::config::owner;
use crate::config::settings::Bind;
use crate::config::settings::BindAddress;
use crate::config::settings::Owner;
use crate::config::settings::ProxyProtocol;
use crate::config::settings::SOCKET_MODE_DEFAULT;
use crate::config::settings::UnixSocket;
use crate::config::table::Table;
use crate::config::table::TextOrTable;
use crate::config::value;
use crate::config::written::Written;
use crate::limits::UNIX_PATH_BYTES_MAX;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

/// gunicorn's default address.
const BIND_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1)), 8000);

const BIND_KEYS: &[&str] = &["address", "proxy_protocol", "mode", "owner"];

/// An address as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrittenBind {
    pub(super) address: Written<WrittenAddress>,
    pub(super) options: BindOptions,
}

/// Where to listen, without the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WrittenAddress {
    Tcp(SocketAddr),
    /// Joined to the folder to which it is relative.
    Unix(PathBuf),
}

/// What else is said of an address, or of all. None: not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BindOptions {
    pub(super) proxy_protocol: Option<Written<ProxyProtocol>>,
    /// The permissions of a unix socket's file.
    pub(super) mode: Option<Written<u32>>,
    pub(super) owner: Option<Written<Owner>>,
}

impl From<Written<WrittenAddress>> for WrittenBind {
    fn from(address: Written<WrittenAddress>) -> Self {
        Self { address, options: BindOptions::default() }
    }
}

/// The key `bind` of the file. `folder` is where relative paths begin.
pub(super) fn of_file(top: &Table<'_>, folder: &Path) -> Result<Vec<WrittenBind>, Mistake> {
    let example = "bind = [\"127.0.0.1:8000\"]";
    let Some(list) = top.texts_or_tables("bind", example)? else { return Ok(Vec::new()) };
    if list.value.is_empty() {
        return Err(list.mistake("is empty: name an address, such as \"127.0.0.1:8000\""));
    }
    let address = |text: Written<String>| text.parse(|text| value::bind(text, folder));
    let mut binds = Vec::with_capacity(list.value.len());
    for item in list.value {
        binds.push(match item {
            TextOrTable::Text(text) => address(text)?.into(),
            TextOrTable::Table(table) => of_table(&table, address)?,
        });
    }
    Ok(binds)
}

fn of_table(
    table: &Table<'_>,
    address: impl FnOnce(Written<String>) -> Result<Written<WrittenAddress>, Mistake>,
) -> Result<WrittenBind, Mistake> {
    table.check_keys(BIND_KEYS, &[])?;
    let Some(text) = table.text("address", "address = \"127.0.0.1:8000\"")? else {
        let text = "[[bind]] has no address: add address = \"127.0.0.1:8000\"";
        return Err(Mistake::new(&table.place(), text));
    };
    // A number is not taken: 660 and 0o660 would be two different ones.
    let mode = table.text("mode", "mode = \"660\"")?;
    let owner = table.text("owner", "owner = \"www-data:www-data\"")?;
    let proxy_protocol = table.switch("proxy_protocol", "proxy_protocol = true")?;
    let options = BindOptions {
        proxy_protocol: proxy_protocol
            .map(|switch| Written::new(switch.value.into(), switch.place)),
        mode: mode.map(|text| text.parse(|text| value::mode(text))).transpose()?,
        owner: owner.map(|text| text.parse(|text| owner::owner(text))).transpose()?,
    };
    Ok(WrittenBind { address: address(text)?, options })
}

/// All of them together, or PORT, or the default. `of_all` are the flags.
pub(super) fn build(
    mut written: Vec<WrittenBind>,
    of_all: &BindOptions,
    environment: &Environment,
) -> Result<Vec<Bind>, Mistake> {
    if written.is_empty() {
        written.extend(command_line::bind_of_port(environment)?.map(WrittenBind::from));
    }
    let mut binds: Vec<Bind> = Vec::with_capacity(written.len().max(1));
    for bind in &written {
        let built = Bind {
            address: address(bind, of_all)?,
            proxy_protocol: proxy_protocol(&bind.options, of_all),
        };
        // The kernel would take two listeners of ours on one address without a word.
        if binds.iter().any(|other| other.address.is_same_place(&built.address)) {
            let text = format!("{} is given twice: remove one", built.address);
            return Err(bind.address.mistake(text));
        }
        binds.push(built);
    }
    if binds.is_empty() {
        let proxy_protocol = proxy_protocol(&BindOptions::default(), of_all);
        binds.push(Bind { address: BindAddress::Tcp(BIND_DEFAULT), proxy_protocol });
    }
    let has_unix = binds.iter().any(|bind| matches!(bind.address, BindAddress::Unix(_)));
    match unix_mistake(of_all, "no address is a unix socket: remove it, or bind to unix:PATH") {
        Some(mistake) if !has_unix => Err(mistake),
        _ => Ok(binds),
    }
}

fn proxy_protocol(own: &BindOptions, of_all: &BindOptions) -> ProxyProtocol {
    let written = of_all.proxy_protocol.as_ref().or(own.proxy_protocol.as_ref());
    written.map_or(ProxyProtocol::Off, |written| written.value)
}

fn address(bind: &WrittenBind, of_all: &BindOptions) -> Result<BindAddress, Mistake> {
    match &bind.address.value {
        WrittenAddress::Tcp(address) => match unix_mistake(
            &bind.options,
            "belongs to a unix socket: remove it, or write address = \"unix:PATH\"",
        ) {
            Some(mistake) => Err(mistake),
            None => Ok(BindAddress::Tcp(*address)),
        },
        WrittenAddress::Unix(path) => {
            let mode = of_all.mode.as_ref().or(bind.options.mode.as_ref());
            let owner = of_all.owner.as_ref().or(bind.options.owner.as_ref());
            Ok(BindAddress::Unix(UnixSocket {
                path: socket_path(&bind.address, path)?,
                mode: mode.map_or(SOCKET_MODE_DEFAULT, |mode| mode.value),
                owner: owner.map_or(Owner::default(), |owner| owner.value),
            }))
        }
    }
}

/// The first of the options that only a unix socket has, as a mistake.
fn unix_mistake(options: &BindOptions, text: &str) -> Option<Mistake> {
    let mode = options.mode.as_ref().map(|mode| mode.mistake(text));
    mode.or_else(|| options.owner.as_ref().map(|owner| owner.mistake(text)))
}

/// The socket itself is made at the start, but what can be told before is.
fn socket_path(written: &Written<WrittenAddress>, path: &Path) -> Result<PathBuf, Mistake> {
    let path = disk::absolute(path);
    let shown = path.display();
    if path.is_dir() {
        let text = format!("\"{shown}\" is a directory: name a file in it");
        return Err(written.mistake(text));
    }
    match path.parent() {
        Some(folder) if !folder.is_dir() => Err(written.mistake(format!(
            "there is no directory \"{}\": make it or correct the path",
            folder.display()
        ))),
        _ if path.as_os_str().len() > UNIX_PATH_BYTES_MAX => Err(written.mistake(format!(
            "\"{shown}\" is over {UNIX_PATH_BYTES_MAX} bytes, the most that a socket's path may \
             have: choose a shorter one"
        ))),
        _ => Ok(path),
    }
}

#[cfg(test)]
mod tests;
