//! The gate: decides which destinations accept a record, and counts each decision.

use log::Level;

use super::buffers;
use super::facades::Facades;
use super::probe::{self, Reached};
use super::process_state::ProcessState;
use super::record_source::RecordSource;
use super::routing::Routing;
use crate::config::Config;
use crate::ledger::Count;
use crate::levels::{CachedLevels, LevelState, MESSAGE_FILTER_CAUSE, MessageFilter, Stage};
use crate::thread;

/// The bit of the trace flags that marks a sampled trace.
pub(super) const SAMPLED: u8 = 1;

/// Decides about a record, together with the levels.
#[derive(Debug)]
pub(super) struct Gate {
    /// The message filter, and the setting that it comes from.
    pub(super) message_filter: Option<(MessageFilter, String)>,
    has_console: bool,
    has_mirror: bool,
    otlp_is_on: bool,
    /// Whether records of traces that are not sampled are filtered.
    pub(super) trace_based: bool,
}

/// A record that has passed the module stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted<'a> {
    pub(super) process: &'a ProcessState,
    /// The number of the thread that logs.
    pub(super) thread: usize,
    pub(super) cached: CachedLevels,
}

/// Why a record that passes otlp's levels is not exported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Suppression {
    /// Telemetry is suppressed in its context, or log calls are nested too deep in the formatting of other records.
    Context,
    /// Its trace is not sampled.
    Unsampled,
    /// It exceeds the limit of similar records.
    Repeated,
}

impl Gate {
    /// Creates a gate. The caller owns the console and the mirror, and passes whether they exist.
    pub(super) fn new(config: &Config, has_module_stage: bool, has_console: bool, has_mirror: bool) -> Self {
        Self {
            message_filter: config.message_filter.clone().filter(|_| has_module_stage),
            has_console,
            has_mirror,
            otlp_is_on: config.otlp.delivery.is_some(),
            trace_based: config.otlp.trace_based,
        }
    }

