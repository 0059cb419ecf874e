//! What happened to every record, counted where it happens and never derived from a sum.
//!
//! Constraints:
//! * `offered = below + passed` at the module stage; for each destination
//!   `passed = below + off + suppressed + accepted`; for otlp
//!   `accepted = delivered + unconfirmed + rejected + dropped + pending`.
//! * The callers' counters are sharded by thread: threads do not share a cache line, and most need no atomic addition.
//! * The ship thread moves records from pending to a fate under one lock, and a snapshot reads under the same lock.
//!   A snapshot reads fates before entries, so it is exact when no call is in progress, and otherwise off by at most
//!   the calls that ran while it was taken.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::thread::{EXCLUSIVE, SHARED};

/// A counter that a log call moves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Count {
    /// Put into the outbox.
    Appended,
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
    Offered,
    OtlpAccepted,
    OtlpBelow,
    OtlpOff,
    OtlpSuppressed,
}

const COUNTS: usize = Count::OtlpSuppressed as usize + 1;

/// Why an accepted record was dropped before any endpoint answered for it. The set is closed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DropReason {
    /// A value's `Display`, `Debug` or `Serialize` panicked while the record was encoded.
    FormatPanicked,
    /// The outbox was full.
    OutboxFull,
    /// One of the application's own log processors did not hand the record on.
    Processor,
    /// It was written after `shutdown`, or still waiting when `shutdown` ran out of time.
    Shutdown,
    /// The ship thread could not be started.
    ThreadLost,
    /// The record alone is larger than the whole outbox.
    TooLarge,
}

impl DropReason {
    /// All reasons, in the order of the report.
    pub const ALL: [Self; 6] =
        [Self::FormatPanicked, Self::OutboxFull, Self::Processor, Self::Shutdown, Self::ThreadLost, Self::TooLarge];

    /// The reason in words, as the report says it.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::FormatPanicked => "a value panicked while it was formatted",
            Self::OutboxFull => "the outbox was full",
            Self::Processor => "a log processor of the application did not hand it on",
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

/// Why an endpoint did not take a record. The set is closed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum RejectReason {
    /// 401 or 403.
    Auth,
    /// 400: the endpoint could not read the request.
    Malformed,
    /// 404 or 405: nothing takes logs at that path.
    NotFound,
    /// Another status that is final.
    OtherStatus,
    /// The endpoint took the request, but said that it rejected some of its records.
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
            Self::NotFound => "nothing takes logs at that path (404, 405)",
            Self::OtherStatus => "the endpoint refused for good",
            Self::PartialSuccess => "the endpoint took the request but rejected the record",
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

/// One copy of the callers' counters, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Cells {
    counts: [AtomicU64; COUNTS],
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Cells {
    fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; COUNTS],
            dropped: [const { AtomicU64::new(0) }; DropReason::ALL.len()],
        }
    }
}

/// What the ship thread counts.
#[derive(Clone, Debug, Default)]
struct Fates {
    delivered: u64,
    unconfirmed: u64,
    rejected: [u64; RejectReason::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
    /// Taken out of the outbox: the sum of the fates above, counted on its own.
    removed: u64,
}

/// What became of a group of records that leaves the outbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    Delivered,
    Dropped(DropReason),
    Rejected(RejectReason),
    Unconfirmed,
}

/// All counters of one pipeline.
#[derive(Debug)]
pub(crate) struct Ledger {
    cells: Vec<Cells>,
    fates: Mutex<Fates>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { cells: (0..EXCLUSIVE + SHARED).map(|_| Cells::new()).collect(), fates: Mutex::new(Fates::default()) }
    }

    /// Counts one event of a log call. `thread` is `thread::number`.
    #[inline]
    pub(crate) fn count(&self, thread: usize, count: Count) {
        if let Some(cell) = self.cells.get(thread).and_then(|cells| cells.counts.get(count as usize)) {
            add_one(cell, thread);
        }
    }

    /// Counts an accepted record that never reached the outbox.
    #[cold]
    pub(crate) fn count_dropped(&self, thread: usize, reason: DropReason) {
        if let Some(cell) = self.cells.get(thread).and_then(|cells| cells.dropped.get(reason as usize)) {
            add_one(cell, thread);
        }
    }

    /// Moves records from pending to their fates, in one step.
    pub(crate) fn resolve(&self, fates: &[(Fate, u64)]) {
        let mut guard = self.fates();
        for (fate, records) in fates {
            match fate {
                Fate::Delivered => guard.delivered += records,
                Fate::Dropped(reason) => add(&mut guard.dropped, *reason as usize, *records),
                Fate::Rejected(reason) => add(&mut guard.rejected, *reason as usize, *records),
                Fate::Unconfirmed => guard.unconfirmed += records,
            }
            guard.removed += records;
        }
    }

    /// The counters now, by the rule at the head of this module.
    pub(crate) fn snapshot(&self) -> Counters {
        let (fates, appended, dropped_early) = {
            let guard = self.fates();
            let dropped: Vec<u64> = (0..DropReason::ALL.len())
                .map(|reason| self.cells.iter().map(|cells| load(&cells.dropped, reason)).sum())
                .collect();
            (guard.clone(), self.sum(Count::Appended), dropped)
        };
        let dropped = DropReason::ALL
            .iter()
            .zip(&dropped_early)
            .map(|(reason, early)| (*reason, early + fates.dropped.get(*reason as usize).copied().unwrap_or(0)))
            .filter(|(_, records)| *records > 0)
            .collect();
        let rejected = RejectReason::ALL
            .iter()
            .map(|reason| (*reason, fates.rejected.get(*reason as usize).copied().unwrap_or(0)))
            .filter(|(_, records)| *records > 0)
            .collect();
        let console_failed = self.sum(Count::ConsoleFailed);
        let otlp = OtlpCounters {
            delivered: fates.delivered,
            unconfirmed: fates.unconfirmed,
            rejected,
            dropped,
            pending: appended.saturating_sub(fates.removed),
            accepted: self.sum(Count::OtlpAccepted),
            below: self.sum(Count::OtlpBelow),
            off: self.sum(Count::OtlpOff),
            suppressed: self.sum(Count::OtlpSuppressed),
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
            otlp,
            console,
            mirror_failed: self.sum(Count::MirrorFailed),
            mirrored: self.sum(Count::MirrorWritten),
            below,
            passed,
            internal: self.sum(Count::Internal),
            offered: self.sum(Count::Offered),
        }
    }

    fn sum(&self, count: Count) -> u64 {
        self.cells.iter().map(|cells| load(&cells.counts, count as usize)).sum()
    }

    fn fates(&self) -> MutexGuard<'_, Fates> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The ledger at one moment.
///
/// Exact when no log call is in progress, otherwise off by at most the calls that ran while it was taken.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Records that reached logbridge from the application.
    pub offered: u64,
    /// Cut by the module stage (RUST_LOG, `filter_module`).
    pub below: u64,
    /// Let through by the module stage.
    pub passed: u64,
    /// What became of them on the way to the OTLP endpoint.
    pub otlp: OtlpCounters,
    /// What became of them on the way to the console.
    pub console: ConsoleCounters,
    /// Printed by the debug mirror.
    pub mirrored: u64,
    /// Not printed by the debug mirror, because stdout could not be written.
    pub mirror_failed: u64,
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
    /// Waiting in the outbox or on their way.
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
                            0 => ledger.count_dropped(thread, DropReason::OutboxFull),
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
                    ledger.resolve(&[(Fate::Delivered, half), (Fate::Rejected(RejectReason::Auth), pending - half)]);
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
