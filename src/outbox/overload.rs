//! Handles a full outbox: evicts sealed segments, or makes the caller wait.
//!
//! Constraints:
//! * Only log calls whose record did not fit come here.
//! * The caller holds no shard's lock, because sealing takes all of them.
//! * Evicted segments are sealed and not yet taken. They are counted before they leave, so that a flush that waited for
//!   them finds the loss in the ledger.
//! * Order of locks: shard, sealed, pool.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::frame::read_frame;
use super::losses::Loss;
use super::records::Outbox;
use super::sealed_groups::SegmentPosition;
use super::segment::{LOW, Segment};
use super::sync::lock;
use super::wake::Wake;
use crate::config::Overload;
use crate::ledger::{DropReason, ItemOutcome};
use crate::signal::Signal;

/// How often a record may lose the space that it freed to other threads.
const ATTEMPTS: usize = 8;

/// A record that was not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    pub(crate) reason: DropReason,
    pub(crate) wake: Wake,
}

impl From<DropReason> for Refused {
    fn from(reason: DropReason) -> Self {
        Self { reason, wake: Wake::No }
    }
}

impl Outbox {
    /// Asks the exporter thread to seal and send now instead of at the scheduled time, because the outbox was full.
    pub(crate) fn request_seal(&self) -> Wake {
        let is_first =
            !self.seal_requested.load(Ordering::Relaxed) && !self.seal_requested.swap(true, Ordering::Relaxed);
        is_first.into()
    }

    /// Returns whether a log call found the outbox full since the last call, or waits for space. Waiting threads count
    /// each time, because a thread that gets space does not ask for the others.
    pub(crate) fn take_seal_request(&self) -> bool {
        let requested =
            self.seal_requested.load(Ordering::Relaxed) && self.seal_requested.swap(false, Ordering::Relaxed);
        requested || self.waiters.count() > 0
    }

    /// Counts a record that was not accepted, by level and target.
    pub(crate) fn count_loss(&self, thread: usize, reason: DropReason, frame: &[u8]) -> Wake {
        read_frame(frame).is_some_and(|frame| self.losses.count(thread, reason, frame)).into()
    }

    /// Returns the losses by reason, target and level, the largest first.
    pub(crate) fn losses(&self) -> Vec<Loss> {
        self.losses.all()
    }

    /// Returns whether a loss has not been reported yet.
    pub(crate) fn has_unreported_losses(&self) -> bool {
        self.losses.is_unreported()
    }

    /// Marks all losses so far as reported.
    pub(crate) fn mark_losses_reported(&self) {
        self.losses.mark_reported();
    }

    /// Appends a frame that did not fit, if the policy frees space by evicting other records.
    pub(crate) fn append_evicting(&self, thread: usize, high: bool, frame: &[u8]) -> Result<Wake, Refused> {
        let (reason, only_low) = match self.overload {
            Overload::DropOldest => (DropReason::EvictedOldest, false),
            Overload::DropLeastSevere if high => (DropReason::EvictedLessSevere, true),
            _ => return Err(DropReason::OutboxFull.into()),
        };
        if only_low && self.no_low_segments.load(Ordering::Relaxed) {
            return Err(DropReason::OutboxFull.into());
        }
        let (mut wake, mut is_sealed) = (Wake::No, false);
        for _ in 0..ATTEMPTS {
            if self.evict(thread, frame.len(), only_low, reason) {
                wake = Wake::Yes;
            } else if is_sealed {
                break;
            } else {
                // Segments that could be evicted may not be sealed yet.
                is_sealed = true;
                self.seal_evictable(only_low);
                continue;
            }
            match self.append(thread, high, frame) {
                Ok(_) => return Ok(Wake::Yes),
                Err(DropReason::OutboxFull) => {}
                Err(reason) => return Err(Refused { reason, wake }),
            }
        }
        Err(Refused { reason: DropReason::OutboxFull, wake })
    }

    fn seal_evictable(&self, only_low: bool) {
        // Set before the search, because a segment that is begun from now on resets it.
        self.no_low_segments.store(only_low, Ordering::Relaxed);
        self.seal_shards(|open| !only_low || open.segments[LOW].is_some());
        if lock(&self.sealed).has_low() {
            self.no_low_segments.store(false, Ordering::Relaxed);
        }
    }

    /// Evicts sealed segments, oldest first, until a frame of that length fits. Returns whether it fits. If evicting
    /// all of them would not be enough, none is evicted.
    fn evict(&self, thread: usize, length: usize, only_low: bool, reason: DropReason) -> bool {
        let Some(victims) = self.choose_victims(length, only_low) else { return false };
        let records = victims.iter().map(|(_, segment)| segment.records).sum();
        if records > 0 {
            self.ledger.resolve(Signal::Logs, &[(ItemOutcome::Dropped(reason), records)]);
            self.release(records);
        }
        // They leave only after they are counted.
        lock(&self.sealed).remove_detached(victims.iter().map(|(position, _)| *position));
        for (_, segment) in victims {
            self.losses.count_segment(thread, reason, &segment);
            self.recycle(segment);
        }
        true
    }

    /// Detaches the segments that must be evicted for a frame of that length. Detaches none if the frame fits by now.
    /// Returns `None` if evicting all of them would not be enough.
    fn choose_victims(&self, length: usize, only_low: bool) -> Option<Vec<(SegmentPosition, Segment)>> {
        let mut victims = Vec::new();
        loop {
            let mut sealed = lock(&self.sealed);
            // Of the two bounds, the one that was reached.
            let lacks_records = self.max_records.is_some_and(|max| self.records.load(Ordering::Relaxed) >= max);
            let (used, bound) = self.pool.use_and_bound();
            let (mut free, needed) = match lacks_records {
                true => (0, 1),
                false => (bound.saturating_sub(used), self.pool.cost(length)),
            };
            let in_files = self.pool.uses_files();
            // A segment in memory frees no space in files, and vice versa.
            let is_evictable = |lane: usize, segment: &Segment| {
                (lacks_records || segment.is_in_file() == in_files) && (lane == LOW || !only_low)
            };
            let gain = |segment: &Segment| if lacks_records { segment.records as usize } else { segment.block.cost() };
            let mut wanted = 0;
            for (_, segment) in sealed.segments().filter(|(lane, segment)| is_evictable(*lane, segment)) {
                if free >= needed {
                    break;
                }
                free += gain(segment);
                wanted += 1;
            }
            if free < needed {
                return None;
            }
            if wanted <= victims.capacity() {
                sealed.detach_first(wanted, is_evictable, &mut victims);
                return Some(victims);
            }
            drop(sealed);
            victims.reserve(wanted);
        }
    }

    /// Appends a frame that did not fit as soon as there is space, and waits for that at most for `timeout`.
    pub(crate) fn append_blocking(
        &self,
        thread: usize,
        high: bool,
        frame: &[u8],
        timeout: Duration,
    ) -> Result<Wake, Refused> {
        self.waiters.append_when_freed(timeout, || self.append(thread, high, frame)).map_err(Refused::from)
    }

    /// Wakes the threads that wait for space, because memory was freed.
    pub(crate) fn notify_waiters(&self) {
        self.waiters.notify();
    }

    /// Ends all waits for space, because nothing will be taken out of the outbox any more.
    pub(crate) fn close(&self) {
        self.waiters.close();
    }
}

#[cfg(test)]
#[path = "overload_tests.rs"]
mod tests;
