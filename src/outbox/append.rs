//! Appends records to the open group of a shard, and seals open groups.

use std::sync::atomic::Ordering;

use super::block::Block;
use super::open_group::OpenGroup;
use super::records::{Outbox, Shard};
use super::sealed_groups::SealedGroups;
use super::segment::{LOW, Segment};
use super::sync::lock;
use super::wake::Wake;
use crate::config::Overload;
use crate::ledger::DropReason;

impl Outbox {
    /// Appends one frame. `thread` selects the shard, `high` the lane.
    ///
    /// # Errors
    ///
    /// Returns why the frame does not fit. The overload policy has not been applied yet.
    #[inline(always)] // Part of each log call.
    pub(crate) fn append(&self, thread: usize, high: bool, frame: &[u8]) -> Result<Wake, DropReason> {
        match self.max_records {
            None => self.append_to_shard::<false>(thread, high, frame),
            Some(max) => self.append_counted(max, thread, high, frame),
        }
    }

    /// Appends a frame to an outbox that also bounds the number of records.
    #[cold]
    fn append_counted(&self, max: usize, thread: usize, high: bool, frame: &[u8]) -> Result<Wake, DropReason> {
        let (max, reason) = match self.overload {
            Overload::DropLeastSevere if !high => (max - max / 4, DropReason::RefusedBelowWarn),
            _ => (max, DropReason::OutboxFull),
        };
        self.records
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |records| (records < max).then_some(records + 1))
            .map_err(|_| reason)?;
        self.append_to_shard::<true>(thread, high, frame).inspect_err(|_| self.release(1))
    }

    #[inline(always)] // Part of each log call.
    fn append_to_shard<const COUNTED: bool>(
        &self,
        thread: usize,
        high: bool,
        frame: &[u8],
    ) -> Result<Wake, DropReason> {
        let Some(shard) = self.shards.get(thread & (self.shards.len() - 1)) else { return Ok(Wake::No) };
        let max_records = if COUNTED { self.segment_records } else { u64::MAX };
        let mut open = lock(&shard.open);
        if open.push(usize::from(high), frame, max_records) {
            return Ok(self.note_unsealed());
        }
        drop(open);
        self.append_to_new_segment(shard, usize::from(high), frame, max_records)
    }

    /// Marks that something is unsealed. Called under a shard's lock: a seal resets the flag before it takes that lock,
    /// so a record that a seal misses sets the flag again.
    #[inline]
    fn note_unsealed(&self) -> Wake {
        if self.has_unsealed.load(Ordering::Relaxed) {
            return Wake::No;
        }
        self.has_unsealed.store(true, Ordering::Relaxed);
        Wake::Yes
    }

    /// Appends a frame to a lane that has no segment with space. The block is allocated outside the lock, and then the
    /// lane is checked again.
    #[cold]
    #[inline(never)]
    fn append_to_new_segment(
        &self,
        shard: &Shard,
        lane: usize,
        frame: &[u8],
        max_records: u64,
    ) -> Result<Wake, DropReason> {
        // A frame larger than a standard block gets its own segment and group.
        let is_large = frame.len() > self.pool.block_bytes();
        let mut spare: Result<Block, DropReason> = self.allocate(frame.len(), lane);
        loop {
            let mut open = lock(&shard.open);
            // Another thread may have begun a segment meanwhile.
            if !is_large && open.push(lane, frame, max_records) {
                let wake = self.note_unsealed();
                drop(open);
                if let Ok(block) = spare {
                    self.pool.recycle(block);
                }
                return Ok(wake);
            }
            let block = spare?;
            let must_seal = is_large || open.segments[lane].is_some() || open.frames == u16::MAX;
            if must_seal && !lock(&self.sealed).has_room(2) {
                drop(open);
                self.grow_queue();
                spare = Ok(block);
                continue;
            }
            let is_full = open.segments[lane].is_some();
            if must_seal {
                self.seal_group(&mut open);
            }
            self.begin_segment(&mut open, lane, block);
            // The block was allocated for this frame, so the frame fits.
            let _appended = open.push(lane, frame, u64::MAX);
            if is_large {
                self.seal_group(&mut open);
            }
            let wake = self.note_unsealed();
            drop(open);
            if is_full {
                self.pool.request_spares();
            }
            if must_seal {
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

    /// Puts an empty segment into a lane that has none.
    fn begin_segment(&self, open: &mut OpenGroup, lane: usize, mut block: Block) {
        if open.is_empty() {
            open.number = self.groups.fetch_add(1, Ordering::Relaxed) as u64 + 1;
        }
        block.begin(open.number);
        open.segments[lane] = Some(Segment::new(block));
        // Under the shard's lock, so that a thread that searches for segments to evict sees it when it reaches this
        // shard.
        if lane == LOW && self.no_low_segments.load(Ordering::Relaxed) {
            self.no_low_segments.store(false, Ordering::Relaxed);
        }
    }

    /// Seals everything that was appended before the call.
    ///
    /// Returns the number of groups ever sealed. Once all of them have left the outbox, every record appended before
    /// the call has an outcome.
    pub(crate) fn seal(&self) -> u64 {
        self.has_unsealed.store(false, Ordering::Relaxed);
        self.seal_shards(|_| true);
        let total = lock(&self.sealed).total();
        self.compact();
        total
    }

    /// Seals the open groups that `is_wanted` selects.
    pub(super) fn seal_shards(&self, is_wanted: impl Fn(&OpenGroup) -> bool) {
        for shard in &self.shards {
            loop {
                let mut open = lock(&shard.open);
                if !is_wanted(&open) || self.seal_group(&mut open) {
                    break;
                }
                drop(open);
                self.grow_queue();
            }
        }
    }

    /// Moves the open group to the queue of sealed ones. Returns `false` if the queue must grow first.
    fn seal_group(&self, open: &mut OpenGroup) -> bool {
        if open.is_empty() {
            return true;
        }
        let mut sealed = lock(&self.sealed);
        let has_room = sealed.has_room(1);
        if has_room {
            sealed.push(std::mem::take(open).segments);
        }
        has_room
    }

    /// Makes room for more sealed groups. Called without any lock.
    fn grow_queue(&self) {
        let capacity = lock(&self.sealed).grown_capacity();
        let mut larger = SealedGroups::with_capacity(capacity);
        lock(&self.sealed).move_queue_into(&mut larger);
    }
}
