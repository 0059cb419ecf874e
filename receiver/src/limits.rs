//! How much a request may hold. A few bytes can stand for very many: compressed ones for more bytes, and two bytes of
//! protobuf for a record of a kilobyte. So it is weighed before it is decoded.

use super::message::Message as Decoded;
use super::schema::{Holds, Message};
use prost::encoding::{self, DecodeContext, WireType};

/// The longest body that is read, compressed or not. A collector takes 4 MiB over gRPC, and 20 MiB over HTTP.
pub(crate) const MAX_BODY: usize = 64 << 20;

/// The most memory that the items of a request may take, about. A request of 4 MiB takes less, whatever sensible is in it.
pub(super) const MAX_DECODED: u64 = 128 << 20;

/// The most memory that a document may take before it is a message, about.
pub(super) const MAX_JSON: u64 = 256 << 20;

/// The most text that the items of a request may inherit, each from its scope, its metric and its service.
const MAX_INHERITED: u64 = 64 << 20;

/// prost reads no deeper than 100 levels.
const DEEPEST: usize = 110;

/// What becomes of a request that is weighed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Weight {
    Fits,
    TooMuch,
    /// It cannot be read to its end, so nobody knows.
    Unknown,
}

/// Weighs what has not been decoded yet.
pub(super) fn of_protobuf(message: &'static Message, body: &[u8]) -> Weight {
    let mut left = MAX_DECODED;
    weigh(message, body, 0, &mut left)
}

fn weigh(message: &'static Message, mut bytes: &[u8], depth: usize, left: &mut u64) -> Weight {
    while !bytes.is_empty() {
        let Some((number, inside)) = next_field(&mut bytes) else { return Weight::Unknown };
        let Some(inside) = inside else { continue };
        let (weight, below) = match message.numbered(u64::from(number)).map(|field| field.holds) {
            None | Some(Holds::Plain) => continue,
            Some(Holds::Each(weight)) => (weight, None),
            Some(Holds::Packed(weight)) => (weight.saturating_mul(inside.len() as u64), None),
            Some(Holds::Message(below)) => (below.weight, Some(below)),
        };
        let Some(rest) = left.checked_sub(weight) else { return Weight::TooMuch };
        *left = rest;
        if let Some(below) = below {
            if depth == DEEPEST {
                return Weight::Unknown;
            }
            match weigh(below, inside, depth + 1, left) {
                Weight::Fits => {}
                other => return other,
            }
        }
    }
    Weight::Fits
}

/// Reads a field: its number, and its bytes if it has a length. `None` if the message breaks off or has a group.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    let (number, wire_type) = encoding::decode_key(bytes).ok()?;
    match wire_type {
        WireType::LengthDelimited => {
            let length = usize::try_from(encoding::decode_varint(bytes).ok()?).ok()?;
            let (inside, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Some((number, Some(inside)))
        }
        // prost skips a group, whatever is in it.
        WireType::StartGroup | WireType::EndGroup => None,
        _ => {
            encoding::skip_field(wire_type, number, bytes, DecodeContext::default()).ok()?;
            Some((number, None))
        }
    }
}

/// Weighs a document that has not been parsed yet, by what begins a value outside of its texts.
pub(super) fn of_json(body: &[u8]) -> Weight {
    let (mut left, mut in_text, mut is_escaped) = (MAX_JSON, false, false);
    for byte in body {
        let weight = match byte {
            _ if is_escaped => {
                is_escaped = false;
                continue;
            }
            b'\\' if in_text => {
                is_escaped = true;
                continue;
            }
            b'"' => {
                in_text = !in_text;
                continue;
            }
            _ if in_text => continue,
            // A map of one key takes a node for eleven.
            b'{' => 512,
            b'[' | b',' => 64,
            _ => continue,
        };
        let Some(rest) = left.checked_sub(weight) else { return Weight::TooMuch };
        left = rest;
    }
    Weight::Fits
}

/// Whether what items inherit (each has its scope's name, and is shown with its service's) stays within bounds.
pub(super) fn inherits_little(message: &Decoded) -> bool {
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
        Decoded::Logs(request) => {
            for group in &request.resource_logs {
                let service = service(group.resource.as_ref());
                for group in &group.scope_logs {
                    let inherited = service + scope(group.scope.as_ref()) + group.schema_url.len();
                    add(group.log_records.len(), inherited);
                }
            }
        }
        Decoded::Traces(request) => {
            for group in &request.resource_spans {
                let service = service(group.resource.as_ref());
                for group in &group.scope_spans {
                    let inherited = service + scope(group.scope.as_ref()) + group.schema_url.len();
                    add(group.spans.len(), inherited);
                }
            }
        }
        Decoded::Metrics(request) => {
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

    /// A field of a message within a message.
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
    fn many_small_items_weigh_what_they_take() {
        let logs = Message::request(Content::Logs);
        let records = |number: usize| nested(1, &nested(2, &[0x12, 0].repeat(number)));
        assert_eq!(of_protobuf(logs, &records(100_000)), Weight::Fits);
        assert_eq!(of_protobuf(logs, &records(200_000)), Weight::TooMuch);
        let attributes = |number: usize| nested(1, &nested(2, &nested(2, &[0x32, 0].repeat(number))));
        assert_eq!(of_protobuf(logs, &attributes(400_000)), Weight::Fits);
        assert_eq!(of_protobuf(logs, &attributes(600_000)), Weight::TooMuch);
        let metrics = Message::request(Content::Metrics);
        let points = |number: usize| nested(1, &nested(2, &nested(2, &nested(5, &[0x0a, 0].repeat(number)))));
        assert_eq!(of_protobuf(metrics, &points(200_000)), Weight::TooMuch);
        assert_eq!(of_protobuf(Message::request(Content::Traces), &records(70_000)), Weight::TooMuch);
        // A list in the body of a record.
        let body = |number: usize| nested(1, &nested(2, &nested(2, &nested(5, &nested(5, &[0x0a, 0].repeat(number))))));
        assert_eq!(of_protobuf(logs, &body(1_000_000)), Weight::TooMuch);
    }

    #[test]
    fn long_texts_weigh_nothing_and_what_breaks_off_is_not_known() {
        let logs = Message::request(Content::Logs);
        let text = nested(1, &nested(2, &nested(2, &nested(3, &vec![b'x'; 3 << 20]))));
        assert_eq!(of_protobuf(logs, &text), Weight::Fits);
        assert_eq!(of_protobuf(logs, &text[..1000]), Weight::Unknown);
        // A group, which prost skips.
        assert_eq!(of_protobuf(logs, &[0x0b, 0x0c, 0x0a, 0]), Weight::Unknown);
        let mut deep = Vec::new();
        for _ in 0..200 {
            deep = nested(5, &nested(1, &deep));
        }
        assert_eq!(of_protobuf(logs, &nested(1, &nested(2, &nested(2, &nested(5, &deep))))), Weight::Unknown);
    }

    #[test]
    fn values_of_a_document_are_counted_outside_of_texts() {
        assert_eq!(of_json(format!("[{}]", "{},".repeat(600_000)).as_bytes()), Weight::TooMuch);
        assert_eq!(of_json(format!("[{}]", "0,".repeat(5_000_000)).as_bytes()), Weight::TooMuch);
        assert_eq!(of_json(format!("\"{}\\\"{}\"", "{".repeat(600_000), "{".repeat(600_000)).as_bytes()), Weight::Fits);
    }
}
