//! Parsers of argument values that several subcommands share.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use log::{Level, LevelFilter};

use logbridge::internals::levels::Threshold;

/// Parses a duration with its unit.
///
/// # Errors
///
/// Returns a message if the number or the unit is missing. A bare number is ambiguous: `OTEL_*` variables are in
/// milliseconds, while a user would expect seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| "expected a duration such as 500ms, 30s or 5m".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "" => Err(format!("missing unit: write {number}s for seconds or {number}ms for milliseconds")),
        _ => Err(format!("unknown unit `{unit}`: expected a duration such as 500ms, 30s or 5m")),
    }
}

/// Parses the level of a record. `off` and `notset` are thresholds and therefore errors.
pub(super) fn level(word: &str) -> Result<Level, String> {
    let threshold = word.parse::<Threshold>().ok().and_then(|threshold| threshold.filter());
    threshold
        .as_ref()
        .and_then(LevelFilter::to_level)
        .ok_or_else(|| "expected error, warn, info, debug or trace".to_owned())
}

/// Parses an IP address to listen on; `localhost` is 127.0.0.1.
pub(super) fn listen_host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        text => text.parse().map_err(|_| "expected an IP address such as 127.0.0.1 or 0.0.0.0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!([duration("30s"), duration("2m")], [Ok(Duration::from_secs(30)), Ok(Duration::from_secs(120))]);
        assert_eq!(duration("5"), Err("missing unit: write 5s for seconds or 5ms for milliseconds".to_owned()));
        for wrong in ["", "s", "5h", "-5s", "1.5s", "5 s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
