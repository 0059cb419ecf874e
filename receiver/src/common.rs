//! The parts that records, spans and data points share: resource, scope and attributes.

use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{Attributes, Value};

/// The instrumentation scope of a [`ReceivedLog`](super::ReceivedLog) or a [`ReceivedSpan`](super::ReceivedSpan).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedScope {
    /// The name: the target of a record, or the tracer of a span.
    pub name: String,
    /// The version. Usually empty.
    pub version: String,
    /// The attributes of the scope itself. Usually empty.
    pub attributes: Attributes,
    /// The schema URL of the scope's records or spans. Usually empty.
    pub schema_url: String,
}

impl ReceivedScope {
    pub(super) fn new(scope: Option<&InstrumentationScope>, schema_url: &str) -> Self {
        let (name, version, attributes) = match scope {
            Some(scope) => (scope.name.clone(), scope.version.clone(), attributes(&scope.attributes)),
            None => Default::default(),
        };
        Self { name, version, attributes, schema_url: schema_url.to_owned() }
    }
}

/// Returns the attributes of a resource, or no attributes if the resource is absent.
pub(super) fn resource(resource: Option<&Resource>) -> Attributes {
    resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default()
}

pub(super) fn attributes(entries: &[KeyValue]) -> Attributes {
    entries
        .iter()
        .map(|entry| {
            let value = entry.value.as_ref().map(value).unwrap_or_default();
            (entry.key.clone(), value)
        })
        .collect()
}

pub(super) fn value(any: &AnyValue) -> Value {
    match &any.value {
        Some(ProtoValue::ArrayValue(array)) => Value::Array(array.values.iter().map(value).collect()),
        Some(ProtoValue::BoolValue(truth)) => Value::Bool(*truth),
        Some(ProtoValue::BytesValue(bytes)) => Value::Bytes(bytes.clone()),
        Some(ProtoValue::DoubleValue(number)) => Value::Double(*number),
        Some(ProtoValue::IntValue(number)) => Value::Int(*number),
        Some(ProtoValue::KvlistValue(list)) => Value::Map(attributes(&list.values)),
        Some(ProtoValue::StringValue(text)) => Value::String(text.clone()),
        // An index into a table of the profiles signal. The specification says to treat it as absent elsewhere.
        Some(ProtoValue::StringValueStrindex(_)) | None => Value::Empty,
    }
}

/// Returns whether a trace or span id is empty or (which OTLP forbids) all zeroes, and so refers to nothing.
pub(super) fn is_unset_id(id: &str) -> bool {
    id.bytes().all(|digit| digit == b'0')
}
