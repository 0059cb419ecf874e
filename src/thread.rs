//! State of the current thread.
//!
//! It is kept in thread-local cells without destructors, so that it is available in thread-local destructors and in
//! `atexit`.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::os::OnceBox;

thread_local! {
    static DEPTH: Cell<u8> = const { Cell::new(0) };
    /// The exclusive number that the thread has given back.
    static FORMER: Cell<usize> = const { Cell::new(usize::MAX) };
    static CATCHES_PANIC: Cell<bool> = const { Cell::new(false) };
    static IN_SPAN_PROCESSOR: Cell<bool> = const { Cell::new(false) };
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    static EXPECTS_PANIC: Cell<bool> = const { Cell::new(false) };
    static NUMBER_GUARD: NumberGuard = const { NumberGuard };
}

/// The number of log calls that may be nested: formatting a value may log.
const MAX_DEPTH: u8 = 4;

/// Marks the current thread as one of logbridge's own. Its records are not records of the application.
pub(crate) fn mark_internal() {
    NUMBER.set(INTERNAL);
}

/// Returns whether this is one of logbridge's own threads.
#[inline]
pub(crate) fn is_internal() -> bool {
    NUMBER.get() == INTERNAL
}

/// The count of exclusive numbers, each of which one running thread has at a time.
pub(crate) const EXCLUSIVE: usize = 60;
/// The count of numbers that the other threads share.
pub(crate) const SHARED: usize = 4;
/// The number of all threads of logbridge.
pub(crate) const INTERNAL: usize = EXCLUSIVE + SHARED;
/// The count of all numbers.
pub(crate) const NUMBERS: usize = INTERNAL + 1;

/// Returns a number of the thread below [`NUMBERS`]. It is [`INTERNAL`] for logbridge's own threads.
///
/// A number below [`EXCLUSIVE`] belongs to this thread alone while it runs, so its counters need no atomic addition.
#[inline]
pub(crate) fn number() -> usize {
    let number = NUMBER.get();
    if number == usize::MAX { assign_number() } else { number }
}

#[cold]
fn assign_number() -> usize {
    // A thread that is ending cannot give an exclusive number back.
    let number = match NUMBER_GUARD.try_with(|_| ()) {
        Ok(()) => take_exclusive().unwrap_or_else(shared_number),
        Err(_) => shared_number(),
    };
    NUMBER.set(number);
    number
}

/// Returns the shard of the outbox that the thread with this number writes to.
///
/// It stays the same until the thread ends, even after the thread has given its number back, so its records stay in
/// order.
#[inline]
pub(crate) fn shard_of(number: usize) -> usize {
    if number < EXCLUSIVE { number } else { former(number) }
}

#[cold]
fn former(number: usize) -> usize {
    match FORMER.get() {
        usize::MAX => number,
        former => former,
    }
}

/// Exclusive numbers that were given back. Nobody waits for the lock, because in a forked child it may be held forever.
static RETURNED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static NEXT: AtomicUsize = AtomicUsize::new(0);

fn take_exclusive() -> Option<usize> {
    if let Ok(mut returned) = RETURNED.try_lock()
        && let Some(number) = returned.pop()
    {
        return Some(number);
    }
    NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| (next < EXCLUSIVE).then_some(next + 1)).ok()
}

fn shared_number() -> usize {
    static NEXT_SHARED: AtomicUsize = AtomicUsize::new(0);
    EXCLUSIVE + NEXT_SHARED.fetch_add(1, Ordering::Relaxed) % SHARED
}

/// Gives the thread's number back when the thread ends.
struct NumberGuard;

impl Drop for NumberGuard {
    fn drop(&mut self) {
        let number = NUMBER.get();
        if number >= EXCLUSIVE {
            return;
        }
        // Records of later destructors are counted under a shared number. The lock makes the counts visible to the next
        // owner. If it is held, the number is not used again.
        NUMBER.set(shared_number());
        FORMER.set(number);
        if let Ok(mut returned) = RETURNED.try_lock() {
            returned.push(number);
        }
    }
}

/// The count of numbers of thread names.
pub(crate) const NAMES: usize = 64;
/// The number of all names for which no number was left.
const OTHER_NAMES: usize = 1;
/// The number of threads without a name is 0.
static KNOWN_NAMES: [OnceBox<Box<str>>; NAMES - 2] = [const { OnceBox::new() }; NAMES - 2];

