//! Redaction of encoded records and ended spans: by key, and by regular expressions that match parts of values.

#[cfg(not(feature = "regex"))]
#[path = "redact/expression/disabled.rs"]
mod expression;
#[cfg(feature = "regex")]
#[path = "redact/expression/enabled.rs"]
mod expression;
mod key;
mod span;

use std::borrow::Cow;
use std::ops::Range;

use self::expression::Expression;
use self::key::{KeyPattern, LowercaseKey};
use super::schema::{any_value, array_value, key_value, key_value_list, log_record};
use super::wire::{Reader, WireType, begin, end, put_bytes, tag};

/// The text that replaces redacted text.
pub(crate) const REDACTED: &str = "[redacted]";

/// Built-in attributes with numbers. Expressions skip them: a match would turn the number of one record into text.
const BUILTIN_NUMBERS: [&str; 3] = ["code.column.number", "code.line.number", "thread.id"];

/// The prefixes of built-in keys. Expressions apply to their values, but not to the keys themselves.
const BUILTIN_PREFIXES: [&str; 3] = ["code.", "exception.", "thread."];

/// Keys that nearly every record has. Whether a pattern matches them is computed once.
const COMMON_KEYS: [&str; 4] = ["code.file.path", "code.line.number", "thread.id", "thread.name"];

/// The patterns of keys and the regular expressions by which records and spans are redacted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction {
    keys: Vec<KeyPattern>,
    values: Vec<Expression>,
    /// Which of [`COMMON_KEYS`] are hidden.
    common: [bool; COMMON_KEYS.len()],
}

impl Redaction {
    /// Adds a pattern of keys whose values are redacted.
    ///
    /// # Errors
    ///
    /// Returns the reason if the pattern is invalid.
    pub(crate) fn add_key(&mut self, pattern: &str) -> Result<(), &'static str> {
        let pattern = KeyPattern::new(pattern)?;
        for (hidden, key) in self.common.iter_mut().zip(COMMON_KEYS) {
            *hidden |= pattern.matches(LowercaseKey::default().fill(key));
        }
        self.keys.push(pattern);
        Ok(())
    }

    /// Adds a regular expression whose matches are redacted.
    ///
    /// # Errors
    ///
    /// Returns the reason if the expression is invalid.
    pub(crate) fn add_value(&mut self, expression: &str) -> Result<(), String> {
        self.values.push(Expression::new(expression)?);
        Ok(())
    }

    /// Returns the numbers of key patterns and of expressions.
    pub(crate) fn counts(&self) -> [usize; 2] {
        [self.keys.len(), self.values.len()]
    }

    /// Returns the redacted record, with the number of changed values.
    pub(crate) fn redact_record(&self, record: &[u8]) -> (Vec<u8>, u64) {
        let mut pass = RedactionPass::new(self, Vec::with_capacity(record.len() + REDACTED.len()));
        let mut reader = Reader::new(record);
        loop {
            let before = reader.rest();
            let Some((field, value)) = reader.next() else { break };
            let raw = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
            match field {
                log_record::ATTRIBUTES => pass.nested(log_record::ATTRIBUTES, value.bytes(), RedactionPass::key_value),
                log_record::BODY => pass.nested(log_record::BODY, value.bytes(), RedactionPass::any_value),
                _ => pass.out.extend_from_slice(raw),
            }
        }
        (pass.out, pass.redacted)
    }

    /// Returns whether values under that key are redacted.
    #[cold]
    pub(crate) fn hides(&self, key: &str) -> bool {
        self.hides_key(key, &mut LowercaseKey::default())
    }

    fn hides_key(&self, key: &str, lowered: &mut LowercaseKey) -> bool {
        if self.keys.is_empty() {
            return false;
        }
        if let Some((_, hidden)) = COMMON_KEYS.iter().zip(self.common).find(|(common, _)| **common == key) {
            return hidden;
        }
        let key = lowered.fill(key);
        self.keys.iter().any(|pattern| pattern.matches(key))
    }

    /// Replaces all matches in a text. Returns `None` if nothing matches.
    fn redact_text(&self, text: &str) -> Option<String> {
        let mut matches: Vec<Range<usize>> = Vec::new();
        self.values.iter().for_each(|expression| expression.find(text, &mut matches));
        if matches.is_empty() {
            return None;
        }
        // Each expression was applied to the original text, so matches may overlap.
        matches.sort_unstable_by_key(|found| (found.start, found.end));
        let mut redacted = String::with_capacity(text.len());
        let mut taken = 0;
        for found in matches {
            if found.start >= taken {
                redacted.push_str(text.get(taken..found.start).unwrap_or_default());
                redacted.push_str(REDACTED);
            }
            taken = taken.max(found.end);
        }
        redacted.push_str(text.get(taken..).unwrap_or_default());
        Some(redacted)
    }
}

