//! Redaction: values whose key gives them away, and pieces of text that give themselves away, are replaced in a record
//! that was encoded already, and in a span that has ended. Only where somebody asked for it.

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
use super::record::fields as record_fields;
use super::value::fields as value_fields;
use super::wire::{Reader, WireType, begin, end, put_bytes, tag};

/// What stands in the place of what was taken out.
pub(crate) const REDACTED: &str = "[redacted]";

/// Numbers of our own, in which no pattern looks for anything: they would become text, and the next one would not.
const BUILTIN_NUMBERS: [&str; 3] = ["code.column.number", "code.line.number", "thread.id"];

/// What keys of our own begin with: no pattern of values looks for anything in them.
const BUILTIN_PREFIXES: [&str; 3] = ["code.", "exception.", "thread."];

/// Keys that nearly every record has: what the patterns say of them is known before.
const COMMON_KEYS: [&str; 4] = ["code.file.path", "code.line.number", "thread.id", "thread.name"];

/// What is redacted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction {
    keys: Vec<KeyPattern>,
    values: Vec<Expression>,
    /// Which of the usual keys are hidden.
    usual: [bool; COMMON_KEYS.len()],
}

impl Redaction {
    /// Redacts values under such keys. `Err` says why the pattern cannot be used.
    pub(crate) fn add_key(&mut self, pattern: &str) -> Result<(), &'static str> {
        let pattern = KeyPattern::new(pattern)?;
        for (hidden, key) in self.usual.iter_mut().zip(COMMON_KEYS) {
            *hidden |= pattern.matches(LowercaseKey::default().fill(key));
        }
        self.keys.push(pattern);
        Ok(())
    }

    /// Redacts what the regular expression matches. `Err` says why it cannot be used.
    pub(crate) fn add_value(&mut self, expression: &str) -> Result<(), String> {
        self.values.push(Expression::new(expression)?);
        Ok(())
    }

    /// How many patterns of keys and of values there are.
    pub(crate) fn counts(&self) -> [usize; 2] {
        [self.keys.len(), self.values.len()]
    }

    /// The record without what is redacted, and how many values that changed.
    pub(crate) fn redact_record(&self, record: &[u8]) -> (Vec<u8>, u64) {
        let mut pass = RedactionPass::new(self, Vec::with_capacity(record.len() + REDACTED.len()));
        let mut reader = Reader::new(record);
        loop {
            let before = reader.rest();
            let Some((field, value)) = reader.next() else { break };
            let raw = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
            match u8::try_from(field).unwrap_or(0) {
                record_fields::ATTRIBUTES => {
                    pass.nested(record_fields::ATTRIBUTES, value.bytes(), RedactionPass::key_value)
                }
                record_fields::BODY => pass.nested(record_fields::BODY, value.bytes(), RedactionPass::any_value),
                _ => pass.out.extend_from_slice(raw),
            }
        }
        (pass.out, pass.redacted)
    }

    /// Whether values under that key are redacted.
    #[cold]
    pub(crate) fn hides(&self, key: &str) -> bool {
        self.hides_key(key, &mut LowercaseKey::default())
    }

    fn hides_key(&self, key: &str, lowered: &mut LowercaseKey) -> bool {
        if self.keys.is_empty() {
            return false;
        }
        if let Some((_, hidden)) = COMMON_KEYS.iter().zip(self.usual).find(|(usual, _)| **usual == key) {
            return hidden;
        }
        let key = lowered.fill(key);
        self.keys.iter().any(|pattern| pattern.matches(key))
    }

    /// The text without what the expressions match; `None` where they match nothing.
    fn redact_text(&self, text: &str) -> Option<String> {
        let mut matches: Vec<Range<usize>> = Vec::new();
        self.values.iter().for_each(|expression| expression.find(text, &mut matches));
        if matches.is_empty() {
            return None;
        }
        // Each expression has seen the whole text, not what others have left of it: what overlaps goes together.
        matches.sort_unstable_by_key(|found| (found.start, found.end));
        let mut cleaned = String::with_capacity(text.len());
        let mut taken = 0;
        for found in matches {
            if found.start >= taken {
                cleaned.push_str(text.get(taken..found.start).unwrap_or_default());
                cleaned.push_str(REDACTED);
            }
            taken = taken.max(found.end);
        }
        cleaned.push_str(text.get(taken..).unwrap_or_default());
        Some(cleaned)
    }
}

