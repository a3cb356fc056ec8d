use super::*;
use crate::uring::runtime::Runtime;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Weak;
use std::task::Context;
use std::time::Instant;

fn end_passed(deadlines: &Deadlines, now: Moment) {
    deadlines.passed(now).iter().for_each(Expiry::end);
}

#[test]
fn a_late_head_says_nothing_about_its_answer() {
    let deadlines = Deadlines::new();
    let watch = deadlines.watch(Ending::Ring(Weak::new()));
    watch.wait(Waiting::Request, Duration::ZERO);
    end_passed(&deadlines, Moment::now());
    // The last bytes came all the same: the next wait is for room to answer.
    watch.wait(Waiting::Peer, Duration::from_secs(1));
    assert!(!watch.has_passed(End::Both), "the peer is not slow to read");
    assert!(watch.has_passed(End::Receiving), "nothing more is received");
    end_passed(&deadlines, Moment::now().after(Duration::from_secs(2)));
    assert!(watch.has_passed(End::Both));
}

/// Compared with sorting all of them.
#[test]
fn those_that_have_been_idle_for_longest_make_room() {
    for count_max in [0, 1, 2, 3, 4, 5, 8, 64, usize::MAX] {
        let deadlines = Deadlines::new();
        let start = Moment::now();
        let mut idle = Vec::new();
        let mut busy = Vec::new();
        for number in 0..64_u64 {
            let watch = deadlines.watch(Ending::Ring(Weak::new()));
            // Each second once, in no order.
            let due = start.after(Duration::from_secs(1 + number * 37 % 64));
            let (waiting, kept) = match number % 8 {
                0 => (Waiting::Idle, &mut idle),
                1..4 => (Waiting::Request, &mut busy),
                _ => (Waiting::Peer, &mut busy),
            };
            watch.wait_until(waiting, due);
            kept.push((due, watch));
        }
        let expected = count_max.min(4);
        assert_eq!(deadlines.end_longest_idle(count_max), expected);
        idle.sort_by_key(|(due, _)| *due);
        for (place, (_, watch)) in idle.iter().enumerate() {
            assert_eq!(watch.has_passed(End::Receiving), place < expected, "{count_max}");
        }
        let ended = |watch: &Watch| watch.clockwork.passed.get().is_some();
        assert!(busy.iter().all(|(_, watch)| !ended(watch)), "what is busy goes on");
        let mut others = idle.len() - expected;
        while others > 0 {
            let ended = deadlines.end_longest_idle(usize::MAX);
            assert_eq!(ended, others.div_ceil(2), "no connection twice");
            others -= ended;
        }
    }
}

/// 30 connections that hold 10,000 bytes each, and as many that hold nearly nothing.
#[test]
fn those_that_hold_memory_and_wait_longest_end_where_there_is_too_much() {
    for (held_bytes_max, expected) in
        [(usize::MAX, 0), (300_000, 0), (299_999, 1), (290_000, 1), (155_000, 15), (0, 30)]
    {
        let deadlines = Deadlines::new();
        let start = Moment::now();
        let watches: Vec<Watch> = (0..60_u64)
            .map(|number| {
                let watch = deadlines.watch(Ending::Ring(Weak::new()));
                let waiting = if number < 30 { Waiting::Request } else { Waiting::Peer };
                watch.wait_until(waiting, start.after(Duration::from_secs(1 + number)));
                watch.hold(if number % 2 == 0 { UNCOUNTED_BYTES_MAX } else { 10_000 });
                watch
            })
            .collect();
        assert_eq!(deadlines.held_bytes(), 300_000);
        let holders = deadlines.holders(held_bytes_max);
        assert_eq!(holders.len(), expected);
        holders.iter().for_each(Expiry::end);
        let ended = watches.iter().enumerate();
        let ended = ended.filter(|(_, watch)| watch.clockwork.passed.get().is_some());
        let ended: Vec<usize> = ended.map(|(number, _)| number).collect();
        let soonest: Vec<usize> = (0..expected).map(|place| 2 * place + 1).collect();
        assert_eq!(ended, soonest, "{held_bytes_max}");
        drop(watches);
        assert_eq!(deadlines.held_bytes(), 0);
    }
}

