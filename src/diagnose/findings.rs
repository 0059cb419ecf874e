//! What a running program gives away: each finding from numbers of the report, with the fix.

use super::canary::TARGET;
use super::facades::subscriber;
use super::report::{Report, Traced, replaces_another};
use super::setting::{has_key_in_code, place_of, turn_on};
use crate::finding::{Finding, Kind, Situation, kind};
use crate::ledger::{DropReason, RejectReason, Requests};
use crate::levels::{Stage, to_tracing};
use crate::ship::clock_finding;
use crate::signal::Signal;
use crate::source::{Pipeline, is_exiting_here};
use crate::telemetry::tracer_is_given;

/// Where it is seen.
const LOG: &str = "log";
const TRACING: &str = "tracing";
const LEVELS: &str = "levels";
const RECORDS: &str = "records";
const SPANS: &str = "spans";

/// Everything that deserves a look now: in the configuration, in the levels, in the facades, in the counters.
pub(super) fn findings(pipeline: &Pipeline, report: &Report) -> Vec<Finding> {
    let mut found = report.configuration.findings.clone();
    found.extend(pipeline.levels.without_effect());
    found.extend(facades(pipeline));
    found.extend(switched_off(pipeline, report));
    found.extend(replaced());
    found.extend(gates(pipeline, report));
    found.extend(losses(pipeline, report));
    found.extend(correlation(pipeline, report));
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
    Finding::new(kind, Situation::AtRisk.severity(), place, text).help(help)
}

fn error(kind: &'static Kind, place: &str, text: String, help: impl Into<String>) -> Finding {
    Finding { severity: Situation::Lost.severity(), ..warning(kind, place, text, help) }
}

/// Known only under `logbridge run`.
fn replaced() -> Option<Finding> {
    let text = "the previous program in this process called `exec`: what it had not flushed by then is lost, unless a spool has it";
    let help = "call `Bridge::flush` before `exec`, or use a spool: LOGBRIDGE_SPOOL_DIR";
    // It may have flushed everything: that is not known here.
    let note = || Finding {
        severity: Situation::Fine.severity(),
        ..warning(&kind::LEFT_AT_EXIT, "exec", text.to_owned(), help)
    };
    replaces_another().then(note)
}

