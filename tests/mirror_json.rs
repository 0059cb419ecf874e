//! The debug mirror's OTLP/JSON lines say exactly what is shipped.
//!
//! The mirror prints on the real stdout, so the records are written by a child: this test program again.

#![allow(clippy::expect_used, clippy::disallowed_methods)] // A test may panic, and tells its child where to send.

#[path = "differential/records.rs"]
#[allow(dead_code)] // The differential test uses the rest.
mod records;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use logbridge::testing::Receiver;
use logbridge::{Builder, Console, LevelFilter, Mirror, Otlp};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
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
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(ENDPOINT, receiver.endpoint())
        .output()
        .expect("the child runs");
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    // The harness's own lines stand around them.
    let printed: Vec<ExportLogsServiceRequest> = stdout
        .lines()
        .filter_map(|line| line.find(r#"{"resourceLogs""#).map(|at| &line[at..]))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let (printed, shipped) = (by_number(&printed), by_number(&receiver.raw_requests()));
    assert!(shipped.len() >= 300, "{}", shipped.len());
    assert_eq!(printed.keys().collect::<Vec<_>>(), shipped.keys().collect::<Vec<_>>());
    for (number, shipped) in &shipped {
        assert_eq!(&printed[number], shipped, "number {number}");
    }
}
