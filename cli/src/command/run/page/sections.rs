//! The sections of the page that have no picture.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::markup::{Escaped, Prose, count};
use crate::command::intake::LevelCounts;
use crate::command::run::observations::{Observations, ScopeCounts};
use crate::command::run::outcomes::{Flow, RecordOutcome};
use crate::command::run::program_reports::ProgramReport;
use crate::command::run::report::RunReport;
use crate::command::run::wording::UNMATCHED;
use crate::command::terminal::sanitize;
use crate::command::wording::plural;
use logbridge::internals::finding::{Finding, Kind};

/// Limits the rows of a table.
const MAX_ROWS: usize = 60;

/// Renders the most important numbers.
pub(super) fn tiles(report: &RunReport, flows: &[Flow]) -> Markup {
    let sum = |wanted: fn(&RecordOutcome) -> bool| -> u64 {
        flows.iter().filter(|flow| wanted(&flow.outcome)).map(|flow| flow.records).sum()
    };
    let [_, [spans, lost_spans], [points, _]] = report.observations.sent_and_lost();
    let rejected = report.rejected_in_part();
    let has_programs = !report.programs.is_empty();
    let offered: u64 = report.programs.iter().map(|program| program.offered).sum();
    let lost = sum(|outcome| matches!(outcome, RecordOutcome::Refused(_) | RecordOutcome::Dropped(_))) + rejected;
    let arrived =
        sum(|outcome| matches!(outcome, RecordOutcome::Arrived | RecordOutcome::Partly)).saturating_sub(rejected);
    let invalid: u64 = report.observations.tally.malformed.values().sum();
    let tiles = [
        ("", "log records offered", offered, has_programs),
        ("below", "below their level", sum(|outcome| *outcome == RecordOutcome::Below), has_programs),
        ("arrived", "log records arrived", arrived, true),
        ("refused", "refused or dropped", lost, true),
        ("pending", "pending", sum(|outcome| *outcome == RecordOutcome::Pending), has_programs),
        ("", "spans", spans, true),
        ("refused", "spans not accepted", lost_spans, lost_spans > 0),
        ("", "data points", points, points > 0),
        ("refused", "invalid requests", invalid, invalid > 0),
    ];
    html! {
        dl.tiles { "\n"
            @for (class, name, number, _) in tiles.into_iter().filter(|(.., is_shown)| *is_shown) {
                div class=(if number == 0 { "none" } else { class }) { dt { (name) } dd { (count(number)) } } "\n"
            }
        }
    }
}

pub(super) fn findings(findings: &[Finding]) -> Markup {
    html! {
        section { "\n"
            h2 { "Findings" } "\n"
            @if findings.is_empty() { p.empty { "No findings." } "\n" }
            @for finding in findings { (render_finding(finding)) "\n" }
        }
    }
}

fn render_finding(finding: &Finding) -> Markup {
    let severity = finding.severity.to_string();
    html! {
        article class={ "finding " (severity) } { "\n"
            h3 {
                span class={ "badge " (severity) } { (severity) }
                " " (Escaped(&finding.place)) ": " (Prose(&finding.text))
            } "\n"
            @if let Some(help) = &finding.help { p { b { "Help:" } " " (Prose(help)) } "\n" }
            @if let Some(kind) = Kind::of(finding.code) {
                details {
                    summary { (Escaped(kind.code)) ": " (Prose(kind.title)) }
                    p { (Prose(kind.effect)) }
                    p { (Prose(kind.cause)) }
                    p { b { "How to fix:" } " " (Prose(kind.fix)) }
                    p { b { "Example:" } " " (Prose(kind.example)) }
                } "\n"
            }
        }
    }
}

/// Renders a table of the items of each scope, the largest first.
pub(super) fn arrived(observations: &Observations) -> Markup {
    let services = observations.services.iter();
    let rows = services.flat_map(|(service, scopes)| scopes.iter().map(move |(name, scope)| (service, name, scope)));
    let mut rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return html! {};
    }
    rows.sort_by_key(|(.., scope)| std::cmp::Reverse(scope.logs().total() + scope.spans + scope.points));
    // The most severe level comes first. Columns without a number are left out.
    let names = LevelCounts::NAMES.into_iter().rev().chain(["refused", "spans", "data points"]);
    let numbers = |scope: &ScopeCounts| -> Vec<u64> {
        scope.logs().0.into_iter().rev().chain([scope.refused.total(), scope.spans, scope.points]).collect()
    };
    let has_numbers =
        |column: usize| rows.iter().any(|(.., scope)| numbers(scope).get(column).is_some_and(|number| *number > 0));
    let columns: Vec<(usize, &str)> = names.enumerate().filter(|(column, _)| has_numbers(*column)).collect();
    let or = |text: &str, placeholder: &str| if text.is_empty() { placeholder.to_owned() } else { sanitize(text) };
    html! {
        section { "\n"
            h2 { "Received telemetry" } "\n"
            div.wide { table { "\n"
                thead { tr {
                    th { "Service" }
                    th { "Scope" }
                    @for (_, name) in &columns { th.n { (name) } }
                } } "\n"
                tbody { "\n"
                    @for (service, name, scope) in rows.iter().take(MAX_ROWS) {
                        @let numbers = numbers(scope);
                        tr {
                            td { (Escaped(&or(service, "(no service)"))) }
                            td.long { code { (Escaped(&or(name, "(no scope)"))) } }
                            @for (column, _) in &columns {
                                @match numbers.get(*column).copied().unwrap_or_default() {
                                    0 => td.n.none { "·" },
                                    number => td.n { (count(number)) },
                                }
                            }
                        } "\n"
                    }
                }
            } } "\n"
        } "\n"
    }
}

