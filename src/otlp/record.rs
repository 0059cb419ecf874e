//! Writes one OTLP `LogRecord`, straight from what the facade lends: the one encoder behind all sources.
//!
//! Order of calls: [`RecordWriter::begin`], body and attributes in any order, [`RecordWriter::finish`]. A key that comes
//! twice keeps its last value, in the place of that value; an empty key becomes `_`; a value that is none leaves no
//! attribute.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::{self, Write as _};

use log::Level;

use super::redact::Redaction;
use super::value::{ValueWriter, put_text};
use super::wire::{WireType, begin, end, put_bytes, put_fixed32, put_fixed64, put_varint, tag};

pub(crate) mod fields {
    //! Field numbers of `opentelemetry.proto.logs.v1.LogRecord`.
    pub(crate) const TIME: u8 = 1;
    pub(crate) const SEVERITY_NUMBER: u8 = 2;
    pub(crate) const SEVERITY_TEXT: u8 = 3;
    pub(crate) const BODY: u8 = 5;
    pub(crate) const ATTRIBUTES: u8 = 6;
    pub(crate) const DROPPED_ATTRIBUTES: u8 = 7;
    pub(crate) const FLAGS: u8 = 8;
    pub(crate) const TRACE_ID: u8 = 9;
    pub(crate) const SPAN_ID: u8 = 10;
    pub(crate) const OBSERVED_TIME: u8 = 11;
    pub(crate) const EVENT_NAME: u8 = 12;
}

/// What is known of a record before its fields are visited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordHeader<'a> {
    /// Nanoseconds since the Unix epoch.
    pub(crate) time: u64,
    /// Nanoseconds since the Unix epoch; never 0.
    pub(crate) observed_time: u64,
    /// 1 to 24; 0 where the source does not know.
    pub(crate) severity_number: u8,
    pub(crate) severity_text: &'a str,
    pub(crate) trace: Option<TraceIds>,
    pub(crate) event_name: Option<&'a str>,
}

/// The specification's number for a level.
pub(crate) fn severity_number(level: Level) -> u8 {
    match level {
        Level::Error => 17,
        Level::Warn => 13,
        Level::Info => 9,
        Level::Debug => 5,
        Level::Trace => 1,
    }
}

/// The ids of the active span.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TraceIds {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) flags: u8,
}

/// Where an attribute lies in the buffer.
#[derive(Clone, Copy, Debug)]
struct AttributeRange {
    start: usize,
    end: usize,
    key: (usize, usize),
}

/// Buffers that are used again for each record of a thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The record as it is being written.
    pub(crate) buf: Vec<u8>,
    placed: Vec<AttributeRange>,
    /// The keys of a record with many of them; empty below [`MANY`].
    keys: HashSet<Box<[u8]>>,
    /// How many values of the record were cut because they nest too deep.
    too_deep: Cell<u32>,
    is_traced: bool,
    /// The time that we gave the record; 0 if the application gave it one.
    pub(crate) assigned_time: u64,
}

/// From this many attributes on, keys are looked up in a set: comparing each with all would take seconds for a hundred
/// thousand.
const MANY: usize = 64;

impl Scratch {
    /// How many values of the last record were cut because they nest too deep.
    pub(crate) fn too_deep(&self) -> u32 {
        self.too_deep.get()
    }

    /// Whether the last record is in a trace.
    pub(crate) fn is_traced(&self) -> bool {
        self.is_traced
    }

    /// Gives memory back after an unusually large record.
    #[inline]
    pub(crate) fn trim(&mut self) {
        if self.buf.capacity() > KEPT_BYTES || self.placed.capacity() > KEPT_PLACES || !self.keys.is_empty() {
            self.trim_large();
        }
    }

    #[cold]
    fn trim_large(&mut self) {
        if self.buf.capacity() > KEPT_BYTES {
            self.buf = Vec::with_capacity(KEPT_BYTES);
        }
        self.placed.truncate(KEPT_PLACES);
        self.placed.shrink_to(KEPT_PLACES);
        self.keys = HashSet::new();
    }
}

/// The buffer's capacity that stays after a large record, in bytes.
const KEPT_BYTES: usize = 64 << 10;
/// Likewise, of the places of attributes.
const KEPT_PLACES: usize = 256;

/// Where the time of a record lies in its bytes, and where its observed time: [`RecordWriter::begin`] writes them first.
const TIMES: [usize; 2] = [1, 10];

/// Gives an encoded record another time; also as the observed one, where both were the same.
#[cold]
pub(crate) fn set_time(record: &mut [u8], time: u64) {
    if record.first() != Some(&tag(fields::TIME, WireType::Fixed64)) {
        return;
    }
    let is_same = record.get(TIMES[0]..TIMES[0] + 8) == record.get(TIMES[1]..TIMES[1] + 8);
    for at in TIMES.into_iter().take(if is_same { 2 } else { 1 }) {
        if let Some(place) = record.get_mut(at..at + 8) {
            place.copy_from_slice(&time.to_le_bytes());
        }
    }
}

