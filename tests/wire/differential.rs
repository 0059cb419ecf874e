//! Sends the same records through logbridge and through the official appenders, SDK and OTLP exporter, to two
//! receivers. The decoded messages are equal except for [`DIFFERENCES`], each of which has a reason and is needed.

#![allow(clippy::expect_used, clippy::unwrap_used)] // A test may panic.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::records::{self, NUMBER, emit_all};
use logbridge::testing::Receiver;
use logbridge::{Builder, Console, LevelFilter, Otlp};
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanId, TraceId, TracerProvider as _};
use opentelemetry_appender_log::OpenTelemetryLogBridge;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, Protocol, WithExportConfig as _};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLoggerProvider, SimpleLogProcessor};
use opentelemetry_sdk::trace::{IdGenerator, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt as _;

/// What ours does otherwise on purpose.
struct Difference {
    what: &'static str,
    why: &'static str,
    /// Makes of the official record what ours should be.
    apply: fn(&mut Record),
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "the event time is set",
        why: "0 becomes 1970 in the store, and its TTL deletes the row",
        apply: |record| record.log.time_unix_nano = record.log.observed_time_unix_nano,
    },
    Difference {
        what: "code.file.path and code.line.number",
        why: "a record leads to its line; upstream has them behind a feature, under deprecated names",
        apply: |record| {
            record.put("code.file.path", text(records::FILE));
            record.put("code.line.number", int(record.line.expect("ours has a line")));
        },
    },
    Difference {
        what: "thread.id and thread.name",
        why: "the specification's general attributes, as on spans",
        apply: |record| {
            let thread = std::thread::current();
            let id = format!("{:?}", thread.id()).trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
            record.put("thread.id", int(id));
            record.put("thread.name", text(thread.name().unwrap()));
        },
    },
    Difference {
        what: "no event name that tracing made up",
        why: "`event src/x.rs:22` changes with every edit and breaks saved searches",
        apply: |record| {
            if record.log.event_name.starts_with("event ") {
                record.log.event_name.clear();
            }
        },
    },
    Difference {
        what: "the ids of an explicit parent",
        why: "`parent:` says which span the event belongs to; upstream leaves them out or takes the current span's",
        apply: |record| {
            if record.kind() == "explicit parent" {
                let (trace_id, span_id) = records::parent_of(record.number());
                record.log.trace_id = trace_id.to_vec();
                record.log.span_id = span_id.to_vec();
                record.log.flags = 1;
            }
        },
    },
    Difference {
        what: "no ids for `parent: None`",
        why: "the event was taken out of its span on purpose",
        apply: |record| {
            if record.kind() == "no parent" {
                record.log.trace_id.clear();
                record.log.span_id.clear();
                record.log.flags = 0;
            }
        },
    },
    Difference {
        what: "a body for an event without a message",
        why: "an empty body is blank or hidden in user interfaces",
        apply: |record| {
            if record.kind() == "no message" {
                let body = format!("{NUMBER}={} kind=no message user=7", record.number());
                record.log.body = Some(text(&body));
            }
        },
    },
    Difference {
        what: "an error keeps its own key",
        why: "upstream keeps only `exception.message`, twice when there are two errors, and for `log` only the key",
        apply: |record| {
            if let "error" | "two errors" = record.kind() {
                record.put("exception.message", text(records::ERROR));
                record.put("error", text(records::ERROR));
                if record.kind() == "two errors" {
                    record.put("other", text(records::CAUSE));
                }
            }
        },
    },
    Difference {
        what: "the sources of an error, as exception.causes",
        why: "the outermost message alone seldom says what happened",
        apply: |record| {
            if let "error" | "two errors" = record.kind() {
                let causes = ArrayValue { values: vec![text(records::CAUSE)] };
                record.put("exception.causes", AnyValue { value: Some(Value::ArrayValue(causes)) });
            }
        },
    },
    Difference {
        what: "the type of an error of the standard library",
        why: "the specification's exception.type, where it can be known",
        apply: |record| {
            if record.kind() == "std error" {
                record.put("exception.type", text("std::num::ParseIntError"));
                record.put("exception.message", text(records::CAUSE));
                record.put("error", text(records::CAUSE));
            }
        },
    },
    Difference {
        what: "a key used twice keeps its last value",
        why: "attribute keys must be unique",
        apply: |record| {
            if record.kind() == "key twice" {
                record.log.attributes.retain(|kv| kv.key != "twice" || kv.value == Some(int(2)));
            }
        },
    },
    Difference {
        what: "a value that is none leaves no attribute",
        why: "upstream sends the text `None`",
        apply: |record| record.log.attributes.retain(|kv| kv.key != "nothing"),
    },
    Difference {
        what: "nested values stay nested",
        why: "upstream sends their debug text unless a feature is on",
        apply: |record| {
            if record.kind() == "nested" {
                record.put("cart", records::cart_value());
            }
        },
    },
    Difference {
        what: "an empty key becomes `_`",
        why: "attribute keys must not be empty",
        apply: |record| {
            for kv in record.log.attributes.iter_mut().filter(|kv| kv.key.is_empty()) {
                kv.key = "_".to_owned();
            }
        },
    },
];

