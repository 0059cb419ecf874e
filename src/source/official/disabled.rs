//! Placeholder without the feature `official-appenders`: the type has no values.

use opentelemetry_sdk::logs::SdkLoggerProvider;
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Never constructed.
#[derive(Debug)]
pub(super) enum OfficialAppenders {}

impl OfficialAppenders {
    pub(super) fn new(_provider: &SdkLoggerProvider) -> Option<Self> {
        None
    }

    pub(super) fn log(&self, _record: &log::Record<'_>) {
        match *self {}
    }

    pub(super) fn event<S>(&self, _event: &Event<'_>, _context: Context<'_, S>)
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        match *self {}
    }
}
