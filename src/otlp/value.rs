//! Writes one OTLP `AnyValue`: scalars, text, bytes, and nested lists and maps.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::{self, Write as _};

use super::schema::{any_value, array_value, key_value, key_value_list};
use super::wire::{FmtBuffer, WireType, begin, end, put_bytes, put_fixed64, put_varint, tag};

/// The maximum nesting depth of lists and maps.
///
/// Decoders stop at 100 nested messages. One level of a map takes three messages, and five enclose an attribute. So 31
/// levels would fit; the margin is for receivers that wrap the request in messages of their own.
pub(crate) const MAX_DEPTH: u8 = 24;
/// The maximum number of nested `Some` and newtype wrappers. They add no level on the wire, but each uses stack.
const MAX_WRAPPERS: u8 = 128;
/// The text that replaces values nested deeper than [`MAX_DEPTH`].
pub(crate) const TOO_DEEP: &str = "<nested too deep>";
/// The number of keys from which a map's keys are looked up in a set.
const KEY_SET_THRESHOLD: usize = 32;

/// The nesting depth of a value, with a counter of values that were replaced by [`TOO_DEEP`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Depth<'a> {
    level: u8,
    wrappers: u8,
    replaced: Option<&'a Cell<u32>>,
}

impl Depth<'_> {
    /// Returns the depth `levels` lists or maps deeper.
    pub(crate) fn deeper(self, levels: u8) -> Self {
        Self { level: self.level.saturating_add(levels), ..self }
    }

    pub(crate) fn is_too_deep(self) -> bool {
        self.level > MAX_DEPTH
    }
}

/// Writes a single value. If nothing is written, there is no value.
#[derive(Debug)]
pub(crate) struct ValueWriter<'a> {
    buf: &'a mut Vec<u8>,
    depth: Depth<'a>,
}

impl<'a> ValueWriter<'a> {
    #[inline]
    pub(crate) fn new(buf: &'a mut Vec<u8>) -> Self {
        Self { buf, depth: Depth::default() }
    }

    /// Creates a writer that counts in `replaced` the values that are nested too deep.
    #[inline]
    pub(crate) fn counting(buf: &'a mut Vec<u8>, replaced: &'a Cell<u32>) -> Self {
        Self { buf, depth: Depth { replaced: Some(replaced), ..Depth::default() } }
    }

    /// Creates a writer for a value that is encoded separately and inserted at `depth` later.
    pub(crate) fn at_depth(buf: &'a mut Vec<u8>, depth: Depth<'a>) -> Self {
        Self { buf, depth }
    }

    pub(crate) fn depth(&self) -> Depth<'a> {
        self.depth
    }

    /// Returns the writer for the content of a `Some` or a newtype. If there are too many of them, writes [`TOO_DEEP`]
    /// and returns `None`.
    pub(crate) fn unwrapped(mut self) -> Option<Self> {
        if self.depth.wrappers >= MAX_WRAPPERS {
            self.too_deep();
            return None;
        }
        self.depth.wrappers += 1;
        Some(self)
    }

    #[cold]
    fn too_deep(self) {
        if let Some(replaced) = self.depth.replaced {
            replaced.set(replaced.get().saturating_add(1));
        }
        self.str(TOO_DEEP);
    }

    /// Writes the fields of an `AnyValue` that is encoded already.
    pub(crate) fn encoded(self, any_value: &[u8]) {
        self.buf.extend_from_slice(any_value);
    }

    #[inline]
    pub(crate) fn bool(self, value: bool) {
        self.buf.push(tag(any_value::BOOL, WireType::Varint));
        self.buf.push(u8::from(value));
    }

    #[inline]
    pub(crate) fn int(self, value: i64) {
        self.buf.push(tag(any_value::INT, WireType::Varint));
        put_varint(self.buf, value as u64);
    }

    /// Writes an integer of any width. If it does not fit into `i64`, writes it as decimal text.
    #[inline]
    pub(crate) fn wide<T: TryInto<i64> + fmt::Display + Copy>(self, value: T) {
        match value.try_into() {
            Ok(value) => self.int(value),
            Err(_) => self.display(&value),
        }
    }

    #[inline]
    pub(crate) fn double(self, value: f64) {
        put_fixed64(self.buf, tag(any_value::DOUBLE, WireType::Fixed64), value.to_bits());
    }

    #[inline]
    pub(crate) fn str(self, value: &str) {
        put_bytes(self.buf, tag(any_value::STRING, WireType::Length), value.as_bytes());
    }

    pub(crate) fn bytes(self, value: &[u8]) {
        put_bytes(self.buf, tag(any_value::BYTES, WireType::Length), value);
    }

    #[inline]
    pub(crate) fn display(self, value: &dyn fmt::Display) {
        self.args(format_args!("{value}"));
    }

    #[inline]
    pub(crate) fn debug(self, value: &dyn fmt::Debug) {
        self.args(format_args!("{value:?}"));
    }

    fn args(self, args: fmt::Arguments<'_>) {
        let text = begin(self.buf, tag(any_value::STRING, WireType::Length));
        // Only the value's own `fmt` can fail. The text written until then is kept.
        let _kept = FmtBuffer(self.buf).write_fmt(args);
        end(self.buf, text);
    }

    /// Writes a list whose values `fill` writes.
    pub(crate) fn array(self, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        let depth = self.depth.deeper(1);
        if depth.is_too_deep() {
            return self.too_deep();
        }
        let list = begin(self.buf, tag(any_value::ARRAY, WireType::Length));
        fill(&mut ArrayWriter { buf: self.buf, depth });
        end(self.buf, list);
    }

    /// Writes a map whose entries `fill` writes. A repeated key keeps its first value.
    pub(crate) fn map(self, fill: impl FnOnce(&mut MapWriter<'_>)) {
        let depth = self.depth.deeper(1);
        if depth.is_too_deep() {
            return self.too_deep();
        }
        let map = begin(self.buf, tag(any_value::KVLIST, WireType::Length));
        fill(&mut MapWriter { buf: self.buf, depth, keys: Keys::default() });
        end(self.buf, map);
    }
}

