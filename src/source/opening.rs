//! How far `log` and tracing are open, over time.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use ::log::LevelFilter;

use crate::finding::kind;
use crate::notice::{self, Notice};

/// What is remembered of it for one pipeline.
#[derive(Debug)]
pub(super) struct Opening {
    /// The least that the levels have needed so far.
    least: AtomicU8,
    /// Somebody has a logger of ours, to compose it.
    is_composed: AtomicBool,
    /// From where to where `log::max_level()` was raised for a composed logger; 0 while it was not.
    raised: AtomicU8,
}

impl Opening {
    pub(super) fn new(needed: LevelFilter) -> Self {
        Self { least: AtomicU8::new(needed as u8), is_composed: AtomicBool::new(false), raised: AtomicU8::new(0) }
    }

    /// It begins here.
    pub(super) fn begin(&self, needed: LevelFilter) {
        self.least.store(needed as u8, Ordering::Relaxed);
    }

    /// From now on it is so far.
    pub(super) fn note(&self, needed: LevelFilter) {
        self.least.fetch_min(needed as u8, Ordering::Relaxed);
    }

    pub(super) fn least(&self) -> LevelFilter {
        filter(self.least.load(Ordering::Relaxed))
    }

    pub(super) fn compose(&self) {
        self.is_composed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_composed(&self) -> bool {
        self.is_composed.load(Ordering::Relaxed)
    }

    /// The levels need that instead of this, and `log::max_level()` belongs to whoever composes the logger: it follows where
    /// it stood as far open as was needed, and what was opened here is closed again. Where it did not, that is said.
    pub(super) fn follow(&self, before: LevelFilter, needed: LevelFilter) {
        if !self.is_composed() {
            return;
        }
        let max = ::log::max_level();
        let raised = self.raised.load(Ordering::Relaxed);
        let (from, to) = (filter(raised / 8), filter(raised % 8));
        let is_ours = raised > 0 && max == to;
        if is_ours || (needed > max && max >= before) {
            // Never less than whoever set it wanted.
            let from = if is_ours { from } else { max };
            let to = needed.max(from);
            self.raised.store(if to == from { 0 } else { from as u8 * 8 + to as u8 }, Ordering::Relaxed);
            ::log::set_max_level(to);
        } else if needed > before && needed > max {
            let text = format!(
                "log::max_level() is {max}, and the levels need {needed} from now on: what is below {max} does not come to the \
                 composed logger"
            );
            notice::emit(
                &Notice::new(kind::MAX_LEVEL_OFF.code, "max level", text)
                    .help("call `log::set_max_level(bridge.logger().filter())` where the logger is set"),
            );
        }
    }
}

fn filter(number: u8) -> LevelFilter {
    LevelFilter::iter().find(|filter| *filter as u8 == number).unwrap_or(LevelFilter::Trace)
}
