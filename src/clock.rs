//! Conversion of system times to OTLP nanoseconds and to text.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the nanoseconds since the Unix epoch, at least 1, because OTLP reads 0 as an unknown time.
pub fn nanos(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// Displays nanoseconds since the Unix epoch as an RFC 3339 time in UTC, truncated to microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp(pub u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every `u64` is in jiff's range, which ends in the year 9999.
        let time = jiff::Timestamp::from_nanosecond(self.0.into()).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time:.6}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NANOS_OF_DAY: u64 = 86_400_000_000_000;

    #[test]
    fn times() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp(1_709_164_800_123_456_789).to_string(), "2024-02-29T00:00:00.123456Z");
        assert_eq!(Timestamp(1_732_147_199_999_999_999).to_string(), "2024-11-20T23:59:59.999999Z");
        assert_eq!(Timestamp(u64::MAX).to_string(), "2554-07-21T23:34:33.709551Z");
    }

    #[test]
    fn dates_follow_each_other() {
        let mut expected = (1970, 1, 1);
        for day in 0..u64::MAX / NANOS_OF_DAY {
            let (year, month, date) = expected;
            let text = Timestamp(day * NANOS_OF_DAY).to_string();
            assert_eq!(text, format!("{year:04}-{month:02}-{date:02}T00:00:00.000000Z"), "day {day}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (month, date) {
                (12, 31) => (year + 1, 1, 1),
                (_, date) if date == length => (year, month + 1, 1),
                _ => (year, month, date + 1),
            };
        }
    }
}
