//! System calls that the standard library lacks: nonblocking writes, `atexit`, forks, file mappings and signals.
//!
//! This is the only module with unsafe code, except for the span gate of `telemetry`.
//!
//! * Everything here may run in `atexit` handlers and thread-local destructors. It therefore uses no thread-local with
//!   a destructor, no `std::thread::current()`, and no lock that application code may hold.
//! * A platform that lacks a facility gets a version that does less and documents this.

#[cfg(all(test, not(logbridge_loom)))]
pub(crate) mod allocations;
#[cfg(unix)]
mod directory;
#[cfg(unix)]
mod fork_gate;
#[cfg(unix)]
mod forks;
#[cfg(not(unix))]
#[path = "other_forks.rs"]
mod forks;
#[cfg(unix)]
#[path = "unix.rs"]
mod imp;
#[cfg(not(unix))]
#[path = "other.rs"]
mod imp;
#[cfg(unix)]
mod mapping;
#[cfg(not(unix))]
#[path = "other_mapping.rs"]
mod mapping;
mod per_process;
#[cfg(unix)]
#[path = "unix_signals.rs"]
mod signals;
#[cfg(not(unix))]
#[path = "other_signals.rs"]
mod signals;
mod types;

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::Duration;

#[cfg(all(test, unix))]
pub(crate) use directory::calls;
#[cfg(unix)]
pub use directory::open_named;
#[cfg(unix)]
pub(crate) use directory::{Directory, effective_user, facts_of, kind_of};
pub(crate) use mapping::is_locked;
#[cfg(not(unix))]
pub use mapping::open_named;
#[cfg(not(unix))]
pub(crate) use mapping::{Directory, effective_user, facts_of, kind_of};
pub(crate) use mapping::{Mapping, lock, reserve};
pub(crate) use per_process::{OnceBox, OnceRef, PerProcess};
pub(crate) use types::{CaughtSignals, FileFacts, FileId, SignalRequest, Stream};

