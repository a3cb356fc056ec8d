//! Which version of which file: what tells one from another without reading it.
//!
//! Taken from fstat(2), it is compared, and made into the stem of an entity tag. It knows nothing
//! of answers.

use rustix::fs::Stat;

use crate::clock;
use crate::limits::FILE_SETTLE_TIME;

/// What changes when a file does: device, inode, size, modification and status-change times in
/// nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// Fri, 31 Dec 9999 23:59:59 GMT: the year of an IMF-fixdate has four digits (RFC 9110 section
/// 5.6.7), and httpdate panics at a fifth.
const HTTP_DATE_SECONDS_MAX: u64 = 253_402_300_799;

impl Identity {
    /// The identity in what fstat(2) says.
    #[must_use]
    pub(super) fn of(stat: &Stat) -> Self {
        let nanoseconds =
            |seconds: i64, part: u64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Whether the same open file had the same bytes at both moments.
    pub(super) fn has_the_bytes_of(self, earlier: Self) -> bool {
        (self.size_bytes, self.modified_ns) == (earlier.size_bytes, earlier.modified_ns)
    }

    /// Bytes of the file.
    #[must_use]
    pub(super) const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether somebody may be writing this version just now, as far as times tell. The clock of a
    /// file may be a tick ahead of ours; one that claims to be from the future is believed nothing.
    pub(super) fn is_settling(&self) -> bool {
        let age_ns = clock::unix_nanoseconds() - self.modified_ns;
        age_ns.unsigned_abs() < FILE_SETTLE_TIME.as_nanos()
    }

    /// Within what a date of HTTP can say: a file may claim to be from any year.
    pub(super) fn modified_unix_seconds(&self) -> u64 {
        let seconds = (self.modified_ns / 1_000_000_000).clamp(0, HTTP_DATE_SECONDS_MAX.into());
        u64::try_from(seconds).unwrap_or(HTTP_DATE_SECONDS_MAX)
    }

    /// Whether a file with this time was modified before the one with the other, as far as its time
    /// tells: some programs give what they make of a file its time, without the nanoseconds or a
    /// part of them.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        let steps_ns = [1_000_000_000, 1_000_000, 1_000];
        let is_whole = |step_ns: &i128| self.modified_ns.rem_euclid(*step_ns) == 0;
        let step_ns = steps_ns.into_iter().find(is_whole).unwrap_or(1);
        self.modified_ns < other.modified_ns - other.modified_ns.rem_euclid(step_ns)
    }

    /// The modification time in nanoseconds and the size, in hexadecimal: the stem of a strong
    /// entity tag. The same on every lane and after a restart; the same on another machine that
    /// keeps the times. Neither inode nor device, which differ between machines, nor the content,
    /// which would have to be read.
    pub(super) fn tag(&self) -> String {
        format!("{:x}-{:x}", self.modified_ns, self.size_bytes)
    }
}

#[cfg(test)]
impl Identity {
    /// Of a file of this size and time, for the tests of this room.
    pub(super) const fn of_parts(size_bytes: u64, modified_ns: i128) -> Self {
        Self { device: 1, inode: 1, size_bytes, modified_ns, changed_ns: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_just_now_may_still_be_being_written() {
        let settle_ns = i128::try_from(FILE_SETTLE_TIME.as_nanos()).unwrap();
        let at = |age_ns: i128| Identity::of_parts(0, clock::unix_nanoseconds() - age_ns);
        assert!(at(0).is_settling());
        assert!(at(-settle_ns / 2).is_settling(), "its clock is ahead of ours");
        assert!(!at(settle_ns).is_settling());
        assert!(!at(i128::from(i64::MAX) / 2).is_settling());
        assert!(!at(-3_600_000_000_000).is_settling(), "from the future");
    }

    #[test]
    fn times_are_compared_as_exactly_as_both_are_told() {
        const FILE: i128 = 1_700_000_000_987_654_321;
        for (sidecar, is_older) in [
            (FILE + 1, false),
            (FILE, false),
            (FILE - 1, true),
            (FILE - 321, false),
            (FILE - 654_321, false),
            (FILE - 987_654_321, false),
            (FILE - 1_321, true),
            (FILE - 1_654_321, true),
            (FILE - 1_987_654_321, true),
        ] {
            let older = Identity::of_parts(0, sidecar).is_older_than(&Identity::of_parts(0, FILE));
            assert_eq!(older, is_older, "{sidecar}");
        }
    }
}
