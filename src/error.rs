//! The one error type of the crate.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;

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
    /// Still waiting when the time was up.
    pub(crate) pending: u64,
    /// Dropped or rejected since a flush last told.
    pub(crate) lost: u64,
    /// Answered with a 2xx that is no OTLP answer, since a flush last told.
    pub(crate) unconfirmed: u64,
    /// Whether the time was up.
    pub(crate) timed_out: bool,
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
        Self::new(Kind::Configuration { what: what.into() })
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.inner.help = Some(help.into());
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

    /// Whether records were dropped or rejected since a flush last told.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.undelivered().is_some_and(|numbers| numbers.lost > 0)
    }

    /// Whether the endpoint answered with a success that is no OTLP answer (a sign-in page, say).
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.undelivered().is_some_and(|numbers| numbers.unconfirmed > 0)
    }

    /// How many records were still waiting when the time was up.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.pending)
    }

    /// How many records were dropped or rejected since a flush last told.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.undelivered().map_or(0, |numbers| numbers.lost)
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
            Kind::Thread => f.write_str("the thread that ships records could not be started"),
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
        for (count, what) in [(self.pending, "still waiting"), (self.lost, "lost"), (self.unconfirmed, "unconfirmed")] {
            if count > 0 {
                write!(f, "{separator}{count} {what}")?;
                separator = ", ";
            }
        }
        if separator == "time is up: " {
            f.write_str("time is up before the flush was confirmed")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    // What `unwrap` and `main() -> Result` print: the sentence and what to change, readable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        if let Some(source) = &self.inner.source {
            write!(f, ": {source}")?;
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
        let error =
            Error::new(Kind::NotDelivered(Undelivered { pending: 3, lost: 2, unconfirmed: 0, timed_out: true }));
        assert_eq!(error.to_string(), "time is up: 3 still waiting, 2 lost");
        assert!(error.is_timeout() && error.is_lost() && !error.is_unconfirmed());
        assert_eq!((error.pending(), error.lost()), (3, 2));
    }

    #[test]
    fn debug_shows_what_to_change() {
        let error = Error::configuration("`nope` is no URL").with_help("write http://host:4318");
        assert_eq!(format!("{error:?}"), "`nope` is no URL\n  help: write http://host:4318");
        assert!(error.is_configuration());
    }
}
