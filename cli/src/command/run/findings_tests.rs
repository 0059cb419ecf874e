//! Each finding, beside a twin that is healthy and does not give it.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::account::ItemOutcome;
use super::super::child::Ended;
use super::super::evidence::Evidence;
use super::super::reports::{Cut, Program};
use super::super::text::sums;
use super::*;
use crate::command::inlet::Passed;
use logbridge::internals::finding::Severity;
use logbridge_receiver::internals::{Content, Message, Reply, decode};

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";

/// What a request holds.
fn read(content: Content, request: &str) -> Message {
    let head = http::Request::post(content.path()).header("content-type", "application/json").body(()).expect("a head");
    let head = head.into_parts().0;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(decode(&head, request.to_owned().into(), &Content::ALL)).expect("a request").message
}

/// A request as it comes in, taken.
fn take(evidence: &mut Evidence, content: Content, request: &Value) {
    let request = request.to_string();
    evidence.add(&read(content, &request), request.as_bytes(), None);
}

/// A record with everything that it should have, but for what `change` does to it.
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

fn account(fill: impl Fn(&mut Evidence)) -> Account {
    let mut evidence = Evidence::new();
    fill(&mut evidence);
    Account::new("shop".to_owned(), Ended { code: Some(0), took: Duration::from_secs(9), signal: None }, None, evidence)
}

fn codes(account: &Account) -> Vec<&'static str> {
    judge(account, &Circumstances::default()).into_iter().map(|finding| finding.code).collect()
}

/// What is found in five records, each changed so, and a span.
fn found(target: &str, change: impl Fn(&mut Value)) -> Vec<&'static str> {
    codes(&account(|evidence| {
        take(evidence, Content::Traces, &span(TRACE));
        let records = (0..5).map(|number| record(number, &change)).collect();
        take(evidence, Content::Logs, &logs("shop", target, records));
    }))
}

#[test]
fn what_is_healthy_gives_none() {
    assert_eq!(found("shop::cart", |_| {}), [""; 0]);
}

#[test]
fn records_are_told_by_what_is_odd_about_them() {
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
    // The target alone is no sign of a second bridge, nor is the attribute.
    assert_eq!(found("log", |_| {}), [""; 0]);
}

#[test]
fn that_the_time_is_left_to_the_receiver_is_a_note() {
    let judged = |observed: &str| {
        let account = account(|evidence| {
            let change = |record: &mut Value| {
                record["timeUnixNano"] = json!("0");
                record["observedTimeUnixNano"] = json!(observed);
            };
            take(evidence, Content::Logs, &logs("shop", "shop", vec![record(1, change)]));
        });
        told(&account)
    };
    let text =
        "1 of 1 log record has the observed time only: the official tracing appender leaves the time to the receiver";
    assert_eq!(judged("1700000000000000001"), [("LB095", Severity::Note, text.to_owned())]);
    let text = "1 of 1 log record has no time, which many stores take for 1970";
    assert_eq!(judged("0"), [("LB095", Severity::Warning, text.to_owned())]);
}

#[test]
fn a_service_without_a_name_is_told() {
    for (service, expected) in [("", &["LB096"][..]), ("unknown_service:shop", &["LB096"]), ("shop", &[])] {
        let account =
            account(|evidence| take(evidence, Content::Logs, &logs(service, "shop", vec![record(1, |_| {})])));
        assert_eq!(codes(&account), expected, "{service}");
    }
}

#[test]
fn a_loop_of_feedback_is_told_when_most_records_are_of_clients() {
    let of = |clients: usize, own: usize| {
        codes(&account(|evidence| {
            take(
                evidence,
                Content::Logs,
                &logs("shop", "hyper_util::client", (0..clients).map(|n| record(n, |_| {})).collect()),
            );
            take(
                evidence,
                Content::Logs,
                &logs("shop", "hyperactive", (0..own).map(|n| record(1000 + n, |_| {})).collect()),
            );
        }))
    };
    assert_eq!(of(30, 10), ["LB099"]);
    // Much of something else, little of them, or little at all.
    assert_eq!([of(30, 40), of(0, 40), of(15, 1)], [const { Vec::<&str>::new() }; 3]);
}

