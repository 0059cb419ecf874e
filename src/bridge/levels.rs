//! Reading and changing levels at run time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::finding::Finding;
use crate::levels::{LevelSet, Origin, Stage, Threshold, parse};
use crate::source::Pipeline;

/// The origin shown for levels set through the handle.
const BY: &str = "run time";

/// The levels of one stage, which can be shown and changed at run time.
///
/// [`Bridge::levels`](crate::Bridge::levels) returns the levels of the module stage, and [`of`](Self::of) those of
/// another stage. For the same target, levels set here take precedence over the levels file, code and environment
/// variables. The longest matching target decides first.
///
/// A change applies to every `log` or tracing call that begins after the method returns. It does not affect other
/// filters of your own subscriber. With a composed [`Logger`](crate::Logger), `log::max_level()` follows as described
/// at [`Bridge::logger`](crate::Bridge::logger).
///
/// `Display` shows the levels of all stages as a table, with the origin of each row, and names the spans that were below
/// the span threshold so far.
///
/// # Examples
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

    /// Returns the levels of another stage.
    #[must_use]
    pub fn of(&self, stage: Stage) -> Self {
        Self { pipeline: Arc::clone(&self.pipeline), stage }
    }

    /// Sets the threshold of a target and its submodules. An empty target means the root.
    ///
    /// With [`Threshold::NotSet`], the target inherits its threshold, even if code or a variable sets one. An earlier
    /// [`set_for`](Self::set_for) for the same target is cancelled.
    pub fn set(&self, target: &str, threshold: impl Into<Threshold>) {
        let threshold = threshold.into();
        self.pipeline.keep_level(self.stage, target);
        self.change(|set| set.set(target, threshold, Origin::RunTime, BY));
    }

    /// Sets the threshold of a target for a limited time; more than a year means one year.
    ///
    /// Afterwards, the target has the threshold it had before any call to `set` or `set_for`.
    pub fn set_for(&self, target: &str, threshold: impl Into<Threshold>, time: Duration) {
        let threshold = threshold.into();
        self.change(|set| set.set(target, threshold, Origin::RunTime, format!("{BY}, for {time:?}")));
        self.pipeline.expire_level(self.stage, target, time);
    }

    /// Removes the threshold set here for a target. Returns whether there was one.
    pub fn unset(&self, target: &str) -> bool {
        self.pipeline.keep_level(self.stage, target);
        self.change(|set| set.remove(target, Origin::RunTime)).unwrap_or(false)
    }

    /// Replaces all thresholds set here by directives in the format of `RUST_LOG`, in one step.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes nothing, if a directive is invalid or if there is a message filter (a pattern after
    /// the `/`).
    pub fn replace(&self, directives: &str) -> Result<(), Error> {
        let parsed = parse(directives);
        if let Some(problem) = parsed.problems.first() {
            return Err(Error::configuration(format!("`{}`: {}", problem.text, problem.why))
                .with_help("directives are written as in RUST_LOG: `info,my_crate::module=debug`"));
        }
        if parsed.message.is_some() {
            return Err(Error::configuration("a filter on the text of records cannot be changed at run time")
                .with_help("remove the `/` and the text after it"));
        }
        self.pipeline.keep_levels(self.stage);
        self.change(|set| {
            set.clear(Origin::RunTime);
            set.extend(parsed.directives(), Origin::RunTime, BY);
        });
        Ok(())
    }

    /// Returns the threshold that applies to a target at this stage.
    ///
    /// [`Threshold::NotSet`] means that the stage lets everything through. If spans of a target have different
    /// thresholds by name, this is the most verbose one. [`Bridge::explain_span`](crate::Bridge::explain_span) also
    /// considers the name.
    #[must_use]
    pub fn threshold(&self, target: &str) -> Threshold {
        self.pipeline.levels.tables().map_or(Threshold::NotSet, |tables| tables.of(self.stage).decide(target).threshold)
    }

    /// Returns findings about the current levels of all stages.
    ///
    /// They cover thresholds without effect, directives that match no target seen so far, and directives that also
    /// match another crate. Findings about filter strings are in
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
