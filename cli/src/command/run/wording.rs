//! Sentences that several forms of the report share.

use super::report::RunReport;
use crate::command::wording::plural;

/// The outcome of records that a message filter stopped.
pub(super) const UNMATCHED: &str = "did not match the text filter";

/// Formats numbers of log records, spans and data points. Returns `None` if all are zero.
pub(super) fn items(numbers: [u64; 3]) -> Option<String> {
    let parts = numbers.into_iter().zip(["log record", "span", "data point"]).filter(|(number, _)| *number > 0);
    join(&parts.map(|(number, noun)| plural(number, noun)).collect::<Vec<_>>())
}

/// Joins phrases with commas and `and`. Returns `None` if there are none.
pub(super) fn join(phrases: &[String]) -> Option<String> {
    match phrases.split_last()? {
        (last, []) => Some(last.clone()),
        (last, first) => Some(format!("{} and {last}", first.join(", "))),
    }
}

/// Formats what arrived and how much of it the endpoint accepted.
pub(super) fn totals(report: &RunReport) -> String {
    let numbers = report.observations.sent_and_lost();
    let Some(sent) = items(numbers.map(|[sent, _]| sent)) else { return "nothing arrived".to_owned() };
    if report.upstream.is_none() {
        return format!("received {sent}");
    }
    let accepted = match items(numbers.map(|[sent, lost]| sent.saturating_sub(lost))) {
        _ if numbers.iter().all(|[_, lost]| *lost == 0) => "all".to_owned(),
        None => "none".to_owned(),
        Some(some) => some,
    };
    format!("{sent} sent by the program, {accepted} accepted by the endpoint")
}
