//! The encoder of OTLP log records, shared by all sources. It writes straight from borrowed data into a reused buffer.
//!
//! Call [`RecordWriter::begin`], then write the body and the attributes in any order, then [`RecordWriter::finish`].
//! A repeated key keeps its last value, at the position of that value. An empty key becomes `_`. An attribute without a
//! value is left out.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use log::Level;

use super::redact::Redaction;
use super::schema::{key_value, log_record};
use super::value::{ValueWriter, put_text};
use super::wire::{WireType, begin, end, put_bytes, put_fixed32, put_fixed64, put_varint, tag};

/// The fields of a record that are known before its body and attributes are visited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordHeader<'a> {
    /// Nanoseconds since the Unix epoch.
    pub(crate) time: u64,
    /// Nanoseconds since the Unix epoch; never 0.
    pub(crate) observed_time: u64,
    /// 1 to 24, or 0 if the source does not know it.
    pub(crate) severity_number: u8,
    pub(crate) severity_text: &'a str,
    pub(crate) trace: Option<TraceIds>,
    pub(crate) event_name: Option<&'a str>,
}

/// Returns the severity number that the specification assigns to a level.
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

/// The position of an attribute in the buffer.
#[derive(Clone, Copy, Debug)]
struct AttributeRange {
    start: usize,
    end: usize,
    key: (usize, usize),
}

/// Buffers that are reused for each record of a thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The encoded record.
    pub(crate) buf: Vec<u8>,
    attributes: Vec<AttributeRange>,
    /// The keys of a record with at least [`KEY_SET_THRESHOLD`] attributes.
    keys: HashSet<Box<[u8]>>,
    too_deep: Cell<u32>,
    is_traced: bool,
    /// The time that logbridge assigned to the record, or 0 if the application set one.
    pub(crate) assigned_time: u64,
}

/// The number of attributes from which keys are looked up in a set. Without it, 100,000 keys would take seconds to
/// compare with each other.
const KEY_SET_THRESHOLD: usize = 64;

impl Scratch {
    /// Returns the number of values in the last record that were replaced because they are nested too deep.
    pub(crate) fn too_deep(&self) -> u32 {
        self.too_deep.get()
    }

    /// Returns whether the last record belongs to a trace.
    pub(crate) fn is_traced(&self) -> bool {
        self.is_traced
    }

    /// Frees memory after an unusually large record.
    #[inline]
    pub(crate) fn trim(&mut self) {
        if self.buf.capacity() > KEPT_BYTES || self.attributes.capacity() > KEPT_ATTRIBUTES || !self.keys.is_empty() {
            self.trim_large();
        }
    }

    #[cold]
    fn trim_large(&mut self) {
        if self.buf.capacity() > KEPT_BYTES {
            self.buf = Vec::with_capacity(KEPT_BYTES);
        }
        self.attributes.truncate(KEPT_ATTRIBUTES);
        self.attributes.shrink_to(KEPT_ATTRIBUTES);
        self.keys = HashSet::new();
    }
}

/// The capacity of the buffer that is kept after a large record, in bytes.
const KEPT_BYTES: usize = 64 << 10;
/// The capacity for attributes that is kept after a large record.
const KEPT_ATTRIBUTES: usize = 256;

/// The offsets of a record's time and observed time in its bytes. [`RecordWriter::begin`] writes them first.
const TIME_OFFSETS: [usize; 2] = [1, 10];

/// Replaces the time of an encoded record. Also replaces the observed time if both were the same.
#[cold]
pub(crate) fn set_time(record: &mut [u8], time: u64) {
    if record.first() != Some(&tag(log_record::TIME, WireType::Fixed64)) {
        return;
    }
    let are_same = record.get(TIME_OFFSETS[0]..TIME_OFFSETS[0] + 8) == record.get(TIME_OFFSETS[1]..TIME_OFFSETS[1] + 8);
    for at in TIME_OFFSETS.into_iter().take(if are_same { 2 } else { 1 }) {
        if let Some(place) = record.get_mut(at..at + 8) {
            place.copy_from_slice(&time.to_le_bytes());
        }
    }
}

