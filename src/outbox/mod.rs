//! Accepted records on their way to the ship thread: bounded in bytes, sharded by thread.
//!
//! Constraints:
//! * A record is encoded before any lock is taken; under a shard's lock it is only copied.
//! * A shard has two lanes, WARN and above and below WARN, so that an overload policy can drop whole segments of the
//!   less severe lane without compacting.
//! * Memory is bounded: segments that exist, full, waiting or in the pool, never exceed their share of the bound.
//! * The ship thread takes sealed segments only for the request it is about to send. The others stay here, where an
//!   overload policy may drop them; so they do not always leave in order, and are numbered.
//! * Only std locks: a forked child never touches them, since it starts an outbox of its own.
//! * The first record after silence wakes the ship thread, and so does a segment that is full; others wake nobody.

mod losses;
mod overload;
mod segment;
mod spans;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use losses::Loss;
use losses::Losses;
pub(crate) use overload::Refused;
use overload::Room;
pub(crate) use segment::{HEADER, Segment, begin_frame, end_frame, read_frame};
pub(crate) use spans::{Queued, SpanQueue};

use crate::config::Overload;
use crate::ledger::{DropReason, Ledger};
use crate::os;

/// Requests hold at most this many bytes, unless a single record is larger.
const REQUEST_BYTES: usize = 4 << 20;
const SEGMENT_BYTES: usize = 1 << 20;
/// At half a gigabyte a second they last for some milliseconds, in which the ship thread gets its turn.
const SPARE_SEGMENTS: usize = 4;
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
    lanes: Mutex<[Option<Segment>; 2]>,
}

/// Segments that wait to be taken over by the ship thread.
#[derive(Debug, Default)]
struct Sealed {
    /// Sorted by number.
    queue: VecDeque<Segment>,
    /// How many there ever were.
    total: u64,
    /// The numbers of those that are being dropped, and not counted yet.
    leaving: Vec<u64>,
}

impl Sealed {
    fn push(&mut self, segment: Segment) {
        self.queue.push_back(Segment { number: self.total, ..segment });
        self.total += 1;
    }
}

/// The outbox of one pipeline in one process.
#[derive(Debug)]
pub(crate) struct Outbox {
    shards: Vec<Shard>,
    sealed: Mutex<Sealed>,
    /// One seal at a time: what one has taken out of the shards must be in `sealed` before the next one counts.
    sealing: Mutex<()>,
    pool: Mutex<Vec<Vec<u8>>>,
    /// Bytes of all segments that exist.
    allocated: AtomicUsize,
    bound: usize,
    segment_bytes: usize,
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
    room: Room,
    /// Somebody found no room since the ship thread looked last.
    pressed: AtomicBool,
    /// Nothing below WARN is here that could make room; as long as no segment is begun for it.
    nothing_low: AtomicBool,
    /// A segment is full, so that others will be wanted soon.
    wants_spare: AtomicBool,
}

impl Outbox {
    /// An outbox for `max_bytes`, requests included. What makes room for other records is counted in the ledger.
    pub(crate) fn new(max_bytes: usize, threads: usize, ledger: Arc<Ledger>) -> Self {
        let shards = threads.next_power_of_two().clamp(1, MAX_SHARDS);
        let request_bytes = REQUEST_BYTES.min(max_bytes / 4);
        let bound = max_bytes - request_bytes;
        Self {
            segment_bytes: SEGMENT_BYTES.min(bound / (4 * shards)),
            shards: std::iter::repeat_with(Shard::default).take(shards).collect(),
            sealed: Mutex::default(),
            sealing: Mutex::default(),
            pool: Mutex::default(),
            allocated: AtomicUsize::new(0),
            bound,
            request_bytes,
            waiting: AtomicBool::new(false),
            max_records: None,
            records: AtomicUsize::new(0),
            segment_records: u64::MAX,
            overload: Overload::default(),
            ledger,
            losses: Losses::default(),
            room: Room::default(),
            pressed: AtomicBool::new(false),
            nothing_low: AtomicBool::new(false),
            wants_spare: AtomicBool::new(false),
        }
    }

