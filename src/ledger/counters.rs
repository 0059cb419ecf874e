//! Snapshots of the ledger, as the public API returns them.

use super::{DropReason, RejectReason};

/// A snapshot of all counters.
///
/// It is exact if no log call is in progress. Otherwise it is off by at most the calls that ran while it was taken.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Records that reached logbridge. They include the records that logbridge adds: panics, and the summaries of
    /// [`Repetition`](crate::Repetition).
    pub offered: u64,
    /// Records filtered by the module stage (`RUST_LOG`, `filter_module`).
    pub below: u64,
    /// Records that passed the module stage.
    pub passed: u64,
    /// Outcomes of the passed records at the OTLP destination.
    pub otlp: OtlpCounters,
    /// Outcomes of the passed records at the console.
    pub console: ConsoleCounters,
    /// Outcomes of the spans.
    pub spans: SpanCounters,
    /// Records and spans that the debug mirror printed, or queued for a stdout that did not take them at once.
    pub mirrored: u64,
    /// Records and spans that the debug mirror did not print, because stdout failed or its queue was full.
    pub mirror_failed: u64,
    /// Values of records and spans in which [`Redact`](crate::Redact) replaced something.
    pub redacted: u64,
    /// Values of records that nest deeper than 24 levels. A text in the value replaces the deeper part.
    pub nested_too_deep: u64,
    /// Attributes of records beyond `OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT` or `OTEL_ATTRIBUTE_COUNT_LIMIT`. They are
    /// left out, and each record has their number.
    pub attributes_left_out: u64,
    /// Records logged by logbridge's own threads. They are not part of `offered`.
    pub internal: u64,
}

/// The counters of the OTLP destination.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OtlpCounters {
    /// Records filtered by the threshold of the destination.
    pub below: u64,
    /// Records not sent because the destination is off.
    pub off: u64,
    /// Records not sent because telemetry was suppressed in their context, or because log calls were nested too deep.
    pub suppressed: u64,
    /// Records not sent because their trace is not sampled. See [`Otlp::trace_based`](crate::Otlp::trace_based).
    pub unsampled: u64,
    /// Records not sent because [`Repetition`](crate::Repetition) limits similar records. Records with the attribute
    /// `logbridge.suppressed` have the number for each callsite.
    pub repeated: u64,
    /// Records accepted for export. Each is counted in exactly one of the fields after `adopted`.
    pub accepted: u64,
    /// Records recovered from the [spool](crate::Spool) of processes that ended. They are counted like accepted
    /// records.
    pub adopted: u64,
    /// Records confirmed by the endpoint.
    pub delivered: u64,
    /// Records that were sent but answered with a success that is not an OTLP response.
    pub unconfirmed: u64,
    /// Records rejected by the endpoint for good.
    pub rejected: Vec<(RejectReason, u64)>,
    /// Records dropped before an endpoint answered for them.
    pub dropped: Vec<(DropReason, u64)>,
    /// Records in the outbox or in a request. With a spool they stay there when the process ends.
    pub pending: u64,
}

impl OtlpCounters {
    /// Returns the number of rejected records.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(|(_, records)| records).sum()
    }

    /// Returns the number of dropped records.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(|(_, records)| records).sum()
    }

    /// Returns the number of rejected and dropped records together.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.rejected_total() + self.dropped_total()
    }
}

/// The counters of the spans that logbridge exports.
///
/// Only recorded spans are counted. A span below the span threshold, in a trace that is not sampled, or of another
/// tracer provider never reaches logbridge.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SpanCounters {
    /// Spans that have started and not ended.
    pub open: u64,
    /// Spans that have ended. Each is counted in exactly one of `unsampled`, `off` and `accepted`.
    pub ended: u64,
    /// Ended spans that were still open when the process ended or logbridge was shut down.
    pub ended_at_exit: u64,
    /// Spans that were recorded but not sampled, so they are not exported.
    pub unsampled: u64,
    /// Spans not sent because the export of spans is off.
    pub off: u64,
    /// Spans accepted for export. Each is counted in exactly one of the following fields.
    pub accepted: u64,
    /// Spans confirmed by the endpoint.
    pub delivered: u64,
    /// Spans that were sent but answered with a success that is not an OTLP response.
    pub unconfirmed: u64,
    /// Spans rejected by the endpoint for good.
    pub rejected: Vec<(RejectReason, u64)>,
    /// Spans dropped before an endpoint answered for them.
    pub dropped: Vec<(DropReason, u64)>,
    /// Spans in the queue or in a request.
    pub pending: u64,
}

impl SpanCounters {
    /// Returns the number of rejected spans.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(|(_, spans)| spans).sum()
    }

    /// Returns the number of dropped spans.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(|(_, spans)| spans).sum()
    }

    /// Returns the number of rejected and dropped spans together.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.rejected_total() + self.dropped_total()
    }
}

/// The counters of the console.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConsoleCounters {
    /// Records filtered by the threshold of the destination.
    pub below: u64,
    /// Records not printed because the console is off or the debug mirror replaces it.
    pub off: u64,
    /// Records not printed because log calls were nested too deep.
    pub suppressed: u64,
    /// Records passed to the formatter.
    pub accepted: u64,
    /// Accepted records that were not written: the stream failed (closed, broken pipe, full disk), or a value panicked
    /// while it was formatted.
    pub failed: u64,
}
