//! The path of a record from a facade to the destinations: gate, encoder, delivery, console.

use std::sync::Weak;
use std::time::Duration;

use log::Level;
use opentelemetry::Context;

use super::buffers::{self, Buffers};
use super::chain_state::{self, ChainProgress};
use super::delivery::Delivery;
use super::encoder::Encoder;
use super::exit::ExitHandler;
use super::facades::Facades;
use super::gate::{Admitted, Gate};
use super::probe::{self, Reached};
use super::process_state::{ProcessState, StatePerProcess};
use super::record_path::RecordPath;
use super::record_source::RecordSource;
use super::repetition::Similar;
use super::routing::Routing;
use super::schedule::Schedule;
use super::setup::Setup;
use super::span_export::SpanExport;
use super::suppression;
use crate::config::{Config, ReportTo};
use crate::console::{PrintResult, Terminal};
use crate::ledger::{Count, DropReason};
use crate::levels::LevelState;
use crate::otlp::TraceIds;
use crate::ship::{HasScheduler, Scheduler};
use crate::signal::Signal;
use crate::thread::{self, Call, catch_panic};

/// A path from the facades to the destinations, shared by all handles.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) levels: LevelState,
    pub(super) gate: Gate,
    pub(super) path: RecordPath,
    pub(super) encoder: Encoder,
    pub(super) delivery: Delivery,
    pub(super) console: Option<Terminal>,
    pub(super) spans: SpanExport,
    pub(super) facades: Facades,
    pub(super) schedule: Schedule,
    pub(crate) exit_timeout: Duration,
    pub(crate) setup: Setup,
    pub(super) hooks: Hooks,
    /// The pipeline itself, for the thread of its scheduler.
    me: Weak<Self>,
}

/// Code outside of the pipeline that the pipeline calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hooks {
    /// Writes the report to a stream or a file.
    pub(crate) write_report: fn(&Pipeline, &ReportTo),
    /// Ends the open spans of tracing; `None` if the pipeline will not be installed.
    pub(crate) end_open_spans: Option<fn()>,
}

/// The inputs of a pipeline besides its configuration.
#[derive(Debug)]
pub(super) struct Parts {
    /// Whether records pass through a module stage and a console. Records of a provider of the application do not.
    pub(super) has_module_stage: bool,
    pub(super) path: RecordPath,
    pub(super) processes: StatePerProcess,
    /// The ids of records outside of any span.
    pub(super) root: Option<TraceIds>,
    pub(super) hooks: Hooks,
    pub(super) at_exit: ExitHandler,
}

impl Pipeline {
    pub(super) fn new(config: &Config, parts: Parts, me: Weak<Self>) -> Self {
        let Parts { has_module_stage, path, processes, root, hooks, at_exit } = parts;
        let levels = LevelState::new(config.levels.clone(), has_module_stage, config.count_below)
            .with_variables(&config.variables);
        let console = Terminal::new(&config.console).filter(|_| has_module_stage);
        let delivery = Delivery::new(config, processes, at_exit);
        Self {
            facades: Facades::new(&levels),
            gate: Gate::new(config, has_module_stage, console.is_some(), delivery.mirror.is_some()),
            levels,
            path,
            encoder: Encoder::new(config, root),
            delivery,
            console,
            spans: SpanExport::new(config, hooks.end_open_spans),
            schedule: Schedule::default(),
            exit_timeout: config.exit_timeout,
            setup: Setup::new(config),
            hooks,
            me,
        }
    }

    /// Returns whether a record would pass the module stage. Counts nothing.
    pub(crate) fn is_enabled(&self, target: &str, level: Level) -> bool {
        probe::note_asked(self.address());
        self.levels.allows(target, level)
    }

    /// Receives a record from a facade.
    #[inline]
    pub(super) fn take<S: RecordSource + ?Sized>(&self, source: &S) {
        if let Some(admitted) = self.admit(source.target(), source.level()) {
            self.accept(admitted, source);
        }
    }

