//! What code and environment say becomes one immutable [`Config`]; what in the environment cannot be used becomes a
//! notice and disables nothing but itself.
//!
//! The only module that reads the environment. Precedence: code, the signal's own variable, the general variable,
//! `default_*` setters, built-in.

mod destination;
mod endpoint;
mod environment;
mod resolve;
mod resource;

use std::time::Duration;

pub(crate) use destination::{CodeEndpoint, ConsoleTarget, LineFormat};
pub use destination::{Console, Otlp};
pub(crate) use endpoint::{Endpoint, Header};
pub(crate) use environment::Environment;
pub(crate) use resource::ResourceConfig;

use crate::levels::{LevelSet, Table};
use crate::notice::Notice;

/// What code said; the rest comes from the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) console: Option<Console>,
    pub(crate) exit_timeout: Option<Duration>,
    pub(crate) format: LineFormat,
    pub(crate) levels: LevelSet,
    pub(crate) max_bytes: Option<usize>,
    pub(crate) mirror: Option<Mirror>,
    pub(crate) otlp: Option<Otlp>,
    pub(crate) panic_hook: Option<bool>,
    /// What in RUST_LOG could not be used.
    pub(crate) notices: Vec<Notice>,
    /// Filter strings in code that could not be parsed: they make `try_init` fail.
    pub(crate) problems: Vec<String>,
    pub(crate) resource: Vec<(String, opentelemetry::Value)>,
    pub(crate) schedule_delay: Option<Duration>,
    pub(crate) service_name: Option<String>,
    pub(crate) span_levels: LevelSet,
}

impl Settings {
    /// A directive of a variable that cannot be used; the others count.
    pub(crate) fn note_directive(&mut self, variable: &str, text: &str, why: &str) {
        let text = format!("{variable}: `{text}` is ignored: {why}");
        self.notices
            .push(Notice::new(text.clone(), text).help("directives are written as `info,my_crate::module=debug`"));
    }
}

/// Whether and how each record is printed on stdout as it will be shipped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mirror {
    /// Not at all: the default.
    #[default]
    Off,
    /// One readable line a record.
    Text,
    /// One line of OTLP/JSON a record, as a collector's file receiver reads it.
    Json,
}

/// Everything that was decided before the first record.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) console: ConsoleConfig,
    pub(crate) exit_timeout: Duration,
    pub(crate) mirror: Mirror,
    pub(crate) module: Table,
    pub(crate) notices: Vec<Notice>,
    pub(crate) otlp: OtlpConfig,
    pub(crate) panic_hook: bool,
    pub(crate) resource: ResourceConfig,
    pub(crate) span: Table,
}

/// The console, decided.
#[derive(Clone, Debug)]
pub(crate) struct ConsoleConfig {
    pub(crate) format: LineFormat,
    pub(crate) levels: Table,
    pub(crate) target: ConsoleTarget,
}

/// The otlp destination, decided.
#[derive(Clone, Debug)]
pub(crate) struct OtlpConfig {
    pub(crate) levels: Table,
    /// `None` while the destination is off.
    pub(crate) delivery: Option<Delivery>,
    /// Why it is off, in words.
    pub(crate) off_because: Option<&'static str>,
}

/// How accepted records reach the endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: Vec<Header>,
    /// Bound of the outbox in memory, requests included.
    pub(crate) max_bytes: usize,
    /// How long a record waits at most before it is sent.
    pub(crate) schedule_delay: Duration,
    /// One request.
    pub(crate) timeout: Duration,
}

/// Defaults, each with its reason.
pub(crate) mod defaults {
    use std::time::Duration;

    /// Long enough for a slow collector, short enough not to be felt as a hang at the end of a program.
    pub(crate) const EXIT_TIMEOUT: Duration = Duration::from_secs(3);
    /// About a quarter of a million records.
    pub(crate) const MAX_BYTES: usize = 64 << 20;
    /// Below this, segments become so small that a single record may not fit.
    pub(crate) const MIN_BYTES: usize = 64 << 10;
    /// The specification's default for a batch processor.
    pub(crate) const SCHEDULE_DELAY: Duration = Duration::from_secs(1);
    /// The specification's default for an exporter.
    pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
}
