//! The encoder: writes a record as OTLP bytes, whatever its source, and applies redaction to it.

use std::time::SystemTime;

use log::Level;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

use super::buffers::Buffers;
use super::process_state::ProcessState;
use super::record_id::{self, Ulid};
use super::record_source::RecordSource;
use crate::clock::nanos;
use crate::config::Config;
use crate::ledger::Count;
use crate::otlp::{RecordHeader, RecordView, RecordWriter, Redaction, TraceIds, encode_scope_name, severity_number};
use crate::outbox::FrameBuffer;

/// Writes records into the buffers of their thread.
#[derive(Debug)]
pub(super) struct Encoder {
    /// The ids of records outside of any span, from the span in which the process was started.
    pub(super) root: Option<TraceIds>,
    pub(super) redaction: Option<Redaction>,
    /// Whether each record has an id of its own.
    pub(super) record_ids: bool,
    /// Whether errors are added to their spans as events.
    exception_events: bool,
}

impl Encoder {
    pub(super) fn new(config: &Config, root: Option<TraceIds>) -> Self {
        Self {
            root,
            redaction: config.redaction.clone(),
            record_ids: config.record_ids,
            exception_events: config.span.exception_events,
        }
    }

    /// Writes a frame with scope and record.
    #[inline]
    pub(super) fn encode<S: RecordSource + ?Sized>(&self, buffers: &mut Buffers, source: &S) {
        buffers.frame.begin(|scope| encode_scope_name(scope, source.target()));
        self.write_record(buffers, source, self.record_ids);
    }

    /// Writes the record without a frame, for processors of the application. Its id is added at the end of their chain.
    pub(super) fn encode_for_processors<S: RecordSource + ?Sized>(&self, buffers: &mut Buffers, source: &S) {
        buffers.frame.begin(|_no_scope| ());
        self.write_record(buffers, source, false);
    }

    /// Writes one whole record. Values to be redacted are still in it, but only once each.
    fn write_record<S: RecordSource + ?Sized>(&self, buffers: &mut Buffers, source: &S, with_id: bool) {
        let now = nanos(SystemTime::now());
        let header = RecordHeader {
            time: now,
            observed_time: now,
            severity_number: source.severity_number(),
            severity_text: source.severity_text(),
            trace: source.trace(self.root),
            event_name: source.event_name(),
        };
        let mut writer = RecordWriter::begin(buffers.frame.scratch(), &header).with_redaction(self.redaction.as_ref());
        source.write(&mut writer);
        buffers.callsites.write(&mut writer, source.location());
        buffers.thread.write(&mut writer);
        // After code of the application, which may fork: parent and child then log separate records.
        write_id(&mut writer, with_id.then(|| buffers.ids.next(now)));
        writer.finish(0);
    }

    /// Applies redaction to the written record, and adds its error to its span.
    #[inline]
    pub(super) fn finish(
        &self,
        process: &ProcessState,
        thread: usize,
        frame: &mut FrameBuffer,
        severity: u8,
        context: impl FnOnce() -> Option<Context>,
    ) {
        count_too_deep(process, thread, frame.scratch().too_deep());
        if let Some(redaction) = &self.redaction {
            redact(redaction, process, thread, frame);
        }
        if self.exception_events && severity >= severity_number(Level::Error) {
            add_exception(frame, context);
        }
    }
}

#[cold]
fn redact(redaction: &Redaction, process: &ProcessState, thread: usize, frame: &mut FrameBuffer) {
    let redacted = frame.rewrite_record(|record| redaction.redact_record(record));
    process.ledger.count_many(thread, Count::Redacted, redacted);
}

/// Counts values that were truncated because they are nested too deep.
#[inline]
pub(super) fn count_too_deep(process: &ProcessState, thread: usize, values: u32) {
    if values > 0 {
        process.ledger.count_many(thread, Count::NestedTooDeep, values.into());
    }
}

/// Writes the id of a record. An id set by the application is kept.
#[inline]
pub(super) fn write_id(writer: &mut RecordWriter<'_>, id: Option<Ulid>) {
    if let Some(id) = id {
        writer.builtin_attribute(record_id::KEY, |value| value.str(id.as_str()));
    }
}

/// Adds the error of a written record, if there is one, to its span as an event named `exception`.
#[cold]
fn add_exception(frame: &FrameBuffer, context: impl FnOnce() -> Option<Context>) {
    let record = RecordView::read(frame.record());
    let mut attributes: Vec<KeyValue> = record
        .attributes
        .iter()
        .filter(|(key, _)| key.starts_with("exception."))
        .map(|(key, value)| KeyValue::new(key.to_string(), value.to_string()))
        .collect();
    if attributes.is_empty()
        && let Some((_, error)) = record.attributes.iter().find(|(key, _)| key == "error")
    {
        // `error = %e` provides only the text.
        attributes.push(KeyValue::new("exception.message", error.to_string()));
    }
    if let Some(context) = (!attributes.is_empty()).then(context).flatten() {
        context.span().add_event("exception", attributes);
    }
}
