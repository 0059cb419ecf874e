//! The protobuf wire format, as far as OTLP messages need it.
//!
//! The length of a nested message is unknown until it is written. One byte is reserved for it, since most messages are
//! shorter than 128 bytes. A longer message is moved up to make room for its length.

use std::fmt;

/// The layout of a field's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WireType {
    Fixed32 = 5,
    Fixed64 = 1,
    Length = 2,
    Varint = 0,
}

/// Returns the tag of a field. Only numbers below 16 have a tag of one byte.
pub(crate) const fn tag(field: u64, wire: WireType) -> u8 {
    debug_assert!(field < 16);
    (field << 3) as u8 | wire as u8
}

#[inline]
pub(crate) fn put_varint(buf: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buf.push(value as u8 | 0x80);
        value >>= 7;
    }
    buf.push(value as u8);
}

/// Returns the length of a varint in bytes.
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
pub(crate) fn put_message_header(buf: &mut Vec<u8>, field: u64, length: usize) {
    buf.push(tag(field, WireType::Length));
    put_varint(buf, length as u64);
}

/// The start of a nested message that has not been ended yet.
#[derive(Clone, Copy, Debug)]
#[must_use = "a nested message must be ended"]
pub(crate) struct Nested {
    start: usize,
}

/// Begins a nested message or a string of unknown length.
#[inline]
pub(crate) fn begin(buf: &mut Vec<u8>, tag: u8) -> Nested {
    buf.push(tag);
    buf.push(0);
    Nested { start: buf.len() }
}

/// Ends a nested message by writing its length in front of it.
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

/// An adapter that lets `write!` append to a byte buffer.
pub(crate) struct FmtBuffer<'a>(pub(crate) &'a mut Vec<u8>);

impl fmt::Write for FmtBuffer<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// The value of a field as it is on the wire.
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

/// An iterator over the fields of a message: numbers and values in wire order. It ends at the first invalid byte.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    broken: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, broken: false }
    }

    /// Returns the bytes that have not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns whether reading ended at an invalid byte.
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
        const VARINT: u64 = WireType::Varint as u64;
        const FIXED64: u64 = WireType::Fixed64 as u64;
        const LENGTH: u64 = WireType::Length as u64;
        const FIXED32: u64 = WireType::Fixed32 as u64;
        let key = self.varint()?;
        let value = match key & 7 {
            VARINT => Field::Varint(self.varint()?),
            FIXED64 => Field::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            FIXED32 => Field::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
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

/// Returns the values of one field of a message, in wire order.
pub(crate) fn repeated(message: &[u8], field: u64) -> impl Iterator<Item = Field<'_>> {
    Reader::new(message).filter(move |(number, _)| *number == field).map(|(_, value)| value)
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
