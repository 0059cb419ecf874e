//! Presents a span of the OpenTelemetry SDK for the debug mirror: its attributes as views, or the whole span as
//! OTLP/JSON.

use std::borrow::Cow;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::json::{JsonObject, write_single_item};
use super::view::{Hex, ScopeView, ValueView};
use crate::clock::nanos;

/// The flag that says whether [`IS_REMOTE`] is meaningful.
const HAS_IS_REMOTE: u32 = 0x100;
/// The flag of a parent or a linked span that is in another process.
const IS_REMOTE: u32 = 0x200;

/// Returns views of attributes of the OpenTelemetry API.
pub(crate) fn attribute_views(attributes: &[KeyValue]) -> Vec<(Cow<'_, str>, ValueView<'_>)> {
    attributes.iter().map(|pair| (Cow::Borrowed(pair.key.as_str()), view(&pair.value))).collect()
}

fn view(value: &Value) -> ValueView<'_> {
    match value {
        Value::Bool(value) => ValueView::Bool(*value),
        Value::F64(value) => ValueView::Double(*value),
        Value::I64(value) => ValueView::Int(*value),
        Value::String(value) => ValueView::Text(Cow::Borrowed(value.as_str())),
        Value::Array(array) => ValueView::Array(match array {
            Array::Bool(values) => values.iter().map(|value| ValueView::Bool(*value)).collect(),
            Array::F64(values) => values.iter().map(|value| ValueView::Double(*value)).collect(),
            Array::I64(values) => values.iter().map(|value| ValueView::Int(*value)).collect(),
            Array::String(values) => {
                values.iter().map(|value| ValueView::Text(Cow::Borrowed(value.as_str()))).collect()
            }
            other => vec![ValueView::Text(Cow::Owned(other.to_string()))],
        }),
        // The enum is non-exhaustive: a new variant is shown as text.
        other => ValueView::Text(Cow::Owned(other.to_string())),
    }
}

/// Returns the status code of the protobuf schema, with the description.
pub(crate) fn status_code_and_message(status: &Status) -> (u64, &str) {
    match status {
        Status::Unset => (0, ""),
        Status::Ok => (1, ""),
        Status::Error { description } => (2, description),
    }
}

/// Writes a request with one span as a line, `{"resourceSpans":[…]}`, without a line break.
pub(crate) fn write_span_json(out: &mut String, resource_fields: &[u8], span: &SpanData) {
    let scope = &span.instrumentation_scope;
    let attributes: Vec<KeyValue> = scope.attributes().cloned().collect();
    let scope = ScopeView {
        name: Cow::Borrowed(scope.name()),
        version: Cow::Borrowed(scope.version().unwrap_or_default()),
        attributes: attribute_views(&attributes),
        schema_url: Cow::Borrowed(scope.schema_url().unwrap_or_default()),
    };
    write_single_item(out, ["resourceSpans", "scopeSpans", "spans"], resource_fields, &scope, |out| {
        write_span(out, span)
    });
}

fn write_span(out: &mut String, span: &SpanData) {
    out.push('{');
    let mut object = JsonObject::new(out);
    context(&mut object, &span.span_context, span.parent_span_is_remote);
    if span.parent_span_id != SpanId::INVALID {
        object.raw("parentSpanId", format_args!("\"{}\"", Hex(&span.parent_span_id.to_bytes())));
    }
    object.text("name", &span.name);
    object.raw("kind", format_args!("{}", kind(&span.span_kind)));
    object.raw("startTimeUnixNano", format_args!("\"{}\"", nanos(span.start_time)));
    object.raw("endTimeUnixNano", format_args!("\"{}\"", nanos(span.end_time)));
    object.attributes(&attribute_views(&span.attributes));
    object.number("droppedAttributesCount", span.dropped_attributes_count.into());
    object_list(&mut object, "events", span.events.iter(), |object, event| {
        object.raw("timeUnixNano", format_args!("\"{}\"", nanos(event.timestamp)));
        object.text("name", &event.name);
        object.attributes(&attribute_views(&event.attributes));
        object.number("droppedAttributesCount", event.dropped_attributes_count.into());
    });
    object.number("droppedEventsCount", span.events.dropped_count.into());
    object_list(&mut object, "links", span.links.iter(), |object, link| {
        context(object, &link.span_context, link.span_context.is_remote());
        object.attributes(&attribute_views(&link.attributes));
        object.number("droppedAttributesCount", link.dropped_attributes_count.into());
    });
    object.number("droppedLinksCount", span.links.dropped_count.into());
    let (code, message) = status_code_and_message(&span.status);
    object.key("status");
    object.out.push('{');
    let mut status = JsonObject::new(object.out);
    status.text("message", message);
    status.number("code", code);
    object.out.push_str("}}");
}

fn context(object: &mut JsonObject<'_>, span: &SpanContext, remote: bool) {
    object.raw("traceId", format_args!("\"{}\"", Hex(&span.trace_id().to_bytes())));
    object.raw("spanId", format_args!("\"{}\"", Hex(&span.span_id().to_bytes())));
    object.text("traceState", &span.trace_state().header());
    let flags = u32::from(span.trace_flags().to_u8()) | HAS_IS_REMOTE | if remote { IS_REMOTE } else { 0 };
    object.number("flags", flags.into());
}

/// Writes a list of objects, unless it is empty.
fn object_list<'a, T: 'a>(
    object: &mut JsonObject<'_>,
    key: &str,
    items: impl Iterator<Item = &'a T>,
    write: impl Fn(&mut JsonObject<'_>, &T),
) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    object.key(key);
    let mut opening = "[{";
    for item in items {
        object.out.push_str(opening);
        write(&mut JsonObject::new(object.out), item);
        object.out.push('}');
        opening = ",{";
    }
    object.out.push(']');
}

fn kind(kind: &SpanKind) -> u8 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}