    /// Bounds a request: by a quarter of the whole at most.
    pub(crate) fn with_max_request(mut self, bytes: usize) -> Self {
        let max_bytes = self.max_bytes();
        self.request_bytes = bytes.min(max_bytes / 4);
        self.bound = max_bytes - self.request_bytes;
        self
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

    #[inline]
    fn append_to_shard<const COUNTED: bool>(
        &self,
        thread: usize,
        high: bool,
        frame: &[u8],
    ) -> Result<Wake, DropReason> {
        let Some(shard) = self.shards.get(thread & (self.shards.len() - 1)) else { return Ok(Wake::No) };
        let mut lanes = lock(&shard.lanes);
        let lane = &mut lanes[usize::from(high)];
        let mut wake = Wake::No;
        if COUNTED && let Some(full) = lane.take_if(|segment| segment.records >= self.segment_records) {
            lock(&self.sealed).push(self.compact(full));
            wake = Wake::Yes;
        }
        match lane {
            Some(segment) if segment.room() >= frame.len() => segment.push(frame),
            _ if frame.len() > self.segment_bytes => {
                // It fills a segment of its own; the current one stays for those that fit.
                let mut segment = self.allocate(frame.len(), high)?;
                segment.push(frame);
                lock(&self.sealed).push(segment);
                wake = Wake::Yes;
            }
            _ => {
                let mut segment = self.allocate(frame.len(), high)?;
                segment.push(frame);
                if let Some(full) = lane.replace(segment) {
                    lock(&self.sealed).push(full);
                    self.wants_spare.store(true, Ordering::Relaxed);
                    wake = Wake::Yes;
                }
            }
        }
        // Inside the lock, so that a seal that misses this record has reset the flag before it is looked at.
        if !self.waiting.load(Ordering::Relaxed) {
            self.waiting.store(true, Ordering::Relaxed);
            wake = Wake::Yes;
        }
        Ok(wake)
    }

    #[cold]
    fn allocate(&self, at_least: usize, high: bool) -> Result<Segment, DropReason> {
        if at_least > self.bound {
            return Err(DropReason::TooLarge);
        }
        if !high {
            if self.overload == Overload::DropLeastSevere && self.in_use() >= self.bound - self.bound / 4 {
                return Err(DropReason::RefusedBelowWarn);
            }
            if self.nothing_low.load(Ordering::Relaxed) {
                self.nothing_low.store(false, Ordering::Relaxed);
            }
        }
        if at_least <= self.segment_bytes
            && let Some(buf) = lock(&self.pool).pop()
        {
            return Ok(Segment::new(buf, high));
        }
        let size = at_least.max(self.segment_bytes);
        if at_least > self.segment_bytes && self.reserve(size).is_err() {
            // The pool has nothing of that size, but holds memory.
            self.trim();
            self.reserve(size)?;
        } else if at_least <= self.segment_bytes {
            self.reserve(size)?;
        }
        let mut buf = Vec::new();
        if buf.try_reserve_exact(size).is_err() {
            self.allocated.fetch_sub(size, Ordering::Relaxed);
            return Err(DropReason::OutboxFull);
        }
        Ok(Segment::new(buf, high))
    }

    /// Whether anything was appended since the last seal.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Seals everything that was appended before the call. Returns how many segments were ever sealed: when so many have
    /// met their fates, all records of before have.
    pub(crate) fn seal(&self) -> u64 {
        let _one_at_a_time = lock(&self.sealing);
        self.waiting.store(false, Ordering::Relaxed);
        let mut current: Vec<Segment> = Vec::new();
        for shard in &self.shards {
            let mut lanes = lock(&shard.lanes);
            current.extend(lanes.iter_mut().rev().filter_map(Option::take));
        }
        let capacity = |current: &[Segment]| current.iter().map(|segment| segment.buf.capacity()).sum::<usize>();
        let before = capacity(&current);
        let current: Vec<Segment> = current.into_iter().map(|segment| self.compact(segment)).collect();
        if capacity(&current) < before {
            self.made_room();
        }
        let mut sealed = lock(&self.sealed);
        current.into_iter().for_each(|segment| sealed.push(segment));
        sealed.total
    }

    /// How many of the segments that were ever sealed, counted from the first one, have left the outbox: all with a
    /// smaller number have been taken over, or were dropped and counted.
    pub(crate) fn left(&self) -> u64 {
        let sealed = lock(&self.sealed);
        let first = sealed.queue.front().map_or(sealed.total, |segment| segment.number);
        sealed.leaving.iter().copied().fold(first, u64::min)
    }

    /// Moves a segment that is mostly empty into one of its own size, so that little content does not hold much memory
    /// while an endpoint fails.
    fn compact(&self, segment: Segment) -> Segment {
        let length = segment.buf.len();
        if length > segment.buf.capacity() / 2 || self.reserve(length).is_err() {
            return segment;
        }
        let mut small = Vec::new();
        if small.try_reserve_exact(length).is_err() {
            self.allocated.fetch_sub(length, Ordering::Relaxed);
            return segment;
        }
        // The allocator may give more than was asked for.
        self.allocated.fetch_add(small.capacity() - length, Ordering::Relaxed);
        small.extend_from_slice(&segment.buf);
        let Segment { buf, records, high, number } = segment;
        self.recycle_buffer(buf);
        Segment { buf: small, records, high, number }
    }

    fn reserve(&self, bytes: usize) -> Result<(), DropReason> {
        self.allocated
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |allocated| {
                (allocated + bytes <= self.bound).then_some(allocated + bytes)
            })
            .map(drop)
            .map_err(|_| DropReason::OutboxFull)
    }

