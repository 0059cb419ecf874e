//! tracing-opentelemetry behind a gate: spans only, no events, and nothing in a thread that is ending.

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

use super::root;
use super::tracer::LateTracer;
use crate::os;
use crate::source::{Pipeline, installed, touch_thread};
use crate::thread::catch_expected_panic;

/// Forwards what concerns spans. Events are not forwarded: they are logs already, not span events as well.
pub(crate) struct SpanGate<S> {
    layer: OpenTelemetryLayer<S, LateTracer>,
    /// The same without attributes of the span that repeat an error under keys of their own.
    without_exceptions: OpenTelemetryLayer<S, LateTracer>,
}

impl<S> fmt::Debug for SpanGate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanGate").finish_non_exhaustive()
    }
}

/// Spans of tracing that are open, with the process they were made in.
///
/// A lock is only tried for: in a forked child, a thread that does not exist there may hold it.
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

/// Ends the spans of tracing that are open in this process, with all that was recorded on them. Their own handles end
/// nothing any more.
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
            // A span that closes at this very moment panics here, which is nobody's business.
            let _closed_by_itself = catch_expected_panic(|| {
                // Kept, so that nobody closes it meanwhile.
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
        let layer =
            || tracing_opentelemetry::layer().with_tracer(LateTracer).with_tracked_inactivity(false).with_target(false);
        let without_exceptions = layer().with_error_fields_to_exceptions(false).with_error_records_to_exceptions(false);
        Self { layer: layer(), without_exceptions }
    }
}

/// Looks for an error in a field that is to be redacted: tracing-opentelemetry writes its text as `exception.message` and
/// `exception.stacktrace` too, where nothing tells which field it came from.
struct HiddenError<'a> {
    pipeline: &'a Pipeline,
    found: bool,
}

impl Visit for HiddenError<'_> {
    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}

    fn record_error(&mut self, field: &Field, _value: &(dyn Error + 'static)) {
        self.found |= self.pipeline.hides(field.name());
    }
}

/// Whether there is such an error.
fn hides_error(record: impl FnOnce(&mut dyn Visit)) -> bool {
    let Some(pipeline) = installed::pipeline().filter(|pipeline| pipeline.redacts()) else { return false };
    let mut hidden = HiddenError { pipeline, found: false };
    record(&mut hidden);
    hidden.found
}

impl<S> Layer<S> for SpanGate<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        Layer::<S>::on_register_dispatch(&self.layer, dispatch);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        // tracing-opentelemetry asks the current context for the parent of a span that has none. It does not for one that was
        // meant to have none (`parent: None`), which no tracer could tell apart.
        let _under_root =
            root::is_installed().then(|| OtelContext::map_current(root::under_root)).flatten().map(OtelContext::attach);
        let layer = if hides_error(|visit| attributes.record(visit)) { &self.without_exceptions } else { &self.layer };
        layer.on_new_span(attributes, id, context);
        let id = id.into_u64();
        with_open(id, |open| {
            open.insert(id, os::fork_generation());
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let layer = if hides_error(|visit| values.record(visit)) { &self.without_exceptions } else { &self.layer };
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
