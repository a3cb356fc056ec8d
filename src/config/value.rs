//! Single values as an operator types them: addresses, counts, durations, sizes, choices.
//!
//! Each function takes the text of one value and gives the value or a sentence `what: remedy`. It
//! does not know whether the text came from a flag, a variable or a file.

use crate::address::Network;
use crate::address::NetworkMistake;
use crate::address::Proxy;
use crate::config::binds::WrittenAddress;
use crate::config::settings::AccessLog;
use crate::config::settings::Io;
use crate::config::settings::Lanes;
use crate::config::settings::LogLevel;
use crate::config::suggestion;
use crate::limits::CONNECTIONS_PER_LANE_MAX;
use crate::limits::LANES_MAX;
use crate::limits::OPERATOR_BODY_BYTES_MAX;
use crate::limits::OPERATOR_TIME_MAX;
use crate::limits::PROXY_NETWORKS_MAX;
use crate::limits::PYTHON_THREADS_MAX;
use crate::static_files::Symlinks;
use crate::static_files::TrailingSlash;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// `host:port`, `[::]:port`, `:port` or `port`; the last two are every IPv4 address. `unix:PATH`,
/// where the path may be relative to `base`.
pub(super) fn bind(text: &str, base: &Path) -> Result<WrittenAddress, String> {
    match text.strip_prefix("unix:") {
        Some("") => {
            return Err(format!(
                "\"{text}\" has no path: write one, such as unix:/run/corelane.sock"
            ));
        }
        Some(path) if path.contains('\0') => {
            return Err("a NUL is in the path of the socket: remove it".to_owned());
        }
        Some(path) => return Ok(WrittenAddress::Unix(base.join(path))),
        None => {}
    }
    if text.starts_with("fd://") {
        return Err(format!(
            "\"{text}\": inherited descriptors are not supported yet: write host:port"
        ));
    }
    let (host, port_text) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, port),
        _ if is_digits(text) => ("", text),
        _ => return Err(format!("\"{text}\" has no port: write one, such as 127.0.0.1:8000")),
    };
    let port = port(port_text)?;
    let ip = match (host, host.strip_prefix('[').and_then(|host| host.strip_suffix(']'))) {
        ("", _) => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        ("localhost", _) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        (_, Some(inside)) => inside.parse().ok().map(IpAddr::V6),
        (host, None) if host.contains(':') => {
            return Err(format!("\"{text}\": an IPv6 address needs brackets: write [::]:8000"));
        }
        (host, None) => host.parse().ok().map(IpAddr::V4),
    };
    match ip {
        Some(ip) => Ok(WrittenAddress::Tcp(SocketAddr::new(ip, port))),
        None => Err(format!(
            "\"{host}\" is not an IP address: write one, such as 127.0.0.1:{port}, or \
             0.0.0.0:{port} for every interface"
        )),
    }
}

/// 0 to 65535. 0 lets the kernel choose.
pub(super) fn port(text: &str) -> Result<u16, String> {
    let number = if is_digits(text) { text.parse().ok() } else { None };
    number.ok_or_else(|| format!("\"{text}\" is not a port: write a number from 0 to 65535"))
}

/// The permissions of a file: three octal digits, with a 0 before them or not.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let digits = match text.len() {
        4 => text.strip_prefix('0').unwrap_or_default(),
        _ => text,
    };
    let mode = match digits.len() {
        3 if is_digits(digits) => u32::from_str_radix(digits, 8).ok(),
        _ => None,
    };
    mode.ok_or_else(|| {
        format!("\"{text}\" is no mode of a file: write three octal digits, such as 660")
    })
}

