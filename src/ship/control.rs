//! What other threads ask of the ship thread, and what it answers. Only std locks: `flush` works in `atexit`, outside
//! any runtime and inside every runtime.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::voice::Failure;
use crate::config::bounded;
use crate::thread::catch_expected_panic;

/// How often a worker that sleeps looks whether it was called in vain: before the end of a process has had its time.
const LOOK: Duration = Duration::from_secs(2);
/// For those who close descriptors that they did not open.
pub(super) const CLOSED_HELP: &str = "close only descriptors that the program has opened itself, or call \
    `close_range` and its like before `init`";

/// Orders to the ship thread, and its state.
#[derive(Debug, Default)]
pub(super) struct Control {
    state: Mutex<State>,
    changed: Condvar,
    wake: Notify,
    /// Somebody has tried to wake the worker, which has not looked since.
    called: AtomicBool,
    /// A try to wake the thread has failed since: the descriptor for that is closed.
    is_deaf: AtomicBool,
}

/// One consistent look at the orders.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Number of the newest flush that was asked for.
    pub(super) flush_wanted: u64,
    /// Number of the newest flush that the worker knows of.
    pub(super) flush_seen: u64,
    /// The flushes that are not done, with the number of segments or spans that must have met their fates for each.
    pub(super) flushes: VecDeque<(u64, u64)>,
    /// Number of the newest flush whose records have all met their fates.
    pub(super) flush_done: u64,
    /// The process or the pipeline ends: nothing is worth waiting for beyond this.
    pub(super) deadline: Option<Instant>,
    /// What is left when the deadline comes is dropped, and the thread ends.
    pub(super) stop: bool,
    /// Before the deadline the thread found that nothing more can be delivered.
    pub(super) gave_up: u64,
    /// The thread has tried for a runtime.
    pub(super) started: bool,
    /// The thread has ended.
    pub(super) ended: bool,
    /// What the last request that failed failed of.
    pub(super) last_failure: Option<Failure>,
}

/// How a wait for a flush ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waited {
    Done,
    Ended,
    GaveUp,
    TimedOut,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn look(&self) -> State {
        self.lock().clone()
    }

    /// The same for the worker.
    pub(super) fn orders(&self) -> State {
        let mut state = self.lock();
        state.flush_seen = state.flush_wanted;
        self.is_deaf.store(false, Ordering::Relaxed);
        state.clone()
    }

    /// Changes the state on the ship thread's side and tells those who wait.
    pub(super) fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Tells the ship thread to look.
    ///
    /// tokio panics here when somebody has closed the descriptor it wakes its thread with (a program that closes
    /// everything it does not know): a log call must not. The thread then looks when its time is up.
    pub(super) fn wake(&self) {
        self.called.store(true, Ordering::Release);
        if catch_expected_panic(|| self.wake.notify_one()).is_none() {
            self.is_deaf.store(true, Ordering::Relaxed);
        }
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits for a call until that time, and says whether one came.
    ///
    /// Where the descriptors of the runtime are closed, or are somebody else's by now, no call wakes the thread, and it has
    /// to look for itself.
    pub(super) async fn woken_until(&self, at: Instant) -> bool {
        loop {
            let next = at.min(Instant::now() + LOOK);
            let is_woken = tokio::time::timeout_at(next.into(), self.woken()).await.is_ok();
            let is_called = self.called.swap(false, Ordering::AcqRel) || is_woken;
            if is_called || next == at {
                return is_called;
            }
        }
    }

    /// Why an order that was waited for so long was not even looked at.
    pub(super) fn asleep(&self, order: u64, waited: Duration) -> Option<Failure> {
        let is_deaf = self.is_deaf.load(Ordering::Relaxed);
        if self.lock().flush_seen >= order || (!is_deaf && waited <= LOOK) {
            return None;
        }
        let text = match is_deaf {
            true => "the program has closed descriptors of logbridge, whose thread cannot be woken",
            false => "the ship thread does not wake: the program may have closed its descriptors",
        };
        Some(Failure { text: text.to_owned(), help: CLOSED_HELP })
    }

    /// Orders a flush of the first `sealed` segments or spans; gives its number. `ending` orders also set the deadline.
    pub(super) fn order(&self, sealed: u64, timeout: Duration, ending: bool, stop: bool) -> u64 {
        let mut state = self.lock();
        state.flush_wanted += 1;
        let flush = (state.flush_wanted, sealed);
        state.flushes.push_back(flush);
        if ending {
            state.deadline = until(timeout).or(state.deadline);
            state.stop |= stop;
        }
        let wanted = state.flush_wanted;
        drop(state);
        self.wake();
        wanted
    }

    /// So many segments or spans have met their fates: tells those who waited for them. An order that the worker has not
    /// seen yet, with a number above `seen`, waits for its next round: there may be more to do for it.
    pub(super) fn settled(&self, left: u64, seen: u64) {
        let mut state = self.lock();
        let before = state.flush_done;
        while let Some((number, _)) =
            state.flushes.front().copied().filter(|(number, sealed)| *sealed <= left && *number <= seen)
        {
            state.flushes.pop_front();
            state.flush_done = number;
        }
        if state.flush_done != before {
            self.changed.notify_all();
        }
    }

    /// Waits for a flush that was ordered, until the time is up.
    pub(super) fn wait(&self, mine: u64, until: Option<Instant>, ending: bool, stop: bool) -> Waited {
        let mut state = self.lock();
        loop {
            // Stopping is done when the thread is: only then is nothing sent any more.
            if state.ended {
                return if state.flush_done >= mine { Waited::Done } else { Waited::Ended };
            }
            if state.flush_done >= mine && !stop {
                return Waited::Done;
            }
            if ending && !stop && state.gave_up >= mine {
                return Waited::GaveUp;
            }
            let rest = match until {
                Some(until) => until.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(3600),
            };
            if rest.is_zero() {
                return Waited::TimedOut;
            }
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the thread to have tried for a runtime.
    pub(super) fn wait_started(&self, timeout: Duration) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, timeout, |state| !state.started && !state.ended);
        drop(waited);
    }

    /// Waits for the thread to end, after it was told to stop and ran into its deadline.
    pub(super) fn wait_ended(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, timeout, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.ended
    }
}

/// For the ship thread while it cannot do its work: tells those who end the process that it is in vain, and waits. Says
/// whether it was told to stop.
pub(super) fn wait_in_vain(controls: &[Arc<Control>], failure: &Failure, rest: Duration) -> bool {
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
        // Orders wake only the async side, so they are looked at in small steps.
        std::thread::sleep(rest.min(Duration::from_millis(20)));
    }
}

/// When that time is up. A year at most: timers hold no more.
pub(super) fn until(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(bounded(timeout))
}
