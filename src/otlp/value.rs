//! Writes one OTLP `AnyValue`: scalars, text, bytes, and nested lists and maps.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::{self, Write as _};

use super::wire::{Text, WireType, begin, end, put_bytes, put_fixed64, put_varint, tag};

pub(crate) mod fields {
    //! Field numbers of `opentelemetry.proto.common.v1.AnyValue`.
    pub(crate) const STRING: u8 = 1;
    pub(crate) const BOOL: u8 = 2;
    pub(crate) const INT: u8 = 3;
    pub(crate) const DOUBLE: u8 = 4;
    pub(crate) const ARRAY: u8 = 5;
    pub(crate) const KVLIST: u8 = 6;
    pub(crate) const BYTES: u8 = 7;
}

/// How deep lists and maps may nest. Decoders stop at 100 nested messages. A level of a map takes three of them, and what
/// stands around an attribute takes five: 31 levels would just do, and leave nothing to whoever wraps the request once more.
pub(crate) const MAX_DEPTH: u8 = 24;
/// How many `Some` and newtypes may lie around each other. They are no level on the wire, but each is one on the stack.
const MAX_WRAPPERS: u8 = 128;
/// Stands for what lies deeper.
pub(crate) const TOO_DEEP: &str = "<nested too deep>";
/// From this many keys of a map on, they are looked up in a set.
const MANY: usize = 32;

/// How deep a value lies, and where those that lie too deep are counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Depth<'a> {
    level: u8,
    wrappers: u8,
    cut: Option<&'a Cell<u32>>,
}

impl Depth<'_> {
    /// So many levels of lists and maps deeper.
    pub(crate) fn below(self, levels: u8) -> Self {
        Self { level: self.level.saturating_add(levels), ..self }
    }

    /// Whether what lies here is left out.
    pub(crate) fn is_too_deep(self) -> bool {
        self.level > MAX_DEPTH
    }
}

/// Writes one value, once. Where nothing is written, there is no value.
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

    /// The same, which counts in `cut` what lies too deep.
    #[inline]
    pub(crate) fn counting(buf: &'a mut Vec<u8>, cut: &'a Cell<u32>) -> Self {
        Self { buf, depth: Depth { cut: Some(cut), ..Depth::default() } }
    }

    /// For a value that is encoded by itself and placed later.
    pub(crate) fn at_depth(buf: &'a mut Vec<u8>, depth: Depth<'a>) -> Self {
        Self { buf, depth }
    }

    pub(crate) fn depth(&self) -> Depth<'a> {
        self.depth
    }

    /// The writer for what lies in a `Some` or a newtype; `None`, with the placeholder written, where there are too many
    /// around it.
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
        if let Some(cut) = self.depth.cut {
            cut.set(cut.get().saturating_add(1));
        }
        self.str(TOO_DEEP);
    }

    /// A value that was encoded before.
    pub(crate) fn encoded(self, any_value: &[u8]) {
        self.buf.extend_from_slice(any_value);
    }

    #[inline]
    pub(crate) fn bool(self, value: bool) {
        self.buf.push(tag(fields::BOOL, WireType::Varint));
        self.buf.push(u8::from(value));
    }

    #[inline]
    pub(crate) fn int(self, value: i64) {
        self.buf.push(tag(fields::INT, WireType::Varint));
        put_varint(self.buf, value as u64);
    }

    /// An integer of any width; what does not fit into 64 bits with a sign becomes decimal text.
    #[inline]
    pub(crate) fn wide<T: TryInto<i64> + fmt::Display + Copy>(self, value: T) {
        match value.try_into() {
            Ok(value) => self.int(value),
            Err(_) => self.display(&value),
        }
    }

    #[inline]
    pub(crate) fn double(self, value: f64) {
        put_fixed64(self.buf, tag(fields::DOUBLE, WireType::Fixed64), value.to_bits());
    }

    #[inline]
    pub(crate) fn str(self, value: &str) {
        put_bytes(self.buf, tag(fields::STRING, WireType::Length), value.as_bytes());
    }

    pub(crate) fn bytes(self, value: &[u8]) {
        put_bytes(self.buf, tag(fields::BYTES, WireType::Length), value);
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
        let text = begin(self.buf, tag(fields::STRING, WireType::Length));
        // An error here is the value's own; what it wrote before is kept.
        let _kept = Text(self.buf).write_fmt(args);
        end(self.buf, text);
    }

    /// A list; `fill` writes its values.
    pub(crate) fn array(self, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        let depth = self.depth.below(1);
        if depth.is_too_deep() {
            return self.too_deep();
        }
        let list = begin(self.buf, tag(fields::ARRAY, WireType::Length));
        fill(&mut ArrayWriter { buf: self.buf, depth });
        end(self.buf, list);
    }

    /// A map; `fill` writes its entries. A key that comes twice keeps its first value.
    pub(crate) fn map(self, fill: impl FnOnce(&mut MapWriter<'_>)) {
        let depth = self.depth.below(1);
        if depth.is_too_deep() {
            return self.too_deep();
        }
        let map = begin(self.buf, tag(fields::KVLIST, WireType::Length));
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
    /// One value. Where nothing is written, the list has an empty value there, so that places keep their meaning.
    pub(crate) fn value(&mut self, write: impl FnOnce(ValueWriter<'_>)) {
        let any = begin(self.buf, tag(1, WireType::Length));
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

/// The keys of a map so far.
#[derive(Debug, Default)]
struct Keys {
    few: Vec<String>,
    /// All of them, once there are many: comparing each with all would take seconds for a hundred thousand.
    many: HashSet<String>,
}

impl Keys {
    fn has(&self, key: &str) -> bool {
        if self.many.is_empty() { self.few.iter().any(|taken| taken == key) } else { self.many.contains(key) }
    }

    fn add(&mut self, key: &str) {
        if self.many.is_empty() && self.few.len() < MANY {
            self.few.push(key.to_owned());
        } else {
            self.many.extend(self.few.drain(..));
            self.many.insert(key.to_owned());
        }
    }
}

impl MapWriter<'_> {
    /// One entry; nothing where the key is taken or the value is none.
    pub(crate) fn entry(&mut self, key: &str, write: impl FnOnce(ValueWriter<'_>)) {
        let key = if key.is_empty() { "_" } else { key };
        if self.keys.has(key) {
            return;
        }
        let start = self.buf.len();
        let pair = begin(self.buf, tag(1, WireType::Length));
        put_bytes(self.buf, tag(1, WireType::Length), key.as_bytes());
        let any = begin(self.buf, tag(2, WireType::Length));
        let empty = self.buf.len();
        write(ValueWriter { buf: self.buf, depth: self.depth });
        if self.buf.len() == empty {
            self.buf.truncate(start);
        } else {
            end(self.buf, any);
            end(self.buf, pair);
            self.keys.add(key);
        }
    }
}

/// Writes a field that holds an `AnyValue` with text: both lengths at once, since a message is often 128 bytes or more.
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
