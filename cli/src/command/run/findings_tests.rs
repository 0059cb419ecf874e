//! Each finding, and a similar run without it.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::command::intake::UpstreamReply;
use crate::command::run::child::Ended;
use crate::command::run::observations::Observations;
use crate::command::run::outcomes::{RecordOutcome, flows};
use crate::command::run::program_reports::{ProgramReport, StoppedRecords};
use crate::command::run::wording::totals;
use logbridge::internals::finding::Severity;
use logbridge_receiver::internals::{Content, Message, Reply, decode};

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";

/// Decodes a request.
fn read(content: Content, request: &str) -> Message {
    let head = http::Request::post(content.path()).header("content-type", "application/json").body(()).expect("a head");
    let head = head.into_parts().0;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(decode(&head, request.to_owned().into(), &Content::ALL)).expect("a request").message
}

/// Adds a request that is accepted.
fn take(observations: &mut Observations, content: Content, request: &Value) {
    let request = request.to_string();
    observations.add(&read(content, &request), request.as_bytes(), None);
}

/// A complete record, changed by `change`.
fn record(number: usize, change: impl Fn(&mut Value)) -> Value {
    let mut record = json!({
        "timeUnixNano": (1_700_000_000_000_000_000 + number).to_string(), "severityNumber": 9,
        "body": {"stringValue": "order placed"}, "traceId": TRACE, "spanId": "00f067aa0ba902b7",
        "attributes": [{"key": "user", "value": {"stringValue": "a"}}],
    });
    change(&mut record);
    record
}

fn logs(service: &str, target: &str, records: Vec<Value>) -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeLogs": [{"scope": {"name": target}, "logRecords": records}],
    }]})
}

fn span(trace: &str) -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeSpans": [{"scope": {"name": "shop"}, "spans": [{
            "traceId": trace, "spanId": "00f067aa0ba902b7", "name": "checkout", "kind": 1,
            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000001000000",
        }]}],
    }]})
}

fn report(fill: impl Fn(&mut Observations)) -> RunReport {
    let mut observations = Observations::new();
    fill(&mut observations);
    RunReport::new(
        "shop".to_owned(),
        Ended { code: Some(0), took: Duration::from_secs(9), signal: None },
        None,
        observations,
    )
}

fn codes(report: &RunReport) -> Vec<&'static str> {
    find(report, &RunContext::default()).into_iter().map(|finding| finding.code).collect()
}

/// The codes of the findings in five changed records and a span.
fn found(target: &str, change: impl Fn(&mut Value)) -> Vec<&'static str> {
    codes(&report(|observations| {
        take(observations, Content::Traces, &span(TRACE));
        let records = (0..5).map(|number| record(number, &change)).collect();
        take(observations, Content::Logs, &logs("shop", target, records));
    }))
}

#[test]
fn a_healthy_run_has_no_findings() {
    assert_eq!(found("shop::cart", |_| {}), [""; 0]);
}

#[test]
fn each_anomaly_has_its_finding() {
    for (code, target, change) in [
        ("LB092", "shop", (|record| record["severityNumber"] = json!(13)) as fn(&mut Value)),
        ("LB093", "shop", |record| record["traceId"] = json!("")),
        ("LB094", "shop", |record| record["traceId"] = json!(OTHER)),
        ("LB095", "shop", |record| record["timeUnixNano"] = json!("0")),
        ("LB097", "shop", |record| record["body"] = Value::Null),
        ("LB097", "shop", |record| {
            let again = record["attributes"][0].clone();
            record["attributes"].as_array_mut().expect("a list").push(again);
        }),
        ("LB098", "shop", |record| record["timeUnixNano"] = json!("1700000000000000000")),
        ("LB098", "log", |record| {
            record["attributes"] = json!([{"key": "log.target", "value": {"stringValue": "shop::db"}}]);
        }),
    ] {
        assert_eq!(found(target, change), [code], "{target}");
    }
    // Neither the target nor the attribute alone is a sign of a second bridge.
    assert_eq!(found("log", |_| {}), [""; 0]);
}

#[test]
fn a_missing_event_time_is_a_note_if_the_observed_time_is_set() {
    let judged = |observed: &str| {
        let report = report(|observations| {
            let change = |record: &mut Value| {
                record["timeUnixNano"] = json!("0");
                record["observedTimeUnixNano"] = json!(observed);
            };
            take(observations, Content::Logs, &logs("shop", "shop", vec![record(1, change)]));
        });
        texts(&report)
    };
    let text = "1 of 1 log record has only an observed time: the official tracing appender does not set the event time";
    assert_eq!(judged("1700000000000000001"), [("LB095", Severity::Note, text.to_owned())]);
    let text = "1 of 1 log record has no time, which many backends store as 1970";
    assert_eq!(judged("0"), [("LB095", Severity::Warning, text.to_owned())]);
}

