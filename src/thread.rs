//! What is known of the current thread without touching anything that a dying thread has lost: cells without
//! destructors, which work in thread-local destructors and in `atexit`.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static DEPTH: Cell<u8> = const { Cell::new(0) };
    /// The number that the thread had until it gave it back.
    static FORMER: Cell<usize> = const { Cell::new(usize::MAX) };
    static CATCHES_PANIC: Cell<bool> = const { Cell::new(false) };
    static IN_SPAN_PROCESSOR: Cell<bool> = const { Cell::new(false) };
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    static EXPECTS_PANIC: Cell<bool> = const { Cell::new(false) };
    static NUMBER_GUARD: NumberGuard = const { NumberGuard };
}

/// How deep a log call may stand inside the formatting of another one.
const MAX_DEPTH: u8 = 4;

/// Marks the current thread as one of the crate's own: its records are never the application's.
pub(crate) fn mark_internal() {
    NUMBER.set(INTERNAL);
}

/// Whether this is one of the crate's own threads.
#[inline]
pub(crate) fn is_internal() -> bool {
    NUMBER.get() == INTERNAL
}

/// How many threads at a time have a number that no other living thread has.
pub(crate) const EXCLUSIVE: usize = 60;
/// How many numbers the other threads share.
pub(crate) const SHARED: usize = 4;
/// The number of the crate's own threads, which share it.
pub(crate) const INTERNAL: usize = EXCLUSIVE + SHARED;
/// How many numbers there are.
pub(crate) const NUMBERS: usize = INTERNAL + 1;

/// A small number of the thread, below [`NUMBERS`]; [`INTERNAL`] where it is one of the crate's own.
///
/// Below [`EXCLUSIVE`] no other thread has it while this one lives, so that its counters need no atomic addition.
#[inline]
pub(crate) fn number() -> usize {
    let number = NUMBER.get();
    if number == usize::MAX { assign_number() } else { number }
}

#[cold]
fn assign_number() -> usize {
    // A thread that is ending could not give an exclusive number back.
    let number = match NUMBER_GUARD.try_with(|_| ()) {
        Ok(()) => take_exclusive().unwrap_or_else(shared_number),
        Err(_) => shared_number(),
    };
    NUMBER.set(number);
    number
}

/// Which shard of the outbox the thread with this number writes to: the same to its end, so that its records stay in order,
/// also after it has given its number back.
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

/// Numbers that were given back. Its lock may have been held elsewhere when the process was forked: nobody waits for it.
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
        // Records that are written after this, in later destructors, are counted under a shared number. The lock hands
        // what was counted over to the next owner; where it is held, the number is not used again.
        NUMBER.set(shared_number());
        FORMER.set(number);
        if let Ok(mut returned) = RETURNED.try_lock() {
            returned.push(number);
        }
    }
}

/// Runs code of the application (`Display`, processors): a panic in it must not come out of a log call.
pub(crate) fn catch_panic<T>(run: impl FnOnce() -> T) -> Option<T> {
    let outer = CATCHES_PANIC.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run)).ok();
    CATCHES_PANIC.set(outer);
    result
}

/// Runs something that panics where it finds a dead thread-local or a closed descriptor, which is expected and nobody's
/// business: the panic hook stays silent.
pub(crate) fn catch_expected_panic<T>(run: impl FnOnce() -> T) -> Option<T> {
    let outer = EXPECTS_PANIC.replace(true);
    let result = catch_panic(run);
    EXPECTS_PANIC.set(outer);
    result
}

/// Runs a span processor of the application.
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

/// Whether this thread stands inside a span processor of the application.
pub(crate) fn is_in_span_processor() -> bool {
    IN_SPAN_PROCESSOR.get()
}

/// Whether a panic on this thread is one that is expected.
pub(crate) fn expects_panic() -> bool {
    EXPECTS_PANIC.get()
}

/// Whether a panic on this thread is caught by the crate, and ends nothing.
pub(crate) fn catches_panic() -> bool {
    CATCHES_PANIC.get()
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

/// Whether the log call that is in progress on this thread stands inside another one.
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
    fn calls_nest_so_deep_and_no_deeper() {
        let calls: Vec<_> = std::iter::from_fn(Call::enter).collect();
        assert_eq!(calls.len(), usize::from(MAX_DEPTH));
        drop(calls);
        assert!(Call::enter().is_some());
    }

    #[test]
    fn living_threads_have_numbers_of_their_own_until_there_are_none_left() {
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
