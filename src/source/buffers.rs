//! The buffers that a thread keeps between log calls, and access to its OpenTelemetry context.
//!
//! Destructors of thread-locals run in the reverse order of their creation. [`BUFFERS`] is created after
//! OpenTelemetry's context was accessed, so the context lives at least as long as the buffers. Once the buffers are
//! destroyed, records have no ids.

use std::cell::{Cell, RefCell};

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use super::record_id::RecordIds;
use crate::otlp::{RecordWriter, TraceIds, encode_attribute};
use crate::outbox::FrameBuffer;
use crate::thread::{self, catch_expected_panic};

/// The buffers of one log call.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) frame: FrameBuffer,
    pub(super) thread: ThreadAttributes,
    pub(super) callsites: Callsites,
    pub(super) ids: RecordIds,
}

/// `thread.id` and `thread.name`.
#[derive(Debug, Default)]
pub(super) struct ThreadAttributes {
    id: Option<i64>,
    name: Option<String>,
    /// The number of the name, under which records are counted.
    pub(super) name_number: usize,
    encoded: Vec<u8>,
}

impl ThreadAttributes {
    fn current() -> Self {
        let current = std::thread::current();
        let (id, name) = (number_of(current.id()), current.name().map(str::to_owned));
        let mut encoded = Vec::new();
        if let Some(id) = id {
            encode_attribute(&mut encoded, "thread.id", |value| value.int(id));
        }
        if let Some(name) = &name {
            encode_attribute(&mut encoded, "thread.name", |value| value.str(name));
        }
        Self { id, name_number: thread::number_of_name(name.as_deref()), name, encoded }
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

/// The source location at which a record was logged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Location<'a> {
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
    /// Static, so that the address identifies the file name.
    pub(super) is_static: bool,
}

/// The encoded `code.file.path` and `code.line.number` of recent callsites.
#[derive(Debug, Default)]
pub(super) struct Callsites {
    slots: Vec<Callsite>,
}

#[derive(Clone, Debug, Default)]
struct Callsite {
    /// Address and length of the name of the file, and the line; 0 if the slot is empty.
    key: (usize, usize, u32),
    encoded: Vec<u8>,
}

/// A power of two. A thread rarely logs from more places at a time.
const SLOTS: usize = 64;

impl Callsites {
    #[inline]
    pub(super) fn write(&mut self, writer: &mut RecordWriter<'_>, location: Location<'_>) {
        if let (Some(file), Some(line), true) = (location.file, location.line, location.is_static)
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
    static BUFFERS: RefCell<Buffers> = RefCell::new(make_on_first_use());
    /// OpenTelemetry's context was gone before this thread wrote its first record.
    static GONE: Cell<bool> = const { Cell::new(false) };
    /// Making [`BUFFERS`] was attempted.
    static ATTEMPTED: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the buffers may be used. Creating them accesses OpenTelemetry's context, which may panic. In a panic
/// hook, that would abort the process.
#[inline]
fn may_be_used() -> bool {
    ATTEMPTED.get() || !std::thread::panicking()
}

/// Makes the buffers of this thread.
///
/// A thread may log its first record while it is ending, after OpenTelemetry's context was destroyed. Accessing the
/// context then panics, and there is no other way to find out.
fn make_on_first_use() -> Buffers {
    ATTEMPTED.set(true);
    let made = catch_expected_panic(|| {
        Context::map_current(|_| ());
        Buffers::of_this_thread()
    });
    made.unwrap_or_else(|| {
        GONE.set(true);
        Buffers::default()
    })
}

/// Makes the buffers of this thread now, so that they are destroyed before thread-locals that were used earlier.
pub(crate) fn touch() {
    if !may_be_used() {
        return;
    }
    let _made = BUFFERS.try_with(|_| ());
}

/// Whether OpenTelemetry's context of a thread exists.
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

/// Returns the number in `ThreadId(7)`. std has no stable way to get it, and tracing-opentelemetry adds the same number
/// to spans.
fn number_of(id: std::thread::ThreadId) -> Option<i64> {
    format!("{id:?}").trim_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Returns whether OpenTelemetry's context of this thread exists.
#[inline]
pub(super) fn otel_context() -> OtelContext {
    if !may_be_used() {
        return OtelContext::Gone;
    }
    match BUFFERS.try_with(|_| GONE.get()) {
        Ok(false) => OtelContext::Alive,
        Ok(true) | Err(_) => OtelContext::Gone,
    }
}

/// Lends the buffers of the thread. A nested call, and a call on a thread that is ending, get new ones.
#[inline]
pub(super) fn with<T>(run: impl FnOnce(&mut Buffers) -> T) -> T {
    if !may_be_used() {
        return run(&mut Buffers::of_this_thread());
    }
    let mut run = Some(run);
    let result = BUFFERS.try_with(|buffers| match buffers.try_borrow_mut() {
        Ok(mut buffers) => {
            let result = run.take().map(|run| run(&mut buffers));
            buffers.frame.scratch().trim();
            result
        }
        Err(_in_use) => run.take().map(|run| run(&mut Buffers::of_this_thread())),
    });
    match (result, run) {
        (Ok(Some(result)), _) => result,
        (_, Some(run)) => run(&mut Buffers::default()),
        // `run` is consumed only if this returns a result.
        (_, None) => unreachable!("the closure ran and gave no result"),
    }
}

/// Returns the ids of the active span; `None` outside a span.
#[inline]
pub(super) fn current_trace() -> Option<TraceIds> {
    if otel_context() == OtelContext::Gone {
        return None;
    }
    Context::map_current(trace_of)
}

/// Returns OpenTelemetry's context of this thread, if it exists.
pub(crate) fn current_context() -> Option<Context> {
    (otel_context() == OtelContext::Alive).then(Context::current)
}

/// Returns the context with the active span, if that span may be changed.
///
/// The SDK calls span processors while it holds the lock of the span. If a processor of the application logs or panics
/// then, it would deadlock.
pub(super) fn current_span() -> Option<Context> {
    current_context().filter(|context| !thread::is_in_span_processor() && context.has_active_span())
}

/// Returns the ids of the span in the context.
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

/// Returns whether a span may be created on this thread. While a thread is ending, neither tracing's registry nor
/// OpenTelemetry can create one.
#[inline]
pub(super) fn may_make_spans() -> bool {
    otel_context() == OtelContext::Alive
}

/// Returns whether telemetry is suppressed in the current OpenTelemetry context.
#[inline]
pub(crate) fn is_suppressed() -> bool {
    otel_context() == OtelContext::Alive && Context::is_current_telemetry_suppressed()
}
