//! Frames: the encoded records that log calls append and the exporter thread collects.
//!
//! A frame is `checksum (u32) | record length (u32) | scope length (u32) | severity (u8) | traced (u8) | sequence (u16)
//! | scope | record`, with integers in little endian. Traced is 1 if the record has a trace id. The sequence numbers
//! the frames of both lanes of a group, and is set when the frame is appended. The scope has the fields of `ScopeLogs`
//! without its records; the record is a `LogRecord` message. Both are opaque here: the exporter thread groups equal
//! scopes and copies records.
//!
//! The checksum is the CRC-32 of everything after it, with a sequence of 0, because it is computed before the frame has
//! a sequence. The sequence and a salt of the file are mixed into it later. Only frames in files have a checksum: a
//! killed process leaves whole frames behind, but a disk that loses power may not.

use crate::otlp::Scratch;

/// Bytes before the scope.
pub(crate) const HEADER: usize = 16;
/// Bytes of the checksum, at the start of the header.
const CHECKSUM: usize = 4;
/// Where the sequence starts, at the end of the header.
const SEQUENCE: usize = HEADER - 2;

/// A reusable buffer that holds one frame while a log call writes it.
///
/// It knows where the scope ends and the record begins.
#[derive(Debug, Default)]
pub(crate) struct FrameBuffer {
    scratch: Scratch,
    scope_end: usize,
}

impl FrameBuffer {
    /// Starts a frame: reserves the header and lets `write_scope` append the scope.
    #[inline]
    pub(crate) fn begin(&mut self, write_scope: impl FnOnce(&mut Vec<u8>)) {
        self.scratch.buf.clear();
        self.scratch.buf.resize(HEADER, 0);
        write_scope(&mut self.scratch.buf);
        self.scope_end = self.scratch.buf.len();
    }

    /// Returns the buffer that the record is written to.
    #[inline]
    pub(crate) fn scratch(&mut self) -> &mut Scratch {
        &mut self.scratch
    }

    pub(crate) fn scope(&self) -> &[u8] {
        self.scratch.buf.get(HEADER..self.scope_end).unwrap_or_default()
    }

    pub(crate) fn record(&self) -> &[u8] {
        self.scratch.buf.get(self.scope_end..).unwrap_or_default()
    }

    pub(crate) fn record_mut(&mut self) -> &mut [u8] {
        self.scratch.buf.get_mut(self.scope_end..).unwrap_or_default()
    }

    /// Replaces the record by the bytes that `rewrite` returns. Returns the number that `rewrite` returns.
    pub(crate) fn rewrite_record(&mut self, rewrite: impl FnOnce(&[u8]) -> (Vec<u8>, u64)) -> u64 {
        let (changed, number) = rewrite(self.record());
        self.scratch.buf.truncate(self.scope_end);
        self.scratch.buf.extend_from_slice(&changed);
        number
    }

    /// Fills in the header, with a checksum if `checked`. After this, [`bytes`](Self::bytes) is a complete frame.
    pub(crate) fn end(&mut self, severity: u8, checked: bool) {
        let record = (self.scratch.buf.len() - self.scope_end) as u32;
        let scope = (self.scope_end - HEADER) as u32;
        let traced = u8::from(self.scratch.is_traced());
        if let Some((header, _)) = self.scratch.buf.split_first_chunk_mut::<HEADER>() {
            let [r0, r1, r2, r3] = record.to_le_bytes();
            let [s0, s1, s2, s3] = scope.to_le_bytes();
            *header = [0, 0, 0, 0, r0, r1, r2, r3, s0, s1, s2, s3, severity, traced, 0, 0];
        }
        if checked && let Some((checksum, rest)) = self.scratch.buf.split_first_chunk_mut::<CHECKSUM>() {
            *checksum = crc32fast::hash(rest).to_le_bytes();
        }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.scratch.buf
    }
}

/// Mixes a salt into the checksum, or removes it again.
pub(super) fn salt_frame(frame: &mut [u8], salt: u32) {
    if let Some((checksum, _)) = frame.split_first_chunk_mut::<CHECKSUM>() {
        *checksum = (u32::from_le_bytes(*checksum) ^ salt).to_le_bytes();
    }
}

