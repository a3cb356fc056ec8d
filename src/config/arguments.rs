//! The command line: which flags there are and what help says about them.
//!
//! It takes words and gives them sorted by flag, still as text. What the texts mean, and the
//! variables beside the flags, are the business of `command_line`.

use clap::Parser;
use std::ffi::OsString;

const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (Python ", env!("CORELANE_PYTHON_VERSION"), ")");

const AFTER_HELP: &str = "\
Examples:
  corelane app:app                           an application, on http://127.0.0.1:8000
  corelane --static /=./public               a folder of files
  corelane --static /static=./static 'flaskr:create_app()'
                                             files below /static, all else to the application
  corelane -b 0.0.0.0:80 -w 4 --threads 16 shop.wsgi
                                             every interface, 4 lanes, up to 16 Python threads each
  corelane --check-config -c corelane.toml   is the file right? Starts nothing

Variables:
  Each option with a value has a variable: --bind is CORELANE_BIND, --limit-request-body is
  CORELANE_LIMIT_REQUEST_BODY, APP is CORELANE_APP. Where an option may be repeated, the variable
  takes a list with commas. WEB_CONCURRENCY stands in for --workers, PORT for --bind 0.0.0.0:PORT.
  A flag goes before a variable, a variable before the file, the file before the default.";

/// What was typed on the command line.
#[derive(Clone, Debug, Default, Parser)]
#[command(
    name = "corelane",
    version = VERSION,
    about = "Serves static files and WSGI applications, one lane for each CPU core.",
    after_help = AFTER_HELP,
    max_term_width = 100
)]
pub struct Arguments {
    /// The WSGI application: module, module:attribute or 'module:factory()'. A bare module is
    /// searched for "application", then "app"
    #[arg(value_name = "APP")]
    pub(super) app: Option<String>,

    /// Serve the files of DIR below PREFIX; repeatable. Beside an application, PREFIX / serves the
    /// file where there is one, else asks the application
    #[arg(long = "static", value_name = "PREFIX=DIR", help_heading = "What to serve")]
    pub(super) statics: Vec<String>,

    /// Show what is in a folder of --static that has no index.html; on or off
    #[arg(
        long,
        value_name = "SWITCH",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        help_heading = "What to serve"
    )]
    pub(super) listing: Option<String>,

    /// Answer with this file of the --static folder where no file is, for example /index.html of a
    /// single-page application
    #[arg(long, value_name = "PATH", help_heading = "What to serve")]
    pub(super) fallback: Option<String>,

    /// Let /about stand for about.html in --static folders; on or off
    #[arg(
        long,
        value_name = "SWITCH",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        help_heading = "What to serve"
    )]
    pub(super) clean_urls: Option<String>,

    /// Where the application runs and is imported from [default: the current folder]
    #[arg(long, value_name = "DIR", help_heading = "What to serve")]
    pub(super) chdir: Option<String>,

    /// Further places to import from; a list with commas
    #[arg(long, value_name = "DIR,DIR", help_heading = "What to serve")]
    pub(super) pythonpath: Option<String>,

    /// The application's virtual environment [default: VIRTUAL_ENV, else .venv in its folder]
    #[arg(long, value_name = "DIR", help_heading = "What to serve")]
    pub(super) venv: Option<String>,

    /// Listen here: HOST:PORT, [::]:PORT, PORT for every IPv4 address, or unix:PATH; repeatable
    /// [default: 127.0.0.1:8000]
    #[arg(short, long, value_name = "ADDRESS", help_heading = "Where and how")]
    pub(super) bind: Vec<String>,

    /// How many lanes; auto is one for each CPU that the process may use [default: auto]
    #[arg(short, long, value_name = "N", help_heading = "Where and how")]
    pub(super) workers: Option<String>,

    /// The most Python threads of a lane; 0 calls the application on the I/O thread [default: 8]
    #[arg(long, value_name = "N", help_heading = "Where and how")]
    pub(super) threads: Option<String>,

    /// auto, uring or epoll [default: auto, which is io_uring where the kernel allows it]
    #[arg(long, value_name = "KIND", help_heading = "Where and how")]
    pub(super) io: Option<String>,

    /// The permissions of unix sockets: three octal digits [default: 660]
    #[arg(long, value_name = "MODE", help_heading = "Where and how")]
    pub(super) socket_mode: Option<String>,

    /// The owner of unix sockets: USER, USER:GROUP or :GROUP
    #[arg(long, value_name = "OWNER", help_heading = "Where and how")]
    pub(super) socket_owner: Option<String>,

    /// Each connection begins with a PROXY header, version 1 or 2, or is closed; on or off
    #[arg(
        long,
        value_name = "SWITCH",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        help_heading = "Behind a proxy"
    )]
    pub(super) proxy_protocol: Option<String>,

    /// Proxies that are believed in Forwarded and X-Forwarded-For and -Proto: addresses, networks,
    /// unix for unix sockets, * for whoever connects; a list with commas [default: nobody]
    #[arg(long, value_name = "LIST", help_heading = "Behind a proxy")]
    pub(super) forwarded_allow_ips: Option<String>,

    /// Believe them in the host as well; on or off
    #[arg(
        long,
        value_name = "SWITCH",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        help_heading = "Behind a proxy"
    )]
    pub(super) forwarded_host: Option<String>,

    /// How long an unused connection is kept: seconds, or a time such as 1m30s [default: 75s]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(super) keep_alive: Option<String>,

    /// How long running requests may take to finish after the signal to stop [default: 30s]
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(super) graceful_timeout: Option<String>,

    /// The largest request body: bytes, or a size such as 10m [default: 64m]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(super) limit_request_body: Option<String>,

    /// The most connections of one client address to a lane; 0 is no limit [default: 512]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(super) limit_connections_per_client: Option<String>,

    /// Write a line for each answer to FILE; - is the standard output [default: off]
    #[arg(long, value_name = "FILE", help_heading = "Logs")]
    pub(super) access_logfile: Option<String>,

    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Logs")]
    pub(super) log_level: Option<String>,

    /// The configuration file [default: corelane.toml in the current folder, where neither APP nor
    /// --static is given]
    #[arg(short, long, value_name = "FILE", help_heading = "Configuration")]
    pub(super) config: Option<String>,

    /// Check the configuration, say what is wrong, and start nothing
    #[arg(long, help_heading = "Configuration")]
    check_config: bool,
}

