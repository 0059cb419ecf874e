//! Redaction of a text that may be cut, malformed, or in another format than its content type says.
//!
//! The scanner does not parse. It looks for separators (`:`, `=`), for the name before each and the value after it, and
//! for elements of XML. What precedes a secret therefore cannot hide it, as an unbalanced quote would for a parser. If the end of a
//! value is in doubt, more is redacted rather than less.

mod element;
mod name;
mod quote;
mod separator;
mod token;
mod value;

use std::borrow::Cow;
use std::ops::Range;

use super::escape::{percent_decoded, unescaped};

use self::name::Name;
use self::separator::Separator;
pub(super) use self::token::{TOKEN_PREFIXES, is_token};

/// The text that replaces redacted text.
pub(super) const REDACTED: &str = "[redacted]";

/// Encoded texts inside encoded texts are redacted to this depth. Deeper ones are redacted as a whole.
const MAX_DEPTH: usize = 3;

/// Longer texts are not taken for names.
const MAX_NAME: usize = 128;

/// The most text between a value and the name of a secret that it belongs to.
const MAX_BETWEEN: usize = 1 << 10;

/// Names whose value may be the name of a secret, as in `{"name": "password", "value": "…"}`.
const NAME_KEYS: [&str; 7] = ["name", "key", "field", "header", "id", "param", "parameter"];
/// Names of the value that belongs to one of [`NAME_KEYS`].
const VALUE_KEYS: [&str; 6] = ["value", "values", "val", "content", "data", "default"];

/// What is known about a text.
#[derive(Clone, Copy)]
pub(super) struct Rules<'r> {
    /// Returns whether values under this name are redacted.
    pub(super) is_secret: &'r dyn Fn(&str) -> bool,
    /// Whether the end of the text is missing.
    pub(super) is_cut: bool,
}

/// Redacts a text in any format.
pub(super) fn redact<'t>(text: &'t str, rules: Rules<'_>) -> Cow<'t, str> {
    redact_nested(text, rules, 0)
}

/// Redacts a text in the format of HTML forms.
pub(super) fn redact_form<'t>(text: &'t str, rules: Rules<'_>) -> Cow<'t, str> {
    // Many clients send JSON with the content type of a form, which is the default of curl.
    if text.trim_start().starts_with(['{', '[', '<', '"']) {
        return redact(text, rules);
    }
    let mut replaced = Vec::new();
    let mut start = 0;
    for pair in text.split('&') {
        let end = start + pair.len();
        let key_end = pair.find('=').unwrap_or(pair.len());
        let (key, value) = pair.split_at(key_end);
        let value = value.strip_prefix('=').unwrap_or_default();
        let rules = Rules { is_cut: rules.is_cut && end == text.len(), ..rules };
        if !value.is_empty() && ((rules.is_secret)(&percent_decoded(key)) || encodes_secret(value, rules, 0)) {
            replaced.push(Replaced { range: end - value.len()..end, text: REDACTED });
        } else if encodes_secret(key, rules, 0) {
            replaced.push(Replaced { range: start..start + key_end, text: REDACTED });
        }
        start = end + 1;
    }
    rebuilt(text, replaced)
}

fn redact_nested<'t>(text: &'t str, rules: Rules<'_>, depth: usize) -> Cow<'t, str> {
    let mut scanner = Scanner::new(text, rules, depth);
    scanner.scan();
    rebuilt(text, scanner.replaced)
}

/// Returns whether a text contains a secret once its percent encoding is removed.
pub(super) fn encodes_secret(encoded: &str, rules: Rules<'_>, depth: usize) -> bool {
    depth >= MAX_DEPTH || matches!(redact_nested(&percent_decoded(encoded), rules, depth + 1), Cow::Owned(_))
}

