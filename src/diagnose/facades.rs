//! What `log`, tracing and whoever has their slots do with a record before it comes to us.
//!
//! Constraints:
//! * Nothing is asked on a thread of the application: a filter of tracing-subscriber that was asked there, and rejected,
//!   takes the next event of that thread along. A thread of our own asks instead, and waits for no lock for ever.
//! * What is not proven is a condition, not a stop.

use std::time::Duration;

use log::{Level, LevelFilter};
use tracing_core::dispatcher::{self, Dispatch};
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind;
use tracing_core::subscriber::{Interest, NoSubscriber};
use tracing_core::{Callsite, Metadata, identify_callsite};

use super::Facade;
use super::explain::Gate;
use crate::levels::to_tracing;
use crate::ship;
use crate::source::{Answer, EventLayer, Pipeline, ask};

/// How long code of the application may take to say whether it wants a record.
const PATIENCE: Duration = Duration::from_secs(3);

/// The gates of both facades, in order.
pub(super) fn gates(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let of_log = of_log(pipeline, target, level);
    let of_tracing = of_tracing(pipeline, target, level);
    of_log
        .into_iter()
        .map(|gate| gate.of(Facade::Log))
        .chain(of_tracing.into_iter().map(|gate| gate.of(Facade::Tracing)))
        .collect()
}

fn feature(facade: &str) -> String {
    format!(
        "some crate switches on a feature of `{facade}` such as `release_max_level_info`: `cargo tree -e features -i {facade}` shows which"
    )
}

fn of_log(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let most = log::STATIC_MAX_LEVEL;
    let compiled = Gate::new("compiled in for log", level <= most, format!("down to {most}"), || feature("log"));
    let slot = match pipeline.owns_facades() {
        true => Gate::new("log's slot", true, "logbridge", String::new),
        false => slot_of_another(pipeline, target, level),
    };
    vec![compiled, max_level(pipeline, level), slot]
}

/// What `log` itself cuts by.
fn max_level(pipeline: &Pipeline, level: Level) -> Gate {
    let (max, needed) = (log::max_level(), pipeline.levels.facades());
    // What the levels need less than is theirs to say: this one only follows them.
    let passes = level <= max || max >= needed;
    let why = match () {
        () if max == needed => format!("{max}, which is what the levels need"),
        () if max > needed => max.to_string(),
        () if pipeline.owns_facades() => {
            format!("{max}: the levels need {needed}, and somebody has lowered it after `init`")
        }
        () => format!("{max}: the levels need {needed}, and whoever sets the logger decides about it"),
    };
    Gate::new("log::max_level()", passes, why, || match pipeline.owns_facades() {
        true => format!("something called log::set_max_level(LevelFilter::{max:?}) after `init`: remove that"),
        false => "call log::set_max_level(bridge.logger().filter()) where the logger is set".to_owned(),
    })
}

/// The slot of `log` where it is not ours to fill.
fn slot_of_another(pipeline: &Pipeline, target: &str, level: Level) -> Gate {
    const NAME: &str = "log's slot";
    let condition = "the logger in log's slot hands it to this Bridge's logger";
    let (about, of_target) = (pipeline.address(), target.to_owned());
    let asked = ship::ask_own_thread_within(PATIENCE, move || {
        ask(about, || log::logger().enabled(&log::Metadata::builder().target(&of_target).level(level).build()))
    });
    match asked {
        Some(Answer { reached: true, .. }) => {
            Gate::new(NAME, true, "this Bridge's logger has it, or is asked by it", String::new)
        }
        Some(Answer { is_wanted: false, .. }) => {
            Gate::conditional(NAME, condition, "somebody else's, or nobody's; it says that it does not want the record")
        }
        Some(_) => Gate::conditional(NAME, condition, "somebody else's, which does not ask this Bridge's logger"),
        None => Gate::conditional(NAME, condition, "somebody else's, which has not answered"),
    }
}

