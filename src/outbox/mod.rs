//! Accepted records on their way to the ship thread: bounded in bytes, sharded by thread.
//!
//! Constraints:
//! * A record is encoded before any lock is taken; under a shard's lock it is only copied.
//! * A global allocator may log. So nothing is allocated or freed under a lock, no file is made there, and no code of the
//!   application runs: what is needed is made outside, and the lock is taken again ([`sync::lock`] checks that in tests).
//! * A shard has two lanes, WARN and above and below WARN, so that an overload policy can drop whole segments of the
//!   less severe lane without compacting.
//! * Order: a thread always writes to the same shard. Each frame has its place among those of both lanes. Both lanes
//!   leave the shard together, as one group, in the order in which groups were begun. So the exporter thread can put the
//!   records of a thread into the order in which they were written.
//! * BlockPool is bounded: segments that exist, full, waiting or in the pool, never exceed their share of the bound.
//! * The ship thread takes sealed groups only for the request it is about to send. The others stay here, where an
//!   overload policy may drop their segments; so they do not always leave in order, and are numbered.
//! * Only std locks: a forked child never touches them, since it starts an outbox of its own.
//! * The first record after silence wakes the ship thread, and so does a segment that is full; others wake nobody.

mod append;
mod block;
mod block_pool;
mod frame;
mod losses;
mod overload;
mod sealed_groups;
mod segment;
mod spans;
mod spool;
mod sync;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use append::OpenGroup;
use block_pool::BlockPool;
pub(crate) use frame::FrameBuffer;
pub(crate) use losses::Loss;
use losses::Losses;
pub(crate) use overload::Refused;
use overload::SpaceWaiters;
use sealed_groups::SealedGroups;
pub(crate) use segment::{Group, InOrder, Offsets, Segment};
pub(crate) use spans::{PushResult, SpanQueue};
pub use spool::Ending;
pub use spool::survey;
pub(crate) use spool::{RecoveredRun, RecoveredSegment, RunScanner, ScanResult, SkippedFile, Spool};
use sync::{AtomicBool, AtomicUsize, Mutex, lock};

use crate::config::Overload;
use crate::ledger::{DropReason, Ledger};
use crate::os;

/// Requests hold at most this many bytes, unless a single record is larger.
const REQUEST_BYTES: usize = 4 << 20;
const SEGMENT_BYTES: usize = 1 << 20;
/// A spool has no more segments than this: each is a mapping, of which a process may have some ten thousands.
const MOST_FILES: usize = 8192;
/// So many sealed segments stay in memory although they are in files: they are sent soon, most often.
const NOT_PARKED: usize = 8;
/// More shards than this spread memory thinner than they save waiting.
const MAX_SHARDS: usize = 16;

/// What the caller has to tell the ship thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "the ship thread sleeps until it is told"]
pub(crate) enum Wake {
    No,
    Yes,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    lanes: Mutex<OpenGroup>,
}

/// The outbox of one pipeline in one process.
#[derive(Debug)]
pub(crate) struct Outbox {
    shards: Vec<Shard>,
    sealed: Mutex<SealedGroups>,
    /// How many groups were ever begun.
    groups: AtomicUsize,
    pool: BlockPool,
    request_bytes: usize,
    /// Something was appended since the last [`Outbox::seal`].
    waiting: AtomicBool,
    /// How many records may wait, where somebody asked for that, and how many do.
    max_records: Option<usize>,
    records: AtomicUsize,
    /// How many records a segment holds at most, where the number of records is bounded.
    segment_records: u64,
    overload: Overload,
    /// Where what makes room for others is counted.
    ledger: Arc<Ledger>,
    losses: Losses,
    waiters: SpaceWaiters,
    /// Somebody found no room since the ship thread looked last.
    seal_requested: AtomicBool,
    /// Nothing below WARN is here that could make room; as long as no segment is begun for it.
    nothing_low: AtomicBool,
}

