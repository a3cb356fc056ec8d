//! The Python room from outside: small WSGI applications, called through gateways of two lanes.
//!
//! Python starts once in a process, so this is one test with many chapters. Each chapter states
//! what PEP 3333 or the room's own contract promises. The applications live in `APPS` below.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it saw"
)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use corelane::limits;
use corelane::python::AppSpec;
use corelane::python::Busy;
use corelane::python::Gateway;
use corelane::python::Place;
use corelane::python::PythonFault;
use corelane::python::Reply;
use corelane::python::RequestBody;
use corelane::python::Runtime;
use corelane::python::WsgiRequest;
use corelane::response::Head;
use corelane::response::head::ConnectionField;
use corelane::response::head::Delimitation;
use corelane::response::stream::End;
use std::collections::HashMap;
use std::fs;
use std::future::Future;
use std::io;
use std::io::Seek;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

const APPS: &str = r##"
import atexit, io, json, os, sys, threading, time
from wsgiref.validate import validator

STATE = {"closed": {}, "kept": None}
GATE = threading.Event()
HERE = os.path.dirname(os.path.abspath(__file__))

def at_exit(name=f"exit-{threading.current_thread().name}"):
    with open(os.path.join(HERE, "exits"), "a") as out:
        out.write("exit\n")
    print("flushed at the end")

atexit.register(at_exit)

class Closing:
    """An iterable that counts its close()s under a name."""
    def __init__(self, name, pieces):
        self.name, self.pieces = name, iter(pieces)
        STATE["closed"].setdefault(name, 0)
    def __iter__(self):
        return self
    def __next__(self):
        return next(self.pieces)
    def close(self):
        STATE["closed"][self.name] += 1

class One(Closing):
    def __len__(self):
        return 1

PLAIN = [("Content-Type", "text/plain")]

def hello(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"hello"]

def many(environ, start_response):
    start_response("200 Fine", PLAIN)
    return (b"a", b"", b"bc", b"d")

def empty(environ, start_response):
    start_response("204 No Content", [])
    return []

def late(environ, start_response):
    yield b""
    start_response("202 Accepted", PLAIN)
    yield b""
    yield b"late"

def one(environ, start_response):
    start_response("200 OK", PLAIN)
    return One("one", [b"single"])

def write(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"written ")
    write(b"twice ")
    return [b"and returned"]

def write_wrong(environ, start_response):
    start_response("200 OK", PLAIN)("text")
    return []

def write_much(environ, start_response):
    write = start_response("200 OK", PLAIN)
    for at in range(40):
        write(bytes([at]) * 50_000)
    return [b"end"]

def write_over(environ, start_response):
    GATE.clear()
    write = start_response("200 OK", [("Content-Length", "4")])
    write(b"1234")
    GATE.wait(30)  # until the client has gone, which has all that it was promised
    write(b"")
    try:
        write(b"5")
    except Exception as error:
        STATE["write_over"] = type(error).__name__
    return []

def write_no_body(environ, start_response):
    GATE.clear()
    write = start_response(environ["QUERY_STRING"], PLAIN)
    write(b"first")
    GATE.wait(30)
    try:
        write(b"second")
        STATE["write_no_body"] = environ["REQUEST_METHOD"] + environ["QUERY_STRING"]
    except Exception as error:
        STATE["write_no_body"] = repr(error)
    return [b"third"]

def write_endless(environ, start_response):
    write = start_response("200 OK", PLAIN)
    try:
        while True:
            write(b"w" * 65536)
    except BaseException as error:
        STATE["write_ended"] = type(error).__name__
        raise

def exc_info_before(environ, start_response):
    start_response("200 OK", PLAIN)
    try:
        raise ValueError("before")
    except ValueError:
        start_response("500 Oops", PLAIN, sys.exc_info())
    return [b"replaced"]

