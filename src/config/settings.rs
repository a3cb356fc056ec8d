//! The settings: what the server runs by. A value of this type cannot be wrong.
//!
//! It takes what was typed, the environment and the file, lets the earlier one win, and checks the
//! whole against itself and the file system. Paths are absolute, names are indexes, and each limit
//! has its value. It knows nothing of the lanes that will read it.

use crate::address::HostTrust;
use crate::address::Proxies;
use crate::address::Proxy;
use crate::auth::RealmSpec;
use crate::config::arguments::Arguments;
use crate::config::binds;
use crate::config::command_line::CommandLine;
use crate::config::disk;
use crate::config::environment::Environment;
use crate::config::file::ConfigFile;
use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::sites;
use crate::config::written::Options;
use crate::config::written::ToServe;
use crate::config::written::Written;
use crate::limits::BODY_BYTES_MAX_DEFAULT;
use crate::limits::CONNECTIONS_PER_CLIENT_MAX_DEFAULT;
use crate::limits::GRACEFUL_TIME_MAX_DEFAULT;
use crate::limits::IDLE_TIME_MAX_DEFAULT;
use crate::route::Site;
use crate::rules::Policy;
use crate::static_files;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// The file that is read where nothing else says what to serve.
const FILE_NAME: &str = "corelane.toml";
/// Owner and group may connect. Whoever may is as good as one who is logged in on this machine, and
/// may be believed on whom it speaks for.
pub(super) const SOCKET_MODE_DEFAULT: u32 = 0o660;

/// Everything that the server runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen: at least one, no two at the same place but for port 0.
    pub binds: Vec<Bind>,
    /// Who is believed when it speaks for others.
    pub proxies: Proxies,
    /// How many lanes.
    pub lanes: Lanes,
    /// The applications that some route leads to, in the order of their first route.
    pub apps: Vec<App>,
    /// The folders that some route leads to. They exist.
    pub files: Vec<static_files::Options>,
    /// Hosts and routes: at least one route. Their numbers are indexes into `apps` and `files`.
    pub sites: Vec<Site>,
    /// What each of `sites` says besides its routes, by the same index.
    pub policies: Vec<Policy>,
    /// The realms that some rule asks for, in the order of their first rule.
    pub realms: Vec<RealmSpec>,
    /// Bytes of one request body. Over it: 413.
    pub body_bytes_max: u64,
    /// Open connections of one client in one lane. None: no limit.
    pub connections_per_client_max: Option<usize>,
    /// Between two requests of a connection. At least a second.
    pub idle_time_max: Duration,
    /// From the signal to stop until running requests are cut. May be zero.
    pub graceful_time_max: Duration,
    /// Where the access log goes.
    pub access_log: AccessLog,
    /// How much the error log tells.
    pub log_level: LogLevel,
    /// What the lanes ask the kernel with.
    pub io: Io,
    /// What is odd but not wrong. To be logged at the start.
    pub warnings: Vec<Warning>,
}

/// An address to listen on, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Where.
    pub address: BindAddress,
    /// Whether each connection begins with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindAddress {
    /// TCP. `[::]` takes IPv4 as well where the kernel has both.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(UnixSocket),
}

/// A unix socket to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Absolute, in a folder that exists, short enough for unix(7).
    pub path: PathBuf,
    /// The permissions of its file: 0 to 0o777. To connect takes the right to write.
    pub mode: u32,
    /// The owner of its file.
    pub owner: Owner,
}

/// The owner of a file, as chown(2) takes it. None: as it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The number of a user.
    pub user: Option<u32>,
    /// The number of a group.
    pub group: Option<u32>,
}

/// Whether connections begin with a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// They do not, and one is a bad request.
    Off,
    /// They do, in version 1 or 2, and are closed without one.
    On,
}

/// How many lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// One for each CPU that the process may use.
    Auto,
    /// So many: 1 to `LANES_MAX`.
    Exactly(usize),
}

/// One WSGI application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// For messages: the name in `[app.NAME]`, or `app`.
    pub name: String,
    /// `module`, `module:attribute` or `module:factory()`.
    pub target: String,
    /// Where it runs and is imported from: absolute, exists.
    pub chdir: PathBuf,
    /// Further places to import from: absolute, exist.
    pub pythonpath: Vec<PathBuf>,
    /// Its virtual environment: absolute, has a pyvenv.cfg, made by the Python that we run.
    pub venv: Option<PathBuf>,
    /// The most Python threads of one lane. 0: calls happen on the I/O thread.
    pub threads: usize,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To the standard output.
    Stdout,
    /// To the end of a file: absolute, in a folder that exists.
    File(PathBuf),
}

