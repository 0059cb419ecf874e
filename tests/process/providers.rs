//! Providers and propagators of the application: they are left alone, and logbridge exports through them only on
//! request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use logbridge::Otlp;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::BaggagePropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::runner::{Group, named};
use crate::support::{Child, assert_arrived, receiver};

pub(crate) const GROUP: Group = Group {
    name: "providers",
    tests: named![
        a_given_provider_exports_its_own_spans,
        a_global_provider_and_propagators_that_are_set_stay,
        a_provider_of_the_application_may_use_our_processor,
        a_provider_from_before_init_may_use_our_processor_too,
        our_provider_and_propagators_are_installed_globally,
        what_is_composed_is_delivered_at_the_end_too,
        samplers_and_processors_in_code_apply_to_our_provider,
    ],
    scenarios: named![
        composed,
        early_provider,
        given_provider,
        global_is_set,
        nothing_is_set,
        own_provider_our_processor,
        sampler_in_code
    ],
};

fn one_span_and_one_record() {
    tracing::info_span!("work").in_scope(|| log::info!("in the span"));
}

fn fields() -> Vec<String> {
    let mut fields: Vec<String> =
        global::get_text_map_propagator(|propagator| propagator.fields().map(str::to_owned).collect());
    fields.sort();
    fields
}

fn given_provider(_: &[String]) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    logbridge::builder().tracer_provider(&provider).init();
    one_span_and_one_record();
    assert_eq!(exporter.get_finished_spans().expect("spans").len(), 1);
    println!("{}", logbridge::bridge().expect("installed").report());
}

fn a_given_provider_exports_its_own_spans() {
    let receiver = receiver();
    let child = Child::new("given_provider").to(&receiver).run().success().quiet();
    assert_arrived(&receiver, &["in the span"], &child);
    assert_eq!(receiver.spans(), []);
    assert!(child.stdout.contains("spans are not exported: your own tracer provider creates the spans"), "{child}");
}

fn global_is_set(_: &[String]) {
    let exporter = InMemorySpanExporter::default();
    global::set_tracer_provider(SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build());
    global::set_text_map_propagator(TextMapCompositePropagator::new(vec![Box::new(BaggagePropagator::new())]));
    logbridge::init();
    one_span_and_one_record();
    global::tracer("api").start("by the api").end();
    let names: Vec<_> = exporter.get_finished_spans().expect("spans").into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["work", "by the api"]);
    assert_eq!(fields(), ["baggage"]);
}

fn a_global_provider_and_propagators_that_are_set_stay() {
    let receiver = receiver();
    let child = Child::new("global_is_set").to(&receiver).run().success().quiet();
    assert_arrived(&receiver, &["in the span"], &child);
    assert_eq!(receiver.spans(), []);
}

fn nothing_is_set(_: &[String]) {
    logbridge::init();
    global::tracer("api").start("by the api").end();
    println!("{}", fields().join(","));
}

fn our_provider_and_propagators_are_installed_globally() {
    for (wanted, expected) in [("", "baggage,traceparent,tracestate"), ("baggage", "baggage"), ("none", "")] {
        let receiver = receiver();
        let child = Child::new("nothing_is_set").to(&receiver).env("OTEL_PROPAGATORS", wanted).run().success().quiet();
        assert_eq!(child.stdout.trim(), expected, "{child}");
        let spans = receiver.spans();
        assert_eq!((spans.len(), spans[0].name.as_str(), spans[0].scope.name.as_str()), (1, "by the api", "api"));
    }
}

fn own_provider_our_processor(_: &[String]) {
    let bridge = logbridge::builder().build().expect("builds");
    let provider = SdkTracerProvider::builder()
        // Records what it does not sample, which is not to be exported.
        .with_sampler(RecordsAll)
        .with_span_processor(bridge.span_processor())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("theirs"));
    let registry = tracing_subscriber::registry().with(layer).with(bridge.layer());
    tracing::subscriber::set_global_default(registry).expect("the slot is free");
    tracing::info_span!("sampled").in_scope(|| tracing::info!("in the span"));
    tracing::info_span!("only recorded").in_scope(|| tracing::info!("in a span that is not sampled"));
    provider.force_flush().expect("delivered");
    let open = tracing::info_span!("open").entered();
    bridge.shutdown(Duration::from_secs(10)).expect("delivered");
    drop(open);
    crate::support::print_counters_of(&bridge);
}

/// A sampler that samples but for one name, and records all the same.
#[derive(Clone, Debug)]
struct RecordsAll;

