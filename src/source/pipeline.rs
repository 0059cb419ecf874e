//! The way of a record from a facade to the destinations: count, gate, encode once, hand over.

use std::sync::atomic::AtomicBool;
use std::sync::{OnceLock, Weak};
use std::time::{Duration, Instant};

use log::Level;

use super::buffers::{self, Buffers};
use super::change::{Appointments, WatchedFile};
use super::encode::{add_exception, apply_limits, keep_time_in_order, severity_number, write_record};
use super::engine::{Engine, Engines};
pub(super) use super::facade::Source;
use super::front::Front;
use super::gate::Verdict;
use super::lifecycle;
use super::opening::Opening;
use super::overload::{Overflowing, overflow};
use super::probe::{self, Reached};
use super::processor::{Came, expecting};
use super::state::AfterShutdown;
use crate::config::{Config, ReportConfig, ReportTo, Setting};
use crate::console::{MirrorPrinter, PrintResult, Terminal};
use crate::finding::Finding;
use crate::ledger::{Count, DropReason};
use crate::levels::{CachedLevels, LevelState, MessageFilter, ON_TEXT, Stage};
use crate::otlp::{AttributeLimits, Redaction, TraceIds, encode_scope_name};
use crate::outbox::{HEADER, Wake, begin_frame, end_frame};
use crate::ship::Keeper;
use crate::signal::Signal;
use crate::thread::{self, Call, catch_panic};

/// One way from facades to destinations, shared by all handles.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) levels: LevelState,
    /// What the text of a record must match, and who said so.
    pub(super) message_filter: Option<(MessageFilter, String)>,
    /// Whether records are sent.
    pub(super) otlp_on: bool,
    /// Whether records of traces that are not sampled are cut.
    pub(super) trace_based: bool,
    /// The ids that records outside of any span carry: those of the span that the process was started in.
    pub(crate) root: Option<TraceIds>,
    /// Whether spans are sent.
    pub(super) spans_on: bool,
    /// Whether errors are span events too.
    exception_events: bool,
    /// What the attributes of a record may hold.
    pub(super) limits: Option<AttributeLimits>,
    /// How many characters a text in the attributes of a span may have.
    pub(super) span_value_length: Option<usize>,
    /// Whether each record has an id of its own.
    pub(super) record_ids: bool,
    /// What is taken out of records and spans.
    pub(super) redaction: Option<Redaction>,
    pub(super) terminal: Option<Terminal>,
    pub(super) mirror: Option<MirrorPrinter>,
    pub(super) span_mirror: Option<MirrorPrinter>,
    pub(super) engines: Engines,
    pub(super) front: Front,
    pub(crate) exit_timeout: Duration,
    /// What was decided, and what in that deserves a look.
    pub(crate) settings: Vec<Setting>,
    pub(crate) findings: Vec<Finding>,
    /// Why the otlp destination is off, where it is.
    pub(crate) off_because: Option<&'static str>,
    pub(crate) endpoint: Option<String>,
    /// The directory in which records outlive the process.
    pub(crate) spool: Option<String>,
    /// Why spans are not sent, where they are not.
    pub(crate) spans_off_because: Option<&'static str>,
    pub(crate) span_endpoint: Option<String>,
    pub(super) shut: AtomicBool,
    pub(super) after_shutdown: AfterShutdown,
    pub(crate) started: Instant,
    pub(crate) report: ReportConfig,
    /// How the report is put together, and given.
    pub(crate) give_report: OnceLock<fn(&Self, &ReportTo)>,
    /// It says how far `log` and tracing are open.
    pub(super) owns_facades: AtomicBool,
    pub(super) opening: Opening,
    /// How the spans of tracing that are open are ended.
    pub(crate) end_spans: OnceLock<fn()>,
    pub(super) appointments: Appointments,
    pub(super) levels_file: WatchedFile,
    pub(super) keeper: Keeper,
    /// Itself, for the keeper.
    pub(crate) me: OnceLock<Weak<Self>>,
}

/// A record that the module stage lets through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted<'a> {
    engine: &'a Engine,
    /// The number of the thread.
    shard: usize,
    look: CachedLevels,
}

