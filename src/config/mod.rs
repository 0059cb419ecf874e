//! What code and environment say becomes one immutable [`Config`]; what in the environment cannot be used becomes a
//! finding and disables nothing but itself.
//!
//! The only module that reads the environment. Precedence: code, the signal's own variable, the general variable,
//! `default_*` setters, built-in.

mod carrier;
mod destination;
mod endpoint;
mod environment;
mod headers;
mod levels_file;
mod limits;
mod lint;
mod memory;
mod named_file;
mod names;
mod overload;
mod protocol;
mod proxy;
mod redact;
mod repetition;
mod report;
mod resolve;
mod resource;
mod route;
mod secrets;
mod setting;
mod spool;
mod time;
mod tls;
mod traces;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use carrier::{Carrier, variable_of};
pub(crate) use destination::{CodeEndpoint, ConsoleTarget, LineFormat, Pipe};
pub use destination::{Console, Otlp};
pub use endpoint::Endpoint;
pub use endpoint::redact_url;
pub use environment::Environment;
#[cfg(test)]
pub(crate) use environment::READS;
pub(crate) use headers::Header;
pub(crate) use levels_file::{LevelsFile, Looked, POLL};
pub use overload::Overload;
pub use protocol::{Compression, Protocol};
pub(crate) use proxy::Proxy;
pub use redact::Redact;
pub use repetition::Repetition;
pub(crate) use repetition::RepetitionLimit;
pub(crate) use report::ReportConfig;
pub use report::ReportTo;
pub(crate) use resource::ResourceConfig;
pub use secrets::HIDDEN;
pub use secrets::Secrets;
pub use setting::Setting;
pub use setting::Source;
pub(crate) use setting::settings_table;
pub(crate) use spool::SpoolConfig;
pub use spool::{Spool, SpoolSync};
pub(crate) use time::bounded;
pub(crate) use tls::Tls;

use opentelemetry_sdk::trace::{ShouldSample, SpanLimits};

use crate::finding::Finding;
use crate::levels::{LevelSet, LevelSets, LevelVariables, MessageFilter, Origin, lint_parsed, parse};
use crate::notice::{Notice, Verbosity};
use crate::otlp::{AttributeLimits, Redaction};
use crate::signal::Signal;

/// What code said; the rest comes from the environment.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub console: Option<Console>,
    pub count_below: Option<log::LevelFilter>,
    pub exception_events: Option<bool>,
    pub exit_timeout: Option<Duration>,
    pub first_cut: Option<bool>,
    pub flush_on_signals: Option<bool>,
    pub format: LineFormat,
    pub levels: LevelSet,
    pub levels_file: Option<PathBuf>,
    pub max_bytes: Option<usize>,
    pub max_request: Option<usize>,
    /// What the text of a record must match, and who said so.
    pub message_filter: Option<(MessageFilter, String)>,
    pub max_spans: Option<usize>,
    pub mirror: Option<Mirror>,
    pub otlp: Option<Otlp>,
    pub overload: Option<Overload>,
    pub panic_hook: Option<bool>,
    /// What in RUST_LOG could not be used.
    pub findings: Vec<Finding>,
    /// Filter strings in code that could not be parsed: they make `try_init` fail.
    pub problems: Vec<String>,
    /// Whether each record has an id of its own.
    pub record_ids: Option<bool>,
    pub redact: Redact,
    pub repetition: Option<Repetition>,
    pub report: Option<ReportTo>,
    pub report_on_signal: Option<bool>,
    pub resource: Vec<(String, opentelemetry::Value)>,
    pub sampler: Option<Box<dyn ShouldSample>>,
    pub schedule_delay: Option<Duration>,
    pub service_name: Option<String>,
    pub span_levels: LevelSet,
    pub spool: Option<Spool>,
    /// The variables to take the parent from; `Some(None)` for none.
    pub trace_context_from_env: Option<Option<Environment>>,
    /// The variables that levels are read from.
    pub variables: LevelVariables,
}