def exc_info_after(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"first"
    try:
        raise ValueError("after")
    except ValueError:
        try:
            start_response("500 Oops", PLAIN, sys.exc_info())
        except ValueError as error:
            STATE["again"] = str(error)
            raise
    yield b"never"

def twice(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("200 OK", PLAIN)
    return [b"never"]

def dump(environ, start_response):
    shown = {}
    for key, value in environ.items():
        shown[key] = value if isinstance(value, (str, bool, int)) else str(type(value).__name__)
    shown["thread"] = threading.current_thread().name
    shown["daemon"] = threading.current_thread().daemon
    shown["path_bytes"] = list(environ["PATH_INFO"].encode("latin-1"))
    shown["executable"] = sys.executable
    body = json.dumps(shown).encode()
    start_response("200 OK", PLAIN)
    return [body]

def body(environ, start_response):
    stream = environ["wsgi.input"]
    parts = [stream.read(3), stream.readline(), stream.readline(2)]
    parts += [next(iter(stream)), b"|".join(stream.readlines()), stream.read(), stream.read(5)]
    start_response("200 OK", PLAIN)
    return [repr(parts).encode()]

def body_sum(environ, start_response):
    data = environ["wsgi.input"].read()
    start_response("200 OK", PLAIN)
    return [f"{len(data)} {sum(data)} {environ.get('CONTENT_LENGTH')} {environ.get('HTTP_TRANSFER_ENCODING')}".encode()]

def forges(environ, start_response):
    text = "x\r\x0b\x1b[2J\x9b\n2026-11-21T00:00:00.000000Z ERROR corelane: forged"
    environ["wsgi.errors"].write("heard " + text.replace("\n", "") + "\n")
    raise KeyError(Told(text))

class Told(str):
    def __repr__(self):
        return str(self)

def raises(environ, start_response):
    raise KeyError("boom")

def exits(environ, start_response):
    sys.exit(3)

def interrupts(environ, start_response):
    raise KeyboardInterrupt

def memory(environ, start_response):
    raise MemoryError

def recurses(environ, start_response):
    return recurses(environ, start_response)

def raises_midway(environ, start_response):
    start_response("200 OK", PLAIN)
    def pieces():
        yield b"first"
        raise OSError("midway")
    return Closing("midway", pieces())

def raises_first(environ, start_response):
    start_response("200 OK", PLAIN)
    def pieces():
        raise OSError("at once")
        yield
    return Closing("first", pieces())

def raises_close(environ, start_response):
    class Bad(Closing):
        def close(self):
            super().close()
            raise OSError("close")
    start_response("200 OK", PLAIN)
    return Bad("bad", [b"fine"])

def returns_none(environ, start_response):
    start_response("200 OK", PLAIN)

def returns_text(environ, start_response):
    start_response("200 OK", PLAIN)
    return ["text"]

def returns_bytes(environ, start_response):
    start_response("200 OK", PLAIN)
    return b"bytes"

def never_starts(environ, start_response):
    return [b"body"]

def never_starts_empty(environ, start_response):
    return []

def yields_unstarted(environ, start_response):
    yield b"body"

BAD = {
    "status": ("200OK", PLAIN), "status_type": (200, PLAIN), "status_bytes": (b"200 OK", PLAIN),
    "status_wide": ("200 \u20ac", PLAIN), "newline": ("200 OK", [("X", "a\r\nY: b")]),
    "name": ("200 OK", [("a b", "c")]), "value_type": ("200 OK", [("X", 1)]),
    "value_wide": ("200 OK", [("X", "\u20ac")]), "pair": ("200 OK", [("X",)]),
    "triple": ("200 OK", [("X", "y", "z")]), "hop": ("200 OK", [("Connection", "close")]),
    "dict": ("200 OK", {"X": "y"}), "none": ("200 OK", None),
    "interim": ("100 Continue", PLAIN), "hints": ("103 Early Hints", PLAIN),
}

def bad(environ, start_response):
    status, headers = BAD[environ["QUERY_STRING"]]
    start_response(status, headers)
    return [b"never"]

def arguments(environ, start_response):
    start_response("200 OK")
    return [b"never"]

def keeps(environ, start_response):
    STATE["kept"] = start_response
    STATE["kept_write"] = start_response("200 OK", PLAIN)
    return [b"kept"]

def uses_kept(environ, start_response):
    seen = []
    for call in (lambda: STATE["kept"]("200 OK", []), lambda: STATE["kept_write"](b"x")):
        try:
            call()
        except RuntimeError as error:
            seen.append(str(error))
    start_response("200 OK", PLAIN)
    return [str(len(seen)).encode()]

def length_short(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    return iter([b"1234"])

def short_list(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return [b"123"]

def length_over(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return Closing("over", [b"12", b"3456", b"78", b"9"])

def length_exact(environ, start_response):
    def pieces():
        yield b"1234"
        STATE["after_last"] = True
    start_response("200 OK", [("Content-Length", "4")])
    return Closing("exact", pieces())

def head(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    return []

def stream(environ, start_response):
    STATE["made"] = 0
    start_response("200 OK", PLAIN)
    def pieces():
        for at in range(200):
            STATE["made"] += 1
            yield bytes([at]) * 65536
    return Closing("stream", pieces())

def endless(environ, start_response):
    start_response("200 OK", PLAIN)
    def pieces():
        while True:
            yield b"more" * 4096
    return Closing("endless", pieces())

def large(environ, start_response):
    start_response("200 OK", PLAIN)
    return [bytes(range(250)) * 4000]

def waits(environ, start_response):
    GATE.wait(30)
    start_response("200 OK", PLAIN)
    return [threading.current_thread().name.encode()]

def opens(environ, start_response):
    GATE.set()
    start_response("200 OK", PLAIN)
    return [b"open"]

def errors(environ, start_response):
    print("through", "wsgi.errors", file=environ["wsgi.errors"])
    environ["wsgi.errors"].write("half ")
    environ["wsgi.errors"].writelines(["line\n", "rest \udc80"])
    environ["wsgi.errors"].flush()
    environ["wsgi.errors"].close()
    environ["wsgi.errors"].write("U" * 40_000 + "\n")
    start_response("200 OK", PLAIN)
    return [b"logged"]

def background(environ, start_response):
    started = threading.Thread(target=lambda: None)
    started.start()
    started.join()
    start_response("200 OK", PLAIN)
    return [str(started.daemon).encode()]

def file_wrapper(environ, start_response):
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"from a file"), 4)

def callables(environ, start_response):
    import gc
    kind = type(start_response)
    alike = [it for it in gc.get_objects() if type(it) is kind and it.__name__ == "start_response"]
    start_response("200 OK", PLAIN)
    return [str(len(alike)).encode()]

def state(environ, start_response):
    start_response("200 OK", PLAIN)
    shown = {key: value for key, value in STATE.items() if not key.startswith("kept")}
    return [json.dumps(shown).encode()]

@validator
def validated(environ, start_response):
    data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.errors"].write("validated\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"valid ", data]

def application(environ, start_response):
    name = environ["PATH_INFO"].split("/")[1]
    return globals()[name](environ, start_response)

def create_app(greeting="hi", *, count=1):
    def built(environ, start_response):
        start_response("200 OK", PLAIN)
        return [(greeting * count).encode()]
    return built

class Holder:
    inner = staticmethod(hello)

not_callable = 7
"##;

/// Answers to one request, and how many receives it took.
#[derive(Debug)]
struct Answer {
    head: Option<Head>,
    body: Vec<u8>,
    end: End,
    receives: usize,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head.as_ref().map_or(0, Head::status)
    }

    fn content_length(&self) -> Option<u64> {
        self.head.as_ref().and_then(Head::content_length)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn encoded(&self) -> String {
        let mut out = Vec::new();
        let head = self.head.as_ref().unwrap();
        head.encode(&mut out, b"", Delimitation::None, ConnectionField::Implied);
        String::from_utf8(out).unwrap()
    }
}

struct Client<'g> {
    gateway: &'g Gateway,
}

impl Client<'_> {
    fn call(&self, head: &str, body: RequestBody) -> Result<Reply, Busy> {
        let head = format!("{head}\r\n\r\n").into_bytes();
        let peer = "[::ffff:192.0.2.7]:4711".parse().unwrap();
        let local = "192.0.2.1:8000".parse().unwrap();
        self.gateway.call(WsgiRequest {
            head,
            path: None,
            user: None,
            script_name_bytes: 0,
            peer,
            local,
            body,
        })
    }

    fn begin(&self, target: &str) -> Reply {
        let head = format!("GET {target} HTTP/1.1\r\nHost: example.com");
        self.call(&head, RequestBody::Empty).unwrap()
    }

    async fn send(&self, head: &str, body: RequestBody) -> Answer {
        receive_all(self.call(head, body).unwrap()).await
    }

    async fn fetch(&self, target: &str) -> Answer {
        receive_all(self.begin(target)).await
    }

    /// Asks until `STATE` is as expected: `close()` may run after the answer has been received.
    async fn await_state(&self, what: &str, expected: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.fetch("/state").await;
            if expected(answer.text()) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {}", answer.text());
            tokio::task::yield_now().await;
        }
    }

    async fn await_closed(&self, name: &str) {
        self.await_state(name, |state| state.contains(&format!("\"{name}\": 1"))).await;
    }
}

