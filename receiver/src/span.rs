//! A span as it arrived, with the resource and scope it was sent under.

use std::fmt;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

use super::common::{ReceivedScope, attributes, resource};
use super::line::Paint;
use super::time::three_digits;
use super::value::hex;
use super::{Attributes, Value};
use crate::escape::OneLine;

const STATUS_OK: i32 = 1;
const STATUS_ERROR: i32 = 2;

/// One span that a [`Receiver`](super::Receiver) took in.
///
/// `Display` is one readable line; line breaks and other control characters are escaped:
///
/// ```text
/// 2026-11-21T03:44:51.123456Z  SPAN checkout 1.23ms  order=1001  error: card declined  trace=4bf92f… span=00f067…
/// ```
///
/// The time is that of the start, and the duration is cut to three digits. The status is there when it is set, and
/// `parent=` when there is a parent.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedSpan {
    /// The attributes of the resource, such as `service.name`.
    pub resource: Attributes,
    /// The instrumentation scope; its name is that of the tracer.
    pub scope: ReceivedScope,
    /// The trace id in lower-case hexadecimal digits; empty when there is none.
    pub trace_id: String,
    /// The span's own id in lower-case hexadecimal digits; empty when there is none.
    pub span_id: String,
    /// The id of the parent span in lower-case hexadecimal digits; empty when there is none.
    pub parent_span_id: String,
    /// The trace state in the format of the W3C header `tracestate`; usually empty.
    pub trace_state: String,
    /// The trace flags in the lowest 8 bits; bit 9 says that the parent is remote, bit 8 that bit 9 is known.
    pub flags: u32,
    /// The name of the operation.
    pub name: String,
    /// The kind as OTLP numbers it: 1 to 5, or 0 when the sender did not say; see [`ReceivedSpan::kind_name`].
    pub kind: i32,
    /// When it started, in nanoseconds since 1970; 0 when the sender did not say.
    pub start_time_unix_nano: u64,
    /// When it ended, in nanoseconds since 1970; 0 when the sender did not say.
    pub end_time_unix_nano: u64,
    /// The attributes of the span itself.
    pub attributes: Attributes,
    /// How many attributes the sender says it dropped.
    pub dropped_attributes_count: u32,
    /// The events, in the order in which they stand in the span.
    pub events: Vec<ReceivedSpanEvent>,
    /// How many events the sender says it dropped.
    pub dropped_events_count: u32,
    /// The links to other spans, in the order in which they stand in the span.
    pub links: Vec<ReceivedSpanLink>,
    /// How many links the sender says it dropped.
    pub dropped_links_count: u32,
    /// The status as OTLP numbers it: 0 unset, 1 ok, 2 error.
    pub status_code: i32,
    /// What goes with the status, such as the text of an error; usually empty.
    pub status_message: String,
}

impl ReceivedSpan {
    /// The resource's `service.name`; empty when it is absent or no string.
    pub fn service_name(&self) -> &str {
        self.resource.get("service.name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The value of the span's first attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.get(key)
    }

    /// The time from the start to the end; zero when the end is not after the start.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end_time_unix_nano.saturating_sub(self.start_time_unix_nano))
    }

    /// Whether the status is error.
    pub fn is_error(&self) -> bool {
        self.status_code == STATUS_ERROR
    }

    /// The kind as a word: `internal`, `server`, `client`, `producer` or `consumer`; any other one is `unspecified`.
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
    pub(super) fn write_head(&self, f: &mut fmt::Formatter<'_>, paint: Paint) -> fmt::Result {
        paint.name(f, &self.name)?;
        write!(f, " {:?}", three_digits(self.duration()))
    }

    /// Writes the status after two spaces; nothing when it is unset.
    pub(super) fn write_status(&self, f: &mut fmt::Formatter<'_>, paint: Paint) -> fmt::Result {
        let (colon, message) = match self.status_message.as_str() {
            "" => ("", OneLine("")),
            message => (": ", OneLine(message)),
        };
        match self.status_code {
            STATUS_OK => write!(f, "  ok{colon}{message}"),
            STATUS_ERROR => {
                f.write_str("  ")?;
                paint.bad(f, format_args!("error{colon}{message}"))
            }
            _ => Ok(()),
        }
    }
}

impl ReceivedSpan {
    /// Writes it as a line with this look.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, paint: Paint) -> fmt::Result {
        paint.time(f, self.start_time_unix_nano)?;
        paint.kind(f, "SPAN")?;
        paint.service(f, self.service_name())?;
        self.write_head(f, paint)?;
        paint.attributes(f, &self.attributes)?;
        self.write_status(f, paint)?;
        let ids = [("trace", &*self.trace_id), ("span", &self.span_id), ("parent", &self.parent_span_id)];
        paint.ids(f, &ids)
    }
}

impl fmt::Display for ReceivedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Paint::default())
    }
}

/// Something that happened during a [`ReceivedSpan`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedSpanEvent {
    /// The name of the event.
    pub name: String,
    /// When it happened, in nanoseconds since 1970; 0 when the sender did not say.
    pub time_unix_nano: u64,
    /// The attributes of the event.
    pub attributes: Attributes,
    /// How many attributes the sender says it dropped.
    pub dropped_attributes_count: u32,
}

/// A pointer from a [`ReceivedSpan`] to another span, which may belong to another trace.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedSpanLink {
    /// The trace id of the other span in lower-case hexadecimal digits; empty when there is none.
    pub trace_id: String,
    /// The id of the other span in lower-case hexadecimal digits; empty when there is none.
    pub span_id: String,
    /// The trace state of the other span in the format of the W3C header `tracestate`; usually empty.
    pub trace_state: String,
    /// The trace flags in the lowest 8 bits; bit 9 says that the other span is remote, bit 8 that bit 9 is known.
    pub flags: u32,
    /// The attributes of the link.
    pub attributes: Attributes,
    /// How many attributes the sender says it dropped.
    pub dropped_attributes_count: u32,
}

/// The spans of a request, in the order in which they stand there.
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
