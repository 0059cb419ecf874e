//! If no provider is passed, the global one creates the spans. Finding that out has no side effects.

#![allow(clippy::expect_used)] // A test may panic.

use std::time::Duration;

use logbridge::testing::Receiver;
use logbridge::{Console, LevelFilter, Otlp};
use opentelemetry::global;
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider};

#[test]
fn the_global_provider_makes_the_spans_and_sees_no_probe() {
    let receiver = Receiver::start().expect("a receiver");
    let exporter = InMemorySpanExporter::default();
    // A sampler that would record a probe whatever its parent says.
    let provider =
        SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).with_sampler(Sampler::AlwaysOn).build();
    global::set_tracer_provider(provider);
    let bridge = logbridge::Builder::new()
        .filter_level(LevelFilter::Info)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .try_init()
        .expect("both slots are free");
    tracing::info_span!("work").in_scope(|| log::info!("in the span"));
    bridge.flush(Duration::from_secs(10)).expect("everything arrives");

    let spans = exporter.get_finished_spans().expect("spans");
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["work"]);
    let logs = receiver.logs();
    let log = logs.iter().find(|log| log.message() == "in the span").expect("arrived");
    let context = &spans[0].span_context;
    assert_eq!(
        (log.trace_id.clone(), log.span_id.clone()),
        (context.trace_id().to_string(), context.span_id().to_string())
    );
}
