//! Checks against opentelemetry-proto: selecting items before decoding equals selecting them after decoding.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::*;
use crate::otlp::wire::{WireType, put_bytes, put_varint, tag};

fn text(text: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(ProtoValue::StringValue(text.to_owned())) })
}

fn resource(number: usize) -> Option<Resource> {
    let pair = KeyValue { key: "service.name".to_owned(), value: text(&format!("s{number}")), ..KeyValue::default() };
    Some(Resource { attributes: vec![pair], ..Resource::default() })
}

fn scope(number: usize) -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: format!("scope{number}"), ..InstrumentationScope::default() })
}

/// Returns a request with resources, their scopes, and this many records in each. The time of a record is its number.
fn logs(shape: &[Vec<usize>]) -> ExportLogsServiceRequest {
    let mut time = 0;
    let mut record = || {
        time += 1;
        LogRecord { time_unix_nano: time, body: text(&"x".repeat(time as usize % 150)), ..LogRecord::default() }
    };
    let mut scope_logs = |number: usize, records: usize| ScopeLogs {
        scope: scope(number),
        log_records: (0..records).map(|_| record()).collect(),
        schema_url: format!("scope schema {number}"),
    };
    let resource_logs = shape.iter().enumerate().map(|(number, scopes)| ResourceLogs {
        resource: resource(number),
        scope_logs: scopes.iter().enumerate().map(|(number, records)| scope_logs(number, *records)).collect(),
        schema_url: format!("schema {number}"),
    });
    ExportLogsServiceRequest { resource_logs: resource_logs.collect() }
}

