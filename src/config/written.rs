//! What flags, variables and the file have in common: values with the place where they stand.
//!
//! The values are well formed one by one. Whether they fit together and to the file system is
//! checked in `settings` and `sites`.

use crate::address::HostTrust;
use crate::address::Proxy;
use crate::config::binds::WrittenBind;
use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::settings::AccessLog;
use crate::config::settings::Io;
use crate::config::settings::Lanes;
use crate::config::settings::LogLevel;
use crate::rules::Action;
use crate::rules::Cors;
use crate::static_files;
use std::path::PathBuf;
use std::time::Duration;

/// A value and where the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<T> Written<T> {
    pub(super) fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }

    /// A mistake in this value: `text` says what is wrong, then the remedy.
    pub(super) fn mistake(&self, text: impl Into<String>) -> Mistake {
        Mistake::new(&self.place, text)
    }

    /// The value that `parse` reads from this one, at the same place.
    pub(super) fn parse<U>(
        self,
        parse: impl FnOnce(&T) -> Result<U, String>,
    ) -> Result<Written<U>, Mistake> {
        match parse(&self.value) {
            Ok(value) => Ok(Written { value, place: self.place }),
            Err(text) => Err(self.mistake(text)),
        }
    }
}

/// Options of the whole server. None: not written.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) binds: Vec<WrittenBind>,
    pub(super) proxies: Option<Written<Vec<Proxy>>>,
    pub(super) forwarded_host: Option<Written<HostTrust>>,
    pub(super) lanes: Option<Written<Lanes>>,
    pub(super) keep_alive: Option<Written<Duration>>,
    pub(super) graceful_timeout: Option<Written<Duration>>,
    pub(super) body_bytes_max: Option<Written<u64>>,
    /// Within: None where there is to be no limit.
    pub(super) connections_per_client_max: Option<Written<Option<usize>>>,
    pub(super) access_log: Option<Written<AccessLog>>,
    pub(super) log_level: Option<Written<LogLevel>>,
    pub(super) io: Option<Written<Io>>,
}

impl Options {
    /// These, and where nothing is written, the other ones.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            binds: if self.binds.is_empty() { other.binds } else { self.binds },
            proxies: self.proxies.or(other.proxies),
            forwarded_host: self.forwarded_host.or(other.forwarded_host),
            lanes: self.lanes.or(other.lanes),
            keep_alive: self.keep_alive.or(other.keep_alive),
            graceful_timeout: self.graceful_timeout.or(other.graceful_timeout),
            body_bytes_max: self.body_bytes_max.or(other.body_bytes_max),
            connections_per_client_max: self
                .connections_per_client_max
                .or(other.connections_per_client_max),
            access_log: self.access_log.or(other.access_log),
            log_level: self.log_level.or(other.log_level),
            io: self.io.or(other.io),
        }
    }
}

/// Options of one application. Paths are joined to the folder to which they are relative.
#[derive(Clone, Debug, Default)]
pub(super) struct AppOptions {
    pub(super) chdir: Option<Written<PathBuf>>,
    pub(super) pythonpath: Option<Written<Vec<PathBuf>>>,
    pub(super) venv: Option<Written<PathBuf>>,
    pub(super) threads: Option<Written<usize>>,
}

impl AppOptions {
    /// These, and where nothing is written, the other ones.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            chdir: self.chdir.or(other.chdir),
            pythonpath: self.pythonpath.or(other.pythonpath),
            venv: self.venv.or(other.venv),
            threads: self.threads.or(other.threads),
        }
    }
}

/// An application: `[app.NAME]`, or APP of the command line.
#[derive(Debug)]
pub(super) struct WrittenApp {
    pub(super) name: Written<String>,
    pub(super) target: Written<String>,
    pub(super) options: AppOptions,
    /// Where it runs unless `chdir` says otherwise: absolute.
    pub(super) folder: PathBuf,
}

/// What is to be served, by whoever says it: the file or the command line.
#[derive(Debug, Default)]
pub(super) struct ToServe {
    pub(super) apps: Vec<WrittenApp>,
    pub(super) realms: Vec<WrittenRealm>,
    /// Media types by extension, for all folders.
    pub(super) types: Vec<(String, String)>,
    pub(super) sites: Vec<WrittenSite>,
}

/// A realm: `[auth.NAME]`.
#[derive(Debug)]
pub(super) struct WrittenRealm {
    pub(super) name: Written<String>,
    /// What the browser shows.
    pub(super) title: Option<Written<String>>,
    /// Joined to the folder to which it is relative.
    pub(super) file: Option<Written<PathBuf>>,
    /// Names and hashes.
    pub(super) users: Vec<Written<(String, String)>>,
}

/// A site: `[[site]]`, or all that the command line serves.
#[derive(Debug)]
pub(super) struct WrittenSite {
    pub(super) hosts: Vec<Written<String>>,
    pub(super) routes: Vec<WrittenRoute>,
    pub(super) rules: Vec<WrittenRule>,
    pub(super) error_pages: Vec<WrittenErrorPage>,
    pub(super) place: Place,
}

/// A route: `[[site.route]]`, `--static`, or APP at the root.
#[derive(Debug)]
pub(super) struct WrittenRoute {
    pub(super) path: Written<String>,
    pub(super) destination: WrittenDestination,
}

/// What a route leads to. Applications are named, not yet found.
#[derive(Debug)]
pub(super) enum WrittenDestination {
    Files(Box<WrittenFiles>),
    App(Written<String>),
}

/// A folder of files. Nothing of it has been looked for on the disk.
#[derive(Debug)]
pub(super) struct WrittenFiles {
    /// Joined to the folder to which it is relative.
    pub(super) folder: Written<PathBuf>,
    /// The application that answers where no file is.
    pub(super) app: Option<Written<String>>,
    /// All else. The root is the folder as it is written, the types are not there yet.
    pub(super) options: static_files::Options,
}

/// A rule: `[[site.rule]]`.
#[derive(Debug)]
pub(super) struct WrittenRule {
    /// Each of them gets all the rest.
    pub(super) patterns: Vec<Written<String>>,
    pub(super) action: Option<Written<Action>>,
    /// Names and values.
    pub(super) fields: Vec<Written<(String, String)>>,
    pub(super) cors: Option<Written<Cors>>,
    pub(super) access: Option<Written<WrittenAccess>>,
}

/// Who may ask. Realms are named, not yet found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WrittenAccess {
    Open,
    Realm(String),
}

/// A file that words an error.
#[derive(Debug)]
pub(super) struct WrittenErrorPage {
    pub(super) status: u16,
    /// Joined to the folder to which it is relative.
    pub(super) file: Written<PathBuf>,
}
