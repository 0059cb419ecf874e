//! Spans, as far as logs need them: tracing-opentelemetry gives each tracing span an OpenTelemetry context, so that
//! records carry its ids.

mod carry;
mod gate;
mod tracer;

pub use carry::carry_context;
pub(crate) use gate::SpanGate;
pub(crate) use tracer::{TracerChoice, install as install_tracer, scope};
