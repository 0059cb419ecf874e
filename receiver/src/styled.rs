//! Displays received items as lines in a given style.

use std::fmt;

use super::line_style::LineStyle;
use super::metric::ReceivedPoint;
use super::{ReceivedLog, ReceivedSpan};

/// A received item and the style in which `Display` writes it as one line.
pub struct Styled<'a, T>(pub &'a T, pub LineStyle);

impl fmt::Display for Styled<'_, ReceivedLog> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, self.1)
    }
}

impl fmt::Display for Styled<'_, ReceivedPoint> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, self.1)
    }
}

impl fmt::Display for Styled<'_, ReceivedSpan> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, self.1)
    }
}
