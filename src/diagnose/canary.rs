//! The canary: marked records through both facades, at each level, from several places, and how far each one came.
//!
//! Constraints:
//! * They are written on threads of the crate's own: to ask a filter of tracing-subscriber something on a thread of the
//!   application could itself lose the next event there.
//! * They go the way of any record, by the macros: what is compiled out, cut by a facade or kept by another layer shows.
//!   Only the console does not print them.

use std::fmt;
use std::time::Duration;

use log::Level;
use tracing_core::dispatcher::{self, Dispatch};
use tracing_core::subscriber::NoSubscriber;

use super::explain::{Gate, SUPPRESSION, TEXT_FILTER, explain};
use super::findings::compiled_out;
use crate::error::Error;
use crate::escape::OneLine;
use crate::finding::{Finding, Severity, kind};
use crate::levels::to_tracing;
use crate::ship;
use crate::source::{Pipeline, Reached, probe};

/// The target of the canary's records.
pub(super) const TARGET: &str = "logbridge::canary";

/// A facade.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Facade {
    /// The crate `log`.
    Log,
    /// The crate tracing.
    Tracing,
}

impl fmt::Display for Facade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Log => "log",
            Self::Tracing => "tracing",
        })
    }
}

/// Where a record of the canary was written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Place {
    /// On a thread with the subscriber of the thread that called [`Bridge::check`](crate::Bridge::check).
    ThisThread,
    /// On a new thread.
    FreshThread,
    /// In a task of an async runtime.
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

/// One record of the canary.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Canary {
    /// The facade it was written through.
    pub facade: Facade,
    /// Its level.
    pub level: Level,
    /// Where it was written.
    pub place: Place,
    /// Whether it came to the outbox.
    pub sent: bool,
    /// What stopped it, where it did not.
    pub stopped_by: Option<String>,
}

/// How far the records of the canary came. Made by [`Bridge::check`](crate::Bridge::check).
///
/// `Display` is a table with a row for each facade and place, and what stopped those that were stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Check {
    /// Every record that was written, or tried.
    pub canaries: Vec<Canary>,
    /// Whether the endpoint confirmed those that came to the outbox, and all that was accepted before; `None` where none
    /// came. Why not, where it did not.
    pub delivered: Option<Result<(), String>>,
    /// What stops records that should pass.
    pub findings: Vec<Finding>,
}

impl Check {
    /// Whether every record that the levels let through came to the endpoint.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity < Severity::Warning)
            && !matches!(self.delivered, Some(Err(_)))
    }
}

/// Writes the canary's records, and waits for the endpoint.
pub(crate) fn check(pipeline: &Pipeline, timeout: Duration) -> Check {
    let here = dispatcher::get_default(Clone::clone);
    let mut canaries = Vec::new();
    for place in [Place::ThisThread, Place::FreshThread, Place::Task] {
        let here = here.clone();
        let (seen, is_heard) = ship::ask_own_thread(move || at(place, &here)).unwrap_or_default();
        canaries.extend(seen.into_iter().map(|(facade, level, reached)| {
            let stopped_by = stopped_by(pipeline, facade, level, (place, is_heard), reached);
            Canary { facade, level, place, sent: stopped_by.is_none(), stopped_by }
        }));
    }
    let sent = canaries.iter().any(|canary| canary.sent);
    let delivered = sent.then(|| pipeline.flush_all(timeout).map_err(|error| in_words(&error)));
    let findings = findings(pipeline, &canaries);
    Check { canaries, delivered, findings }
}

/// The error with what is behind it.
fn in_words(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

type Seen = Vec<(Facade, Level, Reached)>;

/// How far each one came, and whether there is a subscriber at all.
fn at(place: Place, here: &Dispatch) -> (Seen, bool) {
    let all = || (write_all(), dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>()));
    match place {
        Place::ThisThread => dispatcher::with_default(here, all),
        Place::FreshThread => all(),
        Place::Task => {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.map(|runtime| runtime.block_on(async { all() })).unwrap_or_default()
        }
    }
}

fn write_all() -> Seen {
    Level::iter()
        .flat_map(|level| {
            let by_log = probe(|| log::log!(target: TARGET, level, "canary of logbridge"));
            let by_tracing = probe(|| write_event(level));
            [(Facade::Log, level, by_log), (Facade::Tracing, level, by_tracing)]
        })
        .collect()
}

/// A callsite for each level: it is a part of what is compiled in or out.
fn write_event(level: Level) {
    match level {
        Level::Error => tracing::event!(target: TARGET, tracing_core::Level::ERROR, "canary of logbridge"),
        Level::Warn => tracing::event!(target: TARGET, tracing_core::Level::WARN, "canary of logbridge"),
        Level::Info => tracing::event!(target: TARGET, tracing_core::Level::INFO, "canary of logbridge"),
        Level::Debug => tracing::event!(target: TARGET, tracing_core::Level::DEBUG, "canary of logbridge"),
        Level::Trace => tracing::event!(target: TARGET, tracing_core::Level::TRACE, "canary of logbridge"),
    }
}

/// What `log` cuts by.
const MAX_LEVEL: &str = "log::max_level()";
/// The levels cut it, and so it is well.
const CUT: &str = "the levels";

