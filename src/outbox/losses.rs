//! What an overload has cost, by reason, level and target.
//!
//! Constraints:
//! * Counted only where a record is dropped, by the thread that does: what is accepted pays nothing.
//! * Bounded: so many targets are told apart, and all others are counted together.
//! * Sharded by thread, since under overload every thread counts.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use log::Level;

use super::frame::Frame;
use super::segment::Segment;
use super::sync::{AtomicBool, Mutex, lock};
use crate::ledger::DropReason;
use crate::otlp::ScopeView;

const SHARDS: usize = 8;
/// How many targets a shard tells apart.
const MAX_TARGETS: usize = 100;
/// A longer target is counted among the others.
const MAX_TARGET_BYTES: usize = 256;

/// Records that were dropped for the same reason, of the same level and target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Loss {
    pub(crate) reason: DropReason,
    /// Empty for all that are more than are told apart.
    pub(crate) target: String,
    /// None where the record had no severity.
    pub(crate) level: Option<Level>,
    pub(crate) records: u64,
}

/// Few: one for each reason and level that the target has lost records for.
type Counts = Vec<(DropReason, Option<Level>, u64)>;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    targets: Mutex<HashMap<Box<str>, Counts>>,
}

#[derive(Debug, Default)]
pub(super) struct Losses {
    shards: [Shard; SHARDS],
    /// Something was counted that nobody has told yet.
    untold: AtomicBool,
}

impl Losses {
    /// Counts one record that was not taken. Returns whether that is the first that nobody has told.
    pub(super) fn count(&self, thread: usize, reason: DropReason, frame: Frame<'_>) -> bool {
        let scope = ScopeView::read(frame.scope);
        self.add(thread, &scope.name, reason, level(frame.severity), 1);
        self.note()
    }

    /// Counts the records of a segment that made room.
    pub(super) fn count_segment(&self, thread: usize, reason: DropReason, segment: &Segment) {
        // Neighbours mostly have the same scope and level: they are counted together.
        let mut run: Option<(&[u8], u8, u64)> = None;
        let mut add = |(scope, severity, records): (&[u8], u8, u64)| {
            self.add(thread, &ScopeView::read(scope).name, reason, level(severity), records);
        };
        for frame in segment.frames_from(0) {
            match &mut run {
                Some((scope, severity, records)) if *scope == frame.scope && *severity == frame.severity => {
                    *records += 1
                }
                _ => run.replace((frame.scope, frame.severity, 1)).into_iter().for_each(&mut add),
            }
        }
        run.into_iter().for_each(add);
        let _whoever_evicts_wakes_anyway = self.note();
    }

    fn note(&self) -> bool {
        !self.untold.load(Ordering::Relaxed) && !self.untold.swap(true, Ordering::Relaxed)
    }

    fn add(&self, thread: usize, target: &str, reason: DropReason, level: Option<Level>, records: u64) {
        let Some(shard) = self.shards.get(thread % SHARDS) else { return };
        let mut targets = lock(&shard.targets);
        let is_known = targets.contains_key(target);
        let target =
            if is_known || (targets.len() < MAX_TARGETS && target.len() <= MAX_TARGET_BYTES) { target } else { "" };
        // Not by `entry`, which needs a copy of the name each time.
        let counts = match targets.get_mut(target) {
            Some(counts) => counts,
            None => targets.entry(target.into()).or_default(),
        };
        match counts.iter_mut().find(|(r, l, _)| (*r, *l) == (reason, level)) {
            Some((_, _, count)) => *count += records,
            None => counts.push((reason, level, records)),
        }
    }

    /// Whether there is something to tell.
    pub(super) fn is_untold(&self) -> bool {
        self.untold.load(Ordering::Relaxed)
    }

    /// It is being told now: the next loss is news again.
    pub(super) fn told(&self) {
        self.untold.store(false, Ordering::Relaxed);
    }

    /// All losses, the largest first.
    pub(super) fn all(&self) -> Vec<Loss> {
        let mut sums: HashMap<(DropReason, String, Option<Level>), u64> = HashMap::new();
        for shard in &self.shards {
            for (target, counts) in &*lock(&shard.targets) {
                for (reason, level, records) in counts {
                    *sums.entry((*reason, target.to_string(), *level)).or_default() += records;
                }
            }
        }
        let mut all: Vec<Loss> = sums
            .into_iter()
            .map(|((reason, target, level), records)| Loss { reason, target, level, records })
            .collect();
        all.sort_by(|a, b| {
            let order = b.records.cmp(&a.records).then_with(|| a.target.cmp(&b.target));
            order.then_with(|| (a.reason, a.level).cmp(&(b.reason, b.level)))
        });
        all
    }
}

/// The level whose range a severity lies in.
fn level(severity: u8) -> Option<Level> {
    match severity {
        0 => None,
        1..=4 => Some(Level::Trace),
        5..=8 => Some(Level::Debug),
        9..=12 => Some(Level::Info),
        13..=16 => Some(Level::Warn),
        17.. => Some(Level::Error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::frame_of;
    use super::super::{Segment, read_frame};
    use super::*;

    fn count(losses: &Losses, thread: usize, target: &str, severity: u8) -> bool {
        let bytes = frame_of(target, severity, "text");
        losses.count(thread, DropReason::OutboxFull, read_frame(&bytes).expect("a frame"))
    }

    #[test]
    fn losses_are_summed_over_threads_and_the_first_is_news() {
        let losses = Losses::default();
        let news: Vec<bool> = [0, 1, 0, 9].map(|thread| count(&losses, thread, "a", 9)).to_vec();
        assert_eq!(news, [true, false, false, false]);
        losses.told();
        assert!(!losses.is_untold() && count(&losses, 2, "b", 0) && losses.is_untold());
        let loss = |target: &str, level, records| Loss {
            reason: DropReason::OutboxFull,
            target: target.to_owned(),
            level,
            records,
        };
        assert_eq!(losses.all(), [loss("a", Some(Level::Info), 4), loss("b", None, 1)]);
    }

    #[test]
    fn targets_are_few_and_the_others_are_counted_together() {
        let losses = Losses::default();
        for target in 0..MAX_TARGETS + 50 {
            count(&losses, 0, &target.to_string(), 13);
        }
        count(&losses, 0, "3", 13);
        count(&losses, 0, &"x".repeat(MAX_TARGET_BYTES + 1), 13);
        let all = losses.all();
        assert_eq!(all.len(), MAX_TARGETS + 1);
        assert_eq!((all[0].target.as_str(), all[0].records), ("", 51));
        assert_eq!((all[1].target.as_str(), all[1].records), ("3", 2));
    }

    #[test]
    fn the_records_of_a_segment_are_counted_one_by_one() {
        let losses = Losses::default();
        let mut segment = Segment::of_frames(Vec::new(), 0);
        for (target, severity) in [("a", 9), ("a", 9), ("a", 5), ("b", 5), ("a", 9), ("b", 1)] {
            segment.push(&frame_of(target, severity, "text"));
        }
        losses.count_segment(0, DropReason::EvictedOldest, &segment);
        let all: Vec<(String, Option<Level>, u64)> =
            losses.all().into_iter().map(|loss| (loss.target, loss.level, loss.records)).collect();
        let [info, debug, trace] = [Level::Info, Level::Debug, Level::Trace].map(Some);
        let expected = [("a", info, 3), ("a", debug, 1), ("b", debug, 1), ("b", trace, 1)];
        let expected = expected.map(|(target, level, records)| (target.to_owned(), level, records));
        assert_eq!(all, expected);
    }
}
