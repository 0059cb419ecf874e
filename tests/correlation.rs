//! The ids on a record are those of the exported span, with what `init` installs and through the global macros.
//!
//! The test has its own process, because it takes both global slots.

#![allow(clippy::expect_used)] // A test may panic.

use std::time::Duration;

use logbridge::testing::{ReceivedLog, Receiver};
use logbridge::{Console, LevelFilter, Otlp};
use opentelemetry::trace::{
    FutureExt as _, Span as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, global};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

struct Arrived {
    logs: Vec<ReceivedLog>,
    spans: Vec<SpanData>,
}

impl Arrived {
    fn log(&self, message: &str) -> &ReceivedLog {
        let mut found = self.logs.iter().filter(|log| log.message() == message);
        let log = found.next().unwrap_or_else(|| panic!("`{message}` did not arrive"));
        assert!(found.next().is_none(), "`{message}` arrived twice");
        log
    }

    fn ids(&self, message: &str) -> (String, String, u32) {
        let log = self.log(message);
        (log.trace_id.clone(), log.span_id.clone(), log.flags)
    }

    fn span(&self, name: &str) -> (String, String, u32) {
        let span = self.spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span `{name}`"));
        ids(&span.span_context)
    }

    fn assert_in(&self, message: &str, span: &str) {
        assert_eq!(self.ids(message), self.span(span), "`{message}` belongs to the span `{span}`");
    }

    fn assert_outside(&self, message: &str) {
        assert_eq!(self.ids(message), (String::new(), String::new(), 0), "`{message}` belongs to no span");
    }
}

fn ids(context: &SpanContext) -> (String, String, u32) {
    (context.trace_id().to_string(), context.span_id().to_string(), u32::from(context.trace_flags().to_u8()))
}

#[test]
fn every_way_to_be_in_a_span() {
    let receiver = Receiver::start().expect("a receiver");
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .build();
    global::set_tracer_provider(provider.clone());
    let bridge = logbridge::Builder::new()
        // Records from WARN on only: the spans, at INFO, must still be there.
        .filter_level(LevelFilter::Warn)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .tracer_provider(&provider)
        .try_init()
        .expect("both slots are free");

    outside();
    tracing_spans();
    explicit_parents();
    opentelemetry_contexts(&provider);
    threads();
    tasks();
    remote_and_unsampled_parents();

    bridge.flush(Duration::from_secs(10)).expect("everything arrives");
    let spans = exporter.get_finished_spans().expect("spans");
    check(&Arrived { logs: receiver.logs(), spans });
}

fn check(arrived: &Arrived) {
    for message in ["log outside", "event outside", "event taken out", "in a bare thread", "in a span that is too low"]
    {
        arrived.assert_outside(message);
    }
    for (message, span) in [
        ("log in a span", "span"),
        ("event in a span", "span"),
        ("log in the inner span", "inner"),
        ("log back in the outer span", "span"),
        ("log in a low span inside", "span"),
        ("event of an explicit parent", "parent"),
        ("event of the child of an explicit parent", "low child's parent"),
        ("log in a context", "by the api"),
        ("event in a context", "by the api"),
        ("event in a span below a context", "below the api"),
        ("in a thread that was given the context", "threads"),
        ("in a thread that was given the span", "threads"),
        ("before await", "task"),
        ("after await", "task"),
        ("in a spawned task", "spawned"),
        ("in a future with a context", "future"),
        ("below a remote parent", "below remote"),
    ] {
        arrived.assert_in(message, span);
    }
    let parents: Vec<_> = ["span", "inner"].map(|name| arrived.span(name).0).to_vec();
    assert_eq!(parents[0], parents[1], "one trace");
    assert_eq!(arrived.ids("below a remote parent").0, format!("{:032x}", 0xfeed));
    let (trace, span, flags) = arrived.ids("below an unsampled parent");
    assert_eq!((trace, flags), (format!("{:032x}", 0xdead), 0), "an unsampled span has ids all the same");
    assert!(span.len() == 16 && span != format!("{:016x}", 2));
    assert!(!arrived.spans.iter().any(|span| span.name.contains("logbridge")), "no probe, no span of our own");
    assert_eq!(arrived.logs.iter().filter(|log| log.message().contains("not wanted")).count(), 0);
}

fn outside() {
    log::warn!("log outside");
    tracing::warn!("event outside");
    log::info!("not wanted");
    tracing::info!("not wanted");
}

fn tracing_spans() {
    let span = tracing::info_span!("span", id = 1).entered();
    log::warn!("log in a span");
    tracing::warn!("event in a span");
    tracing::info_span!("inner").in_scope(|| log::warn!("log in the inner span"));
    log::warn!("log back in the outer span");
    // Below the threshold of spans: it does not exist, so its records belong to the span around it.
    tracing::debug_span!("too low").in_scope(|| log::warn!("log in a low span inside"));
    tracing::warn!(parent: None, "event taken out");
    drop(span);
    tracing::debug_span!("too low").in_scope(|| log::warn!("in a span that is too low"));
}

fn explicit_parents() {
    let parent = tracing::info_span!("parent");
    tracing::info_span!("elsewhere").in_scope(|| tracing::warn!(parent: &parent, "event of an explicit parent"));
    let parent = tracing::info_span!("low child's parent");
    let child = tracing::info_span!(parent: &parent, "child");
    drop(child);
    tracing::warn!(parent: &parent, "event of the child of an explicit parent");
}

fn opentelemetry_contexts(provider: &SdkTracerProvider) {
    let span = provider.tracer("test").start("by the api");
    let _attached = Context::current_with_span(span).attach();
    log::warn!("log in a context");
    tracing::warn!("event in a context");
    tracing::info_span!("below the api").in_scope(|| tracing::warn!("event in a span below a context"));
}

fn threads() {
    let span = tracing::info_span!("threads");
    let _entered = span.enter();
    let given = logbridge::carry_context(|| log::warn!("in a thread that was given the context"));
    let cloned = span.clone();
    std::thread::scope(|scope| {
        scope.spawn(|| log::warn!("in a bare thread"));
        scope.spawn(given);
        scope.spawn(move || cloned.in_scope(|| tracing::warn!("in a thread that was given the span")));
    });
}

fn tasks() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(
        async {
            log::warn!("before await");
            tokio::task::yield_now().await;
            log::warn!("after await");
            let spawned = async { tracing::warn!("in a spawned task") }.instrument(tracing::info_span!("spawned"));
            tokio::spawn(spawned).await.expect("no panic");
        }
        .instrument(tracing::info_span!("task")),
    );
    let mut span = global::tracer("test").start("future");
    span.set_attribute(opentelemetry::KeyValue::new("kind", "future"));
    let context = Context::new().with_span(span);
    runtime
        .block_on(runtime.spawn(async { log::warn!("in a future with a context") }.with_context(context)))
        .expect("no panic");
}

fn remote_and_unsampled_parents() {
    let remote = |trace: u128, flags| {
        let ids = (TraceId::from(trace), SpanId::from(2));
        Context::new().with_remote_span_context(SpanContext::new(ids.0, ids.1, flags, true, TraceState::NONE))
    };
    let sampled = tracing::info_span!("below remote");
    sampled.set_parent(remote(0xfeed, TraceFlags::SAMPLED)).expect("the layer is found behind the gate");
    sampled.in_scope(|| log::warn!("below a remote parent"));
    let unsampled = tracing::info_span!("below unsampled");
    unsampled.set_parent(remote(0xdead, TraceFlags::NOT_SAMPLED)).expect("the layer is found behind the gate");
    unsampled.in_scope(|| log::warn!("below an unsampled parent"));
}
