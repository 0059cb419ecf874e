//! Received log records.

use std::fmt;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::common::{ReceivedScope, attributes, resource, value};
use super::line_style::LineStyle;
use super::value::hex;
use super::{Attributes, Value};
use crate::escape::OneLine;

/// A log record received by a [`Receiver`](super::Receiver).
///
/// `Display` writes one readable line, with line breaks and other control characters escaped:
///
/// ```text
/// 2026-11-21T03:44:51.123456Z  INFO shop::cart order placed  user=42 total=9.5  trace=4bf92f… span=00f067…
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedLog {
    /// The attributes of the resource, such as `service.name`.
    pub resource: Attributes,
    /// The instrumentation scope. Its name is the target of the record.
    pub scope: ReceivedScope,
    /// The time of the event in nanoseconds since 1970, or 0 if unset.
    pub time_unix_nano: u64,
    /// The time at which the event was observed, in nanoseconds since 1970, or 0 if unset.
    pub observed_time_unix_nano: u64,
    /// The severity number of OTLP: 1 to 24, or 0 if unset.
    pub severity_number: i32,
    /// The severity text, as the sender calls the severity.
    pub severity_text: String,
    /// The body. Usually a string.
    pub body: Option<Value>,
    /// The attributes of the record itself.
    pub attributes: Attributes,
    /// The number of attributes that the sender dropped.
    pub dropped_attributes_count: u32,
    /// The trace flags.
    pub flags: u32,
    /// The trace id in lowercase hexadecimal digits, or empty if unset.
    pub trace_id: String,
    /// The span id in lowercase hexadecimal digits, or empty if unset.
    pub span_id: String,
    /// The event name. Usually empty.
    pub event_name: String,
}

impl ReceivedLog {
    /// Returns the resource's `service.name`, or an empty text if it is absent or not a string.
    pub fn service_name(&self) -> &str {
        self.resource.get("service.name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the body as text, or an empty text if there is no body.
    pub fn message(&self) -> String {
        self.body.as_ref().map(Value::to_string).unwrap_or_default()
    }

    /// Returns the value of the record's first attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.get(key)
    }

    /// Returns the name of the scope.
    pub fn target(&self) -> &str {
        &self.scope.name
    }

    /// Returns the severity text, or else the name of the severity number's range, or else `-`.
    pub(super) fn severity(&self) -> &str {
        match (self.severity_text.as_str(), self.severity_number) {
            ("", 1..=4) => "TRACE",
            ("", 5..=8) => "DEBUG",
            ("", 9..=12) => "INFO",
            ("", 13..=16) => "WARN",
            ("", 17..=20) => "ERROR",
            ("", 21..=24) => "FATAL",
            ("", _) => "-",
            (text, _) => text,
        }
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, style: LineStyle) -> fmt::Result {
        style.time(f, if self.time_unix_nano == 0 { self.observed_time_unix_nano } else { self.time_unix_nano })?;
        style.severity(f, self.severity_number, self.severity())?;
        style.service(f, self.service_name())?;
        style.name(f, self.target())?;
        f.write_str(" ")?;
        write!(f, "{}", OneLine(&self.message()))?;
        style.attributes(f, &self.attributes)?;
        if !self.event_name.is_empty() {
            f.write_str("  event=")?;
            write!(f, "{}", OneLine(&self.event_name))?;
        }
        style.ids(f, &[("trace", &self.trace_id), ("span", &self.span_id)])
    }
}

impl fmt::Display for ReceivedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, LineStyle::default())
    }
}

/// Returns the records of a request, in order.
pub fn records(request: &ExportLogsServiceRequest) -> Vec<ReceivedLog> {
    let mut logs = Vec::new();
    for group in &request.resource_logs {
        let resource = resource(group.resource.as_ref());
        for group in &group.scope_logs {
            let scope = ReceivedScope::new(group.scope.as_ref(), &group.schema_url);
            logs.extend(group.log_records.iter().map(|record| received(record, &resource, &scope)));
        }
    }
    logs
}

fn received(record: &LogRecord, resource: &Attributes, scope: &ReceivedScope) -> ReceivedLog {
    ReceivedLog {
        resource: resource.clone(),
        scope: scope.clone(),
        time_unix_nano: record.time_unix_nano,
        observed_time_unix_nano: record.observed_time_unix_nano,
        severity_number: record.severity_number,
        severity_text: record.severity_text.clone(),
        body: record.body.as_ref().map(value),
        attributes: attributes(&record.attributes),
        dropped_attributes_count: record.dropped_attributes_count,
        flags: record.flags,
        trace_id: hex(&record.trace_id),
        span_id: hex(&record.span_id),
        event_name: record.event_name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_at_the_edges() {
        let log = |time, observed| ReceivedLog {
            time_unix_nano: time,
            observed_time_unix_nano: observed,
            ..ReceivedLog::default()
        };
        assert!(log(1, 0).to_string().starts_with("1970-01-01T00:00:00.000000Z"));
        assert!(log(0, 86_399_999_999_999).to_string().starts_with("1970-01-01T23:59:59.999999Z"));
        assert!(log(u64::MAX, 1).to_string().starts_with("2554-07-21T23:34:33.709551Z"));
        assert!(log(0, 0).to_string().starts_with("(no time)"));
    }
}
