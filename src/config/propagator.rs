//! The context propagators that logbridge can install.

/// How trace context is written into requests to other services.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Propagator {
    Baggage,
    TraceContext,
}

impl Propagator {
    /// Returns the name used in `OTEL_PROPAGATORS`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Baggage => "baggage",
            Self::TraceContext => "tracecontext",
        }
    }
}