impl Settings {
    /// Takes a filter string. What in it cannot be used is found, and the rest counts.
    pub fn read_filter(&mut self, by: &str, spec: &str, origin: Origin) {
        let parsed = parse(spec);
        self.findings.extend(lint_parsed(by, &parsed));
        self.levels.extend(parsed.directives, origin, by);
        if let Some(Ok(filter)) = parsed.message.map(MessageFilter::new) {
            self.message_filter = Some((filter, by.to_owned()));
        }
    }

    /// The same for one that stands in code, where what cannot be used makes `try_init` fail.
    pub(crate) fn take_filter(&mut self, spec: &str) {
        let parsed = parse(spec);
        self.levels.extend(parsed.directives, Origin::Code, "code");
        self.problems.extend(parsed.problems.into_iter().map(|problem| format!("`{}`: {}", problem.text, problem.why)));
        match parsed.message.map(|message| (MessageFilter::new(message), message)) {
            Some((Ok(filter), _)) => self.message_filter = Some((filter, "code".to_owned())),
            Some((Err(why), message)) => self.problems.push(format!("`/{message}`: {why}")),
            None => {}
        }
    }
}

/// Whether and how each record and each span is printed on stdout as it will be shipped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mirror {
    /// Not at all: the default.
    #[default]
    Off,
    /// One readable line each.
    Text,
    /// One line of OTLP/JSON each, as a collector's file receiver reads it.
    Json,
}

/// Everything that was decided before the first record.
#[derive(Debug)]
pub struct Config {
    /// What the process that started this one handed down, where somebody asked for it.
    pub(crate) carrier: Option<Carrier>,
    pub(crate) console: ConsoleConfig,
    /// Records down to this level are counted although they are cut.
    pub(crate) count_below: log::LevelFilter,
    pub(crate) exit_timeout: Duration,
    /// What deserves a look.
    pub findings: Vec<Finding>,
    /// Whether the first record that is cut because nobody chose levels is told.
    pub(crate) first_cut: bool,
    /// Whether SIGTERM and SIGINT flush.
    pub(crate) flush_on_signals: bool,
    pub(crate) levels: LevelSets,
    pub(crate) levels_file: Option<PathBuf>,
    pub(crate) limits: Option<AttributeLimits>,
    pub(crate) verbosity: Verbosity,
    pub(crate) message_filter: Option<(MessageFilter, String)>,
    pub(crate) mirror: Mirror,
    /// What is as it was asked for, and good to know.
    pub(crate) notices: Vec<Notice>,
    pub otlp: OtlpConfig,
    pub(crate) panic_hook: bool,
    /// Whether each record has an id of its own.
    pub(crate) record_ids: bool,
    /// What is taken out of records and spans, where anything is.
    pub(crate) redaction: Option<Redaction>,
    /// How many similar records pass, where that is limited.
    pub(crate) repetition: Option<RepetitionLimit>,
    pub(crate) report: ReportConfig,
    pub(crate) resource: ResourceConfig,
    /// Each value that was decided, with who decided it.
    pub settings: Vec<Setting>,
    /// Whether the table of levels is printed at the start.
    pub(crate) show_levels: bool,
    pub(crate) span: SpanConfig,
    /// The variables that levels are read from.
    pub(crate) variables: LevelVariables,
}

impl Config {
    /// What stderr has to say of it.
    pub(crate) fn said(&self) -> impl Iterator<Item = Notice> {
        self.findings.iter().filter_map(Finding::notice).chain(self.notices.iter().cloned())
    }
}

/// The console, decided.
#[derive(Clone, Debug)]
pub(crate) struct ConsoleConfig {
    pub(crate) format: LineFormat,
    pub(crate) target: ConsoleTarget,
}

/// The otlp destination, decided.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// `None` while the destination is off.
    pub delivery: Option<Delivery>,
    /// Why it is off, in words.
    pub off_because: Option<&'static str>,
    /// Whether records of traces that are not sampled are cut.
    pub(crate) trace_based: bool,
}

