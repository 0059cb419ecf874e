//! The account in lines.

use std::fmt::Write as _;
use std::path::Path;

use indicatif::HumanCount;

use super::account::Account;
use super::evidence::Scope;
use super::reports::{Cut, Program};
use crate::command::findings;
use crate::command::inlet::Levels;
use crate::command::terminal::{Look, lasted, paint, plain, table as table_of};

/// The outcome of records that a text filter stopped.
pub(super) const UNMATCHED: &str = "did not match the text filter";

/// So many rows of a table are looked at; the others are one row.
const ROWS: usize = 20;

pub(super) fn of(account: &Account) -> String {
    let mut text = format!("\n{}\n", head(account));
    text.push_str(&arrived(account));
    for program in &account.programs {
        text.push_str(&of_program(program));
    }
    let tally = &account.evidence.tally;
    let answers = account.upstream.as_ref().map(|upstream| format!("answers of {}", plain(upstream)));
    rows(&mut text, &answers.unwrap_or_default(), Look::Bold, tally.answers.iter());
    rows(&mut text, "not read", Look::Warning, tally.malformed.iter());
    for found in &account.findings {
        text.push_str(&format!("\n{}", findings::shown(found)));
    }
    text
}

pub(super) fn written(path: &Path) -> String {
    format!("\n{}  {}\n", paint(Look::Bold, "written"), plain(&path.display().to_string()))
}

pub(super) fn many(number: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

/// So many log records, spans and data points, in words; `None` for nothing.
pub(super) fn items(numbers: [u64; 3]) -> Option<String> {
    let parts = numbers.into_iter().zip(["log record", "span", "data point"]).filter(|(number, _)| *number > 0);
    listed(&parts.map(|(number, what)| many(number, what)).collect::<Vec<_>>())
}

/// As one says a list; `None` for nothing.
pub(super) fn listed(parts: &[String]) -> Option<String> {
    match parts.split_last()? {
        (last, []) => Some(last.clone()),
        (last, first) => Some(format!("{} and {last}", first.join(", "))),
    }
}

/// What came in, and what the endpoint took of it, in words.
pub(super) fn sums(account: &Account) -> String {
    let numbers = account.evidence.sent_and_lost();
    let Some(sent) = items(numbers.map(|[sent, _]| sent)) else { return "nothing arrived".to_owned() };
    if account.upstream.is_none() {
        return format!("{sent} came in");
    }
    let taken = numbers.map(|[sent, lost]| sent.saturating_sub(lost));
    let taken = match items(taken) {
        _ if numbers.iter().all(|[_, lost]| *lost == 0) => "all".to_owned(),
        None => "none".to_owned(),
        Some(some) => some,
    };
    format!("{sent} sent by the program, {taken} taken by the endpoint")
}

fn head(account: &Account) -> String {
    let ended = &account.ended;
    let took = lasted(ended.took);
    let look = if ended.code == Some(0) { Look::Bold } else { Look::Warning };
    let words = paint(look, &format!("`{}` {}", plain(&account.command), ended.words()));
    format!("logbridge: {words} after {took}: {}", sums(account))
}

fn rows<'a>(text: &mut String, heading: &str, look: Look, all: impl Iterator<Item = (&'a String, &'a u64)>) {
    let mut all: Vec<_> = all.collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    let _infallible = writeln!(text, "\n{}", paint(look, heading));
    let width = all.first().map_or(0, |(_, number)| HumanCount(**number).to_string().len());
    let others: u64 = all.iter().skip(ROWS).map(|(_, number)| **number).sum();
    for (what, number) in all.into_iter().take(ROWS) {
        let _infallible = writeln!(text, "  {:>width$}  {}", HumanCount(*number).to_string(), plain(what));
    }
    if others > 0 {
        let _infallible = writeln!(text, "  and {} others", HumanCount(others));
    }
}

