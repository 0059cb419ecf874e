//! The trace context that this process received from its environment.
//!
//! Spans and records without a parent in this process become part of that trace.

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator as _};
use opentelemetry::trace::{SpanBuilder, TraceContextExt as _, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue, global};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use super::provider;
use crate::config::{Propagator, TraceContextEnv};
use crate::os::OnceBox;

static INHERITED: OnceBox<Context> = OnceBox::new();

/// Extracts the context by the global propagators, or by the `wanted` ones if none are set yet.
pub(crate) fn extract_inherited_context(variables: &TraceContextEnv, wanted: &[Propagator]) -> Context {
    let empty = Context::new();
    global::get_text_map_propagator(|set| match set.fields().next() {
        Some(_) => set.extract_with_context(&empty, variables),
        None => TextMapCompositePropagator::new(provider::propagators(wanted)).extract_with_context(&empty, variables),
    })
}

/// Makes the context the parent of all later root spans. Only the first call has an effect.
pub(crate) fn set_inherited_context(root: Context) {
    let _first_wins = INHERITED.set(root);
}

pub(super) fn is_installed() -> bool {
    INHERITED.get().is_some()
}

/// Adds the inherited parent and baggage to a context.
///
/// Returns `None` if the context already has a span, or if the process inherited no context.
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

/// A global provider whose root spans are children of the inherited context.
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