/// Returns the number of a thread name. Threads of the same name share it.
pub(crate) fn number_of_name(name: Option<&str>) -> usize {
    let Some(name) = name else { return 0 };
    let is_it = |known: &OnceBox<Box<str>>| match known.get() {
        Some(known) => **known == *name,
        // Another thread may have been first, with the same name.
        None => known.set(name.into()).is_ok() || known.get().is_some_and(|known| **known == *name),
    };
    KNOWN_NAMES.iter().position(is_it).map_or(OTHER_NAMES, |place| place + 2)
}

/// Returns the name with this number; `None` for threads without a name.
pub(crate) fn name_of_number(number: usize) -> Option<&'static str> {
    match number.checked_sub(2) {
        Some(place) => KNOWN_NAMES.get(place)?.get().map(|name| &**name),
        None => (number == OTHER_NAMES).then_some("(other names)"),
    }
}

/// Runs code of the application, such as `Display` or a processor. Returns `None` if it panics.
///
/// A panic of such code must not leave a log call.
pub(crate) fn catch_panic<T>(run: impl FnOnce() -> T) -> Option<T> {
    let outer = CATCHES_PANIC.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run)).ok();
    CATCHES_PANIC.set(outer);
    result
}

/// Runs code that panics if a thread-local is destroyed or a descriptor is closed. Returns `None` if it panics.
///
/// Such a panic is expected, so the panic hook does not report it.
pub(crate) fn catch_expected_panic<T>(run: impl FnOnce() -> T) -> Option<T> {
    let outer = EXPECTS_PANIC.replace(true);
    let result = catch_panic(run);
    EXPECTS_PANIC.set(outer);
    result
}

/// Runs a span processor of the application, and marks the thread meanwhile.
pub(crate) fn in_span_processor<T>(run: impl FnOnce() -> T) -> T {
    struct Leave(bool);

    impl Drop for Leave {
        fn drop(&mut self) {
            IN_SPAN_PROCESSOR.set(self.0);
        }
    }

    let _left = Leave(IN_SPAN_PROCESSOR.replace(true));
    run()
}

/// Returns whether this thread runs a span processor of the application.
pub(crate) fn is_in_span_processor() -> bool {
    IN_SPAN_PROCESSOR.get()
}

/// Returns whether a panic of this thread is expected.
pub(crate) fn expects_panic() -> bool {
    EXPECTS_PANIC.get()
}

/// Returns whether logbridge catches a panic of this thread.
pub(crate) fn catches_panic() -> bool {
    CATCHES_PANIC.get()
}

/// A log call in progress on this thread.
#[derive(Debug)]
pub(crate) struct Call(());

impl Call {
    /// Enters a log call. Returns `None` if log calls are nested too deep.
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

/// Returns whether the log call in progress on this thread is nested in another one.
pub(crate) fn is_nested() -> bool {
    DEPTH.get() > 1
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
    fn calls_nest_up_to_a_depth() {
        let calls: Vec<_> = std::iter::from_fn(Call::enter).collect();
        assert_eq!(calls.len(), usize::from(MAX_DEPTH));
        drop(calls);
        assert!(Call::enter().is_some());
    }

    #[test]
    fn names_have_numbers() {
        assert_eq!((number_of_name(None), name_of_number(0)), (0, None));
        let number = number_of_name(Some("a name of this test"));
        assert_eq!((number_of_name(Some("a name of this test")), number > OTHER_NAMES), (number, true));
        assert_eq!(name_of_number(number), Some("a name of this test"));
        for other in 0..NAMES * 2 {
            assert_ne!(number_of_name(Some(&format!("{other}"))), number);
        }
        assert_eq!(number_of_name(Some("late")), OTHER_NAMES);
        assert_eq!(number_of_name(Some("a name of this test")), number);
    }

    #[test]
    fn running_threads_have_exclusive_numbers_until_none_is_left() {
        let barrier = std::sync::Barrier::new(EXCLUSIVE + 10);
        let numbers: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..EXCLUSIVE + 10)
                .map(|_| {
                    scope.spawn(|| {
                        let number = number();
                        barrier.wait();
                        assert_eq!(number, super::number());
                        number
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let mut exclusive: Vec<usize> = numbers.iter().copied().filter(|number| *number < EXCLUSIVE).collect();
        let count = exclusive.len();
        exclusive.sort_unstable();
        exclusive.dedup();
        assert_eq!(exclusive.len(), count, "{numbers:?}");
        assert!(numbers.iter().all(|number| *number < EXCLUSIVE + SHARED), "{numbers:?}");
        assert!(std::thread::spawn(number).join().is_ok_and(|number| number < EXCLUSIVE), "they are given back");
    }
}