impl Pipeline {
    pub(crate) fn new(config: &Config, engines: Engines, front: Front, has_module_stage: bool) -> Self {
        let levels = LevelState::new(config.levels.clone(), has_module_stage, config.count_below)
            .with_variables(&config.variables);
        Self {
            message_filter: config.message_filter.clone().filter(|_| has_module_stage),
            opening: Opening::new(levels.facade_filter()),
            levels,
            otlp_on: config.otlp.delivery.is_some(),
            trace_based: config.otlp.trace_based,
            root: None,
            spans_on: config.span.delivery.is_some(),
            exception_events: config.span.exception_events,
            limits: config.limits,
            span_value_length: config.span.value_length,
            record_ids: config.record_ids,
            redaction: config.redaction.clone(),
            terminal: Terminal::new(&config.console).filter(|_| has_module_stage),
            mirror: MirrorPrinter::new(config.mirror, config.console.format.is_test),
            span_mirror: MirrorPrinter::new(config.span.mirror, config.console.format.is_test),
            engines,
            front,
            exit_timeout: config.exit_timeout,
            settings: config.settings.clone(),
            findings: config.findings.clone(),
            off_because: config.otlp.off_because,
            endpoint: config.otlp.delivery.as_ref().map(|delivery| delivery.route.endpoint.to_string()),
            spool: config
                .otlp
                .delivery
                .as_ref()
                .and_then(|delivery| Some(delivery.spool.as_ref()?.directory.display().to_string())),
            spans_off_because: config.span.off_because,
            span_endpoint: config.span.delivery.as_ref().map(|delivery| delivery.route.endpoint.to_string()),
            shut: AtomicBool::new(false),
            after_shutdown: AfterShutdown::default(),
            started: Instant::now(),
            report: config.report.clone(),
            give_report: OnceLock::new(),
            owns_facades: AtomicBool::new(false),
            end_spans: OnceLock::new(),
            appointments: Appointments::default(),
            levels_file: WatchedFile::default(),
            keeper: Keeper::default(),
            me: OnceLock::new(),
        }
    }

    pub(crate) fn engines(&self) -> &Engines {
        &self.engines
    }

    /// Whether anything is redacted.
    pub(crate) fn redacts(&self) -> bool {
        self.redaction.is_some()
    }

    /// Whether values under that key are redacted.
    pub(crate) fn hides(&self, key: &str) -> bool {
        self.redaction.as_ref().is_some_and(|redaction| redaction.hides(key))
    }

    /// Whether a record would pass the module stage. Counts nothing.
    pub(crate) fn is_enabled(&self, target: &str, level: Level) -> bool {
        probe::came_to(self);
        self.levels.allows(target, level)
    }

    /// Takes a record from a facade.
    #[inline]
    pub(super) fn take<S: Source + ?Sized>(&self, source: &S, official: impl FnOnce(&Front)) {
        if let Some(admitted) = self.admit(source.target(), source.level()) {
            self.accept(admitted, source, official);
        }
    }