async fn receive_all(mut reply: Reply) -> Answer {
    let mut answer = Answer { head: None, body: Vec::new(), end: End::More, receives: 0 };
    let mut buffer = Vec::new();
    while answer.end == End::More {
        buffer.clear();
        let received = reply.receive(&mut buffer).await;
        assert!(buffer.len() <= limits::INLINE_WRITE_BYTES_MAX);
        assert!(answer.head.is_none() || received.head.is_none(), "one head");
        answer.head = answer.head.or(received.head);
        answer.end = received.end;
        answer.body.extend_from_slice(&buffer);
        answer.receives += 1;
    }
    answer
}

#[test]
fn python_room() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("apps.py"), APPS).unwrap();
    fs::write(folder.path().join("broken.py"), "import not_there_at_all\n").unwrap();
    fs::write(folder.path().join("wrong.py"), "def application(:\n").unwrap();
    fs::write(folder.path().join("nothing.py"), "x = 1\n").unwrap();
    fs::write(folder.path().join("quits.py"), "raise SystemExit(4)\n").unwrap();
    fs::write(
        folder.path().join("refuses.py"),
        "try:\n raise ImportError('module x does not support loading in subinterpreters')\n\
         except ImportError as e:\n raise RuntimeError('wrapped') from e\n",
    )
    .unwrap();

    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let runtime = Runtime::start().unwrap();
    assert!(matches!(Runtime::start(), Err(PythonFault::Runtime { .. })));
    assert!(Runtime::version().starts_with("3."), "{}", Runtime::version());

    refused_starts(&runtime, folder.path());
    virtual_environments(&runtime, folder.path());
    targets(&runtime, folder.path());

    // Two lanes at the same time, then one inline.
    thread::scope(|scope| {
        for lane in 0..2 {
            let (runtime, folder) = (&runtime, folder.path());
            scope.spawn(move || on_a_lane(|| companion_lane(runtime, folder, lane)));
        }
    });
    let inline = || inline_lane(&runtime, folder.path());
    let lane = || on_a_lane(inline);
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(limits::PYTHON_STACK_BYTES);
        builder.spawn_scoped(scope, lane).unwrap();
    });
    hanging_exit_handler(&runtime, folder.path());
    let exits = fs::read_to_string(folder.path().join("exits")).unwrap();
    assert_eq!(exits, "exit\n".repeat(3), "each stopped interpreter ran its exit handlers once");
    log.check();
}