/// Renders the report of a program with logbridge.
pub(super) fn program(program: &ProgramReport) -> Markup {
    let name = [&program.service, &program.executable].into_iter().find(|name| !name.is_empty());
    let name = name.map_or("A program", |name| name.as_str());
    html! {
        section { "\n"
            h2 { (Escaped(name)) " (process " (program.pid) "): outcome of log records" } "\n"
            @if !program.otlp.off_because.is_empty() {
                p.empty { "Sends nothing: " (Escaped(&program.otlp.off_because)) } "\n"
            }
            p { (Escaped(&outcomes(program))) "." } "\n"
            (stopped_records(program))
            @for finding in &program.findings {
                p { code { (Escaped(&finding.code)) } " " (Escaped(&finding.place)) ": " (Escaped(&finding.text)) } "\n"
                @if !finding.help.is_empty() { p.hint { (Prose(&finding.help)) } "\n" }
            }
            @for notice in &program.notices { p.hint { (Prose(notice)) } "\n" }
        }
    }
}

/// Formats the numbers of records by outcome: `5 offered, 4 delivered, 1 dropped (overflow)`.
fn outcomes(program: &ProgramReport) -> String {
    let otlp = &program.otlp;
    let numbers = [
        ("offered", program.offered),
        ("below their level", program.below_levels()),
        (UNMATCHED, program.unmatched()),
        ("accepted", otlp.accepted),
        ("recovered from earlier runs", otlp.adopted),
        ("delivered", otlp.delivered),
        ("unconfirmed", otlp.unconfirmed),
        ("pending at the end", otlp.pending),
    ];
    let numbers = numbers.into_iter().map(|(what, number)| (what.to_owned(), number));
    let reasons = [("rejected", &otlp.rejected), ("dropped", &otlp.dropped)];
    let reasons = reasons
        .into_iter()
        .flat_map(|(what, all)| all.iter().map(move |(reason, number)| (format!("{what} ({reason})"), *number)));
    let phrases = numbers.chain(reasons).filter(|(_, number)| *number > 0);
    let phrases: Vec<String> = phrases.map(|(what, number)| format!("{} {what}", count(number))).collect();
    if phrases.is_empty() { "nothing was logged".to_owned() } else { phrases.join(", ") }
}

/// Renders a table of filtered and dropped records, the most frequent first.
fn stopped_records(program: &ProgramReport) -> Markup {
    let outcome = |stage: &str| if stage == "console" { "not on the console" } else { "filtered" };
    let filtered = program.filtered.iter().map(|stopped| (stopped, outcome(&stopped.stage)));
    let dropped = program.dropped.iter().map(|stopped| (stopped, "dropped"));
    let mut rows: Vec<_> = filtered.chain(dropped).collect();
    rows.sort_by_key(|(stopped, _)| std::cmp::Reverse(stopped.records));
    html! {
        @if !rows.is_empty() {
            div.wide { table { "\n"
                thead { tr {
                    th.n { "Records" }
                    th { "Target" }
                    th { "Level" }
                    th { "Outcome" }
                    th { "By" }
                } } "\n"
                tbody { "\n"
                    @for (stopped, outcome) in rows.into_iter().take(MAX_ROWS) {
                        tr {
                            td.n { (count(stopped.records)) }
                            td.text { code { (Escaped(&stopped.target)) } }
                            td { (Escaped(&stopped.level)) }
                            td { (outcome) }
                            td.text { code { (Escaped(&stopped.by)) } }
                        } "\n"
                    }
                }
            } } "\n"
        }
    }
}

/// Renders texts with their counts, the most frequent first. An empty list has no heading.
pub(super) fn counted_list(heading: &str, counts: &BTreeMap<String, u64>) -> Markup {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    html! {
        @if !counts.is_empty() {
            section { "\n"
                h2 { (heading) } "\n"
                ul { "\n"
                    @for (text, number) in counts.into_iter().take(MAX_ROWS) {
                        li { (plural(*number, "time")) ": " (Prose(text)) } "\n"
                    }
                } "\n"
            } "\n"
        }
    }
}
