//! The verbs of the command `logbridge`. Not part of the API: what it prints and how it is called is documented by
//! `logbridge help`, and the rest may change in any version.
//!
//! Constraints:
//! * What was asked for is on stdout, what is said beside it on stderr; a closed pipe stops nothing.
//! * Each verb says how it ended by a [`Verdict`].

mod doctor;
mod explain;
mod findings;
mod inlet;
mod listen;
mod listing;
mod replay;
mod run;
mod summary;
mod terminal;

pub(crate) use doctor::Doctor;
pub(crate) use explain::Explain;
pub(crate) use listen::Listen;
pub(crate) use replay::Replay;
pub(crate) use run::Run;

use std::time::Duration;

use log::{Level, LevelFilter};

use logbridge::internals::levels::Threshold;

/// How a verb ended, as an exit code says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) enum Verdict {
    /// Good.
    Good,
    /// Something is wrong with what was asked about.
    Wrong,
    /// It was asked in the wrong way.
    Usage,
}

impl Verdict {
    /// The exit code.
    #[must_use]
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Wrong => 1,
            Self::Usage => 2,
        }
    }

    /// Good only where this holds.
    fn good_if(is_good: bool) -> Self {
        if is_good { Self::Good } else { Self::Wrong }
    }
}

/// Why a verb could not even begin.
#[derive(Debug)]
struct Problem {
    text: String,
    help: String,
    verdict: Verdict,
}

impl Problem {
    /// With what was asked about.
    fn new(text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { text: text.into(), help: help.into(), verdict: Verdict::Wrong }
    }

    /// With how it was asked.
    fn usage(text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { verdict: Verdict::Usage, ..Self::new(text, help) }
    }

    fn tell(self) -> Verdict {
        terminal::error(&self.text, &self.help);
        self.verdict
    }
}

/// A number with its unit. Without one it is an error: it would be seconds to a person, and milliseconds in a variable.
fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| "write a time such as 500ms, 30s or 5m".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "" => Err(format!("it has no unit: write {number}s for seconds, or {number}ms for milliseconds")),
        _ => Err(format!("`{unit}` is no unit: write a time such as 500ms, 30s or 5m")),
    }
}

/// A level, as a person writes it.
fn level(word: &str) -> Result<Level, String> {
    let threshold = word.parse::<Threshold>().ok().and_then(|threshold| threshold.filter());
    threshold
        .as_ref()
        .and_then(LevelFilter::to_level)
        .ok_or_else(|| "a record is error, warn, info, debug or trace".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!([time("30s"), time("2m")], [Ok(Duration::from_secs(30)), Ok(Duration::from_secs(120))]);
        assert_eq!(time("5"), Err("it has no unit: write 5s for seconds, or 5ms for milliseconds".to_owned()));
        for wrong in ["", "s", "5h", "-5s", "1.5s", "5 s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
