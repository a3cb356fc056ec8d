//! How slowly a peer may send or read: a wait that bytes prolong. Pure.
//!
//! A bound on each wait alone lets a peer hold a connection for ever with one byte every 29
//! seconds. So a transfer has an end from its beginning, and each byte that moves puts it off by
//! what that byte may take at the slowest pace (mod_reqtimeout's MinRate is the same rule).

use std::time::Duration;

use crate::clock::Moment;
use crate::limits::BYTES_PER_SECOND_MIN;

/// One transfer: a request body, or what one answer sends at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    began: Moment,
    /// How long one wait may be, and the whole transfer without any byte.
    wait_max: Duration,
    bytes: u64,
}

impl Pace {
    /// A transfer that begins at `now`.
    pub(super) const fn new(now: Moment, wait_max: Duration) -> Self {
        Self { began: now, wait_max, bytes: 0 }
    }

    /// So many bytes have moved.
    pub(super) const fn moved(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// When a wait that begins at `now` is over, if no byte moves in it.
    pub(super) fn due(&self, now: Moment) -> Moment {
        let earned = Duration::from_millis(self.bytes.saturating_mul(1000) / BYTES_PER_SECOND_MIN);
        let whole = self.began.after(self.wait_max.saturating_add(earned));
        whole.min(now.after(self.wait_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    #[test]
    fn one_wait_is_bounded_however_fast_it_was_before() {
        let start = Moment::now();
        let mut pace = Pace::new(start, WAIT);
        pace.moved(u64::MAX);
        assert_eq!(pace.due(start), start.after(WAIT));
    }

    /// A peer that moves one byte in every second, at a bound that allows a wait of 30 seconds.
    #[test]
    fn a_dribble_ends_and_the_slowest_pace_does_not() {
        let start = Moment::now();
        let lasts = |bytes_per_second: u64| {
            let mut pace = Pace::new(start, WAIT);
            let mut now = start;
            for second in 1..10_000 {
                let due = pace.due(now);
                now = start.after(Duration::from_secs(second));
                if now >= due {
                    return second;
                }
                pace.moved(bytes_per_second);
            }
            10_000
        };
        assert_eq!(lasts(0), 30);
        assert_eq!(lasts(1), 31, "30 bytes are worth less than a tenth of a second");
        assert_eq!(lasts(BYTES_PER_SECOND_MIN / 2), 59, "half a second for each second");
        assert_eq!(lasts(BYTES_PER_SECOND_MIN), 10_000);
    }
}
