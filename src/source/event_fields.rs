//! The formatted fields of a tracing event: as a `log` record for env_logger's formatter, and as a body if there is no
//! message.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};

use log::kv::{self, Key, Value, VisitSource};
use tracing_core::field::{Field, Value as FieldValue, Visit};
use tracing_core::{Event, Metadata};

use crate::console::{PrintResult, Terminal};
use crate::escape::{Lines, OneLine, is_unsafe};
use crate::levels::from_tracing;
use crate::otlp::{REDACTED, text_of};

/// Returns the name of the event if the code sets one with `name:`. Otherwise, tracing generates `event src/x.rs:22`.
pub(super) fn given_name(metadata: &Metadata<'static>) -> Option<&'static str> {
    let name = metadata.name();
    let is_made_up = name
        .strip_prefix("event ")
        .and_then(|place| place.rsplit_once(':'))
        .is_some_and(|(file, line)| Some(file) == metadata.file() && line.parse().ok() == metadata.line());
    (!is_made_up).then_some(name)
}

/// Prints the event as env_logger prints a record.
///
/// A custom format gets the unchanged texts. env_logger's own format does not handle line breaks in fields, which would
/// start new lines, so they are escaped.
pub(super) fn print(metadata: &Metadata<'static>, fields: &FormattedFields, terminal: &Terminal) -> PrintResult {
    let escaped = if terminal.has_custom_format() { None } else { fields.escaped() };
    let fields = escaped.as_ref().unwrap_or(fields);
    let message = match fields.message() {
        Some(message) => message,
        // The fields are printed anyway. An event without fields shows its name.
        None => OneLine(given_name(metadata).unwrap_or_default()).to_string().into(),
    };
    terminal.print(
        &log::Record::builder()
            .args(format_args!("{message}"))
            .level(from_tracing(*metadata.level()))
            .target(metadata.target())
            .module_path(metadata.module_path())
            .file(metadata.file())
            .line(metadata.line())
            .key_values(fields)
            .build(),
    )
}

/// Returns a readable body for an event without a message: its fields, or its name, or its target.
///
/// Redacted fields show only their key.
pub(super) fn body_without_message(
    metadata: &Metadata<'static>,
    fields: &FormattedFields,
    hides: impl Fn(&str) -> bool,
) -> String {
    let mut body = String::new();
    for (name, value) in fields.pairs() {
        let separator = if body.is_empty() { "" } else { " " };
        let _infallible = match hides(name) {
            true => write!(body, "{separator}{name}={REDACTED}"),
            false => write!(body, "{separator}{name}={value}"),
        };
    }
    if body.is_empty() {
        body.push_str(given_name(metadata).unwrap_or(metadata.target()));
    }
    body
}

/// The value of one field.
#[derive(Clone, Debug)]
enum Owned {
    Bool(bool),
    Bytes(Vec<u8>),
    Error(String),
    F64(f64),
    /// Formatted with `%` or `?`.
    Formatted(String),
    I64(i64),
    I128(i128),
    Text(String),
    U64(u64),
    U128(u128),
}

impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            // The format of tracing-subscriber.
            Self::Bytes(bytes) => {
                let separated = bytes.iter().enumerate().map(|(index, byte)| (if index == 0 { "" } else { " " }, byte));
                f.write_char('[')?;
                separated.into_iter().try_for_each(|(separator, byte)| write!(f, "{separator}{byte:02x}"))?;
                f.write_char(']')
            }
            Self::Error(text) | Self::Formatted(text) | Self::Text(text) => f.write_str(text),
            Self::F64(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::I128(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::U128(value) => value.fmt(f),
        }
    }
}

impl Owned {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Error(text) | Self::Formatted(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn to_field_value(&self) -> Box<dyn FieldValue + '_> {
        match self {
            Self::Bool(value) => Box::new(*value),
            Self::Bytes(bytes) => Box::new(bytes.as_slice()),
            Self::Error(text) => Box::new(Box::<dyn Error>::from(text.as_str())),
            Self::F64(value) => Box::new(*value),
            Self::Formatted(text) => Box::new(tracing_core::field::display(text)),
            Self::I64(value) => Box::new(*value),
            Self::I128(value) => Box::new(*value),
            Self::Text(text) => Box::new(text.as_str()),
            Self::U64(value) => Box::new(*value),
            Self::U128(value) => Box::new(*value),
        }
    }

    fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Error(text) | Self::Formatted(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The fields of an event in their order, each formatted once.
#[derive(Clone, Debug, Default)]
pub(super) struct FormattedFields {
    fields: Vec<(Cow<'static, str>, Owned)>,
    /// The index of each among the fields of the callsite.
    indices: Vec<usize>,
    /// The index of the message.
    message: Option<usize>,
}

impl FormattedFields {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }

    /// Returns the message, whatever its type.
    pub(super) fn message(&self) -> Option<Cow<'_, str>> {
        let (_, message) = self.fields.get(self.message?)?;
        Some(message.text().map_or_else(|| message.to_string().into(), Cow::Borrowed))
    }

    /// Returns the text of the field at `index`, if it is an error, a string, or was formatted.
    pub(super) fn text(&self, index: usize) -> Option<&str> {
        self.fields.get(index)?.1.text()
    }

    /// Returns the text of the first error that is not hidden: an error value, or a field named `error`.
    pub(super) fn first_error(&self, hides: impl Fn(&str) -> bool) -> Option<&str> {
        let errors = self.fields.iter().filter(|(name, value)| is_error(name, matches!(value, Owned::Error(_))));
        errors.filter(|(name, _)| !hides(name)).find_map(|(_, value)| value.text().filter(|text| !text.is_empty()))
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &Owned)> {
        let all = self.fields.iter().enumerate();
        all.filter(|(index, _)| Some(*index) != self.message).map(|(_, (name, value))| (name.as_ref(), value))
    }

    /// Returns the fields with unsafe characters escaped, if there are any.
    fn escaped(&self) -> Option<Self> {
        let texts = self.fields.iter().flat_map(|(name, value)| [Some(name.as_ref()), value.text()]);
        if !texts.flatten().any(|text| text.contains(is_unsafe)) {
            return None;
        }
        let mut escaped = self.clone();
        for (index, (name, value)) in escaped.fields.iter_mut().enumerate() {
            *name = OneLine(name).to_string().into();
            if let Some(text) = value.text_mut() {
                // env_logger indents the lines of a message after the first.
                let is_message = self.message == Some(index);
                *text = if is_message { Lines(text).to_string() } else { OneLine(text).to_string() };
            }
        }
        Some(escaped)
    }

    /// Returns the event with the formatted fields, so that they are not formatted again.
    pub(super) fn with_rendered<T>(&self, event: &Event<'_>, run: impl FnOnce(&Event<'_>) -> T) -> T {
        let metadata = event.metadata();
        let mut values: Vec<Option<Box<dyn FieldValue + '_>>> = metadata.fields().iter().map(|_| None).collect();
        for (index, (_, value)) in self.indices.iter().zip(&self.fields) {
            if let Some(slot) = values.get_mut(*index) {
                *slot = Some(value.to_field_value());
            }
        }
        let values: Vec<Option<&dyn FieldValue>> = values.iter().map(Option::as_deref).collect();
        let values = metadata.fields().value_set_all(&values);
        match event.parent() {
            None if event.is_contextual() => run(&Event::new(metadata, &values)),
            parent => run(&Event::new_child_of(parent.cloned(), metadata, &values)),
        }
    }

    fn put(&mut self, field: &Field, value: Owned) {
        if field.name() == "message" && self.message.is_none() {
            self.message = Some(self.fields.len());
        }
        self.indices.push(field.index());
        self.fields.push((field.name().into(), value));
    }
}

fn is_error(name: &str, is_error_value: bool) -> bool {
    is_error_value || name == "error"
}

/// Returns whether the event has an error among its fields. Formats nothing.
pub(super) fn has_error(event: &Event<'_>) -> bool {
    struct HasError(bool);

    impl Visit for HasError {
        fn record_debug(&mut self, field: &Field, _value: &dyn fmt::Debug) {
            self.0 |= is_error(field.name(), false);
        }

        fn record_error(&mut self, _field: &Field, _value: &(dyn Error + 'static)) {
            self.0 = true;
        }
    }

    let mut seen = HasError(false);
    event.record(&mut seen);
    seen.0
}

impl kv::Source for FormattedFields {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        for (name, value) in self.pairs() {
            let value = match value {
                Owned::Bool(value) => Value::from(*value),
                Owned::Bytes(_) => Value::from_display(value),
                Owned::F64(value) => Value::from(*value),
                Owned::I64(value) => Value::from(*value),
                Owned::I128(value) => Value::from_display(value),
                Owned::Error(value) | Owned::Formatted(value) | Owned::Text(value) => Value::from(value.as_str()),
                Owned::U64(value) => Value::from(*value),
                Owned::U128(value) => Value::from_display(value),
            };
            visitor.visit_pair(Key::from_str(name), value)?;
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.pairs().count()
    }
}

macro_rules! owned {
    ($($method:ident($type:ty) => $variant:ident),+ $(,)?) => {
        $(fn $method(&mut self, field: &Field, value: $type) {
            self.put(field, Owned::$variant(value.into()));
        })+
    };
}

impl Visit for FormattedFields {
    owned! {
        record_bool(bool) => Bool,
        record_f64(f64) => F64,
        record_i64(i64) => I64,
        record_i128(i128) => I128,
        record_str(&str) => Text,
        record_u64(u64) => U64,
        record_u128(u128) => U128,
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, Owned::Error(text_of(&value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _kept = write!(text, "{value:?}");
        self.put(field, Owned::Formatted(text));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.put(field, Owned::Bytes(value.to_vec()));
    }
}
