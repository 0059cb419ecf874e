//! Open spans, and ended spans that wait for the exporter thread.
//!
//! Constraints:
//! * Bounded by number. A span that does not fit is dropped and counted.
//! * A span that is not in the table of open spans when it ends is ignored. Either the parent of a forked child exports
//!   it, or it was already ended at the end of the process. So each span is exported once.
//! * All locks are std locks. No application code runs under them, and nothing is allocated or freed.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SpanData;

use super::sync::{AtomicBool, AtomicUsize, Mutex, lock, lock_with};
use super::wake::Wake;

const SHARDS: usize = 16;

/// The attribute of a span that was ended because the process ended.
const ENDED_AT_EXIT: &str = "logbridge.ended_at_exit";

/// Whether an ended span was queued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PushResult {
    Queued(Wake),
    /// The queue is full. `is_first` marks the first refusal since it last had space.
    Full {
        is_first: bool,
    },
}

/// Trace id and span id.
type Key = (u128, u64);

fn key(span: &SpanContext) -> Key {
    (u128::from_be_bytes(span.trace_id().to_bytes()), u64::from_be_bytes(span.span_id().to_bytes()))
}

/// A hasher that uses the ids themselves, because they are random.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // The table also uses the highest bits, which are zero in the ids of some tests.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 ^= id;
    }

    fn write_u128(&mut self, id: u128) {
        self.0 ^= id as u64;
    }
}

type Open = HashMap<Key, Box<SpanData>, BuildHasherDefault<IdHasher>>;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    /// Open spans, as they started. Boxed, so that growing the table moves little. The box is reused when the span
    /// ends.
    open: Open,
    #[allow(clippy::vec_box)] // The boxes are those of `open`.
    ended: Vec<Box<SpanData>>,
}

#[derive(Debug, Default)]
struct SealedSpans {
    queue: VecDeque<Box<SpanData>>,
    /// The number of spans ever sealed.
    total: u64,
}

/// The spans of one pipeline in one process.
#[derive(Debug)]
pub(crate) struct SpanQueue {
    shards: [Mutex<Shard>; SHARDS],
    sealed: Mutex<SealedSpans>,
    /// The number of spans that wait or are being sent.
    queued: AtomicUsize,
    /// The number of these spans that are in the shards.
    unsealed: AtomicUsize,
    /// Whether a span was refused, and no space was freed since.
    full: AtomicBool,
    max_batch: usize,
    max_queue: usize,
}

impl SpanQueue {
    /// Creates a queue for `max_queue` spans. It wakes the exporter thread when a batch is full.
    pub(crate) fn new(max_queue: usize, max_batch: usize) -> Self {
        Self {
            shards: Default::default(),
            sealed: Mutex::default(),
            queued: AtomicUsize::new(0),
            unsealed: AtomicUsize::new(0),
            full: AtomicBool::new(false),
            max_batch,
            max_queue,
        }
    }

    fn shard(&self, span: &SpanContext) -> &Mutex<Shard> {
        let [.., last] = span.span_id().to_bytes();
        let [first, ..] = &self.shards;
        self.shards.get(usize::from(last) % SHARDS).unwrap_or(first)
    }

    /// Adds a span that has started.
    pub(crate) fn start(&self, span: SpanData) {
        let (shard, key) = (self.shard(&span.span_context), key(&span.span_context));
        let mut span = Some(Box::new(span));
        let make = |number| Open::with_capacity_and_hasher(number, BuildHasherDefault::default());
        let _replaced = lock_with(shard, make, |shard, larger| {
            let open = &mut shard.open;
            if open.len() == open.capacity() {
                match larger {
                    // The caller frees the old table.
                    Some(larger) if larger.capacity() > open.len() => {
                        larger.extend(open.drain());
                        std::mem::swap(larger, open);
                    }
                    _ => return Err(2 * open.len() + 4),
                }
            }
            Ok(span.take().and_then(|span| open.insert(key, span)))
        });
    }

    /// Returns the ended span. Returns `None` if this queue has not seen its start, or has already seen its end.
    pub(crate) fn end(&self, span: SpanData) -> Option<Box<SpanData>> {
        let mut ended = lock(self.shard(&span.span_context)).open.remove(&key(&span.span_context))?;
        // Frees the span as it started, outside the lock.
        *ended = span;
        Some(ended)
    }

    /// Returns whether any span is open.
    pub(crate) fn has_open(&self) -> bool {
        self.shards.iter().any(|shard| !lock(shard).open.is_empty())
    }

    /// Ends all open spans.
    #[allow(clippy::vec_box)] // They are pushed as they are.
    pub(crate) fn end_open(&self) -> Vec<Box<SpanData>> {
        let now = SystemTime::now();
        let open = self.shards.iter().flat_map(|shard| std::mem::take(&mut lock(shard).open).into_values());
        open.map(|mut span| {
            span.end_time = now;
            Self::mark_ended_at_exit(&mut span);
            span
        })
        .collect()
    }

    /// Adds an attribute that says the span was ended because the process ended.
    pub(crate) fn mark_ended_at_exit(span: &mut SpanData) {
        span.attributes.push(KeyValue::new(ENDED_AT_EXIT, true));
    }

