//! The resolved configuration: every value is decided before the first record.

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry_sdk::trace::{ShouldSample, SpanLimits};

use super::destination::{ConsoleTarget, LineFormat};
use super::endpoint::Endpoint;
use super::headers::Header;
use super::mirror::Mirror;
use super::network_capture::HttpSettings;
use super::overload::Overload;
use super::propagator::Propagator;
use super::protocol::{Compression, Protocol};
use super::proxy::Proxy;
use super::repetition::RepetitionLimit;
use super::report::ReportConfig;
use super::resource::ResourceConfig;
use super::setting::Setting;
use super::spool::SpoolConfig;
use super::tls::Tls;
use super::trace_context_env::TraceContextEnv;
use crate::finding::Finding;
use crate::levels::{LevelSets, LevelVariables, MessageFilter};
use crate::notice::{Notice, Verbosity};
use crate::otlp::{AttributeLimits, Redaction};
use crate::signal::Signal;

/// The resolved configuration.
#[derive(Debug)]
pub struct Config {
    pub(crate) console: ConsoleConfig,
    /// Filtered records down to this level are counted.
    pub(crate) count_below: log::LevelFilter,
    pub(crate) exit_timeout: Duration,
    /// Problems in code and environment that are not errors.
    pub findings: Vec<Finding>,
    /// Whether to report the first record that is filtered while no level is set.
    pub(crate) first_cut_notice: bool,
    /// Whether SIGTERM and SIGINT flush.
    pub(crate) flush_on_signals: bool,
    pub(crate) http: HttpSettings,
    pub(crate) levels: LevelSets,
    pub(crate) levels_file: Option<PathBuf>,
    pub(crate) limits: Option<AttributeLimits>,
    pub(crate) verbosity: Verbosity,
    pub(crate) message_filter: Option<(MessageFilter, String)>,
    pub(crate) mirror: Mirror,
    /// Information about valid settings, such as an enabled debug mirror.
    pub(crate) notices: Vec<Notice>,
    pub otlp: OtlpConfig,
    pub(crate) panic_hook: bool,
    pub(crate) record_ids: bool,
    pub(crate) redaction: Option<Redaction>,
    pub(crate) repetition: Option<RepetitionLimit>,
    pub(crate) report: ReportConfig,
    pub(crate) resource: ResourceConfig,
    /// The resolved values with their sources, for reports. Levels, `count_below`, `levels_file`, `show_levels` and
    /// `verbosity` are not among them.
    pub settings: Vec<Setting>,
    /// Whether to print the table of levels at startup.
    pub(crate) show_levels: bool,
    pub(crate) span: SpanConfig,
    /// The parent context from the environment, if it was requested.
    pub(crate) trace_context_env: Option<TraceContextEnv>,
    /// The variables that levels are read from.
    pub(crate) variables: LevelVariables,
}

impl Config {
    /// Returns the notices to print when logbridge is installed.
    pub(crate) fn startup_notices(&self) -> impl Iterator<Item = Notice> {
        self.findings.iter().filter_map(Finding::notice).chain(self.notices.iter().cloned())
    }
}

/// The resolved console destination.
#[derive(Clone, Debug)]
pub(crate) struct ConsoleConfig {
    pub(crate) format: LineFormat,
    pub(crate) target: ConsoleTarget,
}

/// The resolved OTLP destination of records.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// `None` if the destination is off.
    pub delivery: Option<LogDelivery>,
    /// Why the destination is off.
    pub off_because: Option<&'static str>,
    /// Whether records of unsampled traces are filtered.
    pub(crate) trace_based: bool,
}

/// The resolved span settings.
#[derive(Clone, Debug)]
pub(crate) struct SpanConfig {
    /// `None` if spans are not exported.
    pub(crate) delivery: Option<SpanDelivery>,
    /// Why spans are not exported.
    pub(crate) off_because: Option<&'static str>,
    /// Whether errors also become span events.
    pub(crate) exception_events: bool,
    pub(crate) limits: SpanLimits,
    pub(crate) mirror: Mirror,
    pub(crate) propagators: Vec<Propagator>,
    pub(crate) sampler: Box<dyn ShouldSample>,
    /// Maximum length of a text attribute, in characters.
    pub(crate) value_length: Option<usize>,
}

/// How requests of one signal reach their endpoint.
#[derive(Clone, Debug)]
pub struct Route {
    pub signal: Signal,
    pub protocol: Protocol,
    pub compression: Compression,
    pub endpoint: Endpoint,
    pub headers: Vec<Header>,
    /// Timeout of a single attempt.
    pub timeout: Duration,
    /// Timeout of a request including all retries. `None` means no limit.
    pub export_timeout: Option<Duration>,
    pub proxy: Option<Proxy>,
    pub tls: Tls,
}

/// How ended spans are queued and exported.
#[derive(Clone, Debug)]
pub(crate) struct SpanDelivery {
    pub(crate) route: Route,
    /// Maximum number of spans per request.
    pub(crate) max_batch: usize,
    /// Maximum number of pending spans, including the current request.
    pub(crate) max_queue: usize,
    /// Approximate maximum size of a request in bytes. A longer span is sent in a request of its own.
    pub(crate) max_request: usize,
    /// Maximum time a span waits before it is sent.
    pub(crate) schedule_delay: Duration,
}

/// How accepted records are queued and exported.
#[derive(Clone, Debug)]
pub struct LogDelivery {
    pub route: Route,
    /// Maximum number of records per request. `None` means no limit.
    pub(crate) max_batch: Option<usize>,
    /// Maximum size of the outbox in memory, including requests, in bytes.
    pub(crate) max_bytes: usize,
    /// Maximum number of pending records. `None` means no limit.
    pub(crate) max_queue: Option<usize>,
    /// Maximum size of a request in bytes. A longer record is sent in a request of its own.
    pub(crate) max_request: usize,
    pub(crate) overload: Overload,
    /// Maximum time a record waits before it is sent.
    pub(crate) schedule_delay: Duration,
    /// Where pending records are stored to survive the process. `None` keeps them in memory.
    pub(crate) spool: Option<SpoolConfig>,
}
