//! Limits of the memory that a request may need, checked before it is decoded.
//!
//! A small request can decode to a very large one: compression hides any number of bytes, and two bytes of protobuf are
//! a record of one kilobyte.

use prost::encoding::{self, DecodeContext, WireType};

use super::message::Message;
use super::schema::{FieldKind, Schema};

/// The maximum length of a body in bytes, before and after decompression. Collectors accept 4 MiB over gRPC, and 20 MiB
/// over HTTP.
pub(crate) const MAX_BODY: usize = 64 << 20;

/// The maximum memory, in approximate bytes, of the items of a request. A realistic request of 4 MiB needs less.
pub(super) const MAX_DECODED: u64 = 128 << 20;

/// The maximum memory, in approximate bytes, of a parsed JSON document.
pub(super) const MAX_JSON: u64 = 256 << 20;

/// The maximum number of bytes that all items of a request inherit from their services, scopes and metrics.
const MAX_INHERITED: u64 = 64 << 20;

/// The maximum nesting depth of messages. prost refuses more than 100 levels.
const MAX_DEPTH: usize = 110;

/// The result of a memory check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MemoryCheck {
    Fits,
    TooMuch,
    /// The message is truncated, too deep, or contains a group, so its size is unknown.
    Unknown,
}

/// Checks a protobuf message that is not decoded yet.
pub(super) fn check_protobuf(schema: &'static Schema, body: &[u8]) -> MemoryCheck {
    let mut left = MAX_DECODED;
    check_message(schema, body, 0, &mut left)
}

fn check_message(schema: &'static Schema, mut bytes: &[u8], depth: usize, left: &mut u64) -> MemoryCheck {
    while !bytes.is_empty() {
        let Some((number, inside)) = next_field(&mut bytes) else { return MemoryCheck::Unknown };
        let Some(inside) = inside else { continue };
        let (memory, nested) = match schema.field_by_number(u64::from(number)).map(|field| field.kind) {
            None | Some(FieldKind::Plain) => continue,
            Some(FieldKind::Repeated(memory)) => (memory, None),
            Some(FieldKind::Packed(memory)) => (memory.saturating_mul(inside.len() as u64), None),
            Some(FieldKind::Message(nested)) => (nested.memory, Some(nested)),
        };
        let Some(rest) = left.checked_sub(memory) else { return MemoryCheck::TooMuch };
        *left = rest;
        if let Some(nested) = nested {
            if depth == MAX_DEPTH {
                return MemoryCheck::Unknown;
            }
            match check_message(nested, inside, depth + 1, left) {
                MemoryCheck::Fits => {}
                other => return other,
            }
        }
    }
    MemoryCheck::Fits
}

/// Reads a field. Returns its number, and its bytes if it is length-delimited.
///
/// Returns `None` if the message is truncated or the field is a group.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    let (number, wire_type) = encoding::decode_key(bytes).ok()?;
    match wire_type {
        WireType::LengthDelimited => {
            let length = usize::try_from(encoding::decode_varint(bytes).ok()?).ok()?;
            let (inside, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Some((number, Some(inside)))
        }
        // OTLP has no groups. prost would skip them.
        WireType::StartGroup | WireType::EndGroup => None,
        _ => {
            encoding::skip_field(wire_type, number, bytes, DecodeContext::default()).ok()?;
            Some((number, None))
        }
    }
}

/// Checks a JSON document that is not parsed yet, by counting the characters that begin a value outside of strings.
pub(super) fn check_json(body: &[u8]) -> MemoryCheck {
    let (mut left, mut in_string, mut is_escaped) = (MAX_JSON, false, false);
    for byte in body {
        let memory = match byte {
            _ if is_escaped => {
                is_escaped = false;
                continue;
            }
            b'\\' if in_string => {
                is_escaped = true;
                continue;
            }
            b'"' => {
                in_string = !in_string;
                continue;
            }
            _ if in_string => continue,
            // A map with one key allocates a tree node for eleven.
            b'{' => 512,
            b'[' | b',' => 64,
            _ => continue,
        };
        let Some(rest) = left.checked_sub(memory) else { return MemoryCheck::TooMuch };
        left = rest;
    }
    MemoryCheck::Fits
}