#[test]
fn a_missing_service_name_is_found() {
    for (service, expected) in [("", &["LB096"][..]), ("unknown_service:shop", &["LB096"]), ("shop", &[])] {
        let report =
            report(|observations| take(observations, Content::Logs, &logs(service, "shop", vec![record(1, |_| {})])));
        assert_eq!(codes(&report), expected, "{service}");
    }
}

#[test]
fn a_feedback_loop_is_found_if_most_records_are_from_clients() {
    let of = |clients: usize, own: usize| {
        codes(&report(|observations| {
            take(
                observations,
                Content::Logs,
                &logs("shop", "hyper_util::client", (0..clients).map(|n| record(n, |_| {})).collect()),
            );
            take(
                observations,
                Content::Logs,
                &logs("shop", "hyperactive", (0..own).map(|n| record(1000 + n, |_| {})).collect()),
            );
        }))
    };
    assert_eq!(of(30, 10), ["LB099"]);
    // Mostly other records, only other records, or too few records.
    assert_eq!([of(30, 40), of(0, 40), of(15, 1)], [const { Vec::<&str>::new() }; 3]);
}

/// A response of the endpoint.
fn reply(kind: Option<&'static Kind>, text: &str, rejected: u64) -> UpstreamReply {
    UpstreamReply {
        action: Reply::refusal(http::StatusCode::OK, String::new()).action,
        is_accepted: kind.is_none(),
        is_final: kind.is_none() || rejected > 0,
        rejected,
        is_unreachable: false,
        kind,
        text: text.to_owned(),
        help: String::new(),
        took: Duration::ZERO,
    }
}

/// A report of requests that were forwarded, each with its response.
fn forwarded(requests: &[(Content, Value, UpstreamReply)]) -> RunReport {
    let mut report = report(|observations| {
        for (content, request, reply) in requests {
            let request = request.to_string();
            observations.add(&read(*content, &request), request.as_bytes(), Some(reply));
        }
    });
    report.upstream = Some("http://up".to_owned());
    report
}

fn texts(report: &RunReport) -> Vec<(&'static str, Severity, String)> {
    let found = find(report, &RunContext::default());
    found.into_iter().map(|found| (found.code, found.severity, found.text)).collect()
}

fn some_logs(numbers: std::ops::Range<usize>) -> Value {
    logs("shop", "shop", numbers.map(|number| record(number, |record| record["traceId"] = json!(""))).collect())
}

#[test]
fn each_failure_of_the_endpoint_keeps_its_kind() {
    for kind in [&kind::CANNOT_DELIVER, &kind::REFUSED, &kind::UNCONFIRMED] {
        let report = forwarded(&[
            (Content::Logs, some_logs(0..1), reply(Some(kind), "no", 0)),
            (Content::Logs, some_logs(1..3), reply(None, "200 accepted", 0)),
        ]);
        let text = "http://up did not accept 1 of 3 log records (no)".to_owned();
        assert_eq!(texts(&report), [(kind.code, Severity::Error, text)]);
        assert_eq!(totals(&report), "3 log records sent by the program, 2 log records accepted by the endpoint");
    }
    let healthy = forwarded(&[(Content::Logs, some_logs(0..1), reply(None, "200 accepted", 0))]);
    assert_eq!(
        (texts(&healthy), totals(&healthy).as_str()),
        (vec![], "1 log record sent by the program, all accepted by the endpoint")
    );
}

