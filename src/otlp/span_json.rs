//! A span of the SDK as the debug mirror shows it: its values as views, and the whole as a line of OTLP/JSON,
//! `{"resourceSpans":[…]}`.

use std::borrow::Cow;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::json::{JsonObject, write_single_item};
use super::view::{Hex, ScopeView, ValueView};
use crate::clock::nanos;

/// The bits of the flags that say whether the parent, or the span that a link leads to, lies in another process.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Attributes of the API as views.
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
        // The enum may grow; its text is better than nothing.
        other => ValueView::Text(Cow::Owned(other.to_string())),
    }
}

/// The status's number, and its description.
pub(crate) fn status_code_and_message(status: &Status) -> (u64, &str) {
    match status {
        Status::Unset => (0, ""),
        Status::Ok => (1, ""),
        Status::Error { description } => (2, description),
    }
}

/// Writes the line, without a line break.
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
    let mut fields = JsonObject::new(out);
    context(&mut fields, &span.span_context, span.parent_span_is_remote);
    if span.parent_span_id != SpanId::INVALID {
        fields.raw("parentSpanId", format_args!("\"{}\"", Hex(&span.parent_span_id.to_bytes())));
    }
    fields.text("name", &span.name);
    fields.raw("kind", format_args!("{}", kind(&span.span_kind)));
    fields.raw("startTimeUnixNano", format_args!("\"{}\"", nanos(span.start_time)));
    fields.raw("endTimeUnixNano", format_args!("\"{}\"", nanos(span.end_time)));
    fields.attributes(&attribute_views(&span.attributes));
    fields.number("droppedAttributesCount", span.dropped_attributes_count.into());
    list(&mut fields, "events", span.events.iter(), |fields, event| {
        fields.raw("timeUnixNano", format_args!("\"{}\"", nanos(event.timestamp)));
        fields.text("name", &event.name);
        fields.attributes(&attribute_views(&event.attributes));
        fields.number("droppedAttributesCount", event.dropped_attributes_count.into());
    });
    fields.number("droppedEventsCount", span.events.dropped_count.into());
    list(&mut fields, "links", span.links.iter(), |fields, link| {
        context(fields, &link.span_context, link.span_context.is_remote());
        fields.attributes(&attribute_views(&link.attributes));
        fields.number("droppedAttributesCount", link.dropped_attributes_count.into());
    });
    fields.number("droppedLinksCount", span.links.dropped_count.into());
    let (code, message) = status_code_and_message(&span.status);
    fields.key("status");
    fields.out.push('{');
    let mut status = JsonObject::new(fields.out);
    status.text("message", message);
    status.number("code", code);
    fields.out.push_str("}}");
}

fn context(fields: &mut JsonObject<'_>, span: &SpanContext, remote: bool) {
    fields.raw("traceId", format_args!("\"{}\"", Hex(&span.trace_id().to_bytes())));
    fields.raw("spanId", format_args!("\"{}\"", Hex(&span.span_id().to_bytes())));
    fields.text("traceState", &span.trace_state().header());
    let flags = u32::from(span.trace_flags().to_u8()) | HAS_IS_REMOTE | if remote { IS_REMOTE } else { 0 };
    fields.number("flags", flags.into());
}

/// A list of objects, where there are any.
fn list<'a, T: 'a>(
    fields: &mut JsonObject<'_>,
    key: &str,
    items: impl Iterator<Item = &'a T>,
    write: impl Fn(&mut JsonObject<'_>, &T),
) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    fields.key(key);
    let mut opening = "[{";
    for item in items {
        fields.out.push_str(opening);
        write(&mut JsonObject::new(fields.out), item);
        fields.out.push('}');
        opening = ",{";
    }
    fields.out.push(']');
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
