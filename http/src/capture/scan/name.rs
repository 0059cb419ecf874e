//! The name before a separator.

use std::ops::Range;

use super::quote::{QUOTE_ENTITIES, is_quote};
use super::{MAX_NAME, Scanner};

/// The name before a separator.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) range: Range<usize>,
    pub(super) is_quoted: bool,
    /// The distance from the beginning of the line.
    pub(super) column: usize,
}

impl Scanner<'_, '_> {
    /// Returns the name that ends before `separator`.
    pub(super) fn name_before(&self, separator: usize) -> Name {
        let mut end = separator;
        while end > 0 && self.byte(end - 1).is_some_and(|byte| byte.is_ascii_whitespace()) {
            end -= 1;
        }
        let before = self.slice(0..end);
        let (start, end, is_quoted) = match before.as_bytes().last() {
            Some(quote) if is_quote(*quote) => {
                let (start, end) = self.quoted_name(end - 1, *quote);
                (start, end, true)
            }
            _ => match QUOTE_ENTITIES.iter().find(|entity| before.ends_with(**entity)) {
                Some(entity) => {
                    let end = end - entity.len();
                    (self.unquoted_start(end), end, true)
                }
                None => (self.unquoted_start(end), end, false),
            },
        };
        let line = start.max(self.line_start);
        Name { range: start..end, is_quoted, column: line - self.line_start }
    }

    /// Returns the name that the quote at `close` ends.
    fn quoted_name(&self, close: usize, quote: u8) -> (usize, usize) {
        // Inside a nested string, quotes are escaped.
        let depth = self.backslashes_before(close, 0);
        let end = close - depth;
        let floor = self.name_floor(end);
        let mut at = end;
        while at > floor {
            at -= 1;
            if self.byte(at) == Some(quote) {
                let backslashes = self.backslashes_before(at, 0);
                if backslashes <= depth {
                    return (at + 1, end);
                }
                at = at.saturating_sub(backslashes);
            }
        }
        (floor, end)
    }

    /// Returns where the search for the beginning of a name stops. Of a longer name, the last part is examined.
    fn name_floor(&self, end: usize) -> usize {
        let floor = end.saturating_sub(MAX_NAME);
        (floor..=end).find(|at| self.text.is_char_boundary(*at)).unwrap_or(end)
    }

    /// Returns where an unquoted name of one or two words begins: `api_key`, `api key`.
    fn unquoted_start(&self, end: usize) -> usize {
        let floor = self.name_floor(end);
        let word = |end: usize| {
            let is_outside = |byte: &u8| byte.is_ascii_whitespace() || b",;&?{}()<>\"'`=:|".contains(byte);
            let before = self.bytes.get(floor..end).unwrap_or_default();
            before.iter().rposition(is_outside).map_or(floor, |at| floor + at + 1)
        };
        let start = word(end);
        let space = start.checked_sub(1).filter(|space| start < end && self.byte(*space) == Some(b' '));
        let first_word =
            space.map(word).filter(|first| self.byte(*first).is_some_and(|byte| byte.is_ascii_alphabetic()));
        first_word.unwrap_or(start)
    }

    pub(super) fn backslashes_before(&self, at: usize, floor: usize) -> usize {
        let before = self.bytes.get(floor..at).unwrap_or_default();
        before.iter().rev().take_while(|byte| **byte == b'\\').count()
    }
}
