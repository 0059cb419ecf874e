//! Explains a record gate by gate, from the log call to the destinations.
//!
//! This has no side effects on the application's threads. `log_enabled!` and `enabled!` would register callsites and
//! change the state of filters there, so one of logbridge's own threads queries loggers and subscribers.

use std::fmt;

use log::Level;

use super::facade::Facade;
use super::facade_gates::facade_gates;
use super::gate::Gate;
use super::setting::{how_to_set, how_to_turn_on};
use crate::escape::OneLine;
use crate::ledger::Requests;
use crate::levels::Stage;
use crate::outbox::Outbox;
use crate::signal::Signal;
use crate::source::{Pipeline, is_suppressed};

pub(super) const SUPPRESSION: &str = "suppression";
pub(super) const MESSAGE_FILTER: &str = "text filter";

/// The gates that a record of a target and level meets, and their decisions. Returned by
/// [`Bridge::explain`](crate::Bridge::explain).
///
/// It applies to a record that is logged now, on this thread and in this context. `Display` prints a line for each
/// gate: `pass`, `STOP`, or `if` when the gate has a condition.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The target.
    pub target: String,
    /// The level.
    pub level: Level,
    /// The gates in front of both destinations, in order: first the facades, then the module stage.
    pub common: Vec<Gate>,
    /// The gates on the way to the OTLP endpoint.
    pub otlp: Vec<Gate>,
    /// The gates on the way to the console.
    pub console: Vec<Gate>,
}

impl Explanation {
    /// Returns the explanation for a record of one facade only.
    #[must_use]
    pub fn through(&self, facade: Facade) -> Self {
        let of = |gates: &[Gate]| gates.iter().filter(|gate| gate.applies_to(facade)).cloned().collect();
        Self {
            target: self.target.clone(),
            common: of(&self.common),
            otlp: of(&self.otlp),
            console: of(&self.console),
            ..*self
        }
    }

    /// Returns the gate that stops the record on the way to the OTLP endpoint, or `None` if it is sent, provided that
    /// it meets the [`conditions`](Self::conditions_of_otlp).
    ///
    /// Prefers the first gate that stops the records of both facades over one that stops the records of a single
    /// facade. [`through`](Self::through) explains one facade.
    #[must_use]
    pub fn stopped_before_otlp(&self) -> Option<&Gate> {
        first_stop(self.common.iter().chain(&self.otlp))
    }

    /// Returns the gate that stops the record on the way to the console, or `None` if it is printed, provided that it
    /// meets the [`conditions`](Self::conditions_of_console). Prefers gates as
    /// [`stopped_before_otlp`](Self::stopped_before_otlp) does.
    #[must_use]
    pub fn stopped_before_console(&self) -> Option<&Gate> {
        first_stop(self.common.iter().chain(&self.console))
    }

    /// Returns the conditions for sending the record that target and level do not decide.
    pub fn conditions_of_otlp(&self) -> impl Iterator<Item = &str> {
        self.common.iter().chain(&self.otlp).filter_map(|gate| gate.condition.as_deref())
    }

    /// Returns the conditions for printing the record that target and level do not decide.
    pub fn conditions_of_console(&self) -> impl Iterator<Item = &str> {
        self.common.iter().chain(&self.console).filter_map(|gate| gate.condition.as_deref())
    }

    /// Names the destinations that the record reaches.
    fn destinations(&self) -> String {
        let otlp = self.stopped_before_otlp().is_none().then(|| conditions(self.conditions_of_otlp()));
        let console = self.stopped_before_console().is_none().then(|| conditions(self.conditions_of_console()));
        match (otlp, console) {
            (None, None) => "neither otlp nor the console".to_owned(),
            (Some(otlp), None) => format!("otlp{otlp}, not the console"),
            (None, Some(console)) => format!("the console{console}, not otlp"),
            (Some(otlp), Some(console)) if otlp == console => format!("otlp and the console{otlp}"),
            (Some(otlp), Some(console)) => format!("the console{console}, and otlp{otlp}"),
        }
    }
}

/// Returns the first gate that stops the records of both facades, or else the first gate that stops any.
fn first_stop<'a>(gates: impl Iterator<Item = &'a Gate> + Clone) -> Option<&'a Gate> {
    let mut stops = gates.filter(|gate| !gate.passes);
    stops.clone().find(|gate| gate.facade.is_none()).or_else(|| stops.next())
}

