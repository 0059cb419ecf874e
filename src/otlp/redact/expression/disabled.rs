//! Placeholder without the feature `regex`. An [`Expression`] cannot be created.

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
