//! The stages that have thresholds.

use std::fmt;

/// A stage with its own thresholds.
///
/// A record first passes the module stage, and then the stage of each destination.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// The first stage of every record. Set by `RUST_LOG` or `Builder::filter_module`.
    Module,
    /// The OTLP destination. Set by `LOGBRIDGE_OTLP_LEVEL` or `Otlp::level`.
    Otlp,
    /// The console destination. Set by `LOGBRIDGE_CONSOLE_LEVEL` or `Console::level`.
    Console,
    /// The tracing spans that become OpenTelemetry spans. Set by `LOGBRIDGE_SPAN_LEVEL` or `Builder::span_level`.
    Span,
}

impl Stage {
    pub(crate) const ALL: [Self; 4] = [Self::Module, Self::Otlp, Self::Console, Self::Span];

    /// The stages of records.
    pub(crate) const FOR_RECORDS: [Self; 3] = [Self::Module, Self::Otlp, Self::Console];

    /// Returns the environment variable that sets the thresholds of this stage.
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
