//! What a fork waits for: a thread that is in the middle of something which its copy in the child could never finish, with
//! a lock of somebody else's in its hands.
//!
//! Constraints:
//! * A fork waits for a moment at most, and then happens all the same: a writer may be stuck for ever.
//! * Who forks inside of such a thing does not wait for itself.
//! * Forks that the C library does not know of wait for nothing.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::fork_generation;

/// How long a fork waits for others, and others for a fork.
const MAX_WAIT: Duration = Duration::from_millis(100);

/// Who is inside, and who wants to fork.
struct ForkGate {
    /// Threads that are inside.
    inside: AtomicUsize,
    /// Threads that are about to fork.
    forking: AtomicUsize,
}

static FORK_GATE: ForkGate = ForkGate { inside: AtomicUsize::new(0), forking: AtomicUsize::new(0) };

thread_local! {
    /// How deep this thread stands inside. Without a destructor, so that it works in one.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

fn wait_until(done: impl Fn() -> bool) {
    let since = Instant::now();
    while !done() && since.elapsed() < MAX_WAIT {
        std::thread::yield_now();
    }
}

/// Of this thread.
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
                // Who forks goes first: otherwise, threads that write in turn would never let it.
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

pub(super) fn without_forks<T>(run: impl FnOnce() -> T) -> T {
    // In a child whose fork was not counted yet, the number is that of the parent's threads.
    fork_generation();
    FORK_GATE.run(run)
}

pub(super) extern "C" fn before_fork() {
    FORK_GATE.before();
}

pub(super) extern "C" fn after_in_parent() {
    FORK_GATE.after();
}

/// Only this thread is left.
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
    fn a_fork_waits_for_others_and_not_for_itself_and_not_for_ever() {
        let turns = ForkGate { inside: AtomicUsize::new(0), forking: AtomicUsize::new(0) };
        let since = Instant::now();
        turns.run(|| turns.run(|| turns.before()));
        assert!(since.elapsed() < MAX_WAIT, "it stands inside itself");
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
            // And this one waits for the fork, but not for ever.
            let since = Instant::now();
            turns.run(|| assert!(since.elapsed() >= MAX_WAIT));
            turns.after();
        });
        assert_eq!((turns.inside.into_inner(), turns.forking.into_inner()), (0, 0));
    }
}
