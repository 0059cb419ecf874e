//! Regular expressions of the crate `regex`, which match in linear time whatever the expression is.

use std::fmt;
use std::ops::Range;

use regex::Regex;

#[derive(Clone)]
pub(super) struct Expression(Regex);

impl fmt::Debug for Expression {
    // The expression may contain the secret itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expression")
    }
}

impl Expression {
    pub(super) fn new(expression: &str) -> Result<Self, String> {
        if expression.is_empty() {
            return Err("it is empty".to_owned());
        }
        Regex::new(expression).map(Self).map_err(|error| reason(&error))
    }

    /// Adds the ranges of all matches that are not empty.
    pub(super) fn find(&self, text: &str, matches: &mut Vec<Range<usize>>) {
        matches.extend(self.0.find_iter(text).map(|found| found.range()).filter(|range| !range.is_empty()));
    }
}

/// Returns the reason of an error without the expression. The text of regex draws the expression with a caret below it;
/// its last line is the reason alone.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
