//! What came in, at the end.

use std::fmt::Write as _;

use indicatif::HumanCount;

use crate::command::inlet::{Levels, Oddities, Tally};
use crate::command::terminal::{Look, lasted, paint, plain, table};
use logbridge::internals::finding::kind;

/// Limits how many rows a section shows; the most frequent come first.
const ROWS: usize = 20;

/// In lines.
pub(super) fn text(tally: &Tally) -> String {
    let [logs, spans, points] = tally.items();
    let requests: u64 = tally.requests.values().sum();
    let time = lasted(tally.since.elapsed());
    let came = match requests {
        0 => "nothing came in".to_owned(),
        number => format!(
            "{}: {}, {}, {}",
            many(number, "request"),
            many(logs, "log record"),
            many(spans, "span"),
            many(points, "data point"),
        ),
    };
    let mut text = format!("\n{} in {time}\n", paint(Look::Bold, &came));
    text.push_str(&services(tally));
    section(&mut text, "answers of the upstream", Look::Bold, tally.answers.iter());
    section(&mut text, "not read", Look::Warning, tally.malformed.iter());
    section(&mut text, "read, and not understood", Look::Warning, tally.remarks.iter());
    let odd: Vec<(String, u64)> = odd(&tally.oddities, spans > 0);
    section(&mut text, "worth a look", Look::Warning, odd.iter().map(|(what, number)| (what, number)));
    text
}

fn many(number: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

fn section<'a>(text: &mut String, heading: &str, look: Look, rows: impl Iterator<Item = (&'a String, &'a u64)>) {
    let mut rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    let _infallible = writeln!(text, "\n{}", paint(look, heading));
    let width = rows.first().map_or(0, |(_, number)| HumanCount(**number).to_string().len());
    let others: u64 = rows.iter().skip(ROWS).map(|(_, number)| **number).sum();
    for (what, number) in rows.into_iter().take(ROWS) {
        let _infallible = writeln!(text, "  {:>width$}  {}", HumanCount(*number).to_string(), plain(what));
    }
    if others > 0 {
        let _infallible = writeln!(text, "  and {} others", HumanCount(others));
    }
}

/// A table: what each service sent, with a column for each level that there was.
fn services(tally: &Tally) -> String {
    if tally.services.is_empty() {
        return String::new();
    }
    // The most severe first, as one looks for it first.
    let levels: Vec<usize> = (0..Levels::NAMES.len())
        .rev()
        .filter(|level| tally.services.values().any(|service| service.levels.0.get(*level) > Some(&0)))
        .collect();
    let mut rows = vec![["SERVICE".to_owned(), "LOGS".to_owned()].to_vec()];
    let name = |level: &usize| Levels::NAMES.get(*level).copied().unwrap_or_default().to_uppercase();
    if let Some(head) = rows.first_mut() {
        head.extend(levels.iter().map(name));
        head.extend(["SPANS".to_owned(), "METRICS".to_owned()]);
    }
    let count = |number: u64| if number == 0 { "·".to_owned() } else { HumanCount(number).to_string() };
    for (service, sent) in &tally.services {
        let mut row = vec![if service.is_empty() { "(no service)".to_owned() } else { plain(service) }];
        row.push(count(sent.levels.all()));
        row.extend(levels.iter().map(|level| count(sent.levels.0.get(*level).copied().unwrap_or_default())));
        row.extend([count(sent.spans), count(sent.points)]);
        rows.push(row);
    }
    table(&rows, 1)
}

/// What deserves a look, with the code that `logbridge explain` knows. That records have no trace is only odd where there
/// are traces.
fn odd(odd: &Oddities, has_spans: bool) -> Vec<(String, u64)> {
    let rows = [
        (
            if has_spans { odd.without_trace } else { 0 },
            "log record",
            "without a trace id, while spans came",
            &kind::LOGS_WITHOUT_TRACE,
        ),
        (odd.without_message, "log record", "without a message", &kind::UNREADABLE_RECORD),
        (odd.without_time, "log record", "without a time (many stores take that for 1970)", &kind::TIME_ZERO),
        (
            odd.only_observed,
            "log record",
            "with the observed time only: have the collector copy observed_time",
            &kind::TIME_ZERO,
        ),
        (odd.without_service, "item", "without service.name: set OTEL_SERVICE_NAME", &kind::SERVICE_UNKNOWN),
        (odd.unknown_service, "item", "of `unknown_service`: set OTEL_SERVICE_NAME", &kind::SERVICE_UNKNOWN),
    ];
    let rows = rows.into_iter().filter(|(number, ..)| *number > 0);
    rows.map(|(number, noun, what, kind)| {
        let plural = if number == 1 { "" } else { "s" };
        (format!("{noun}{plural} {what} [{}]", kind.code), number)
    })
    .collect()
}
