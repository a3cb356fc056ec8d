//! The configuration file: which keys it has, read into values with their lines.
//!
//! It takes a path and gives options, applications, realms and sites as they are written, each
//! value well formed. Relative paths are joined to the file's folder. Whether the paths exist and
//! the names are known is checked in `sites`.

mod cors;
mod files;
mod realm;
mod rule;
mod site;
mod types;

use crate::address::Proxy;
use crate::config::binds;
use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::table::Source;
use crate::config::table::Table;
use crate::config::value;
use crate::config::written::AppOptions;
use crate::config::written::Options;
use crate::config::written::ToServe;
use crate::config::written::Written;
use crate::config::written::WrittenApp;
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
    "types",
    "app",
    "auth",
    "site",
];
const APP_KEYS: &[&str] = &["target", "chdir", "pythonpath", "venv", "threads", "isolation"];
const APP_KEYS_LATER: &[&str] = &["timeout"];

/// All that the file says.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) options: Options,
    pub(super) to_serve: ToServe,
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
            sites.push(site::site(&table, folder)?);
        }
        let (types, realms) = (types::types(&top)?, realm::realms(&top, folder)?);
        Ok(Self { options, to_serve: ToServe { apps, realms, types, sites } })
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

#[cfg(test)]
mod tests;