/// A proxy of ours: an address, a network, `unix` or `*`.
pub(super) fn proxy(text: &str) -> Result<Proxy, String> {
    match (text, text.parse::<Network>()) {
        ("unix", _) => Ok(Proxy::Unix),
        ("*", _) => Ok(Proxy::Anybody),
        (_, Ok(network)) => Ok(Proxy::Network(network)),
        (_, Err(NetworkMistake::BitsBehindPrefix(network))) => {
            let address = text.split('/').next().unwrap_or(text);
            Err(format!(
                "\"{text}\" is no network: write {network}, or {address} for this one address"
            ))
        }
        (_, Err(NetworkMistake::Malformed)) => Err(format!(
            "\"{text}\" is no address of a proxy: write one such as 127.0.0.1, a network such as \
             10.0.0.0/8, or unix"
        )),
    }
}

/// Checks how many there are.
pub(super) fn proxies(list: Vec<Proxy>) -> Result<Vec<Proxy>, String> {
    match list.len() {
        0..=PROXY_NETWORKS_MAX => Ok(list),
        count => Err(format!(
            "{count} addresses are too many: write at most {PROXY_NETWORKS_MAX}, or larger networks"
        )),
    }
}

/// `auto` or a count from 1 on.
pub(super) fn lanes(text: &str) -> Result<Lanes, String> {
    if text == "auto" {
        return Ok(Lanes::Auto);
    }
    match count(text) {
        Some(count @ 1..=LANES_MAX) => Ok(Lanes::Exactly(count)),
        _ => Err(format!(
            "\"{text}\" is not a number of lanes: write a number from 1 to {LANES_MAX}, or auto"
        )),
    }
}

/// 0 for calls on the I/O thread, or how many Python threads a lane may start.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    match count(text) {
        Some(count @ 0..=PYTHON_THREADS_MAX) => Ok(count),
        _ => Err(format!(
            "\"{text}\" is not a number of threads: write a number from 0 to {PYTHON_THREADS_MAX}"
        )),
    }
}

/// How long an unused connection is kept. At least a second: `0` means "off" to some servers and
/// "for ever" to others, so it is not accepted at all.
pub(super) fn keep_alive(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < Duration::from_secs(1) => {
            Err(format!("\"{text}\" is too short: write 1s or more"))
        }
        time => Ok(time),
    }
}

/// Seconds, or a time with units: `30`, `30s`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let time = match is_digits(text) {
        true => text.parse().ok().map(Duration::from_secs),
        false => humantime::parse_duration(text).ok(),
    };
    match time {
        Some(time) if time <= OPERATOR_TIME_MAX => Ok(time),
        Some(_) => Err(format!("\"{text}\" is too long: write 24h or less")),
        None => Err(format!(
            "\"{text}\" is not a duration: write seconds, or a time such as 30s or 1h30m"
        )),
    }
}

/// The most bytes of a request body: bytes, or a number with `k`, `m` or `g` (powers of 1024).
pub(super) fn body_bytes_max(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: Option<u64> = if is_digits(digits) { digits.parse().ok() } else { None };
    match number.map(|number| number.checked_mul(factor)) {
        Some(Some(0)) => {
            Err(format!("\"{text}\" would refuse every request body: write a size such as 10m"))
        }
        Some(Some(bytes)) if bytes <= OPERATOR_BODY_BYTES_MAX => Ok(bytes),
        Some(_) => Err(format!("\"{text}\" is too large: write 1024g or less")),
        None => Err(format!(
            "\"{text}\" is not a size: write bytes, or a number with k, m or g such as 10m"
        )),
    }
}

/// The most connections of one client to a lane; None for 0, which is no limit.
pub(super) fn connections_per_client_max(text: &str) -> Result<Option<usize>, String> {
    match count(text) {
        Some(0) => Ok(None),
        Some(count @ 1..=CONNECTIONS_PER_LANE_MAX) => Ok(Some(count)),
        _ => Err(format!(
            "\"{text}\" is not a number of connections: write a number from 1 to \
             {CONNECTIONS_PER_LANE_MAX}, or 0 for no limit"
        )),
    }
}

