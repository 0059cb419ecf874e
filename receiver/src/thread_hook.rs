//! The hook that runs on the threads of all receivers.

use std::cell::Cell;
use std::sync::OnceLock;

static HOOK: OnceLock<fn()> = OnceLock::new();

thread_local! {
    static HAS_RUN: Cell<bool> = const { Cell::new(false) };
}

/// Runs `hook` once on each thread of each receiver in this process, before that thread handles its next request.
///
/// A program that exports its own logs can mark the receiver's threads, and exclude records logged there. Only the
/// first hook of the process is used; later calls are ignored.
pub fn on_thread_start(hook: fn()) {
    let _ignored_if_set = HOOK.set(hook);
}

/// Runs the hook unless it has run on this thread.
pub(crate) fn run_hook() {
    if let Some(hook) = HOOK.get()
        && !HAS_RUN.replace(true)
    {
        hook();
    }
}
