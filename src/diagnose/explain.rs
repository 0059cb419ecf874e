//! Every gate between a log call and its destinations, in order.
//!
//! Nothing is asked that leaves a trace on the application's threads: no `log_enabled!`, no `enabled!`, which would
//! register callsites and set filters' states there. What only others know is asked on a thread of our own.

use std::fmt;

use log::Level;

use super::Facade;
use super::facades;
use super::setting::{place_of, turn_on};
use crate::escape::OneLine;
use crate::ledger::Requests;
use crate::levels::{LevelVariables, Row, Stage};
use crate::outbox::Outbox;
use crate::signal::Signal;
use crate::source::{Pipeline, is_suppressed};

pub(super) const SUPPRESSION: &str = "suppression";
pub(super) const TEXT_FILTER: &str = "text filter";

/// One gate, and what it does with the record.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// The facade whose records it concerns; `None` for those of both.
    pub facade: Option<Facade>,
    /// Whether the record passes, if it meets the [`condition`](Self::condition).
    pub passes: bool,
    /// What a record has to meet to pass, where its target and level alone do not decide: a text that matches a filter, say.
    pub condition: Option<String>,
    /// What decides, and where that was set.
    pub why: String,
    /// What to change to let it through, where it does not pass: any of these will do.
    pub changes: Vec<String>,
}

impl Gate {
    pub(super) fn new(
        name: &'static str,
        passes: bool,
        why: impl Into<String>,
        change: impl FnOnce() -> String,
    ) -> Self {
        Self::with_changes(name, passes, why, || vec![change()])
    }

    pub(super) fn with_changes(
        name: &'static str,
        passes: bool,
        why: impl Into<String>,
        changes: impl FnOnce() -> Vec<String>,
    ) -> Self {
        let changes = if passes { Vec::new() } else { changes() };
        Self { name, facade: None, passes, condition: None, why: why.into(), changes }
    }

    /// One that lets through what meets a condition.
    pub(super) fn conditional(name: &'static str, condition: impl Into<String>, why: impl Into<String>) -> Self {
        Self { condition: Some(condition.into()), ..Self::new(name, true, why, String::new) }
    }

    /// The same for the records of one facade only.
    pub(super) fn of(self, facade: Facade) -> Self {
        Self { facade: Some(facade), ..self }
    }

    fn concerns(&self, facade: Facade) -> bool {
        self.facade.is_none_or(|of| of == facade)
    }

    /// One line, and one for each change; names are `width` wide.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        self.show_decision(f, width)?;
        self.show_changes(f, width)
    }

    pub(super) fn show_decision(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        let word = match (self.passes, &self.condition) {
            (false, _) => "STOP",
            (true, Some(_)) => "if",
            (true, None) => "pass",
        };
        writeln!(f, "  {word:<4}  {:<width$}  {}", self.name, OneLine(&self.why))
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
/// It is about a record that is written here and now: on this thread, in this context. `Display` is the whole explanation, a
/// line for each gate: `pass`, `STOP`, or `if` where more decides than target and level.
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
    /// The same for a record that is written through one facade.
    #[must_use]
    pub fn through(&self, facade: Facade) -> Self {
        let of = |gates: &[Gate]| gates.iter().filter(|gate| gate.concerns(facade)).cloned().collect();
        Self {
            target: self.target.clone(),
            common: of(&self.common),
            otlp: of(&self.otlp),
            console: of(&self.console),
            ..*self
        }
    }

    /// The gate that stops it on the way to the OTLP endpoint; `None` where it is sent, if it meets the
    /// [`conditions`](Self::conditions_of_otlp).
    ///
    /// Of several, the first one that stops the records of both facades; where there is none, the first one that stops
    /// those of one ([`through`](Self::through) asks about each).
    #[must_use]
    pub fn stopped_before_otlp(&self) -> Option<&Gate> {
        stop(self.common.iter().chain(&self.otlp))
    }

    /// The gate that stops it on the way to the console; `None` where it is printed, if it meets the
    /// [`conditions`](Self::conditions_of_console). Of several, as for otlp.
    #[must_use]
    pub fn stopped_before_console(&self) -> Option<&Gate> {
        stop(self.common.iter().chain(&self.console))
    }

    /// What it has to meet to be sent, where target and level do not decide alone.
    pub fn conditions_of_otlp(&self) -> impl Iterator<Item = &str> {
        self.common.iter().chain(&self.otlp).filter_map(|gate| gate.condition.as_deref())
    }

    /// What it has to meet to be printed, where target and level do not decide alone.
    pub fn conditions_of_console(&self) -> impl Iterator<Item = &str> {
        self.common.iter().chain(&self.console).filter_map(|gate| gate.condition.as_deref())
    }

    /// Where it goes, in words.
    fn reaches(&self) -> String {
        let otlp = self.stopped_before_otlp().is_none().then(|| conditions(self.conditions_of_otlp()));
        let console = self.stopped_before_console().is_none().then(|| conditions(self.conditions_of_console()));
        match (otlp, console) {
            (None, None) => "neither otlp nor the console".to_owned(),
            (Some(of_otlp), None) => format!("otlp{of_otlp}, not the console"),
            (None, Some(of_console)) => format!("the console{of_console}, not otlp"),
            (Some(of_otlp), Some(of_console)) if of_otlp == of_console => format!("otlp and the console{of_otlp}"),
            (Some(of_otlp), Some(of_console)) => format!("the console{of_console}, and otlp{of_otlp}"),
        }
    }
}

