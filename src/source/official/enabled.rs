//! The official appenders, with logbridge's processor at the end. Records have exactly the upstream mapping.

use std::fmt;

use log::Log as _;
use opentelemetry_appender_log::OpenTelemetryLogBridge;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Both official appenders on one provider.
pub(super) struct OfficialAppenders {
    log: OpenTelemetryLogBridge<SdkLoggerProvider, SdkLogger>,
    tracing: OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>,
}

impl fmt::Debug for OfficialAppenders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfficialAppenders").finish_non_exhaustive()
    }
}

impl OfficialAppenders {
    /// Creates the appenders. Returns `None` if they are not compiled in.
    pub(super) fn new(provider: &SdkLoggerProvider) -> Option<Self> {
        let log = OpenTelemetryLogBridge::new(provider);
        let tracing = OpenTelemetryTracingBridge::new(provider);
        Some(Self { log, tracing })
    }

    pub(super) fn log(&self, record: &log::Record<'_>) {
        self.log.log(record);
    }

    pub(super) fn event<S>(&self, event: &Event<'_>, context: Context<'_, S>)
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        self.tracing.on_event(event, context);
    }
}
