//! Removes gzip and deflate from the beginning of a body, while it passes.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::content::Coding;

/// The least by which the output grows, so that a short body takes little memory. After that, it doubles.
const STEP: usize = 2 << 10;
/// How much more compressed data than text is read. Empty blocks could fill a body without end.
const MAX_EXCESS: usize = 64 << 10;

/// Decompresses a body up to a limit.
pub(super) struct Inflate {
    coding: Coding,
    /// `None` before the first byte, whose value tells the two kinds of deflate apart.
    stream: Option<Decompress>,
    read: usize,
}

impl Inflate {
    /// Returns `None` if the coding is not a compression.
    pub(super) fn new(coding: Coding) -> Option<Self> {
        (coding != Coding::Identity).then_some(Self { coding, stream: None, read: 0 })
    }

    /// Appends the decompressed data to `text`, up to `limit` bytes. Returns whether more data can be of use.
    pub(super) fn push(&mut self, data: &[u8], text: &mut Vec<u8>, limit: usize) -> bool {
        let mut data = data;
        while let Some(first) = data.first() {
            if text.len() >= limit || self.read > limit.saturating_add(MAX_EXCESS) {
                return false;
            }
            let coding = self.coding;
            let stream = self.stream.get_or_insert_with(|| new_stream(coding, *first));
            if text.len() == text.capacity() {
                text.reserve_exact(text.len().max(STEP).min(limit - text.len()));
            }
            let before = (stream.total_in(), text.len());
            let status = stream.decompress_vec(data, text, FlushDecompress::None);
            let consumed = (stream.total_in() - before.0) as usize;
            self.read += consumed;
            data = data.get(consumed..).unwrap_or_default();
            match status {
                // A gzip file can consist of several members.
                Ok(Status::StreamEnd) if self.coding == Coding::Gzip => self.stream = None,
                Ok(Status::Ok | Status::BufError) if consumed > 0 || text.len() > before.1 => {}
                Ok(_) | Err(_) => return false,
            }
        }
        text.len() < limit
    }
}

/// Servers send `deflate` with the header of zlib, as specified, or without it.
fn new_stream(coding: Coding, first: u8) -> Decompress {
    // The low half of zlib's first byte is the method 8, and the high half is at most 7. As the first byte of raw deflate, it
    // would be an uncompressed block with non-zero padding, which no encoder writes.
    let has_zlib_header = first & 0x0f == 8 && first >> 4 <= 7;
    match coding {
        Coding::Gzip => Decompress::new_gzip(15),
        _ => Decompress::new(has_zlib_header),
    }
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate").field("coding", &self.coding).field("read", &self.read).finish_non_exhaustive()
    }
}
