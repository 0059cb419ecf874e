//! Captures a key-value of `log` once for all destinations.
//!
//! The application's `Serialize` or `Display` runs once, whatever the number of destinations. A value is not followed
//! deeper than the stack allows.

use std::cell::Cell;
use std::fmt;

use log::kv;
use serde::ser::{
    self, Serialize, SerializeMap as _, SerializeStruct as _, SerializeStructVariant as _, SerializeTuple as _,
    SerializeTupleStruct as _, SerializeTupleVariant as _,
};

use super::serde_value::SerializeError;
use super::value::{MAX_DEPTH, TOO_DEEP, text_of};

/// The maximum number of captured levels, wrappers included. The encoder follows fewer.
const MAX_LEVELS: u8 = 160;
/// The maximum number of levels that the console shows.
const MAX_SHOWN_LEVELS: u8 = 100;

/// A captured value: the calls that its `Serialize` made, ready to be replayed.
#[derive(Debug)]
pub(crate) struct CapturedValue {
    value: Node,
    levels: u8,
    by_sval: bool,
}

impl CapturedValue {
    /// Captures a value. Returns `None` if its `Serialize` fails.
    pub(crate) fn new(value: &kv::Value<'_>) -> Option<Self> {
        let (levels, by_sval) = (Cell::new(0), Cell::new(false));
        let serializer = NodeSerializer { level: 0, containers: 0, levels: &levels, by_sval: &by_sval };
        let value = value.serialize(serializer).ok()?;
        Some(Self { value, levels: levels.get(), by_sval: by_sval.get() })
    }

    /// Returns the text of a value that `log` captured by its `Display` or `Debug`.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Node::Formatted(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the value for a formatter, which must print it as it would print `original`.
    ///
    /// Two kinds of values are returned as the original. Values of sval have a text format of their own. `log` formats
    /// its own text and floats differently from serialized ones, and a captured value cannot tell them apart.
    pub(crate) fn to_display_value<'v>(&'v self, original: &kv::Value<'v>) -> kv::Value<'v> {
        match &self.value {
            _ if self.levels > MAX_SHOWN_LEVELS => TOO_DEEP.into(),
            _ if self.by_sval => original.clone(),
            Node::Char(_) | Node::F64(_) | Node::Str(_) => original.clone(),
            Node::Bool(value) => (*value).into(),
            Node::Formatted(text) => kv::Value::from_display(text),
            Node::I64(value) => (*value).into(),
            Node::None => kv::Value::null(),
            Node::U64(value) => (*value).into(),
            _ => kv::Value::from_serde(self),
        }
    }
}

impl Serialize for CapturedValue {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

type Name = &'static str;
type Variant = (Name, u32, Name);
type Entries = Vec<(Name, Node)>;

/// One value of the serde data model.
#[derive(Debug)]
enum Node {
    Bool(bool),
    Bytes(Vec<u8>),
    Char(char),
    F32(f32),
    F64(f64),
    /// Text formatted by `collect_str`.
    Formatted(String),
    I64(i64),
    I128(i128),
    Map(Vec<(Node, Node)>),
    NewtypeStruct(Name, Box<Node>),
    NewtypeVariant(Variant, Box<Node>),
    None,
    Seq(Vec<Node>),
    Some(Box<Node>),
    Str(String),
    Struct(Name, Entries),
    StructVariant(Variant, Entries),
    Tuple(Vec<Node>),
    TupleStruct(Name, Vec<Node>),
    TupleVariant(Variant, Vec<Node>),
    U64(u64),
    U128(u128),
    Unit,
    UnitStruct(Name),
    UnitVariant(Variant),
}

impl Serialize for Node {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Char(value) => serializer.serialize_char(*value),
            Self::F32(value) => serializer.serialize_f32(*value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Formatted(text) => serializer.collect_str(text),
            Self::I64(value) => serializer.serialize_i64(*value),
            Self::I128(value) => serializer.serialize_i128(*value),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
            Self::NewtypeStruct(name, value) => serializer.serialize_newtype_struct(name, value),
            Self::NewtypeVariant((name, index, variant), value) => {
                serializer.serialize_newtype_variant(name, *index, variant, value)
            }
            Self::None => serializer.serialize_none(),
            Self::Seq(items) => serializer.collect_seq(items),
            Self::Some(value) => serializer.serialize_some(value),
            Self::Str(text) => serializer.serialize_str(text),
            Self::Struct(name, entries) => {
                let mut fields = serializer.serialize_struct(name, entries.len())?;
                entries.iter().try_for_each(|(key, value)| fields.serialize_field(key, value))?;
                fields.end()
            }
            Self::StructVariant((name, index, variant), entries) => {
                let mut fields = serializer.serialize_struct_variant(name, *index, variant, entries.len())?;
                entries.iter().try_for_each(|(key, value)| fields.serialize_field(key, value))?;
                fields.end()
            }
            Self::Tuple(items) => {
                let mut tuple = serializer.serialize_tuple(items.len())?;
                items.iter().try_for_each(|item| tuple.serialize_element(item))?;
                tuple.end()
            }
            Self::TupleStruct(name, items) => {
                let mut tuple = serializer.serialize_tuple_struct(name, items.len())?;
                items.iter().try_for_each(|item| tuple.serialize_field(item))?;
                tuple.end()
            }
            Self::TupleVariant((name, index, variant), items) => {
                let mut tuple = serializer.serialize_tuple_variant(name, *index, variant, items.len())?;
                items.iter().try_for_each(|item| tuple.serialize_field(item))?;
                tuple.end()
            }
            Self::U64(value) => serializer.serialize_u64(*value),
            Self::U128(value) => serializer.serialize_u128(*value),
            Self::Unit => serializer.serialize_unit(),
            Self::UnitStruct(name) => serializer.serialize_unit_struct(name),
            Self::UnitVariant((name, index, variant)) => serializer.serialize_unit_variant(name, *index, variant),
        }
    }
}

