//! Records that repeat: of those of one callsite, so many pass in a window of time. The rest are counted, and told by one
//! record of the same target, severity and location.
//!
//! Constraints:
//! * A window begins with the first record of its callsite, and its summary is written when the next record comes after its
//!   end, when the keeper comes by, at a flush and at the end of the process; whichever is first.
//! * Bounded: so many callsites are told apart. When there are more, the window that began first is closed, with its
//!   summary: nothing is suppressed in silence.
//! * No code of the application under a lock, and no record is written under that of a window. Nor is anything allocated or
//!   freed there, since a global allocator may log. What time it is, the caller says.
//! * Windows belong to one process: a forked child begins with none, and the parent tells what the parent suppressed.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tracing_core::callsite::Identifier;

use super::buffers::{self, Location};
use super::engine::Engine;
use super::lifecycle;
use super::pipeline::Pipeline;
use crate::clock::nanos;
use crate::config::RepetitionLimit;
use crate::ledger::Count;
use crate::otlp::{RecordHeader, RecordWriter, encode_scope_name};
use crate::outbox::begin_frame;
use crate::thread;

const SHARDS: usize = 16;
/// Callsites of one shard, 1024 in all: about a quarter of a megabyte where all of them are in use.
const CALLSITES: usize = 64;
/// FATAL: nothing comes after it.
const FATAL: u8 = 21;
/// The attribute of a summary.
const SUPPRESSED: &str = "logbridge.suppressed";

/// What makes records similar.
#[derive(Debug)]
pub(super) struct Similar<'a> {
    pub(super) target: &'a str,
    pub(super) severity_number: u8,
    pub(super) severity_text: &'a str,
    pub(super) location: Location<'a>,
    /// tracing's own idea of a callsite.
    pub(super) callsite: Option<Identifier>,
    /// Where no location is known, the text has to do: two of one target say different things.
    pub(super) text: Option<String>,
}

/// What is said of the records that were suppressed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Summary {
    target: Arc<str>,
    severity_number: u8,
    severity_text: Arc<str>,
    file: Option<Arc<str>>,
    line: Option<u32>,
    suppressed: u64,
}

/// What was decided about one record.
#[derive(Debug, Default, Eq, PartialEq)]
struct Decided {
    is_suppressed: bool,
    /// It is the first that is suppressed since the last summary.
    is_news: bool,
    /// What had to be closed for it.
    closed: Option<Summary>,
}

/// One callsite in its window; `so_far` has what was suppressed and not told yet.
#[derive(Debug)]
struct Window {
    so_far: Summary,
    since: Instant,
    passed: u64,
}

impl Window {
    fn new(record: &Similar<'_>, now: Instant) -> Self {
        let so_far = Summary {
            target: record.target.into(),
            severity_number: record.severity_number,
            severity_text: record.severity_text.into(),
            file: record.location.file.map(Arc::from),
            line: record.location.line,
            suppressed: 0,
        };
        Self { so_far, since: now, passed: 1 }
    }

    /// Two callsites may have the same hash.
    fn is_of(&self, record: &Similar<'_>) -> bool {
        let Summary { target, severity_number, file, line, .. } = &self.so_far;
        (&**target, *severity_number, file.as_deref(), *line)
            == (record.target, record.severity_number, record.location.file, record.location.line)
    }

    /// What was suppressed since the last summary, where anything was.
    fn tell(&mut self) -> Option<Summary> {
        let told = (self.so_far.suppressed > 0).then(|| self.so_far.clone());
        self.so_far.suppressed = 0;
        told
    }
}

/// The windows of some callsites, by the hash of what makes their records similar.
type Shard = Mutex<Table>;
type Table = HashMap<u64, Window>;

/// What is missing to decide; it is made without the lock.
#[derive(Debug, Default)]
struct Made {
    /// A table that never grows: with twice the room that it needs, it is tidied up in place.
    table: Option<Table>,
    window: Option<Window>,
}

/// What a decision has replaced: to be freed without the lock.
type Replaced = Option<Window>;

