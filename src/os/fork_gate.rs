//! Delays forks while a thread holds a foreign lock, such as that of an application's writer.
//!
//! The copy of such a thread does not exist in the child, so the child could never take the lock.
//!
//! * A fork waits for a limited time, because a writer may be stuck forever.
//! * A thread that forks inside the gate does not wait for itself.
//! * Forks by raw system calls do not wait.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Maximum time that a fork waits for threads, and that threads wait for a fork.
const MAX_WAIT: Duration = Duration::from_millis(100);

/// Counts the threads inside the gate and those about to fork.
struct ForkGate {
    inside: AtomicUsize,
    forking: AtomicUsize,
}

static FORK_GATE: ForkGate = ForkGate { inside: AtomicUsize::new(0), forking: AtomicUsize::new(0) };

thread_local! {
    /// Nesting depth of this thread. Has no destructor, so it can be used in destructors.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

fn wait_until(done: impl Fn() -> bool) {
    let since = Instant::now();
    while !done() && since.elapsed() < MAX_WAIT {
        std::thread::yield_now();
    }
}

/// Returns this thread's share of `inside`.
fn own_count() -> usize {
    usize::from(DEPTH.get() > 0)
}

struct Leave<'a>(&'a ForkGate);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            self.0.inside.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl ForkGate {
    fn run<T>(&self, run: impl FnOnce() -> T) -> T {
        if DEPTH.get() == 0 {
            self.inside.fetch_add(1, Ordering::SeqCst);
            if self.forking.load(Ordering::SeqCst) > 0 {
                // Forks have priority: otherwise, alternating writers could delay them every time.
                self.inside.fetch_sub(1, Ordering::SeqCst);
                wait_until(|| self.forking.load(Ordering::SeqCst) == 0);
                self.inside.fetch_add(1, Ordering::SeqCst);
            }
        }
        DEPTH.set(DEPTH.get() + 1);
        let _leave = Leave(self);
        run()
    }

    fn before(&self) {
        self.forking.fetch_add(1, Ordering::SeqCst);
        wait_until(|| self.inside.load(Ordering::SeqCst) <= own_count());
    }

    fn after(&self) {
        self.forking.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) fn run<T>(run: impl FnOnce() -> T) -> T {
    FORK_GATE.run(run)
}

pub(super) extern "C" fn before_fork() {
    FORK_GATE.before();
}

pub(super) extern "C" fn after_in_parent() {
    FORK_GATE.after();
}

/// Resets the counts in a forked child, where only the current thread exists.
pub(super) fn begin_child() {
    FORK_GATE.forking.store(0, Ordering::SeqCst);
    FORK_GATE.inside.store(own_count(), Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn a_fork_waits_for_other_threads_but_not_for_its_own_or_forever() {
        let turns = ForkGate { inside: AtomicUsize::new(0), forking: AtomicUsize::new(0) };
        let since = Instant::now();
        turns.run(|| turns.run(|| turns.before()));
        assert!(since.elapsed() < MAX_WAIT, "its own thread is inside");
        turns.after();
        let (inside, done) = (Barrier::new(2), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                turns.run(|| {
                    inside.wait();
                    while turns.forking.load(Ordering::SeqCst) == 0 {
                        std::thread::yield_now();
                    }
                    done.store(true, Ordering::SeqCst);
                });
            });
            inside.wait();
            turns.before();
            assert!(done.load(Ordering::SeqCst));
            // A thread waits for the fork, but not forever.
            let since = Instant::now();
            turns.run(|| assert!(since.elapsed() >= MAX_WAIT));
            turns.after();
        });
        assert_eq!((turns.inside.into_inner(), turns.forking.into_inner()), (0, 0));
    }
}
