//! Attribute values and lists: typed, in order of arrival, with duplicates.

use std::fmt;
use std::sync::Arc;

use crate::escape::{OneLine, is_unsafe};

/// A typed value of an attribute or a record's body.
///
/// It can be compared with plain values: `assert_eq!(log.attribute("user"), Some(&Value::from(42)))` or
/// `assert!(log.attributes["user"] == 42)`. An integer never equals a double, and neither equals a string, so that a
/// test notices if a type got lost.
///
/// `Display` writes a string as it is and everything else like JSON, except for bytes: `0x` and hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// An array. Its elements may differ in type.
    Array(Vec<Value>),
    /// `true` or `false`.
    Bool(bool),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A floating-point number.
    Double(f64),
    /// A value that is not set, which OTLP allows.
    #[default]
    Empty,
    /// A signed integer.
    Int(i64),
    /// A list of keys and values.
    Map(Attributes),
    /// A string.
    String(String),
}

impl Value {
    /// Returns the text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number, if this is an integer.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the number, if this is a double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the truth value, if this is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// Returns the elements, if this is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// Returns the keys and values, if this is a map.
    pub fn as_map(&self) -> Option<&Attributes> {
        match self {
            Self::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the bytes, if this is a byte string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Writes the value inside an array or a map, where strings are quoted.
    fn write_nested(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => write_quoted(f, text),
            other => write!(f, "{other}"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(elements) => {
                f.write_str("[")?;
                for (position, element) in elements.iter().enumerate() {
                    f.write_str(if position == 0 { "" } else { "," })?;
                    element.write_nested(f)?;
                }
                f.write_str("]")
            }
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Bytes(bytes) => write!(f, "0x{}", hex(bytes)),
            // `Debug` keeps the `.0` that distinguishes a double from an integer.
            Self::Double(number) => write!(f, "{number:?}"),
            Self::Empty => f.write_str("null"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Map(entries) => {
                f.write_str("{")?;
                for (position, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if position == 0 { "" } else { "," })?;
                    write_quoted(f, key)?;
                    f.write_str(":")?;
                    value.write_nested(f)?;
                }
                f.write_str("}")
            }
            Self::String(text) => f.write_str(text),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

// The only integer type: with a second one, the type of `42` in `Value::from(42)` would be ambiguous.
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl PartialEq<str> for Value {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<&str> for Value {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == Some(*other)
    }
}

impl PartialEq<i64> for Value {
    fn eq(&self, other: &i64) -> bool {
        self.as_int() == Some(*other)
    }
}

impl PartialEq<f64> for Value {
    fn eq(&self, other: &f64) -> bool {
        self.as_f64() == Some(*other)
    }
}

impl PartialEq<bool> for Value {
    fn eq(&self, other: &bool) -> bool {
        self.as_bool() == Some(*other)
    }
}

/// A list of keys and values in order of arrival, including duplicates.
///
/// `Display` writes `key=value key=value`, with ambiguous texts quoted. Cloning is cheap: the records of a request
/// share the attributes of their resource and scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    entries: Arc<[(String, Value)]>,
}

impl Attributes {
    /// Returns the value of the first attribute with this key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.iter().find(|(found, _)| *found == key).map(|(_, value)| value)
    }

    /// Returns all attributes, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Returns all keys, in order and including duplicates.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// Returns the number of attributes, including duplicates.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are no attributes.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<(String, Value)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

/// # Panics
///
/// Panics if no attribute has this key. [`Attributes::get`] returns `None` instead.
impl std::ops::Index<&str> for Attributes {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        match self.get(key) {
            Some(value) => value,
            None => panic!("no attribute `{key}` among `{self}`"),
        }
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (key, value)) in self.iter().enumerate() {
            f.write_str(if position == 0 { "" } else { " " })?;
            write_token(f, key)?;
            f.write_str("=")?;
            match value {
                Value::String(text) => write_token(f, text)?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

/// Returns the bytes in lowercase hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

/// Writes a key or value, quoted if it would be ambiguous between spaces and equals signs.
fn write_token(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let ambiguous =
        |character: char| character.is_whitespace() || is_unsafe(character) || matches!(character, '=' | '"');
    if text.is_empty() || text.contains(ambiguous) { write_quoted(f, text) } else { f.write_str(text) }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for part in text.split_inclusive(['"', '\\']) {
        let plain = part.trim_end_matches(['"', '\\']);
        write!(f, "{}", OneLine(plain))?;
        if plain.len() < part.len() {
            write!(f, "\\{}", &part[plain.len()..])?;
        }
    }
    f.write_str("\"")
}
