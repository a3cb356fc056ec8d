//! The flags together with the variables that stand in for them, as well-formed values.
//!
//! It takes the typed texts and the environment and gives values with their places. A flag goes
//! before its variable. It does not look at the file system and knows nothing of the file.

use crate::config::arguments::Arguments;
use crate::config::binds::BindOptions;
use crate::config::binds::WrittenAddress;
use crate::config::binds::WrittenBind;
use crate::config::environment::Environment;
use crate::config::mistake::Mistake;
use crate::config::mistake::Place;
use crate::config::owner;
use crate::config::prefix;
use crate::config::switch;
use crate::config::value;
use crate::config::written::AppOptions;
use crate::config::written::Options;
use crate::config::written::ToServe;
use crate::config::written::Written;
use crate::config::written::WrittenApp;
use crate::config::written::WrittenDestination;
use crate::config::written::WrittenFiles;
use crate::config::written::WrittenRoute;
use crate::config::written::WrittenSite;
use crate::static_files;
use crate::static_files::CleanUrls;
use crate::static_files::Listing;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

/// The name of an application that the command line gives.
const APP_NAME: &str = "app";

/// All that was typed or set in variables.
#[derive(Debug)]
pub(super) struct CommandLine {
    pub(super) options: Options,
    /// For all addresses, whoever names them.
    pub(super) bind_options: BindOptions,
    pub(super) app_options: AppOptions,
    /// The file that was asked for.
    pub(super) config: Option<Written<String>>,
    /// Absent where neither APP nor `--static` was given.
    pub(super) serve: Option<ToServe>,
}

impl CommandLine {
    pub(super) fn new(
        mut arguments: Arguments,
        environment: &Environment,
    ) -> Result<Self, Mistake> {
        let read = Reader { environment };
        let options = options(&mut arguments, &read)?;
        let bind_options = bind_options(&mut arguments, &read)?;
        let app_options = app_options(&mut arguments, &read)?;
        let file_options = file_options(&mut arguments, &read)?;
        let app = read.one(arguments.app, "APP", "CORELANE_APP")?;
        let statics = read.many(arguments.statics, "--static", "CORELANE_STATIC")?;
        Ok(Self {
            options,
            bind_options,
            app_options,
            config: read.one(arguments.config, "--config", "CORELANE_CONFIG")?,
            serve: serve(app, statics, &file_options, environment.folder())?,
        })
    }
}

/// Looks for a variable where a flag is not typed.
struct Reader<'e> {
    environment: &'e Environment,
}

impl Reader<'_> {
    fn one(
        &self,
        typed: Option<String>,
        flag: &'static str,
        variable: &'static str,
    ) -> Result<Option<Written<String>>, Mistake> {
        match typed {
            Some(text) => Ok(Some(Written::new(text, Place::Flag(flag)))),
            None => variable_text(self.environment, variable),
        }
    }

    fn many(
        &self,
        typed: Vec<String>,
        flag: &'static str,
        variable: &'static str,
    ) -> Result<Vec<Written<String>>, Mistake> {
        match typed.is_empty() {
            false => Ok(typed.into_iter().map(|t| Written::new(t, Place::Flag(flag))).collect()),
            true => variable_texts(self.environment, variable),
        }
    }
}

