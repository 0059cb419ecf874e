//! Without the feature `regex` no text is looked through, and nothing here is ever made.

use std::ops::Range;

#[derive(Clone, Debug)]
pub(super) enum Expression {}

impl Expression {
    pub(super) fn new(_expression: &str) -> Result<Self, String> {
        Err("the feature `regex` of logbridge is off".to_owned())
    }

    pub(super) fn find(&self, _text: &str, _matches: &mut Vec<Range<usize>>) {
        match *self {}
    }
}
