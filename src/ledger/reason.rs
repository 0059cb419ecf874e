//! Why a record or a span did not arrive: closed sets, each with a sentence for the user.

use std::fmt;

/// Why an accepted record or span was dropped before any endpoint answered for it. The set is closed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DropReason {
    /// The outbox was full, and no room appeared in the time that a call may block
    /// ([`Overload::Block`](crate::Overload::Block)).
    BlockTimeout,
    /// It was damaged in the [spool](crate::Spool): on the disk, or by somebody who changed the file.
    Damaged,
    /// It could not be encoded: too large for one request, say.
    Encoding,
    /// It waited in the outbox, and made room for a record at WARN or above
    /// ([`Overload::DropLeastSevere`](crate::Overload::DropLeastSevere)).
    EvictedLessSevere,
    /// It waited in the outbox, and made room for a newer record ([`Overload::DropOldest`](crate::Overload::DropOldest)).
    EvictedOldest,
    /// It could not be delivered within `OTEL_BLRP_EXPORT_TIMEOUT` or `OTEL_BSP_EXPORT_TIMEOUT`, where one is set.
    ExportTimeout,
    /// A value's `Display`, `Debug` or `Serialize` panicked while the record was encoded.
    FormatPanicked,
    /// The outbox was full.
    OutboxFull,
    /// One of the application's own log processors did not hand the record on.
    Processor,
    /// The queue of ended spans was full.
    QueueFull,
    /// It was below WARN, and what is left of the outbox is kept for WARN and above
    /// ([`Overload::DropLeastSevere`](crate::Overload::DropLeastSevere)).
    RefusedBelowWarn,
    /// It was written after `shutdown`, or still waiting when `shutdown` ran out of time.
    Shutdown,
    /// The ship thread could not be started.
    ThreadLost,
    /// The record alone is larger than the whole outbox.
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

    /// Whether records came faster than they left.
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

    /// The reason in words, as the report says it.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::BlockTimeout => "the outbox was full, and no room appeared in the time that a call may block",
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
            Self::ThreadLost => "the exporter thread could not be started",
            Self::TooLarge => "the record is larger than the whole outbox",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Why an endpoint did not take a record or a span. The set is closed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum RejectReason {
    /// 401 or 403.
    Auth,
    /// 400: the endpoint could not read the request.
    Malformed,
    /// 404 or 405: nothing takes this signal at that path.
    NotFound,
    /// Another status that is final.
    OtherStatus,
    /// The endpoint took the request, but said that it rejected some of its items.
    PartialSuccess,
    /// A redirect, which is never followed.
    Redirect,
    /// 413: the request is too large for the endpoint.
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

    /// The reason in words, as the report says it.
    #[must_use]
    pub fn sentence(self) -> &'static str {
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