fn options(typed: &mut Arguments, read: &Reader<'_>) -> Result<Options, Mistake> {
    let folder = read.environment.folder();
    let mut workers = read.one(typed.workers.take(), "--workers", "CORELANE_WORKERS")?;
    if workers.is_none() {
        workers = variable_text(read.environment, "WEB_CONCURRENCY")?;
    }
    let keep_alive = read.one(typed.keep_alive.take(), "--keep-alive", "CORELANE_KEEP_ALIVE")?;
    let graceful_timeout =
        read.one(typed.graceful_timeout.take(), "--graceful-timeout", "CORELANE_GRACEFUL_TIMEOUT")?;
    let body_bytes_max = read.one(
        typed.limit_request_body.take(),
        "--limit-request-body",
        "CORELANE_LIMIT_REQUEST_BODY",
    )?;
    let per_client = read.one(
        typed.limit_connections_per_client.take(),
        "--limit-connections-per-client",
        "CORELANE_LIMIT_CONNECTIONS_PER_CLIENT",
    )?;
    let access_log =
        read.one(typed.access_logfile.take(), "--access-logfile", "CORELANE_ACCESS_LOGFILE")?;
    let log_level = read.one(typed.log_level.take(), "--log-level", "CORELANE_LOG_LEVEL")?;
    let io = read.one(typed.io.take(), "--io", "CORELANE_IO")?;
    let binds = read.many(std::mem::take(&mut typed.bind), "--bind", "CORELANE_BIND")?;
    let proxies = read.one(
        typed.forwarded_allow_ips.take(),
        "--forwarded-allow-ips",
        "CORELANE_FORWARDED_ALLOW_IPS",
    )?;
    let forwarded_host =
        read.one(typed.forwarded_host.take(), "--forwarded-host", "CORELANE_FORWARDED_HOST")?;
    let binds = parse_each(binds, |text| value::bind(text, folder))?;
    Ok(Options {
        binds: binds.into_iter().map(WrittenBind::from).collect(),
        proxies: parse(proxies, |list| {
            value::proxies(pieces(list).map(value::proxy).collect::<Result<_, _>>()?)
        })?,
        forwarded_host: parse(forwarded_host, switch::parse)?,
        lanes: parse(workers, value::lanes)?,
        keep_alive: parse(keep_alive, value::keep_alive)?,
        graceful_timeout: parse(graceful_timeout, value::duration)?,
        body_bytes_max: parse(body_bytes_max, value::body_bytes_max)?,
        connections_per_client_max: parse(per_client, value::connections_per_client_max)?,
        access_log: parse(access_log, |text| Ok(value::access_log(text, folder)))?,
        log_level: parse(log_level, value::log_level)?,
        io: parse(io, value::io)?,
    })
}

fn bind_options(typed: &mut Arguments, read: &Reader<'_>) -> Result<BindOptions, Mistake> {
    let proxy_protocol =
        read.one(typed.proxy_protocol.take(), "--proxy-protocol", "CORELANE_PROXY_PROTOCOL")?;
    let mode = read.one(typed.socket_mode.take(), "--socket-mode", "CORELANE_SOCKET_MODE")?;
    let owner = read.one(typed.socket_owner.take(), "--socket-owner", "CORELANE_SOCKET_OWNER")?;
    Ok(BindOptions {
        proxy_protocol: parse(proxy_protocol, switch::parse)?,
        mode: parse(mode, value::mode)?,
        owner: parse(owner, owner::owner)?,
    })
}

fn app_options(typed: &mut Arguments, read: &Reader<'_>) -> Result<AppOptions, Mistake> {
    let folder = read.environment.folder();
    let join = |text: Written<String>| text.parse(|text| Ok(folder.join(text)));
    let threads = read.one(typed.threads.take(), "--threads", "CORELANE_THREADS")?;
    let chdir = read.one(typed.chdir.take(), "--chdir", "CORELANE_CHDIR")?;
    let venv = read.one(typed.venv.take(), "--venv", "CORELANE_VENV")?;
    let pythonpath = read.one(typed.pythonpath.take(), "--pythonpath", "CORELANE_PYTHONPATH")?;
    Ok(AppOptions {
        chdir: chdir.map(join).transpose()?,
        pythonpath: parse(pythonpath, |list| {
            Ok(pieces(list).map(|piece| folder.join(piece)).collect())
        })?,
        venv: venv.map(join).transpose()?,
        threads: parse(threads, value::threads)?,
    })
}

/// What is said of all folders of `--static`.
struct FileOptions {
    listing: Option<Written<Listing>>,
    fallback: Option<Written<String>>,
    clean_urls: Option<Written<CleanUrls>>,
}

fn file_options(typed: &mut Arguments, read: &Reader<'_>) -> Result<FileOptions, Mistake> {
    let listing = read.one(typed.listing.take(), "--listing", "CORELANE_LISTING")?;
    let fallback = read.one(typed.fallback.take(), "--fallback", "CORELANE_FALLBACK")?;
    let clean_urls = read.one(typed.clean_urls.take(), "--clean-urls", "CORELANE_CLEAN_URLS")?;
    Ok(FileOptions {
        listing: parse(listing, switch::parse)?,
        fallback: parse(fallback, prefix::file)?,
        clean_urls: parse(clean_urls, switch::parse)?,
    })
}

