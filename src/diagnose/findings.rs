//! What a running program gives away: each finding from numbers of the report, with the fix.

use tracing_core::dispatcher;

use super::report::{Report, Traced, replaces_another};
use crate::finding::{Finding, Kind, Severity, kind};
use crate::ledger::{DropReason, RejectReason, Requests};
use crate::levels::{Stage, to_tracing};
use crate::ship::clock_finding;
use crate::signal::Signal;
use crate::source::{EventLayer, Pipeline, is_exiting_here};

/// Where it is seen.
const LOG: &str = "log";
const TRACING: &str = "tracing";
const LEVELS: &str = "levels";
const RECORDS: &str = "records";
const SPANS: &str = "spans";

/// Everything that deserves a look now: in the configuration, in the levels, in the facades, in the counters.
pub(super) fn findings(pipeline: &Pipeline, report: &Report) -> Vec<Finding> {
    let mut found = pipeline.findings.clone();
    found.extend(pipeline.levels.tables().map(|tables| tables.without_effect()).unwrap_or_default());
    if pipeline.owns_facades() {
        found.extend(facades(pipeline));
    }
    found.extend(switched_off(report));
    found.extend(replaced());
    found.extend(gates(report));
    found.extend(losses(pipeline, report));
    found.extend(correlation(report));
    for (requests, endpoint) in [(&report.requests, &report.endpoint), (&report.span_requests, &report.span_endpoint)] {
        if let (Some(requests), Some(endpoint)) = (requests, endpoint) {
            found.extend(answers(requests, endpoint));
        }
    }
    // The same may be known from two sides.
    let mut seen: Vec<Finding> = Vec::new();
    for finding in found {
        if !seen.contains(&finding) {
            seen.push(finding);
        }
    }
    seen.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    seen
}

fn warning(kind: &'static Kind, place: &str, text: String, help: impl Into<String>) -> Finding {
    Finding::new(kind, Severity::Warning, place, text).help(help)
}

fn error(kind: &'static Kind, place: &str, text: String, help: impl Into<String>) -> Finding {
    Finding { severity: Severity::Error, ..warning(kind, place, text, help) }
}

/// Known only under `logbridge run`.
fn replaced() -> Option<Finding> {
    let text = "the previous program in this process called `exec`: what it had not flushed by then is lost, unless a spool has it";
    let help = "call `Bridge::flush` before `exec`, or use a spool: LOGBRIDGE_SPOOL_DIR";
    replaces_another().then(|| warning(&kind::LEFT_AT_EXIT, "exec", text.to_owned(), help))
}

/// What `log` and tracing keep from us.
fn facades(pipeline: &Pipeline) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(pipeline.lowered());
    found.extend(compiled_out(pipeline));
    // A thread that ends the process has lost what it knew of that.
    if !is_exiting_here() && !dispatcher::get_default(|dispatch| dispatch.downcast_ref::<EventLayer>().is_some()) {
        let text = "on this thread, another subscriber is in force: events of tracing go there".to_owned();
        let help = "it was set by `with_default` or `set_default`; records of `log` still come here";
        found.push(warning(&kind::SLOT_TAKEN, TRACING, text, help));
    }
    found
}

/// What no level can bring back.
pub(super) fn compiled_out(pipeline: &Pipeline) -> Vec<Finding> {
    let wanted = pipeline.levels.facades();
    let mut found = Vec::new();
    for (facade, most, features) in [
        (LOG, log::STATIC_MAX_LEVEL, "log"),
        (TRACING, from_tracing(tracing::level_filters::STATIC_MAX_LEVEL), "tracing"),
    ] {
        if most < wanted {
            let text = format!("{wanted} is asked for, and only {most} is compiled in");
            let help = format!(
                "some crate switches on a feature such as `release_max_level_info`: `cargo tree -e features -i {features}` \
                 or `logbridge doctor project` shows which"
            );
            found.push(error(&kind::COMPILED_OUT, facade, text, help));
        }
    }
    found
}

fn from_tracing(most: tracing::level_filters::LevelFilter) -> log::LevelFilter {
    log::LevelFilter::iter().find(|level| to_tracing(*level) == most).unwrap_or(log::LevelFilter::Trace)
}

/// Nothing leaves the process at all: good to know for who looks for it elsewhere.
fn switched_off(report: &Report) -> Option<Finding> {
    let why = report.off_because.filter(|_| report.endpoint.is_none())?;
    let text = format!("records go to no endpoint: {why}");
    let help = "set OTEL_EXPORTER_OTLP_ENDPOINT where this very process sees it, or `Builder::otlp` in code";
    Some(Finding { severity: Severity::Note, ..warning(&kind::SWITCHED_OFF, "otlp", text, help) })
}

