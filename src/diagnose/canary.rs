//! The canary: logs marked records through both facades at each level from several places, and checks how far each one
//! gets.
//!
//! Constraints:
//! * The records are logged on the crate's own threads. A query to a filter of tracing-subscriber could drop the next
//!   event of an application thread.
//! * The records use the ordinary macros, so that compiled-out levels, facade levels and filters of other layers show.
//!   Only the console does not print them.

use std::fmt;
use std::time::Duration;

use log::Level;
use tracing_core::dispatcher::{self, Dispatch};
use tracing_core::subscriber::NoSubscriber;

use super::explain::{MESSAGE_FILTER, SUPPRESSION, explain};
use super::facade::Facade;
use super::facade_gates::{CANARY_TARGET, compiled_out};
use super::gate::Gate;
use crate::error::Error;
use crate::escape::OneLine;
use crate::finding::{Finding, Severity, kind};
use crate::levels::to_tracing;
use crate::ship;
use crate::source::{Pipeline, Reached, probe};

/// The place from which a canary record was logged.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Place {
    /// A thread with the subscriber of the thread that called [`Bridge::check`](crate::Bridge::check).
    ThisThread,
    /// A new thread.
    FreshThread,
    /// A task of an async runtime.
    Task,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ThisThread => "this thread",
            Self::FreshThread => "fresh thread",
            Self::Task => "task",
        })
    }
}

/// A record of the canary.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Canary {
    /// The facade through which it was logged.
    pub facade: Facade,
    /// Its level.
    pub level: Level,
    /// The place from which it was logged.
    pub place: Place,
    /// Whether it reached the outbox.
    pub sent: bool,
    /// What stopped it; `None` if it reached the outbox.
    pub stopped_by: Option<String>,
}

/// The result of a check with canary records. Returned by [`Bridge::check`](crate::Bridge::check).
///
/// `Display` prints a table with a row for each facade and place, and the reason for each record that was stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Check {
    /// All records, including those that were stopped.
    pub canaries: Vec<Canary>,
    /// Whether the endpoint confirmed the records that reached the outbox and everything accepted before, or else why
    /// not. `None` if no record reached the outbox.
    pub delivered: Option<Result<(), String>>,
    /// What stops records that the levels allow.
    pub findings: Vec<Finding>,
}

impl Check {
    /// Returns whether nothing stopped a record that the levels allow, and the endpoint confirmed the records sent.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity < Severity::Warning)
            && !matches!(self.delivered, Some(Err(_)))
    }
}

/// Logs the canary records, and waits up to `timeout` for the endpoint to confirm them.
pub(crate) fn check(pipeline: &Pipeline, timeout: Duration) -> Check {
    let here = dispatcher::get_default(Clone::clone);
    let mut canaries = Vec::new();
    for place in [Place::ThisThread, Place::FreshThread, Place::Task] {
        let here = here.clone();
        let (tried, has_subscriber) = ship::ask_own_thread(move || log_from(place, &here)).unwrap_or_default();
        canaries.extend(tried.into_iter().map(|(facade, level, reached)| {
            let stopped_by = stopped_by(pipeline, facade, level, (place, has_subscriber), reached);
            Canary { facade, level, place, sent: stopped_by.is_none(), stopped_by }
        }));
    }
    let sent = canaries.iter().any(|canary| canary.sent);
    let delivered = sent.then(|| pipeline.flush_all(timeout).map_err(|error| with_source(&error)));
    let findings = findings(pipeline, &canaries);
    Check { canaries, delivered, findings }
}

fn with_source(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Each attempted record, and how far it got.
type Tried = Vec<(Facade, Level, Reached)>;

/// Logs the records from `place`. Also returns whether tracing has a subscriber there.
fn log_from(place: Place, here: &Dispatch) -> (Tried, bool) {
    let all = || (log_all(), dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>()));
    match place {
        Place::ThisThread => dispatcher::with_default(here, all),
        Place::FreshThread => all(),
        Place::Task => {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.map(|runtime| runtime.block_on(async { all() })).unwrap_or_default()
        }
    }
}