/// Writes one record into a [`Scratch`], after the bytes that its buffer already holds.
#[derive(Debug)]
pub(crate) struct RecordWriter<'a> {
    scratch: &'a mut Scratch,
    has_body: bool,
    /// Whether the application used a key that a built-in attribute might have too.
    may_repeat_builtin: bool,
    /// The redaction that the record undergoes later. A value that it hides must not be copied under another key.
    redaction: Option<&'a Redaction>,
}

impl<'a> RecordWriter<'a> {
    pub(crate) fn begin(scratch: &'a mut Scratch, header: &RecordHeader<'_>) -> Self {
        scratch.attributes.clear();
        scratch.keys.clear();
        scratch.too_deep.set(0);
        scratch.is_traced = header.trace.is_some();
        scratch.assigned_time = header.time;
        let buf = &mut scratch.buf;
        put_fixed64(buf, tag(log_record::TIME, WireType::Fixed64), header.time);
        put_fixed64(buf, tag(log_record::OBSERVED_TIME, WireType::Fixed64), header.observed_time);
        if header.severity_number != 0 {
            buf.push(tag(log_record::SEVERITY_NUMBER, WireType::Varint));
            put_varint(buf, u64::from(header.severity_number));
        }
        if !header.severity_text.is_empty() {
            put_bytes(buf, tag(log_record::SEVERITY_TEXT, WireType::Length), header.severity_text.as_bytes());
        }
        if let Some(trace) = header.trace {
            if trace.flags != 0 {
                put_fixed32(buf, tag(log_record::FLAGS, WireType::Fixed32), u32::from(trace.flags));
            }
            put_bytes(buf, tag(log_record::TRACE_ID, WireType::Length), &trace.trace_id);
            put_bytes(buf, tag(log_record::SPAN_ID, WireType::Length), &trace.span_id);
        }
        if let Some(name) = header.event_name {
            put_bytes(buf, tag(log_record::EVENT_NAME, WireType::Length), name.as_bytes());
        }
        Self { scratch, has_body: false, may_repeat_builtin: false, redaction: None }
    }

    /// Sets the redaction that the record undergoes later.
    pub(crate) fn with_redaction(self, redaction: Option<&'a Redaction>) -> Self {
        Self { redaction, ..self }
    }

    /// Returns whether the value under that key is redacted later, so that it must not be written under another key.
    #[inline]
    pub(crate) fn hides(&self, key: &str) -> bool {
        self.redaction.is_some_and(|redaction| redaction.hides(key))
    }

    pub(crate) fn has_body(&self) -> bool {
        self.has_body
    }

    /// Writes the message as the body, unless the record has a body already.
    #[inline]
    pub(crate) fn body(&mut self, args: fmt::Arguments<'_>) {
        if !std::mem::replace(&mut self.has_body, true) {
            put_text(&mut self.scratch.buf, tag(log_record::BODY, WireType::Length), args);
        }
    }

