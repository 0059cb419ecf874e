//! Checks against the official types: they must decode the same message from the JSON as from the protobuf.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use super::*;

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

fn attributes() -> Vec<KeyValue> {
    vec![
        pair("text", Value::StringValue("a \"b\"\n\u{1}ü".to_owned())),
        pair("int", Value::IntValue(i64::MIN)),
        pair("double", Value::DoubleValue(-0.25)),
        pair("bool", Value::BoolValue(true)),
        pair("bytes", Value::BytesValue(vec![0, 255, 7, 1])),
        pair(
            "array",
            Value::ArrayValue(ArrayValue { values: vec![any(Value::IntValue(1)), any(Value::BoolValue(false))] }),
        ),
        pair("map", Value::KvlistValue(KeyValueList { values: vec![pair("inner", Value::IntValue(2))] })),
    ]
}

fn resource() -> Option<Resource> {
    Some(Resource { attributes: attributes(), ..Resource::default() })
}

fn scope(name: &str) -> Option<InstrumentationScope> {
    let (name, version) = (name.to_owned(), "1.2".to_owned());
    Some(InstrumentationScope { name, version, attributes: attributes(), ..InstrumentationScope::default() })
}

fn span() -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        trace_state: "k=v".to_owned(),
        parent_span_id: vec![3; 8],
        flags: 0x101,
        name: "GET /".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_123_456_789,
        end_time_unix_nano: u64::MAX,
        attributes: attributes(),
        dropped_attributes_count: 4,
        events: vec![
            Event {
                time_unix_nano: 5,
                name: "exception".to_owned(),
                attributes: attributes(),
                dropped_attributes_count: 6,
            },
            Event::default(),
        ],
        dropped_events_count: 7,
        links: vec![Link {
            trace_id: vec![8; 16],
            span_id: vec![9; 8],
            trace_state: "l=m".to_owned(),
            attributes: attributes(),
            dropped_attributes_count: 10,
            flags: 0x300,
        }],
        dropped_links_count: 11,
        status: Some(Status { message: "no \\ way".to_owned(), code: 2 }),
    }
}

#[test]
fn spans_in_json_are_those_in_protobuf() {
    let scopes = |names: &[&str]| {
        let scope = |name: &&str| ScopeSpans {
            scope: scope(name),
            spans: vec![span(), Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() }],
            schema_url: "https://scope".to_owned(),
        };
        names.iter().map(scope).collect()
    };
    let of =
        |names| ResourceSpans { resource: resource(), scope_spans: scopes(names), schema_url: "https://r".to_owned() };
    let request = ExportTraceServiceRequest { resource_spans: vec![of(&["a", "b"]), of(&["c"]), of(&[])] };
    let json = request_to_json(Signal::Traces, &request.encode_to_vec());
    let read: ExportTraceServiceRequest = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(read, request, "{json}");
}

#[test]
fn records_in_json_are_those_in_protobuf() {
    let record = LogRecord {
        time_unix_nano: 1,
        observed_time_unix_nano: u64::MAX,
        severity_number: 13,
        severity_text: "WARN".to_owned(),
        body: Some(any(Value::StringValue("body".to_owned()))),
        attributes: attributes(),
        dropped_attributes_count: 2,
        flags: 1,
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        event_name: "name".to_owned(),
    };
    let scope_logs = |name: &str| ScopeLogs {
        scope: scope(name),
        log_records: vec![record.clone(), record.clone()],
        schema_url: "https://scope".to_owned(),
    };
    let resource_logs = ResourceLogs {
        resource: resource(),
        scope_logs: vec![scope_logs("a"), scope_logs("b")],
        schema_url: "https://r".to_owned(),
    };
    let request = ExportLogsServiceRequest { resource_logs: vec![resource_logs] };
    let json = request_to_json(Signal::Logs, &request.encode_to_vec());
    let read: ExportLogsServiceRequest = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(read, request, "{json}");
}

#[test]
fn an_empty_request_and_bytes_without_sense_are_json_too() {
    for (request, expected) in [(&b""[..], r#"{"resourceLogs":[]}"#), (b"\xff\xff\xff", r#"{"resourceLogs":[]}"#)] {
        assert_eq!(request_to_json(Signal::Logs, request), expected);
    }
}
