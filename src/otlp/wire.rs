//! Protobuf's wire format: what is needed to write and read OTLP messages, and no more.
//!
//! Writing constraint: the length of a nested message is not known before it is written. One byte is reserved for it;
//! where the message turns out to be 128 bytes or longer, it is moved up to make room. Most are shorter.

use std::fmt;

/// How a field's value is laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WireType {
    Fixed32 = 5,
    Fixed64 = 1,
    Length = 2,
    Varint = 0,
}

/// The one-byte tag of a field below 16.
pub(crate) const fn tag(field: u8, wire: WireType) -> u8 {
    field << 3 | wire as u8
}

#[inline]
pub(crate) fn put_varint(buf: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buf.push(value as u8 | 0x80);
        value >>= 7;
    }
    buf.push(value as u8);
}

/// How many bytes a varint takes.
#[inline]
pub(crate) const fn varint_len(value: u64) -> usize {
    ((64 - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

#[inline]
pub(crate) fn put_bytes(buf: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    buf.push(tag);
    put_varint(buf, bytes.len() as u64);
    buf.extend_from_slice(bytes);
}

#[inline]
pub(crate) fn put_fixed64(buf: &mut Vec<u8>, tag: u8, value: u64) {
    buf.push(tag);
    buf.extend_from_slice(&value.to_le_bytes());
}

#[inline]
pub(crate) fn put_fixed32(buf: &mut Vec<u8>, tag: u8, value: u32) {
    buf.push(tag);
    buf.extend_from_slice(&value.to_le_bytes());
}

/// Writes the tag and length of a nested message whose `length` bytes follow.
#[inline]
pub(crate) fn put_message_header(buf: &mut Vec<u8>, field: u8, length: usize) {
    buf.push(tag(field, WireType::Length));
    put_varint(buf, length as u64);
}

/// A nested message that was begun and not yet ended.
#[derive(Clone, Copy, Debug)]
#[must_use = "a nested message must be ended"]
pub(crate) struct Nested {
    start: usize,
}

/// Begins a nested message or a text of unknown length.
#[inline]
pub(crate) fn begin(buf: &mut Vec<u8>, tag: u8) -> Nested {
    buf.push(tag);
    buf.push(0);
    Nested { start: buf.len() }
}

/// Ends it: the length goes in front of what was written since.
#[inline]
pub(crate) fn end(buf: &mut Vec<u8>, nested: Nested) {
    let length = buf.len() - nested.start;
    let extra = varint_len(length as u64) - 1;
    if extra > 0 {
        let old_end = buf.len();
        buf.resize(old_end + extra, 0);
        buf.copy_within(nested.start..old_end, nested.start + extra);
    }
    let mut at = nested.start - 1;
    let mut rest = length;
    while let Some(byte) = buf.get_mut(at) {
        if rest < 0x80 {
            *byte = rest as u8;
            break;
        }
        *byte = rest as u8 | 0x80;
        rest >>= 7;
        at += 1;
    }
}

/// Lets `write!` append to a byte buffer.
pub(crate) struct Text<'a>(pub(crate) &'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// One field of a message that is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Bytes(&'a [u8]),
    Fixed32(u32),
    Fixed64(u64),
    Varint(u64),
}

impl<'a> Field<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    pub(crate) fn text(self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.bytes())
    }

    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Bytes(_) => 0,
            Self::Fixed32(value) => u64::from(value),
            Self::Fixed64(value) | Self::Varint(value) => value,
        }
    }
}

/// Reads the fields of a message in order. Ends at the first byte that makes no sense.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    broken: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, broken: false }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether reading ended at a byte that makes no sense.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32).unwrap_or(0);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(index + 1..)?;
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        (key >> 3 != 0).then_some((key >> 3, value))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.broken {
            return None;
        }
        let field = self.field();
        self.broken = field.is_none();
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_they_say() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut buf = Vec::new();
            put_varint(&mut buf, value);
            assert_eq!(buf.len(), varint_len(value), "{value}");
            assert_eq!(Reader::new(&buf).varint(), Some(value));
        }
    }

    #[test]
    fn nested_messages_of_any_length_read_back() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 3_000_000] {
            let mut buf = vec![7];
            let outer = begin(&mut buf, tag(5, WireType::Length));
            let inner = begin(&mut buf, tag(1, WireType::Length));
            buf.extend(std::iter::repeat_n(b'x', length));
            end(&mut buf, inner);
            put_fixed32(&mut buf, tag(2, WireType::Fixed32), 9);
            end(&mut buf, outer);
            let mut reader = Reader::new(&buf[1..]);
            let (field, outer) = reader.next().expect("a field");
            assert_eq!((field, reader.next()), (5, None));
            let fields: Vec<_> = Reader::new(outer.bytes()).collect();
            assert_eq!(fields[0].1.bytes().len(), length);
            assert_eq!(fields[1], (2, Field::Fixed32(9)));
        }
    }

    #[test]
    fn broken_bytes_end_the_reading() {
        for bytes in [&[0xff_u8; 11][..], &[0x0a, 5, 1], &[0x0b, 1], &[0x09, 1, 2], &[0x00, 0x00]] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.next(), None, "{bytes:?}");
            assert!(reader.is_broken());
        }
    }
}