impl Outbox {
    /// An outbox for `max_bytes`, requests included. What makes room for other records is counted in the ledger.
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
            waiting: AtomicBool::new(false),
            max_records: None,
            records: AtomicUsize::new(0),
            segment_records: u64::MAX,
            overload: Overload::default(),
            ledger,
            losses: Losses::default(),
            waiters: SpaceWaiters::default(),
            seal_requested: AtomicBool::new(false),
            nothing_low: AtomicBool::new(false),
        }
    }

    /// Bounds a request: by a quarter of the whole at most.
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
        let length = SEGMENT_BYTES.max(bound / MOST_FILES).min(most).next_multiple_of(page);
        self.pool = self.pool.with_spool(spool, length);
        self
    }

    /// What keeps records in files, where something does.
    pub(crate) fn spool(&self) -> Option<&Arc<Spool>> {
        self.pool.spool()
    }

    /// Whether frames are to have checksums.
    #[inline]
    pub(crate) fn is_checked(&self) -> bool {
        self.pool.spool().is_some()
    }

    /// Bounds the number of records too.
    pub(crate) fn with_max_records(mut self, max_records: Option<usize>) -> Self {
        // What an overload policy drops at a time, and what is sent before the schedule says so.
        const PARTS: usize = 8;
        self.segment_records = max_records.map_or(u64::MAX, |most| (most / PARTS).max(1) as u64);
        self.max_records = max_records;
        self
    }

    /// What happens where there is no room.
    pub(crate) fn with_overload(mut self, overload: Overload) -> Self {
        self.overload = overload;
        self
    }

    /// So many records have met their fates.
    pub(crate) fn release(&self, records: u64) {
        if self.max_records.is_some() {
            self.records.fetch_sub(records as usize, Ordering::Relaxed);
        }
    }

    /// For an outbox that is bounded in records too.
    #[cold]
    fn append_counted(&self, most: usize, thread: usize, high: bool, frame: &[u8]) -> Result<Wake, DropReason> {
        let (most, reason) = match self.overload {
            Overload::DropLeastSevere if !high => (most - most / 4, DropReason::RefusedBelowWarn),
            _ => (most, DropReason::OutboxFull),
        };
        self.records
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |records| (records < most).then_some(records + 1))
            .map_err(|_| reason)?;
        self.append_to_shard::<true>(thread, high, frame).inspect_err(|_| self.release(1))
    }

    /// How large a request may become.
    pub(crate) fn request_bytes(&self) -> usize {
        self.request_bytes
    }

    /// Appends one frame. `thread` picks the shard, `high` the lane. Where there is no room, the overload policy has not
    /// been asked yet.
    #[inline]
    pub(crate) fn append(&self, thread: usize, high: bool, frame: &[u8]) -> Result<Wake, DropReason> {
        match self.max_records {
            None => self.append_to_shard::<false>(thread, high, frame),
            Some(most) => self.append_counted(most, thread, high, frame),
        }
    }

    /// Whether anything was appended since the last seal.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Seals everything that was appended before the call. Returns how many groups were ever sealed: when so many have
    /// met their fates, all records of before have.
    pub(crate) fn seal(&self) -> u64 {
        self.waiting.store(false, Ordering::Relaxed);
        self.seal_shards(|_| true);
        let total = lock(&self.sealed).total();
        self.compact();
        total
    }

    /// Seals the shards of which the lanes are wanted.
    fn seal_shards(&self, is_wanted: impl Fn(&OpenGroup) -> bool) {
        for shard in &self.shards {
            loop {
                let mut lanes = lock(&shard.lanes);
                if !is_wanted(&lanes) || self.seal_lanes(&mut lanes) {
                    break;
                }
                drop(lanes);
                self.grow_queue();
            }
        }
    }

    /// How many of the groups that were ever sealed, counted from the first one, have left the outbox: all with a
    /// smaller number have been taken over, or were dropped and counted.
    pub(crate) fn left(&self) -> u64 {
        lock(&self.sealed).first()
    }

    /// While memory is scarce, lets sealed segments that are mostly empty have no more than they need, so that little
    /// content does not hold much while an endpoint fails.
    fn compact(&self) {
        let mut has_freed = false;
        while self.pool.is_half_full() {
            let sparse = lock(&self.sealed).next_sparse(false);
            let Some((place, length)) = sparse else { break };
            let Some(small) = self.pool.allocate_exactly(length) else { continue };
            let unneeded = lock(&self.sealed).move_into(place, small);
            self.pool.recycle(unneeded);
            has_freed = true;
        }
        if has_freed {
            self.notify_waiters();
        }
    }

    /// The same for those in files: only on the exporter thread, which therefore never finds one of them away.
    fn shrink_files(&self) {
        let Some(spool) = self.pool.spool() else { return };
        let mut has_freed = false;
        // As long as there is room, a file is worth more whole: it is used again.
        while spool.in_use() > spool.max_bytes() / 2 {
            let sparse = lock(&self.sealed).next_sparse(true);
            let Some((place, _)) = sparse else { break };
            let borrowed = lock(&self.sealed).borrow(place);
            let Some(mut segment) = borrowed else { continue };
            segment.shrink(spool);
            lock(&self.sealed).put_back(place, segment);
            has_freed = true;
        }
        if has_freed {
            self.notify_waiters();
        }
    }

    /// How many bytes are in use, and how many may be.
    pub(crate) fn use_and_bound(&self) -> (usize, usize) {
        self.pool.use_and_bound()
    }

    /// Whether a sealed group is there to be taken over.
    pub(crate) fn has_sealed(&self) -> bool {
        lock(&self.sealed).has_segments()
    }

    /// Hands over the oldest sealed group.
    pub(crate) fn take_sealed(&self) -> Option<Group> {
        lock(&self.sealed).take()
    }

    /// Takes back the memory of a segment whose records have met their fates. Those who wait for room hear of it by
    /// [`notify_waiters`](Self::notify_waiters).
    pub(crate) fn recycle(&self, segment: Segment) {
        self.pool.recycle(segment.block);
    }

    /// While segments fill up, gets some ready, and lets go of the memory of those that wait long in files.
    pub(crate) fn prepare(&self) {
        self.pool.prepare();
        if self.pool.spool().is_some() {
            self.shrink_files();
            lock(&self.sealed).segments_mut().skip(NOT_PARKED).for_each(Segment::park);
        }
    }

    /// Frees what the pool holds: called after a while of silence, so that a burst does not keep its memory.
    pub(crate) fn trim(&self) {
        if self.pool.spool().is_some() { self.pool.trim_to_spare() } else { self.pool.trim() }
    }

    /// Somebody has looked at what others have in the spool's directory.
    pub(crate) fn set_other_bytes_in_spool(&self, bytes: usize) {
        if let Some(spool) = self.pool.spool() {
            spool.set_other_bytes(bytes);
            self.pool.trim_where_scarce();
        }
    }

    /// Whether some of the records wait in memory, which ends with the process.
    pub(crate) fn holds_memory(&self) -> bool {
        self.pool.holds_memory()
    }

    /// The process ends, and nothing waits: no file is to stay behind. More records begin a new run.
    pub(crate) fn retire(&self) {
        if let Some(spool) = self.pool.spool() {
            self.pool.trim();
            spool.end_run();
        }
    }

    /// The spool's directory is looked after: what was made in one that is gone is not used again. Says whether it can be
    /// used again since the last time.
    pub(crate) fn check_spool(&self) -> bool {
        self.pool.spool().is_some_and(|spool| {
            let is_back = spool.check_directory(self.pool.usual_file(spool), || {
                self.pool.trim();
                self.seal();
            });
            if is_back {
                // What is in memory goes on to the endpoint; what comes from now on is in files.
                self.seal();
                self.pool.want_spare();
            }
            is_back
        })
    }

    /// The bound in bytes, requests included.
    pub(crate) fn max_bytes(&self) -> usize {
        self.pool.bound + self.request_bytes
    }

    /// Bytes of all segments that exist in memory, and how many there may be.
    #[cfg(test)]
    fn allocated_and_bound(&self) -> (usize, usize) {
        (self.pool.allocated(), self.pool.bound)
    }
}

#[cfg(all(test, logbridge_loom))]
mod loom_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
#[path = "tests.rs"]
pub(super) mod tests;
