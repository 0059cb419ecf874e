//! The two destinations set in code: [`Otlp`] and [`Console`].

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use super::protocol::{Compression, Protocol};
use crate::levels::{LevelSet, Origin, Threshold};
use crate::os::{self, PerProcess};

/// The OTLP destination: where records and spans are sent, and which records.
///
/// A value that is not set here comes from the environment, or is the default of the OpenTelemetry specification.
/// Variables for one signal (`OTEL_EXPORTER_OTLP_LOGS_…`, `OTEL_EXPORTER_OTLP_TRACES_…`) take precedence over general
/// ones (`OTEL_EXPORTER_OTLP_…`).
///
/// An invalid value set here makes [`try_init`](crate::Builder::try_init) return an error.
///
/// ```
/// use logbridge::{LevelFilter, Otlp};
///
/// let otlp = Otlp::to("http://localhost:4318").header("authorization", "KEY").level(LevelFilter::Info);
/// ```
#[derive(Clone, Default)]
#[must_use = "pass it to `Builder::otlp`"]
pub struct Otlp {
    pub(crate) off: bool,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) compression: Option<Compression>,
    pub(crate) endpoint: Option<OtlpUrl>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) levels: LevelSet,
    pub(crate) trace_based: bool,
    pub(crate) traces: Option<TracesOverride>,
}

/// The endpoint set in code.
#[derive(Clone, Debug)]
pub(crate) enum OtlpUrl {
    /// A URL that the signal's path is appended to.
    Base(String),
    /// A URL that is used unchanged, for records only.
    Full(String),
}

/// The span export set in code.
#[derive(Clone, Debug)]
pub(crate) enum TracesOverride {
    Off,
    Url(String),
}

impl Otlp {
    /// Sends to a base URL, such as `http://localhost:4318`.
    ///
    /// For the HTTP protocols, `/v1/logs` is appended for records and `/v1/traces` for spans.
    ///
    /// Default: `http://localhost:4318`, or `http://localhost:4317` for gRPC. Environment variable:
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn to(base_url: impl Into<String>) -> Self {
        Self { endpoint: Some(OtlpUrl::Base(base_url.into())), ..Self::default() }
    }

    /// Sends records to exactly this URL; no path is appended. Environment variable:
    /// `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`.
    ///
    /// If the path ends in `/v1/logs`, spans are sent to the same URL with `/v1/traces` instead. Otherwise, spans are
    /// not sent unless [`traces_to_url`](Self::traces_to_url) is set.
    pub fn to_url(url: impl Into<String>) -> Self {
        Self { endpoint: Some(OtlpUrl::Full(url.into())), ..Self::default() }
    }

    /// Takes all values from the environment.
    ///
    /// This turns the destination on even if no `OTEL_*` or `HYPERDX_*` variable is set.
    pub fn from_env() -> Self {
        Self::default()
    }

    /// Sends nothing, regardless of the environment.
    pub fn off() -> Self {
        Self { off: true, ..Self::default() }
    }

    /// Sends spans to exactly this URL; no path is appended. Requires the feature `traces`.
    ///
    /// Environment variable: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
    pub fn traces_to_url(mut self, url: impl Into<String>) -> Self {
        self.traces = Some(TracesOverride::Url(url.into()));
        self
    }

    /// Sends no spans, like `OTEL_TRACES_EXPORTER=none`.
    ///
    /// Records still carry trace and span ids, but the endpoint never receives those spans.
    pub fn traces_off(mut self) -> Self {
        self.traces = Some(TracesOverride::Off);
        self
    }

    /// Sets whether records of unsampled traces are filtered. Filtered records are counted.
    ///
    /// Records outside of any trace are always sent. Default: `false`, because an error matters even if its trace is
    /// not sampled.
    pub fn trace_based(mut self, wanted: bool) -> Self {
        self.trace_based = wanted;
        self
    }

    /// Adds a header to each request for records and spans. The value is never printed.
    ///
    /// The header takes precedence over the same header in `OTEL_EXPORTER_OTLP_HEADERS` and over `HYPERDX_API_KEY`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the timeout of one request.
    ///
    /// Default: 10 seconds. Zero means the default, and more than a year means one year. Environment variables, in
    /// milliseconds: `OTEL_EXPORTER_OTLP_LOGS_TIMEOUT` and `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, or
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the protocol.
    ///
    /// For gRPC, the path of the endpoint is ignored. A protocol whose feature is off makes
    /// [`try_init`](crate::Builder::try_init) return an error that names the feature.
    ///
    /// Default: [`Protocol::HttpProtobuf`]. Environment variables: `OTEL_EXPORTER_OTLP_LOGS_PROTOCOL` and
    /// `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, or `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Sets the compression of requests.
    ///
    /// If the endpoint rejects a compressed request but accepts it uncompressed, all later requests are sent
    /// uncompressed. A compression whose feature is off makes [`try_init`](crate::Builder::try_init) return an error
    /// that names the feature.
    ///
    /// Default: [`Compression::None`]. Environment variables: `OTEL_EXPORTER_OTLP_LOGS_COMPRESSION` and
    /// `OTEL_EXPORTER_OTLP_TRACES_COMPRESSION`, or `OTEL_EXPORTER_OTLP_COMPRESSION`.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets the threshold of this destination, which can only be stricter than the module stage.
    ///
    /// Default: unset, so every record that passes the module stage is sent. Environment variable:
    /// `LOGBRIDGE_OTLP_LEVEL`, with directives as in `RUST_LOG`.
    pub fn level(mut self, threshold: impl Into<Threshold>) -> Self {
        self.levels.set("", threshold.into(), Origin::Code, "code");
        self
    }