/// The state while one record or span is redacted.
struct RedactionPass<'a> {
    redaction: &'a Redaction,
    out: Vec<u8>,
    /// The number of changed values.
    redacted: u64,
    lowered: LowercaseKey,
    /// The changed keys of the current map, so that no two of them become equal.
    changed_keys: Vec<String>,
    /// Whether the current value belongs to one of [`BUILTIN_NUMBERS`].
    is_builtin: bool,
}

impl<'a> RedactionPass<'a> {
    fn new(redaction: &'a Redaction, out: Vec<u8>) -> Self {
        Self {
            redaction,
            out,
            redacted: 0,
            lowered: LowercaseKey::default(),
            changed_keys: Vec::new(),
            is_builtin: false,
        }
    }

    fn hides(&mut self, key: &str) -> bool {
        self.redaction.hides_key(key, &mut self.lowered)
    }

    /// Replaces all matches in a text and counts the change.
    fn redact_text(&mut self, text: &str) -> Option<String> {
        let cleaned = self.redaction.redact_text(text)?;
        self.redacted += 1;
        Some(cleaned)
    }

    /// Replaces all matches in a key, since keys of a map may be data. Returns `None` if nothing matches.
    fn redact_key(&mut self, key: &str) -> Option<String> {
        if self.redaction.values.is_empty() || BUILTIN_PREFIXES.iter().any(|ours| key.starts_with(ours)) {
            return None;
        }
        let cleaned = self.redact_text(key)?;
        let mut unique = cleaned.clone();
        let mut number = 1;
        while self.changed_keys.contains(&unique) {
            number += 1;
            unique = format!("{cleaned}#{number}");
        }
        self.changed_keys.push(unique.clone());
        Some(unique)
    }

    /// Replaces all matches in a number as it may be written: with an exponent, or without.
    fn redact_double(&mut self, number: f64) -> Option<String> {
        self.redact_text(&format!("{number:?}")).or_else(|| self.redact_text(&number.to_string()))
    }

    fn nested(&mut self, field: u64, message: &[u8], write: fn(&mut Self, &[u8])) {
        let nested = begin(&mut self.out, tag(field, WireType::Length));
        write(self, message);
        end(&mut self.out, nested);
    }

    fn key_value(&mut self, pair: &[u8]) {
        let (mut key, mut value) = (Cow::Borrowed(""), None);
        for (field, content) in Reader::new(pair) {
            match field {
                key_value::KEY => key = content.text(),
                key_value::VALUE => value = Some(content.bytes()),
                _ => {}
            }
        }
        let cleaned = self.redact_key(&key);
        put_bytes(&mut self.out, tag(key_value::KEY, WireType::Length), cleaned.as_deref().unwrap_or(&key).as_bytes());
        let Some(value) = value else { return };
        if self.hides(&key) {
            self.redacted += 1;
            self.nested(key_value::VALUE, value, |pass, _| pass.text(REDACTED));
        } else {
            self.is_builtin = BUILTIN_NUMBERS.contains(&key.as_ref());
            self.nested(key_value::VALUE, value, Self::any_value);
            self.is_builtin = false;
        }
    }

    fn text(&mut self, text: &str) {
        put_bytes(&mut self.out, tag(any_value::STRING, WireType::Length), text.as_bytes());
    }

    fn any_value(&mut self, value: &[u8]) {
        let Some((field, content)) = Reader::new(value).next() else { return };
        let cleaned = match field {
            any_value::ARRAY => return self.nested(field, content.bytes(), Self::array),
            any_value::KVLIST => return self.nested(field, content.bytes(), Self::map),
            _ if self.redaction.values.is_empty() => None,
            any_value::STRING => self.redact_text(&content.text()),
            any_value::INT if !self.is_builtin => self.redact_text(&(content.number() as i64).to_string()),
            any_value::DOUBLE => self.redact_double(f64::from_bits(content.number())),
            any_value::BYTES => return self.bytes(content.bytes()),
            _ => None,
        };
        match cleaned {
            None => self.out.extend_from_slice(value),
            Some(text) => self.text(&text),
        }
    }

    /// Replaces matches in the valid UTF-8 of a byte string, which stays a byte string.
    fn bytes(&mut self, bytes: &[u8]) {
        let mut cleaned = Vec::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            match self.redact_text(chunk.valid()) {
                Some(text) => cleaned.extend_from_slice(text.as_bytes()),
                None => cleaned.extend_from_slice(chunk.valid().as_bytes()),
            }
            cleaned.extend_from_slice(chunk.invalid());
        }
        put_bytes(&mut self.out, tag(any_value::BYTES, WireType::Length), &cleaned);
    }

    fn array(&mut self, array: &[u8]) {
        for (_, value) in Reader::new(array) {
            self.nested(array_value::VALUES, value.bytes(), Self::any_value);
        }
    }

    fn map(&mut self, map: &[u8]) {
        let outer = std::mem::take(&mut self.changed_keys);
        for (_, pair) in Reader::new(map) {
            self.nested(key_value_list::VALUES, pair.bytes(), Self::key_value);
        }
        self.changed_keys = outer;
    }
}

#[cfg(test)]
#[path = "redact/tests.rs"]
mod tests;
