//! Levels that change while the program runs, and what `log` and tracing have to hear of it.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::Level;

use super::lifecycle;
use super::pipeline::Pipeline;
use crate::config::{LevelsFile, LevelsFileUpdate, POLL_INTERVAL, bounded};
use crate::finding::kind;
use crate::installed;
use crate::levels::{LevelSets, Origin, Stage, VersionsExhausted};
use crate::notice::{self, Notice};
use crate::os::{self, OnceBox, PerProcess};
use crate::ship::{self, HasKeeper, Keeper, Keeps};

/// tracing has locks of its own for that, which no forked child is to inherit from us.
fn rebuild_interest_cache() {
    os::without_forks(tracing_core::callsite::rebuild_interest_cache);
}

/// Levels that go back at their times. A forked child has a copy of its own.
#[derive(Debug, Default)]
pub(super) struct Appointments {
    due: PerProcess<Mutex<Vec<(Instant, Stage, String)>>>,
}

impl Appointments {
    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Stage, String)>> {
        // A thread that does not exist here may hold the parent's lock, for ever: then nothing goes back in this process.
        let inherited = |due: &Mutex<Vec<_>>| due.try_lock().map(|due| due.clone()).unwrap_or_default();
        let due = self.due.get_or_init(|parents| Mutex::new(parents.map(inherited).unwrap_or_default()));
        due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipeline {
    /// Takes part in deciding how far `log` and tracing are open: this pipeline is the installed one.
    pub(crate) fn own_facades(&self) {
        self.owns_facades.store(true, Ordering::Relaxed);
        self.opening.begin(self.levels.facade_filter());
        self.open_facades();
        ship::each_second(|| {
            if let Some(pipeline) = installed::pipeline() {
                pipeline.tell_lowered();
            }
        });
    }

    /// Changes what was named. A call that begins after this has returned obeys the new levels.
    ///
    /// `None` where there have been more different levels than can be kept, half a million, which is said.
    pub(crate) fn change_levels<T>(&self, change: impl FnOnce(&mut LevelSets) -> T) -> Option<T> {
        let _one_at_a_time = self.levels.lock_changes();
        let sets = self.levels.sets();
        let mut changed = sets.clone();
        let result = change(&mut changed);
        if changed == sets {
            return Some(result);
        }
        // A child that is forked in the middle would have new levels behind old facades.
        if os::without_forks(|| self.publish(sets, changed)).is_err() {
            let text = "the levels stay as they are: there have been more different ones than can be kept";
            notice::emit(
                &Notice::new(kind::LEVELS_UNCHANGED.code, "levels exhausted", text)
                    .help("set levels for modules, not for single requests"),
            );
            return None;
        }
        Some(result)
    }

    fn publish(&self, sets: LevelSets, changed: LevelSets) -> Result<(), VersionsExhausted> {
        let before = (self.levels.facade_filter(), self.levels.max_span(), sets.span);
        let span = changed.span.clone();
        self.levels.publish(changed)?;
        let after = (self.levels.facade_filter(), self.levels.max_span(), span);
        // Still under the lock, so that of two changes the later one has the last word. An event is judged by the tables
        // when it comes; what its callsite remembers matters only where the facades open, close, or spans change.
        self.opening.note(after.0);
        if before != after && self.owns_facades.load(Ordering::Relaxed) {
            self.open_facades();
        } else if before.0 != after.0 {
            self.opening.follow(before.0, after.0);
        }
        Ok(())
    }

    /// In a while, what was set at run time for the target is taken back.
    pub(crate) fn appoint(self: &Arc<Self>, stage: Stage, target: &str, time: Duration) {
        let Some(at) = Instant::now().checked_add(bounded(time)) else { return };
        self.forget_appointment(stage, target);
        self.appointments.lock().push((at, stage, target.to_owned()));
        self.keeper.appoint(Arc::downgrade(self));
    }

    /// What was set for a limited time stays.
    pub(crate) fn forget_appointment(&self, stage: Stage, target: &str) {
        self.appointments.lock().retain(|(_, of, for_target)| *of != stage || for_target != target);
    }

    pub(crate) fn forget_appointments(&self, stage: Stage) {
        self.appointments.lock().retain(|(_, of, _)| *of != stage);
    }

    /// A forked child has no thread that keeps appointments, and none that waits for signals.
    pub(crate) fn keep_in_child(self: &Arc<Self>) {
        lifecycle::flush_on_signals_in_child();
        if !self.appointments.lock().is_empty() || self.levels_file.path.get().is_some() {
            self.keeper.appoint(Arc::downgrade(self));
        }
    }

    /// Takes the levels of a file, and looks at it from now on.
    pub(crate) fn watch_levels_file(self: &Arc<Self>, mut file: LevelsFile) {
        let looked = file.load();
        self.take_levels_of(&file, looked);
        let _the_first_one_stays = self.levels_file.path.set(file.path().to_owned());
        let _the_first_one_stays = self.levels_file.seen.set(Mutex::new(file));
        self.keeper.appoint(Arc::downgrade(self));
    }

    /// Says whether there is a file to look at.
    fn look_at_file(&self) -> bool {
        let Some(path) = self.levels_file.path.get() else { return false };
        let seen = self.levels_file.seen.get_or_init(|parents| {
            let inherited = parents.and_then(|file| Some(file.try_lock().ok()?.clone()));
            Mutex::new(inherited.unwrap_or_else(|| LevelsFile::new(path.clone())))
        });
        let mut file = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = file.poll();
        self.take_levels_of(&file, looked);
        true
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

    /// The table of every stage.
    pub(crate) fn show_levels(&self) -> String {
        let Some(tables) = self.levels.tables() else { return String::new() };
        Stage::ALL.iter().fold(String::new(), |shown, stage| format!("{shown}{stage}\n{}", tables.of(*stage)))
    }

    fn open_facades(&self) {
        log::set_max_level(self.levels.facade_filter());
        ship::on_own_thread(rebuild_interest_cache);
    }

    /// Says which record was cut first, and closes the facades to what the levels need.
    #[cold]
    pub(super) fn tell_first_cut(&self, target: &str, level: Level) {
        let module = target.split("::").next().unwrap_or(target);
        let variables = &self.levels.variables;
        let silence = match variables.others {
            true => "LOGBRIDGE_FIRST_CUT=false",
            false => "Builder::first_cut_notice(false)",
        };
        notice::emit(
            &Notice::information(
                "first cut",
                format!("a record of {target} at {level} was cut, and so are all below WARN: no level is set anywhere"),
            )
            .note("at the root, NOTSET means WARN; this is said once")
            .help(format!("{}; {silence} says nothing", variables.for_all_and_module(module, level))),
        );
        self.opening.note(self.levels.facade_filter());
        if self.owns_facades.load(Ordering::Relaxed) {
            log::set_max_level(self.levels.facade_filter());
            // Nobody waits for it: this is a log call, and it may come from anywhere.
            ship::soon_on_own_thread(rebuild_interest_cache);
        }
    }
}

/// The file that levels are taken from. A forked child looks at it for itself; its parent may be in the middle of that.
#[derive(Debug, Default)]
pub(super) struct WatchedFile {
    path: OnceBox<PathBuf>,
    seen: PerProcess<Mutex<LevelsFile>>,
}

impl Keeps for Pipeline {
    fn keep(&self) -> Option<Instant> {
        let now = Instant::now();
        let due: Vec<_> = self.appointments.lock().extract_if(.., |(at, _, _)| *at <= now).collect();
        for (_, stage, target) in due {
            self.change_levels(|sets| sets.of(stage).remove(&target, Origin::RunTime));
        }
        let next = self.appointments.lock().iter().map(|(at, _, _)| *at).min();
        let poll = self.look_at_file().then(|| now + POLL_INTERVAL);
        // Whichever comes first.
        next.into_iter().chain(poll).chain(self.keep_windows(now)).min()
    }
}

impl HasKeeper for Pipeline {
    fn keeper(&self) -> &Keeper {
        &self.keeper
    }
}
