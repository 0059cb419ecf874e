//! The summary that `logbridge listen` prints at its end.

use crate::command::intake::{Anomalies, Tally};
use crate::command::level_table::LevelTable;
use crate::command::terminal::{Style, format_duration, paint};
use crate::command::wording::{counted_list, plural};
use logbridge::internals::finding::kind;

/// Formats the summary as text.
pub(super) fn text(tally: &Tally) -> String {
    let [logs, spans, points] = tally.items();
    let requests: u64 = tally.requests.values().sum();
    let received = match requests {
        0 => "nothing received".to_owned(),
        number => format!(
            "received {}: {}, {}, {}",
            plural(number, "request"),
            plural(logs, "log record"),
            plural(spans, "span"),
            plural(points, "data point"),
        ),
    };
    let time = format_duration(tally.since.elapsed());
    let mut text = format!("\n{} in {time}\n", paint(Style::Bold, &received));
    text.push_str(&services(tally));
    text.push_str(&counted_list("responses of the upstream endpoint", Style::Bold, tally.answers.iter()));
    text.push_str(&counted_list("invalid requests", Style::Warning, tally.malformed.iter()));
    text.push_str(&counted_list("empty requests and unknown keys", Style::Warning, tally.remarks.iter()));
    let anomalies = anomalies(&tally.anomalies, spans > 0);
    let anomalies = anomalies.iter().map(|(text, number)| (text, number));
    text.push_str(&counted_list("worth a look", Style::Warning, anomalies));
    text
}

/// Formats a table of the items of each service.
fn services(tally: &Tally) -> String {
    if tally.services.is_empty() {
        return String::new();
    }
    let mut table = LevelTable::new(&["SERVICE"]);
    for (service, counts) in &tally.services {
        table.add(&[(service, "(no service)")], counts.levels, counts.spans, counts.points);
    }
    table.render(usize::MAX)
}

/// Describes each anomaly with its finding code and its number.
fn anomalies(anomalies: &Anomalies, has_spans: bool) -> Vec<(String, u64)> {
    let rows = [
        (
            // Records without a trace are normal if nothing is traced.
            if has_spans { anomalies.without_trace } else { 0 },
            "log record",
            "without a trace id, although spans were received",
            &kind::LOGS_WITHOUT_TRACE,
        ),
        (anomalies.without_message, "log record", "without a message", &kind::UNREADABLE_RECORD),
        (anomalies.without_time, "log record", "without a time (many backends store them as 1970)", &kind::TIME_ZERO),
        (
            anomalies.only_observed,
            "log record",
            "with only an observed time: have the collector copy observed_time",
            &kind::TIME_ZERO,
        ),
        (anomalies.without_service, "item", "without service.name: set OTEL_SERVICE_NAME", &kind::SERVICE_UNKNOWN),
        (
            anomalies.unknown_service,
            "item",
            "with the service.name `unknown_service`: set OTEL_SERVICE_NAME",
            &kind::SERVICE_UNKNOWN,
        ),
    ];
    let rows = rows.into_iter().filter(|(number, ..)| *number > 0);
    rows.map(|(number, noun, what, kind)| {
        let plural = if number == 1 { "" } else { "s" };
        (format!("{noun}{plural} {what} [{}]", kind.code), number)
    })
    .collect()
}
