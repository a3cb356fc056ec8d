//! What a whole call of a WSGI application costs, inline on this thread: the environ dict, the call
//! of a hello world, its head and body taken out. No socket, no hand-over between threads.
//!
//! Of environ building alone there is no benchmark: it has no way in but a call. What a call costs
//! more with a browser's fields than with wrk's is the price of those fields in the environ.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a wrong answer must end the run")]

mod heads;

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use std::time::Instant;

use crate::heads::BROWSER;
use corelane::limits::PYTHON_STACK_BYTES;
use corelane::python::AppSpec;
use corelane::python::Gateway;
use corelane::python::Place;
use corelane::python::RequestBody;
use corelane::python::Runtime;
use corelane::python::WsgiRequest;
use corelane::response::Head;
use corelane::response::stream::End;
use criterion::BatchSize;
use criterion::Criterion;

const APP: &str = r#"
def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, world!"]

def check(environ, start_response):
    fields = sorted(name for name in environ if name.startswith("HTTP_"))
    body = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {len(fields)}".encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"#;

const WRK: &str = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";

fn main() {
    // Python runs on this thread's stack, which must be as large as a lane's.
    let run = std::thread::Builder::new().stack_size(PYTHON_STACK_BYTES).spawn(run).unwrap();
    run.join().unwrap();
}

fn run() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(50)
        .without_plots()
        .configure_from_args();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bench_app.py"), APP).unwrap();
    let runtime = Runtime::start().unwrap();
    let start = |target| start(&runtime, folder.path(), target);
    let (hello, check) = (start("bench_app:hello"), start("bench_app:check"));
    let mut group = criterion.benchmark_group("inline_call_of_hello");
    for (name, head, path, fields) in
        [("wrk", WRK, "/hello", 1), ("browser", BROWSER, "/café/assets/app.3f2a91.js", 15)]
    {
        let seen = call(&check, request(head)).1;
        assert_eq!(String::from_utf8_lossy(&seen), format!("GET {path} {fields}"));
        let (answer, body) = call(&hello, request(head));
        assert_eq!((answer.status(), answer.content_length()), (200, Some(13)));
        assert_eq!(body, b"Hello, world!");
        group.bench_function(name, |bencher| {
            let prepare = || request(head);
            bencher.iter_batched(prepare, |request| call(&hello, request), BatchSize::SmallInput);
        });
    }
    group.finish();
    criterion.final_summary();
    let deadline = Instant::now() + Duration::from_secs(5);
    hello.stop(deadline);
    check.stop(deadline);
}

fn start(runtime: &Runtime, folder: &Path, target: &str) -> Gateway {
    let app = AppSpec {
        name: "bench".into(),
        target: target.into(),
        chdir: folder.to_owned(),
        pythonpath: Vec::new(),
        venv: None,
        threads: 0,
    };
    Gateway::start(runtime, &app, Place { lane: 0, core: None }).unwrap()
}

fn request(head: &str) -> WsgiRequest {
    WsgiRequest {
        head: head.as_bytes().to_vec(),
        path: None,
        user: None,
        script_name_bytes: 0,
        peer: "127.0.0.1:40000".parse().unwrap(),
        local: "127.0.0.1:8000".parse().unwrap(),
        body: RequestBody::Empty,
    }
}

/// The whole answer, which an inline call of a list has ready at once.
fn call(gateway: &Gateway, request: WsgiRequest) -> (Head, Vec<u8>) {
    let mut reply = gateway.call(request).unwrap();
    let mut body = Vec::new();
    let received = {
        let receive = pin!(reply.receive(&mut body));
        match receive.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(received) => received,
            Poll::Pending => panic!("an inline call of a list waits for nothing"),
        }
    };
    assert_eq!(received.end, End::Complete);
    (received.head.unwrap(), body)
}
