//! tracing-opentelemetry behind a gate: spans only, no events, and nothing in a thread that is ending.

use std::any::TypeId;
use std::cell::Cell;
use std::fmt;

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::tracer::LateTracer;
use crate::source::touch_thread;

/// Forwards what concerns spans. Events are not forwarded: they are logs already, not span events as well.
pub(crate) struct SpanGate<S> {
    layer: OpenTelemetryLayer<S, LateTracer>,
}

impl<S> fmt::Debug for SpanGate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanGate").finish_non_exhaustive()
    }
}

struct Alive;

impl Drop for Alive {
    fn drop(&mut self) {}
}

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
    /// Made after the first span was entered, so it dies before tracing-opentelemetry's own thread-locals, which panic
    /// when they are used afterwards.
    static ALIVE: Alive = const { Alive };
}

/// Whether a span may be entered or left on this thread.
fn may_enter() -> bool {
    !ENTERED.get() || ALIVE.try_with(|_| ()).is_ok()
}

fn entered() {
    if !ENTERED.replace(true) {
        let _made = ALIVE.try_with(|_| ());
        touch_thread();
    }
}

impl<S> SpanGate<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    pub(crate) fn new() -> Self {
        Self {
            layer: tracing_opentelemetry::layer()
                .with_tracer(LateTracer)
                .with_tracked_inactivity(false)
                .with_target(false),
        }
    }
}

impl<S> Layer<S> for SpanGate<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        Layer::<S>::on_register_dispatch(&self.layer, dispatch);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.layer.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.layer.on_record(id, values, context);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        self.layer.on_follows_from(id, follows, context);
    }

    fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {}

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if may_enter() {
            self.layer.on_enter(id, context);
            entered();
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if may_enter() {
            self.layer.on_exit(id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.layer.on_close(id, context);
    }

    // The one listed exception to "unsafe only in `os`": without it, `set_parent` and explicit parents do not find
    // tracing-opentelemetry behind the gate.
    //
    // SAFETY: the pointer comes from the wrapped layer, which lives exactly as long as `self`; its own implementation
    // upholds the contract that the pointer is valid for the type asked for.
    #[allow(unsafe_code)]
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        // SAFETY: the caller's contract is passed on unchanged.
        unsafe { Layer::<S>::downcast_raw(&self.layer, id) }
    }
}
