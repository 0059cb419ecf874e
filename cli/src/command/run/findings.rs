//! What deserves a look in what arrived, and in what did not.

use std::collections::BTreeMap;

use indicatif::HumanCount;

use super::account::Account;
use super::environment::switched_off;
use super::evidence::Odd;
use super::gates;
use super::silence;
use super::text::{listed, many};
use crate::command::inlet::{Levels, UNKNOWN_KEY};
use logbridge::internals::config::Environment;
use logbridge::internals::finding::kind;
use logbridge::internals::finding::{Finding, Impact, Kind};

/// So many records of one sort are no accident.
const MANY: u64 = 20;

/// So many different answers are told; all are in the list of answers.
const MOST_TROUBLES: usize = 5;

/// From outside the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Circumstances {
    pub(super) rust_log: Option<String>,
    /// The variable that keeps records in the program.
    pub(super) switched_off: Option<String>,
    /// Variables that name no endpoint that anything can be passed on to, with their values.
    pub(super) unusable: BTreeMap<&'static str, String>,
    /// Where requests come in.
    pub(super) ports: [u16; 2],
}

impl Circumstances {
    pub(super) fn of(environment: &Environment, unusable: BTreeMap<&'static str, String>, ports: [u16; 2]) -> Self {
        Self {
            unusable,
            rust_log: environment.get("RUST_LOG").map(str::to_owned),
            switched_off: switched_off(environment),
            ports,
        }
    }
}

