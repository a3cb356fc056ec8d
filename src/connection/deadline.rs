//! The watch over all connections of a lane: until when each of them waits, how much memory it
//! holds meanwhile, and whether its peer has left while nothing was pending on its socket. One
//! structure, one timer.
//!
//! Setting a deadline is two stores. A task of the lane sweeps over all of them every
//! [`DEADLINE_TICK`] and ends the connections whose time is over, or some of those that hold memory
//! when all hold too much, by shutting their socket down, so that the pending operation completes:
//! a pending receive must never be dropped, as it would swallow the next bytes. With no connection
//! open nothing ticks.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;

use crate::clock::Moment;
use crate::limits::DEADLINE_TICK;
use crate::limits::EXPIRE_BATCH_MAX;
use crate::limits::SHORTAGE_NOTICE_TIME;
use crate::limits::UNCOUNTED_BYTES_MAX;
use crate::uring::Io;
use crate::uring::socket::End;
use crate::uring::socket::Ending;
use crate::uring::socket::Presence;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The first byte of a request.
    Idle,
    /// The rest of a head or a body.
    Request,
    /// Room in the socket, or the peer's end.
    Peer,
    /// Nothing of the peer: the answer is being made.
    Nothing,
}

/// The watches of a lane.
pub struct Deadlines {
    watches: RefCell<Slab<Rc<Clockwork>>>,
    first_watch: Notify,
    /// The sum over all watches.
    held_bytes: Cell<usize>,
}

/// One connection's deadline. Ends with the connection.
pub struct Watch {
    clockwork: Rc<Clockwork>,
    key: usize,
    deadlines: Rc<Deadlines>,
}

