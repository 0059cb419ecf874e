//! A tracing event as a `log` record, for env_logger's formatter, and what stands for a message that is not there.

use std::fmt::{self, Write as _};

use log::kv::{self, Key, Value, VisitSource};
use tracing_core::field::{Field, Visit};
use tracing_core::{Event, Metadata};

use crate::console::{Printed, Terminal};
use crate::levels::from_tracing;
use crate::otlp::REDACTED;
use crate::thread::guarded;

/// The event's name, where the user gave one with `name:`; tracing makes up `event src/x.rs:22` otherwise.
pub(super) fn given_name(metadata: &Metadata<'static>) -> Option<&'static str> {
    let name = metadata.name();
    let made_up = name
        .strip_prefix("event ")
        .and_then(|place| place.rsplit_once(':'))
        .is_some_and(|(file, line)| Some(file) == metadata.file() && line.parse().ok() == metadata.line());
    (!made_up).then_some(name)
}

/// Prints the event as env_logger prints a record.
pub(super) fn print(event: &Event<'_>, terminal: &Terminal) -> Printed {
    let metadata = event.metadata();
    let mut fields = OwnedFields::default();
    // A value that panics while it is formatted has left the fields before it.
    if guarded(|| event.record(&mut fields)).is_none() {
        return Printed::Panicked;
    }
    let message = match fields.message.take() {
        Some(message) => message,
        // The fields follow by themselves; an event of nothing but a name shows that.
        None => given_name(metadata).unwrap_or_default().to_owned(),
    };
    terminal.print(
        &log::Record::builder()
            .args(format_args!("{message}"))
            .level(from_tracing(*metadata.level()))
            .target(metadata.target())
            .module_path(metadata.module_path())
            .file(metadata.file())
            .line(metadata.line())
            .key_values(&fields)
            .build(),
    )
}

/// The message, as a filter on the text sees it.
pub(super) fn text(event: &Event<'_>) -> String {
    let mut fields = OwnedFields::default();
    event.record(&mut fields);
    fields.message.take().unwrap_or_else(|| body_without_message(event, |_| false))
}

/// A readable body for an event without a message: its fields, else its name, else its target. Of what is hidden, only the
/// key is in it.
pub(super) fn body_without_message(event: &Event<'_>, hides: impl Fn(&str) -> bool) -> String {
    let mut fields = OwnedFields::default();
    event.record(&mut fields);
    let mut body = String::new();
    for (name, value) in &fields.pairs {
        let separator = if body.is_empty() { "" } else { " " };
        let _infallible = match hides(name) {
            true => write!(body, "{separator}{name}={REDACTED}"),
            false => write!(body, "{separator}{name}={value}"),
        };
    }
    if body.is_empty() {
        let metadata = event.metadata();
        body.push_str(given_name(metadata).unwrap_or(metadata.target()));
    }
    body
}

#[derive(Debug)]
enum Owned {
    Bool(bool),
    F64(f64),
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
            Self::F64(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::I128(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
            Self::U64(value) => value.fmt(f),
            Self::U128(value) => value.fmt(f),
        }
    }
}

#[derive(Debug, Default)]
struct OwnedFields {
    message: Option<String>,
    pairs: Vec<(&'static str, Owned)>,
}

impl OwnedFields {
    fn put(&mut self, field: &Field, value: Owned) {
        if field.name() == "message" && self.message.is_none() {
            self.message = Some(value.to_string());
        } else {
            self.pairs.push((field.name(), value));
        }
    }
}

impl kv::Source for OwnedFields {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        for (name, value) in &self.pairs {
            let value = match value {
                Owned::Bool(value) => Value::from(*value),
                Owned::F64(value) => Value::from(*value),
                Owned::I64(value) => Value::from(*value),
                Owned::I128(value) => Value::from_display(value),
                Owned::Text(value) => Value::from(value.as_str()),
                Owned::U64(value) => Value::from(*value),
                Owned::U128(value) => Value::from_display(value),
            };
            visitor.visit_pair(Key::from_str(name), value)?;
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.pairs.len()
    }
}

macro_rules! owned {
    ($($method:ident($type:ty) => $variant:ident),+ $(,)?) => {
        $(fn $method(&mut self, field: &Field, value: $type) {
            self.put(field, Owned::$variant(value.into()));
        })+
    };
}

impl Visit for OwnedFields {
    owned! {
        record_bool(bool) => Bool,
        record_f64(f64) => F64,
        record_i64(i64) => I64,
        record_i128(i128) => I128,
        record_str(&str) => Text,
        record_u64(u64) => U64,
        record_u128(u128) => U128,
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, Owned::Text(crate::otlp::text_of(&value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _kept = write!(text, "{value:?}");
        self.put(field, Owned::Text(text));
    }
}
