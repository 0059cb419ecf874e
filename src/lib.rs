// The README shows complete programs.
#![allow(clippy::needless_doctest_main)]
// If a link is defined twice, the first definition wins. The README defines its links as paths, which are broken in
// rustdoc.
//! [findings]: crate::findings
//!
#![doc = include_str!("../README.md")]
// Some code is only used by the command `logbridge`, through `internals`. The check with all features finds unused
// code.
#![cfg_attr(not(feature = "_cli"), allow(dead_code, unnameable_types, unreachable_pub, unused_imports))]
// `internals` is not a public API. The check without `_cli` covers the public API.
#![cfg_attr(
    feature = "_cli",
    allow(clippy::exhaustive_enums, clippy::exhaustive_structs, missing_docs, unnameable_types)
)]

mod bridge;
mod builder;
mod clock;
mod config;
mod console;
mod diagnose;
mod env;
mod error;
mod escape;
mod finding;
#[cfg(feature = "_cli")]
#[doc(hidden)]
pub mod internals;
mod ledger;
pub mod levels;
mod notice;
mod os;
mod otlp;
mod outbox;
mod output;
mod ship;
mod signal;
mod source;
mod telemetry;
mod thread;
mod transport;

pub use bridge::{Bridge, BridgeLayer, Levels, Logger};
pub use builder::{Builder, post_fork};
pub use config::{
    CaptureMode, Compression, Console, HeaderList, HttpSettings, Mirror, NetworkCapture, Otlp, Overload, Protocol,
    Redact, Repetition, ReportTo, Spool, SpoolSync,
};
pub use diagnose::{
    Canary, Check, Configuration, Cut, Dropped, Explanation, Facade, FilteredSpan, Gate, Place, Report,
    SpanExplanation, Traced, TracedThread,
};
pub use env::{DEFAULT_FILTER_ENV, DEFAULT_WRITE_STYLE_ENV, Env};
pub use env_logger::{Target, TimestampPrecision, WriteStyle, fmt};
pub use error::{Error, Undelivered, UndeliveredCounts};
pub use finding::{Finding, RecordOutcome, Severity};
pub use ledger::{ConsoleCounters, Counters, DropReason, OtlpCounters, RejectReason, Requests, SpanCounters};
pub use levels::{ParseThresholdError, Stage, Threshold};
pub use log::{Level, LevelFilter};
pub use source::{LogProcessor, SpanProcessor};
pub use telemetry::{carry_context, carry_context_to, propagation};

/// All kinds of [`Finding`], with their meaning and a fix. `logbridge explain LB001` prints the same text.
///
#[doc = include_str!("../docs/findings.md")]
pub mod findings {
    pub use crate::finding::Kind;
}

/// An embedded OTLP receiver for examples and tests. Needs the feature `testing`.
#[cfg(feature = "testing")]
pub mod testing;

/// Installs logbridge with all settings from the environment. Replaces `env_logger::init()`.
///
/// # Panics
///
/// Panics if [`try_init`] would return an error.
#[track_caller]
pub fn init() {
    Builder::from_default_env().init();
}

/// Installs logbridge with all settings from the environment, and returns its handle.
///
/// Dropping the handle does not stop the export.
///
/// # Errors
///
/// Returns the errors of [`Builder::try_init`].
#[track_caller]
pub fn try_init() -> Result<Bridge, Error> {
    Builder::from_default_env().try_init()
}

/// Installs logbridge with the filter and the style from the given variables, and all other settings from the
/// environment.
///
/// # Panics
///
/// Panics if [`try_init_from_env`] would return an error.
#[track_caller]
pub fn init_from_env<'a>(env: impl Into<Env<'a>>) {
    Builder::from_env(env).init();
}

/// Installs logbridge as [`init_from_env`] does, and returns its handle.
///
/// # Errors
///
/// Returns the errors of [`Builder::try_init`].
#[track_caller]
pub fn try_init_from_env<'a>(env: impl Into<Env<'a>>) -> Result<Bridge, Error> {
    Builder::from_env(env).try_init()
}

/// Returns a builder that reads the environment.
#[must_use]
pub fn builder() -> Builder {
    Builder::from_default_env()
}

/// Returns `true` if the current thread is one of logbridge's own.
///
/// The HTTP client logs tracing events on these threads. Neither [`init`] nor a registry with [`Bridge::layer`]
/// receives them. Any other subscriber, or a logger behind `tracing`'s feature `log`, can filter them.
///
/// # Examples
///
/// ```
/// use tracing_subscriber::filter::dynamic_filter_fn;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry().with(dynamic_filter_fn(|_, _| !logbridge::is_own_thread()));
/// ```
#[must_use]
pub fn is_own_thread() -> bool {
    thread::is_internal()
}

/// Returns the handle of the installed logbridge, or `None` if none is installed yet.
#[must_use]
pub fn bridge() -> Option<Bridge> {
    source::installed::shared().map(Bridge::new)
}