/// What was held back on purpose.
fn gates(report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let by_nobody: u64 = report
        .cuts
        .iter()
        .filter(|cut| cut.stage == Stage::Module && cut.by.starts_with("not set by anything"))
        .map(|cut| cut.records)
        .sum();
    if by_nobody > 0 {
        let text =
            format!("{} cut because nobody has set a level for the root, where NOTSET means WARN", were(by_nobody));
        let names_one = report.configuration.findings.iter().any(|finding| finding.name == "lone-directive");
        let help = match names_one {
            true => "put a level for the rest in front of the directives: RUST_LOG=info,…",
            false => "RUST_LOG=info, or `Builder::filter_level(LevelFilter::Info)`",
        };
        found.push(warning(&kind::ROOT_NOT_SET, LEVELS, text, help));
    }
    let otlp = &report.counters.otlp;
    if otlp.suppressed > 0 {
        let text = format!("{} logged where telemetry is suppressed, and not sent", were(otlp.suppressed));
        let help = "a guard of `Context::enter_telemetry_suppressed_scope` is held around application code, perhaps across \
                    an `.await`: drop it before";
        found.push(warning(&kind::SUPPRESSED, RECORDS, text, help));
    }
    if otlp.repeated > 0 {
        let text = format!("{} held back, being like too many others", were(otlp.repeated));
        let finding = warning(&kind::REPETITION, RECORDS, text, "raise LOGBRIDGE_REPETITION, or log less there");
        found.push(Finding { severity: Severity::Note, ..finding });
    }
    found
}

fn were(number: u64) -> String {
    format!("{} {}", Signal::Logs.count(number), if number == 1 { "was" } else { "were" })
}

/// Whether records and spans find each other.
fn correlation(report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let spans = &report.counters.spans;
    let sum = |of: fn(&Traced) -> u64| report.traced.iter().map(of).sum::<u64>();
    let (sent, traced) = (sum(|traced| traced.records), sum(|traced| traced.with_trace));
    if spans.ended > 0 && sent > 0 && traced == 0 {
        let text =
            format!("{} sent, and none has a trace id, though {} ended", were(sent), Signal::Traces.count(spans.ended));
        let help = "log inside of spans, and take them along to other threads and tasks: `Span::enter`, \
                    `.instrument(Span::current())`, `logbridge::carry_context`";
        let finding = warning(&kind::LOGS_WITHOUT_TRACE, RECORDS, text, help);
        // A few may well be those of the start.
        found.push(if sent < FEW { Finding { severity: Severity::Note, ..finding } } else { finding });
    }
    let is_off = report.configuration.decides("sampler", "AlwaysOff");
    if traced > 0 && spans.accepted == 0 && (spans.unsampled > 0 || is_off) {
        let text = format!("{} sent in traces of which no span is exported: none is sampled", were(traced));
        let help = "sample some (OTEL_TRACES_SAMPLER=parentbased_traceidratio), or send only records of sampled traces: \
                    `Otlp::trace_based(true)`";
        found.push(warning(&kind::SPAN_MISSING, SPANS, text, help));
    }
    found
}

/// Fewer records than this say little of a program.
const FEW: u64 = 10;