/// How much the error log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What is odd.
    Warn,
    /// Start, stop, what serves where.
    Info,
    /// Each refusal.
    Debug,
    /// All.
    Trace,
}

/// What the lanes ask the kernel with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// io_uring where the kernel allows it, else epoll.
    Auto,
    /// io_uring, or no start.
    Uring,
    /// epoll.
    Epoll,
}

/// Something odd that does not keep the server from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// `VIRTUAL_ENV` names a folder without pyvenv.cfg. It is ignored.
    StaleVirtualEnv(PathBuf),
    /// A virtual environment that was found by itself was made by another Python. It is ignored.
    VenvOfOtherPython {
        /// The environment's folder.
        venv: PathBuf,
        /// The version that made it, such as `3.12`.
        version: String,
    },
    /// No route leads to this application. It is not started.
    UnusedApp(String),
    /// No rule asks for this realm. It protects nothing.
    UnusedRealm(String),
    /// This file of names and hashes lies beneath the folder of a route.
    ServedPasswords(PathBuf),
    /// The file that is to answer where no file is, is missing itself.
    MissingFallback(PathBuf),
}

impl Settings {
    /// Puts flags, variables, file and defaults together and checks the whole.
    ///
    /// # Errors
    /// The first mistake that is found. Nothing has been started or made.
    pub fn new(arguments: Arguments, environment: &Environment) -> Result<Self, Mistake> {
        let command_line = CommandLine::new(arguments, environment)?;
        let file_path = match command_line.config {
            Some(path) => Some(path),
            None if command_line.serve.is_some() => None,
            None => found_file(environment.folder()),
        };
        let file_place = file_path.as_ref().map(|path| Place::File(PathBuf::from(&path.value)));
        let (mut options, mut to_serve) = (Options::default(), ToServe::default());
        if let Some(path) = file_path {
            let file = ConfigFile::read(&path, environment.folder())?;
            (options, to_serve) = (file.options, file.to_serve);
        }
        if let Some(typed) = command_line.serve {
            to_serve = ToServe { types: to_serve.types, ..typed };
        }
        if to_serve.sites.iter().all(|site| site.routes.is_empty()) {
            return Err(nothing_to_serve(file_place));
        }
        for app in &mut to_serve.apps {
            let own = std::mem::take(&mut app.options);
            app.options = command_line.app_options.clone().or(own);
        }
        let mut options = command_line.options.or(options);
        let binds = std::mem::take(&mut options.binds);
        let served = sites::build(to_serve, environment)?;
        Ok(Self {
            binds: binds::build(binds, &command_line.bind_options, environment)?,
            proxies: proxies(options.proxies, options.forwarded_host)?,
            lanes: options.lanes.map_or(Lanes::Auto, |lanes| lanes.value),
            apps: served.apps,
            files: served.files,
            sites: served.sites,
            policies: served.policies,
            realms: served.realms,
            body_bytes_max: options.body_bytes_max.map_or(BODY_BYTES_MAX_DEFAULT, |w| w.value),
            connections_per_client_max: options
                .connections_per_client_max
                .map_or(Some(CONNECTIONS_PER_CLIENT_MAX_DEFAULT), |max| max.value),
            idle_time_max: options.keep_alive.map_or(IDLE_TIME_MAX_DEFAULT, |w| w.value),
            graceful_time_max: options
                .graceful_timeout
                .map_or(GRACEFUL_TIME_MAX_DEFAULT, |time| time.value),
            access_log: access_log(options.access_log)?,
            log_level: options.log_level.map_or(LogLevel::Info, |level| level.value),
            io: options.io.map_or(Io::Auto, |io| io.value),
            warnings: served.warnings,
        })
    }