fn stopped_by(
    pipeline: &Pipeline,
    facade: Facade,
    level: Level,
    (place, is_heard): (Place, bool),
    reached: Reached,
) -> Option<String> {
    let named = |gate: &Gate| format!("{}: {}", gate.name, gate.why);
    // Whether the facades are open is not the question any more, and a context that suppresses is not the canary's.
    let gates = || {
        let explanation = explain(pipeline, TARGET, level);
        let gates = explanation.common.into_iter().chain(explanation.otlp);
        gates.filter(|gate| gate.facade.is_none() && gate.name != SUPPRESSION).collect::<Vec<_>>()
    };
    Some(match reached {
        Reached::Outbox => return None,
        Reached::Accepted if pipeline.is_shut() => "logbridge was shut down".to_owned(),
        Reached::Accepted if pipeline.has_processors() => {
            "a log processor of the application did not hand it on, or there is no room for it in the outbox".to_owned()
        }
        Reached::Accepted => "there is no room for it in the outbox".to_owned(),
        Reached::TextFilter => {
            let filter = gates().into_iter().find(|gate| gate.name == TEXT_FILTER);
            filter.map_or_else(|| TEXT_FILTER.to_owned(), |gate| named(&gate))
        }
        Reached::Destination | Reached::Gate => {
            let gates = gates();
            let gate = gates.iter().find(|gate| !gate.passes);
            gate.or_else(|| gates.iter().find(|gate| gate.condition.is_some())).map_or_else(|| CUT.to_owned(), named)
        }
        Reached::Nowhere => unseen(pipeline, facade, level, place, is_heard),
    })
}

/// Why it never came to us.
fn unseen(pipeline: &Pipeline, facade: Facade, level: Level, place: Place, is_heard: bool) -> String {
    let is_cut = level > pipeline.levels.facade_filter();
    match facade {
        Facade::Log if level > log::STATIC_MAX_LEVEL => "it is compiled out of `log`".to_owned(),
        Facade::Tracing if to_tracing(level.to_level_filter()) > tracing::level_filters::STATIC_MAX_LEVEL => {
            "it is compiled out of tracing".to_owned()
        }
        _ if is_cut => CUT.to_owned(),
        Facade::Log if level > log::max_level() => format!("{MAX_LEVEL} is {}", log::max_level()),
        Facade::Log => "`log` has another logger, or none, so that it is not handed on".to_owned(),
        Facade::Tracing if !is_heard => "no subscriber is set, so that nobody listens to tracing".to_owned(),
        Facade::Tracing if place == Place::ThisThread => {
            "another subscriber is in force on this thread, or a layer's filter keeps it back".to_owned()
        }
        Facade::Tracing => "tracing has another subscriber, or a layer's filter keeps it back".to_owned(),
    }
}

/// What stops records that the levels let through.
fn findings(pipeline: &Pipeline, canaries: &[Canary]) -> Vec<Finding> {
    let mut found: Vec<Finding> = compiled_out(pipeline);
    found.extend(pipeline.lowered());
    let is_closed = |canary: &Canary| canary.stopped_by.as_deref().is_some_and(|by| by.starts_with(MAX_LEVEL));
    // Where we open the facades, it was somebody else who closed them.
    if canaries.iter().any(is_closed) {
        found.extend(pipeline.not_opened());
    }
    for facade in [Facade::Log, Facade::Tracing] {
        let is_kept = |canary: &&Canary| {
            let by = canary.stopped_by.as_deref().unwrap_or_default();
            canary.facade == facade && (by.contains("another ") || by.starts_with("no subscriber"))
        };
        let kept: Vec<_> = canaries.iter().filter(is_kept).collect();
        if kept.is_empty() {
            continue;
        }
        let mut places: Vec<_> = kept.iter().map(|canary| canary.place.to_string()).collect();
        places.dedup();
        let mut levels: Vec<_> = kept.iter().map(|canary| canary.level).collect();
        levels.sort_unstable();
        levels.dedup();
        let levels: Vec<_> = levels.into_iter().map(|level| level.as_str()).collect();
        let (places, levels) = (places.join(", "), levels.join(", "));
        let text = format!("records written through {facade} ({places}) at {levels} do not come to logbridge");
        let help = match facade {
            Facade::Log => "chain `bridge.logger()` in the logger that has the slot, or remove its init",
            Facade::Tracing => {
                "add `bridge.layer()` to the registry that is in force, behind no filter (`with_filter`), or remove it"
            }
        };
        found.push(Finding::new(&kind::SLOT_TAKEN, Severity::Error, facade.to_string(), text).help(help));
    }
    found
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
                    Some(CUT) => "cut".to_owned(),
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
            Some(Ok(())) => writeln!(f, "the endpoint confirmed those that were sent")?,
            Some(Err(why)) => writeln!(f, "the endpoint did not confirm them: {}", OneLine(why))?,
            None => writeln!(f, "none was sent")?,
        }
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

/// Those of each facade and place, by level.
fn rows(canaries: &[Canary]) -> Vec<Vec<&Canary>> {
    let mut rows = Vec::new();
    for facade in [Facade::Log, Facade::Tracing] {
        for place in [Place::ThisThread, Place::FreshThread, Place::Task] {
            rows.push(canaries.iter().filter(|c| c.facade == facade && c.place == place).collect());
        }
    }
    rows
}
