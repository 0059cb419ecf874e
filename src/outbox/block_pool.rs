//! What segments are made of: memory or files, each within its bound, with a pool of those that are free.
//!
//! Constraints:
//! * What exists, full, waiting or in the pool, never exceeds the bound.
//! * Where there is a spool, records lie in its files. BlockPool serves only while its directory cannot be used; a full
//!   spool is full.
//! * A caller gets its file from the pool, which the ship thread fills. Where that is empty the caller makes one itself: a
//!   call that has returned has committed its record.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::block::Block;
use super::spool::{CreateError, Spool, SpoolFile};
use super::sync::{AtomicBool, AtomicUsize, Mutex, lock};
use crate::ledger::DropReason;
use crate::os;

/// At half a gigabyte a second they last for some milliseconds, in which the ship thread gets its turn.
pub(super) const SPARE: usize = 4;
/// Blocks that fit in beside those of the pool: one for each lane.
const SPARED: usize = 2;
/// No more free blocks than this: there is always a place for them, since under a lock none can be made.
const MOST_POOLED: usize = 1024;

/// A pool with a place for each usual block that the bound allows.
fn free_list(bound: usize, usual: usize) -> Mutex<Vec<Block>> {
    Mutex::new(Vec::with_capacity((bound / usual.max(1)).saturating_add(SPARE).min(MOST_POOLED)))
}

#[derive(Debug)]
pub(super) struct BlockPool {
    /// Bytes of all blocks in memory.
    allocated: AtomicUsize,
    pub(super) bound: usize,
    free: Mutex<Vec<Block>>,
    /// How many bytes of frames a usual block holds.
    usual: usize,
    /// And one that is in memory because the spool cannot be used: the bound there may be much smaller.
    usual_in_memory: usize,
    spool: Option<Arc<Spool>>,
    /// A block is full, so that others will be wanted soon.
    wants_spare: AtomicBool,
}

impl BlockPool {
    pub(super) fn new(bound: usize, usual: usize) -> Self {
        Self {
            allocated: AtomicUsize::new(0),
            bound,
            free: free_list(bound, usual),
            usual,
            usual_in_memory: usual,
            spool: None,
            wants_spare: AtomicBool::new(false),
        }
    }

    /// Puts records into files. `length` is that of a usual one.
    pub(super) fn with_spool(self, spool: Arc<Spool>, length: usize) -> Self {
        let usual = length.saturating_sub(spool.start());
        let free = free_list(spool.max_bytes(), length);
        Self { usual, free, spool: Some(spool), wants_spare: AtomicBool::new(true), ..self }
    }

    pub(super) fn spool(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref()
    }

    /// How many bytes of frames a usual block holds.
    #[inline]
    pub(super) fn usual(&self) -> usize {
        self.usual
    }

    /// The spool, where it can be used.
    fn files(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref().filter(|spool| spool.is_usable())
    }

    /// Whether what is allocated now lies in files.
    pub(super) fn is_in_files(&self) -> bool {
        self.files().is_some()
    }

    /// A block for so many bytes of frames.
    pub(super) fn allocate(&self, at_least: usize) -> Result<Block, DropReason> {
        if let Some(block) = self.pooled_for(at_least) {
            return Ok(block);
        }
        if let Some(spool) = self.files() {
            match self.create(spool, at_least) {
                Ok(file) => return Ok(file),
                Err(CreateError::Full) if at_least > self.most_in_file(spool) => return Err(DropReason::TooLarge),
                // The exporter thread may have filled the pool meanwhile, with the room that is missing here.
                Err(CreateError::Full) => return self.pooled_for(at_least).ok_or(DropReason::OutboxFull),
                // It is told by the ship thread.
                Err(CreateError::Unavailable) => {}
            }
        }
        self.allocate_memory(at_least)
    }

    fn pooled_for(&self, at_least: usize) -> Option<Block> {
        if at_least <= self.usual { lock(&self.free).pop() } else { None }
    }

