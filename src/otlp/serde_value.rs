//! Writes whatever implements `serde::Serialize` as an OTLP `AnyValue`, without an owned value in between.
//!
//! The mapping is the official appender's: structs are maps, newtypes vanish, unit variants are text, variants with
//! data are a map with one entry, none and unit leave no value.

use std::fmt;

use serde::ser::{self, Serialize};

use super::record::text_of;
use super::value::{ArrayWriter, Depth, MapWriter, ValueWriter};

/// Writes the value. An error of the value's own leaves what was written before it.
pub(crate) fn write(value: &(impl Serialize + ?Sized), writer: ValueWriter<'_>) {
    let _kept = value.serialize(AnySerializer { writer });
}

/// An error of the value's own `Serialize`. Its text goes nowhere: the rest of the record is still good.
#[derive(Debug)]
pub(super) struct ValueError;

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value could not be serialised")
    }
}

impl std::error::Error for ValueError {}

impl ser::Error for ValueError {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

type Done = Result<(), ValueError>;

struct AnySerializer<'a> {
    writer: ValueWriter<'a>,
}

impl AnySerializer<'_> {
    /// What lies in a wrapper that leaves no trace.
    fn unwrapped<T: Serialize + ?Sized>(self, value: &T) -> Done {
        match self.writer.unwrapped() {
            Some(writer) => value.serialize(AnySerializer { writer }),
            None => Ok(()),
        }
    }
}

/// Values that come one by one are kept as small closures' results: serde drives the visit, so a list or map is
/// buffered as encoded bytes and written when it ends.
struct Sequence<'a> {
    writer: ValueWriter<'a>,
    items: Vec<Vec<u8>>,
    variant: Option<&'static str>,
    depth: Depth<'a>,
}

struct Mapping<'a> {
    writer: ValueWriter<'a>,
    entries: Vec<(String, Vec<u8>)>,
    key: Option<String>,
    variant: Option<&'static str>,
    depth: Depth<'a>,
}

fn encode<T: Serialize + ?Sized>(value: &T, depth: Depth<'_>) -> Result<Vec<u8>, ValueError> {
    let mut bytes = Vec::new();
    value.serialize(AnySerializer { writer: ValueWriter::at_depth(&mut bytes, depth) })?;
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

impl<'a> Sequence<'a> {
    fn new(serializer: AnySerializer<'a>, variant: Option<&'static str>) -> Self {
        let depth = serializer.writer.depth().below(1 + u8::from(variant.is_some()));
        Self { writer: serializer.writer, items: Vec::new(), variant, depth }
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        // Deeper values are not visited at all: the writer would only write a placeholder.
        if !self.depth.is_too_deep() {
            self.items.push(encode(value, self.depth)?);
        }
        Ok(())
    }

    fn finish(self) -> Done {
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

impl<'a> Mapping<'a> {
    fn new(serializer: AnySerializer<'a>, variant: Option<&'static str>) -> Self {
        let depth = serializer.writer.depth().below(1 + u8::from(variant.is_some()));
        Self { writer: serializer.writer, entries: Vec::new(), key: None, variant, depth }
    }

    fn push<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Done {
        // As for a list.
        if !self.depth.is_too_deep() {
            self.entries.push((key, encode(value, self.depth)?));
        }
        Ok(())
    }

    fn finish(self) -> Done {
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
        $(fn $method(self, value: $type) -> Done {
            self.writer.$writer(value.into());
            Ok(())
        })+
    };
}

impl<'a> ser::Serializer for AnySerializer<'a> {
    type Ok = ();
    type Error = ValueError;
    type SerializeSeq = Sequence<'a>;
    type SerializeTuple = Sequence<'a>;
    type SerializeTupleStruct = Sequence<'a>;
    type SerializeTupleVariant = Sequence<'a>;
    type SerializeMap = Mapping<'a>;
    type SerializeStruct = Mapping<'a>;
    type SerializeStructVariant = Mapping<'a>;

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

    fn serialize_u64(self, value: u64) -> Done {
        self.writer.wide(value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Done {
        self.writer.wide(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Done {
        self.writer.wide(value);
        Ok(())
    }

    /// What was captured by its `Display` or `Debug`. serde's own version panics where that returns an error.
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Done {
        self.writer.display(&value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Done {
        self.writer.str(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Done {
        self.writer.str(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.writer.bytes(value);
        Ok(())
    }

    fn serialize_none(self) -> Done {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        self.unwrapped(value)
    }

    fn serialize_unit(self) -> Done {
        Ok(())
    }

    fn serialize_unit_struct(self, name: &'static str) -> Done {
        self.serialize_str(name)
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Done {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Done {
        self.unwrapped(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        let mut map = Mapping::new(self, None);
        map.push(variant.to_owned(), value)?;
        map.finish()
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Sequence<'a>, ValueError> {
        Ok(Sequence::new(self, None))
    }

    fn serialize_tuple(self, _len: usize) -> Result<Sequence<'a>, ValueError> {
        Ok(Sequence::new(self, None))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Sequence<'a>, ValueError> {
        Ok(Sequence::new(self, None))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Sequence<'a>, ValueError> {
        Ok(Sequence::new(self, Some(variant)))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Mapping<'a>, ValueError> {
        Ok(Mapping::new(self, None))
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Mapping<'a>, ValueError> {
        Ok(Mapping::new(self, None))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Mapping<'a>, ValueError> {
        Ok(Mapping::new(self, Some(variant)))
    }
}

macro_rules! sequences {
    ($($trait:ident::$method:ident),+ $(,)?) => {
        $(impl ser::$trait for Sequence<'_> {
            type Ok = ();
            type Error = ValueError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                self.push(value)
            }

            fn end(self) -> Done {
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
        $(impl ser::$trait for Mapping<'_> {
            type Ok = ();
            type Error = ValueError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
                self.push(key.to_owned(), value)
            }

            fn end(self) -> Done {
                self.finish()
            }
        })+
    };
}

structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Mapping<'_> {
    type Ok = ();
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.key = Some(key_text(key));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        let key = self.key.take().unwrap_or_default();
        self.push(key, value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

/// A map's key as text: OTLP has no other keys.
fn key_text<T: Serialize + ?Sized>(key: &T) -> String {
    let Ok(bytes) = encode(key, Depth::default()) else { return String::new() };
    super::reader::Value::from_any_value(&bytes).map(|value| text_of(&value)).unwrap_or_default()
}
