//! The report as text.

use std::fmt::Write as _;
use std::path::Path;

use indicatif::HumanCount;

use super::program_reports::{ProgramReport, StoppedRecords};
use super::report::RunReport;
use super::wording::{UNMATCHED, totals};
use crate::command::findings;
use crate::command::level_table::LevelTable;
use crate::command::terminal::{Style, format_duration, paint, sanitize};
use crate::command::wording::{MAX_ROWS, counted_list, plural};

/// Formats the report.
pub(super) fn render(report: &RunReport) -> String {
    let mut text = format!("\n{}\n", headline(report));
    text.push_str(&arrived(report));
    for program in &report.programs {
        text.push_str(&of_program(program));
    }
    let tally = &report.observations.tally;
    if let Some(upstream) = &report.upstream {
        let heading = format!("responses of {}", sanitize(upstream));
        text.push_str(&counted_list(&heading, Style::Bold, tally.answers.iter()));
    }
    text.push_str(&counted_list("invalid requests", Style::Warning, tally.malformed.iter()));
    for finding in &report.findings {
        text.push_str(&format!("\n{}", findings::render(finding)));
    }
    text
}

/// Formats the message that the page was written.
pub(super) fn page_written(path: &Path) -> String {
    format!("\n{}  {}\n", paint(Style::Bold, "written"), sanitize(&path.display().to_string()))
}

fn headline(report: &RunReport) -> String {
    let ended = &report.ended;
    let took = format_duration(ended.took);
    let style = if ended.code == Some(0) { Style::Bold } else { Style::Warning };
    let words = paint(style, &format!("`{}` {}", sanitize(&report.command), ended.words()));
    format!("logbridge: {words} after {took}: {}", totals(report))
}

/// Formats a table of the items of each scope, the largest first.
fn arrived(report: &RunReport) -> String {
    let services = report.observations.services.iter();
    let scopes =
        services.flat_map(|(service, scopes)| scopes.iter().map(move |(name, counts)| (service, name, counts)));
    let mut scopes: Vec<_> = scopes.collect();
    if scopes.is_empty() {
        return String::new();
    }
    scopes.sort_by_key(|(.., counts)| std::cmp::Reverse(counts.logs().total() + counts.spans + counts.points));
    let others = scopes.len().saturating_sub(MAX_ROWS);
    let mut table = LevelTable::new(&["SERVICE", "SCOPE"]);
    for (service, name, counts) in scopes {
        let names = [(service.as_str(), "(no service)"), (name.as_str(), "(no scope)")];
        table.add(&names, counts.logs(), counts.spans, counts.points);
    }
    let mut text = format!("\n{}", table.render(MAX_ROWS));
    if others > 0 {
        let _infallible = writeln!(text, "  and {}", plural(others as u64, "other scope"));
    }
    text
}

/// Formats the report of a program with logbridge.
fn of_program(program: &ProgramReport) -> String {
    let otlp = &program.otlp;
    let name = [&program.service, &program.executable].into_iter().find(|name| !name.is_empty());
    let name = name.map_or("a program", |name| name.as_str());
    let mut text = format!(
        "\n{}: outcome of log records\n",
        paint(Style::Bold, &sanitize(&format!("{name} (process {})", program.pid)))
    );
    let mut row = |style: Style, number: u64, what: &str| {
        if number > 0 {
            let what = paint(style, &sanitize(what));
            let _infallible = writeln!(text, "  {:>9}  {what}", HumanCount(number).to_string());
        }
    };
    row(Style::Bold, program.offered, "offered");
    row(Style::Dim, program.below_levels(), "below their level");
    row(Style::Dim, program.unmatched(), UNMATCHED);
    row(Style::Dim, otlp.suppressed, "suppressed");
    row(Style::Dim, otlp.unsampled, "in traces that were not sampled");
    row(Style::Dim, otlp.repeated, "repeated too often");
    row(Style::Bold, otlp.accepted, "accepted");
    row(Style::Bold, otlp.adopted, "recovered from earlier runs");
    row(Style::Success, otlp.delivered, "delivered");
    row(Style::Warning, otlp.unconfirmed, "unconfirmed");
    otlp.rejected.iter().for_each(|(reason, number)| row(Style::Error, *number, &format!("rejected: {reason}")));
    otlp.dropped.iter().for_each(|(reason, number)| row(Style::Error, *number, &format!("dropped: {reason}")));
    row(Style::Warning, otlp.pending, "pending at the end");
    if !otlp.off_because.is_empty() {
        let off = sanitize(&format!("sends nothing: {}", otlp.off_because));
        let _infallible = writeln!(text, "  {}", paint(Style::Warning, &off));
    }
    text.push_str(&filtered(&program.filtered));
    for finding in &program.findings {
        let code = if finding.code.is_empty() { String::new() } else { format!("[{}]", finding.code) };
        let line = format!("{}{code}: {}: {}", finding.severity, finding.place, finding.text);
        let _infallible = writeln!(text, "  {}", sanitize(&line));
    }
    text
}

/// Formats the filtered records by target and directive, most frequent first.
fn filtered(all: &[StoppedRecords]) -> String {
    let mut text = String::new();
    let mut all: Vec<&StoppedRecords> = all.iter().collect();
    all.sort_by_key(|stopped| std::cmp::Reverse(stopped.records));
    for StoppedRecords { stage, target, level, records, by } in all.into_iter().take(MAX_ROWS) {
        let what = if stage == "console" { "not on the console:" } else { "filtered:" };
        let line = format!("{target} at {} by {by}", level.to_uppercase());
        let (number, what) = (HumanCount(*records).to_string(), paint(Style::Dim, what));
        let _infallible = writeln!(text, "  {number:>9}  {what} {}", sanitize(&line));
    }
    text
}
