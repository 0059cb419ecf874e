//! The one error type of the crate.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;

use crate::escape::OneLine;
use crate::signal::Signal;

/// What went wrong, where it was set, and what to change.
///
/// Opaque: ask with the `is_…` methods. [`Display`](fmt::Display) gives one lower-case sentence, [`help`](Error::help)
/// the thing to change. It never contains a header value, an API key or the password of a URL.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: Kind,
    help: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The closed set of what can go wrong.
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

/// The numbers of a flush that could not say Ok.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Undelivered {
    pub(crate) logs: Numbers,
    pub(crate) spans: Numbers,
    /// Whether the time was up.
    pub(crate) timed_out: bool,
}

/// The numbers of one signal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Numbers {
    /// Still waiting when the time was up.
    pub(crate) pending: u64,
    /// Refused by the endpoint for good since a flush last told.
    pub(crate) rejected: u64,
    /// Dropped before an endpoint answered for them, since a flush last told.
    pub(crate) dropped: u64,
    /// Answered with a 2xx that is no OTLP answer, since a flush last told.
    pub(crate) unconfirmed: u64,
}

impl Numbers {
    fn lost(self) -> u64 {
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

    /// What to change, where that is known.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.inner.help.as_deref()
    }

    /// Whether this process has initialised logbridge before.
    #[must_use]
    pub fn is_already_initialized(&self) -> bool {
        matches!(self.inner.kind, Kind::AlreadyInitialized { .. })
    }

    /// Whether a value given in code cannot be used (an endpoint that is no URL, a header with a line break, …).
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self.inner.kind, Kind::Configuration { .. })
    }

    /// Whether another logger already owns `log`'s slot.
    #[must_use]
    pub fn is_log_slot_taken(&self) -> bool {
        matches!(self.inner.kind, Kind::LogSlotTaken)
    }

    /// Whether another subscriber already is tracing's global default.
    #[must_use]
    pub fn is_tracing_slot_taken(&self) -> bool {
        matches!(self.inner.kind, Kind::TracingSlotTaken { .. })
    }

    /// Whether the time was up before everything was delivered.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.inner.kind, Kind::NotDelivered(Undelivered { timed_out: true, .. }))
    }

    /// Whether records or spans were dropped or rejected since a flush last told.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost() + self.lost_spans() > 0
    }

    /// Whether the endpoint answered with a success that is no OTLP answer (a sign-in page, say).
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.undelivered().is_some_and(|numbers| numbers.logs.unconfirmed + numbers.spans.unconfirmed > 0)
    }

    /// How many records were still waiting when the time was up.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.logs.pending)
    }

    /// How many spans were still waiting when the time was up.
    #[must_use]
    pub fn pending_spans(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.spans.pending)
    }

    /// How many records were dropped or rejected since a flush last told.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.logs.lost())
    }

    /// How many spans were dropped or rejected since a flush last told.
    #[must_use]
    pub fn lost_spans(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.spans.lost())
    }

    /// How many records the endpoint refused for good since a flush last told: part of [`lost`](Self::lost).
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.logs.rejected)
    }

    /// How many spans the endpoint refused for good since a flush last told: part of [`lost_spans`](Self::lost_spans).
    #[must_use]
    pub fn rejected_spans(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.spans.rejected)
    }

    /// How many records were dropped before an endpoint answered for them, since a flush last told: part of
    /// [`lost`](Self::lost).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.logs.dropped)
    }

    /// How many spans were dropped before an endpoint answered for them, since a flush last told: part of
    /// [`lost_spans`](Self::lost_spans).
    #[must_use]
    pub fn dropped_spans(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.spans.dropped)
    }

    /// How many records were answered with a success that is no OTLP answer, since a flush last told.
    #[must_use]
    pub fn unconfirmed(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.logs.unconfirmed)
    }

    /// How many spans were answered with a success that is no OTLP answer, since a flush last told.
    #[must_use]
    pub fn unconfirmed_spans(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.spans.unconfirmed)
    }

    fn undelivered(&self) -> Option<Undelivered> {
        match self.inner.kind {
            Kind::NotDelivered(numbers) => Some(numbers),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner.kind {
            Kind::AlreadyInitialized { at } => write!(f, "logbridge was already initialised at {at}"),
            Kind::Configuration { what } => f.write_str(what),
            Kind::LogSlotTaken => f.write_str("another logger is already installed for the `log` crate"),
            Kind::NotDelivered(numbers) => numbers.fmt(f),
            Kind::Thread => f.write_str("the thread that ships records and spans could not be started"),
            Kind::TracingSlotTaken { by: Some(by) } => {
                write!(f, "tracing's global default subscriber is already set: `{by}`")
            }
            Kind::TracingSlotTaken { by: None } => f.write_str("tracing's global default subscriber is already set"),
            Kind::WhilePanicking => f.write_str("logbridge cannot be initialised while the thread is panicking"),
        }
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = if self.timed_out { "time is up: " } else { "not everything was delivered: " };
        for (signal, numbers) in [(Signal::Logs, self.logs), (Signal::Traces, self.spans)] {
            let Numbers { pending, rejected, dropped, unconfirmed } = numbers;
            for (items, what) in
                [(pending, "still waiting"), (rejected, "rejected"), (dropped, "dropped"), (unconfirmed, "unconfirmed")]
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
    // What `unwrap` and `main() -> Result` print: the sentence and what to change, readable.
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
    fn numbers_are_said_in_words() {
        let logs = Numbers { pending: 3, rejected: 2, dropped: 4, unconfirmed: 0 };
        let spans = Numbers { dropped: 1, unconfirmed: 5, ..Numbers::default() };
        let error = Error::new(Kind::NotDelivered(Undelivered { logs, spans, timed_out: true }));
        assert_eq!(
            error.to_string(),
            "time is up: 3 records still waiting, 2 records rejected, 4 records dropped, 1 span dropped, 5 spans unconfirmed"
        );
        assert!(error.is_timeout() && error.is_lost() && error.is_unconfirmed());
        assert_eq!((error.pending(), error.lost(), error.lost_spans()), (3, 6, 1));
        assert_eq!((error.rejected(), error.dropped(), error.unconfirmed()), (2, 4, 0));
        assert_eq!((error.rejected_spans(), error.dropped_spans(), error.unconfirmed_spans()), (0, 1, 5));
    }

    #[test]
    fn debug_shows_what_to_change() {
        let error = Error::configuration("`nope` is no URL").with_help("write http://host:4318");
        assert_eq!(format!("{error:?}"), "`nope` is no URL\n  help: write http://host:4318");
        assert!(error.is_configuration());
    }
}
