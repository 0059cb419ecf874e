//! Placeholder without the feature `official-appenders`: the type has no values.

use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::processor_chain::ProcessorChain;

/// Never constructed.
#[derive(Debug)]
pub(super) enum OfficialAppenders {}

impl OfficialAppenders {
    /// Returns the chain unchanged, because the builder cannot request the appenders.
    pub(super) fn new(chain: ProcessorChain, _wanted: bool) -> Result<Self, ProcessorChain> {
        Err(chain)
    }

    pub(super) fn chain(&self) -> &ProcessorChain {
        match *self {}
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