    /// Whether a sealed segment is there to be taken over.
    pub(crate) fn has_sealed(&self) -> bool {
        !lock(&self.sealed).queue.is_empty()
    }

    /// Hands over the oldest sealed segment.
    pub(crate) fn take_sealed(&self) -> Option<Segment> {
        lock(&self.sealed).queue.pop_front()
    }

    /// Takes back the memory of a segment whose records have met their fates. Those who wait for room hear of it by
    /// [`made_room`](Self::made_room).
    pub(crate) fn recycle(&self, segment: Segment) {
        self.recycle_buffer(segment.buf);
    }

    fn recycle_buffer(&self, mut buf: Vec<u8>) {
        buf.clear();
        if buf.capacity() == self.segment_bytes {
            lock(&self.pool).push(buf);
        } else {
            self.allocated.fetch_sub(buf.capacity(), Ordering::Relaxed);
        }
    }

    /// While segments fill up, gets some ready whose memory the kernel has given already: a caller would pay for each page
    /// that it is the first to write.
    pub(crate) fn prepare(&self) {
        if !self.wants_spare.swap(false, Ordering::Relaxed) {
            return;
        }
        while lock(&self.pool).len() < SPARE_SEGMENTS && self.reserve(self.segment_bytes).is_ok() {
            let mut buf = Vec::new();
            if buf.try_reserve_exact(self.segment_bytes).is_err() || buf.capacity() != self.segment_bytes {
                self.allocated.fetch_sub(self.segment_bytes, Ordering::Relaxed);
                return;
            }
            os::populate(buf.spare_capacity_mut());
            lock(&self.pool).push(buf);
        }
    }

    /// Frees what the pool holds: called after a while of silence, so that a burst does not keep its memory.
    pub(crate) fn trim(&self) {
        let freed: usize = std::mem::take(&mut *lock(&self.pool)).iter().map(Vec::capacity).sum();
        self.allocated.fetch_sub(freed, Ordering::Relaxed);
    }

    /// The bound in bytes, requests included.
    pub(crate) fn max_bytes(&self) -> usize {
        self.bound + self.request_bytes
    }

    /// Bytes of the segments that hold records.
    fn in_use(&self) -> usize {
        let pooled = lock(&self.pool).len() * self.segment_bytes;
        self.allocated.load(Ordering::Relaxed).saturating_sub(pooled)
    }

    /// Bytes of all segments that exist, and how many there may be.
    #[cfg(test)]
    fn memory(&self) -> (usize, usize) {
        (self.allocated.load(Ordering::Relaxed), self.bound)
    }
}

/// A panic under one of these locks leaves whole frames behind, so a poisoned lock is entered.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
