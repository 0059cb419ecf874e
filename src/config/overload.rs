//! The policy for a full outbox.

use std::fmt;
use std::time::Duration;

use super::resolver::{Resolver, split_unit};
use super::setting::SettingSource;
use super::time::bounded;
use crate::finding::{Finding, Severity, kind};

const VARIABLE: &str = "LOGBRIDGE_OVERLOAD";
/// The duration of `block` without an explicit one: long enough for one slow response of a collector, and short enough
/// that a request to the application does not time out.
const BLOCK: Duration = Duration::from_millis(500);

/// The policy for new records while the outbox is full.
///
/// The outbox fills up if the endpoint fails, or if records arrive faster than the endpoint accepts them. It is full
/// when it holds [`Builder::max_bytes`](crate::Builder::max_bytes) bytes, or `OTEL_BLRP_MAX_QUEUE_SIZE` records.
///
/// Dropped records are counted by reason, level and target ([`Report::dropped`](crate::Report::dropped)). They make the
/// next [`flush`](crate::Bridge::flush) return an error, and a notice on stderr reports them about once a minute.
///
/// Pending records are stored in segments of 1 MiB, or less if the outbox is small. To free space, a whole segment is
/// dropped, so the next records fit at once. The request being sent is never dropped.
///
/// Default: [`DropNewest`](Self::DropNewest). Environment variable: `LOGBRIDGE_OVERLOAD` (`drop-newest`, `drop-oldest`,
/// `drop-least-severe`, `block`, `block=500ms`). `Display` writes this format.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Overload {
    /// The calling thread waits for space, at most for this duration. Then the record is dropped.
    ///
    /// After one call has timed out, later calls drop their record at once until there is space again. A failed
    /// endpoint therefore delays each thread once, not on each call. If space is freed from time to time, each call
    /// waits.
    ///
    /// On a worker thread of an async runtime, all its tasks wait. On a current-thread runtime, everything waits,
    /// including a collector that runs in it.
    ///
    /// No call waits in an exit handler, after a shutdown, inside the formatting of another record, or in the console's
    /// writer. Zero never waits, and more than a year means one year.
    Block(Duration),
    /// Records below WARN are dropped first.
    ///
    /// When the outbox is three quarters full, new records below WARN are dropped. When it is full, a record at WARN or
    /// above replaces pending records below WARN, oldest first. It is dropped only if there are none.
    DropLeastSevere,
    /// The new record is dropped. The default: the first records of an incident explain it best, and this policy is the
    /// cheapest.
    #[default]
    DropNewest,
    /// Pending records are dropped, oldest first. The new record is dropped only if all others are being sent.
    DropOldest,
}

impl Overload {
    /// Returns whether this policy can free space for a new record in a full outbox.
    pub(crate) fn makes_room(self) -> bool {
        !matches!(self, Self::DropNewest)
    }
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(most) if most.subsec_nanos() == 0 && !most.is_zero() => write!(f, "block={}s", most.as_secs()),
            Self::Block(most) => write!(f, "block={}ms", most.as_millis()),
            Self::DropLeastSevere => f.write_str("drop-least-severe"),
            Self::DropNewest => f.write_str("drop-newest"),
            Self::DropOldest => f.write_str("drop-oldest"),
        }
    }
}

impl Overload {
    fn parse(value: &str) -> Option<Self> {
        let value = value.to_ascii_lowercase();
        match value.as_str() {
            "block" => Some(Self::Block(BLOCK)),
            "drop-least-severe" => Some(Self::DropLeastSevere),
            "drop-newest" => Some(Self::DropNewest),
            "drop-oldest" => Some(Self::DropOldest),
            _ => {
                let (number, unit) = split_unit(value.strip_prefix("block=")?.trim());
                let number = number.parse::<u64>().ok()?;
                let most = match unit {
                    "" | "ms" => Duration::from_millis(number),
                    "s" => Duration::from_secs(number),
                    _ => return None,
                };
                Some(Self::Block(most))
            }
        }
    }

    /// Returns the policy that an invalid value probably means.
    fn meant(value: &str) -> Option<String> {
        let lower = value.to_ascii_lowercase();
        let word = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let number = lower.find(|c: char| c.is_ascii_digit()).and_then(|at| lower.get(at..));
        Some(match () {
            () if word(&["block", "wait"]) => match number.map(|number| format!("block={number}")) {
                Some(block) if Self::parse(&block).is_some() => block,
                _ => Self::Block(BLOCK).to_string(),
            },
            () if word(&["sever", "level", "lowest", "warn"]) => Self::DropLeastSevere.to_string(),
            () if word(&["old", "head", "first"]) => Self::DropOldest.to_string(),
            () if word(&["new", "tail", "last", "drop"]) => Self::DropNewest.to_string(),
            () if number == Some(lower.as_str()) => Self::parse(&format!("block={lower}"))?.to_string(),
            () => return None,
        })
    }
}

