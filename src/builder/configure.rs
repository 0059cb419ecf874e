//! [`Builder`] and its settings, except for the console format. Names follow env_logger where the meaning is the same.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use opentelemetry::Value;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::trace::ShouldSample;

use crate::bridge::Bridge;
use crate::config::{
    BuilderSettings, Console, Environment, Mirror, NetworkCapture, Otlp, Overload, Redact, Repetition, ReportTo, Spool,
};
use crate::env::Env;
use crate::error::Error;
use crate::levels::{FilterVariable, Origin};
use crate::source::LogProcessor;
use crate::telemetry::{self, TracerChoice};

/// Configures and installs logbridge. Its interface follows env_logger's `Builder`.
///
/// Setters take and return `&mut Self`, so both a chain and single statements work. A builder can be used again after
/// [`init`](Self::init).
///
/// Values set in code take precedence over environment variables, which take precedence over `default_*` values of
/// [`Env`]. An invalid value set in code makes [`try_init`](Self::try_init) return an error. An invalid
/// environment variable is reported on stderr and ignored.
///
/// # Examples
///
/// ```no_run
/// use logbridge::{LevelFilter, Otlp};
///
/// logbridge::builder()
///     .service_name("shop")
///     .filter_module("shop::db", LevelFilter::Debug)
///     .otlp(Otlp::to("http://localhost:4318").level(LevelFilter::Info))
///     .init();
/// ```
#[derive(Default)]
pub struct Builder {
    pub(super) settings: BuilderSettings,
    pub(super) environment: Environment,
    pub(super) official: bool,
    pub(super) processors: Vec<Box<dyn opentelemetry_sdk::logs::LogProcessor>>,
    pub(super) span_processors: Vec<Box<dyn opentelemetry_sdk::trace::SpanProcessor>>,
    pub(super) tracer: TracerChoice,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Builder {
    /// Creates a builder that does not read the environment.
    ///
    /// To read the environment, use [`builder()`](crate::builder()) or [`Builder::from_env`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a builder that reads the environment, with levels and style from the given variables.
    #[must_use]
    pub fn from_env<'a>(env: impl Into<Env<'a>>) -> Self {
        let environment = Environment::process();
        let mut builder = Self::default();
        builder.settings.variables.others = true;
        builder.read(&environment, env.into(), Origin::Environment);
        builder.environment = environment;
        builder
    }

    /// Creates a builder that reads the environment, with levels from `RUST_LOG` and the style from `RUST_LOG_STYLE`.
    #[must_use]
    pub fn from_default_env() -> Self {
        Self::from_env(Env::default())
    }

