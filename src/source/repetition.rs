//! Limits how many similar records pass in a time window.
//!
//! Records of one callsite are similar. Records over the limit are counted, and one summary record with the same
//! target, severity and location has their number.
//!
//! Constraints:
//! * A window starts with the first record of its callsite. Its summary is written with the next record after its end, by
//!   the scheduler, at a flush or at the end of the process, whichever comes first.
//! * The number of windows is bounded. If there are too many, the oldest one is closed and its summary is written, so
//!   nothing is suppressed silently.
//! * No code of the application runs under a lock, and no record is written under the lock of a window. Nothing is
//!   allocated or freed there either, since a global allocator may log. The caller passes the time.
//! * Windows belong to one process: a forked child starts without any, and the parent reports its own suppressed records.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing_core::callsite::Identifier;

use super::buffers::Location;
use crate::config::RepetitionLimit;
use crate::otlp::RecordWriter;

const SHARDS: usize = 16;
/// Callsites per shard, 1024 in all: about a quarter of a megabyte if all of them are in use.
const CALLSITES: usize = 64;
/// The severity number of FATAL, which is never suppressed: no record comes after it.
const FATAL: u8 = 21;
/// The attribute of a summary with the number of suppressed records.
const SUPPRESSED: &str = "logbridge.suppressed";

/// The properties that similar records have in common.
#[derive(Debug)]
pub(super) struct Similar<'a> {
    pub(super) target: &'a str,
    pub(super) severity_number: u8,
    pub(super) severity_text: &'a str,
    pub(super) location: Location<'a>,
    /// The callsite that tracing identifies.
    pub(super) callsite: Option<Identifier>,
    /// Replaces an unknown location, because a target logs more than one kind of record.
    pub(super) text: Option<String>,
}

/// The number of suppressed records of one callsite, with the data for their summary record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Summary {
    pub(super) target: Arc<str>,
    pub(super) severity_number: u8,
    pub(super) severity_text: Arc<str>,
    file: Option<Arc<str>>,
    line: Option<u32>,
    suppressed: u64,
}

/// The decision about one record.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Decision {
    pub(super) is_suppressed: bool,
    /// This is the first record that is suppressed since the last summary.
    pub(super) is_first: bool,
    /// The summary of the window that this record closed.
    pub(super) closed: Option<Summary>,
}

/// The window of one callsite.
#[derive(Debug)]
struct Window {
    /// The records suppressed since the last summary.
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

    /// Returns whether this is the window of the record: two callsites may have the same hash.
    fn is_of(&self, record: &Similar<'_>) -> bool {
        let Summary { target, severity_number, file, line, .. } = &self.so_far;
        (&**target, *severity_number, file.as_deref(), *line)
            == (record.target, record.severity_number, record.location.file, record.location.line)
    }

    /// Returns the records suppressed since the last summary, if any, and resets their number.
    fn take_summary(&mut self) -> Option<Summary> {
        let summary = (self.so_far.suppressed > 0).then(|| self.so_far.clone());
        self.so_far.suppressed = 0;
        summary
    }
}

/// The windows of some callsites, by the hash of the properties that their records have in common.
type Shard = Mutex<Table>;
type Table = HashMap<u64, Window>;

/// Memory that a decision may need, allocated before the lock is taken.
#[derive(Debug, Default)]
struct Spares {
    /// A table that never grows. It has twice the required capacity, so it is rehashed in place.
    table: Option<Table>,
    window: Option<Window>,
}

/// The window that a decision has replaced, to be freed without the lock.
type Replaced = Option<Window>;

