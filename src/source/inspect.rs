//! Read access to a pipeline for diagnosis. Log calls do not use it.

use std::panic::Location;

use ::log::{Level, LevelFilter};
use tracing_core::Metadata;

use super::buffers;
use super::gate::SAMPLED;
use super::pipeline::Pipeline;
use super::tracing_layer::is_of_transport;
use crate::config::RepetitionLimit;
use crate::escape::OneLine;
use crate::finding::Finding;
use crate::ledger::Counters;
use crate::levels::{FilterCause, SpansBelow, Stage, from_tracing};
use crate::outbox::Loss;

impl Pipeline {
    /// Returns the numbers of filtered records, the most frequent cause first.
    pub(crate) fn cuts(&self) -> Vec<(FilterCause, Level, u64)> {
        let Some(process) = self.processes().existing() else { return Vec::new() };
        let names = self.levels.causes.all();
        let others = |by: &str| FilterCause { stage: Stage::Module, target: String::new(), by: by.to_owned() };
        let mut cuts: Vec<_> = process
            .ledger
            .filtered()
            .into_iter()
            .map(|(number, level, records)| {
                let name = usize::from(number).checked_sub(1).and_then(|index| names.get(index)).cloned();
                (name.unwrap_or_else(|| others("more targets than can be counted separately")), level, records)
            })
            .collect();
        cuts.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.target.cmp(&b.0.target)));
        cuts
    }

    /// Returns the numbers of records dropped because the outbox was full, the largest number first.
    pub(crate) fn losses(&self) -> Vec<Loss> {
        let outbox = self.processes().existing().and_then(|process| process.outbox.as_ref());
        outbox.map(|outbox| outbox.losses()).unwrap_or_default()
    }

    /// Returns the counters of this process.
    pub(crate) fn counters(&self) -> Counters {
        self.processes().existing().map(|process| process.ledger.snapshot()).unwrap_or_default()
    }

    /// Returns how many records were written after the shutdown.
    pub(crate) fn after_shutdown(&self) -> u64 {
        self.delivery.late.number()
    }

    /// Returns where `Bridge::shutdown` was called first.
    pub(crate) fn shut_by(&self) -> Option<&'static Location<'static>> {
        self.delivery.late.shut_down_at()
    }

    /// Remembers the first call of `Bridge::shutdown`.
    pub(crate) fn note_shutdown(&self, at: &'static Location<'static>) {
        self.delivery.late.note_shutdown(at);
    }

    /// Returns whether the pipeline has stopped accepting records for export.
    pub(crate) fn is_shut(&self) -> bool {
        self.delivery.is_shut()
    }

    /// Returns a finding if `log` discards records because code has lowered its maximum level after `init`.
    pub(crate) fn lowered(&self) -> Option<Finding> {
        self.facades.lowered(&self.levels)
    }

    /// Returns a finding if the maximum level of `log` is lower than a composed logger requires.
    pub(crate) fn not_opened(&self) -> Option<Finding> {
        self.facades.not_opened(&self.levels)
    }

    /// Notes that the application composes a logger of this pipeline.
    pub(crate) fn compose_logger(&self) {
        self.facades.compose();
    }

    pub(crate) fn is_composed(&self) -> bool {
        self.facades.is_composed()
    }

    /// Returns whether this pipeline is the installed one, which opens and closes `log` and tracing.
    pub(crate) fn owns_facades(&self) -> bool {
        self.facades.is_owner()
    }

    /// Returns the lowest level down to which every record was counted, as far as is known.
    pub(crate) fn complete_to(&self) -> LevelFilter {
        self.facades.complete_to()
    }

    /// Returns the most verbose level that the facades must pass.
    pub(crate) fn max_level(&self) -> LevelFilter {
        self.levels.facade_filter()
    }

    /// Returns the table of each stage, as text.
    pub(crate) fn show_levels(&self) -> String {
        let Some(tables) = self.levels.tables() else { return String::new() };
        let mut shown = String::new();
        for stage in Stage::ALL {
            shown.push_str(&format!("{stage}\n{}", tables.of(stage)));
        }
        for SpansBelow { target, name, level, .. } in self.filtered_spans() {
            shown.push_str(&format!("  filtered so far: `{}` (`{}` at {level})\n", OneLine(target), OneLine(name)));
        }
        shown
    }

    /// Counts a call of a span that the span threshold filters, if such calls are counted.
    pub(super) fn count_filtered_span(&self, callsite: &Metadata<'_>) {
        if self.levels.counts_below(from_tracing(*callsite.level()))
            && let Some(number) = self.levels.filtered_spans.number(callsite)
            && let Some(process) = self.processes().existing()
        {
            process.ledger.count_filtered_span(number);
        }
    }

    /// Returns the spans below the span threshold whose callsites were reached, those with the most counted calls first.
    /// Spans of the HTTP client come last.
    pub(crate) fn filtered_spans(&self) -> Vec<SpansBelow> {
        let Some(tables) = self.levels.tables() else { return Vec::new() };
        let ledger = self.processes().existing().map(|process| &process.ledger);
        let mut spans: Vec<SpansBelow> = Vec::new();
        for (number, callsite) in self.levels.filtered_spans.all().enumerate() {
            let (target, name, level) = (callsite.target(), callsite.name(), from_tracing(*callsite.level()));
            let row = tables.span.decide_span(target, name);
            if level <= row.filter() {
                continue;
            }
            let calls = ledger.map_or(0, |ledger| ledger.filtered_span(number));
            match spans.iter_mut().find(|span| (span.target, span.name, span.level) == (target, name, level)) {
                Some(span) => span.calls += calls,
                None => spans.push(SpansBelow { target, name, level, by: row.describe(Stage::Span), calls }),
            }
        }
        spans.sort_by_key(|span| (std::cmp::Reverse(span.calls), is_of_transport(span.target), span.target, span.name));
        spans
    }

    /// Returns the message filter, and the setting that it comes from.
    pub(crate) fn message_filter(&self) -> Option<(&str, &str)> {
        self.gate.message_filter.as_ref().map(|(filter, by)| (filter.expression(), by.as_str()))
    }

    /// Returns whether records of traces that are not sampled are filtered.
    pub(crate) fn is_trace_based(&self) -> bool {
        self.gate.trace_based
    }

    /// Returns whether the current trace is not sampled.
    pub(crate) fn is_unsampled_here(&self) -> bool {
        buffers::current_trace().or(self.encoder.root).is_some_and(|trace| trace.flags & SAMPLED == 0)
    }

    /// Returns the limit of similar records, if there is one.
    pub(crate) fn repetition(&self) -> Option<RepetitionLimit> {
        self.processes().config().repetition
    }

    /// Returns whether records pass through processors of the application.
    pub(crate) fn has_processors(&self) -> bool {
        self.path.has_processors()
    }

    pub(crate) fn has_limits(&self) -> bool {
        self.delivery.limits.is_some()
    }

    pub(crate) fn has_mirror(&self) -> bool {
        self.delivery.mirror.is_some()
    }

    pub(crate) fn has_console(&self) -> bool {
        self.console.is_some()
    }

    pub(crate) fn redacts(&self) -> bool {
        self.encoder.redaction.is_some()
    }

    /// Returns whether values under this key are redacted.
    pub(crate) fn hides(&self, key: &str) -> bool {
        self.encoder.redaction.as_ref().is_some_and(|redaction| redaction.hides(key))
    }
}
