//! The gates in front of logbridge: compiled-in levels, `log::max_level()`, and whatever logger and subscriber are
//! installed.
//!
//! Constraints:
//! * No query runs on a thread of the application. A filter of tracing-subscriber that rejects a query there drops the
//!   next event of that thread. One of logbridge's own threads makes the query, and gives up after [`TIMEOUT`].
//! * A decision that is not proven becomes a condition, not a stop.

use std::time::Duration;

use log::{Level, LevelFilter};
use tracing::level_filters::{LevelFilter as TracingFilter, STATIC_MAX_LEVEL};
use tracing_core::dispatcher::{self, Dispatch};
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind;
use tracing_core::subscriber::{Interest, NoSubscriber};
use tracing_core::{Callsite, Metadata, identify_callsite};

use super::facade::Facade;
use super::gate::Gate;
use crate::finding::{Finding, Impact, kind};
use crate::levels::to_tracing;
use crate::ship;
use crate::source::{Answer, EventLayer, Pipeline, ask};

/// The target of the canary's records.
pub(super) const CANARY_TARGET: &str = "logbridge::canary";

/// How long a logger or subscriber of the application may take to answer whether a record is enabled.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Returns the gates of both facades, in order.
pub(super) fn facade_gates(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let log = log_gates(pipeline, target, level).into_iter().map(|gate| gate.for_facade(Facade::Log));
    let tracing = tracing_gates(pipeline, target, level).into_iter().map(|gate| gate.for_facade(Facade::Tracing));
    log.chain(tracing).collect()
}

fn compiled_gate(name: &'static str, facade: Facade, level: Level, most: LevelFilter) -> Gate {
    Gate::new(name, level <= most, format!("down to {most}"), || {
        format!(
            "a crate enables a feature of `{facade}` such as `release_max_level_info`: \
             `cargo tree -e features -i {facade}` shows which one"
        )
    })
}

fn log_gates(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let slot = match pipeline.owns_facades() {
        true => Gate::new("log's slot", true, "logbridge", String::new),
        false => foreign_logger_gate(pipeline, target, level),
    };
    let compiled = compiled_gate("compiled in for log", Facade::Log, level, log::STATIC_MAX_LEVEL);
    vec![compiled, max_level_gate(pipeline, level), slot]
}

fn max_level_gate(pipeline: &Pipeline, level: Level) -> Gate {
    let (max, needed) = (log::max_level(), pipeline.levels.facade_filter());
    // A maximum that follows the levels is not the cause: the gate of the levels names it.
    let passes = level <= max || max >= needed;
    let why = match () {
        () if max == needed => format!("{max}, as the levels require"),
        () if max > needed => max.to_string(),
        () if pipeline.owns_facades() => format!("{max}: the levels need {needed}; it was lowered after `init`"),
        () => format!("{max}: the levels need {needed}; the code that sets the logger must set it"),
    };
    Gate::new("log::max_level()", passes, why, || match pipeline.owns_facades() {
        true => format!("remove the call of log::set_max_level(LevelFilter::{max:?}) that follows `init`"),
        false => "call log::set_max_level(bridge.logger().filter()) where the logger is set".to_owned(),
    })
}

/// The slot of `log` if logbridge did not install itself there.
fn foreign_logger_gate(pipeline: &Pipeline, target: &str, level: Level) -> Gate {
    const NAME: &str = "log's slot";
    let condition = "the logger in log's slot forwards it to this Bridge's logger";
    let (pipeline, target) = (pipeline.address(), target.to_owned());
    let answer = ship::ask_own_thread_within(TIMEOUT, move || {
        ask(pipeline, || log::logger().enabled(&log::Metadata::builder().target(&target).level(level).build()))
    });
    match answer {
        Some(Answer { reached: true, .. }) => {
            Gate::new(NAME, true, "this Bridge's logger, or a logger that asks it", String::new)
        }
        Some(Answer { is_wanted: false, .. }) => {
            Gate::conditional(NAME, condition, "another logger, or none; it does not want the record")
        }
        Some(_) => Gate::conditional(NAME, condition, "another logger, which does not ask this Bridge's logger"),
        None => Gate::conditional(NAME, condition, "another logger, which did not answer in time"),
    }
}

fn tracing_gates(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    vec![compiled_gate_of_tracing(level), subscriber_gate(pipeline, target, level)]
}

/// Checks whether events and spans of this level are compiled in.
pub(super) fn compiled_gate_of_tracing(level: Level) -> Gate {
    compiled_gate("compiled in for tracing", Facade::Tracing, level, from_tracing(STATIC_MAX_LEVEL))
}

/// The name of the gate of the subscriber.
const SUBSCRIBER: &str = "tracing's subscriber";

