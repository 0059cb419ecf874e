//! Segments: frames that lie together, and groups: the segments of both lanes of a shard that leave it together.

use super::block::Block;
use super::frame::{Frame, read_frame};
use super::spool::Spool;

/// A run of frames that is handed over as a whole.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(super) block: Block,
    pub(super) records: u64,
}

/// The lane of records below WARN.
pub(super) const LOW: usize = 0;
/// The lane of WARN and above.
pub(super) const HIGH: usize = 1;

/// How far each lane of a group is used up.
pub(crate) type Offsets = [usize; 2];

/// What was in both lanes of a shard when it was sealed. Its frames are in order by their sequence.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its place among all that were ever sealed, from 0 on.
    pub(super) number: u64,
    /// By lane.
    pub(super) segments: [Option<Segment>; 2],
}

impl Group {
    /// Its place among all groups that were ever sealed, from 0 on.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What there is, by lane.
    pub(crate) fn lanes(&self) -> [Option<&Segment>; 2] {
        self.segments.each_ref().map(Option::as_ref)
    }

    /// The segments that there are.
    fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().flatten()
    }

    /// The same, to be let go of.
    pub(crate) fn into_segments(self) -> impl Iterator<Item = Segment> {
        self.segments.into_iter().flatten()
    }

    /// The same, each with how far it is used up.
    pub(crate) fn into_segments_from(self, offsets: Offsets) -> impl Iterator<Item = (Segment, usize)> {
        self.segments.into_iter().zip(offsets).filter_map(|(segment, offset)| Some((segment?, offset)))
    }

    /// The records in front of these offsets have met their fates.
    pub(crate) fn consume(&mut self, offsets: Offsets) {
        for (segment, offset) in self.segments.iter_mut().zip(offsets).filter(|(_, offset)| *offset > 0) {
            segment.iter_mut().for_each(|segment| segment.consume(offset));
        }
    }

    /// How many records there are.
    #[cfg(test)]
    pub(super) fn records(&self) -> u64 {
        self.segments().map(Segment::records).sum()
    }

    /// Whether all of it outlives the process.
    pub(crate) fn is_in_files(&self) -> bool {
        self.segments().all(Segment::is_in_file)
    }
}

/// The frames of both lanes of a group, in the order in which they were appended, each with its lane.
pub(crate) struct InOrder<'a> {
    rest: [&'a [u8]; 2],
    next: [Option<Frame<'a>>; 2],
}

impl<'a> InOrder<'a> {
    /// Those that begin at these offsets or behind them.
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

    /// Of frames that somebody else has written.
    pub(super) fn of_frames(frames: Vec<u8>, records: u64) -> Self {
        Self { block: Block::Heap(frames), records }
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
    pub(super) fn push(&mut self, frame: &[u8], sequence: u16) {
        self.block.push(frame, sequence);
        self.records += 1;
    }

    /// Gives back the blocks of its file that it does not use.
    pub(super) fn shrink(&mut self, spool: &Spool) {
        if let Block::File(file) = &mut self.block {
            spool.shrink(file);
        }
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
