//! The two destinations as code describes them: [`Otlp`] and [`Console`].

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use super::{Compression, Protocol};
use crate::levels::{LevelSet, Origin, Threshold};
use crate::os::{self, PerProcess};

/// Where records and spans go as OTLP, and which records.
///
/// What is not set here comes from the environment, and else is the OpenTelemetry specification's default.
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
    pub(crate) endpoint: Option<CodeEndpoint>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) levels: LevelSet,
    pub(crate) trace_based: bool,
    pub(crate) traces: Option<CodeTraces>,
}

#[derive(Clone, Debug)]
pub(crate) enum CodeEndpoint {
    Base(String),
    Full(String),
}

/// What code says of spans in particular.
#[derive(Clone, Debug)]
pub(crate) enum CodeTraces {
    Off,
    Url(String),
}

impl Otlp {
    /// Sends to this base URL; `/v1/logs` is appended for records and `/v1/traces` for spans, as with
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
    ///
    /// Default: that variable, else `http://localhost:4318`. A text that is no URL makes `try_init` return an error.
    pub fn to(base_url: impl Into<String>) -> Self {
        Self { endpoint: Some(CodeEndpoint::Base(base_url.into())), ..Self::default() }
    }

    /// Sends records to exactly this URL, as with `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`.
    ///
    /// Where it ends in `/v1/logs`, spans go to `/v1/traces` beside it; else they go nowhere unless
    /// [`traces_to_url`](Self::traces_to_url) says where.
    pub fn to_url(url: impl Into<String>) -> Self {
        Self { endpoint: Some(CodeEndpoint::Full(url.into())), ..Self::default() }
    }

    /// Sends where the environment says: the destination is on even if no variable mentions OpenTelemetry.
    pub fn from_env() -> Self {
        Self::default()
    }

    /// Sends nothing, whatever the environment says.
    pub fn off() -> Self {
        Self { off: true, ..Self::default() }
    }

    /// Sends spans to exactly this URL, as with `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`. Feature `traces`.
    pub fn traces_to_url(mut self, url: impl Into<String>) -> Self {
        self.traces = Some(CodeTraces::Url(url.into()));
        self
    }

    /// Sends no spans, as with `OTEL_TRACES_EXPORTER=none`: records keep their ids, but nothing has them.
    pub fn traces_off(mut self) -> Self {
        self.traces = Some(CodeTraces::Off);
        self
    }

    /// Whether records of a trace that is not sampled are cut, and counted as such. Records outside any trace are sent.
    /// Default: no; what is an error in a trace that nobody sampled is an error all the same.
    pub fn trace_based(mut self, wanted: bool) -> Self {
        self.trace_based = wanted;
        self
    }

    /// Adds a header to each request; the value is never printed.
    ///
    /// Requests with records and with spans have it. It wins over the same header of `OTEL_EXPORTER_OTLP_HEADERS` and
    /// over `HYPERDX_API_KEY`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long one request may take. Default: `OTEL_EXPORTER_OTLP_LOGS_TIMEOUT` (`…_TRACES_TIMEOUT` for spans) or
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`, in milliseconds, else 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The protocol. Default: `OTEL_EXPORTER_OTLP_LOGS_PROTOCOL` (`…_TRACES_PROTOCOL` for spans) or
    /// `OTEL_EXPORTER_OTLP_PROTOCOL`, else `http/protobuf`.
    ///
    /// One that is not compiled in makes `try_init` return an error that names the feature. A gRPC endpoint has no path:
    /// what stands behind host and port is left out.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// How requests are compressed. Default: `OTEL_EXPORTER_OTLP_LOGS_COMPRESSION` (`…_TRACES_COMPRESSION` for spans) or
    /// `OTEL_EXPORTER_OTLP_COMPRESSION`, else not at all.
    ///
    /// Where an endpoint refuses a compressed request and takes the same one plain, requests are sent plain from then on.
    /// One that is not compiled in makes `try_init` return an error that names the feature.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// The threshold of this destination. It can only be stricter than the module stage.
    ///
    /// Default: `LOGBRIDGE_OTLP_LEVEL`, else not set, which lets through what the module stage let through.
    pub fn level(mut self, threshold: impl Into<Threshold>) -> Self {
        self.levels.set("", threshold.into(), Origin::Code, "code");
        self
    }

    /// The threshold of this destination for one target and what is below it.
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

/// Where records are printed, and which of them.
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

/// The stream that the console prints on.
#[derive(Clone)]
pub(crate) enum ConsoleTarget {
    Off,
    Pipe(Arc<Pipe>),
    Stderr,
    Stdout,
}

/// A writer of the application's, which threads use in turn.
pub(crate) struct Pipe {
    writer: Mutex<Box<dyn io::Write + Send>>,
    /// Whoever wants the writer takes this first. So in a process that finds the writer locked all the same, it was locked
    /// when the process was forked, by a thread that does not exist there: its writer is in the middle of a line for ever.
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

    /// Prints on stderr: the default.
    pub fn stderr() -> Self {
        Self::new(ConsoleTarget::Stderr)
    }

    /// Prints on stdout.
    pub fn stdout() -> Self {
        Self::new(ConsoleTarget::Stdout)
    }

    /// Prints into a writer of your own, without colours unless `Builder::write_style` asks for them.
    ///
    /// A process that was forked while another thread was inside the writer cannot use it: its lines are counted as failed.
    /// A `fork` of the C library waits up to 100 ms for the end of the line, so that this is seldom.
    pub fn pipe(writer: impl io::Write + Send + 'static) -> Self {
        Self::new(ConsoleTarget::Pipe(Arc::new(Pipe::new(Box::new(writer)))))
    }

    /// Prints nothing.
    pub fn off() -> Self {
        Self::new(ConsoleTarget::Off)
    }

    /// The threshold of this destination. It can only be stricter than the module stage.
    ///
    /// Default: `LOGBRIDGE_CONSOLE_LEVEL`, else not set, which lets through what the module stage let through.
    pub fn level(mut self, threshold: impl Into<Threshold>) -> Self {
        self.levels.set("", threshold.into(), Origin::Code, "code");
        self
    }

    /// The threshold of this destination for one target and what is below it.
    pub fn module_level(mut self, target: &str, threshold: impl Into<Threshold>) -> Self {
        self.levels.set(target, threshold.into(), Origin::Code, "code");
        self
    }
}

/// How a console line looks; env_logger's settings, applied to env_logger's formatter.
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
