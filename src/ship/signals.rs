//! The thread that does what a signal asks for: a handler may neither lock nor wait.

use std::io;
use std::panic::catch_unwind;

use crate::os::{self, SignalWish};

/// What comes after the flush.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum After {
    /// The process dies by the signal.
    End,
    /// It goes on, or ends in a way of its own.
    Life,
}

/// From now on, SIGTERM and SIGINT flush. Does nothing where they do so in this process already.
///
/// The thread is not marked as one of our own: what it flushes is the application's, processors included. It inherits the
/// signal mask of the caller, so that a signal which the application waits for with `sigwait` is not taken from it.
pub(crate) fn watch_signals(flush: fn(After)) -> io::Result<()> {
    if !os::begin_watching()? {
        return Ok(());
    }
    let spawned = std::thread::Builder::new().name("logbridge-signals".to_owned()).spawn(move || {
        loop {
            match os::await_signal() {
                SignalWish::Flush => quietly(flush, After::Life),
                SignalWish::End(signal) => {
                    quietly(flush, After::End);
                    os::end_by(signal);
                }
            }
        }
    });
    match spawned {
        Ok(_runs_for_ever) => {
            os::catch_signals();
            Ok(())
        }
        Err(error) => {
            os::give_up_watching();
            Err(error)
        }
    }
}

/// Whatever happens in it, the signal is not lost: the panic hook has told it.
fn quietly(flush: fn(After), after: After) {
    let _panicked = catch_unwind(|| flush(after));
}
