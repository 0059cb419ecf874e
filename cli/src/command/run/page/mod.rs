//! The account as one page of HTML: nothing of it is loaded from anywhere, and nothing in it runs.
//!
//! Constraints:
//! * All text comes from outside (targets, messages of servers, arguments): each goes through [`Escaped`].
//! * No script, and a policy that would not let one run.

mod flow;
mod timeline;

use std::fmt::{self, Write as _};

use indicatif::HumanCount;

use super::account::{Account, ItemOutcome};
use super::evidence::Scope;
use super::reports::Program;
use super::text::{UNMATCHED, many, sums};
use crate::command::inlet::Levels;
use crate::command::terminal::{lasted, plain};
use logbridge::internals::escape::is_unsafe;
use logbridge::internals::finding::{Finding, Kind};

/// How it looks, in the light and in the dark.
const STYLE: &str = include_str!("style.css");

/// So many rows are looked at.
const ROWS: usize = 60;

/// A text in HTML, also within quotes.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_str(" ")?,
                // Marks of direction would turn what stands behind them around.
                other if is_unsafe(other) => write!(f, "{}", other.escape_default())?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A sentence in which code stands between backticks.
struct Prose<'a>(&'a str);

impl fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.0.split('`').collect();
        for (index, part) in parts.iter().enumerate() {
            match index % 2 {
                0 => write!(f, "{}", Escaped(part))?,
                // One without its partner is a backtick.
                _ if index + 1 == parts.len() => write!(f, "`{}", Escaped(part))?,
                _ => write!(f, "<code>{}</code>", Escaped(part))?,
            }
        }
        Ok(())
    }
}

/// A number with separators between thousands.
pub(super) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// The whole page.
pub(super) fn of(account: &Account) -> String {
    let mut page = String::new();
    let _infallible = write_page(&mut page, account);
    page
}

fn write_page(page: &mut String, account: &Account) -> fmt::Result {
    let command = Escaped(&account.command);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>Where the records of {command} went</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )?;
    let ended = &account.ended;
    let class = if ended.code == Some(0) { "good" } else { "bad" };
    let words = ended.words();
    write!(
        page,
        "<header>\n<p class=\"eyebrow\">logbridge run</p>\n<h1><code>{command}</code></h1>\n\
         <p><span class=\"badge {class}\">{}</span> after {}: {}.{}</p>\n</header>\n",
        Escaped(&words),
        Escaped(&lasted(ended.took)),
        Escaped(&sums(account)),
        account
            .upstream
            .as_ref()
            .map_or_else(String::new, |upstream| format!(" Passed on to <code>{}</code>.", Escaped(upstream))),
    )?;
    tiles(page, account)?;
    findings(page, &account.findings)?;
    let flows = account.flows();
    page.push_str("<section>\n<h2>Where log records went</h2>\n<p class=\"hint\">From the target that logged them, by level, to what became of them.</p>\n");
    match flows.is_empty() {
        true => page.push_str("<p class=\"empty\">No log record is known of.</p>\n"),
        false => flow::draw(page, &flows)?,
    }
    page.push_str("</section>\n<section>\n<h2>When it came in</h2>\n");
    timeline::draw(page, &account.evidence.timeline)?;
    page.push_str("</section>\n");
    arrived(page, account)?;
    for program in &account.programs {
        of_program(page, program)?;
    }
    let tally = &account.evidence.tally;
    numbers(page, "Answers of the endpoint", tally.answers.iter())?;
    numbers(page, "Requests that could not be read", tally.malformed.iter())?;
    page.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

/// The few numbers that one looks for first.
fn tiles(page: &mut String, account: &Account) -> fmt::Result {
    let sum = |wanted: fn(&ItemOutcome) -> bool| -> u64 {
        account.flows().iter().filter(|flow| wanted(&flow.fate)).map(|flow| flow.records).sum()
    };
    let [_, [spans, lost_spans], [points, _]] = account.evidence.sent_and_lost();
    let rejected = account.rejected_in_part();
    let offered: u64 = account.programs.iter().map(|program| program.offered).sum();
    let lost = sum(|fate| matches!(fate, ItemOutcome::Refused(_) | ItemOutcome::Dropped(_))) + rejected;
    let arrived = sum(|fate| matches!(fate, ItemOutcome::Arrived | ItemOutcome::Partly)).saturating_sub(rejected);
    page.push_str("<dl class=\"tiles\">\n");
    for (class, words, number, is_shown) in [
        ("", "log records offered", offered, !account.programs.is_empty()),
        ("below", "below their level", sum(|fate| *fate == ItemOutcome::Below), !account.programs.is_empty()),
        ("arrived", "log records arrived", arrived, true),
        ("refused", "refused or dropped", lost, true),
        ("pending", "left waiting", sum(|fate| *fate == ItemOutcome::Pending), !account.programs.is_empty()),
        ("", "spans", spans, true),
        ("refused", "spans not taken", lost_spans, lost_spans > 0),
        ("", "data points", points, points > 0),
    ] {
        if is_shown {
            let class = if number == 0 { "none" } else { class };
            writeln!(page, "<div class=\"{class}\"><dt>{words}</dt><dd>{}</dd></div>", count(number))?;
        }
    }
    let unread: u64 = account.evidence.tally.malformed.values().sum();
    if unread > 0 {
        writeln!(page, "<div class=\"refused\"><dt>requests not read</dt><dd>{}</dd></div>", count(unread))?;
    }
    page.push_str("</dl>\n");
    Ok(())
}