/// The error log, kept in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Each of three lanes has logged each fault, with what the developer needs.
    fn check(&self) {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let expected = [
            "GET /raises: the application failed\n  Traceback (most recent call last):\n",
            "GET /short_list: the application gave 1 bytes less than Content-Length",
            "raise KeyError(\"boom\")\n  KeyError: 'boom'",
            "SystemExit: 3",
            "KeyboardInterrupt",
            "MemoryError",
            "RecursionError: ",
            "OSError: midway",
            "OSError: at once",
            "OSError: close",
            "ValueError: after",
            "TypeError: the application returned NoneType, not an iterable of bytes",
            "TypeError: the application returned bytes, not an iterable of bytes",
            "TypeError: the application gave str, not bytes",
            "RuntimeError: start_response() was called a second time without exc_info",
            "RuntimeError: start_response() was not called before the first piece of the body",
            "it never called start_response()",
            "TypeError: write() takes bytes, not str",
            "the application gave 6 bytes less than Content-Length",
            "TypeError: the status must be a str of latin-1, not int",
            "TypeError: the headers must be a list, not dict",
            "TypeError: header 0 must be a tuple of a name and a value",
            "ValueError: the value of X holds a control character",
            "ValueError: Connection is a hop-by-hop header",
            "KeyError: x\\x0d\\x0b\\x1b[2J\\x9b\n  2026-11-21T00:00:00.000000Z ERROR corelane: forged",
            "wsgi.errors: heard x\\x0d\\x0b\\x1b[2J\\x9b2026-11-21T",
            "ValueError: the status 100 announces another answer",
            "wsgi.errors: through wsgi.errors\n",
            "wsgi.errors: half line\n",
            "wsgi.errors: rest \\udc80\n",
            "wsgi.errors: validated\n",
            &format!("wsgi.errors: {}\n", "U".repeat(limits::ERROR_LINE_CHARS_MAX)),
        ];
        // Whoever can make an application put his text into an exception cannot forge a line.
        assert!(!text.contains("\n2026-11-21T00:00:00.000000Z"), "{text}");
        let control = |character: char| character.is_control() && character != '\n';
        assert_eq!(text.find(control), None, "a control character in the log:\n{text}");
        assert!(!text.contains("BrokenPipeError"), "a client that goes is no fault:\n{text}");
        for line in expected {
            let count = text.matches(line).count();
            assert!(count >= 3, "{count} of at least 3 times in the log: {line:?}\n{text}");
        }
    }
}

/// A lane's runtime, as far as the room needs one.
fn on_a_lane<F: Future<Output = ()>>(lane: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, lane());
}

fn spec(folder: &Path, target: &str, threads: usize) -> AppSpec {
    AppSpec {
        name: "test".into(),
        target: target.into(),
        chdir: folder.to_owned(),
        pythonpath: Vec::new(),
        venv: None,
        threads,
    }
}

const PLACE: Place = Place { lane: 0, core: None };

fn start_fails(runtime: &Runtime, app: &AppSpec) -> PythonFault {
    Gateway::start(runtime, app, PLACE).expect_err("the start must fail")
}