/// Spans, decided.
#[derive(Clone, Debug)]
pub(crate) struct SpanConfig {
    /// `None` while spans are not exported.
    pub(crate) delivery: Option<SpanDelivery>,
    /// Why they are not, in words.
    pub(crate) off_because: Option<&'static str>,
    /// Whether errors are span events too.
    pub(crate) exception_events: bool,
    pub(crate) limits: SpanLimits,
    pub(crate) mirror: Mirror,
    pub(crate) propagators: Vec<Propagator>,
    pub(crate) sampler: Box<dyn ShouldSample>,
    /// How many characters a text in the attributes of a span may have.
    pub(crate) value_length: Option<usize>,
}

/// How the context of a trace is written into requests to other services.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Propagator {
    Baggage,
    TraceContext,
}

/// Where the items of one signal are posted to.
#[derive(Clone, Debug)]
pub struct Route {
    pub signal: Signal,
    pub protocol: Protocol,
    pub compression: Compression,
    pub endpoint: Endpoint,
    pub headers: Vec<Header>,
    /// One request.
    pub timeout: Duration,
    /// One request with all its tries; for ever where nobody said.
    pub export_timeout: Option<Duration>,
    pub proxy: Option<Proxy>,
    pub tls: Tls,
}

/// How ended spans reach the endpoint.
#[derive(Clone, Debug)]
pub(crate) struct SpanDelivery {
    pub(crate) route: Route,
    /// Spans in one request at most.
    pub(crate) max_batch: usize,
    /// Spans that wait at most, those of the current request included.
    pub(crate) max_queue: usize,
    /// Bytes of one request at most, about, unless a single span is longer.
    pub(crate) max_request: usize,
    /// How long a span waits at most before it is sent.
    pub(crate) schedule_delay: Duration,
}

/// How accepted records reach the endpoint.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub route: Route,
    /// Records in one request at most, where somebody said so.
    pub(crate) max_batch: Option<usize>,
    /// Bound of the outbox in memory, requests included.
    pub(crate) max_bytes: usize,
    /// Records that wait at most, where somebody said so.
    pub(crate) max_queue: Option<usize>,
    /// Bytes of one request at most, unless a single record is longer.
    pub(crate) max_request: usize,
    /// What goes when there is no room.
    pub(crate) overload: Overload,
    /// How long a record waits at most before it is sent.
    pub(crate) schedule_delay: Duration,
    /// Where records outlive the process, where somebody asked for that.
    pub(crate) spool: Option<SpoolConfig>,
}

/// Defaults, each with its reason.
pub(crate) mod defaults {
    use std::time::Duration;

    /// Long enough for a slow collector, short enough not to be felt as a hang at the end of a program.
    pub(crate) const EXIT_TIMEOUT: Duration = Duration::from_secs(3);
    /// About a quarter of a million records.
    pub(crate) const MAX_BYTES: usize = 64 << 20;
    /// What every receiver takes: the limit of gRPC servers.
    pub(crate) const MAX_REQUEST: usize = 4 << 20;
    /// Below this, most requests would be one record.
    pub(crate) const MIN_REQUEST: usize = 1 << 10;
    /// Below this, segments become so small that a single record may not fit.
    pub(crate) const MIN_BYTES: usize = 64 << 10;
    /// Below this, the segments of many threads would not fit.
    pub(crate) const MIN_SPOOL_BYTES: usize = 4 << 20;
    /// More often, the disk would do nothing else.
    pub(crate) const MIN_SPOOL_SYNC: Duration = Duration::from_millis(100);
    /// An hour of a thousand records a second, about.
    pub(crate) const SPOOL_BYTES: usize = 1 << 30;
    /// The specification's default for a batch processor.
    pub(crate) const SCHEDULE_DELAY: Duration = Duration::from_secs(1);
    /// The specification's default for one export.
    pub(crate) const SPAN_BATCH: usize = 512;
    /// The specification's default.
    pub(crate) const SPAN_DELAY: Duration = Duration::from_secs(5);
    /// The specification says 2048, which one busy second of a service fills: the rest would be lost, and the records
    /// in those spans would point at nothing. About 16 MiB when it is full.
    pub(crate) const SPAN_QUEUE: usize = 16_384;
    /// The specification's default for an exporter.
    pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
}
