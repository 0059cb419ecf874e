//! Received spans, and the answers to requests with spans.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::super::{Answer, ReceivedLog, ReceivedSpan, Value};
use super::life::Page;
use super::*;

#[test]
fn protobuf_round_trip() {
    let receiver = Receiver::start().unwrap();
    let sent = spans_message(vec![full_span(), Span::default()]);
    let body = sent.encode_to_vec();
    let reply = Client::connect(&receiver).post_spans(PROTOBUF, &body).unwrap();
    assert_eq!((reply.status, reply.text(), reply.header("content-type")), (200, "", Some(PROTOBUF)));

    let spans = receiver.spans();
    assert_eq!(spans.len(), 2);
    check_full_span(&spans[0]);
    assert_eq!(spans[1].to_string(), "(no time)  SPAN  0ns");
    assert_eq!((spans[1].kind_name(), spans[1].is_error(), spans[1].service_name()), ("unspecified", false, "shop"));
    assert_eq!(receiver.raw_trace_requests(), [sent]);
    assert_eq!((receiver.logs().len(), receiver.raw_requests().len()), (0, 0));
    let requests = receiver.requests();
    assert_eq!((requests[0].path.as_str(), requests[0].records), ("/v1/traces", 2));
    assert_eq!((requests[0].status, requests[0].stored), (Some(200), true));
    assert_eq!(receiver.problems(), [""; 0]);
}

#[test]
fn json_round_trip() {
    let receiver = Receiver::start().unwrap();
    let body = r#"{"resourceSpans":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"shop"}}]},
      "scopeSpans":[{"scope":{"name":"shop::cart","version":"1.2.3"},"schemaUrl":"https://schema.test",
      "spans":[{"traceId":"101112131415161718191A1B1C1D1E1F","spanId":"F0F1F2F3F4F5F6F7",
        "parentSpanId":"e0e1e2e3e4e5e6e7","traceState":"vendor=1","flags":769,"name":"check\nout","kind":3,
        "startTimeUnixNano":"1795232691123456789","endTimeUnixNano":"1795232691124691356",
        "attributes":[{"key":"order","value":{"intValue":"1001"}}],"droppedAttributesCount":1,
        "events":[{"timeUnixNano":"1795232691123456790","name":"retry",
          "attributes":[{"key":"attempt","value":{"intValue":"2"}}],"droppedAttributesCount":2}],
        "droppedEventsCount":3,
        "links":[{"traceId":"202122232425262728292a2b2c2d2e2f","spanId":"d0d1d2d3d4d5d6d7",
          "traceState":"vendor=2","flags":1,"attributes":[{"key":"why","value":{"stringValue":"batch"}}],
          "droppedAttributesCount":4}],
        "droppedLinksCount":5,"status":{"message":"card declined","code":2}}]}]}]}"#;
    let reply = Client::connect(&receiver).post_spans(JSON, body.as_bytes()).unwrap();
    assert_eq!((reply.status, reply.text(), reply.header("content-type")), (200, "{}", Some(JSON)));
    check_full_span(&receiver.spans()[0]);
    assert_eq!(receiver.raw_trace_requests(), [spans_message(vec![full_span()])]);
}

#[test]
fn json_of_a_minimal_span() {
    let receiver = Receiver::start().unwrap();
    let body = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",
        "spanId":"eee19b7ec3c1b174","name":"least","startTimeUnixNano":"1544712660000000000",
        "endTimeUnixNano":"1544712661000000000"}]}]}]}"#;
    assert_eq!(Client::connect(&receiver).post_spans(JSON, body.as_bytes()).unwrap().status, 200);
    let expected = ReceivedSpan {
        trace_id: "5b8efff798038103d269b633813fc60c".to_owned(),
        span_id: "eee19b7ec3c1b174".to_owned(),
        name: "least".to_owned(),
        start_time_unix_nano: 1_544_712_660_000_000_000,
        end_time_unix_nano: 1_544_712_661_000_000_000,
        ..ReceivedSpan::default()
    };
    assert_eq!(receiver.spans(), [expected]);
}