/// Writes all bytes to a stream, waiting as long as necessary.
///
/// Bypasses std's handles: they hide a closed descriptor (`EBADF`), and a thread that is exiting may hold their lock.
pub(crate) fn write_all(stream: Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match imp::write(stream, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            // The terminal may be nonblocking. Waits for space instead of losing the line.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !imp::wait_writable(stream, Duration::from_secs(1)) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes some of the bytes, waiting as long as necessary, and returns their number.
pub(crate) fn write(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    imp::write(stream, bytes)
}

/// Writes as many bytes as possible without waiting for a reader, and returns their number.
///
/// # Errors
///
/// Returns `WouldBlock` if nothing can be written at once, or if the system cannot guarantee not to wait.
pub(crate) fn write_nonblocking(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    imp::write_nonblocking(stream, bytes)
}

/// Waits until the stream accepts bytes or has failed. Returns `false` after the timeout.
///
/// Another writer may use up the space before the next write.
pub(crate) fn wait_writable(stream: Stream, timeout: Duration) -> bool {
    imp::wait_writable(stream, timeout)
}

/// Returns the stream that writes to this file, if any.
pub(crate) fn stream_of(file: &Metadata) -> Option<Stream> {
    imp::stream_of(file)
}

/// Opens an existing file, device or pipe for writing. Neither opening nor writing blocks.
pub(crate) fn open_nonblocking(path: &Path) -> io::Result<File> {
    imp::open_nonblocking(path)
}

/// Returns whether stdout and stderr are the same device and file, such as one terminal or `2>&1`.
pub(crate) fn stdout_is_stderr() -> bool {
    imp::stdout_is_stderr()
}

/// Registers a handler that runs after `main` returns and in `std::process::exit`. Returns whether that succeeded.
///
/// A handler may register another one, which then runs after it.
pub(crate) fn at_exit(handler: extern "C" fn()) -> bool {
    imp::at_exit(handler)
}

/// Returns the number of forks between the first process and this one.
#[inline]
pub(crate) fn fork_generation() -> u64 {
    forks::fork_generation()
}

/// Returns bytes that differ between a process, its forked children and their siblings. They are zero in the first
/// process.
///
/// A fork copies the state of random number generators, so unique ids are combined with these bytes.
pub(crate) fn fork_salt() -> [u8; 16] {
    forks::fork_salt()
}

/// Enables fork detection. Before this call, [`fork_generation`] does not notice forks. Idempotent.
pub(crate) fn watch_forks() {
    forks::watch_forks();
}

/// Runs a closure while delaying forks for a limited time.
///
/// This protects work that a forked child could not continue. Only forks by the C library are delayed. A fork inside
/// the closure does not wait for itself.
pub(crate) fn without_forks<T>(run: impl FnOnce() -> T) -> T {
    forks::without_forks(run)
}

/// A file descriptor that no other code has a reason to close.
///
/// If it was closed, some code has closed descriptors that it does not own, and other descriptors of logbridge are
/// probably closed too.
#[derive(Debug)]
pub(crate) struct DescriptorSentinel(imp::DescriptorSentinel);

impl DescriptorSentinel {
    pub(crate) fn new() -> Self {
        Self(imp::DescriptorSentinel::new())
    }

    /// Returns whether other code has closed the descriptor, even if its number is in use again.
    pub(crate) fn was_closed(&self) -> bool {
        self.0.was_closed()
    }
}

/// Allocates the pages of this memory with a single system call, if possible.
///
/// Otherwise, the first write to each page allocates it, which costs several times as much.
pub(crate) fn populate(memory: &mut [std::mem::MaybeUninit<u8>]) {
    imp::populate(memory);
}

/// Returns the size of a memory page in bytes.
pub(crate) fn page_size() -> usize {
    imp::page_size()
}

/// Returns whether a process with this id is running. Processes of other containers are not visible.
pub fn is_running(pid: u32) -> bool {
    imp::is_running(pid)
}

/// Sends a signal to a process. Returns whether that succeeded.
pub fn send_signal(pid: u32, signal: i32) -> bool {
    imp::send_signal(pid, signal)
}

/// Returns whether the terminal sends the signals of its keys, such as ^C, to this process and its children.
pub fn is_in_foreground() -> bool {
    imp::is_in_foreground()
}

/// Returns the start time of a process in a system-specific unit.
///
/// It distinguishes processes that had the same id at different times, and `exec` does not change it. Returns `None` if
/// there is no such process or the system does not report the time.
pub(crate) fn process_started(pid: u32) -> Option<u64> {
    imp::process_started(pid)
}

/// Returns the name of the host, if the system reports it.
pub(crate) fn host_name() -> Option<String> {
    imp::host_name()
}

/// Prepares for catching signals, on any thread.
///
/// Returns `false` if this process has a watcher thread already, or is about to start one. Otherwise, the caller starts
/// a thread that calls [`wait_for_signal`] in a loop, and then calls [`catch_signals`].
pub(crate) fn begin_signal_watch() -> io::Result<bool> {
    signals::begin_signal_watch()
}

/// Reverts [`begin_signal_watch`] if the watcher thread could not be started.
pub(crate) fn abort_signal_watch() {
    signals::abort_signal_watch();
}

/// Installs the signal handlers. Ignored signals stay ignored.
///
/// # Errors
///
/// Returns an error if the application handles SIGUSR1 itself.
pub(crate) fn catch_signals(caught: CaughtSignals) -> io::Result<()> {
    signals::catch_signals(caught)
}

/// Waits for a signal, on the watcher thread.
pub(crate) fn wait_for_signal() -> SignalRequest {
    signals::wait_for_signal()
}

/// Ends the process by this signal, as if it had not been caught.
pub(crate) fn die_by_signal(signal: i32) {
    signals::die_by_signal(signal);
}
