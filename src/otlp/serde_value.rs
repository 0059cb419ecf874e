//! Writes a `serde::Serialize` value as an OTLP `AnyValue`, without an intermediate owned value.
//!
//! The mapping is that of the official appenders. Structs become maps, newtypes become their content, and unit variants
//! become text. A variant with data becomes a map with one entry. `None` and unit have no value.

use std::fmt;

use serde::ser::{self, Serialize};

use super::value::{ArrayWriter, Depth, MapWriter, ValueWriter, text_of};
use super::view::ValueView;

/// Writes the value. If its `Serialize` fails, the parts written until then remain.
pub(crate) fn write_serde(value: &(impl Serialize + ?Sized), writer: ValueWriter<'_>) {
    let _kept = value.serialize(AnyValueSerializer { writer });
}

/// An error of a value's `Serialize`. Its text is discarded, and the rest of the record is still exported.
#[derive(Debug)]
pub(super) struct SerializeError;

impl fmt::Display for SerializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value could not be serialized")
    }
}

impl std::error::Error for SerializeError {}

impl ser::Error for SerializeError {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

type SerializeResult = Result<(), SerializeError>;

struct AnyValueSerializer<'a> {
    writer: ValueWriter<'a>,
}

impl AnyValueSerializer<'_> {
    /// Writes the content of a `Some` or a newtype.
    fn unwrapped<T: Serialize + ?Sized>(self, value: &T) -> SerializeResult {
        match self.writer.unwrapped() {
            Some(writer) => value.serialize(AnyValueSerializer { writer }),
            None => Ok(()),
        }
    }
}

/// A list in progress. serde calls for one item at a time, so items are buffered as encoded bytes until the list ends.
struct ListSerializer<'a> {
    writer: ValueWriter<'a>,
    items: Vec<Vec<u8>>,
    variant: Option<&'static str>,
    depth: Depth<'a>,
}

/// A map in progress, whose entries are buffered like the items of a [`ListSerializer`].
struct MapSerializer<'a> {
    writer: ValueWriter<'a>,
    entries: Vec<(String, Vec<u8>)>,
    key: Option<String>,
    variant: Option<&'static str>,
    depth: Depth<'a>,
}

fn encode<T: Serialize + ?Sized>(value: &T, depth: Depth<'_>) -> Result<Vec<u8>, SerializeError> {
    let mut bytes = Vec::new();
    value.serialize(AnyValueSerializer { writer: ValueWriter::at_depth(&mut bytes, depth) })?;
    Ok(bytes)
}

fn fill_array(list: &mut ArrayWriter<'_>, items: &[Vec<u8>]) {
    for item in items {
        list.value(|value| value.encoded(item));
    }
}

fn fill_map(map: &mut MapWriter<'_>, entries: &[(String, Vec<u8>)]) {
    for (key, item) in entries {
        map.entry(key, |value| value.encoded(item));
    }
}

impl<'a> ListSerializer<'a> {
    fn new(serializer: AnyValueSerializer<'a>, variant: Option<&'static str>) -> Self {
        let depth = serializer.writer.depth().deeper(1 + u8::from(variant.is_some()));
        Self { writer: serializer.writer, items: Vec::new(), variant, depth }
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> SerializeResult {
        // Items that are too deep are not visited, since the writer would only write a placeholder.
        if !self.depth.is_too_deep() {
            self.items.push(encode(value, self.depth)?);
        }
        Ok(())
    }

    fn finish(self) -> SerializeResult {
        let items = &self.items;
        match self.variant {
            None => self.writer.array(|list| fill_array(list, items)),
            Some(variant) => {
                self.writer.map(|map| map.entry(variant, |value| value.array(|list| fill_array(list, items))))
            }
        }
        Ok(())
    }
}

impl<'a> MapSerializer<'a> {
    fn new(serializer: AnyValueSerializer<'a>, variant: Option<&'static str>) -> Self {
        let depth = serializer.writer.depth().deeper(1 + u8::from(variant.is_some()));
        Self { writer: serializer.writer, entries: Vec::new(), key: None, variant, depth }
    }

    fn push<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> SerializeResult {
        // As for the items of a list.
        if !self.depth.is_too_deep() {
            self.entries.push((key, encode(value, self.depth)?));
        }
        Ok(())
    }

