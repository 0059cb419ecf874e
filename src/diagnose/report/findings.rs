//! Derives findings from the numbers of a report, each with its fix.

use super::correlation::correlation;
use super::data::Report;
use super::new_finding::{LEVELS, RECORDS, SPANS, error, note, warning, were};
use super::process_images::replaces_another;
use crate::diagnose::facade_gates::{CANARY_TARGET, compiled_out, subscriber_gate};
use crate::diagnose::outer_trace_layer::outer_trace_layer;
use crate::diagnose::setting::{has_key_in_code, how_to_set, how_to_turn_on};
use crate::finding::{Finding, Impact, Kind, kind};
use crate::ledger::{DropReason, RejectReason, Requests};
use crate::levels::{NOT_SET, Stage};
use crate::ship::clock_finding;
use crate::source::{Pipeline, is_exiting_here};

// The place of findings about tracing.
const TRACING: &str = "tracing";

/// Returns the findings about the configuration, the levels, the facades and the counters, most severe first.
pub(super) fn findings(pipeline: &Pipeline, report: &Report) -> Vec<Finding> {
    let mut found = report.configuration.findings.clone();
    found.extend(pipeline.levels.findings_without_effect());
    found.extend(facades(pipeline));
    found.extend(switched_off(pipeline, report));
    found.extend(replaced());
    found.extend(gates(pipeline, report));
    found.extend(losses(pipeline, report));
    found.extend(correlation(pipeline, report));
    found.extend(outer_trace_layer(pipeline));
    for (requests, endpoint) in [(&report.requests, &report.endpoint), (&report.span_requests, &report.span_endpoint)] {
        if let (Some(requests), Some(endpoint)) = (requests, endpoint) {
            found.extend(answers(requests, endpoint));
        }
    }
    // Two sources may report the same finding.
    let mut seen: Vec<Finding> = Vec::new();
    for finding in found {
        if !seen.contains(&finding) {
            seen.push(finding);
        }
    }
    seen.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    seen
}

/// Only `logbridge run` provides the file that this needs.
fn replaced() -> Option<Finding> {
    let text = "the previous program in this process called `exec`: records not flushed by then are lost, unless a \
                spool keeps them";
    let help = "call `Bridge::flush` before `exec`, or use a spool: LOGBRIDGE_SPOOL_DIR";
    // Whether it had flushed everything is not known here.
    replaces_another().then(|| note(&kind::LEFT_AT_EXIT, "exec", text.to_owned(), help))
}

/// Findings about records that `log` or tracing discard.
fn facades(pipeline: &Pipeline) -> Vec<Finding> {
    if !pipeline.owns_facades() {
        // A program that calls the logger without the macros of `log` is not affected.
        let not_opened = pipeline.not_opened().filter(|_| pipeline.is_composed());
        return not_opened
            .map(|finding| Finding { severity: Impact::Fine.severity(), ..finding })
            .into_iter()
            .collect();
    }
    let mut found = Vec::new();
    found.extend(pipeline.lowered());
    found.extend(compiled_out(pipeline));
    // A thread that ends the process has already lost its thread-local subscriber.
    if !is_exiting_here() && !subscriber_gate(pipeline, CANARY_TARGET, log::Level::Error).passes {
        let text = "another subscriber is active on this thread and receives its tracing events".to_owned();
        let help = "remove the `with_default` or `set_default` that set it; records of `log` still reach logbridge";
        found.push(warning(&kind::SLOT_TAKEN, TRACING, text, help));
    }
    found
}

/// Explains an otlp destination that is off to a reader who searches the endpoint.
fn switched_off(pipeline: &Pipeline, report: &Report) -> Option<Finding> {
    let why = report.off_because.filter(|_| report.endpoint.is_none())?;
    let text = format!("records are sent to no endpoint: {why}");
    let help = how_to_turn_on(pipeline);
    Some(note(&kind::SWITCHED_OFF, "otlp", text, help))
}

