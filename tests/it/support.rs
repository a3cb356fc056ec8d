//! A server in a child process, and a client that shows every byte.

use std::collections::HashSet;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;

/// Long enough for a loaded machine; reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub const CORELANE: &str = env!("CARGO_BIN_EXE_corelane");

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the WSGI applications that tests serve.
pub fn apps() -> PathBuf {
    repository().join("tests/apps")
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Log {
    /// Also after a failed assertion elsewhere, so that the log can still be shown.
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Starts corelane on a free port with these arguments and waits until it listens.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, |command| command)
    }

    /// As `start`, with a say in the environment and the folder.
    pub fn start_with(
        arguments: &[&str],
        adjust: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let mut command = corelane();
        command.args(["--bind", "127.0.0.1:0"]).args(arguments);
        adjust(&mut command);
        Self::launch(command)
    }

    /// Starts exactly this command and waits until it listens.
    pub fn launch(mut command: Command) -> Self {
        let mut child = command.spawn().expect("corelane starts");
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().expect("stderr is piped");
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                writer.lines().push(line);
                writer.grown.notify_all();
            }
            writer.lines().push("(end of log)".to_owned());
            writer.grown.notify_all();
        });
        let mut server = Self { child, address: ([0, 0, 0, 0], 0).into(), log };
        let line = server.wait_for_log("listening on http://");
        let address = line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
        server.address = address.parse().expect("an address");
        server
    }

    /// Waits for a log line with this text and gives it.
    pub fn wait_for_log(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let ended = lines.last().is_some_and(|line| line == "(end of log)");
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!ended && !left.is_zero(), "no {text:?} in the log:\n{}", lines.join("\n"));
            lines = self.log.grown.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lines().join("\n")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).expect("the server is there");
    }

    /// Leaves the server room for so many more descriptors than it has now.
    pub fn limit_descriptors(&self, more: usize) {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let number = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().file_name().to_str().unwrap().parse::<u64>().unwrap()
        };
        let open: HashSet<u64> = folder.map(number).collect();
        // The limit is on their numbers, and some below the highest may be free.
        let limit = (0..).filter(|number| !open.contains(number)).nth(more);
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        let limit = Rlimit { current: limit, maximum: limit };
        rustix::process::prlimit(pid, Resource::Nofile, limit).expect("a lower limit");
    }

    /// CPU time of the process so far, of all its threads.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // proc(5): fields 14 and 15, in ticks of 10 ms; the second field may hold blanks.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        Duration::from_millis(10 * fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>())
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.connect().get(path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the server:\n{}", self.log());
        }
    }
}

/// The program with a clean environment for settings.
pub fn corelane() -> Command {
    let mut command = Command::new(CORELANE);
    for (name, _) in std::env::vars() {
        let setting = name.starts_with("CORELANE_");
        if setting || ["PORT", "WEB_CONCURRENCY", "VIRTUAL_ENV", "PYTHONPATH"].contains(&&*name) {
            command.env_remove(name);
        }
    }
    command.current_dir(repository().join("tests"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A connection, byte by byte.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// One response, taken apart the slow and obvious way.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().find(same).map(|(_, value)| value.as_str())
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks again and again until the answer is such, and gives it.
pub fn until(mut ask: impl FnMut() -> Response, is_such: impl Fn(&Response) -> bool) -> Response {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let response = ask();
        if is_such(&response) {
            return response;
        }
        assert!(Instant::now() < deadline, "it stays {response:?}");
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("connects")
    }

    /// None when nobody listens.
    pub fn try_connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Some(Self { stream, received: Vec::new() })
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the server takes the bytes");
        self
    }

    /// Sends as far as the server takes it: it may have closed already.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub fn end_sending(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).expect("still connected");
        self
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).response()
    }

    pub fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
        let length = if body.is_empty() && method != "POST" {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{length}{headers}\r\n"));
        self.send(body);
        if method == "HEAD" { self.head_response() } else { self.response() }
    }

    /// Reads one response with its body.
    pub fn response(&mut self) -> Response {
        let mut response = self.head_response();
        if matches!(response.status, 100..200 | 204 | 304) {
            return response;
        }
        let chunked = response.header("transfer-encoding") == Some("chunked");
        let length = response.header("content-length").map(|text| text.parse().unwrap());
        response.body = match (chunked, length) {
            (true, Some(_)) => panic!("both framings: {response:?}"),
            (true, None) => self.chunks(),
            (false, Some(length)) => self.take(length),
            (false, None) => self.rest(),
        };
        response
    }

    /// Reads the head of a response and leaves its body.
    pub fn head_response(&mut self) -> Response {
        let head = String::from_utf8(self.take_until(b"\r\n\r\n")).expect("a head is text");
        let mut lines = head.trim_end().split("\r\n");
        let mut status_line = lines.next().unwrap().splitn(3, ' ');
        assert_eq!(status_line.next(), Some("HTTP/1.1"), "{head}");
        let status = status_line.next().unwrap().parse().expect("a status");
        let reason = status_line.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_owned(), value.to_owned())
        };
        Response { status, reason, headers: lines.map(field).collect(), body: Vec::new() }
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.take_until(b"\r\n")).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk size");
            body.extend(self.take(size));
            assert_eq!(self.take(2), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    /// Exactly so many bytes.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.receive(), "the connection ended after {:?}", self.lossy());
        }
        self.received.drain(..count).collect()
    }

    pub fn take_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let found = self.received.windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                return self.received.drain(..at + end.len()).collect();
            }
            assert!(self.receive(), "the connection ended after {:?}", self.lossy());
        }
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.received)
    }

    /// Asserts that the server has closed and sent nothing more.
    pub fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Receives once; false at the end of the connection. A reset is an end.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error} after {:?}", self.lossy()),
        }
    }

    fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// A folder that serves as a site.
pub struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub fn new(files: &[(&str, &[u8])]) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        for (path, bytes) in files {
            site.write(path, bytes);
        }
        site
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A server with one lane, by a configuration file in this folder.
    pub fn serve(&self, config: &str) -> Server {
        self.write("corelane.toml", config.as_bytes());
        let path = self.path().join("corelane.toml");
        Server::start(&["--workers", "1", "-c", path.to_str().unwrap()])
    }

    /// The value of `--static` that serves this folder at a prefix.
    pub fn at(&self, prefix: &str) -> String {
        format!("{prefix}={}", self.path().display())
    }
}

/// Bytes that differ at every place, so that a shift or a mix-up shows.
pub fn pattern(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..bytes).map(|_| next()).collect()
}

/// An application in one file that marks what it does: in the file that CORELANE_TEST_MARKS names.
pub struct Marks {
    folder: Site,
}

impl Marks {
    /// `app` is the source of a module with an `app`.
    pub fn new(app: &str) -> Self {
        Self { folder: Site::new(&[("marking.py", app.as_bytes())]) }
    }

    /// A server with one lane for it.
    pub fn serve(&self, arguments: &[&str], temporary: &str) -> Server {
        let chdir = self.folder.path().to_str().unwrap();
        let fixed = ["--workers", "1", "--chdir", chdir];
        Server::start_with(&[&fixed[..], arguments, &["marking:app"]].concat(), |command| {
            command.env("CORELANE_TEST_MARKS", self.path("marks")).env("TMPDIR", temporary)
        })
    }

    /// A file beside the application.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self) -> String {
        std::fs::read_to_string(self.path("marks")).unwrap_or_default()
    }

    /// Waits until the marks are such, and gives them.
    pub fn wait_for(&self, is_enough: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if is_enough(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "the marks are {text:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }
}
