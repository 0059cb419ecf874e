//! Received items as lines in a given style.

use std::fmt;

use super::line::Paint;
use super::metric::ReceivedPoint;
use super::{ReceivedLog, ReceivedSpan};

/// Displays a received item as one line in this style.
pub struct Painted<'a, T>(pub &'a T, pub Paint);

impl fmt::Display for Painted<'_, ReceivedLog> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, self.1)
    }
}

impl fmt::Display for Painted<'_, ReceivedPoint> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, self.1)
    }
}

impl fmt::Display for Painted<'_, ReceivedSpan> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, self.1)
    }
}
