//! The parts of this library that the command `logbridge` (package `logbridge-cli`) uses.
//!
//! Not part of the API: it may change in any version, so the command requires exactly the version that it was built
//! with. `ARCHITECTURE.md` lists the contents and their purpose. Keep it small.

pub mod clock {
    pub use crate::clock::{Timestamp, nanos};
}

pub mod config {
    pub use crate::config::{
        BuilderSettings, Config, Endpoint, Environment, LogDelivery, MASK, Route, Secrets, SettingSource, redact_url,
    };
    pub use crate::config::{Compression, Otlp, Protocol};
}

pub mod diagnose {
    pub use crate::diagnose::{
        ProcessImages, explain_filter, prepare_image_log, read_image_log, replace_file, write_in_place,
    };
}

pub mod escape {
    pub use crate::escape::{Lines, OneLine, WIDEST_COLUMN, is_unsafe, words};
}

pub mod finding {
    use std::ops::Range;

    pub use crate::finding::{Finding, Impact, Kind, Severity, kind};
    use crate::notice::Notice;

    /// Creates a finding.
    pub fn new_finding(
        kind: &'static Kind,
        severity: Severity,
        place: impl Into<String>,
        text: impl Into<String>,
    ) -> Finding {
        Finding::new(kind, severity, place, text)
    }

    /// The methods of [`Finding`] that are not part of the API.
    pub trait FindingExt {
        /// Sets the text that contains the problem, and its byte range.
        #[must_use]
        fn at(self, evidence: impl Into<String>, position: Range<usize>) -> Self;

        /// Sets the advice.
        #[must_use]
        fn help(self, help: impl Into<String>) -> Self;

        /// Returns the finding as JSON.
        fn to_json(&self) -> serde_json::Value;

        /// Returns the notice for this finding; `None` for a note, which only reports show.
        fn notice(&self) -> Option<Notice>;
    }

    impl FindingExt for Finding {
        fn at(self, evidence: impl Into<String>, position: Range<usize>) -> Self {
            Finding::at(self, evidence, position)
        }

        fn help(self, help: impl Into<String>) -> Self {
            Finding::help(self, help)
        }

        fn to_json(&self) -> serde_json::Value {
            Finding::to_json(self)
        }

        fn notice(&self) -> Option<Notice> {
            Finding::notice(self)
        }
    }
}

pub mod ledger {
    pub use crate::ledger::{OtlpCounters, RejectReason};
}

pub mod levels {
    use crate::finding::Finding;
    use crate::levels;
    use crate::levels::ParsedFilter;
    pub use crate::levels::Threshold;

    /// Names the message filter in the cause of a filtered record.
    pub const MESSAGE_FILTER_CAUSE: &str = levels::MESSAGE_FILTER_CAUSE;

    /// Parses a filter string.
    pub fn parse(spec: &str) -> ParsedFilter<'_> {
        levels::parse(spec)
    }

    /// Lints a filter string that was set at `place`.
    pub fn lint_at(place: &str, spec: &str) -> Vec<Finding> {
        levels::lint_at(place, spec)
    }
}

pub mod notice {
    pub use crate::notice::{emit, history, redirect};
}

pub mod os {
    pub use crate::os::{is_in_foreground, is_running, open_named, send_signal};
}

pub mod otlp {
    pub use crate::otlp::{request_to_json, single_record_request};
}

pub mod outbox {
    pub use crate::outbox::{Ending, survey};
}

pub mod ship {
    pub use crate::ship::{End, Replay, Replayed};
}

pub mod signal {
    pub use crate::signal::Signal;
}

pub mod transport {
    pub use crate::transport::{Cause, CauseKind, Outcome, Relay, RelayedResponse, Transport, compressed};
}
