//! The thread that does what a signal asks for: a handler may neither lock nor wait.

use std::io;
use std::panic::catch_unwind;

use crate::os::{self, CaughtSignals, SignalRequest};

/// What comes after the flush.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum After {
    /// The process dies by the signal.
    End,
    /// It goes on, or ends in a way of its own.
    Life,
}

/// What is done for signals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deeds {
    /// For SIGTERM and SIGINT.
    pub(crate) flush: fn(After),
    /// For SIGUSR1.
    pub(crate) report: fn(),
}

/// From now on, these signals are answered by deeds. Where others are in this process already, their thread does it.
///
/// The thread is not marked as one of our own: what it flushes is the application's, processors included. It inherits the
/// signal mask of the caller, so that a signal which the application waits for with `sigwait` is not taken from it.
pub(crate) fn watch_signals(caught: CaughtSignals, deeds: Deeds) -> io::Result<()> {
    if os::begin_signal_watch()? {
        let spawned = std::thread::Builder::new().name("logbridge-signals".to_owned()).spawn(move || {
            loop {
                match os::wait_for_signal() {
                    SignalRequest::Flush => quietly(|| (deeds.flush)(After::Life)),
                    SignalRequest::Report => quietly(deeds.report),
                    SignalRequest::End(signal) => {
                        quietly(|| (deeds.flush)(After::End));
                        os::die_by_signal(signal);
                    }
                }
            }
        });
        if let Err(error) = spawned {
            os::abort_signal_watch();
            return Err(error);
        }
    }
    os::catch_signals(caught)
}

/// Whatever happens in it, the signal is not lost: the panic hook has told it.
fn quietly(deed: impl Fn() + std::panic::UnwindSafe) {
    let _panicked = catch_unwind(deed);
}