fn log_all() -> Tried {
    Level::iter()
        .flat_map(|level| {
            let by_log = probe(|| log::log!(target: CANARY_TARGET, level, "canary of logbridge"));
            let by_tracing = probe(|| log_event(level));
            [(Facade::Log, level, by_log), (Facade::Tracing, level, by_tracing)]
        })
        .collect()
}

// Each level needs a callsite of its own: the level decides at compile time whether it exists.
fn log_event(level: Level) {
    match level {
        Level::Error => tracing::event!(target: CANARY_TARGET, tracing_core::Level::ERROR, "canary of logbridge"),
        Level::Warn => tracing::event!(target: CANARY_TARGET, tracing_core::Level::WARN, "canary of logbridge"),
        Level::Info => tracing::event!(target: CANARY_TARGET, tracing_core::Level::INFO, "canary of logbridge"),
        Level::Debug => tracing::event!(target: CANARY_TARGET, tracing_core::Level::DEBUG, "canary of logbridge"),
        Level::Trace => tracing::event!(target: CANARY_TARGET, tracing_core::Level::TRACE, "canary of logbridge"),
    }
}

const MAX_LEVEL: &str = "log::max_level()";
/// The levels filtered the record, as intended.
const FILTERED: &str = "the levels";

fn stopped_by(
    pipeline: &Pipeline,
    facade: Facade,
    level: Level,
    (place, has_subscriber): (Place, bool),
    reached: Reached,
) -> Option<String> {
    let named = |gate: &Gate| format!("{}: {}", gate.name, gate.why);
    // The record has passed the facades, and the canary's context suppresses nothing.
    let gates = || {
        let explanation = explain(pipeline, CANARY_TARGET, level);
        let gates = explanation.common.into_iter().chain(explanation.otlp);
        gates.filter(|gate| gate.facade.is_none() && gate.name != SUPPRESSION).collect::<Vec<_>>()
    };
    Some(match reached {
        Reached::Outbox => return None,
        Reached::Accepted if pipeline.is_shut() => "logbridge was shut down".to_owned(),
        Reached::Accepted if pipeline.has_processors() => {
            "a log processor of the application did not forward it, or the outbox has no room for it".to_owned()
        }
        Reached::Accepted => "the outbox has no room for it".to_owned(),
        Reached::MessageFilter => {
            let filter = gates().into_iter().find(|gate| gate.name == MESSAGE_FILTER);
            filter.map_or_else(|| MESSAGE_FILTER.to_owned(), |gate| named(&gate))
        }
        Reached::Destination | Reached::Gate => {
            let gates = gates();
            let gate = gates.iter().find(|gate| !gate.passes);
            gate.or_else(|| gates.iter().find(|gate| gate.condition.is_some()))
                .map_or_else(|| FILTERED.to_owned(), named)
        }
        Reached::Nowhere => stopped_outside(pipeline, facade, level, place, has_subscriber),
    })
}

/// Returns why the record did not reach logbridge.
fn stopped_outside(pipeline: &Pipeline, facade: Facade, level: Level, place: Place, has_subscriber: bool) -> String {
    let is_filtered = level > pipeline.levels.facade_filter();
    match facade {
        Facade::Log if level > log::STATIC_MAX_LEVEL => "it is compiled out of `log`".to_owned(),
        Facade::Tracing if to_tracing(level.to_level_filter()) > tracing::level_filters::STATIC_MAX_LEVEL => {
            "it is compiled out of tracing".to_owned()
        }
        _ if is_filtered => FILTERED.to_owned(),
        Facade::Log if level > log::max_level() => format!("{MAX_LEVEL} is {}", log::max_level()),
        Facade::Log => "`log` has another logger, or none, which does not forward it".to_owned(),
        Facade::Tracing if !has_subscriber => "no subscriber is set, so tracing discards it".to_owned(),
        Facade::Tracing if place == Place::ThisThread => {
            "another subscriber is active on this thread, or a layer's filter rejects it".to_owned()
        }
        Facade::Tracing => "tracing has another subscriber, or a layer's filter rejects it".to_owned(),
    }
}