/// The windows of one process.
#[derive(Debug)]
pub(super) struct Windows {
    limit: RepetitionLimit,
    hasher: RandomState,
    shards: [Shard; SHARDS],
    /// One at a time: a flush must not overtake the keeper, which has closed a window and not written its summary yet.
    telling: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Windows {
    pub(super) fn new(limit: RepetitionLimit) -> Self {
        Self { limit, hasher: RandomState::new(), shards: Default::default(), telling: Mutex::default() }
    }

    fn is_over(&self, window: &Window, now: Instant) -> bool {
        now.saturating_duration_since(window.since) >= self.limit.window
    }

    /// Whether the record passes.
    fn decide(&self, record: &Similar<'_>, now: Instant) -> Decided {
        let Similar { target, severity_number, location, callsite, text, .. } = record;
        let hash = self.hasher.hash_one((target, severity_number, location.file, location.line, callsite, text));
        let [first, ..] = &self.shards;
        // The lowest bits pick the shard, all of them the window.
        let shard = self.shards.get(hash as usize % SHARDS).unwrap_or(first);
        let mut made = Made::default();
        loop {
            let decided = self.try_decide(&mut lock(shard), hash, record, now, &mut made);
            if let Some((decided, _replaced)) = decided {
                return decided;
            }
            made.table = Some(HashMap::with_capacity(2 * (CALLSITES + 1)));
            made.window = Some(Window::new(record, now));
        }
    }

    /// `None` where something is missing that is not made yet.
    fn try_decide(
        &self,
        shard: &mut Table,
        hash: u64,
        record: &Similar<'_>,
        now: Instant,
        made: &mut Made,
    ) -> Option<(Decided, Replaced)> {
        let mut decided = Decided::default();
        let mut replaced = None;
        match shard.get_mut(&hash) {
            Some(window) if !window.is_of(record) => {
                let new = made.window.take()?;
                decided.closed = window.tell();
                replaced = Some(std::mem::replace(window, new));
            }
            Some(window) if self.is_over(window, now) => {
                decided.closed = window.tell();
                (window.since, window.passed) = (now, 1);
            }
            Some(window) if window.passed < self.limit.records => window.passed += 1,
            Some(window) => {
                decided.is_suppressed = true;
                decided.is_news = window.so_far.suppressed == 0;
                window.so_far.suppressed += 1;
            }
            None => {
                let new = made.window.take()?;
                if shard.capacity() == 0 {
                    std::mem::swap(shard, made.table.as_mut()?);
                }
                if shard.len() >= CALLSITES {
                    let oldest = shard.iter().min_by_key(|(_, window)| window.since).map(|(hash, _)| *hash);
                    replaced = oldest.and_then(|oldest| shard.remove(&oldest));
                    decided.closed = replaced.as_mut().and_then(Window::tell);
                }
                let _there_was_none = shard.insert(hash, new);
            }
        }
        Some((decided, replaced))
    }

    /// Closes the windows that are over.
    fn close(&self, now: Instant) -> Vec<Summary> {
        let next = |shard: &Shard| {
            let mut shard = lock(shard);
            let hash = shard.iter().find(|(_, window)| self.is_over(window, now)).map(|(hash, _)| *hash)?;
            shard.remove(&hash)
        };
        let over = self.shards.iter().flat_map(|shard| std::iter::from_fn(move || next(shard)));
        over.filter_map(|mut window| window.tell()).collect()
    }

    /// Tells what was suppressed so far. The windows go on, so that a flush lets nothing through.
    fn tell(&self) -> Vec<Summary> {
        let next = |shard: &Shard| lock(shard).values_mut().find_map(Window::tell);
        self.shards.iter().flat_map(|shard| std::iter::from_fn(move || next(shard))).collect()
    }

    /// When the next window ends that has something to tell.
    fn next(&self) -> Option<Instant> {
        let ends = |shard: &Shard| {
            let shard = lock(shard);
            let telling = shard.values().filter(|window| window.so_far.suppressed > 0);
            telling.filter_map(|window| window.since.checked_add(self.limit.window)).min()
        };
        self.shards.iter().filter_map(ends).min()
    }
}

impl Pipeline {
    /// How many similar records pass, where that is limited.
    pub(crate) fn repetition(&self) -> Option<RepetitionLimit> {
        self.engines.plan().repetition
    }