fn refused_starts(runtime: &Runtime, folder: &Path) {
    let refused = [
        ("nothing", "has neither 'application' nor 'app'"),
        ("apps:missing", "module 'apps' has no 'missing'"),
        ("apps:not_callable", "not callable"),
        ("apps:not_callable()", "cannot be called"),
        ("apps:create_app(open('x'))", "literal arguments"),
        ("apps:create_app(**{})", "literal arguments"),
        ("apps:1 +", "does not end in a name"),
        ("apps:", "is not module"),
        (":app", "is not module"),
        ("absent", "there is no module 'absent'"),
        ("apps:create_app(nonsense=1)", "TypeError"),
    ];
    for (target, reason) in refused {
        let fault = start_fails(runtime, &spec(folder, target, 1));
        assert!(matches!(fault, PythonFault::Refused { .. }), "{target}: {fault}");
        assert!(fault.to_string().contains(reason), "{target}: {fault}");
        assert_eq!(fault.to_string().lines().count(), 1);
    }
    let failing = [
        ("broken", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("wrong", "SyntaxError"),
        ("quits", "SystemExit: 4"),
        ("refuses", "the C extension 'x' refuses to load in subinterpreters"),
    ];
    for (target, reason) in failing {
        let fault = start_fails(runtime, &spec(folder, target, 1));
        let PythonFault::Import { reason: line, traceback, .. } = &fault else {
            panic!("{target}: {fault}")
        };
        assert!(line.contains(reason) && !line.contains('\n'), "{target}: {fault}");
        assert!(traceback.contains("Traceback") || target == "wrong", "{target}: {fault}");
    }
    let fault = start_fails(runtime, &spec(&folder.join("nowhere"), "apps", 1));
    assert!(fault.to_string().contains("cannot enter the folder"), "{fault}");
}

fn virtual_environments(runtime: &Runtime, folder: &Path) {
    let venv = folder.join("venv");
    let with_venv =
        |venv: &Path| AppSpec { venv: Some(venv.to_owned()), ..spec(folder, "packaged:app", 1) };
    let fault = start_fails(runtime, &with_venv(&venv));
    assert!(fault.to_string().contains("is no virtual environment"), "{fault}");
    fs::create_dir(&venv).unwrap();
    fs::write(venv.join("pyvenv.cfg"), "home = /usr/bin\nversion = 3.9.2\n").unwrap();
    let fault = start_fails(runtime, &with_venv(&venv));
    assert!(fault.to_string().contains("is for Python 3.9.2"), "{fault}");

    let version = Runtime::version();
    let minor: Vec<_> = version.split('.').take(2).collect();
    let packages = venv.join(format!("lib/python{}/site-packages", minor.join(".")));
    fs::write(venv.join("pyvenv.cfg"), format!("version_info = {version}.final.0\n")).unwrap();
    let fault = start_fails(runtime, &with_venv(&venv));
    assert!(fault.to_string().contains("site-packages"), "{fault}");
    fs::create_dir_all(&packages).unwrap();
    let app = "import sys\n\
        def app(environ, start_response):\n \
        start_response('200 OK', [])\n \
        return [repr((sys.prefix, [p for p in sys.path if 'site-packages' in p])).encode()]\n";
    fs::write(packages.join("packaged.py"), app).unwrap();
    on_a_lane(|| async {
        let gateway = Gateway::start(runtime, &with_venv(&venv), PLACE).unwrap();
        let answer = Client { gateway: &gateway }.fetch("/").await;
        let (venv, packages) = (venv.display(), packages.display());
        assert_eq!(answer.text(), format!("('{venv}', ['{packages}'])"));
    });
}

fn targets(runtime: &Runtime, folder: &Path) {
    let elsewhere = folder.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let targets = [
        ("apps:hello", "hello"),
        ("apps:Holder.inner", "hello"),
        ("apps:create_app()", "hi"),
        ("apps:create_app('ab', count=3)", "ababab"),
    ];
    for (target, expected) in targets {
        let mut app = spec(&elsewhere, target, 1);
        app.pythonpath = vec![PathBuf::from(folder)];
        on_a_lane(|| async {
            let gateway = Gateway::start(runtime, &app, PLACE).unwrap();
            assert_eq!(Client { gateway: &gateway }.fetch("/").await.text(), expected);
        });
    }
}

/// An exit handler that hangs does not hold up the end for longer than the deadline.
fn hanging_exit_handler(runtime: &Runtime, folder: &Path) {
    let app = "import atexit, threading\natexit.register(threading.Event().wait)\n\
        def app(environ, start_response): pass\n";
    fs::write(folder.join("hangs.py"), app).unwrap();
    let gateway = Gateway::start(runtime, &spec(folder, "hangs", 1), PLACE).unwrap();
    let deadline = Instant::now() + Duration::from_millis(100);
    gateway.stop(deadline);
    assert!(Instant::now() >= deadline, "the handler did not hang");
}

async fn companion_lane(runtime: &Runtime, folder: &Path, lane: usize) {
    let core = core_affinity::get_core_ids().and_then(|cores| cores.first().copied());
    let place = Place { lane, core };
    let gateway = Gateway::start(runtime, &spec(folder, "apps", 3), place).unwrap();
    let client = Client { gateway: &gateway };
    answers(&client).await;
    faults(&client).await;
    lengths(&client).await;
    environ(&client, lane, true).await;
    bodies(&client).await;
    odds(&client).await;
    threads(&client, lane).await;
    back_pressure(&client).await;
    write_waits(&client).await;
    write_meets_its_end(&client).await;
    write_after_the_end(&client).await;
    queue_full(&client).await;
    gateway.stop(Instant::now() + Duration::from_secs(20));
}

async fn inline_lane(runtime: &Runtime, folder: &Path) {
    let gateway = Gateway::start(runtime, &spec(folder, "apps", 0), Place { lane: 2, core: None });
    let gateway = gateway.unwrap();
    let client = Client { gateway: &gateway };
    answers(&client).await;
    faults(&client).await;
    lengths(&client).await;
    environ(&client, 2, false).await;
    bodies(&client).await;
    odds(&client).await;
    interleaved(&client).await;
    spare_callables(&client).await;
    gateway.stop(Instant::now() + Duration::from_secs(20));
}

async fn answers(client: &Client<'_>) {
    let hello = client.fetch("/hello").await;
    assert_eq!((hello.status(), hello.text(), hello.end), (200, "hello", End::Complete));
    assert_eq!(hello.receives, 1, "a list of one piece comes in one go");
    assert!(hello.encoded().contains("Content-Type: text/plain\r\n"), "{}", hello.encoded());

    let many = client.fetch("/many").await;
    assert_eq!((many.status(), many.text(), many.receives), (200, "abcd", 1));
    assert!(many.encoded().starts_with("HTTP/1.1 200 Fine\r\n"), "{}", many.encoded());

    let empty = client.fetch("/empty").await;
    assert_eq!((empty.status(), empty.text(), empty.end), (204, "", End::Complete));

    let late = client.fetch("/late").await;
    assert_eq!((late.status(), late.text(), late.end), (202, "late", End::Complete));

    let one = client.fetch("/one").await;
    assert_eq!((one.text(), one.content_length()), ("single", Some(6)));
    client.await_closed("one").await;

    let write = client.fetch("/write").await;
    assert_eq!((write.text(), write.end), ("written twice and returned", End::Complete));

    let before = client.fetch("/exc_info_before").await;
    assert_eq!((before.status(), before.text()), (500, "replaced"));

    let after = client.fetch("/exc_info_after").await;
    assert_eq!((after.status(), after.text(), after.end), (200, "first", End::Failed));
    client.await_state("again", |state| state.contains("\"again\": \"after\"")).await;

    let large = client.fetch("/large").await;
    assert_eq!((large.body.len(), large.end), (1_000_000, End::Complete));
    assert!(large.body.iter().enumerate().all(|(at, byte)| at % 250 == usize::from(*byte)));
    assert_eq!(large.content_length(), Some(1_000_000));

    let wrapped = client.fetch("/file_wrapper").await;
    assert_eq!((wrapped.text(), wrapped.end), ("from a file", End::Complete));
}

async fn faults(client: &Client<'_>) {
    let names = "forges raises exits interrupts memory recurses returns_none returns_text returns_bytes \
        never_starts never_starts_empty yields_unstarted twice write_wrong raises_first arguments";
    let bad = "status status_type status_bytes status_wide newline name value_type value_wide pair \
        triple hop dict none interim hints";
    let names = names.split_whitespace().map(|name| format!("/{name}"));
    let bad = bad.split_whitespace().map(|name| format!("/bad?{name}"));
    for target in names.chain(bad) {
        let answer = client.fetch(&target).await;
        assert_eq!((answer.status(), answer.body.len()), (0, 0), "{target}");
        assert_eq!(answer.end, End::Failed, "{target}");
    }
    client.await_closed("first").await;

    let midway = client.fetch("/raises_midway").await;
    assert_eq!((midway.status(), midway.text(), midway.end), (200, "first", End::Failed));
    client.await_closed("midway").await;

    let close = client.fetch("/raises_close").await;
    assert_eq!((close.text(), close.end), ("fine", End::Complete));
    client.await_closed("bad").await;

    // A callable that outlives its call does not reach the next one.
    assert_eq!(client.fetch("/keeps").await.text(), "kept");
    assert_eq!(client.fetch("/hello").await.text(), "hello");
    assert_eq!(client.fetch("/uses_kept").await.text(), "2");
}

async fn lengths(client: &Client<'_>) {
    let short = client.fetch("/length_short").await;
    assert_eq!((short.text(), short.end), ("1234", End::Failed));
    let short = client.fetch("/short_list").await;
    assert_eq!((short.text(), short.end), ("123", End::Failed));
    let over = client.fetch("/length_over").await;
    assert_eq!((over.text(), over.end), ("1234", End::Complete));
    client.await_closed("over").await;
    let exact = client.fetch("/length_exact").await;
    assert_eq!((exact.text(), exact.end), ("1234", End::Complete));
    client.await_state("after", |state| state.contains("\"after_last\": true")).await;
    client.await_closed("exact").await;
    let head = client.send("HEAD /head HTTP/1.1\r\nHost: a", RequestBody::Empty).await;
    assert_eq!((head.status(), head.end), (200, End::Complete));
    assert_eq!(head.content_length(), Some(10));
    let get = client.fetch("/head").await;
    assert_eq!(get.end, End::Failed, "a GET promised ten bytes");
}

async fn environ(client: &Client<'_>, lane: usize, multithread: bool) {
    let head = "POST /dump/caf%C3%A9%20x?a=%20b HTTP/1.1\r\nHost: example.com:81\r\n\
        Cookie: a=1\r\ncookie: b=2\r\nAccept: text/html\r\nX-Odd: 1\r\nACCEPT: text/plain\r\n\
        x-odd: 2\r\nX_Odd: evil\r\nUser-Agent: caf\u{e9}\r\nContent-Type: text/x\r\n\
        Content-Length: 3";
    let head: Vec<u8> = head.chars().map(|character| u8::try_from(character).unwrap()).collect();
    let head = [&head[..], b"\r\n\r\n"].concat();
    let body = RequestBody::Memory(b"abc".to_vec());
    let peer = "[::ffff:192.0.2.7]:4711".parse().unwrap();
    let local = "[::1]:8000".parse().unwrap();
    let request =
        WsgiRequest { head, path: None, user: None, script_name_bytes: 5, peer, local, body };
    // "/dump" is SCRIPT_NAME here, so the dispatcher of the test needs another way to `dump`.
    let answer = receive_all(client.gateway.call(request).unwrap()).await;
    assert_eq!(answer.end, End::Failed, "PATH_INFO does not begin with the script's name");

    let head = "POST /dump/caf%C3%A9%20x?a=%20b HTTP/1.1\r\nHost: example.com:81\r\n\
        Cookie: a=1\r\ncookie: b=2\r\nAccept: text/html\r\nX-Odd: 1\r\nACCEPT: text/plain\r\n\
        x-odd: 2\r\nX_Odd: evil\r\nContent-Type: text/x\r\ncontent-type: text/x\r\n\
        Content-Length: 3";
    let answer = client.send(head, RequestBody::Memory(b"abc".to_vec())).await;
    let shown = answer.text().to_owned();
    let expected = HashMap::from([
        ("REQUEST_METHOD", "\"POST\""),
        ("SCRIPT_NAME", "\"\""),
        ("QUERY_STRING", "\"a=%20b\""),
        ("REQUEST_URI", "\"/dump/caf%C3%A9%20x?a=%20b\""),
        ("RAW_URI", "\"/dump/caf%C3%A9%20x?a=%20b\""),
        ("SERVER_PROTOCOL", "\"HTTP/1.1\""),
        ("SERVER_NAME", "\"192.0.2.1\""),
        ("SERVER_PORT", "\"8000\""),
        ("REMOTE_ADDR", "\"192.0.2.7\""),
        ("REMOTE_PORT", "\"4711\""),
        ("CONTENT_TYPE", "\"text/x\""),
        ("CONTENT_LENGTH", "\"3\""),
        ("HTTP_HOST", "\"example.com:81\""),
        ("HTTP_COOKIE", "\"a=1; b=2\""),
        ("HTTP_ACCEPT", "\"text/html,text/plain\""),
        ("HTTP_X_ODD", "\"1,2\""),
        ("wsgi.url_scheme", "\"http\""),
        ("wsgi.version", "\"tuple\""),
        ("wsgi.multiprocess", "true"),
        ("wsgi.run_once", "false"),
        ("wsgi.input_terminated", "true"),
        ("wsgi.errors", "\"ErrorsStream\""),
        ("daemon", "false"),
    ]);
    for (key, value) in expected {
        assert!(shown.contains(&format!("\"{key}\": {value}")), "{key} is not {value}: {shown}");
    }
    let others = [
        format!("\"wsgi.multithread\": {multithread}"),
        format!("\"corelane.lane\": {lane}"),
        format!("\"thread\": \"corelane-py-{lane}-"),
        // The decoded path's bytes as latin-1 characters.
        "\"path_bytes\": [47, 100, 117, 109, 112, 47, 99, 97, 102, 195, 169, 32, 120]".to_owned(),
    ];
    for other in others {
        assert!(shown.contains(&other), "no {other}: {shown}");
    }
    assert!(!shown.contains("evil"), "{shown}");
    assert!(!shown.contains("HTTP_CONTENT"), "{shown}");

    // Nothing of one request is left for the next.
    let answer = client.send("GET /dump HTTP/1.0", RequestBody::Empty).await;
    let shown = answer.text();
    assert!(shown.contains("\"SERVER_PROTOCOL\": \"HTTP/1.0\""), "{shown}");
    assert!(shown.contains("\"QUERY_STRING\": \"\""), "{shown}");
    for absent in ["CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_"] {
        assert!(!shown.contains(absent), "{absent}: {shown}");
    }
}

async fn bodies(client: &Client<'_>) {
    let text = b"one two\nthree\nfour\nfive\nsix";
    let head = format!("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: {}", text.len());
    let expected = "[b'one', b' two\\n', b'th', b'ree\\n', b'four\\n|five\\n|six', b'', b'']";
    let answer = client.send(&head, RequestBody::Memory(text.to_vec())).await;
    assert_eq!(answer.text(), expected);
    let answer = client.send(&head, in_file(text)).await;
    assert_eq!(answer.text(), expected);

    let megabyte: Vec<u8> = (0..1_000_000).map(|at| u8::try_from(at % 7).unwrap()).collect();
    let sum: u64 = megabyte.iter().map(|byte| u64::from(*byte)).sum();
    let head = "POST /body_sum HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked";
    let answer = client.send(head, in_file(&megabyte)).await;
    assert_eq!(answer.text(), format!("1000000 {sum} 1000000 None"));
    let answer = client.send("POST /body_sum HTTP/1.1\r\nHost: a", RequestBody::Empty).await;
    assert_eq!(answer.text(), "0 0 None None");
}

fn in_file(bytes: &[u8]) -> RequestBody {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    RequestBody::File { file, bytes: bytes.len() as u64 }
}

async fn odds(client: &Client<'_>) {
    assert_eq!(client.fetch("/errors").await.text(), "logged");
    assert_eq!(client.fetch("/errors").await.text(), "logged", "close() has not closed it");
    assert_eq!(client.fetch("/background").await.text(), "False", "threads are no daemons");
    let head = "POST /validated HTTP/1.1\r\nHost: a\r\nContent-Length: 4";
    let answer = client.send(head, RequestBody::Memory(b"body".to_vec())).await;
    assert_eq!((answer.status(), answer.text()), (200, "valid body"));
    let answer = client.fetch("/validated").await;
    assert_eq!((answer.status(), answer.text()), (200, "valid "));

    // The client goes in the middle of an endless answer.
    let mut reply = client.begin("/endless");
    let mut buffer = Vec::new();
    assert_eq!(reply.receive(&mut buffer).await.end, End::More);
    drop(reply);
    client.await_closed("endless").await;
}

/// Two requests block in Python; a third thread answers the next, and the first one rests.
async fn threads(client: &Client<'_>, lane: usize) {
    let waiting = [client.begin("/waits"), client.begin("/waits")];
    assert_eq!(client.fetch("/opens").await.text(), "open");
    for reply in waiting {
        let name = receive_all(reply).await;
        assert!(name.text().starts_with(&format!("corelane-py-{lane}-")), "{}", name.text());
    }
}

async fn back_pressure(client: &Client<'_>) {
    let mut reply = client.begin("/stream");
    let mut buffer = Vec::new();
    let first = reply.receive(&mut buffer).await;
    assert!(first.head.is_some());
    // The state is asked of another thread of the interpreter while the stream is held back: the
    // pieces made are those received, those that fit into the stream, and the one that does not.
    let held = (buffer.len() + limits::STREAM_BYTES_MAX) / 65536 + 1;
    client
        .await_state("made", |state| {
            let (_, made) = state.split_once("\"made\": ").unwrap();
            let made: String = made.chars().take_while(char::is_ascii_digit).collect();
            let made: usize = made.parse().unwrap();
            assert!(made <= held, "{made} pieces made, {held} may be");
            made == held
        })
        .await;
    let mut body = buffer.clone();
    loop {
        buffer.clear();
        let end = reply.receive(&mut buffer).await.end;
        assert!(buffer.len() <= limits::STREAM_BYTES_MAX);
        body.extend_from_slice(&buffer);
        if end != End::More {
            assert_eq!(end, End::Complete);
            break;
        }
    }
    assert_eq!(body.len(), 200 * 65536);
    let right = |(at, byte): (usize, &u8)| at / 65536 == usize::from(*byte);
    assert!(body.iter().enumerate().all(right));
    client.await_closed("stream").await;
}

async fn write_waits(client: &Client<'_>) {
    let answer = client.fetch("/write_much").await;
    assert_eq!((answer.body.len(), answer.end), (40 * 50_000 + 3, End::Complete));
    let pieces = answer.body.chunks(50_000).take(40).enumerate();
    for (at, piece) in pieces {
        assert!(piece.iter().all(|byte| usize::from(*byte) == at));
    }
}

/// The client goes while `write()` waits for it: BrokenPipeError there, and no fault in the log.
async fn write_meets_its_end(client: &Client<'_>) {
    let mut reply = client.begin("/write_endless");
    assert_eq!(reply.receive(&mut Vec::new()).await.end, End::More);
    drop(reply);
    let ended = "\"write_ended\": \"BrokenPipeError\"";
    client.await_state("write_ended", |state| state.contains(ended)).await;
}

/// The client has all that was promised, and goes: that is no broken pipe.
async fn write_after_the_end(client: &Client<'_>) {
    let cases = [
        ("GET", "/write_over", "\"write_over\": \"ValueError\""),
        ("HEAD", "/write_no_body?200", "\"write_no_body\": \"HEAD200\""),
        ("GET", "/write_no_body?204", "\"write_no_body\": \"GET204\""),
        ("GET", "/write_no_body?304", "\"write_no_body\": \"GET304\""),
    ];
    for (method, target, seen) in cases {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a");
        let answer = client.send(&head, RequestBody::Empty).await;
        assert_eq!(answer.end, End::Complete, "{method} {target}");
        assert_eq!(client.fetch("/opens").await.text(), "open");
        client.await_state(seen, |state| state.contains(seen)).await;
    }
}

async fn queue_full(client: &Client<'_>) {
    let mut replies = Vec::new();
    let busy = loop {
        let head = "GET /hello HTTP/1.1\r\nHost: a";
        match client.call(head, RequestBody::Empty) {
            Ok(reply) => replies.push(reply),
            Err(busy) => break busy,
        }
        assert!(replies.len() < 1_000_000, "the queue has no end");
    };
    assert_eq!(busy, Busy);
    assert!(replies.len() >= limits::PYTHON_QUEUE_MAX);
    for reply in replies {
        assert_eq!(receive_all(reply).await.text(), "hello");
    }
}

/// Two streamed answers on one thread, a piece of each in turn.
async fn interleaved(client: &Client<'_>) {
    let (mut one, mut two) = (client.begin("/stream"), client.begin("/late"));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    assert_eq!(one.receive(&mut first).await.end, End::More);
    assert_eq!(first.len(), 65536, "one piece is made for one receive");
    assert_eq!(two.receive(&mut second).await.head.unwrap().status(), 202);
    assert_eq!(client.fetch("/hello").await.text(), "hello");
    assert_eq!(one.receive(&mut first).await.end, End::More);
    assert_eq!(first.len(), 2 * 65536);
    assert_eq!(two.receive(&mut second).await.end, End::Complete);
    assert_eq!(second, b"late");
    drop(one);
    client.await_closed("stream").await;
    // Nothing can wait for the client here, so there is a bound.
    let endless = client.fetch("/write_endless").await;
    assert_eq!((endless.body.len(), endless.end), (limits::INLINE_WRITE_BYTES_MAX, End::Failed));
    let ended = "\"write_ended\": \"RuntimeError\"";
    client.await_state("write_ended", |state| state.contains(ended)).await;
    let much = client.fetch("/write_much").await;
    assert_eq!((much.body.len(), much.end), (40 * 50_000 + 3, End::Complete));
}

/// More calls at once than their callables are kept for.
async fn spare_callables(client: &Client<'_>) {
    let count = async || client.fetch("/callables").await.text().parse::<usize>().unwrap();
    let before = count().await;
    let calls = 2 * limits::PYTHON_SPARE_CALLABLES_MAX;
    let replies: Vec<Reply> = (0..calls).map(|_| client.begin("/stream")).collect();
    let during = count().await;
    assert!((calls..calls + before + 1).contains(&during), "{during} for {calls} calls");
    drop(replies);
    let after = count().await;
    // Beside the spare ones: what an application has kept.
    let others = before.min(limits::PYTHON_SPARE_CALLABLES_MAX);
    let kept = limits::PYTHON_SPARE_CALLABLES_MAX;
    assert!((kept..=kept + others).contains(&after), "{after} are left of {during}");
}
