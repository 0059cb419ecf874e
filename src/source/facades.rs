//! Sets which levels `log` and tracing pass on to logbridge at all: how far these facades are *open*.
//!
//! The installed pipeline opens and closes them. If the application composes a logger, `log::max_level()` belongs to
//! the application. It then follows the levels only if it allowed the required level before.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use ::log::{Level, LevelFilter};

use crate::finding::{Finding, Severity, kind};
use crate::levels::{LevelState, to_tracing};
use crate::notice::{self, Notice};
use crate::{os, ship};

/// Opens and closes the facades for one pipeline, and remembers how far they were open.
#[derive(Debug)]
pub(super) struct Facades {
    /// Whether this pipeline is the installed one, which opens and closes `log` and tracing.
    is_owner: AtomicBool,
    /// The least verbose level that the levels have required so far.
    least: AtomicU8,
    /// Whether the application composes a logger of this pipeline.
    is_composed: AtomicBool,
    /// The levels from and to which `log::max_level()` was raised for a composed logger; 0 if it was not.
    raised: AtomicU8,
}

/// tracing takes its own locks for this. A forked child must not inherit them locked because of logbridge.
fn rebuild_interest_cache() {
    os::without_forks(tracing_core::callsite::rebuild_interest_cache);
}

impl Facades {
    pub(super) fn new(levels: &LevelState) -> Self {
        Self {
            is_owner: AtomicBool::new(false),
            least: AtomicU8::new(levels.facade_filter() as u8),
            is_composed: AtomicBool::new(false),
            raised: AtomicU8::new(0),
        }
    }

    /// Opens the facades for the installed pipeline, which owns them from now on.
    pub(super) fn own(&self, levels: &LevelState) {
        self.is_owner.store(true, Ordering::Relaxed);
        self.least.store(levels.facade_filter() as u8, Ordering::Relaxed);
        Self::open(levels);
    }

    pub(super) fn is_owner(&self) -> bool {
        self.is_owner.load(Ordering::Relaxed)
    }

    /// Notes that the application composes a logger of this pipeline.
    pub(super) fn compose(&self) {
        self.is_composed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_composed(&self) -> bool {
        self.is_composed.load(Ordering::Relaxed)
    }

    fn open(levels: &LevelState) {
        log::set_max_level(levels.facade_filter());
        ship::on_own_thread(rebuild_interest_cache);
    }

    /// Adjusts the facades after the levels have changed. `before` is the level that was required before; `is_visible`
    /// says whether the change affects the facades or spans.
    ///
    /// Events are filtered by the levels when they arrive. The interest cached by callsites matters only if the facades
    /// open or close, or if the levels of spans change.
    pub(super) fn levels_changed(&self, levels: &LevelState, before: LevelFilter, is_visible: bool) {
        let needed = levels.facade_filter();
        self.note_needed(needed);
        if is_visible && self.is_owner() {
            Self::open(levels);
        } else if before != needed {
            self.follow(before, needed);
        }
    }

    fn note_needed(&self, needed: LevelFilter) {
        self.least.fetch_min(needed as u8, Ordering::Relaxed);
    }

    /// Changes `log::max_level()` with the levels for a composed logger, if it allowed the level required before.
    ///
    /// It never falls below the level that the application set. If it does not follow, a notice says so.
    fn follow(&self, before: LevelFilter, needed: LevelFilter) {
        if !self.is_composed() {
            return;
        }
        let max = log::max_level();
        let raised = self.raised.load(Ordering::Relaxed);
        let (from, to) = (filter(raised / 8), filter(raised % 8));
        let is_ours = raised > 0 && max == to;
        if is_ours || (needed > max && max >= before) {
            let from = if is_ours { from } else { max };
            let to = needed.max(from);
            self.raised.store(if to == from { 0 } else { from as u8 * 8 + to as u8 }, Ordering::Relaxed);
            log::set_max_level(to);
        } else if needed > before && needed > max {
            let text = format!(
                "log::max_level() is {max}, but the levels need {needed} from now on: records below {max} do not reach the \
                 composed logger"
            );
            notice::emit(&Notice::new(kind::MAX_LEVEL_OFF.code, "max level", text).help(SET_MAX_LEVEL));
        }
    }

    /// Reports the first record that was filtered because no level is set, and closes the facades to the required
    /// level.
    #[cold]
    pub(super) fn report_first_filtered(&self, levels: &LevelState, target: &str, level: Level) {
        let module = target.split("::").next().unwrap_or(target);
        let silence = match levels.variables.others {
            true => "LOGBRIDGE_FIRST_CUT=false",
            false => "Builder::first_cut_notice(false)",
        };
        notice::emit(
            &Notice::information(
                "first cut",
                format!("a record of {target} at {level} was filtered: no level is set, so only WARN and above pass"),
            )
            .note("this is shown once")
            .help(format!("{}; {silence} turns this notice off", levels.variables.for_all_and_module(module, level))),
        );
        self.note_needed(levels.facade_filter());
        if self.is_owner() {
            log::set_max_level(levels.facade_filter());
            // Does not wait, because this is a log call, which may come from anywhere.
            ship::soon_on_own_thread(rebuild_interest_cache);
        }
    }

    /// Reports it if code has lowered `log::max_level()` after `init`.
    pub(super) fn report_lowered(&self, levels: &LevelState) {
        // While the levels change, the facades are adjusted a moment later.
        if levels.are_settled()
            && let Some(notice) = self.lowered(levels).and_then(|finding| finding.notice())
        {
            notice::emit(&notice);
        }
    }

    /// Returns a finding if this pipeline is installed and `log::max_level()` discards records that its levels let
    /// through.
    pub(super) fn lowered(&self, levels: &LevelState) -> Option<Finding> {
        let (max, needed) = (log::max_level(), levels.facade_filter());
        if !self.is_owner() || max >= needed {
            return None;
        }
        let text = format!("log::max_level() is {max}, but the levels need {needed}: it was lowered after `init`");
        let help = format!("find the call of `log::set_max_level(LevelFilter::{max:?})` and remove it");
        Some(Finding::new(&kind::LEVEL_LOWERED, Severity::Error, "log", text).help(help))
    }

    /// Returns a finding if `log::max_level()` is lower than a composed logger needs.
    pub(super) fn not_opened(&self, levels: &LevelState) -> Option<Finding> {
        let (max, needed) = (log::max_level(), levels.facade_filter());
        if self.is_owner() || max >= needed {
            return None;
        }
        let text = format!("log::max_level() is {max}, but the levels need {needed}");
        Some(Finding::new(&kind::MAX_LEVEL_OFF, Severity::Error, "log", text).help(SET_MAX_LEVEL))
    }

    /// Returns the lowest level down to which every record was counted, as far as is known.
    pub(super) fn complete_to(&self) -> LevelFilter {
        let tracing = match self.is_owner() {
            true => LevelFilter::Trace,
            false => {
                let hint = ::tracing::level_filters::LevelFilter::current();
                LevelFilter::iter().find(|filter| to_tracing(*filter) == hint).unwrap_or(LevelFilter::Off)
            }
        };
        filter(self.least.load(Ordering::Relaxed)).min(log::max_level()).min(tracing)
    }
}

const SET_MAX_LEVEL: &str = "call `log::set_max_level(bridge.logger().filter())` where the logger is set";

fn filter(number: u8) -> LevelFilter {
    LevelFilter::iter().find(|filter| *filter as u8 == number).unwrap_or(LevelFilter::Trace)
}