/// The first gate that stops records of both facades, else the first one that stops any.
fn stop<'a>(gates: impl Iterator<Item = &'a Gate> + Clone) -> Option<&'a Gate> {
    let mut stops = gates.filter(|gate| !gate.passes);
    stops.clone().find(|gate| gate.facade.is_none()).or_else(|| stops.next())
}

fn conditions<'a>(conditions: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = conditions.collect();
    if all.is_empty() { String::new() } else { format!(" if {}", all.join(" and ")) }
}

/// Walks every gate.
pub(crate) fn explain(pipeline: &Pipeline, target: &str, level: Level) -> Explanation {
    let mut common = facades::gates(pipeline, target, level);
    common.push(levels("module stage", pipeline, Stage::Module, target, level));
    common.extend(pipeline.text_filter().map(|(filter, by)| {
        let condition = format!("its text matches `{}`", OneLine(filter));
        Gate::conditional(
            TEXT_FILTER,
            condition,
            format!("{by}: only records whose text matches `{}`", OneLine(filter)),
        )
    }));
    Explanation {
        target: target.to_owned(),
        level,
        common,
        otlp: otlp(pipeline, target, level),
        console: console(pipeline, target, level),
    }
}

/// The levels of one stage.
fn levels(name: &'static str, pipeline: &Pipeline, stage: Stage, target: &str, level: Level) -> Gate {
    let Some(tables) = pipeline.levels.tables() else { return Gate::new(name, true, "", String::new) };
    gate_of_row(name, tables.of(stage).decide(target), stage, target, level, &pipeline.levels.variables)
}

/// The row of a stage's table that decides.
pub(super) fn gate_of_row(
    name: &'static str,
    row: &Row,
    stage: Stage,
    target: &str,
    level: Level,
    variables: &LevelVariables,
) -> Gate {
    let changes = || variables.suggestions(stage, row, target, level);
    Gate::with_changes(name, level <= row.filter(), row.describe(stage), changes)
}

