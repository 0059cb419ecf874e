//! What log records and spans have in common: the resource, the scope, attributes.

use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{Attributes, Value};

/// The instrumentation scope of a [`ReceivedLog`](super::ReceivedLog) or a [`ReceivedSpan`](super::ReceivedSpan).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedScope {
    /// The name: the target of a record, the name of the tracer of a span.
    pub name: String,
    /// The version; usually empty.
    pub version: String,
    /// The attributes of the scope itself; usually none.
    pub attributes: Attributes,
    /// The schema URL sent with the scope's records or spans; usually empty.
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

/// The attributes of a resource; none when the sender named no resource.
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
        // An index into a table that only profiles have: the protocol says to treat it as absent.
        Some(ProtoValue::StringValueStrindex(_)) | None => Value::Empty,
    }
}

/// Whether a trace or span id stands for no trace or span: it is empty or, against the rules, all zeroes.
pub(super) fn names_nothing(id: &str) -> bool {
    id.bytes().all(|digit| digit == b'0')
}
