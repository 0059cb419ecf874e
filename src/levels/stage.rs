//! The stages that a record passes, each with thresholds of its own, and the spans.

use std::fmt;

/// Something that has thresholds.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// What every record passes first: RUST_LOG, `Builder::filter_module`.
    Module,
    /// The way to the OTLP endpoint: LOGBRIDGE_OTLP_LEVEL, `Otlp::level`.
    Otlp,
    /// The console: LOGBRIDGE_CONSOLE_LEVEL, `Console::level`.
    Console,
    /// Which tracing spans become OpenTelemetry spans: LOGBRIDGE_SPAN_LEVEL, `Builder::span_level`.
    Span,
}

impl Stage {
    pub(crate) const ALL: [Self; 4] = [Self::Module, Self::Otlp, Self::Console, Self::Span];

    /// Those that records pass.
    pub(crate) const FOR_RECORDS: [Self; 3] = [Self::Module, Self::Otlp, Self::Console];

    /// Where its thresholds are set.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Module => "RUST_LOG",
            Self::Otlp => "LOGBRIDGE_OTLP_LEVEL",
            Self::Console => "LOGBRIDGE_CONSOLE_LEVEL",
            Self::Span => "LOGBRIDGE_SPAN_LEVEL",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Module => "module stage",
            Self::Otlp => "otlp",
            Self::Console => "console",
            Self::Span => "spans",
        })
    }
}