fn otlp(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let mut gates = Vec::new();
    let endpoint = pipeline.setup.endpoint.as_deref();
    let why = endpoint.or(pipeline.setup.off_because).unwrap_or("off");
    gates.push(Gate::new("otlp is on", endpoint.is_some(), why, || turn_on(pipeline)));
    gates.push(levels("otlp's levels", pipeline, Stage::Otlp, target, level));
    let suppressed = is_suppressed();
    let why = if suppressed { "telemetry is suppressed in this context" } else { "not in this context" };
    gates.push(Gate::new(SUPPRESSION, !suppressed, why, || {
        "something has called Context::enter_telemetry_suppressed_scope around this call".to_owned()
    }));
    if pipeline.is_trace_based() {
        gates.push(match pipeline.is_unsampled_here() {
            true => Gate::new("sampling", false, "the trace of this context is not sampled", || {
                let sampler = place_of(pipeline, "sampler", "OTEL_TRACES_SAMPLER", "Builder::sampler");
                format!("Otlp::trace_based(false) sends it all the same, or sample more ({sampler})")
            }),
            false => Gate::conditional(
                "sampling",
                "it is in no trace that is not sampled",
                "no unsampled trace here; Otlp::trace_based(true) holds back the records of one",
            ),
        });
    }
    if let Some(limit) = pipeline.repetition() {
        let why = format!("{limit} of one callsite pass; what others are suppressed, the report counts");
        gates.push(match limit.is_exempt(level) {
            true => Gate::new("repetition", true, "records at this level are exempt", String::new),
            false => Gate::conditional("repetition", format!("no more than {limit} come from its callsite"), why),
        });
    }
    let shut = pipeline.is_shut();
    let by = pipeline.shut_by().map_or_else(String::new, |at| format!(", at {at}"));
    let why = if shut { format!("logbridge was shut down{by}") } else { "yes".to_owned() };
    gates.push(Gate::new("running", !shut, why, || match pipeline.shut_by() {
        Some(_) => "Bridge::shutdown is for the end: use Bridge::flush before it".to_owned(),
        None => "shut the provider that it belongs to down at the end only".to_owned(),
    }));
    if pipeline.has_processors() {
        gates.push(Gate::conditional(
            "log processors",
            "the log processors of the application hand it on",
            "those of Builder::log_processor see it first, and decide what becomes of it",
        ));
    }
    gates.extend(contents(pipeline));
    if let Some(engine) = pipeline.processes().existing().filter(|_| endpoint.is_some()) {
        gates.extend(engine.outbox.as_ref().map(|outbox| room(pipeline, outbox)));
        gates.push(answers(&engine.ledger.stats.requests(Signal::Logs)));
    }
    gates
}

/// What stops no record, and may change it.
fn contents(pipeline: &Pipeline) -> Vec<Gate> {
    let mut gates = Vec::new();
    if pipeline.redacts() {
        gates.push(Gate::new("redaction", true, "it goes, without the values that are to be taken out", String::new));
    }
    if pipeline.has_limits() {
        gates.push(Gate::new("attribute limits", true, "it goes, without what is beyond them", String::new));
    }
    gates
}

/// Whether there is room in the outbox.
fn room(pipeline: &Pipeline, outbox: &Outbox) -> Gate {
    let (used, bound) = outbox.use_and_bound();
    let percent = used.saturating_mul(100) / bound.max(1);
    // What a full outbox does is for its policy: it may make room.
    let full = percent >= 99;
    let policy = outbox.overload();
    let why = if full { format!("full, and the policy is {policy}") } else { format!("{percent} % full") };
    Gate::new("outbox", !full || policy.makes_room(), why, || {
        let bound = place_of(pipeline, "logs max bytes", "LOGBRIDGE_MAX_BYTES", "Builder::max_bytes");
        let policy = place_of(pipeline, "logs overload", "LOGBRIDGE_OVERLOAD", "Builder::overload");
        format!("raise its bound ({bound}), use a spool, or choose what goes ({policy})")
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
    Gate::new("the endpoint's last word", passes, why, || {
        "mend what it says; `logbridge doctor endpoint` tries address, key and size one by one".to_owned()
    })
}

fn console(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let on = pipeline.has_console();
    let (why, change) = match (on, pipeline.has_mirror()) {
        (true, _) => ("yes", ""),
        (false, true) => (
            "no: the debug mirror prints on stdout what passes otlp's levels, as it is shipped",
            "switch the debug mirror off, and let the console be on: ",
        ),
        (false, false) => ("no", ""),
    };
    vec![
        Gate::new("console is on", on, why, || {
            let stderr =
                place_of(pipeline, "console", "LOGBRIDGE_CONSOLE=stderr", "Builder::console(Console::stderr())");
            format!("{change}{stderr}")
        }),
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
        let [of_log, of_tracing] = [Facade::Log, Facade::Tracing].map(|facade| self.through(facade));
        let is_cut = |of: &Self| of.common.iter().any(|gate| !gate.passes);
        if !is_cut(&of_log) || !is_cut(&of_tracing) {
            show(f, &self.otlp)?;
            show(f, &self.console)?;
        }
        let [of_log, of_tracing] = [of_log, of_tracing].map(|of| of.reaches());
        if of_log == of_tracing {
            return writeln!(f, "  it reaches {of_log}");
        }
        writeln!(f, "  through log it reaches {of_log}")?;
        writeln!(f, "  through tracing it reaches {of_tracing}")
    }
}
