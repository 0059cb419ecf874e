//! The ledger counts the outcome of every record and every span.
//!
//! Each event is counted where it happens and never derived from a sum. These laws hold:
//!
//! * At the module stage, `offered = below + passed`.
//! * For each destination, `passed = below + off + suppressed + unsampled + repeated + accepted`.
//! * For OTLP, `accepted + adopted = delivered + unconfirmed + rejected + dropped + pending`. Adopted records come from
//!   the spool of another process.
//! * For spans, `ended = unsampled + off + accepted`, and `accepted` is divided as for OTLP.
//!
//! Constraints:
//!
//! * The counters of log calls are sharded by thread. Threads do not share a cache line, and most need no atomic
//!   addition.
//! * The exporter thread moves records from pending to their outcome under a lock, and a snapshot takes the same lock.
//! * A snapshot reads outcomes before entries. It is exact if no call is in progress, and otherwise off by at most the
//!   calls that ran while it was taken.

mod counters;
mod delivery_stats;
mod reason;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use counters::{ConsoleCounters, Counters, OtlpCounters, SpanCounters};
pub use delivery_stats::Requests;
pub(crate) use delivery_stats::{DeliveryStats, RequestResult, ScopeCounts};
pub use reason::{DropReason, RejectReason};

use crate::os::OnceBox;
use crate::signal::Signal;
use crate::thread::{EXCLUSIVE, NAMES, NUMBERS};

/// An event that a log call or a span of the application counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Count {
    /// A record was put into the outbox.
    Appended,
    /// An attribute exceeded the limit of its record.
    AttributeLeftOut,
    ConsoleAccepted,
    ConsoleBelow,
    ConsoleFailed,
    ConsoleOff,
    ConsoleSuppressed,
    /// A record was logged by one of logbridge's threads, for example by hyper. It is never exported.
    Internal,
    MirrorFailed,
    MirrorWritten,
    ModuleBelow,
    ModulePassed,
    /// A value of a record was truncated because it nests too deep.
    NestedTooDeep,
    Offered,
    OtlpAccepted,
    OtlpBelow,
    OtlpOff,
    /// A record exceeded the limit for similar records.
    OtlpRepeated,
    OtlpSuppressed,
    OtlpUnsampled,
    /// A part of a value of a record or a span was redacted.
    Redacted,
    SpanAccepted,
    /// A span was put into the queue.
    SpanAppended,
    SpanEnded,
    SpanEndedAtExit,
    SpanOff,
    SpanStarted,
    SpanUnsampled,
}

const COUNTS: usize = Count::SpanUnsampled as usize + 1;

/// The counters of the threads with one number, on their own cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct ThreadCounters {
    counts: [AtomicU64; COUNTS],
    /// Indexed by signal and reason.
    dropped: [[AtomicU64; DropReason::ALL.len()]; 2],
    /// Filtered records by cause and level. Allocated for the first one.
    filtered: OnceBox<Box<[AtomicU64]>>,
    /// Accepted records without and with a trace id, by the name of their thread. Allocated for the first one.
    by_name: OnceBox<Box<[[AtomicU64; 2]]>>,
}

impl ThreadCounters {
    fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; COUNTS],
            dropped: [const { [const { AtomicU64::new(0) }; DropReason::ALL.len()] }; 2],
            filtered: OnceBox::new(),
            by_name: OnceBox::new(),
        }
    }

    #[inline]
    fn count_filtered(&self, thread: usize, cause: u8, level: log::Level) {
        let allocate = || std::iter::repeat_with(AtomicU64::default).take(MAX_FILTER_CAUSES * LEVELS).collect();
        if let Some(cell) = self.filtered.get_or_init(allocate).get(filtered_index(cause, level)) {
            add_one(cell, thread);
        }
    }
}

/// The outcomes of one signal, counted by the exporter thread.
#[derive(Clone, Debug, Default)]
struct OutcomeCounts {
    /// Put into the spool by another process.
    adopted: u64,
    delivered: u64,
    unconfirmed: u64,
    rejected: [u64; RejectReason::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
    /// Removed from the outbox. It equals the sum of the outcomes but is counted separately.
    removed: u64,
}

/// The outcome of records or spans that leave the outbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ItemOutcome {
    Delivered,
    Dropped(DropReason),
    Rejected(RejectReason),
    Unconfirmed,
}

/// The accepted records of the threads with one name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct NamedThreads {
    pub(crate) without_trace: u64,
    pub(crate) with_trace: u64,
}

/// All counters of one pipeline.
#[derive(Debug)]
pub(crate) struct Ledger {
    threads: Vec<ThreadCounters>,
    /// Indexed by signal.
    outcomes: [Mutex<OutcomeCounts>; 2],
    /// Calls of filtered spans, by the number of their callsite. Only counted on request.
    filtered_spans: [AtomicU64; MAX_SPAN_CALLSITES],
    pub(crate) stats: DeliveryStats,
}

