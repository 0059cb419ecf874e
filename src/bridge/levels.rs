//! The handle of the levels, and how they are shown.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::finding::Finding;
use crate::levels::{LevelSet, Origin, Stage, Threshold, parse};
use crate::source::Pipeline;

/// Who names what is set through the handle.
const BY: &str = "run time";

/// The levels of one stage, to be changed while the program runs and to be shown.
///
/// Made by [`Bridge::levels`](crate::Bridge::levels) for the module stage; [`of`](Self::of) gives those of another stage.
/// What is set here wins over the levels file, code and variables for the same target; the longest target still wins first.
/// A call that begins after a change has returned obeys it, in `log` and in tracing. Where nothing is installed and a
/// [`Logger`](crate::Logger) is composed, `log::max_level()` follows as [`Bridge::logger`](crate::Bridge::logger) says; the filters of a subscriber of your
/// own stay as they are. `Display` shows the table of every
/// stage, with who set each row.
///
/// ```no_run
/// use std::time::Duration;
/// use logbridge::{Level, Stage};
///
/// # fn main() -> Result<(), logbridge::Error> {
/// let bridge = logbridge::try_init()?;
/// bridge.levels().set("shop::db", Level::Trace);
/// bridge.levels().set_for("hyper", Level::Debug, Duration::from_secs(60));
/// bridge.levels().of(Stage::Console).set("shop::db", Level::Info);
/// println!("{}", bridge.levels());
/// bridge.levels().unset("shop::db");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Levels {
    pipeline: Arc<Pipeline>,
    stage: Stage,
}

impl Levels {
    pub(super) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline, stage: Stage::Module }
    }

    /// The levels of that stage.
    #[must_use]
    pub fn of(&self, stage: Stage) -> Self {
        Self { pipeline: Arc::clone(&self.pipeline), stage }
    }

    /// Sets the threshold of a target and what is below it; of the root where the target is empty.
    ///
    /// [`Threshold::NotSet`] lets it inherit, also where code or a variable has set it. An earlier
    /// [`set_for`](Self::set_for) of the same target is forgotten.
    pub fn set(&self, target: &str, threshold: impl Into<Threshold>) {
        let threshold = threshold.into();
        self.pipeline.keep_level(self.stage, target);
        self.change(|set| set.set(target, threshold, Origin::RunTime, BY));
    }

    /// The same for a limited time, a year at most, after which it is as it was before anything was set here for the target.
    pub fn set_for(&self, target: &str, threshold: impl Into<Threshold>, time: Duration) {
        let threshold = threshold.into();
        self.change(|set| set.set(target, threshold, Origin::RunTime, format!("{BY}, for {time:?}")));
        self.pipeline.expire_level(self.stage, target, time);
    }

    /// Takes back what was set here for a target. Returns whether there was anything.
    pub fn unset(&self, target: &str) -> bool {
        self.pipeline.keep_level(self.stage, target);
        self.change(|set| set.remove(target, Origin::RunTime)).unwrap_or(false)
    }

    /// Takes back all that was set here, and sets these directives, written as in `RUST_LOG`, in one step.
    ///
    /// # Errors
    ///
    /// Where a directive cannot be used; nothing is changed then.
    pub fn replace(&self, directives: &str) -> Result<(), Error> {
        let parsed = parse(directives);
        if let Some(problem) = parsed.problems.first() {
            return Err(Error::configuration(format!("`{}`: {}", problem.text, problem.why))
                .with_help("directives are written as in RUST_LOG: `info,my_crate::module=debug`"));
        }
        if parsed.message.is_some() {
            return Err(Error::configuration("a filter on the text of records cannot change while the program runs")
                .with_help("leave out the `/` and what is behind it"));
        }
        self.pipeline.keep_levels(self.stage);
        self.change(|set| {
            set.clear(Origin::RunTime);
            set.extend(parsed.directives, Origin::RunTime, BY);
        });
        Ok(())
    }

    /// The threshold that decides about a target at this stage; `NotSet` where the stage lets everything through.
    #[must_use]
    pub fn threshold(&self, target: &str) -> Threshold {
        self.pipeline.levels.tables().map_or(Threshold::NotSet, |tables| tables.of(self.stage).decide(target).threshold)
    }

    /// What deserves a look: thresholds that have no effect, directives that match no target seen so far, directives that
    /// also match another crate. Of all stages, as they are now; what the filters' texts had in them is in
    /// [`Bridge::configuration`](crate::Bridge::configuration).
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.pipeline.levels.findings()
    }

    fn change<T>(&self, change: impl FnOnce(&mut LevelSet) -> T) -> Option<T> {
        self.pipeline.change_levels(|sets| change(sets.of(self.stage)))
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pipeline.show_levels())
    }
}