fn conditions<'a>(conditions: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = conditions.collect();
    if all.is_empty() { String::new() } else { format!(" if {}", all.join(" and ")) }
}

pub(crate) fn explain(pipeline: &Pipeline, target: &str, level: Level) -> Explanation {
    let mut common = facade_gates(pipeline, target, level);
    common.push(level_gate("module stage", pipeline, Stage::Module, target, level));
    common.extend(pipeline.message_filter().map(|(filter, by)| {
        let filter = OneLine(filter);
        let condition = format!("its text matches `{filter}`");
        Gate::conditional(MESSAGE_FILTER, condition, format!("{by}: only records whose text matches `{filter}` pass"))
    }));
    Explanation {
        target: target.to_owned(),
        level,
        common,
        otlp: otlp_gates(pipeline, target, level),
        console: console_gates(pipeline, target, level),
    }
}

fn level_gate(name: &'static str, pipeline: &Pipeline, stage: Stage, target: &str, level: Level) -> Gate {
    let Some(tables) = pipeline.levels.tables() else { return Gate::new(name, true, "", String::new) };
    Gate::of_row(name, tables.of(stage).decide(target), stage, target, level, &pipeline.levels.variables)
}

fn otlp_gates(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let mut gates = Vec::new();
    let endpoint = pipeline.setup.endpoint.as_deref();
    let why = endpoint.or(pipeline.setup.off_because).unwrap_or("off");
    gates.push(Gate::new("otlp is on", endpoint.is_some(), why, || how_to_turn_on(pipeline)));
    gates.push(level_gate("otlp's levels", pipeline, Stage::Otlp, target, level));
    let suppressed = is_suppressed();
    let why = if suppressed { "telemetry is suppressed in this context" } else { "not in this context" };
    gates.push(Gate::new(SUPPRESSION, !suppressed, why, || {
        "this call is inside a scope of Context::enter_telemetry_suppressed_scope: leave the scope first".to_owned()
    }));
    if pipeline.is_trace_based() {
        gates.push(sampling_gate(pipeline));
    }
    if let Some(limit) = pipeline.repetition() {
        let why = format!("{limit} pass per callsite; the report counts the suppressed ones");
        gates.push(match limit.is_exempt(level) {
            true => Gate::new("repetition", true, "records at this level are exempt", String::new),
            false => Gate::conditional("repetition", format!("its callsite logs no more than {limit}"), why),
        });
    }
    gates.push(running_gate(pipeline));
    if pipeline.has_processors() {
        gates.push(Gate::conditional(
            "log processors",
            "the log processors of the application forward it",
            "the processors of Builder::log_processor run first and may keep the record",
        ));
    }
    gates.extend(content_gates(pipeline));
    if let Some(engine) = pipeline.processes().existing().filter(|_| endpoint.is_some()) {
        gates.extend(engine.outbox.as_ref().map(|outbox| outbox_gate(pipeline, outbox)));
        gates.push(endpoint_gate(&engine.ledger.stats.requests(Signal::Logs)));
    }
    gates
}

fn sampling_gate(pipeline: &Pipeline) -> Gate {
    const NAME: &str = "sampling";
    if pipeline.is_unsampled_here() {
        return Gate::new(NAME, false, "the trace of this context is not sampled", || {
            let sampler = how_to_set(pipeline, "sampler", "OTEL_TRACES_SAMPLER", "Builder::sampler");
            format!("send it anyway with Otlp::trace_based(false), or sample more ({sampler})")
        });
    }
    let why = "no unsampled trace here; Otlp::trace_based(true) holds back the records of unsampled traces";
    Gate::conditional(NAME, "it is not part of an unsampled trace", why)
}

fn running_gate(pipeline: &Pipeline) -> Gate {
    let shut = pipeline.is_shut();
    let location = pipeline.shut_by();
    let why = match location {
        Some(at) if shut => format!("logbridge was shut down, at {at}"),
        _ if shut => "logbridge was shut down".to_owned(),
        _ => "yes".to_owned(),
    };
    Gate::new("running", !shut, why, || match location {
        Some(_) => "call Bridge::flush there: Bridge::shutdown is for the end of the program".to_owned(),
        None => "shut down its provider only at the end of the program".to_owned(),
    })
}

