//! Attribute limits for encoded records and ended spans, as the OpenTelemetry specification defines them.
//!
//! The length of text is in characters, that of a byte string in bytes. Each value in a list or map is measured by
//! itself. The body, the resource and the scope have no limits.

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::schema::{any_value, array_value, key_value, key_value_list, log_record};
use super::wire::{Reader, WireType, begin, end, put_bytes, put_varint, tag};

/// The limits for the attributes of one record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct AttributeLimits {
    pub(crate) count: Option<usize>,
    /// In characters for text, in bytes for byte strings.
    pub(crate) value_length: Option<usize>,
}

impl AttributeLimits {
    /// Returns the record within the limits, with the number of attributes that were dropped.
    pub(crate) fn apply(self, record: &[u8]) -> (Vec<u8>, u64) {
        let mut limited = Vec::with_capacity(record.len());
        let (mut kept, mut newly_dropped, mut dropped) = (0, 0, 0_u64);
        let mut reader = Reader::new(record);
        loop {
            let before = reader.rest();
            let Some((field, value)) = reader.next() else { break };
            let raw = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
            match field {
                log_record::ATTRIBUTES if self.count.is_some_and(|count| kept >= count) => newly_dropped += 1,
                log_record::ATTRIBUTES => {
                    kept += 1;
                    let pair = begin(&mut limited, tag(log_record::ATTRIBUTES, WireType::Length));
                    self.key_value(&mut limited, value.bytes());
                    end(&mut limited, pair);
                }
                log_record::DROPPED_ATTRIBUTES => dropped += value.number(),
                _ => limited.extend_from_slice(raw),
            }
        }
        dropped += newly_dropped;
        if dropped > 0 {
            limited.push(tag(log_record::DROPPED_ATTRIBUTES, WireType::Varint));
            put_varint(&mut limited, dropped);
        }
        (limited, newly_dropped)
    }

    fn key_value(self, out: &mut Vec<u8>, pair: &[u8]) {
        for (field, value) in Reader::new(pair) {
            match field {
                key_value::KEY => put_bytes(out, tag(key_value::KEY, WireType::Length), value.bytes()),
                key_value::VALUE => self.nested(out, key_value::VALUE, value.bytes(), Self::any_value),
                _ => {}
            }
        }
    }

    fn nested(self, out: &mut Vec<u8>, field: u64, message: &[u8], write: fn(Self, &mut Vec<u8>, &[u8])) {
        let nested = begin(out, tag(field, WireType::Length));
        write(self, out, message);
        end(out, nested);
    }

    fn any_value(self, out: &mut Vec<u8>, value: &[u8]) {
        let Some((field, content)) = Reader::new(value).next() else { return };
        match field {
            any_value::STRING => {
                let text = content.text();
                let short = self.value_length.map_or(text.as_ref(), |most| first_chars(&text, most));
                put_bytes(out, tag(any_value::STRING, WireType::Length), short.as_bytes());
            }
            any_value::BYTES => {
                let bytes = content.bytes();
                let short = self.value_length.and_then(|most| bytes.get(..most)).unwrap_or(bytes);
                put_bytes(out, tag(any_value::BYTES, WireType::Length), short);
            }
            any_value::ARRAY => self.nested(out, any_value::ARRAY, content.bytes(), Self::array),
            any_value::KVLIST => self.nested(out, any_value::KVLIST, content.bytes(), Self::map),
            _ => out.extend_from_slice(value),
        }
    }

    fn array(self, out: &mut Vec<u8>, array: &[u8]) {
        for (_, value) in Reader::new(array) {
            self.nested(out, array_value::VALUES, value.bytes(), Self::any_value);
        }
    }

    fn map(self, out: &mut Vec<u8>, map: &[u8]) {
        for (_, pair) in Reader::new(map) {
            self.nested(out, key_value_list::VALUES, pair.bytes(), Self::key_value);
        }
    }
}

/// Truncates text in the attributes of a span to `most` characters. The SDK itself limits only their number.
pub(crate) fn truncate_span_texts(span: &mut SpanData, most: usize) {
    let truncate = |text: &mut StringValue| {
        let short = first_chars(text.as_str(), most);
        if short.len() < text.as_str().len() {
            *text = short.to_owned().into();
        }
    };
    let truncate_all = |attributes: &mut [KeyValue]| {
        for pair in attributes {
            match &mut pair.value {
                Value::String(text) => truncate(text),
                Value::Array(Array::String(texts)) => texts.iter_mut().for_each(truncate),
                _ => {}
            }
        }
    };
    truncate_all(&mut span.attributes);
    span.events.events.iter_mut().for_each(|event| truncate_all(&mut event.attributes));
    span.links.links.iter_mut().for_each(|link| truncate_all(&mut link.attributes));
}

/// Returns the first `most` characters of a text.
fn first_chars(text: &str, most: usize) -> &str {
    let end = text.char_indices().nth(most).map(|(end, _)| end);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::super::record::{RecordHeader, RecordWriter, Scratch};
    use super::super::view::{RecordView, ValueView};
    use super::*;

    fn record() -> Vec<u8> {
        let mut scratch = Scratch::default();
        let head = RecordHeader {
            time: 1,
            observed_time: 2,
            severity_number: 9,
            severity_text: "INFO",
            trace: None,
            event_name: None,
        };
        let mut writer = RecordWriter::begin(&mut scratch, &head);
        writer.body(format_args!("a long message stays whole"));
        writer.attribute("text", |value| value.str("grün und blau"));
        writer.attribute("bytes", |value| value.bytes(&[1, 2, 3, 4, 5]));
        writer.attribute("list", |value| value.array(|list| list.value(|value| value.str("abcdef"))));
        writer.attribute("map", |value| value.map(|map| map.entry("key", |value| value.str("abcdef"))));
        writer.attribute("number", |value| value.int(1_234_567));
        writer.finish(2);
        scratch.buf
    }

    #[test]
    fn values_are_cut_wherever_they_stand_and_attributes_are_counted() {
        let record = record();
        let none = AttributeLimits { count: None, value_length: None };
        assert_eq!(RecordView::read(&none.apply(&record).0), RecordView::read(&record));
        let (limited, left_out) = AttributeLimits { count: Some(4), value_length: Some(4) }.apply(&record);
        assert_eq!(left_out, 1, "the two others were dropped before");
        let view = RecordView::read(&limited);
        let shown: Vec<String> = view.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(shown, ["text=grün", "bytes=01020304", "list=[\"abcd\"]", "map={\"key\":\"abcd\"}"]);
        assert_eq!((view.dropped_attributes, view.time, view.severity_number), (3, 1, 9));
        assert_eq!(view.body, ValueView::Text("a long message stays whole".into()));
        let (nothing, left_out) = AttributeLimits { count: Some(0), value_length: None }.apply(&record);
        assert_eq!((RecordView::read(&nothing).dropped_attributes, left_out), (7, 5));
    }

    #[test]
    fn lengths_are_those_of_characters() {
        for (most, cut) in [(0, ""), (1, "🦀"), (2, "🦀ü"), (3, "🦀üx"), (4, "🦀üx"), (usize::MAX, "🦀üx")]
        {
            assert_eq!(first_chars("🦀üx", most), cut);
        }
    }
}
