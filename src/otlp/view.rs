//! Reads records back from the bytes that will be shipped, for the debug mirror: what it prints is what is sent.

use std::borrow::Cow;
use std::fmt;

use super::record::fields as record_fields;
use super::value::fields as value_fields;
use super::wire::{Field, Reader};

/// An `AnyValue`, read.
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
        let (field, value) = Reader::new(message).next()?;
        Some(match u8::try_from(field).ok()? {
            value_fields::STRING => Self::Text(value.text()),
            value_fields::BOOL => Self::Bool(value.number() != 0),
            value_fields::INT => Self::Int(value.number() as i64),
            value_fields::DOUBLE => Self::Double(f64::from_bits(value.number())),
            value_fields::BYTES => Self::Bytes(value.bytes()),
            value_fields::ARRAY => {
                Self::Array(Reader::new(value.bytes()).map(|(_, item)| Self::or_empty(item)).collect())
            }
            value_fields::KVLIST => {
                Self::Map(Reader::new(value.bytes()).map(|(_, pair)| key_value(pair.bytes())).collect())
            }
            _ => return None,
        })
    }

    fn or_empty(field: Field<'a>) -> Self {
        Self::from_any_value(field.bytes()).unwrap_or(Self::Empty)
    }
}

/// One `KeyValue`, read.
pub(crate) fn key_value(message: &[u8]) -> (Cow<'_, str>, ValueView<'_>) {
    let mut pair = (Cow::Borrowed(""), ValueView::Empty);
    for (field, value) in Reader::new(message) {
        match field {
            1 => pair.0 = value.text(),
            2 => pair.1 = ValueView::or_empty(value),
            _ => {}
        }
    }
    pair
}

impl fmt::Display for ValueView<'_> {
    /// Text as it is; inside lists and maps quoted, as JSON does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            other => other.nested(f),
        }
    }
}

impl ValueView<'_> {
    fn nested(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    value.nested(f)?;
                }
                f.write_str("]")
            }
            Self::Bool(value) => write!(f, "{value}"),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Empty => f.write_str("null"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key:?}:", if index > 0 { "," } else { "" })?;
                    value.nested(f)?;
                }
                f.write_str("}")
            }
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// A `LogRecord`, read.
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
            match u8::try_from(field).unwrap_or(0) {
                record_fields::TIME => view.time = value.number(),
                record_fields::OBSERVED_TIME => view.observed_time = value.number(),
                record_fields::SEVERITY_NUMBER => view.severity_number = value.number(),
                record_fields::SEVERITY_TEXT => view.severity_text = value.text(),
                record_fields::BODY => view.body = ValueView::or_empty(value),
                record_fields::ATTRIBUTES => view.attributes.push(key_value(value.bytes())),
                record_fields::DROPPED_ATTRIBUTES => view.dropped_attributes = value.number(),
                record_fields::FLAGS => view.flags = value.number(),
                record_fields::TRACE_ID => view.trace_id = value.bytes(),
                record_fields::SPAN_ID => view.span_id = value.bytes(),
                record_fields::EVENT_NAME => view.event_name = value.text(),
                _ => {}
            }
        }
        view
    }
}

/// The scope of a frame, read: the fields of `ScopeLogs` without its records.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ScopeView<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) version: Cow<'a, str>,
    pub(crate) attributes: Vec<(Cow<'a, str>, ValueView<'a>)>,
    pub(crate) schema_url: Cow<'a, str>,
}

impl<'a> ScopeView<'a> {
    pub(crate) fn read(scope_fields: &'a [u8]) -> Self {
        let mut view = Self::default();
        for (field, value) in Reader::new(scope_fields) {
            match field {
                1 => {
                    for (field, value) in Reader::new(value.bytes()) {
                        match field {
                            1 => view.name = value.text(),
                            2 => view.version = value.text(),
                            3 => view.attributes.push(key_value(value.bytes())),
                            _ => {}
                        }
                    }
                }
                3 => view.schema_url = value.text(),
                _ => {}
            }
        }
        view
    }
}

/// The attributes and the schema URL of the fields of `ResourceLogs` without its scopes.
pub(crate) fn read_resource(resource_fields: &[u8]) -> (Vec<(Cow<'_, str>, ValueView<'_>)>, Cow<'_, str>) {
    let mut resource = (Vec::new(), Cow::Borrowed(""));
    for (field, value) in Reader::new(resource_fields) {
        match field {
            1 => resource.0.extend(
                Reader::new(value.bytes()).filter(|(field, _)| *field == 1).map(|(_, pair)| key_value(pair.bytes())),
            ),
            3 => resource.1 = value.text(),
            _ => {}
        }
    }
    resource
}

/// Lower-case hexadecimal.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
