//! What others may ask of a pipeline, and what happens to those who come too late.

use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

use super::buffers;
use super::gate::SAMPLED;
use super::pipeline::Pipeline;
use crate::finding::{Finding, Severity, kind};
use crate::levels::to_tracing;
use crate::notice::{self, Notice};
use crate::os::OnceBox;
use ::log::LevelFilter;

/// Records that came when nothing was taken any more.
#[derive(Debug, Default)]
pub(super) struct AfterShutdown {
    records: AtomicU64,
    /// Who called `Bridge::shutdown`; nobody where a provider did.
    by: OnceBox<&'static Location<'static>>,
}

impl AfterShutdown {
    #[cold]
    pub(super) fn came(&self) {
        if self.records.fetch_add(1, Ordering::Relaxed) > 0 {
            return;
        }
        let (by, help) = match self.by.get() {
            Some(at) => (
                format!("`Bridge::shutdown` was called at {at}"),
                "remove that call: the end of the process flushes by itself; to wait for delivery, use `Bridge::flush`",
            ),
            None => (
                "the provider that it belongs to was shut down".to_owned(),
                "shut the provider down behind the last record; to wait for delivery, use its `force_flush`",
            ),
        };
        notice::emit(
            &Notice::new(
                kind::AFTER_SHUTDOWN.code,
                "after shutdown",
                format!("a record came after the shutdown, and is not sent: {by}"),
            )
            .error()
            .help(help),
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
            notice::emit(&notice);
        }
    }

    /// That `log` keeps records back that the levels let through, and somebody has lowered its maximum.
    pub(crate) fn lowered(&self) -> Option<Finding> {
        let (max, wanted) = (::log::max_level(), self.levels.facade_filter());
        if !self.owns_facades() || max >= wanted {
            return None;
        }
        let text =
            format!("log::max_level() is {max}, and the levels need {wanted}: somebody has lowered it after `init`");
        let help = format!("find the call of `log::set_max_level(LevelFilter::{max:?})` and remove it");
        Some(Finding::new(&kind::LEVEL_LOWERED, Severity::Error, "log", text).help(help))
    }

    /// The same where a logger of ours was composed, and whoever did that has opened `log` less far than the levels need.
    pub(crate) fn not_opened(&self) -> Option<Finding> {
        let (max, wanted) = (::log::max_level(), self.levels.facade_filter());
        if self.owns_facades() || max >= wanted {
            return None;
        }
        let text = format!("log::max_level() is {max}, and the levels need {wanted}");
        let help = "call `log::set_max_level(bridge.logger().filter())` where the logger is set";
        Some(Finding::new(&kind::MAX_LEVEL_OFF, Severity::Error, "log", text).help(help))
    }

    /// From now on somebody has a logger of ours, to compose it.
    pub(crate) fn compose_logger(&self) {
        self.opening.compose();
    }

    pub(crate) fn is_composed(&self) -> bool {
        self.opening.is_composed()
    }

    /// Down to which level every record was counted, as far as can be known.
    pub(crate) fn complete_to(&self) -> LevelFilter {
        let least = self.opening.least();
        let of_tracing = match self.owns_facades() {
            true => LevelFilter::Trace,
            false => {
                let hint = ::tracing::level_filters::LevelFilter::current();
                LevelFilter::iter().find(|filter| to_tracing(*filter) == hint).unwrap_or(LevelFilter::Off)
            }
        };
        least.min(::log::max_level()).min(of_tracing)
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

    /// What the text of a record must match, and who said so.
    pub(crate) fn text_filter(&self) -> Option<(&str, &str)> {
        self.message_filter.as_ref().map(|(filter, by)| (filter.expression(), by.as_str()))
    }

    /// Whether processors of the application stand between us and the outbox.
    pub(crate) fn has_processors(&self) -> bool {
        self.front.has_processors()
    }

    pub(crate) fn has_limits(&self) -> bool {
        self.limits.is_some()
    }

    pub(crate) fn has_mirror(&self) -> bool {
        self.mirror.is_some()
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
    pub(crate) fn max_level(&self) -> LevelFilter {
        self.levels.facade_filter()
    }
}
