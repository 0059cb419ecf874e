//! What the outbox does where there is no room: what makes room, and who waits for it.
//!
//! Constraints:
//! * Only calls that found no room come here.
//! * No lock of a shard is held by a caller that comes here: sealing takes them all.
//! * What makes room is sealed and not taken over. It is counted before it has left, so that a flush that waited for it
//!   finds the loss in the ledger.
//! * Whoever waits tries under the lock of the room, after it was noted as waiting. Whoever makes room looks for those
//!   who wait after the memory is free. So one of the two sees the other.
//! * Order of locks: sealing, room, shard, sealed, pool.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::frame::read_frame;
use super::losses::Loss;
use super::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, fence, lock};
use super::{Outbox, Segment, Wake};
use crate::config::Overload;
use crate::ledger::{DropReason, Fate};
use crate::signal::Signal;

/// How often a record may lose the room it made to other threads.
const ATTEMPTS: usize = 8;

/// Those who wait for room.
#[derive(Debug, Default)]
pub(super) struct Room {
    state: Mutex<State>,
    appeared: Condvar,
    waiting: AtomicUsize,
    /// Somebody has waited in vain since room appeared last: nobody else does.
    in_vain: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Nobody takes anything out any more.
    closed: bool,
}

/// A record that was not taken in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    pub(crate) reason: DropReason,
    pub(crate) wake: Wake,
}

impl From<DropReason> for Refused {
    fn from(reason: DropReason) -> Self {
        Self { reason, wake: Wake::No }
    }
}

impl Outbox {
    pub(crate) fn overload(&self) -> Overload {
        self.overload
    }

    /// Notes that there was no room: what is not sealed yet is sent now, and not when the schedule says so.
    pub(crate) fn press(&self) -> Wake {
        let is_news = !self.pressed.load(Ordering::Relaxed) && !self.pressed.swap(true, Ordering::Relaxed);
        if is_news { Wake::Yes } else { Wake::No }
    }

    /// Whether there was no room for somebody since the last time, or somebody waits for it: of several, who gets in does
    /// not press for the others.
    pub(crate) fn take_pressed(&self) -> bool {
        let is_pressed = self.pressed.load(Ordering::Relaxed) && self.pressed.swap(false, Ordering::Relaxed);
        is_pressed || self.room.waiting.load(Ordering::SeqCst) > 0
    }

    /// Counts a record that was not taken, by level and target.
    pub(crate) fn count_loss(&self, thread: usize, reason: DropReason, frame: &[u8]) -> Wake {
        let is_news = read_frame(frame).is_some_and(|frame| self.losses.count(thread, reason, frame));
        if is_news { Wake::Yes } else { Wake::No }
    }

    /// What was dropped for want of room, by reason, target and level; the largest number first.
    pub(crate) fn losses(&self) -> Vec<Loss> {
        self.losses.all()
    }

    /// Whether something was dropped for want of room that was not told yet.
    pub(crate) fn has_untold_losses(&self) -> bool {
        self.losses.is_untold()
    }

    /// The losses are being told now.
    pub(crate) fn tell_losses(&self) {
        self.losses.told();
    }

    /// Appends a frame that found no room, if the policy makes room by dropping what waits.
    pub(crate) fn append_by_dropping(&self, thread: usize, high: bool, frame: &[u8]) -> Result<Wake, Refused> {
        let (reason, only_low) = match self.overload {
            Overload::DropOldest => (DropReason::EvictedOldest, false),
            Overload::DropLeastSevere if high => (DropReason::EvictedLessSevere, true),
            _ => return Err(DropReason::OutboxFull.into()),
        };
        if only_low && self.nothing_low.load(Ordering::Relaxed) {
            return Err(DropReason::OutboxFull.into());
        }
        let (mut wake, mut is_sealed) = (Wake::No, false);
        for _ in 0..ATTEMPTS {
            if self.evict(thread, frame.len(), only_low, reason) {
                wake = Wake::Yes;
            } else if is_sealed {
                break;
            } else {
                // What may go is not sealed yet.
                is_sealed = true;
                self.seal_what_may_go(only_low);
                continue;
            }
            match self.append(thread, high, frame) {
                Ok(_) => return Ok(Wake::Yes),
                Err(DropReason::OutboxFull) => {}
                Err(reason) => return Err(Refused { reason, wake }),
            }
        }
        Err(Refused { reason: DropReason::OutboxFull, wake })
    }