/// One decoded record with its scope.
#[derive(Clone, Debug, PartialEq)]
struct Record {
    scope: String,
    log: LogRecord,
    /// The line that ours says; checked to be one of the file that writes the records.
    line: Option<i64>,
}

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.to_owned())) }
}

fn int(value: i64) -> AnyValue {
    AnyValue { value: Some(Value::IntValue(value)) }
}

impl Record {
    fn get(&self, key: &str) -> Option<&Value> {
        self.log.attributes.iter().find(|kv| kv.key == key)?.value.as_ref()?.value.as_ref()
    }

    fn number(&self) -> i64 {
        match self.get(NUMBER) {
            Some(Value::IntValue(number)) => *number,
            other => panic!("no number: {other:?} in {self:?}"),
        }
    }

    fn kind(&self) -> &'static str {
        match self.get("kind") {
            Some(Value::StringValue(kind)) => records::KINDS.iter().find(|known| *known == kind).expect("a kind"),
            other => panic!("no kind: {other:?}"),
        }
    }

    /// Sets the value of a key.
    fn put(&mut self, key: &str, value: AnyValue) {
        self.log.attributes.retain(|kv| kv.key != key);
        self.log.attributes.push(KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() });
    }

    /// Times are compared by whether they are there, attributes without their order.
    fn normal(mut self) -> Self {
        self.log.time_unix_nano = self.log.time_unix_nano.min(1);
        self.log.observed_time_unix_nano = self.log.observed_time_unix_nano.min(1);
        self.log.attributes.sort_by(|a, b| a.key.cmp(&b.key));
        self.line = None;
        self
    }
}

/// The records by their number.
fn received(receiver: &Receiver) -> BTreeMap<i64, Record> {
    let mut all = BTreeMap::new();
    for resource in receiver.raw_requests().iter().flat_map(|request| &request.resource_logs) {
        for scope in &resource.scope_logs {
            for log in &scope.log_records {
                let name = scope.scope.as_ref().map(|scope| scope.name.clone()).unwrap_or_default();
                let mut record = Record { scope: name, log: log.clone(), line: None };
                if let Some(Value::IntValue(line)) = record.get("code.line.number") {
                    record.line = Some(*line);
                }
                let number = record.number();
                assert!(all.insert(number, record).is_none(), "number {number} arrived twice");
            }
        }
    }
    all
}

/// The same ids in the same order for both ways.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl IdGenerator for Counting {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

fn tracer_provider() -> SdkTracerProvider {
    SdkTracerProvider::builder().with_id_generator(Counting::default()).build()
}

/// A processor of the application that changes nothing.
#[derive(Debug)]
struct HandsOn;

impl LogProcessor for HandsOn {
    fn emit(&self, _record: &mut SdkLogRecord, _scope: &InstrumentationScope) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// `choose` picks what stands in front of the encoder.
fn through_ours(choose: fn(&mut Builder)) -> BTreeMap<i64, Record> {
    let receiver = Receiver::start().unwrap();
    let mut builder = Builder::new();
    choose(&mut builder);
    let bridge = builder
        .service_name("differential")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(tracer_provider().tracer("differential")))
        .with(bridge.layer());
    tracing::subscriber::with_default(subscriber, || emit_all(&bridge.logger()));
    bridge.flush(Duration::from_secs(30)).expect("everything arrives");
    check_resource(&receiver, "logbridge");
    received(&receiver)
}

