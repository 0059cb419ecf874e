//! The hand-over between log calls and the exporter thread, in every interleaving of threads: `RUSTFLAGS="--cfg
//! logbridge_loom" cargo test --lib loom`.
//!
//! These tests run the real outbox, in memory. Small interleavings are complete. `LOOM_MAX_PREEMPTIONS` bounds how
//! often a thread is preempted, which determines the run time.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use loom::model::Builder;
use loom::sync::Notify;
use loom::thread;

use super::tests::{frame_of, recycle};
use super::*;
use crate::config::Overload;
use crate::ledger::{Count, DropReason, ItemOutcome, Ledger};
use crate::signal::Signal;

/// Nearly all errors need no more preemptions, and a bound of three takes many minutes.
const PREEMPTIONS: usize = 2;

fn explore(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
    builder.check(test);
}

struct Rig {
    outbox: Outbox,
    ledger: Arc<Ledger>,
    /// The wake-up of the exporter thread: a permit that is kept until the thread checks.
    wake: Notify,
}

impl Rig {
    fn new(max_bytes: usize, shards: usize, overload: Overload) -> Arc<Self> {
        let ledger = Arc::new(Ledger::new());
        let outbox = Outbox::new(max_bytes, shards, Arc::clone(&ledger)).with_overload(overload);
        Arc::new(Self { outbox, ledger, wake: Notify::new() })
    }

    /// Does what a log call does.
    fn log(&self, shard: usize, high: bool, number: u8, length: usize) -> bool {
        let frame = frame_of("loom", 9, &format!("{number}{}", "x".repeat(length)));
        self.ledger.count(shard, Count::OtlpAccepted);
        let appended = match self.outbox.append(shard, high, &frame) {
            Err(DropReason::OutboxFull) => self.outbox.append_evicting(shard, high, &frame),
            appended => appended.map_err(Refused::from),
        };
        match appended {
            Ok(wake) => {
                self.ledger.count(shard, Count::Appended);
                if wake == Wake::Yes {
                    self.wake.notify();
                }
            }
            Err(Refused { reason, .. }) => self.ledger.count_dropped(shard, Signal::Logs, reason),
        }
        appended.is_ok()
    }

    /// Does what the exporter thread does until this many records have arrived: it checks, and sleeps if there are
    /// none.
    fn ship(&self, records: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        loop {
            if self.outbox.has_unsealed() {
                self.outbox.seal();
            }
            while let Some(group) = self.outbox.take_sealed() {
                taken.extend(numbers(&group));
                recycle(&self.outbox, group);
            }
            if taken.len() >= records {
                return taken;
            }
            self.wake.wait();
        }
    }
}

fn numbers(group: &Group) -> Vec<u8> {
    InOrder::from(group.lanes(), [0; 2]).map(|(_, frame)| frame.record[0]).collect()
}

fn sorted(mut numbers: Vec<u8>) -> Vec<u8> {
    numbers.sort_unstable();
    numbers
}

/// If a wake-up is lost, the exporter thread sleeps forever, and loom reports that.
fn nobody_is_forgotten(shards: [usize; 2]) {
    explore(move || {
        let rig = Rig::new(1 << 16, 2, Overload::DropNewest);
        let loggers = [(shards[0], b'1'), (shards[1], b'3')].map(|(shard, number)| {
            let rig = Arc::clone(&rig);
            thread::spawn(move || {
                assert!(rig.log(shard, false, number - b'0', 0));
                assert!(rig.log(shard, true, number - b'0' + 1, 0));
            })
        });
        assert_eq!(sorted(rig.ship(4)), b"1234");
        loggers.into_iter().for_each(|logger| logger.join().expect("no panic"));
        assert_eq!(rig.outbox.take_sealed().map(|group| numbers(&group)), None, "no record twice");
    });
}

#[test]
fn no_wake_up_is_lost_between_two_shards() {
    nobody_is_forgotten([0, 1]);
}

#[test]
fn no_wake_up_is_lost_in_one_shard() {
    nobody_is_forgotten([0, 0]);
}

/// Another thread also seals: a flush, or a call that searches for segments to evict.
#[test]
fn no_wake_up_is_lost_while_others_seal() {
    explore(|| {
        let rig = Rig::new(1 << 16, 2, Overload::DropNewest);
        let logger = {
            let rig = Arc::clone(&rig);
            thread::spawn(move || (1..=2).for_each(|number| assert!(rig.log(0, false, number, 0))))
        };
        let flush = {
            let rig = Arc::clone(&rig);
            thread::spawn(move || {
                assert!(rig.log(1, false, 3, 0));
                rig.outbox.seal();
                // Ordering the flush wakes the exporter thread.
                rig.wake.notify();
            })
        };
        assert_eq!(sorted(rig.ship(3)), b"123");
        logger.join().expect("no panic");
        flush.join().expect("no panic");
    });
}

