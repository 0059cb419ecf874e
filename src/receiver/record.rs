//! A log record as it arrived, with the resource and scope it was sent under.

use std::fmt;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::value::{hex, write_escaped};
use super::{Attributes, Value};

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
    fn severity(&self) -> &str {
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

impl fmt::Display for ReceivedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.time_unix_nano, self.observed_time_unix_nano) {
            (0, 0) => f.write_str("(no time)")?,
            (0, observed) => write_utc(f, observed)?,
            (time, _) => write_utc(f, time)?,
        }
        let severity = self.severity();
        let padding = 5usize.saturating_sub(severity.chars().count());
        write!(f, " {:padding$}", "")?;
        write_escaped(f, severity)?;
        f.write_str(" ")?;
        write_escaped(f, self.target())?;
        f.write_str(" ")?;
        write_escaped(f, &self.message())?;
        if !self.attributes.is_empty() {
            write!(f, "  {}", self.attributes)?;
        }
        if !self.event_name.is_empty() {
            f.write_str("  event=")?;
            write_escaped(f, &self.event_name)?;
        }
        match (self.trace_id.as_str(), self.span_id.as_str()) {
            ("", "") => Ok(()),
            (trace, "") => write!(f, "  trace={trace}"),
            ("", span) => write!(f, "  span={span}"),
            (trace, span) => write!(f, "  trace={trace} span={span}"),
        }
    }
}

/// The instrumentation scope of a [`ReceivedLog`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceivedScope {
    /// The name: the target of the record.
    pub name: String,
    /// The version; usually empty.
    pub version: String,
    /// The attributes of the scope itself; usually none.
    pub attributes: Attributes,
    /// The schema URL sent with the scope's records; usually empty.
    pub schema_url: String,
}

impl ReceivedScope {
    fn new(scope: Option<&InstrumentationScope>, schema_url: &str) -> Self {
        let (name, version, attributes) = match scope {
            Some(scope) => (scope.name.clone(), scope.version.clone(), attributes(&scope.attributes)),
            None => Default::default(),
        };
        Self { name, version, attributes, schema_url: schema_url.to_owned() }
    }
}

/// The records of a request, in the order in which they stand there.
pub(super) fn records(request: &ExportLogsServiceRequest) -> Vec<ReceivedLog> {
    let mut logs = Vec::new();
    for group in &request.resource_logs {
        let resource = match &group.resource {
            Some(resource) => attributes(&resource.attributes),
            None => Attributes::default(),
        };
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

fn attributes(entries: &[KeyValue]) -> Attributes {
    entries
        .iter()
        .map(|entry| {
            let value = entry.value.as_ref().map(value).unwrap_or_default();
            (entry.key.clone(), value)
        })
        .collect()
}

fn value(any: &AnyValue) -> Value {
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

/// Writes a time as RFC 3339 in UTC with microseconds.
fn write_utc(f: &mut fmt::Formatter<'_>, unix_nano: u64) -> fmt::Result {
    let (seconds, nanos) = (unix_nano / 1_000_000_000, unix_nano % 1_000_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let micros = nanos / 1_000;
    write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Year, month and day of the Gregorian calendar for a count of days since 1970-01-01.
fn civil_date(days: u64) -> (u64, u64, u64) {
    // Years are counted from the first of March here, so that the leap day is the last day of a year, and days from
    // 0000-03-01, so that each era of 400 years has the same 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_dates() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(59), (1970, 3, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(11_017), (2000, 3, 1));
        assert_eq!(civil_date(20_454), (2026, 1, 1));
        assert_eq!(civil_date(20_778), (2026, 11, 21));
        assert_eq!(civil_date(47_540), (2100, 2, 28));
        assert_eq!(civil_date(47_541), (2100, 3, 1));
    }

    #[test]
    fn civil_dates_follow_each_other() {
        let mut expected = (1970, 1, 1);
        for days in 0..300_000 {
            assert_eq!(civil_date(days), expected, "day {days}");
            let (year, month, day) = expected;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, day) if day == length => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }

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