/// What deserves a look, the worst first.
pub(super) fn judge(account: &Account, circumstances: &Circumstances) -> Vec<Finding> {
    let mut found = Vec::new();
    let [logs, spans, points] = account.evidence.tally.items();
    if logs == 0 {
        found.push(nothing(account, circumstances, spans + points));
    } else {
        found.extend(only_severe(account, circumstances, logs));
    }
    found.extend(without_an_end(account));
    found.extend(unusable(circumstances));
    found.extend(not_taken(account));
    found.extend(not_read(account));
    if logs > 0 {
        found.extend(not_understood(account));
    }
    found.extend(in_records(&account.evidence.odd, spans));
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn finding(kind: &'static Kind, impact: Impact, text: String) -> Finding {
    Finding::new(kind, impact.severity(), "what arrived", text)
}

/// No log record arrived, and why that may be.
fn nothing(account: &Account, circumstances: &Circumstances, others: u64) -> Finding {
    let (why, help) = silence::likeliest(account, circumstances);
    let (impact, what) = match others {
        0 => (Impact::Lost, "nothing arrived"),
        _ => (Impact::AtRisk, "no log record arrived, while other telemetry did"),
    };
    Finding::new(&kind::NOTHING_ARRIVED, impact.severity(), "the program", format!("{what}: {why}")).help(help)
}

/// Programs that were replaced by another one, or ended in a way that no exit handler sees.
fn without_an_end(account: &Account) -> Vec<Finding> {
    let told = |pid: u32, what: &str| {
        let text = format!("process {pid} {what}: what it had not flushed by then is lost, unless a spool has it");
        // It may have flushed everything: that is not known here.
        Finding::new(&kind::LEFT_AT_EXIT, Impact::Fine.severity(), "the program", text)
            .help("call `Bridge::flush` before `exec` and `_exit`, or use a spool: LOGBRIDGE_SPOOL_DIR")
    };
    let replaced = account.replaced().map(|images| told(images.pid, "called `exec` without an end of its own"));
    let unfinished = account.unfinished().map(|images| told(images.pid, "called `exec` or `_exit`, or was killed"));
    replaced.chain(unfinished).take(MOST_TROUBLES).collect()
}

/// Endpoints that are none, though the program was given one that works: here.
fn unusable(circumstances: &Circumstances) -> Vec<Finding> {
    let told = circumstances.unusable.iter().map(|(variable, value)| {
        let text =
            format!("`{value}` has no http:// or https:// in front: it cannot be used, and nothing is passed on to it");
        Finding::new(&kind::BAD_URL, Impact::Lost.severity(), *variable, text)
            .help(format!("write a whole URL: {variable}=http://localhost:4318"))
    });
    told.collect()
}

/// What the endpoint did not take.
fn not_taken(account: &Account) -> Vec<Finding> {
    let endpoint = account.upstream.as_deref().unwrap_or("the endpoint");
    let sent = account.evidence.sent_and_lost();
    let troubles = account.evidence.troubles.iter().map(|(said, trouble)| {
        let (impact, what) = match trouble.empty == trouble.tries {
            true => (Impact::AtRisk, "did not take requests, and there was nothing in them".to_owned()),
            false => outcome(trouble.items, sent),
        };
        let tries = if trouble.tries == 1 { String::new() } else { format!(", {} tries", HumanCount(trouble.tries)) };
        let text = format!("{endpoint} {what} ({said}{tries})");
        let found = Finding::new(trouble.kind.unwrap_or(&kind::REFUSED), impact.severity(), "the endpoint", text);
        if trouble.help.is_empty() { found } else { found.help(trouble.help.clone()) }
    });
    let mut troubles: Vec<Finding> = troubles.collect();
    troubles.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    troubles.truncate(MOST_TROUBLES);
    troubles
}

/// What could not be read here, which a collector would not read either. What broke off says nothing of the program.
fn not_read(account: &Account) -> Vec<Finding> {
    let came: u64 = account.evidence.tally.requests.values().sum();
    let impact = if came == 0 { Impact::Lost } else { Impact::AtRisk };
    let told = account.evidence.tally.malformed.iter().filter_map(|(what, number)| {
        let (kind, help) = match what.get(..4) {
            Some("404 ") => (
                &kind::WRONG_PATH,
                "/v1/logs and /v1/traces are appended to OTEL_EXPORTER_OTLP_ENDPOINT and to nothing else: look at the path in code",
            ),
            Some("413 ") => (&kind::NOT_TAKEN, "send smaller requests"),
            Some("400 " | "405 " | "415 ") => (
                &kind::NOT_TAKEN,
                "look at what it sends: OTEL_EXPORTER_OTLP_PROTOCOL is grpc, http/protobuf or http/json",
            ),
            _ => return None,
        };
        let verb = if *number == 1 { "was" } else { "were" };
        let text = format!("{} {verb} not read, nor would a collector: {what}", many(*number, "request"));
        Some(finding(kind, impact, text).help(help))
    });
    told.take(MOST_TROUBLES).collect()
}

/// Keys without a meaning, in what came beside log records.
fn not_understood(account: &Account) -> Vec<Finding> {
    let remarks = account.evidence.tally.remarks.iter().filter(|(remark, _)| remark.contains(UNKNOWN_KEY));
    let told = remarks.map(|(remark, number)| {
        let verb = if *number == 1 { "was" } else { "were" };
        let text = format!("{} {verb} not understood, at least in part: {remark}", many(*number, "request"));
        let help = "send OTLP/JSON as the specification has it: lowerCamelCase keys, and each signal to its own path";
        finding(&kind::NOT_TAKEN, Impact::AtRisk, text).help(help)
    });
    told.take(MOST_TROUBLES).collect()
}

/// What it did not take of what was sent, as the end of a sentence, and how bad that is.
fn outcome(lost: [u64; 3], sent: [[u64; 2]; 3]) -> (Impact, String) {
    let kinds = || lost.into_iter().zip(sent).zip(["log record", "span", "data point"]);
    let kinds = || kinds().filter(|((lost, _), _)| *lost > 0);
    if kinds().next().is_none() {
        return (Impact::Fine, "took everything in the end, and not at once".to_owned());
    }
    if kinds().all(|((lost, [sent, _]), _)| lost == sent) {
        let parts: Vec<String> = kinds().map(|((lost, _), what)| many(lost, what)).collect();
        return (Impact::Lost, format!("took none of {}", listed(&parts).unwrap_or_default()));
    }
    let parts: Vec<String> =
        kinds().map(|((lost, [sent, _]), what)| format!("{} of {}", HumanCount(lost), many(sent, what))).collect();
    (Impact::Lost, format!("did not take {}", listed(&parts).unwrap_or_default()))
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
    let filter = circumstances.rust_log.as_deref();
    let gate = gates::below_warn(&account.programs);
    let is_known = gate.is_some();
    let (why, help) = match (filter, gate) {
        (_, Some(gate)) => (gate.what, gate.help),
        (None, None) if account.evidence.is_rust => {
            ("RUST_LOG is not set, which means WARN".to_owned(), "RUST_LOG=info".to_owned())
        }
        (None, None) => ("a usual default is WARN".to_owned(), "set the level of the root logger".to_owned()),
        (Some(filter), None) if gates::lets_info_through(filter) => {
            let why = format!("RUST_LOG={filter} lets more through, so it logs no more, or something else stops it");
            (why, "look for a level in its code, or for LOGBRIDGE_OTLP_LEVEL".to_owned())
        }
        (Some(filter), None) => (format!("RUST_LOG={filter}"), "RUST_LOG=info".to_owned()),
    };
    // Somebody who asks for WARN gets it, and of few records that may be all there is.
    let is_asked_for = filter.is_some_and(|filter| !gates::lets_info_through(filter));
    let is_sure = !is_asked_for && (is_known || (filter.is_none() && account.evidence.is_rust && logs >= MANY));
    let impact = if is_sure { Impact::AtRisk } else { Impact::Fine };
    let text = match logs {
        1 => format!("the only log record that arrived is {}: {why}", lowest(account)),
        number => format!("all {number} log records that arrived are {} or above: {why}", lowest(account)),
    };
    Some(finding(&kind::ONLY_SEVERE, impact, text).help(help))
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
    let mut add = |applies: bool, kind: &'static Kind, impact: Impact, text: String, help: &str| {
        if applies {
            found.push(finding(kind, impact, text).help(help));
        }
    };
    let Odd { logs, with_trace, .. } = *odd;
    // One has, two have.
    let records = |number: u64, one: &str, more: &str| {
        format!("{} of {} {}", HumanCount(number), many(logs, "log record"), if number == 1 { one } else { more })
    };
    let have = |number: u64, what: &str| records(number, &format!("has {what}"), &format!("have {what}"));
    add(
        spans > 0 && logs > 0 && with_trace == 0,
        &kind::LOGS_WITHOUT_TRACE,
        Impact::AtRisk.seen_in(logs),
        format!("{} came, and none of {} has a trace id", many(spans, "span"), many(logs, "log record")),
        "log inside of spans: `#[tracing::instrument]`, `.instrument(span)` on futures; one `init` for logs and spans",
    );
    add(
        odd.without_span > 0,
        &kind::SPAN_MISSING,
        Impact::AtRisk,
        records(odd.without_span, "names a trace of which no span came", "name a trace of which no span came"),
        "end spans and shut the tracer provider down before the process ends",
    );
    add(
        odd.without_time > 0,
        &kind::TIME_ZERO,
        Impact::AtRisk,
        have(odd.without_time, "no time, which many stores take for 1970"),
        "set the event time in the sender, or copy the observed time in the collector",
    );
    add(
        odd.only_observed > 0,
        &kind::TIME_ZERO,
        Impact::Fine,
        have(
            odd.only_observed,
            "the observed time only: the official tracing appender leaves the time to the receiver",
        ),
        "have the collector copy observed_time where time is 0",
    );
    add(
        odd.without_service > 0,
        &kind::SERVICE_UNKNOWN,
        Impact::AtRisk,
        format!(
            "{} {} no service.name, or `unknown_service`",
            many(odd.without_service, "item"),
            if odd.without_service == 1 { "has" } else { "have" }
        ),
        "OTEL_SERVICE_NAME=shop logbridge run -- …",
    );
    add(
        odd.without_message > 0,
        &kind::UNREADABLE_RECORD,
        Impact::AtRisk,
        have(odd.without_message, "no message"),
        "give each event a message: info!(user, \"order placed\")",
    );
    add(
        odd.key_twice > 0,
        &kind::UNREADABLE_RECORD,
        Impact::AtRisk,
        have(odd.key_twice, "an attribute key twice"),
        "give each attribute a name of its own",
    );
    add(
        odd.twice > 0,
        &kind::BRIDGED_TWICE,
        Impact::AtRisk,
        have(odd.twice, "the message and the time of another one"),
        "look for two bridges or exporters, and for tracing's feature `log-always`: cargo tree -e features -i tracing",
    );
    add(
        odd.by_log_tracer > 0,
        &kind::BRIDGED_TWICE,
        Impact::AtRisk,
        have(odd.by_log_tracer, "the target `log`, and another one in `log.target`"),
        "remove `tracing_log::LogTracer`: logbridge takes records of `log` itself",
    );
    add(
        odd.of_clients >= MANY && odd.of_clients * 2 > logs,
        &kind::FEEDBACK_LOOP,
        Impact::AtRisk,
        records(
            odd.of_clients,
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