/// Findings about records that were filtered or suppressed.
fn gates(pipeline: &Pipeline, report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let by_unset_root = || report.cuts.iter().filter(|cut| cut.stage == Stage::Module && cut.by.starts_with(NOT_SET));
    let number: u64 = by_unset_root().map(|cut| cut.records).sum();
    let levels = || by_unset_root().map(|cut| cut.level);
    if let (Some(first), Some(last)) = (levels().min(), levels().max()) {
        // The facades close after the first filtered record, so later ones may not be counted.
        let all = last <= report.complete_to;
        let (at_least, why) = match all {
            true => ("", String::new()),
            false => (
                "at least ",
                format!("; `log` and tracing discard records below {} without counting them", report.complete_to),
            ),
        };
        let text =
            format!("{at_least}{} filtered because no level is set, and an unset root means WARN{why}", were(number));
        found.push(warning(&kind::ROOT_NOT_SET, LEVELS, text, pipeline.levels.variables.for_root(first)));
    }
    let otlp = &report.counters.otlp;
    if otlp.suppressed > 0 {
        let text = format!("{} logged in a suppressed context, and not sent", were(otlp.suppressed));
        let help = "drop the guard of `Context::enter_telemetry_suppressed_scope` before application code runs, \
                    and before each `.await`";
        found.push(warning(&kind::SUPPRESSED, RECORDS, text, help));
    }
    if otlp.repeated > 0 {
        let text = format!("{} suppressed as repetitions of similar records", were(otlp.repeated));
        let limit = how_to_set(pipeline, "similar records", "LOGBRIDGE_REPETITION", "Builder::repetition");
        let help = format!("raise the limit ({limit}), or log less at that callsite");
        found.push(note(&kind::REPETITION, RECORDS, text, help));
    }
    found
}

/// Findings about records and spans that were accepted and then lost.
fn losses(pipeline: &Pipeline, report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let (otlp, spans) = (&report.counters.otlp, &report.counters.spans);
    let after = pipeline.after_shutdown();
    for (place, dropped) in [(RECORDS, &otlp.dropped), (SPANS, &spans.dropped)] {
        for (reason, number) in dropped {
            let (kind, help) = advice(pipeline, *reason, place);
            // Records logged after the shutdown have a finding of their own below.
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
                format!("`Bridge::shutdown`, called at {at}"),
                "remove that call: logbridge flushes when the process ends",
            ),
            None => ("its provider was shut down".to_owned(), "shut down the provider after the last record"),
        };
        let text = format!("{} logged after {by}", were(after));
        found.push(error(&kind::AFTER_SHUTDOWN, RECORDS, text, help));
    }
    for (place, rejected, requests) in
        [(RECORDS, &otlp.rejected, &report.requests), (SPANS, &spans.rejected, &report.span_requests)]
    {
        for (reason, number) in rejected {
            let trouble = requests.as_ref().and_then(|requests| requests.last_trouble.as_ref());
            let last = trouble.map_or_else(String::new, |(_, why)| format!(" (last: {why})"));
            let text = format!("{number} rejected: {}{last}", reason.sentence());
            found.push(error(&kind::REFUSED, place, text, refusal_help(pipeline, *reason)));
        }
    }
    for (place, unconfirmed) in [(RECORDS, otlp.unconfirmed), (SPANS, spans.unconfirmed)] {
        if unconfirmed > 0 {
            let text = format!("{unconfirmed} answered with a success that is not OTLP, and probably lost");
            let help = "compare host, port and path of the endpoint with those of the collector";
            found.push(error(&kind::UNCONFIRMED, place, text, help));
        }
    }
    if report.restarts > 0 {
        let text = format!("the exporter thread was restarted {} times", report.restarts);
        let help = "see the notices for the cause; a program must not close descriptors that it did not open";
        found.push(warning(&kind::WORKER_ENDED, "ship", text, help));
    }
    found
}