struct Clockwork {
    waiting: Cell<Waiting>,
    due: Cell<Moment>,
    /// Bytes held while it waits.
    held_bytes: Cell<usize>,
    /// What a deadline has ended. It stays ended, so this is never taken back.
    passed: Cell<Option<End>>,
    /// Whether we have ended the receiving, so that it says nothing of the peer.
    receiving: Cell<Receiving>,
    /// The task that wants to know when its peer leaves.
    listener: Cell<Option<Waker>>,
    /// How it ends when the lane is cut.
    cut: Cell<Cut>,
    left: Cell<Option<Presence>>,
    ending: Ending,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The framing of what it sends says that something is missing.
    End,
    /// Only a reset does.
    Reset,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Receiving {
    GoesOn,
    Ended,
}

impl Deadlines {
    /// No watches yet.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            watches: RefCell::new(Slab::new()),
            first_watch: Notify::new(),
            held_bytes: Cell::new(0),
        })
    }

    /// Begins to watch over a connection.
    #[must_use]
    pub fn watch(self: &Rc<Self>, ending: Ending) -> Watch {
        let clockwork = Rc::new(Clockwork {
            waiting: Cell::new(Waiting::Nothing),
            due: Cell::new(Moment::NEVER),
            held_bytes: Cell::new(0),
            passed: Cell::new(None),
            receiving: Cell::new(Receiving::GoesOn),
            listener: Cell::new(None),
            cut: Cell::new(Cut::End),
            left: Cell::new(None),
            ending,
        });
        let mut watches = self.watches.borrow_mut();
        if watches.is_empty() {
            self.first_watch.notify_one();
        }
        let key = watches.insert(Rc::clone(&clockwork));
        Watch { clockwork, key, deadlines: Rc::clone(self) }
    }

    /// Sweeps for ever. The lane runs this as a task of its own. `held_bytes_max` is how much the
    /// connections may hold together, `io` what the lane waits on.
    pub async fn sweep(self: Rc<Self>, held_bytes_max: usize, io: Io) {
        let mut notice_due = Moment::now();
        loop {
            if self.watches.borrow().is_empty() {
                self.first_watch.notified().await;
            }
            tokio::time::sleep(DEADLINE_TICK).await;
            let now = Moment::now();
            let passed = self.passed(now);
            expire_in_turns(&passed, io).await;
            let holders = self.holders(held_bytes_max);
            expire_in_turns(&holders, io).await;
            let ended = holders.len();
            if ended > 0 && now >= notice_due {
                notice_due = now.after(SHORTAGE_NOTICE_TIME);
                tracing::warn!(ended, "connections hold too much memory: the slowest ones end");
            }
        }
    }

    /// Bytes that the connections hold together while they wait for their peers.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.get()
    }

    /// Looks at the peers that nobody listens to, and gives the connections whose time is over,
    /// each with the moment that has passed.
    fn passed(&self, now: Moment) -> Vec<Expiry> {
        let mut passed = Vec::new();
        for (_, watch) in self.watches.borrow().iter() {
            match watch.waiting.get() {
                Waiting::Nothing => watch.look_at_peer(now),
                _ if watch.due.get() <= now => passed.push(Expiry::of(watch)),
                _ => {}
            }
        }
        passed
    }

    /// Ends the connections that have been between two requests for longest, as if their time were
    /// over: at most `count_max`, and half of those that there are, lest one that has just come is
    /// ended before its first request. Gives how many those were.
    pub fn end_longest_idle(&self, count_max: usize) -> usize {
        let watches = self.watches.borrow();
        let mut idle = waiting(&watches, |watch| watch.waiting.get() == Waiting::Idle);
        let count = count_max.min(idle.len().div_ceil(2));
        if (1..idle.len()).contains(&count) {
            // All wait equally long, so whose deadline is nearest has waited longest.
            idle.select_nth_unstable_by_key(count - 1, |watch| watch.due.get());
        }
        idle.truncate(count);
        for watch in &idle {
            watch.expire();
        }
        idle.len()
    }

    /// The connections to end so that the others hold no more memory than this together: those
    /// that hold some and are nearest to their deadline.
    fn holders(&self, held_bytes_max: usize) -> Vec<Expiry> {
        let mut excess_bytes = self.held_bytes.get().saturating_sub(held_bytes_max);
        if excess_bytes == 0 {
            return Vec::new();
        }
        let watches = self.watches.borrow();
        let mut holders = waiting(&watches, |watch| watch.held_bytes.get() > 0);
        holders.sort_unstable_by_key(|watch| watch.due.get());
        let needed = holders.into_iter().take_while(|watch| {
            let is_needed = excess_bytes > 0;
            excess_bytes = excess_bytes.saturating_sub(watch.held_bytes.get());
            is_needed
        });
        needed.map(Expiry::of).collect()
    }

    /// Ends every connection that is between two requests.
    pub fn end_idle(&self) {
        for (_, watch) in self.watches.borrow().iter() {
            if watch.waiting.get() == Waiting::Idle {
                watch.end();
            }
        }
    }

    /// Ends every connection, whatever it is doing: now, or by a reset when its socket closes.
    pub fn end_all(&self) {
        for (_, watch) in self.watches.borrow().iter() {
            match watch.cut.get() {
                Cut::End => watch.ending.end(End::Both),
                Cut::Reset => watch.ending.reset_on_close(),
            }
        }
    }
}

/// A connection that is to end, unless it has come further since.
struct Expiry {
    watch: Rc<Clockwork>,
    due: Moment,
}

impl Expiry {
    fn of(watch: &Rc<Clockwork>) -> Self {
        Self { watch: Rc::clone(watch), due: watch.due.get() }
    }

    fn end(&self) {
        if self.watch.due.get() == self.due && self.due < Moment::NEVER {
            self.watch.expire();
        }
    }
}

/// Ends connections, a few in each turn of the lane: thousands may have begun in the same moment.
async fn expire_in_turns(expiries: &[Expiry], io: Io) {
    for batch in expiries.chunks(EXPIRE_BATCH_MAX) {
        batch.iter().for_each(Expiry::end);
        io.give_way().await;
    }
}

/// Those that have a deadline, and are as they should be.
fn waiting(
    watches: &Slab<Rc<Clockwork>>,
    is_meant: impl Fn(&Clockwork) -> bool,
) -> Vec<&Rc<Clockwork>> {
    let waiting = watches.iter().map(|(_, watch)| watch);
    waiting.filter(|watch| watch.due.get() < Moment::NEVER && is_meant(watch)).collect()
}

