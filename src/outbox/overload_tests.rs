use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use super::super::Group;
use super::super::tests::{frame, frame_of, offer, records, recycle, seal};
use super::*;
use crate::ledger::{Count, Ledger, OtlpCounters};

const DEADLINE: Duration = Duration::from_secs(20);

struct Rig {
    outbox: Outbox,
    ledger: Arc<Ledger>,
}

impl Rig {
    fn new(max_bytes: usize, overload: Overload) -> Self {
        Self::with_max_records(max_bytes, overload, None)
    }

    fn with_max_records(max_bytes: usize, overload: Overload, most: Option<usize>) -> Self {
        let ledger = Arc::new(Ledger::new());
        let outbox = Outbox::new(max_bytes, 1, Arc::clone(&ledger)).with_max_records(most).with_overload(overload);
        Self { outbox, ledger }
    }

    fn offer(&self, thread: usize, high: bool, frame: &[u8]) -> Result<(), DropReason> {
        offer(&self.outbox, &self.ledger, thread, high, frame)
    }

    /// Appends numbered frames until one is refused. Returns how many were accepted, and why that one was refused.
    fn fill(&self, high: bool, from: usize) -> (usize, DropReason) {
        let mut number = from;
        loop {
            match self.offer(0, high, &numbered(number, high)) {
                Ok(()) => number += 1,
                Err(reason) => return (number - from, reason),
            }
        }
    }

    /// Fills the outbox, below WARN and then at WARN, without applying the policy.
    fn fill_without_policy(&self) {
        for high in [false, true] {
            while self.outbox.append(0, high, &numbered(0, high)).is_ok() {
                self.ledger.count(0, Count::OtlpAccepted);
                self.ledger.count(0, Count::Appended);
            }
        }
    }

    fn numbers(&self) -> Vec<usize> {
        let mut queue = VecDeque::new();
        seal(&self.outbox, &mut queue);
        let numbers = records(&queue).iter().map(|record| record[..6].parse().expect("a number")).collect();
        self.deliver(queue);
        numbers
    }

    /// Does what the exporter thread does.
    fn deliver(&self, groups: VecDeque<Group>) {
        let records = groups.iter().map(Group::records).sum();
        self.ledger.resolve(Signal::Logs, &[(ItemOutcome::Delivered, records)]);
        self.outbox.release(records);
        groups.into_iter().for_each(|group| recycle(&self.outbox, group));
        self.outbox.notify_waiters();
    }

    fn otlp(&self) -> OtlpCounters {
        self.ledger.snapshot().otlp
    }

    fn dropped(&self, reason: DropReason) -> usize {
        self.otlp().dropped.iter().find(|(r, _)| *r == reason).map_or(0, |(_, records)| *records as usize)
    }

    /// The losses by level and target add up to those in the ledger.
    fn assert_accounts(&self) {
        let otlp = self.otlp();
        assert_eq!(otlp.accepted, otlp.delivered + otlp.dropped_total() + otlp.pending, "{otlp:?}");
        let counted: u64 = self.outbox.losses().iter().map(|loss| loss.records).sum();
        assert_eq!(counted, otlp.dropped_total(), "{otlp:?}");
    }
}

fn numbered(number: usize, high: bool) -> Vec<u8> {
    let severity = if high { 13 } else { 9 };
    frame_of("test", severity, &format!("{number:06}{}", "x".repeat(500)))
}

#[test]
fn the_newest_go_by_default() {
    let rig = Rig::new(64 << 10, Overload::DropNewest);
    let (taken, reason) = rig.fill(false, 0);
    assert_eq!(reason, DropReason::OutboxFull);
    assert_eq!(rig.offer(0, true, &frame("warn")).err(), Some(DropReason::OutboxFull), "its lane has no segment");
    assert_eq!(rig.numbers(), (0..taken).collect::<Vec<_>>());
    rig.assert_accounts();
}