    /// Reads levels and style from the given variables now.
    ///
    /// The values count as set in code, so they override earlier calls of [`filter_level`](Self::filter_level), as in
    /// env_logger.
    pub fn parse_env<'a>(&mut self, env: impl Into<Env<'a>>) -> &mut Self {
        self.read(&Environment::process(), env.into(), Origin::Code);
        self
    }

    /// Reads `RUST_LOG` and `RUST_LOG_STYLE` now. See [`parse_env`](Self::parse_env).
    pub fn parse_default_env(&mut self) -> &mut Self {
        self.parse_env(Env::default())
    }

    fn read(&mut self, process: &Environment, env: Env<'_>, origin: Origin) {
        let variable = env.filter.name.as_ref();
        let (value, origin, by) = match process.get(variable) {
            Some(value) => (Some(value), origin, variable.to_owned()),
            None => (env.filter.default.as_deref(), Origin::Default, format!("default of {variable}")),
        };
        self.settings.variables.module = Some(FilterVariable {
            name: variable.to_owned(),
            filter: value.map(str::to_owned),
            is_set: origin != Origin::Default,
        });
        if let Some(spec) = value {
            self.settings.read_filter(&by, spec, origin);
        }
        if let Some(style) = process.get(&env.style.name).or(env.style.default.as_deref()) {
            self.parse_write_style(style);
        }
    }

    /// Sets which traces are sampled. Has no effect on a tracer provider of the application.
    ///
    /// Default: all traces, except those whose remote parent is not sampled. Environment variables:
    /// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    pub fn sampler(&mut self, sampler: impl ShouldSample + 'static) -> &mut Self {
        self.settings.sampler = Some(Box::new(sampler));
        self
    }

    /// Sets whether panics, and records with an error, also become an event named `exception` of their span.
    ///
    /// This is meant for backends that show exceptions from spans only, such as HyperDX. Default: `false`, so that each
    /// error arrives once. Environment variable: `LOGBRIDGE_EXCEPTION_EVENTS`.
    pub fn exception_events(&mut self, wanted: bool) -> &mut Self {
        self.settings.exception_events = Some(wanted);
        self
    }

    /// Adds a span processor of the application.
    ///
    /// It is called before logbridge's own processor, so it can add attributes when a span starts. The next
    /// [`init`](Self::init) consumes all span processors. Has no effect on a tracer provider of the application.
    pub fn span_processor(&mut self, processor: impl opentelemetry_sdk::trace::SpanProcessor + 'static) -> &mut Self {
        self.span_processors.push(Box::new(processor));
        self
    }

    /// Sets the name of the service.
    ///
    /// Default: `unknown_service:` followed by the name of the executable. Environment variable: `OTEL_SERVICE_NAME`,
    /// or `service.name` in `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn service_name(&mut self, name: impl Into<String>) -> &mut Self {
        self.settings.service_name = Some(name.into());
        self
    }

    /// Adds a resource attribute. It overrides the same key in `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn resource_attribute(&mut self, key: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.settings.resource.push((key.into(), value.into()));
        self
    }

    /// Sets the OTLP destination of records and spans.
    ///
    /// Default: taken from the environment. The destination is off if no variable that begins with `OTEL_` or
    /// `HYPERDX_` is set.
    pub fn otlp(&mut self, otlp: Otlp) -> &mut Self {
        self.settings.otlp = Some(otlp);
        self
    }

    /// Sets the console destination. Default: stderr. Environment variable: `LOGBRIDGE_CONSOLE` (`stderr`, `stdout`,
    /// `off`).
    pub fn console(&mut self, console: Console) -> &mut Self {
        self.settings.console = Some(console);
        self
    }

    /// Sets the debug mirror, which prints each record and each span on stdout as it will be exported.
    ///
    /// Default: [`Mirror::Off`]. Environment variables: `DEBUG=true` turns it on for records and spans. If
    /// `OTEL_LOGS_EXPORTER` includes `console`, it is on for records; if `OTEL_TRACES_EXPORTER` includes it, for spans.
    pub fn mirror(&mut self, mirror: Mirror) -> &mut Self {
        self.settings.mirror = Some(mirror);
        self
    }

    /// Adds rules that remove secrets from records and spans before they are exported. See [`Redact`].
    ///
    /// Each call adds to the earlier rules. Invalid rules make [`try_init`](Self::try_init) return an error.
    ///
    /// Default: none. Environment variables: the rules of `LOGBRIDGE_REDACT_KEYS` and `LOGBRIDGE_REDACT_VALUES` also
    /// apply.
    pub fn redact(&mut self, redact: Redact) -> &mut Self {
        self.settings.redact.and(redact);
        self
    }

    /// Sets what the layers of `logbridge-http` record of HTTP requests and responses. See [`NetworkCapture`].
    ///
    /// Default: nothing. Environment variables: `LOGBRIDGE_NETWORK_CAPTURE` and
    /// `HYPERDX_ENABLE_ADVANCED_NETWORK_CAPTURE`.
    pub fn network_capture(&mut self, capture: NetworkCapture) -> &mut Self {
        self.settings.network_capture = Some(capture);
        self
    }

    /// Limits how many similar records of one callsite are sent within a time window. See [`Repetition`].
    ///
    /// Default: no limit. Environment variable: `LOGBRIDGE_REPETITION`, such as `10/s` or `100/60s`.
    pub fn repetition(&mut self, repetition: Repetition) -> &mut Self {
        self.settings.repetition = Some(repetition);
        self
    }

    /// Sets the maximum size of the outbox in memory, including requests, in bytes.
    ///
    /// When the outbox is full, [`overload`](Self::overload) decides which records are dropped. Dropped records are
    /// counted.
    ///
    /// Default: 64 MiB. Minimum: 64 KiB. Environment variable: `LOGBRIDGE_MAX_BYTES`.
    pub fn max_bytes(&mut self, bytes: usize) -> &mut Self {
        self.settings.max_bytes = Some(bytes);
        self
    }

    /// Sets the maximum size of a request, in bytes before compression.
    ///
    /// A record or span that is longer is sent in a request of its own. If an endpoint accepts only smaller requests,
    /// logbridge adapts.
    ///
    /// Default: 4 MiB, the default limit of gRPC servers. Minimum: 1 KiB. Maximum: a quarter of
    /// [`max_bytes`](Self::max_bytes). Environment variable: `LOGBRIDGE_MAX_REQUEST_BYTES`.
    pub fn max_request_bytes(&mut self, bytes: usize) -> &mut Self {
        self.settings.max_request = Some(bytes);
        self
    }

    /// Sets the policy for new records while the outbox is full.
    ///
    /// Default: [`Overload::DropNewest`]. Environment variable: `LOGBRIDGE_OVERLOAD` (`drop-newest`, `drop-oldest`,
    /// `drop-least-severe`, `block`, `block=500ms`).
    pub fn overload(&mut self, overload: Overload) -> &mut Self {
        self.settings.overload = Some(overload);
        self
    }

    /// Stores pending records in a directory, so that they survive the process. See [`Spool`].
    ///
    /// Default: none; records are kept in memory. Environment variable: `LOGBRIDGE_SPOOL_DIR`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// logbridge::builder().spool("/var/lib/shop/logs").init();
    /// ```
    pub fn spool(&mut self, spool: impl Into<Spool>) -> &mut Self {
        self.settings.spool = Some(spool.into());
        self
    }

    /// Sets whether each record gets an id, the attribute `log.record.uid` (a ULID).
    ///
    /// With ids, a backend can recognize records that arrive twice (see [`Spool`]). An id set by the application is
    /// kept.
    ///
    /// Default: `false`. Environment variable: `LOGBRIDGE_RECORD_IDS`.
    pub fn record_ids(&mut self, wanted: bool) -> &mut Self {
        self.settings.record_ids = Some(wanted);
        self
    }

    /// Sets the maximum number of pending spans, including the current request. Further spans are dropped and counted.
    ///
    /// Default: 16384, about 16 MiB. Minimum: 1. Environment variable: `OTEL_BSP_MAX_QUEUE_SIZE`.
    pub fn max_spans(&mut self, spans: usize) -> &mut Self {
        self.settings.max_spans = Some(spans);
        self
    }

    /// Sets the maximum time that a record or span waits before it is sent.
    ///
    /// Default: one second for records, five seconds for spans. Environment variables, in milliseconds:
    /// `OTEL_BLRP_SCHEDULE_DELAY` for records and `OTEL_BSP_SCHEDULE_DELAY` for spans.
    pub fn schedule_delay(&mut self, delay: Duration) -> &mut Self {
        self.settings.schedule_delay = Some(delay);
        self
    }

    /// Sets how long the end of the process may be delayed to send pending records and spans.
    ///
    /// An endpoint that refuses connections causes no delay.
    ///
    /// Default: three seconds. Environment variable: `LOGBRIDGE_EXIT_TIMEOUT`, in milliseconds or with a unit, such as
    /// `3s`.
    pub fn exit_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.settings.exit_timeout = Some(timeout);
        self
    }

    /// Sets whether SIGTERM and SIGINT (Ctrl-C) flush, for at most [`exit_timeout`](Self::exit_timeout).
    ///
    /// After the flush, the signal has the same effect as without logbridge:
    ///
    /// * If the application does not handle the signal, it ends the process, and the parent process sees that. A second
    ///   signal during the flush ends the process at once. Signals within 100 ms of each other count as one.
    /// * A handler installed before logbridge runs at once, in parallel to the flush. If it ends the process with
    ///   `_exit`, the flush may be cut short.
    /// * A handler installed after logbridge replaces the one of logbridge. If it calls its predecessor, as the
    ///   handlers of Tokio and `signal-hook` do, logbridge only flushes.
    /// * An ignored signal (`nohup`) stays ignored. SIGTERM without a handler does not end the first process of a
    ///   container, but it still flushes.
    ///
    /// In a forked child that has not written a record yet, the default action follows without a flush. The handler
    /// stays installed until the process ends, even if all handles are dropped.
    ///
    /// On systems without Unix signals, this has no effect except for a notice.
    ///
    /// Default: `false`, which changes no signal disposition. Environment variable: `LOGBRIDGE_FLUSH_ON_SIGNALS`.
    pub fn flush_on_signals(&mut self, wanted: bool) -> &mut Self {
        self.settings.flush_on_signals = Some(wanted);
        self
    }

    /// Writes a [report](crate::Report) when the process ends, with the outcomes of all records and with findings.
    ///
    /// Default: none. Environment variable: `LOGBRIDGE_REPORT` (`stderr`, a path, or `off`).
    pub fn report_at_exit(&mut self, to: ReportTo) -> &mut Self {
        self.settings.report = Some(to);
        self
    }

    /// Sets whether SIGUSR1 writes a [report](crate::Report).
    ///
    /// The report is written to the destination of [`report_at_exit`](Self::report_at_exit), or to stderr if none is
    /// set. If the application handles SIGUSR1 itself, its handler is kept and a notice says so.
    ///
    /// Default: `false`. Environment variable: `LOGBRIDGE_REPORT_ON_SIGUSR1`.
    pub fn report_on_sigusr1(&mut self, wanted: bool) -> &mut Self {
        self.settings.report_on_signal = Some(wanted);
        self
    }

    /// Sets whether panics are recorded. Default: `true`.
    pub fn panic_hook(&mut self, wanted: bool) -> &mut Self {
        self.settings.panic_hook = Some(wanted);
        self
    }

    /// Sets whether the process joins the trace in the variables `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`.
    ///
    /// The parent process sets these variables, for example with [`carry_context_to`](crate::carry_context_to), or by
    /// any other implementation of OpenTelemetry's specification "Environment Variables as Context Propagation
    /// Carriers".
    ///
    /// On every thread, spans without a parent become children of the given span, and records outside of any span carry
    /// its ids. There are exceptions:
    ///
    /// * Explicit roots in tracing (`parent: None`) still begin traces of their own, and such events carry no ids. With
    ///   the OpenTelemetry API, every context without a span gets the parent.
    /// * A tracer provider of the application applies the parent to tracing spans only.
    /// * If the caller's span is not sampled, `parentbased_` samplers do not sample its children either.
    ///
    /// The variables are read when this method is called. If they are missing or empty, the process begins its own
    /// traces. Invalid variables are reported and ignored. The propagators decide which variables are used
    /// (`OTEL_PROPAGATORS`, or the global propagators if they are set).
    ///
    /// Default: `false`, because a service that happens to be started from the shell of a job is not part of that job.
    /// Environment variable: `LOGBRIDGE_TRACE_CONTEXT_FROM_ENV`.
    pub fn trace_context_from_env(&mut self, wanted: bool) -> &mut Self {
        self.settings.trace_context_from_env = Some(wanted.then(Environment::process));
        self
    }

    /// Sets the provider whose tracer creates the spans. That provider also exports them.
    ///
    /// To export the spans of your own provider with logbridge, add
    /// [`Bridge::span_processor`](crate::Bridge::span_processor) to it.
    ///
    /// Default: the global provider, if it is set when [`init`](Self::init) is called. Otherwise, logbridge creates a
    /// provider and sets it globally.
    pub fn tracer_provider<P, T>(&mut self, provider: &P) -> &mut Self
    where
        P: TracerProvider<Tracer = T>,
        T: Tracer + Send + Sync + 'static,
        T::Span: Send + Sync + 'static,
    {
        self.tracer = TracerChoice::Given(Box::new(provider.tracer_with_scope(telemetry::scope())));
        self
    }

    /// Adds a log processor of the application, for example to enrich or redact records.
    ///
    /// Each record passes through the processors in the order they were added, before it is exported. The next
    /// [`init`](Self::init) or [`build`](Self::build) consumes all log processors.
    pub fn log_processor(&mut self, processor: impl opentelemetry_sdk::logs::LogProcessor + 'static) -> &mut Self {
        self.processors.push(Box::new(processor));
        self
    }

    /// Lets the official OpenTelemetry appenders create the records, so that records are mapped exactly as they map
    /// them.
    ///
    /// Such records have no event time, source location, thread, or ids of an explicit parent. Their event name is
    /// `event src/x.rs:1`, and nested values are text.
    #[cfg(feature = "official-appenders")]
    pub fn official_appenders(&mut self) -> &mut Self {
        self.official = true;
        self
    }

    /// Installs logbridge as the logger of `log` and the global subscriber of `tracing`.
    ///
    /// # Panics
    ///
    /// Panics if [`try_init`](Self::try_init) would return an error.
    #[track_caller]
    pub fn init(&mut self) {
        if let Err(error) = self.install(Location::caller()) {
            std::panic::panic_any(format!("logbridge could not be initialized: {error:?}"));
        }
    }

    /// Installs logbridge as the logger of `log` and the global subscriber of `tracing`, and returns its handle.
    ///
    /// # Errors
    ///
    /// Returns an error in one of these cases:
    ///
    /// * The logger of `log` or the global subscriber of `tracing` is already set.
    /// * logbridge is already installed.
    /// * The current thread is panicking.
    /// * A value set in code is invalid.
    /// * The exporter thread cannot be started.
    ///
    /// After an error, logbridge records, prints and filters nothing. `log` and tracing can each be set only once. If
    /// one was set before the other failed, it stays set, and the next `try_init` uses it.
    #[track_caller]
    pub fn try_init(&mut self) -> Result<Bridge, Error> {
        self.install(Location::caller())
    }

    /// Builds logbridge without installing it.
    ///
    /// Compose the handle with [`Bridge::layer`], [`Bridge::logger`], [`Bridge::log_processor`] and
    /// [`Bridge::span_processor`]. At the end of the process, pending records are sent if a handle, or anything
    /// composed from it, still exists. The panic hook is only installed by [`init`](Self::init).
    ///
    /// # Errors
    ///
    /// Returns an error if a value set in code is invalid or if the exporter thread cannot be started.
    pub fn build(&mut self) -> Result<Bridge, Error> {
        let pipeline = self.pipeline(true)?;
        pipeline.processes().start()?;
        Ok(Bridge::new(pipeline))
    }

    /// Builds a log processor for your own `SdkLoggerProvider`.
    ///
    /// The exporter thread starts with the first record, when the provider has passed its resource.
    ///
    /// # Errors
    ///
    /// Returns an error if a value set in code is invalid.
    pub fn build_processor(&mut self) -> Result<LogProcessor, Error> {
        self.pipeline(false).map(LogProcessor::alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ENVIRONMENT_READS;

    #[test]
    fn the_environment_is_read_once() {
        let reads = |make: fn() -> Builder| {
            let before = ENVIRONMENT_READS.get();
            let _builder = make();
            ENVIRONMENT_READS.get() - before
        };
        assert_eq!([Builder::from_default_env, crate::builder, Builder::new].map(reads), [1, 1, 0]);
    }
}
