//! `ExportLogsServiceRequest`, assembled from encoded records, and the response to it.

use super::schema::{export_request, export_response, partial_success, resource_items, scope_items};
use super::wire::{Reader, put_message_header, varint_len};

/// Returns the size of a nested message including its one-byte tag and its length.
pub(crate) const fn nested_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

/// Writes the tag and length of a `ResourceLogs` in the request; its `length` bytes follow.
pub(crate) fn put_resource_logs_header(buf: &mut Vec<u8>, length: usize) {
    put_message_header(buf, export_request::RESOURCES, length);
}

/// Writes the tag and length of a `ScopeLogs` in its `ResourceLogs`; its `length` bytes follow.
pub(crate) fn put_scope_logs_header(buf: &mut Vec<u8>, length: usize) {
    put_message_header(buf, resource_items::SCOPES, length);
}

/// Writes an encoded `LogRecord` into its `ScopeLogs`.
pub(crate) fn put_log_record(buf: &mut Vec<u8>, record: &[u8]) {
    put_message_header(buf, scope_items::ITEMS, record.len());
    buf.extend_from_slice(record);
}

/// A decoded `ExportLogsServiceResponse` or `ExportTraceServiceResponse`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ExportResponse {
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

/// Decodes a response in protobuf. Returns `None` if the bytes are not such a message.
pub(crate) fn read_export_response(body: &[u8]) -> Option<ExportResponse> {
    let mut response = ExportResponse::default();
    let mut reader = Reader::new(body);
    for (field, value) in &mut reader {
        if field != export_response::PARTIAL_SUCCESS {
            continue;
        }
        let mut partial = Reader::new(value.bytes());
        for (field, value) in &mut partial {
            match field {
                // A negative number is invalid.
                partial_success::REJECTED => response.rejected = u64::try_from(value.number() as i64).ok()?,
                partial_success::ERROR_MESSAGE => response.message = value.text().into_owned(),
                _ => {}
            }
        }
        if partial.is_broken() {
            return None;
        }
    }
    (!reader.is_broken()).then_some(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::wire::{WireType, put_bytes, tag};

    #[test]
    fn answers() {
        assert_eq!(read_export_response(b""), Some(ExportResponse::default()));
        let mut partial = vec![tag(1, WireType::Varint), 3];
        put_bytes(&mut partial, tag(2, WireType::Length), b"too old");
        let mut body = Vec::new();
        put_bytes(&mut body, tag(1, WireType::Length), &partial);
        assert_eq!(read_export_response(&body), Some(ExportResponse { rejected: 3, message: "too old".to_owned() }));
        let negative = [&[tag(1, WireType::Length), 11, tag(1, WireType::Varint)][..], &[0xff; 9], &[1]].concat();
        assert_eq!(read_export_response(&negative), None);
        assert_eq!(read_export_response(b"<html>sign in</html>"), None);
        assert_eq!(read_export_response(&[0xff, 0xfe, 0x6e]), None);
    }
}
