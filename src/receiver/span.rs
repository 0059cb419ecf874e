//! A span as it arrived, with the resource and scope it was sent under.

use std::fmt;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

use super::record::attributes;
use super::value::{hex, write_escaped};
use super::{Attributes, ReceivedScope, Value};
use crate::clock::Timestamp;

/// One span that a [`Receiver`](super::Receiver) took in.
///
/// `Display` is one readable line, with the time of its end; line breaks and other control characters are escaped:
///
/// ```text
/// 2026-11-21T03:44:51.123456Z  SPAN checkout 1.234ms error: card declined  order=1001  trace=4bf9… span=00f0… parent=ab12…
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedSpan {
    /// The attributes of the resource, such as `service.name`.
    pub resource: Attributes,
    /// The instrumentation scope.
    pub scope: ReceivedScope,
    /// The trace id in lower-case hexadecimal digits.
    pub trace_id: String,
    /// The span id in lower-case hexadecimal digits.
    pub span_id: String,
    /// The id of the parent in lower-case hexadecimal digits; empty when there is none.
    pub parent_span_id: String,
    /// The W3C trace state; usually empty.
    pub trace_state: String,
    /// The flags: the W3C trace flags in the lowest eight bits; 0x100 where bit 0x200, the parent lies in another
    /// process, means something.
    pub flags: u32,
    /// The name.
    pub name: String,
    /// The kind as OTLP numbers it: 1 internal, 2 server, 3 client, 4 producer, 5 consumer; 0 when the sender did not say.
    pub kind: i32,
    /// When it started, in nanoseconds since 1970.
    pub start_time_unix_nano: u64,
    /// When it ended, in nanoseconds since 1970.
    pub end_time_unix_nano: u64,
    /// The attributes of the span itself.
    pub attributes: Attributes,
    /// How many attributes the sender says it dropped.
    pub dropped_attributes_count: u32,
    /// What happened in it, as far as that was recorded as events of the span.
    pub events: Vec<ReceivedSpanEvent>,
    /// How many events the sender says it dropped.
    pub dropped_events_count: u32,
    /// The spans it is linked to.
    pub links: Vec<ReceivedSpanLink>,
    /// How many links the sender says it dropped.
    pub dropped_links_count: u32,
    /// The status: 0 unset, 1 ok, 2 error.
    pub status_code: i32,
    /// The description of an error; usually empty.
    pub status_message: String,
}

/// An event of a [`ReceivedSpan`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedSpanEvent {
    /// The name, such as `exception`.
    pub name: String,
    /// When it happened, in nanoseconds since 1970.
    pub time_unix_nano: u64,
    /// The attributes of the event.
    pub attributes: Attributes,
    /// How many attributes the sender says it dropped.
    pub dropped_attributes_count: u32,
}

/// A link from a [`ReceivedSpan`] to another span.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedSpanLink {
    /// The trace id of the other span in lower-case hexadecimal digits.
    pub trace_id: String,
    /// The span id of the other span in lower-case hexadecimal digits.
    pub span_id: String,
    /// The W3C trace state of the other span; usually empty.
    pub trace_state: String,
    /// The flags of the other span, as on a span.
    pub flags: u32,
    /// The attributes of the link.
    pub attributes: Attributes,
    /// How many attributes the sender says it dropped.
    pub dropped_attributes_count: u32,
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

    /// How long it took; zero where it ended before it started.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end_time_unix_nano.saturating_sub(self.start_time_unix_nano))
    }

    /// Whether its status is error.
    pub fn is_error(&self) -> bool {
        self.status_code == 2
    }

    /// The kind in words: `internal`, `server`, `client`, `producer`, `consumer`, else `unspecified`.
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

    /// Name, duration, and status where there is one.
    pub(super) fn write_head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, &self.name)?;
        write!(f, " {:.3}ms", self.duration().as_secs_f64() * 1_000.0)?;
        match (self.status_code, self.status_message.as_str()) {
            (1, _) => f.write_str(" ok"),
            (2, "") => f.write_str(" error"),
            (2, message) => {
                f.write_str(" error: ")?;
                write_escaped(f, message)
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ReceivedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  SPAN ", Timestamp(self.end_time_unix_nano))?;
        self.write_head(f)?;
        if !self.attributes.is_empty() {
            write!(f, "  {}", self.attributes)?;
        }
        for event in &self.events {
            f.write_str("  event=")?;
            write_escaped(f, &event.name)?;
        }
        write!(f, "  trace={} span={}", self.trace_id, self.span_id)?;
        if !self.parent_span_id.is_empty() {
            write!(f, " parent={}", self.parent_span_id)?;
        }
        self.links.iter().try_for_each(|link| write!(f, " link={}", link.span_id))
    }
}

/// The spans of a request, in the order in which they stand there.
pub(super) fn spans(request: &ExportTraceServiceRequest) -> Vec<ReceivedSpan> {
    let mut spans = Vec::new();
    for group in &request.resource_spans {
        let resource = group.resource.as_ref().map(|resource| attributes(&resource.attributes)).unwrap_or_default();
        for group in &group.scope_spans {
            let scope = ReceivedScope::new(group.scope.as_ref(), &group.schema_url);
            spans.extend(group.spans.iter().map(|span| received(span, &resource, &scope)));
        }
    }
    spans
}

fn received(span: &Span, resource: &Attributes, scope: &ReceivedScope) -> ReceivedSpan {
    let status = span.status.clone().unwrap_or_default();
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
        status_code: status.code,
        status_message: status.message,
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