/// Returns the kind of a loss, and its fix.
fn advice(pipeline: &Pipeline, reason: DropReason, place: &str) -> (&'static Kind, String) {
    let (kind, help) = match reason {
        DropReason::BlockTimeout
        | DropReason::EvictedLessSevere
        | DropReason::EvictedOldest
        | DropReason::OutboxFull
        | DropReason::RefusedBelowWarn => {
            let room = more_room(pipeline);
            return (&kind::OVERLOAD, format!("log less, {room}, or use a faster endpoint"));
        }
        DropReason::QueueFull => {
            let queue = how_to_set(pipeline, "spans queue", "OTEL_BSP_MAX_QUEUE_SIZE", "Builder::max_spans");
            let level = pipeline.levels.variables.of(Stage::Span).unwrap_or("Builder::span_level");
            return (
                &kind::OVERLOAD,
                format!("raise the limit of the queue ({queue}), or create fewer spans ({level})"),
            );
        }
        DropReason::TooLarge => {
            return (&kind::OVERLOAD, format!("log less in one record, or {}", more_room(pipeline)));
        }
        DropReason::Encoding => (&kind::OVERLOAD, "make requests smaller: OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        DropReason::ExportTimeout => {
            let variable = if place == SPANS { "OTEL_BSP_EXPORT_TIMEOUT" } else { "OTEL_BLRP_EXPORT_TIMEOUT" };
            let help = format!("unset {variable} to retry for as long as there is room");
            return (&kind::CANNOT_DELIVER, help);
        }
        DropReason::Damaged => (&kind::SPOOL_TROUBLE, "check the disk; the notices name the files that were set aside"),
        DropReason::FormatPanicked => (
            &kind::APPLICATION,
            "fix the `Display`, `Debug` or `Serialize` of the value; the message of the panic hook shows where",
        ),
        DropReason::Processor => (&kind::APPLICATION, "make each of your log processors forward every record"),
        DropReason::Shutdown => {
            (&kind::LEFT_AT_EXIT, "give `Bridge::shutdown` more time, or use a spool: LOGBRIDGE_SPOOL_DIR")
        }
        DropReason::ThreadLost => (&kind::WORKER_ENDED, "check the limits of the process (ulimit -u)"),
    };
    (kind, help.to_owned())
}

/// Names the settings that allow more pending records, in memory or in the spool.
fn more_room(pipeline: &Pipeline) -> String {
    if pipeline.setup.spool.is_some() {
        let place = how_to_set(pipeline, "spool max bytes", "LOGBRIDGE_SPOOL_MAX_BYTES", "Spool::max_bytes");
        return format!("raise the limit of the spool ({place})");
    }
    let bound = how_to_set(pipeline, "logs max bytes", "LOGBRIDGE_MAX_BYTES", "Builder::max_bytes");
    let spool = how_to_set(pipeline, "spool", "LOGBRIDGE_SPOOL_DIR", "Builder::spool");
    format!("raise the limit of the outbox ({bound}), use a spool ({spool})")
}

fn refusal_help(pipeline: &Pipeline, reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Auth if has_key_in_code(pipeline) => "check the key that code passes to Otlp::header",
        RejectReason::Auth => "check the key in OTEL_EXPORTER_OTLP_HEADERS (authorization=…) or HYPERDX_API_KEY",
        RejectReason::NotFound => {
            "check the path, and whether the collector has a pipeline for this signal: `logbridge doctor endpoint`"
        }
        RejectReason::Redirect => "set the endpoint to the address that it redirects to",
        RejectReason::TooLarge => "log less in one record, or raise the receiver's limit",
        RejectReason::Malformed | RejectReason::OtherStatus | RejectReason::PartialSuccess => {
            "see its answer for the reason, and the log of the endpoint"
        }
    }
}

/// Findings about the endpoint's answers.
fn answers(requests: &Requests, endpoint: &str) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        requests.clock_offset.and_then(|offset| clock_finding(endpoint, offset)).into_iter().collect();
    if let Some((at, why)) = &requests.last_trouble
        && requests.failed > 0
        && requests.last_confirmed.is_none_or(|confirmed| confirmed < *at)
    {
        let since = if requests.confirmed == 0 { "nothing has been confirmed yet" } else { "it worked before" };
        let text = format!("cannot deliver to {endpoint}: {why} ({since})");
        let help = "run `logbridge doctor endpoint` to find the cause; until then records stay queued";
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
            ("it answered 503", 0, "cannot deliver to http://up: it answered 503 (nothing has been confirmed yet)"),
            ("connection refused", 2, "cannot deliver to http://up: connection refused (it worked before)"),
        ] {
            let last_trouble = Some((std::time::SystemTime::now(), why.to_owned()));
            let requests = Requests { failed: 1, confirmed, last_trouble, ..Requests::default() };
            let found: Vec<String> = answers(&requests, "http://up").into_iter().map(|found| found.text).collect();
            assert_eq!(found, [expected]);
        }
    }
}
