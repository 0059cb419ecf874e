//! Resource and scope, encoded once: the fields of `ResourceLogs` and `ScopeLogs` that stand in front of what is
//! gathered later.

use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;

use super::value::ValueWriter;
use super::wire::{Nested, WireType, begin, end, put_bytes, tag};

/// The fields of `ResourceLogs` without its scopes.
pub(crate) fn encode_resource(resource: &Resource) -> Vec<u8> {
    let mut buf = Vec::with_capacity(256);
    let message = begin(&mut buf, tag(1, WireType::Length));
    let mut attributes: Vec<_> = resource.iter().collect();
    // The SDK keeps them in a hash map: sorted, the same process always says the same bytes.
    attributes.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
    for (key, value) in attributes {
        let pair = begin_key(&mut buf, 1, key.as_str());
        end_value(&mut buf, pair, value);
    }
    end(&mut buf, message);
    if let Some(url) = resource.schema_url().filter(|url| !url.is_empty()) {
        put_bytes(&mut buf, tag(3, WireType::Length), url.as_bytes());
    }
    buf
}

/// The fields of `ScopeLogs` without its records, for a scope that is only a name.
#[inline]
pub(crate) fn encode_scope_name(buf: &mut Vec<u8>, name: &str) {
    let scope = begin(buf, tag(1, WireType::Length));
    put_bytes(buf, tag(1, WireType::Length), name.as_bytes());
    end(buf, scope);
}

/// The fields of `ScopeLogs` without its records. Where a record has a target, that is the name.
pub(crate) fn encode_scope(buf: &mut Vec<u8>, scope: &InstrumentationScope, target: Option<&str>) {
    let message = begin(buf, tag(1, WireType::Length));
    let name = target.filter(|target| !target.is_empty()).unwrap_or(scope.name());
    put_bytes(buf, tag(1, WireType::Length), name.as_bytes());
    if let Some(version) = scope.version() {
        put_bytes(buf, tag(2, WireType::Length), version.as_bytes());
    }
    for KeyValue { key, value, .. } in scope.attributes() {
        let pair = begin_key(buf, 3, key.as_str());
        end_value(buf, pair, value);
    }
    end(buf, message);
    if let Some(url) = scope.schema_url() {
        put_bytes(buf, tag(3, WireType::Length), url.as_bytes());
    }
}

fn begin_key(buf: &mut Vec<u8>, field: u8, key: &str) -> Nested {
    let pair = begin(buf, tag(field, WireType::Length));
    put_bytes(buf, tag(1, WireType::Length), key.as_bytes());
    pair
}

fn end_value(buf: &mut Vec<u8>, pair: Nested, value: &Value) {
    let any = begin(buf, tag(2, WireType::Length));
    write_value(ValueWriter::new(buf), value);
    end(buf, any);
    end(buf, pair);
}

/// An attribute value of the OpenTelemetry API.
fn write_value(writer: ValueWriter<'_>, value: &Value) {
    match value {
        Value::Bool(value) => writer.bool(*value),
        Value::F64(value) => writer.double(*value),
        Value::I64(value) => writer.int(*value),
        Value::String(value) => writer.str(value.as_str()),
        Value::Array(array) => write_array(writer, array),
        // The enum may grow; its text is better than nothing.
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
