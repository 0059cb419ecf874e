//! Every gate between a log call and its destinations, in order.
//!
//! Nothing is asked that leaves a trace: no `log_enabled!`, no `enabled!`, which would register callsites and set filters'
//! states on the application's threads.

use std::fmt;

use log::Level;
use tracing_core::dispatcher;

use crate::escape::OneLine;
use crate::ledger::Requests;
use crate::levels::{Origin, Row, Stage, to_tracing};
use crate::outbox::Outbox;
use crate::signal::Signal;
use crate::source::{EventLayer, Pipeline, is_suppressed};

/// One gate, and what it does with the record.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Whether the record passes.
    pub passes: bool,
    /// What decides, and where that was set.
    pub why: String,
    /// What to change to let it through, where it does not pass: any of these will do.
    pub changes: Vec<String>,
}

impl Gate {
    /// One line, and one for each change; names are `width` wide.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        self.show_decision(f, width)?;
        self.show_changes(f, width)
    }

    pub(super) fn show_decision(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        writeln!(f, "  {}  {:<width$}  {}", if self.passes { "pass" } else { "STOP" }, self.name, OneLine(&self.why))
    }

    pub(super) fn show_changes(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        self.changes.iter().enumerate().try_for_each(|(place, change)| {
            let word = if place == 0 { "change:" } else { "or:" };
            writeln!(f, "        {word:>width$}  {}", OneLine(change))
        })
    }
}

/// What becomes of a record of a target at a level, gate by gate. Made by [`Bridge::explain`](crate::Bridge::explain).
///
/// `Display` is the whole explanation, a line for each gate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The target.
    pub target: String,
    /// The level.
    pub level: Level,
    /// The gates on the way into logbridge, in order: of the facades, then its own.
    pub common: Vec<Gate>,
    /// Those on the way to the OTLP endpoint.
    pub otlp: Vec<Gate>,
    /// Those on the way to the console.
    pub console: Vec<Gate>,
}

impl Explanation {
    /// The first gate that stops it on the way to the OTLP endpoint; `None` where it is sent.
    #[must_use]
    pub fn stopped_before_otlp(&self) -> Option<&Gate> {
        self.common.iter().chain(&self.otlp).find(|gate| !gate.passes)
    }

    /// The first gate that stops it on the way to the console; `None` where it is printed.
    #[must_use]
    pub fn stopped_before_console(&self) -> Option<&Gate> {
        self.common.iter().chain(&self.console).find(|gate| !gate.passes)
    }
}

/// Walks every gate.
pub(crate) fn explain(pipeline: &Pipeline, target: &str, level: Level) -> Explanation {
    Explanation {
        target: target.to_owned(),
        level,
        common: common(pipeline, target, level),
        otlp: otlp(pipeline, target, level),
        console: console(pipeline, target, level),
    }
}

fn gate(name: &'static str, passes: bool, why: impl Into<String>, change: impl FnOnce() -> String) -> Gate {
    gate_of_stage(name, passes, why, || vec![change()])
}

fn gate_of_stage(
    name: &'static str,
    passes: bool,
    why: impl Into<String>,
    changes: impl FnOnce() -> Vec<String>,
) -> Gate {
    Gate { name, passes, why: why.into(), changes: if passes { Vec::new() } else { changes() } }
}

/// The levels of one stage.
fn levels(name: &'static str, pipeline: &Pipeline, stage: Stage, target: &str, level: Level) -> Gate {
    let Some(tables) = pipeline.levels.tables() else { return gate(name, true, "", String::new) };
    gate_of_row(name, tables.of(stage).decide(target), stage, target, level)
}

/// The row of a stage's table that decides.
pub(super) fn gate_of_row(name: &'static str, row: &Row, stage: Stage, target: &str, level: Level) -> Gate {
    // A variable loses against whoever else has named this very target.
    let is_final = row.target == target && row.origin > Some(Origin::Environment);
    let changes = || changes(stage, target, level, !is_final);
    gate_of_stage(name, level <= row.filter(), row.describe(stage), changes)
}