#[test]
fn json_with_absent_and_null_fields() {
    let receiver = Receiver::start().unwrap();
    let mut client = Client::connect(&receiver);
    let body = r#"{"resourceSpans":[{"resource":{"attributes":null,"entityRefs":[{"type":"service","idKeys":["id"]}]},
      "scopeSpans":[{"scope":{},"unknown":[{}],"spans":[{"parentSpanId":null,"status":{},"links":[{}],"events":[{}],
        "kind":null,"startTimeUnixNano":1544712660000000000,"endTimeUnixNano":null,"attributes":[{},
          {"key":"list","value":{"arrayValue":{}}},{"key":"map","value":{"kvlistValue":{"values":null}}},
          {"key":"deep","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"value":{}}]}},{}]}}},
          {"key":"none","value":null},{"key":"values","value":{"stringValue":""}}]}]}]}]}"#;
    let reply = client.post_spans(JSON, body.as_bytes()).unwrap();
    assert_eq!((reply.status, reply.text()), (200, "{}"));
    let span = &receiver.spans()[0];
    let shown = "\"\"=null list=[] map={} deep=[{\"\":null},null] none=null values=\"\"";
    assert_eq!(span.attributes.to_string(), shown);
    assert_eq!((span.events.len(), span.links.len(), span.status_code, span.kind), (1, 1, 0, 0));
    assert_eq!((span.parent_span_id.as_str(), span.start_time_unix_nano), ("", 1_544_712_660_000_000_000));

    let body = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"arrayValue":{}},"severityText":null}]}]}]}"#;
    assert_eq!(client.post(JSON, body.as_bytes()).unwrap().status, 200);
    assert_eq!(receiver.logs()[0].body, Some(Value::Array(Vec::new())));
}

