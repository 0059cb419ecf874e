//! The end of the value after a secret name.

use std::ops::Range;

use super::Scanner;
use super::name::Name;
use super::quote::{QUOTE_ENTITIES, is_quote};
use super::separator::Separator;

/// Returns whether a value can end before this byte.
fn is_delimiter(byte: Option<u8>) -> bool {
    byte.is_none_or(|byte| byte.is_ascii_whitespace() || b",;:=&|/<>()[]{}\\\"'`".contains(&byte))
}

impl Scanner<'_, '_> {
    /// Returns the value after a separator, with its quotes or brackets, or `None` if it is empty.
    pub(super) fn value_after(&self, separator: Separator, name: &Name) -> Option<Range<usize>> {
        let is_assignment = !separator.is_colon && !name.is_quoted;
        let mut start = separator.end();
        while let Some(byte) = self.byte(start) {
            let is_skipped =
                matches!(byte, b':' | b'=' | b'>' | b' ' | b'\t') || (name.is_quoted && byte.is_ascii_whitespace());
            if !is_skipped {
                break;
            }
            start += 1;
        }
        let mut end = start;
        // A value may consist of several parts: `"a"b`.
        loop {
            let part = self.value_part(end, is_assignment, name);
            if part <= end {
                break;
            }
            end = part;
            if is_delimiter(self.byte(end)) {
                break;
            }
        }
        (end > start).then_some(start..end)
    }

    fn value_part(&self, start: usize, is_assignment: bool, name: &Name) -> usize {
        let depth = self.bytes.get(start..).unwrap_or_default().iter().take_while(|byte| **byte == b'\\').count();
        let quote = match self.byte(start + depth) {
            Some(quote) if is_quote(quote) => Some(start + depth),
            // `b"…"` and `u'…'` are strings.
            Some(prefix) if depth == 0 && prefix.is_ascii_alphabetic() => {
                self.byte(start + 1).filter(|quote| is_quote(*quote)).map(|_| start + 1)
            }
            _ => None,
        };
        if let Some(quote) = quote {
            return self.string_end(quote, depth);
        }
        if let Some(entity) = QUOTE_ENTITIES.iter().find(|entity| self.starts_with(start, entity)) {
            let content = start + entity.len();
            return self.rest(content).find(entity).map_or(self.bytes.len(), |at| content + at + entity.len());
        }
        match self.byte(start) {
            Some(b'{' | b'[') => self.container_end(start),
            _ if is_assignment => self.assigned_end(start),
            _ => self.plain_end(start, name),
        }
    }

    /// Returns the end of the string that begins with the quote at `open`, after `depth` backslashes.
    fn string_end(&self, open: usize, depth: usize) -> usize {
        let quote = self.byte(open);
        let mut at = open + 1;
        let mut backslashes = 0_usize;
        while let Some(byte) = self.byte(at) {
            at += 1;
            if byte == b'\\' {
                backslashes += 1;
                continue;
            }
            if Some(byte) == quote {
                // In a string within a string, `\"` ends the inner one, and `\\\"` is a quote in it.
                let is_end = (backslashes.saturating_sub(depth) / (depth + 1)).is_multiple_of(2);
                let is_doubled = self.byte(at) == quote && depth == 0;
                if backslashes < depth {
                    // The quote ends the outer string.
                    return at - 1 - backslashes;
                }
                if is_end && is_doubled {
                    at += 1;
                } else if is_end && is_delimiter(self.byte(at)) {
                    return at;
                }
            }
            backslashes = 0;
        }
        self.bytes.len()
    }

