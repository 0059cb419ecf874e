//! A table of received items with a column for each level that occurs.

use indicatif::HumanCount;

use super::intake::LevelCounts;
use super::terminal::{sanitize, table};

#[derive(Debug)]
pub(super) struct LevelTable {
    headings: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    names: Vec<String>,
    levels: LevelCounts,
    spans: u64,
    points: u64,
}

impl LevelTable {
    /// Creates a table with these columns before the numbers.
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { headings: headings.iter().map(|heading| (*heading).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row. Each name has a placeholder that is shown if the name is empty.
    pub(super) fn add(&mut self, names: &[(&str, &str)], levels: LevelCounts, spans: u64, points: u64) {
        let name = |(name, placeholder): &(&str, &str)| match name.is_empty() {
            true => (*placeholder).to_owned(),
            false => sanitize(name),
        };
        self.rows.push(Row { names: names.iter().map(name).collect(), levels, spans, points });
    }

    /// Formats the first rows.
    pub(super) fn render(&self, max_rows: usize) -> String {
        let level_name = |index: usize| LevelCounts::NAMES.get(index).copied().unwrap_or_default();
        let count = |number: u64| if number == 0 { "·".to_owned() } else { HumanCount(number).to_string() };
        // Readers look for the most severe level first.
        let levels: Vec<usize> = (0..LevelCounts::NAMES.len())
            .rev()
            .filter(|level| self.rows.iter().any(|row| row.levels.get(*level) > 0))
            .collect();
        let mut heading = self.headings.clone();
        heading.push("LOGS".to_owned());
        heading.extend(levels.iter().map(|level| level_name(*level).to_uppercase()));
        heading.extend(["SPANS".to_owned(), "METRICS".to_owned()]);
        let mut cells = vec![heading];
        for row in self.rows.iter().take(max_rows) {
            let mut line = row.names.clone();
            line.push(count(row.levels.total()));
            line.extend(levels.iter().map(|level| count(row.levels.get(*level))));
            line.extend([count(row.spans), count(row.points)]);
            cells.push(line);
        }
        table(&cells, self.headings.len())
    }
}
