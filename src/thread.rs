//! What is known of the current thread without touching anything that a dying thread has lost: cells without
//! destructors, which work in thread-local destructors and in `atexit`.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static OWN: Cell<bool> = const { Cell::new(false) };
    static DEPTH: Cell<u8> = const { Cell::new(0) };
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// How deep a log call may stand inside the formatting of another one.
const MAX_DEPTH: u8 = 4;

/// Marks the current thread as one of the crate's own: its records are never the application's.
pub(crate) fn mark_own() {
    OWN.set(true);
}

/// Whether this is one of the crate's own threads.
#[inline]
pub(crate) fn is_own() -> bool {
    OWN.get()
}

/// A small number of the thread, to spread threads over shards.
#[inline]
pub(crate) fn number() -> usize {
    let number = NUMBER.get();
    if number == usize::MAX { assign_number() } else { number }
}

#[cold]
fn assign_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    NUMBER.set(number);
    number
}

/// Stands for one log call in progress on this thread.
#[derive(Debug)]
pub(crate) struct Call(());

impl Call {
    /// Enters a log call; `None` where the thread stands too deep in calls that log while they are formatted.
    #[inline]
    pub(crate) fn enter() -> Option<Self> {
        let depth = DEPTH.get();
        if depth >= MAX_DEPTH {
            return None;
        }
        DEPTH.set(depth + 1);
        Some(Self(()))
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_nest_so_deep_and_no_deeper() {
        let calls: Vec<_> = std::iter::from_fn(Call::enter).collect();
        assert_eq!(calls.len(), usize::from(MAX_DEPTH));
        drop(calls);
        assert!(Call::enter().is_some());
    }

    #[test]
    fn a_thread_keeps_its_number() {
        let (mine, other) = (number(), std::thread::spawn(number).join().expect("no panic"));
        assert_eq!(mine, number());
        assert_ne!(mine, other);
    }
}