fn of_tracing(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let most = tracing::level_filters::STATIC_MAX_LEVEL;
    let shown = most.to_string().to_ascii_uppercase();
    let compiled = Gate::new(
        "compiled in for tracing",
        to_tracing(level.to_level_filter()) <= most,
        format!("down to {shown}"),
        || feature("tracing"),
    );
    vec![compiled, subscriber(pipeline, target, level)]
}

/// Who gets the events of this thread, and whether they come to us from there.
pub(super) fn subscriber(pipeline: &Pipeline, target: &str, level: Level) -> Gate {
    const NAME: &str = "tracing's subscriber";
    let here = dispatcher::get_default(Clone::clone);
    let is_root = here.downcast_ref::<EventLayer>().is_some();
    if is_root && pipeline.owns_facades() {
        return Gate::new(NAME, true, "logbridge", String::new);
    }
    if here.is::<NoSubscriber>() {
        return Gate::new(NAME, false, "nobody listens to tracing: no subscriber is set", || {
            "add bridge.layer() to a registry and make that the global default, or use `init` instead of `build`"
                .to_owned()
        });
    }
    if is_root {
        return Gate::new(NAME, false, "that of another Bridge, which was installed by `init`", || {
            "use logbridge::bridge() instead of a Bridge of its own".to_owned()
        });
    }
    // What all subscribers together let through, without asking one of them.
    let hint = tracing::level_filters::LevelFilter::current();
    if to_tracing(level.to_level_filter()) > hint {
        let hint = LevelFilter::iter().find(|filter| to_tracing(*filter) == hint).unwrap_or(LevelFilter::Off);
        return Gate::new(NAME, false, format!("its filters let nothing through beyond {hint}"), || {
            "widen the filter that holds for the whole subscriber, or put it on the other layers only (`with_filter`)"
                .to_owned()
        });
    }
    match ask_subscriber(pipeline, here, target, level) {
        Some(Answer { is_wanted: true, reached: true }) => {
            Gate::new(NAME, true, "it hands events of this target and level to this Bridge's layer", String::new)
        }
        Some(Answer { is_wanted: false, .. }) => Gate::new(
            NAME,
            false,
            "one of its filters keeps it back (one that looks at spans may decide otherwise inside of them)",
            || "widen the filter that holds for the whole subscriber".to_owned(),
        ),
        Some(Answer { reached: false, .. }) => {
            Gate::new(NAME, false, "it does not come to this Bridge's layer there", || {
                "add bridge.layer() to the registry that is in force on this thread, behind no filter (`with_filter`)"
                    .to_owned()
            })
        }
        None => Gate::conditional(
            NAME,
            "the subscriber in force lets it through",
            "somebody else's, which has not answered",
        ),
    }
}

/// Whether the subscriber would hand such an event to this pipeline's layer.
fn ask_subscriber(pipeline: &Pipeline, subscriber: Dispatch, target: &str, level: Level) -> Option<Answer> {
    let (about, target) = (pipeline.address(), target.to_owned());
    ship::ask_own_thread_within(PATIENCE, move || {
        let fields = FieldSet::new(&["message"], identify_callsite!(&ASKED));
        let level = in_tracing(level);
        let metadata =
            Metadata::new("event of explain", &target, level, None, None, Some(&target), fields, Kind::EVENT);
        ask(about, || subscriber.enabled(&metadata))
    })
}

/// Nobody ever hears of this callsite but those who are asked.
struct Asked;

static ASKED: Asked = Asked;
static METADATA: Metadata<'static> = Metadata::new(
    "event of explain",
    "logbridge::explain",
    tracing_core::Level::TRACE,
    None,
    None,
    None,
    FieldSet::new(&["message"], identify_callsite!(&ASKED)),
    Kind::EVENT,
);

impl Callsite for Asked {
    fn set_interest(&self, _interest: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &METADATA
    }
}

fn in_tracing(level: Level) -> tracing_core::Level {
    match level {
        Level::Error => tracing_core::Level::ERROR,
        Level::Warn => tracing_core::Level::WARN,
        Level::Info => tracing_core::Level::INFO,
        Level::Debug => tracing_core::Level::DEBUG,
        Level::Trace => tracing_core::Level::TRACE,
    }
}
