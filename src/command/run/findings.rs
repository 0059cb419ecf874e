//! What deserves a look in what arrived, and in what did not.

use super::account::Account;
use super::child::signal_name;
use super::environment::switched_off;
use super::evidence::Odd;
use crate::command::inlet::Levels;
use crate::config::Environment;
use crate::finding::kind;
use crate::finding::{Finding, Kind, Severity};

/// SDKs wait so long before they send the first batch of spans.
const FIRST_BATCH_SECONDS: u64 = 5;

/// So many records of one sort are no accident.
const MANY: u64 = 20;

/// From outside the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Circumstances {
    pub(super) rust_log: Option<String>,
    /// The variable that keeps records in the program.
    pub(super) switched_off: Option<String>,
}

impl Circumstances {
    pub(super) fn of(environment: &Environment) -> Self {
        Self { rust_log: environment.get("RUST_LOG").map(str::to_owned), switched_off: switched_off(environment) }
    }
}

/// What deserves a look, the worst first.
pub(super) fn judge(account: &Account, circumstances: &Circumstances) -> Vec<Finding> {
    let mut found = Vec::new();
    let [logs, spans, points] = account.evidence.tally.items();
    if logs + spans + points == 0 {
        found.push(nothing(account, circumstances));
    } else {
        found.extend(only_severe(account, circumstances, logs));
        found.extend(in_records(&account.evidence.odd, spans));
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn finding(kind: &'static Kind, severity: Severity, text: String) -> Finding {
    Finding::new(kind, severity, "what arrived", text)
}

/// Nothing arrived, and why that may be.
fn nothing(account: &Account, circumstances: &Circumstances) -> Finding {
    let ended = &account.ended;
    let offered: u64 = account.programs.iter().map(|program| program.offered).sum();
    let passed: u64 = account.programs.iter().map(|program| program.passed).sum();
    let off = account.programs.iter().find(|program| !program.otlp.off_because.is_empty());
    let elsewhere = account.programs.iter().find(|program| {
        let endpoint = &program.otlp.endpoint;
        !endpoint.is_empty() && !endpoint.contains("127.0.0.1") && !endpoint.contains("localhost")
    });
    let (why, help) = if let Some(switch) = &circumstances.switched_off {
        (
            format!("{switch} keeps everything in the program"),
            format!("unset it: env -u {} logbridge run -- …", name(switch)),
        )
    } else if !account.evidence.tally.malformed.is_empty() {
        let text = "what came could not be read (see above)".to_owned();
        (
            text,
            "look at its protocol and path: OTEL_EXPORTER_OTLP_PROTOCOL is grpc, http/protobuf or http/json".to_owned(),
        )
    } else if let Some(program) = off {
        (format!("logbridge in it sends nothing: {}", program.otlp.off_because), "change what it names".to_owned())
    } else if let Some(program) = elsewhere {
        let text = format!("it sends to {}, which stands in its code", program.otlp.endpoint);
        (text, "leave the endpoint out of the code: `Otlp::from_env()`".to_owned())
    } else if offered > 0 && passed == 0 {
        let by = account.programs.iter().flat_map(|program| &program.cuts).max_by_key(|cut| cut.records);
        let by = by.map_or_else(String::new, |cut| format!(", most of them by {}", cut.by));
        (format!("all {offered} records were below their level{by}"), "RUST_LOG=info".to_owned())
    } else if !account.programs.is_empty() && offered == 0 {
        let help =
            "RUST_LOG=debug shows whether it logs at all; `logbridge::init()` has to come first in `main`".to_owned();
        ("logbridge is in it, and no record was written".to_owned(), help)
    } else if let Some(signal) = ended.signal {
        let text = format!("it was killed by {}, which leaves no time to send what waits", signal_name(signal));
        (text, "logbridge keeps records of killed programs in a spool: LOGBRIDGE_SPOOL_DIR".to_owned())
    } else if account.programs.is_empty() && ended.took.as_secs() < FIRST_BATCH_SECONDS {
        let text = format!(
            "it ended after {:.1} s: it has no exporter, the endpoint stands in its code, or it ended before its first batch",
            ended.took.as_secs_f64()
        );
        (text, "flush or shut the SDK's provider down before the end; logbridge does so by itself".to_owned())
    } else if account.programs.is_empty() {
        let text = "it has no exporter, or one that does not read OTEL_EXPORTER_OTLP_ENDPOINT".to_owned();
        (text, "call `logbridge::init()` in `main`, or leave the endpoint out of the code".to_owned())
    } else {
        let text = "logbridge in it has records, and delivered none".to_owned();
        (text, "its account above says what became of them".to_owned())
    };
    let help = match &circumstances.rust_log {
        None if account.programs.is_empty() => {
            format!("{help}. RUST_LOG is not set: many programs log nothing below WARN then")
        }
        _ => help,
    };
    finding(&kind::NOTHING_ARRIVED, Severity::Error, format!("nothing arrived: {why}")).help(help)
}

fn name(switch: &str) -> &str {
    switch.split('=').next().unwrap_or_default()
}

/// Nothing below WARN.
fn only_severe(account: &Account, circumstances: &Circumstances, logs: u64) -> Option<Finding> {
    let below_warn = 1..=3;
    let is_below = account.evidence.tally.services.values().any(|service| {
        service
            .levels
            .0
            .iter()
            .enumerate()
            .any(|(level, number)| *number > 0 && (below_warn.contains(&level) || level == 0))
    });
    if logs == 0 || is_below {
        return None;
    }
    let why = match &circumstances.rust_log {
        None => "RUST_LOG is not set, which means WARN".to_owned(),
        Some(filter) => format!("RUST_LOG={filter}"),
    };
    // Somebody who asks for WARN gets it.
    let severity = if circumstances.rust_log.is_none() { Severity::Warning } else { Severity::Note };
    let text = format!("all log records that arrived are {} or above: {why}", lowest(account));
    Some(finding(&kind::ONLY_SEVERE, severity, text).help("RUST_LOG=info logbridge run -- …"))
}

fn lowest(account: &Account) -> String {
    let levels =
        |level: &usize| account.evidence.tally.services.values().any(|service| service.levels.0.get(*level) > Some(&0));
    let lowest = (4..Levels::NAMES.len()).find(levels).and_then(|level| Levels::NAMES.get(level));
    lowest.copied().unwrap_or("warn").to_uppercase()
}

/// What is odd about records.
fn in_records(odd: &Odd, spans: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |applies: bool, kind: &'static Kind, severity: Severity, text: String, help: &str| {
        if applies {
            found.push(finding(kind, severity, text).help(help));
        }
    };
    let Odd { logs, with_trace, .. } = *odd;
    let records = |number: u64| format!("{number} of {logs} log record{}", if logs == 1 { "" } else { "s" });
    add(
        spans > 0 && logs > 0 && with_trace == 0,
        &kind::LOGS_WITHOUT_TRACE,
        Severity::Warning,
        format!("{spans} spans came, and none of {logs} log records has a trace id"),
        "log inside of spans: `#[tracing::instrument]`, `.instrument(span)` on futures; one `init` for logs and spans",
    );
    add(
        odd.without_span > 0,
        &kind::SPAN_MISSING,
        Severity::Warning,
        format!("{} name a trace of which no span came", records(odd.without_span)),
        "end spans and shut the tracer provider down before the process ends",
    );
    add(
        odd.without_time > 0,
        &kind::TIME_ZERO,
        Severity::Warning,
        format!("{} have no time, which many stores take for 1970", records(odd.without_time)),
        "set the event time in the sender, or copy the observed time in the collector",
    );
    add(
        odd.without_service > 0,
        &kind::SERVICE_UNKNOWN,
        Severity::Warning,
        format!("{} items have no service.name, or `unknown_service`", odd.without_service),
        "OTEL_SERVICE_NAME=shop logbridge run -- …",
    );
    add(
        odd.without_message > 0,
        &kind::UNREADABLE_RECORD,
        Severity::Warning,
        format!("{} have no message", records(odd.without_message)),
        "give each event a message: info!(user, \"order placed\")",
    );
    add(
        odd.key_twice > 0,
        &kind::UNREADABLE_RECORD,
        Severity::Warning,
        format!("{} have an attribute key twice", records(odd.key_twice)),
        "give each attribute a name of its own",
    );
    add(
        odd.twice > 0,
        &kind::BRIDGED_TWICE,
        Severity::Warning,
        format!("{} have the message and the time of another one", records(odd.twice)),
        "look for two bridges or exporters, and for tracing's feature `log-always`: cargo tree -e features -i tracing",
    );
    add(
        odd.by_log_tracer > 0,
        &kind::BRIDGED_TWICE,
        Severity::Warning,
        format!("{} have the target `log`, and their own in `log.target`", records(odd.by_log_tracer)),
        "remove `tracing_log::LogTracer`: logbridge takes records of `log` itself",
    );
    add(
        odd.of_clients >= MANY && odd.of_clients * 2 > logs,
        &kind::FEEDBACK_LOOP,
        Severity::Warning,
        format!("{} come from h2, hyper, reqwest, rustls or tonic", records(odd.of_clients)),
        "RUST_LOG=debug,h2=off,hyper=off,hyper_util=off,reqwest=off,rustls=off,tonic=off",
    );
    found
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
