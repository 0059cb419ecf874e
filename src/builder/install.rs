//! The wiring: the only place that joins the parts.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_core::dispatcher::{self, Dispatch};
use tracing_subscriber::layer::SubscriberExt as _;

use super::Builder;
use crate::bridge::Bridge;
use crate::config::{Config, LevelsFile, Mirror};
use crate::diagnose::{record_image_start, write_report};
use crate::error::{Error, Kind};
use crate::finding::Finding;
use crate::notice;
use crate::os::{self, PerProcess};
use crate::ship;
use crate::source::{
    Assembly, EventLayer, Hooks, Pipeline, ProcessStates, SpanProcessor, assemble, flush_on_signals,
    install_panic_hook, installed, process_states, register_built, register_lifecycle, report_on_signals, take_log,
    trace_of,
};
use crate::telemetry::{SpanGate, end_open_spans, install_root, install_tracer, read_root};

/// One `init` at a time: what was decided about the slots must still hold when they are used.
static INSTALLING: PerProcess<Mutex<()>> = PerProcess::new();
/// `log`'s slot is ours, from this or an earlier attempt.
static LOG_SLOT: AtomicBool = AtomicBool::new(false);
/// tracing's slot is ours, from this or an earlier attempt.
static TRACING_SLOT: AtomicBool = AtomicBool::new(false);

/// The logger in `log`'s slot; inert until something is installed.
struct Installed;

impl log::Log for Installed {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        installed::pipeline().is_some_and(|pipeline| pipeline.is_enabled(metadata.target(), metadata.level()))
    }

    #[inline]
    fn log(&self, record: &log::Record<'_>) {
        if let Some(pipeline) = installed::pipeline() {
            take_log(pipeline, record);
        }
    }

    fn flush(&self) {
        if let Some(pipeline) = installed::pipeline() {
            // `log` has no way to say that it failed; the report does.
            let _see_the_report = pipeline.flush_all(pipeline.exit_timeout);
        }
    }
}

impl Builder {
    pub(super) fn install(&mut self, at: &'static Location<'static>) -> Result<Bridge, Error> {
        let _one_at_a_time = INSTALLING.get().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = installed::location() {
            return Err(already(at));
        }
        if std::thread::panicking() {
            return Err(Error::new(Kind::WhilePanicking));
        }
        let config = self.settings.resolve(&self.environment)?;
        notice::set_verbosity(config.verbosity);
        // What can fail for other reasons first: a slot that is taken stays taken.
        let processes = process_states(&config);
        processes.start()?;
        take_log_slot()?;
        take_tracing_slot()?;
        let hooks = Hooks { write_report: write_report, end_open_spans: Some(end_open_spans) };
        let pipeline = self.pipeline_of(&config, processes, hooks, true);
        let resource = config.resource.clone();
        let mut processors = std::mem::take(&mut self.span_processors);
        // Ours is the last, after those that add to a span when it starts.
        if config.span.delivery.is_some() || config.span.mirror != Mirror::Off {
            processors.push(Box::new(SpanProcessor::new(Arc::clone(&pipeline))));
        }
        install_tracer(std::mem::take(&mut self.tracer), &config.span, || resource.build(), processors);
        installed::install(Arc::clone(&pipeline), at).map_err(already)?;
        watch_levels_file(&config, &pipeline);
        if config.first_cut {
            pipeline.levels.report_first_filtered();
        }
        // Callsites that were seen before have been told "never" by the inert subscriber: they are asked again.
        pipeline.own_facades();
        register_lifecycle();
        record_image_start(config.report.at_exit.as_ref());
        if config.panic_hook {
            install_panic_hook();
        }
        watch_signals(&config);
        for notice in config.said() {
            notice::emit(&notice);
        }
        for notice in pipeline.levels.findings_without_effect().iter().filter_map(Finding::notice) {
            notice::emit(&notice);
        }
        if config.show_levels {
            notice::print(format!("logbridge: levels\n{}", pipeline.show_levels()));
        }
        Ok(Bridge::new(pipeline))
    }

