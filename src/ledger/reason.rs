//! The reasons why a record or a span was not delivered.

use std::fmt;

/// Why an accepted record or span was dropped before an endpoint answered for it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DropReason {
    /// The outbox was full for as long as a call may block ([`Overload::Block`](crate::Overload::Block)).
    BlockTimeout,
    /// It was damaged in the [spool](crate::Spool), by the disk or by another program.
    Damaged,
    /// It could not be encoded, for example because it is too large for a request.
    Encoding,
    /// The outbox was full, and a record at WARN or above took its place
    /// ([`Overload::DropLeastSevere`](crate::Overload::DropLeastSevere)).
    EvictedLessSevere,
    /// The outbox was full, and a newer record took its place ([`Overload::DropOldest`](crate::Overload::DropOldest)).
    EvictedOldest,
    /// It was not delivered within `OTEL_BLRP_EXPORT_TIMEOUT` or `OTEL_BSP_EXPORT_TIMEOUT`.
    ExportTimeout,
    /// A value's `Display`, `Debug` or `Serialize` panicked while the record was encoded.
    FormatPanicked,
    /// The outbox was full.
    OutboxFull,
    /// A log processor of the application did not pass it on.
    Processor,
    /// The queue of ended spans was full.
    QueueFull,
    /// It was below WARN, and the rest of the outbox is reserved for WARN and above
    /// ([`Overload::DropLeastSevere`](crate::Overload::DropLeastSevere)).
    RefusedBelowWarn,
    /// It was logged after `shutdown`, or was still pending when `shutdown` timed out.
    Shutdown,
    /// The exporter thread could not be started.
    ThreadLost,
    /// It is larger than the whole outbox.
    TooLarge,
}

impl DropReason {
    /// All reasons, in the order of the report.
    pub const ALL: [Self; 14] = [
        Self::BlockTimeout,
        Self::Damaged,
        Self::Encoding,
        Self::EvictedLessSevere,
        Self::EvictedOldest,
        Self::ExportTimeout,
        Self::FormatPanicked,
        Self::OutboxFull,
        Self::Processor,
        Self::QueueFull,
        Self::RefusedBelowWarn,
        Self::Shutdown,
        Self::ThreadLost,
        Self::TooLarge,
    ];

    /// Returns whether records were logged faster than they were exported.
    pub(crate) fn is_overload(self) -> bool {
        matches!(
            self,
            Self::BlockTimeout
                | Self::EvictedLessSevere
                | Self::EvictedOldest
                | Self::OutboxFull
                | Self::RefusedBelowWarn
        )
    }

    /// Returns the reason as text, as the report shows it.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        // The texts are keys of the JSON report.
        match self {
            Self::BlockTimeout => "the outbox stayed full for as long as a call may block",
            Self::Damaged => "it was damaged in the spool",
            Self::Encoding => "it could not be encoded",
            Self::EvictedLessSevere => "it made room in the full outbox for a record at WARN or above",
            Self::EvictedOldest => "it made room in the full outbox for a newer record",
            Self::ExportTimeout => "it could not be delivered in the time set for that",
            Self::FormatPanicked => "a value panicked while it was formatted",
            Self::OutboxFull => "the outbox was full",
            Self::Processor => "a log processor of the application did not hand it on",
            Self::QueueFull => "the queue of ended spans was full (OTEL_BSP_MAX_QUEUE_SIZE)",
            Self::RefusedBelowWarn => "it was below WARN, and the rest of the outbox is kept for WARN and above",
            Self::Shutdown => "logbridge was shut down",
            Self::ThreadLost => "the ship thread could not be started",
            Self::TooLarge => "the record is larger than the whole outbox",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Why an endpoint rejected a record or a span.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum RejectReason {
    /// The endpoint refused the credentials (401 or 403).
    Auth,
    /// The endpoint could not read the request (400).
    Malformed,
    /// The endpoint does not accept this signal at that path (404 or 405).
    NotFound,
    /// The endpoint answered with another status that is not retried.
    OtherStatus,
    /// The endpoint accepted the request but rejected some of its items.
    PartialSuccess,
    /// The endpoint redirected the request, and redirects are never followed.
    Redirect,
    /// The request is too large for the endpoint (413).
    TooLarge,
}

impl RejectReason {
    /// All reasons, in the order of the report.
    pub const ALL: [Self; 7] = [
        Self::Auth,
        Self::Malformed,
        Self::NotFound,
        Self::OtherStatus,
        Self::PartialSuccess,
        Self::Redirect,
        Self::TooLarge,
    ];

    /// Returns the reason as text, as the report shows it.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        // The texts are keys of the JSON report.
        match self {
            Self::Auth => "the endpoint refused the credentials (401, 403)",
            Self::Malformed => "the endpoint could not read the request (400)",
            Self::NotFound => "nothing takes this signal at that path (404, 405)",
            Self::OtherStatus => "the endpoint refused for good",
            Self::PartialSuccess => "the endpoint took the request but rejected the item",
            Self::Redirect => "the endpoint redirects, which is never followed",
            Self::TooLarge => "the request was too large for the endpoint (413)",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}