/// What the operator wants to be done with the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Serve.
    Serve,
    /// Say whether they are right, and end: `--check-config`.
    Check,
}

impl Arguments {
    /// Sorts the words of the command line; the first one is the program's name.
    ///
    /// # Errors
    /// An unknown flag or a flag without its value; and, as clap has it, a request for the help or
    /// the version. The error prints itself and knows its exit code: 2, or 0 for the latter.
    pub fn from_words(
        words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        Self::try_parse_from(words)
    }

    /// What is to be done.
    #[must_use]
    pub const fn task(&self) -> Task {
        if self.check_config { Task::Check } else { Task::Serve }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::from_words(["corelane"].iter().chain(words))
    }

    #[test]
    fn the_definition_has_no_contradiction() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_flag_keeps_its_text() {
        let typed = "-b a --bind b -w 2 --threads 3 -c d --chdir e --pythonpath f,g --venv h \
            --static /=i --static=/j=k --keep-alive 4 --graceful-timeout 5 --limit-request-body 6m \
            --limit-connections-per-client 7 --access-logfile - --log-level debug --io epoll \
            --socket-mode 600 --socket-owner n:o --proxy-protocol --forwarded-allow-ips p,q \
            --forwarded-host=off --listing --fallback /r --clean-urls=off --check-config l:m()";
        let arguments = parse(&typed.split_whitespace().collect::<Vec<_>>()).unwrap();
        assert_eq!(arguments.bind, ["a", "b"]);
        assert_eq!(arguments.statics, ["/=i", "/j=k"]);
        assert_eq!(arguments.task(), Task::Check);
        for (text, expected) in [
            (arguments.workers, "2"),
            (arguments.threads, "3"),
            (arguments.config, "d"),
            (arguments.chdir, "e"),
            (arguments.pythonpath, "f,g"),
            (arguments.venv, "h"),
            (arguments.keep_alive, "4"),
            (arguments.graceful_timeout, "5"),
            (arguments.limit_request_body, "6m"),
            (arguments.limit_connections_per_client, "7"),
            (arguments.access_logfile, "-"),
            (arguments.log_level, "debug"),
            (arguments.io, "epoll"),
            (arguments.socket_mode, "600"),
            (arguments.socket_owner, "n:o"),
            (arguments.proxy_protocol, "on"),
            (arguments.forwarded_allow_ips, "p,q"),
            (arguments.forwarded_host, "off"),
            (arguments.listing, "on"),
            (arguments.fallback, "/r"),
            (arguments.clean_urls, "off"),
            (arguments.app, "l:m()"),
        ] {
            assert_eq!(text.as_deref(), Some(expected));
        }
        assert_eq!(parse(&[]).unwrap().task(), Task::Serve);
    }

    #[test]
    fn the_version_names_corelane_and_its_python() {
        let error = parse(&["-V"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DisplayVersion);
        assert_eq!(error.exit_code(), 0);
        let expected = format!(
            "corelane {} (Python {})\n",
            env!("CARGO_PKG_VERSION"),
            env!("CORELANE_PYTHON_VERSION")
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_unknown_flag_is_a_mistake_with_the_nearest_right_one() {
        let error = parse(&["--thread", "4", "app"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(
            error.to_string(),
            "error: unexpected argument '--thread' found\n\n  tip: a similar argument exists: \
             '--threads'\n\nUsage: corelane --threads <N> [APP]\n\nFor more information, try \
             '--help'.\n"
        );
    }

    #[test]
    fn the_help_names_each_flag_and_keeps_to_100_columns() {
        let help = Arguments::command().render_help().to_string();
        for argument in Arguments::command().get_arguments() {
            let name = argument.get_long().map(|long| format!("--{long}"));
            let name = name.unwrap_or_else(|| "[APP]".to_owned());
            assert!(help.contains(&name), "{name}");
        }
        assert!(help.contains("Examples:") && help.contains("corelane app:app"));
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }
}
