//! The few things the standard library does not offer: raw writes that report their errors, `atexit`, the fork handler,
//! and signals. The only module with `unsafe` code.
//!
//! Constraints:
//! * Everything here may run in `atexit` or in a thread-local destructor: no thread-local with a destructor, no
//!   `std::thread::current()`, no lock that user code may hold.
//! * A platform without a facility gets a version that does less and says so in its docs, never one that lies.

#[cfg(all(test, not(logbridge_loom)))]
pub(crate) mod allocations;
#[cfg(unix)]
mod directory;
#[cfg(unix)]
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
#[path = "no_mapping.rs"]
mod mapping;
mod per_process;
#[cfg(unix)]
#[path = "unix_signals.rs"]
mod signals;
#[cfg(not(unix))]
#[path = "other_signals.rs"]
mod signals;

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

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
pub(crate) use mapping::{Mapping, lock, page_size, reserve};
pub(crate) use per_process::{PerProcess, Placed};

/// Which file it is, whatever its name is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FileFacts {
    pub(crate) id: FileId,
    /// What it is, in words.
    pub(crate) kind: &'static str,
    /// The user that it belongs to.
    pub(crate) owner: u32,
    /// How many names it has.
    pub(crate) links: u64,
    pub(crate) length: u64,
    /// Who may do what with it.
    pub(crate) mode: u32,
    /// When it was changed last, to the second.
    pub(crate) modified: SystemTime,
}

impl FileFacts {
    const REGULAR: &str = "a regular file";

    pub(crate) fn is_regular(&self) -> bool {
        self.kind == Self::REGULAR
    }
}

/// One of the two standard output streams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stream {
    Stderr,
    Stdout,
}

/// Writes all bytes to the stream, past std's own lock and buffer, however long it takes.
///
/// std's handles hide a closed descriptor (`EBADF`) and their lock may be held by a thread that is exiting.
pub(crate) fn write_all(stream: Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match imp::write(stream, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            // Somebody made the terminal non-blocking: wait for room instead of losing the line.
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

/// Writes some of the bytes, however long it takes. Returns how many.
pub(crate) fn write(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    imp::write(stream, bytes)
}

/// Writes what can be written without waiting for a reader. Returns how many bytes that was, or `WouldBlock` where it is
/// none, or where the system cannot promise not to wait.
pub(crate) fn write_at_once(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
    imp::write_at_once(stream, bytes)
}

/// Waits until the stream has room, or has failed. Returns whether it has. Another writer may take the room.
pub(crate) fn wait_writable(stream: Stream, timeout: Duration) -> bool {
    imp::wait_writable(stream, timeout)
}

/// Which of the streams goes to this file, if one does.
pub(crate) fn stream_of(file: &Metadata) -> Option<Stream> {
    imp::stream_of(file)
}

/// Opens a file, device or pipe that exists, to be written without ever waiting: neither for a reader nor for room.
pub(crate) fn open_to_write(path: &Path) -> io::Result<File> {
    imp::open_to_write(path)
}

/// Whether stdout and stderr are the same device and file (one terminal, or `2>&1`).
pub(crate) fn stdout_is_stderr() -> bool {
    imp::stdout_is_stderr()
}

/// Registers a handler that runs on return from `main` and in `std::process::exit`.
///
/// A handler may register another one while it runs; it then runs after it. Returns whether that worked.
pub(crate) fn at_exit(handler: extern "C" fn()) -> bool {
    imp::at_exit(handler)
}

/// How many forks lie between the process that started and this one. 0 in the process that started.
#[inline]
pub(crate) fn fork_generation() -> u64 {
    imp::fork_generation()
}

/// Bytes that differ between a process and its forked children, and between these; zeros in the process that started.
///
/// Generators of random numbers live in memory that a fork copies: what has to be unique is mixed with this.
pub(crate) fn fork_salt() -> [u8; 16] {
    imp::fork_salt()
}

/// Asks to be told of forks: from then on [`fork_generation`] counts. Idempotent.
pub(crate) fn watch_forks() {
    imp::watch_forks();
}

/// Runs something that a forked child could not go on with: a fork by the C library waits for its end, but not for long.
/// A fork inside of it does not wait for itself.
pub(crate) fn without_forks<T>(run: impl FnOnce() -> T) -> T {
    imp::without_forks(run)
}

/// A descriptor that nobody else has a reason to close: whoever did has closed others of ours too.
#[derive(Debug)]
pub(crate) struct OwnDescriptor(imp::OwnDescriptor);

impl OwnDescriptor {
    pub(crate) fn new() -> Self {
        Self(imp::OwnDescriptor::new())
    }

    /// Whether it was closed behind our back, also where its number is that of another file by now.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_gone()
    }
}

/// Has the kernel give the pages of this memory now, all in one call, where it can: one at a time, as each is written
/// first, costs several times as much.
pub(crate) fn populate(memory: &mut [std::mem::MaybeUninit<u8>]) {
    imp::populate(memory);
}

/// Whether a process of this number lives, as far as this one can see: those of another container it cannot.
pub fn is_running(pid: u32) -> bool {
    imp::is_running(pid)
}

/// Sends a signal to a process. Returns whether that worked.
pub fn pass_signal(pid: u32, signal: i32) -> bool {
    imp::pass_signal(pid, signal)
}

/// Whether the terminal, where there is one, sends the signals of its keys (^C) to this process and its children.
pub fn is_in_foreground() -> bool {
    imp::is_in_foreground()
}

/// When the process of this number started, in a unit of the system's: another one with the same number has another time,
/// and `exec` does not change it. `None` where there is no such process, or nobody can tell.
pub(crate) fn process_started(pid: u32) -> Option<u64> {
    imp::process_started(pid)
}

/// The host's name, where the system tells it.
pub(crate) fn host_name() -> Option<String> {
    imp::host_name()
}

/// How many signals are caught: SIGTERM and SIGINT.
#[cfg(unix)]
const ENDING_SIGNALS: usize = 2;

/// Which signals are caught.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Caught {
    /// SIGTERM and SIGINT.
    Endings,
    /// SIGUSR1.
    Report,
}

/// What a signal that was caught asks of the thread that waits for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SignalWish {
    /// A handler of the application's deals with it; what is there is to be sent all the same.
    Flush,
    /// Somebody wants to know what became of the records.
    #[cfg_attr(not(unix), allow(dead_code))]
    Report,
    /// Nobody deals with it: the process is to end by this signal when what is there was sent.
    #[cfg_attr(not(unix), allow(dead_code))]
    End(i32),
}

/// The first step of catching signals, on any thread. `false` where a thread of this process waits for them already, or is
/// about to. Then start a thread that calls [`await_signal`] for ever, and at last call [`catch_signals`].
pub(crate) fn begin_watching() -> io::Result<bool> {
    signals::begin_watching()
}

/// There was no thread to be had.
pub(crate) fn give_up_watching() {
    signals::give_up_watching();
}

/// The last step: from here on these are caught, where they are not ignored. An error where the application handles SIGUSR1
/// itself.
pub(crate) fn catch_signals(caught: Caught) -> io::Result<()> {
    signals::catch_signals(caught)
}

/// Waits for a signal.
pub(crate) fn await_signal() -> SignalWish {
    signals::await_signal()
}

/// Ends the process by this signal, as if nobody had caught it.
pub(crate) fn end_by(signal: i32) {
    signals::end_by(signal);
}
