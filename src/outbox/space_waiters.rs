//! Threads that wait until the outbox has space again (policy `block`).
//!
//! Constraint: a waiting thread first counts itself and then tries to append. A thread that frees memory checks for
//! waiting threads afterwards. So one of the two always sees the other.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, fence, lock, wait_timeout};
use crate::ledger::DropReason;

/// The threads that wait for space, and the means to wake them.
#[derive(Debug, Default)]
pub(super) struct SpaceWaiters {
    state: Mutex<SpaceState>,
    freed: Condvar,
    waiting: AtomicUsize,
    /// Whether a thread has waited in vain since memory was last freed. No other thread starts to wait then.
    timed_out: AtomicBool,
}

#[derive(Debug, Default)]
struct SpaceState {
    /// Whether the outbox is closed, so that nothing is taken out of it any more.
    closed: bool,
    /// How many times memory was freed while threads waited.
    times_freed: u64,
}

impl SpaceWaiters {
    /// Calls `append` until it no longer finds the outbox full, and waits for free memory in between.
    ///
    /// # Errors
    ///
    /// Returns `BlockTimeout` after `timeout`, `Shutdown` if the outbox is closed, or any other error of `append`.
    pub(super) fn append_when_freed<T>(
        &self,
        timeout: Duration,
        mut append: impl FnMut() -> Result<T, DropReason>,
    ) -> Result<T, DropReason> {
        if self.timed_out.load(Ordering::Relaxed) {
            return Err(DropReason::BlockTimeout);
        }
        let deadline = Instant::now().checked_add(timeout);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let appended = loop {
            fence(Ordering::SeqCst);
            // Read before the attempt, which runs without the lock because it may allocate.
            let (closed, times_freed) = {
                let state = lock(&self.state);
                (state.closed, state.times_freed)
            };
            if closed {
                break Err(DropReason::Shutdown);
            }
            match append() {
                Err(DropReason::OutboxFull) => {}
                appended => break appended,
            }
            if !self.wait(times_freed, deadline, timeout) {
                self.timed_out.store(true, Ordering::Relaxed);
                break Err(DropReason::BlockTimeout);
            }
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        appended
    }

    /// Waits until memory was freed more than `times_freed` times. Returns `false` at the deadline.
    fn wait(&self, times_freed: u64, deadline: Option<Instant>, timeout: Duration) -> bool {
        let mut state = lock(&self.state);
        while state.times_freed == times_freed && !state.closed {
            let rest = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            if rest.is_zero() {
                return false;
            }
            state = wait_timeout(&self.freed, state, rest);
        }
        true
    }

    /// Returns how many threads wait.
    pub(super) fn count(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Wakes the waiting threads, because memory was freed.
    pub(super) fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.timed_out.load(Ordering::Relaxed) {
            self.timed_out.store(false, Ordering::Relaxed);
        }
        if self.count() > 0 {
            // Under the lock: a thread between its attempt and its wait sees the new number.
            lock(&self.state).times_freed += 1;
            self.freed.notify_all();
        }
    }

    /// Ends all waits, now and later.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.freed.notify_all();
    }
}
