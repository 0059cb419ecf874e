//! Numbers in sentences and lists.

use std::fmt::Write as _;

use indicatif::HumanCount;

use super::terminal::{Style, paint, sanitize};

/// Limits how many rows a list shows.
pub(super) const MAX_ROWS: usize = 20;

/// Formats a number with its noun: `1 record`, `1,204 records`.
pub(super) fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

/// Formats a heading and a list of texts with their counts, most frequent first. An empty list has no heading.
pub(super) fn counted_list<'a>(
    heading: &str,
    style: Style,
    entries: impl Iterator<Item = (&'a String, &'a u64)>,
) -> String {
    let mut entries: Vec<_> = entries.collect();
    if entries.is_empty() {
        return String::new();
    }
    entries.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    let mut list = format!("\n{}\n", paint(style, heading));
    let width = entries.first().map_or(0, |(_, number)| HumanCount(**number).to_string().len());
    let others: u64 = entries.iter().skip(MAX_ROWS).map(|(_, number)| **number).sum();
    for (text, number) in entries.into_iter().take(MAX_ROWS) {
        let _infallible = writeln!(list, "  {:>width$}  {}", HumanCount(*number).to_string(), sanitize(text));
    }
    if others > 0 {
        let _infallible = writeln!(list, "  and {} others", HumanCount(others));
    }
    list
}
