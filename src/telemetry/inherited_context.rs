//! The context that the process was started in, by one that handed it down: what has no parent in this process is part of
//! that.

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator as _};
use opentelemetry::trace::{SpanBuilder, TraceContextExt as _, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue, global};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use super::provider;
use crate::config::{Propagator, TraceContextEnv};
use crate::os::OnceBox;

static INHERITED: OnceBox<Context> = OnceBox::new();

/// What the carrier says, by the propagators that are set globally, else by those that will be.
pub(crate) fn extract_inherited_context(carrier: &TraceContextEnv, wanted: &[Propagator]) -> Context {
    let nothing = Context::new();
    global::get_text_map_propagator(|set| match set.fields().next() {
        Some(_) => set.extract_with_context(&nothing, carrier),
        None => TextMapCompositePropagator::new(provider::propagators(wanted)).extract_with_context(&nothing, carrier),
    })
}

/// From now on, what has no parent in this process has this one. Only the first one counts: a process has one parent.
pub(crate) fn set_inherited_context(root: Context) {
    let _first_wins = INHERITED.set(root);
}

pub(super) fn is_installed() -> bool {
    INHERITED.get().is_some()
}

/// The context as a child of what was handed down; `None` where it has a span of its own, and where nothing was handed
/// down.
pub(super) fn with_inherited_parent(context: &Context) -> Option<Context> {
    let root = INHERITED.get()?;
    if context.span().span_context().is_valid() {
        return None;
    }
    let mut context = context.clone();
    let parent = root.span().span_context().clone();
    if parent.is_valid() {
        context = context.with_remote_span_context(parent);
    }
    if context.baggage().is_empty() && !root.baggage().is_empty() {
        let items = root.baggage().iter().map(|(key, (value, _))| KeyValue::new(key.clone(), value.to_string()));
        context = context.with_baggage(items.collect::<Vec<_>>());
    }
    Some(context)
}

/// The provider that the OpenTelemetry API sees: a span in a context without one is a child of what was handed down.
#[derive(Clone, Debug)]
pub(super) struct InheritingProvider<T>(pub(super) T);

impl TracerProvider for InheritingProvider<SdkTracerProvider> {
    type Tracer = InheritingProvider<SdkTracer>;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Self::Tracer {
        InheritingProvider(self.0.tracer_with_scope(scope))
    }
}

impl Tracer for InheritingProvider<SdkTracer> {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        match with_inherited_parent(parent) {
            Some(parent) => self.0.build_with_context(builder, &parent),
            None => self.0.build_with_context(builder, parent),
        }
    }
}