fn common(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let in_tracing = to_tracing(level.to_level_filter());
    let static_log = log::STATIC_MAX_LEVEL;
    let static_tracing = tracing::level_filters::STATIC_MAX_LEVEL;
    let feature = |facade: &str| {
        format!(
            "some crate switches on a feature of `{facade}` such as `release_max_level_info`: `cargo tree -e features -i {facade}` shows which"
        )
    };
    let mut gates = vec![
        gate("compiled in for log", level <= static_log, format!("down to {static_log}"), || feature("log")),
        gate(
            "compiled in for tracing",
            in_tracing <= static_tracing,
            format!("down to {}", static_tracing.to_string().to_ascii_uppercase()),
            || feature("tracing"),
        ),
    ];
    // What the levels need less than is theirs to say: this one only follows them.
    let (max, follows) = (log::max_level(), level > pipeline.levels.facades());
    let passes = level <= max || follows || !pipeline.owns_facades();
    let why = if level > max && follows { format!("{max}, which is what the levels need") } else { max.to_string() };
    gates.push(gate("log::max_level()", passes, why, || {
        format!("something called log::set_max_level(LevelFilter::{max:?}) after `init`: remove that")
    }));
    let slot = match pipeline.owns_facades() {
        true => "logbridge",
        false => "somebody else's: whoever has it must hand records to this `Bridge`'s logger or layer",
    };
    gates.push(gate("the facades' slots", true, slot, String::new));
    if pipeline.owns_facades() {
        let is_ours = dispatcher::get_default(|dispatch| dispatch.downcast_ref::<EventLayer>().is_some());
        let why = if is_ours { "logbridge" } else { "on this thread, another one is in force" };
        gates.push(gate("tracing's subscriber", is_ours, why, || {
            "tracing's events here go to a scoped subscriber (`with_default`, `set_default`); records of `log` do not"
                .to_owned()
        }));
    }
    gates.push(levels("module stage", pipeline, Stage::Module, target, level));
    gates
}

/// The exact settings that let it through.
fn changes(stage: Stage, target: &str, level: Level, by_variable: bool) -> Vec<String> {
    let word = level.as_str().to_ascii_lowercase();
    let filter = format!("LevelFilter::{:?}", level.to_level_filter());
    let (in_code, at_run_time) = match stage {
        Stage::Otlp => (format!("Otlp::module_level({target:?}, {filter})"), ".of(Stage::Otlp)"),
        Stage::Console => (format!("Console::module_level({target:?}, {filter})"), ".of(Stage::Console)"),
        Stage::Module | Stage::Span => (format!("Builder::filter_module({target:?}, {filter})"), ""),
    };
    let variable = by_variable.then(|| format!("add {target}={word} to {}", stage.variable()));
    variable
        .into_iter()
        .chain([
            format!("in code: {in_code}"),
            format!("while it runs: bridge.levels(){at_run_time}.set({target:?}, {filter})"),
        ])
        .collect()
}

