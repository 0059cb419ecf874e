//! Locks and atomics of the outbox: std's, but where loom tries every order in which threads may meet, its own.

#[cfg(not(all(test, logbridge_loom)))]
mod imp {
    pub(in crate::outbox) use std::sync::atomic::{AtomicBool, AtomicUsize, fence};
    pub(in crate::outbox) use std::sync::{Condvar, Mutex, MutexGuard};
}
#[cfg(all(test, logbridge_loom))]
mod imp {
    pub(in crate::outbox) use loom::sync::atomic::{AtomicBool, AtomicUsize, fence};
    pub(in crate::outbox) use loom::sync::{Condvar, Mutex, MutexGuard};
}

use std::sync::PoisonError;

pub(super) use imp::{AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, fence};

/// A panic under one of these locks leaves whole frames behind, so a poisoned lock is entered.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