    /// Writes a body that is not text, unless the record has a body already.
    pub(crate) fn body_value(&mut self, write: impl FnOnce(ValueWriter<'_>)) {
        if !std::mem::replace(&mut self.has_body, true) {
            let Scratch { buf, too_deep, .. } = &mut *self.scratch;
            let before = buf.len();
            let any = begin(buf, tag(log_record::BODY, WireType::Length));
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

    /// Writes an attribute of the application. If `write` writes no value, there is no attribute.
    #[inline]
    pub(crate) fn attribute(&mut self, key: &str, write: impl FnOnce(ValueWriter<'_>)) {
        let key = if key.is_empty() { "_" } else { key };
        if let Some(attribute) = self.put_attribute(key, write) {
            // The first letters of all built-in keys: `code.`, `thread.`, `exception.`, `log.`.
            self.may_repeat_builtin |= matches!(key.as_bytes().first(), Some(b'c' | b't' | b'e' | b'l'));
            self.register(attribute);
        }
    }

    /// Writes a built-in attribute (`code.*`, `thread.*`, `exception.*`), unless the application used its key.
    #[inline]
    pub(crate) fn builtin_attribute(&mut self, key: &'static str, write: impl FnOnce(ValueWriter<'_>)) {
        if !(self.may_repeat_builtin && self.position(key.as_bytes()).is_some()) {
            let _range = self.put_attribute(key, write);
        }
    }

    /// Writes built-in attributes that are encoded already, unless the application used a key that starts with
    /// `prefix`. Returns whether it wrote them.
    #[inline]
    pub(crate) fn builtin_encoded(&mut self, prefix: &str, encoded: &[u8]) -> bool {
        let repeats = self.may_repeat_builtin
            && self.scratch.attributes.iter().any(|attribute| {
                self.scratch
                    .buf
                    .get(attribute.key.0..attribute.key.1)
                    .is_some_and(|key| key.starts_with(prefix.as_bytes()))
            });
        if !repeats {
            self.scratch.buf.extend_from_slice(encoded);
        }
        !repeats
    }

    /// Returns whether the application used that key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.position(key.as_bytes()).is_some()
    }

    /// Ends the record. `dropped` is the number of attributes that were left out because of a limit.
    pub(crate) fn finish(self, dropped: u32) {
        if dropped > 0 {
            self.scratch.buf.push(tag(log_record::DROPPED_ATTRIBUTES, WireType::Varint));
            put_varint(&mut self.scratch.buf, u64::from(dropped));
        }
    }

    /// Writes one `KeyValue`. Removes it again if it has no value.
    fn put_attribute(&mut self, key: &str, write: impl FnOnce(ValueWriter<'_>)) -> Option<AttributeRange> {
        let Scratch { buf, too_deep, .. } = &mut *self.scratch;
        let start = buf.len();
        let pair = begin(buf, tag(log_record::ATTRIBUTES, WireType::Length));
        put_bytes(buf, tag(key_value::KEY, WireType::Length), key.as_bytes());
        let key_end = buf.len();
        let any = begin(buf, tag(key_value::VALUE, WireType::Length));
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

    /// Adds an attribute to the index. Removes an earlier attribute with the same key.
    fn register(&mut self, mut new: AttributeRange) {
        let key = self.scratch.buf.get(new.key.0..new.key.1).unwrap_or_default();
        if let Some(old) = self.earlier(key) {
            let removed = self.scratch.attributes.remove(old);
            let length = removed.end - removed.start;
            self.scratch.buf.drain(removed.start..removed.end);
            for later in self.scratch.attributes.iter_mut().filter(|other| other.start > removed.start) {
                later.shift_down(length);
            }
            new.shift_down(length);
        }
        self.scratch.attributes.push(new);
        if self.scratch.attributes.len() >= KEY_SET_THRESHOLD {
            self.index_keys();
        }
    }

    /// Returns the index of an earlier attribute with that key.
    fn earlier(&self, key: &[u8]) -> Option<usize> {
        let indexed = !self.scratch.keys.is_empty();
        if indexed && !self.scratch.keys.contains(key) { None } else { self.position(key) }
    }

    /// Adds to the set of keys: all keys at first, later the last one.
    #[cold]
    fn index_keys(&mut self) {
        let Scratch { buf, attributes, keys, .. } = &mut *self.scratch;
        let new = if keys.is_empty() {
            attributes.as_slice()
        } else {
            attributes.last().map_or(&[][..], std::slice::from_ref)
        };
        keys.extend(new.iter().filter_map(|attribute| buf.get(attribute.key.0..attribute.key.1)).map(Box::from));
    }

    fn position(&self, key: &[u8]) -> Option<usize> {
        self.scratch.attributes.iter().position(|attribute| {
            attribute.key.1 - attribute.key.0 == key.len()
                && self.scratch.buf.get(attribute.key.0..attribute.key.1).is_some_and(|other| other == key)
        })
    }
}

impl AttributeRange {
    fn shift_down(&mut self, length: usize) {
        self.start -= length;
        self.end -= length;
        self.key = (self.key.0 - length, self.key.1 - length);
    }
}

/// Encodes one attribute for [`RecordWriter::builtin_encoded`].
pub(crate) fn encode_attribute(buf: &mut Vec<u8>, key: &str, write: impl FnOnce(ValueWriter<'_>)) {
    let pair = begin(buf, tag(log_record::ATTRIBUTES, WireType::Length));
    put_bytes(buf, tag(key_value::KEY, WireType::Length), key.as_bytes());
    let any = begin(buf, tag(key_value::VALUE, WireType::Length));
    write(ValueWriter::new(buf));
    end(buf, any);
    end(buf, pair);
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
