//! A whole request in protobuf as the same request in OTLP/JSON.

use super::json::{JsonObject, write_record, write_resource, write_scope};
use super::view::{Hex, RecordView, ScopeView, key_value};
use super::wire::Reader;
use crate::signal::Signal;

/// The request in JSON. Bytes that make no sense are left out, as by every reader of protobuf.
pub fn request_to_json(signal: Signal, request: &[u8]) -> String {
    let (resources, scopes, items, write_item) = match signal {
        Signal::Logs => (
            "resourceLogs",
            "scopeLogs",
            "logRecords",
            (|out, record| write_record(out, &RecordView::read(record))) as WriteItem,
        ),
        Signal::Traces => ("resourceSpans", "scopeSpans", "spans", write_span as WriteItem),
    };
    // JSON takes about twice the room.
    let mut out = String::with_capacity(2 * request.len() + 64);
    out.push_str(&format!(r#"{{"{resources}":["#));
    each(&mut out, request, 1, |out, resource| {
        write_resource(out, resource, scopes, |out| {
            each(out, resource, 2, |out, scope| {
                write_scope(out, &ScopeView::read(scope), items, |out| each(out, scope, 2, write_item));
            });
        });
    });
    out.push_str("]}");
    out
}

type WriteItem = fn(&mut String, &[u8]);

/// The messages of one field, with the commas between them.
fn each<'a>(out: &mut String, message: &'a [u8], field: u64, mut write: impl FnMut(&mut String, &'a [u8])) {
    let mut separator = "";
    for (_, item) in Reader::new(message).filter(|(number, _)| *number == field) {
        out.push_str(separator);
        write(out, item.bytes());
        separator = ",";
    }
}

fn write_span(out: &mut String, span: &[u8]) {
    out.push('{');
    let mut fields = JsonObject::new(out);
    for (field, value) in singular(span) {
        match field {
            1 => id(&mut fields, "traceId", value.bytes()),
            2 => id(&mut fields, "spanId", value.bytes()),
            3 => fields.text("traceState", &value.text()),
            4 => id(&mut fields, "parentSpanId", value.bytes()),
            5 => fields.text("name", &value.text()),
            6 => fields.number("kind", value.number()),
            7 => fields.raw("startTimeUnixNano", format_args!("\"{}\"", value.number())),
            8 => fields.raw("endTimeUnixNano", format_args!("\"{}\"", value.number())),
            10 => fields.number("droppedAttributesCount", value.number()),
            12 => fields.number("droppedEventsCount", value.number()),
            14 => fields.number("droppedLinksCount", value.number()),
            15 => status(&mut fields, value.bytes()),
            16 => fields.number("flags", value.number()),
            _ => {}
        }
    }
    attributes(&mut fields, span, 9);
    list(&mut fields, "events", span, 11, |fields, event| {
        for (field, value) in singular(event) {
            match field {
                1 => fields.raw("timeUnixNano", format_args!("\"{}\"", value.number())),
                2 => fields.text("name", &value.text()),
                4 => fields.number("droppedAttributesCount", value.number()),
                _ => {}
            }
        }
        attributes(fields, event, 3);
    });
    list(&mut fields, "links", span, 13, |fields, link| {
        for (field, value) in singular(link) {
            match field {
                1 => id(fields, "traceId", value.bytes()),
                2 => id(fields, "spanId", value.bytes()),
                3 => fields.text("traceState", &value.text()),
                5 => fields.number("droppedAttributesCount", value.number()),
                6 => fields.number("flags", value.number()),
                _ => {}
            }
        }
        attributes(fields, link, 4);
    });
    out.push('}');
}

/// Each field once, with the last of its values, as protobuf has it.
fn singular(message: &[u8]) -> Vec<(u64, super::wire::Field<'_>)> {
    let mut all: Vec<(u64, super::wire::Field<'_>)> = Vec::new();
    for (field, value) in Reader::new(message) {
        match all.iter_mut().find(|(known, _)| *known == field) {
            Some(known) => known.1 = value,
            None => all.push((field, value)),
        }
    }
    all
}

fn id(fields: &mut JsonObject<'_>, key: &str, id: &[u8]) {
    if !id.is_empty() {
        fields.raw(key, format_args!("\"{}\"", Hex(id)));
    }
}

fn status(fields: &mut JsonObject<'_>, message: &[u8]) {
    fields.key("status");
    fields.out.push('{');
    let mut status = JsonObject::new(fields.out);
    for (field, value) in singular(message) {
        match field {
            2 => status.text("message", &value.text()),
            3 => status.number("code", value.number()),
            _ => {}
        }
    }
    fields.out.push('}');
}

fn attributes(fields: &mut JsonObject<'_>, message: &[u8], field: u64) {
    let all: Vec<_> = Reader::new(message).filter(|(number, _)| *number == field).collect();
    if !all.is_empty() {
        fields.attributes(&all.iter().map(|(_, pair)| key_value(pair.bytes())).collect::<Vec<_>>());
    }
}

/// A list of objects, where there are any.
fn list(
    fields: &mut JsonObject<'_>,
    key: &str,
    message: &[u8],
    field: u64,
    write: impl Fn(&mut JsonObject<'_>, &[u8]),
) {
    if !Reader::new(message).any(|(number, _)| number == field) {
        return;
    }
    fields.key(key);
    fields.out.push('[');
    each(fields.out, message, field, |out, item| {
        out.push('{');
        write(&mut JsonObject::new(out), item);
        out.push('}');
    });
    fields.out.push(']');
}

#[cfg(all(test, feature = "testing"))]
#[path = "json_request_tests.rs"]
mod tests;
