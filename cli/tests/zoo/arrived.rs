//! Causes in the data that any program sends: `logbridge run` reports records that arrive but are hard to find.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::child::Program;
use crate::row::{Case, Codes, Row, named};

pub(crate) const PROGRAMS: &[(&str, Program)] = &[
    ("post_nothing", |case| post(case, |case| case.pick(vec![], vec![record(json!({}))]))),
    ("post_severe", |case| {
        let severe = |level: u64| record(json!({ "severityNumber": level }));
        post(case, |case| case.pick(vec![severe(13), severe(17), severe(13)], vec![severe(13), severe(9), severe(13)]));
    }),
    ("post_untraced", |case| {
        send_spans_of(TRACE);
        post(case, |case| {
            (0..12).map(|_| record(case.pick(json!({}), json!({ "traceId": TRACE, "spanId": SPAN })))).collect()
        });
    }),
    ("post_orphans", |case| {
        send_spans_of(case.pick(OTHER, TRACE));
        post(case, |_| vec![record(json!({ "traceId": TRACE, "spanId": SPAN, "flags": 1 }))]);
    }),
    ("post_timeless", |case| {
        post(case, |case| {
            let mut record = record(json!({}));
            if case == Case::Faulty {
                record["timeUnixNano"] = "0".into();
            }
            vec![record]
        });
    }),
    ("post_nameless", |case| {
        let service = case.pick("unknown_service:shop", "shop");
        send("logs", &logs(service, "shop::cart", &[record(json!({}))]));
    }),
    ("post_empty", |case| {
        post(case, |case| {
            let mut record = record(json!({ "attributes": [attribute("user")] }));
            if case == Case::Faulty {
                record["body"] = Value::Null;
            }
            vec![record]
        });
    }),
    ("post_doubled_key", |case| {
        post(case, |case| {
            let second = case.pick("exception.message", "exception.type");
            vec![record(json!({ "attributes": [attribute("exception.message"), attribute(second)] }))]
        });
    }),
    ("post_twice", |case| {
        let times = case.pick("1700000000000000000", "1700000000000000007");
        post(case, |_| {
            let mut second = record(json!({}));
            second["timeUnixNano"] = times.into();
            vec![record(json!({})), second]
        });
    }),
    ("post_by_tracer", |case| {
        let (scope, attributes) = case.pick(("log", vec![attribute("log.target")]), ("shop::cart", vec![]));
        send("logs", &logs("shop", scope, &[record(json!({ "attributes": attributes }))]));
    }),
    ("post_loop", |case| {
        let scope = case.pick("h2::codec::framed_write", "shop::cart");
        let records: Vec<_> =
            (0..60).map(|number| record(json!({ "observedTimeUnixNano": number.to_string() }))).collect();
        send("logs", &logs("shop", scope, &records));
        post(case, |_| vec![record(json!({}))]);
    }),
];

pub(crate) fn rows() -> Vec<Row> {
    vec![
        named("A16r", "each event twice", "run", "LB098", |case| run("post_twice", case)),
        named("B7r", "a program without an exporter", "run", "LB091", |case| run("post_nothing", case)),
        named("C1r", "levels that let only WARN and above through", "run", "LB092", |case| run("post_severe", case)),
        named("F18r", "most records are those of the client that sends them", "run", "LB099", |case| {
            run("post_loop", case)
        }),
        named("G4r", "records of 1970", "run", "LB095", |case| run("post_timeless", case)),
        named("G8", "a service without a name", "run", "LB096", |case| run("post_nameless", case)),
        named("G12r", "two errors in one record, under one key", "run", "LB097", |case| run("post_doubled_key", case)),
        named("H2", "spans that are filtered away from under the records", "run", "LB094", |case| {
            run("post_orphans", case)
        }),
        named("H3", "tasks and threads without the context", "run", "LB093", |case| run("post_untraced", case)),
        named("H8r", "the scope is `log`, and the target an attribute", "run", "LB098", |case| {
            run("post_by_tracer", case)
        }),
        named("H9", "a record without a message", "run", "LB097", |case| run("post_empty", case)),
    ]
}

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
const OTHER: &str = "00000000000000000000000000000001";
const SPAN: &str = "eee19b7ec3c1b174";

fn attribute(key: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": "x" } })
}

/// A record like any other, with these fields as well.
fn record(with: Value) -> Value {
    let mut record = json!({
        "timeUnixNano": "1700000000000000000", "severityNumber": 9, "severityText": "INFO",
        "body": { "stringValue": "order placed" },
    });
    for (name, value) in with.as_object().expect("fields") {
        record[name] = value.clone();
    }
    record
}

fn resource(service: &str) -> Value {
    json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] })
}

fn logs(service: &str, scope: &str, records: &[Value]) -> Value {
    let scope = json!({ "scope": { "name": scope }, "logRecords": records });
    json!({ "resourceLogs": [{ "resource": resource(service), "scopeLogs": [scope] }] })
}

/// The records of the case, unless there are none.
fn post(case: Case, records: impl Fn(Case) -> Vec<Value>) {
    let records = records(case);
    if !records.is_empty() {
        send("logs", &logs("shop", "shop::cart", &records));
    }
}

fn send_spans_of(trace: &str) {
    let span = json!({ "traceId": trace, "spanId": SPAN, "name": "order", "kind": 1,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000000000001" });
    let scope = json!({ "scope": { "name": "shop" }, "spans": [span] });
    send("traces", &json!({ "resourceSpans": [{ "resource": resource("shop"), "scopeSpans": [scope] }] }));
}

/// Sends a request by hand to where the environment says.
fn send(signal: &str, body: &Value) {
    let url = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").expect("an endpoint");
    let authority = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let body = body.to_string();
    let mut stream = TcpStream::connect(&authority).expect("a receiver");
    let length = body.len();
    let request = format!(
        "POST /v1/{signal} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// The codes that `logbridge run` gives of that program.
fn run(program: &'static str, case: Case) -> Codes {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logbridge"));
    command.args(["run", "--json", "--"]).arg(std::env::current_exe().expect("the path of this program"));
    command.args(["child", program, case.pick("faulty", "healthy")]).env_clear().stdin(Stdio::null());
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let account: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = account["findings"].as_array().expect("a list").iter();
    findings.map(|finding| finding["code"].as_str().expect("a code").to_owned()).collect()
}