/// One way through one record or span.
struct RedactionPass<'a> {
    redaction: &'a Redaction,
    out: Vec<u8>,
    redacted: u64,
    lowered: LowercaseKey,
    /// The keys of this map that were changed: two of them must not become the same.
    changed_keys: Vec<String>,
    /// The value is a number of our own.
    is_ours: bool,
}

impl<'a> RedactionPass<'a> {
    fn new(redaction: &'a Redaction, out: Vec<u8>) -> Self {
        Self { redaction, out, redacted: 0, lowered: LowercaseKey::default(), changed_keys: Vec::new(), is_ours: false }
    }

    fn hides(&mut self, key: &str) -> bool {
        self.redaction.hides_key(key, &mut self.lowered)
    }

    /// Counts what has changed.
    fn redact_text(&mut self, text: &str) -> Option<String> {
        let cleaned = self.redaction.redact_text(text)?;
        self.redacted += 1;
        Some(cleaned)
    }

    /// The key without what the expressions match; `None` if they match nothing. Keys of a map may be data.
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

    /// The number without what the expressions match, in either way in which it may be written.
    fn redact_double(&mut self, number: f64) -> Option<String> {
        self.redact_text(&format!("{number:?}")).or_else(|| self.redact_text(&number.to_string()))
    }

    fn nested(&mut self, field: u8, message: &[u8], write: fn(&mut Self, &[u8])) {
        let nested = begin(&mut self.out, tag(field, WireType::Length));
        write(self, message);
        end(&mut self.out, nested);
    }

    fn key_value(&mut self, pair: &[u8]) {
        let (mut key, mut value) = (Cow::Borrowed(""), None);
        for (field, content) in Reader::new(pair) {
            match field {
                1 => key = content.text(),
                2 => value = Some(content.bytes()),
                _ => {}
            }
        }
        let cleaned = self.redact_key(&key);
        put_bytes(&mut self.out, tag(1, WireType::Length), cleaned.as_deref().unwrap_or(&key).as_bytes());
        let Some(value) = value else { return };
        if self.hides(&key) {
            self.redacted += 1;
            self.nested(2, value, |pass, _| pass.text(REDACTED));
        } else {
            self.is_ours = BUILTIN_NUMBERS.contains(&key.as_ref());
            self.nested(2, value, Self::any_value);
            self.is_ours = false;
        }
    }

    fn text(&mut self, text: &str) {
        put_bytes(&mut self.out, tag(value_fields::STRING, WireType::Length), text.as_bytes());
    }

    fn any_value(&mut self, value: &[u8]) {
        let Some((field, content)) = Reader::new(value).next() else { return };
        let field = u8::try_from(field).unwrap_or(0);
        let cleaned = match field {
            value_fields::ARRAY => return self.nested(field, content.bytes(), Self::array),
            value_fields::KVLIST => return self.nested(field, content.bytes(), Self::map),
            _ if self.redaction.values.is_empty() => None,
            value_fields::STRING => self.redact_text(&content.text()),
            value_fields::INT if !self.is_ours => self.redact_text(&(content.number() as i64).to_string()),
            value_fields::DOUBLE => self.redact_double(f64::from_bits(content.number())),
            value_fields::BYTES => return self.bytes(content.bytes()),
            _ => None,
        };
        match cleaned {
            None => self.out.extend_from_slice(value),
            Some(text) => self.text(&text),
        }
    }

    /// Bytes stay bytes; what of them is text is looked through.
    fn bytes(&mut self, bytes: &[u8]) {
        let mut cleaned = Vec::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            match self.redact_text(chunk.valid()) {
                Some(text) => cleaned.extend_from_slice(text.as_bytes()),
                None => cleaned.extend_from_slice(chunk.valid().as_bytes()),
            }
            cleaned.extend_from_slice(chunk.invalid());
        }
        put_bytes(&mut self.out, tag(value_fields::BYTES, WireType::Length), &cleaned);
    }

    fn array(&mut self, array: &[u8]) {
        for (_, value) in Reader::new(array) {
            self.nested(1, value.bytes(), Self::any_value);
        }
    }

    fn map(&mut self, map: &[u8]) {
        let outer = std::mem::take(&mut self.changed_keys);
        for (_, pair) in Reader::new(map) {
            self.nested(1, pair.bytes(), Self::key_value);
        }
        self.changed_keys = outer;
    }
}

#[cfg(test)]
#[path = "redact/tests.rs"]
mod tests;
