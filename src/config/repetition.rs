//! How many similar records pass, from code and the environment.

use crate::finding::kind;
use std::fmt;
use std::time::Duration;

use log::Level;

use super::SettingSource;
use super::resolve::{Resolver, split_unit};
use super::time::bounded;
use crate::error::Error;

const VARIABLE: &str = "LOGBRIDGE_REPETITION";

/// How many similar records are sent: of one callsite at most so many in a window of time.
///
/// Similar are records of the same callsite: target, level, file and line; for a record without a location, the same
/// target, level and text. What a window does not let through is not sent and not shown by the debug mirror. It is
/// counted ([`OtlpCounters::repeated`](crate::OtlpCounters::repeated)), and told by one record when the window ends, at a
/// flush and at the end of the process: `812 similar records suppressed`, with the target, severity and location of those
/// it stands for, and the number as attribute `logbridge.suppressed`. The console prints all of them.
///
/// All levels but FATAL count alike: it is warnings and errors that come in floods, when what a service needs is down, and
/// the first ones of each window say what the others would. [`exempt`](Self::exempt) lets levels through as they come.
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
    /// `None` for as many as come.
    limit: Option<RepetitionLimit>,
}

/// A limit that was decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RepetitionLimit {
    pub(crate) records: u64,
    pub(crate) window: Duration,
    /// From this severity number on, records pass in any case.
    pub(crate) exempt: Option<u8>,
}

impl Repetition {
    /// Lets so many similar records through in a window that begins with the first of them. None, and no time, make
    /// `try_init` return an error.
    pub fn at_most(records: u64, window: Duration) -> Self {
        Self { limit: Some(RepetitionLimit { records, window, exempt: None }) }
    }

    /// Lets all of them through, whatever the environment says.
    pub fn off() -> Self {
        Self { limit: None }
    }

    /// Lets records at this level and above through in any case. Default: none but FATAL.
    pub fn exempt(mut self, level: Level) -> Self {
        if let Some(limit) = &mut self.limit {
            limit.exempt = Some(crate::otlp::severity_number(level));
        }
        self
    }
}

impl RepetitionLimit {
    /// Whether records at that level pass in any case.
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
                    .with_help("levels cut all records of a target; this needs at least one in a window above 0"));
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
            let problem = format!("`{value}` is no number of records in a time, so all of them pass");
            self.add_error(
                &kind::BAD_VALUE,
                VARIABLE,
                &problem,
                "write such as 10/s, 100/60s, 5/500ms, 1000/5m, or off",
            );
            return (None, SettingSource::BuiltIn);
        }
        if let Some(limit) = limit {
            self.check_time(VARIABLE, limit.window);
        }
        (limit, SettingSource::Variable(VARIABLE))
    }
}

/// `10/s`, `100/60s`. A time without a unit could be seconds to one and milliseconds to another.
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
    use super::super::{BuilderSettings, Environment};
    use super::*;

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
    fn code_wins_and_cannot_let_nothing_through() {
        assert_eq!(resolve("10/s", Some(Repetition::off())), (None, vec![]));
        let code = Repetition::at_most(7, Duration::from_secs(1)).exempt(Level::Warn);
        assert_eq!(resolve("10/s", Some(code)).0.map(|limit| (limit.records, limit.exempt)), Some((7, Some(13))));
        for bad in [Repetition::at_most(0, Duration::from_secs(1)), Repetition::at_most(1, Duration::ZERO)] {
            let settings = BuilderSettings { repetition: Some(bad), ..BuilderSettings::default() };
            assert!(settings.resolve(&Environment::default()).is_err_and(|error| error.is_configuration()));
        }
    }
}
