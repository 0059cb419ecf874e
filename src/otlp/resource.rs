//! Encodes a resource or a scope once, as the fields of a `ResourceLogs` or `ScopeLogs` that precede its items.

use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;

use super::schema::{key_value, resource as resource_fields, resource_items, scope as scope_fields, scope_items};
use super::value::ValueWriter;
use super::wire::{Nested, WireType, begin, end, put_bytes, tag};

/// Encodes the fields of a `ResourceLogs` without its scopes.
pub(crate) fn encode_resource(resource: &Resource) -> Vec<u8> {
    let mut buf = Vec::with_capacity(256);
    let message = begin(&mut buf, tag(resource_items::RESOURCE, WireType::Length));
    let mut attributes: Vec<_> = resource.iter().collect();
    // The SDK keeps them in a hash map. Sorted, the same resource always has the same bytes.
    attributes.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
    for (key, value) in attributes {
        let pair = begin_key(&mut buf, resource_fields::ATTRIBUTES, key.as_str());
        end_value(&mut buf, pair, value);
    }
    end(&mut buf, message);
    if let Some(url) = resource.schema_url().filter(|url| !url.is_empty()) {
        put_bytes(&mut buf, tag(resource_items::SCHEMA_URL, WireType::Length), url.as_bytes());
    }
    buf
}

/// Encodes the fields of a `ScopeLogs` without its records, for a scope that has only a name.
#[inline]
pub(crate) fn encode_scope_name(buf: &mut Vec<u8>, name: &str) {
    let scope = begin(buf, tag(scope_items::SCOPE, WireType::Length));
    put_bytes(buf, tag(scope_fields::NAME, WireType::Length), name.as_bytes());
    end(buf, scope);
}

/// Encodes the fields of a `ScopeLogs` without its records. A target replaces the scope's name.
pub(crate) fn encode_scope(buf: &mut Vec<u8>, scope: &InstrumentationScope, target: Option<&str>) {
    let message = begin(buf, tag(scope_items::SCOPE, WireType::Length));
    let name = target.filter(|target| !target.is_empty()).unwrap_or(scope.name());
    put_bytes(buf, tag(scope_fields::NAME, WireType::Length), name.as_bytes());
    if let Some(version) = scope.version() {
        put_bytes(buf, tag(scope_fields::VERSION, WireType::Length), version.as_bytes());
    }
    for KeyValue { key, value, .. } in scope.attributes() {
        let pair = begin_key(buf, scope_fields::ATTRIBUTES, key.as_str());
        end_value(buf, pair, value);
    }
    end(buf, message);
    if let Some(url) = scope.schema_url() {
        put_bytes(buf, tag(scope_items::SCHEMA_URL, WireType::Length), url.as_bytes());
    }
}

fn begin_key(buf: &mut Vec<u8>, field: u64, key: &str) -> Nested {
    let pair = begin(buf, tag(field, WireType::Length));
    put_bytes(buf, tag(key_value::KEY, WireType::Length), key.as_bytes());
    pair
}

fn end_value(buf: &mut Vec<u8>, pair: Nested, value: &Value) {
    let any = begin(buf, tag(key_value::VALUE, WireType::Length));
    write_value(ValueWriter::new(buf), value);
    end(buf, any);
    end(buf, pair);
}

/// Writes an attribute value of the OpenTelemetry API.
fn write_value(writer: ValueWriter<'_>, value: &Value) {
    match value {
        Value::Bool(value) => writer.bool(*value),
        Value::F64(value) => writer.double(*value),
        Value::I64(value) => writer.int(*value),
        Value::String(value) => writer.str(value.as_str()),
        Value::Array(array) => write_array(writer, array),
        // The enum is non-exhaustive: a new variant is written as text.
        other => writer.display(other),
    }
}

fn write_array(writer: ValueWriter<'_>, array: &Array) {
    writer.array(|list| match array {
        Array::Bool(values) => values.iter().for_each(|value| list.value(|writer| writer.bool(*value))),
        Array::F64(values) => values.iter().for_each(|value| list.value(|writer| writer.double(*value))),
        Array::I64(values) => values.iter().for_each(|value| list.value(|writer| writer.int(*value))),
        Array::String(values) => values.iter().for_each(|value| list.value(|writer| writer.str(value.as_str()))),
        other => list.value(|writer| writer.display(other)),
    });
}
