//! Installation: the only module that connects all parts of the library.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_core::dispatcher::{self, Dispatch};
use tracing_subscriber::layer::SubscriberExt as _;

use super::configure::Builder;
use crate::bridge::Bridge;
use crate::config::{Config, LevelsFile, Mirror};
use crate::diagnose::{record_image_start, write_report};
use crate::error::{Error, Kind};
use crate::finding::Finding;
use crate::notice;
use crate::os::{self, PerProcess};
use crate::ship;
use crate::source::{
    Assembly, EventLayer, GlobalLogger, Hooks, Pipeline, SpanProcessor, StatePerProcess, assemble, flush_on_signals,
    install_panic_hook, installed, register_built, register_lifecycle, report_on_signals, state_per_process, trace_of,
};
use crate::telemetry::{SpanGate, end_open_spans, extract_inherited_context, install_tracer, set_inherited_context};

/// Serializes `init`, so that a slot found empty is still empty when it is set.
static INSTALLING: PerProcess<Mutex<()>> = PerProcess::new();
/// Whether this or an earlier attempt has set the logger of `log`.
static LOG_SLOT: AtomicBool = AtomicBool::new(false);
/// Whether this or an earlier attempt has set the global subscriber of tracing.
static TRACING_SLOT: AtomicBool = AtomicBool::new(false);

impl Builder {
    pub(super) fn install(&mut self, at: &'static Location<'static>) -> Result<Bridge, Error> {
        let _one_at_a_time = INSTALLING.get().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = installed::location() {
            return Err(already_initialized(at));
        }
        if std::thread::panicking() {
            return Err(Error::new(Kind::WhilePanicking));
        }
        let config = self.settings.resolve(&self.environment)?;
        notice::set_verbosity(config.verbosity);
        // Steps that can fail for other reasons come first, because a slot can be set only once.
        let processes = state_per_process(&config);
        processes.start()?;
        take_log_slot()?;
        take_tracing_slot()?;
        let hooks = Hooks { write_report, end_open_spans: Some(end_open_spans) };
        let pipeline = self.pipeline_of(&config, processes, hooks, true);
        let resource = config.resource.clone();
        let mut processors = std::mem::take(&mut self.span_processors);
        // Added last, so processors of the application can add to a span when it starts.
        if config.span.delivery.is_some() || config.span.mirror != Mirror::Off {
            processors.push(Box::new(SpanProcessor::new(Arc::clone(&pipeline))));
        }
        install_tracer(std::mem::take(&mut self.tracer), &config.span, || resource.build(), processors);
        installed::install(Arc::clone(&pipeline), at).map_err(already_initialized)?;
        watch_levels_file(&config, &pipeline);
        if config.first_cut_notice {
            pipeline.levels.report_first_filtered();
        }
        // The inert subscriber answered "never" for callsites registered before, so their interest is rebuilt.
        pipeline.own_facades();
        register_lifecycle();
        record_image_start(config.report.at_exit.as_ref());
        if config.panic_hook {
            install_panic_hook();
        }
        watch_signals(&config);
        for notice in config.startup_notices() {
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
        for notice in config.startup_notices() {
            notice::emit(&notice);
        }
        let hooks = Hooks { write_report, end_open_spans: None };
        let pipeline = self.pipeline_of(&config, state_per_process(&config), hooks, has_module_stage);
        watch_levels_file(&config, &pipeline);
        register_built(&pipeline);
        watch_signals(&config);
        Ok(pipeline)
    }

    fn pipeline_of(
        &mut self,
        config: &Config,
        processes: StatePerProcess,
        hooks: Hooks,
        has_module_stage: bool,
    ) -> Arc<Pipeline> {
        #[cfg(feature = "testing")]
        crate::testing::mark_receiver_threads();
        let handed_down = config
            .trace_context_env
            .as_ref()
            .map(|carrier| extract_inherited_context(carrier, &config.span.propagators));
        let root = handed_down.as_ref().and_then(trace_of);
        if let Some(handed_down) = handed_down {
            set_inherited_context(handed_down);
        }
        let processors = std::mem::take(&mut self.processors);
        let official_appenders = self.official;
        assemble(config, processes, Assembly { has_module_stage, processors, official_appenders, root, hooks })
    }
}

/// Gives a forked child an outbox, an exporter thread and a `service.instance.id` of its own.
///
/// The first record of a child does the same, so calling this function is rarely necessary. It is useful if the
/// exporter thread must start before the child drops privileges or closes descriptors. Records that the parent has not
/// sent yet stay with the parent.
///
/// This function is idempotent. It does nothing in a process that was not forked, or if logbridge is not installed.
///
/// A child loses unsent records if it ends in `_exit`, is killed, or executes another program. These are at most the
/// records of one [`schedule_delay`](crate::Builder::schedule_delay). With a [`Spool`](crate::Spool), another process
/// that shares the spool sends them; the parent does so within a few seconds or at its next flush.
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

fn already_initialized(at: &'static Location<'static>) -> Error {
    Error::new(Kind::AlreadyInitialized { at })
        .with_help("initialize logbridge once, and use `logbridge::bridge()` elsewhere")
}

fn take_log_slot() -> Result<(), Error> {
    if LOG_SLOT.load(Ordering::Relaxed) {
        return Ok(());
    }
    log::set_logger(&GlobalLogger).map_err(|_| {
        Error::new(Kind::LogSlotTaken).with_help(
            "remove the other logger's init (`env_logger::init()`, or `tracing_subscriber`'s `init()`, which also sets \
             the logger of `log` by its feature `tracing-log`), or chain `logbridge::builder().build()?.logger()`",
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
        // Creating our subscriber cached its interest in every callsite, so the interest is rebuilt without it.
        ship::on_own_thread(|| os::without_forks(tracing_core::callsite::rebuild_interest_cache));
        Error::new(Kind::TracingSlotTaken { by: known_subscriber() }).with_help(
            "remove the other subscriber's init, or add `.with(logbridge::builder().build()?.layer())` to its registry",
        )
    })?;
    TRACING_SLOT.store(true, Ordering::Relaxed);
    Ok(())
}

/// Returns a description of the global subscriber, if its type is known.
fn known_subscriber() -> Option<&'static str> {
    dispatcher::get_default(|dispatch| {
        dispatch.is::<tracing_subscriber::Registry>().then_some("a tracing_subscriber registry")
    })
}