fn through_the_official_way() -> BTreeMap<i64, Record> {
    let receiver = Receiver::start().unwrap();
    // The exporter's client needs a runtime around it; the processor sends on the calling thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let exporter = LogExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/logs", receiver.endpoint()))
        .build()
        .unwrap();
    let provider = SdkLoggerProvider::builder()
        .with_resource(Resource::builder().with_service_name("differential").build())
        .with_log_processor(SimpleLogProcessor::new(exporter))
        .build();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(tracer_provider().tracer("differential")))
        .with(OpenTelemetryTracingBridge::new(&provider));
    tracing::subscriber::with_default(subscriber, || emit_all(&OpenTelemetryLogBridge::new(&provider)));
    check_resource(&receiver, "");
    received(&receiver)
}

fn check_resource(receiver: &Receiver, distro: &str) {
    let logs = receiver.logs();
    let resource = &logs.first().expect("records").resource;
    let expected =
        [("service.name", "differential"), ("telemetry.sdk.language", "rust"), ("telemetry.sdk.name", "opentelemetry")];
    for (key, value) in expected {
        assert_eq!(resource.get(key), Some(&value.into()), "{key}");
    }
    assert_eq!(resource.get("telemetry.distro.name").map(ToString::to_string).unwrap_or_default(), distro);
    assert!(logs.iter().all(|log| log.resource == *resource));
}

/// How many records differ when these differences are applied.
fn differing(
    ours: &BTreeMap<i64, Record>,
    official: &BTreeMap<i64, Record>,
    differences: &[&Difference],
) -> Vec<String> {
    ours.iter()
        .filter_map(|(number, ours)| {
            let mut theirs = official.get(number).expect("both ways have the same numbers").clone();
            theirs.line = ours.line;
            for difference in differences {
                (difference.apply)(&mut theirs);
            }
            let (ours, theirs) = (ours.clone().normal(), theirs.normal());
            (ours != theirs).then(|| format!("number {number}\n    ours {ours:?}\n  theirs {theirs:?}"))
        })
        .collect()
}

#[test]
fn ours_is_the_official_way_but_for_the_list_and_all_of_the_list_is_needed() {
    let (ours, official) = (through_ours(|_| {}), through_the_official_way());
    assert!(ours.len() >= 300, "a few hundred: {}", ours.len());
    assert_eq!(ours.keys().collect::<Vec<_>>(), official.keys().collect::<Vec<_>>());
    for record in ours.values() {
        let keys = record.log.attributes.iter().map(|kv| &kv.key);
        assert_eq!(keys.clone().count(), keys.collect::<std::collections::BTreeSet<_>>().len(), "{record:?}");
    }
    let all: Vec<&Difference> = DIFFERENCES.iter().collect();
    let differing_now = differing(&ours, &official, &all);
    assert!(differing_now.is_empty(), "{} differ, the first:\n{}", differing_now.len(), differing_now[0]);
    for left_out in DIFFERENCES {
        let others: Vec<&Difference> = DIFFERENCES.iter().filter(|other| other.what != left_out.what).collect();
        assert!(!differing(&ours, &official, &others).is_empty(), "not needed: {} ({})", left_out.what, left_out.why);
    }
}

#[test]
fn through_the_applications_processors_the_records_are_the_same() {
    let (direct, processed) = (
        through_ours(|_| {}),
        through_ours(|builder| {
            builder.log_processor(HandsOn);
        }),
    );
    let differing = differing(&direct, &processed, &[]);
    assert!(differing.is_empty(), "{} differ, the first:\n{}", differing.len(), differing[0]);
}

#[test]
fn the_official_appenders_in_front_give_the_official_records_but_for_the_event_time_and_unique_keys() {
    let (ours, official) = (
        through_ours(|builder| {
            builder.official_appenders();
        }),
        through_the_official_way(),
    );
    assert_eq!(ours.keys().collect::<Vec<_>>(), official.keys().collect::<Vec<_>>());
    // What our encoder owes to the protocol, whoever made the record.
    let owed = ["the event time is set", "a key used twice keeps its last value", "an empty key becomes `_`"];
    let mut list: Vec<&Difference> = DIFFERENCES.iter().filter(|difference| owed.contains(&difference.what)).collect();
    let errors = Difference {
        what: "of two errors the last exception.message",
        why: "attribute keys must be unique",
        apply: |record| {
            if record.kind() == "two errors" && record.get("exception.message").is_some() {
                record.put("exception.message", text(records::CAUSE));
            }
        },
    };
    list.push(&errors);
    let differing = differing(&ours, &official, &list);
    assert!(differing.is_empty(), "{} differ, the first:\n{}", differing.len(), differing[0]);
}