/// Returns whether the text that items inherit stays within the limit: each item has a copy of its scope's name, and is
/// shown with the name of its service.
pub(super) fn inherited_text_fits(message: &Message) -> bool {
    let service = |resource: Option<&opentelemetry_proto::tonic::resource::v1::Resource>| {
        let attributes = resource.map(|resource| resource.attributes.as_slice()).unwrap_or_default();
        attributes.iter().filter(|pair| pair.key == "service.name").map(prost::Message::encoded_len).sum::<usize>()
    };
    let scope = |scope: Option<&opentelemetry_proto::tonic::common::v1::InstrumentationScope>| {
        scope.map_or(0, |scope| scope.name.len() + scope.version.len())
    };
    let mut sum = 0_u64;
    let mut add = |items: usize, inherited: usize| {
        sum = sum.saturating_add((items as u64).saturating_mul(inherited as u64));
    };
    match message {
        Message::Logs(request) => {
            for group in &request.resource_logs {
                let service = service(group.resource.as_ref());
                for group in &group.scope_logs {
                    let inherited = service + scope(group.scope.as_ref()) + group.schema_url.len();
                    add(group.log_records.len(), inherited);
                }
            }
        }
        Message::Traces(request) => {
            for group in &request.resource_spans {
                let service = service(group.resource.as_ref());
                for group in &group.scope_spans {
                    let inherited = service + scope(group.scope.as_ref()) + group.schema_url.len();
                    add(group.spans.len(), inherited);
                }
            }
        }
        Message::Metrics(request) => {
            for group in &request.resource_metrics {
                let service = service(group.resource.as_ref());
                for group in &group.scope_metrics {
                    let inherited = service + scope(group.scope.as_ref()) + group.schema_url.len();
                    for metric in &group.metrics {
                        add(super::metric::number_of_points(metric), inherited + metric.name.len() + metric.unit.len());
                    }
                }
            }
        }
    }
    sum <= MAX_INHERITED
}

#[cfg(test)]
mod tests {
    use super::super::wire::Content;
    use super::*;

    /// Encodes a message field.
    fn nested(number: u8, inside: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut length = inside.len();
        while length > 127 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(inside);
        out
    }

    #[test]
    fn small_items_count_with_their_decoded_size() {
        let logs = Schema::of_request(Content::Logs);
        let records = |number: usize| nested(1, &nested(2, &[0x12, 0].repeat(number)));
        assert_eq!(check_protobuf(logs, &records(100_000)), MemoryCheck::Fits);
        assert_eq!(check_protobuf(logs, &records(200_000)), MemoryCheck::TooMuch);
        let attributes = |number: usize| nested(1, &nested(2, &nested(2, &[0x32, 0].repeat(number))));
        assert_eq!(check_protobuf(logs, &attributes(400_000)), MemoryCheck::Fits);
        assert_eq!(check_protobuf(logs, &attributes(600_000)), MemoryCheck::TooMuch);
        let metrics = Schema::of_request(Content::Metrics);
        let points = |number: usize| nested(1, &nested(2, &nested(2, &nested(5, &[0x0a, 0].repeat(number)))));
        assert_eq!(check_protobuf(metrics, &points(200_000)), MemoryCheck::TooMuch);
        assert_eq!(check_protobuf(Schema::of_request(Content::Traces), &records(70_000)), MemoryCheck::TooMuch);
        // A list in the body of a record.
        let body = |number: usize| nested(1, &nested(2, &nested(2, &nested(5, &nested(5, &[0x0a, 0].repeat(number))))));
        assert_eq!(check_protobuf(logs, &body(1_000_000)), MemoryCheck::TooMuch);
    }

    #[test]
    fn long_texts_fit_and_invalid_messages_are_unknown() {
        let logs = Schema::of_request(Content::Logs);
        let text = nested(1, &nested(2, &nested(2, &nested(3, &vec![b'x'; 3 << 20]))));
        assert_eq!(check_protobuf(logs, &text), MemoryCheck::Fits);
        assert_eq!(check_protobuf(logs, &text[..1000]), MemoryCheck::Unknown);
        // A group.
        assert_eq!(check_protobuf(logs, &[0x0b, 0x0c, 0x0a, 0]), MemoryCheck::Unknown);
        let mut deep = Vec::new();
        for _ in 0..200 {
            deep = nested(5, &nested(1, &deep));
        }
        assert_eq!(check_protobuf(logs, &nested(1, &nested(2, &nested(2, &nested(5, &deep))))), MemoryCheck::Unknown);
    }

    #[test]
    fn json_values_are_counted_outside_of_strings() {
        assert_eq!(check_json(format!("[{}]", "{},".repeat(600_000)).as_bytes()), MemoryCheck::TooMuch);
        assert_eq!(check_json(format!("[{}]", "0,".repeat(5_000_000)).as_bytes()), MemoryCheck::TooMuch);
        assert_eq!(
            check_json(format!("\"{}\\\"{}\"", "{".repeat(600_000), "{".repeat(600_000)).as_bytes()),
            MemoryCheck::Fits
        );
    }
}
