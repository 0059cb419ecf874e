//! The official appenders as the front: upstream's mapping to the letter, through our processor at the end.

use std::fmt;

use log::Log as _;
use opentelemetry_appender_log::OpenTelemetryLogBridge;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::front::{Chain, Front};

/// Both official appenders on one provider.
pub(crate) struct Official {
    chain: Chain,
    log: OpenTelemetryLogBridge<SdkLoggerProvider, SdkLogger>,
    tracing: OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>,
}

impl fmt::Debug for Official {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Official").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// The official appenders in front of the chain, where they are asked for.
pub(crate) fn front(chain: Chain, official: bool) -> Front {
    if official { Front::Official(Box::new(Official::new(chain))) } else { Front::Processors(chain) }
}

impl Official {
    fn new(chain: Chain) -> Self {
        let log = OpenTelemetryLogBridge::new(&chain.provider);
        let tracing = OpenTelemetryTracingBridge::new(&chain.provider);
        Self { chain, log, tracing }
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chain
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