    /// What there is, in a few words: the answer to `--check-config`.
    #[must_use]
    pub fn summary(&self) -> String {
        let routes = self.sites.iter().map(|site| site.routes.len()).sum();
        let rules = self.policies.iter().map(|policy| policy.rules.len()).sum();
        let mut parts = vec![counted(self.sites.len(), "site"), counted(routes, "route")];
        if rules > 0 {
            parts.push(counted(rules, "rule"));
        }
        if !self.realms.is_empty() {
            parts.push(counted(self.realms.len(), "realm"));
        }
        parts.push(counted(self.apps.len(), "application"));
        parts.push(counted(self.binds.len(), "address"));
        format!("configuration is good: {}", parts.join(", "))
    }
}

fn found_file(folder: &Path) -> Option<Written<String>> {
    let found = folder.join(FILE_NAME).exists();
    found.then(|| Written::new(FILE_NAME.to_owned(), Place::File(PathBuf::from(FILE_NAME))))
}

fn nothing_to_serve(file: Option<Place>) -> Mistake {
    match file {
        Some(place) => Mistake::new(
            &place,
            "nothing to serve: add a route, for example\n\n  \
             [[site]]\n  [[site.route]]\n  path = \"/\"\n  files = \"./public\"",
        ),
        None => Mistake::new(
            &Place::Nowhere,
            "nothing to serve: name an application, a folder, or both, for example\n\n  \
             corelane app:app\n  \
             corelane --static /=./public\n  \
             corelane --static /static=./static 'flaskr:create_app()'\n\n\
             or write a corelane.toml. corelane --help tells more",
        ),
    }
}

fn proxies(
    list: Option<Written<Vec<Proxy>>>,
    host: Option<Written<HostTrust>>,
) -> Result<Proxies, Mistake> {
    let list = list.map_or_else(Vec::new, |list| list.value);
    let trust = host.as_ref().map_or(HostTrust::Ignored, |host| host.value);
    match host {
        Some(host) if trust == HostTrust::Trusted && list.is_empty() => Err(host.mistake(
            "there is nobody to be believed: name your proxies with --forwarded-allow-ips or \
             forwarded_allow_ips",
        )),
        _ => Ok(Proxies::new(list, trust)),
    }
}

/// The file itself is opened at the start, but a mistyped folder is told before.
fn access_log(written: Option<Written<AccessLog>>) -> Result<AccessLog, Mistake> {
    let Some(written) = written else { return Ok(AccessLog::Off) };
    let AccessLog::File(path) = &written.value else { return Ok(written.value) };
    if path.is_dir() {
        let text = format!("\"{}\" is a directory: name a file in it", path.display());
        return Err(written.mistake(text));
    }
    match path.parent() {
        Some(folder) if !folder.is_dir() => {
            let folder = folder.display();
            Err(written.mistake(format!(
                "there is no directory \"{folder}\": make it or correct the path"
            )))
        }
        _ => Ok(AccessLog::File(disk::absolute(path))),
    }
}

fn counted(count: usize, noun: &str) -> String {
    match (count, noun) {
        (1, _) => format!("1 {noun}"),
        (_, "address") => format!("{count} addresses"),
        _ => format!("{count} {noun}s"),
    }
}

impl LogLevel {
    /// The name as the operator writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl BindAddress {
    /// Whether two listeners would be in each other's way. With port 0 the kernel chooses two.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => one.port() != 0 && one == other,
            (Self::Unix(one), Self::Unix(other)) => one.path == other.path,
            _ => false,
        }
    }
}

/// As an operator writes it.
impl fmt::Display for BindAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(socket) => write!(out, "unix:{}", socket.path.display()),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StaleVirtualEnv(venv) => write!(
                out,
                "VIRTUAL_ENV names \"{}\", which has no pyvenv.cfg: it is ignored",
                venv.display()
            ),
            Self::VenvOfOtherPython { venv, version } => write!(
                out,
                "\"{}\" was made by Python {version}, but corelane runs Python {ours}: it is \
                 ignored; make one with python{ours} -m venv",
                venv.display(),
                ours = env!("CORELANE_PYTHON_VERSION"),
            ),
            Self::UnusedApp(name) => {
                write!(out, "no route leads to [app.{name}]: it is not started")
            }
            Self::UnusedRealm(name) => {
                write!(out, "no rule asks for [auth.{name}]: it protects nothing")
            }
            Self::ServedPasswords(file) => write!(
                out,
                "\"{}\" lies in a folder that is served: put it where no route leads",
                file.display()
            ),
            Self::MissingFallback(file) => write!(
                out,
                "there is no file \"{}\": until it is there, what is missing is answered with 404",
                file.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests;
