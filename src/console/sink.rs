//! Where lines go: one write a line, under a lock of our own.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{ConsoleTarget, Pipe};
use crate::os::{self, Stream};
use crate::output;

/// Lines of different threads must not mix. Each process of a chain of forks has a lock of its own: the parent's may be
/// held, in the child's memory, by a thread that does not exist there.
static OUTPUT: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];

fn lock_lines() -> Option<MutexGuard<'static, ()>> {
    let lock = OUTPUT.get(os::fork_generation() as usize % OUTPUT.len())?;
    Some(lock.lock().unwrap_or_else(PoisonError::into_inner))
}

thread_local! {
    /// This thread stands inside a writer of the application's.
    static IN_CUSTOM_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// Something that takes whole lines.
#[derive(Clone, Debug)]
pub(super) enum Sink {
    Pipe(CustomWriter),
    Stream(Stream),
    /// Through `print!` and `eprint!`, which the test harness captures.
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
    /// `None` where the console is off.
    pub(super) fn new(target: &ConsoleTarget, is_test: bool) -> Option<Self> {
        let stream = |stream| if is_test { Self::Test(stream) } else { Self::Stream(stream) };
        match target {
            ConsoleTarget::Off => None,
            ConsoleTarget::Pipe(pipe) => Some(Self::Pipe(CustomWriter(Arc::clone(pipe)))),
            ConsoleTarget::Stderr => Some(stream(Stream::Stderr)),
            ConsoleTarget::Stdout => Some(stream(Stream::Stdout)),
        }
    }

    /// Writes lines that may hold nobody: what the stream does not take in a moment waits for it.
    pub(super) fn hand_over(&self, lines: String) -> io::Result<()> {
        match self {
            Self::Stream(stream) => output::write(*stream, lines),
            Self::Pipe(_) | Self::Test(_) => self.write_all(lines.as_bytes()),
        }
    }

    /// Writes lines, and waits for whoever reads them.
    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => {
                let _lines_stay_whole = lock_lines();
                os::write_all(*stream, bytes)
            }
            Self::Pipe(CustomWriter(pipe)) => {
                IN_CUSTOM_WRITER.set(true);
                let _left = LeavePipe;
                pipe.write_all(bytes)
            }
            Self::Test(stream) => {
                print_for_tests(*stream, &String::from_utf8_lossy(bytes));
                Ok(())
            }
        }
    }
}

/// Whether this thread stands inside a writer of the application's: one that logs would wait for itself.
pub(crate) fn is_in_custom_writer() -> bool {
    IN_CUSTOM_WRITER.get()
}

/// Leaves the application's writer, also when it panics.
struct LeavePipe;

impl Drop for LeavePipe {
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
