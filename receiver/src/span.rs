//! Received spans.

use std::fmt;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

use super::common::{ReceivedScope, attributes, resource};
use super::line_style::LineStyle;
use super::time::three_digits;
use super::value::hex;
use super::{Attributes, Value};
use crate::escape::OneLine;

const STATUS_OK: i32 = 1;
const STATUS_ERROR: i32 = 2;

/// A span received by a [`Receiver`](super::Receiver).
///
/// `Display` writes one readable line, with line breaks and other control characters escaped:
///
/// ```text
/// 2026-11-21T03:44:51.123456Z  SPAN checkout 1.23ms  order=1001  error: card declined  trace=4bf92f… span=00f067…
/// ```
///
/// The time is the start time. The duration is truncated to three digits. The status and `parent=` appear only if they
/// are set.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedSpan {
    /// The attributes of the resource, such as `service.name`.
    pub resource: Attributes,
    /// The instrumentation scope. Its name is that of the tracer.
    pub scope: ReceivedScope,
    /// The trace id in lowercase hexadecimal digits, or empty if unset.
    pub trace_id: String,
    /// The span's own id in lowercase hexadecimal digits, or empty if unset.
    pub span_id: String,
    /// The id of the parent span in lowercase hexadecimal digits, or empty if unset.
    pub parent_span_id: String,
    /// The trace state in the format of the W3C header `tracestate`. Usually empty.
    pub trace_state: String,
    /// The flags: the trace flags in the lowest 8 bits; bit 9 if the parent is remote, bit 8 if bit 9 is known.
    pub flags: u32,
    /// The name of the operation.
    pub name: String,
    /// The kind number of OTLP: 1 to 5, or 0 if unset. See [`ReceivedSpan::kind_name`].
    pub kind: i32,
    /// The start time in nanoseconds since 1970, or 0 if unset.
    pub start_time_unix_nano: u64,
    /// The end time in nanoseconds since 1970, or 0 if unset.
    pub end_time_unix_nano: u64,
    /// The attributes of the span itself.
    pub attributes: Attributes,
    /// The number of attributes that the sender dropped.
    pub dropped_attributes_count: u32,
    /// The events, in order.
    pub events: Vec<ReceivedSpanEvent>,
    /// The number of events that the sender dropped.
    pub dropped_events_count: u32,
    /// The links to other spans, in order.
    pub links: Vec<ReceivedSpanLink>,
    /// The number of links that the sender dropped.
    pub dropped_links_count: u32,
    /// The status code of OTLP: 0 unset, 1 ok, 2 error.
    pub status_code: i32,
    /// The message of the status, such as the text of an error. Usually empty.
    pub status_message: String,
}

impl ReceivedSpan {
    /// Returns the resource's `service.name`, or an empty text if it is absent or not a string.
    pub fn service_name(&self) -> &str {
        self.resource.get("service.name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the value of the span's first attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.get(key)
    }

    /// Returns the time from start to end, or zero if the end is before the start.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end_time_unix_nano.saturating_sub(self.start_time_unix_nano))
    }

    /// Returns whether the status is error.
    pub fn is_error(&self) -> bool {
        self.status_code == STATUS_ERROR
    }