/// Sets the sequence number of a frame.
#[inline]
pub(super) fn set_sequence(frame: &mut [u8], sequence: u16) {
    if let Some((header, _)) = frame.split_first_chunk_mut::<HEADER>() {
        let [low, high] = sequence.to_le_bytes();
        (header[SEQUENCE], header[SEQUENCE + 1]) = (low, high);
    }
}

/// Returns the salt for a sequence number. It differs for each number, so that any change of the sequence is detected.
#[inline]
pub(super) fn sequence_salt(sequence: u16) -> u32 {
    u32::from(sequence).wrapping_mul(0x9e37_79b1)
}

/// Returns whether the frame that [`read_frame`] read from the start of the bytes is unchanged since it was written
/// with that salt.
pub(super) fn is_intact(bytes: &[u8], frame: &Frame<'_>, salt: u32) -> bool {
    let Some((checksum, rest)) = bytes.get(..frame.length).and_then(|frame| frame.split_first_chunk::<CHECKSUM>())
    else {
        return false;
    };
    let Some((lengths, rest)) = rest.split_first_chunk::<{ SEQUENCE - CHECKSUM }>() else { return false };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(lengths);
    hasher.update(&[0; 2]);
    hasher.update(rest.get(2..).unwrap_or_default());
    u32::from_le_bytes(*checksum) ^ salt ^ sequence_salt(frame.sequence) == hasher.finalize()
}

/// A decoded frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Frame<'a> {
    pub(crate) scope: &'a [u8],
    pub(crate) record: &'a [u8],
    /// The severity number; 0 if the record has none.
    pub(crate) severity: u8,
    /// Whether the record has a trace id.
    pub(crate) traced: bool,
    /// Numbers the frames of a group.
    pub(crate) sequence: u16,
    /// The length of the whole frame.
    pub(crate) length: usize,
}

/// Reads the frame at the start of the bytes. Returns `None` at their end, or if they are not a frame.
pub(crate) fn read_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let [_, _, _, _, r0, r1, r2, r3, s0, s1, s2, s3, severity, traced, n0, n1] = *header;
    let record = u32::from_le_bytes([r0, r1, r2, r3]) as usize;
    let scope = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
    let (scope, rest) = rest.split_at_checked(scope)?;
    let record = rest.get(..record)?;
    let sequence = u16::from_le_bytes([n0, n1]);
    Some(Frame { scope, record, severity, traced: traced == 1, sequence, length: HEADER + scope.len() + record.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_and_torn_ones_do_not() {
        let mut buffer = FrameBuffer::default();
        buffer.begin(|scope| scope.extend_from_slice(b"scope"));
        buffer.scratch().buf.extend_from_slice(b"the record");
        buffer.end(13, true);
        assert_eq!((buffer.scope(), buffer.record()), (&b"scope"[..], &b"the record"[..]));
        let bytes = buffer.bytes();
        let frame = read_frame(bytes).expect("a frame");
        assert_eq!((frame.scope, frame.record, frame.length), (buffer.scope(), buffer.record(), bytes.len()));
        assert_eq!(frame.severity, 13);
        for end in 0..bytes.len() {
            assert_eq!(read_frame(&bytes[..end]), None);
        }
    }

    #[test]
    fn any_change_is_seen_and_so_is_another_place() {
        let mut buffer = FrameBuffer::default();
        buffer.begin(|scope| scope.extend_from_slice(b"scope"));
        buffer.scratch().buf.extend_from_slice(b" and record");
        buffer.end(9, true);
        let mut bytes = buffer.bytes().to_vec();
        set_sequence(&mut bytes, 0x1234);
        salt_frame(&mut bytes, 7 ^ sequence_salt(0x1234));
        assert_eq!(read_frame(&bytes).map(|frame| frame.sequence), Some(0x1234));
        let intact = |bytes: &[u8], salt| read_frame(bytes).is_some_and(|frame| is_intact(bytes, &frame, salt));
        assert!(intact(&bytes, 7) && !intact(&bytes, 8));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!intact(&bytes, 7), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
