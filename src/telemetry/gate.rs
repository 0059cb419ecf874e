//! A layer around tracing-opentelemetry that forwards spans but not events, and does nothing on a thread that is
//! ending.

use std::any::TypeId;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Mutex;

use opentelemetry::Context as OtelContext;
use opentelemetry::trace::TraceContextExt as _;
use tracing_core::dispatcher;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::inherited_context;
use super::tracer::DeferredTracer;
use crate::os;
use crate::source::{Pipeline, installed, touch_thread};
use crate::thread::catch_expected_panic;

/// Forwards spans to tracing-opentelemetry. Events are exported as log records, so they do not become span events too.
pub(crate) struct SpanGate<S> {
    layer: OpenTelemetryLayer<S, DeferredTracer>,
    /// Used if an error must be redacted: does not copy the error into `exception.*` attributes.
    without_exceptions: OpenTelemetryLayer<S, DeferredTracer>,
}

impl<S> fmt::Debug for SpanGate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanGate").finish_non_exhaustive()
    }
}

/// The open tracing spans, each with the fork generation of its process.
///
/// Locks are only tried: in a forked child, a thread that does not exist there may hold one.
static OPEN: [Mutex<BTreeMap<u64, u64>>; 16] = [const { Mutex::new(BTreeMap::new()) }; 16];

fn with_open(id: u64, run: impl FnOnce(&mut BTreeMap<u64, u64>)) {
    const TRIES: usize = 1_000;
    let Some(shard) = OPEN.get(id as usize % OPEN.len()) else { return };
    for _ in 0..TRIES {
        if let Ok(mut open) = shard.try_lock() {
            return run(&mut open);
        }
        std::hint::spin_loop();
    }
}

/// Ends all open tracing spans of this process with the values recorded so far. Dropping their handles later has no
/// effect.
pub(crate) fn end_open_spans() {
    let generation = os::fork_generation();
    let mut ids: Vec<u64> = Vec::new();
    for shard in 0..OPEN.len() as u64 {
        with_open(shard, |open| {
            ids.extend(std::mem::take(open).into_iter().filter(|(_, of)| *of == generation).map(|(id, _)| id))
        });
    }
    dispatcher::get_default(|dispatch| {
        for id in &ids {
            // tracing-opentelemetry panics if the span closes at the same moment. The span has then ended anyway.
            let _closed_by_itself = catch_expected_panic(|| {
                // Keeps the span open meanwhile.
                let id = dispatch.clone_span(&Id::from_u64(*id));
                if let Some(context) = tracing_opentelemetry::get_otel_context(&id, dispatch) {
                    context.span().end();
                }
            });
        }
    });
}

struct Alive;

impl Drop for Alive {
    fn drop(&mut self) {}
}

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
    /// Initialized after the first span was entered, so it is dropped before the thread-locals of
    /// tracing-opentelemetry, which panic if they are used after their drop.
    static ALIVE: Alive = const { Alive };
}

/// Returns whether a span may be entered or exited on this thread.
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
        let layer = || {
            tracing_opentelemetry::layer().with_tracer(DeferredTracer).with_tracked_inactivity(false).with_target(false)
        };
        let without_exceptions = layer().with_error_fields_to_exceptions(false).with_error_records_to_exceptions(false);
        Self { layer: layer(), without_exceptions }
    }
}

/// Finds an error in a field that must be redacted.
///
/// tracing-opentelemetry also writes the error's text to `exception.message` and `exception.stacktrace`, which no
/// longer show the name of the field.
struct RedactedError<'a> {
    pipeline: &'a Pipeline,
    found: bool,
}

impl Visit for RedactedError<'_> {
    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}

    fn record_error(&mut self, field: &Field, _value: &(dyn Error + 'static)) {
        self.found |= self.pipeline.hides(field.name());
    }
}

/// Returns whether a field with an error must be redacted.
fn has_redacted_error(record: impl FnOnce(&mut dyn Visit)) -> bool {
    let Some(pipeline) = installed::pipeline().filter(|pipeline| pipeline.redacts()) else { return false };
    let mut visitor = RedactedError { pipeline, found: false };
    record(&mut visitor);
    visitor.found
}

impl<S> Layer<S> for SpanGate<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        Layer::<S>::on_register_dispatch(&self.layer, dispatch);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        // tracing-opentelemetry takes the parent of a span without one from the current context, except for explicit
        // roots (`parent: None`). Attaching the inherited context here keeps that difference, which a tracer could not
        // see.
        let _inherited = inherited_context::is_installed()
            .then(|| OtelContext::map_current(inherited_context::with_inherited_parent))
            .flatten()
            .map(OtelContext::attach);
        let layer =
            if has_redacted_error(|visit| attributes.record(visit)) { &self.without_exceptions } else { &self.layer };
        layer.on_new_span(attributes, id, context);
        let id = id.into_u64();
        with_open(id, |open| {
            open.insert(id, os::fork_generation());
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let layer =
            if has_redacted_error(|visit| values.record(visit)) { &self.without_exceptions } else { &self.layer };
        layer.on_record(id, values, context);
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
        let number = id.into_u64();
        with_open(number, |open| {
            open.remove(&number);
        });
        self.layer.on_close(id, context);
    }

    // The only unsafe code outside of `os`: without it, `set_parent` and explicit parents would not find
    // tracing-opentelemetry inside this layer.
    //
    // SAFETY: the pointer comes from the wrapped layer, which lives as long as `self`. Its own implementation
    // guarantees that the pointer is valid for the requested type.
    #[allow(unsafe_code)]
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        // SAFETY: the caller upholds the same contract.
        unsafe { Layer::<S>::downcast_raw(&self.layer, id) }
    }
}
