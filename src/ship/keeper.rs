//! A thread that keeps appointments: levels that go back after a while, a file that is looked at from time to time. It
//! exists only while there are any.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::{os, thread};

/// Somebody with appointments.
pub(crate) trait Keeps: Send + Sync {
    /// Does what is due. Returns when the next thing is; `None` where there is none.
    fn keep(&self) -> Option<Instant>;
}

/// Sees to it that appointments are kept.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The process in which a thread runs, if one does: a forked child has no thread of its parent.
    runs_in: Option<u64>,
    /// There may be an earlier appointment than the one it waits for.
    poked: bool,
}

/// Owns a keeper.
pub(crate) trait HasKeeper: Keeps {
    fn keeper(&self) -> &Keeper;
}

impl Keeper {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a new appointment: wakes the thread, or starts it.
    pub(crate) fn appoint<T: HasKeeper + 'static>(&self, owner: Weak<T>) {
        self.appoint_under(self.lock(), owner);
    }

    /// The same in a child that was just forked, where the lock may be held by a thread that does not exist there.
    pub(crate) fn appoint_in_child<T: HasKeeper + 'static>(&self, owner: Weak<T>) {
        if let Ok(state) = self.state.try_lock() {
            self.appoint_under(state, owner);
        }
    }

    fn appoint_under<T: HasKeeper + 'static>(&self, mut state: MutexGuard<'_, State>, owner: Weak<T>) {
        let generation = os::fork_generation();
        if state.runs_in == Some(generation) {
            state.poked = true;
            self.changed.notify_all();
            return;
        }
        state.runs_in = Some(generation);
        // Starting a thread allocates, and an allocator may log, which may lead here.
        drop(state);
        let spawned = std::thread::Builder::new().name("logbridge-keeper".to_owned()).spawn(move || {
            thread::mark_own();
            while let Some(owner) = owner.upgrade() {
                let next = owner.keep();
                if !owner.keeper().wait(next) {
                    break;
                }
            }
        });
        if spawned.is_err() {
            self.lock().runs_in = None;
        }
    }

    /// Waits for the next appointment; says whether the thread goes on.
    fn wait(&self, next: Option<Instant>) -> bool {
        // Now and then the owner is let go of, so that it may end.
        const LET_GO: Duration = Duration::from_millis(500);
        let mut state = self.lock();
        if std::mem::take(&mut state.poked) {
            return true;
        }
        let Some(next) = next else {
            state.runs_in = None;
            return false;
        };
        let rest = next.saturating_duration_since(Instant::now()).min(LET_GO);
        let (mut state, _) = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner);
        state.poked = false;
        true
    }
}