impl Clockwork {
    /// The time is over.
    fn expire(&self) {
        self.due.set(Moment::NEVER);
        self.passed.set(Some(self.end()));
    }

    /// Nothing is pending on the socket while an answer is being made, so somebody must look: from
    /// the second sweep on that finds the connection so, as most answers take less time.
    fn look_at_peer(&self, now: Moment) {
        if self.due.get() == Moment::NEVER {
            self.due.set(now);
            return;
        }
        let Some(listener) = self.listener.take() else { return };
        let left = match self.ending.presence() {
            Presence::Gone => Presence::Gone,
            Presence::SendsNoMore if self.receiving.get() == Receiving::GoesOn => {
                Presence::SendsNoMore
            }
            Presence::SendsNoMore | Presence::There => return self.listener.set(Some(listener)),
        };
        self.left.set(Some(left));
        listener.wake();
    }

    fn end(&self) -> End {
        let end = match self.waiting.get() {
            // A peer that is late can still read the 408, and a request that arrived in this very
            // moment is still received and answered.
            Waiting::Request | Waiting::Idle => End::Receiving,
            Waiting::Peer | Waiting::Nothing => End::Both,
        };
        self.end_now(end);
        end
    }

    fn end_now(&self, end: End) {
        if end != End::Sending {
            self.receiving.set(Receiving::Ended);
        }
        self.ending.end(end);
    }
}

impl Watch {
    /// The connection waits for this, at most so long.
    pub fn wait(&self, waiting: Waiting, wait_max: Duration) {
        self.wait_until(waiting, Moment::now().after(wait_max));
    }

    /// The connection waits for this, until this moment.
    pub fn wait_until(&self, waiting: Waiting, due: Moment) {
        self.clockwork.waiting.set(waiting);
        self.clockwork.due.set(due);
    }

    /// Until the end of the wait the connection holds so many bytes.
    pub fn hold(&self, bytes: usize) {
        let bytes = if bytes > UNCOUNTED_BYTES_MAX { bytes } else { 0 };
        let before = self.clockwork.held_bytes.replace(bytes);
        if bytes != before {
            let all = &self.deadlines.held_bytes;
            all.set(all.get() - before + bytes);
        }
    }

    /// The connection no longer waits for the peer.
    pub fn stop(&self) {
        self.clockwork.waiting.set(Waiting::Nothing);
        self.clockwork.due.set(Moment::NEVER);
        self.hold(0);
    }

    /// Ends one or both directions, as the socket itself would: what the peer does is told from it.
    pub fn end(&self, end: End) {
        self.clockwork.end_now(end);
    }

    /// From here on the connection's end is the only mark of the end of what is sent: an end that
    /// comes too early has to be a reset.
    pub fn cut_by_reset(&self) {
        self.clockwork.cut.set(Cut::Reset);
    }

    /// All of that has been handed to the kernel, which sends it also when the lane is cut.
    pub fn cut_by_end(&self) {
        self.clockwork.cut.set(Cut::End);
    }

    /// Waits until the sweep sees that the peer has left, wholly or perhaps only with its sending;
    /// that is told again by each sweep. Never ends while the peer is there.
    pub async fn peer_leaves(&self) -> Presence {
        // What was seen before this wait may have been of an earlier request.
        self.clockwork.left.set(None);
        poll_fn(|context| match self.clockwork.left.take() {
            Some(left) => Poll::Ready(left),
            None => {
                self.clockwork.listener.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    /// Whether a deadline, and not the peer, has ended this. A request that came in the very moment
    /// in which receiving was ended still has all its time to be answered.
    #[must_use]
    pub fn has_passed(&self, end: End) -> bool {
        self.clockwork.passed.get() == Some(end)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
        self.deadlines.watches.borrow_mut().remove(self.key);
    }
}

#[cfg(test)]
mod tests;
