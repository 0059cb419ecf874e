//! Losses that flushes have reported.

use crate::error::UndeliveredCounts;

/// The losses of one signal that flushes have reported so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReportedLosses {
    pub(super) rejected: u64,
    pub(super) dropped: u64,
    pub(super) unconfirmed: u64,
}

impl ReportedLosses {
    /// Marks the losses up to `now` as reported. Returns those since `before`, together with `pending`.
    ///
    /// `before` is what had been reported when the flush began. A concurrent flush that reported the same losses meanwhile
    /// changes nothing: both may have waited for the same records, and neither may return `Ok` then.
    pub(super) fn report(&mut self, before: Self, now: Self, pending: u64) -> UndeliveredCounts {
        *self = Self {
            rejected: self.rejected.max(now.rejected),
            dropped: self.dropped.max(now.dropped),
            unconfirmed: self.unconfirmed.max(now.unconfirmed),
        };
        UndeliveredCounts {
            rejected: now.rejected.saturating_sub(before.rejected),
            dropped: now.dropped.saturating_sub(before.dropped),
            unconfirmed: now.unconfirmed.saturating_sub(before.unconfirmed),
            pending,
        }
    }
}
