//! Locks and atomics of the outbox: from std, or from loom in tests of thread interleavings.
//!
//! Constraint: nothing is allocated or freed under one of these locks. A global allocator may log, and its log call
//! would wait for the lock. Tests fail if that happens.

#[cfg(not(all(test, logbridge_loom)))]
mod imp {
    #[cfg(not(test))]
    pub(in crate::outbox) use std::sync::MutexGuard;
    pub(in crate::outbox) use std::sync::atomic::{AtomicBool, AtomicUsize, fence};
    pub(in crate::outbox) use std::sync::{Condvar, Mutex};
}
#[cfg(all(test, logbridge_loom))]
mod imp {
    pub(in crate::outbox) use loom::sync::atomic::{AtomicBool, AtomicUsize, fence};
    pub(in crate::outbox) use loom::sync::{Condvar, Mutex, MutexGuard};
}

use std::sync::PoisonError;
use std::time::Duration;

#[cfg(any(not(test), logbridge_loom))]
use imp::MutexGuard;
pub(super) use imp::{AtomicBool, AtomicUsize, Condvar, Mutex, fence};

#[cfg(all(test, not(logbridge_loom)))]
pub(super) use watched::Guard;
#[cfg(any(not(test), logbridge_loom))]
pub(super) type Guard<'a, T> = MutexGuard<'a, T>;

/// Takes a lock, even a poisoned one, because a panic under one of these locks leaves only whole frames behind.
#[cfg_attr(test, track_caller)]
#[inline]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> Guard<'_, T> {
    guard(mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Waits for the condition variable, at most for `most`.
#[cfg_attr(test, track_caller)]
pub(super) fn wait_timeout<'a, T>(condition: &Condvar, guarded: Guard<'a, T>, most: Duration) -> Guard<'a, T> {
    guard(condition.wait_timeout(inner(guarded), most).unwrap_or_else(PoisonError::into_inner).0)
}

/// Runs `run` under the lock. If `run` returns what it lacks, `make` creates that outside the lock, and `run` is called
/// again.
pub(super) fn lock_with<T, N, S, R>(
    mutex: &Mutex<T>,
    make: impl Fn(N) -> S,
    mut run: impl FnMut(&mut T, &mut Option<S>) -> Result<R, N>,
) -> R {
    let mut made = None;
    loop {
        let ran = run(&mut lock(mutex), &mut made);
        match ran {
            Ok(result) => return result,
            Err(missing) => made = Some(make(missing)),
        }
    }
}

#[cfg(any(not(test), logbridge_loom))]
#[inline]
fn guard<T>(guard: MutexGuard<'_, T>) -> Guard<'_, T> {
    guard
}

#[cfg(any(not(test), logbridge_loom))]
fn inner<T>(guard: Guard<'_, T>) -> MutexGuard<'_, T> {
    guard
}

#[cfg(all(test, not(logbridge_loom)))]
use watched::{guard, inner};

/// The locks of tests, which panic if anything was allocated or freed under one.
#[cfg(all(test, not(logbridge_loom)))]
#[allow(clippy::expect_used)] // A test may panic.
mod watched {
    use std::ops::{Deref, DerefMut};
    use std::panic::Location;
    use std::sync::MutexGuard;

    use crate::os::allocations;

    pub(in crate::outbox) struct Guard<'a, T> {
        /// Released before the check, because allocations of a failing check must not count.
        guard: Option<MutexGuard<'a, T>>,
        taken_at: &'static Location<'static>,
        before: u64,
    }

    #[track_caller]
    pub(super) fn guard<T>(guard: MutexGuard<'_, T>) -> Guard<'_, T> {
        Guard { guard: Some(guard), taken_at: Location::caller(), before: allocations::of_this_thread() }
    }

    pub(super) fn inner<T>(mut guard: Guard<'_, T>) -> MutexGuard<'_, T> {
        guard.guard.take().expect("it is taken once")
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.guard.as_ref().expect("it is held")
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.guard.as_mut().expect("it is held")
        }
    }

    impl<T> Drop for Guard<'_, T> {
        fn drop(&mut self) {
            let Some(guard) = self.guard.take() else { return };
            drop(guard);
            let number = allocations::of_this_thread() - self.before;
            if number > 0 && !std::thread::panicking() {
                panic!("allocated or freed {number} times under the lock that was taken at {}", self.taken_at);
            }
        }
    }
}