fn findings(page: &mut String, all: &[Finding]) -> fmt::Result {
    page.push_str("<section>\n<h2>What deserves a look</h2>\n");
    if all.is_empty() {
        page.push_str("<p class=\"empty\">Nothing: all is as it should be.</p>\n");
    }
    for finding in all {
        write!(
            page,
            "<article class=\"finding {0}\">\n<h3><span class=\"badge {0}\">{0}</span> {1}: {2}</h3>\n",
            finding.severity,
            Escaped(&finding.place),
            Prose(&finding.text),
        )?;
        if let Some(help) = &finding.help {
            writeln!(page, "<p><b>What to do:</b> {}</p>", Prose(help))?;
        }
        if let Some(kind) = Kind::of(finding.code) {
            writeln!(
                page,
                "<details><summary>{}: {}</summary><p>{}</p><p>{}</p><p><b>How to fix:</b> {}</p><p><b>Example:</b> {}</p>\
                 </details>",
                Escaped(kind.code),
                Prose(kind.title),
                Prose(kind.effect),
                Prose(kind.cause),
                Prose(kind.fix),
                Prose(kind.example),
            )?;
        }
        page.push_str("</article>\n");
    }
    page.push_str("</section>\n");
    Ok(())
}

/// A table of what came from where.
fn arrived(page: &mut String, account: &Account) -> fmt::Result {
    let mut rows = Vec::new();
    for (service, scopes) in &account.evidence.services {
        rows.extend(scopes.iter().map(|(name, scope)| (service, name, scope)));
    }
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_by_key(|(.., scope)| std::cmp::Reverse(scope.logs().all() + scope.spans + scope.points));
    // The most severe first, and only what there is some of.
    let names = Levels::NAMES.into_iter().rev().chain(["refused", "spans", "data points"]);
    let numbers = |scope: &Scope| -> Vec<u64> {
        scope.logs().0.into_iter().rev().chain([scope.refused.all(), scope.spans, scope.points]).collect()
    };
    let is_some =
        |column: usize| rows.iter().any(|(.., scope)| numbers(scope).get(column).is_some_and(|number| *number > 0));
    let columns: Vec<(usize, &str)> = names.enumerate().filter(|(column, _)| is_some(*column)).collect();
    page.push_str(
        "<section>\n<h2>What came in</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>Service</th><th>Scope</th>",
    );
    for (_, name) in &columns {
        write!(page, "<th class=\"n\">{name}</th>")?;
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for (service, name, scope) in rows.iter().take(ROWS) {
        let or = |text: &str, nothing: &str| if text.is_empty() { nothing.to_owned() } else { plain(text) };
        let (service, name) = (or(service, "(no service)"), or(name, "(no scope)"));
        write!(page, "<tr><td>{}</td><td class=\"long\"><code>{}</code></td>", Escaped(&service), Escaped(&name))?;
        let all = numbers(scope);
        for (column, _) in &columns {
            match all.get(*column).copied().unwrap_or_default() {
                0 => page.push_str("<td class=\"n none\">·</td>"),
                number => write!(page, "<td class=\"n\">{}</td>", count(number))?,
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n</section>\n");
    Ok(())
}

/// What a program with logbridge says of itself.
fn of_program(page: &mut String, program: &Program) -> fmt::Result {
    let otlp = &program.otlp;
    let name = [&program.service, &program.executable].into_iter().find(|name| !name.is_empty());
    let name = name.map_or("A program", |name| name.as_str());
    writeln!(page, "<section>\n<h2>What {} (process {}) says of its log records</h2>", Escaped(name), program.pid)?;
    if !otlp.off_because.is_empty() {
        writeln!(page, "<p class=\"empty\">It sends nothing: {}</p>", Escaped(&otlp.off_because))?;
    }
    let numbers = [
        ("offered", program.offered),
        ("below their level", program.below_levels()),
        (UNMATCHED, program.unmatched()),
        ("accepted", otlp.accepted),
        ("adopted from earlier runs", otlp.adopted),
        ("delivered", otlp.delivered),
        ("not confirmed", otlp.unconfirmed),
        ("still waiting at the end", otlp.pending),
    ];
    let mut words: Vec<String> = Vec::new();
    let reasons = [("rejected", &otlp.rejected), ("dropped", &otlp.dropped)];
    let reasons = reasons
        .into_iter()
        .flat_map(|(what, all)| all.iter().map(move |(why, number)| (format!("{what} ({why})"), *number)));
    for (what, number) in numbers.into_iter().map(|(what, number)| (what.to_owned(), number)).chain(reasons) {
        if number > 0 {
            words.push(format!("{} {what}", count(number)));
        }
    }
    writeln!(
        page,
        "<p>{}.</p>",
        Escaped(&if words.is_empty() { "nothing was logged".to_owned() } else { words.join(", ") })
    )?;
    let cuts = program.cuts.iter().map(|cut| (cut, if cut.stage == "console" { "not on the console" } else { "cut" }));
    let cuts = cuts.chain(program.dropped.iter().map(|cut| (cut, "dropped")));
    let mut cuts: Vec<_> = cuts.collect();
    cuts.sort_by_key(|(cut, _)| std::cmp::Reverse(cut.records));
    if !cuts.is_empty() {
        page.push_str("<div class=\"wide\"><table>\n<thead><tr><th class=\"n\">Records</th><th>Target</th><th>Level</th><th>What</th><th>By</th></tr></thead>\n<tbody>\n");
        for (cut, what) in cuts.into_iter().take(ROWS) {
            writeln!(
                page,
                "<tr><td class=\"n\">{}</td><td class=\"text\"><code>{}</code></td><td>{}</td><td>{what}</td><td class=\"text\"><code>{}</code></td></tr>",
                count(cut.records),
                Escaped(&cut.target),
                Escaped(&cut.level),
                Escaped(&cut.by),
            )?;
        }
        page.push_str("</tbody></table></div>\n");
    }
    for found in &program.findings {
        writeln!(
            page,
            "<p><code>{}</code> {}: {}</p>",
            Escaped(&found.code),
            Escaped(&found.place),
            Escaped(&found.text)
        )?;
        if !found.help.is_empty() {
            writeln!(page, "<p class=\"hint\">{}</p>", Prose(&found.help))?;
        }
    }
    for notice in &program.notices {
        writeln!(page, "<p class=\"hint\">{}</p>", Prose(notice))?;
    }
    page.push_str("</section>\n");
    Ok(())
}

/// Texts with how often each came; nothing where there are none.
fn numbers<'a>(page: &mut String, heading: &str, all: impl Iterator<Item = (&'a String, &'a u64)>) -> fmt::Result {
    let mut all: Vec<_> = all.collect();
    if all.is_empty() {
        return Ok(());
    }
    all.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    writeln!(page, "<section>\n<h2>{heading}</h2>\n<ul>")?;
    for (text, number) in all.into_iter().take(ROWS) {
        writeln!(page, "<li>{}: {}</li>", many(*number, "time"), Prose(text))?;
    }
    page.push_str("</ul>\n</section>\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::child::Ended;
    use super::super::evidence::Evidence;
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let hostile = "<script>alert(1)</script>\" onload='x' & \u{202e}\n\u{1b}[2J";
        let escaped = Escaped(hostile).to_string();
        let all: String = ('\0'..=char::MAX).filter(|character| is_unsafe(*character)).collect();
        assert!(!Escaped(&all).to_string().contains(is_unsafe));
        assert_eq!(escaped, r"&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#39;x&#39; &amp; \u{202e} \u{1b}[2J");
    }

    #[test]
    fn code_stands_between_backticks() {
        assert_eq!(Prose("set `A<b>` to 1").to_string(), "set <code>A&lt;b&gt;</code> to 1");
        assert_eq!(Prose("a ` alone").to_string(), "a ` alone");
        assert_eq!(Prose("`a` and `b").to_string(), "<code>a</code> and `b");
    }

    #[test]
    fn an_account_of_nothing_is_a_page() {
        let account =
            Account::new("true <x>".to_owned(), Ended { code: Some(0), ..Ended::default() }, None, Evidence::new());
        let page = of(&account);
        assert!(page.contains("<h1><code>true &lt;x&gt;</code></h1>"), "{page}");
        assert!(page.contains("No log record is known of.") && page.ends_with("</html>\n"), "{page}");
        assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "{page}");
    }
}
