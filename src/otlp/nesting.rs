//! Whether a value nests too deep for whoever follows it by calling itself: asked by walking through it as serde shows it,
//! and no further than that.

use std::cell::Cell;
use std::fmt;

use serde::ser::{self, Serialize};

/// Whether the value has more levels than that. Text that a value would have to format is not asked for.
pub(crate) fn nests_deeper(value: &(impl Serialize + ?Sized), levels: u8) -> bool {
    let too_deep = Cell::new(false);
    // A value may make another error of ours, or none at all.
    let _ended = value.serialize(Probe { left: levels, too_deep: &too_deep });
    too_deep.get()
}

/// The walk has ended before the end of the value: it is deep enough, or an error of its own says so.
#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the walk has ended")
    }
}

impl std::error::Error for Stop {}

impl ser::Error for Stop {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

type Seen = Result<(), Stop>;

/// Walks, and remembers nothing but how many levels are left.
#[derive(Clone, Copy)]
struct Probe<'a> {
    left: u8,
    too_deep: &'a Cell<bool>,
}

impl Probe<'_> {
    fn walk<T: Serialize + ?Sized>(self, value: &T) -> Seen {
        match self.left.checked_sub(1) {
            // Nothing is walked through any more once that is known.
            Some(left) if !self.too_deep.get() => value.serialize(Self { left, ..self }),
            _ => {
                self.too_deep.set(true);
                Err(Stop)
            }
        }
    }
}

macro_rules! leaves {
    ($($method:ident($($argument:ty),*)),+ $(,)?) => {
        $(fn $method(self, $(_: $argument),*) -> Seen {
            Ok(())
        })+
    };
}

macro_rules! lists {
    ($($method:ident($($argument:ty),*)),+ $(,)?) => {
        $(fn $method(self, $(_: $argument),*) -> Result<Self, Stop> {
            Ok(self)
        })+
    };
}

impl ser::Serializer for Probe<'_> {
    type Ok = ();
    type Error = Stop;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    leaves! {
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_i128(i128),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_u128(u128),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_str(&str),
        serialize_bytes(&[u8]),
        serialize_none(),
        serialize_unit(),
        serialize_unit_struct(&'static str),
        serialize_unit_variant(&'static str, u32, &'static str),
    }

    lists! {
        serialize_seq(Option<usize>),
        serialize_tuple(usize),
        serialize_tuple_struct(&'static str, usize),
        serialize_tuple_variant(&'static str, u32, &'static str, usize),
        serialize_map(Option<usize>),
        serialize_struct(&'static str, usize),
        serialize_struct_variant(&'static str, u32, &'static str, usize),
    }

    /// What was captured by its `Display` or `Debug` is one text, and code of the application that runs once is enough.
    fn collect_str<T: fmt::Display + ?Sized>(self, _value: &T) -> Seen {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Seen {
        self.walk(value)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Seen {
        self.walk(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Seen {
        self.walk(value)
    }
}

macro_rules! elements {
    ($($trait:ident::$method:ident($($key:ty)?)),+ $(,)?) => {
        $(impl ser::$trait for Probe<'_> {
            type Ok = ();
            type Error = Stop;

            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> Seen {
                self.walk(value)
            }

            fn end(self) -> Seen {
                Ok(())
            }
        })+
    };
}

elements!(
    SerializeSeq::serialize_element(),
    SerializeTuple::serialize_element(),
    SerializeTupleStruct::serialize_field(),
    SerializeTupleVariant::serialize_field(),
    SerializeStruct::serialize_field(&'static str),
    SerializeStructVariant::serialize_field(&'static str),
);

impl ser::SerializeMap for Probe<'_> {
    type Ok = ();
    type Error = Stop;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Seen {
        self.walk(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Seen {
        self.walk(value)
    }

    fn end(self) -> Seen {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_and_texts_are_not_made() {
        assert!(!nests_deeper(&7, 0));
        assert!(nests_deeper(&[7], 0) && !nests_deeper(&[7], 1));
        assert!(nests_deeper(&Some([(1, "x")]), 2) && !nests_deeper(&Some([(1, "x")]), 3));
        let map = std::collections::BTreeMap::from([("a", vec![1]), ("b", vec![])]);
        assert!(nests_deeper(&map, 1) && !nests_deeper(&map, 2));

        struct Fails;
        impl fmt::Display for Fails {
            fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("formatted")
            }
        }
        assert!(!nests_deeper(&log::kv::Value::from_display(&Fails), 0));
    }
}