    /// Returns the end of the object or array that begins at `open`.
    fn container_end(&self, open: usize) -> usize {
        let mut nesting = 0_usize;
        let mut at = open;
        while let Some(byte) = self.byte(at) {
            match byte {
                b'{' | b'[' => nesting += 1,
                b'}' | b']' => {
                    nesting -= 1;
                    if nesting == 0 {
                        return at + 1;
                    }
                }
                quote if is_quote(quote) => {
                    at = self.string_end(at, self.backslashes_before(at, open));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        self.bytes.len()
    }

    /// Returns the end of an unquoted value after `=`.
    fn assigned_end(&self, start: usize) -> usize {
        let mut at = start;
        while let Some(byte) = self.byte(at) {
            match byte {
                b'\r' | b'\n' | b'&' => return at,
                // A value can contain spaces. It ends where another name begins.
                b' ' | b'\t' | b',' | b';' | b'|' => match self.name_follows(at) {
                    Ok(()) => return at,
                    Err(next) => at = next,
                },
                _ => match self.closing_end(at) {
                    Ok(()) => return at,
                    Err(next) => at = next,
                },
            }
        }
        at
    }

    /// Returns the end of an unquoted value after `:`.
    fn plain_end(&self, start: usize, name: &Name) -> usize {
        let mut at = start;
        while let Some(byte) = self.byte(at) {
            match byte {
                b'\r' | b'\n' => match self.continued_line(at, name.column) {
                    Some(next) => at = next,
                    None => return at,
                },
                b',' | b';' | b'&' => match self.name_follows(at) {
                    Ok(()) => return at,
                    Err(next) => at = next,
                },
                _ => match self.closing_end(at) {
                    Ok(()) => return at,
                    Err(next) => at = next,
                },
            }
        }
        at
    }

    /// Returns `Ok` if the byte ends what surrounds a value, or else where to go on.
    fn closing_end(&self, at: usize) -> Result<(), usize> {
        let next = at + 1;
        match self.byte(at) {
            Some(b'}' | b']') if is_delimiter(self.byte(next)) => Ok(()),
            Some(b'<') if self.byte(next) == Some(b'/') => Ok(()),
            Some(b'\\') => {
                let quote =
                    at + self.bytes.get(at..).unwrap_or_default().iter().take_while(|byte| **byte == b'\\').count();
                let is_end = self.byte(quote) == Some(b'"') && is_delimiter(self.byte(quote + 1));
                if is_end { Ok(()) } else { Err(quote.max(next)) }
            }
            Some(b'"') if is_delimiter(self.byte(next)) => Ok(()),
            // The value contains a string: `Some("…")`.
            Some(b'"') => Err(self.string_end(at, 0)),
            Some(b'\'' | b'`') if self.byte(next) != Some(b' ') && is_delimiter(self.byte(next)) => Ok(()),
            _ => Err(next),
        }
    }

    /// Returns `Ok` if a name with a separator follows the punctuation at `at`, or else where to go on.
    fn name_follows(&self, at: usize) -> Result<(), usize> {
        let is_between = |byte: &u8| byte.is_ascii_whitespace() || b",;|&{[\"'`\\".contains(byte);
        let count = |from: usize, is_counted: &dyn Fn(&u8) -> bool| {
            self.bytes.get(from..).unwrap_or_default().iter().take_while(|byte| is_counted(byte)).count()
        };
        let start = at + count(at, &is_between).max(1);
        let end = start + count(start, &|byte| byte.is_ascii_alphanumeric() || b"_.-$@%[]".contains(byte));
        let separator = end + count(end, &|byte| b" \"'`\\".contains(byte));
        let begins_as_name = self.byte(start).is_some_and(|byte| byte.is_ascii_alphabetic() || b"_$@".contains(&byte));
        let after = self.byte(separator + 1);
        let is_separator = match self.byte(separator) {
            Some(b':') => !matches!(after, Some(b'/' | b':')),
            // The end of base64 is no separator.
            Some(b'=') => after.is_some_and(|after| after != b'=' && !after.is_ascii_whitespace()),
            _ => false,
        };
        if begins_as_name && is_separator { Ok(()) } else { Err(start) }
    }

    /// Returns where to go on after a line break if the next line continues a value of YAML whose name is at `column`.
    fn continued_line(&self, at: usize, column: usize) -> Option<usize> {
        let line = at
            + match self.starts_with(at, "\r\n") {
                true => 2,
                false => 1,
            };
        let rest = self.rest(line);
        let indentation = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let first = self.byte(line + indentation);
        let is_blank = matches!(first, Some(b'\r' | b'\n'));
        let is_item = indentation == column && first == Some(b'-');
        let is_deeper = indentation > column && first.is_some();
        (is_blank || is_item || is_deeper).then_some(line + indentation)
    }
}