/// `-` for standard output, `off`, or a file, which may be relative to `base`.
pub(super) fn access_log(text: &str, base: &Path) -> AccessLog {
    match text {
        "-" => AccessLog::Stdout,
        "off" => AccessLog::Off,
        file => AccessLog::File(base.join(file)),
    }
}

/// How much the error log tells.
pub(super) fn log_level(text: &str) -> Result<LogLevel, String> {
    match text.to_ascii_lowercase().as_str() {
        "error" => Ok(LogLevel::Error),
        "warn" | "warning" => Ok(LogLevel::Warn), // gunicorn's name is the second one
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        "trace" => Ok(LogLevel::Trace),
        _ => Err(not_a_choice(text, "log level", &["error", "warn", "info", "debug", "trace"])),
    }
}

/// What the lanes ask the kernel with.
pub(super) fn io(text: &str) -> Result<Io, String> {
    match text {
        "auto" => Ok(Io::Auto),
        "uring" => Ok(Io::Uring),
        "epoll" => Ok(Io::Epoll),
        _ => Err(not_a_choice(text, "kind of I/O", &["auto", "uring", "epoll"])),
    }
}

/// `module`, `module:attribute` or `module:factory()`; names may have dots.
pub(super) fn app_target(text: &str) -> Result<String, String> {
    const FORMS: &str = "module, module:attribute or 'module:factory()'";
    let (module, attribute) = match text.split_once(':') {
        Some((module, attribute)) => (module, Some(attribute)),
        None => (text, None),
    };
    if let Some((folder, name)) = module.rsplit_once('/') {
        let name = name.strip_suffix(".py").unwrap_or(name);
        let folder = if folder.is_empty() { "/" } else { folder };
        let rest = attribute.map(|attribute| format!(":{attribute}")).unwrap_or_default();
        return Err(format!(
            "\"{text}\" is a path, not a module: write {name}{rest} and set chdir to {folder}"
        ));
    }
    if let Some(name) = module.strip_suffix(".py") {
        let rest = attribute.map(|attribute| format!(":{attribute}")).unwrap_or_default();
        return Err(format!("\"{text}\" names a file: write the module, {name}{rest}"));
    }
    if !is_dotted_name(module) {
        return Err(format!("\"{text}\" does not name an application: write {FORMS}"));
    }
    match attribute.map(|attribute| attribute.strip_suffix("()").unwrap_or(attribute)) {
        None => Ok(text.to_owned()),
        Some(name) if is_dotted_name(name) => Ok(text.to_owned()),
        Some(name) if name.split_once('(').is_some_and(|(name, _)| is_dotted_name(name)) => {
            Err(format!("\"{text}\": a factory is called without arguments: write {FORMS}"))
        }
        Some(_) => Err(format!("\"{text}\" does not name an application: write {FORMS}")),
    }
}

/// Names as Python joins them with dots. Python allows letters of all scripts (PEP 3131).
fn is_dotted_name(text: &str) -> bool {
    text.split('.').all(|name| {
        name.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
    })
}

/// What becomes of the slash at the end of a page's address.
pub(super) fn trailing_slash(text: &str) -> Result<TrailingSlash, String> {
    match text {
        "folders" => Ok(TrailingSlash::Folders),
        "add" => Ok(TrailingSlash::Add),
        "remove" => Ok(TrailingSlash::Remove),
        "keep" => Ok(TrailingSlash::Keep),
        _ => Err(not_a_choice(text, "policy for slashes", &["folders", "add", "remove", "keep"])),
    }
}

/// Which symbolic links are followed.
pub(super) fn symlinks(text: &str) -> Result<Symlinks, String> {
    match text {
        "beneath" => Ok(Symlinks::Beneath),
        "deny" => Ok(Symlinks::Refused),
        "follow" => Ok(Symlinks::Followed),
        _ => Err(not_a_choice(text, "policy for links", &["beneath", "deny", "follow"])),
    }
}

/// A token (RFC 9110 section 5.6.2): names of fields and methods, halves of a media type.
pub(super) fn is_token(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain)
}

