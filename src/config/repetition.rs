//! The limit on similar records.

use std::fmt;
use std::time::Duration;

use log::Level;

use super::resolver::{Resolver, split_unit};
use super::setting::SettingSource;
use super::time::bounded;
use crate::error::Error;
use crate::finding::kind;

const VARIABLE: &str = "LOGBRIDGE_REPETITION";

/// A limit on how many similar records are sent within a time window.
///
/// Records are similar if they come from the same callsite: the same target, level, file and line. Records without a
/// location are similar if target, level and text are equal.
///
/// Records above the limit are neither sent nor shown by the debug mirror. They are counted
/// ([`OtlpCounters::repeated`](crate::OtlpCounters::repeated)). At the end of the window, at a flush and at the end of
/// the process, one record reports their number: `812 similar records suppressed`. It has their target, severity and
/// location, and the number as the attribute `logbridge.suppressed`. The console prints all records.
///
/// The limit applies to all levels except FATAL. Floods usually consist of warnings and errors, and the first records
/// of a window are as informative as the others. Use [`exempt`](Self::exempt) to send all records at or above a level.
///
/// Default: no limit. Environment variable: `LOGBRIDGE_REPETITION`, such as `10/s`, `100/60s` or `off`.
///
/// ```
/// use std::time::Duration;
///
/// use logbridge::{Level, Repetition};
///
/// let repetition = Repetition::at_most(100, Duration::from_secs(60)).exempt(Level::Error);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "pass it to `Builder::repetition`"]
pub struct Repetition {
    /// `None` means no limit.
    limit: Option<RepetitionLimit>,
}

/// A resolved limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RepetitionLimit {
    pub(crate) records: u64,
    pub(crate) window: Duration,
    /// Records at or above this severity number always pass.
    pub(crate) exempt: Option<u8>,
}

impl Repetition {
    /// Sends at most `records` similar records within `window`, which begins with the first of them.
    ///
    /// A window of more than a year means one year. If `records` or `window` is zero,
    /// [`try_init`](crate::Builder::try_init) returns an error.
    pub fn at_most(records: u64, window: Duration) -> Self {
        Self { limit: Some(RepetitionLimit { records, window, exempt: None }) }
    }

    /// Sends all records, regardless of the environment.
    pub fn off() -> Self {
        Self { limit: None }
    }

    /// Exempts records at or above this level from the limit. Default: only FATAL is exempt.
    pub fn exempt(mut self, level: Level) -> Self {
        if let Some(limit) = &mut self.limit {
            limit.exempt = Some(crate::otlp::severity_number(level));
        }
        self
    }
}

impl RepetitionLimit {
    /// Returns whether records at this level always pass.
    pub(crate) fn is_exempt(self, level: Level) -> bool {
        self.exempt.is_some_and(|exempt| crate::otlp::severity_number(level) >= exempt)
    }
}

impl fmt::Display for RepetitionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?}", self.records, self.window)
    }
}

impl Resolver<'_> {
    pub(super) fn repetition(&mut self, code: Option<Repetition>) -> Result<Option<RepetitionLimit>, Error> {
        let (limit, source) = match code {
            Some(Repetition { limit: Some(limit) }) if limit.records == 0 || limit.window.is_zero() => {
                return Err(Error::configuration(format!("`Repetition::at_most`: {limit} lets nothing through"))
                    .with_help(
                        "set at least one record and a window above 0; a level of off filters all records of a target",
                    ));
            }
            Some(Repetition { limit }) => (limit, SettingSource::Code),
            None => self.repetition_of_environment(),
        };
        let limit = limit.map(|limit| RepetitionLimit { window: bounded(limit.window), ..limit });
        self.add_setting("similar records", limit.map_or_else(|| "all".to_owned(), |limit| limit.to_string()), source);
        Ok(limit)
    }

    fn repetition_of_environment(&mut self) -> (Option<RepetitionLimit>, SettingSource) {
        let Some(value) = self.environment.get(VARIABLE) else { return (None, SettingSource::BuiltIn) };
        if ["off", "none"].iter().any(|off| value.eq_ignore_ascii_case(off)) {
            return (None, SettingSource::Variable(VARIABLE));
        }
        let limit = parse(value);
        if limit.is_none() {
            let problem = format!("`{value}` is not a number of records per duration, so it is ignored");
            self.add_error(
                &kind::BAD_VALUE,
                VARIABLE,
                &problem,
                "write a limit such as 10/s, 100/60s, 5/500ms or 1000/5m, or write off",
            );
            return (None, SettingSource::BuiltIn);
        }
        if let Some(limit) = limit {
            self.check_duration(VARIABLE, limit.window);
        }
        (limit, SettingSource::Variable(VARIABLE))
    }
}

/// Parses `10/s` or `100/60s`. The unit is required, because a bare number could mean seconds or milliseconds.
fn parse(value: &str) -> Option<RepetitionLimit> {
    let (records, window) = value.split_once('/')?;
    let records = records.trim().parse().ok().filter(|records| *records > 0)?;
    let (number, unit) = split_unit(window.trim());
    let number = if number.is_empty() { 1 } else { number.parse::<u64>().ok()? };
    let window = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" | "min" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3_600)?),
        _ => return None,
    };
    (!window.is_zero()).then_some(RepetitionLimit { records, window, exempt: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BuilderSettings, Environment};

    fn resolve(value: &str, code: Option<Repetition>) -> (Option<RepetitionLimit>, Vec<&'static str>) {
        let settings = BuilderSettings { repetition: code, ..BuilderSettings::default() };
        let config = settings.resolve(&Environment::from([(VARIABLE, value)])).unwrap();
        (config.repetition, config.findings.iter().map(|finding| finding.name).collect())
    }

    fn limit(records: u64, millis: u64) -> Option<RepetitionLimit> {
        Some(RepetitionLimit { records, window: Duration::from_millis(millis), exempt: None })
    }

    #[test]
    fn a_number_and_a_time() {
        for (value, expected) in [
            ("10/s", limit(10, 1_000)),
            ("100/60s", limit(100, 60_000)),
            (" 5 / 500ms ", limit(5, 500)),
            ("1000/5m", limit(1_000, 300_000)),
            ("1/h", limit(1, 3_600_000)),
            ("", None),
            ("off", None),
        ] {
            assert_eq!(resolve(value, None), (expected, vec![]), "{value}");
        }
        for bad in ["10", "0/s", "10/0s", "ten/s", "10/60", "10/x", "10/", "-1/s", "1/99999999999999999999s"] {
            assert_eq!(resolve(bad, None), (None, vec!["bad-value"]), "{bad}");
        }
    }

    #[test]
    fn code_wins_and_a_limit_of_zero_is_an_error() {
        assert_eq!(resolve("10/s", Some(Repetition::off())), (None, vec![]));
        let code = Repetition::at_most(7, Duration::from_secs(1)).exempt(Level::Warn);
        assert_eq!(resolve("10/s", Some(code)).0.map(|limit| (limit.records, limit.exempt)), Some((7, Some(13))));
        for bad in [Repetition::at_most(0, Duration::from_secs(1)), Repetition::at_most(1, Duration::ZERO)] {
            let settings = BuilderSettings { repetition: Some(bad), ..BuilderSettings::default() };
            assert!(settings.resolve(&Environment::default()).is_err_and(|error| error.is_configuration()));
        }
    }
}
