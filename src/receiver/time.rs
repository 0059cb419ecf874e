//! Durations for a reader.

use std::time::Duration;

/// A duration of which `Debug` shows at most three decimals: the rest is cut off.
pub(super) fn three_decimals(duration: Duration) -> Duration {
    const MILLI: u32 = 1_000_000;
    let nanos = duration.subsec_nanos();
    let digit = match duration.as_secs() {
        0 if nanos < MILLI => 1,
        0 => 1_000,
        _ => MILLI,
    };
    Duration::new(duration.as_secs(), nanos - nanos % digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_decimals() {
        let shown = |nanos| format!("{:?}", three_decimals(Duration::from_nanos(nanos)));
        assert_eq!([shown(0), shown(999), shown(999_999)], ["0ns", "999ns", "999.999µs"]);
        assert_eq!([shown(1_000_999), shown(1_234_567)], ["1ms", "1.234ms"]);
        assert_eq!([shown(999_999_999), shown(61_000_999_999)], ["999.999ms", "61s"]);
        assert_eq!(shown(u64::MAX), "18446744073.709s");
    }
}
