//! Groups that wait to be taken over by the exporter thread.
//!
//! Constraints:
//! * Sorted by number. A group keeps its place while a segment of it is away: it is being dropped and not counted yet, or
//!   it is being shrunk. Only a group of which nothing is left, here or away, has left.
//! * Nothing is allocated or freed here, because all of this runs under a lock: who pushes makes room before
//!   ([`Outbox::grow_queue`](super::Outbox)), and what is taken out is freed by the caller.

use std::collections::VecDeque;

use super::block::Block;
use super::segment::{Group, HIGH, LOW, Segment};

/// How many groups fit in before the queue is made grown_capacity.
const FIRST: usize = 64;
const LANES: [usize; 2] = [LOW, HIGH];

#[derive(Debug)]
pub(super) struct SealedGroups {
    queue: VecDeque<WaitingGroup>,
    /// How many groups there ever were.
    total: u64,
    /// Where to look next for segments that are mostly empty: in memory, and in files.
    sparse_from: [SegmentPosition; 2],
}

#[derive(Debug)]
struct WaitingGroup {
    group: Group,
    /// How many of its segments are away.
    away: usize,
}

impl WaitingGroup {
    fn has_segments(&self) -> bool {
        self.group.segments.iter().any(Option::is_some)
    }
}

/// Where a segment waits: the number of its group, and its lane.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct SegmentPosition {
    number: u64,
    lane: usize,
}

impl Default for SealedGroups {
    fn default() -> Self {
        Self { queue: VecDeque::with_capacity(FIRST), total: 0, sparse_from: Default::default() }
    }
}

impl SealedGroups {
    /// How many groups there ever were.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whether so many more groups fit in.
    pub(super) fn has_room(&self, groups: usize) -> bool {
        self.queue.capacity() - self.queue.len() >= groups
    }

    /// How long a queue has to be into which twice as much fits.
    pub(super) fn grown_capacity(&self) -> usize {
        2 * self.queue.capacity().max(FIRST)
    }

    /// A queue for [`lengthen`](Self::lengthen).
    pub(super) fn queue_for(groups: usize) -> Self {
        Self { queue: VecDeque::with_capacity(groups), ..Self::default() }
    }

    /// Moves into the queue of `other`, which gets the old one, unless that one is no grown_capacity.
    pub(super) fn lengthen(&mut self, other: &mut Self) {
        if other.queue.capacity() > self.queue.capacity() {
            other.queue.append(&mut self.queue);
            std::mem::swap(&mut self.queue, &mut other.queue);
        }
    }

    /// Appends a group that there is room for.
    pub(super) fn push(&mut self, segments: [Option<Segment>; 2]) {
        self.queue.push_back(WaitingGroup { group: Group { number: self.total, segments }, away: 0 });
        self.total += 1;
    }

    pub(super) fn has_segments(&self) -> bool {
        self.queue.iter().any(WaitingGroup::has_segments)
    }

    pub(super) fn has_low(&self) -> bool {
        self.queue.iter().any(|waiting| waiting.group.segments[LOW].is_some())
    }

    /// All groups with a smaller number have left.
    pub(super) fn first(&self) -> u64 {
        self.queue.front().map_or(self.total, |waiting| waiting.group.number)
    }

    /// Takes the oldest group out, without what is away.
    pub(super) fn take(&mut self) -> Option<Group> {
        let at = self.queue.iter().position(WaitingGroup::has_segments)?;
        let waiting = self.queue.get_mut(at)?;
        if waiting.away == 0 {
            return self.queue.remove(at).map(|waiting| waiting.group);
        }
        let Group { number, segments } = &mut waiting.group;
        Some(Group { number: *number, segments: std::mem::take(segments) })
    }

    /// All segments, oldest group first, each with its lane.
    pub(super) fn segments(&self) -> impl Iterator<Item = (usize, &Segment)> {
        let of = |waiting: &'_ WaitingGroup| LANES.map(|lane| (lane, waiting.group.segments[lane].is_some()));
        self.queue.iter().flat_map(move |waiting| {
            let lanes = of(waiting).into_iter().filter(|(_, is_there)| *is_there);
            lanes.filter_map(|(lane, _)| Some((lane, waiting.group.segments[lane].as_ref()?)))
        })
    }

    /// The same, to be changed.
    pub(super) fn segments_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.queue.iter_mut().flat_map(|waiting| waiting.group.segments.iter_mut().flatten())
    }

    #[cfg(test)]
    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.queue.iter().map(|waiting| &waiting.group)
    }

    /// Takes out the first so many segments that are wanted. They stay counted as here until they are
    /// [`gone`](Self::gone). There must be room for them.
    pub(super) fn take_out(
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
                    waiting.away += 1;
                    into.push((SegmentPosition { number: waiting.group.number, lane }, segment));
                }
            }
        }
    }

    /// What was at these places has left for good.
    pub(super) fn gone(&mut self, places: impl Iterator<Item = SegmentPosition>) {
        for place in places {
            if let Some(waiting) = self.at(place) {
                waiting.away -= 1;
            }
        }
        self.queue.retain(|waiting| waiting.away > 0 || waiting.has_segments());
    }

    /// What was away is here again.
    pub(super) fn put_back(&mut self, place: SegmentPosition, segment: Segment) {
        if let Some(waiting) = self.at(place) {
            waiting.away -= 1;
            waiting.group.segments[place.lane] = Some(segment);
        }
    }

    fn at(&mut self, place: SegmentPosition) -> Option<&mut WaitingGroup> {
        let at = self.queue.binary_search_by_key(&place.number, |waiting| waiting.group.number).ok()?;
        self.queue.get_mut(at)
    }

    /// The next segment in memory, or in a file, that is mostly empty, and how many bytes it needs. Each one is found
    /// once.
    pub(super) fn next_sparse(&mut self, in_file: bool) -> Option<(SegmentPosition, usize)> {
        let from = &mut self.sparse_from[usize::from(in_file)];
        let start = self.queue.partition_point(|waiting| waiting.group.number < from.number);
        let later = self.queue.range(start..).flat_map(|waiting| LANES.map(|lane| (waiting, lane)));
        for (WaitingGroup { group, .. }, lane) in later {
            let place = SegmentPosition { number: group.number, lane };
            if place < *from {
                continue;
            }
            let Some(segment) = &group.segments[lane] else { continue };
            *from = SegmentPosition { number: place.number + lane as u64, lane: 1 - lane };
            let (length, capacity) = (segment.bytes().len(), segment.block.capacity());
            if segment.is_in_file() == in_file && length <= capacity / 2 {
                return Some((place, length));
            }
        }
        None
    }

    /// Takes out one segment, to be [put back](Self::put_back).
    pub(super) fn borrow(&mut self, place: SegmentPosition) -> Option<Segment> {
        let waiting = self.at(place)?;
        let segment = waiting.group.segments[place.lane].take()?;
        waiting.away += 1;
        Some(segment)
    }

    /// Copies a segment into a block of the length it needs. Returns what is not needed any more: the block it was in,
    /// or the new one if the segment has left meanwhile.
    pub(super) fn move_into(&mut self, place: SegmentPosition, mut small: Vec<u8>) -> Block {
        let segment = self.at(place).and_then(|waiting| waiting.group.segments[place.lane].as_mut());
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