    /// Queues an ended span.
    pub(crate) fn push(&self, span: Box<SpanData>) -> PushResult {
        let reserved = self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| {
            (queued < self.max_queue).then_some(queued + 1)
        });
        if reserved.is_err() {
            return PushResult::Full { is_first: !self.full.swap(true, Ordering::Relaxed) };
        }
        let (shard, mut span) = (self.shard(&span.span_context), Some(span));
        let before = lock_with(shard, Vec::with_capacity, |shard, longer| {
            let ended = &mut shard.ended;
            if ended.len() == ended.capacity() {
                match longer {
                    Some(longer) if longer.capacity() > ended.len() => {
                        longer.append(ended);
                        std::mem::swap(longer, ended);
                    }
                    _ => return Err(2 * ended.len() + 4),
                }
            }
            ended.extend(span.take());
            // Counted under the lock, so that a seal takes no uncounted span.
            Ok(self.unsealed.fetch_add(1, Ordering::Relaxed))
        });
        let wake = before == 0 || before + 1 == self.max_batch;
        PushResult::Queued(if wake { Wake::Yes } else { Wake::No })
    }

    /// Returns whether a span has ended since the last seal.
    pub(crate) fn has_unsealed(&self) -> bool {
        self.unsealed.load(Ordering::Relaxed) > 0
    }

    /// Returns whether the spans that ended since the last seal fill a request.
    pub(crate) fn is_batch_full(&self) -> bool {
        self.unsealed.load(Ordering::Relaxed) >= self.max_batch
    }

    /// Seals all spans that ended before the call.
    ///
    /// Returns the number of spans ever sealed. Once that many have an outcome, so do all spans that ended before the
    /// call.
    pub(crate) fn seal(&self) -> u64 {
        for shard in &self.shards {
            lock_with(shard, VecDeque::with_capacity, |shard, longer| {
                // Both locks are held: a span is always in its shard or among the sealed ones.
                let mut sealed = lock(&self.sealed);
                let needed = sealed.queue.len() + shard.ended.len();
                if needed > sealed.queue.capacity() {
                    match longer {
                        Some(longer) if longer.capacity() >= needed => {
                            longer.append(&mut sealed.queue);
                            std::mem::swap(longer, &mut sealed.queue);
                        }
                        _ => return Err(2 * needed),
                    }
                }
                self.unsealed.fetch_sub(shard.ended.len(), Ordering::Relaxed);
                sealed.total += shard.ended.len() as u64;
                sealed.queue.extend(shard.ended.drain(..));
                Ok(())
            });
        }
        lock(&self.sealed).total
    }

    /// Moves the sealed spans to `into`.
    pub(crate) fn take_sealed(&self, into: &mut VecDeque<Box<SpanData>>) {
        loop {
            let mut sealed = lock(&self.sealed);
            let number = sealed.queue.len();
            if number <= into.capacity() - into.len() {
                return into.append(&mut sealed.queue);
            }
            drop(sealed);
            into.reserve(number);
        }
    }

    /// Frees the space of this many spans, which have their outcome.
    pub(crate) fn release(&self, spans: usize) {
        self.queued.fetch_sub(spans, Ordering::Relaxed);
        self.full.store(false, Ordering::Relaxed);
    }

    /// Returns how many spans may wait.
    pub(crate) fn max_queue(&self) -> usize {
        self.max_queue
    }

    /// Returns how many spans go into one request.
    pub(crate) fn max_batch(&self) -> usize {
        self.max_batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    fn span(id: u64) -> SpanData {
        let ids = (TraceId::from(1), SpanId::from(id));
        SpanData {
            span_context: SpanContext::new(ids.0, ids.1, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "test".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[test]
    fn a_span_ends_once_and_only_where_it_started() {
        let queue = SpanQueue::new(8, 4);
        queue.start(span(1));
        assert!(queue.end(span(2)).is_none(), "the parent of a fork has it");
        let ended = SpanData { name: "ended".into(), ..span(1) };
        assert_eq!(queue.end(ended).map(|span| span.name.into_owned()).as_deref(), Some("ended"));
        assert!(queue.end(span(1)).is_none());
        queue.start(span(3));
        let ended = queue.end_open();
        assert_eq!(ended.len(), 1);
        assert!(ended[0].end_time > SystemTime::UNIX_EPOCH);
        assert_eq!(ended[0].attributes, [KeyValue::new(ENDED_AT_EXIT, true)]);
        assert!(queue.end(span(3)).is_none());
    }

    #[test]
    fn the_queue_is_bounded_and_wakes_for_the_first_and_for_a_full_batch() {
        let queue = SpanQueue::new(5, 4);
        let pushed: Vec<PushResult> = (1..=6).map(|id| queue.push(Box::new(span(id)))).collect();
        let [yes, no] = [PushResult::Queued(Wake::Yes), PushResult::Queued(Wake::No)];
        assert_eq!(pushed, [yes, no, no, yes, no, PushResult::Full { is_first: true }]);
        assert!(queue.is_batch_full());
        assert_eq!(queue.seal(), 5);
        assert!(!queue.has_unsealed());
        assert_eq!(queue.push(Box::new(span(7))), PushResult::Full { is_first: false }, "sealed spans still count");
        let mut taken = VecDeque::new();
        queue.take_sealed(&mut taken);
        assert_eq!(taken.len(), 5);
        queue.release(5);
        assert_eq!(queue.push(Box::new(span(7))), yes);
        assert_eq!(queue.seal(), 6);
    }
}
