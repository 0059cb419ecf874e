//! Sends with every protocol and every compression to a receiver built with tonic and axum.

use std::time::Duration;

use log::Log as _;
use logbridge::{Bridge, Builder, Compression, Console, LevelFilter, Otlp, Protocol};
use mock_collector::{MockServerBuilder, Protocol as MockProtocol};
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracerProvider;

const LONG: Duration = Duration::from_secs(20);

fn bridge(otlp: Otlp) -> Bridge {
    Builder::new()
        .service_name("transports")
        .filter_level(LevelFilter::Trace)
        .otlp(otlp)
        .console(Console::off())
        .schedule_delay(Duration::from_millis(10))
        .build()
        .expect("builds")
}

fn write(bridge: &Bridge, text: &str) {
    let args = format_args!("{text}");
    let key_values = [("user", log::kv::Value::from(42)), ("shop", log::kv::Value::from("south"))];
    let record = &mut log::Record::builder();
    let record = record.args(args).level(log::Level::Warn).target("transports").key_values(&key_values);
    bridge.logger().log(&record.build());
}

/// A record inside a span, by every protocol with every compression.
#[test]
fn a_foreign_collector_understands_every_protocol_and_compression() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    for (protocol, theirs) in [
        (Protocol::Grpc, MockProtocol::Grpc),
        (Protocol::HttpProtobuf, MockProtocol::HttpBinary),
        (Protocol::HttpJson, MockProtocol::HttpJson),
    ] {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let server = runtime.block_on(MockServerBuilder::new().protocol(theirs).start()).expect("a collector");
            let endpoint = format!("http://{}", server.addr());
            let bridge = bridge(Otlp::to(endpoint).protocol(protocol).compression(compression));
            let provider = SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
            provider.tracer("shop").in_span("order", |_| write(&bridge, "order placed"));
            bridge.flush(LONG).unwrap_or_else(|error| panic!("{protocol} {compression}: {error}"));
            runtime.block_on(server.with_collector(|collector| {
                assert_eq!((collector.log_count(), collector.span_count()), (1, 1), "{protocol} {compression}");
                collector
                    .expect_log_with_body("order placed")
                    .with_severity_text("WARN")
                    .with_attribute("user", 42)
                    .with_attribute("shop", "south")
                    .with_resource_attribute("service.name", "transports")
                    .assert_count(1);
                collector.expect_span_with_name("order").assert_count(1);
                let (log, span) = (collector.logs()[0].log_record(), collector.spans()[0].span());
                assert_eq!((&log.trace_id, &log.span_id), (&span.trace_id, &span.span_id));
                assert_eq!(log.trace_id.len(), 16);
                assert!(log.time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano);
            }));
            let counters = bridge.report().counters;
            assert_eq!((counters.otlp.delivered, counters.spans.delivered), (1, 1));
        }
    }
}