    /// The module stage. `None` if the record goes no further, and is counted.
    #[inline(always)]
    pub(super) fn admit(&self, target: &str, level: Level) -> Option<Admitted<'_>> {
        let engine = self.engines.current();
        let shard = thread::number();
        if shard == thread::INTERNAL {
            if !probe::is_probing() {
                engine.ledger.count(shard, Count::Internal);
                return None;
            }
            probe::note(Reached::Gate);
        }
        let look = self.levels.lookup(target);
        if !look.allows(Stage::Module, level) {
            engine.ledger.count_filtered_by_module(shard, self.levels.cause(look, Stage::Module, target), level);
            if self.levels.is_first_filtered(level) {
                self.tell_first_cut(target, level);
            }
            return None;
        }
        Some(Admitted { engine, shard, look })
    }

    /// What passed the module stage. Apart, so that what is filtered there does not pay for it.
    #[inline(never)]
    pub(super) fn accept<S: Source + ?Sized>(
        &self,
        Admitted { engine, shard, look }: Admitted<'_>,
        source: &S,
        official: impl FnOnce(&Front),
    ) {
        let call = Call::enter();
        if let Some((filter, by)) = &self.message_filter
            && source.text().is_some_and(|text| !filter.is_match(&text))
        {
            let by = || format!("{by}: {ON_TEXT}");
            let cut = self.levels.causes.number(Stage::Module, source.target(), by).unwrap_or_default();
            engine.ledger.count_filtered_by_module(shard, cut, source.level());
            if shard == thread::INTERNAL {
                probe::note(Reached::TextFilter);
            }
            return;
        }
        // The text is made by user code, which may fork.
        let mut engine = if engine.is_of_this_process() { engine } else { self.engines.current() };
        let verdict = self.gate(engine, shard, source, look, call.is_some());
        if shard == thread::INTERNAL {
            probe::note(if verdict.otlp { Reached::Accepted } else { Reached::Destination });
        }
        let goes_on = verdict.otlp || verdict.mirror;
        // The official appenders format some values more than once.
        if goes_on && (verdict.console || matches!(self.front, Front::Official(_))) {
            source.render();
            engine = self.after_user_code(engine, shard, verdict);
        }
        if source.has_panicked() {
            if verdict.console {
                engine.ledger.count(shard, Count::ConsoleFailed);
            }
            if verdict.otlp {
                engine.ledger.count_dropped(shard, Signal::Logs, DropReason::FormatPanicked);
            }
            return;
        }
        if goes_on {
            match &self.front {
                Front::Direct => self.encode(engine, shard, source, verdict),
                front => self.through_sdk(engine, shard, source, verdict, || official(front)),
            }
        }
        // Last: a console that nobody reads may hold the caller, but not the record.
        if verdict.console
            && let Some(terminal) = &self.terminal
            && source.print(terminal) != PrintResult::Whole
        {
            // Formatting may have forked.
            self.engines.current().ledger.count(shard, Count::ConsoleFailed);
        }
    }

    /// Straight from the source to bytes.
    #[inline]
    fn encode<S: Source + ?Sized>(&self, engine: &Engine, shard: usize, source: &S, verdict: Verdict) {
        buffers::with(|buffers| {
            let written = catch_panic(|| {
                begin_frame(&mut buffers.scratch);
                encode_scope_name(&mut buffers.scratch.buf, source.target());
                let scope_end = buffers.scratch.buf.len();
                write_record(buffers, source, self.root, self.redaction.as_ref(), self.record_ids);
                scope_end
            });
            let engine = self.after_user_code(engine, shard, verdict);
            match written {
                Some(scope_end) => {
                    let severity = source.severity_number();
                    self.clean(engine, shard, buffers, scope_end);
                    if self.exception_events && severity >= severity_number(Level::Error) {
                        add_exception(buffers, scope_end, || source.otel_context());
                    }
                    self.hand_over(engine, shard, buffers, scope_end, severity, verdict);
                }
                None if verdict.otlp => engine.ledger.count_dropped(shard, Signal::Logs, DropReason::FormatPanicked),
                None => {}
            }
        });
    }

    /// By way of the application's processors or the official appenders; our own processor is the last of the chain
    /// and calls [`Pipeline::finish_sdk`].
    fn through_sdk<S: Source + ?Sized>(
        &self,
        engine: &Engine,
        shard: usize,
        source: &S,
        verdict: Verdict,
        official: impl FnOnce(),
    ) {
        let mut panicked = false;
        let came = expecting(verdict.otlp, verdict.mirror, || {
            panicked = catch_panic(|| self.front.emit(source, official)).is_none();
        });
        let reason = match came {
            Came::Through => return,
            // The official appenders do not say when they are done with formatting.
            Came::Nowhere if panicked => DropReason::FormatPanicked,
            Came::Nowhere | Came::IntoTheChain => DropReason::Processor,
        };
        let engine = self.after_user_code(engine, shard, verdict);
        if !verdict.otlp {
            return;
        }
        engine.ledger.count_dropped(shard, Signal::Logs, reason);
    }

    /// A record that came through an SDK's chain: encoded by the caller into the buffers.
    pub(super) fn finish_sdk(&self, buffers: &mut Buffers, scope_end: usize, severity: u8, otlp: bool, mirror: bool) {
        let (engine, shard) = (self.engines.current(), thread::number());
        self.clean(engine, shard, buffers, scope_end);
        if self.exception_events && severity >= severity_number(Level::Error) {
            add_exception(buffers, scope_end, buffers::current_span);
        }
        self.hand_over(engine, shard, buffers, scope_end, severity, Verdict { console: false, otlp, mirror });
    }

    /// Whether records go anywhere but to the console.
    pub(super) fn shows_or_sends(&self) -> bool {
        self.otlp_on || self.mirror.is_some()
    }

    #[inline]
    pub(super) fn hand_over(
        &self,
        engine: &Engine,
        shard: usize,
        buffers: &mut Buffers,
        scope_end: usize,
        severity: u8,
        verdict: Verdict,
    ) {
        if let Some(limits) = self.limits {
            let left_out = apply_limits(limits, &mut buffers.scratch.buf, scope_end);
            engine.ledger.count_many(shard, Count::AttributeLeftOut, left_out);
        }
        keep_time_in_order(&mut buffers.scratch, scope_end);
        let checked = engine.outbox.as_ref().is_some_and(|outbox| outbox.is_checked());
        end_frame(&mut buffers.scratch, scope_end, severity, checked);
        let frame = &buffers.scratch.buf;
        if verdict.mirror {
            self.show(engine, shard, frame, scope_end);
        }
        if !verdict.otlp {
            return;
        }
        let (Some(outbox), Some(ship)) = (&engine.outbox, &engine.ship) else {
            engine.ledger.count_dropped(shard, Signal::Logs, DropReason::ThreadLost);
            return;
        };
        if self.is_shut() {
            engine.ledger.count_dropped(shard, Signal::Logs, DropReason::Shutdown);
            self.after_shutdown.came();
            return;
        }
        let high = severity >= severity_number(Level::Warn);
        let taken = match outbox.append(thread::shard_of(shard), high, frame) {
            Ok(wake) => Some(wake),
            Err(reason) => overflow(engine, outbox, ship, Overflowing { shard, high, frame, reason }),
        };
        if let Some(wake) = taken {
            engine.ledger.count(shard, Count::Appended);
            if shard == thread::INTERNAL {
                probe::note(Reached::Outbox);
            }
            lifecycle::arm_if_exiting();
            if wake == Wake::Yes {
                ship.wake(Signal::Logs);
            }
        }
    }

    #[cold]
    fn show(&self, engine: &Engine, shard: usize, frame: &[u8], scope_end: usize) {
        let (Some(mirror), Some(scope), Some(record)) =
            (&self.mirror, frame.get(HEADER..scope_end), frame.get(scope_end..))
        else {
            return;
        };
        let shown = mirror.print(&engine.resource, scope, record);
        engine.ledger.count(shard, if shown { Count::MirrorWritten } else { Count::MirrorFailed });
    }
}