impl FileOptions {
    /// One folder with them.
    fn of(&self, folder: Written<PathBuf>, app: Option<Written<String>>) -> WrittenFiles {
        let plain = static_files::Options::plain(folder.value.clone());
        let options = static_files::Options {
            listing: self.listing.as_ref().map_or(plain.listing, |listing| listing.value),
            fallback: self.fallback.as_ref().map(|file| file.value.clone()),
            clean_urls: self.clean_urls.as_ref().map_or(plain.clean_urls, |clean| clean.value),
            ..plain
        };
        WrittenFiles { folder, app, options }
    }

    /// The mistake of whoever has no folder for them.
    fn refuse(&self) -> Result<(), Mistake> {
        let listing = self.listing.as_ref().map(|written| &written.place);
        let fallback = self.fallback.as_ref().map(|written| &written.place);
        let clean_urls = self.clean_urls.as_ref().map(|written| &written.place);
        match listing.or(fallback).or(clean_urls) {
            Some(place) => Err(Mistake::new(
                place,
                "is for the folders of --static, and there is none: add --static /=./public, or \
                 say it in the route of the file",
            )),
            None => Ok(()),
        }
    }
}

/// `0.0.0.0:$PORT`, as container platforms expect it of a program without an address of its own.
pub(super) fn bind_of_port(
    environment: &Environment,
) -> Result<Option<Written<WrittenAddress>>, Mistake> {
    let every = |port| WrittenAddress::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    parse(variable_text(environment, "PORT")?, |text| value::port(text).map(every))
}