/// Returns the text with the ranges replaced, which may overlap.
fn rebuilt<'t>(text: &'t str, mut replaced: Vec<Replaced>) -> Cow<'t, str> {
    if replaced.is_empty() {
        return Cow::Borrowed(text);
    }
    replaced.sort_by_key(|replaced| (replaced.range.start, std::cmp::Reverse(replaced.range.end)));
    let mut redacted = String::with_capacity(text.len());
    let mut taken = 0;
    for Replaced { range, text: replacement } in replaced {
        if range.start >= taken {
            redacted.push_str(text.get(taken..range.start).unwrap_or_default());
            redacted.push_str(replacement);
        }
        taken = taken.max(range.end);
    }
    redacted.push_str(text.get(taken..).unwrap_or_default());
    Cow::Owned(redacted)
}

struct Replaced {
    range: Range<usize>,
    text: &'static str,
}

struct Scanner<'t, 'r> {
    text: &'t str,
    bytes: &'t [u8],
    rules: Rules<'r>,
    depth: usize,
    at: usize,
    line_start: usize,
    /// Scanning goes on inside of replaced ranges: what looks like the end of a value may be the beginning of another.
    replaced: Vec<Replaced>,
    /// The end of the last percent-encoded text that was examined.
    encoded_end: usize,
    /// The end of the last token.
    token_end: usize,
    /// Whether the last `name` was the name of a secret, so that the next `value` is secret.
    value_is_secret: bool,
    /// The last `value` that is not redacted. The name of a secret may follow it.
    last_value: Option<(Separator, Name)>,
    /// How many more bytes may be searched for the ends of values. Bounds the work on values that overlap. When it is
    /// used up, the rest of the text is redacted.
    budget: usize,
}