/// Writes one record into a [`Scratch`], behind what already is in its buffer.
#[derive(Debug)]
pub(crate) struct RecordWriter<'a> {
    scratch: &'a mut Scratch,
    has_body: bool,
    /// A key was seen that our own attributes could repeat.
    may_repeat_ours: bool,
    /// What will be taken out of the record: under another key, it would not be found.
    redaction: Option<&'a Redaction>,
}

impl<'a> RecordWriter<'a> {
    pub(crate) fn begin(scratch: &'a mut Scratch, head: &RecordHeader<'_>) -> Self {
        scratch.placed.clear();
        scratch.keys.clear();
        scratch.too_deep.set(0);
        scratch.is_traced = head.trace.is_some();
        scratch.assigned_time = head.time;
        let buf = &mut scratch.buf;
        put_fixed64(buf, tag(fields::TIME, WireType::Fixed64), head.time);
        put_fixed64(buf, tag(fields::OBSERVED_TIME, WireType::Fixed64), head.observed_time);
        if head.severity_number != 0 {
            buf.push(tag(fields::SEVERITY_NUMBER, WireType::Varint));
            put_varint(buf, u64::from(head.severity_number));
        }
        if !head.severity_text.is_empty() {
            put_bytes(buf, tag(fields::SEVERITY_TEXT, WireType::Length), head.severity_text.as_bytes());
        }
        if let Some(trace) = head.trace {
            if trace.flags != 0 {
                put_fixed32(buf, tag(fields::FLAGS, WireType::Fixed32), u32::from(trace.flags));
            }
            put_bytes(buf, tag(fields::TRACE_ID, WireType::Length), &trace.trace_id);
            put_bytes(buf, tag(fields::SPAN_ID, WireType::Length), &trace.span_id);
        }
        if let Some(name) = head.event_name {
            put_bytes(buf, tag(fields::EVENT_NAME, WireType::Length), name.as_bytes());
        }
        Self { scratch, has_body: false, may_repeat_ours: false, redaction: None }
    }

    /// What will be taken out of the record.
    pub(crate) fn with_redaction(self, redaction: Option<&'a Redaction>) -> Self {
        Self { redaction, ..self }
    }

    /// Whether the value under that key must be written nowhere else.
    #[inline]
    pub(crate) fn hides(&self, key: &str) -> bool {
        self.redaction.is_some_and(|redaction| redaction.hides(key))
    }

    pub(crate) fn has_body(&self) -> bool {
        self.has_body
    }

    /// The message. Only the first body counts.
    #[inline]
    pub(crate) fn body(&mut self, args: fmt::Arguments<'_>) {
        if !std::mem::replace(&mut self.has_body, true) {
            put_text(&mut self.scratch.buf, tag(fields::BODY, WireType::Length), args);
        }
    }

    /// A body that is no text.
    pub(crate) fn body_value(&mut self, write: impl FnOnce(ValueWriter<'_>)) {
        if !std::mem::replace(&mut self.has_body, true) {
            let Scratch { buf, too_deep, .. } = &mut *self.scratch;
            let before = buf.len();
            let any = begin(buf, tag(fields::BODY, WireType::Length));
            let empty = buf.len();
            write(ValueWriter::counting(buf, too_deep));
            if buf.len() == empty {
                buf.truncate(before);
                self.has_body = false;
            } else {
                end(buf, any);
            }
        }
    }

    /// An attribute of the application. `write` writes the value; where it writes nothing, there is no attribute.
    #[inline]
    pub(crate) fn attribute(&mut self, key: &str, write: impl FnOnce(ValueWriter<'_>)) {
        let key = if key.is_empty() { "_" } else { key };
        if let Some(placed) = self.put(key, write) {
            self.may_repeat_ours |= matches!(key.as_bytes().first(), Some(b'c' | b't' | b'e' | b'l'));
            self.place(placed);
        }
    }

    /// An attribute of our own (`code.*`, `thread.*`, `exception.*`): the application's key wins.
    #[inline]
    pub(crate) fn builtin_attribute(&mut self, key: &'static str, write: impl FnOnce(ValueWriter<'_>)) {
        if !(self.may_repeat_ours && self.position(key.as_bytes()).is_some()) {
            let _placed = self.put(key, write);
        }
    }

    /// Attributes of our own that were encoded before, unless one of the application's keys starts with `prefix`.
    #[inline]
    pub(crate) fn builtin_encoded(&mut self, prefix: &str, encoded: &[u8]) -> bool {
        let repeats = self.may_repeat_ours
            && self.scratch.placed.iter().any(|placed| {
                self.scratch.buf.get(placed.key.0..placed.key.1).is_some_and(|key| key.starts_with(prefix.as_bytes()))
            });
        if !repeats {
            self.scratch.buf.extend_from_slice(encoded);
        }
        !repeats
    }

    /// Whether the application used that key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.position(key.as_bytes()).is_some()
    }

