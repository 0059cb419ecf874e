// The README shows a whole program, as its reader will write it.
#![allow(clippy::needless_doctest_main)]
// Of two definitions the first one holds: the README's own are paths, which lead nowhere in the documentation.
//! [findings]: crate::findings
//!
#![doc = include_str!("../README.md")]
// Some code serves the command `logbridge` alone, which reaches it through `internals`. The check with all features finds
// what nothing uses.
#![cfg_attr(not(feature = "_cli"), allow(dead_code, unnameable_types, unreachable_pub, unused_imports))]
// `internals` is no public API. The check without `_cli` looks at what is.
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
    Compression, Console, Mirror, Otlp, Overload, Protocol, Redact, Repetition, ReportTo, Spool, SpoolSync,
};
pub use diagnose::{Canary, Check, Configuration, Cut, Dropped, Explanation, Facade, Gate, Place, Report, Traced};
pub use env::{DEFAULT_FILTER_ENV, DEFAULT_WRITE_STYLE_ENV, Env};
pub use env_logger::{Target, TimestampPrecision, WriteStyle, fmt};
pub use error::Error;
pub use finding::{Finding, RecordOutcome, Severity};
pub use ledger::{ConsoleCounters, Counters, DropReason, OtlpCounters, RejectReason, Requests, SpanCounters};
pub use levels::{ParseThresholdError, Stage, Threshold};
pub use log::{Level, LevelFilter};
pub use source::{LogProcessor, SpanProcessor};
pub use telemetry::{carry_context, carry_context_to};

/// Every kind of [`Finding`], by its code: what it means, and what to do. `logbridge explain LB001` prints the same.
///
#[doc = include_str!("../docs/findings.md")]
pub mod findings {
    pub use crate::finding::Kind;
}

#[cfg(feature = "testing")]
pub mod testing;

/// Installs logbridge, with everything from the environment: what `env_logger::init()` was.
///
/// # Panics
///
/// Where [`try_init`] would return an error.
#[track_caller]
pub fn init() {
    Builder::from_default_env().init();
}

/// Installs logbridge, with everything from the environment, and gives its handle. Dropping the handle stops nothing.
///
/// # Errors
///
/// As [`Builder::try_init`].
#[track_caller]
pub fn try_init() -> Result<Bridge, Error> {
    Builder::from_default_env().try_init()
}

/// Installs logbridge, with levels and style from the variables named here and the rest from the environment.
///
/// # Panics
///
/// Where [`try_init_from_env`] would return an error.
#[track_caller]
pub fn init_from_env<'a>(env: impl Into<Env<'a>>) {
    Builder::from_env(env).init();
}

/// Installs logbridge, with levels and style from the variables named here and the rest from the environment, and gives
/// its handle.
///
/// # Errors
///
/// As [`Builder::try_init`].
#[track_caller]
pub fn try_init_from_env<'a>(env: impl Into<Env<'a>>) -> Result<Bridge, Error> {
    Builder::from_env(env).try_init()
}

/// A builder that reads the environment.
#[must_use]
pub fn builder() -> Builder {
    Builder::from_default_env()
}

/// Returns whether the current thread is one of logbridge's own, on which its HTTP client writes tracing events about itself.
///
/// What [`init`] installs and a registry with [`Bridge::layer`] in it never see them. A subscriber without that layer, or a
/// logger behind `tracing`'s feature `log`, can leave them out itself:
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

/// The handle of what `init` installed; `None` before that.
#[must_use]
pub fn bridge() -> Option<Bridge> {
    source::installed::shared().map(Bridge::new)
}
