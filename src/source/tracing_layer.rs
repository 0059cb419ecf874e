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
use crate::levels::{from_tracing, to_tracing};
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
        if metadata.is_span() {
            return pipeline.levels.allows_span(metadata.target(), level);
        }
        if metadata.is_event() && !is_probe(metadata) {
            return level <= pipeline.levels.facade_filter();
        }
        pipeline.is_enabled(metadata.target(), level)
    }
}

/// Returns whether the target belongs to a crate that creates spans while requests are sent.
///
/// Their callsites are queried each time, to distinguish spans of logbridge's own threads from spans of the
/// application.
fn is_of_transport(target: &str) -> bool {
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
            // The answer changes with the levels, but callsites are not queried again.
            (Role::Root, Some(_)) if is_probe(metadata) => Interest::sometimes(),
            (Role::Root, Some(pipeline)) if !Self::allows(pipeline, metadata) => Interest::never(),
            // Queried each time, because logbridge's own threads get another answer.
            (Role::Root, Some(_)) if metadata.is_span() => Interest::sometimes(),
            (Role::Root, Some(_)) => Interest::always(),
            (Role::Root, None) => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        match (&self.role, self.pipeline()) {
            (Role::Guest(pipeline), _) => Self::is_visible(|| note_asked(pipeline.address())),
            (Role::Root, Some(pipeline)) => {
                (!thread::is_internal() || is_probing())
                    && (!metadata.is_span() || buffers::may_make_spans())
                    && Self::allows(pipeline, metadata)
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
                Some(to_tracing(pipeline.levels.facade_filter().max(pipeline.levels.max_span())))
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
