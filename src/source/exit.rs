//! Tracks whether the process is ending, and whether the exit handler must run again.
//!
//! The handler itself is in `lifecycle.rs`. Records that are logged after it has run register it again.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::os;

/// What runs at the end of the process.
pub(super) type ExitHandler = extern "C" fn();

/// The exit handler has begun to run.
static EXITING: AtomicBool = AtomicBool::new(false);
/// The handler is registered and has not run yet.
static ARMED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This thread ends the process.
    static EXITS_HERE: Cell<bool> = const { Cell::new(false) };
    /// The exit handler runs on this thread. Records that the handler itself causes (an allocator that logs, a panic)
    /// must not make it run again.
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

/// Registers the handler, unless it is registered and has not run yet.
pub(super) fn arm(handler: ExitHandler) {
    if !ARMED.swap(true, Ordering::Relaxed) {
        os::at_exit(handler);
    }
}

/// Registers the handler again if an exit handler of the application logs a record after logbridge's handler has
/// flushed.
///
/// Other threads that keep logging must not keep the process from ending, so they do not register it.
#[inline]
pub(super) fn arm_if_exiting(handler: ExitHandler) {
    if EXITING.load(Ordering::Relaxed) && EXITS_HERE.get() && !IN_HANDLER.get() {
        arm(handler);
    }
}

/// Returns whether this thread is ending the process, in an exit handler.
pub(crate) fn is_exiting_here() -> bool {
    EXITS_HERE.get()
}

/// Runs the work of the exit handler.
pub(super) fn in_handler(work: impl FnOnce()) {
    EXITS_HERE.set(true);
    IN_HANDLER.set(true);
    EXITING.store(true, Ordering::Relaxed);
    ARMED.store(false, Ordering::Relaxed);
    work();
    IN_HANDLER.set(false);
}
