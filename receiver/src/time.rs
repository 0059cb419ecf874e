//! Rounds durations for display.

use std::time::Duration;

/// Truncates a duration so that `Debug` shows at most three digits, or whole seconds if there are more than 999.
pub(super) fn three_digits(duration: Duration) -> Duration {
    let nanos = duration.as_nanos();
    let magnitude = nanos.checked_ilog10().unwrap_or(0);
    // At most 9, so that all digits of whole seconds stay.
    let unit = 10_u128.pow(magnitude.saturating_sub(2).min(9));
    let nanos = nanos - nanos % unit;
    Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let shown = |nanos| format!("{:?}", three_digits(Duration::from_nanos(nanos)));
        assert_eq!([shown(0), shown(999), shown(999_999)], ["0ns", "999ns", "999µs"]);
        assert_eq!([shown(1_000_999), shown(1_239_567), shown(12_345_678)], ["1ms", "1.23ms", "12.3ms"]);
        assert_eq!([shown(999_999_999), shown(1_999_999_999), shown(61_000_999_999)], ["999ms", "1.99s", "61s"]);
        assert_eq!([shown(123_456_000_000_000), shown(u64::MAX)], ["123456s", "18446744073s"]);
    }
}