/// A table of what came from where.
fn arrived(account: &Account) -> String {
    let mut all: Vec<(&String, &String, &Scope, Levels)> = Vec::new();
    for (service, scopes) in &account.evidence.services {
        for (name, scope) in scopes {
            all.push((service, name, scope, scope.logs()));
        }
    }
    if all.is_empty() {
        return String::new();
    }
    let number = |(_, _, scope, levels): &(&String, &String, &Scope, Levels)| levels.all() + scope.spans + scope.points;
    all.sort_by_key(|row| std::cmp::Reverse(number(row)));
    let at = |levels: &Levels, level: usize| levels.0.get(level).copied().unwrap_or_default();
    let levels: Vec<usize> =
        (0..Levels::NAMES.len()).rev().filter(|level| all.iter().any(|(.., levels)| at(levels, *level) > 0)).collect();
    let count = |number: u64| if number == 0 { "·".to_owned() } else { HumanCount(number).to_string() };
    let mut head = vec!["SERVICE".to_owned(), "SCOPE".to_owned(), "LOGS".to_owned()];
    head.extend(levels.iter().map(|level| Levels::NAMES.get(*level).copied().unwrap_or_default().to_uppercase()));
    head.extend(["SPANS".to_owned(), "METRICS".to_owned()]);
    let mut table = vec![head];
    let rest = all.len().saturating_sub(ROWS);
    for (service, name, scope, sums) in all.into_iter().take(ROWS) {
        let or = |text: &str, nothing: &str| if text.is_empty() { nothing.to_owned() } else { plain(text) };
        let mut row = vec![or(service, "(no service)"), or(name, "(no scope)"), count(sums.all())];
        row.extend(levels.iter().map(|level| count(at(&sums, *level))));
        row.extend([count(scope.spans), count(scope.points)]);
        table.push(row);
    }
    let mut text = format!("\n{}", table_of(&table, 2));
    if rest > 0 {
        let _infallible = writeln!(text, "  and {}", many(rest as u64, "other scope"));
    }
    text
}

/// What a program with logbridge says of its records.
fn of_program(program: &Program) -> String {
    let otlp = &program.otlp;
    let name = [&program.service, &program.executable].into_iter().find(|name| !name.is_empty());
    let name = name.map_or("a program", |name| name.as_str());
    let mut text = format!(
        "\n{} says of its log records\n",
        paint(Look::Bold, &plain(&format!("{name} (process {})", program.pid)))
    );
    let mut row = |look: Look, number: u64, what: &str| {
        let _infallible = writeln!(text, "  {:>9}  {}", HumanCount(number).to_string(), paint(look, &plain(what)));
    };
    let mut some = |look: Look, number: u64, what: &str| {
        if number > 0 {
            row(look, number, what);
        }
    };
    some(Look::Bold, program.offered, "offered");
    some(Look::Dim, program.below_levels(), "below their level");
    some(Look::Dim, program.unmatched(), UNMATCHED);
    some(Look::Dim, otlp.suppressed, "suppressed");
    some(Look::Dim, otlp.unsampled, "of traces that were not sampled");
    some(Look::Dim, otlp.repeated, "repeated too often");
    some(Look::Bold, otlp.accepted, "accepted");
    some(Look::Bold, otlp.adopted, "adopted from earlier runs");
    some(Look::Good, otlp.delivered, "delivered");
    some(Look::Warning, otlp.unconfirmed, "sent, and not confirmed");
    otlp.rejected.iter().for_each(|(reason, number)| some(Look::Bad, *number, &format!("rejected: {reason}")));
    otlp.dropped.iter().for_each(|(reason, number)| some(Look::Bad, *number, &format!("dropped: {reason}")));
    some(Look::Warning, otlp.pending, "still waiting at the end");
    if !otlp.off_because.is_empty() {
        let _infallible =
            writeln!(text, "  {}", paint(Look::Warning, &plain(&format!("it sends nothing: {}", otlp.off_because))));
    }
    cuts(&mut text, &program.cuts);
    for found in &program.findings {
        let code = if found.code.is_empty() { String::new() } else { format!("[{}]", found.code) };
        let line = format!("{}{code}: {}: {}", found.severity, found.place, found.text);
        let _infallible = writeln!(text, "  {}", plain(&line));
    }
    text
}

/// The most of what was cut, by where and by what.
fn cuts(text: &mut String, all: &[Cut]) {
    let mut all: Vec<&Cut> = all.iter().collect();
    all.sort_by_key(|cut| std::cmp::Reverse(cut.records));
    for Cut { stage, target, level, records, by } in all.into_iter().take(ROWS) {
        let what = if stage == "console" { "not on the console:" } else { "cut:" };
        let line = format!("{target} at {} by {by}", level.to_uppercase());
        let _infallible =
            writeln!(text, "  {:>9}  {} {}", HumanCount(*records).to_string(), paint(Look::Dim, what), plain(&line));
    }
}
