//! Spans: tracing-opentelemetry makes an OpenTelemetry span of each tracing span, so that records carry its ids, and the
//! provider's processors export it.

mod carry;
mod command;
mod gate;
mod provider;
mod root;
mod tracer;

pub use carry::carry_context;
pub use command::carry_context_to;
pub(crate) use gate::{SpanGate, end_open_spans};
pub(crate) use root::{install_root, read_root};
pub(crate) use tracer::{TracerChoice, install as install_tracer, is_given as tracer_is_given, scope};
