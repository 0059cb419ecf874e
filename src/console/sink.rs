//! The destinations of console lines. Each line is one write, under a lock.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{ConsoleTarget, Pipe};
use crate::os::{self, Stream};
use crate::output;

/// Keeps lines of different threads apart. Each process in a chain of forks has its own lock, because in a child the
/// parent's lock may be held by a thread that does not exist there.
static LINE_LOCKS: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];

fn lock_lines() -> Option<MutexGuard<'static, ()>> {
    let lock = LINE_LOCKS.get(os::fork_generation() as usize % LINE_LOCKS.len())?;
    Some(lock.lock().unwrap_or_else(PoisonError::into_inner))
}

thread_local! {
    /// Whether this thread runs a writer of the application.
    static IN_CUSTOM_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// A destination of whole lines.
#[derive(Clone, Debug)]
pub(super) enum Sink {
    Custom(CustomWriter),
    Stream(Stream),
    /// Uses `print!` and `eprint!`, which the test harness captures.
    Test(Stream),
}

#[derive(Clone)]
pub(super) struct CustomWriter(Arc<Pipe>);

impl std::fmt::Debug for CustomWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CustomWriter")
    }
}

impl Sink {
    /// Returns `None` if the console is off.
    pub(super) fn new(target: &ConsoleTarget, is_test: bool) -> Option<Self> {
        let stream = |stream| if is_test { Self::Test(stream) } else { Self::Stream(stream) };
        match target {
            ConsoleTarget::Off => None,
            ConsoleTarget::Pipe(pipe) => Some(Self::Custom(CustomWriter(Arc::clone(pipe)))),
            ConsoleTarget::Stderr => Some(stream(Stream::Stderr)),
            ConsoleTarget::Stdout => Some(stream(Stream::Stdout)),
        }
    }

    /// Writes lines without blocking for long. Lines that a stream does not take at once are queued.
    pub(super) fn write_or_queue(&self, lines: String) -> io::Result<()> {
        match self {
            Self::Stream(stream) => output::write(*stream, lines),
            Self::Custom(_) | Self::Test(_) => self.write_all(lines.as_bytes()),
        }
    }

    /// Writes lines, and waits until the stream takes them.
    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => {
                let _lines_stay_whole = lock_lines();
                os::write_all(*stream, bytes)
            }
            Self::Custom(CustomWriter(writer)) => {
                IN_CUSTOM_WRITER.set(true);
                let _guard = CustomWriterGuard;
                writer.write_all(bytes)
            }
            Self::Test(stream) => {
                print_for_tests(*stream, &String::from_utf8_lossy(bytes));
                Ok(())
            }
        }
    }
}

/// Returns whether this thread runs a writer of the application. A log call in it must not wait for the writer.
pub(crate) fn is_in_custom_writer() -> bool {
    IN_CUSTOM_WRITER.get()
}

/// Clears the mark of the thread, even if the writer panics.
struct CustomWriterGuard;

impl Drop for CustomWriterGuard {
    fn drop(&mut self) {
        IN_CUSTOM_WRITER.set(false);
    }
}

#[allow(clippy::print_stderr, clippy::print_stdout)] // The test harness captures only these.
fn print_for_tests(stream: Stream, text: &str) {
    match stream {
        Stream::Stderr => eprint!("{text}"),
        Stream::Stdout => print!("{text}"),
    }
}