#[test]
fn they_end_a_few_at_a_time() {
    Runtime::epoll().unwrap().block_on(async {
        let deadlines = Deadlines::new();
        let watches: Vec<Watch> = (0..3 * EXPIRE_BATCH_MAX + 1)
            .map(|_| deadlines.watch(Ending::Ring(Weak::new())))
            .collect();
        for watch in &watches {
            watch.wait(Waiting::Request, Duration::ZERO);
        }
        let passed = deadlines.passed(Moment::now());
        assert_eq!(passed.len(), watches.len());
        let ended = || watches.iter().filter(|watch| watch.has_passed(End::Receiving)).count();
        let others = async {
            let mut before = 0;
            while ended() < watches.len() {
                assert!(ended() - before <= EXPIRE_BATCH_MAX, "others had no turn");
                before = ended();
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(biased; expire_in_turns(&passed, Io::Epoll), others);
    });
}

#[test]
fn whoever_has_come_further_is_not_ended() {
    let deadlines = Deadlines::new();
    let watches: Vec<Watch> = (0..3).map(|_| deadlines.watch(Ending::Ring(Weak::new()))).collect();
    for watch in &watches {
        watch.wait(Waiting::Request, Duration::ZERO);
    }
    let passed = deadlines.passed(Moment::now());
    let [waits, goes_on, _] = &watches[..] else { panic!("three of them") };
    goes_on.wait(Waiting::Peer, Duration::from_secs(1));
    waits.wait(Waiting::Request, Duration::ZERO);
    passed.iter().for_each(Expiry::end);
    assert!(!goes_on.has_passed(End::Both) && !goes_on.has_passed(End::Receiving));
}

/// A connection whose answer is being made, and its client.
fn answering(deadlines: &Rc<Deadlines>) -> (Rc<OwnedFd>, Watch, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let socket = Rc::new(OwnedFd::from(listener.accept().unwrap().0));
    let watch = deadlines.watch(Ending::Ring(Rc::downgrade(&socket)));
    (socket, watch, client)
}

/// What the sweeps tell a task that listens, after `leave` has happened.
fn told(deadlines: &Deadlines, watch: &Watch, leave: impl FnOnce()) -> Option<Presence> {
    let mut context = Context::from_waker(Waker::noop());
    let mut leaves = pin!(watch.peer_leaves());
    assert!(leaves.as_mut().poll(&mut context).is_pending());
    leave();
    // The kernel hands packets over loopback within the call that sends them, or soon after.
    let until = Instant::now() + Duration::from_millis(200);
    while Instant::now() < until {
        end_passed(deadlines, Moment::now());
        if let Poll::Ready(left) = leaves.as_mut().poll(&mut context) {
            return Some(left);
        }
    }
    None
}

#[test]
fn a_peer_that_leaves_while_its_answer_is_made_is_noticed() {
    let deadlines = Deadlines::new();
    let (_socket, watch, client) = answering(&deadlines);
    assert_eq!(told(&deadlines, &watch, || {}), None, "it is there");
    let end_sending = || client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(told(&deadlines, &watch, end_sending), Some(Presence::SendsNoMore));
    assert_eq!(told(&deadlines, &watch, || {}), Some(Presence::SendsNoMore), "it is told again");
    let (_socket, watch, client) = answering(&deadlines);
    let reset = || {
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
    };
    assert_eq!(told(&deadlines, &watch, reset), Some(Presence::Gone));
}

#[test]
fn our_own_end_of_receiving_is_not_taken_for_the_peers() {
    let deadlines = Deadlines::new();
    let (_socket, watch, client) = answering(&deadlines);
    assert_eq!(told(&deadlines, &watch, || watch.end(End::Receiving)), None);
    drop(client);
}

#[test]
fn the_first_sweep_does_not_look() {
    let deadlines = Deadlines::new();
    let (_socket, watch, client) = answering(&deadlines);
    drop(client);
    let mut context = Context::from_waker(Waker::noop());
    let mut leaves = pin!(watch.peer_leaves());
    for _ in 0..100 {
        watch.stop();
        end_passed(&deadlines, Moment::now());
        assert!(leaves.as_mut().poll(&mut context).is_pending(), "each answer is a quick one");
    }
}

#[test]
fn what_is_held_counts_until_the_wait_is_over() {
    let deadlines = Deadlines::new();
    let watch = deadlines.watch(Ending::Ring(Weak::new()));
    watch.wait(Waiting::Request, Duration::from_secs(1));
    watch.hold(10_000);
    watch.hold(20_000);
    assert_eq!(deadlines.held_bytes(), 20_000, "it has grown");
    watch.stop();
    assert_eq!(deadlines.held_bytes(), 0);
}

#[test]
fn a_deadline_passes_once_and_only_while_it_is_set() {
    let deadlines = Deadlines::new();
    let watch = deadlines.watch(Ending::Ring(Weak::new()));
    let later = Moment::now().after(Duration::from_secs(9));
    watch.wait(Waiting::Peer, Duration::from_secs(10));
    end_passed(&deadlines, later);
    watch.stop();
    end_passed(&deadlines, later.after(Duration::from_secs(9)));
    assert!(!watch.has_passed(End::Both) && !watch.has_passed(End::Receiving));
}
