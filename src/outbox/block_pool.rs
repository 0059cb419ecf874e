//! The blocks that segments are made of, in memory or in files of the spool, and a pool of free ones.
//!
//! Constraints:
//! * All blocks together, free ones included, never exceed the bound.
//! * With a spool, records are in its files. Memory is used only while the directory is unusable, not if the spool is
//!   full.
//! * A log call takes its file from the pool, which the exporter thread fills. If the pool is empty, the call creates
//!   the file itself: its record must be committed when it returns.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::block::Block;
use super::spool::{CreateError, Spool, SpoolFile};
use super::sync::{AtomicBool, AtomicUsize, Mutex, lock};
use crate::ledger::DropReason;
use crate::os;

/// The number of free blocks that the exporter thread keeps ready. At half a gigabyte per second, they last for some
/// milliseconds, long enough for that thread to run again.
pub(super) const SPARE_BLOCKS: usize = 4;
/// The number of further blocks for which spare blocks leave space, one for each lane.
const RESERVED_BLOCKS: usize = 2;
/// The maximum length of the list of free blocks. It is fully allocated at the start, because it cannot grow under its
/// lock.
const MAX_FREE_BLOCKS: usize = 1024;

/// Creates an empty list with room for all standard blocks that the bound allows.
fn free_list(bound: usize, block_bytes: usize) -> Mutex<Vec<Block>> {
    Mutex::new(Vec::with_capacity((bound / block_bytes.max(1)).saturating_add(SPARE_BLOCKS).min(MAX_FREE_BLOCKS)))
}

/// Allocates blocks within the bound and keeps free ones for reuse.
#[derive(Debug)]
pub(super) struct BlockPool {
    /// Bytes of all blocks in memory.
    allocated: AtomicUsize,
    pub(super) bound: usize,
    free: Mutex<Vec<Block>>,
    /// Bytes of frames that a standard block holds.
    block_bytes: usize,
    /// The same for a block in memory while the spool is unusable, when the bound may be much smaller.
    heap_block_bytes: usize,
    spool: Option<Arc<Spool>>,
    /// Whether a block is full, so that more will be needed soon.
    spares_requested: AtomicBool,
}

impl BlockPool {
    pub(super) fn new(bound: usize, block_bytes: usize) -> Self {
        Self {
            allocated: AtomicUsize::new(0),
            bound,
            free: free_list(bound, block_bytes),
            block_bytes,
            heap_block_bytes: block_bytes,
            spool: None,
            spares_requested: AtomicBool::new(false),
        }
    }

    /// Puts records into files. `length` is that of a standard file.
    pub(super) fn with_spool(self, spool: Arc<Spool>, length: usize) -> Self {
        let block_bytes = length.saturating_sub(spool.frames_start());
        let free = free_list(spool.max_bytes(), length);
        Self { block_bytes, free, spool: Some(spool), spares_requested: AtomicBool::new(true), ..self }
    }

    pub(super) fn spool(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref()
    }

    /// Returns how many bytes of frames a standard block holds.
    #[inline]
    pub(super) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    fn usable_spool(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref().filter(|spool| spool.is_usable())
    }

    /// Returns whether new blocks are in files.
    pub(super) fn uses_files(&self) -> bool {
        self.usable_spool().is_some()
    }

    /// Allocates a block for at least this many bytes of frames.
    pub(super) fn allocate(&self, at_least: usize) -> Result<Block, DropReason> {
        if let Some(block) = self.take_free(at_least) {
            return Ok(block);
        }
        if let Some(spool) = self.usable_spool() {
            match self.create(spool, at_least) {
                Ok(file) => return Ok(file),
                Err(CreateError::Full) if at_least > self.max_bytes_in_file(spool) => return Err(DropReason::TooLarge),
                // The exporter thread may have used up the bound meanwhile to fill the pool.
                Err(CreateError::Full) => return self.take_free(at_least).ok_or(DropReason::OutboxFull),
                // The exporter thread reports it.
                Err(CreateError::Unavailable) => {}
            }
        }
        self.allocate_memory(at_least)
    }

    fn take_free(&self, at_least: usize) -> Option<Block> {
        if at_least <= self.block_bytes { lock(&self.free).pop() } else { None }
    }