    fn finish(self) -> SerializeResult {
        let entries = &self.entries;
        match self.variant {
            None => self.writer.map(|map| fill_map(map, entries)),
            Some(variant) => {
                self.writer.map(|map| map.entry(variant, |value| value.map(|inner| fill_map(inner, entries))))
            }
        }
        Ok(())
    }
}

macro_rules! scalars {
    ($($method:ident($type:ty) => $writer:ident),+ $(,)?) => {
        $(fn $method(self, value: $type) -> SerializeResult {
            self.writer.$writer(value.into());
            Ok(())
        })+
    };
}

impl<'a> ser::Serializer for AnyValueSerializer<'a> {
    type Ok = ();
    type Error = SerializeError;
    type SerializeSeq = ListSerializer<'a>;
    type SerializeTuple = ListSerializer<'a>;
    type SerializeTupleStruct = ListSerializer<'a>;
    type SerializeTupleVariant = ListSerializer<'a>;
    type SerializeMap = MapSerializer<'a>;
    type SerializeStruct = MapSerializer<'a>;
    type SerializeStructVariant = MapSerializer<'a>;

    scalars! {
        serialize_bool(bool) => bool,
        serialize_i8(i8) => int,
        serialize_i16(i16) => int,
        serialize_i32(i32) => int,
        serialize_i64(i64) => int,
        serialize_u8(u8) => int,
        serialize_u16(u16) => int,
        serialize_u32(u32) => int,
        serialize_f32(f32) => double,
        serialize_f64(f64) => double,
    }

    fn serialize_u64(self, value: u64) -> SerializeResult {
        self.writer.wide(value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> SerializeResult {
        self.writer.wide(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> SerializeResult {
        self.writer.wide(value);
        Ok(())
    }

    /// Writes a value that was captured by its `Display` or `Debug`. serde's default panics if that fails.
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> SerializeResult {
        self.writer.display(&value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> SerializeResult {
        self.writer.str(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> SerializeResult {
        self.writer.str(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> SerializeResult {
        self.writer.bytes(value);
        Ok(())
    }

    fn serialize_none(self) -> SerializeResult {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> SerializeResult {
        self.unwrapped(value)
    }

    fn serialize_unit(self) -> SerializeResult {
        Ok(())
    }

    fn serialize_unit_struct(self, name: &'static str) -> SerializeResult {
        self.serialize_str(name)
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> SerializeResult {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> SerializeResult {
        self.unwrapped(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> SerializeResult {
        let mut map = MapSerializer::new(self, None);
        map.push(variant.to_owned(), value)?;
        map.finish()
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<ListSerializer<'a>, SerializeError> {
        Ok(ListSerializer::new(self, None))
    }

    fn serialize_tuple(self, _len: usize) -> Result<ListSerializer<'a>, SerializeError> {
        Ok(ListSerializer::new(self, None))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<ListSerializer<'a>, SerializeError> {
        Ok(ListSerializer::new(self, None))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<ListSerializer<'a>, SerializeError> {
        Ok(ListSerializer::new(self, Some(variant)))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<MapSerializer<'a>, SerializeError> {
        Ok(MapSerializer::new(self, None))
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<MapSerializer<'a>, SerializeError> {
        Ok(MapSerializer::new(self, None))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<MapSerializer<'a>, SerializeError> {
        Ok(MapSerializer::new(self, Some(variant)))
    }
}

macro_rules! sequences {
    ($($trait:ident::$method:ident),+ $(,)?) => {
        $(impl ser::$trait for ListSerializer<'_> {
            type Ok = ();
            type Error = SerializeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> SerializeResult {
                self.push(value)
            }

            fn end(self) -> SerializeResult {
                self.finish()
            }
        })+
    };
}

sequences!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
);

macro_rules! structs {
    ($($trait:ident),+ $(,)?) => {
        $(impl ser::$trait for MapSerializer<'_> {
            type Ok = ();
            type Error = SerializeError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> SerializeResult {
                self.push(key.to_owned(), value)
            }

            fn end(self) -> SerializeResult {
                self.finish()
            }
        })+
    };
}

structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for MapSerializer<'_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> SerializeResult {
        self.key = Some(key_text(key));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> SerializeResult {
        let key = self.key.take().unwrap_or_default();
        self.push(key, value)
    }

    fn end(self) -> SerializeResult {
        self.finish()
    }
}

/// Returns a key as text, since OTLP has no other keys.
fn key_text<T: Serialize + ?Sized>(key: &T) -> String {
    let Ok(bytes) = encode(key, Depth::default()) else { return String::new() };
    ValueView::from_any_value(&bytes).map(|value| text_of(&value)).unwrap_or_default()
}