#[test]
fn invalid_requests_are_refused() {
    let receiver = Receiver::start().unwrap();
    receiver.answer_traces_with([Answer::status(503), Answer::Ok]);
    let mut client = Client::connect(&receiver);
    let mut ask = |method: &str, path: &str, headers: &str, body: &[u8]| {
        client.send(method, path, headers, body).unwrap();
        let reply = client.receive().unwrap();
        (reply.status, reply.text().to_owned())
    };
    let (protobuf, json) = ("content-type: application/x-protobuf\r\n", "content-type: application/json\r\n");
    assert_eq!(ask("POST", "/v1/traces/", protobuf, b"").0, 404);
    let use_post = "method `PUT` is not allowed: use POST".to_owned();
    assert_eq!(ask("PUT", "/v1/traces", protobuf, b""), (405, use_post));
    assert_eq!(ask("POST", "/v1/traces", "content-type: text/plain\r\n", b"x").0, 415);
    assert_eq!(ask("POST", "/v1/traces", &format!("{json}content-encoding: br\r\n"), b"x").0, 415);
    let (status, why) = ask("POST", "/v1/traces", protobuf, b"\xff");
    assert!(status == 400 && why.starts_with("not OTLP protobuf: ") && why.contains("varint"), "{why}");
    let (status, why) = ask("POST", "/v1/traces", json, b"[");
    assert!(status == 400 && why.contains("EOF"), "{why}");
    let shapes = [r#"{"resourceSpans":7}"#, r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"no hex"}]}]}]}"#];
    for body in shapes {
        assert_eq!(ask("POST", "/v1/traces", json, body.as_bytes()).0, 400, "{body}");
    }
    let deep = [r#"{"resourceSpans":"#, &"[".repeat(100_000)].concat();
    assert_eq!(ask("POST", "/v1/traces", json, deep.as_bytes()).0, 400);

    assert!(receiver.requests().iter().all(|request| !request.stored && request.records == 0));
    assert!(receiver.spans().is_empty());
    assert_eq!(ask("POST", "/v1/traces", protobuf, b"").0, 503, "refusals consume no planned answer");
}

#[test]
fn records_and_spans_have_separate_planned_answers() {
    let receiver = Receiver::start().unwrap();
    receiver.answer_with([Answer::status(429), Answer::Ok]);
    receiver.answer_traces_with([Answer::status(503), Answer::status(500), Answer::Ok]);
    let mut client = Client::connect(&receiver);
    let span = spans_message(vec![full_span()]).encode_to_vec();
    let mut status = |signal: &str| match signal {
        "log" => client.post(PROTOBUF, &request("a")).unwrap().status,
        _ => client.post_spans(PROTOBUF, &span).unwrap().status,
    };
    assert_eq!([status("span"), status("log"), status("span")], [503, 429, 500]);
    assert_eq!([status("span"), status("log"), status("span")], [200; 3]);
    receiver.answer_traces_always(Answer::status(502));
    assert_eq!([status("log"), status("span"), status("span")], [200, 502, 502]);
    receiver.answer_always(Answer::status(501));
    receiver.answer_traces_with([]);
    assert_eq!([status("span"), status("log")], [200, 501]);

    assert_eq!(receiver.take_spans().len(), 3);
    assert_eq!((receiver.spans().len(), receiver.logs().len(), receiver.requests().len()), (0, 2, 11));
    assert_eq!(receiver.raw_trace_requests().len(), 3);
    status("span");
    let shown = format!("{receiver:?}");
    assert!(shown.contains("logs: 2, spans: 1, requests: 12"), "{shown}");
    receiver.clear();
    assert_eq!((receiver.spans().len(), receiver.raw_trace_requests().len()), (0, 0));
}

#[test]
fn partial_success() {
    let receiver = Receiver::start().unwrap();
    receiver.answer_traces_always(Answer::PartialSuccess { rejected: 1, message: "too \"old\"".to_owned() });
    let mut client = Client::connect(&receiver);
    let reply = client.post_spans(PROTOBUF, &spans_message(vec![full_span()]).encode_to_vec()).unwrap();
    let partial = ExportTraceServiceResponse::decode(&reply.body[..]).unwrap().partial_success.unwrap();
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (1, "too \"old\""));
    let reply = client.post_spans(JSON, br#"{"resourceSpans":[]}"#).unwrap();
    let decoded: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let expected = serde_json::json!({"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too \"old\""}});
    assert_eq!(decoded, expected);
    assert_eq!(receiver.spans().len(), 1);
}

#[test]
fn waiting() {
    let receiver = Receiver::start().unwrap();
    let span = |name: &str| spans_message(vec![Span { name: name.to_owned(), ..Span::default() }]).encode_to_vec();
    let mut client = Client::connect(&receiver);
    client.post_spans(PROTOBUF, &span("a")).unwrap();
    let timeout = Duration::from_millis(30);
    let begin = Instant::now();
    assert_eq!(receiver.wait_for_spans(2, timeout).len(), 1);
    assert!(begin.elapsed() >= timeout);
    assert!(!receiver.wait_until_spans(timeout, |spans| spans.len() > 1));
    assert!(receiver.wait_until_spans(Duration::ZERO, |spans| spans[0].name == "a"));
    assert!(receiver.wait_for_logs(1, Duration::ZERO).is_empty());
    thread::scope(|scope| {
        scope.spawn(|| {
            client.post_spans(PROTOBUF, &span("b")).unwrap();
        });
        assert!(receiver.wait_until_spans(LONG, |spans| spans.iter().any(|span| span.name == "b")));
    });
    assert_eq!(receiver.wait_for_spans(2, Duration::MAX).len(), 2);
    assert_eq!(receiver.wait_for_requests(2, Duration::ZERO).len(), 2);
}

#[test]
fn prints_each_stored_span() {
    let (page, _gone) = Page::new(|_| Ok(()));
    let text = Arc::clone(&page.text);
    let receiver = Receiver::builder().print(page).start().unwrap();
    let mut client = Client::connect(&receiver);
    client.post(PROTOBUF, &request("a")).unwrap();
    client.post_spans(PROTOBUF, &spans_message(vec![full_span(), Span::default()]).encode_to_vec()).unwrap();
    let (logs, spans) = (receiver.logs(), receiver.spans());
    let text = text.lock().unwrap();
    assert_eq!(*text, format!("{}\n{}\n{}\n", logs[0], spans[0], spans[1]));
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn orphans_are_records_whose_span_has_not_arrived() {
    let receiver = Receiver::start().unwrap();
    let mut client = Client::connect(&receiver);
    let mut log = |body: &str, trace: &[u8], span: &[u8]| {
        let record =
            LogRecord { body: text(body), trace_id: trace.to_vec(), span_id: span.to_vec(), ..LogRecord::default() };
        client.post(PROTOBUF, &message(record).encode_to_vec()).unwrap();
    };
    let (trace, span) = (full_span().trace_id, full_span().span_id);
    log("inside", &trace, &span);
    log("other span", &trace, &[1; 8]);
    log("other trace", &[1; 16], &span);
    log("no span", &trace, &[]);
    log("zeroes", &[0; 16], &[0; 8]);
    log("no ids", &[], &[]);
    let orphans = || receiver.orphans().iter().map(ReceivedLog::message).collect::<Vec<_>>();
    assert_eq!(orphans(), ["inside", "other span", "other trace"]);
    Client::connect(&receiver).post_spans(PROTOBUF, &spans_message(vec![full_span()]).encode_to_vec()).unwrap();
    assert_eq!(orphans(), ["other span", "other trace"]);
    receiver.take_spans();
    assert_eq!(orphans().len(), 3);
}

#[test]
fn spans_of_the_official_exporter() {
    let receiver = Receiver::start().unwrap();
    // The exporter's client needs a runtime. The processor sends on the calling thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let endpoint = format!("{}/v1/traces", receiver.endpoint());
    let exporter =
        SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(endpoint).build();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.unwrap()).build();
    let tracer = provider.tracer("shop");
    tracer.in_span("outer", |_| {
        let mut inner = tracer.span_builder("inner").with_kind(opentelemetry::trace::SpanKind::Client).start(&tracer);
        inner.set_status(opentelemetry::trace::Status::error("declined"));
        inner.end();
    });
    let spans = receiver.spans();
    assert_eq!(spans.len(), 2, "{:?} {:?}", receiver.requests(), receiver.problems());
    let find = |name| spans.iter().find(|span| span.name == name).unwrap();
    let (outer, inner) = (find("outer"), find("inner"));
    assert_eq!((&inner.trace_id, &inner.parent_span_id), (&outer.trace_id, &outer.span_id));
    assert_eq!((inner.trace_id.len(), inner.span_id.len(), outer.parent_span_id.as_str()), (32, 16, ""));
    assert_eq!((inner.kind_name(), outer.kind_name(), inner.scope.name.as_str()), ("client", "internal", "shop"));
    assert_eq!((inner.is_error(), inner.status_message.as_str(), outer.status_code), (true, "declined", 0));
}

#[test]
fn durations_kinds_and_statuses() {
    let mut span = ReceivedSpan { start_time_unix_nano: 2, end_time_unix_nano: 1, ..ReceivedSpan::default() };
    assert_eq!(span.duration(), Duration::ZERO);
    span.end_time_unix_nano = u64::MAX;
    assert_eq!(span.duration(), Duration::from_nanos(u64::MAX - 2));
    let kinds = (-1..7).map(|kind| ReceivedSpan { kind, ..ReceivedSpan::default() }.kind_name());
    let names = ["unspecified", "unspecified", "internal", "server", "client", "producer", "consumer", "unspecified"];
    assert_eq!(kinds.collect::<Vec<_>>(), names);
    let mut span = ReceivedSpan { name: "\x1b[2J".to_owned(), ..ReceivedSpan::default() };
    let mut shown = |status_code, message: &str| {
        (span.status_code, span.status_message) = (status_code, message.to_owned());
        span.to_string()
    };
    assert_eq!(shown(0, "unused"), "(no time)  SPAN \\u{1b}[2J 0ns");
    assert_eq!(shown(1, ""), "(no time)  SPAN \\u{1b}[2J 0ns  ok");
    assert_eq!(shown(2, "a\r\nb"), "(no time)  SPAN \\u{1b}[2J 0ns  error: a\\r\\nb");
}

fn check_full_span(span: &ReceivedSpan) {
    assert_eq!(span.service_name(), "shop");
    assert_eq!((span.scope.name.as_str(), span.scope.version.as_str()), ("shop::cart", "1.2.3"));
    assert_eq!(span.scope.schema_url, "https://schema.test");
    assert_eq!(span.trace_id, "101112131415161718191a1b1c1d1e1f");
    assert_eq!((span.span_id.as_str(), span.parent_span_id.as_str()), ("f0f1f2f3f4f5f6f7", "e0e1e2e3e4e5e6e7"));
    assert_eq!((span.trace_state.as_str(), span.flags, span.name.as_str()), ("vendor=1", 0x301, "check\nout"));
    assert_eq!((span.kind, span.kind_name()), (3, "client"));
    assert_eq!(span.start_time_unix_nano, 1_795_232_691_123_456_789);
    assert_eq!(span.duration(), Duration::from_nanos(1_234_567));
    assert_eq!(span.attribute("order"), Some(&Value::from(1001)));
    assert_eq!((span.attribute("absent"), span.attributes.len()), (None, 1));
    assert_eq!((span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count), (1, 3, 5));
    let event = &span.events[0];
    assert_eq!((event.name.as_str(), event.time_unix_nano), ("retry", 1_795_232_691_123_456_790));
    assert_eq!((event.attributes.to_string().as_str(), event.dropped_attributes_count), ("attempt=2", 2));
    let link = &span.links[0];
    assert_eq!(link.trace_id, "202122232425262728292a2b2c2d2e2f");
    assert_eq!((link.span_id.as_str(), link.trace_state.as_str(), link.flags), ("d0d1d2d3d4d5d6d7", "vendor=2", 1));
    assert_eq!((link.attributes.to_string().as_str(), link.dropped_attributes_count), ("why=batch", 4));
    assert_eq!((span.events.len(), span.links.len()), (1, 1));
    assert_eq!((span.status_code, span.status_message.as_str(), span.is_error()), (2, "card declined", true));
    assert_eq!(
        span.to_string(),
        "2026-11-21T03:44:51.123456Z  SPAN check\\nout 1.23ms  order=1001  error: card declined  \
         trace=101112131415161718191a1b1c1d1e1f span=f0f1f2f3f4f5f6f7 parent=e0e1e2e3e4e5e6e7"
    );
}

fn full_span() -> Span {
    Span {
        trace_id: (0x10..0x20).collect(),
        span_id: (0xf0..0xf8).collect(),
        trace_state: "vendor=1".to_owned(),
        parent_span_id: (0xe0..0xe8).collect(),
        flags: 0x301,
        name: "check\nout".to_owned(),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: 1_795_232_691_123_456_789,
        end_time_unix_nano: 1_795_232_691_124_691_356,
        attributes: vec![pair("order", any(ProtoValue::IntValue(1001)))],
        dropped_attributes_count: 1,
        events: vec![Event {
            time_unix_nano: 1_795_232_691_123_456_790,
            name: "retry".to_owned(),
            attributes: vec![pair("attempt", any(ProtoValue::IntValue(2)))],
            dropped_attributes_count: 2,
        }],
        dropped_events_count: 3,
        links: vec![Link {
            trace_id: (0x20..0x30).collect(),
            span_id: (0xd0..0xd8).collect(),
            trace_state: "vendor=2".to_owned(),
            attributes: vec![pair("why", text("batch"))],
            dropped_attributes_count: 4,
            flags: 1,
        }],
        dropped_links_count: 5,
        status: Some(Status { message: "card declined".to_owned(), code: StatusCode::Error.into() }),
    }
}

fn spans_message(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![pair("service.name", text("shop"))], ..Resource::default() }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "shop::cart".to_owned(),
                    version: "1.2.3".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                schema_url: "https://schema.test".to_owned(),
            }],
            schema_url: String::new(),
        }],
    }
}