    /// Applies the module stage. Returns `None` if the record is filtered, and counts that.
    #[inline(always)]
    pub(super) fn admit(&self, target: &str, level: Level) -> Option<Admitted<'_>> {
        Gate::admit(&self.levels, &self.facades, self.delivery.processes.current(), target, level)
    }

    /// Receives a record that has passed the module stage. Not inlined, so that filtered records do not pay for it.
    #[inline(never)]
    pub(super) fn accept<S: RecordSource + ?Sized>(&self, admitted: Admitted<'_>, source: &S) {
        let call = Call::enter();
        if !self.gate.passes_message_filter(&self.levels, admitted, source) {
            return;
        }
        let Admitted { process, thread, .. } = admitted;
        // Code of the application formatted the text, and may have forked.
        let mut process = if process.is_of_this_process() { process } else { self.processes().current() };
        let admitted = Admitted { process, ..admitted };
        let is_repeated = || self.is_repeated(process, thread, || source.similar());
        let flags = || source.trace(self.encoder.root).map(|trace| trace.flags);
        let routing = self.gate.route(&self.levels, admitted, source, call.is_some(), flags, is_repeated);
        if thread == thread::INTERNAL {
            probe::note(if routing.otlp { Reached::Accepted } else { Reached::Destination });
        }
        // The official appenders format some values more than once.
        if routing.needs_encoding() && (routing.console || self.path.has_official_appenders()) {
            source.render();
            process = self.delivery.after_user_code(process, thread, routing);
        }
        if source.has_panicked() {
            if routing.console {
                process.ledger.count(thread, Count::ConsoleFailed);
            }
            if routing.otlp {
                process.ledger.count_dropped(thread, Signal::Logs, DropReason::FormatPanicked);
            }
            return;
        }
        if routing.needs_encoding() {
            match &self.path {
                RecordPath::Direct => self.encode(process, thread, source, routing),
                RecordPath::Chain { .. } => self.emit_through_sdk(process, thread, source, routing),
            }
        }
        // The console comes last. If nobody reads it, it may block the caller, but the record is already accepted.
        if routing.console
            && let Some(terminal) = &self.console
            && source.print(terminal) != PrintResult::Whole
        {
            // Formatting may have forked.
            self.processes().current().ledger.count(thread, Count::ConsoleFailed);
        }
    }

    /// Encodes the record from its source, and delivers it.
    #[inline]
    fn encode<S: RecordSource + ?Sized>(&self, process: &ProcessState, thread: usize, source: &S, routing: Routing) {
        buffers::with(|buffers| {
            let encoded = catch_panic(|| self.encoder.encode(buffers, source));
            let process = self.delivery.after_user_code(process, thread, routing);
            match encoded {
                Some(()) => {
                    let severity = source.severity_number();
                    self.deliver(process, thread, buffers, severity, routing, || source.otel_context());
                }
                None if routing.otlp => process.ledger.count_dropped(thread, Signal::Logs, DropReason::FormatPanicked),
                None => {}
            }
        });
    }

    /// Emits the record through processors of the application or the official appenders.
    ///
    /// Our own processor at the end of the chain encodes it and calls [`Pipeline::deliver_from_sdk`].
    fn emit_through_sdk<S: RecordSource + ?Sized>(
        &self,
        process: &ProcessState,
        thread: usize,
        source: &S,
        routing: Routing,
    ) {
        let mut panicked = false;
        let progress = chain_state::run(routing, || {
            panicked = catch_panic(|| self.path.emit(&self.encoder, source)).is_none();
        });
        let reason = match progress {
            ChainProgress::Completed => return,
            // The official appenders do not call `note_formatted`.
            ChainProgress::NotFormatted if panicked => DropReason::FormatPanicked,
            ChainProgress::NotFormatted | ChainProgress::Entered => DropReason::Processor,
        };
        let process = self.delivery.after_user_code(process, thread, routing);
        if routing.otlp {
            process.ledger.count_dropped(thread, Signal::Logs, reason);
        }
    }

    /// Delivers a record of the SDK that is encoded in the buffers.
    pub(super) fn deliver_from_sdk(&self, buffers: &mut Buffers, severity: u8, routing: Routing) {
        let (process, thread) = (self.processes().current(), thread::number());
        self.deliver(process, thread, buffers, severity, routing, buffers::current_span);
    }

    #[inline]
    fn deliver(
        &self,
        process: &ProcessState,
        thread: usize,
        buffers: &mut Buffers,
        severity: u8,
        routing: Routing,
        context: impl FnOnce() -> Option<Context>,
    ) {
        self.encoder.finish(process, thread, &mut buffers.frame, severity, context);
        self.delivery.deliver(process, thread, &mut buffers.frame, severity, routing);
        if routing.otlp && thread != thread::INTERNAL {
            let is_traced = buffers.frame.scratch().is_traced();
            process.ledger.count_by_name(thread, buffers.thread.name_number, is_traced);
        }
    }

    /// Returns whether the record exceeds the limit of similar records.
    #[inline]
    pub(super) fn is_repeated<'s>(
        &self,
        process: &ProcessState,
        thread: usize,
        similar: impl FnOnce() -> Similar<'s>,
    ) -> bool {
        suppression::is_repeated(&self.delivery, process, thread, similar, || self.wake_scheduler())
    }

    /// Starts the scheduler, or makes it check for earlier work.
    #[cold]
    pub(super) fn wake_scheduler(&self) {
        self.schedule.scheduler.wake(Weak::clone(&self.me));
    }

    pub(crate) fn processes(&self) -> &StatePerProcess {
        &self.delivery.processes
    }

    /// Returns the address, which identifies the pipeline.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl HasScheduler for Pipeline {
    fn scheduler(&self) -> &Scheduler {
        &self.schedule.scheduler
    }
}

impl Drop for Pipeline {
    /// Writes the summaries of suppressed records, if the pipeline was built and never flushed.
    fn drop(&mut self) {
        if let Some(process) = self.processes().existing() {
            suppression::report_all(&self.delivery, process);
        }
    }
}