    pub(super) fn pipeline(&mut self, has_module_stage: bool) -> Result<Arc<Pipeline>, Error> {
        let config = self.settings.resolve(&self.environment)?;
        for notice in config.said() {
            notice::emit(&notice);
        }
        let hooks = Hooks { write_report: write_report, end_open_spans: None };
        let pipeline = self.pipeline_of(&config, process_states(&config), hooks, has_module_stage);
        watch_levels_file(&config, &pipeline);
        register_built(&pipeline);
        watch_signals(&config);
        Ok(pipeline)
    }

    fn pipeline_of(
        &mut self,
        config: &Config,
        processes: ProcessStates,
        hooks: Hooks,
        has_module_stage: bool,
    ) -> Arc<Pipeline> {
        #[cfg(feature = "testing")]
        crate::testing::mark_receiver_threads();
        let handed_down = config.carrier.as_ref().map(|carrier| read_root(carrier, &config.span.propagators));
        let root = handed_down.as_ref().and_then(trace_of);
        if let Some(handed_down) = handed_down {
            install_root(handed_down);
        }
        let processors = std::mem::take(&mut self.processors);
        let official_appenders = self.official;
        assemble(config, processes, Assembly { has_module_stage, processors, official_appenders, root, hooks })
    }
}

/// Begins anew in a forked child: an outbox, a ship thread and a `service.instance.id` of its own. Idempotent; does nothing
/// in a process that was not forked, or where logbridge is not installed.
///
/// The first record of a child does the same, so calling it is seldom needed: in a child that wants its ship thread before
/// it drops privileges or descriptors, say. What the parent had not delivered stays the parent's.
///
/// A child that ends in `_exit`, is killed, or executes another program before its records are sent loses them, at most
/// those of the schedule delay; with a [`Spool`](crate::Spool) they are sent by whoever shares it, its parent within a few
/// seconds or with its next flush.
pub fn post_fork() {
    if let Some(pipeline) = installed::pipeline() {
        let _started = pipeline.processes().current();
    }
}

fn watch_signals(config: &Config) {
    if config.flush_on_signals {
        flush_on_signals();
    }
    if config.report.on_signal.is_some() {
        report_on_signals();
    }
}

fn watch_levels_file(config: &Config, pipeline: &Arc<Pipeline>) {
    if let Some(path) = &config.levels_file {
        pipeline.watch_levels_file(LevelsFile::new(path.clone()));
    }
}

fn already(at: &'static Location<'static>) -> Error {
    Error::new(Kind::AlreadyInitialized { at }).with_help("initialise once, and use `logbridge::bridge()` elsewhere")
}

fn take_log_slot() -> Result<(), Error> {
    if LOG_SLOT.load(Ordering::Relaxed) {
        return Ok(());
    }
    log::set_logger(&Installed).map_err(|_| {
        Error::new(Kind::LogSlotTaken).with_help(
            "remove the other logger's init (`env_logger::init()`, or `tracing_subscriber`'s `init()`, whose feature \
             `tracing-log` takes this slot too), or chain `logbridge::builder().build()?.logger()`",
        )
    })?;
    LOG_SLOT.store(true, Ordering::Relaxed);
    Ok(())
}

fn take_tracing_slot() -> Result<(), Error> {
    if TRACING_SLOT.load(Ordering::Relaxed) {
        return Ok(());
    }
    let subscriber = tracing_subscriber::registry().with(SpanGate::new()).with(EventLayer::root());
    dispatcher::set_global_default(Dispatch::new(subscriber)).map_err(|_| {
        // Ours was asked about every callsite when it was made: their interest must not remember it.
        ship::on_own_thread(|| os::without_forks(tracing_core::callsite::rebuild_interest_cache));
        Error::new(Kind::TracingSlotTaken { by: known_subscriber() }).with_help(
            "remove the other subscriber's init, or add `.with(logbridge::builder().build()?.layer())` to its registry",
        )
    })?;
    TRACING_SLOT.store(true, Ordering::Relaxed);
    Ok(())
}

/// What the global subscriber is made of, as far as that can be asked.
fn known_subscriber() -> Option<&'static str> {
    dispatcher::get_default(|dispatch| {
        dispatch.is::<tracing_subscriber::Registry>().then_some("a tracing_subscriber registry")
    })
}