    fn seal_what_may_go(&self, only_low: bool) {
        // Before it is looked for: a segment that is begun from now on takes it back.
        self.nothing_low.store(only_low, Ordering::Relaxed);
        let _one_at_a_time = lock(&self.sealing);
        let mut current: Vec<Segment> = Vec::new();
        for shard in &self.shards {
            let mut lanes = lock(&shard.lanes);
            current.extend(lanes.iter_mut().take(if only_low { 1 } else { 2 }).filter_map(Option::take));
        }
        let mut sealed = lock(&self.sealed);
        current.into_iter().for_each(|segment| sealed.push(segment));
        if sealed.queue.iter().any(|segment| !segment.high) {
            self.nothing_low.store(false, Ordering::Relaxed);
        }
    }

    /// Drops sealed segments, oldest first, until a frame of that length fits. Says whether it does; where it would not
    /// with all of them gone, all of them stay.
    fn evict(&self, thread: usize, length: usize, only_low: bool, reason: DropReason) -> bool {
        let Some(victims) = self.choose(length, only_low) else { return false };
        let records = victims.iter().map(|segment| segment.records).sum();
        if records > 0 {
            self.ledger.resolve(Signal::Logs, &[(Fate::Dropped(reason), records)]);
            self.release(records);
        }
        // They have left only now that they are counted.
        lock(&self.sealed).leaving.retain(|number| victims.iter().all(|segment| segment.number != *number));
        for segment in victims {
            self.losses.count_segment(thread, reason, &segment);
            self.recycle(segment);
        }
        true
    }

    /// Takes out what has to go for a frame of that length. Nothing, where there is room by now; `None` where it would not
    /// be enough.
    fn choose(&self, length: usize, only_low: bool) -> Option<Vec<Segment>> {
        let mut sealed = lock(&self.sealed);
        // Of the two bounds, the one that was met.
        let lacks_records = self.max_records.is_some_and(|most| self.records.load(Ordering::Relaxed) >= most);
        let (used, bound) = self.memory.use_and_bound();
        let (mut free, needed) = match lacks_records {
            true => (0, 1),
            false => (bound.saturating_sub(used), self.memory.cost(length)),
        };
        let in_files = self.memory.is_in_files();
        let mut goes = |segment: &Segment| {
            // What lies elsewhere makes no room here.
            let helps = lacks_records || segment.is_in_file() == in_files;
            let chosen = helps && free < needed && !(only_low && segment.high);
            if chosen {
                free += if lacks_records { segment.records as usize } else { segment.block.cost() };
            }
            chosen
        };
        let chosen: Vec<bool> = sealed.queue.iter().map(&mut goes).collect();
        if free < needed {
            return None;
        }
        let (mut victims, mut stay) = (Vec::new(), VecDeque::new());
        for (segment, goes) in std::mem::take(&mut sealed.queue).into_iter().zip(chosen) {
            if goes { victims.push(segment) } else { stay.push_back(segment) }
        }
        sealed.queue = stay;
        sealed.leaving.extend(victims.iter().map(|segment| segment.number));
        Some(victims)
    }

    /// Appends a frame that found no room as soon as there is some, but waits no longer than this.
    pub(crate) fn append_when_there_is_room(
        &self,
        thread: usize,
        high: bool,
        frame: &[u8],
        most: Duration,
    ) -> Result<Wake, Refused> {
        if self.room.in_vain.load(Ordering::Relaxed) {
            return Err(DropReason::BlockTimeout.into());
        }
        let until = Instant::now().checked_add(most);
        let mut state = lock(&self.room.state);
        self.room.waiting.fetch_add(1, Ordering::SeqCst);
        let appended = loop {
            fence(Ordering::SeqCst);
            if state.closed {
                break Err(DropReason::Shutdown);
            }
            match self.append(thread, high, frame) {
                Err(DropReason::OutboxFull) => {}
                appended => break appended,
            }
            let rest = until.map_or(most, |until| until.saturating_duration_since(Instant::now()));
            if rest.is_zero() {
                self.room.in_vain.store(true, Ordering::Relaxed);
                break Err(DropReason::BlockTimeout);
            }
            state = self.room.appeared.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        };
        self.room.waiting.fetch_sub(1, Ordering::SeqCst);
        drop(state);
        appended.map_err(Refused::from)
    }

    /// Memory is free again: tells those who wait for it.
    pub(crate) fn made_room(&self) {
        fence(Ordering::SeqCst);
        if self.room.in_vain.load(Ordering::Relaxed) {
            self.room.in_vain.store(false, Ordering::Relaxed);
        }
        if self.room.waiting.load(Ordering::SeqCst) > 0 {
            // Through the lock, so that whoever tries in this moment is waiting by then.
            drop(lock(&self.room.state));
            self.room.appeared.notify_all();
        }
    }

    /// Nobody takes anything out any more: who waits for room does so in vain, and what they hold is not taken in.
    pub(crate) fn close(&self) {
        lock(&self.room.state).closed = true;
        self.room.appeared.notify_all();
    }
}

#[cfg(test)]
#[path = "overload_tests.rs"]
mod tests;
