//! What is written of a record, whatever its source, and what is done to it afterwards.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

use super::buffers::Buffers;
use super::engine::Engine;
use super::pipeline::{Pipeline, Source};
use super::record_id::{self, Ulid};
use crate::clock::nanos;
use crate::ledger::Count;
pub(super) use crate::otlp::severity_number;
use crate::otlp::{AttributeLimits, RecordHeader, RecordView, RecordWriter, Redaction, Scratch, TraceIds, set_time};

/// A clock that is set back by more than this was wrong before, and is right now.
const CORRECTION: Duration = Duration::from_secs(60);

thread_local! {
    /// The time of the record that this thread has handed over last.
    static LAST_TIME: Cell<u64> = const { Cell::new(0) };
}

/// Times of a thread never decrease in the order in which its records are handed over: the clock may be set back, and a
/// record that is written while another one is formatted is handed over first. A time that the application has given
/// stays.
#[inline]
pub(super) fn keep_time_in_order(scratch: &mut Scratch, scope_end: usize) {
    let last = LAST_TIME.get();
    if scratch.assigned_time >= last {
        LAST_TIME.set(scratch.assigned_time);
    } else {
        correct_time(scratch, scope_end, last);
    }
}

#[cold]
fn correct_time(scratch: &mut Scratch, scope_end: usize, last: u64) {
    match scratch.assigned_time {
        0 => {}
        time if last - time > CORRECTION.as_nanos() as u64 => LAST_TIME.set(time),
        _ => scratch.buf.get_mut(scope_end..).into_iter().for_each(|record| set_time(record, last)),
    }
}

/// Cuts what is too much out of an encoded record. Returns how many attributes were left out.
#[cold]
pub(super) fn apply_limits(limits: AttributeLimits, buf: &mut Vec<u8>, scope_end: usize) -> u64 {
    rewrite(buf, scope_end, |record| limits.apply(record))
}

/// Takes out of an encoded record what is redacted. Returns how many values that changed.
#[cold]
fn redact(redaction: &Redaction, buf: &mut Vec<u8>, scope_end: usize) -> u64 {
    rewrite(buf, scope_end, |record| redaction.redact_record(record))
}

fn rewrite(buf: &mut Vec<u8>, scope_end: usize, change: impl FnOnce(&[u8]) -> (Vec<u8>, u64)) -> u64 {
    let (changed, number) = change(buf.get(scope_end..).unwrap_or_default());
    buf.truncate(scope_end);
    buf.extend_from_slice(&changed);
    number
}

impl Pipeline {
    /// Takes out of a record what is redacted, and counts that and what was cut while it was encoded.
    #[inline]
    pub(super) fn clean(&self, engine: &Engine, shard: usize, buffers: &mut Buffers, scope_end: usize) {
        self.count_too_deep(engine, shard, buffers.scratch.too_deep());
        if let Some(redaction) = &self.redaction {
            let redacted = redact(redaction, &mut buffers.scratch.buf, scope_end);
            engine.ledger.count_many(shard, Count::Redacted, redacted);
        }
    }

    #[inline]
    pub(super) fn count_too_deep(&self, engine: &Engine, shard: usize, values: u32) {
        if values > 0 {
            engine.ledger.count_many(shard, Count::NestedTooDeep, values.into());
        }
    }
}

/// An id that the application has set stays.
#[inline]
pub(super) fn write_id(writer: &mut RecordWriter<'_>, id: Option<Ulid>) {
    if let Some(id) = id {
        writer.builtin_attribute(record_id::KEY, |value| value.str(id.as_str()));
    }
}

/// Adds the error of an encoded record, if there is one, to its span as an event named `exception`.
#[cold]
pub(super) fn add_exception(buffers: &Buffers, scope_end: usize, context: impl FnOnce() -> Option<Context>) {
    let Some(record) = buffers.scratch.buf.get(scope_end..).map(RecordView::read) else { return };
    let mut attributes: Vec<KeyValue> = record
        .attributes
        .iter()
        .filter(|(key, _)| key.starts_with("exception."))
        .map(|(key, value)| KeyValue::new(key.to_string(), value.to_string()))
        .collect();
    if attributes.is_empty()
        && let Some((_, error)) = record.attributes.iter().find(|(key, _)| key == "error")
    {
        // What `error = %e` gives: its text is all there is.
        attributes.push(KeyValue::new("exception.message", error.to_string()));
    }
    if let Some(context) = (!attributes.is_empty()).then(context).flatten() {
        context.span().add_event("exception", attributes);
    }
}

/// Writes one whole record behind the scope. What is to be redacted is still in it, but nowhere twice.
///
/// `root` are the ids of a record outside all spans; `with_id` gives the record an id of its own.
pub(super) fn write_record<S: Source + ?Sized>(
    buffers: &mut Buffers,
    source: &S,
    root: Option<TraceIds>,
    redaction: Option<&Redaction>,
    with_id: bool,
) {
    let now = nanos(SystemTime::now());
    let head = RecordHeader {
        time: now,
        observed_time: now,
        severity_number: source.severity_number(),
        severity_text: source.severity_text(),
        trace: source.trace(root),
        event_name: source.event_name(),
    };
    let mut writer = RecordWriter::begin(&mut buffers.scratch, &head).with_redaction(redaction);
    source.write(&mut writer);
    buffers.callsites.write(&mut writer, source.location());
    buffers.thread.write(&mut writer);
    // Behind the code of the application, which may fork: the records of parent and child are two.
    write_id(&mut writer, with_id.then(|| buffers.ids.next(now)));
    writer.finish(0);
}
