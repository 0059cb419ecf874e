//! Frames in a segment: what a log call appends and the ship thread gathers.
//!
//! A frame is `record length (u32) | scope length (u32) | severity (u8) | 3 bytes of zero | scope | record`, integers
//! in little endian. Scope is the fields of `ScopeLogs` without its records; record is a `LogRecord` message. Both are
//! opaque here: the ship thread groups equal scopes and copies records.

use crate::otlp::Scratch;

/// Bytes in front of the scope.
pub(crate) const HEADER: usize = 12;

/// A frame as it is being written: the header's place is kept free in front.
pub(crate) fn begin_frame(scratch: &mut Scratch) {
    scratch.buf.clear();
    scratch.buf.resize(HEADER, 0);
}

/// Fills in the header. `scope_end` is where the scope ends and the record starts.
pub(crate) fn end_frame(scratch: &mut Scratch, scope_end: usize, severity: u8) {
    let record = (scratch.buf.len() - scope_end) as u32;
    let scope = (scope_end - HEADER) as u32;
    if let Some((header, _)) = scratch.buf.split_first_chunk_mut::<HEADER>() {
        let [r0, r1, r2, r3] = record.to_le_bytes();
        let [s0, s1, s2, s3] = scope.to_le_bytes();
        *header = [r0, r1, r2, r3, s0, s1, s2, s3, severity, 0, 0, 0];
    }
}

/// One frame, read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Frame<'a> {
    pub(crate) scope: &'a [u8],
    pub(crate) record: &'a [u8],
    /// The severity number; 0 where it has none.
    pub(crate) severity: u8,
    /// The whole frame's length.
    pub(crate) length: usize,
}

/// The frame at the start of the bytes; `None` at their end or where they make no sense.
pub(crate) fn read_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let [r0, r1, r2, r3, s0, s1, s2, s3, severity, ..] = *header;
    let record = u32::from_le_bytes([r0, r1, r2, r3]) as usize;
    let scope = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
    let (scope, rest) = rest.split_at_checked(scope)?;
    let record = rest.get(..record)?;
    Some(Frame { scope, record, severity, length: HEADER + scope.len() + record.len() })
}

/// A run of frames that is handed over as a whole.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(super) buf: Vec<u8>,
    pub(super) records: u64,
    /// The lane it is of: WARN and above.
    pub(super) high: bool,
    /// Its place among all that were ever sealed; 0 until it is.
    pub(super) number: u64,
}

impl Segment {
    pub(super) fn new(buf: Vec<u8>, high: bool) -> Self {
        Self { buf, records: 0, high, number: 0 }
    }

    /// Its place among all segments that were ever sealed, from 0 on.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The frames from `offset` on.
    pub(crate) fn frames_from(&self, offset: usize) -> impl Iterator<Item = Frame<'_>> {
        let mut rest = self.buf.get(offset..).unwrap_or_default();
        std::iter::from_fn(move || {
            let frame = read_frame(rest)?;
            rest = rest.get(frame.length..).unwrap_or_default();
            Some(frame)
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buf
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// How many records begin at `offset` or behind it.
    pub(crate) fn records_from(&self, offset: usize) -> u64 {
        self.frames_from(offset).count() as u64
    }

    pub(super) fn room(&self) -> usize {
        self.buf.capacity() - self.buf.len()
    }

    pub(super) fn push(&mut self, frame: &[u8]) {
        self.buf.extend_from_slice(frame);
        self.records += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_and_torn_ones_do_not() {
        let mut scratch = Scratch::default();
        begin_frame(&mut scratch);
        scratch.buf.extend_from_slice(b"scope");
        let scope_end = scratch.buf.len();
        scratch.buf.extend_from_slice(b"the record");
        end_frame(&mut scratch, scope_end, 13);
        let frame = read_frame(&scratch.buf).expect("a frame");
        assert_eq!((frame.scope, frame.record, frame.length), (&b"scope"[..], &b"the record"[..], scratch.buf.len()));
        assert_eq!(frame.severity, 13);
        for end in 0..scratch.buf.len() {
            assert_eq!(read_frame(&scratch.buf[..end]), None);
        }
    }
}
