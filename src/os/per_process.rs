//! Lock-free cells that are safe to use in forked children.
//!
//! If a thread of the parent is inside a `Once`, a `OnceLock` or a mutex during a fork, the lock stays taken in the
//! child, and waiting for it never ends. These cells never wait: a value is created outside of any lock and published
//! by exchanging one pointer. If two threads create a value at the same time, the first one published is used.
#![allow(unsafe_code)]

use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::forks::fork_generation;

/// A cell that can be set once.
pub(crate) struct OnceBox<T>(AtomicPtr<T>);

// `Send + Sync` is required because any thread may create, share and drop the value.
impl<T: Send + Sync> OnceBox<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: null, or a leaked box that `set` published with Release. It is freed only when `self` is dropped,
        // which the borrow rules out, and it is never borrowed mutably.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Sets the value. Returns it as an error if the cell is already set.
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let made = Box::into_raw(Box::new(value));
        match self.0.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            // SAFETY: the pointer comes from `Box::into_raw` above and was not published.
            Err(_) => Err(*unsafe { Box::from_raw(made) }),
        }
    }

    /// Returns the value, creating it if necessary. `make` may run on several threads; the first value is used.
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
            let _another_thread_was_first = self.set(make());
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
            // SAFETY: the pointer comes from `Box::into_raw`, and the mutable borrow of `self` rules out other borrows.
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

/// A cell that can be set once to a reference. Setting it allocates nothing.
pub(crate) struct OnceRef<T: 'static>(AtomicPtr<T>);

impl<T: Sync> OnceRef<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or a reference of this lifetime that `set` published with Release. It is never borrowed mutably.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Sets the reference. Returns `false` if the cell is already set.
    pub(crate) fn set(&self, value: &'static T) -> bool {
        let value = ptr::from_ref(value).cast_mut();
        self.0.compare_exchange(ptr::null_mut(), value, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A cell with one value per process. A forked child starts without a value, and the values of its ancestors stay
/// unchanged.
///
/// Forks are noticed only after the first [`watch_forks`](super::watch_forks).
pub(crate) struct PerProcess<T> {
    newest: AtomicPtr<Node<T>>,
}

struct Node<T> {
    generation: u64,
    value: T,
    /// The value of the nearest ancestor that had one, or null.
    older: *mut Node<T>,
}

impl<T: Send + Sync> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    #[inline]
    fn newest(&self) -> Option<&Node<T>> {
        // SAFETY: null, or a leaked box that `set` published with Release. It is freed only when `self` is dropped,
        // which the borrow rules out, and it is never borrowed mutably.
        unsafe { self.newest.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the value of this process, if it is set.
    #[inline]
    pub(crate) fn existing(&self) -> Option<&T> {
        let generation = fork_generation();
        self.newest().filter(|node| node.generation == generation).map(|node| &node.value)
    }

    /// Sets the value of this process. Returns it as an error if it is already set.
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
                // SAFETY: the pointer comes from `Box::into_raw` above and was not published.
                Err(_) => node = unsafe { Box::from_raw(made) },
            }
        }
    }

    /// Returns the value of this process, creating it if necessary from the value of the nearest ancestor.
    ///
    /// `make` may run on several threads; the first value is used.
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
            let _another_thread_was_first = self.set(make(self.newest().map(|node| &node.value)));
            if let Some(value) = self.existing() {
                return value;
            }
        }
    }

    /// Returns the values of this process and its ancestors, newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        // SAFETY: as in `newest`. An older node was published before the newer one and is also freed with `self`.
        let nodes = std::iter::successors(self.newest(), |node| unsafe { node.older.as_ref() });
        nodes.map(|node| &node.value)
    }
}

impl<T: Default + Send + Sync> PerProcess<T> {
    /// Returns the value of this process, which starts as the default.
    #[inline]
    pub(crate) fn get(&self) -> &T {
        self.get_or_init(|_| T::default())
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let mut next = *self.newest.get_mut();
        while !next.is_null() {
            // SAFETY: each node comes from `Box::into_raw` and is in the list once. The mutable borrow of `self` rules
            // out other borrows.
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

    /// Counts its live instances.
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
    fn a_reference_is_set_once() {
        static VALUES: [u8; 2] = [1, 2];
        let cell = OnceRef::new();
        assert_eq!(cell.get(), None);
        assert!(cell.set(&VALUES[0]) && !cell.set(&VALUES[1]));
        assert_eq!(cell.get(), Some(&1));
    }

    #[test]
    fn concurrent_threads_share_one_value_and_the_others_are_dropped() {
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
