//! Explains whether a tracing span is created and exported, gate by gate.

use std::fmt;

use log::Level;
use tracing_core::dispatcher;
use tracing_core::span::Current;

use super::explain::SUPPRESSION;
use super::facade_gates::{compiled_gate_of_tracing, hint_gate, subscriber_gate};
use super::gate::Gate;
use super::report::FilteredSpan;
use super::setting::how_to_set;
use crate::escape::OneLine;
use crate::levels::{Stage, covering_target};
use crate::source::{Pipeline, is_suppressed};

/// The gates that a tracing span meets before it is exported, and their decisions. Returned by
/// [`Bridge::explain_span`](crate::Bridge::explain_span).
///
/// It applies to a span that is created now, on this thread and in this context. Records inside a span that is not
/// created have the ids of the next outer span, or none.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SpanExplanation {
    /// The target.
    pub target: String,
    /// The name.
    pub name: String,
    /// The level.
    pub level: Level,
    /// The gates, in order.
    pub gates: Vec<Gate>,
    /// The spans of this target that were below the span threshold so far.
    pub filtered: Vec<FilteredSpan>,
}

impl SpanExplanation {
    /// Returns the gate that stops the span, or `None` if it is exported, provided that it meets the conditions of its
    /// gates.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&Gate> {
        self.gates.iter().find(|gate| !gate.passes)
    }
}

pub(crate) fn explain_span(pipeline: &Pipeline, target: &str, name: &str, level: Level) -> SpanExplanation {
    let mut gates = vec![compiled_gate_of_tracing(level)];
    if pipeline.owns_facades() {
        gates.push(subscriber_gate(pipeline, target, Level::Error));
        gates.extend(threshold_gate(pipeline, target, name, level));
        gates.extend(covered_gate(target, name));
    } else {
        gates.extend(hint_gate(level));
        let why = "your own subscriber creates the spans, and its filters decide; the span threshold does not apply";
        gates.push(Gate::conditional("span threshold", "your own subscriber creates it", why));
    }
    gates.push(suppression_gate());
    gates.push(sampling_gate(pipeline));
    let endpoint = pipeline.setup.span_endpoint.as_deref();
    let why = endpoint.or(pipeline.setup.spans_off_because).unwrap_or("off");
    gates.push(Gate::new("export of spans is on", endpoint.is_some(), why, || {
        "set OTEL_EXPORTER_OTLP_ENDPOINT and no OTEL_TRACES_EXPORTER=none, or Builder::otlp in code; records have the \
         ids in any case"
            .to_owned()
    }));
    let mut filtered = FilteredSpan::all(pipeline);
    filtered.retain(|span| span.target == target || span.target.strip_prefix(target).is_some_and(is_path));
    SpanExplanation { target: target.to_owned(), name: name.to_owned(), level, gates, filtered }
}

fn is_path(rest: &str) -> bool {
    rest.starts_with("::")
}

fn threshold_gate(pipeline: &Pipeline, target: &str, name: &str, level: Level) -> Option<Gate> {
    let row = pipeline.levels.tables()?.span.decide_span(target, name);
    Some(Gate::of_row("span threshold", row, Stage::Span, target, level, &pipeline.levels.variables))
}

/// The gate of a request span that another span makes superfluous.
fn covered_gate(target: &str, name: &str) -> Option<Gate> {
    const NAME: &str = "one span for a request";
    let covering = covering_target(target, name)?;
    let is_of = |span: &Current| span.metadata().is_some_and(|span| span.target() == covering);
    if dispatcher::get_default(|dispatch| is_of(&dispatch.current_span())) {
        let why =
            format!("the current span, of {covering}, already stands for the request; records inside get its ids");
        return Some(Gate::new(NAME, false, why, || {
            format!("remove the layer that creates the span of {covering}, if this one is preferred")
        }));
    }
    let condition = format!("the current span is not one of {covering}");
    Some(Gate::conditional(NAME, condition, format!("a span of {covering} stands for the same request")))
}

fn suppression_gate() -> Gate {
    let is_suppressed = is_suppressed();
    let why = if is_suppressed { "telemetry is suppressed in this context" } else { "not in this context" };
    Gate::new(SUPPRESSION, !is_suppressed, why, || {
        "leave the scope of Context::enter_telemetry_suppressed_scope first".to_owned()
    })
}

fn sampling_gate(pipeline: &Pipeline) -> Gate {
    const NAME: &str = "sampling";
    let sampler = || how_to_set(pipeline, "sampler", "OTEL_TRACES_SAMPLER", "Builder::sampler");
    if pipeline.is_unsampled_here() {
        return Gate::new(NAME, false, "the trace of this context is not sampled", || {
            format!("sample more ({})", sampler())
        });
    }
    Gate::conditional(NAME, "the sampler keeps its trace", format!("set by {}", sampler()))
}

impl fmt::Display for SpanExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "span `{}` of {} at {}", OneLine(&self.name), OneLine(&self.target), self.level)?;
        let width = self.gates.iter().map(|gate| gate.name.len()).max().unwrap_or(0);
        self.gates.iter().try_for_each(|gate| gate.show(f, width))?;
        self.filtered.iter().try_for_each(|span| writeln!(f, "  filtered so far: {span}, by {}", OneLine(&span.by)))?;
        match self.stopped_by() {
            Some(_) => writeln!(f, "  it is not exported"),
            None => writeln!(f, "  it is exported if the conditions hold"),
        }
    }
}
