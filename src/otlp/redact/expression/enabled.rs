//! Looks through text with the crate `regex`, whose time is linear in the text whatever the expression.

use std::fmt;
use std::ops::Range;

use regex::Regex;

#[derive(Clone)]
pub(super) struct Expression(Regex);

impl fmt::Debug for Expression {
    // Somebody may have written the secret itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expression")
    }
}

impl Expression {
    pub(super) fn new(expression: &str) -> Result<Self, String> {
        if expression.is_empty() {
            return Err("it is empty".to_owned());
        }
        Regex::new(expression).map(Self).map_err(|error| why(&error))
    }

    /// Adds what it matches. An empty match hides nothing.
    pub(super) fn find(&self, text: &str, matches: &mut Vec<Range<usize>>) {
        matches.extend(self.0.find_iter(text).map(|found| found.range()).filter(|range| !range.is_empty()));
    }
}

/// regex draws the expression with a caret below it: only its last line says why, and has nothing of it.
fn why(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
