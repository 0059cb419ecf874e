//! What the outbox does where there is no room: what makes room, and who waits for it.
//!
//! Constraints:
//! * Only calls that found no room come here.
//! * No lock of a shard is held by a caller that comes here: sealing takes them all.
//! * What makes room is sealed and not taken over. It is counted before it has left, so that a flush that waited for it
//!   finds the loss in the ledger.
//! * Whoever waits tries after it was noted as waiting, and then waits for room made since before it tried. Whoever makes
//!   room looks for those who wait after the memory is free. So one of the two sees the other.
//! * Order of locks: shard, sealed, pool.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::frame::read_frame;
use super::losses::Loss;
use super::sealed::Place;
use super::segment::{LOW, Segment};
use super::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, fence, lock, wait_timeout};
use super::{Outbox, Wake};
use crate::config::Overload;
use crate::ledger::{DropReason, ItemOutcome};
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
    /// How often room has appeared.
    times: u64,
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
        self.seal_shards(|lanes| !only_low || lanes.segments[LOW].is_some());
        if lock(&self.sealed).has_low() {
            self.nothing_low.store(false, Ordering::Relaxed);
        }
    }

    /// Drops sealed segments, oldest first, until a frame of that length fits. Says whether it does; where it would not
    /// with all of them gone, all of them stay.
    fn evict(&self, thread: usize, length: usize, only_low: bool, reason: DropReason) -> bool {
        let Some(victims) = self.choose(length, only_low) else { return false };
        let records = victims.iter().map(|(_, segment)| segment.records).sum();
        if records > 0 {
            self.ledger.resolve(Signal::Logs, &[(ItemOutcome::Dropped(reason), records)]);
            self.release(records);
        }
        // They have left only now that they are counted.
        lock(&self.sealed).gone(victims.iter().map(|(place, _)| *place));
        for (_, segment) in victims {
            self.losses.count_segment(thread, reason, &segment);
            self.recycle(segment);
        }
        true
    }

    /// Takes out what has to go for a frame of that length. Nothing, where there is room by now; `None` where it would not
    /// be enough.
    fn choose(&self, length: usize, only_low: bool) -> Option<Vec<(Place, Segment)>> {
        let mut victims = Vec::new();
        loop {
            let mut sealed = lock(&self.sealed);
            // Of the two bounds, the one that was met.
            let lacks_records = self.max_records.is_some_and(|most| self.records.load(Ordering::Relaxed) >= most);
            let (used, bound) = self.memory.use_and_bound();
            let (mut free, needed) = match lacks_records {
                true => (0, 1),
                false => (bound.saturating_sub(used), self.memory.cost(length)),
            };
            let in_files = self.memory.is_in_files();
            // What lies elsewhere makes no room here.
            let may_go = |lane: usize, segment: &Segment| {
                (lacks_records || segment.is_in_file() == in_files) && (lane == LOW || !only_low)
            };
            let gain = |segment: &Segment| if lacks_records { segment.records as usize } else { segment.block.cost() };
            let mut wanted = 0;
            for (_, segment) in sealed.segments().filter(|(lane, segment)| may_go(*lane, segment)) {
                if free >= needed {
                    break;
                }
                free += gain(segment);
                wanted += 1;
            }
            if free < needed {
                return None;
            }
            if wanted <= victims.capacity() {
                sealed.take_out(wanted, may_go, &mut victims);
                return Some(victims);
            }
            drop(sealed);
            victims.reserve(wanted);
        }
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
        self.room.waiting.fetch_add(1, Ordering::SeqCst);
        let appended = loop {
            fence(Ordering::SeqCst);
            // Before it is tried, which is done without the lock, since that may allocate.
            let (closed, times) = {
                let state = lock(&self.room.state);
                (state.closed, state.times)
            };
            if closed {
                break Err(DropReason::Shutdown);
            }
            match self.append(thread, high, frame) {
                Err(DropReason::OutboxFull) => {}
                appended => break appended,
            }
            if !self.wait_for_room(times, until, most) {
                self.room.in_vain.store(true, Ordering::Relaxed);
                break Err(DropReason::BlockTimeout);
            }
        };
        self.room.waiting.fetch_sub(1, Ordering::SeqCst);
        appended.map_err(Refused::from)
    }

    /// Waits until room has appeared more often than so many times. `false` if the time is up before.
    fn wait_for_room(&self, times: u64, until: Option<Instant>, most: Duration) -> bool {
        let mut state = lock(&self.room.state);
        while state.times == times && !state.closed {
            let rest = until.map_or(most, |until| until.saturating_duration_since(Instant::now()));
            if rest.is_zero() {
                return false;
            }
            state = wait_timeout(&self.room.appeared, state, rest);
        }
        true
    }

    /// Memory is free again: tells those who wait for it.
    pub(crate) fn made_room(&self) {
        fence(Ordering::SeqCst);
        if self.room.in_vain.load(Ordering::Relaxed) {
            self.room.in_vain.store(false, Ordering::Relaxed);
        }
        if self.room.waiting.load(Ordering::SeqCst) > 0 {
            // Whoever tries in this moment does not begin to wait then.
            lock(&self.room.state).times += 1;
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
