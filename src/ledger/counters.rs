//! The ledger at one moment, as the user gets it.

use super::{DropReason, RejectReason};

/// The ledger at one moment.
///
/// Exact when no log call is in progress, otherwise off by at most the calls that ran while it was taken.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Records that reached logbridge from the application, and those that logbridge adds for it: panics, and what
    /// [`Repetition`](crate::Repetition) tells of the records it suppressed.
    pub offered: u64,
    /// Cut by the module stage (RUST_LOG, `filter_module`).
    pub below: u64,
    /// Let through by the module stage.
    pub passed: u64,
    /// What became of them on the way to the OTLP endpoint.
    pub otlp: OtlpCounters,
    /// What became of them on the way to the console.
    pub console: ConsoleCounters,
    /// What became of the spans.
    pub spans: SpanCounters,
    /// Records and spans that the debug mirror printed, or handed over to a stdout that takes them later, if at all.
    pub mirrored: u64,
    /// Records and spans that the debug mirror did not print, because stdout could not be written, or too much waits
    /// for its reader.
    pub mirror_failed: u64,
    /// Values of records and spans in which something was redacted, by [`Redact`](crate::Redact).
    pub redacted: u64,
    /// Values of records that nest deeper than 24 levels: a text that says so stands in the place of what lies deeper.
    pub nested_too_deep: u64,
    /// Attributes of records that were left out because there were more than `OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT` or
    /// `OTEL_ATTRIBUTE_COUNT_LIMIT`; each record says how many it lacks.
    pub attributes_left_out: u64,
    /// Records written by logbridge's own threads; not the application's and not part of `offered`.
    pub internal: u64,
}

/// The otlp destination's side of the ledger.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OtlpCounters {
    /// Cut by the destination's own threshold.
    pub below: u64,
    /// Not sent because the destination is off.
    pub off: u64,
    /// Not sent because telemetry was suppressed in that context, or a record was logged from inside itself too often.
    pub suppressed: u64,
    /// Not sent because their trace is not sampled, where [`Otlp::trace_based`](crate::Otlp::trace_based) asks for that.
    pub unsampled: u64,
    /// Not sent because they are similar to more records than [`Repetition`](crate::Repetition) lets through; records with
    /// the attribute `logbridge.suppressed` say so for each callsite.
    pub repeated: u64,
    /// Taken over; each of them is in exactly one of the fields below `adopted`.
    pub accepted: u64,
    /// Left in the [spool](crate::Spool) by other processes that are dead, and taken over as well.
    pub adopted: u64,
    /// Confirmed by the endpoint.
    pub delivered: u64,
    /// Sent, but answered with a success that is no OTLP answer.
    pub unconfirmed: u64,
    /// Refused by the endpoint for good.
    pub rejected: Vec<(RejectReason, u64)>,
    /// Dropped before an endpoint answered.
    pub dropped: Vec<(DropReason, u64)>,
    /// Waiting in the outbox or on their way. With a spool they stay there when the process ends.
    pub pending: u64,
}

impl OtlpCounters {
    /// Refused for good, all reasons together.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(|(_, records)| records).sum()
    }

    /// Dropped, all reasons together.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(|(_, records)| records).sum()
    }

    /// Rejected and dropped together.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.rejected_total() + self.dropped_total()
    }
}

/// The ledger of the spans that logbridge exports.
///
/// Only spans that are recorded are counted: one below the span threshold, in a trace that is not sampled, or of a
/// provider of your own never reaches logbridge.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SpanCounters {
    /// Started, and neither ended nor given up yet.
    pub open: u64,
    /// Ended; each of them is in exactly one of `unsampled`, `off` and `accepted`.
    pub ended: u64,
    /// Of the ended: those that were still open when the process ended or logbridge was shut down, and were ended then.
    pub ended_at_exit: u64,
    /// Recorded but not sampled, so not to be exported.
    pub unsampled: u64,
    /// Not sent because spans are not exported.
    pub off: u64,
    /// Taken over; each of them is in exactly one of the fields below.
    pub accepted: u64,
    /// Confirmed by the endpoint.
    pub delivered: u64,
    /// Sent, but answered with a success that is no OTLP answer.
    pub unconfirmed: u64,
    /// Refused by the endpoint for good.
    pub rejected: Vec<(RejectReason, u64)>,
    /// Dropped before an endpoint answered.
    pub dropped: Vec<(DropReason, u64)>,
    /// Waiting in the queue or on their way.
    pub pending: u64,
}

impl SpanCounters {
    /// Refused for good, all reasons together.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(|(_, spans)| spans).sum()
    }

    /// Dropped, all reasons together.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(|(_, spans)| spans).sum()
    }

    /// Rejected and dropped together.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.rejected_total() + self.dropped_total()
    }
}

/// The console's side of the ledger.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConsoleCounters {
    /// Cut by the destination's own threshold.
    pub below: u64,
    /// Not printed because the console is off (or the debug mirror stands in for it).
    pub off: u64,
    /// Not printed because a record was logged from inside itself too often.
    pub suppressed: u64,
    /// Handed to the formatter.
    pub accepted: u64,
    /// Of the accepted: not written, because the stream could not be written (closed, broken pipe, disk full) or a value
    /// panicked while it was formatted.
    pub failed: u64,
}
