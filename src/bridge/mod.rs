//! The handle of an installed or built logbridge.

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

use crate::config::{HttpSettings, bounded};
use crate::diagnose::{
    Check, Configuration, Explanation, Report, SpanExplanation, check, explain, explain_span, note_outer_trace_layer,
};
use crate::error::Error;
use crate::source::{EventLayer, LogProcessor, Pipeline, SpanProcessor, take_log};
use crate::thread::Call;

/// A handle to logbridge: flushes, reports, explains where records stop, and changes levels.
///
/// [`try_init`](crate::try_init) returns a handle, and [`bridge()`](crate::bridge()) returns it anywhere in the
/// program. Cloning is cheap. Dropping a handle does not stop the export, so `let _ = logbridge::try_init();` loses no
/// records.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// # fn main() -> Result<(), logbridge::Error> {
/// let bridge = logbridge::try_init()?;
/// println!("{}", bridge.explain("hyper::proto", logbridge::Level::Debug));
/// bridge.flush(Duration::from_secs(2))?;
/// println!("{}", bridge.report());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Bridge {
    pipeline: Arc<Pipeline>,
}

impl Bridge {
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline }
    }

    /// Waits until every record accepted, and every span ended, before this call has been confirmed by the endpoint.
    ///
    /// Blocks the calling thread for at most `timeout`; more than a year means one year. Works inside and outside of
    /// async runtimes. Requests that fail temporarily are retried until the timeout.
    ///
    /// A loss since the last flush makes one flush fail, even if the records were accepted earlier. Concurrent flushes
    /// all report it.
    ///
    /// # Errors
    ///
    /// Returns an error if records or spans are pending, rejected, dropped or unconfirmed. [`Error::undelivered`] returns their
    /// numbers. [`Error::is_timeout`], [`Error::is_lost`] and [`Error::is_unconfirmed`] apply to records and spans together.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        self.pipeline.flush_all(bounded(timeout))
    }

    /// Sends pending records and spans, and then stops exporting.
    ///
    /// Open spans end now. Records and spans that cannot be sent within `timeout` are dropped and counted. Later ones
    /// are not exported, but the console keeps printing. The exporter thread ends.
    ///
    /// A program need not call this before it ends, because pending records are sent at exit anyway.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`flush`](Self::flush).
    #[track_caller]
    pub fn shutdown(&self, timeout: Duration) -> Result<(), Error> {
        self.pipeline.note_shutdown(Location::caller());
        self.pipeline.shutdown_all(bounded(timeout))
    }

    /// Returns a report with the outcomes of all records and spans so far, and with findings.
    #[must_use]
    pub fn report(&self) -> Report {
        // Marks records that an allocator logs meanwhile as nested, so they do not wait for space in the outbox.
        let _call = Call::enter();
        Report::of(&self.pipeline)
    }

    /// Returns the resolved settings with their sources, and findings about code and environment.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        Configuration::of(&self.pipeline)
    }

    /// Returns the settings of HTTP instrumentation, which `logbridge-http` reads.
    #[must_use]
    pub fn http_settings(&self) -> HttpSettings {
        self.pipeline.setup.http.clone()
    }

    /// Reports that a request already had a span of `TraceLayer` when it reached a layer of `logbridge-http`. Only
    /// `logbridge-http` calls this.
    #[doc(hidden)]
    pub fn note_outer_trace_layer(&self) {
        note_outer_trace_layer(&self.pipeline);
    }

    /// Returns the levels, which can be shown and changed at run time.
    #[must_use]
    pub fn levels(&self) -> Levels {
        Levels::new(Arc::clone(&self.pipeline))
    }

    /// Explains whether a record with this target and level would be exported and printed.
    ///
    /// The explanation lists every gate in order: the `log` and tracing facades, the module stage and each destination.
    /// It names the gate that stops the record and the setting that opens it. This call counts nothing and does not
    /// affect filters.
    #[must_use]
    pub fn explain(&self, target: &str, level: impl Into<log::Level>) -> Explanation {
        explain(&self.pipeline, target, level.into())
    }

    /// Explains whether a tracing span with this target, name and level would be created and exported.
    ///
    /// It names the gate that stops the span and the setting that opens it, and lists the spans of the target that were
    /// below the span threshold so far. This call counts nothing and does not affect filters.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), logbridge::Error> {
    /// let bridge = logbridge::try_init()?;
    /// println!("{}", bridge.explain_span("tower_http::trace::make_span", "request", logbridge::Level::Debug));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn explain_span(&self, target: &str, name: &str, level: impl Into<log::Level>) -> SpanExplanation {
        explain_span(&self.pipeline, target, name, level.into())
    }

    /// Sends marked test records through every path, and reports which arrive.
    ///
    /// Test records have the target `logbridge::canary`. They are written through `log` and tracing, at each level,
    /// from a thread with the current subscriber, a new thread and a task. The result says which records reached the
    /// outbox, what stopped the others, and whether the endpoint confirmed them within `timeout`.
    ///
    /// The console does not print test records. Those that pass the levels are exported like any other record, and stay
    /// at the endpoint.
    #[must_use]
    pub fn check(&self, timeout: Duration) -> Check {
        check(&self.pipeline, bounded(timeout))
    }

    /// Returns a layer for your own `tracing_subscriber` registry.
    ///
    /// The layer filters its own events only and hides nothing from other layers. To export span ids, the registry also
    /// needs the layer of tracing-opentelemetry.
    #[must_use]
    pub fn layer(&self) -> BridgeLayer {
        BridgeLayer { inner: EventLayer::guest(Arc::clone(&self.pipeline)) }
    }

    /// Returns a logger for `log` that you install or chain yourself.
    ///
    /// Set [`log::set_max_level`] to at least [`Logger::filter`]. If levels change at run time, `log::max_level()`
    /// follows, but never falls below the value you set. If you set it below the required level, it stays unchanged,
    /// and a notice says so.
    #[must_use]
    pub fn logger(&self) -> Logger {
        self.pipeline.compose_logger();
        Logger { pipeline: Arc::clone(&self.pipeline) }
    }

    /// Returns a span processor for your own tracer provider.
    ///
    /// It exports spans to the endpoint of this handle, with the same resource and counters.
    #[must_use]
    pub fn span_processor(&self) -> SpanProcessor {
        SpanProcessor::new(Arc::clone(&self.pipeline))
    }

    /// Returns a log processor for your own logger provider.
    ///
    /// It shares the outbox and counters of this handle.
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

/// A [`log::Log`] implementation that passes records to logbridge. Created by [`Bridge::logger`].
#[derive(Debug)]
pub struct Logger {
    pipeline: Arc<Pipeline>,
}

impl Logger {
    /// Returns the most verbose level that any threshold lets through, for [`log::set_max_level`].
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
        // `log::Log::flush` cannot return an error. The report shows lost records.
        let _see_the_report = self.pipeline.flush_all(self.pipeline.exit_timeout);
    }
}

/// A layer that passes `tracing` events to logbridge. Created by [`Bridge::layer`].
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
