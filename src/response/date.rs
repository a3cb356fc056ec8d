//! The value of the Date field, written anew only when the second changes.
//!
//! Takes seconds since 1970, gives 29 bytes. It does not know what time it is.

use std::io::Write;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use httpdate::HttpDate;

/// Bytes of an IMF-fixdate (RFC 9110 section 5.6.7).
pub const DATE_BYTES: usize = 29;

/// The text of the last second asked for. One for each lane.
#[derive(Clone, Debug)]
pub struct DateText {
    unix_seconds: u64,
    text: [u8; DATE_BYTES],
}

impl DateText {
    /// Holds the first second of 1970 until it is asked for another.
    #[must_use]
    pub const fn new() -> Self {
        Self { unix_seconds: 0, text: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }

    /// The IMF-fixdate of this second (RFC 9110 section 5.6.7): always [`DATE_BYTES`] bytes, as the
    /// Date field wants it. Past the year 9999 it stays at that year's last second.
    pub fn at(&mut self, unix_seconds: u64) -> &[u8] {
        if unix_seconds != self.unix_seconds {
            self.unix_seconds = unix_seconds;
            self.renew();
        }
        &self.text
    }

    #[cold]
    fn renew(&mut self) {
        // httpdate panics on a later time.
        let unix_seconds = self.unix_seconds.min(UNIX_SECONDS_MAX);
        let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(unix_seconds));
        let written = write!(self.text.as_mut_slice(), "{date}");
        debug_assert!(written.is_ok(), "an IMF-fixdate has 29 bytes");
    }
}

/// 9999-12-31 23:59:59, the last second with a year of four digits.
const UNIX_SECONDS_MAX: u64 = 253_402_300_799;

impl Default for DateText {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_at(date: &mut DateText, unix_seconds: u64) -> String {
        String::from_utf8(date.at(unix_seconds).to_vec()).unwrap()
    }

    #[test]
    fn known_dates() {
        let mut date = DateText::new();
        assert_eq!(text_at(&mut date, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
        // The example of RFC 9110 section 5.6.7.
        assert_eq!(text_at(&mut date, 784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(text_at(&mut date, 951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(text_at(&mut date, UNIX_SECONDS_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(text_at(&mut date, u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(text_at(&mut date, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn the_text_is_kept_within_a_second_and_renewed_after_it() {
        let mut date = DateText::new();
        date.at(784_111_777);
        date.text[0] = b'!';
        assert_eq!(date.at(784_111_777)[0], b'!');
        assert_eq!(text_at(&mut date, 784_111_778), "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