    /// Sets the threshold of this destination for a target and its submodules.
    pub fn module_level(mut self, target: &str, threshold: impl Into<Threshold>) -> Self {
        self.levels.set(target, threshold.into(), Origin::Code, "code");
        self
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Otlp")
            .field("off", &self.off)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The console destination: where records are printed, and which records.
///
/// ```
/// use logbridge::{Console, LevelFilter};
///
/// let console = Console::stdout().level(LevelFilter::Warn);
/// ```
#[derive(Clone, Debug)]
#[must_use = "pass it to `Builder::console`"]
pub struct Console {
    pub(crate) target: ConsoleTarget,
    pub(crate) levels: LevelSet,
}

/// The stream that the console prints to.
#[derive(Clone)]
pub(crate) enum ConsoleTarget {
    Off,
    Pipe(Arc<Pipe>),
    Stderr,
    Stdout,
}

/// A writer of the application, shared by all threads.
pub(crate) struct Pipe {
    writer: Mutex<Box<dyn io::Write + Send>>,
    /// Taken before `writer`. If `writer` is locked nevertheless, another thread held it when this process was forked.
    /// That thread does not exist here, so its line is never finished and the writer is unusable.
    turns: PerProcess<Mutex<()>>,
}

impl Pipe {
    pub(crate) fn new(writer: Box<dyn io::Write + Send>) -> Self {
        Self { writer: Mutex::new(writer), turns: PerProcess::new() }
    }

    pub(crate) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        os::without_forks(|| {
            let _turn = self.turns.get().lock().unwrap_or_else(PoisonError::into_inner);
            let mut writer = match self.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            };
            writer.write_all(bytes)?;
            writer.flush()
        })
    }
}

impl fmt::Debug for ConsoleTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Pipe(_) => "pipe",
            Self::Stderr => "stderr",
            Self::Stdout => "stdout",
        })
    }
}

impl Console {
    fn new(target: ConsoleTarget) -> Self {
        Self { target, levels: LevelSet::default() }
    }

    /// Prints to stderr. The default.
    pub fn stderr() -> Self {
        Self::new(ConsoleTarget::Stderr)
    }

    /// Prints to stdout.
    pub fn stdout() -> Self {
        Self::new(ConsoleTarget::Stdout)
    }

    /// Prints to a writer, without colors unless [`Builder::write_style`](crate::Builder::write_style) enables them.
    ///
    /// A forked child cannot use the writer if another thread was writing at the moment of the fork. Its lines are then
    /// counted as failed. This is rare, because a `fork` of the C library waits up to 100 ms for the line to end.
    pub fn pipe(writer: impl io::Write + Send + 'static) -> Self {
        Self::new(ConsoleTarget::Pipe(Arc::new(Pipe::new(Box::new(writer)))))
    }

    /// Prints nothing.
    pub fn off() -> Self {
        Self::new(ConsoleTarget::Off)
    }

    /// Sets the threshold of this destination, which can only be stricter than the module stage.
    ///
    /// Default: unset, so every record that passes the module stage is printed. Environment variable:
    /// `LOGBRIDGE_CONSOLE_LEVEL`, with directives as in `RUST_LOG`.
    pub fn level(mut self, threshold: impl Into<Threshold>) -> Self {
        self.levels.set("", threshold.into(), Origin::Code, "code");
        self
    }

    /// Sets the threshold of this destination for a target and its submodules.
    pub fn module_level(mut self, target: &str, threshold: impl Into<Threshold>) -> Self {
        self.levels.set(target, threshold.into(), Origin::Code, "code");
        self
    }
}

/// The format of console lines: env_logger's settings for env_logger's formatter.
#[derive(Clone)]
pub struct LineFormat {
    pub(crate) custom: Option<Arc<CustomFormat>>,
    pub(crate) file: bool,
    pub(crate) indent: Option<usize>,
    pub(crate) is_test: bool,
    pub(crate) key_values: Option<Arc<KeyValueFormat>>,
    pub(crate) level: bool,
    pub(crate) line_number: bool,
    pub(crate) module_path: bool,
    pub(crate) style: env_logger::WriteStyle,
    pub(crate) suffix: &'static str,
    pub(crate) target: bool,
    pub(crate) timestamp: Option<env_logger::TimestampPrecision>,
}

pub(crate) type CustomFormat =
    dyn Fn(&mut env_logger::fmt::Formatter, &log::Record<'_>) -> io::Result<()> + Send + Sync;
pub(crate) type KeyValueFormat =
    dyn Fn(&mut env_logger::fmt::Formatter, &dyn log::kv::Source) -> io::Result<()> + Send + Sync;

impl Default for LineFormat {
    fn default() -> Self {
        Self {
            custom: None,
            file: false,
            indent: Some(4),
            is_test: false,
            key_values: None,
            level: true,
            line_number: false,
            module_path: false,
            style: env_logger::WriteStyle::Auto,
            suffix: "\n",
            target: true,
            timestamp: Some(env_logger::TimestampPrecision::Seconds),
        }
    }
}

impl fmt::Debug for LineFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineFormat").field("custom", &self.custom.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_header_value() {
        let otlp = Otlp::to("http://u:p4ss@h").header("authorization", "s3cret");
        let shown = format!("{otlp:?}");
        assert!(shown.contains("authorization") && !shown.contains("s3cret") && !shown.contains("p4ss"), "{shown}");
    }
}