fn otlp(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let mut gates = Vec::new();
    let endpoint = pipeline.endpoint.as_deref();
    let why = endpoint.or(pipeline.off_because).unwrap_or("off");
    gates.push(gate("otlp is on", endpoint.is_some(), why, || {
        "set OTEL_EXPORTER_OTLP_ENDPOINT, or Builder::otlp in code".to_owned()
    }));
    gates.push(levels("otlp's levels", pipeline, Stage::Otlp, target, level));
    let suppressed = is_suppressed();
    let why = if suppressed { "telemetry is suppressed in this context" } else { "not in this context" };
    gates.push(gate("suppression", !suppressed, why, || {
        "something has called Context::enter_telemetry_suppressed_scope around this call".to_owned()
    }));
    if pipeline.is_trace_based() {
        let unsampled = pipeline.is_unsampled_here();
        let why = if unsampled { "the trace of this context is not sampled" } else { "no unsampled trace here" };
        gates.push(gate("sampling", !unsampled, why, || {
            "Otlp::trace_based(false) sends it all the same, or sample more (OTEL_TRACES_SAMPLER)".to_owned()
        }));
    }
    if let Some(limit) = pipeline.repetition() {
        let why = format!("{limit} of one callsite pass; what others are suppressed, the report counts");
        gates.push(gate("repetition", true, why, String::new));
    }
    let shut = pipeline.is_shut();
    let by = pipeline.shut_by().map_or_else(String::new, |at| format!(", at {at}"));
    let why = if shut { format!("logbridge was shut down{by}") } else { "yes".to_owned() };
    gates.push(gate("running", !shut, why, || {
        "Bridge::shutdown is for the end: use Bridge::flush before it".to_owned()
    }));
    if let Some(engine) = pipeline.engines().existing().filter(|_| endpoint.is_some()) {
        gates.extend(engine.outbox.as_ref().map(|outbox| room(outbox)));
        gates.push(answers(&engine.ledger.observed.requests(Signal::Logs)));
    }
    gates
}

/// Whether there is room in the outbox.
fn room(outbox: &Outbox) -> Gate {
    let (used, bound) = outbox.use_and_bound();
    let percent = used.saturating_mul(100) / bound.max(1);
    // What a full outbox does is for its policy: it may make room.
    let full = percent >= 99;
    let policy = outbox.overload();
    let why = if full { format!("full, and the policy is {policy}") } else { format!("{percent} % full") };
    gate("outbox", !full || policy.makes_room(), why, || {
        "raise LOGBRIDGE_MAX_BYTES, use a spool, or choose with LOGBRIDGE_OVERLOAD what goes".to_owned()
    })
}

/// What became of the last requests. One that failed in a way that may pass stops no record: it waits.
fn answers(requests: &Requests) -> Gate {
    let Requests { confirmed, refused, unconfirmed, last_confirmed, last_trouble, .. } = requests;
    let trouble = last_trouble.as_ref().filter(|(at, _)| last_confirmed.is_none_or(|confirmed| confirmed < *at));
    let (passes, why) = match trouble {
        None if *confirmed == 0 => (true, "nothing was sent yet".to_owned()),
        None => (true, "it took the last request".to_owned()),
        Some((_, why)) if refused + unconfirmed > 0 => (false, why.clone()),
        Some((_, why)) => (true, format!("records wait: {why}")),
    };
    gate("the endpoint's last word", passes, why, || {
        "mend what it says; `logbridge doctor endpoint` tries address, key and size one by one".to_owned()
    })
}

fn console(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let on = pipeline.has_console();
    let why = if on { "yes" } else { "it is off, or the debug mirror stands in for it" };
    vec![
        gate("console is on", on, why, || "LOGBRIDGE_CONSOLE=stderr, or Console::stderr() in code".to_owned()),
        levels("console's levels", pipeline, Stage::Console, target, level),
    ]
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", OneLine(&self.target), self.level)?;
        let width = self.common.iter().chain(&self.otlp).chain(&self.console).map(|gate| gate.name.len()).max();
        let width = width.unwrap_or(0);
        let show = |f: &mut fmt::Formatter<'_>, gates: &[Gate]| gates.iter().try_for_each(|gate| gate.show(f, width));
        show(f, &self.common)?;
        if self.common.iter().any(|gate| !gate.passes) {
            return writeln!(f, "  it reaches neither otlp nor the console");
        }
        show(f, &self.otlp)?;
        show(f, &self.console)?;
        let (otlp, console) = (self.stopped_before_otlp().is_none(), self.stopped_before_console().is_none());
        writeln!(
            f,
            "  it reaches {}",
            match (otlp, console) {
                (true, true) => "otlp and the console",
                (true, false) => "otlp, not the console",
                (false, true) => "the console, not otlp",
                (false, false) => "neither otlp nor the console",
            }
        )
    }
}