type NodeResult = Result<Node, SerializeError>;

/// A serializer that builds a [`Node`].
#[derive(Clone, Copy)]
struct NodeSerializer<'a> {
    level: u8,
    /// The number of those levels that are lists or maps.
    containers: u8,
    /// The deepest level so far.
    levels: &'a Cell<u8>,
    by_sval: &'a Cell<bool>,
}

impl<'a> NodeSerializer<'a> {
    /// Captures a nested value.
    fn nested<T: Serialize + ?Sized>(self, value: &T) -> NodeResult {
        // A tree may branch without end. Once the value is too deep to be shown, only the levels that the encoder
        // follows are captured.
        let is_skipped = self.levels.get() > MAX_SHOWN_LEVELS && self.containers > MAX_DEPTH;
        if is_skipped || self.level >= MAX_LEVELS {
            return Ok(Node::Str(TOO_DEEP.to_owned()));
        }
        // The content of a value of sval has types of sval. Nothing else distinguishes it from a value of serde.
        self.by_sval.set(self.by_sval.get() || std::any::type_name::<T>().contains("sval"));
        let level = self.level + 1;
        self.levels.set(self.levels.get().max(level));
        value.serialize(Self { level, ..self })
    }

    fn contained(self) -> Self {
        Self { containers: self.containers.saturating_add(1), ..self }
    }

    fn items(self, finish: impl FnOnce(Vec<Node>) -> Node + 'a) -> ListSerializer<'a> {
        ListSerializer { serializer: self.contained(), items: Vec::new(), finish: Box::new(finish) }
    }

    fn fields(self, finish: impl FnOnce(Entries) -> Node + 'a) -> StructSerializer<'a> {
        StructSerializer { serializer: self.contained(), entries: Vec::new(), finish: Box::new(finish) }
    }
}

struct ListSerializer<'a> {
    serializer: NodeSerializer<'a>,
    items: Vec<Node>,
    finish: Box<dyn FnOnce(Vec<Node>) -> Node + 'a>,
}

struct StructSerializer<'a> {
    serializer: NodeSerializer<'a>,
    entries: Entries,
    finish: Box<dyn FnOnce(Entries) -> Node + 'a>,
}

struct MapSerializer<'a> {
    serializer: NodeSerializer<'a>,
    entries: Vec<(Node, Node)>,
    key: Option<Node>,
}

macro_rules! leaves {
    ($($method:ident($type:ty) => $node:ident),+ $(,)?) => {
        $(fn $method(self, value: $type) -> NodeResult {
            Ok(Node::$node(value.into()))
        })+
    };
}

impl<'a> ser::Serializer for NodeSerializer<'a> {
    type Ok = Node;
    type Error = SerializeError;
    type SerializeSeq = ListSerializer<'a>;
    type SerializeTuple = ListSerializer<'a>;
    type SerializeTupleStruct = ListSerializer<'a>;
    type SerializeTupleVariant = ListSerializer<'a>;
    type SerializeMap = MapSerializer<'a>;
    type SerializeStruct = StructSerializer<'a>;
    type SerializeStructVariant = StructSerializer<'a>;