    fn allocate_memory(&self, at_least: usize) -> Result<Block, DropReason> {
        if at_least > self.bound {
            return Err(DropReason::TooLarge);
        }
        let size = at_least.max(self.usual_in_memory);
        if self.reserve(size, 0).is_err() {
            if at_least <= self.usual_in_memory {
                return self.pooled_for(at_least).ok_or(DropReason::OutboxFull);
            }
            // The pool has nothing of that size, but holds memory.
            self.trim();
            self.reserve(size, 0)?;
        }
        let mut buf = Vec::new();
        if buf.try_reserve_exact(size).is_err() {
            self.allocated.fetch_sub(size, Ordering::Relaxed);
            return Err(DropReason::OutboxFull);
        }
        Ok(Block::Heap(buf))
    }

    /// How much of the bound a block for so many bytes of frames takes.
    pub(super) fn cost(&self, at_least: usize) -> usize {
        self.files().map_or(at_least.max(self.usual_in_memory), |spool| self.file_length(spool, at_least))
    }

    fn file_length(&self, spool: &Spool, at_least: usize) -> usize {
        (spool.start() + at_least.max(self.usual)).next_multiple_of(os::page_size())
    }

    /// How long a usual file is.
    pub(super) fn usual_file(&self, spool: &Spool) -> usize {
        self.file_length(spool, 0)
    }

    fn create(&self, spool: &Spool, at_least: usize) -> Result<Block, CreateError> {
        let length = self.cost(at_least);
        let created = match spool.create(length) {
            // The pool has nothing of that size, but holds files.
            Err(CreateError::Full) if at_least > self.usual => {
                self.trim();
                spool.create(length)
            }
            created => created,
        };
        let mut file = created?;
        // All at once: one page at a time, as each is written first, costs several times as much.
        file.populate();
        Ok(Block::File(file))
    }

    fn most_in_file(&self, spool: &Spool) -> usize {
        spool.max_bytes().saturating_sub(spool.start() + os::page_size())
    }

