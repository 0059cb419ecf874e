//! The report as JSON, with the names of the fields as keys.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::data::Report;
use crate::escape;
use crate::finding::Finding;
use crate::ledger::{ConsoleCounters, OtlpCounters, Requests, SpanCounters};

impl Report {
    /// Returns the report as a JSON object.
    ///
    /// Names and units are stable; later versions may add names. Counters are numbers of records, `elapsed` is in
    /// seconds, and times are seconds since 1970.
    #[must_use]
    pub fn to_json(&self) -> String {
        let counters = &self.counters;
        let mut otlp = otlp(&counters.otlp);
        otlp.insert("endpoint".to_owned(), json!(self.endpoint));
        otlp.insert("off_because".to_owned(), json!(self.off_because));
        otlp.insert("spool".to_owned(), json!(self.spool));
        otlp.insert("requests".to_owned(), self.requests.as_ref().map_or(Value::Null, requests));
        let mut spans = spans(&counters.spans);
        spans.insert("endpoint".to_owned(), json!(self.span_endpoint));
        spans.insert("off_because".to_owned(), json!(self.spans_off_because));
        spans.insert("requests".to_owned(), self.span_requests.as_ref().map_or(Value::Null, requests));
        let setting = |name: &str| {
            let found = self.configuration.settings.iter().find(|setting| setting.name == name);
            found.map(|setting| setting.value.clone())
        };
        let settings: Vec<Value> = self
            .configuration
            .settings
            .iter()
            .map(
                |setting| json!({ "name": setting.name, "value": setting.value, "source": setting.source.to_string() }),
            )
            .collect();
        let value = json!({
            "logbridge": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "service": setting("service name"),
            "elapsed": self.elapsed.as_secs_f64(),
            "complete_to": self.complete_to.to_string(),
            "offered": counters.offered,
            "below": counters.below,
            "passed": counters.passed,
            "internal": counters.internal,
            "redacted": counters.redacted,
            "nested_too_deep": counters.nested_too_deep,
            "attributes_left_out": counters.attributes_left_out,
            "mirrored": counters.mirrored,
            "mirror_failed": counters.mirror_failed,
            "otlp": otlp,
            "console": console(&counters.console),
            "spans": spans,
            "cuts": self.cuts.iter().map(|cut| json!({
                "stage": cut.stage.to_string(),
                "target": cut.target,
                "level": cut.level.as_str(),
                "records": cut.records,
                "by": cut.by,
            })).collect::<Vec<_>>(),
            "dropped": self.dropped.iter().map(|dropped| json!({
                "reason": dropped.reason.sentence(),
                "target": dropped.target,
                "level": dropped.level.map(|level| level.as_str()),
                "records": dropped.records,
            })).collect::<Vec<_>>(),
            "traced": self.traced.iter().map(|traced| json!({
                "target": traced.target,
                "records": traced.records,
                "with_trace": traced.with_trace,
            })).collect::<Vec<_>>(),
            "traced_threads": self.traced_threads.iter().map(|thread| json!({
                "name": thread.name,
                "records": thread.records,
                "with_trace": thread.with_trace,
            })).collect::<Vec<_>>(),
            "filtered_spans": self.filtered_spans.iter().map(|span| json!({
                "target": span.target,
                "name": span.name,
                "level": span.level.as_str(),
                "by": span.by,
                "calls": span.calls,
            })).collect::<Vec<_>>(),
            "restarts": self.restarts,
            "lines_not_written": self.lines_not_written,
            "configuration": settings,
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "notices": self.notices,
        });
        escape::json(value.to_string())
    }
}

fn reasons<R: ToString>(reasons: &[(R, u64)]) -> Value {
    Value::Object(reasons.iter().map(|(reason, number)| (reason.to_string(), json!(number))).collect())
}

fn otlp(otlp: &OtlpCounters) -> Map<String, Value> {
    let OtlpCounters { below, off, suppressed, unsampled, repeated, accepted, adopted, .. } = otlp;
    let OtlpCounters { delivered, unconfirmed, rejected, dropped, pending, .. } = otlp;
    object(json!({
        "below": below, "off": off, "suppressed": suppressed, "unsampled": unsampled, "repeated": repeated,
        "accepted": accepted, "adopted": adopted, "delivered": delivered, "unconfirmed": unconfirmed,
        "rejected": reasons(rejected), "dropped": reasons(dropped), "pending": pending,
    }))
}

fn spans(spans: &SpanCounters) -> Map<String, Value> {
    let SpanCounters { open, ended, ended_at_exit, unsampled, off, accepted, .. } = spans;
    let SpanCounters { delivered, unconfirmed, rejected, dropped, pending, .. } = spans;
    object(json!({
        "open": open, "ended": ended, "ended_at_exit": ended_at_exit, "unsampled": unsampled, "off": off,
        "accepted": accepted, "delivered": delivered, "unconfirmed": unconfirmed,
        "rejected": reasons(rejected), "dropped": reasons(dropped), "pending": pending,
    }))
}

fn console(console: &ConsoleCounters) -> Value {
    let ConsoleCounters { below, off, suppressed, accepted, failed } = console;
    json!({ "below": below, "off": off, "suppressed": suppressed, "accepted": accepted, "failed": failed })
}

fn requests(requests: &Requests) -> Value {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    let Requests { confirmed, failed, refused, unconfirmed, last_confirmed, last_trouble, clock_offset } = requests;
    json!({
        "confirmed": confirmed, "failed": failed, "refused": refused, "unconfirmed": unconfirmed,
        "last_confirmed": last_confirmed.map(seconds),
        "last_trouble": last_trouble.as_ref().map(|(at, why)| json!({ "at": seconds(*at), "text": why })),
        "clock_offset": clock_offset,
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
