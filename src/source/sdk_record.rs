//! Records of the OpenTelemetry SDK, as the encoder and the gate need them.

use std::time::SystemTime;

use log::Level;
use opentelemetry::TraceFlags;
use opentelemetry::logs::{AnyValue, Severity};
use opentelemetry_sdk::logs::SdkLogRecord;

use super::buffers::{Buffers, Location};
use super::encoder::{Encoder, write_id};
use super::repetition::Similar;
use crate::clock::nanos;
use crate::otlp::{RecordHeader, RecordWriter, TraceIds, ValueWriter};

/// Writes the record into a frame that was begun.
pub(super) fn write(buffers: &mut Buffers, record: &SdkLogRecord, severity_number: u8, encoder: &Encoder) {
    let now = SystemTime::now();
    let own = record.trace_context().map(|trace| TraceIds {
        trace_id: trace.trace_id.to_bytes(),
        span_id: trace.span_id.to_bytes(),
        flags: trace.trace_flags.map_or(0, TraceFlags::to_u8),
    });
    let trace = own.or(encoder.root).filter(|trace| trace.trace_id != [0; 16] && trace.span_id != [0; 8]);
    let header = RecordHeader {
        // A time of 0 would become 1970 in the backend, so an unset event time is replaced by the observed time.
        time: nanos(record.timestamp().or(record.observed_timestamp()).unwrap_or(now)),
        observed_time: nanos(record.observed_timestamp().unwrap_or(now)),
        severity_number,
        severity_text: record.severity_text().unwrap_or_default(),
        trace,
        event_name: record.event_name().filter(|name| !name.is_empty()),
    };
    let id = encoder.record_ids.then(|| buffers.ids.next(nanos(now)));
    let mut writer = RecordWriter::begin(buffers.frame.scratch(), &header);
    if let Some(body) = record.body() {
        writer.body_value(|value| write_value(value, body));
    }
    for (key, value) in record.attributes_iter() {
        writer.attribute(key.as_str(), |writer| write_value(writer, value));
    }
    write_id(&mut writer, id);
    writer.finish(0);
}

fn write_value(writer: ValueWriter<'_>, value: &AnyValue) {
    match value {
        AnyValue::Boolean(value) => writer.bool(*value),
        AnyValue::Bytes(bytes) => writer.bytes(bytes),
        AnyValue::Double(value) => writer.double(*value),
        AnyValue::Int(value) => writer.int(*value),
        AnyValue::String(text) => writer.str(text.as_str()),
        AnyValue::ListAny(values) => {
            writer.array(|list| values.iter().for_each(|value| list.value(|writer| write_value(writer, value))));
        }
        AnyValue::Map(entries) => {
            writer.map(|map| {
                // Sorted, because it is a hash map and equal records should have equal bytes.
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
                for (key, value) in sorted {
                    map.entry(key.as_str(), |writer| write_value(writer, value));
                }
            });
        }
        // The enum is non-exhaustive: a new variant is written as text.
        other => writer.debug(other),
    }
}

/// Returns the properties that similar records have in common with this one.
///
/// The SDK has no callsite. An event name identifies a class of events. Without one, records are similar if their texts
/// are equal.
pub(super) fn similar<'a>(record: &'a SdkLogRecord, target: &'a str) -> Similar<'a> {
    let text = match (record.event_name(), record.body()) {
        (Some(name), _) if !name.is_empty() => Some(name.to_owned()),
        (_, Some(AnyValue::String(text))) => Some(text.as_str().to_owned()),
        (_, Some(other)) => Some(format!("{other:?}")),
        (_, None) => None,
    };
    Similar {
        target,
        severity_number: record.severity_number().map_or(0, |severity| severity as u8),
        severity_text: record.severity_text().unwrap_or_default(),
        location: Location::default(),
        callsite: None,
        text,
    }
}

/// Returns the level of a severity. A record without severity passes every threshold but OFF.
pub(super) fn level_of(severity: Option<Severity>) -> Level {
    match severity.map_or(0, |severity| severity as u8) {
        0 | 17.. => Level::Error,
        13.. => Level::Warn,
        9.. => Level::Info,
        5.. => Level::Debug,
        1.. => Level::Trace,
    }
}