    /// Ends the record. `dropped` attributes were cut by a limit.
    pub(crate) fn finish(self, dropped: u32) {
        if dropped > 0 {
            self.scratch.buf.push(tag(fields::DROPPED_ATTRIBUTES, WireType::Varint));
            put_varint(&mut self.scratch.buf, u64::from(dropped));
        }
    }

    /// Writes one `KeyValue`; takes it back where it has no value.
    fn put(&mut self, key: &str, write: impl FnOnce(ValueWriter<'_>)) -> Option<AttributeRange> {
        let Scratch { buf, too_deep, .. } = &mut *self.scratch;
        let start = buf.len();
        let pair = begin(buf, tag(fields::ATTRIBUTES, WireType::Length));
        put_bytes(buf, tag(1, WireType::Length), key.as_bytes());
        let key_end = buf.len();
        let any = begin(buf, tag(2, WireType::Length));
        let empty = buf.len();
        write(ValueWriter::counting(buf, too_deep));
        if buf.len() == empty {
            buf.truncate(start);
            return None;
        }
        end(buf, any);
        let before_move = buf.len();
        end(buf, pair);
        let key_end = key_end + (buf.len() - before_move);
        Some(AttributeRange { start, end: buf.len(), key: (key_end - key.len(), key_end) })
    }

    fn place(&mut self, mut new: AttributeRange) {
        let key = self.scratch.buf.get(new.key.0..new.key.1).unwrap_or_default();
        if let Some(old) = self.earlier(key) {
            // The last value counts: the earlier attribute is cut out and what lies behind it moves up.
            let cut = self.scratch.placed.remove(old);
            let by = cut.end - cut.start;
            self.scratch.buf.drain(cut.start..cut.end);
            for placed in self.scratch.placed.iter_mut().filter(|placed| placed.start > cut.start) {
                placed.shift_down(by);
            }
            new.shift_down(by);
        }
        self.scratch.placed.push(new);
        if self.scratch.placed.len() >= MANY {
            self.index();
        }
    }

    /// Where the key was used before, without looking at each of many.
    fn earlier(&self, key: &[u8]) -> Option<usize> {
        let indexed = !self.scratch.keys.is_empty();
        if indexed && !self.scratch.keys.contains(key) { None } else { self.position(key) }
    }

    /// Keeps the set of keys up to date: all of them at first, and then the last.
    #[cold]
    fn index(&mut self) {
        let Scratch { buf, placed, keys, .. } = &mut *self.scratch;
        let new = if keys.is_empty() { placed.as_slice() } else { placed.last().map_or(&[][..], std::slice::from_ref) };
        keys.extend(new.iter().filter_map(|placed| buf.get(placed.key.0..placed.key.1)).map(Box::from));
    }

    fn position(&self, key: &[u8]) -> Option<usize> {
        self.scratch.placed.iter().position(|placed| {
            placed.key.1 - placed.key.0 == key.len()
                && self.scratch.buf.get(placed.key.0..placed.key.1).is_some_and(|other| other == key)
        })
    }
}

impl AttributeRange {
    fn shift_down(&mut self, by: usize) {
        self.start -= by;
        self.end -= by;
        self.key = (self.key.0 - by, self.key.1 - by);
    }
}

/// Encodes one attribute by itself, for bytes that are kept and used again.
pub(crate) fn encode_attribute(buf: &mut Vec<u8>, key: &str, write: impl FnOnce(ValueWriter<'_>)) {
    let pair = begin(buf, tag(fields::ATTRIBUTES, WireType::Length));
    put_bytes(buf, tag(1, WireType::Length), key.as_bytes());
    let any = begin(buf, tag(2, WireType::Length));
    write(ValueWriter::new(buf));
    end(buf, any);
    end(buf, pair);
}

/// The sources of an error, outermost first, without the error itself.
pub(crate) fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause| cause.source()).take(32)
}

/// The type of an error, where it is one of std's; `dyn Error` does not tell.
#[allow(unused_qualifications)] // The text of the path is the name that is sent.
pub(crate) fn error_type(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    macro_rules! known {
        ($($name:ty),+ $(,)?) => { $(if error.is::<$name>() { return Some(stringify!($name)); })+ };
    }
    known!(
        std::io::Error,
        std::fmt::Error,
        std::num::ParseIntError,
        std::num::ParseFloatError,
        std::num::TryFromIntError,
        std::str::Utf8Error,
        std::str::ParseBoolError,
        std::string::FromUtf8Error,
        std::char::ParseCharError,
        std::env::VarError,
        std::net::AddrParseError,
        std::time::SystemTimeError,
        std::sync::mpsc::RecvError,
        std::sync::mpsc::RecvTimeoutError,
        std::array::TryFromSliceError,
        std::cell::BorrowError,
        std::cell::BorrowMutError,
    );
    None
}

/// Formats into a string that is thrown away afterwards; an error of the value's own `Display` keeps what it wrote.
pub(crate) fn text_of(value: &dyn fmt::Display) -> String {
    let mut text = String::new();
    let _kept = write!(text, "{value}");
    text
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