impl<'t, 'r> Scanner<'t, 'r> {
    fn new(text: &'t str, rules: Rules<'r>, depth: usize) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            rules,
            depth,
            at: 0,
            line_start: 0,
            replaced: Vec::new(),
            value_is_secret: false,
            last_value: None,
            encoded_end: 0,
            token_end: 0,
            budget: text.len().saturating_mul(16).saturating_add(1 << 10),
        }
    }

    fn scan(&mut self) {
        while let Some(byte) = self.byte(self.at) {
            match byte {
                b'\n' => self.line_start = self.at + 1,
                b':' | b'=' => self.separator(Separator { at: self.at, len: 1, is_colon: byte == b':' }),
                b'<' => self.element(),
                b'&' | b'\\' => match self.escaped_separator(self.at) {
                    Some(separator) => self.separator(separator),
                    None => self.element(),
                },
                b'%' => self.encoded(),
                b'-' => self.private_key(),
                _ => self.token(),
            }
            self.at += 1;
        }
    }

    /// Redacts the value after a separator if the name before it is secret.
    fn separator(&mut self, separator: Separator) {
        if separator.is_colon {
            self.credentials_of_url(separator.end());
        }
        let name = self.name_before(separator.at);
        let text = self.slice(name.range.clone());
        let is_value = is_one_of(text, &VALUE_KEYS);
        if self.is_secret_name(text) || (self.value_is_secret && is_value) {
            self.value_is_secret = false;
            self.replace_value(separator, &name);
        } else if is_value {
            self.last_value = Some((separator, name));
        } else if is_one_of(text, &NAME_KEYS) && self.is_secret_name(self.short_value_after(separator.end())) {
            self.value_is_secret = true;
            if let Some((separator, value)) = self.last_value.take() {
                self.replace_sibling(separator, &value, name.range.start);
            }
        }
    }

    fn replace_value(&mut self, separator: Separator, name: &Name) {
        if let Some(range) = self.value_after(separator, name) {
            self.replace(range.clone(), self.quoted_replacement(range.start, name));
            self.spend(range.len());
        }
    }

    /// Redacts a value if it belongs to the same object as the secret name after it, as in
    /// `{"value": "…", "name": "password"}`.
    fn replace_sibling(&mut self, separator: Separator, value: &Name, name_start: usize) {
        let Some(range) = self.value_after(separator, value) else { return };
        self.spend(range.len());
        // A value that contains the name is no sibling.
        let between = self.text.get(range.end..name_start).filter(|between| between.len() <= MAX_BETWEEN);
        let is_item = |between: &str| between.lines().skip(1).any(|line| line.trim_start().starts_with('-'));
        if between.is_some_and(|between| !between.contains(['{', '}', '[', ']']) && !is_item(between)) {
            self.replace(range.clone(), self.quoted_replacement(range.start, value));
        }
    }

    /// Returns the beginning of a value that may be the name of a secret.
    fn short_value_after(&self, at: usize) -> &'t str {
        let is_before = |byte: &&u8| b":= \t\r\n\\\"'".contains(byte);
        let is_outside = |byte: &u8| b",;&{}\r\n\\\"'<".contains(byte);
        let before = self.bytes.get(at..).unwrap_or_default().iter().take(MAX_NAME).take_while(is_before).count();
        let start = at + before;
        let value = self.bytes.get(start..).unwrap_or_default();
        match value.iter().take(MAX_NAME).position(is_outside) {
            Some(len) => self.slice(start..start + len),
            None if value.len() < MAX_NAME => self.rest(start),
            None => "",
        }
    }

    fn is_secret_name(&self, name: &str) -> bool {
        let name = unescaped(name);
        (self.rules.is_secret)(&percent_decoded(&name))
    }

    /// Redacts a percent-encoded text that contains a secret.
    fn encoded(&mut self) {
        let is_separator = self
            .slice(self.at..self.at + 3)
            .get(1..)
            .is_some_and(|code| ["25", "3a", "3c", "3d"].iter().any(|separator| code.eq_ignore_ascii_case(separator)));
        if !is_separator || self.at < self.encoded_end {
            return;
        }
        let is_outside = |byte: &u8| b" \t\r\n\"'`<>&=?#,;\\{}()".contains(byte);
        let before = self.bytes.get(..self.at).unwrap_or_default();
        let start = before.iter().rposition(is_outside).map_or(0, |at| at + 1);
        let after = self.bytes.get(self.at..).unwrap_or_default();
        let end = after.iter().position(is_outside).map_or(self.bytes.len(), |at| self.at + at);
        let rules = Rules { is_cut: self.rules.is_cut && end == self.bytes.len(), ..self.rules };
        if encodes_secret(self.slice(start..end), rules, self.depth) {
            self.replace(start..end, REDACTED);
        }
        self.encoded_end = end;
    }

    /// Reduces the budget. Redacts the rest of the text if it is used up.
    fn spend(&mut self, bytes: usize) {
        self.budget = self.budget.saturating_sub(bytes);
        if self.budget == 0 {
            self.replace(self.at..self.bytes.len(), REDACTED);
            self.at = self.bytes.len();
        }
    }

    /// Returns the replacement of a value, quoted as the value or the name is. JSON stays valid then.
    fn quoted_replacement(&self, start: usize, name: &Name) -> &'static str {
        let candidates = [("\\\"", "\\\"[redacted]\\\""), ("\"", "\"[redacted]\""), ("'", "'[redacted]'")];
        let quoted_at = |at: usize| candidates.into_iter().find(|(quote, _)| self.starts_with(at, quote));
        let quoted = quoted_at(start).or_else(|| quoted_at(name.range.end).filter(|_| name.is_quoted));
        quoted.map_or(REDACTED, |(_, replacement)| replacement)
    }

    fn replace(&mut self, range: Range<usize>, text: &'static str) {
        // Never inside a character, whose parts could not be copied.
        let start = (0..=range.start).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or_default();
        let end = (range.end..self.text.len()).find(|at| self.text.is_char_boundary(*at)).unwrap_or(self.text.len());
        if start < end {
            self.replaced.push(Replaced { range: start..end, text });
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn slice(&self, range: Range<usize>) -> &'t str {
        self.text.get(range).unwrap_or_default()
    }

    /// Returns the text from a position.
    fn rest(&self, at: usize) -> &'t str {
        self.text.get(at..).unwrap_or_default()
    }

    fn starts_with(&self, at: usize, prefix: &str) -> bool {
        self.bytes.get(at..).is_some_and(|rest| rest.starts_with(prefix.as_bytes()))
    }
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