    /// Whether a record that would go to otlp and mirror is one too many.
    #[inline]
    pub(super) fn is_repeated<'s>(&self, engine: &Engine, shard: usize, similar: impl FnOnce() -> Similar<'s>) -> bool {
        if engine.windows.is_none() || !self.shows_or_sends() {
            return false;
        }
        let similar = similar();
        // User code has made the text, and may have forked: the parent's windows are not to be touched.
        let engine = if engine.is_of_this_process() { engine } else { self.engines.current() };
        engine.windows.as_ref().is_some_and(|windows| self.repeats(engine, shard, windows, &similar))
    }

    #[inline(never)]
    fn repeats(&self, engine: &Engine, shard: usize, windows: &Windows, record: &Similar<'_>) -> bool {
        if record.severity_number >= windows.limit.exempt.unwrap_or(FATAL).min(FATAL) {
            return false;
        }
        let Decided { is_suppressed, is_news, closed } = windows.decide(record, Instant::now());
        if let Some(summary) = closed {
            self.write_summary(engine, shard, &summary);
        }
        if is_news {
            // The end of the window, or of the process, has something to write.
            self.appoint_summary();
            lifecycle::arm_if_exiting();
        }
        is_suppressed
    }

    #[cold]
    fn appoint_summary(&self) {
        if let Some(me) = self.me.get().cloned() {
            self.keeper.appoint(me);
        }
    }

    /// Writes what was suppressed in windows that are over. Returns when to come again.
    pub(super) fn keep_windows(&self, now: Instant) -> Option<Instant> {
        let engine = self.engines.existing()?;
        let windows = engine.windows.as_ref()?;
        let _one_at_a_time = lock(&windows.telling);
        let closed = windows.close(now);
        closed.iter().for_each(|summary| self.write_summary(engine, thread::number(), summary));
        // What was suppressed once is likely to be so again: the thread stays for one more window.
        let linger = (!closed.is_empty()).then(|| now.checked_add(windows.limit.window)).flatten();
        windows.next().into_iter().chain(linger).min()
    }

    /// Writes what was suppressed so far: a flush, or the end.
    pub(super) fn tell_suppressed(&self, engine: &Engine) {
        let Some(windows) = &engine.windows else { return };
        let _one_at_a_time = lock(&windows.telling);
        windows.tell().iter().for_each(|summary| self.write_summary(engine, thread::number(), summary));
    }

    /// A summary is a record like any other: it comes in, and it has a fate. It has passed the levels by those it stands for.
    #[cold]
    fn write_summary(&self, engine: &Engine, shard: usize, summary: &Summary) {
        let verdict = self.own_verdict();
        let accepted = if verdict.otlp { Count::OtlpAccepted } else { Count::OtlpOff };
        for count in [Count::Offered, Count::ModulePassed, Count::ConsoleOff, accepted] {
            engine.ledger.count(shard, count);
        }
        buffers::with(|buffers| {
            begin_frame(&mut buffers.scratch);
            encode_scope_name(&mut buffers.scratch.buf, &summary.target);
            let scope_end = buffers.scratch.buf.len();
            let now = nanos(SystemTime::now());
            let head = RecordHeader {
                time: now,
                observed_time: now,
                severity_number: summary.severity_number,
                severity_text: &summary.severity_text,
                // Those it stands for may come from many traces.
                trace: None,
                event_name: None,
            };
            let mut writer = RecordWriter::begin(&mut buffers.scratch, &head);
            summary.write(&mut writer);
            writer.finish(0);
            self.hand_over(engine, shard, buffers, scope_end, summary.severity_number, verdict);
        });
    }
}

impl Summary {
    fn write(&self, writer: &mut RecordWriter<'_>) {
        let records = if self.suppressed == 1 { "record" } else { "records" };
        writer.body(format_args!("{} similar {records} suppressed", self.suppressed));
        writer.attribute(SUPPRESSED, |value| value.wide(self.suppressed));
        if let Some(file) = &self.file {
            writer.builtin_attribute("code.file.path", |value| value.str(file));
        }
        if let Some(line) = self.line {
            writer.builtin_attribute("code.line.number", |value| value.int(i64::from(line)));
        }
    }
}

impl Drop for Pipeline {
    /// The last handle of a pipeline that was built and never flushed is gone.
    fn drop(&mut self) {
        if let Some(engine) = self.engines.existing() {
            self.tell_suppressed(engine);
        }
    }
}

#[cfg(test)]
#[path = "repetition_tests.rs"]
mod tests;
