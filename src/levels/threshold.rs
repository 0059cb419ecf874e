//! Thresholds: not set, off, or a level.

use std::fmt;
use std::str::FromStr;

use log::{Level, LevelFilter};

/// The least severe level of a target that passes.
///
/// The meaning of `NotSet` depends on the stage. At the module stage, a target inherits from the next shorter target,
/// and an unset root means WARN. At a destination, every record that passed the module stage passes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // The scale is complete.
pub enum Threshold {
    /// No threshold is set.
    #[default]
    NotSet,
    /// Nothing passes.
    Off,
    /// Only ERROR passes.
    Error,
    /// WARN and ERROR pass.
    Warn,
    /// INFO and above pass.
    Info,
    /// DEBUG and above pass.
    Debug,
    /// Everything passes.
    Trace,
}

impl Threshold {
    /// The meaning of `NotSet` at the root of the module stage.
    pub const ROOT_NOT_SET: Self = Self::Warn;

    /// Returns `true` if this is [`Threshold::NotSet`].
    #[must_use]
    pub fn is_not_set(self) -> bool {
        self == Self::NotSet
    }

    /// Returns whether a record of this level passes, or `None` if the threshold is not set.
    #[must_use]
    pub fn allows(self, level: Level) -> Option<bool> {
        self.filter().map(|filter| level <= filter)
    }

    /// Returns the threshold as a filter of `log`, or `None` if it is not set.
    #[must_use]
    pub fn filter(self) -> Option<LevelFilter> {
        match self {
            Self::NotSet => None,
            Self::Off => Some(LevelFilter::Off),
            Self::Error => Some(LevelFilter::Error),
            Self::Warn => Some(LevelFilter::Warn),
            Self::Info => Some(LevelFilter::Info),
            Self::Debug => Some(LevelFilter::Debug),
            Self::Trace => Some(LevelFilter::Trace),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotSet => "NOTSET",
            Self::Off => "OFF",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        })
    }
}

/// The error of parsing a [`Threshold`] from text that is not a level.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ParseThresholdError;

impl fmt::Display for ParseThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a level: the levels are notset, off, error, warn, info, debug and trace")
    }
}

impl std::error::Error for ParseThresholdError {}

impl FromStr for Threshold {
    type Err = ParseThresholdError;

    /// Parses the levels of env_logger in any case, and `warning` and `notset`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("notset") {
            return Ok(Self::NotSet);
        }
        if text.eq_ignore_ascii_case("warning") {
            return Ok(Self::Warn);
        }
        text.parse::<LevelFilter>().map(Self::from).map_err(|_| ParseThresholdError)
    }
}

impl From<LevelFilter> for Threshold {
    fn from(filter: LevelFilter) -> Self {
        match filter {
            LevelFilter::Off => Self::Off,
            LevelFilter::Error => Self::Error,
            LevelFilter::Warn => Self::Warn,
            LevelFilter::Info => Self::Info,
            LevelFilter::Debug => Self::Debug,
            LevelFilter::Trace => Self::Trace,
        }
    }
}

impl From<Level> for Threshold {
    fn from(level: Level) -> Self {
        Self::from(level.to_level_filter())
    }
}

impl From<tracing_core::Level> for Threshold {
    fn from(level: tracing_core::Level) -> Self {
        Self::from(tracing_core::LevelFilter::from_level(level))
    }
}

impl From<tracing_core::LevelFilter> for Threshold {
    fn from(filter: tracing_core::LevelFilter) -> Self {
        match filter.into_level() {
            None => Self::Off,
            Some(level) => Self::from(from_tracing(level)),
        }
    }
}

/// Converts a level of tracing to one of `log`.
pub(crate) fn from_tracing(level: tracing_core::Level) -> Level {
    match level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}

/// Converts a filter of `log` to one of tracing.
pub(crate) fn to_tracing(filter: LevelFilter) -> tracing_core::LevelFilter {
    match filter {
        LevelFilter::Off => tracing_core::LevelFilter::OFF,
        LevelFilter::Error => tracing_core::LevelFilter::ERROR,
        LevelFilter::Warn => tracing_core::LevelFilter::WARN,
        LevelFilter::Info => tracing_core::LevelFilter::INFO,
        LevelFilter::Debug => tracing_core::LevelFilter::DEBUG,
        LevelFilter::Trace => tracing_core::LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_parse_in_any_case() {
        for (word, threshold) in [
            ("OFF", Threshold::Off),
            ("error", Threshold::Error),
            ("Warn", Threshold::Warn),
            ("WARNING", Threshold::Warn),
            ("info", Threshold::Info),
            ("dEbUg", Threshold::Debug),
            ("trace", Threshold::Trace),
            ("NotSet", Threshold::NotSet),
        ] {
            assert_eq!(word.parse(), Ok(threshold), "{word}");
        }
        for word in ["", "inof", "none", "6", " info"] {
            assert_eq!(word.parse::<Threshold>(), Err(ParseThresholdError), "{word}");
        }
    }

    #[test]
    fn both_facades_convert() {
        assert_eq!(Threshold::from(Level::Debug), Threshold::Debug);
        assert_eq!(Threshold::from(LevelFilter::Off), Threshold::Off);
        assert_eq!(Threshold::from(tracing_core::Level::TRACE), Threshold::Trace);
        assert_eq!(Threshold::from(tracing_core::LevelFilter::OFF), Threshold::Off);
        for filter in LevelFilter::iter() {
            assert_eq!(Threshold::from(to_tracing(filter)), Threshold::from(filter));
        }
    }
}
