//! Converts an encoded request from protobuf to OTLP/JSON.

use super::json::{JsonObject, write_record, write_resource, write_scope};
use super::schema::{export_request, resource_items, scope_items, span, span_event, span_link, span_status};
use super::view::{Hex, RecordView, ScopeView, read_key_value};
use super::wire::{Field, Reader, repeated};
use crate::signal::Signal;

/// Returns the request in OTLP/JSON. Invalid bytes and unknown fields are left out.
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
    // JSON takes about twice the space.
    let mut out = String::with_capacity(2 * request.len() + 64);
    out.push_str(&format!(r#"{{"{resources}":["#));
    write_list(&mut out, request, export_request::RESOURCES, |out, resource| {
        write_resource(out, resource, scopes, |out| {
            write_list(out, resource, resource_items::SCOPES, |out, scope| {
                write_scope(out, &ScopeView::read(scope), items, |out| {
                    write_list(out, scope, scope_items::ITEMS, write_item)
                });
            });
        });
    });
    out.push_str("]}");
    out
}

type WriteItem = fn(&mut String, &[u8]);

/// Writes the messages of one repeated field, separated by commas.
fn write_list<'a>(out: &mut String, message: &'a [u8], field: u64, mut write: impl FnMut(&mut String, &'a [u8])) {
    let mut separator = "";
    for item in repeated(message, field) {
        out.push_str(separator);
        write(out, item.bytes());
        separator = ",";
    }
}

fn write_span(out: &mut String, message: &[u8]) {
    out.push('{');
    let mut object = JsonObject::new(out);
    for (field, value) in singular_fields(message) {
        match field {
            span::TRACE_ID => id(&mut object, "traceId", value.bytes()),
            span::SPAN_ID => id(&mut object, "spanId", value.bytes()),
            span::TRACE_STATE => object.text("traceState", &value.text()),
            span::PARENT_SPAN_ID => id(&mut object, "parentSpanId", value.bytes()),
            span::NAME => object.text("name", &value.text()),
            span::KIND => object.number("kind", value.number()),
            span::START_TIME => object.raw("startTimeUnixNano", format_args!("\"{}\"", value.number())),
            span::END_TIME => object.raw("endTimeUnixNano", format_args!("\"{}\"", value.number())),
            span::DROPPED_ATTRIBUTES => object.number("droppedAttributesCount", value.number()),
            span::DROPPED_EVENTS => object.number("droppedEventsCount", value.number()),
            span::DROPPED_LINKS => object.number("droppedLinksCount", value.number()),
            span::STATUS => status(&mut object, value.bytes()),
            span::FLAGS => object.number("flags", value.number()),
            _ => {}
        }
    }
    attributes(&mut object, message, span::ATTRIBUTES);
    object_list(&mut object, "events", message, span::EVENTS, write_event);
    object_list(&mut object, "links", message, span::LINKS, write_link);
    out.push('}');
}

fn write_event(object: &mut JsonObject<'_>, message: &[u8]) {
    for (field, value) in singular_fields(message) {
        match field {
            span_event::TIME => object.raw("timeUnixNano", format_args!("\"{}\"", value.number())),
            span_event::NAME => object.text("name", &value.text()),
            span_event::DROPPED_ATTRIBUTES => object.number("droppedAttributesCount", value.number()),
            _ => {}
        }
    }
    attributes(object, message, span_event::ATTRIBUTES);
}

fn write_link(object: &mut JsonObject<'_>, message: &[u8]) {
    for (field, value) in singular_fields(message) {
        match field {
            span_link::TRACE_ID => id(object, "traceId", value.bytes()),
            span_link::SPAN_ID => id(object, "spanId", value.bytes()),
            span_link::TRACE_STATE => object.text("traceState", &value.text()),
            span_link::DROPPED_ATTRIBUTES => object.number("droppedAttributesCount", value.number()),
            span_link::FLAGS => object.number("flags", value.number()),
            _ => {}
        }
    }
    attributes(object, message, span_link::ATTRIBUTES);
}

/// Returns each field once. As protobuf requires, the last value of a singular field wins.
fn singular_fields(message: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut all: Vec<(u64, Field<'_>)> = Vec::new();
    for (field, value) in Reader::new(message) {
        match all.iter_mut().find(|(known, _)| *known == field) {
            Some(known) => known.1 = value,
            None => all.push((field, value)),
        }
    }
    all
}

fn id(object: &mut JsonObject<'_>, key: &str, id: &[u8]) {
    if !id.is_empty() {
        object.raw(key, format_args!("\"{}\"", Hex(id)));
    }
}

fn status(object: &mut JsonObject<'_>, message: &[u8]) {
    object.key("status");
    object.out.push('{');
    let mut status = JsonObject::new(object.out);
    for (field, value) in singular_fields(message) {
        match field {
            span_status::MESSAGE => status.text("message", &value.text()),
            span_status::CODE => status.number("code", value.number()),
            _ => {}
        }
    }
    object.out.push('}');
}

fn attributes(object: &mut JsonObject<'_>, message: &[u8], field: u64) {
    let all: Vec<_> = repeated(message, field).map(|pair| read_key_value(pair.bytes())).collect();
    if !all.is_empty() {
        object.attributes(&all);
    }
}

/// Writes a list of objects, unless it is empty.
fn object_list(
    object: &mut JsonObject<'_>,
    key: &str,
    message: &[u8],
    field: u64,
    write: impl Fn(&mut JsonObject<'_>, &[u8]),
) {
    if repeated(message, field).next().is_none() {
        return;
    }
    object.key(key);
    object.out.push('[');
    write_list(object.out, message, field, |out, item| {
        out.push('{');
        write(&mut JsonObject::new(out), item);
        out.push('}');
    });
    object.out.push(']');
}

#[cfg(all(test, feature = "testing"))]
#[path = "json_request_tests.rs"]
mod tests;