/// What was accepted and is lost, or waits.
fn losses(pipeline: &Pipeline, report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let (otlp, spans) = (&report.counters.otlp, &report.counters.spans);
    let after = pipeline.after_shutdown();
    for (place, dropped) in [(RECORDS, &otlp.dropped), (SPANS, &spans.dropped)] {
        for (reason, number) in dropped {
            let (kind, help) = advice(*reason);
            // Those are told apart below.
            let number =
                if *reason == DropReason::Shutdown && place == RECORDS { number - after.min(*number) } else { *number };
            if number > 0 {
                let text = format!("{number} dropped: {}", reason.sentence());
                found.push(error(kind, place, text, help));
            }
        }
    }
    if after > 0 {
        let by = pipeline.shut_by().map_or_else(String::new, |at| format!(", which was called at {at}"));
        let text = format!("{} logged after `Bridge::shutdown`{by}", were(after));
        let help = "remove that call: the end of the process flushes by itself";
        found.push(error(&kind::AFTER_SHUTDOWN, RECORDS, text, help));
    }
    for (place, rejected, requests) in
        [(RECORDS, &otlp.rejected, &report.requests), (SPANS, &spans.rejected, &report.span_requests)]
    {
        for (reason, number) in rejected {
            let trouble = requests.as_ref().and_then(|requests| requests.last_trouble.as_ref());
            let said = trouble.map_or_else(String::new, |(_, why)| format!(" (last: {why})"));
            let text = format!("{number} refused for good: {}{said}", reason.sentence());
            found.push(error(&kind::REFUSED, place, text, refusal_help(*reason)));
        }
    }
    for (place, unconfirmed) in [(RECORDS, otlp.unconfirmed), (SPANS, spans.unconfirmed)] {
        if unconfirmed > 0 {
            let text = format!("{unconfirmed} answered with a success that is no OTLP answer: they are probably lost");
            let help = "compare host, port and path of the endpoint with those of the collector";
            found.push(error(&kind::UNCONFIRMED, place, text, help));
        }
    }
    if report.restarts > 0 {
        let text = format!("the thread that sends was started anew {} times", report.restarts);
        let help = "the notices name the cause; a program that closes descriptors must spare those it did not open";
        found.push(warning(&kind::WORKER_ENDED, "ship", text, help));
    }
    found
}

/// Which kind a loss is, and what to do.
fn advice(reason: DropReason) -> (&'static Kind, &'static str) {
    match reason {
        DropReason::BlockTimeout
        | DropReason::EvictedLessSevere
        | DropReason::EvictedOldest
        | DropReason::OutboxFull
        | DropReason::RefusedBelowWarn => (
            &kind::OVERLOAD,
            "log less, raise LOGBRIDGE_MAX_BYTES, use a spool (LOGBRIDGE_SPOOL_DIR), or give it a faster endpoint",
        ),
        DropReason::QueueFull => {
            (&kind::OVERLOAD, "raise OTEL_BSP_MAX_QUEUE_SIZE, or make fewer spans (LOGBRIDGE_SPAN_LEVEL)")
        }
        DropReason::TooLarge => (&kind::OVERLOAD, "log less at once, or raise LOGBRIDGE_MAX_BYTES"),
        DropReason::Encoding => (&kind::OVERLOAD, "make requests smaller: OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        DropReason::ExportTimeout => (
            &kind::CANNOT_DELIVER,
            "unset OTEL_BLRP_EXPORT_TIMEOUT and OTEL_BSP_EXPORT_TIMEOUT, so that they are tried for as long as there is room",
        ),
        DropReason::Damaged => {
            (&kind::SPOOL_TROUBLE, "look at the disk; the files that were set aside are named in the notices")
        }
        DropReason::FormatPanicked => (
            &kind::APPLICATION,
            "mend the `Display`, `Debug` or `Serialize` of the value: the panic hook has told where",
        ),
        DropReason::Processor => {
            (&kind::APPLICATION, "see to it that each of your log processors hands every record on")
        }
        DropReason::Shutdown => {
            (&kind::LEFT_AT_EXIT, "give `Bridge::shutdown` more time, or use a spool: LOGBRIDGE_SPOOL_DIR")
        }
        DropReason::ThreadLost => (&kind::WORKER_ENDED, "check the limits of the process (ulimit -u)"),
    }
}

fn refusal_help(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Auth => "check the key in OTEL_EXPORTER_OTLP_HEADERS (authorization=…) or HYPERDX_API_KEY",
        RejectReason::NotFound => {
            "check the path, and whether the collector has a pipeline for this signal: `logbridge doctor endpoint`"
        }
        RejectReason::Redirect => "name the address that it redirects to",
        RejectReason::TooLarge => "log less in one record, or raise the receiver's limit",
        RejectReason::Malformed | RejectReason::OtherStatus | RejectReason::PartialSuccess => {
            "what it said names the reason; look at the endpoint's own log"
        }
    }
}

/// What the endpoint says.
fn answers(requests: &Requests, endpoint: &str) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        requests.clock_offset.and_then(|offset| clock_finding(endpoint, offset)).into_iter().collect();
    if let Some((at, why)) = &requests.last_trouble
        && requests.failed > 0
        && requests.last_confirmed.is_none_or(|confirmed| confirmed < *at)
    {
        let since = if requests.confirmed == 0 { "nothing was ever confirmed" } else { "it worked before" };
        let text = format!("{endpoint} cannot be reached: {why} ({since})");
        let help = "`logbridge doctor endpoint` says what would make it work; until then records wait";
        found.push(warning(&kind::CANNOT_DELIVER, "endpoint", text, help));
    }
    found
}
