//! The message filter, by the crate `regex`.

use regex::Regex;

#[derive(Clone, Debug)]
pub struct MessageFilter {
    expression: Regex,
}

impl MessageFilter {
    pub(crate) fn new(expression: &str) -> Result<Self, String> {
        // The other lines draw the expression with a caret below it, which findings do themselves.
        let last_line = |text: String| {
            let line = text.lines().last().unwrap_or_default().trim();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        };
        match Regex::new(expression) {
            Ok(expression) => Ok(Self { expression }),
            Err(error) => Err(last_line(error.to_string())),
        }
    }

    pub(crate) fn expression(&self) -> &str {
        self.expression.as_str()
    }

    pub(crate) fn is_match(&self, message: &str) -> bool {
        self.expression.is_match(message)
    }
}