/// What the endpoint answers: words, and how many are rejected; the words are empty where it takes everything.
fn passed(kind: Option<&'static Kind>, said: &str, rejected: u64) -> Passed {
    Passed {
        ending: Reply::refusal(http::StatusCode::OK, String::new()).ending,
        is_taken: kind.is_none(),
        is_final: kind.is_none() || rejected > 0,
        rejected,
        is_dead: false,
        kind,
        said: said.to_owned(),
        help: String::new(),
        took: Duration::ZERO,
    }
}

/// An account of requests that were passed on, each with its answer.
fn forwarded(requests: &[(Content, Value, Passed)]) -> Account {
    let mut account = account(|evidence| {
        for (content, request, passed) in requests {
            let request = request.to_string();
            evidence.add(&read(*content, &request), request.as_bytes(), Some(passed));
        }
    });
    account.upstream = Some("http://up".to_owned());
    account
}

fn told(account: &Account) -> Vec<(&'static str, Severity, String)> {
    let found = judge(account, &Circumstances::default());
    found.into_iter().map(|found| (found.code, found.severity, found.text)).collect()
}

fn some_logs(numbers: std::ops::Range<usize>) -> Value {
    logs("shop", "shop", numbers.map(|number| record(number, |record| record["traceId"] = json!(""))).collect())
}

#[test]
fn what_the_endpoint_does_not_take_is_told_as_what_it_is() {
    for kind in [&kind::CANNOT_DELIVER, &kind::REFUSED, &kind::UNCONFIRMED] {
        let account = forwarded(&[
            (Content::Logs, some_logs(0..1), passed(Some(kind), "no", 0)),
            (Content::Logs, some_logs(1..3), passed(None, "200 taken", 0)),
        ]);
        let text = "http://up did not take 1 of 3 log records (no)".to_owned();
        assert_eq!(told(&account), [(kind.code, Severity::Error, text)]);
        assert_eq!(sums(&account), "3 log records sent by the program, 2 log records taken by the endpoint");
    }
    let healthy = forwarded(&[(Content::Logs, some_logs(0..1), passed(None, "200 taken", 0))]);
    assert_eq!(
        (told(&healthy), sums(&healthy).as_str()),
        (vec![], "1 log record sent by the program, all taken by the endpoint")
    );
}

#[test]
fn what_is_sent_again_is_counted_once() {
    let refused = || passed(Some(&kind::CANNOT_DELIVER), "connection refused", 0);
    let dead = forwarded(&[
        (Content::Logs, some_logs(0..1), refused()),
        (Content::Logs, some_logs(0..1), refused()),
        (Content::Traces, span(TRACE), refused()),
        (Content::Logs, some_logs(0..1), refused()),
    ]);
    let text = "http://up took none of 1 log record and 1 span (connection refused, 4 tries)".to_owned();
    assert_eq!(told(&dead), [("LB081", Severity::Error, text)]);
    assert_eq!(sums(&dead), "1 log record and 1 span sent by the program, none taken by the endpoint");
    // It is taken in the end.
    let late = forwarded(&[
        (Content::Logs, some_logs(0..2), refused()),
        (Content::Logs, some_logs(0..2), refused()),
        (Content::Logs, some_logs(0..2), passed(None, "200 taken", 0)),
    ]);
    let text = "http://up took everything in the end, and not at once (connection refused, 2 tries)".to_owned();
    assert_eq!(told(&late), [("LB081", Severity::Note, text)]);
    assert_eq!(sums(&late), "2 log records sent by the program, all taken by the endpoint");
    let empty = forwarded(&[(Content::Logs, json!({}), refused()), (Content::Logs, json!({}), refused())]);
    let text =
        "http://up did not take requests, and there was nothing in them (connection refused, 2 tries)".to_owned();
    assert!(told(&empty).contains(&("LB081", Severity::Warning, text)), "{:?}", told(&empty));
    let scope = &late.evidence.services["shop"]["shop"];
    assert_eq!((scope.taken.all(), scope.refused.all()), (2, 0));
    // What was taken and comes again is there twice.
    let twice = forwarded(&[
        (Content::Logs, some_logs(0..1), passed(None, "200 taken", 0)),
        (Content::Logs, some_logs(0..1), passed(None, "200 taken", 0)),
    ]);
    assert_eq!(told(&twice).first().map(|found| found.0), Some("LB098"));
}

