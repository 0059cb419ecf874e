//! The layer that receives `tracing` events.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tracing_core::dispatcher::WeakDispatch;
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::pipeline::Pipeline;
use super::probe::{is_asking, is_probing, note_asked};
use super::tracing_event::EventSource;
use super::{buffers, installed};
use crate::levels::{covering_target, from_tracing, to_tracing};
use crate::thread;

/// Receives events of tracing.
///
/// As the root of the global subscriber, it also filters. As a guest in a registry of the application, it decides in
/// `on_event`. It then hides nothing from other layers, except for events of the transport on logbridge's own threads.
pub(crate) struct EventLayer {
    role: Role,
    dispatch: OnceLock<WeakDispatch>,
}

enum Role {
    Guest(Arc<Pipeline>),
    /// Uses the installed pipeline; inert until there is one.
    Root,
}

impl fmt::Debug for EventLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLayer").field("root", &matches!(self.role, Role::Root)).finish_non_exhaustive()
    }
}

impl EventLayer {
    pub(crate) fn guest(pipeline: Arc<Pipeline>) -> Self {
        Self { role: Role::Guest(pipeline), dispatch: OnceLock::new() }
    }

    pub(crate) fn root() -> Self {
        Self { role: Role::Root, dispatch: OnceLock::new() }
    }

    #[inline]
    fn pipeline(&self) -> Option<&Pipeline> {
        match &self.role {
            Role::Guest(pipeline) => Some(pipeline),
            Role::Root => installed::pipeline(),
        }
    }

    /// Returns whether the registry of a guest may see the event.
    ///
    /// On logbridge's own threads it may not, because events about exporting would fill the application's log. There,
    /// `note` is called for a query of `explain`.
    #[inline]
    fn is_visible(note: impl FnOnce()) -> bool {
        if !thread::is_internal() {
            return true;
        }
        note();
        is_probing() || is_asking()
    }

    /// Returns whether the root enables a callsite.
    ///
    /// All events up to the most verbose level pass, and are filtered and counted in `on_event`, because events of a
    /// disabled callsite cannot be counted. Probes (`enabled!`) get the exact answer.
    fn allows(pipeline: &Pipeline, metadata: &Metadata<'_>) -> bool {
        let level = from_tracing(*metadata.level());
        match (metadata.is_span(), is_probe(metadata)) {
            (true, false) => pipeline.levels.allows_span(metadata.target(), metadata.name(), level),
            // A probe does not name the span.
            (true, true) => pipeline.levels.may_allow_span(metadata.target(), level),
            (false, false) if metadata.is_event() => level <= pipeline.levels.facade_filter(),
            (false, _) => pipeline.is_enabled(metadata.target(), level),
        }
    }

    /// Returns the interest of the root in a callsite.
    fn root_interest(pipeline: &Pipeline, metadata: &'static Metadata<'static>) -> Interest {
        let level = from_tracing(*metadata.level());
        if is_probe(metadata) {
            let max = match metadata.is_span() {
                true => pipeline.levels.max_span(),
                false => pipeline.levels.facade_filter(),
            };
            // The answer changes with the levels, but callsites are queried again only if a maximum changes.
            return if level > max { Interest::never() } else { Interest::sometimes() };
        }
        match (metadata.is_span(), Self::allows(pipeline, metadata)) {
            (true, allows) => {
                if !allows {
                    pipeline.levels.filtered_spans.note(metadata);
                }
                // Queried each time, because logbridge's own threads get another answer.
                let is_queried = allows || pipeline.levels.counts_below(level);
                if is_queried { Interest::sometimes() } else { Interest::never() }
            }
            (false, true) => Interest::always(),
            (false, false) => Interest::never(),
        }
    }

    /// Returns whether the root creates a span.
    fn enables_span<S>(pipeline: &Pipeline, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        if !buffers::may_make_spans() {
            return false;
        }
        if Self::allows(pipeline, metadata) {
            return !is_covered(metadata, context);
        }
        if !is_probe(metadata) {
            pipeline.count_filtered_span(metadata);
        }
        false
    }
}

/// Returns whether the current span stands for the same request as this one.
fn is_covered<S>(metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let Some(covering) = covering_target(metadata.target(), metadata.name()) else { return false };
    context.lookup_current().is_some_and(|current| current.metadata().target() == covering)
}

/// Filtered spans are named in reports down to this level.
const NAMED_SPANS: ::log::LevelFilter = ::log::LevelFilter::Debug;

/// Returns whether the target belongs to a crate that creates spans while requests are sent.
///
/// Their callsites are queried each time, to distinguish spans of logbridge's own threads from spans of the
/// application.
pub(crate) fn is_of_transport(target: &str) -> bool {
    let crate_name = target.split("::").next().unwrap_or_default();
    ["h2", "hyper", "hyper_rustls", "hyper_util", "rustls", "tonic", "tower"].contains(&crate_name)
}

/// Returns whether the callsite belongs to `enabled!` or a similar macro, and is never dispatched.
///
/// tracing-core does not expose this property, so the callsite is recognized by the name that the macros give it.
fn is_probe(metadata: &Metadata<'_>) -> bool {
    metadata.name().starts_with("enabled ")
}

impl<S> Layer<S> for EventLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _first_wins = self.dispatch.set(dispatch.downgrade());
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match (&self.role, self.pipeline()) {
            (Role::Guest(_), _) if metadata.is_span() && is_of_transport(metadata.target()) => Interest::sometimes(),
            (Role::Guest(_), _) => Interest::always(),
            (Role::Root, Some(pipeline)) => Self::root_interest(pipeline, metadata),
            (Role::Root, None) => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        match (&self.role, self.pipeline()) {
            (Role::Guest(pipeline), _) => Self::is_visible(|| note_asked(pipeline.address())),
            (Role::Root, Some(pipeline)) => {
                (!thread::is_internal() || is_probing())
                    && match metadata.is_span() {
                        true => Self::enables_span(pipeline, metadata, &context),
                        false => Self::allows(pipeline, metadata),
                    }
            }
            (Role::Root, None) => false,
        }
    }

    fn event_enabled(&self, _event: &Event<'_>, _context: Context<'_, S>) -> bool {
        // `enabled` has already queried the root, and there is no other layer.
        matches!(self.role, Role::Root) || Self::is_visible(|| ())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        match (&self.role, self.pipeline()) {
            (Role::Guest(_), _) => None,
            (Role::Root, Some(pipeline)) => {
                // The wider of both: RUST_LOG=warn must not remove the trace ids from warnings.
                let needed = pipeline.levels.facade_filter().max(pipeline.levels.max_span());
                // Callsites beyond the hint are never registered, and filtered spans could not be named.
                Some(to_tracing(needed.max(NAMED_SPANS)))
            }
            (Role::Root, None) => Some(LevelFilter::OFF),
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(pipeline) = self.pipeline() else { return };
        let source = EventSource::new(event, &context, &self.dispatch);
        // In a registry of the application, its tracing-opentelemetry does that.
        if matches!(self.role, Role::Root) && *event.metadata().level() == tracing_core::Level::ERROR {
            source.mark_span(|key| pipeline.hides(key));
        }
        pipeline.take(&source);
    }
}
