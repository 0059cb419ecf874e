//! logbridge's own tracer provider and the global propagators.

use std::time::Duration;

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry::{Context, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider, Span, SpanData, SpanProcessor};

use crate::config::{Propagator, SpanConfig};
use crate::os;
use crate::thread::in_span_processor;

/// Builds the tracer provider that is used unless the application has one. `processors` are called in order.
pub(super) fn build(
    config: &SpanConfig,
    resource: Resource,
    processors: Vec<Box<dyn SpanProcessor>>,
) -> SdkTracerProvider {
    // Everything is set explicitly, because the SDK would read missing values from the environment.
    let builder = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_id_generator(SaltedIds::default())
        .with_sampler(config.sampler.clone())
        .with_span_limits(config.limits);
    processors.into_iter().fold(builder, |builder, processor| builder.with_span_processor(Boxed(processor))).build()
}

/// Sets the global propagators unless the application has set them.
pub(super) fn install_propagators(wanted: &[Propagator]) {
    let is_set = global::get_text_map_propagator(|propagator| propagator.fields().next().is_some());
    if is_set || wanted.is_empty() {
        return;
    }
    global::set_text_map_propagator(TextMapCompositePropagator::new(propagators(wanted)));
}

pub(super) fn propagators(wanted: &[Propagator]) -> Vec<Box<dyn TextMapPropagator + Send + Sync>> {
    wanted
        .iter()
        .map(|propagator| match propagator {
            Propagator::Baggage => Box::new(BaggagePropagator::new()) as Box<dyn TextMapPropagator + Send + Sync>,
            Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
        })
        .collect()
}

/// A boxed span processor.
#[derive(Debug)]
struct Boxed(Box<dyn SpanProcessor>);

impl SpanProcessor for Boxed {
    fn on_start(&self, span: &mut Span, context: &Context) {
        in_span_processor(|| self.0.on_start(span, context));
    }

    fn on_end(&self, span: SpanData) {
        in_span_processor(|| self.0.on_end(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// An id generator whose ids differ between forked processes.
///
/// A fork copies the state of the SDK's generator, so parent and child would otherwise generate the same ids.
#[derive(Debug, Default)]
struct SaltedIds(RandomIdGenerator);

impl IdGenerator for SaltedIds {
    fn new_trace_id(&self) -> TraceId {
        let id = self.0.new_trace_id();
        let mut bytes = id.to_bytes();
        bytes.iter_mut().zip(os::fork_salt()).for_each(|(byte, salt)| *byte ^= salt);
        // An id of all zeros is invalid.
        if bytes == [0; 16] { id } else { TraceId::from_bytes(bytes) }
    }

    fn new_span_id(&self) -> SpanId {
        let id = self.0.new_span_id();
        let mut bytes = id.to_bytes();
        bytes.iter_mut().zip(os::fork_salt()).for_each(|(byte, salt)| *byte ^= salt);
        if bytes == [0; 8] { id } else { SpanId::from_bytes(bytes) }
    }
}