#[test]
fn what_language_it_is_written_in_is_known_of_what_was_refused_too() {
    let mut request = some_logs(0..1);
    request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["severityNumber"] = json!(17);
    let attributes = request["resourceLogs"][0]["resource"]["attributes"].as_array_mut().expect("a list");
    attributes.push(json!({"key": "telemetry.sdk.language", "value": {"stringValue": "rust"}}));
    let account = forwarded(&[(Content::Logs, request, passed(Some(&kind::REFUSED), "no", 0))]);
    let text = "the only log record that arrived is ERROR: RUST_LOG is not set, which means WARN".to_owned();
    assert!(told(&account).contains(&("LB092", Severity::Note, text)), "{:?}", told(&account));
}

#[test]
fn what_is_rejected_in_part_is_subtracted() {
    let said = "partial success: 2 rejected: \"too old\"";
    let part = |all: usize| forwarded(&[(Content::Logs, some_logs(0..all), passed(Some(&kind::REFUSED), said, 2))]);
    let some = part(5);
    let text = format!("http://up did not take 2 of 5 log records ({said})");
    assert_eq!(told(&some), [("LB082", Severity::Error, text)]);
    assert_eq!(
        some.flows().iter().map(|flow| (&flow.fate, flow.records)).collect::<Vec<_>>(),
        [(&ItemOutcome::Partly, 5)]
    );
    assert_eq!(some.rejected_in_part(), 2);
    // All of it: nothing was taken.
    let all = part(2);
    assert_eq!(told(&all), [("LB082", Severity::Error, format!("http://up took none of 2 log records ({said})"))]);
    assert_eq!((all.flows()[0].fate.class(), all.rejected_in_part()), ("refused", 0));
}

#[test]
fn what_could_not_be_read_is_told() {
    let judged = |what: &str| {
        told(&account(|evidence| {
            take(evidence, Content::Logs, &some_logs(0..1));
            evidence.tally.malformed(what);
        }))
    };
    for (what, code) in
        [("404 to POST /v1/log: nothing there", "LB069"), ("400 to POST /v1/logs: not OTLP JSON: key", "LB074")]
    {
        let text = format!("1 request was not read, nor would a collector: {what}");
        assert_eq!(judged(what), [(code, Severity::Warning, text)]);
    }
    // A connection that broke is the end of a program, as often as not.
    assert_eq!(judged("request cut short: connection reset"), []);
}

#[test]
fn that_only_severe_records_came_is_a_warning_only_where_nobody_asked_for_it() {
    let severe = |number: usize, language: &str| {
        account(|evidence| {
            let severe =
                (0..number).map(|number| record(number, |record| record["severityNumber"] = json!(17))).collect();
            let mut request = logs("shop", "shop", severe);
            let attributes = request["resourceLogs"][0]["resource"]["attributes"].as_array_mut().expect("a list");
            attributes.push(json!({"key": "telemetry.sdk.language", "value": {"stringValue": language}}));
            take(evidence, Content::Logs, &request);
        })
    };
    let said = |account: &Account, rust_log: Option<&str>| {
        let circumstances = Circumstances { rust_log: rust_log.map(str::to_owned), ..Circumstances::default() };
        let found = judge(account, &circumstances);
        found.into_iter().map(|finding| (finding.severity, finding.text)).collect::<Vec<_>>()
    };
    let many = |why: &str| format!("all 20 log records that arrived are ERROR or above: {why}");
    let rust = severe(20, "rust");
    assert_eq!(said(&rust, None), [(Severity::Warning, many("RUST_LOG is not set, which means WARN"))]);
    assert_eq!(said(&rust, Some("error")), [(Severity::Note, many("RUST_LOG=error"))]);
    assert_eq!(said(&severe(20, "python"), None), [(Severity::Note, many("a usual default is WARN"))]);
    assert_eq!(said(&severe(1, "rust"), None)[0].0, Severity::Note, "one record is no proof");
    let mut cut = severe(1, "rust");
    cut.programs.push(Program { below: 7, ..Program::default() });
    let text = "the only log record that arrived is ERROR: 7 records were below their level".to_owned();
    assert_eq!(said(&cut, None), [(Severity::Warning, text)]);
    let why = "RUST_LOG=info lets more through, so it logs no more, or something else stops it";
    assert_eq!(said(&rust, Some("info")), [(Severity::Note, many(why))]);
}

