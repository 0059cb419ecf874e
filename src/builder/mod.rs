//! The builder: env_logger's words where the meaning is the same.

mod format;
mod install;

use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;
use opentelemetry::Value;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::trace::ShouldSample;

use crate::bridge::Bridge;
use crate::config::{Console, Environment, Mirror, Otlp, Overload, Redact, Repetition, ReportTo, Settings, Spool};
use crate::env::Env;
use crate::error::Error;
use crate::levels::{FilterVariable, Origin, Threshold};
use crate::source::LogProcessor;
use crate::telemetry::{self, TracerChoice};
pub use install::post_fork;

/// Configures logbridge, as env_logger's builder configures env_logger.
///
/// A method takes `&mut self` and gives it back, so that statements and a chain both compile. The builder may be used
/// again. What code says wins over the environment, which wins over `default_*` setters.
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
    settings: Settings,
    environment: Environment,
    official: bool,
    processors: Vec<Box<dyn opentelemetry_sdk::logs::LogProcessor>>,
    span_processors: Vec<Box<dyn opentelemetry_sdk::trace::SpanProcessor>>,
    tracer: TracerChoice,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Builder {
    /// A builder that reads no variable at all, as in env_logger.
    ///
    /// [`builder()`](crate::builder()) and [`Builder::from_env`] read the environment.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder that reads the environment, with levels and style from the variables named here.
    #[must_use]
    pub fn from_env<'a>(env: impl Into<Env<'a>>) -> Self {
        let environment = Environment::process();
        let mut builder = Self::default();
        builder.settings.variables.others = true;
        builder.read(&environment, env.into(), Origin::Environment);
        builder.environment = environment;
        builder
    }

    /// A builder that reads the environment, with levels from `RUST_LOG` and the style from `RUST_LOG_STYLE`.
    #[must_use]
    pub fn from_default_env() -> Self {
        Self::from_env(Env::default())
    }

    /// Reads levels and style from these variables now. As a call in code it counts as code, so that it wins over
    /// [`filter_level`](Self::filter_level) before it, as in env_logger.
    pub fn parse_env<'a>(&mut self, env: impl Into<Env<'a>>) -> &mut Self {
        self.read(&Environment::process(), env.into(), Origin::Code);
        self
    }

    /// Reads `RUST_LOG` and `RUST_LOG_STYLE` now; see [`parse_env`](Self::parse_env).
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

    /// The threshold of the module stage for everything that no directive names.
    ///
    /// Default: `RUST_LOG`, else not set, which means WARN.
    pub fn filter_level(&mut self, threshold: impl Into<Threshold>) -> &mut Self {
        self.settings.levels.set("", threshold.into(), Origin::Code, "code");
        self
    }

    /// The threshold of the module stage for one module and what is below it. Default: `RUST_LOG`.
    pub fn filter_module(&mut self, module: &str, threshold: impl Into<Threshold>) -> &mut Self {
        self.settings.levels.set(module, threshold.into(), Origin::Code, "code");
        self
    }

    /// [`filter_module`](Self::filter_module) with a module, [`filter_level`](Self::filter_level) without.
    pub fn filter(&mut self, module: Option<&str>, threshold: impl Into<Threshold>) -> &mut Self {
        self.settings.levels.set(module.unwrap_or_default(), threshold.into(), Origin::Code, "code");
        self
    }

    /// Directives as in `RUST_LOG`, and behind a `/` a regular expression that the text of a record must match (feature
    /// `regex`). What cannot be parsed makes [`try_init`](Self::try_init) return an error.
    pub fn parse_filters(&mut self, directives: &str) -> &mut Self {
        self.settings.take_filter(directives);
        self
    }

    /// A file with levels, which is looked at while the program runs: directives as in `RUST_LOG`, one or more a line, with
    /// comments behind `#`; those behind a line `[otlp]`, `[console]` or `[spans]` are of that stage. They win over code and
    /// variables for the same target. Default: `LOGBRIDGE_LEVELS_FILE`, else none.
    ///
    /// A file that is half-written or has a mistake in it never takes effect: the last good one stays.
    pub fn levels_file(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.settings.levels_file = Some(path.into());
        self
    }

    /// Counts records down to this level although they are cut, by target: [`log`] and tracing then hand them over, which
    /// costs more than a disabled call. Default: `LOGBRIDGE_COUNT_BELOW`, else only what reaches logbridge anyway.
    pub fn count_below(&mut self, level: LevelFilter) -> &mut Self {
        self.settings.count_below = Some(level);
        self
    }

    /// Whether the first record at INFO or above that is cut because nobody has chosen any level is told on stderr, once.
    /// Default: `LOGBRIDGE_FIRST_CUT`, else yes.
    pub fn first_cut_notice(&mut self, wanted: bool) -> &mut Self {
        self.settings.first_cut = Some(wanted);
        self
    }

    /// The threshold of spans: which tracing spans become OpenTelemetry spans, so that records in them carry its ids.
    /// Independent of the levels of records. Default: `LOGBRIDGE_SPAN_LEVEL`, else INFO.
    pub fn span_level(&mut self, threshold: impl Into<Threshold>) -> &mut Self {
        self.settings.span_levels.set("", threshold.into(), Origin::Code, "code");
        self
    }

    /// The threshold of spans for one module and what is below it. Default: `LOGBRIDGE_SPAN_LEVEL`, which is written as
    /// `RUST_LOG` is.
    pub fn span_module_level(&mut self, module: &str, threshold: impl Into<Threshold>) -> &mut Self {
        self.settings.span_levels.set(module, threshold.into(), Origin::Code, "code");
        self
    }

    /// Which traces are sampled. Default: `OTEL_TRACES_SAMPLER` with `OTEL_TRACES_SAMPLER_ARG`, else all but those whose
    /// caller did not sample them. No effect on a provider of your own.
    pub fn sampler(&mut self, sampler: impl ShouldSample + 'static) -> &mut Self {
        self.settings.sampler = Some(Box::new(sampler));
        self
    }

    /// Whether a record with an error in it, and a panic, is also an event named `exception` of the span it belongs to,
    /// for views of exceptions that look at spans only (HyperDX). Default: `LOGBRIDGE_EXCEPTION_EVENTS`, else no: an event
    /// is one thing and arrives once.
    pub fn exception_events(&mut self, wanted: bool) -> &mut Self {
        self.settings.exception_events = Some(wanted);
        self
    }

    /// A span processor of the application: it sees each span start, and may add to it, before ours does. The next
    /// [`init`](Self::init) takes them. No effect on a provider of your own.
    pub fn span_processor(&mut self, processor: impl opentelemetry_sdk::trace::SpanProcessor + 'static) -> &mut Self {
        self.span_processors.push(Box::new(processor));
        self
    }

    /// The name of the service. Default: `OTEL_SERVICE_NAME`, else `service.name` in `OTEL_RESOURCE_ATTRIBUTES`, else
    /// `unknown_service:` with the name of the executable.
    pub fn service_name(&mut self, name: impl Into<String>) -> &mut Self {
        self.settings.service_name = Some(name.into());
        self
    }

    /// An attribute of the resource; wins over the same key in `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn resource_attribute(&mut self, key: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.settings.resource.push((key.into(), value.into()));
        self
    }

    /// Where records and spans go as OTLP. Default: what the environment says; off where neither code nor environment mentions
    /// OpenTelemetry (no variable that begins with `OTEL_` or `HYPERDX_`).
    pub fn otlp(&mut self, otlp: Otlp) -> &mut Self {
        self.settings.otlp = Some(otlp);
        self
    }

    /// Where records are printed. Default: `LOGBRIDGE_CONSOLE` (`stderr`, `stdout`, `off`), else stderr.
    pub fn console(&mut self, console: Console) -> &mut Self {
        self.settings.console = Some(console);
        self
    }

    /// Whether each record and each span is printed on stdout as it will be shipped. Default: on for `DEBUG=true`; for
    /// records where `OTEL_LOGS_EXPORTER`, for spans where `OTEL_TRACES_EXPORTER` names `console`; else off.
    pub fn mirror(&mut self, mirror: Mirror) -> &mut Self {
        self.settings.mirror = Some(mirror);
        self
    }

    /// Takes values out of records and spans before they are shipped, by key or by what they look like; see [`Redact`].
    /// Default: `LOGBRIDGE_REDACT_KEYS` and `LOGBRIDGE_REDACT_VALUES`, which also come on top of this; else nothing. What
    /// cannot be used makes [`try_init`](Self::try_init) return an error. Each call adds to those before it.
    pub fn redact(&mut self, redact: Redact) -> &mut Self {
        self.settings.redact.and(redact);
        self
    }

    /// How many similar records of one callsite are sent in a window of time; see [`Repetition`]. Default:
    /// `LOGBRIDGE_REPETITION` (`10/s`, `100/60s`), else all of them.
    pub fn repetition(&mut self, repetition: Repetition) -> &mut Self {
        self.settings.repetition = Some(repetition);
        self
    }

    /// The bound of the outbox in memory, in bytes, requests included. Default: `LOGBRIDGE_MAX_BYTES`, else 64 MiB; at
    /// least 64 KiB. When it is full, [`overload`](Self::overload) decides what is dropped; all of that is counted.
    pub fn max_bytes(&mut self, bytes: usize) -> &mut Self {
        self.settings.max_bytes = Some(bytes);
        self
    }

    /// How long a request may be, in bytes before compression. Default: `LOGBRIDGE_MAX_REQUEST_BYTES`, else 4 MiB, which
    /// gRPC servers take by default; at least 1 KiB, at most a quarter of [`max_bytes`](Self::max_bytes).
    ///
    /// A record or a span that is longer goes alone. Where an endpoint takes less, that is found out.
    pub fn max_request_bytes(&mut self, bytes: usize) -> &mut Self {
        self.settings.max_request = Some(bytes);
        self
    }

    /// What happens while records come faster than they leave, and the outbox is full. Default: `LOGBRIDGE_OVERLOAD`
    /// (`drop-newest`, `drop-oldest`, `drop-least-severe`, `block`, `block=500ms`), else [`Overload::DropNewest`].
    pub fn overload(&mut self, overload: Overload) -> &mut Self {
        self.settings.overload = Some(overload);
        self
    }

    /// A directory in which records wait, so that they outlive the process, however it ends; see [`Spool`]. Default:
    /// `LOGBRIDGE_SPOOL_DIR`, else none: records wait in memory.
    ///
    /// ```no_run
    /// logbridge::builder().spool("/var/lib/shop/logs").init();
    /// ```
    pub fn spool(&mut self, spool: impl Into<Spool>) -> &mut Self {
        self.settings.spool = Some(spool.into());
        self
    }

    /// Whether each record has an id of its own, the attribute `log.record.uid` (a ULID), by which a backend can tell
    /// records that came twice; see [`Spool`]. One that the application has set stays. Default: `LOGBRIDGE_RECORD_IDS`,
    /// else no.
    pub fn record_ids(&mut self, wanted: bool) -> &mut Self {
        self.settings.record_ids = Some(wanted);
        self
    }

    /// How many ended spans may wait, those of the current request included. Default: `OTEL_BSP_MAX_QUEUE_SIZE`, else
    /// 16384 (about 16 MiB); at least 1. When so many wait, further ones are dropped and counted.
    pub fn max_spans(&mut self, spans: usize) -> &mut Self {
        self.settings.max_spans = Some(spans);
        self
    }

    /// How long a record or a span waits at most before it is sent. Default: `OTEL_BLRP_SCHEDULE_DELAY` for records and
    /// `OTEL_BSP_SCHEDULE_DELAY` for spans, in milliseconds, else one second and five seconds.
    pub fn schedule_delay(&mut self, delay: Duration) -> &mut Self {
        self.settings.schedule_delay = Some(delay);
        self
    }

    /// How long the end of the process may be delayed to deliver what is left. Default: `LOGBRIDGE_EXIT_TIMEOUT` in
    /// milliseconds (or with a unit: `3s`), else three seconds. An endpoint that refuses connections delays nothing.
    pub fn exit_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.settings.exit_timeout = Some(timeout);
        self
    }

    /// Whether SIGTERM and SIGINT (Ctrl-C) flush, for [`exit_timeout`](Self::exit_timeout) at most. Then follows what would
    /// have happened without logbridge:
    ///
    /// * Where nobody handles the signal, the process dies by it, and its parent sees that. A second one during the flush
    ///   ends it at once; signals within 100 ms are one.
    /// * A handler of the application that was installed before runs at once, beside the flush: where it ends the process
    ///   with `_exit`, the flush may be cut short. One that is installed later takes the place of ours, and where it calls
    ///   its predecessor, as those of tokio and `signal-hook` do, a flush is all that ours does.
    /// * An ignored signal (`nohup`) stays ignored. The first process of a container is not ended by SIGTERM that nobody
    ///   handles; the flush takes place.
    ///
    /// In a forked child the default follows at once until it has written its first record. The handler belongs to the
    /// process and stays, whatever becomes of the handles. Default: `LOGBRIDGE_FLUSH_ON_SIGNALS`, else no; then no
    /// disposition is touched. No effect where there are no Unix signals, which is said.
    pub fn flush_on_signals(&mut self, wanted: bool) -> &mut Self {
        self.settings.flush_on_signals = Some(wanted);
        self
    }

    /// Where the [report](crate::Report) goes when the process ends: what became of every record, and what deserves a look.
    /// Default: `LOGBRIDGE_REPORT` (`stderr`, a path, `off`), else nowhere.
    pub fn report_at_exit(&mut self, to: ReportTo) -> &mut Self {
        self.settings.report = Some(to);
        self
    }

    /// Whether SIGUSR1 gives the report, to where it goes at exit, else to stderr. An application that handles SIGUSR1
    /// itself keeps it, which is said. Default: `LOGBRIDGE_REPORT_ON_SIGUSR1`, else no.
    pub fn report_on_sigusr1(&mut self, wanted: bool) -> &mut Self {
        self.settings.report_on_signal = Some(wanted);
        self
    }

    /// Whether panics become records. Default: yes.
    pub fn panic_hook(&mut self, wanted: bool) -> &mut Self {
        self.settings.panic_hook = Some(wanted);
        self
    }

    /// Whether the process is part of the trace that `TRACEPARENT`, `TRACESTATE` and `BAGGAGE` name, as the process that
    /// started it set them ([`carry_context_to`](crate::carry_context_to), or anything that follows OpenTelemetry's
    /// specification of environment variables as carriers). On every thread, spans without a parent are then children of the
    /// span that is named, and records outside of any span carry its ids.
    ///
    /// tracing's explicit roots (`parent: None`) still begin traces of their own, and such events carry no ids; with the
    /// OpenTelemetry API, each context without a span means the parent. A provider of your own makes such spans of tracing's
    /// only. Where the caller's span was not sampled, `parentbased_` samplers sample none here either.
    ///
    /// The variables are read now; where they are missing or name nothing, the process begins its own traces, and what
    /// cannot be read is said. Which variables count is for the propagators to say (`OTEL_PROPAGATORS`, or global ones that
    /// are set). Default: `LOGBRIDGE_TRACE_CONTEXT_FROM_ENV`, else no: a service that is started from a job's shell is not
    /// part of the job.
    pub fn trace_context_from_env(&mut self, wanted: bool) -> &mut Self {
        self.settings.trace_context_from_env = Some(wanted.then(Environment::process));
        self
    }

    /// The provider whose tracer makes the spans, and exports them as it was told to. Default: the global one where it is
    /// set when [`init`](Self::init) is called, else one of ours, which is then set globally.
    ///
    /// To have logbridge export the spans of a provider of your own, give that one
    /// [`Bridge::span_processor`](crate::Bridge::span_processor).
    pub fn tracer_provider<P, T>(&mut self, provider: &P) -> &mut Self
    where
        P: TracerProvider<Tracer = T>,
        T: Tracer + Send + Sync + 'static,
        T::Span: Send + Sync + 'static,
    {
        self.tracer = TracerChoice::Given(Box::new(provider.tracer_with_scope(telemetry::scope())));
        self
    }

    /// A log processor of the application (enrichment, redaction): each record passes through them in the order they
    /// were added, before it is shipped. The next [`init`](Self::init) or [`build`](Self::build) takes them.
    pub fn log_processor(&mut self, processor: impl opentelemetry_sdk::logs::LogProcessor + 'static) -> &mut Self {
        self.processors.push(Box::new(processor));
        self
    }

    /// Lets the official appenders make the records, for upstream's mapping to the letter: no event time, no source
    /// location, no thread, `event src/x.rs:1` as event name, nested values as text, no ids for an explicit parent.
    #[cfg(feature = "official-appenders")]
    pub fn official_appenders(&mut self) -> &mut Self {
        self.official = true;
        self
    }

    /// Installs logbridge as the logger of `log` and the global subscriber of `tracing`.
    ///
    /// # Panics
    ///
    /// Where [`try_init`](Self::try_init) would return an error.
    #[track_caller]
    pub fn init(&mut self) {
        if let Err(error) = self.install(Location::caller()) {
            std::panic::panic_any(format!("logbridge could not be initialised: {error:?}"));
        }
    }

    /// Installs logbridge as the logger of `log` and the global subscriber of `tracing`, and gives its handle.
    ///
    /// # Errors
    ///
    /// Where one of the two slots is taken, where logbridge is installed already, where a value given in code cannot
    /// be used, and where the ship thread cannot be started. Nothing of ours then records, prints or filters; `log`'s
    /// and tracing's slots can be written only once, so one that was taken before the other failed stays taken, and
    /// the next `try_init` uses it.
    #[track_caller]
    pub fn try_init(&mut self) -> Result<Bridge, Error> {
        self.install(Location::caller())
    }

    /// Builds without installing anything: use [`Bridge::layer`], [`Bridge::logger`], [`Bridge::log_processor`] and
    /// [`Bridge::span_processor`] to compose. The end of the process delivers what is left, as long as a handle or what was
    /// composed of it still exists then; the panic hook belongs to `init`.
    ///
    /// # Errors
    ///
    /// Where a value given in code cannot be used, and where the ship thread cannot be started.
    pub fn build(&mut self) -> Result<Bridge, Error> {
        let pipeline = self.pipeline(true)?;
        pipeline.processes().start()?;
        Ok(Bridge::new(pipeline))
    }

    /// Builds our processor for an `SdkLoggerProvider` of your own; the ship thread starts with the first record, when
    /// the provider has told its resource.
    ///
    /// # Errors
    ///
    /// Where a value given in code cannot be used.
    pub fn build_processor(&mut self) -> Result<LogProcessor, Error> {
        self.pipeline(false).map(LogProcessor::alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::READS;

    #[test]
    fn the_environment_is_read_once() {
        let reads = |make: fn() -> Builder| {
            let before = READS.get();
            let _builder = make();
            READS.get() - before
        };
        assert_eq!([Builder::from_default_env, crate::builder, Builder::new].map(reads), [1, 1, 0]);
    }
}
