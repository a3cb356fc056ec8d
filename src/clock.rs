//! Cheap time for a lane: the kernel's coarse clocks, read from the vDSO without a system call.
//!
//! Their step is that of the kernel's tick (1 to 4 ms), which is enough for deadlines, freshness
//! and dates. Measured: about 8 ns a reading against 20 ns and more for the fine clock.

use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// A moment on the coarse monotonic clock, in milliseconds since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// Later than every moment: "no deadline".
    pub const NEVER: Self = Self(u64::MAX);

    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        Self(time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000)
    }

    /// The moment this much later; saturates at [`Moment::NEVER`].
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Nanoseconds since 1970-01-01 UTC, as the times of files have them.
#[must_use]
pub fn unix_nanoseconds() -> i128 {
    let time = clock_gettime(ClockId::RealtimeCoarse);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// Whole seconds since 1970-01-01 UTC.
#[must_use]
pub fn unix_seconds() -> u64 {
    clock_gettime(ClockId::RealtimeCoarse).tv_sec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ordered_and_saturate() {
        let start = Moment::now();
        let later = start.after(Duration::from_millis(1500));
        assert!(later > start && later < Moment::NEVER);
        assert_eq!(later.since(start), Duration::from_millis(1500));
        assert_eq!(start.since(later), Duration::ZERO);
        assert_eq!(start.after(Duration::MAX), Moment::NEVER);
    }

    #[test]
    fn unix_seconds_agree_with_the_standard_library() {
        let fine = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!(fine.as_secs().abs_diff(unix_seconds()) <= 1);
    }
}
