//! The two logging facades from which logbridge takes records.

use std::fmt;

/// A logging facade.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Facade {
    /// The crate `log`.
    Log,
    /// The crate tracing.
    Tracing,
}

impl fmt::Display for Facade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Log => "log",
            Self::Tracing => "tracing",
        })
    }
}
