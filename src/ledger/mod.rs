//! What happened to every record and every span, counted where it happens and never derived from a sum.
//!
//! Constraints:
//! * `offered = below + passed` at the module stage; for each destination
//!   `passed = below + off + suppressed + unsampled + repeated + accepted`; for otlp
//!   `accepted + adopted = delivered + unconfirmed + rejected + dropped + pending`, where what was adopted comes from the
//!   spool of another process.
//! * For spans `ended = unsampled + off + accepted`, and accepted as above.
//! * The callers' counters are sharded by thread: threads do not share a cache line, and most need no atomic addition.
//! * The ship thread moves records from pending to a fate under one lock, and a snapshot reads under the same lock.
//!   A snapshot reads fates before entries, so it is exact when no call is in progress, and otherwise off by at most
//!   the calls that ran while it was taken.

mod counters;
mod delivery_stats;
mod reason;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use counters::{ConsoleCounters, Counters, OtlpCounters, SpanCounters};
pub use delivery_stats::Requests;
pub(crate) use delivery_stats::{DeliveryStats, RequestResult, ScopeCounts};
pub use reason::{DropReason, RejectReason};

use crate::os::Placed;
use crate::signal::Signal;
use crate::thread::{EXCLUSIVE, NUMBERS};

/// A counter that a call of the application moves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Count {
    /// Put into the outbox.
    Appended,
    /// An attribute of a record beyond the limit.
    AttributeLeftOut,
    ConsoleAccepted,
    ConsoleBelow,
    ConsoleFailed,
    ConsoleOff,
    ConsoleSuppressed,
    /// Written by a thread of the crate itself (hyper's own records, say): not the application's, never shipped.
    Internal,
    MirrorFailed,
    MirrorWritten,
    ModuleBelow,
    ModulePassed,
    /// A value of a record that was cut because it nests too deep.
    NestedTooDeep,
    Offered,
    OtlpAccepted,
    OtlpBelow,
    OtlpOff,
    /// Similar to more records than may come in a window.
    OtlpRepeated,
    OtlpSuppressed,
    OtlpUnsampled,
    /// A value of a record or a span in which something was redacted.
    Redacted,
    SpanAccepted,
    /// Put into the queue.
    SpanAppended,
    SpanEnded,
    SpanEndedAtExit,
    SpanOff,
    SpanStarted,
    SpanUnsampled,
}

const COUNTS: usize = Count::SpanUnsampled as usize + 1;

/// One copy of the callers' counters, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct ThreadCounters {
    counts: [AtomicU64; COUNTS],
    /// For each signal.
    dropped: [[AtomicU64; DropReason::ALL.len()]; 2],
    /// What was cut, by number of the cut and by level. Made when the thread has its first.
    cuts: Placed<Box<[AtomicU64]>>,
}

impl ThreadCounters {
    fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; COUNTS],
            dropped: [const { [const { AtomicU64::new(0) }; DropReason::ALL.len()] }; 2],
            cuts: Placed::new(),
        }
    }
}

impl ThreadCounters {
    #[inline]
    fn count_filtered(&self, thread: usize, cut: u8, level: log::Level) {
        let cuts = self
            .cuts
            .get_or_make(|| std::iter::repeat_with(AtomicU64::default).take(MAX_FILTER_CAUSES * LEVELS).collect());
        if let Some(cell) = cuts.get(usize::from(cut) * LEVELS + (level as usize - 1)) {
            add_one(cell, thread);
        }
    }
}

/// What the ship thread counts for one signal.
#[derive(Clone, Debug, Default)]
struct OutcomeCounts {
    /// Put into the outbox by another process.
    adopted: u64,
    delivered: u64,
    unconfirmed: u64,
    rejected: [u64; RejectReason::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
    /// Taken out of the outbox: the sum of the fates above, counted on its own.
    removed: u64,
}

/// What became of a group of records that leaves the outbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ItemOutcome {
    Delivered,
    Dropped(DropReason),
    Rejected(RejectReason),
    Unconfirmed,
}

