//! A thread that keeps appointments: levels that go back after a while, a file that is looked at from time to time. It
//! exists only while there are any.

use std::sync::{Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::os::PerProcess;
use crate::thread;

/// Somebody with appointments.
pub(crate) trait Keeps: Send + Sync {
    /// Does what is due. Returns when the next thing is; `None` where there is none.
    fn keep(&self) -> Option<Instant>;
}

/// Sees to it that appointments are kept. A forked child has a thread, and locks, of its own.
#[derive(Debug, Default)]
pub(crate) struct Keeper(PerProcess<Watch>);

#[derive(Debug, Default)]
struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// A thread runs.
    runs: bool,
    /// There may be an earlier appointment than the one it waits for.
    poked: bool,
}

/// Owns a keeper.
pub(crate) trait HasKeeper: Keeps {
    fn keeper(&self) -> &Keeper;
}

impl Keeper {
    /// There is a new appointment: wakes the thread, or starts it.
    pub(crate) fn appoint<T: HasKeeper + 'static>(&self, owner: Weak<T>) {
        let Watch { state, changed } = self.0.get();
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.runs {
            state.poked = true;
            changed.notify_all();
            return;
        }
        state.runs = true;
        // Starting a thread allocates, and an allocator may log, which may lead here.
        drop(state);
        let spawned = std::thread::Builder::new().name("logbridge-keeper".to_owned()).spawn(move || {
            thread::mark_internal();
            while let Some(owner) = owner.upgrade() {
                let next = owner.keep();
                if !owner.keeper().wait(next) {
                    break;
                }
            }
        });
        if spawned.is_err() {
            self.0.get().state.lock().unwrap_or_else(PoisonError::into_inner).runs = false;
        }
    }

    /// Waits for the next appointment; says whether the thread goes on.
    fn wait(&self, next: Option<Instant>) -> bool {
        // Now and then the owner is let go of, so that it may end.
        const LET_GO: Duration = Duration::from_millis(500);
        let Watch { state, changed } = self.0.get();
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.poked) {
            return true;
        }
        let Some(next) = next else {
            state.runs = false;
            return false;
        };
        let rest = next.saturating_duration_since(Instant::now()).min(LET_GO);
        let (mut state, _) = changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner);
        state.poked = false;
        true
    }
}
