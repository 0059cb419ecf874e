//! A log record as it arrived, with the resource and scope it was sent under.

use std::fmt;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::common::{ReceivedScope, attributes, resource, value};
use super::line::Paint;
use super::value::hex;
use super::{Attributes, Value};
use crate::escape::OneLine;

/// One log record that a [`Receiver`](super::Receiver) took in.
///
/// `Display` is one readable line; line breaks and other control characters are escaped:
///
/// ```text
/// 2026-11-21T03:44:51.123456Z  INFO shop::cart order placed  user=42 total=9.5  trace=4bf92f… span=00f067…
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedLog {
    /// The attributes of the resource, such as `service.name`.
    pub resource: Attributes,
    /// The instrumentation scope; its name is the target of the record.
    pub scope: ReceivedScope,
    /// When it happened, in nanoseconds since 1970; 0 when the sender did not say.
    pub time_unix_nano: u64,
    /// When it was noticed, in nanoseconds since 1970; 0 when the sender did not say.
    pub observed_time_unix_nano: u64,
    /// The severity as OTLP numbers it: 1 to 24, or 0 when the sender did not say.
    pub severity_number: i32,
    /// The severity in the sender's words.
    pub severity_text: String,
    /// The body; usually a string.
    pub body: Option<Value>,
    /// The attributes of the record itself.
    pub attributes: Attributes,
    /// How many attributes the sender says it dropped.
    pub dropped_attributes_count: u32,
    /// The trace flags.
    pub flags: u32,
    /// The trace id in lower-case hexadecimal digits; empty when there is none.
    pub trace_id: String,
    /// The span id in lower-case hexadecimal digits; empty when there is none.
    pub span_id: String,
    /// The event name; usually empty.
    pub event_name: String,
}

impl ReceivedLog {
    /// The resource's `service.name`; empty when it is absent or no string.
    pub fn service_name(&self) -> &str {
        self.resource.get("service.name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The body as text; empty when there is none.
    pub fn message(&self) -> String {
        self.body.as_ref().map(Value::to_string).unwrap_or_default()
    }

    /// The value of the record's first attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.get(key)
    }

    /// The name of the scope.
    pub fn target(&self) -> &str {
        &self.scope.name
    }

    /// The severity text, else the name of the severity number's range, else `-`.
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
}

impl ReceivedLog {
    /// Writes it as a line with this look.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, paint: Paint) -> fmt::Result {
        paint.time(f, if self.time_unix_nano == 0 { self.observed_time_unix_nano } else { self.time_unix_nano })?;
        paint.severity(f, self.severity_number, self.severity())?;
        paint.service(f, self.service_name())?;
        paint.name(f, self.target())?;
        f.write_str(" ")?;
        write!(f, "{}", OneLine(&self.message()))?;
        paint.attributes(f, &self.attributes)?;
        if !self.event_name.is_empty() {
            f.write_str("  event=")?;
            write!(f, "{}", OneLine(&self.event_name))?;
        }
        paint.ids(f, &[("trace", &self.trace_id), ("span", &self.span_id)])
    }
}

impl fmt::Display for ReceivedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Paint::default())
    }
}

/// The records of a request, in the order in which they stand there.
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