/// A header value that is plain text (RFC 9110 section 5.5, without obs-text and tab).
pub(super) fn field_value(text: &str) -> Result<String, String> {
    let value = text.trim_matches(' ');
    if value.is_empty() {
        return Err("is empty: write a value such as \"max-age=3600\", or remove it".to_owned());
    }
    match value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => Ok(value.to_owned()),
        false => Err(format!("{text:?} is not one line of plain ASCII: remove the rest")),
    }
}

/// Rust's own parsers take a leading `+` as well; nobody means that.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn count(text: &str) -> Option<usize> {
    if is_digits(text) { text.parse().ok() } else { None }
}

fn not_a_choice(text: &str, what: &str, known: &[&str]) -> String {
    let remedy = suggestion::remedy(text, "the choices", known);
    format!("\"{text}\" is not a {what}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Result<WrittenAddress, String> {
        Ok(WrittenAddress::Tcp(text.parse().unwrap()))
    }

    fn bind(text: &str) -> Result<WrittenAddress, String> {
        super::bind(text, Path::new("/srv"))
    }

    #[test]
    fn addresses() {
        assert_eq!(bind("127.0.0.1:8000"), tcp("127.0.0.1:8000"));
        assert_eq!(bind("[::]:80"), tcp("[::]:80"));
        assert_eq!(bind("[::1]:0"), tcp("[::1]:0"));
        assert_eq!(bind("localhost:8000"), tcp("127.0.0.1:8000"));
        assert_eq!(bind(":8000"), tcp("0.0.0.0:8000"));
        assert_eq!(bind("8000"), tcp("0.0.0.0:8000"));
        assert_eq!(bind("unix:/run/a.sock"), Ok(WrittenAddress::Unix("/run/a.sock".into())));
        assert_eq!(bind("unix:a.sock"), Ok(WrittenAddress::Unix("/srv/a.sock".into())));
    }

    #[test]
    fn wrong_addresses() {
        for (text, expected) in [
            ("", "\"\" has no port: write one, such as 127.0.0.1:8000"),
            ("127.0.0.1", "\"127.0.0.1\" has no port: write one, such as 127.0.0.1:8000"),
            ("[::]", "\"[::]\" has no port: write one, such as 127.0.0.1:8000"),
            ("127.0.0.1:", "\"\" is not a port: write a number from 0 to 65535"),
            (":65536", "\"65536\" is not a port: write a number from 0 to 65535"),
            ("65536", "\"65536\" is not a port: write a number from 0 to 65535"),
            (":+80", "\"+80\" is not a port: write a number from 0 to 65535"),
            (":http", "\"http\" is not a port: write a number from 0 to 65535"),
            (
                "example.com:80",
                "\"example.com\" is not an IP address: write one, such as 127.0.0.1:80, or \
                 0.0.0.0:80 for every interface",
            ),
            (
                "[127.0.0.1]:80",
                "\"[127.0.0.1]\" is not an IP address: write one, such as 127.0.0.1:80, or \
                 0.0.0.0:80 for every interface",
            ),
            ("::1:80", "\"::1:80\": an IPv6 address needs brackets: write [::]:8000"),
            ("unix:", "\"unix:\" has no path: write one, such as unix:/run/corelane.sock"),
            ("unix:a\0b", "a NUL is in the path of the socket: remove it"),
            ("fd://3", "\"fd://3\": inherited descriptors are not supported yet: write host:port"),
        ] {
            assert_eq!(bind(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn modes() {
        for (text, expected) in [("660", 0o660), ("0777", 0o777), ("000", 0)] {
            assert_eq!(mode(text), Ok(expected));
        }
        for text in ["", "66", "1777", "00660", "678", "-66", "+660", "0o660", "rw-", "66\u{e9}"] {
            let expected =
                format!("\"{text}\" is no mode of a file: write three octal digits, such as 660");
            assert_eq!(mode(text), Err(expected));
        }
    }

    #[test]
    fn proxies_are_addresses_networks_and_two_words() {
        assert_eq!(proxy("unix"), Ok(Proxy::Unix));
        assert_eq!(proxy("*"), Ok(Proxy::Anybody));
        assert_eq!(proxy("10.0.0.0/8"), Ok(Proxy::Network("10.0.0.0/8".parse().unwrap())));
        assert_eq!(
            proxy("10.0.0.1/8"),
            Err("\"10.0.0.1/8\" is no network: write 10.0.0.0/8, or 10.0.0.1 for this one address"
                .to_owned())
        );
        for text in ["", "localhost", "127.0.0.1:80", "unix:", "unix:/run/a", "10.0.0.0/33"] {
            let expected = format!(
                "\"{text}\" is no address of a proxy: write one such as 127.0.0.1, a network such \
                 as 10.0.0.0/8, or unix"
            );
            assert_eq!(proxy(text), Err(expected));
        }
        let many = |count| proxies(vec![Proxy::Unix; count]);
        assert_eq!(many(PROXY_NETWORKS_MAX).map(|list| list.len()), Ok(PROXY_NETWORKS_MAX));
        assert_eq!(
            many(PROXY_NETWORKS_MAX + 1),
            Err("1025 addresses are too many: write at most 1024, or larger networks".to_owned())
        );
    }

    #[test]
    fn counts() {
        assert_eq!(lanes("auto"), Ok(Lanes::Auto));
        assert_eq!(lanes("1"), Ok(Lanes::Exactly(1)));
        assert_eq!(lanes("256"), Ok(Lanes::Exactly(LANES_MAX)));
        for text in ["0", "257", "-1", "+1", "two", "", "99999999999999999999"] {
            let expected = format!(
                "\"{text}\" is not a number of lanes: write a number from 1 to 256, or auto"
            );
            assert_eq!(lanes(text), Err(expected));
        }
        assert_eq!(threads("0"), Ok(0));
        assert_eq!(threads("512"), Ok(PYTHON_THREADS_MAX));
        for text in ["513", "-1", "auto", ""] {
            let expected =
                format!("\"{text}\" is not a number of threads: write a number from 0 to 512");
            assert_eq!(threads(text), Err(expected));
        }
        assert_eq!(connections_per_client_max("0"), Ok(None));
        assert_eq!(connections_per_client_max("1"), Ok(Some(1)));
        assert_eq!(connections_per_client_max("65536"), Ok(Some(CONNECTIONS_PER_LANE_MAX)));
        for text in ["65537", "-1", "off", ""] {
            let expected = format!(
                "\"{text}\" is not a number of connections: write a number from 1 to 65536, or 0 \
                 for no limit"
            );
            assert_eq!(connections_per_client_max(text), Err(expected));
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("30", 30), ("0", 0), ("30s", 30), ("1h30m", 5400), ("2min", 120)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("24h"), Ok(OPERATOR_TIME_MAX));
        assert_eq!(duration("86400"), Ok(OPERATOR_TIME_MAX));
        for text in ["86401", "2days", "18446744073709551615"] {
            assert_eq!(
                duration(text),
                Err(format!("\"{text}\" is too long: write 24h or less")),
                "{text}"
            );
        }
        for text in ["", "30q", "-1", "+5", "s", "99999999999999999999", "forever"] {
            let expected = format!(
                "\"{text}\" is not a duration: write seconds, or a time such as 30s or 1h30m"
            );
            assert_eq!(duration(text), Err(expected));
        }
        assert_eq!(keep_alive("1"), Ok(Duration::from_secs(1)));
        assert_eq!(keep_alive("0"), Err("\"0\" is too short: write 1s or more".to_owned()));
        assert_eq!(keep_alive("10ms"), Err("\"10ms\" is too short: write 1s or more".to_owned()));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("1048576", 1 << 20),
            ("64k", 64 << 10),
            ("10m", 10 << 20),
            ("10M", 10 << 20),
            ("2g", 2 << 30),
            ("1024g", OPERATOR_BODY_BYTES_MAX),
        ] {
            assert_eq!(body_bytes_max(text), Ok(bytes), "{text}");
        }
        for text in ["1025g", "99999999999999999g", "1099511627777"] {
            let expected = format!("\"{text}\" is too large: write 1024g or less");
            assert_eq!(body_bytes_max(text), Err(expected));
        }
        for text in ["0", "0m"] {
            let expected =
                format!("\"{text}\" would refuse every request body: write a size such as 10m");
            assert_eq!(body_bytes_max(text), Err(expected));
        }
        for text in ["", "m", "10mb", "1.5m", "-1", "+1", "10 m", "10ü"] {
            let expected = format!(
                "\"{text}\" is not a size: write bytes, or a number with k, m or g such as 10m"
            );
            assert_eq!(body_bytes_max(text), Err(expected));
        }
    }

    #[test]
    fn choices() {
        assert_eq!(log_level("info"), Ok(LogLevel::Info));
        assert_eq!(log_level("WARNING"), Ok(LogLevel::Warn));
        assert_eq!(
            log_level("debgu"),
            Err("\"debgu\" is not a log level: did you mean \"debug\"?".to_owned())
        );
        assert_eq!(io("epoll"), Ok(Io::Epoll));
        assert_eq!(
            io("kqueue"),
            Err("\"kqueue\" is not a kind of I/O: the choices are auto, uring, epoll".to_owned())
        );
        assert_eq!(access_log("-", Path::new("/srv")), AccessLog::Stdout);
        assert_eq!(access_log("off", Path::new("/srv")), AccessLog::Off);
        assert_eq!(access_log("a.log", Path::new("/srv")), AccessLog::File("/srv/a.log".into()));
        assert_eq!(access_log("/a.log", Path::new("/srv")), AccessLog::File("/a.log".into()));
    }

    #[test]
    fn applications() {
        for text in ["app", "app:app", "a.b_1:c.d", "flaskr:create_app()", "_x:y()", "café:app"] {
            assert_eq!(app_target(text), Ok(text.to_owned()));
        }
        for (text, expected) in [
            ("app.py", "\"app.py\" names a file: write the module, app"),
            (
                "app.py:application",
                "\"app.py:application\" names a file: write the module, app:application",
            ),
            (
                "shop/app.py:app",
                "\"shop/app.py:app\" is a path, not a module: write app:app and set chdir to shop",
            ),
            ("./app", "\"./app\" is a path, not a module: write app and set chdir to ."),
            (
                "a:create_app('x')",
                "\"a:create_app('x')\": a factory is called without arguments: write module, \
                 module:attribute or 'module:factory()'",
            ),
        ] {
            assert_eq!(app_target(text), Err(expected.to_owned()), "{text}");
        }
        for text in ["", ":app", "app:", "1app", "a..b", "a b", "app:1", "app:()", "a:b:c", "a-b"] {
            let expected = format!(
                "\"{text}\" does not name an application: write module, module:attribute or \
                 'module:factory()'"
            );
            assert_eq!(app_target(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn header_values() {
        let good = "public, max-age=31536000, immutable";
        assert_eq!(field_value(good), Ok(good.to_owned()));
        for (text, expected) in [
            ("", "is empty: write a value such as \"max-age=3600\", or remove it"),
            ("  ", "is empty: write a value such as \"max-age=3600\", or remove it"),
            ("a\r\nb: c", "\"a\\r\\nb: c\" is not one line of plain ASCII: remove the rest"),
            ("é", "\"é\" is not one line of plain ASCII: remove the rest"),
            ("a\u{7f}", "\"a\\u{7f}\" is not one line of plain ASCII: remove the rest"),
        ] {
            assert_eq!(field_value(text), Err(expected.to_owned()), "{text:?}");
        }
    }
}
