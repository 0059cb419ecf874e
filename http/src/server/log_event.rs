//! The event at the end of a request, if it is asked for.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use logbridge::Level;
use tracing::event;

use crate::{SERVER_TARGET, semconv};

/// What the event says.
pub(super) struct Finished<'r> {
    pub(super) method: &'r str,
    pub(super) path: &'r str,
    pub(super) route: Option<&'r str>,
    pub(super) status: Option<StatusCode>,
    pub(super) error_type: Option<&'r str>,
    pub(super) duration: Duration,
}

impl fmt::Display for Finished<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:", self.method, self.path)?;
        if let Some(status) = self.status {
            write!(f, " {}", status.as_str())?;
        }
        match self.error_type {
            Some(error) if self.status.is_none_or(|status| status.as_str() != error) => write!(f, " {error}"),
            _ => Ok(()),
        }
    }
}

/// Logs the event through tracing.
pub(super) fn log_event(level: Level, finished: &Finished<'_>) {
    macro_rules! log_at {
        ($level:ident) => {
            event!(
                target: SERVER_TARGET,
                tracing::Level::$level,
                { semconv::HTTP_REQUEST_METHOD } = finished.method,
                { semconv::URL_PATH } = finished.path,
                { semconv::HTTP_ROUTE } = finished.route,
                { semconv::HTTP_RESPONSE_STATUS_CODE } = finished.status.map(|status| i64::from(status.as_u16())),
                { semconv::ERROR_TYPE } = finished.error_type,
                duration = finished.duration.as_secs_f64(),
                "{finished}"
            )
        };
    }
    match level {
        Level::Error => log_at!(ERROR),
        Level::Warn => log_at!(WARN),
        Level::Info => log_at!(INFO),
        Level::Debug => log_at!(DEBUG),
        Level::Trace => log_at!(TRACE),
    }
}
