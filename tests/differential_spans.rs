//! Sends the same spans through logbridge and through the stock layout (tracing-opentelemetry and opentelemetry-otlp
//! with its own client), to two receivers. The decoded messages are equal except for [`DIFFERENCES`], each of which has
//! a reason and is needed.
//!
//! The test has its own process, because logbridge takes both global slots.

#![allow(clippy::expect_used, clippy::unwrap_used)] // A test may panic.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use logbridge::testing::Receiver;
use logbridge::{Console, LevelFilter, Otlp};
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link as ReceivedLink;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

/// What ours does otherwise on purpose.
struct Difference {
    what: &'static str,
    why: &'static str,
    /// Makes of the stock span what ours should be.
    apply: fn(&mut Seen),
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "events of tracing are no span events",
        why: "they are records already, and each is one thing",
        apply: |seen| seen.span.events.retain(|event| event.name == "by the api"),
    },
    Difference {
        what: "no busy_ns and idle_ns",
        why: "of interest to nobody in most services, in every span",
        apply: |seen| seen.without(&["busy_ns", "idle_ns"]),
    },
    Difference {
        what: "no target",
        why: "code.module.name says the same under a name of its own",
        apply: |seen| seen.without(&["target"]),
    },
    Difference {
        what: "the error of an event stays with the event",
        why: "the record has it, whole; the span says that there was one in its status",
        apply: |seen| {
            if seen.span.name.starts_with("event") {
                seen.without(&["exception.message", "exception.stacktrace"]);
            }
        },
    },
    Difference {
        what: "the status says what the error was",
        why: "a failed span without words sends its reader searching",
        apply: |seen| {
            if seen.span.name == "event at ERROR with an error" {
                let status = seen.span.status.as_mut().expect("a status");
                status.message = "invalid digit found in string".to_owned();
            }
        },
    },
];

/// One span as it arrived, with names in the place of random ids.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    scope: InstrumentationScope,
    parent: String,
    links: Vec<String>,
    span: Span,
}

impl Seen {
    fn without(&mut self, keys: &[&str]) {
        self.span.attributes.retain(|kv| !keys.contains(&kv.key.as_str()));
    }
}

/// The spans by their names, which are unique.
fn seen(receiver: &Receiver) -> BTreeMap<String, Seen> {
    let requests = receiver.raw_trace_requests();
    let mut all: Vec<(InstrumentationScope, Span)> = Vec::new();
    for scope in requests.iter().flat_map(|request| &request.resource_spans).flat_map(|resource| &resource.scope_spans)
    {
        let name = scope.scope.clone().expect("a scope");
        let named = InstrumentationScope::builder(name.name).with_version(name.version).build();
        all.extend(scope.spans.iter().map(|span| (named.clone(), span.clone())));
    }
    let names: BTreeMap<Vec<u8>, String> = all.iter().map(|(_, s)| (s.span_id.clone(), s.name.clone())).collect();
    let name = |id: &Vec<u8>| names.get(id).cloned().unwrap_or_else(|| format!("{id:02x?}"));
    let mut seen = BTreeMap::new();
    for (scope, mut span) in all {
        assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
        let parent = name(&std::mem::take(&mut span.parent_span_id));
        let links = span.links.iter().map(|link: &ReceivedLink| name(&link.span_id)).collect();
        for link in &mut span.links {
            (link.span_id, link.trace_id) = (Vec::new(), Vec::new());
        }
        for event in &mut span.events {
            event.time_unix_nano = 0;
        }
        (span.span_id, span.trace_id) = (Vec::new(), Vec::new());
        (span.start_time_unix_nano, span.end_time_unix_nano) = (0, 0);
        span.attributes.sort_by(|a, b| a.key.cmp(&b.key));
        let key = span.name.clone();
        assert!(seen.insert(key.clone(), Seen { scope, parent, links, span }).is_none(), "`{key}` arrived twice");
    }
    seen
}

fn ours() -> BTreeMap<String, Seen> {
    let receiver = Receiver::start().unwrap();
    let bridge = logbridge::Builder::new()
        .service_name("differential")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .try_init()
        .expect("both slots are free");
    spans(&global::tracer("by the api"));
    bridge.flush(Duration::from_secs(30)).expect("everything arrives");
    assert_eq!(receiver.orphans(), []);
    let resource = &receiver.spans()[0].resource;
    assert_eq!(resource.get("service.name"), Some(&"differential".into()));
    let of_logs = &receiver.logs()[0].resource;
    let [of_spans, of_logs] = [resource, of_logs].map(|resource| resource.iter().collect::<BTreeMap<_, _>>());
    assert_eq!(of_spans, of_logs, "one resource for both signals");
    seen(&receiver)
}

fn stock() -> BTreeMap<String, Seen> {
    let receiver = Receiver::start().unwrap();
    // The exporter's client needs a runtime around it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let exporter = {
        let _entered = runtime.enter();
        SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", receiver.endpoint()))
            .build()
            .unwrap()
    };
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("differential").build())
        .with_span_processor(Collected(exporter, std::sync::Mutex::default(), runtime.handle().clone()))
        .build();
    let scope = InstrumentationScope::builder("logbridge").with_version(env!("CARGO_PKG_VERSION")).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer_with_scope(scope));
    let tracer = BoxedTracer::new(Box::new(provider.tracer("by the api")));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || spans(&tracer));
    provider.force_flush().expect("everything arrives");
    seen(&receiver)
}

