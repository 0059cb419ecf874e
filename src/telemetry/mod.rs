//! Spans and trace context.
//!
//! tracing-opentelemetry creates an OpenTelemetry span for each tracing span, so records carry its ids. The processors
//! of the tracer provider export the spans.

mod carry_context;
mod carry_to_command;
mod gate;
mod inherited_context;
pub mod propagation;
mod provider;
mod tracer;

pub use carry_context::carry_context;
pub use carry_to_command::carry_context_to;
pub(crate) use gate::{SpanGate, end_open_spans};
pub(crate) use inherited_context::{extract_inherited_context, set_inherited_context};
pub(crate) use tracer::{TracerChoice, install as install_tracer, is_given as tracer_is_given, scope};
