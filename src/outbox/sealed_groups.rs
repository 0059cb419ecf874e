//! Sealed groups that wait until the exporter thread takes them.
//!
//! Constraints:
//! * The queue is sorted by number. A group keeps its position while one of its segments is detached to be evicted or
//!   shrunk. A group leaves only when it has no segments, neither here nor detached.
//! * Nothing is allocated or freed here, because all of this runs under a lock. The caller grows the queue before it
//!   pushes (`Outbox::grow_queue`), and frees the removed groups.

use std::collections::VecDeque;

use super::block::Block;
use super::segment::{Group, HIGH, LOW, Segment};

/// How many groups fit before the queue has to grow.
const FIRST_CAPACITY: usize = 64;
const LANES: [usize; 2] = [LOW, HIGH];

#[derive(Debug)]
pub(super) struct SealedGroups {
    queue: VecDeque<WaitingGroup>,
    /// The number of groups ever sealed.
    total: u64,
    /// Where to search next for mostly empty segments, in memory and in files.
    sparse_from: [SegmentPosition; 2],
}

#[derive(Debug)]
struct WaitingGroup {
    group: Group,
    /// The number of its detached segments.
    detached: usize,
}

impl WaitingGroup {
    fn has_segments(&self) -> bool {
        self.group.segments.iter().any(Option::is_some)
    }
}

/// The position of a segment: the number of its group, and its lane.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct SegmentPosition {
    number: u64,
    lane: usize,
}

impl Default for SealedGroups {
    fn default() -> Self {
        Self::with_capacity(FIRST_CAPACITY)
    }
}

impl SealedGroups {
    pub(super) fn with_capacity(groups: usize) -> Self {
        Self { queue: VecDeque::with_capacity(groups), total: 0, sparse_from: Default::default() }
    }

    /// Returns how many groups were ever sealed.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Returns whether this many more groups fit.
    pub(super) fn has_room(&self, groups: usize) -> bool {
        self.queue.capacity() - self.queue.len() >= groups
    }

    /// Returns the capacity to grow to.
    pub(super) fn grown_capacity(&self) -> usize {
        2 * self.queue.capacity().max(FIRST_CAPACITY)
    }

    /// Moves the groups into the queue of `larger` and takes that queue; `larger` gets the old one. Does nothing if
    /// that queue is not larger.
    pub(super) fn move_queue_into(&mut self, larger: &mut Self) {
        if larger.queue.capacity() > self.queue.capacity() {
            larger.queue.append(&mut self.queue);
            std::mem::swap(&mut self.queue, &mut larger.queue);
        }
    }

    /// Appends a group. The queue must have capacity for it.
    pub(super) fn push(&mut self, segments: [Option<Segment>; 2]) {
        self.queue.push_back(WaitingGroup { group: Group { number: self.total, segments }, detached: 0 });
        self.total += 1;
    }

    pub(super) fn has_segments(&self) -> bool {
        self.queue.iter().any(WaitingGroup::has_segments)
    }

    pub(super) fn has_low(&self) -> bool {
        self.queue.iter().any(|waiting| waiting.group.segments[LOW].is_some())
    }

    /// Returns the number of the oldest group that has not left.
    pub(super) fn oldest(&self) -> u64 {
        self.queue.front().map_or(self.total, |waiting| waiting.group.number)
    }

    /// Takes out the oldest group, without its detached segments.
    pub(super) fn take(&mut self) -> Option<Group> {
        let at = self.queue.iter().position(WaitingGroup::has_segments)?;
        let waiting = self.queue.get_mut(at)?;
        if waiting.detached == 0 {
            return self.queue.remove(at).map(|waiting| waiting.group);
        }
        let Group { number, segments } = &mut waiting.group;
        Some(Group { number: *number, segments: std::mem::take(segments) })
    }

    /// Iterates over all segments with their lanes, oldest group first.
    pub(super) fn segments(&self) -> impl Iterator<Item = (usize, &Segment)> {
        self.queue.iter().flat_map(|waiting| {
            LANES.into_iter().filter_map(|lane| Some((lane, waiting.group.segments[lane].as_ref()?)))
        })
    }