#[test]
fn the_oldest_go_by_segments_and_what_stays_is_in_order() {
    const RECORDS: usize = 1_000;
    let rig = Rig::new(64 << 10, Overload::DropOldest);
    for number in 0..RECORDS {
        assert_eq!(rig.offer(0, number % 2 == 0, &numbered(number, number % 2 == 0)), Ok(()));
        let (allocated, bound) = rig.outbox.allocated_and_bound();
        assert!(allocated <= bound, "{allocated} {bound}");
    }
    let evicted = rig.dropped(DropReason::EvictedOldest);
    let mut numbers = rig.numbers();
    assert_eq!(numbers.len() + evicted, RECORDS);
    assert!(numbers.len() > 40 && numbers.contains(&(RECORDS - 1)), "{numbers:?}");
    numbers.sort_unstable();
    assert!(numbers[0] > RECORDS - 150, "{numbers:?}");
    rig.assert_accounts();
    let levels: Vec<_> = rig.outbox.losses().iter().map(|loss| (loss.target.clone(), loss.level)).collect();
    assert_eq!(levels.len(), 2, "{levels:?}");
    assert!(levels.contains(&("test".to_owned(), Some(log::Level::Warn))), "{levels:?}");
}

#[test]
fn warnings_get_in_and_cost_only_what_is_below_them() {
    let rig = Rig::new(64 << 10, Overload::DropLeastSevere);
    let (low, reason) = rig.fill(false, 0);
    assert_eq!(reason, DropReason::RefusedBelowWarn, "a rest is kept for warnings");
    let (high, reason) = rig.fill(true, 100_000);
    assert_eq!(reason, DropReason::OutboxFull, "only warnings are left, and they do not go for one another");
    assert_eq!(rig.dropped(DropReason::EvictedLessSevere), low);
    assert_eq!(rig.dropped(DropReason::EvictedOldest), 0);
    assert!(high > low, "{high} {low}");
    assert_eq!(rig.fill(false, 0), (0, DropReason::RefusedBelowWarn));
    assert_eq!(rig.numbers(), (100_000..100_000 + high).collect::<Vec<_>>());
    rig.assert_accounts();
    // There is space again, and segments below WARN that are begun now may be evicted.
    let (low, _) = rig.fill(false, 0);
    assert!(low > 0 && rig.fill(true, 100_000).0 > low);
    assert_eq!(rig.numbers().iter().filter(|number| **number < 100_000).count(), 0);
    rig.assert_accounts();
}

#[test]
fn what_is_in_flight_stays_and_the_newest_goes() {
    for (overload, high) in [(Overload::DropOldest, false), (Overload::DropLeastSevere, true)] {
        let rig = Rig::new(64 << 10, overload);
        rig.fill_without_policy();
        let mut in_flight = VecDeque::new();
        seal(&rig.outbox, &mut in_flight);
        assert_eq!(rig.offer(0, high, &numbered(1, high)), Err(DropReason::OutboxFull));
        assert_eq!(rig.otlp().dropped_total(), 1, "that one alone");
        rig.deliver(in_flight);
        assert_eq!(rig.offer(0, high, &numbered(1, high)), Ok(()));
        rig.assert_accounts();
    }
}

#[test]
fn a_large_record_costs_what_it_needs_or_nothing() {
    let rig = Rig::new(1 << 20, Overload::DropOldest);
    let (mut number, bound) = (0, rig.outbox.pool.bound);
    while rig.dropped(DropReason::EvictedOldest) == 0 {
        rig.offer(0, false, &numbered(number, false)).expect("the oldest make room");
        number += 1;
    }
    let before = rig.dropped(DropReason::EvictedOldest);
    // Larger than two segments.
    let large = frame(&"x".repeat(rig.outbox.pool.block_bytes() * 2));
    assert_eq!(rig.offer(0, false, &large), Ok(()));
    let cost = rig.dropped(DropReason::EvictedOldest) - before;
    assert!(cost > before && cost < 4 * before, "{cost} {before}");
    let mut in_flight = VecDeque::new();
    // That segment, and the segments before it.
    in_flight.extend(std::iter::from_fn(|| rig.outbox.take_sealed()));
    assert_eq!(rig.offer(0, false, &numbered(number, false)), Ok(()));
    // While that segment is being sent, evicting all others would not be enough.
    let before = rig.dropped(DropReason::EvictedOldest);
    assert_eq!(rig.offer(0, false, &frame(&"x".repeat(bound - 1_000))), Err(DropReason::OutboxFull));
    assert_eq!(rig.dropped(DropReason::EvictedOldest), before, "nothing is given up for nothing");
    assert_eq!(rig.offer(0, false, &frame(&"x".repeat(bound))), Err(DropReason::TooLarge));
    rig.deliver(in_flight);
    rig.assert_accounts();
}

#[test]
fn a_large_record_may_have_the_memory_of_the_pool() {
    let rig = Rig::new(1 << 20, Overload::DropNewest);
    rig.fill(false, 0);
    rig.numbers();
    let half = frame(&"x".repeat(rig.outbox.pool.bound / 2));
    assert_eq!(rig.offer(0, false, &half), Ok(()), "nothing waits, and the pool is no reason to refuse it");
}