/// Gates that stop no record, but may change it.
fn content_gates(pipeline: &Pipeline) -> Vec<Gate> {
    let mut gates = Vec::new();
    if pipeline.redacts() {
        gates.push(Gate::new("redaction", true, "it passes, without the redacted values", String::new));
    }
    if pipeline.has_limits() {
        gates.push(Gate::new("attribute limits", true, "it passes, without attributes beyond the limits", String::new));
    }
    gates
}

fn outbox_gate(pipeline: &Pipeline, outbox: &Outbox) -> Gate {
    let (used, bound) = outbox.use_and_bound();
    let percent = used.saturating_mul(100) / bound.max(1);
    let full = percent >= 99;
    let policy = outbox.overload();
    let why = if full { format!("full, and the policy is {policy}") } else { format!("{percent} % full") };
    Gate::new("outbox", !full || policy.makes_room(), why, || {
        let bound = how_to_set(pipeline, "logs max bytes", "LOGBRIDGE_MAX_BYTES", "Builder::max_bytes");
        let policy = how_to_set(pipeline, "logs overload", "LOGBRIDGE_OVERLOAD", "Builder::overload");
        format!("raise its limit ({bound}), use a spool, or choose another overload policy ({policy})")
    })
}

/// The answer to the last request. A retryable failure stops no record: it stays queued.
fn endpoint_gate(requests: &Requests) -> Gate {
    let Requests { confirmed, refused, unconfirmed, last_confirmed, last_trouble, .. } = requests;
    let trouble = last_trouble.as_ref().filter(|(at, _)| last_confirmed.is_none_or(|confirmed| confirmed < *at));
    let (passes, why) = match trouble {
        None if *confirmed == 0 => (true, "nothing has been sent yet".to_owned()),
        None => (true, "the last request was confirmed".to_owned()),
        Some((_, why)) if refused + unconfirmed > 0 => (false, why.clone()),
        Some((_, why)) => (true, format!("records are queued: {why}")),
    };
    Gate::new("endpoint's answer", passes, why, || {
        "correct the reported cause; `logbridge doctor endpoint` checks address, key and size one by one".to_owned()
    })
}

fn console_gates(pipeline: &Pipeline, target: &str, level: Level) -> Vec<Gate> {
    let is_on = pipeline.has_console();
    let (why, change) = match (is_on, pipeline.has_mirror()) {
        (true, _) => ("yes", ""),
        (false, true) => (
            "no: the debug mirror prints records that pass otlp's levels on stdout, as they are sent",
            "turn off the debug mirror and turn on the console: ",
        ),
        (false, false) => ("no", ""),
    };
    let console = Gate::new("console is on", is_on, why, || {
        let stderr = how_to_set(pipeline, "console", "LOGBRIDGE_CONSOLE=stderr", "Builder::console(Console::stderr())");
        format!("{change}{stderr}")
    });
    vec![console, level_gate("console's levels", pipeline, Stage::Console, target, level)]
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", OneLine(&self.target), self.level)?;
        let width = self.common.iter().chain(&self.otlp).chain(&self.console).map(|gate| gate.name.len()).max();
        let width = width.unwrap_or(0);
        let show = |f: &mut fmt::Formatter<'_>, gates: &[Gate]| gates.iter().try_for_each(|gate| gate.show(f, width));
        show(f, &self.common)?;
        let [of_log, of_tracing] = [Facade::Log, Facade::Tracing].map(|facade| self.through(facade));
        let is_stopped = |of: &Self| of.common.iter().any(|gate| !gate.passes);
        if !is_stopped(&of_log) || !is_stopped(&of_tracing) {
            show(f, &self.otlp)?;
            show(f, &self.console)?;
        }
        let [of_log, of_tracing] = [of_log, of_tracing].map(|of| of.destinations());
        if of_log == of_tracing {
            return writeln!(f, "  it reaches {of_log}");
        }
        writeln!(f, "  through log it reaches {of_log}")?;
        writeln!(f, "  through tracing it reaches {of_tracing}")
    }
}