/// The windows of one process.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) limit: RepetitionLimit,
    hasher: RandomState,
    shards: [Shard; SHARDS],
    /// Held while summaries are written. A flush must not overtake the scheduler between closing a window and writing
    /// its summary.
    pub(super) reporting: Mutex<()>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Windows {
    pub(super) fn new(limit: RepetitionLimit) -> Self {
        Self { limit, hasher: RandomState::new(), shards: Default::default(), reporting: Mutex::default() }
    }

    /// Returns whether records of this severity are never suppressed.
    pub(super) fn exempts(&self, severity_number: u8) -> bool {
        severity_number >= self.limit.exempt.unwrap_or(FATAL).min(FATAL)
    }

    fn is_over(&self, window: &Window, now: Instant) -> bool {
        now.saturating_duration_since(window.since) >= self.limit.window
    }

    /// Decides whether the record is suppressed.
    pub(super) fn decide(&self, record: &Similar<'_>, now: Instant) -> Decision {
        let Similar { target, severity_number, location, callsite, text, .. } = record;
        let hash = self.hasher.hash_one((target, severity_number, location.file, location.line, callsite, text));
        let [first, ..] = &self.shards;
        // The lowest bits pick the shard, all of them the window.
        let shard = self.shards.get(hash as usize % SHARDS).unwrap_or(first);
        let mut spares = Spares::default();
        loop {
            let decision = self.try_decide(&mut lock(shard), hash, record, now, &mut spares);
            if let Some((decision, _replaced)) = decision {
                return decision;
            }
            spares.table = Some(HashMap::with_capacity(2 * (CALLSITES + 1)));
            spares.window = Some(Window::new(record, now));
        }
    }

    /// Returns `None` if a spare is missing.
    fn try_decide(
        &self,
        shard: &mut Table,
        hash: u64,
        record: &Similar<'_>,
        now: Instant,
        spares: &mut Spares,
    ) -> Option<(Decision, Replaced)> {
        let mut decision = Decision::default();
        let mut replaced = None;
        match shard.get_mut(&hash) {
            Some(window) if !window.is_of(record) => {
                let new = spares.window.take()?;
                decision.closed = window.take_summary();
                replaced = Some(std::mem::replace(window, new));
            }
            Some(window) if self.is_over(window, now) => {
                decision.closed = window.take_summary();
                (window.since, window.passed) = (now, 1);
            }
            Some(window) if window.passed < self.limit.records => window.passed += 1,
            Some(window) => {
                decision.is_suppressed = true;
                decision.is_first = window.so_far.suppressed == 0;
                window.so_far.suppressed += 1;
            }
            None => {
                let new = spares.window.take()?;
                if shard.capacity() == 0 {
                    std::mem::swap(shard, spares.table.as_mut()?);
                }
                if shard.len() >= CALLSITES {
                    let oldest = shard.iter().min_by_key(|(_, window)| window.since).map(|(hash, _)| *hash);
                    replaced = oldest.and_then(|oldest| shard.remove(&oldest));
                    decision.closed = replaced.as_mut().and_then(Window::take_summary);
                }
                let _there_was_none = shard.insert(hash, new);
            }
        }
        Some((decision, replaced))
    }

    /// Closes the windows whose time is over. Returns their summaries.
    pub(super) fn close_expired(&self, now: Instant) -> Vec<Summary> {
        let next = |shard: &Shard| {
            let mut shard = lock(shard);
            let hash = shard.iter().find(|(_, window)| self.is_over(window, now)).map(|(hash, _)| *hash)?;
            shard.remove(&hash)
        };
        let over = self.shards.iter().flat_map(|shard| std::iter::from_fn(move || next(shard)));
        over.filter_map(|mut window| window.take_summary()).collect()
    }

    /// Returns the summaries of all windows. The windows continue, so that a flush does not let more records through.
    pub(super) fn take_summaries(&self) -> Vec<Summary> {
        let next = |shard: &Shard| lock(shard).values_mut().find_map(Window::take_summary);
        self.shards.iter().flat_map(|shard| std::iter::from_fn(move || next(shard))).collect()
    }

    /// Returns when the next window with suppressed records ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        let ends = |shard: &Shard| {
            let shard = lock(shard);
            let with_summary = shard.values().filter(|window| window.so_far.suppressed > 0);
            with_summary.filter_map(|window| window.since.checked_add(self.limit.window)).min()
        };
        self.shards.iter().filter_map(ends).min()
    }
}

impl Summary {
    /// Writes body and attributes of the summary record.
    pub(super) fn write(&self, writer: &mut RecordWriter<'_>) {
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

#[cfg(test)]
#[path = "repetition_tests.rs"]
mod tests;
