//! What happens while records come faster than they leave.

use std::fmt;
use std::time::Duration;

use super::resolve::{Resolver, split_unit};
use super::time::bounded;
use super::{BuilderSettings, SettingSource};
use crate::finding::{Finding, Severity, kind};

const VARIABLE: &str = "LOGBRIDGE_OVERLOAD";
/// What `block` alone means: long enough for one slow answer of a collector, short enough for a request to survive it.
const BLOCK: Duration = Duration::from_millis(500);

/// What happens to a record while the outbox is full: because the endpoint fails, or because records come faster than it
/// takes them.
///
/// The outbox is full when it holds as many bytes as [`Builder::max_bytes`](crate::Builder::max_bytes) allows, or as many
/// records as `OTEL_BLRP_MAX_QUEUE_SIZE`. Whatever is dropped is counted by reason, level and target
/// ([`Report::dropped`](crate::Report::dropped)), makes the next [`flush`](crate::Bridge::flush) an error, and is told on
/// stderr about once a minute.
///
/// Records wait in segments of a MiB, or less where the bound is small. What makes room goes segment by segment: many
/// records for one, so that the next ones find room at once. What is in the request that is being sent stays.
///
/// `Display` writes it as `LOGBRIDGE_OVERLOAD` has it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Overload {
    /// The caller waits until there is room, but no longer than this; then the record is dropped.
    ///
    /// After a call has waited in vain, those after it are dropped at once until there is room again: an endpoint that is
    /// dead costs each thread this time once, not at each call. Room that appears from time to time is waited for each time.
    ///
    /// It is the calling thread that waits. On a worker of an async runtime all its tasks wait, and on a current-thread
    /// runtime everything does, also a collector that runs in it. Nobody waits in an exit handler, in a record that is
    /// logged from inside another one's formatting or by the console's own writer, and after a shutdown. `0` never waits;
    /// more than a year is a year.
    Block(Duration),
    /// Above three quarters of the bound, what is below WARN is refused; when the outbox is full all the same, waiting
    /// records below WARN are dropped, oldest first, for one at WARN or above. Only where there are none is that dropped.
    DropLeastSevere,
    /// The new record is dropped, and what waits stays: the default. The start of an incident is what explains it, and it
    /// costs least.
    #[default]
    DropNewest,
    /// Waiting records are dropped, oldest first, for the new one. Where everything that waits is being sent already, the
    /// new one is dropped.
    DropOldest,
}

impl Overload {
    /// Whether a new record may find room in a full outbox.
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

    /// What a value that is none was probably meant to be.
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
    pub(super) fn overload(&mut self, settings: &BuilderSettings) -> Overload {
        let (decided, source) = match settings.overload {
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
            let problem = format!("`{value}` is not a policy for an overload; {} is used", Overload::default());
            let finding = Finding::new(&kind::UNKNOWN_VALUE, Severity::Error, VARIABLE, problem);
            self.add_finding(match Overload::meant(value) {
                Some(meant) => Finding { corrected: Some(meant), ..finding },
                None => finding.help("write drop-newest, drop-oldest, drop-least-severe, block or block=500ms"),
            });
        }
        if let Some(Overload::Block(most)) = overload {
            self.check_time(VARIABLE, most);
        }
        Some((overload?, SettingSource::Variable(VARIABLE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

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
    fn a_value_that_is_none_leaves_the_default_and_is_told_with_what_was_meant() {
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
        assert_eq!(decided(&config), Overload::Block(bounded(Duration::MAX)), "no clock can hold more");
    }
}
