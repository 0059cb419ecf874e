//! The hook that runs on the receivers' threads.

use std::cell::Cell;
use std::sync::OnceLock;

static HOOK: OnceLock<fn()> = OnceLock::new();

thread_local! {
    static HAS_RUN: Cell<bool> = const { Cell::new(false) };
}

/// Runs `hook` once on each thread of each receiver in this process, before that thread handles its next request.
///
/// A program that logs what it sends can recognize the receiver's threads by it, and leave out what is logged there. The
/// first hook stays; later calls are ignored.
pub fn on_thread_start(hook: fn()) {
    let _first_one_stays = HOOK.set(hook);
}

/// Runs the hook unless it has run on this thread.
pub(crate) fn run_hook() {
    if let Some(hook) = HOOK.get()
        && !HAS_RUN.replace(true)
    {
        hook();
    }
}