impl Resolver<'_> {
    pub(super) fn overload(&mut self, code: Option<Overload>) -> Overload {
        let (decided, source) = match code {
            Some(overload) => (overload, SettingSource::Code),
            None => self.overload_of_environment().unwrap_or((Overload::default(), SettingSource::BuiltIn)),
        };
        let decided = match decided {
            Overload::Block(most) => Overload::Block(bounded(most)),
            other => other,
        };
        self.add_setting("logs overload", decided.to_string(), source);
        decided
    }

    fn overload_of_environment(&mut self) -> Option<(Overload, SettingSource)> {
        let value = self.environment.get(VARIABLE)?;
        let overload = Overload::parse(value);
        if overload.is_none() {
            let problem = format!("`{value}` is not an overload policy; {} is used", Overload::default());
            let finding = Finding::new(&kind::UNKNOWN_VALUE, Severity::Error, VARIABLE, problem);
            self.add_finding(match Overload::meant(value) {
                Some(meant) => Finding { corrected: Some(meant), ..finding },
                None => finding.help("write drop-newest, drop-oldest, drop-least-severe, block or block=500ms"),
            });
        }
        if let Some(Overload::Block(most)) = overload {
            self.check_duration(VARIABLE, most);
        }
        Some((overload?, SettingSource::Variable(VARIABLE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BuilderSettings, Config, Environment};

    fn resolve(value: &str) -> Config {
        let vars = [("OTEL_LOGS_EXPORTER", "otlp"), (VARIABLE, value)];
        BuilderSettings::default().resolve(&Environment::from(vars)).expect("a bad variable is never an error")
    }

    fn decided(config: &Config) -> Overload {
        config.otlp.delivery.as_ref().map(|delivery| delivery.overload).expect("otlp is on")
    }

    #[test]
    fn the_variable_is_read_shown_and_written_back() {
        for (value, overload, shown) in [
            ("drop-newest", Overload::DropNewest, "drop-newest"),
            ("Drop-Oldest", Overload::DropOldest, "drop-oldest"),
            ("drop-least-severe", Overload::DropLeastSevere, "drop-least-severe"),
            ("block", Overload::Block(BLOCK), "block=500ms"),
            ("block=0", Overload::Block(Duration::ZERO), "block=0ms"),
            ("block=250", Overload::Block(Duration::from_millis(250)), "block=250ms"),
            ("BLOCK=2s", Overload::Block(Duration::from_secs(2)), "block=2s"),
        ] {
            let config = resolve(value);
            assert_eq!(decided(&config), overload, "{value}");
            assert!(config.findings.is_empty(), "{value}: {:?}", config.findings);
            let setting = config.settings.iter().find(|setting| setting.name == "logs overload").expect("kept");
            assert_eq!((setting.value.as_str(), setting.source), (shown, SettingSource::Variable(VARIABLE)));
        }
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_probable_meaning() {
        for (value, meant) in [
            ("drop_oldest", Some("drop-oldest")),
            ("oldest", Some("drop-oldest")),
            ("DropLeastSevere", Some("drop-least-severe")),
            ("drop", Some("drop-newest")),
            ("blocking", Some("block=500ms")),
            ("block:250ms", Some("block=250ms")),
            ("block=2 minutes", Some("block=500ms")),
            ("block=", Some("block=500ms")),
            ("3s", Some("block=3s")),
            ("sample", None),
        ] {
            let config = resolve(value);
            assert_eq!(decided(&config), Overload::DropNewest, "{value}");
            let [finding] = config.findings.as_slice() else { panic!("{value}: {:?}", config.findings) };
            assert_eq!((finding.name, finding.place.as_str()), ("unknown-value", VARIABLE));
            assert_eq!(finding.corrected.as_deref(), meant, "{value}");
            assert!(finding.to_string().contains(meant.unwrap_or("block=500ms")), "{finding}");
        }
    }

    #[test]
    fn code_wins() {
        let settings = BuilderSettings { overload: Some(Overload::Block(Duration::MAX)), ..BuilderSettings::default() };
        let vars = [("OTEL_LOGS_EXPORTER", "otlp"), (VARIABLE, "drop-oldest")];
        let config = settings.resolve(&Environment::from(vars)).expect("resolves");
        assert_eq!(decided(&config), Overload::Block(bounded(Duration::MAX)), "longer durations overflow");
    }
}
