//! What a thread keeps between log calls: its buffers, its encoded thread attributes, and the proof that OpenTelemetry's
//! thread-local context is still alive.
//!
//! Destructors of thread-locals run last in, first out. [`BUFFERS`] is made after OpenTelemetry's context was touched,
//! so as long as it lives, that lives too; when it is gone, a record is encoded without ids.

use std::cell::RefCell;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use crate::otlp::{Scratch, TraceIds, encode_attribute};

/// The buffers of one log call.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) scratch: Scratch,
    /// `thread.id` and `thread.name`, encoded.
    pub(super) thread_attributes: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new({
        Context::map_current(|_| ());
        Buffers::of_this_thread()
    });
}

/// Whether OpenTelemetry's context may be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OtelContext {
    Alive,
    /// The thread is ending.
    Gone,
}

impl Buffers {
    pub(super) fn of_this_thread() -> Self {
        let thread = std::thread::current();
        let mut buf = Vec::new();
        if let Some(id) = number_of(thread.id()) {
            encode_attribute(&mut buf, "thread.id", |value| value.int(id));
        }
        if let Some(name) = thread.name() {
            encode_attribute(&mut buf, "thread.name", |value| value.str(name));
        }
        Self { scratch: Scratch::default(), thread_attributes: buf }
    }
}

/// The number in `ThreadId(7)`: std has no stable way to it, and tracing-opentelemetry puts the same on spans.
fn number_of(id: std::thread::ThreadId) -> Option<i64> {
    format!("{id:?}").trim_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Whether OpenTelemetry's context of this thread may be asked.
#[inline]
pub(super) fn otel_context() -> OtelContext {
    match BUFFERS.try_with(|_| ()) {
        Ok(()) => OtelContext::Alive,
        Err(_) => OtelContext::Gone,
    }
}

/// Lends the thread's buffers; a call inside another call's formatting, and a thread that is ending, get new ones.
#[inline]
pub(super) fn with<T>(run: impl FnOnce(&mut Buffers) -> T) -> T {
    let mut run = Some(run);
    let result = BUFFERS.try_with(|buffers| match buffers.try_borrow_mut() {
        Ok(mut buffers) => {
            let result = run.take().map(|run| run(&mut buffers));
            buffers.scratch.trim();
            result
        }
        Err(_in_use) => run.take().map(|run| run(&mut Buffers::of_this_thread())),
    });
    match (result, run) {
        (Ok(Some(result)), _) => result,
        (_, Some(run)) => run(&mut Buffers::default()),
        // `run` is taken only where a result comes back.
        (_, None) => unreachable!("the closure ran and gave no result"),
    }
}

/// The ids of the active span; none outside a span.
#[inline]
pub(super) fn current_trace() -> Option<TraceIds> {
    if otel_context() == OtelContext::Gone {
        return None;
    }
    Context::map_current(trace_of)
}

/// The ids of the span in that context.
pub(super) fn trace_of(context: &Context) -> Option<TraceIds> {
    if !context.has_active_span() {
        return None;
    }
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| TraceIds {
        trace_id: span.trace_id().to_bytes(),
        span_id: span.span_id().to_bytes(),
        flags: span.trace_flags().to_u8(),
    })
}

/// Whether telemetry is suppressed in this context, by whoever does not want to be seen.
#[inline]
pub(super) fn is_suppressed() -> bool {
    otel_context() == OtelContext::Alive && Context::is_current_telemetry_suppressed()
}