/// What `log` and tracing keep from us.
fn facades(pipeline: &Pipeline) -> Vec<Finding> {
    if !pipeline.owns_facades() {
        // Whoever calls the logger without the macros of `log` is not concerned.
        let not_opened = pipeline.not_opened().filter(|_| pipeline.is_composed());
        return not_opened
            .map(|finding| Finding { severity: Situation::Fine.severity(), ..finding })
            .into_iter()
            .collect();
    }
    let mut found = Vec::new();
    found.extend(pipeline.lowered());
    found.extend(compiled_out(pipeline));
    // A thread that ends the process has lost what it knew of that.
    if !is_exiting_here() && !subscriber(pipeline, TARGET, log::Level::Error).passes {
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
fn switched_off(pipeline: &Pipeline, report: &Report) -> Option<Finding> {
    let why = report.off_because.filter(|_| report.endpoint.is_none())?;
    let text = format!("records go to no endpoint: {why}");
    let help = turn_on(pipeline);
    Some(Finding { severity: Situation::Fine.severity(), ..warning(&kind::SWITCHED_OFF, "otlp", text, help) })
}

/// What was held back on purpose.
fn gates(pipeline: &Pipeline, report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let by_nobody =
        || report.cuts.iter().filter(|cut| cut.stage == Stage::Module && cut.by.starts_with("not set by anything"));
    let number: u64 = by_nobody().map(|cut| cut.records).sum();
    let levels = || by_nobody().map(|cut| cut.level);
    if let (Some(first), Some(last)) = (levels().min(), levels().max()) {
        // The facades close behind the first one.
        let all = last <= report.complete_to;
        let (at_least, why) = match all {
            true => ("", String::new()),
            false => {
                ("at least ", format!("; `log` and tracing keep back what is below {}, uncounted", report.complete_to))
            }
        };
        let text = format!(
            "{at_least}{} cut because nobody has set a level for the root, where NOTSET means WARN{why}",
            were(number)
        );
        found.push(warning(&kind::ROOT_NOT_SET, LEVELS, text, pipeline.levels.variables.for_root(first)));
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
        let limit = place_of(pipeline, "similar records", "LOGBRIDGE_REPETITION", "Builder::repetition");
        let finding =
            warning(&kind::REPETITION, RECORDS, text, format!("raise the limit ({limit}), or log less there"));
        found.push(Finding { severity: Situation::Fine.severity(), ..finding });
    }
    found
}

fn were(number: u64) -> String {
    format!("{} {}", Signal::Logs.count(number), if number == 1 { "was" } else { "were" })
}

/// Whether records and spans find each other.
fn correlation(pipeline: &Pipeline, report: &Report) -> Vec<Finding> {
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
        found.push(Finding { severity: Situation::AtRisk.seen_in(sent).severity(), ..finding });
    }
    let is_off = report.configuration.decides("sampler", "AlwaysOff");
    if traced > 0 && spans.accepted == 0 && (spans.unsampled > 0 || is_off) {
        let text = format!("{} sent in traces of which no span is exported: none is sampled", were(traced));
        let sampler = match tracer_is_given() {
            true => "in the tracer provider of your own".to_owned(),
            false => place_of(pipeline, "sampler", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "Builder::sampler"),
        };
        let help =
            format!("sample some ({sampler}), or send only records of sampled traces: `Otlp::trace_based(true)`");
        found.push(warning(&kind::SPAN_MISSING, SPANS, text, help));
    }
    found
}

/// What was accepted and is lost, or waits.
fn losses(pipeline: &Pipeline, report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let (otlp, spans) = (&report.counters.otlp, &report.counters.spans);
    let after = pipeline.after_shutdown();
    for (place, dropped) in [(RECORDS, &otlp.dropped), (SPANS, &spans.dropped)] {
        for (reason, number) in dropped {
            let (kind, help) = advice(pipeline, *reason, place);
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
        let (by, help) = match pipeline.shut_by() {
            Some(at) => (
                format!("`Bridge::shutdown`, which was called at {at}"),
                "remove that call: the end of the process flushes by itself",
            ),
            None => ("its provider was shut down".to_owned(), "shut the provider down behind the last record"),
        };
        let text = format!("{} logged after {by}", were(after));
        found.push(error(&kind::AFTER_SHUTDOWN, RECORDS, text, help));
    }
    for (place, rejected, requests) in
        [(RECORDS, &otlp.rejected, &report.requests), (SPANS, &spans.rejected, &report.span_requests)]
    {
        for (reason, number) in rejected {
            let trouble = requests.as_ref().and_then(|requests| requests.last_trouble.as_ref());
            let said = trouble.map_or_else(String::new, |(_, why)| format!(" (last: {why})"));
            let text = format!("{number} refused for good: {}{said}", reason.sentence());
            found.push(error(&kind::REFUSED, place, text, refusal_help(pipeline, *reason)));
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
fn advice(pipeline: &Pipeline, reason: DropReason, place: &str) -> (&'static Kind, String) {
    let (kind, help) = match reason {
        DropReason::BlockTimeout
        | DropReason::EvictedLessSevere
        | DropReason::EvictedOldest
        | DropReason::OutboxFull
        | DropReason::RefusedBelowWarn => {
            let room = more_room(pipeline);
            return (&kind::OVERLOAD, format!("log less, {room}, or give it a faster endpoint"));
        }
        DropReason::QueueFull => {
            let queue = place_of(pipeline, "spans queue", "OTEL_BSP_MAX_QUEUE_SIZE", "Builder::max_spans");
            let level = pipeline.levels.variables.of(Stage::Span).unwrap_or("Builder::span_level");
            return (&kind::OVERLOAD, format!("let more wait ({queue}), or make fewer spans ({level})"));
        }
        DropReason::TooLarge => return (&kind::OVERLOAD, format!("log less at once, or {}", more_room(pipeline))),
        DropReason::Encoding => (&kind::OVERLOAD, "make requests smaller: OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        DropReason::ExportTimeout => {
            let variable = if place == SPANS { "OTEL_BSP_EXPORT_TIMEOUT" } else { "OTEL_BLRP_EXPORT_TIMEOUT" };
            let help = format!("unset {variable}, so that they are tried for as long as there is room");
            return (&kind::CANNOT_DELIVER, help);
        }
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
    };
    (kind, help.to_owned())
}

/// How more records can wait: in memory, or in the spool where there is one.
fn more_room(pipeline: &Pipeline) -> String {
    if pipeline.setup.spool.is_some() {
        let place = place_of(pipeline, "spool max bytes", "LOGBRIDGE_SPOOL_MAX_BYTES", "Spool::max_bytes");
        return format!("raise the bound of the spool ({place})");
    }
    let bound = place_of(pipeline, "logs max bytes", "LOGBRIDGE_MAX_BYTES", "Builder::max_bytes");
    let spool = place_of(pipeline, "spool", "LOGBRIDGE_SPOOL_DIR", "Builder::spool");
    format!("raise the bound of the outbox ({bound}), use a spool ({spool})")
}

fn refusal_help(pipeline: &Pipeline, reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Auth if has_key_in_code(pipeline) => "check the key that code gives to Otlp::header",
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
        let text = format!("cannot deliver to {endpoint}: {why} ({since})");
        let help = "`logbridge doctor endpoint` says what would make it work; until then records wait";
        found.push(warning(&kind::CANNOT_DELIVER, "endpoint", text, help));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_answered_was_reached() {
        for (why, confirmed, expected) in [
            ("it answered 503", 0, "cannot deliver to http://up: it answered 503 (nothing was ever confirmed)"),
            ("connection refused", 2, "cannot deliver to http://up: connection refused (it worked before)"),
        ] {
            let last_trouble = Some((std::time::SystemTime::now(), why.to_owned()));
            let requests = Requests { failed: 1, confirmed, last_trouble, ..Requests::default() };
            let found: Vec<String> = answers(&requests, "http://up").into_iter().map(|found| found.text).collect();
            assert_eq!(found, [expected]);
        }
    }
}
