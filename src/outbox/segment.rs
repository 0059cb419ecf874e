//! Segments and groups. A segment holds the frames of one lane. A group holds the segments of both lanes of a shard,
//! which leave the shard together.

use super::block::Block;
use super::frame::{Frame, read_frame};

/// Consecutive frames of one lane, in one block.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(super) block: Block,
    pub(super) records: u64,
}

/// The lane of records below WARN.
pub(super) const LOW: usize = 0;
/// The lane of WARN and above.
pub(super) const HIGH: usize = 1;

/// For each lane of a group, the offset of the first frame without an outcome.
pub(crate) type Offsets = [usize; 2];

/// The segments of both lanes of a shard when it was sealed. Sequence numbers order the frames of both.
#[derive(Debug)]
pub(crate) struct Group {
    /// The number of this group among all groups ever sealed, from 0 on.
    pub(super) number: u64,
    /// By lane.
    pub(super) segments: [Option<Segment>; 2],
}

impl Group {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the segments by lane.
    pub(crate) fn lanes(&self) -> [Option<&Segment>; 2] {
        self.segments.each_ref().map(Option::as_ref)
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().flatten()
    }

    pub(crate) fn into_segments(self) -> impl Iterator<Item = Segment> {
        self.segments.into_iter().flatten()
    }

    /// Returns each segment with the offset of its lane.
    pub(crate) fn into_segments_from(self, offsets: Offsets) -> impl Iterator<Item = (Segment, usize)> {
        self.segments.into_iter().zip(offsets).filter_map(|(segment, offset)| Some((segment?, offset)))
    }

    /// Marks the records before these offsets as done.
    pub(crate) fn consume(&mut self, offsets: Offsets) {
        for (segment, offset) in self.segments.iter_mut().zip(offsets).filter(|(_, offset)| *offset > 0) {
            segment.iter_mut().for_each(|segment| segment.consume(offset));
        }
    }

    #[cfg(test)]
    pub(super) fn records(&self) -> u64 {
        self.segments().map(Segment::records).sum()
    }

    /// Whether all records of the group outlive the process.
    pub(crate) fn is_in_files(&self) -> bool {
        self.segments().all(Segment::is_in_file)
    }
}

/// Iterates over the frames of both lanes of a group in the order in which they were appended, each with its lane.
pub(crate) struct InOrder<'a> {
    rest: [&'a [u8]; 2],
    next: [Option<Frame<'a>>; 2],
}

impl<'a> InOrder<'a> {
    /// Starts at these offsets.
    pub(crate) fn from(lanes: [Option<&'a Segment>; 2], offsets: Offsets) -> Self {
        let [low, high] = lanes.map(|segment| segment.map(Segment::bytes).unwrap_or_default());
        let rest = [low.get(offsets[LOW]..).unwrap_or_default(), high.get(offsets[HIGH]..).unwrap_or_default()];
        Self { rest, next: rest.map(read_frame) }
    }
}

impl<'a> Iterator for InOrder<'a> {
    type Item = (usize, Frame<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let lane = match &self.next {
            [Some(low), Some(high)] if high.sequence < low.sequence => HIGH,
            [Some(_), _] => LOW,
            [None, _] => HIGH,
        };
        let frame = self.next[lane]?;
        self.rest[lane] = self.rest[lane].get(frame.length..).unwrap_or_default();
        self.next[lane] = read_frame(self.rest[lane]);
        Some((lane, frame))
    }
}

impl Segment {
    pub(super) fn new(block: Block) -> Self {
        Self { block, records: 0 }
    }

    /// Creates a segment of frames that were read from a file.
    pub(super) fn of_frames(frames: Vec<u8>, records: u64) -> Self {
        Self { block: Block::Heap(frames), records }
    }

    /// Iterates over the frames from `offset` on.
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

    /// Counts the records from `offset` on.
    pub(crate) fn records_from(&self, offset: usize) -> u64 {
        self.frames_from(offset).count() as u64
    }

    /// Marks the records before `offset` as done, so that a process that finds the file later does not send them again.
    pub(crate) fn consume(&mut self, offset: usize) {
        if let Block::File(file) = &mut self.block {
            file.consume(offset);
        }
    }

    /// Whether the segment outlives the process.
    pub(crate) fn is_in_file(&self) -> bool {
        self.block.is_file()
    }

    #[inline]
    pub(super) fn room(&self) -> usize {
        self.block.capacity() - self.block.bytes().len()
    }

    #[inline]
    pub(super) fn push(&mut self, frame: &[u8], sequence: u16) {
        self.block.push(frame, sequence);
        self.records += 1;
    }

    /// Releases the pages of a segment in a file. The kernel reads them back when needed.
    pub(super) fn park(&mut self) {
        if let Block::File(file) = &mut self.block {
            file.park();
        }
    }

    #[cfg(test)]
    pub(super) fn file(&self) -> Option<std::path::PathBuf> {
        match &self.block {
            Block::Heap(_) => None,
            Block::File(file) => Some(file.path()),
        }
    }
}
