//! The OTLP/JSON lines of the debug mirror are exactly what is exported.
//!
//! The mirror prints on the real stdout, so a child process, which runs this test program again, logs the records and
//! spans.

#![allow(clippy::expect_used, clippy::disallowed_methods)] // A test may panic, and tells its child where to send.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::records;
use logbridge::testing::Receiver;
use logbridge::{Builder, Console, LevelFilter, Mirror, Otlp};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{
    Context, InstrumentationScope as InstrumentationLibrary, KeyValue, StringValue, Value as ApiValue,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::de::DeserializeOwned;
use tracing_subscriber::layer::SubscriberExt as _;

const ENDPOINT: &str = "MIRROR_JSON_ENDPOINT";

#[test]
#[ignore = "the child of the other test"]
fn child() {
    let bridge = Builder::new()
        .service_name("mirror \"quoted\"")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(std::env::var(ENDPOINT).expect("started by the other test")))
        .console(Console::off())
        .mirror(Mirror::Json)
        .build()
        .expect("builds");
    let tracer = SdkTracerProvider::builder().build().tracer("mirror");
    let subscriber =
        tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer)).with(bridge.layer());
    tracing::subscriber::with_default(subscriber, || records::emit_all(&bridge.logger()));
    bridge.flush(Duration::from_secs(30)).expect("everything arrives");
    let counters = bridge.report().counters;
    assert_eq!((counters.mirrored, counters.mirror_failed), (counters.otlp.accepted, 0));
}

/// Spans with everything that a span can have.
fn write_spans(provider: &SdkTracerProvider) {
    let scope = InstrumentationLibrary::builder("by \"hand\"")
        .with_version("1.2")
        .with_schema_url("https://schema.test")
        .with_attributes([KeyValue::new("team", "till")])
        .build();
    let tracer = provider.tracer_with_scope(scope);
    let state = TraceState::from_key_value([("vendor", "a:b")]).expect("valid");
    let remote = |id: u64| SpanContext::new(u128::from(id).into(), id.into(), TraceFlags::SAMPLED, true, state.clone());
    let kinds = [SpanKind::Internal, SpanKind::Server, SpanKind::Client, SpanKind::Producer, SpanKind::Consumer];
    for (number, kind) in kinds.into_iter().enumerate() {
        let parent = Context::new().with_remote_span_context(remote(7));
        let attributes = [
            KeyValue::new("text", "quoted \" and \n broken"),
            KeyValue::new("double", 1e300),
            KeyValue::new("bool", true),
            KeyValue::new("ints", ApiValue::Array(vec![1_i64, -2].into())),
            KeyValue::new("texts", ApiValue::Array(vec![StringValue::from("a")].into())),
            KeyValue::new("doubles", ApiValue::Array(vec![0.5, -0.0].into())),
            KeyValue::new("bools", ApiValue::Array(vec![false].into())),
        ];
        let builder = tracer.span_builder(format!("span {number}")).with_kind(kind).with_attributes(attributes);
        let links = (1..200).map(|id| Link::new(remote(id), vec![KeyValue::new("id", id as i64)], 3)).collect();
        let mut span = builder.with_links(links).start_with_context(&tracer, &parent);
        for event in 0..200_i64 {
            span.add_event("happened", vec![KeyValue::new("event", event)]);
        }
        span.set_status(if number % 2 == 0 { Status::error("because \"of\"") } else { Status::Ok });
    }
    tracer.start("nothing but a name").end();
}

#[test]
#[ignore = "the child of the other test"]
fn child_with_spans() {
    let bridge = Builder::new()
        .service_name("mirror")
        .otlp(Otlp::to(std::env::var(ENDPOINT).expect("started by the other test")))
        .console(Console::off())
        .mirror(Mirror::Json)
        .build()
        .expect("builds");
    let provider = SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
    write_spans(&provider);
    bridge.flush(Duration::from_secs(30)).expect("everything arrives");
    assert_eq!(bridge.report().counters.mirrored, 6);
}

type WholeSpan = (BTreeMap<String, String>, Option<InstrumentationScope>, String, Span);

fn by_name(requests: &[ExportTraceServiceRequest]) -> BTreeMap<String, WholeSpan> {
    let mut all = BTreeMap::new();
    for resource in requests.iter().flat_map(|request| &request.resource_spans) {
        let attributes = &resource.resource.as_ref().expect("a resource").attributes;
        // The SDK keeps them in no order.
        let attributes: BTreeMap<_, _> =
            attributes.iter().map(|kv| (kv.key.clone(), format!("{:?}", kv.value))).collect();
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let whole = (attributes.clone(), scope.scope.clone(), scope.schema_url.clone(), span.clone());
                assert!(all.insert(span.name.clone(), whole).is_none(), "`{}` twice", span.name);
            }
        }
    }
    all
}

#[test]
fn each_line_of_a_span_decodes_to_what_was_shipped() {
    let receiver = Receiver::start().expect("a receiver");
    let printed: Vec<ExportTraceServiceRequest> = lines_of_child("child_with_spans", &receiver, r#"{"resourceSpans""#);
    assert_eq!(printed.len(), 6);
    assert_eq!(by_name(&printed), by_name(&receiver.raw_trace_requests()));
    let spans = receiver.spans();
    assert!(spans.iter().any(|span| span.dropped_events_count > 0 && span.dropped_links_count > 0), "limits apply");
}

/// Runs a child, and decodes what it prints.
fn lines_of_child<T: DeserializeOwned>(child: &str, receiver: &Receiver, start: &str) -> Vec<T> {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &format!("mirror_json::{child}"), "--ignored", "--nocapture"])
        .env(ENDPOINT, receiver.endpoint())
        .output()
        .expect("the child runs");
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    // The harness's own lines stand around them.
    let lines = stdout.lines().filter_map(|line| line.find(start).map(|at| &line[at..]));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

type Whole = (Option<Resource>, Option<InstrumentationScope>, LogRecord);

fn by_number(requests: &[ExportLogsServiceRequest]) -> BTreeMap<i64, Whole> {
    let mut all = BTreeMap::new();
    for resource in requests.iter().flat_map(|request| &request.resource_logs) {
        for scope in &resource.scope_logs {
            for log in &scope.log_records {
                let number =
                    log.attributes.iter().find(|kv| kv.key == records::NUMBER).and_then(|kv| kv.value.as_ref());
                let Some(Value::IntValue(number)) = number.and_then(|value| value.value.as_ref()) else {
                    panic!("no number: {log:?}")
                };
                let whole = (resource.resource.clone(), scope.scope.clone(), log.clone());
                assert!(all.insert(*number, whole).is_none(), "number {number} twice");
            }
        }
    }
    all
}

#[test]
fn each_line_decodes_to_what_was_shipped() {
    let receiver = Receiver::start().expect("a receiver");
    let printed: Vec<ExportLogsServiceRequest> = lines_of_child("child", &receiver, r#"{"resourceLogs""#);
    let (printed, shipped) = (by_number(&printed), by_number(&receiver.raw_requests()));
    assert!(shipped.len() >= 300, "{}", shipped.len());
    assert_eq!(printed.keys().collect::<Vec<_>>(), shipped.keys().collect::<Vec<_>>());
    for (number, shipped) in &shipped {
        assert_eq!(&printed[number], shipped, "number {number}");
    }
}
