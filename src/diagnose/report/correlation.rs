//! Findings about records that cannot be found by their trace.

use super::data::{FilteredSpan, Report, Traced, TracedThread};
use super::new_finding::{LEVELS, RECORDS, SPANS, note, warning, were};
use crate::diagnose::facade_gates::CANARY_TARGET;
use crate::diagnose::setting::how_to_set;
use crate::escape::OneLine;
use crate::finding::{Finding, Impact, kind};
use crate::levels::Stage;
use crate::signal::Signal;
use crate::source::{Pipeline, is_of_transport};
use crate::telemetry::tracer_is_given;

/// Fewer records of a target or thread are not compared, because they may come from startup.
const MIN_RECORDS: u64 = 5;
/// How many targets, threads or spans a finding names.
const NAMED: usize = 3;

const LOG_INSIDE_SPANS: &str = "log inside spans, and pass the context to other threads and tasks: `Span::enter`, \
                                `.instrument(Span::current())`, `logbridge::carry_context`";

/// The records that have left the outbox, without those of `Bridge::check`.
struct Shares<'a> {
    targets: Vec<&'a Traced>,
    records: u64,
    with_trace: u64,
}

impl<'a> Shares<'a> {
    fn of(report: &'a Report) -> Self {
        let targets: Vec<&Traced> = report.traced.iter().filter(|row| row.target != CANARY_TARGET).collect();
        let sum = |of: fn(&Traced) -> u64| targets.iter().map(|row| of(row)).sum::<u64>();
        Self { records: sum(|row| row.records), with_trace: sum(|row| row.with_trace), targets }
    }

    fn without(&self) -> u64 {
        self.records - self.with_trace
    }

    /// Returns the targets to name, those with the most records without ids first.
    ///
    /// If most records have ids, a few targets without any are normal. A target needs more records then.
    fn striking(&self) -> Vec<&'a Traced> {
        let least = if is_half(self.without(), self.records) { 1 } else { MIN_RECORDS };
        let is_striking = |row: &&&Traced| row.records >= least && is_half(row.records - row.with_trace, row.records);
        let mut rows: Vec<&Traced> = self.targets.iter().filter(is_striking).copied().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.records - row.with_trace));
        rows
    }
}

fn is_half(part: u64, whole: u64) -> bool {
    part > 0 && part.saturating_mul(2) >= whole
}

/// Joins the first items, and counts the others.
fn listed(items: impl ExactSizeIterator<Item = String>) -> String {
    let others = items.len().saturating_sub(NAMED);
    let named: Vec<String> = items.take(NAMED).collect();
    let more = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// Findings about records that cannot be found by their trace.
pub(super) fn correlation(pipeline: &Pipeline, report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let spans = &report.counters.spans;
    let sum = |of: fn(&Traced) -> u64| report.traced.iter().map(of).sum::<u64>();
    let (sent, traced) = (sum(|traced| traced.records), sum(|traced| traced.with_trace));
    if spans.ended > 0 && sent > 0 && traced == 0 {
        let text =
            format!("{} sent without a trace id, although {} ended", were(sent), Signal::Traces.count(spans.ended));
        let finding = warning(&kind::LOGS_WITHOUT_TRACE, RECORDS, text, LOG_INSIDE_SPANS);
        // A few records may come from startup, outside any span.
        found.push(Finding { severity: Impact::AtRisk.seen_in(sent).severity(), ..finding });
    }
    let shares = Shares::of(report);
    found.extend(by_target(&shares));
    found.extend(by_thread(&report.traced_threads));
    found.extend(spans_below(pipeline, &shares, &report.filtered_spans));
    let is_off = report.configuration.setting_contains("sampler", "AlwaysOff");
    if traced > 0 && spans.accepted == 0 && (spans.unsampled > 0 || is_off) {
        let text = format!("{} sent in traces without exported spans: no span is sampled", were(traced));
        let sampler = match tracer_is_given() {
            true => "in your own tracer provider".to_owned(),
            false => {
                how_to_set(pipeline, "sampler", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "Builder::sampler")
            }
        };
        let help =
            format!("sample traces ({sampler}), or send only records of sampled traces: `Otlp::trace_based(true)`");
        found.push(warning(&kind::SPAN_MISSING, SPANS, text, help));
    }
    found
}

/// Notes the targets of which at least half of the records have no ids, although others have.
fn by_target(shares: &Shares<'_>) -> Option<Finding> {
    let rows = shares.striking();
    if shares.with_trace == 0 || rows.is_empty() {
        return None;
    }
    let row = |row: &&Traced| format!("{} of {} of {}", row.records - row.with_trace, row.records, shown(&row.target));
    let (without, records) = (shares.without(), Signal::Logs.count(shares.records));
    let text = format!("{without} of {records} have no trace id: {}", listed(rows.iter().map(row)));
    Some(note(&kind::LOGS_WITHOUT_TRACE, RECORDS, text, LOG_INSIDE_SPANS))
}

/// Notes the threads of which no record has ids, although records of other threads have.
fn by_thread(threads: &[TracedThread]) -> Option<Finding> {
    // The main thread logs while the program starts and ends.
    let is_striking = |thread: &&TracedThread| {
        thread.with_trace == 0 && thread.records >= MIN_RECORDS && thread.name.as_deref() != Some("main")
    };
    let rows: Vec<&TracedThread> = threads.iter().filter(is_striking).collect();
    if rows.is_empty() || threads.iter().all(|thread| thread.with_trace == 0) {
        return None;
    }
    let row = |thread: &&TracedThread| {
        let name = thread.name.as_deref().map_or("without a name".to_owned(), |name| format!("`{}`", OneLine(name)));
        format!("{name} ({})", Signal::Logs.count(thread.records))
    };
    let text = format!("no record of these threads has a trace id, unlike others: {}", listed(rows.iter().map(row)));
    let help = "if they work for a request, pass its context to them: `logbridge::carry_context`, or \
                `.instrument(Span::current())` on futures";
    Some(note(&kind::LOGS_WITHOUT_TRACE, RECORDS, text, help))
}

/// Names spans below the span threshold, if many records have no ids. A filtered span is never entered, so nobody knows
/// which records it would contain.
fn spans_below(pipeline: &Pipeline, shares: &Shares<'_>, filtered: &[FilteredSpan]) -> Option<Finding> {
    let rows = shares.striking();
    let crate_of = |target: &str| target.split("::").next().unwrap_or_default().to_owned();
    let crates: Vec<String> = rows.iter().map(|row| crate_of(&row.target)).collect();
    let mut spans: Vec<&FilteredSpan> = filtered.iter().filter(|span| !is_of_transport(&span.target)).collect();
    let first = *spans.first().filter(|_| !rows.is_empty())?;
    // Spans of the crates whose records have no ids are the most likely cause.
    spans.sort_by_key(|span| !crates.contains(&crate_of(&span.target)));
    let first = spans.first().copied().unwrap_or(first);
    let text = format!(
        "{} of {} have no ids; spans of {} are below the span threshold and may be why",
        shares.without(),
        Signal::Logs.count(shares.records),
        listed(spans.iter().map(|span| span.to_string())),
    );
    let tables = pipeline.levels.tables()?;
    let row = tables.span.decide_span(&first.target, &first.name);
    let suggestions = pipeline.levels.variables.suggestions(Stage::Span, row, &first.target, first.level);
    Some(note(&kind::SPANS_BELOW_THRESHOLD, LEVELS, text, suggestions.join(", or ")))
}

fn shown(target: &str) -> String {
    if target.is_empty() { "other targets".to_owned() } else { format!("`{}`", OneLine(target)) }
}
