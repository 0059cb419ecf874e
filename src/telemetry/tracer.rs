//! Selects the tracer that creates spans: the one set on the builder, the global one, or one of logbridge's own
//! provider.

use opentelemetry::global::{BoxedSpan, BoxedTracer, ObjectSafeTracer};
use opentelemetry::trace::noop::NoopTracer;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanProcessor};

use super::inherited_context::{self, InheritingProvider};
use super::provider;
use crate::config::SpanConfig;
use crate::os::OnceBox;

static TRACER: OnceBox<(BoxedTracer, Option<SdkTracerProvider>)> = OnceBox::new();

/// A tracer of the application, of any type.
pub(crate) type GivenTracer = Box<dyn ObjectSafeTracer + Send + Sync>;

/// The tracer set on the builder.
#[derive(Default)]
pub(crate) enum TracerChoice {
    Given(GivenTracer),
    #[default]
    GlobalOrOwn,
}

impl std::fmt::Debug for TracerChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given",
            Self::GlobalOrOwn => "GlobalOrOwn",
        })
    }
}

/// Returns the instrumentation scope of spans.
pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION")).build()
}

/// Selects the tracer, once. If the application has no provider, builds one and sets it globally, with propagators.
pub(crate) fn install(
    choice: TracerChoice,
    config: &SpanConfig,
    resource: impl FnOnce() -> Resource,
    processors: Vec<Box<dyn SpanProcessor>>,
) {
    let (tracer, provider) = match choice {
        TracerChoice::Given(tracer) => (BoxedTracer::new(tracer), None),
        TracerChoice::GlobalOrOwn => {
            let tracer = global::tracer_with_scope(scope());
            if creates_spans(&tracer) {
                (tracer, None)
            } else {
                let provider = provider::build(config, resource(), processors);
                if inherited_context::is_installed() {
                    global::set_tracer_provider(InheritingProvider(provider.clone()));
                } else {
                    global::set_tracer_provider(provider.clone());
                }
                (BoxedTracer::new(Box::new(provider.tracer_with_scope(scope()))), Some(provider))
            }
        }
    };
    provider::install_propagators(&config.propagators);
    let _first_wins = TRACER.set((tracer, provider));
}

/// Returns whether a provider of the application creates, and so exports, the spans.
pub(crate) fn is_given() -> bool {
    TRACER.get().is_some_and(|(_, own)| own.is_none())
}

/// Returns whether the global provider is set: only the no-op tracer gives a child the ids of its parent.
///
/// Telemetry is suppressed in the probe's context, so the SDK creates an empty span that is not exported.
fn creates_spans(tracer: &BoxedTracer) -> bool {
    let parent = SpanContext::new(
        TraceId::from_bytes([0xff; 16]),
        SpanId::from_bytes([0xff; 8]),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::NONE,
    );
    let parent_id = parent.span_id();
    let context = Context::new().with_remote_span_context(parent).with_telemetry_suppressed();
    let probe = tracer.build_with_context(SpanBuilder::from_name("logbridge.probe"), &context);
    probe.span_context().span_id() != parent_id
}

/// The tracer of the root subscriber. It exists before the actual tracer is selected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeferredTracer;

impl Tracer for DeferredTracer {
    type Span = BoxedSpan;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> BoxedSpan {
        match TRACER.get() {
            Some((tracer, _)) => tracer.build_with_context(builder, parent),
            None => BoxedTracer::new(Box::new(NoopTracer::new())).build_with_context(builder, parent),
        }
    }
}
