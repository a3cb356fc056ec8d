//! The tests of `response/stream`.

use super::*;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Wake;
use std::thread;

/// Counts how often a consumer is woken, and wakes the thread that waits for it.
struct Bell {
    rings: AtomicUsize,
    thread: thread::Thread,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn bell() -> Arc<Bell> {
    Arc::new(Bell { rings: AtomicUsize::new(0), thread: thread::current() })
}

fn receive_blocking(consumer: &mut Consumer, buffer: &mut Vec<u8>, bell: &Arc<Bell>) -> Received {
    let waker = Waker::from(Arc::clone(bell));
    let mut future = pin!(consumer.receive(buffer));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(received) => return received,
            Poll::Pending => thread::park(),
        }
    }
}

fn head_of(length: Option<u64>) -> Head {
    let mut head = Head::new(200);
    if let Some(length) = length {
        head.push(b"Content-Length", length.to_string().as_bytes()).unwrap();
    }
    head
}

fn started(length: Option<u64>) -> (Producer, Consumer) {
    let (mut producer, consumer) = bounded();
    producer.start(head_of(length));
    (producer, consumer)
}

#[test]
fn head_waits_for_the_first_byte() {
    let (mut producer, mut consumer) = started(None);
    let mut buffer = Vec::new();
    assert!(consumer.try_receive(&mut buffer).is_none());
    assert_eq!(producer.push(b""), Pushed::Taken);
    assert!(consumer.try_receive(&mut buffer).is_none());
    producer.start(Head::new(404));
    assert_eq!(producer.push(b"a"), Pushed::Taken);
    let received = consumer.try_receive(&mut buffer).unwrap();
    assert_eq!(received.head.unwrap().status(), 404);
    assert_eq!((received.end, buffer.as_slice()), (End::More, &b"a"[..]));
    assert_eq!(producer.push(b"b"), Pushed::Taken);
    let received = consumer.try_receive(&mut buffer).unwrap();
    assert!(received.head.is_none());
    assert_eq!(buffer, b"ab");
    assert_eq!(producer.finish(), Finish::Whole);
    assert_eq!(consumer.try_receive(&mut buffer).unwrap().end, End::Complete);
}

#[test]
fn work_begins_only_for_a_reader_that_is_there() {
    let (producer, consumer) = bounded();
    assert!(!consumer.has_begun());
    assert_eq!(producer.begin(), Begin::Wanted);
    assert!(consumer.has_begun());
    let (producer, consumer) = bounded();
    assert!(producer.is_wanted());
    drop(consumer);
    assert!(!producer.is_wanted());
    assert_eq!(producer.begin(), Begin::Gone);
}

#[test]
fn answer_made_in_one_go_wakes_once() {
    let (mut producer, consumer) = started(None);
    let bell = bell();
    let waker = Waker::from(Arc::clone(&bell));
    let context = Context::from_waker(&waker);
    let mut buffer = Vec::new();
    assert!(consumer.poll_receive(&context, &mut buffer).is_pending());
    assert_eq!(producer.finish_with(b"hello"), Pushed::Taken);
    drop(producer);
    assert_eq!(bell.rings.load(Ordering::SeqCst), 1);
    let Poll::Ready(received) = consumer.poll_receive(&context, &mut buffer) else {
        panic!("the answer is there")
    };
    assert!(received.head.is_some());
    assert_eq!((received.end, buffer.as_slice()), (End::Complete, &b"hello"[..]));
}

