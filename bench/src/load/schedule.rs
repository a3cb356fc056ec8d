//! Fixed moments at which requests are due, whatever the server does (no coordinated omission).
//!
//! It owns the timer that wakes the loop. It does not know who sends.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::unix::SourceFd;
use rustix::time::Itimerspec;
use rustix::time::TimerfdClockId;
use rustix::time::TimerfdFlags;
use rustix::time::TimerfdTimerFlags;
use rustix::time::Timespec;

/// Requests each second at most.
pub const RATE_MAX: f64 = 10_000_000.0;

/// The moments of a rate, from a start to an end.
#[derive(Clone, Debug)]
pub struct Schedule {
    start: Instant,
    end: Instant,
    rate: f64,
    number: u64,
}

impl Schedule {
    /// `rate` requests each second, 0 to [`RATE_MAX`], the first at `start`.
    #[must_use]
    pub const fn new(start: Instant, end: Instant, rate: f64) -> Self {
        Self { start, end, rate, number: 0 }
    }

    /// The next moment, or None behind the end.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let offset = Duration::try_from_secs_f64(self.number as f64 / self.rate).ok()?;
        self.start.checked_add(offset).filter(|moment| *moment < self.end)
    }

    /// Takes the next moment with its number, if it has come.
    pub fn take_due(&mut self, now: Instant) -> Option<(u64, Instant)> {
        let moment = self.next().filter(|moment| *moment <= now)?;
        let number = self.number;
        self.number += 1;
        Some((number, moment))
    }
}

/// A timerfd: epoll's own timeout knows milliseconds only.
#[derive(Debug)]
pub struct Timer {
    descriptor: OwnedFd,
}

impl Timer {
    /// Wakes the poll of `registry` under this token.
    ///
    /// # Errors
    ///
    /// As timerfd_create(2) and epoll_ctl(2).
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let number = descriptor.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&number), token, Interest::READABLE)?;
        Ok(Self { descriptor })
    }

    /// Wakes once, after this time. Setting it anew is what makes an expired one ready again.
    ///
    /// # Errors
    ///
    /// As timerfd_settime(2).
    pub fn wake_after(&self, wait: Duration) -> io::Result<()> {
        // Zero would switch it off.
        let wait = wait.max(Duration::from_nanos(1));
        let it_value = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Itimerspec { it_interval, it_value };
        rustix::time::timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &value)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_evenly_spread_and_end() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, start + Duration::from_millis(10), 400.0);
        assert_eq!(schedule.take_due(start), Some((0, start)));
        assert_eq!(schedule.take_due(start), None);
        let late = start + Duration::from_secs(1);
        let rest: Vec<_> = std::iter::from_fn(|| schedule.take_due(late)).collect();
        let expected = [2500, 5000, 7500].map(|us| start + Duration::from_micros(us));
        assert_eq!(rest.iter().map(|(_, moment)| *moment).collect::<Vec<_>>(), expected);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn the_timer_wakes_again_and_again() {
        let mut poll = mio::Poll::new().unwrap();
        let timer = Timer::new(poll.registry(), Token(7)).unwrap();
        let mut events = mio::Events::with_capacity(4);
        for wait in [Duration::ZERO, Duration::from_micros(300), Duration::ZERO] {
            timer.wake_after(wait).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [Token(7)]);
        }
    }
}