#[test]
fn segments_that_go_out_of_order_do_not_count_for_those_before_them() {
    let rig = Rig::new(64 << 10, Overload::DropLeastSevere);
    rig.offer(0, true, &numbered(0, true)).expect("there is room");
    assert_eq!(rig.outbox.seal(), 1);
    let (low, _) = rig.fill(false, 1);
    let sealed = rig.outbox.seal();
    assert!(sealed > 1);
    while rig.dropped(DropReason::EvictedLessSevere) < low {
        rig.offer(0, true, &numbered(0, true)).expect("what is below makes room");
    }
    assert_eq!(rig.outbox.oldest_group(), 0, "the first one is still here");
    let first = rig.outbox.take_sealed().expect("the first one");
    assert_eq!((first.number(), first.records()), (0, 1));
    assert!(rig.outbox.oldest_group() >= sealed, "all that were dropped");
    rig.deliver([first].into());
}

#[test]
fn a_bound_of_one_record_obeys_the_policy() {
    let most = Some(1);
    let rig = Rig::with_max_records(1 << 20, Overload::DropNewest, most);
    assert_eq!(rig.fill(false, 0), (1, DropReason::OutboxFull));
    assert_eq!(rig.numbers(), [0]);
    assert_eq!(rig.offer(0, false, &numbered(1, false)), Ok(()));

    let rig = Rig::with_max_records(1 << 20, Overload::DropOldest, most);
    for number in 0..100 {
        assert_eq!(rig.offer(0, number % 2 == 0, &numbered(number, number % 2 == 0)), Ok(()));
    }
    assert_eq!((rig.numbers(), rig.dropped(DropReason::EvictedOldest)), (vec![99], 99));
    rig.assert_accounts();

    let rig = Rig::with_max_records(1 << 20, Overload::DropLeastSevere, most);
    assert_eq!(rig.fill(false, 0), (1, DropReason::RefusedBelowWarn));
    assert_eq!(rig.fill(true, 7), (1, DropReason::OutboxFull));
    assert_eq!((rig.numbers(), rig.dropped(DropReason::EvictedLessSevere)), (vec![7], 1));
    rig.assert_accounts();

    let rig = Rig::with_max_records(1 << 20, Overload::Block(Duration::from_millis(1)), most);
    assert_eq!(rig.fill(false, 0), (1, DropReason::BlockTimeout));
    assert_eq!(rig.numbers(), [0]);
    assert_eq!(rig.offer(0, false, &numbered(1, false)), Ok(()));
    rig.assert_accounts();
}

#[test]
fn a_bound_in_records_is_kept_and_reached_in_small_memory_too() {
    for overload in [Overload::DropNewest, Overload::DropOldest, Overload::DropLeastSevere] {
        let rig = Rig::with_max_records(256 << 10, overload, Some(100));
        for number in 0..1_000 {
            let high = number % 3 == 0;
            let _some_are_refused = rig.offer(number % 8, high, &frame_of("test", if high { 13 } else { 9 }, "short"));
            assert!(rig.otlp().pending <= 100);
        }
        assert!(rig.otlp().pending > 80, "{overload}: {:?}", rig.otlp());
        rig.assert_accounts();
    }
}

#[test]
fn who_waits_gets_in_when_there_is_room() {
    let rig = Rig::new(64 << 10, Overload::Block(2 * DEADLINE));
    rig.fill_without_policy();
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..8)
            .map(|thread| {
                scope.spawn({
                    let rig = &rig;
                    move || rig.offer(thread, false, &numbered(thread, false))
                })
            })
            .collect();
        let start = Instant::now();
        while rig.outbox.waiters.count() < 8 {
            assert!(start.elapsed() < DEADLINE, "they wait");
            std::thread::yield_now();
        }
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        rig.numbers();
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Ok(()));
        }
        assert!(start.elapsed() < DEADLINE, "they are woken, and do not find it out at their deadline");
    });
    assert_eq!(rig.numbers().len(), 8);
    assert_eq!(rig.outbox.waiters.count(), 0);
    rig.assert_accounts();
}

