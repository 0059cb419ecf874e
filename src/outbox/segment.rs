//! Segments: frames that go the way to the ship thread together.

use super::block::Block;
use super::frame::{Frame, read_frame};

/// A run of frames that is handed over as a whole.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(super) block: Block,
    pub(super) records: u64,
    /// The lane it is of: WARN and above.
    pub(super) high: bool,
    /// Its place among all that were ever sealed; 0 until it is.
    pub(super) number: u64,
}

impl Segment {
    pub(super) fn new(block: Block, high: bool) -> Self {
        Self { block, records: 0, high, number: 0 }
    }

    /// Of frames that somebody else has written.
    pub(super) fn of_frames(frames: Vec<u8>, records: u64) -> Self {
        Self { records, ..Self::new(Block::Heap(frames), false) }
    }

    /// Its place among all segments that were ever sealed, from 0 on.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The frames from `offset` on.
    pub(crate) fn frames_from(&self, offset: usize) -> impl Iterator<Item = Frame<'_>> {
        let mut rest = self.bytes().get(offset..).unwrap_or_default();
        std::iter::from_fn(move || {
            let frame = read_frame(rest)?;
            rest = rest.get(frame.length..).unwrap_or_default();
            Some(frame)
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.block.bytes()
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// How many records begin at `offset` or behind it.
    pub(crate) fn records_from(&self, offset: usize) -> u64 {
        self.frames_from(offset).count() as u64
    }

    /// The records in front of `offset` have met their fates: whoever finds the file after this process does not send
    /// them again.
    pub(crate) fn consume(&mut self, offset: usize) {
        if let Block::File(file) = &mut self.block {
            file.consume(offset);
        }
    }

    /// Whether it outlives the process.
    pub(crate) fn is_in_file(&self) -> bool {
        self.block.is_file()
    }

    #[inline]
    pub(super) fn room(&self) -> usize {
        self.block.capacity() - self.block.bytes().len()
    }

    #[inline]
    pub(super) fn push(&mut self, frame: &[u8]) {
        self.block.push(frame);
        self.records += 1;
    }

    /// Lets go of memory that the kernel has elsewhere.
    pub(super) fn park(&mut self) {
        if let Block::File(file) = &mut self.block {
            file.park();
        }
    }

    /// The file it is in.
    #[cfg(test)]
    pub(super) fn file(&self) -> Option<std::path::PathBuf> {
        match &self.block {
            Block::Heap(_) => None,
            Block::File(file) => Some(file.path()),
        }
    }
}
