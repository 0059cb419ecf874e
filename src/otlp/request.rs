//! `ExportLogsServiceRequest` gathered from parts that are encoded already, and the answer to it.

use super::wire::{Reader, put_message_header, varint_len};

/// How many bytes a nested message of that length takes, with its one-byte tag.
pub(crate) const fn nested_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

/// Writes the tag and length of a `ResourceLogs` in the request; its `length` bytes follow.
pub(crate) fn put_resource_logs_header(buf: &mut Vec<u8>, length: usize) {
    put_message_header(buf, 1, length);
}

/// Writes the tag and length of a `ScopeLogs` in its `ResourceLogs`; its `length` bytes follow.
pub(crate) fn put_scope_logs_header(buf: &mut Vec<u8>, length: usize) {
    put_message_header(buf, 2, length);
}

/// Writes an encoded `LogRecord` into its `ScopeLogs`.
pub(crate) fn put_log_record(buf: &mut Vec<u8>, record: &[u8]) {
    put_message_header(buf, 2, record.len());
    buf.extend_from_slice(record);
}

/// What an `ExportLogsServiceResponse` says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ExportResponse {
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

/// Reads the answer in protobuf; `None` where the bytes are no such message.
pub(crate) fn read_export_response(body: &[u8]) -> Option<ExportResponse> {
    let mut response = ExportResponse::default();
    let mut reader = Reader::new(body);
    for (field, value) in &mut reader {
        if field != 1 {
            continue;
        }
        let mut partial = Reader::new(value.bytes());
        for (field, value) in &mut partial {
            match field {
                // Less than none says nothing.
                1 => response.rejected = u64::try_from(value.number() as i64).ok()?,
                2 => response.message = value.text().into_owned(),
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
