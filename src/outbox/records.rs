//! Accepted records: bounded in bytes, sharded by thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::block_pool::BlockPool;
use super::losses::Losses;
use super::open_group::OpenGroup;
use super::sealed_groups::SealedGroups;
use super::segment::{Group, Segment};
use super::space_waiters::SpaceWaiters;
use super::spool::Spool;
use super::sync::{AtomicBool, AtomicUsize, Mutex, lock};
use crate::config::Overload;
use crate::ledger::Ledger;
use crate::os;

/// Requests hold at most this many bytes, unless a single record is larger.
const REQUEST_BYTES: usize = 4 << 20;
const SEGMENT_BYTES: usize = 1 << 20;
/// The maximum number of segments of a spool. Each is a mapping, and a process may only have some ten thousand
/// mappings.
const MAX_FILES: usize = 8192;
/// The maximum number of shards. More would fragment memory without avoiding much contention.
const MAX_SHARDS: usize = 16;
/// A bound on the number of records is divided into this many segments, so that an eviction or an early request takes
/// only a part of the records.
const SEGMENTS_PER_MAX_RECORDS: usize = 8;

#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Shard {
    pub(super) open: Mutex<OpenGroup>,
}

/// The records of one pipeline in one process that wait for the exporter thread.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(super) shards: Vec<Shard>,
    pub(super) sealed: Mutex<SealedGroups>,
    /// The number of groups ever begun.
    pub(super) groups: AtomicUsize,
    pub(super) pool: BlockPool,
    request_bytes: usize,
    /// Whether anything was appended since the last [`Outbox::seal`].
    pub(super) has_unsealed: AtomicBool,
    /// The bound on the number of records, if the configuration sets one, and the number of records that count against
    /// it.
    pub(super) max_records: Option<usize>,
    pub(super) records: AtomicUsize,
    /// The maximum number of records in a segment, if their number is bounded.
    pub(super) segment_records: u64,
    pub(super) overload: Overload,
    /// Counts evicted records.
    pub(super) ledger: Arc<Ledger>,
    pub(super) losses: Losses,
    pub(super) waiters: SpaceWaiters,
    /// Whether a log call found the outbox full since the exporter thread last checked.
    pub(super) seal_requested: AtomicBool,
    /// Whether there is no segment below WARN that could be evicted. Reset when one is begun.
    pub(super) no_low_segments: AtomicBool,
}

impl Outbox {
    /// Creates an outbox for `max_bytes`, requests included. The ledger counts records that an overload policy evicts.
    pub(crate) fn new(max_bytes: usize, threads: usize, ledger: Arc<Ledger>) -> Self {
        let shards = threads.next_power_of_two().clamp(1, MAX_SHARDS);
        let request_bytes = REQUEST_BYTES.min(max_bytes / 4);
        let bound = max_bytes - request_bytes;
        Self {
            pool: BlockPool::new(bound, SEGMENT_BYTES.min(bound / (4 * shards))),
            shards: std::iter::repeat_with(Shard::default).take(shards).collect(),
            sealed: Mutex::default(),
            groups: AtomicUsize::new(0),
            request_bytes,
            has_unsealed: AtomicBool::new(false),
            max_records: None,
            records: AtomicUsize::new(0),
            segment_records: u64::MAX,
            overload: Overload::default(),
            ledger,
            losses: Losses::default(),
            waiters: SpaceWaiters::default(),
            seal_requested: AtomicBool::new(false),
            no_low_segments: AtomicBool::new(false),
        }
    }

    /// Bounds a request to `bytes`, but at most to a quarter of all memory.
    pub(crate) fn with_max_request(mut self, bytes: usize) -> Self {
        let max_bytes = self.max_bytes();
        self.request_bytes = bytes.min(max_bytes / 4);
        self.pool.bound = max_bytes - self.request_bytes;
        self
    }

    /// Keeps records in files, which outlive the process.
    pub(crate) fn with_spool(mut self, spool: Arc<Spool>) -> Self {
        let (page, bound) = (os::page_size(), spool.max_bytes());
        let most = (bound / (4 * self.shards.len())).max(1);
        let length = SEGMENT_BYTES.max(bound / MAX_FILES).min(most).next_multiple_of(page);
        self.pool = self.pool.with_spool(spool, length);
        self
    }

    /// Also bounds the number of records.
    pub(crate) fn with_max_records(mut self, max_records: Option<usize>) -> Self {
        self.segment_records = max_records.map_or(u64::MAX, |max| (max / SEGMENTS_PER_MAX_RECORDS).max(1) as u64);
        self.max_records = max_records;
        self
    }

    /// Sets the policy for a full outbox.
    pub(crate) fn with_overload(mut self, overload: Overload) -> Self {
        self.overload = overload;
        self
    }

    pub(crate) fn overload(&self) -> Overload {
        self.overload
    }

    pub(crate) fn spool(&self) -> Option<&Arc<Spool>> {
        self.pool.spool()
    }

    /// Returns whether frames need checksums.
    #[inline]
    pub(crate) fn is_checked(&self) -> bool {
        self.pool.spool().is_some()
    }

    /// Returns the bound in bytes, requests included.
    pub(crate) fn max_bytes(&self) -> usize {
        self.pool.bound + self.request_bytes
    }

    /// Returns the maximum size of a request.
    pub(crate) fn request_bytes(&self) -> usize {
        self.request_bytes
    }

    /// Returns how many bytes are in use, and the bound on them.
    pub(crate) fn use_and_bound(&self) -> (usize, usize) {
        self.pool.use_and_bound()
    }

    /// Returns whether some records are in memory, which would be lost with the process.
    pub(crate) fn holds_memory(&self) -> bool {
        self.pool.holds_memory()
    }

    /// Returns whether anything was appended since the last seal.
    pub(crate) fn has_unsealed(&self) -> bool {
        self.has_unsealed.load(Ordering::Relaxed)
    }

    pub(crate) fn has_sealed(&self) -> bool {
        lock(&self.sealed).has_segments()
    }

    /// Returns the number of the oldest group that is still here. All groups with smaller numbers were taken, or
    /// dropped and counted.
    pub(crate) fn oldest_group(&self) -> u64 {
        lock(&self.sealed).oldest()
    }

    /// Takes the oldest sealed group.
    pub(crate) fn take_sealed(&self) -> Option<Group> {
        lock(&self.sealed).take()
    }

    /// Reclaims the memory of a segment whose records all have an outcome. The caller then calls
    /// [`notify_waiters`](Self::notify_waiters).
    pub(crate) fn recycle(&self, segment: Segment) {
        self.pool.recycle(segment.block);
    }

    /// Stops counting records that have an outcome against the bound on the number of records.
    pub(crate) fn release(&self, records: u64) {
        if self.max_records.is_some() {
            self.records.fetch_sub(records as usize, Ordering::Relaxed);
        }
    }

    /// Returns the bytes of all segments in memory, and the bound on them.
    #[cfg(test)]
    pub(super) fn allocated_and_bound(&self) -> (usize, usize) {
        (self.pool.allocated(), self.pool.bound)
    }
}