/// Returns a gate if no subscriber passes events or spans of this level. Their maximum is known without querying any of
/// them.
pub(super) fn hint_gate(level: Level) -> Option<Gate> {
    let hint = TracingFilter::current();
    (to_tracing(level.to_level_filter()) > hint).then(|| {
        Gate::new(SUBSCRIBER, false, format!("its filters pass nothing beyond {}", from_tracing(hint)), || {
            "widen the filter of the whole subscriber, or apply it to the other layers only (`with_filter`)".to_owned()
        })
    })
}

/// Checks which subscriber receives the events of this thread, and whether it forwards them to this pipeline.
pub(super) fn subscriber_gate(pipeline: &Pipeline, target: &str, level: Level) -> Gate {
    const NAME: &str = SUBSCRIBER;
    let current = dispatcher::get_default(Clone::clone);
    let is_root = current.downcast_ref::<EventLayer>().is_some();
    if is_root && pipeline.owns_facades() {
        return Gate::new(NAME, true, "logbridge", String::new);
    }
    if current.is::<NoSubscriber>() {
        return Gate::new(NAME, false, "none: no subscriber is set", || {
            "add bridge.layer() to a registry and set it as the global default, or use `init` instead of `build`"
                .to_owned()
        });
    }
    if is_root {
        return Gate::new(NAME, false, "another Bridge, which `init` installed", || {
            "use logbridge::bridge() instead of building a second Bridge".to_owned()
        });
    }
    if let Some(gate) = hint_gate(level) {
        return gate;
    }
    match ask_subscriber(pipeline, current, target, level) {
        Some(Answer { is_wanted: true, reached: true }) => {
            Gate::new(NAME, true, "it forwards events of this target and level to this Bridge's layer", String::new)
        }
        Some(Answer { is_wanted: false, .. }) => {
            let why = "one of its filters rejects the event (a filter that looks at spans may pass it inside a span)";
            Gate::new(NAME, false, why, || "widen the filter of the whole subscriber".to_owned())
        }
        Some(Answer { reached: false, .. }) => {
            Gate::new(NAME, false, "it does not forward the event to this Bridge's layer", || {
                "add bridge.layer(), without a filter (`with_filter`), to the registry that is active on this thread"
                    .to_owned()
            })
        }
        None => {
            let why = "another subscriber, which did not answer in time";
            Gate::conditional(NAME, "the active subscriber forwards it", why)
        }
    }
}

/// Queries whether the subscriber would forward such an event to this pipeline's layer. Returns `None` if it does not
/// answer in time.
fn ask_subscriber(pipeline: &Pipeline, subscriber: Dispatch, target: &str, level: Level) -> Option<Answer> {
    let (pipeline, target) = (pipeline.address(), target.to_owned());
    ship::ask_own_thread_within(TIMEOUT, move || {
        let fields = FieldSet::new(&["message"], identify_callsite!(&CALLSITE));
        let level = to_tracing_level(level);
        let metadata =
            Metadata::new("event of explain", &target, level, None, None, Some(&target), fields, Kind::EVENT);
        ask(pipeline, || subscriber.enabled(&metadata))
    })
}

/// A callsite that is never registered, so that only the queried subscriber sees it.
struct UnregisteredCallsite;

static CALLSITE: UnregisteredCallsite = UnregisteredCallsite;
static METADATA: Metadata<'static> = Metadata::new(
    "event of explain",
    "logbridge::explain",
    tracing_core::Level::TRACE,
    None,
    None,
    None,
    FieldSet::new(&["message"], identify_callsite!(&CALLSITE)),
    Kind::EVENT,
);

impl Callsite for UnregisteredCallsite {
    fn set_interest(&self, _interest: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &METADATA
    }
}

fn to_tracing_level(level: Level) -> tracing_core::Level {
    match level {
        Level::Error => tracing_core::Level::ERROR,
        Level::Warn => tracing_core::Level::WARN,
        Level::Info => tracing_core::Level::INFO,
        Level::Debug => tracing_core::Level::DEBUG,
        Level::Trace => tracing_core::Level::TRACE,
    }
}

fn from_tracing(filter: TracingFilter) -> LevelFilter {
    LevelFilter::iter().find(|level| to_tracing(*level) == filter).unwrap_or(LevelFilter::Trace)
}

/// Returns a finding for each facade that lacks a level which the levels need.
pub(super) fn compiled_out(pipeline: &Pipeline) -> Vec<Finding> {
    let needed = pipeline.levels.facade_filter();
    let mut found = Vec::new();
    for (facade, most) in [(Facade::Log, log::STATIC_MAX_LEVEL), (Facade::Tracing, from_tracing(STATIC_MAX_LEVEL))] {
        if most < needed {
            let text = format!("the levels need {needed}, but only {most} is compiled in");
            let help = format!(
                "a crate enables a feature such as `release_max_level_info`: `cargo tree -e features -i {facade}` or \
                 `logbridge doctor project` shows which one"
            );
            let severity = Impact::Lost.severity();
            found.push(Finding::new(&kind::COMPILED_OUT, severity, facade.to_string(), text).help(help));
        }
    }
    found
}
