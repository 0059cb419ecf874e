//! What is written of a record, whatever its source, and what is done to it afterwards.

use std::time::SystemTime;

use log::Level;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

use super::buffers::Buffers;
use super::pipeline::Source;
use crate::clock::nanos;
use crate::otlp::{AttributeLimits, Head, RecordView, RecordWriter};

/// The specification's number for a level.
pub(super) fn severity_number(level: Level) -> u8 {
    match level {
        Level::Error => 17,
        Level::Warn => 13,
        Level::Info => 9,
        Level::Debug => 5,
        Level::Trace => 1,
    }
}

/// Cuts what is too much out of an encoded record.
#[cold]
pub(super) fn apply_limits(limits: AttributeLimits, buf: &mut Vec<u8>, scope_end: usize) {
    let limited = limits.apply(buf.get(scope_end..).unwrap_or_default());
    buf.truncate(scope_end);
    buf.extend_from_slice(&limited);
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

/// Writes one whole record behind the scope.
pub(super) fn write_record<S: Source + ?Sized>(buffers: &mut Buffers, source: &S) {
    let now = nanos(SystemTime::now());
    let head = Head {
        time: now,
        observed_time: now,
        severity_number: source.severity_number(),
        severity_text: source.severity_text(),
        trace: source.trace(),
        event_name: source.event_name(),
    };
    let mut writer = RecordWriter::begin(&mut buffers.scratch, &head);
    source.write(&mut writer);
    buffers.callsites.write(&mut writer, source.location());
    buffers.thread.write(&mut writer);
    writer.finish(0);
}
