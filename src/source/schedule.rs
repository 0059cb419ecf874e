//! The timed tasks of a pipeline: levels that expire, and a levels file that is polled.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::config::{LevelsFile, LevelsFileUpdate};
use crate::levels::Stage;
use crate::os::{OnceBox, PerProcess};
use crate::ship::Scheduler;

/// The timer of a pipeline, and its tasks.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    pub(super) scheduler: Scheduler,
    pub(super) expiries: LevelExpiries,
    pub(super) levels_file: WatchedFile,
}

impl Schedule {
    pub(super) fn is_empty(&self) -> bool {
        self.expiries.lock().is_empty() && self.levels_file.path.get().is_none()
    }
}

/// Levels that were set for a limited time. A forked child has its own copy.
#[derive(Debug, Default)]
pub(super) struct LevelExpiries {
    due: PerProcess<Mutex<Vec<Expiry>>>,
}

type Expiry = (Instant, Stage, String);

impl LevelExpiries {
    fn lock(&self) -> MutexGuard<'_, Vec<Expiry>> {
        // In a child, a thread that does not exist there may hold the parent's lock forever. Nothing expires there
        // then.
        let inherited = |due: &Mutex<Vec<_>>| due.try_lock().map(|due| due.clone()).unwrap_or_default();
        let due = self.due.get_or_init(|parents| Mutex::new(parents.map(inherited).unwrap_or_default()));
        due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, at: Instant, stage: Stage, target: &str) {
        self.lock().push((at, stage, target.to_owned()));
    }

    /// Forgets the expiry of a target, so that its level stays.
    pub(super) fn forget(&self, stage: Stage, target: &str) {
        self.lock().retain(|(_, of, for_target)| *of != stage || for_target != target);
    }

    pub(super) fn forget_stage(&self, stage: Stage) {
        self.lock().retain(|(_, of, _)| *of != stage);
    }

    /// Removes and returns the levels that have expired.
    pub(super) fn take_due(&self, now: Instant) -> Vec<(Stage, String)> {
        let mut due = self.lock();
        due.extract_if(.., |(at, _, _)| *at <= now).map(|(_, stage, target)| (stage, target)).collect()
    }

    /// Returns when the next level expires.
    pub(super) fn next(&self) -> Option<Instant> {
        self.lock().iter().map(|(at, _, _)| *at).min()
    }
}

/// The levels file. A forked child has its own copy, because its parent may be reading the file during the fork.
#[derive(Debug, Default)]
pub(super) struct WatchedFile {
    path: OnceBox<PathBuf>,
    seen: PerProcess<Mutex<LevelsFile>>,
}

impl WatchedFile {
    /// Polls this file from now on. Later calls have no effect.
    pub(super) fn watch(&self, file: LevelsFile) {
        let _the_first_one_stays = self.path.set(file.path().to_owned());
        let _the_first_one_stays = self.seen.set(Mutex::new(file));
    }

    /// Polls the file, and passes on changes. Returns whether there is a file.
    pub(super) fn poll(&self, take: impl FnOnce(&LevelsFile, LevelsFileUpdate)) -> bool {
        let Some(path) = self.path.get() else { return false };
        let seen = self.seen.get_or_init(|parents| {
            let inherited = parents.and_then(|file| Some(file.try_lock().ok()?.clone()));
            Mutex::new(inherited.unwrap_or_else(|| LevelsFile::new(path.clone())))
        });
        let mut file = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = file.poll();
        take(&file, looked);
        true
    }
}
