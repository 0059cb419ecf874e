//! Read-only views of encoded records, scopes and resources. They borrow from the encoded bytes.
//!
//! The debug mirror prints from these views, so it shows exactly what is exported.

use std::borrow::Cow;
use std::fmt;

use super::schema;
use super::wire::{Field, Reader, repeated};

/// A decoded `AnyValue`.
///
/// `Display` prints text as it is and everything else like JSON, with bytes as hexadecimal digits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ValueView<'a> {
    Array(Vec<ValueView<'a>>),
    Bool(bool),
    Bytes(&'a [u8]),
    Double(f64),
    Empty,
    Int(i64),
    Map(Vec<(Cow<'a, str>, ValueView<'a>)>),
    Text(Cow<'a, str>),
}

impl<'a> ValueView<'a> {
    pub(crate) fn from_any_value(message: &'a [u8]) -> Option<Self> {
        use schema::any_value::{ARRAY, BOOL, BYTES, DOUBLE, INT, KVLIST, STRING};
        let (field, value) = Reader::new(message).next()?;
        Some(match field {
            STRING => Self::Text(value.text()),
            BOOL => Self::Bool(value.number() != 0),
            INT => Self::Int(value.number() as i64),
            DOUBLE => Self::Double(f64::from_bits(value.number())),
            BYTES => Self::Bytes(value.bytes()),
            ARRAY => Self::Array(Reader::new(value.bytes()).map(|(_, item)| Self::or_empty(item)).collect()),
            KVLIST => Self::Map(Reader::new(value.bytes()).map(|(_, pair)| read_key_value(pair.bytes())).collect()),
            _ => return None,
        })
    }

    fn or_empty(field: Field<'a>) -> Self {
        Self::from_any_value(field.bytes()).unwrap_or(Self::Empty)
    }
}

/// Reads a `KeyValue`. The key or the value is empty if it is missing.
pub(crate) fn read_key_value(message: &[u8]) -> (Cow<'_, str>, ValueView<'_>) {
    use schema::key_value::{KEY, VALUE};
    let mut pair = (Cow::Borrowed(""), ValueView::Empty);
    for (field, value) in Reader::new(message) {
        match field {
            KEY => pair.0 = value.text(),
            VALUE => pair.1 = ValueView::or_empty(value),
            _ => {}
        }
    }
    pair
}

impl fmt::Display for ValueView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            other => other.fmt_nested(f),
        }
    }
}

impl ValueView<'_> {
    /// Formats the value as it is shown inside a list or map, where text is quoted.
    fn fmt_nested(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    value.fmt_nested(f)?;
                }
                f.write_str("]")
            }
            Self::Bool(value) => write!(f, "{value}"),
            Self::Bytes(bytes) => write!(f, "{}", Hex(bytes)),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Empty => f.write_str("null"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key:?}:", if index > 0 { "," } else { "" })?;
                    value.fmt_nested(f)?;
                }
                f.write_str("}")
            }
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// A decoded `LogRecord`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordView<'a> {
    pub(crate) time: u64,
    pub(crate) observed_time: u64,
    pub(crate) severity_number: u64,
    pub(crate) severity_text: Cow<'a, str>,
    pub(crate) body: ValueView<'a>,
    pub(crate) attributes: Vec<(Cow<'a, str>, ValueView<'a>)>,
    pub(crate) dropped_attributes: u64,
    pub(crate) flags: u64,
    pub(crate) trace_id: &'a [u8],
    pub(crate) span_id: &'a [u8],
    pub(crate) event_name: Cow<'a, str>,
}

impl<'a> RecordView<'a> {
    pub(crate) fn read(message: &'a [u8]) -> Self {
        use schema::log_record::{
            ATTRIBUTES, BODY, DROPPED_ATTRIBUTES, EVENT_NAME, FLAGS, OBSERVED_TIME, SEVERITY_NUMBER, SEVERITY_TEXT,
            SPAN_ID, TIME, TRACE_ID,
        };
        let mut view = Self {
            time: 0,
            observed_time: 0,
            severity_number: 0,
            severity_text: Cow::Borrowed(""),
            body: ValueView::Empty,
            attributes: Vec::new(),
            dropped_attributes: 0,
            flags: 0,
            trace_id: &[],
            span_id: &[],
            event_name: Cow::Borrowed(""),
        };
        for (field, value) in Reader::new(message) {
            match field {
                TIME => view.time = value.number(),
                OBSERVED_TIME => view.observed_time = value.number(),
                SEVERITY_NUMBER => view.severity_number = value.number(),
                SEVERITY_TEXT => view.severity_text = value.text(),
                BODY => view.body = ValueView::or_empty(value),
                ATTRIBUTES => view.attributes.push(read_key_value(value.bytes())),
                DROPPED_ATTRIBUTES => view.dropped_attributes = value.number(),
                FLAGS => view.flags = value.number(),
                TRACE_ID => view.trace_id = value.bytes(),
                SPAN_ID => view.span_id = value.bytes(),
                EVENT_NAME => view.event_name = value.text(),
                _ => {}
            }
        }
        view
    }
}

/// The scope of a `ScopeLogs` or `ScopeSpans`, with its schema URL.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ScopeView<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) version: Cow<'a, str>,
    pub(crate) attributes: Vec<(Cow<'a, str>, ValueView<'a>)>,
    pub(crate) schema_url: Cow<'a, str>,
}

impl<'a> ScopeView<'a> {
    /// Reads the fields of a `ScopeLogs` or `ScopeSpans`. The items may be missing.
    pub(crate) fn read(scope_fields: &'a [u8]) -> Self {
        use schema::scope_items::{SCHEMA_URL, SCOPE};
        let mut view = Self::default();
        for (field, value) in Reader::new(scope_fields) {
            match field {
                SCOPE => view.read_scope(value.bytes()),
                SCHEMA_URL => view.schema_url = value.text(),
                _ => {}
            }
        }
        view
    }

    fn read_scope(&mut self, message: &'a [u8]) {
        use schema::scope::{ATTRIBUTES, NAME, VERSION};
        for (field, value) in Reader::new(message) {
            match field {
                NAME => self.name = value.text(),
                VERSION => self.version = value.text(),
                ATTRIBUTES => self.attributes.push(read_key_value(value.bytes())),
                _ => {}
            }
        }
    }
}

/// Returns the attributes and the schema URL from the fields of a `ResourceLogs` or `ResourceSpans`. The scopes may be
/// missing.
pub(crate) fn read_resource(resource_fields: &[u8]) -> (Vec<(Cow<'_, str>, ValueView<'_>)>, Cow<'_, str>) {
    use schema::resource::ATTRIBUTES;
    use schema::resource_items::{RESOURCE, SCHEMA_URL};
    let mut resource = (Vec::new(), Cow::Borrowed(""));
    for (field, value) in Reader::new(resource_fields) {
        match field {
            RESOURCE => {
                resource.0.extend(repeated(value.bytes(), ATTRIBUTES).map(|pair| read_key_value(pair.bytes())));
            }
            SCHEMA_URL => resource.1 = value.text(),
            _ => {}
        }
    }
    resource
}

/// Displays bytes as lower-case hexadecimal digits.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