#[test]
fn what_was_appended_before_a_seal_is_among_the_segments_it_counts() {
    explore(|| {
        let rig = Rig::new(1 << 16, 2, Overload::DropNewest);
        let threads = [0, 1].map(|shard| {
            let rig = Arc::clone(&rig);
            thread::spawn(move || {
                assert!(rig.log(shard, false, 1 + shard as u8, 0));
                rig.outbox.seal()
            })
        });
        rig.outbox.seal();
        let barriers = threads.map(|thread| thread.join().expect("no panic"));
        rig.outbox.seal();
        let mut seen = HashSet::new();
        for group in std::iter::from_fn(|| rig.outbox.take_sealed()) {
            for number in numbers(&group) {
                assert!(seen.insert(number), "{number} came twice");
                let barrier = barriers[usize::from(number - b'1')];
                assert!(group.number() < barrier, "{number} is in {} of {barrier}", group.number());
            }
        }
        assert_eq!(seen.len(), 2);
    });
}

/// Evicted records leave only after they are counted. Otherwise, a flush could return `Ok` in between.
#[test]
fn a_flush_finds_what_was_dropped_in_the_ledger() {
    explore(|| {
        // Four segments of half a kilobyte or less, and each record fills one.
        let rig = Rig::new(2 << 10, 1, Overload::DropOldest);
        let length = rig.outbox.pool.block_bytes() - 64;
        for number in 1..=4 {
            assert!(rig.log(0, false, number, length));
        }
        let barrier = rig.outbox.seal();
        let logger = {
            let rig = Arc::clone(&rig);
            thread::spawn(move || assert!(rig.log(0, false, 5, length)))
        };
        let ship = {
            let rig = Arc::clone(&rig);
            thread::spawn(move || {
                let Some(group) = rig.outbox.take_sealed() else { return };
                rig.ledger.resolve(Signal::Logs, &[(ItemOutcome::Delivered, group.records())]);
                recycle(&rig.outbox, group);
            })
        };
        ship.join().expect("no panic");
        let left = rig.outbox.oldest_group();
        let otlp = rig.ledger.snapshot().otlp;
        let over = otlp.delivered + otlp.dropped_total();
        assert!(over >= left.min(barrier), "{left} have left, and {over} have an outcome");
        logger.join().expect("no panic");
        assert_eq!(rig.ledger.snapshot().otlp.dropped_total() + rig.ledger.snapshot().otlp.delivered, {
            let waiting: u64 = {
                rig.outbox.seal();
                std::iter::from_fn(|| rig.outbox.take_sealed()).map(|group| group.records()).sum()
            };
            5 - waiting
        });
    });
}

/// One thread writes to both lanes while another seals, and one more begins a segment of the same shard.
#[test]
fn a_thread_finds_its_records_in_order() {
    explore(|| {
        // Space for one segment per record, and for segments that are created in vain. A smaller bound has four in
        // total.
        let rig = Rig::new(16 << 20, 1, Overload::DropNewest);
        let logger = {
            let rig = Arc::clone(&rig);
            thread::spawn(move || (1..=3).for_each(|number| assert!(rig.log(0, number == 2, number, 0))))
        };
        let other = {
            let rig = Arc::clone(&rig);
            thread::spawn(move || {
                assert!(rig.log(0, false, 9, 0));
                rig.outbox.seal();
                rig.wake.notify();
            })
        };
        let mine: Vec<u8> = rig.ship(4).into_iter().filter(|number| *number != b'9').collect();
        assert_eq!(mine, b"123");
        logger.join().expect("no panic");
        other.join().expect("no panic");
    });
}

/// A thread that waits for space is woken, whenever space is freed.
#[test]
fn who_waits_for_room_is_not_forgotten() {
    explore(|| {
        let rig = Rig::new(2 << 10, 1, Overload::Block(Duration::from_secs(3_600)));
        let length = rig.outbox.pool.block_bytes() - 64;
        for number in 1..=4 {
            assert!(rig.log(0, false, number, length));
        }
        rig.outbox.seal();
        let waiter = {
            let rig = Arc::clone(&rig);
            thread::spawn(move || {
                let frame = frame_of("loom", 9, "5");
                rig.outbox.append_blocking(0, false, &frame, Duration::from_secs(3_600)).is_ok()
            })
        };
        let group = rig.outbox.take_sealed().expect("four are there");
        recycle(&rig.outbox, group);
        rig.outbox.notify_waiters();
        assert!(waiter.join().expect("no panic"));
    });
}