    /// Counts `bytes` as allocated if the bound has room for them and for `spared` bytes more.
    fn reserve(&self, bytes: usize, spared: usize) -> Result<(), DropReason> {
        self.allocated
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |allocated| {
                (allocated + bytes + spared <= self.bound).then_some(allocated + bytes)
            })
            .map(drop)
            .map_err(|_| DropReason::OutboxFull)
    }

    /// Takes back a block whose records are not wanted any more.
    pub(super) fn recycle(&self, block: Block) {
        let is_usual = block.capacity() == self.usual;
        let block = match block {
            Block::Heap(mut buf) if is_usual && self.spool.is_none() => {
                buf.clear();
                Block::Heap(buf)
            }
            Block::File(mut file) if is_usual => {
                file.clear();
                Block::File(file)
            }
            block => return self.discard(block),
        };
        // Asked under the lock: where the directory is found to be gone after this, the pool is emptied.
        let mut free = lock(&self.free);
        let is_wanted = match &block {
            Block::Heap(_) => true,
            Block::File(file) => self.files().is_some_and(|spool| !spool.is_scarce() && spool.has(file)),
        };
        if is_wanted && free.len() < free.capacity() {
            return free.push(block);
        }
        drop(free);
        self.discard(block);
    }

    /// A block in memory of exactly that length, where the bound has room for it.
    pub(super) fn allocate_exactly(&self, length: usize) -> Option<Vec<u8>> {
        self.reserve(length, 0).ok()?;
        let mut small = Vec::new();
        if small.try_reserve_exact(length).is_err() {
            self.allocated.fetch_sub(length, Ordering::Relaxed);
            return None;
        }
        // The allocator may give more than was asked for.
        self.allocated.fetch_add(small.capacity() - length, Ordering::Relaxed);
        Some(small)
    }

    /// Whether more than half of the memory holds records.
    pub(super) fn is_half_full(&self) -> bool {
        let (allocated, half) = (self.allocated.load(Ordering::Relaxed), self.bound / 2);
        allocated > half && allocated - self.pooled_memory().min(allocated) > half
    }

    fn pooled_memory(&self) -> usize {
        lock(&self.free).iter().filter(|block| !block.is_file()).map(Block::cost).sum()
    }

    /// A block is full.
    #[inline]
    pub(super) fn want_spare(&self) {
        self.wants_spare.store(true, Ordering::Relaxed);
    }

    /// While blocks fill up, gets some ready whose memory the kernel has given already: a caller would pay for each page
    /// that it is the first to write, and for making a file.
    pub(super) fn prepare(&self) {
        if !self.wants_spare.swap(false, Ordering::Relaxed) {
            return;
        }
        while self.has_few() {
            let Some(block) = self.spare() else { return };
            self.put(block);
        }
        // Those that are taken next may have let go of their pages when they waited last.
        while let Some(mut file) = self.take_parked() {
            file.populate();
            self.put(Block::File(file));
        }
    }

    fn has_few(&self) -> bool {
        let free = lock(&self.free);
        free.len() < SPARE.min(free.capacity())
    }

    fn put(&self, block: Block) {
        let mut free = lock(&self.free);
        if free.len() < free.capacity() {
            return free.push(block);
        }
        drop(free);
        self.discard(block);
    }

    /// One of those that are taken next, where it has no pages.
    fn take_parked(&self) -> Option<SpoolFile> {
        let mut free = lock(&self.free);
        let is_parked = |block: &Block| matches!(block, Block::File(file) if file.is_parked());
        let next = free.len().saturating_sub(SPARE);
        let at = free.iter().skip(next).position(is_parked)?;
        match free.remove(next + at) {
            Block::File(file) => Some(file),
            block => {
                free.push(block);
                None
            }
        }
    }

    /// A block for the pool. SpaceWaiters for [`SPARED`] others stays: a block that is being made is in nobody's hands, and a log
    /// call that found the bound used up by it would drop its record.
    fn spare(&self) -> Option<Block> {
        if let Some(spool) = self.files() {
            let length = self.usual_file(spool);
            let has_room = !spool.is_scarce() && spool.in_use() + (1 + SPARED) * length <= spool.max_bytes();
            return if has_room { self.create(spool, self.usual).ok() } else { None };
        }
        if self.spool.is_some() || self.reserve(self.usual, SPARED * self.usual).is_err() {
            return None;
        }
        let mut buf = Vec::new();
        if buf.try_reserve_exact(self.usual).is_err() || buf.capacity() != self.usual {
            self.allocated.fetch_sub(self.usual, Ordering::Relaxed);
            return None;
        }
        os::populate(buf.spare_capacity_mut());
        Some(Block::Heap(buf))
    }

    /// Frees what the pool holds: called after a while of silence, so that a burst does not keep its memory.
    pub(super) fn trim(&self) {
        self.trim_to(0);
    }

    /// One by one: under the lock, nothing is freed.
    fn trim_to(&self, keep: usize) {
        let next = || {
            let mut free = lock(&self.free);
            if free.len() > keep { free.pop() } else { None }
        };
        std::iter::from_fn(next).for_each(|block| self.discard(block));
    }

    /// Gives back what a block is made of.
    fn discard(&self, block: Block) {
        match (block, &self.spool) {
            (Block::Heap(buf), _) => {
                self.allocated.fetch_sub(buf.capacity(), Ordering::Relaxed);
            }
            (Block::File(file), Some(spool)) => spool.delete(file),
            (Block::File(file), None) => file.delete(),
        }
    }

    /// Frees what the pool holds where others need the directory: many processes that hold nothing may share it with one
    /// that has much to write.
    pub(super) fn trim_where_scarce(&self) {
        if self.spool.as_ref().is_some_and(|spool| spool.is_scarce()) {
            self.trim();
        }
    }

    /// Keeps as many free blocks as there are, at least, once records come again.
    pub(super) fn trim_to_spare(&self) {
        self.trim_to(SPARE);
    }

    /// The bound of what is allocated now, and how much of it holds records.
    pub(super) fn use_and_bound(&self) -> (usize, usize) {
        let pooled: usize = lock(&self.free).iter().map(Block::cost).sum();
        let (used, bound) = match self.files() {
            Some(spool) => (spool.in_use(), spool.max_bytes()),
            None => (self.allocated.load(Ordering::Relaxed), self.bound),
        };
        (used.saturating_sub(pooled), bound)
    }

    /// Whether there are blocks in memory.
    pub(super) fn holds_memory(&self) -> bool {
        self.allocated.load(Ordering::Relaxed) > 0
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.allocated.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn pooled(&self) -> usize {
        lock(&self.free).len()
    }
}