/// Exports all spans in one request when it is flushed, as the batch processor does, but on the runtime the client needs.
#[derive(Debug)]
struct Collected(SpanExporter, std::sync::Mutex<Vec<opentelemetry_sdk::trace::SpanData>>, tokio::runtime::Handle);

impl opentelemetry_sdk::trace::SpanProcessor for Collected {
    fn on_start(&self, _span: &mut opentelemetry_sdk::trace::Span, _context: &Context) {}

    fn on_end(&self, span: opentelemetry_sdk::trace::SpanData) {
        self.1.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        use opentelemetry_sdk::trace::SpanExporter as _;
        let spans = std::mem::take(&mut *self.1.lock().unwrap());
        self.2.block_on(self.0.export(spans))
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        use opentelemetry_sdk::trace::SpanExporter as _;
        self.0.set_resource(resource);
    }
}

/// Every way to make a span and to write into it.
fn spans(tracer: &BoxedTracer) {
    tracing::info!("outside of all spans");
    tracing::info_span!("no fields").in_scope(|| ());
    tracing::info_span!("fields", int = 1, float = 1.5, bool = true, text = "tea", debug = ?[1, 2], display = %"shown")
        .in_scope(|| tracing::info!(user = 7, "an event"));
    let later = tracing::info_span!("fields later", user = tracing::field::Empty, never = tracing::field::Empty);
    later.in_scope(|| later.record("user", 42));
    tracing::info_span!("special", otel.name = "renamed", otel.kind = "server", otel.status_code = "OK")
        .in_scope(|| ());
    tracing::info_span!("failed by field", otel.status_description = "because").in_scope(|| ());
    let error = "tea".parse::<u32>().unwrap_err();
    tracing::info_span!("field with an error", error = &error as &dyn Error).in_scope(|| ());
    tracing::info_span!("event at ERROR").in_scope(|| tracing::error!("words"));
    tracing::info_span!("event at ERROR with an error")
        .in_scope(|| tracing::error!(error = &error as &dyn Error, "words"));
    tracing::info_span!("event at WARN with an error")
        .in_scope(|| tracing::warn!(error = &error as &dyn Error, "words"));
    tracing::info_span!("outer").in_scope(|| {
        tracing::info_span!("inner").in_scope(|| tracing::debug!("deep"));
        tracing::info_span!(parent: None, "taken out").in_scope(|| ());
    });
    let parent = tracing::info_span!("explicit parent");
    tracing::info_span!(parent: &parent, "explicit child").in_scope(|| ());
    let cause = tracing::info_span!("cause");
    let follower = tracing::info_span!("follower");
    follower.follows_from(&cause);
    drop((follower, cause, parent));
    extended(tracer);
    let mut api = tracer
        .span_builder("of the api")
        .with_kind(SpanKind::Producer)
        .with_attributes([KeyValue::new("list", Value::Array(vec![1_i64, 2].into()))])
        .with_links(vec![Link::new(remote(9), vec![KeyValue::new("why", "retry")], 0)])
        .start(tracer);
    api.add_event("by the api", vec![KeyValue::new("a", 1_i64)]);
    api.set_status(Status::error("broken"));
    let context = Context::new().with_span(api);
    let _attached = context.attach();
    tracing::info_span!("below the api").in_scope(|| ());
    tracer.start("api below the api").end();
}

/// With tracing-opentelemetry's own extension of spans.
fn extended(tracer: &BoxedTracer) {
    let span = tracing::info_span!("extended");
    span.set_attribute("late", 3_i64);
    span.add_link(remote(11));
    span.set_status(Status::Ok);
    span.in_scope(|| tracing::error!("cannot unmake it"));
    let child = tracing::info_span!("of a remote parent");
    child.set_parent(Context::new().with_remote_span_context(remote(13))).expect("not started");
    child.in_scope(|| tracer.start("api below tracing").end());
}

fn remote(id: u64) -> SpanContext {
    SpanContext::new(u128::from(id).into(), id.into(), TraceFlags::SAMPLED, true, TraceState::NONE)
}

/// How many spans differ when these differences are applied.
fn differing(ours: &BTreeMap<String, Seen>, stock: &BTreeMap<String, Seen>, list: &[&Difference]) -> Vec<String> {
    ours.iter()
        .filter_map(|(name, ours)| {
            let mut theirs = stock.get(name).expect("both ways have the same names").clone();
            for difference in list {
                (difference.apply)(&mut theirs);
            }
            (*ours != theirs).then(|| format!("`{name}`\n    ours {ours:?}\n  theirs {theirs:?}"))
        })
        .collect()
}

#[test]
fn ours_are_the_stock_spans_but_for_the_list_and_all_of_the_list_is_needed() {
    let (stock, ours) = (stock(), ours());
    assert!(ours.len() >= 20, "{}", ours.len());
    assert_eq!(ours.keys().collect::<Vec<_>>(), stock.keys().collect::<Vec<_>>());
    let all: Vec<&Difference> = DIFFERENCES.iter().collect();
    let differing_now = differing(&ours, &stock, &all);
    assert!(differing_now.is_empty(), "{} differ, the first:\n{}", differing_now.len(), differing_now[0]);
    for left_out in DIFFERENCES {
        let others: Vec<&Difference> = DIFFERENCES.iter().filter(|other| other.what != left_out.what).collect();
        assert!(!differing(&ours, &stock, &others).is_empty(), "not needed: {} ({})", left_out.what, left_out.why);
    }
}