    fn allocate_memory(&self, at_least: usize) -> Result<Block, DropReason> {
        if at_least > self.bound {
            return Err(DropReason::TooLarge);
        }
        let size = at_least.max(self.heap_block_bytes);
        if self.reserve(size, 0).is_err() {
            if at_least <= self.heap_block_bytes {
                return self.take_free(at_least).ok_or(DropReason::OutboxFull);
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

    /// Returns how much of the bound a block for this many bytes of frames takes.
    pub(super) fn cost(&self, at_least: usize) -> usize {
        self.usable_spool().map_or(at_least.max(self.heap_block_bytes), |spool| self.file_length(spool, at_least))
    }

    fn file_length(&self, spool: &Spool, at_least: usize) -> usize {
        (spool.frames_start() + at_least.max(self.block_bytes)).next_multiple_of(os::page_size())
    }

    /// Returns the length of a standard file.
    pub(super) fn block_file_length(&self, spool: &Spool) -> usize {
        self.file_length(spool, 0)
    }

    fn create(&self, spool: &Spool, at_least: usize) -> Result<Block, CreateError> {
        let length = self.cost(at_least);
        let created = match spool.create(length) {
            // The pool has nothing of that size, but holds files.
            Err(CreateError::Full) if at_least > self.block_bytes => {
                self.trim();
                spool.create(length)
            }
            created => created,
        };
        let mut file = created?;
        // All pages at once. Allocating each page at its first write costs several times as much.
        file.populate();
        Ok(Block::File(file))
    }

    fn max_bytes_in_file(&self, spool: &Spool) -> usize {
        spool.max_bytes().saturating_sub(spool.frames_start() + os::page_size())
    }

    /// Counts `bytes` as allocated if they and `spared` further bytes fit into the bound.
    fn reserve(&self, bytes: usize, spared: usize) -> Result<(), DropReason> {
        self.allocated
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |allocated| {
                (allocated + bytes + spared <= self.bound).then_some(allocated + bytes)
            })
            .map(drop)
            .map_err(|_| DropReason::OutboxFull)
    }

    /// Takes back a block whose records are no longer needed.
    pub(super) fn recycle(&self, block: Block) {
        let is_standard = block.capacity() == self.block_bytes;
        let block = match block {
            Block::Heap(mut buf) if is_standard && self.spool.is_none() => {
                buf.clear();
                Block::Heap(buf)
            }
            Block::File(mut file) if is_standard => {
                file.clear();
                Block::File(file)
            }
            block => return self.discard(block),
        };
        // Checked under the lock. If the directory disappears later, the pool is emptied.
        let mut free = lock(&self.free);
        let is_wanted = match &block {
            Block::Heap(_) => true,
            Block::File(file) => self.usable_spool().is_some_and(|spool| !spool.is_scarce() && spool.has(file)),
        };
        if is_wanted && free.len() < free.capacity() {
            return free.push(block);
        }
        drop(free);
        self.discard(block);
    }

    /// Allocates a block in memory of exactly that length, if the bound has room for it.
    pub(super) fn allocate_exactly(&self, length: usize) -> Option<Vec<u8>> {
        self.reserve(length, 0).ok()?;
        let mut small = Vec::new();
        if small.try_reserve_exact(length).is_err() {
            self.allocated.fetch_sub(length, Ordering::Relaxed);
            return None;
        }
        // The allocator may return more than requested.
        self.allocated.fetch_add(small.capacity() - length, Ordering::Relaxed);
        Some(small)
    }

    /// Whether more than half of the memory holds records.
    pub(super) fn is_half_full(&self) -> bool {
        let (allocated, half) = (self.allocated.load(Ordering::Relaxed), self.bound / 2);
        allocated > half && allocated - self.free_memory().min(allocated) > half
    }

    fn free_memory(&self) -> usize {
        lock(&self.free).iter().filter(|block| !block.is_file()).map(Block::cost).sum()
    }

    /// Asks the exporter thread for spare blocks, because a block is full.
    #[inline]
    pub(super) fn request_spares(&self) {
        self.spares_requested.store(true, Ordering::Relaxed);
    }

    /// Allocates spare blocks if they were requested. Their pages are already mapped, so that a log call pays neither
    /// for page faults nor for creating a file.
    pub(super) fn prepare(&self) {
        if !self.spares_requested.swap(false, Ordering::Relaxed) {
            return;
        }
        while self.needs_spares() {
            let Some(block) = self.make_spare() else { return };
            self.add_free(block);
        }
        // Blocks that will be used soon may have released their pages when they last waited.
        while let Some(mut file) = self.take_parked() {
            file.populate();
            self.add_free(Block::File(file));
        }
    }

    fn needs_spares(&self) -> bool {
        let free = lock(&self.free);
        free.len() < SPARE_BLOCKS.min(free.capacity())
    }

    fn add_free(&self, block: Block) {
        let mut free = lock(&self.free);
        if free.len() < free.capacity() {
            return free.push(block);
        }
        drop(free);
        self.discard(block);
    }

    /// Takes a block that will be used soon, if it has released its pages.
    fn take_parked(&self) -> Option<SpoolFile> {
        let mut free = lock(&self.free);
        let is_parked = |block: &Block| matches!(block, Block::File(file) if file.is_parked());
        let next = free.len().saturating_sub(SPARE_BLOCKS);
        let at = free.iter().skip(next).position(is_parked)?;
        match free.remove(next + at) {
            Block::File(file) => Some(file),
            block => {
                free.push(block);
                None
            }
        }
    }

    /// Allocates a spare block if it and [`RESERVED_BLOCKS`] others fit into the bound. A block counts while it is
    /// being allocated, but cannot be used yet. Without the reserve, a log call could find the bound used up and drop
    /// its record.
    fn make_spare(&self) -> Option<Block> {
        if let Some(spool) = self.usable_spool() {
            let length = self.block_file_length(spool);
            let has_room = !spool.is_scarce() && spool.in_use() + (1 + RESERVED_BLOCKS) * length <= spool.max_bytes();
            return if has_room { self.create(spool, self.block_bytes).ok() } else { None };
        }
        if self.spool.is_some() || self.reserve(self.block_bytes, RESERVED_BLOCKS * self.block_bytes).is_err() {
            return None;
        }
        let mut buf = Vec::new();
        if buf.try_reserve_exact(self.block_bytes).is_err() || buf.capacity() != self.block_bytes {
            self.allocated.fetch_sub(self.block_bytes, Ordering::Relaxed);
            return None;
        }
        os::populate(buf.spare_capacity_mut());
        Some(Block::Heap(buf))
    }

    /// Frees all free blocks. Called after an idle period, so that memory of a burst is returned.
    pub(super) fn trim(&self) {
        self.trim_to(0);
    }

    /// Discards free blocks one by one, because nothing may be freed under the lock.
    fn trim_to(&self, keep: usize) {
        let next = || {
            let mut free = lock(&self.free);
            if free.len() > keep { free.pop() } else { None }
        };
        std::iter::from_fn(next).for_each(|block| self.discard(block));
    }

    /// Frees the memory of a block, or deletes its file.
    fn discard(&self, block: Block) {
        match (block, &self.spool) {
            (Block::Heap(buf), _) => {
                self.allocated.fetch_sub(buf.capacity(), Ordering::Relaxed);
            }
            (Block::File(file), Some(spool)) => spool.delete(file),
            (Block::File(file), None) => file.delete(),
        }
    }

    /// Frees all free blocks if other processes need the directory, because many idle processes may share it with one
    /// that writes a lot.
    pub(super) fn trim_if_scarce(&self) {
        if self.spool.as_ref().is_some_and(|spool| spool.is_scarce()) {
            self.trim();
        }
    }

    /// Frees all free blocks except for the spare ones.
    pub(super) fn trim_to_spares(&self) {
        self.trim_to(SPARE_BLOCKS);
    }

    /// Returns the bytes that hold records, and the bound on them.
    pub(super) fn use_and_bound(&self) -> (usize, usize) {
        let pooled: usize = lock(&self.free).iter().map(Block::cost).sum();
        let (used, bound) = match self.usable_spool() {
            Some(spool) => (spool.in_use(), spool.max_bytes()),
            None => (self.allocated.load(Ordering::Relaxed), self.bound),
        };
        (used.saturating_sub(pooled), bound)
    }

    /// Returns whether any block is in memory.
    pub(super) fn holds_memory(&self) -> bool {
        self.allocated.load(Ordering::Relaxed) > 0
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.allocated.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn free_blocks(&self) -> usize {
        lock(&self.free).len()
    }
}