#[test]
fn the_level_that_stopped_records_is_named_and_no_other() {
    let mut severe = account(|evidence| {
        let severe = |number| record(number, |record| record["severityNumber"] = json!(17));
        take(evidence, Content::Logs, &logs("shop", "shop", vec![severe(1)]));
    });
    let cut = |stage: &str, by: &str, records: u64| Cut {
        stage: stage.to_owned(),
        level: "info".to_owned(),
        by: by.to_owned(),
        records,
        ..Cut::default()
    };
    let cuts = vec![cut("console", "LOGBRIDGE_CONSOLE_LEVEL: off", 9), cut("otlp", "LOGBRIDGE_OTLP_LEVEL: error", 3)];
    let mut program = Program { offered: 4, cuts, ..Program::default() };
    program.otlp.below = 3;
    severe.programs.push(program.clone());
    let circumstances = Circumstances { rust_log: Some("info".to_owned()), ..Circumstances::default() };
    let found = judge(&severe, &circumstances);
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((found.code, found.help.as_deref()), ("LB092", Some("LOGBRIDGE_OTLP_LEVEL=info")));
    assert!(found.text.ends_with("3 records were below their level, most of them by LOGBRIDGE_OTLP_LEVEL: error"));
    // The same where nothing arrived at all.
    let mut silent = account(|_| {});
    silent.programs.push(program);
    assert!(why(silent, &circumstances).ends_with("by LOGBRIDGE_OTLP_LEVEL: error | LOGBRIDGE_OTLP_LEVEL=info"));
}

#[test]
fn what_the_console_left_out_is_counted_once() {
    let mut told = account(|evidence| take(evidence, Content::Logs, &some_logs(0..4)));
    let cut = |stage: &str, records: u64| Cut {
        stage: stage.to_owned(),
        target: "shop".to_owned(),
        level: "info".to_owned(),
        records,
        ..Cut::default()
    };
    let cuts = vec![cut("console", 4), cut("module stage", 2)];
    told.programs.push(Program { offered: 6, below: 2, cuts, ..Program::default() });
    let flows: Vec<(ItemOutcome, u64)> = told.flows().into_iter().map(|flow| (flow.fate, flow.records)).collect();
    assert_eq!(flows, [(ItemOutcome::Arrived, 4), (ItemOutcome::Below, 2)], "as many as were offered");
}

#[test]
fn requests_that_nobody_understands_are_told() {
    let remark = "request without records: unknown key `resource_logs`: keys of OTLP/JSON are written in lowerCamelCase, so `resourceLogs`";
    let silent = account(|evidence| evidence.tally.remark(remark));
    assert!(why(silent, &Circumstances::default()).contains(remark));
    let beside = account(|evidence| {
        take(evidence, Content::Logs, &some_logs(0..1));
        evidence.tally.remark(remark);
        evidence.tally.remark("request without records");
    });
    let text = format!("1 request was not understood, at least in part: {remark}");
    assert_eq!(told(&beside), [("LB074", Severity::Warning, text)]);
}

/// The text and the help where nothing arrived.
fn why(account: Account, circumstances: &Circumstances) -> String {
    let found = judge(&account, circumstances);
    assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["LB091"]);
    format!("{} | {}", found[0].text, found[0].help.as_deref().unwrap_or_default())
}

