//! Findings about what arrived from the program, and about what did not.

use indicatif::HumanCount;

use super::context::RunContext;
use super::gates;
use super::nothing_arrived::{Reason, most_likely_reason};
use super::observations::RecordAnomalies;
use super::report::RunReport;
use super::wording::join;
use crate::command::intake::{LevelCounts, UNKNOWN_KEY};
use crate::command::wording::plural;
use logbridge::internals::finding::{Finding, Impact, Kind};
use logbridge::internals::finding::{FindingExt as _, kind, new_finding};

/// The number of records of one sort that is not a coincidence.
const MANY: u64 = 20;

/// Limits the findings of one sort. The report lists all invalid requests and all responses.
const MAX_OF_ONE_SORT: usize = 5;

/// Returns the findings of a run, the most severe first.
pub(super) fn find(report: &RunReport, context: &RunContext) -> Vec<Finding> {
    let mut found = Vec::new();
    let [logs, spans, points] = report.observations.tally.items();
    if logs == 0 {
        found.push(nothing_arrived(report, context, spans + points));
    } else {
        found.extend(only_severe(report, context, logs));
    }
    found.extend(not_flushed(report));
    found.extend(invalid_endpoints(context));
    found.extend(not_accepted(report));
    found.extend(invalid_requests(report));
    if logs > 0 {
        found.extend(unknown_keys(report));
    }
    found.extend(anomalies(&report.observations.anomalies, spans));
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn finding(kind: &'static Kind, impact: Impact, text: String) -> Finding {
    new_finding(kind, impact.severity(), "telemetry", text)
}

/// No log record arrived.
fn nothing_arrived(report: &RunReport, context: &RunContext, other_items: u64) -> Finding {
    let Reason { text, help } = most_likely_reason(report, context);
    let (impact, what) = match other_items {
        0 => (Impact::Lost, "nothing arrived"),
        _ => (Impact::AtRisk, "no log record arrived, although other telemetry did"),
    };
    new_finding(&kind::NOTHING_ARRIVED, impact.severity(), "program", format!("{what}: {text}")).help(help)
}

/// Programs with logbridge that `exec` replaced, or that ended without running their exit handlers.
fn not_flushed(report: &RunReport) -> Vec<Finding> {
    let found = |pid: u32, what: &str| {
        let text =
            format!("process {pid} {what}: records that it had not flushed are lost, unless they are in a spool");
        // A note, because the program may have flushed everything.
        new_finding(&kind::LEFT_AT_EXIT, Impact::Fine.severity(), "program", text)
            .help("call `Bridge::flush` before `exec` and `_exit`, or use a spool: LOGBRIDGE_SPOOL_DIR")
    };
    let replaced = report.replaced().map(|images| found(images.pid, "called `exec` before shutting down"));
    let unfinished = report.unfinished().map(|images| found(images.pid, "called `exec` or `_exit`, or was killed"));
    replaced.chain(unfinished).take(MAX_OF_ONE_SORT).collect()
}

/// Endpoint variables without a URL. Under this command the program sends here, so it does not notice.
fn invalid_endpoints(context: &RunContext) -> Vec<Finding> {
    let found = context.invalid_endpoints.iter().map(|(variable, value)| {
        let text = format!("`{value}` does not start with http:// or https://, so nothing is forwarded to it");
        new_finding(&kind::BAD_URL, Impact::Lost.severity(), *variable, text)
            .help(format!("write a complete URL: {variable}=http://localhost:4318"))
    });
    found.collect()
}

/// Requests that the endpoint did not accept in full.
fn not_accepted(report: &RunReport) -> Vec<Finding> {
    let endpoint = report.upstream.as_deref().unwrap_or("the endpoint");
    let sent = report.observations.sent_and_lost();
    let found = report.observations.upstream_failures.iter().map(|(response, failure)| {
        let (impact, what) = match failure.empty == failure.attempts {
            true => (Impact::AtRisk, "did not accept empty requests".to_owned()),
            false => describe_loss(failure.items, sent),
        };
        let times = match failure.attempts {
            1 => String::new(),
            attempts => format!(", {} times", HumanCount(attempts)),
        };
        let text = format!("{endpoint} {what} ({response}{times})");
        let found = new_finding(failure.kind.unwrap_or(&kind::REFUSED), impact.severity(), "endpoint", text);
        if failure.help.is_empty() { found } else { found.help(failure.help.clone()) }
    });
    let mut found: Vec<Finding> = found.collect();
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found.truncate(MAX_OF_ONE_SORT);
    found
}

/// Requests that a collector would refuse, too. Broken connections are left out: programs often end that way.
fn invalid_requests(report: &RunReport) -> Vec<Finding> {
    let received: u64 = report.observations.tally.requests.values().sum();
    let impact = if received == 0 { Impact::Lost } else { Impact::AtRisk };
    let found = report.observations.tally.malformed.iter().filter_map(|(reason, number)| {
        let (kind, help) = match reason.get(..4) {
            Some("404 ") => (
                &kind::WRONG_PATH,
                "check the path in code: /v1/logs and /v1/traces are appended only to OTEL_EXPORTER_OTLP_ENDPOINT",
            ),
            Some("413 ") => (&kind::NOT_TAKEN, "send smaller requests"),
            Some("400 " | "405 " | "415 ") => {
                (&kind::NOT_TAKEN, "check OTEL_EXPORTER_OTLP_PROTOCOL, which is grpc, http/protobuf or http/json")
            }
            _ => return None,
        };
        let (verb, them) = if *number == 1 { ("was", "it") } else { ("were", "them") };
        let requests = plural(*number, "request");
        let text = format!("{requests} {verb} invalid, and a collector would refuse {them}: {reason}");
        Some(finding(kind, impact, text).help(help))
    });
    found.take(MAX_OF_ONE_SORT).collect()
}

/// Requests with keys that OTLP does not define.
fn unknown_keys(report: &RunReport) -> Vec<Finding> {
    let remarks = report.observations.tally.remarks.iter().filter(|(remark, _)| remark.contains(UNKNOWN_KEY));
    let found = remarks.map(|(remark, number)| {
        let verb = if *number == 1 { "was" } else { "were" };
        let text = format!("{} {verb} not fully understood: {remark}", plural(*number, "request"));
        let help = "send OTLP/JSON as specified: keys in lowerCamelCase, and each signal to its own path";
        finding(&kind::NOT_TAKEN, Impact::AtRisk, text).help(help)
    });
    found.take(MAX_OF_ONE_SORT).collect()
}

/// Describes what the endpoint did not accept, as the predicate of a sentence.
fn describe_loss(lost: [u64; 3], sent: [[u64; 2]; 3]) -> (Impact, String) {
    let kinds = || lost.into_iter().zip(sent).zip(["log record", "span", "data point"]);
    let kinds = || kinds().filter(|((lost, _), _)| *lost > 0);
    if kinds().next().is_none() {
        return (Impact::Fine, "accepted everything, but only after retries".to_owned());
    }
    if kinds().all(|((lost, [sent, _]), _)| lost == sent) {
        let parts: Vec<String> = kinds().map(|((lost, _), noun)| plural(lost, noun)).collect();
        return (Impact::Lost, format!("accepted none of {}", join(&parts).unwrap_or_default()));
    }
    let parts: Vec<String> =
        kinds().map(|((lost, [sent, _]), noun)| format!("{} of {}", HumanCount(lost), plural(sent, noun))).collect();
    (Impact::Lost, format!("did not accept {}", join(&parts).unwrap_or_default()))
}

/// Only records of WARN and above arrived.
fn only_severe(report: &RunReport, context: &RunContext, logs: u64) -> Option<Finding> {
    // No level, TRACE, DEBUG and INFO.
    let below_warn = 0..=3;
    let services = &report.observations.tally.services;
    let is_below = services.values().any(|service| below_warn.clone().any(|level| service.levels.get(level) > 0));
    if logs == 0 || is_below {
        return None;
    }
    let filter = context.rust_log.as_deref();
    let gate = gates::below_warn(&report.programs);
    let is_known = gate.is_some();
    let (reason, help) = match (filter, gate) {
        (_, Some(gate)) => (gate.text, gate.help),
        (None, None) if report.observations.is_rust => {
            ("RUST_LOG is not set, which means WARN".to_owned(), "RUST_LOG=info".to_owned())
        }
        (None, None) => ("WARN is a common default".to_owned(), "set the level of the root logger".to_owned()),
        (Some(filter), None) if gates::lets_info_through(filter) => (
            format!("RUST_LOG={filter} lets more pass, so nothing else is logged, or another setting stops it"),
            "check for a level in the code or in LOGBRIDGE_OTLP_LEVEL".to_owned(),
        ),
        (Some(filter), None) => (format!("RUST_LOG={filter}"), "RUST_LOG=info".to_owned()),
    };
    // WARN and above may be all that the user wants, or all that a short run logs.
    let is_intended = filter.is_some_and(|filter| !gates::lets_info_through(filter));
    let is_sure = !is_intended && (is_known || (filter.is_none() && report.observations.is_rust && logs >= MANY));
    let impact = if is_sure { Impact::AtRisk } else { Impact::Fine };
    let text = match logs {
        1 => format!("the only log record that arrived is {}: {reason}", lowest_level(report)),
        number => format!("all {number} log records that arrived are {} or above: {reason}", lowest_level(report)),
    };
    Some(finding(&kind::ONLY_SEVERE, impact, text).help(help))
}

/// Returns the lowest level of WARN and above that arrived.
fn lowest_level(report: &RunReport) -> String {
    let has = |level: &usize| report.observations.tally.services.values().any(|service| service.levels.get(*level) > 0);
    let lowest = (4..LevelCounts::NAMES.len()).find(has).and_then(|level| LevelCounts::NAMES.get(level));
    lowest.copied().unwrap_or("warn").to_uppercase()
}

/// Records that are probably not as their sender intended.
fn anomalies(anomalies: &RecordAnomalies, spans: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |applies: bool, kind: &'static Kind, impact: Impact, text: String, help: &str| {
        if applies {
            found.push(finding(kind, impact, text).help(help));
        }
    };
    let RecordAnomalies { logs, with_trace, .. } = *anomalies;
    let records = |number: u64, singular: &str, plural_verb: &str| {
        let verb = if number == 1 { singular } else { plural_verb };
        format!("{} of {} {verb}", HumanCount(number), plural(logs, "log record"))
    };
    let have = |number: u64, what: &str| records(number, &format!("has {what}"), &format!("have {what}"));
    add(
        spans > 0 && logs > 0 && with_trace == 0,
        &kind::LOGS_WITHOUT_TRACE,
        Impact::AtRisk.seen_in(logs),
        format!("{} arrived, but none of {} has a trace id", plural(spans, "span"), plural(logs, "log record")),
        "log inside spans: `#[tracing::instrument]`, `.instrument(span)` on futures; use one `init` for logs and spans",
    );
    add(
        anomalies.without_span > 0,
        &kind::SPAN_MISSING,
        Impact::AtRisk,
        have(anomalies.without_span, "the id of a trace from which no span arrived"),
        "end spans and shut down the tracer provider before the process ends",
    );
    add(
        anomalies.without_time > 0,
        &kind::TIME_ZERO,
        Impact::AtRisk,
        have(anomalies.without_time, "no time, which many backends store as 1970"),
        "set the event time in the sender, or copy the observed time in the collector",
    );
    add(
        anomalies.only_observed > 0,
        &kind::TIME_ZERO,
        Impact::Fine,
        have(
            anomalies.only_observed,
            "only an observed time: the official tracing appender does not set the event time",
        ),
        "have the collector copy observed_time if time is 0",
    );
    add(
        anomalies.without_service > 0,
        &kind::SERVICE_UNKNOWN,
        Impact::AtRisk,
        format!(
            "{} {} no service.name, or the default `unknown_service`",
            plural(anomalies.without_service, "item"),
            if anomalies.without_service == 1 { "has" } else { "have" }
        ),
        "OTEL_SERVICE_NAME=shop logbridge run -- …",
    );
    add(
        anomalies.without_message > 0,
        &kind::UNREADABLE_RECORD,
        Impact::AtRisk,
        have(anomalies.without_message, "no message"),
        "give each event a message: info!(user, \"order placed\")",
    );
    add(
        anomalies.duplicate_key > 0,
        &kind::UNREADABLE_RECORD,
        Impact::AtRisk,
        have(anomalies.duplicate_key, "a duplicate attribute key"),
        "use each attribute key only once per record",
    );
    add(
        anomalies.duplicates > 0,
        &kind::BRIDGED_TWICE,
        Impact::AtRisk,
        have(anomalies.duplicates, "the message and time of another record"),
        "check for two bridges or exporters, and for tracing's feature `log-always`: cargo tree -e features -i tracing",
    );
    add(
        anomalies.by_log_tracer > 0,
        &kind::BRIDGED_TWICE,
        Impact::AtRisk,
        have(anomalies.by_log_tracer, "the target `log`, and another target in `log.target`"),
        "remove `tracing_log::LogTracer`: logbridge receives records of `log` itself",
    );
    add(
        anomalies.from_clients >= MANY && anomalies.from_clients * 2 > logs,
        &kind::FEEDBACK_LOOP,
        Impact::AtRisk,
        records(
            anomalies.from_clients,
            "comes from h2, hyper, reqwest, rustls or tonic",
            "come from h2, hyper, reqwest, rustls or tonic",
        ),
        "RUST_LOG=debug,h2=off,hyper=off,hyper_util=off,reqwest=off,rustls=off,tonic=off",
    );
    found
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