#[test]
fn a_retried_request_is_counted_once() {
    let refused = || reply(Some(&kind::CANNOT_DELIVER), "connection refused", 0);
    let dead = forwarded(&[
        (Content::Logs, some_logs(0..1), refused()),
        (Content::Logs, some_logs(0..1), refused()),
        (Content::Traces, span(TRACE), refused()),
        (Content::Logs, some_logs(0..1), refused()),
    ]);
    let text = "http://up accepted none of 1 log record and 1 span (connection refused, 4 times)".to_owned();
    assert_eq!(texts(&dead), [("LB081", Severity::Error, text)]);
    assert_eq!(totals(&dead), "1 log record and 1 span sent by the program, none accepted by the endpoint");
    // The last attempt is accepted.
    let late = forwarded(&[
        (Content::Logs, some_logs(0..2), refused()),
        (Content::Logs, some_logs(0..2), refused()),
        (Content::Logs, some_logs(0..2), reply(None, "200 accepted", 0)),
    ]);
    let text = "http://up accepted everything, but only after retries (connection refused, 2 times)".to_owned();
    assert_eq!(texts(&late), [("LB081", Severity::Note, text)]);
    assert_eq!(totals(&late), "2 log records sent by the program, all accepted by the endpoint");
    let empty = forwarded(&[(Content::Logs, json!({}), refused()), (Content::Logs, json!({}), refused())]);
    let text = "http://up did not accept empty requests (connection refused, 2 times)".to_owned();
    assert!(texts(&empty).contains(&("LB081", Severity::Warning, text)), "{:?}", texts(&empty));
    let scope = &late.observations.services["shop"]["shop"];
    assert_eq!((scope.accepted.total(), scope.refused.total()), (2, 0));
    // An accepted request that arrives again is a duplicate.
    let twice = forwarded(&[
        (Content::Logs, some_logs(0..1), reply(None, "200 accepted", 0)),
        (Content::Logs, some_logs(0..1), reply(None, "200 accepted", 0)),
    ]);
    assert_eq!(texts(&twice).first().map(|found| found.0), Some("LB098"));
}

#[test]
fn the_language_is_known_from_refused_records_too() {
    let mut request = some_logs(0..1);
    request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["severityNumber"] = json!(17);
    let attributes = request["resourceLogs"][0]["resource"]["attributes"].as_array_mut().expect("a list");
    attributes.push(json!({"key": "telemetry.sdk.language", "value": {"stringValue": "rust"}}));
    let report = forwarded(&[(Content::Logs, request, reply(Some(&kind::REFUSED), "no", 0))]);
    let text = "the only log record that arrived is ERROR: RUST_LOG is not set, which means WARN".to_owned();
    assert!(texts(&report).contains(&("LB092", Severity::Note, text)), "{:?}", texts(&report));
}

#[test]
fn partial_rejections_are_subtracted() {
    let response = "partial success: 2 rejected: \"too old\"";
    let part = |all: usize| forwarded(&[(Content::Logs, some_logs(0..all), reply(Some(&kind::REFUSED), response, 2))]);
    let some = part(5);
    let text = format!("http://up did not accept 2 of 5 log records ({response})");
    assert_eq!(texts(&some), [("LB082", Severity::Error, text)]);
    assert_eq!(
        flows(&some).iter().map(|flow| (&flow.outcome, flow.records)).collect::<Vec<_>>(),
        [(&RecordOutcome::Partly, 5)]
    );
    assert_eq!(some.rejected_in_part(), 2);
    // The endpoint rejects all records.
    let all = part(2);
    assert_eq!(
        texts(&all),
        [("LB082", Severity::Error, format!("http://up accepted none of 2 log records ({response})"))]
    );
    assert_eq!(
        (&flows(&all)[0].outcome, all.rejected_in_part()),
        (&RecordOutcome::Refused("by the endpoint".to_owned()), 0)
    );
}

#[test]
fn invalid_requests_are_found() {
    let judged = |what: &str| {
        texts(&report(|observations| {
            take(observations, Content::Logs, &some_logs(0..1));
            observations.tally.malformed(what);
        }))
    };
    for (what, code) in
        [("404 to POST /v1/log: nothing there", "LB069"), ("400 to POST /v1/logs: not OTLP/JSON: key", "LB074")]
    {
        let text = format!("1 request was invalid, and a collector would refuse it: {what}");
        assert_eq!(judged(what), [(code, Severity::Warning, text)]);
    }
    // Programs often end by breaking a connection.
    assert_eq!(judged("incomplete request: connection reset"), []);
}

