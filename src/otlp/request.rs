//! `ExportLogsServiceRequest` gathered from parts that are encoded already, and the answer to it.

use super::wire::{Reader, WireType, put_varint, tag, varint_len};

/// How many bytes a nested message of that length takes, with its one-byte tag.
pub(crate) const fn gathered_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

/// A field of type message with a length that is known: field 1 of the request (`ResourceLogs`) and field 2 of
/// `ResourceLogs` (`ScopeLogs`).
pub(crate) fn put_scope(buf: &mut Vec<u8>, field: u8, length: usize) {
    buf.push(tag(field, WireType::Length));
    put_varint(buf, length as u64);
}

/// One encoded `LogRecord` as field 2 of `ScopeLogs`.
pub(crate) fn put_record(buf: &mut Vec<u8>, record: &[u8]) {
    put_scope(buf, 2, record.len());
    buf.extend_from_slice(record);
}

/// What an `ExportLogsServiceResponse` says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Response {
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

/// Reads the answer in protobuf; `None` where the bytes are no such message.
pub(crate) fn read_response(body: &[u8]) -> Option<Response> {
    let mut response = Response::default();
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
    use crate::otlp::wire::put_bytes;

    #[test]
    fn answers() {
        assert_eq!(read_response(b""), Some(Response::default()));
        let mut partial = vec![tag(1, WireType::Varint), 3];
        put_bytes(&mut partial, tag(2, WireType::Length), b"too old");
        let mut body = Vec::new();
        put_bytes(&mut body, tag(1, WireType::Length), &partial);
        assert_eq!(read_response(&body), Some(Response { rejected: 3, message: "too old".to_owned() }));
        let negative = [&[tag(1, WireType::Length), 11, tag(1, WireType::Varint)][..], &[0xff; 9], &[1]].concat();
        assert_eq!(read_response(&negative), None);
        assert_eq!(read_response(b"<html>sign in</html>"), None);
        assert_eq!(read_response(&[0xff, 0xfe, 0x6e]), None);
    }
}
