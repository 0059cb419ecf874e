//! Counts records lost to overload, by reason, level and target.
//!
//! Constraints:
//! * Only the thread that drops a record counts it. Accepted records cost nothing here.
//! * Bounded: a shard distinguishes a fixed number of targets and counts all others together.
//! * Sharded by thread, because under overload every thread counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use log::Level;

use super::frame::Frame;
use super::segment::Segment;
use super::sync::{AtomicBool, Mutex, lock, lock_with};
use crate::ledger::DropReason;
use crate::otlp::ScopeView;

const SHARDS: usize = 8;
/// How many targets a shard distinguishes.
const MAX_TARGETS: usize = 100;
/// Longer targets are counted together.
const MAX_TARGET_BYTES: usize = 256;

/// Records that were dropped for the same reason, of the same level and target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Loss {
    pub(crate) reason: DropReason,
    /// Empty for the targets that are counted together.
    pub(crate) target: String,
    /// `None` if the records had no severity.
    pub(crate) level: Option<Level>,
    pub(crate) records: u64,
}

/// The losses of one target, by reason and level. They are few.
type Counts = Vec<(DropReason, Option<Level>, u64)>;
type Targets = HashMap<Arc<str>, Counts>;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    targets: Mutex<Targets>,
}

/// The memory that is missing to count a loss. It is allocated without the lock.
enum Missing<'a> {
    /// The table, with space for all distinguished targets.
    Table,
    Target(&'a str),
    /// Space for this many reasons and levels.
    Counts(usize),
}

enum Prepared {
    Table(Targets),
    Target(Arc<str>, Counts),
    Counts(Counts),
}

/// Counts a loss, or returns which memory is missing for that.
fn try_add<'a>(
    targets: &mut Targets,
    made: &mut Option<Prepared>,
    target: &'a str,
    what: (DropReason, Option<Level>),
    records: u64,
) -> Result<(), Missing<'a>> {
    match made {
        // The caller frees the old table.
        Some(Prepared::Table(table)) if targets.capacity() == 0 => std::mem::swap(targets, table),
        _ if targets.capacity() == 0 => return Err(Missing::Table),
        _ => {}
    }
    // Another thread may have added the last target.
    let target = if targets.contains_key(target) || targets.len() < MAX_TARGETS { target } else { "" };
    let Some(counts) = targets.get_mut(target) else {
        return match made.take() {
            Some(Prepared::Target(name, counts)) if *name == *target && targets.len() < targets.capacity() => {
                targets.insert(name, counts);
                try_add(targets, made, target, what, records)
            }
            other => {
                *made = other;
                Err(Missing::Target(target))
            }
        };
    };
    if let Some((_, _, count)) = counts.iter_mut().find(|(reason, level, _)| (*reason, *level) == what) {
        *count += records;
        return Ok(());
    }
    if counts.len() == counts.capacity() {
        match made {
            Some(Prepared::Counts(longer)) if longer.capacity() > counts.len() => {
                longer.append(counts);
                std::mem::swap(longer, counts);
            }
            _ => return Err(Missing::Counts(counts.len() + 1)),
        }
    }
    counts.push((what.0, what.1, records));
    Ok(())
}

#[derive(Debug, Default)]
pub(super) struct Losses {
    shards: [Shard; SHARDS],
    /// Whether a loss has not been reported yet.
    unreported: AtomicBool,
}

impl Losses {
    /// Counts one record that was not accepted. Returns whether it is the first loss since the last report.
    pub(super) fn count(&self, thread: usize, reason: DropReason, frame: Frame<'_>) -> bool {
        let scope = ScopeView::read(frame.scope);
        self.add(thread, &scope.name, reason, level(frame.severity), 1);
        self.note_unreported()
    }

    /// Counts the records of an evicted segment.
    pub(super) fn count_segment(&self, thread: usize, reason: DropReason, segment: &Segment) {
        // Adjacent records usually have the same scope and level, so they are counted together.
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
        // Its result is not needed: an eviction wakes the exporter thread anyway.
        self.note_unreported();
    }

    /// Returns whether this is the first loss since the last report.
    fn note_unreported(&self) -> bool {
        !self.unreported.load(Ordering::Relaxed) && !self.unreported.swap(true, Ordering::Relaxed)
    }

    fn add(&self, thread: usize, target: &str, reason: DropReason, level: Option<Level>, records: u64) {
        let Some(shard) = self.shards.get(thread % SHARDS) else { return };
        let target = if target.len() <= MAX_TARGET_BYTES { target } else { "" };
        let make = |missing| match missing {
            Missing::Table => Prepared::Table(HashMap::with_capacity(MAX_TARGETS + 1)),
            Missing::Target(name) => Prepared::Target(name.into(), Vec::with_capacity(4)),
            Missing::Counts(number) => Prepared::Counts(Vec::with_capacity(2 * number)),
        };
        lock_with(&shard.targets, make, |targets, made| try_add(targets, made, target, (reason, level), records));
    }

    /// Whether a loss has not been reported yet.
    pub(super) fn is_unreported(&self) -> bool {
        self.unreported.load(Ordering::Relaxed)
    }

    /// Marks all losses so far as reported.
    pub(super) fn mark_reported(&self) {
        self.unreported.store(false, Ordering::Relaxed);
    }

    /// Returns all losses, the largest first.
    pub(super) fn all(&self) -> Vec<Loss> {
        let mut found: Vec<(Arc<str>, DropReason, Option<Level>, u64)> = Vec::new();
        for shard in &self.shards {
            loop {
                let targets = lock(&shard.targets);
                let needed = targets.values().map(Vec::len).sum::<usize>();
                if needed <= found.capacity() - found.len() {
                    for (target, counts) in &*targets {
                        found.extend(
                            counts.iter().map(|(r, level, records)| (Arc::clone(target), *r, *level, *records)),
                        );
                    }
                    break;
                }
                drop(targets);
                found.reserve(needed);
            }
        }
        let mut sums: HashMap<(DropReason, String, Option<Level>), u64> = HashMap::new();
        for (target, reason, level, records) in found {
            *sums.entry((reason, target.to_string(), level)).or_default() += records;
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

/// Returns the level whose range contains the severity number.
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
    use super::super::Segment;
    use super::super::frame::read_frame;
    use super::super::tests::frame_of;
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
        losses.mark_reported();
        assert!(!losses.is_unreported() && count(&losses, 2, "b", 0) && losses.is_unreported());
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
            segment.push(&frame_of(target, severity, "text"), 0);
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