impl opentelemetry_sdk::trace::ShouldSample for RecordsAll {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: opentelemetry::TraceId,
        name: &str,
        kind: &opentelemetry::trace::SpanKind,
        attributes: &[KeyValue],
        links: &[opentelemetry::trace::Link],
    ) -> opentelemetry_sdk::trace::SamplingResult {
        let mut result = Sampler::AlwaysOn.should_sample(parent, trace_id, name, kind, attributes, links);
        if name == "only recorded" {
            result.decision = opentelemetry_sdk::trace::SamplingDecision::RecordOnly;
        }
        result
    }
}

fn a_provider_of_the_application_may_use_our_processor() {
    let receiver = receiver();
    let child = Child::new("own_provider_our_processor").to(&receiver).run().success().quiet();
    assert_arrived(&receiver, &["in the span", "in a span that is not sampled"], &child);
    let mut names: Vec<String> = receiver.spans().into_iter().map(|span| span.name).collect();
    names.sort();
    assert_eq!(names, ["open", "sampled"], "{child}");
    let instance = |attributes: &logbridge::testing::Attributes| attributes["service.instance.id"].to_string();
    assert_eq!(instance(&receiver.spans()[0].resource), instance(&receiver.logs()[0].resource));
    let expected = [("spans.ended", 3), ("spans.unsampled", 1), ("spans.delivered", 2), ("spans.ended_at_exit", 1)];
    child.numbers().expect(&expected);
}

/// Adds to each span when it starts, and counts those that end.
#[derive(Clone, Debug, Default)]
struct Enrich(Arc<Mutex<u32>>);

impl SpanProcessor for Enrich {
    fn on_start(&self, span: &mut Span, _context: &Context) {
        span.set_attribute(KeyValue::new("tenant", "acme"));
    }

    fn on_end(&self, _span: SpanData) {
        *self.0.lock().expect("no panic") += 1;
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn sampler_in_code(arguments: &[String]) {
    let enrich = Enrich::default();
    let mut builder = logbridge::builder();
    builder.otlp(Otlp::from_env()).span_processor(enrich.clone());
    if arguments[0] == "never" {
        builder.sampler(Sampler::AlwaysOff);
    }
    builder.init();
    one_span_and_one_record();
    println!("ended={}", enrich.0.lock().expect("no panic"));
}

fn samplers_and_processors_in_code_apply_to_our_provider() {
    for (sampler, expected) in [("always", 1), ("never", 0)] {
        let receiver = receiver();
        // Code wins over the environment.
        let child = Child::new("sampler_in_code").arg(sampler).to(&receiver);
        let child = child.env("OTEL_TRACES_SAMPLER", "always_on").run().success().quiet();
        let spans = receiver.spans();
        assert_eq!(spans.len(), expected, "{child}");
        assert!(spans.iter().all(|span| span.attribute("tenant") == Some(&"acme".into())), "{child}");
        child.numbers().expect(&[("ended", expected as u64)]);
        assert_arrived(&receiver, &["in the span"], &child);
    }
}

fn early_provider(_: &[String]) {
    let provider = SdkTracerProvider::builder().with_span_processor(logbridge::SpanProcessor::of_installed()).build();
    logbridge::builder().tracer_provider(&provider).init();
    one_span_and_one_record();
    println!("{}", logbridge::bridge().expect("installed").report());
}

fn a_provider_from_before_init_may_use_our_processor_too() {
    let receiver = receiver();
    let child = Child::new("early_provider").to(&receiver).run().success().quiet();
    assert_arrived(&receiver, &["in the span"], &child);
    assert_eq!((receiver.spans().len(), receiver.orphans().len()), (1, 0), "{child}");
    assert!(!child.stdout.contains("not exported"), "{child}");
}

/// As the README has it, and then `main` returns.
fn composed(_: &[String]) {
    let bridge = logbridge::builder().build().expect("builds");
    let provider = SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("theirs"));
    let registry = tracing_subscriber::registry().with(layer).with(bridge.layer());
    tracing::subscriber::set_global_default(registry).expect("the slot is free");
    tracing::info_span!("work").in_scope(|| tracing::info!("in the span"));
}

fn what_is_composed_is_delivered_at_the_end_too() {
    let receiver = receiver();
    let child = Child::new("composed").to(&receiver).run().success().quiet();
    assert_arrived(&receiver, &["in the span"], &child);
    assert_eq!((receiver.spans().len(), receiver.orphans().len()), (1, 0), "{child}");
}
