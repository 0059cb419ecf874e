//! The two kinds of telemetry that leave the process, and the words for them.

use std::fmt;

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    Logs,
    Traces,
}

impl Signal {
    /// The items together: `logs`, `spans`.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Traces => "spans",
        }
    }

    /// What stands behind `v1/` in the URL, and in the names of variables in capitals.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Traces => "traces",
        }
    }

    /// What the specification calls its batch processor in the names of variables.
    pub(crate) fn processor(self) -> &'static str {
        match self {
            Self::Logs => "BLRP",
            Self::Traces => "BSP",
        }
    }

    /// So many of them: `1 record`, `2 spans`.
    pub fn count(self, items: u64) -> Items {
        Items { signal: self, items }
    }
}

/// A number of items, in words.
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
