//! Writes OTLP/JSON.
//!
//! The format is that of the OTLP specification: lower camel case, ids in hexadecimal, 64-bit integers as strings,
//! enums as numbers, bytes in Base64.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

use super::view::{Hex, RecordView, ScopeView, ValueView, read_resource};
use crate::escape;

/// Writes a request with one record as a line, `{"resourceLogs":[…]}`, without a line break.
pub(crate) fn write_record_json(out: &mut String, resource_fields: &[u8], scope_fields: &[u8], record: &[u8]) {
    let names = ["resourceLogs", "scopeLogs", "logRecords"];
    write_single_item(out, names, resource_fields, &ScopeView::read(scope_fields), |out| {
        write_record(out, &RecordView::read(record));
    });
}

/// Writes a request with one item in one scope of one resource. The array has the keys of the three nested lists.
pub(super) fn write_single_item(
    out: &mut String,
    [resources, scopes, items]: [&str; 3],
    resource_fields: &[u8],
    scope: &ScopeView<'_>,
    write_item: impl FnOnce(&mut String),
) {
    let _infallible = write!(out, r#"{{"{resources}":["#);
    write_resource(out, resource_fields, scopes, |out| write_scope(out, scope, items, write_item));
    out.push_str("]}");
}

/// Writes a resource with its list of scopes.
pub(super) fn write_resource(
    out: &mut String,
    resource_fields: &[u8],
    scopes: &str,
    write_scopes: impl FnOnce(&mut String),
) {
    let (attributes, schema_url) = read_resource(resource_fields);
    out.push_str(r#"{"resource":{"#);
    key_values(out, "attributes", &attributes);
    let _infallible = write!(out, r#"}},"{scopes}":["#);
    write_scopes(out);
    out.push(']');
    write_schema_url(out, &schema_url);
    out.push('}');
}

/// Writes a scope with its list of items.
pub(super) fn write_scope(out: &mut String, scope: &ScopeView<'_>, items: &str, write_items: impl FnOnce(&mut String)) {
    out.push_str(r#"{"scope":{"#);
    let mut object = JsonObject::new(out);
    object.text("name", &scope.name);
    object.text("version", &scope.version);
    if !scope.attributes.is_empty() {
        object.attributes(&scope.attributes);
    }
    let _infallible = write!(out, r#"}},"{items}":["#);
    write_items(out);
    out.push(']');
    write_schema_url(out, &scope.schema_url);
    out.push('}');
}

fn write_schema_url(out: &mut String, url: &str) {
    if !url.is_empty() {
        out.push_str(r#","schemaUrl":"#);
        string(out, url);
    }
}

pub(super) fn write_record(out: &mut String, record: &RecordView<'_>) {
    out.push('{');
    let mut object = JsonObject::new(out);
    object.raw("timeUnixNano", format_args!("\"{}\"", record.time));
    object.raw("observedTimeUnixNano", format_args!("\"{}\"", record.observed_time));
    object.raw("severityNumber", format_args!("{}", record.severity_number));
    object.text("severityText", &record.severity_text);
    if record.body != ValueView::Empty {
        object.key("body");
        value(object.out, &record.body);
    }
    object.attributes(&record.attributes);
    object.number("droppedAttributesCount", record.dropped_attributes);
    object.number("flags", record.flags);
    if !record.trace_id.is_empty() {
        object.raw("traceId", format_args!("\"{}\"", Hex(record.trace_id)));
        object.raw("spanId", format_args!("\"{}\"", Hex(record.span_id)));
    }
    object.text("eventName", &record.event_name);
    out.push('}');
}

/// A writer for the members of a JSON object, which separates them by commas. The caller writes the braces.
pub(super) struct JsonObject<'a> {
    pub(super) out: &'a mut String,
    has_members: bool,
}

impl<'a> JsonObject<'a> {
    pub(super) fn new(out: &'a mut String) -> Self {
        Self { out, has_members: false }
    }

    fn separate(&mut self) {
        if std::mem::replace(&mut self.has_members, true) {
            self.out.push(',');
        }
    }

    pub(super) fn key(&mut self, key: &str) {
        self.separate();
        let _infallible = write!(self.out, "\"{key}\":");
    }

    /// Writes a value that is JSON already.
    pub(super) fn raw(&mut self, key: &str, value: std::fmt::Arguments<'_>) {
        self.key(key);
        let _infallible = self.out.write_fmt(value);
    }

    /// Writes a string, unless it is empty.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.key(key);
            string(self.out, value);
        }
    }

    /// Writes a number, unless it is 0.
    pub(super) fn number(&mut self, key: &str, value: u64) {
        if value > 0 {
            self.raw(key, format_args!("{value}"));
        }
    }

    pub(super) fn attributes(&mut self, attributes: &[(std::borrow::Cow<'_, str>, ValueView<'_>)]) {
        self.separate();
        key_values(self.out, "attributes", attributes);
    }
}

fn key_values(out: &mut String, name: &str, entries: &[(std::borrow::Cow<'_, str>, ValueView<'_>)]) {
    let _infallible = write!(out, "\"{name}\":[");
    for (index, (key, item)) in entries.iter().enumerate() {
        out.push_str(if index > 0 { r#",{"key":"# } else { r#"{"key":"# });
        string(out, key);
        out.push_str(r#","value":"#);
        value(out, item);
        out.push('}');
    }
    out.push(']');
}

fn value(out: &mut String, item: &ValueView<'_>) {
    let _infallible = match item {
        ValueView::Array(values) => {
            out.push_str(r#"{"arrayValue":{"values":["#);
            for (index, item) in values.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                value(out, item);
            }
            out.write_str("]}}")
        }
        ValueView::Bool(flag) => write!(out, r#"{{"boolValue":{flag}}}"#),
        ValueView::Bytes(bytes) => write!(out, r#"{{"bytesValue":"{}"}}"#, BASE64.encode(bytes)),
        ValueView::Double(number) if number.is_finite() => write!(out, r#"{{"doubleValue":{number:?}}}"#),
        ValueView::Double(number) if number.is_nan() => out.write_str(r#"{"doubleValue":"NaN"}"#),
        ValueView::Double(number) => {
            write!(out, r#"{{"doubleValue":"{}Infinity"}}"#, if *number < 0.0 { "-" } else { "" })
        }
        ValueView::Empty => out.write_str("{}"),
        ValueView::Int(number) => write!(out, r#"{{"intValue":"{number}"}}"#),
        ValueView::Map(entries) => {
            out.push_str(r#"{"kvlistValue":{"#);
            key_values(out, "values", entries);
            out.write_str("}}")
        }
        ValueView::Text(text) => {
            out.push_str(r#"{"stringValue":"#);
            string(out, text);
            out.write_str("}")
        }
    };
}

fn string(out: &mut String, text: &str) {
    // Serializing a `&str` cannot fail. If it did, an empty string would keep the line valid.
    out.push_str(&serde_json::to_string(text).map_or_else(|_| "\"\"".to_owned(), escape::json));
}