    pub(super) fn segments_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.queue.iter_mut().flat_map(|waiting| waiting.group.segments.iter_mut().flatten())
    }

    #[cfg(test)]
    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.queue.iter().map(|waiting| &waiting.group)
    }

    /// Detaches the first `most` segments that `is_wanted` selects. `into` must have room for them. Their groups stay
    /// until [`remove_detached`](Self::remove_detached).
    pub(super) fn detach_first(
        &mut self,
        most: usize,
        is_wanted: impl Fn(usize, &Segment) -> bool,
        into: &mut Vec<(SegmentPosition, Segment)>,
    ) {
        for waiting in &mut self.queue {
            for lane in LANES {
                if into.len() < most
                    && let Some(segment) = waiting.group.segments[lane].take_if(|segment| is_wanted(lane, segment))
                {
                    waiting.detached += 1;
                    into.push((SegmentPosition { number: waiting.group.number, lane }, segment));
                }
            }
        }
    }

    /// Removes the groups of detached segments that do not come back, unless they have other segments.
    pub(super) fn remove_detached(&mut self, positions: impl Iterator<Item = SegmentPosition>) {
        for position in positions {
            if let Some(waiting) = self.at(position) {
                waiting.detached -= 1;
            }
        }
        self.queue.retain(|waiting| waiting.detached > 0 || waiting.has_segments());
    }

    /// Puts a detached segment back.
    pub(super) fn reattach(&mut self, position: SegmentPosition, segment: Segment) {
        if let Some(waiting) = self.at(position) {
            waiting.detached -= 1;
            waiting.group.segments[position.lane] = Some(segment);
        }
    }

    fn at(&mut self, position: SegmentPosition) -> Option<&mut WaitingGroup> {
        let at = self.queue.binary_search_by_key(&position.number, |waiting| waiting.group.number).ok()?;
        self.queue.get_mut(at)
    }

    /// Returns the next segment in memory, or in a file, that is mostly empty, and how many bytes it needs. Returns
    /// each segment once.
    pub(super) fn next_sparse(&mut self, in_file: bool) -> Option<(SegmentPosition, usize)> {
        let from = &mut self.sparse_from[usize::from(in_file)];
        let start = self.queue.partition_point(|waiting| waiting.group.number < from.number);
        let later = self.queue.range(start..).flat_map(|waiting| LANES.map(|lane| (waiting, lane)));
        for (WaitingGroup { group, .. }, lane) in later {
            let position = SegmentPosition { number: group.number, lane };
            if position < *from {
                continue;
            }
            let Some(segment) = &group.segments[lane] else { continue };
            *from = SegmentPosition { number: position.number + lane as u64, lane: 1 - lane };
            let (length, capacity) = (segment.bytes().len(), segment.block.capacity());
            if segment.is_in_file() == in_file && length <= capacity / 2 {
                return Some((position, length));
            }
        }
        None
    }

    /// Detaches one segment, until [`reattach`](Self::reattach).
    pub(super) fn detach(&mut self, position: SegmentPosition) -> Option<Segment> {
        let waiting = self.at(position)?;
        let segment = waiting.group.segments[position.lane].take()?;
        waiting.detached += 1;
        Some(segment)
    }

    /// Copies a segment into a block of the length it needs. Returns the block that is not needed any more: the old
    /// one, or `small` if the segment has left meanwhile.
    pub(super) fn replace_block(&mut self, position: SegmentPosition, mut small: Vec<u8>) -> Block {
        let segment = self.at(position).and_then(|waiting| waiting.group.segments[position.lane].as_mut());
        match segment.map(|segment| &mut segment.block) {
            Some(Block::Heap(buf)) if buf.len() <= small.capacity() => {
                small.extend_from_slice(buf);
                std::mem::swap(buf, &mut small);
            }
            _ => {}
        }
        Block::Heap(small)
    }
}