#[test]
fn who_waits_in_vain_waits_once_until_there_was_room() {
    let wait = Duration::from_millis(100);
    let rig = Rig::new(64 << 10, Overload::Block(wait));
    let start = Instant::now();
    assert_eq!(rig.fill(false, 0).1, DropReason::BlockTimeout);
    assert!(start.elapsed() >= wait);
    // Nothing is taken out. If each of these calls waited, it would take more than a minute and a half.
    let start = Instant::now();
    for number in 0..1_000 {
        assert_eq!(rig.offer(0, false, &numbered(number, false)), Err(DropReason::BlockTimeout));
    }
    assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());
    rig.numbers();
    let start = Instant::now();
    assert_eq!(rig.fill(false, 0).1, DropReason::BlockTimeout);
    assert!(start.elapsed() >= wait, "there was room: the next one waits again");
    rig.assert_accounts();
}

#[test]
fn who_waits_is_let_go_when_the_outbox_closes() {
    let rig = Rig::new(64 << 10, Overload::Block(Duration::from_secs(3_600)));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| rig.fill(false, 0));
        let start = Instant::now();
        while rig.outbox.waiters.count() == 0 {
            assert!(start.elapsed() < DEADLINE, "it waits");
            std::thread::yield_now();
        }
        rig.outbox.close();
        assert_eq!(waiter.join().expect("no panic").1, DropReason::Shutdown);
    });
    assert_eq!(rig.fill(false, 0), (0, DropReason::Shutdown), "nor does anybody wait after that");
    rig.assert_accounts();
}

/// Ends the other threads, even if an assertion fails.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Threads that log more than fits, a thread that sends a part of it, and a thread that seals and waits like a flush.
fn storm(overload: Overload, max_records: Option<usize>) {
    const THREADS: usize = 4;
    const EACH: usize = 3_000;
    let ledger = Arc::new(Ledger::new());
    let outbox = Outbox::new(128 << 10, 2, Arc::clone(&ledger)).with_max_records(max_records).with_overload(overload);
    let rig = Rig { outbox, ledger };
    let (ended, settled) = (AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (rig, ended) = (&rig, &ended);
            scope.spawn(move || {
                for number in 0..EACH {
                    let high = number % 4 == 0;
                    let length = if number % 500 == 0 { 40 << 10 } else { 300 };
                    let frame = frame_of(["a", "b"][number % 2], if high { 17 } else { 9 }, &"x".repeat(length));
                    let _dropped_or_not = rig.offer(thread, high, &frame);
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let (rig, settled, done) = (&rig, &settled, &done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let batch: VecDeque<Group> = std::iter::from_fn(|| rig.outbox.take_sealed()).take(2).collect();
                rig.deliver(batch);
                settled.store(rig.outbox.oldest_group(), Ordering::SeqCst);
                std::thread::yield_now();
            }
        });
        let _finish = Finish(done);
        let all = (THREADS * EACH) as u64;
        loop {
            let before = ended.load(Ordering::SeqCst);
            let sealed = rig.outbox.seal();
            let start = Instant::now();
            while settled.load(Ordering::SeqCst) < sealed {
                assert!(start.elapsed() < DEADLINE, "a flush ends");
                std::thread::yield_now();
            }
            let otlp = rig.otlp();
            let outcomes = otlp.delivered + otlp.dropped_total();
            assert!(outcomes >= before, "{overload}: a record of before has no outcome: {outcomes} {before}");
            assert!(outcomes + otlp.pending <= otlp.accepted, "{overload}: {otlp:?}");
            let (allocated, bound) = rig.outbox.allocated_and_bound();
            assert!(allocated <= bound, "{overload}: {allocated} {bound}");
            if before == all {
                break;
            }
        }
    });
    rig.numbers_are_all(THREADS * EACH);
}

impl Rig {
    fn numbers_are_all(&self, accepted: usize) {
        let otlp = self.otlp();
        assert_eq!((otlp.accepted as usize, otlp.pending), (accepted, 0), "{otlp:?}");
        self.assert_accounts();
        assert_eq!(self.outbox.records.load(Ordering::Relaxed), 0);
        assert_eq!(self.outbox.pool.use_and_bound().0, 0, "no segment is lost");
    }
}

#[test]
fn accounts_hold_and_flushes_end_while_threads_write_too_much() {
    for overload in [
        Overload::DropNewest,
        Overload::DropOldest,
        Overload::DropLeastSevere,
        Overload::Block(Duration::from_millis(2)),
        Overload::Block(DEADLINE),
    ] {
        for max_records in [None, Some(1), Some(50)] {
            storm(overload, max_records);
        }
    }
}
