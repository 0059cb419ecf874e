//! Which tracer makes the spans: the one given, else the global one, else an SDK provider of ours.

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

/// A tracer of the user's, of whatever type.
pub(crate) type GivenTracer = Box<dyn ObjectSafeTracer + Send + Sync>;

/// What the builder knows about tracers.
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

/// The scope that spans of the bridge carry.
pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION")).build()
}

/// Decides on the tracer, once. Where nobody has a provider, ours is made and set globally; propagators likewise.
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
            if makes_spans(&tracer) {
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

/// Whether spans are made, and so exported, by a provider of the application's.
pub(crate) fn is_given() -> bool {
    TRACER.get().is_some_and(|(_, own)| own.is_none())
}

/// Whether the global provider was set: the no-op tracer gives a child the ids of its parent, any other does not.
///
/// Telemetry is suppressed in the probe's context, so that the SDK makes an empty span of it, which nobody exports.
fn makes_spans(tracer: &BoxedTracer) -> bool {
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

/// The tracer of the root subscriber, which exists before the tracer is decided on.
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
