//! The handle of what is installed.

mod levels;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tracing_core::subscriber::Interest;
use tracing_core::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

pub use levels::Levels;

use crate::config::bounded;
use crate::diagnose::{Check, Configuration, Explanation, Report, check, explain};
use crate::error::Error;
use crate::source::{EventLayer, LogProcessor, Pipeline, SpanProcessor, take_log};
use crate::thread::Call;

/// A handle of logbridge: flush it, shut it down, ask it what became of the records.
///
/// Cheap to clone. Dropping it stops nothing.
#[derive(Clone)]
pub struct Bridge {
    pipeline: Arc<Pipeline>,
}

impl Bridge {
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline }
    }

    /// Delivers every record that was accepted and every span that ended before the call.
    ///
    /// Works in every runtime and outside of them; it blocks the calling thread for at most `timeout`. While the
    /// endpoint fails in a way that may pass, they are tried again until the time is up.
    ///
    /// # Errors
    ///
    /// `Ok` means that everything accepted before the call was confirmed, and that nothing was lost that no earlier
    /// flush has told: each loss makes a flush fail, and so do those that ran meanwhile. The error has the numbers by
    /// outcome in [`Error::undelivered`], and [`Error::is_timeout`], [`Error::is_lost`] and [`Error::is_unconfirmed`] for
    /// records and spans together.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        self.pipeline.flush_all(bounded(timeout))
    }

    /// Delivers what is there, takes no more records and spans for the endpoint, and ends the ship thread. The console
    /// goes on. Spans that are still open end here.
    ///
    /// What cannot be delivered within `timeout` is dropped and counted. Not needed at the end of a program.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    #[track_caller]
    pub fn shutdown(&self, timeout: Duration) -> Result<(), Error> {
        self.pipeline.note_shutdown(Location::caller());
        self.pipeline.shutdown_all(bounded(timeout))
    }

    /// What became of every record.
    #[must_use]
    pub fn report(&self) -> Report {
        // What an allocator logs meanwhile is nested, and waits for no room.
        let _call = Call::enter();
        Report::of(&self.pipeline)
    }

    /// What was decided at the start, setting by setting, and who decided it; and what in code and environment deserves a
    /// look.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        Configuration::of(&self.pipeline)
    }

    /// The levels, to be changed while the program runs and to be shown.
    #[must_use]
    pub fn levels(&self) -> Levels {
        Levels::new(Arc::clone(&self.pipeline))
    }

    /// What becomes of a record of this target at this level, gate by gate: the facades, the stages, each destination.
    ///
    /// Asks nothing that disturbs a filter, and counts nothing.
    #[must_use]
    pub fn explain(&self, target: &str, level: impl Into<log::Level>) -> Explanation {
        explain(&self.pipeline, target, level.into())
    }

    /// Sends a canary: a marked record of the target `logbridge::canary` through `log` and through tracing, at each level,
    /// from a thread with this thread's subscriber, a fresh thread and a task; and says which of them came to the outbox,
    /// what stopped the others, and whether the endpoint confirmed them within `timeout`.
    ///
    /// The records are written on threads of logbridge's own and are not printed on the console; those that the levels
    /// let through are sent like any other, and stay at the endpoint.
    #[must_use]
    pub fn check(&self, timeout: Duration) -> Check {
        check(&self.pipeline, bounded(timeout))
    }

    /// A layer for a `tracing_subscriber` registry of your own.
    ///
    /// It hides nothing from other layers and filters inside itself. The ids of spans come from the OpenTelemetry
    /// context, so the registry needs tracing-opentelemetry's layer too.
    #[must_use]
    pub fn layer(&self) -> BridgeLayer {
        BridgeLayer { inner: EventLayer::guest(Arc::clone(&self.pipeline)) }
    }

    /// A logger to install or to chain yourself; set [`log::set_max_level`] to what it needs ([`Logger::filter`]).
    ///
    /// When levels change while the program runs, `log::max_level()` follows, but never below what it was set to. Where it was
    /// set to less than the levels needed, it stays, and a notice says so.
    #[must_use]
    pub fn logger(&self) -> Logger {
        self.pipeline.compose_logger();
        Logger { pipeline: Arc::clone(&self.pipeline) }
    }

    /// Our processor of spans for a tracer provider of your own: it exports them to the same endpoint, under the same
    /// resource, with the same counters as this handle.
    #[must_use]
    pub fn span_processor(&self) -> SpanProcessor {
        SpanProcessor::new(Arc::clone(&self.pipeline))
    }

    /// Our processor for a provider of your own, with the same outbox and counters as this handle.
    #[must_use]
    pub fn log_processor(&self) -> LogProcessor {
        LogProcessor::shared(Arc::clone(&self.pipeline))
    }
}

impl LogProcessor {
    /// Returns a handle to flush, to shut down, and to read counters.
    #[must_use]
    pub fn bridge(&self) -> Bridge {
        Bridge::new(Arc::clone(self.pipeline()))
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("endpoint", &self.pipeline.setup.endpoint).finish_non_exhaustive()
    }
}

/// Receives `log` records.
#[derive(Debug)]
pub struct Logger {
    pipeline: Arc<Pipeline>,
}

impl Logger {
    /// The most that any of its thresholds lets through: what [`log::set_max_level`] should be given.
    #[must_use]
    pub fn filter(&self) -> log::LevelFilter {
        self.pipeline.max_level()
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.pipeline.is_enabled(metadata.target(), metadata.level())
    }

    fn log(&self, record: &log::Record<'_>) {
        take_log(&self.pipeline, record);
    }

    fn flush(&self) {
        // `log` has no way to say that it failed; the report does.
        let _see_the_report = self.pipeline.flush_all(self.pipeline.exit_timeout);
    }
}

/// Receives `tracing` events in a registry of the user's own. Made by [`Bridge::layer`].
#[derive(Debug)]
pub struct BridgeLayer {
    inner: EventLayer,
}

impl<S> Layer<S> for BridgeLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &tracing_core::Dispatch) {
        Layer::<S>::on_register_dispatch(&self.inner, dispatch);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Layer::<S>::register_callsite(&self.inner, metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.inner.enabled(metadata, context)
    }

    fn event_enabled(&self, event: &tracing_core::Event<'_>, context: Context<'_, S>) -> bool {
        self.inner.event_enabled(event, context)
    }

    fn on_event(&self, event: &tracing_core::Event<'_>, context: Context<'_, S>) {
        self.inner.on_event(event, context);
    }
}