    leaves! {
        serialize_bool(bool) => Bool,
        serialize_i8(i8) => I64,
        serialize_i16(i16) => I64,
        serialize_i32(i32) => I64,
        serialize_i64(i64) => I64,
        serialize_i128(i128) => I128,
        serialize_u8(u8) => U64,
        serialize_u16(u16) => U64,
        serialize_u32(u32) => U64,
        serialize_u64(u64) => U64,
        serialize_u128(u128) => U128,
        serialize_f32(f32) => F32,
        serialize_f64(f64) => F64,
        serialize_char(char) => Char,
        serialize_str(&str) => Str,
        serialize_bytes(&[u8]) => Bytes,
        serialize_unit_struct(Name) => UnitStruct,
    }

    /// Captures a value by its `Display` or `Debug`. serde's default panics if that fails.
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> NodeResult {
        Ok(Node::Formatted(text_of(&value)))
    }

    fn serialize_none(self) -> NodeResult {
        Ok(Node::None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> NodeResult {
        self.nested(value).map(|value| Node::Some(Box::new(value)))
    }

    fn serialize_unit(self) -> NodeResult {
        Ok(Node::Unit)
    }

    fn serialize_unit_variant(self, name: Name, index: u32, variant: Name) -> NodeResult {
        Ok(Node::UnitVariant((name, index, variant)))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: Name, value: &T) -> NodeResult {
        self.nested(value).map(|value| Node::NewtypeStruct(name, Box::new(value)))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: Name,
        index: u32,
        variant: Name,
        value: &T,
    ) -> NodeResult {
        self.nested(value).map(|value| Node::NewtypeVariant((name, index, variant), Box::new(value)))
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<ListSerializer<'a>, SerializeError> {
        Ok(self.items(Node::Seq))
    }

    fn serialize_tuple(self, _len: usize) -> Result<ListSerializer<'a>, SerializeError> {
        Ok(self.items(Node::Tuple))
    }

    fn serialize_tuple_struct(self, name: Name, _len: usize) -> Result<ListSerializer<'a>, SerializeError> {
        Ok(self.items(move |items| Node::TupleStruct(name, items)))
    }

    fn serialize_tuple_variant(
        self,
        name: Name,
        index: u32,
        variant: Name,
        _len: usize,
    ) -> Result<ListSerializer<'a>, SerializeError> {
        Ok(self.items(move |items| Node::TupleVariant((name, index, variant), items)))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<MapSerializer<'a>, SerializeError> {
        Ok(MapSerializer { serializer: self.contained(), entries: Vec::new(), key: None })
    }

    fn serialize_struct(self, name: Name, _len: usize) -> Result<StructSerializer<'a>, SerializeError> {
        Ok(self.fields(move |entries| Node::Struct(name, entries)))
    }

    fn serialize_struct_variant(
        self,
        name: Name,
        index: u32,
        variant: Name,
        _len: usize,
    ) -> Result<StructSerializer<'a>, SerializeError> {
        Ok(self.fields(move |entries| Node::StructVariant((name, index, variant), entries)))
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident),+ $(,)?) => {
        $(impl ser::$trait for ListSerializer<'_> {
            type Ok = Node;
            type Error = SerializeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
                self.items.push(self.serializer.nested(value)?);
                Ok(())
            }

            fn end(self) -> NodeResult {
                Ok((self.finish)(self.items))
            }
        })+
    };
}

items!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
);

macro_rules! structs {
    ($($trait:ident),+ $(,)?) => {
        $(impl ser::$trait for StructSerializer<'_> {
            type Ok = Node;
            type Error = SerializeError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: Name, value: &T) -> Result<(), SerializeError> {
                self.entries.push((key, self.serializer.nested(value)?));
                Ok(())
            }

            fn end(self) -> NodeResult {
                Ok((self.finish)(self.entries))
            }
        })+
    };
}

structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for MapSerializer<'_> {
    type Ok = Node;
    type Error = SerializeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerializeError> {
        self.key = Some(self.serializer.nested(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        let key = self.key.take().unwrap_or(Node::Unit);
        self.entries.push((key, self.serializer.nested(value)?));
        Ok(())
    }

    fn end(self) -> NodeResult {
        Ok(Node::Map(self.entries))
    }
}

#[cfg(test)]
#[path = "captured_value_tests.rs"]
mod tests;