/// One site for every host, one route for each `--static`, and the application at the root: as a
/// route, or behind the files that are there.
fn serve(
    app: Option<Written<String>>,
    statics: Vec<Written<String>>,
    file_options: &FileOptions,
    folder: &Path,
) -> Result<Option<ToServe>, Mistake> {
    if statics.is_empty() {
        file_options.refuse()?;
    }
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
        let app = if prefix == "/" { app_name.take() } else { None };
        if let (Some(file), Some(_)) = (&file_options.fallback, &app) {
            return Err(file.mistake(
                "the application would never be asked, as it stands behind the files of \
                 --static /: remove one of the three",
            ));
        }
        let folder = Written::new(folder.join(directory), place.clone());
        let files = file_options.of(folder, app);
        let destination = WrittenDestination::Files(Box::new(files));
        routes.push(WrittenRoute { path: Written::new(prefix, place), destination });
    }
    if let Some(name) = app_name {
        let path = Written::new("/".to_owned(), name.place.clone());
        routes.push(WrittenRoute { path, destination: WrittenDestination::App(name) });
    }
    if routes.is_empty() {
        return Ok(None);
    }
    let site = WrittenSite {
        hosts: Vec::new(),
        routes,
        rules: Vec::new(),
        error_pages: Vec::new(),
        place: Place::Nowhere,
    };
    Ok(Some(ToServe { apps, sites: vec![site], ..ToServe::default() }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::HostTrust;
    use crate::address::Proxy;
    use crate::config::settings::AccessLog;
    use crate::config::settings::Io;
    use crate::config::settings::Lanes;
    use crate::config::settings::LogLevel;
    use crate::config::settings::ProxyProtocol;
    use std::time::Duration;

    fn read(words: &[&str], variables: &[(&str, &str)]) -> Result<CommandLine, String> {
        let arguments = Arguments::from_words(["corelane"].iter().chain(words)).unwrap();
        let environment = Environment::new(Path::new("/srv"), variables);
        CommandLine::new(arguments, &environment).map_err(|mistake| mistake.to_string())
    }

    fn shown(bind: &WrittenBind) -> String {
        match &bind.address.value {
            WrittenAddress::Tcp(address) => address.to_string(),
            WrittenAddress::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The route of the first `--static`.
    fn first_files(line: &CommandLine) -> (&WrittenRoute, &WrittenFiles) {
        let route = &line.serve.as_ref().unwrap().sites[0].routes[0];
        let WrittenDestination::Files(files) = &route.destination else {
            panic!("--static leads to files");
        };
        (route, files)
    }

    /// Each option with the flag, its variable, a value for each of them, and how to read it.
    type Reader = fn(&CommandLine) -> String;
    const OPTIONS: &[(&str, &str, &str, &str, Reader)] = &[
        ("--workers", "CORELANE_WORKERS", "2", "3", |line| {
            match line.options.lanes.as_ref().unwrap().value {
                Lanes::Exactly(count) => count.to_string(),
                Lanes::Auto => "auto".to_owned(),
            }
        }),
        ("--threads", "CORELANE_THREADS", "0", "9", |line| {
            line.app_options.threads.as_ref().unwrap().value.to_string()
        }),
        ("--keep-alive", "CORELANE_KEEP_ALIVE", "10", "20", |line| {
            line.options.keep_alive.as_ref().unwrap().value.as_secs().to_string()
        }),
        ("--graceful-timeout", "CORELANE_GRACEFUL_TIMEOUT", "0", "20", |line| {
            line.options.graceful_timeout.as_ref().unwrap().value.as_secs().to_string()
        }),
        ("--limit-request-body", "CORELANE_LIMIT_REQUEST_BODY", "10", "20", |line| {
            line.options.body_bytes_max.as_ref().unwrap().value.to_string()
        }),
        (
            "--limit-connections-per-client",
            "CORELANE_LIMIT_CONNECTIONS_PER_CLIENT",
            "10",
            "20",
            |line| {
                let written = line.options.connections_per_client_max.as_ref().unwrap();
                written.value.unwrap().to_string()
            },
        ),
        ("--access-logfile", "CORELANE_ACCESS_LOGFILE", "/a", "/b", |line| {
            match &line.options.access_log.as_ref().unwrap().value {
                AccessLog::File(path) => path.display().to_string(),
                other => format!("{other:?}"),
            }
        }),
        ("--log-level", "CORELANE_LOG_LEVEL", "debug", "trace", |line| {
            line.options.log_level.as_ref().unwrap().value.name().to_owned()
        }),
        ("--io", "CORELANE_IO", "epoll", "uring", |line| {
            match line.options.io.as_ref().unwrap().value {
                Io::Auto => "auto",
                Io::Uring => "uring",
                Io::Epoll => "epoll",
            }
            .to_owned()
        }),
        ("--config", "CORELANE_CONFIG", "a.toml", "b.toml", |line| {
            line.config.as_ref().unwrap().value.clone()
        }),
        ("--chdir", "CORELANE_CHDIR", "/a", "/b", |line| {
            line.app_options.chdir.as_ref().unwrap().value.display().to_string()
        }),
        ("--venv", "CORELANE_VENV", "/a", "/b", |line| {
            line.app_options.venv.as_ref().unwrap().value.display().to_string()
        }),
        ("--pythonpath", "CORELANE_PYTHONPATH", "/a", "/b", |line| {
            line.app_options.pythonpath.as_ref().unwrap().value[0].display().to_string()
        }),
        ("--bind", "CORELANE_BIND", "127.0.0.1:1", "unix:/run/a", |line| {
            shown(&line.options.binds[0])
        }),
        ("--socket-mode", "CORELANE_SOCKET_MODE", "600", "666", |line| {
            format!("{:o}", line.bind_options.mode.as_ref().unwrap().value)
        }),
        ("--socket-owner", "CORELANE_SOCKET_OWNER", "5", "6", |line| {
            line.bind_options.owner.as_ref().unwrap().value.user.unwrap().to_string()
        }),
        ("--forwarded-allow-ips", "CORELANE_FORWARDED_ALLOW_IPS", "10.0.0.0/8", "::/0", |line| {
            match line.options.proxies.as_ref().unwrap().value[..] {
                [Proxy::Network(network)] => network.to_string(),
                ref other => format!("{other:?}"),
            }
        }),
        ("--static", "CORELANE_STATIC", "/a=b", "/c=d", |line| {
            let (route, files) = first_files(line);
            let folder = files.folder.value.strip_prefix("/srv").unwrap();
            format!("{}={}", route.path.value, folder.display())
        }),
    ];

    #[test]
    fn a_flag_goes_before_its_variable() {
        for (flag, variable, typed, set, value) in OPTIONS {
            let both = read(&[flag, typed], &[(variable, set)]).unwrap();
            assert_eq!(value(&both), *typed, "{flag}");
            let alone = read(&[], &[(variable, set)]).unwrap();
            assert_eq!(value(&alone), *set, "{variable}");
        }
    }

    #[test]
    fn a_mistake_names_the_flag_or_the_variable() {
        let sentence = "\"x\" is not a number of lanes: write a number from 1 to 256, or auto";
        for (words, variables, place) in [
            (&["-w", "x"][..], &[][..], "--workers"),
            (&[], &[("CORELANE_WORKERS", "x")], "CORELANE_WORKERS"),
            (&[], &[("WEB_CONCURRENCY", "x")], "WEB_CONCURRENCY"),
        ] {
            assert_eq!(read(words, variables).unwrap_err(), format!("{place}: {sentence}"));
        }
        for (words, expected) in [
            (
                &["--static", "public"],
                "--static: \"public\" is not PREFIX=DIR: write one such as /static=./static",
            ),
            (
                &["--static", "/="],
                "--static: \"/=\" is not PREFIX=DIR: write one such as /static=./static",
            ),
            (&["--keep-alive", "0"], "--keep-alive: \"0\" is too short: write 1s or more"),
        ] {
            assert_eq!(read(words, &[]).unwrap_err(), expected);
        }
        assert_eq!(
            read(&["app.py"], &[]).unwrap_err(),
            "APP: \"app.py\" names a file: write the module, app"
        );
        assert_eq!(
            read(&[], &[("CORELANE_APP", "app.py")]).unwrap_err(),
            "CORELANE_APP: \"app.py\" names a file: write the module, app"
        );
    }

    #[test]
    fn options_of_all_folders_go_before_their_variables() {
        let options = |words: &[&str], variables: &[_]| {
            let line =
                read(&[&["--static", "/a=b", "--static", "/=c"], words].concat(), variables)?;
            let routes = &line.serve.unwrap().sites[0].routes;
            let each: Vec<_> = routes
                .iter()
                .map(|route| match &route.destination {
                    WrittenDestination::Files(files) => {
                        let static_files::Options { listing, fallback, clean_urls, .. } =
                            &files.options;
                        (*listing, fallback.clone(), *clean_urls)
                    }
                    WrittenDestination::App(_) => panic!("there is none"),
                })
                .collect();
            assert_eq!(each[0], each[1]);
            Ok(each[0].clone())
        };
        let none = (Listing::Off, None, CleanUrls::Off);
        assert_eq!(options(&[], &[]), Ok(none));
        let typed = ["--listing", "--fallback", "/a.html", "--clean-urls"];
        let all = (Listing::On, Some("/a.html".to_owned()), CleanUrls::On);
        assert_eq!(options(&typed, &[]), Ok(all.clone()));
        let variables = [
            ("CORELANE_LISTING", "on"),
            ("CORELANE_FALLBACK", "/a.html"),
            ("CORELANE_CLEAN_URLS", "yes"),
        ];
        assert_eq!(options(&[], &variables), Ok(all));
        let typed = ["--listing=off", "--fallback", "/b.html", "--clean-urls=off"];
        let other = (Listing::Off, Some("/b.html".to_owned()), CleanUrls::Off);
        assert_eq!(options(&typed, &variables), Ok(other));
        assert_eq!(
            options(&["--fallback", "./index.html"], &[]),
            Err("--fallback: \"./index.html\" does not begin with a slash: write \"/index.html\""
                .to_owned())
        );
    }

    #[test]
    fn options_of_folders_without_a_folder() {
        let sentence = "is for the folders of --static, and there is none: add --static /=./public, \
                        or say it in the route of the file";
        for (words, variables, place) in [
            (&["--listing"][..], &[][..], "--listing"),
            (&["--listing=off", "app"], &[], "--listing"),
            (&["--fallback", "/a"], &[], "--fallback"),
            (&["--clean-urls", "app"], &[], "--clean-urls"),
            (&[], &[("CORELANE_FALLBACK", "/a")], "CORELANE_FALLBACK"),
        ] {
            assert_eq!(read(words, variables).unwrap_err(), format!("{place}: {sentence}"));
        }
        let words = ["--static", "/=a", "--static", "/b=b", "--fallback", "/index.html", "app"];
        assert_eq!(
            read(&words, &[]).unwrap_err(),
            "--fallback: the application would never be asked, as it stands behind the files of \
             --static /: remove one of the three"
        );
        let beside = read(&["--static", "/a=a", "--fallback", "/index.html", "app"], &[]);
        assert_eq!(beside.unwrap().serve.unwrap().sites[0].routes.len(), 2);
    }

    #[test]
    fn web_concurrency_stands_in_for_workers() {
        let lanes =
            |variables: &[_]| read(&[], variables).unwrap().options.lanes.map(|lanes| lanes.value);
        let web = ("WEB_CONCURRENCY", "2");
        assert_eq!(lanes(&[web]), Some(Lanes::Exactly(2)));
        assert_eq!(lanes(&[web, ("CORELANE_WORKERS", "3")]), Some(Lanes::Exactly(3)));
        assert_eq!(lanes(&[]), None);
    }

    #[test]
    fn lists_may_be_repeated_flags_or_one_variable_with_commas() {
        let addresses =
            |line: CommandLine| line.options.binds.iter().map(shown).collect::<Vec<_>>();
        let expected = ["127.0.0.1:1", "[::]:2", "unix:/srv/a"];
        let flags = read(&["-b", "127.0.0.1:1", "-b", "[::]:2", "-b", "unix:a"], &[]).unwrap();
        assert_eq!(addresses(flags), expected);
        let variable = read(&[], &[("CORELANE_BIND", "127.0.0.1:1, [::]:2,unix:a")]).unwrap();
        assert_eq!(addresses(variable), expected);
        let paths = read(&["--pythonpath", "lib, /opt/lib"], &[]).unwrap();
        let expected: Vec<PathBuf> = vec!["/srv/lib".into(), "/opt/lib".into()];
        assert_eq!(paths.app_options.pythonpath.unwrap().value, expected);
    }

    #[test]
    fn port_is_every_ipv4_address() {
        let bind = |port| {
            let environment = Environment::new(Path::new("/"), &[("PORT", port)]);
            bind_of_port(&environment).map_err(|mistake| mistake.to_string())
        };
        let value = bind("8080").unwrap().unwrap().value;
        assert_eq!(value, WrittenAddress::Tcp("0.0.0.0:8080".parse().unwrap()));
        assert_eq!(bind(""), Ok(None));
        assert_eq!(
            bind("tcp://10.0.0.1:80").unwrap_err(),
            "PORT: \"tcp://10.0.0.1:80\" is not a port: write a number from 0 to 65535"
        );
    }

    #[test]
    fn a_switch_is_a_flag_alone_or_has_a_value() {
        let switches = |words: &[&str], variables: &[_]| {
            let line = read(words, variables)?;
            let protocol = line.bind_options.proxy_protocol.map(|written| written.value);
            Ok((protocol, line.options.forwarded_host.map(|written| written.value)))
        };
        let both = Ok((Some(ProxyProtocol::On), Some(HostTrust::Trusted)));
        assert_eq!(switches(&["--proxy-protocol", "--forwarded-host", "app"], &[]), both);
        let variables = [("CORELANE_PROXY_PROTOCOL", "on"), ("CORELANE_FORWARDED_HOST", "1")];
        assert_eq!(switches(&[], &variables), both);
        let off = Ok((Some(ProxyProtocol::Off), Some(HostTrust::Ignored)));
        assert_eq!(switches(&["--proxy-protocol=off", "--forwarded-host=no"], &variables), off);
        assert_eq!(switches(&[], &[]), Ok((None, None)));
        assert_eq!(
            switches(&["--proxy-protocol=v1"], &[]),
            Err("--proxy-protocol: \"v1\" is neither on nor off: write one of the two".to_owned())
        );
    }

    #[test]
    fn proxies_are_a_list_with_commas() {
        let proxies = |list| {
            let line = read(&["--forwarded-allow-ips", list], &[])?;
            Ok(line.options.proxies.unwrap().value)
        };
        let network = |text: &str| Proxy::Network(text.parse().unwrap());
        let expected = vec![network("127.0.0.1"), network("fd00::/8"), Proxy::Unix];
        assert_eq!(proxies("127.0.0.1, fd00::/8,unix"), Ok(expected));
        assert_eq!(proxies(""), Ok(Vec::new()));
        assert_eq!(
            proxies("::1,localhost"),
            Err(
                "--forwarded-allow-ips: \"localhost\" is no address of a proxy: write one such as \
                 127.0.0.1, a network such as 10.0.0.0/8, or unix"
                    .to_owned()
            )
        );
    }

    #[test]
    fn nothing_typed_is_nothing_written() {
        let line = read(&[], &[]).unwrap();
        assert!(line.serve.is_none() && line.config.is_none() && line.options.binds.is_empty());
        assert!(line.options.io.is_none() && line.options.log_level.is_none());
        let level = read(&["--log-level", "warning"], &[]).unwrap().options.log_level.unwrap();
        assert_eq!(level.value, LogLevel::Warn);
        let time = read(&["--keep-alive", "1m"], &[]).unwrap().options.keep_alive.unwrap();
        assert_eq!(time.value, Duration::from_secs(60));
    }
}
