//! Without the feature `official-appenders` there is no such front; the type has no values.

use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::front::{Chain, Front};

/// Never made.
#[derive(Debug)]
pub(crate) enum Official {}

/// The builder has no way to ask for the official appenders.
pub(crate) fn front(chain: Chain, _official: bool) -> Front {
    Front::Processors(chain)
}

impl Official {
    pub(super) fn chain(&self) -> &Chain {
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
