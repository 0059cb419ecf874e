//! What others may ask of a pipeline, and what happens to those who come too late.

use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

use super::buffers;
use super::pipeline::{Pipeline, SAMPLED};
use crate::finding::{Finding, Severity, kind};
use crate::notice::{self, Notice};
use crate::os::Placed;

/// Records that came when nothing was taken any more.
#[derive(Debug, Default)]
pub(super) struct AfterShutdown {
    records: AtomicU64,
    /// Who called `Bridge::shutdown`; nobody where a provider did.
    by: Placed<&'static Location<'static>>,
}

impl AfterShutdown {
    #[cold]
    pub(super) fn came(&self) {
        if self.records.fetch_add(1, Ordering::Relaxed) > 0 {
            return;
        }
        let by = match self.by.get() {
            Some(at) => format!("`Bridge::shutdown` was called at {at}"),
            None => "the provider that it belongs to was shut down".to_owned(),
        };
        notice::say(
            &Notice::new(
                kind::AFTER_SHUTDOWN.code,
                "after shutdown",
                format!("a record came after the shutdown, and is not sent: {by}"),
            )
            .help(
                "remove that call: the end of the process flushes by itself; to wait for delivery, use `Bridge::flush`",
            ),
        );
    }
}

impl Pipeline {
    /// Somebody shuts it down: the first one counts.
    pub(crate) fn note_shutdown(&self, at: &'static Location<'static>) {
        let _only_the_first = self.after_shutdown.by.set(at);
    }

    /// How many records came after the shutdown.
    pub(crate) fn after_shutdown(&self) -> u64 {
        self.after_shutdown.records.load(Ordering::Relaxed)
    }

    /// Who called `Bridge::shutdown`, if somebody did.
    pub(crate) fn shut_by(&self) -> Option<&'static Location<'static>> {
        self.after_shutdown.by.get().copied()
    }

    /// Says it where somebody has lowered `log::max_level()` after `init`: those records never come here.
    pub(crate) fn tell_lowered(&self) {
        // Who changes the levels opens the facades a moment later.
        if self.levels.are_settled()
            && let Some(notice) = self.lowered().and_then(|finding| finding.notice())
        {
            notice::say(&notice);
        }
    }

    /// That `log` keeps records back that the levels let through.
    pub(crate) fn lowered(&self) -> Option<Finding> {
        let (max, wanted) = (::log::max_level(), self.levels.facades());
        if !self.owns_facades() || max >= wanted {
            return None;
        }
        let text =
            format!("log::max_level() is {max}, and the levels need {wanted}: somebody has lowered it after `init`");
        let help = format!("find the call of `log::set_max_level(LevelFilter::{max:?})` and remove it");
        Some(Finding::new(&kind::LEVEL_LOWERED, Severity::Error, "log", text).help(help))
    }

    /// Gives the report where it goes at the end of the process.
    pub(super) fn report_at_exit(&self) {
        if let (Some(give), Some(to)) = (self.give_report.get(), &self.report.at_exit) {
            give(self, to);
        }
    }

    /// The same where a signal asks for it.
    pub(super) fn report_on_signal(&self) {
        if let (Some(give), Some(to)) = (self.give_report.get(), &self.report.on_signal) {
            give(self, to);
        }
    }

    /// Whether nothing is taken for otlp any more.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }

    /// Whether `log` and tracing are opened and closed by this pipeline: it is the installed one.
    pub(crate) fn owns_facades(&self) -> bool {
        self.owns_facades.load(Ordering::Relaxed)
    }

    pub(crate) fn has_console(&self) -> bool {
        self.terminal.is_some()
    }

    /// Whether records of traces that are not sampled are cut.
    pub(crate) fn is_trace_based(&self) -> bool {
        self.trace_based
    }

    /// Whether the current trace is not sampled.
    pub(crate) fn is_unsampled_here(&self) -> bool {
        buffers::current_trace().or(self.root).is_some_and(|trace| trace.flags & SAMPLED == 0)
    }

    /// How far the facades have to be open.
    pub(crate) fn max_level(&self) -> log::LevelFilter {
        self.levels.facades()
    }
}