/// The slow twin: the promised bytes, cut or found short by counting.
#[test]
fn content_length_decides_the_end() {
    let body = b"0123456789";
    for promised in 0..=12_u64 {
        for piece_bytes in 1..=10 {
            let (mut producer, mut consumer) = started(Some(promised));
            let mut given = 0;
            for piece in body.chunks(piece_bytes) {
                let expected = if given >= promised { Pushed::Over } else { Pushed::Taken };
                assert_eq!(producer.push(piece), expected, "{promised} {piece_bytes}");
                given += piece.len() as u64;
            }
            let missing = promised.saturating_sub(10);
            let finish = producer.finish();
            let mut buffer = Vec::new();
            let end = consumer.try_receive(&mut buffer).unwrap().end;
            assert_eq!(buffer, &body[..10.min(usize::try_from(promised).unwrap())]);
            if missing == 0 {
                assert_eq!((finish, end), (Finish::Whole, End::Complete));
            } else {
                assert_eq!((finish, end), (Finish::Short { missing }, End::Failed));
            }
        }
    }
}

#[test]
fn complete_before_finish_when_content_length_is_reached() {
    let (mut producer, mut consumer) = started(Some(2));
    assert_eq!(producer.push(b"ok and more"), Pushed::Taken);
    let mut buffer = Vec::new();
    assert_eq!(consumer.try_receive(&mut buffer).unwrap().end, End::Complete);
    assert_eq!(buffer, b"ok");
    producer.fail();
    assert_eq!(consumer.try_receive(&mut buffer).unwrap().end, End::Complete);
}

/// Asking twice for the end must not turn a failed answer into a whole one.
#[test]
fn short_answer_made_in_one_go_stays_failed() {
    let (mut producer, mut consumer) = started(Some(4));
    assert_eq!(producer.finish_with(b"123"), Pushed::Taken);
    assert_eq!(producer.finish(), Finish::Short { missing: 1 });
    let mut buffer = Vec::new();
    assert_eq!(consumer.try_receive(&mut buffer).unwrap().end, End::Failed);
    assert_eq!(buffer, b"123");
}

#[test]
fn an_empty_promise_ends_with_the_head() {
    let (mut producer, mut consumer) = started(Some(0));
    let bell = bell();
    let waker = Waker::from(Arc::clone(&bell));
    let mut buffer = Vec::new();
    assert!(consumer.poll_receive(&Context::from_waker(&waker), &mut buffer).is_pending());
    assert_eq!(producer.push(b"x"), Pushed::Over);
    assert_eq!(bell.rings.load(Ordering::SeqCst), 1);
    let received = consumer.try_receive(&mut buffer).unwrap();
    assert!(received.head.is_some());
    assert_eq!((received.end, buffer.len()), (End::Complete, 0));
}

#[test]
fn no_body_expected_is_no_failure() {
    for (status, head_request) in [(200, true), (304, false), (204, false)] {
        let (mut producer, mut consumer) = bounded();
        let mut head = Head::new(status);
        head.push(b"Content-Length", b"5").unwrap();
        if head_request {
            producer.expect_no_body();
        }
        producer.start(head);
        assert_eq!(producer.finish(), Finish::Whole);
        let received = consumer.try_receive(&mut Vec::new()).unwrap();
        assert!(received.head.is_some());
        assert_eq!(received.end, End::Complete);
    }
}

#[test]
fn an_answer_without_body_is_complete_with_its_head() {
    for (status, head_request) in [(200, true), (304, false), (204, false)] {
        let (mut producer, mut consumer) = bounded();
        if head_request {
            producer.expect_no_body();
        }
        producer.start(Head::new(status));
        assert_eq!(producer.push(b"body"), Pushed::Unwanted);
        let mut buffer = Vec::new();
        let received = consumer.try_receive(&mut buffer).unwrap();
        assert!(received.head.is_some() && buffer.is_empty());
        assert_eq!(received.end, End::Complete);
        drop(consumer);
        assert_eq!(producer.push(b"body"), Pushed::Unwanted);
        assert_eq!(producer.finish(), Finish::Whole);
    }
}

