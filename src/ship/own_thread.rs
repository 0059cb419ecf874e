//! Runs tasks on the crate's own threads.

use std::time::{Duration, Instant};

use crate::{os, thread};

/// The name of the threads, as debuggers and `top -H` show it.
pub(super) const THREAD_NAME: &str = "logbridge";
/// How long a forked child waits for a lock that its parent may have left locked forever.
const CHILD_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a task on one of the crate's own threads and waits for it.
///
/// tracing's caches may only be rebuilt on a thread without a scoped subscriber. No thread of the application can
/// guarantee that.
pub(crate) fn on_own_thread(task: fn()) {
    let spawned = std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
        thread::mark_internal();
        task();
    });
    match spawned {
        // The panic hook has printed a panic of the task.
        Ok(thread) if os::fork_generation() == 0 => drop(thread.join()),
        // A fork that bypassed the C library did not wait for the parent's threads, which may have held locks of
        // tracing.
        Ok(thread) => {
            let since = Instant::now();
            while !thread.is_finished() && since.elapsed() < CHILD_TIMEOUT {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        Err(_no_thread) => task(),
    }
}

/// Runs a function on one of the crate's own threads and returns its result. Returns `None` if no thread can be
/// started, or if the function panics.
pub(crate) fn ask_own_thread<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let spawned = std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
        thread::mark_internal();
        ask()
    });
    spawned.ok()?.join().ok()
}

/// Like [`ask_own_thread`], for a function that runs application code. Returns `None` also after `timeout`.
pub(crate) fn ask_own_thread_within<T: Send + 'static>(
    timeout: Duration,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (answer, wait) = std::sync::mpsc::channel();
    let spawned = std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
        thread::mark_internal();
        let _nobody_waits = answer.send(ask());
    });
    spawned.ok()?;
    wait.recv_timeout(timeout).ok()
}

/// Runs a task on one of the crate's own threads without waiting for it. Does nothing if no thread can be started.
pub(crate) fn soon_on_own_thread(task: fn()) {
    let _spawned = std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
        thread::mark_internal();
        task();
    });
}

/// Runs a task of the application on another thread, and waits for it no longer than `timeout`.
pub(crate) fn run_with_timeout(task: impl FnOnce() + Send + 'static, timeout: Duration) {
    let (done, wait) = std::sync::mpsc::channel();
    let spawned = std::thread::Builder::new().name("logbridge-closer".to_owned()).spawn(move || {
        task();
        let _nobody_waits = done.send(());
    });
    if spawned.is_ok() {
        let _done_or_late = wait.recv_timeout(timeout);
    }
}
