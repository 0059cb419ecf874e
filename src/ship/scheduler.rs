//! A background thread for scheduled work: levels that expire, a levels file that is checked regularly, summaries of
//! suppressed records. The thread exists only while something is scheduled.

use std::sync::{Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::os::PerProcess;
use crate::thread;

/// An object with scheduled work.
pub(crate) trait Scheduled: Send + Sync {
    /// Does the work that is due. Returns when the next work is due, or `None` if nothing is scheduled.
    fn run_due(&self) -> Option<Instant>;
}

/// An object that owns the scheduler of its work.
pub(crate) trait HasScheduler: Scheduled {
    fn scheduler(&self) -> &Scheduler;
}

/// Runs the work of its owner when it is due. A forked child has its own thread and locks.
#[derive(Debug, Default)]
pub(crate) struct Scheduler(PerProcess<Timer>);

#[derive(Debug, Default)]
struct Timer {
    state: Mutex<TimerState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct TimerState {
    is_running: bool,
    /// Whether work may have been scheduled that is due earlier than the work that the thread waits for.
    is_woken: bool,
}

impl Scheduler {
    /// Wakes the thread, or starts it, because work was scheduled.
    pub(crate) fn wake<T: HasScheduler + 'static>(&self, owner: Weak<T>) {
        let Timer { state, changed } = self.0.get();
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_running {
            state.is_woken = true;
            changed.notify_all();
            return;
        }
        state.is_running = true;
        // Without the lock: starting a thread allocates, and an allocator that logs may come here again.
        drop(state);
        let spawned = std::thread::Builder::new().name("logbridge-timer".to_owned()).spawn(move || {
            thread::mark_internal();
            while let Some(owner) = owner.upgrade() {
                let next = owner.run_due();
                if !owner.scheduler().wait(next) {
                    break;
                }
            }
        });
        if spawned.is_err() {
            self.0.get().state.lock().unwrap_or_else(PoisonError::into_inner).is_running = false;
        }
    }

    /// Waits until the next work is due. Returns whether the thread continues.
    fn wait(&self, next: Option<Instant>) -> bool {
        // The thread holds its owner no longer than this, so that the owner can be dropped.
        const MAX_HOLD: Duration = Duration::from_millis(500);
        let Timer { state, changed } = self.0.get();
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.is_woken) {
            return true;
        }
        let Some(next) = next else {
            state.is_running = false;
            return false;
        };
        let rest = next.saturating_duration_since(Instant::now()).min(MAX_HOLD);
        let (mut state, _) = changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner);
        state.is_woken = false;
        true
    }
}