/// A consumer that has the whole answer goes sooner or later than the next piece comes: that
/// must make no difference.
#[test]
fn a_complete_answer_is_over_whether_its_consumer_has_gone_or_not() {
    for consumer_goes in [false, true] {
        let (mut producer, consumer) = started(Some(2));
        assert_eq!(producer.push(b"ok"), Pushed::Taken);
        let consumer = (!consumer_goes).then_some(consumer);
        for piece in [&b""[..], b"more"] {
            assert_eq!(producer.push(piece), Pushed::Over);
        }
        drop(consumer);
        assert_eq!(producer.finish(), Finish::Whole);
    }
}

#[test]
fn declared_length_completes_the_head() {
    let (mut producer, mut consumer) = started(None);
    producer.declare_length(3);
    assert_eq!(producer.push(b"abc"), Pushed::Taken);
    let received = consumer.try_receive(&mut Vec::new()).unwrap();
    assert_eq!(received.head.unwrap().content_length(), Some(3));
    assert_eq!(received.end, End::Complete);
}

#[test]
fn failure_before_the_head_left_shows_no_head() {
    let (producer, mut consumer) = started(None);
    producer.fail();
    let received = consumer.try_receive(&mut Vec::new()).unwrap();
    assert!(received.head.is_none());
    assert_eq!(received.end, End::Failed);
    let (producer, _consumer) = bounded();
    assert_eq!(producer.finish(), Finish::Headless);
}

#[test]
fn full_stream_takes_a_part_and_no_more() {
    let (mut producer, mut consumer) = started(None);
    let piece = vec![7; limits::STREAM_BYTES_MAX + 1];
    assert_eq!(producer.push(&piece), Pushed::Full { taken: limits::STREAM_BYTES_MAX });
    assert_eq!(producer.push(b"x"), Pushed::Full { taken: 0 });
    assert_eq!(producer.finish_with(b"x"), Pushed::Full { taken: 0 });
    let mut buffer = Vec::new();
    assert_eq!(consumer.try_receive(&mut buffer).unwrap().end, End::More);
    assert_eq!(buffer.len(), limits::STREAM_BYTES_MAX);
    assert_eq!(producer.room().wait(), Room::Room);
    assert_eq!(producer.finish_with(b"x"), Pushed::Taken);
    buffer.clear();
    assert_eq!(consumer.try_receive(&mut buffer).unwrap().end, End::Complete);
    assert_eq!(buffer, b"x");
}

#[test]
fn dropped_consumer_frees_a_waiting_producer() {
    let (mut producer, consumer) = started(None);
    let piece = vec![0; limits::STREAM_BYTES_MAX];
    assert_eq!(producer.push(&piece), Pushed::Taken);
    let room = producer.room();
    let waits = thread::spawn(move || room.wait());
    drop(consumer);
    assert_eq!(waits.join().unwrap(), Room::Gone);
    assert_eq!(producer.push(b"x"), Pushed::Gone);
    assert_eq!(producer.push(b""), Pushed::Gone);
}

#[test]
fn four_megabytes_pass_in_order_within_the_bound() {
    const BYTES: usize = 4 * 1024 * 1024;
    let (mut producer, mut consumer) = started(None);
    let body = (0..251).collect::<Vec<u8>>().repeat(BYTES / 251);
    let sent = body.clone();
    let maker = thread::spawn(move || {
        for piece in sent.chunks(100_003) {
            let mut rest = piece;
            while let Pushed::Full { taken } = producer.push(rest) {
                rest = &rest[taken..];
                assert_eq!(producer.room().wait(), Room::Room);
            }
        }
        producer.finish()
    });
    let (bell, mut got, mut buffer) = (bell(), Vec::new(), Vec::new());
    loop {
        buffer.clear();
        let end = receive_blocking(&mut consumer, &mut buffer, &bell).end;
        assert!(buffer.len() <= limits::STREAM_BYTES_MAX);
        got.extend_from_slice(&buffer);
        if end != End::More {
            assert_eq!(end, End::Complete);
            break;
        }
    }
    assert_eq!(maker.join().unwrap(), Finish::Whole);
    assert!(got == body);
}