/// All counters of one pipeline.
#[derive(Debug)]
pub(crate) struct Ledger {
    cells: Vec<ThreadCounters>,
    /// For each signal.
    fates: [Mutex<OutcomeCounts>; 2],
    pub(crate) stats: DeliveryStats,
}

/// How many cuts are told apart: as many as a byte can number, but for one.
pub(crate) const MAX_FILTER_CAUSES: usize = 255;
/// How many levels a record may have.
const LEVELS: usize = 5;

/// Everything that became of the accepted items of one signal.
struct SignalTotals {
    adopted: u64,
    delivered: u64,
    unconfirmed: u64,
    rejected: Vec<(RejectReason, u64)>,
    dropped: Vec<(DropReason, u64)>,
    pending: u64,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            cells: (0..NUMBERS).map(|_| ThreadCounters::new()).collect(),
            fates: Default::default(),
            stats: DeliveryStats::default(),
        }
    }

    /// Counts a record that a stage has cut, under the number that `levels` gave the cut.
    #[inline]
    pub(crate) fn count_filtered(&self, thread: usize, cut: u8, level: log::Level) {
        if let Some(cells) = self.cells.get(thread) {
            cells.count_filtered(thread, cut, level);
        }
    }

    /// Counts a record that came and was cut by the module stage: what most calls of most programs end in.
    #[inline]
    pub(crate) fn count_filtered_by_module(&self, thread: usize, cut: u8, level: log::Level) {
        let Some(cells) = self.cells.get(thread) else { return };
        add_one(&cells.counts[Count::Offered as usize], thread);
        add_one(&cells.counts[Count::ModuleBelow as usize], thread);
        cells.count_filtered(thread, cut, level);
    }

    /// What was cut: number, level, how often.
    pub(crate) fn filtered(&self) -> Vec<(u8, log::Level, u64)> {
        let levels = || log::Level::iter();
        let all = (0..MAX_FILTER_CAUSES as u8).flat_map(|cut| levels().map(move |level| (cut, level)));
        all.map(|(cut, level)| {
            let index = usize::from(cut) * LEVELS + (level as usize - 1);
            (cut, level, self.cells.iter().filter_map(|cells| cells.cuts.get()).map(|cuts| load(cuts, index)).sum())
        })
        .filter(|(_, _, records)| *records > 0)
        .collect()
    }

    /// Counts one event of a call. `thread` is `thread::number`.
    #[inline]
    pub(crate) fn count(&self, thread: usize, count: Count) {
        if let Some(cell) = self.cells.get(thread).and_then(|cells| cells.counts.get(count as usize)) {
            add_one(cell, thread);
        }
    }

    /// Counts so many at once; most often there are none.
    #[inline]
    pub(crate) fn count_many(&self, thread: usize, count: Count, number: u64) {
        if number > 0
            && let Some(cell) = self.cells.get(thread).and_then(|cells| cells.counts.get(count as usize))
        {
            // Also where the number is exclusive: this is no path that has to be fast.
            cell.fetch_add(number, Ordering::Release);
        }
    }

    /// Counts an accepted item that never reached the outbox.
    #[cold]
    pub(crate) fn count_dropped(&self, thread: usize, signal: Signal, reason: DropReason) {
        let cells = self.cells.get(thread).and_then(|cells| cells.dropped.get(signal as usize));
        if let Some(cell) = cells.and_then(|dropped| dropped.get(reason as usize)) {
            add_one(cell, thread);
        }
    }

    /// Takes over records that another process has left behind: they are pending.
    pub(crate) fn adopt(&self, records: u64) {
        self.fates(Signal::Logs).adopted += records;
    }

    /// Moves items from pending to their fates, in one step.
    pub(crate) fn resolve(&self, signal: Signal, fates: &[(ItemOutcome, u64)]) {
        let mut guard = self.fates(signal);
        for (fate, items) in fates {
            match fate {
                ItemOutcome::Delivered => guard.delivered += items,
                ItemOutcome::Dropped(reason) => add(&mut guard.dropped, *reason as usize, *items),
                ItemOutcome::Rejected(reason) => add(&mut guard.rejected, *reason as usize, *items),
                ItemOutcome::Unconfirmed => guard.unconfirmed += items,
            }
            guard.removed += items;
        }
    }

    /// The counters now, by the rule at the head of this module.
    pub(crate) fn snapshot(&self) -> Counters {
        let spans = self.ends(Signal::Traces, Count::SpanAppended);
        let logs = self.ends(Signal::Logs, Count::Appended);
        let console_failed = self.sum(Count::ConsoleFailed);
        let spans = SpanCounters {
            delivered: spans.delivered,
            unconfirmed: spans.unconfirmed,
            rejected: spans.rejected,
            dropped: spans.dropped,
            pending: spans.pending,
            accepted: self.sum(Count::SpanAccepted),
            off: self.sum(Count::SpanOff),
            unsampled: self.sum(Count::SpanUnsampled),
            ended_at_exit: self.sum(Count::SpanEndedAtExit),
            ended: self.sum(Count::SpanEnded),
            open: 0,
        };
        // Ends before starts, so that no span seems to have ended without a start.
        let open = self.sum(Count::SpanStarted).saturating_sub(spans.ended);
        let otlp = OtlpCounters {
            delivered: logs.delivered,
            unconfirmed: logs.unconfirmed,
            rejected: logs.rejected,
            dropped: logs.dropped,
            pending: logs.pending,
            accepted: self.sum(Count::OtlpAccepted),
            adopted: logs.adopted,
            below: self.sum(Count::OtlpBelow),
            off: self.sum(Count::OtlpOff),
            suppressed: self.sum(Count::OtlpSuppressed),
            unsampled: self.sum(Count::OtlpUnsampled),
            repeated: self.sum(Count::OtlpRepeated),
        };
        let console = ConsoleCounters {
            failed: console_failed,
            accepted: self.sum(Count::ConsoleAccepted),
            below: self.sum(Count::ConsoleBelow),
            off: self.sum(Count::ConsoleOff),
            suppressed: self.sum(Count::ConsoleSuppressed),
        };
        let (below, passed) = (self.sum(Count::ModuleBelow), self.sum(Count::ModulePassed));
        Counters {
            spans: SpanCounters { open, ..spans },
            otlp,
            console,
            mirror_failed: self.sum(Count::MirrorFailed),
            mirrored: self.sum(Count::MirrorWritten),
            attributes_left_out: self.sum(Count::AttributeLeftOut),
            nested_too_deep: self.sum(Count::NestedTooDeep),
            redacted: self.sum(Count::Redacted),
            below,
            passed,
            internal: self.sum(Count::Internal),
            offered: self.sum(Count::Offered),
        }
    }

    fn ends(&self, signal: Signal, appended: Count) -> SignalTotals {
        let (fates, appended, dropped_early) = {
            let guard = self.fates(signal);
            let dropped = |reason: usize| {
                self.cells.iter().filter_map(|cells| cells.dropped.get(signal as usize)).map(move |d| load(d, reason))
            };
            // Nothing is allocated under the lock: an allocator that logs would wait for it.
            let dropped: [u64; DropReason::ALL.len()] = std::array::from_fn(|reason| dropped(reason).sum());
            (guard.clone(), self.sum(appended), dropped)
        };
        let dropped = DropReason::ALL
            .iter()
            .zip(&dropped_early)
            .map(|(reason, early)| (*reason, early + fates.dropped.get(*reason as usize).copied().unwrap_or(0)))
            .filter(|(_, items)| *items > 0)
            .collect();
        let rejected = RejectReason::ALL
            .iter()
            .map(|reason| (*reason, fates.rejected.get(*reason as usize).copied().unwrap_or(0)))
            .filter(|(_, items)| *items > 0)
            .collect();
        SignalTotals {
            adopted: fates.adopted,
            delivered: fates.delivered,
            unconfirmed: fates.unconfirmed,
            rejected,
            dropped,
            pending: (appended + fates.adopted).saturating_sub(fates.removed),
        }
    }

    fn sum(&self, count: Count) -> u64 {
        self.cells.iter().map(|cells| load(&cells.counts, count as usize)).sum()
    }

    fn fates(&self, signal: Signal) -> MutexGuard<'_, OutcomeCounts> {
        let [logs, traces] = &self.fates;
        let fates = match signal {
            Signal::Logs => logs,
            Signal::Traces => traces,
        };
        fates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has an exclusive number is the only one to write the cell: that needs no atomic addition, which costs as much