/// The number of filter causes, which must fit into a byte with one value to spare.
pub(crate) const MAX_FILTER_CAUSES: usize = 255;
/// The number of callsites of spans whose filtered calls are counted.
pub(crate) const MAX_SPAN_CALLSITES: usize = 128;
/// The number of levels of a record.
const LEVELS: usize = 5;

/// The outcomes of all accepted items of one signal.
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
            threads: (0..NUMBERS).map(|_| ThreadCounters::new()).collect(),
            outcomes: Default::default(),
            filtered_spans: [const { AtomicU64::new(0) }; MAX_SPAN_CALLSITES],
            stats: DeliveryStats::default(),
        }
    }

    /// Counts a record that a stage filtered, under the number that `levels` gave the cause.
    #[inline]
    pub(crate) fn count_filtered(&self, thread: usize, cause: u8, level: log::Level) {
        if let Some(counters) = self.threads.get(thread) {
            counters.count_filtered(thread, cause, level);
        }
    }

    /// Counts a record that was offered and filtered by the module stage, which is the outcome of most log calls.
    #[inline]
    pub(crate) fn count_filtered_by_module(&self, thread: usize, cause: u8, level: log::Level) {
        let Some(counters) = self.threads.get(thread) else { return };
        add_one(&counters.counts[Count::Offered as usize], thread);
        add_one(&counters.counts[Count::ModuleBelow as usize], thread);
        counters.count_filtered(thread, cause, level);
    }

    /// Returns the numbers of filtered records by cause and level.
    pub(crate) fn filtered(&self) -> Vec<(u8, log::Level, u64)> {
        let levels = || log::Level::iter();
        let all = (0..MAX_FILTER_CAUSES as u8).flat_map(|cause| levels().map(move |level| (cause, level)));
        all.map(|(cause, level)| {
            let filtered = self.threads.iter().filter_map(|counters| counters.filtered.get());
            (cause, level, filtered.map(|filtered| load(filtered, filtered_index(cause, level))).sum())
        })
        .filter(|(_, _, records)| *records > 0)
        .collect()
    }

    /// Counts an accepted record by the number of the name of its thread.
    #[inline]
    pub(crate) fn count_by_name(&self, thread: usize, name: usize, is_traced: bool) {
        let Some(counters) = self.threads.get(thread) else { return };
        let allocate = || std::iter::repeat_with(Default::default).take(NAMES).collect();
        if let Some([without, with]) = counters.by_name.get_or_init(allocate).get(name) {
            add_one(if is_traced { with } else { without }, thread);
        }
    }

    /// Returns the numbers of accepted records by the number of the name of their thread.
    pub(crate) fn by_name(&self) -> impl Iterator<Item = (usize, NamedThreads)> {
        (0..NAMES).map(|name| {
            let of = |traced: usize| {
                let counts = self.threads.iter().filter_map(|counters| counters.by_name.get()?.get(name));
                counts.map(|counts| load(counts, traced)).sum()
            };
            (name, NamedThreads { without_trace: of(0), with_trace: of(1) })
        })
    }

    /// Counts a call of a filtered span, under the number of its callsite.
    pub(crate) fn count_filtered_span(&self, callsite: usize) {
        if let Some(calls) = self.filtered_spans.get(callsite) {
            calls.fetch_add(1, Ordering::Release);
        }
    }

    /// Returns the number of calls of a filtered span.
    pub(crate) fn filtered_span(&self, callsite: usize) -> u64 {
        load(&self.filtered_spans, callsite)
    }

    /// Counts an event. `thread` is the result of `thread::number`.
    #[inline]
    pub(crate) fn count(&self, thread: usize, count: Count) {
        if let Some(cell) = self.threads.get(thread).and_then(|counters| counters.counts.get(count as usize)) {
            add_one(cell, thread);
        }
    }

    /// Counts several events at once. In most calls there are none.
    #[inline]
    pub(crate) fn count_many(&self, thread: usize, count: Count, number: u64) {
        if number > 0
            && let Some(cell) = self.threads.get(thread).and_then(|counters| counters.counts.get(count as usize))
        {
            // Atomic for exclusive numbers as well, because this path need not be fast.
            cell.fetch_add(number, Ordering::Release);
        }
    }

    /// Counts an accepted item that never reached the outbox.
    #[cold]
    pub(crate) fn count_dropped(&self, thread: usize, signal: Signal, reason: DropReason) {
        let dropped = self.threads.get(thread).and_then(|counters| counters.dropped.get(signal as usize));
        if let Some(cell) = dropped.and_then(|dropped| dropped.get(reason as usize)) {
            add_one(cell, thread);
        }
    }

    /// Adds pending records that another process left behind.
    pub(crate) fn adopt(&self, records: u64) {
        self.outcomes(Signal::Logs).adopted += records;
    }

    /// Moves items from pending to their outcomes, in one step.
    pub(crate) fn resolve(&self, signal: Signal, outcomes: &[(ItemOutcome, u64)]) {
        let mut guard = self.outcomes(signal);
        for (outcome, items) in outcomes {
            match outcome {
                ItemOutcome::Delivered => guard.delivered += items,
                ItemOutcome::Dropped(reason) => add(&mut guard.dropped, *reason as usize, *items),
                ItemOutcome::Rejected(reason) => add(&mut guard.rejected, *reason as usize, *items),
                ItemOutcome::Unconfirmed => guard.unconfirmed += items,
            }
            guard.removed += items;
        }
    }

    /// Takes a snapshot. It reads outcomes before entries.
    pub(crate) fn snapshot(&self) -> Counters {
        let spans = self.totals(Signal::Traces, Count::SpanAppended);
        let logs = self.totals(Signal::Logs, Count::Appended);
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
        // Starts are read after ends, so that no span seems to have ended without a start.
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

    fn totals(&self, signal: Signal, appended: Count) -> SignalTotals {
        let (outcomes, appended, dropped_early) = {
            let guard = self.outcomes(signal);
            let dropped = |reason: usize| {
                self.threads
                    .iter()
                    .filter_map(|counters| counters.dropped.get(signal as usize))
                    .map(move |d| load(d, reason))
            };
            // Allocate nothing under the lock: a global allocator may log.
            let dropped: [u64; DropReason::ALL.len()] = std::array::from_fn(|reason| dropped(reason).sum());
            (guard.clone(), self.sum(appended), dropped)
        };
        let dropped = DropReason::ALL
            .iter()
            .zip(&dropped_early)
            .map(|(reason, early)| (*reason, early + outcomes.dropped.get(*reason as usize).copied().unwrap_or(0)))
            .filter(|(_, items)| *items > 0)
            .collect();
        let rejected = RejectReason::ALL
            .iter()
            .map(|reason| (*reason, outcomes.rejected.get(*reason as usize).copied().unwrap_or(0)))
            .filter(|(_, items)| *items > 0)
            .collect();
        SignalTotals {
            adopted: outcomes.adopted,
            delivered: outcomes.delivered,
            unconfirmed: outcomes.unconfirmed,
            rejected,
            dropped,
            pending: (appended + outcomes.adopted).saturating_sub(outcomes.removed),
        }
    }

    fn sum(&self, count: Count) -> u64 {
        self.threads.iter().map(|counters| load(&counters.counts, count as usize)).sum()
    }

    fn outcomes(&self, signal: Signal) -> MutexGuard<'_, OutcomeCounts> {
        let [logs, traces] = &self.outcomes;
        let outcomes = match signal {
            Signal::Logs => logs,
            Signal::Traces => traces,
        };
        outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[inline]
fn filtered_index(cause: u8, level: log::Level) -> usize {
    usize::from(cause) * LEVELS + (level as usize - 1)
}

/// Adds one to a cell.
///
/// A thread with an exclusive number is the only writer of its cells, so it needs no atomic addition. An atomic
/// addition costs as much as the rest of a filtered call.
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

    /// Ends the exporter even if an assertion fails, so that the test ends.
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
                    let outcomes =
                        [(ItemOutcome::Delivered, half), (ItemOutcome::Rejected(RejectReason::Auth), pending - half)];
                    ledger.resolve(Signal::Logs, &outcomes);
                }
            });
            let _finish = Finish(done);
            barrier.wait();
            while ended.load(Ordering::SeqCst) < THREADS * CALLS {
                let ended_before = ended.load(Ordering::SeqCst);
                let otlp = ledger.snapshot().otlp;
                let begun_after = begun.load(Ordering::SeqCst);
                let outcomes = otlp.delivered + otlp.lost() + otlp.pending;
                assert!(ended_before <= outcomes, "an ended call has no outcome: {otlp:?}");
                assert!(outcomes <= otlp.accepted, "an outcome without an entry: {otlp:?}");
                assert!(otlp.accepted <= begun_after, "an entry without a call: {otlp:?}");
            }
        });
        let otlp = ledger.snapshot().otlp;
        assert_eq!(otlp.accepted, THREADS * CALLS);
        assert_eq!(otlp.delivered + otlp.lost() + otlp.pending, THREADS * CALLS);
        assert_eq!(otlp.dropped, vec![(DropReason::OutboxFull, THREADS * CALLS / 10)]);
    }
}
