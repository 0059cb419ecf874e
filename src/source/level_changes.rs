//! Levels that change while the program runs.

use std::time::{Duration, Instant};

use super::pipeline::Pipeline;
use super::suppression;
use crate::config::{LevelsFile, LevelsFileUpdate, POLL_INTERVAL, bounded};
use crate::finding::kind;
use crate::levels::{LevelSets, Origin, Stage, VersionsExhausted};
use crate::notice::{self, Notice};
use crate::os;
use crate::ship::Scheduled;

impl Pipeline {
    /// Opens the facades for this pipeline, which is now the installed one.
    pub(crate) fn own_facades(&self) {
        self.facades.own(&self.levels);
    }

    /// Changes levels. The new levels apply to every call that begins after this returns.
    ///
    /// Returns `None` and emits a notice if there were too many sets of levels, half a million.
    pub(crate) fn change_levels<T>(&self, change: impl FnOnce(&mut LevelSets) -> T) -> Option<T> {
        let _one_at_a_time = self.levels.lock_changes();
        let sets = self.levels.sets();
        let mut changed = sets.clone();
        let result = change(&mut changed);
        if changed == sets {
            return Some(result);
        }
        // A child forked in between would have new levels but old facades.
        if os::without_forks(|| self.publish_levels(&sets, changed)).is_err() {
            let text = "the levels stay as they are: they have changed too often";
            notice::emit(
                &Notice::new(kind::LEVELS_UNCHANGED.code, "levels exhausted", text)
                    .help("set levels for modules, not for single requests"),
            );
            return None;
        }
        Some(result)
    }

    fn publish_levels(&self, sets: &LevelSets, changed: LevelSets) -> Result<(), VersionsExhausted> {
        let (facades, max_span) = (self.levels.facade_filter(), self.levels.max_span());
        let spans_changed = changed.span != sets.span;
        self.levels.publish(changed)?;
        let is_visible = spans_changed || facades != self.levels.facade_filter() || max_span != self.levels.max_span();
        // The lock is still held, so that the later of two changes wins.
        self.facades.levels_changed(&self.levels, facades, is_visible);
        Ok(())
    }

    /// Resets the run-time level of a target after `time`.
    pub(crate) fn expire_level(&self, stage: Stage, target: &str, time: Duration) {
        let Some(at) = Instant::now().checked_add(bounded(time)) else { return };
        self.keep_level(stage, target);
        self.schedule.expiries.add(at, stage, target);
        self.wake_scheduler();
    }

    /// Keeps a level that was set for a limited time.
    pub(crate) fn keep_level(&self, stage: Stage, target: &str) {
        self.schedule.expiries.forget(stage, target);
    }

    /// Keeps all levels of the stage that were set for a limited time.
    pub(crate) fn keep_levels(&self, stage: Stage) {
        self.schedule.expiries.forget_stage(stage);
    }

    /// Applies the levels of a file, and polls it from now on.
    pub(crate) fn watch_levels_file(&self, mut file: LevelsFile) {
        let looked = file.load();
        self.take_levels_of(&file, looked);
        self.schedule.levels_file.watch(file);
        self.wake_scheduler();
    }

    /// Wakes the scheduler in a forked child, which has no thread for it yet.
    pub(super) fn schedule_in_child(&self) {
        if !self.schedule.is_empty() {
            self.wake_scheduler();
        }
    }

    fn take_levels_of(&self, file: &LevelsFile, looked: LevelsFileUpdate) {
        match looked {
            LevelsFileUpdate::Unchanged => {}
            LevelsFileUpdate::Changed(levels) => {
                self.change_levels(|sets| levels.apply(file.path(), sets));
            }
            LevelsFileUpdate::Rejected(finding) => {
                if let Some(notice) = finding.notice() {
                    notice::emit(&notice);
                }
            }
        }
    }
}

impl Scheduled for Pipeline {
    fn run_due(&self) -> Option<Instant> {
        let now = Instant::now();
        for (stage, target) in self.schedule.expiries.take_due(now) {
            self.change_levels(|sets| sets.of(stage).remove(&target, Origin::RunTime));
        }
        let next = self.schedule.expiries.next();
        let poll = self
            .schedule
            .levels_file
            .poll(|file, looked| self.take_levels_of(file, looked))
            .then(|| now + POLL_INTERVAL);
        let suppression = suppression::report_expired(&self.delivery, now);
        next.into_iter().chain(poll).chain(suppression).min()
    }
}
