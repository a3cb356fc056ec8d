//! The flags together with the variables that stand in for them, as well-formed values.
//!
//! It takes the typed texts and the environment and gives values with their places. A flag goes
//! before its variable. It does not look at the file system and knows nothing of the file.

use crate::config::arguments::Arguments;
use crate::config::environment::Environment;
use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::settings::Bind;
use crate::config::value;
use crate::config::written::AppOptions;
use crate::config::written::Options;
use crate::config::written::Written;
use crate::config::written::WrittenApp;
use crate::config::written::WrittenDestination;
use crate::config::written::WrittenRoute;
use crate::config::written::WrittenSite;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;

/// The name of an application that the command line gives.
const APP_NAME: &str = "app";

/// All that was typed or set in variables.
#[derive(Debug)]
pub(super) struct CommandLine {
    pub(super) options: Options,
    pub(super) app_options: AppOptions,
    /// The file that was asked for.
    pub(super) config: Option<Written<String>>,
    /// Absent where neither APP nor `--static` was given.
    pub(super) serve: Option<(Vec<WrittenApp>, WrittenSite)>,
}

impl CommandLine {
    pub(super) fn new(arguments: Arguments, environment: &Environment) -> Result<Self, Mistake> {
        let one = |typed: Option<String>, flag, variable| match typed {
            Some(text) => Ok(Some(Written::new(text, Place::Flag(flag)))),
            None => variable_text(environment, variable),
        };
        let many = |typed: Vec<String>, flag, variable| match typed.is_empty() {
            false => Ok(typed.into_iter().map(|t| Written::new(t, Place::Flag(flag))).collect()),
            true => variable_texts(environment, variable),
        };
        let folder = environment.folder();
        let join = |text: Written<String>| text.parse(|text| Ok(folder.join(text)));

        let mut workers = one(arguments.workers, "--workers", "CORELANE_WORKERS")?;
        if workers.is_none() {
            workers = variable_text(environment, "WEB_CONCURRENCY")?;
        }
        let keep_alive = one(arguments.keep_alive, "--keep-alive", "CORELANE_KEEP_ALIVE")?;
        let graceful_timeout =
            one(arguments.graceful_timeout, "--graceful-timeout", "CORELANE_GRACEFUL_TIMEOUT")?;
        let body_bytes_max = one(
            arguments.limit_request_body,
            "--limit-request-body",
            "CORELANE_LIMIT_REQUEST_BODY",
        )?;
        let access_log =
            one(arguments.access_logfile, "--access-logfile", "CORELANE_ACCESS_LOGFILE")?;
        let log_level = one(arguments.log_level, "--log-level", "CORELANE_LOG_LEVEL")?;
        let io = one(arguments.io, "--io", "CORELANE_IO")?;
        let binds = many(arguments.bind, "--bind", "CORELANE_BIND")?;
        let options = Options {
            binds: parse_each(binds, value::bind)?,
            lanes: parse(workers, value::lanes)?,
            keep_alive: parse(keep_alive, value::keep_alive)?,
            graceful_timeout: parse(graceful_timeout, value::duration)?,
            body_bytes_max: parse(body_bytes_max, value::body_bytes_max)?,
            access_log: parse(access_log, |text| Ok(value::access_log(text, folder)))?,
            log_level: parse(log_level, value::log_level)?,
            io: parse(io, value::io)?,
        };

        let threads = one(arguments.threads, "--threads", "CORELANE_THREADS")?;
        let chdir = one(arguments.chdir, "--chdir", "CORELANE_CHDIR")?;
        let venv = one(arguments.venv, "--venv", "CORELANE_VENV")?;
        let pythonpath = one(arguments.pythonpath, "--pythonpath", "CORELANE_PYTHONPATH")?;
        let app_options = AppOptions {
            chdir: chdir.map(join).transpose()?,
            pythonpath: parse(pythonpath, |list| {
                Ok(pieces(list).map(|piece| folder.join(piece)).collect())
            })?,
            venv: venv.map(join).transpose()?,
            threads: parse(threads, value::threads)?,
        };

        let app = one(arguments.app, "APP", "CORELANE_APP")?;
        let statics = many(arguments.statics, "--static", "CORELANE_STATIC")?;
        Ok(Self {
            options,
            app_options,
            config: one(arguments.config, "--config", "CORELANE_CONFIG")?,
            serve: serve(app, statics, folder)?,
        })
    }
}

/// `0.0.0.0:$PORT`, as container platforms expect it of a program without an address of its own.
pub(super) fn bind_of_port(environment: &Environment) -> Result<Option<Written<Bind>>, Mistake> {
    let every = |port| Bind::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    parse(variable_text(environment, "PORT")?, |text| value::port(text).map(every))
}

/// One site for every host, one route for each `--static`, and the application at the root: as a
/// route, or behind the files that are there.
fn serve(
    app: Option<Written<String>>,
    statics: Vec<Written<String>>,
    folder: &Path,
) -> Result<Option<(Vec<WrittenApp>, WrittenSite)>, Mistake> {
    let mut app_name = app.as_ref().map(|app| Written::new(APP_NAME.to_owned(), app.place.clone()));
    let mut apps = Vec::new();
    if let (Some(app), Some(name)) = (app, app_name.clone()) {
        let target = app.parse(|text| value::app_target(text))?;
        let options = AppOptions::default();
        apps.push(WrittenApp { name, target, options, folder: folder.to_owned() });
    }
    let mut routes = Vec::new();
    for text in statics {
        let place = text.place.clone();
        let Written { value: (prefix, directory), .. } = text.parse(|text| split_static(text))?;
        let fallback = if prefix == "/" { app_name.take() } else { None };
        let folder = Written::new(folder.join(directory), place.clone());
        let destination = WrittenDestination::Files { folder, fallback, cache_control: None };
        routes.push(WrittenRoute { path: Written::new(prefix, place), destination });
    }
    if let Some(name) = app_name {
        let path = Written::new("/".to_owned(), name.place.clone());
        routes.push(WrittenRoute { path, destination: WrittenDestination::App(name) });
    }
    if routes.is_empty() {
        return Ok(None);
    }
    Ok(Some((apps, WrittenSite { hosts: Vec::new(), routes, place: Place::Nowhere })))
}

fn split_static(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((prefix, directory)) if !prefix.is_empty() && !directory.is_empty() => {
            Ok((prefix.to_owned(), directory.to_owned()))
        }
        _ => Err(format!("\"{text}\" is not PREFIX=DIR: write one such as /static=./static")),
    }
}

fn variable_text(
    environment: &Environment,
    name: &'static str,
) -> Result<Option<Written<String>>, Mistake> {
    let text = environment.variable(name)?;
    Ok(text.map(|text| Written::new(text, Place::Variable(name))))
}

fn variable_texts(
    environment: &Environment,
    name: &'static str,
) -> Result<Vec<Written<String>>, Mistake> {
    let list = environment.variable(name)?.unwrap_or_default();
    let written = |piece: &str| Written::new(piece.to_owned(), Place::Variable(name));
    Ok(pieces(&list).map(written).collect())
}

/// The pieces of a list with commas.
fn pieces(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|piece| !piece.is_empty())
}

fn parse<T>(
    text: Option<Written<String>>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<Written<T>>, Mistake> {
    text.map(|text| text.parse(|text| parse(text))).transpose()
}

fn parse_each<T>(
    texts: Vec<Written<String>>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<Written<T>>, Mistake> {
    texts.into_iter().map(|text| text.parse(|text| parse(text))).collect()
}
