//! Appending: the group that a shard fills, and how it leaves.

use std::sync::atomic::Ordering;

use super::block::Block;
use super::sealed_groups::SealedGroups;
use super::segment::{LOW, Segment};
use super::sync::lock;
use super::{Outbox, Shard, Wake};
use crate::config::Overload;
use crate::ledger::DropReason;

/// The group that is being filled.
#[derive(Debug, Default)]
pub(super) struct OpenGroup {
    /// By lane.
    pub(super) segments: [Option<Segment>; 2],
    /// How many frames there are in both: the place of the next one.
    frames: u16,
    /// Its number among all groups that were ever begun, from 1 on.
    number: u64,
}

impl OpenGroup {
    /// Appends a frame where the lane's segment has room for it.
    #[inline]
    fn push(&mut self, lane: usize, frame: &[u8], most_records: u64) -> bool {
        match &mut self.segments[lane] {
            Some(segment)
                if segment.room() >= frame.len() && self.frames < u16::MAX && segment.records < most_records =>
            {
                segment.push(frame, self.frames);
                self.frames += 1;
                true
            }
            _ => false,
        }
    }
}

impl Outbox {
    #[inline]
    pub(super) fn append_to_shard<const COUNTED: bool>(
        &self,
        thread: usize,
        high: bool,
        frame: &[u8],
    ) -> Result<Wake, DropReason> {
        let Some(shard) = self.shards.get(thread & (self.shards.len() - 1)) else { return Ok(Wake::No) };
        let most_records = if COUNTED { self.segment_records } else { u64::MAX };
        let mut lanes = lock(&shard.lanes);
        if lanes.push(usize::from(high), frame, most_records) {
            return Ok(self.note_waiting());
        }
        drop(lanes);
        self.append_to_new_segment(shard, usize::from(high), frame, most_records)
    }

    /// Under a shard's lock, so that a seal that misses this record has reset the flag before it is looked at.
    #[inline]
    fn note_waiting(&self) -> Wake {
        if self.waiting.load(Ordering::Relaxed) {
            return Wake::No;
        }
        self.waiting.store(true, Ordering::Relaxed);
        Wake::Yes
    }

    /// Where a lane has no segment, or none with room: the block is made outside the lock, and the lane is looked at again.
    #[cold]
    #[inline(never)]
    fn append_to_new_segment(
        &self,
        shard: &Shard,
        lane: usize,
        frame: &[u8],
        most_records: u64,
    ) -> Result<Wake, DropReason> {
        // One that fits no usual segment gets one of its own, and a group of its own.
        let is_large = frame.len() > self.pool.usual();
        let mut spare: Result<Block, DropReason> = self.allocate(frame.len(), lane);
        loop {
            let mut lanes = lock(&shard.lanes);
            // Another thread may have begun a segment meanwhile.
            if !is_large && lanes.push(lane, frame, most_records) {
                let wake = self.note_waiting();
                drop(lanes);
                if let Ok(block) = spare {
                    self.pool.recycle(block);
                }
                return Ok(wake);
            }
            let block = spare?;
            let leaves = is_large || lanes.segments[lane].is_some() || lanes.frames == u16::MAX;
            if leaves && !lock(&self.sealed).has_room(2) {
                drop(lanes);
                self.grow_queue();
                spare = Ok(block);
                continue;
            }
            let is_full = lanes.segments[lane].is_some();
            if leaves {
                self.seal_lanes(&mut lanes);
            }
            self.begin_segment(&mut lanes, lane, block);
            // There is room: for at least this one the block was made.
            let _appended = lanes.push(lane, frame, u64::MAX);
            if is_large {
                self.seal_lanes(&mut lanes);
            }
            let wake = self.note_waiting();
            drop(lanes);
            if is_full {
                self.pool.want_spare();
            }
            if leaves {
                self.compact();
                return Ok(Wake::Yes);
            }
            return Ok(wake);
        }
    }

    #[cold]
    fn allocate(&self, at_least: usize, lane: usize) -> Result<Block, DropReason> {
        if lane == LOW && self.overload == Overload::DropLeastSevere {
            let (used, bound) = self.pool.use_and_bound();
            if used >= bound - bound / 4 && at_least <= bound {
                return Err(DropReason::RefusedBelowWarn);
            }
        }
        self.pool.allocate(at_least)
    }

    /// Gives a lane that has none an empty segment.
    fn begin_segment(&self, lanes: &mut OpenGroup, lane: usize, mut block: Block) {
        if lanes.segments.iter().all(Option::is_none) {
            lanes.number = self.groups.fetch_add(1, Ordering::Relaxed) as u64 + 1;
        }
        block.begin(lanes.number);
        lanes.segments[lane] = Some(Segment::new(block));
        // Under the lock: who looks for what may be dropped, and has not been here, will come.
        if lane == LOW && self.nothing_low.load(Ordering::Relaxed) {
            self.nothing_low.store(false, Ordering::Relaxed);
        }
    }

    /// Both lanes leave the shard. `false` if the queue has to be made longer before.
    pub(super) fn seal_lanes(&self, lanes: &mut OpenGroup) -> bool {
        if lanes.segments.iter().all(Option::is_none) {
            return true;
        }
        let mut sealed = lock(&self.sealed);
        let has_room = sealed.has_room(1);
        if has_room {
            sealed.push(std::mem::take(lanes).segments);
        }
        has_room
    }

    /// Called without any lock.
    pub(super) fn grow_queue(&self) {
        let length = lock(&self.sealed).grown_capacity();
        let mut other = SealedGroups::queue_for(length);
        lock(&self.sealed).lengthen(&mut other);
    }
}
