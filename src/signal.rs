//! The OpenTelemetry signals that logbridge exports, and their names in text.

use std::fmt;

/// An OpenTelemetry signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    Logs,
    Traces,
}

impl Signal {
    /// Returns the name of its items: `logs` or `spans`.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Traces => "spans",
        }
    }

    /// Returns the name in URLs (`v1/logs`) and, in capitals, in environment variables: `logs` or `traces`.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Traces => "traces",
        }
    }

    /// Returns the name of its batch processor in environment variables.
    pub(crate) fn processor(self) -> &'static str {
        match self {
            Self::Logs => "BLRP",
            Self::Traces => "BSP",
        }
    }

    /// Displays a number of items: `1 record`, `2 spans`.
    pub fn count(self, items: u64) -> Items {
        Items { signal: self, items }
    }
}

/// A number of items, displayed with their name.
#[derive(Clone, Copy, Debug)]
pub struct Items {
    signal: Signal,
    items: u64,
}

impl fmt::Display for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let item = match self.signal {
            Signal::Logs => "record",
            Signal::Traces => "span",
        };
        write!(f, "{} {item}{}", self.items, if self.items == 1 { "" } else { "s" })
    }
}
