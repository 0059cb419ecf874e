//! The error type of the crate.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;

use crate::escape::OneLine;
use crate::signal::Signal;

/// The error of every fallible function of logbridge.
///
/// The type is opaque; the `is_…` methods distinguish the causes. [`Display`](fmt::Display) writes one lower-case
/// sentence and [`help`](Error::help) returns what to change. Neither contains a header value, an API key or the
/// password of a URL.
///
/// # Examples
///
/// ```
/// # let bridge = logbridge::Builder::new().build()?;
/// if let Err(error) = bridge.flush(std::time::Duration::from_secs(2))
///     && let Some(undelivered) = error.undelivered()
/// {
///     println!("{} records are pending, {} are lost", undelivered.logs.pending, undelivered.logs.lost());
/// }
/// # Ok::<(), logbridge::Error>(())
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: Kind,
    help: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    AlreadyInitialized { at: &'static Location<'static> },
    Configuration { what: String },
    LogSlotTaken,
    NotDelivered(Undelivered),
    Thread,
    TracingSlotTaken { by: Option<&'static str> },
    WhilePanicking,
}

/// The numbers of records and spans that a flush or a shutdown did not deliver.
///
/// Returned by [`Error::undelivered`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Undelivered {
    /// Log records.
    pub logs: UndeliveredCounts,
    /// Spans.
    pub spans: UndeliveredCounts,
    /// Whether the timeout expired before everything was delivered.
    pub timed_out: bool,
}

/// The numbers of one signal in [`Undelivered`].
///
/// Each lost or unconfirmed item is reported by one flush. Flushes that run at the same time all report it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct UndeliveredCounts {
    /// Items that were still waiting when the timeout expired. They are retried.
    pub pending: u64,
    /// Items that the endpoint rejected for good.
    pub rejected: u64,
    /// Items that logbridge dropped before an endpoint answered for them.
    pub dropped: u64,
    /// Items that were answered with a 2xx response that is not an OTLP response, such as a sign-in page.
    pub unconfirmed: u64,
}

impl UndeliveredCounts {
    /// Returns the number of rejected and dropped items together.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.rejected + self.dropped
    }
}

impl Error {
    #[cold]
    #[inline(never)]
    pub(crate) fn new(kind: Kind) -> Self {
        Self { inner: Box::new(Inner { kind, help: None, source: None }) }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn configuration(what: impl Into<String>) -> Self {
        Self::new(Kind::Configuration { what: OneLine(&what.into()).to_string() })
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.inner.help = Some(OneLine(&help.into()).to_string());
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Returns what to change, if that is known.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.inner.help.as_deref()
    }

    /// Returns `true` if logbridge was already initialized in this process.
    #[must_use]
    pub fn is_already_initialized(&self) -> bool {
        matches!(self.inner.kind, Kind::AlreadyInitialized { .. })
    }

    /// Returns `true` if a value given in code is invalid, such as a malformed endpoint or a header with a line break.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self.inner.kind, Kind::Configuration { .. })
    }

    /// Returns `true` if another logger is already installed for the `log` crate.
    #[must_use]
    pub fn is_log_slot_taken(&self) -> bool {
        matches!(self.inner.kind, Kind::LogSlotTaken)
    }

    /// Returns `true` if another subscriber is already tracing's global default.
    #[must_use]
    pub fn is_tracing_slot_taken(&self) -> bool {
        matches!(self.inner.kind, Kind::TracingSlotTaken { .. })
    }

    /// Returns `true` if the timeout expired before everything was delivered.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.undelivered().is_some_and(|undelivered| undelivered.timed_out)
    }

    /// Returns `true` if records or spans were dropped or rejected since the last flush that reported a loss.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.undelivered().is_some_and(|undelivered| undelivered.logs.lost() + undelivered.spans.lost() > 0)
    }

    /// Returns `true` if the endpoint answered with a 2xx response that is not an OTLP response, such as a sign-in
    /// page.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.undelivered().is_some_and(|undelivered| undelivered.logs.unconfirmed + undelivered.spans.unconfirmed > 0)
    }

    /// Returns the numbers of records and spans that were not delivered, if this is the error of a flush or a shutdown.
    #[must_use]
    pub fn undelivered(&self) -> Option<&Undelivered> {
        match &self.inner.kind {
            Kind::NotDelivered(undelivered) => Some(undelivered),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner.kind {
            Kind::AlreadyInitialized { at } => write!(f, "logbridge was already initialized at {at}"),
            Kind::Configuration { what } => f.write_str(what),
            Kind::LogSlotTaken => f.write_str("another logger is already installed for the `log` crate"),
            Kind::NotDelivered(undelivered) => undelivered.fmt(f),
            Kind::Thread => f.write_str("the exporter thread could not be started"),
            Kind::TracingSlotTaken { by: Some(by) } => {
                write!(f, "tracing's global default subscriber is already set: `{by}`")
            }
            Kind::TracingSlotTaken { by: None } => f.write_str("tracing's global default subscriber is already set"),
            Kind::WhilePanicking => f.write_str("logbridge cannot be initialized while the thread is panicking"),
        }
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = if self.timed_out { "timed out: " } else { "not everything was delivered: " };
        for (signal, counts) in [(Signal::Logs, self.logs), (Signal::Traces, self.spans)] {
            let UndeliveredCounts { pending, rejected, dropped, unconfirmed } = counts;
            for (items, what) in
                [(pending, "pending"), (rejected, "rejected"), (dropped, "dropped"), (unconfirmed, "unconfirmed")]
            {
                if items > 0 {
                    write!(f, "{separator}{} {what}", signal.count(items))?;
                    separator = ", ";
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    // `unwrap` and `main() -> Result` print this, so it is readable text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        if let Some(source) = &self.inner.source {
            write!(f, ": {}", OneLine(&source.to_string()))?;
        }
        if let Some(help) = &self.inner.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_lists_the_counts_of_records_and_spans() {
        let logs = UndeliveredCounts { pending: 3, rejected: 2, dropped: 4, unconfirmed: 0 };
        let spans = UndeliveredCounts { dropped: 1, unconfirmed: 5, ..UndeliveredCounts::default() };
        let undelivered = Undelivered { logs, spans, timed_out: true };
        let error = Error::new(Kind::NotDelivered(undelivered));
        assert_eq!(
            error.to_string(),
            "timed out: 3 records pending, 2 records rejected, 4 records dropped, 1 span dropped, 5 spans unconfirmed"
        );
        assert!(error.is_timeout() && error.is_lost() && error.is_unconfirmed());
        assert_eq!(error.undelivered(), Some(&undelivered));
        assert_eq!((logs.lost(), spans.lost()), (6, 1));
    }

    #[test]
    fn debug_shows_the_help() {
        let error = Error::configuration("`nope` is not a URL").with_help("write http://host:4318");
        assert_eq!(format!("{error:?}"), "`nope` is not a URL\n  help: write http://host:4318");
        assert!(error.is_configuration() && error.undelivered().is_none());
    }
}
