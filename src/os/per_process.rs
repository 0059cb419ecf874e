//! Values that a forked child never waits for: they are put in place in one step, so that no fork finds them half made.
//!
//! A `Once`, a `OnceLock` and a mutex that another thread of the parent was in at the moment of the fork stay that way
//! in the child, and whoever waits for them there waits for ever. Here nobody waits: a value is made outside of any
//! lock and published by exchanging one pointer. Two threads may make one at the same time; then the first one counts.
#![allow(unsafe_code)]

use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::forks::fork_generation;

/// A place for one value, which is never replaced.
pub(crate) struct OnceBox<T>(AtomicPtr<T>);

// All of it asks for `Send + Sync`: the value is made on one thread, shared with others, and dropped by any of them.
impl<T: Send + Sync> OnceBox<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: null, or a leaked box that `set` published with Release. It is freed only where `self` is dropped,
        // which the borrow rules out; nobody ever borrows it mutably.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Puts a value in place. `Err` gives it back where there is one already.
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let made = Box::into_raw(Box::new(value));
        match self.0.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            // SAFETY: it comes from `Box::into_raw` above, and was not published.
            Err(_) => Err(*unsafe { Box::from_raw(made) }),
        }
    }

    /// The value; made here where there is none. Others may make one too: the first one counts.
    #[inline]
    pub(crate) fn get_or_init(&self, make: impl Fn() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => self.make(make),
        }
    }

    #[cold]
    fn make(&self, make: impl Fn() -> T) -> &T {
        loop {
            let _another_one_was_first = self.set(make());
            if let Some(value) = self.get() {
                return value;
            }
        }
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        let value = *self.0.get_mut();
        if !value.is_null() {
            // SAFETY: it comes from `Box::into_raw`, and nobody borrows it any more, since `self` is borrowed mutably.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

impl<T: Send + Sync> Default for OnceBox<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug + Send + Sync> fmt::Debug for OnceBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceBox").field(&self.get()).finish()
    }
}

/// A value that each process of a chain of forks has for itself. Those of its ancestors stay as they were.
///
/// Forks are told apart from the first [`watch_forks`](super::watch_forks) on.
pub(crate) struct PerProcess<T> {
    newest: AtomicPtr<Node<T>>,
}

struct Node<T> {
    generation: u64,
    value: T,
    /// That of the nearest ancestor which had one; null where none had.
    older: *mut Node<T>,
}

// As above.
impl<T: Send + Sync> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    #[inline]
    fn newest(&self) -> Option<&Node<T>> {
        // SAFETY: null, or a leaked box that `set` published with Release. It is freed only where `self` is dropped,
        // which the borrow rules out; nobody ever borrows it mutably.
        unsafe { self.newest.load(Ordering::Acquire).as_ref() }
    }

    /// The value of this process, where it has one.
    #[inline]
    pub(crate) fn existing(&self) -> Option<&T> {
        let generation = fork_generation();
        self.newest().filter(|node| node.generation == generation).map(|node| &node.value)
    }

    /// Gives this process a value. `Err` gives it back where there is one already.
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let mut node = Box::new(Node { generation: fork_generation(), value, older: ptr::null_mut() });
        loop {
            let older = self.newest.load(Ordering::Acquire);
            // SAFETY: as in `newest`.
            if unsafe { older.as_ref() }.is_some_and(|older| older.generation == node.generation) {
                return Err(node.value);
            }
            node.older = older;
            let made = Box::into_raw(node);
            match self.newest.compare_exchange(older, made, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                // SAFETY: it comes from `Box::into_raw` above, and was not published.
                Err(_) => node = unsafe { Box::from_raw(made) },
            }
        }
    }

    /// The value of this process; made here, from that of its nearest ancestor, where it has none. Others may make one
    /// too: the first one counts.
    #[inline]
    pub(crate) fn get_or_init(&self, make: impl Fn(Option<&T>) -> T) -> &T {
        match self.existing() {
            Some(value) => value,
            None => self.make(make),
        }
    }

    #[cold]
    fn make(&self, make: impl Fn(Option<&T>) -> T) -> &T {
        loop {
            let _another_one_was_first = self.set(make(self.newest().map(|node| &node.value)));
            if let Some(value) = self.existing() {
                return value;
            }
        }
    }

    /// All values, that of this process first, then those of its ancestors, the nearest one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        // SAFETY: as in `newest`; `older` was published before the node that has it, and is freed with `self` too.
        let nodes = std::iter::successors(self.newest(), |node| unsafe { node.older.as_ref() });
        nodes.map(|node| &node.value)
    }
}

impl<T: Default + Send + Sync> PerProcess<T> {
    /// The value of this process, which begins with the default.
    #[inline]
    pub(crate) fn get(&self) -> &T {
        self.get_or_init(|_| T::default())
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let mut next = *self.newest.get_mut();
        while !next.is_null() {
            // SAFETY: each node comes from `Box::into_raw` and is in the list once; nobody borrows any of them, since
            // `self` is borrowed mutably.
            let node = unsafe { Box::from_raw(next) };
            next = node.older;
        }
    }
}

impl<T: Send + Sync> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug + Send + Sync> fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PerProcess").field(&self.existing()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts those that live.
    #[derive(Debug)]
    struct Alive(Arc<AtomicUsize>);

    impl Alive {
        fn new(count: &Arc<AtomicUsize>) -> Self {
            count.fetch_add(1, Ordering::Relaxed);
            Self(Arc::clone(count))
        }
    }

    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn of_several_threads_one_value_counts_and_the_others_are_dropped() {
        let count = Arc::new(AtomicUsize::new(0));
        let (placed, process) = (OnceBox::new(), PerProcess::new());
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    placed.get_or_init(|| Alive::new(&count));
                    process.get_or_init(|_| Alive::new(&count));
                });
            }
        });
        assert_eq!((count.load(Ordering::Relaxed), process.all().count()), (2, 1));
        assert!(placed.set(Alive::new(&count)).is_err() && process.set(Alive::new(&count)).is_err());
        assert_eq!(count.load(Ordering::Relaxed), 2);
        drop((placed, process));
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