#[test]
fn that_nothing_arrived_is_told_with_the_likeliest_reason() {
    let plain = Circumstances::default();
    let with = |program: Program| {
        let mut account = account(|_| {});
        account.programs.push(program);
        account
    };
    let ended = |ended: Ended| {
        let mut account = account(|_| {});
        account.ended = ended;
        account
    };
    let off = Circumstances { switched_off: Some("OTEL_SDK_DISABLED=true".to_owned()), ..plain.clone() };
    assert!(why(account(|_| {}), &off).contains("OTEL_SDK_DISABLED=true switches sending off | unset it"));
    let malformed = account(|evidence| evidence.tally.malformed("the client hung up"));
    assert!(why(malformed, &plain).contains("what came could not be read"));
    let sending_to = |endpoint: &str| {
        let mut program = Program::default();
        program.otlp.endpoint = endpoint.to_owned();
        with(program)
    };
    let ports = Circumstances { ports: [17, 18], ..plain.clone() };
    for elsewhere in ["https://in.example.com", "http://127.0.0.1:4318/v1/logs"] {
        assert!(
            why(sending_to(elsewhere), &ports).contains(&format!("it sends to {elsewhere}, which stands in its code"))
        );
    }
    assert!(why(sending_to("http://127.0.0.1:18/v1/logs"), &ports).contains("no record was offered to it"));
    let cut = Cut { by: "root NOTSET".to_owned(), records: 9, ..Cut::default() };
    let below = Program { offered: 9, below: 9, cuts: vec![cut], ..Program::default() };
    assert!(
        why(with(below), &plain)
            .contains("9 records were below their level, most of them by root NOTSET | RUST_LOG=info")
    );
    assert!(why(with(Program::default()), &plain).contains("logbridge is in it, and no record was offered to it"));
    let killed = Ended { signal: Some(9), took: Duration::from_secs(60), code: None };
    let said = why(ended(killed), &plain);
    assert!(
        said.contains("it was killed by SIGKILL") && !said.contains("FLUSH_ON_SIGNALS") && !said.contains("RUST_LOG"),
        "{said}"
    );
    let asked = Ended { signal: Some(15), took: Duration::from_secs(60), code: None };
    let said = why(ended(asked), &plain);
    assert!(said.contains("sends what waits at SIGTERM with LOGBRIDGE_FLUSH_ON_SIGNALS=true"), "{said}");
    let soon = Ended { code: Some(0), took: Duration::from_millis(1200), signal: None };
    let said = why(ended(soon), &plain);
    assert!(said.contains("it ended after 1.2 s") && said.ends_with("RUST_LOG=info, which is not set"), "{said}");
    for (filter, through) in [
        ("off", "nothing"),
        ("ERROR", "only ERROR"),
        ("shop=error,off", "only ERROR"),
        ("warn/x", "only WARN and ERROR"),
    ] {
        let filtered = Circumstances { rust_log: Some(filter.to_owned()), ..plain.clone() };
        let expected = format!("RUST_LOG={filter} lets through {through} | try RUST_LOG=info logbridge run -- …");
        assert!(why(account(|_| {}), &filtered).contains(&expected), "{filter}");
        // Also of a program that would say it itself, had it been asked to count.
        assert!(why(with(Program::default()), &filtered).contains(&expected), "{filter}");
    }
    for filter in ["info", "error,shop=info", "shop", ""] {
        let filtered = Circumstances { rust_log: Some(filter.to_owned()), ..plain.clone() };
        assert!(!why(account(|_| {}), &filtered).contains("lets through"), "{filter}");
    }
    assert!(why(account(|_| {}), &plain).contains("it has no exporter"));
    let failed = Ended { code: Some(1), took: Duration::from_secs(1), signal: None };
    assert!(why(ended(failed), &plain).contains("it exited with 1, perhaps before it sent anything"));
}

#[test]
fn that_spans_came_and_no_records_is_told() {
    let spans = account(|evidence| take(evidence, Content::Traces, &span(TRACE)));
    let found = judge(&spans, &Circumstances::default());
    assert_eq!((found.len(), found[0].code, found[0].severity), (1, "LB091", Severity::Warning));
    assert!(
        found[0].text.starts_with("no log record arrived, while other telemetry did: it has an exporter for these")
    );
}