#[test]
fn only_severe_records_are_a_warning_unless_the_filter_asks_for_them() {
    let severe = |number: usize, language: &str| {
        report(|observations| {
            let severe =
                (0..number).map(|number| record(number, |record| record["severityNumber"] = json!(17))).collect();
            let mut request = logs("shop", "shop", severe);
            let attributes = request["resourceLogs"][0]["resource"]["attributes"].as_array_mut().expect("a list");
            attributes.push(json!({"key": "telemetry.sdk.language", "value": {"stringValue": language}}));
            take(observations, Content::Logs, &request);
        })
    };
    let found = |report: &RunReport, rust_log: Option<&str>| {
        let context = RunContext { rust_log: rust_log.map(str::to_owned), ..RunContext::default() };
        let found = find(report, &context);
        found.into_iter().map(|finding| (finding.severity, finding.text)).collect::<Vec<_>>()
    };
    let all_are = |why: &str| format!("all 20 log records that arrived are ERROR or above: {why}");
    let rust = severe(20, "rust");
    assert_eq!(found(&rust, None), [(Severity::Warning, all_are("RUST_LOG is not set, which means WARN"))]);
    assert_eq!(found(&rust, Some("error")), [(Severity::Note, all_are("RUST_LOG=error"))]);
    assert_eq!(found(&severe(20, "python"), None), [(Severity::Note, all_are("WARN is a common default"))]);
    assert_eq!(found(&severe(1, "rust"), None)[0].0, Severity::Note, "one record is no proof");
    let mut cut = severe(1, "rust");
    cut.programs.push(ProgramReport { below: 7, ..ProgramReport::default() });
    let text = "the only log record that arrived is ERROR: 7 records were below their level".to_owned();
    assert_eq!(found(&cut, None), [(Severity::Warning, text)]);
    let why = "RUST_LOG=info passes more levels: nothing else is logged, or another setting filters it";
    assert_eq!(found(&rust, Some("info")), [(Severity::Note, all_are(why))]);
}

#[test]
fn the_level_that_stopped_records_is_named() {
    let mut severe = report(|observations| {
        let severe = |number| record(number, |record| record["severityNumber"] = json!(17));
        take(observations, Content::Logs, &logs("shop", "shop", vec![severe(1)]));
    });
    let cut = |stage: &str, by: &str, records: u64| StoppedRecords {
        stage: stage.to_owned(),
        level: "info".to_owned(),
        by: by.to_owned(),
        records,
        ..StoppedRecords::default()
    };
    let filtered =
        vec![cut("console", "LOGBRIDGE_CONSOLE_LEVEL: off", 9), cut("otlp", "LOGBRIDGE_OTLP_LEVEL: error", 3)];
    let mut program = ProgramReport { offered: 4, filtered, ..ProgramReport::default() };
    program.otlp.below = 3;
    severe.programs.push(program.clone());
    let context = RunContext { rust_log: Some("info".to_owned()), ..RunContext::default() };
    let found = find(&severe, &context);
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((found.code, found.help.as_deref()), ("LB092", Some("LOGBRIDGE_OTLP_LEVEL=info")));
    assert!(found.text.ends_with("3 records were below their level, most of them by LOGBRIDGE_OTLP_LEVEL: error"));
    // The same if nothing arrived at all.
    let mut silent = report(|_| {});
    silent.programs.push(program);
    assert!(why(silent, &context).ends_with("by LOGBRIDGE_OTLP_LEVEL: error | LOGBRIDGE_OTLP_LEVEL=info"));
}

#[test]
fn records_filtered_by_the_console_are_counted_once() {
    let mut run = report(|observations| take(observations, Content::Logs, &some_logs(0..4)));
    let cut = |stage: &str, records: u64| StoppedRecords {
        stage: stage.to_owned(),
        target: "shop".to_owned(),
        level: "info".to_owned(),
        records,
        ..StoppedRecords::default()
    };
    let filtered = vec![cut("console", 4), cut("module stage", 2)];
    run.programs.push(ProgramReport { offered: 6, below: 2, filtered, ..ProgramReport::default() });
    let flows: Vec<(RecordOutcome, u64)> = flows(&run).into_iter().map(|flow| (flow.outcome, flow.records)).collect();
    assert_eq!(flows, [(RecordOutcome::Arrived, 4), (RecordOutcome::Below, 2)], "as many as were offered");
}

#[test]
fn unknown_keys_are_found() {
    let remark = "request without records: unknown key `resource_logs`: use `resourceLogs` (OTLP/JSON keys are in lowerCamelCase)";
    let silent = report(|observations| observations.tally.remark(remark));
    assert!(why(silent, &RunContext::default()).contains(remark));
    let beside = report(|observations| {
        take(observations, Content::Logs, &some_logs(0..1));
        observations.tally.remark(remark);
        observations.tally.remark("request without records");
    });
    let text = format!("1 request was not fully understood: {remark}");
    assert_eq!(texts(&beside), [("LB074", Severity::Warning, text)]);
}

/// The text and the help of the only finding, LB091.
fn why(report: RunReport, context: &RunContext) -> String {
    let found = find(&report, context);
    assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["LB091"]);
    format!("{} | {}", found[0].text, found[0].help.as_deref().unwrap_or_default())
}