/// Writes the values of a list.
#[derive(Debug)]
pub(crate) struct ArrayWriter<'a> {
    buf: &'a mut Vec<u8>,
    depth: Depth<'a>,
}

impl ArrayWriter<'_> {
    /// Adds a value. If `write` writes nothing, adds an empty value, so that the other values keep their positions.
    pub(crate) fn value(&mut self, write: impl FnOnce(ValueWriter<'_>)) {
        let any = begin(self.buf, tag(array_value::VALUES, WireType::Length));
        write(ValueWriter { buf: self.buf, depth: self.depth });
        end(self.buf, any);
    }
}

/// Writes the entries of a map.
#[derive(Debug)]
pub(crate) struct MapWriter<'a> {
    buf: &'a mut Vec<u8>,
    depth: Depth<'a>,
    keys: Keys,
}

/// The keys of a map so far: a list, and a set from [`KEY_SET_THRESHOLD`] keys on.
#[derive(Debug, Default)]
struct Keys {
    list: Vec<String>,
    /// Without a set, 100,000 keys would take seconds to compare with each other.
    set: HashSet<String>,
}

impl Keys {
    fn contains(&self, key: &str) -> bool {
        if self.set.is_empty() { self.list.iter().any(|known| known == key) } else { self.set.contains(key) }
    }

    fn insert(&mut self, key: &str) {
        if self.set.is_empty() && self.list.len() < KEY_SET_THRESHOLD {
            self.list.push(key.to_owned());
        } else {
            self.set.extend(self.list.drain(..));
            self.set.insert(key.to_owned());
        }
    }
}

impl MapWriter<'_> {
    /// Adds an entry, unless the key is already in the map or `write` writes nothing.
    pub(crate) fn entry(&mut self, key: &str, write: impl FnOnce(ValueWriter<'_>)) {
        let key = if key.is_empty() { "_" } else { key };
        if self.keys.contains(key) {
            return;
        }
        let start = self.buf.len();
        let pair = begin(self.buf, tag(key_value_list::VALUES, WireType::Length));
        put_bytes(self.buf, tag(key_value::KEY, WireType::Length), key.as_bytes());
        let any = begin(self.buf, tag(key_value::VALUE, WireType::Length));
        let empty = self.buf.len();
        write(ValueWriter { buf: self.buf, depth: self.depth });
        if self.buf.len() == empty {
            self.buf.truncate(start);
        } else {
            end(self.buf, any);
            end(self.buf, pair);
            self.keys.insert(key);
        }
    }
}

/// Writes a field that holds an `AnyValue` with text.
#[inline]
pub(crate) fn put_text(buf: &mut Vec<u8>, tag_byte: u8, args: fmt::Arguments<'_>) {
    let any = begin(buf, tag_byte);
    if let Some(text) = args.as_str() {
        ValueWriter::new(buf).str(text);
    } else {
        ValueWriter::new(buf).args(args);
    }
    end(buf, any);
}

/// Formats a value. If its `Display` fails, returns the text written until then, where `to_string` would panic.
pub(crate) fn text_of(value: &dyn fmt::Display) -> String {
    let mut text = String::new();
    let _kept = write!(text, "{value}");
    text
}
