//! What a thread keeps between log calls: its buffers, its encoded thread attributes, and the proof that OpenTelemetry's
//! thread-local context is still alive.
//!
//! Destructors of thread-locals run last in, first out. [`BUFFERS`] is made after OpenTelemetry's context was touched,
//! so as long as it lives, that lives too; when it is gone, a record is encoded without ids.

use std::cell::{Cell, RefCell};

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use super::record_id::RecordIds;
use crate::otlp::{RecordWriter, Scratch, TraceIds, encode_attribute};
use crate::thread::{self, catch_expected_panic};

/// The buffers of one log call.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) scratch: Scratch,
    pub(super) thread: ThreadAttributes,
    pub(super) callsites: Callsites,
    pub(super) ids: RecordIds,
}

/// `thread.id` and `thread.name`.
#[derive(Debug, Default)]
pub(super) struct ThreadAttributes {
    id: Option<i64>,
    name: Option<String>,
    encoded: Vec<u8>,
}

impl ThreadAttributes {
    fn current() -> Self {
        let thread = std::thread::current();
        let (id, name) = (number_of(thread.id()), thread.name().map(str::to_owned));
        let mut encoded = Vec::new();
        if let Some(id) = id {
            encode_attribute(&mut encoded, "thread.id", |value| value.int(id));
        }
        if let Some(name) = &name {
            encode_attribute(&mut encoded, "thread.name", |value| value.str(name));
        }
        Self { id, name, encoded }
    }

    #[inline]
    pub(super) fn write(&self, writer: &mut RecordWriter<'_>) {
        if writer.builtin_encoded("thread.", &self.encoded) {
            return;
        }
        if let Some(id) = self.id {
            writer.builtin_attribute("thread.id", |value| value.int(id));
        }
        if let Some(name) = &self.name {
            writer.builtin_attribute("thread.name", |value| value.str(name));
        }
    }
}

/// Where a record was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Location<'a> {
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
    /// The file's name lives for ever, so that its address tells it.
    pub(super) lasting: bool,
}

/// `code.file.path` and `code.line.number` of the callsites that were seen last, encoded.
#[derive(Debug, Default)]
pub(super) struct Callsites {
    slots: Vec<Callsite>,
}

#[derive(Clone, Debug, Default)]
struct Callsite {
    /// Address and length of the file's name, and the line; 0 while the slot is empty.
    key: (usize, usize, u32),
    encoded: Vec<u8>,
}

/// A power of two; a thread seldom writes from more places at once.
const SLOTS: usize = 64;

impl Callsites {
    #[inline]
    pub(super) fn write(&mut self, writer: &mut RecordWriter<'_>, location: Location<'_>) {
        if let (Some(file), Some(line), true) = (location.file, location.line, location.lasting)
            && writer.builtin_encoded("code.", self.encoded(file, line))
        {
            return;
        }
        if let Some(file) = location.file {
            writer.builtin_attribute("code.file.path", |value| value.str(file));
        }
        if let Some(line) = location.line {
            writer.builtin_attribute("code.line.number", |value| value.int(i64::from(line)));
        }
    }

    #[inline]
    fn encoded(&mut self, file: &str, line: u32) -> &[u8] {
        let key = (file.as_ptr() as usize, file.len(), line);
        let slot = (key.0 >> 4 ^ line as usize) & (SLOTS - 1);
        if self.slots.get(slot).is_none_or(|callsite| callsite.key != key) {
            self.fill(slot, key, file, line);
        }
        self.slots.get(slot).map(|callsite| callsite.encoded.as_slice()).unwrap_or_default()
    }

    #[cold]
    fn fill(&mut self, slot: usize, key: (usize, usize, u32), file: &str, line: u32) {
        self.slots.resize(SLOTS, Callsite::default());
        if let Some(callsite) = self.slots.get_mut(slot) {
            callsite.key = key;
            callsite.encoded.clear();
            encode_attribute(&mut callsite.encoded, "code.file.path", |value| value.str(file));
            encode_attribute(&mut callsite.encoded, "code.line.number", |value| value.int(i64::from(line)));
        }
    }
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(made_on_first_use());
    /// OpenTelemetry's context had died before this thread wrote its first record.
    static GONE: Cell<bool> = const { Cell::new(false) };
    /// [`BUFFERS`] has been made, or was tried to be.
    static MADE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the buffers may be asked for. To make them, OpenTelemetry's context is asked, which may panic: inside a panic
/// hook, that would be the end.
#[inline]
fn may_be_made() -> bool {
    MADE.get() || !std::thread::panicking()
}

/// A thread may write its first record while it is ending, when OpenTelemetry's context is dead already: asking it
/// panics, and there is no other way to find out.
fn made_on_first_use() -> Buffers {
    MADE.set(true);
    let made = catch_expected_panic(|| {
        Context::map_current(|_| ());
        Buffers::of_this_thread()
    });
    made.unwrap_or_else(|| {
        GONE.set(true);
        Buffers::default()
    })
}

/// Makes the buffers of this thread now, so that they die before what was used before.
pub(crate) fn touch() {
    if !may_be_made() {
        return;
    }
    let _made = BUFFERS.try_with(|_| ());
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
        Self { thread: ThreadAttributes::current(), ..Self::default() }
    }
}

/// The number in `ThreadId(7)`: std has no stable way to it, and tracing-opentelemetry puts the same on spans.
fn number_of(id: std::thread::ThreadId) -> Option<i64> {
    format!("{id:?}").trim_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Whether OpenTelemetry's context of this thread may be asked.
#[inline]
pub(super) fn otel_context() -> OtelContext {
    if !may_be_made() {
        return OtelContext::Gone;
    }
    match BUFFERS.try_with(|_| GONE.get()) {
        Ok(false) => OtelContext::Alive,
        Ok(true) | Err(_) => OtelContext::Gone,
    }
}

/// Lends the thread's buffers; a call inside another call's formatting, and a thread that is ending, get new ones.
#[inline]
pub(super) fn with<T>(run: impl FnOnce(&mut Buffers) -> T) -> T {
    if !may_be_made() {
        return run(&mut Buffers::of_this_thread());
    }
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

/// OpenTelemetry's context of this thread, where it may be asked.
pub(crate) fn current_context() -> Option<Context> {
    (otel_context() == OtelContext::Alive).then(Context::current)
}

/// The context with the active span, where that may be changed.
///
/// The SDK calls span processors while it holds the lock of the span: one of the application's that logs, or panics, would
/// wait for itself.
pub(super) fn current_span() -> Option<Context> {
    current_context().filter(|context| !thread::is_in_span_processor() && context.has_active_span())
}

/// The ids of the span in that context.
pub(crate) fn trace_of(context: &Context) -> Option<TraceIds> {
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

/// Whether a span may be made on this thread: while it is ending, neither tracing's registry nor OpenTelemetry can.
#[inline]
pub(super) fn may_make_spans() -> bool {
    otel_context() == OtelContext::Alive
}

/// Whether telemetry is suppressed in this context, by whoever does not want to be seen.
#[inline]
pub(crate) fn is_suppressed() -> bool {
    otel_context() == OtelContext::Alive && Context::is_current_telemetry_suppressed()
}