#[test]
fn nothing_arrived_names_the_most_likely_reason() {
    let plain = RunContext::default();
    let with = |program: ProgramReport| {
        let mut report = report(|_| {});
        report.programs.push(program);
        report
    };
    let ended = |ended: Ended| {
        let mut report = report(|_| {});
        report.ended = ended;
        report
    };
    let off = RunContext { disabled_by: Some("OTEL_SDK_DISABLED=true".to_owned()), ..plain.clone() };
    assert!(why(report(|_| {}), &off).contains("OTEL_SDK_DISABLED=true disables sending | unset it"));
    let malformed = report(|observations| observations.tally.malformed("the client hung up"));
    assert!(why(malformed, &plain).contains("the requests were invalid"));
    let sending_to = |endpoint: &str| {
        let mut program = ProgramReport::default();
        program.otlp.endpoint = endpoint.to_owned();
        with(program)
    };
    let ports = RunContext { ports: [17, 18], ..plain.clone() };
    for elsewhere in ["https://in.example.com", "http://127.0.0.1:4318/v1/logs"] {
        assert!(
            why(sending_to(elsewhere), &ports)
                .contains(&format!("the program sends to {elsewhere}, which is set in its code"))
        );
    }
    assert!(why(sending_to("http://127.0.0.1:18/v1/logs"), &ports).contains("no record was offered to it"));
    let cut = StoppedRecords { by: "root NOTSET".to_owned(), records: 9, ..StoppedRecords::default() };
    let below = ProgramReport { offered: 9, below: 9, filtered: vec![cut], ..ProgramReport::default() };
    assert!(
        why(with(below), &plain)
            .contains("9 records were below their level, most of them by root NOTSET | RUST_LOG=info")
    );
    assert!(
        why(with(ProgramReport::default()), &plain)
            .contains("the program uses logbridge, but no record was offered to it")
    );
    let killed = Ended { signal: Some(9), took: Duration::from_secs(60), code: None };
    let found = why(ended(killed), &plain);
    assert!(
        found.contains("the program was killed by SIGKILL")
            && !found.contains("FLUSH_ON_SIGNALS")
            && !found.contains("RUST_LOG"),
        "{found}"
    );
    let asked = Ended { signal: Some(15), took: Duration::from_secs(60), code: None };
    let found = why(ended(asked), &plain);
    assert!(found.contains("logbridge flushes on SIGTERM if LOGBRIDGE_FLUSH_ON_SIGNALS=true is set"), "{found}");
    let soon = Ended { code: Some(0), took: Duration::from_millis(1200), signal: None };
    let found = why(ended(soon), &plain);
    assert!(
        found.contains("the program ended after 1.2 s") && found.ends_with("RUST_LOG=info, which is not set"),
        "{found}"
    );
    for (filter, passing) in [
        ("off", "nothing"),
        ("ERROR", "only ERROR"),
        ("shop=error,off", "only ERROR"),
        ("warn/x", "only WARN and ERROR"),
    ] {
        let filtered = RunContext { rust_log: Some(filter.to_owned()), ..plain.clone() };
        let expected = format!("RUST_LOG={filter} lets {passing} pass | try RUST_LOG=info logbridge run -- …");
        assert!(why(report(|_| {}), &filtered).contains(&expected), "{filter}");
        // Also if the program has a report without counts.
        assert!(why(with(ProgramReport::default()), &filtered).contains(&expected), "{filter}");
    }
    for filter in ["info", "error,shop=info", "shop", ""] {
        let filtered = RunContext { rust_log: Some(filter.to_owned()), ..plain.clone() };
        assert!(!why(report(|_| {}), &filtered).contains(" pass "), "{filter}");
    }
    assert!(why(report(|_| {}), &plain).contains("the program has no exporter"));
    let failed = Ended { code: Some(1), took: Duration::from_secs(1), signal: None };
    assert!(why(ended(failed), &plain).contains("the program exited with 1, perhaps before it sent anything"));
}

#[test]
fn spans_without_log_records_are_found() {
    let spans = report(|observations| take(observations, Content::Traces, &span(TRACE)));
    let found = find(&spans, &RunContext::default());
    assert_eq!((found.len(), found[0].code, found[0].severity), (1, "LB091", Severity::Warning));
    assert!(
        found[0].text.starts_with("no log record arrived, although other telemetry did: the program has no exporter")
    );
}