    /// Returns the name of the kind: `internal`, `server`, `client`, `producer`, `consumer` or, for any other number,
    /// `unspecified`.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            1 => "internal",
            2 => "server",
            3 => "client",
            4 => "producer",
            5 => "consumer",
            _ => "unspecified",
        }
    }

    /// Writes the name and the duration.
    pub(super) fn write_head(&self, f: &mut fmt::Formatter<'_>, style: LineStyle) -> fmt::Result {
        style.name(f, &self.name)?;
        write!(f, " {:?}", three_digits(self.duration()))
    }

    /// Writes two spaces and the status, or nothing if the status is unset.
    pub(super) fn write_status(&self, f: &mut fmt::Formatter<'_>, style: LineStyle) -> fmt::Result {
        let (colon, message) = match self.status_message.as_str() {
            "" => ("", OneLine("")),
            message => (": ", OneLine(message)),
        };
        match self.status_code {
            STATUS_OK => write!(f, "  ok{colon}{message}"),
            STATUS_ERROR => {
                f.write_str("  ")?;
                style.error(f, format_args!("error{colon}{message}"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, style: LineStyle) -> fmt::Result {
        style.time(f, self.start_time_unix_nano)?;
        style.kind(f, "SPAN")?;
        style.service(f, self.service_name())?;
        self.write_head(f, style)?;
        style.attributes(f, &self.attributes)?;
        self.write_status(f, style)?;
        let ids = [("trace", &*self.trace_id), ("span", &self.span_id), ("parent", &self.parent_span_id)];
        style.ids(f, &ids)
    }
}

impl fmt::Display for ReceivedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, LineStyle::default())
    }
}

/// An event of a [`ReceivedSpan`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedSpanEvent {
    /// The name of the event.
    pub name: String,
    /// The time in nanoseconds since 1970, or 0 if unset.
    pub time_unix_nano: u64,
    /// The attributes of the event.
    pub attributes: Attributes,
    /// The number of attributes that the sender dropped.
    pub dropped_attributes_count: u32,
}

/// A link from a [`ReceivedSpan`] to another span, possibly in another trace.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedSpanLink {
    /// The trace id of the other span in lowercase hexadecimal digits, or empty if unset.
    pub trace_id: String,
    /// The id of the other span in lowercase hexadecimal digits, or empty if unset.
    pub span_id: String,
    /// The trace state of the other span in the format of the W3C header `tracestate`. Usually empty.
    pub trace_state: String,
    /// The flags: the trace flags in the lowest 8 bits; bit 9 if the other span is remote, bit 8 if bit 9 is known.
    pub flags: u32,
    /// The attributes of the link.
    pub attributes: Attributes,
    /// The number of attributes that the sender dropped.
    pub dropped_attributes_count: u32,
}

/// Returns the spans of a request, in order.
pub fn spans(request: &ExportTraceServiceRequest) -> Vec<ReceivedSpan> {
    let mut spans = Vec::new();
    for group in &request.resource_spans {
        let resource = resource(group.resource.as_ref());
        for group in &group.scope_spans {
            let scope = ReceivedScope::new(group.scope.as_ref(), &group.schema_url);
            spans.extend(group.spans.iter().map(|span| received(span, &resource, &scope)));
        }
    }
    spans
}

fn received(span: &Span, resource: &Attributes, scope: &ReceivedScope) -> ReceivedSpan {
    let (status_code, status_message) = match &span.status {
        Some(status) => (status.code, status.message.clone()),
        None => Default::default(),
    };
    ReceivedSpan {
        resource: resource.clone(),
        scope: scope.clone(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: hex(&span.parent_span_id),
        trace_state: span.trace_state.clone(),
        flags: span.flags,
        name: span.name.clone(),
        kind: span.kind,
        start_time_unix_nano: span.start_time_unix_nano,
        end_time_unix_nano: span.end_time_unix_nano,
        attributes: attributes(&span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events: span.events.iter().map(event).collect(),
        dropped_events_count: span.dropped_events_count,
        links: span.links.iter().map(link).collect(),
        dropped_links_count: span.dropped_links_count,
        status_code,
        status_message,
    }
}

fn event(event: &Event) -> ReceivedSpanEvent {
    ReceivedSpanEvent {
        name: event.name.clone(),
        time_unix_nano: event.time_unix_nano,
        attributes: attributes(&event.attributes),
        dropped_attributes_count: event.dropped_attributes_count,
    }
}

fn link(link: &Link) -> ReceivedSpanLink {
    ReceivedSpanLink {
        trace_id: hex(&link.trace_id),
        span_id: hex(&link.span_id),
        trace_state: link.trace_state.clone(),
        flags: link.flags,
        attributes: attributes(&link.attributes),
        dropped_attributes_count: link.dropped_attributes_count,
    }
}
