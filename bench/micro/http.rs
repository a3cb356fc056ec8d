//! What the grammar costs: heads, targets, answers' heads, dates. Each time is that of one call,
//! and each benchmark first checks that the answer which it times is right.
//!
//! corelane's parser is timed beside bare httparse on the same bytes: the difference is what its
//! checks against request smuggling, its decoded target and its look at the fields cost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a wrong answer must end the run")]

mod heads;

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::Duration;

use crate::heads::BROWSER;
use corelane::request::Method;
use corelane::request::head;
use corelane::request::head::Parsed;
use corelane::request::target;
use corelane::response::Head;
use corelane::response::date::DateText;
use corelane::response::head::ConnectionField;
use corelane::response::head::Delimitation;
use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;

/// What wrk sends.
const WRK: &str = "GET /hello.txt HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";

/// What curl sends.
const CURL: &str = "GET /blog/posts?page=2 HTTP/1.1\r\nHost: example.com\r\n\
    User-Agent: curl/8.5.0\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n";

/// A head, and what must be found in it.
struct Sample {
    name: &'static str,
    text: &'static str,
    raw_target: &'static str,
    path: &'static [u8],
    fields: usize,
}

const SAMPLES: [Sample; 3] = [
    Sample { name: "wrk", text: WRK, raw_target: "/hello.txt", path: b"/hello.txt", fields: 1 },
    Sample {
        name: "curl",
        text: CURL,
        raw_target: "/blog/posts?page=2",
        path: b"/blog/posts",
        fields: 4,
    },
    Sample {
        name: "browser",
        text: BROWSER,
        raw_target: "/caf%C3%A9/assets/app.3f2a91.js",
        path: "/café/assets/app.3f2a91.js".as_bytes(),
        fields: 15,
    },
];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(50)
        .without_plots()
        .configure_from_args();
    request_heads(&mut criterion);
    targets(&mut criterion);
    answer_heads(&mut criterion);
    dates(&mut criterion);
    criterion.final_summary();
}

fn request_heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request_head");
    for sample in &SAMPLES {
        check_both_parsers(sample);
        let bytes = sample.text.as_bytes();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("corelane/{}", sample.name), |bencher| {
            bencher.iter(|| {
                let mut slots = head::header_slots();
                let Parsed::Complete(request) = head::parse(black_box(bytes), &mut slots) else {
                    panic!("{} is a whole head", sample.name);
                };
                black_box(&request);
            });
        });
        group.bench_function(format!("httparse/{}", sample.name), |bencher| {
            bencher.iter(|| {
                // As many slots as corelane has, and as little made of them.
                let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
                let mut request = httparse::Request::new(&mut []);
                let parsed =
                    request.parse_with_uninit_headers(black_box(bytes), &mut slots).unwrap();
                assert!(parsed.is_complete());
                black_box(&request);
            });
        });
    }
    group.finish();
}

const SLOTS: usize = corelane::limits::HEADER_COUNT_MAX;

fn check_both_parsers(sample: &Sample) {
    let bytes = sample.text.as_bytes();
    let mut slots = head::header_slots();
    let Parsed::Complete(ours) = head::parse(bytes, &mut slots) else {
        panic!("{} is a whole head", sample.name);
    };
    assert_eq!(ours.head, bytes);
    assert_eq!((ours.method_name, ours.raw_target), ("GET", sample.raw_target));
    assert_eq!(&*ours.target.path, sample.path);
    assert_eq!(ours.headers.len(), sample.fields);
    let mut slots = [httparse::EMPTY_HEADER; SLOTS];
    let mut theirs = httparse::Request::new(&mut slots);
    assert_eq!(theirs.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
    assert_eq!((theirs.method, theirs.path), (Some("GET"), Some(sample.raw_target)));
    assert_eq!(theirs.headers, ours.headers);
}

fn targets(criterion: &mut Criterion) {
    let samples: [(&str, &str, &str); 4] = [
        ("plain", "/static/css/site.css", "/static/css/site.css"),
        ("query", "/search?q=io_uring&page=2", "/search"),
        ("escapes", "/caf%C3%A9/%7Euser/a%20b", "/café/~user/a b"),
        ("dots", "/a/b/../c/./d", "/a/c/d"),
    ];
    let mut group = criterion.benchmark_group("request_target");
    for (name, raw, path) in samples {
        let (target, authority) = target::parse(Method::Get, raw).unwrap();
        assert_eq!((&*target.path, authority), (path.as_bytes(), None));
        group.bench_function(name, |bencher| {
            bencher.iter(|| target::parse(Method::Get, black_box(raw)).unwrap());
        });
    }
    group.finish();
}

fn answer_heads(criterion: &mut Criterion) {
    let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
    let mut file = Head::new(200);
    file.field("Content-Type", "text/plain; charset=utf-8");
    file.field("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    file.field("ETag", "\"18ea0099d0c117f2-d\"");
    file.field("Accept-Ranges", "bytes");
    let expected = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"18ea0099d0c117f2-d\"\r\n\
        Accept-Ranges: bytes\r\nContent-Length: 13\r\n\r\n";
    let mut out = Vec::with_capacity(1024);
    let (length, implied) = (Delimitation::Length(13), ConnectionField::Implied);
    file.encode(&mut out, date, length, implied);
    assert_eq!(String::from_utf8_lossy(&out), expected);

    let mut group = criterion.benchmark_group("answer_head");
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function("encode_file", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&file).encode(&mut out, black_box(date), length, implied);
        });
    });

    let expected = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
        Content-Type: text/html\r\nX-Frame-Options: DENY\r\nContent-Length: 13\r\n\r\n";
    out.clear();
    app_head().encode(&mut out, date, length, implied);
    assert_eq!(String::from_utf8_lossy(&out), expected);
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function("build_and_encode_app", |bencher| {
        bencher.iter(|| {
            out.clear();
            app_head().encode(&mut out, black_box(date), length, implied);
        });
    });
    group.finish();
}

/// As from an application: every field is checked.
fn app_head() -> Head {
    let mut head = Head::from_status_line(black_box(b"200 OK")).unwrap();
    let fields: [(&[u8], &[u8]); 3] = [
        (b"Content-Type", b"text/html"),
        (b"Content-Length", b"13"),
        (b"X-Frame-Options", b"DENY"),
    ];
    for (name, value) in black_box(fields) {
        head.push(name, value).unwrap();
    }
    head
}

fn dates(criterion: &mut Criterion) {
    let mut date = DateText::new();
    assert_eq!(date.at(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
    let mut group = criterion.benchmark_group("date");
    group.bench_function("same_second", |bencher| {
        bencher.iter(|| black_box(black_box(&mut date).at(black_box(784_111_777))).len());
    });
    group.bench_function("new_second", |bencher| {
        let mut second = 784_111_777;
        bencher.iter_batched(
            || {
                second += 1;
                second
            },
            |second| black_box(black_box(&mut date).at(second)).len(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}
