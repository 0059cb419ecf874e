//! Orders to a worker on the exporter thread, and its answers.
//!
//! Constraint: all locks are std locks, because `flush` must work in `atexit`, outside of runtimes and inside any
//! runtime.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::failure::{CLOSED_HELP, Failure};
use crate::config::bounded;
use crate::thread::catch_expected_panic;

/// How often a sleeping worker checks whether a wake-up was lost. Less than the time that the end of a process may
/// take.
const LOST_WAKE_CHECK: Duration = Duration::from_secs(2);

/// Orders to one worker, and its state.
#[derive(Debug, Default)]
pub(super) struct Control {
    state: Mutex<ControlState>,
    changed: Condvar,
    wake: Notify,
    /// Whether a thread tried to wake the worker, and the worker has not checked since.
    called: AtomicBool,
    /// Whether an attempt to wake the thread has failed because its descriptor is closed.
    wake_failed: AtomicBool,
}

/// A consistent snapshot of the orders and the state.
#[derive(Clone, Debug, Default)]
pub(super) struct ControlState {
    /// Number of the newest flush that was ordered.
    pub(super) flush_wanted: u64,
    /// Number of the newest flush that the worker has seen.
    pub(super) flush_seen: u64,
    /// The unfinished flushes: the number of each, and how many groups or spans must have an outcome for it.
    pub(super) flushes: VecDeque<(u64, u64)>,
    /// Number of the newest finished flush.
    pub(super) flush_done: u64,
    /// The deadline after which nothing is waited for, because the process or the pipeline ends.
    pub(super) deadline: Option<Instant>,
    /// Whether the worker drops the remaining items and ends at the deadline.
    pub(super) stop: bool,
    /// Number of the newest flush for which the worker gave up before the deadline.
    pub(super) gave_up: u64,
    /// Whether the thread has tried to build a runtime.
    pub(super) started: bool,
    /// Whether the thread has ended.
    pub(super) ended: bool,
    pub(super) last_failure: Option<Failure>,
}

/// How a wait for a flush ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum WaitResult {
    Done,
    Ended,
    GaveUp,
    TimedOut,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, ControlState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn snapshot(&self) -> ControlState {
        self.lock().clone()
    }

    /// Returns a snapshot to the worker, and notes that it has seen the newest order.
    pub(super) fn orders(&self) -> ControlState {
        let mut state = self.lock();
        state.flush_seen = state.flush_wanted;
        self.wake_failed.store(false, Ordering::Relaxed);
        state.clone()
    }

    /// Changes the state on the worker's side and wakes the threads that wait.
    pub(super) fn update(&self, change: impl FnOnce(&mut ControlState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Wakes the worker.
    ///
    /// tokio panics here if the program has closed the descriptor that wakes the thread. A log call must not panic, so
    /// the worker then notices the order at its next regular check.
    pub(super) fn wake(&self) {
        self.called.store(true, Ordering::Release);
        if catch_expected_panic(|| self.wake.notify_one()).is_none() {
            self.wake_failed.store(true, Ordering::Relaxed);
        }
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits for a wake-up until `at`. Returns whether there was one.
    ///
    /// If the descriptors of the runtime are closed, or are other files by now, no call wakes the thread. So the worker
    /// also checks regularly.
    pub(super) async fn woken_until(&self, at: Instant) -> bool {
        loop {
            let next = at.min(Instant::now() + LOST_WAKE_CHECK);
            let is_woken = tokio::time::timeout_at(next.into(), self.woken()).await.is_ok();
            let is_called = self.called.swap(false, Ordering::AcqRel) || is_woken;
            if is_called || next == at {
                return is_called;
            }
        }
    }

    /// Returns why the worker has not seen an order within `waited`, if it has not.
    pub(super) fn why_not_woken(&self, order: u64, waited: Duration) -> Option<Failure> {
        let wake_failed = self.wake_failed.load(Ordering::Relaxed);
        if self.lock().flush_seen >= order || (!wake_failed && waited <= LOST_WAKE_CHECK) {
            return None;
        }
        let text = match wake_failed {
            true => "the program has closed descriptors of logbridge, so its exporter thread cannot be woken",
            false => "the exporter thread does not wake: the program may have closed its descriptors",
        };
        Some(Failure { text: text.to_owned(), help: CLOSED_HELP })
    }

    /// Orders a flush of the first `sealed` groups or spans, and returns its number. `ending` orders set the deadline
    /// too.
    pub(super) fn order(&self, sealed: u64, timeout: Duration, ending: bool, stop: bool) -> u64 {
        let mut state = self.lock();
        state.flush_wanted += 1;
        let flush = (state.flush_wanted, sealed);
        state.flushes.push_back(flush);
        if ending {
            state.deadline = deadline(timeout).or(state.deadline);
            state.stop |= stop;
        }
        let wanted = state.flush_wanted;
        drop(state);
        self.wake();
        wanted
    }

    /// Notes that the first `settled` groups or spans have an outcome, and finishes the flushes that waited for them.
    ///
    /// Flushes with numbers above `seen` are left to the worker's next round, because there may be more to do for them.
    pub(super) fn note_settled(&self, settled: u64, seen: u64) {
        let mut state = self.lock();
        let before = state.flush_done;
        while let Some((number, _)) =
            state.flushes.front().copied().filter(|(number, sealed)| *sealed <= settled && *number <= seen)
        {
            state.flushes.pop_front();
            state.flush_done = number;
        }
        if state.flush_done != before {
            self.changed.notify_all();
        }
    }

    /// Waits for a flush until the deadline.
    pub(super) fn wait(&self, flush: u64, deadline: Option<Instant>, ending: bool, stop: bool) -> WaitResult {
        let mut state = self.lock();
        loop {
            // A stop is complete only when the thread has ended, because nothing is sent after that.
            if state.ended {
                return if state.flush_done >= flush { WaitResult::Done } else { WaitResult::Ended };
            }
            if state.flush_done >= flush && !stop {
                return WaitResult::Done;
            }
            if ending && !stop && state.gave_up >= flush {
                return WaitResult::GaveUp;
            }
            let rest = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(3600),
            };
            if rest.is_zero() {
                return WaitResult::TimedOut;
            }
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the thread has tried to build a runtime.
    pub(super) fn wait_started(&self, timeout: Duration) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, timeout, |state| !state.started && !state.ended);
        drop(waited);
    }

    /// Waits until the thread has ended, and returns whether it has.
    pub(super) fn wait_ended(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, timeout, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.ended
    }
}

/// Waits on the exporter thread while it cannot work, and meanwhile fails the flushes of an ending process. Returns
/// whether the thread was asked to stop.
pub(super) fn wait_while_unable(controls: &[Arc<Control>], failure: &Failure, rest: Duration) -> bool {
    let until = Instant::now() + rest;
    for control in controls {
        control.update(|state| state.last_failure = Some(failure.clone()));
    }
    loop {
        for control in controls {
            let mut state = control.lock();
            if state.stop {
                return true;
            }
            state.flush_seen = state.flush_wanted;
            if state.deadline.is_some() && state.gave_up < state.flush_wanted {
                state.gave_up = state.flush_wanted;
                control.changed.notify_all();
            }
        }
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return false;
        }
        // In short intervals, because an order wakes only async code.
        std::thread::sleep(rest.min(Duration::from_millis(20)));
    }
}

/// Returns the time after `timeout`, at most a year from now, because timers cannot represent more.
pub(super) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(bounded(timeout))
}