/// Returns the same request with spans. The start of a span is its number.
fn traces(shape: &[Vec<usize>]) -> ExportTraceServiceRequest {
    let of = |scope: ScopeLogs| ScopeSpans {
        scope: scope.scope,
        schema_url: scope.schema_url,
        spans: scope
            .log_records
            .into_iter()
            .map(|record| Span { start_time_unix_nano: record.time_unix_nano, name: "span".into(), ..Span::default() })
            .collect(),
    };
    let resource_spans = logs(shape).resource_logs.into_iter().map(|logs| ResourceSpans {
        resource: logs.resource,
        scope_spans: logs.scope_logs.into_iter().map(of).collect(),
        schema_url: logs.schema_url,
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

fn keep_logs(mut request: ExportLogsServiceRequest, items: &Range<u64>) -> ExportLogsServiceRequest {
    request.resource_logs.retain_mut(|resource| {
        resource.scope_logs.retain_mut(|scope| {
            scope.log_records.retain(|record| items.contains(&(record.time_unix_nano - 1)));
            !scope.log_records.is_empty()
        });
        !resource.scope_logs.is_empty()
    });
    request
}

fn keep_spans(mut request: ExportTraceServiceRequest, items: &Range<u64>) -> ExportTraceServiceRequest {
    request.resource_spans.retain_mut(|resource| {
        resource.scope_spans.retain_mut(|scope| {
            scope.spans.retain(|span| items.contains(&(span.start_time_unix_nano - 1)));
            !scope.spans.is_empty()
        });
        !resource.scope_spans.is_empty()
    });
    request
}

#[test]
fn any_range_of_any_request_decodes_to_those_items_and_no_others() {
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..2_000 {
        let shape: Vec<Vec<usize>> =
            (0..rng.usize(0..4)).map(|_| (0..rng.usize(0..4)).map(|_| rng.usize(0..6)).collect()).collect();
        let total: usize = shape.iter().flatten().sum();
        let start = rng.u64(0..=total as u64 + 1);
        let items = start..rng.u64(start..=total as u64 + 2);
        let whole = logs(&shape);
        let bytes = retain_items(&whole.encode_to_vec(), &items).expect("a request");
        assert_eq!(ExportLogsServiceRequest::decode(&*bytes).expect("logs"), keep_logs(whole, &items), "{items:?}");
        let whole = traces(&shape);
        let bytes = retain_items(&whole.encode_to_vec(), &items).expect("a request");
        assert_eq!(ExportTraceServiceRequest::decode(&*bytes).expect("spans"), keep_spans(whole, &items), "{items:?}");
    }
}

#[test]
fn a_request_with_all_its_items_is_the_same_bytes() {
    for shape in [vec![vec![1]], vec![vec![3, 200], vec![7]]] {
        let bytes = logs(&shape).encode_to_vec();
        assert_eq!(retain_items(&bytes, &(0..u64::MAX)), Some(bytes));
    }
    assert_eq!(retain_items(&[], &(0..1)), Some(Vec::new()), "an empty request is one");
}

#[test]
fn unknown_fields_are_copied() {
    let unknown = |buf: &mut Vec<u8>| {
        // Field 1000, which the deprecated library logs had, and a varint in a field that does not exist.
        put_varint(buf, 1000 << 3 | 2);
        put_varint(buf, 3);
        buf.extend_from_slice(b"old");
        buf.extend_from_slice(&[tag(15, WireType::Varint), 7]);
    };
    let (mut scope, mut resource, mut request) = (Vec::new(), Vec::new(), Vec::new());
    for record in [b"one", b"two"] {
        put_bytes(&mut scope, tag(2, WireType::Length), record);
        unknown(&mut scope);
    }
    put_bytes(&mut resource, tag(2, WireType::Length), &scope);
    unknown(&mut resource);
    put_bytes(&mut request, tag(1, WireType::Length), &resource);
    unknown(&mut request);
    let retained = retain_items(&request, &(1..2)).expect("a request");
    let without_one = request.len() - 5;
    assert_eq!(retained.len(), without_one);
    let count = |what: &[u8]| retained.windows(what.len()).filter(|window| *window == what).count();
    assert_eq!((count(b"one"), count(b"two"), count(b"old"), count(&[15 << 3, 7])), (0, 1, 4, 4));
}

#[test]
fn invalid_bytes_have_no_items() {
    let bytes = logs(&[vec![2, 2]]).encode_to_vec();
    assert_eq!(retain_items(&bytes[..bytes.len() - 1], &(0..1)), None);
    assert_eq!(retain_items(b"<html>", &(0..1)), None);
    let mut rng = fastrand::Rng::with_seed(12);
    for _ in 0..2_000 {
        let mut broken = bytes.clone();
        let at = rng.usize(0..broken.len());
        broken[at] = rng.u8(..);
        // It must not panic, and the result must not be longer than the input.
        assert!(retain_items(&broken, &(0..2)).is_none_or(|retained| retained.len() <= broken.len()));
    }
}

#[test]
fn an_item_is_described_without_its_attributes() {
    let mut request = logs(&[vec![1]]);
    let record = &mut request.resource_logs[0].scope_logs[0].log_records[0];
    record.severity_text = "ERROR".to_owned();
    record.body = text(&"ä".repeat(300));
    record.attributes = vec![KeyValue { key: "authorization".into(), value: text("s3cret"), ..KeyValue::default() }];
    let summary = summarize_first_item(&request.encode_to_vec(), Signal::Logs).expect("a record");
    assert_eq!(
        summary,
        ItemSummary { kind: "ERROR of scope0".to_owned(), detail: format!("\"{}\"", "ä".repeat(MAX_QUOTED)) }
    );
    request.resource_logs[0].scope_logs[0].log_records[0].event_name = "order.placed".to_owned();
    let summary = summarize_first_item(&request.encode_to_vec(), Signal::Logs).expect("a record");
    assert_eq!(summary.detail, "the event \"order.placed\"");
    let summary =
        summarize_first_item(&traces(&[vec![0], vec![0, 1]]).encode_to_vec(), Signal::Traces).expect("a span");
    assert_eq!((summary.kind.as_str(), summary.detail.as_str()), ("a span of scope1", "\"span\""));
    assert_eq!(summarize_first_item(&[], Signal::Logs), None);
}