/// Returns findings about records that the levels allow but that did not reach the outbox.
fn findings(pipeline: &Pipeline, canaries: &[Canary]) -> Vec<Finding> {
    let mut found: Vec<Finding> = compiled_out(pipeline);
    found.extend(pipeline.lowered());
    let is_closed = |canary: &Canary| canary.stopped_by.as_deref().is_some_and(|by| by.starts_with(MAX_LEVEL));
    // `lowered` covers the case that logbridge owns the facades.
    if canaries.iter().any(is_closed) {
        found.extend(pipeline.not_opened());
    }
    found.extend([Facade::Log, Facade::Tracing].into_iter().filter_map(|facade| slot_taken(facade, canaries)));
    found
}

/// Returns a finding if another logger or subscriber keeps the records of this facade.
fn slot_taken(facade: Facade, canaries: &[Canary]) -> Option<Finding> {
    let is_kept = |canary: &&Canary| {
        let by = canary.stopped_by.as_deref().unwrap_or_default();
        canary.facade == facade && (by.contains("another ") || by.starts_with("no subscriber"))
    };
    let kept: Vec<_> = canaries.iter().filter(is_kept).collect();
    if kept.is_empty() {
        return None;
    }
    let mut places: Vec<_> = kept.iter().map(|canary| canary.place.to_string()).collect();
    places.dedup();
    let mut levels: Vec<_> = kept.iter().map(|canary| canary.level).collect();
    levels.sort_unstable();
    levels.dedup();
    let levels: Vec<_> = levels.into_iter().map(|level| level.as_str()).collect();
    let (places, levels) = (places.join(", "), levels.join(", "));
    let text = format!("records of {facade} ({places}) at {levels} do not reach logbridge");
    let help = match facade {
        Facade::Log => {
            "forward records to `bridge.logger()` from the logger in log's slot, or remove the init of that logger"
        }
        Facade::Tracing => {
            "add `bridge.layer()`, without a filter (`with_filter`), to the active registry, or remove that registry"
        }
    };
    Some(Finding::new(&kind::SLOT_TAKEN, Severity::Error, facade.to_string(), text).help(help))
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut heading = format!("{:8} {:12}", "through", "from");
        Level::iter().for_each(|level| heading.push_str(&format!("  {level:5}")));
        writeln!(f, "{heading}")?;
        let mut whys: Vec<&str> = Vec::new();
        for canaries in rows(&self.canaries) {
            let Some(first) = canaries.first() else { continue };
            let mut line = format!("{:8} {:12}", first.facade, first.place);
            for canary in &canaries {
                let cell = match canary.stopped_by.as_deref() {
                    None => "sent".to_owned(),
                    Some(FILTERED) => "below".to_owned(),
                    Some(why) => {
                        let known = whys.iter().position(|known| *known == why);
                        let number = known.unwrap_or(whys.len());
                        if known.is_none() {
                            whys.push(why);
                        }
                        format!("({})", number + 1)
                    }
                };
                line.push_str(&format!("  {cell:5}"));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        for (number, why) in whys.iter().enumerate() {
            writeln!(f, "  ({}) {}", number + 1, OneLine(why))?;
        }
        match &self.delivered {
            Some(Ok(())) => writeln!(f, "the endpoint confirmed the records that were sent")?,
            Some(Err(why)) => writeln!(f, "the endpoint did not confirm the records: {}", OneLine(why))?,
            None => writeln!(f, "no record was sent")?,
        }
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

/// Groups the records by facade and place.
fn rows(canaries: &[Canary]) -> Vec<Vec<&Canary>> {
    let mut rows = Vec::new();
    for facade in [Facade::Log, Facade::Tracing] {
        for place in [Place::ThisThread, Place::FreshThread, Place::Task] {
            rows.push(canaries.iter().filter(|c| c.facade == facade && c.place == place).collect());
        }
    }
    rows
}