    /// Applies the module stage. Returns `None` if the record is filtered, and counts that.
    #[inline(always)]
    pub(super) fn admit<'p>(
        levels: &LevelState,
        facades: &Facades,
        process: &'p ProcessState,
        target: &str,
        level: Level,
    ) -> Option<Admitted<'p>> {
        let thread = thread::number();
        if thread == thread::INTERNAL {
            if !probe::is_probing() {
                process.ledger.count(thread, Count::Internal);
                return None;
            }
            probe::note(Reached::Gate);
        }
        let cached = levels.lookup(target);
        if !cached.allows(Stage::Module, level) {
            process.ledger.count_filtered_by_module(thread, levels.cause(cached, Stage::Module, target), level);
            if levels.is_first_filtered(level) {
                facades.report_first_filtered(levels, target, level);
            }
            return None;
        }
        Some(Admitted { process, thread, cached })
    }

    /// Returns whether the message filter lets the record pass; counts it if not.
    #[inline]
    pub(super) fn passes_message_filter<S: RecordSource + ?Sized>(
        &self,
        levels: &LevelState,
        Admitted { process, thread, .. }: Admitted<'_>,
        source: &S,
    ) -> bool {
        let Some((filter, setting)) = &self.message_filter else { return true };
        if source.text().is_none_or(|text| filter.is_match(&text)) {
            return true;
        }
        let setting = || format!("{setting}: {MESSAGE_FILTER_CAUSE}");
        let cause = levels.causes.number(Stage::Module, source.target(), setting).unwrap_or_default();
        process.ledger.count_filtered_by_module(thread, cause, source.level());
        if thread == thread::INTERNAL {
            probe::note(Reached::MessageFilter);
        }
        false
    }

    /// Routes a record that has passed the module stage, and counts the decision of each destination.
    ///
    /// `may_enter` is false if log calls are nested too deep in the formatting of other records. `flags` returns the flags
    /// of the record's trace.
    #[inline]
    pub(super) fn route<S: RecordSource + ?Sized>(
        &self,
        levels: &LevelState,
        admitted: Admitted<'_>,
        source: &S,
        may_enter: bool,
        flags: impl FnOnce() -> Option<u8>,
        is_repeated: impl FnOnce() -> bool,
    ) -> Routing {
        let Admitted { process, thread, cached } = admitted;
        let ledger = &process.ledger;
        let (target, level) = (source.target(), source.level());
        ledger.count(thread, Count::Offered);
        ledger.count(thread, Count::ModulePassed);
        let (console, counted) = match () {
            () if !self.has_console => (false, Count::ConsoleOff),
            () if source.skips_console() || thread == thread::INTERNAL => (false, Count::ConsoleOff),
            () if !cached.allows(Stage::Console, level) => {
                ledger.count_filtered(thread, levels.cause(cached, Stage::Console, target), level);
                (false, Count::ConsoleBelow)
            }
            () if !may_enter => (false, Count::ConsoleSuppressed),
            () => (true, Count::ConsoleAccepted),
        };
        ledger.count(thread, counted);
        let otlp = self.route_otlp(levels, admitted, target, level, || match () {
            () if !may_enter || buffers::is_suppressed() => Some(Suppression::Context),
            () if self.trace_based && flags().is_some_and(|flags| flags & SAMPLED == 0) => Some(Suppression::Unsampled),
            // Canary records are similar on purpose.
            () if thread != thread::INTERNAL && is_repeated() => Some(Suppression::Repeated),
            () => None,
        });
        Routing { console, ..otlp }
    }

    /// Decides for the otlp destination and the mirror. The mirror shows the records that would be sent, even if that
    /// destination is off.
    #[inline]
    fn route_otlp(
        &self,
        levels: &LevelState,
        Admitted { process, thread, cached }: Admitted<'_>,
        target: &str,
        level: Level,
        suppression: impl FnOnce() -> Option<Suppression>,
    ) -> Routing {
        let passes = cached.allows(Stage::Otlp, level);
        let suppression = if passes { suppression() } else { None };
        let counted = match suppression {
            _ if !self.otlp_is_on => Count::OtlpOff,
            _ if !passes => {
                process.ledger.count_filtered(thread, levels.cause(cached, Stage::Otlp, target), level);
                Count::OtlpBelow
            }
            Some(Suppression::Context) => Count::OtlpSuppressed,
            Some(Suppression::Unsampled) => Count::OtlpUnsampled,
            Some(Suppression::Repeated) => Count::OtlpRepeated,
            None => Count::OtlpAccepted,
        };
        process.ledger.count(thread, counted);
        let wanted = passes && suppression.is_none();
        Routing { console: false, otlp: wanted && self.otlp_is_on, mirror: wanted && self.has_mirror }
    }

    /// Routes a record that a provider of the application passes to logbridge's processor.
    ///
    /// Only the otlp destination decides: there is no module stage and no console. `flags` are those of the record's trace.
    pub(super) fn route_from_provider(
        &self,
        levels: &LevelState,
        process: &ProcessState,
        target: &str,
        level: Level,
        flags: Option<u8>,
        is_repeated: impl FnOnce() -> bool,
    ) -> Option<Routing> {
        let (ledger, thread) = (&process.ledger, thread::number());
        if thread::is_internal() {
            ledger.count(thread, Count::Internal);
            return None;
        }
        for count in [Count::Offered, Count::ModulePassed, Count::ConsoleOff] {
            ledger.count(thread, count);
        }
        let admitted = Admitted { process, thread, cached: levels.lookup(target) };
        let routing = self.route_otlp(levels, admitted, target, level, || match () {
            () if self.trace_based && flags.is_some_and(|flags| flags & SAMPLED == 0) => Some(Suppression::Unsampled),
            () if is_repeated() => Some(Suppression::Repeated),
            () => None,
        });
        routing.needs_encoding().then_some(routing)
    }
}