/// as the rest of a rejected call.
#[inline]
fn add_one(cell: &AtomicU64, thread: usize) {
    if thread < EXCLUSIVE {
        cell.store(cell.load(Ordering::Relaxed) + 1, Ordering::Release);
    } else {
        cell.fetch_add(1, Ordering::Release);
    }
}

fn add(counts: &mut [u64], index: usize, records: u64) {
    if let Some(count) = counts.get_mut(index) {
        *count += records;
    }
}

fn load(counts: &[AtomicU64], index: usize) -> u64 {
    counts.get(index).map_or(0, |count| count.load(Ordering::Acquire))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn every_reason_has_its_own_sentence_and_index() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert_eq!(DropReason::ALL.iter().filter(|r| r.sentence() == reason.sentence()).count(), 1);
        }
        for (index, reason) in RejectReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert_eq!(RejectReason::ALL.iter().filter(|r| r.sentence() == reason.sentence()).count(), 1);
        }
    }

    /// Ends the shipper also when an assertion fails, so that the test ends too.
    struct Finish<'a>(&'a AtomicBool);

    impl Drop for Finish<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn snapshots_hold_while_threads_count_and_ship() {
        const THREADS: u64 = 4;
        const CALLS: u64 = 20_000;
        let ledger = Ledger::new();
        let (begun, ended) = (AtomicU64::new(0), AtomicU64::new(0));
        let barrier = Barrier::new(THREADS as usize + 2);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..THREADS as usize {
                let (ledger, barrier, begun, ended) = (&ledger, &barrier, &begun, &ended);
                scope.spawn(move || {
                    barrier.wait();
                    for call in 0..CALLS {
                        begun.fetch_add(1, Ordering::SeqCst);
                        ledger.count(thread, Count::OtlpAccepted);
                        match call % 10 {
                            0 => ledger.count_dropped(thread, Signal::Logs, DropReason::OutboxFull),
                            _ => ledger.count(thread, Count::Appended),
                        }
                        ended.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            let (ledger, barrier, done) = (&ledger, &barrier, &done);
            scope.spawn(move || {
                barrier.wait();
                while !done.load(Ordering::Relaxed) {
                    let pending = ledger.snapshot().otlp.pending;
                    let half = pending / 2;
                    let fates =
                        [(ItemOutcome::Delivered, half), (ItemOutcome::Rejected(RejectReason::Auth), pending - half)];
                    ledger.resolve(Signal::Logs, &fates);
                }
            });
            let _finish = Finish(done);
            barrier.wait();
            while ended.load(Ordering::SeqCst) < THREADS * CALLS {
                let ended_before = ended.load(Ordering::SeqCst);
                let otlp = ledger.snapshot().otlp;
                let begun_after = begun.load(Ordering::SeqCst);
                let fates = otlp.delivered + otlp.lost() + otlp.pending;
                assert!(ended_before <= fates, "a call that had ended has no fate: {otlp:?}");
                assert!(fates <= otlp.accepted, "a fate without an entry: {otlp:?}");
                assert!(otlp.accepted <= begun_after, "an entry without a call: {otlp:?}");
            }
        });
        let otlp = ledger.snapshot().otlp;
        assert_eq!(otlp.accepted, THREADS * CALLS);
        assert_eq!(otlp.delivered + otlp.lost() + otlp.pending, THREADS * CALLS);
        assert_eq!(otlp.dropped, vec![(DropReason::OutboxFull, THREADS * CALLS / 10)]);
    }
}
