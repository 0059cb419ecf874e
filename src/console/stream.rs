//! Where lines go: one write a line, under one lock of our own that is held over a fork.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::ConsoleTarget;
use crate::os::{self, Stream};

/// Lines of different threads must not mix, and a forked child must not inherit the lock from a thread that does not
/// exist there: std's own stream locks are not held over a fork.
static OUTPUT: Mutex<()> = Mutex::new(());

fn output() -> MutexGuard<'static, ()> {
    OUTPUT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds the lock over a fork.
pub(crate) mod fork {
    use std::cell::RefCell;
    use std::sync::MutexGuard;

    use super::output;

    thread_local! {
        static HELD: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
    }

    pub(crate) fn hold() {
        let guard = output();
        let _gone = HELD.try_with(|held| held.try_borrow_mut().map(|mut held| *held = Some(guard)));
    }

    pub(crate) fn release() {
        let _gone = HELD.try_with(|held| held.try_borrow_mut().map(|mut held| held.take()));
    }
}

/// Something that takes whole lines.
#[derive(Clone, Debug)]
pub(super) enum Sink {
    Pipe(PipeSink),
    Stream(Stream),
    /// Through `print!` and `eprint!`, which the test harness captures.
    Test(Stream),
}

#[derive(Clone)]
pub(super) struct PipeSink(Arc<Mutex<Box<dyn io::Write + Send>>>);

impl std::fmt::Debug for PipeSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PipeSink")
    }
}

impl Sink {
    /// `None` where the console is off.
    pub(super) fn new(target: &ConsoleTarget, is_test: bool) -> Option<Self> {
        let stream = |stream| if is_test { Self::Test(stream) } else { Self::Stream(stream) };
        match target {
            ConsoleTarget::Off => None,
            ConsoleTarget::Pipe(pipe) => Some(Self::Pipe(PipeSink(Arc::clone(pipe)))),
            ConsoleTarget::Stderr => Some(stream(Stream::Stderr)),
            ConsoleTarget::Stdout => Some(stream(Stream::Stdout)),
        }
    }

    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => {
                let _lines_stay_whole = output();
                os::write_all(*stream, bytes)
            }
            Self::Pipe(PipeSink(pipe)) => {
                let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
                pipe.write_all(bytes)?;
                pipe.flush()
            }
            Self::Test(stream) => {
                print_for_tests(*stream, &String::from_utf8_lossy(bytes));
                Ok(())
            }
        }
    }
}

#[allow(clippy::print_stderr, clippy::print_stdout)] // The test harness captures only these.
fn print_for_tests(stream: Stream, text: &str) {
    match stream {
        Stream::Stderr => eprint!("{text}"),
        Stream::Stdout => print!("{text}"),
    }
}
