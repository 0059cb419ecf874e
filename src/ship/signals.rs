//! The thread that does what a signal asks for: a handler may neither lock nor wait.

use std::io;
use std::panic::catch_unwind;

use crate::os::{self, CaughtSignals, SignalRequest};

/// What comes after the flush.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AfterSignal {
    /// The process dies by the signal.
    Terminate,
    /// It goes on, or ends in a way of its own.
    Continue,
}

/// What is done for signals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignalActions {
    /// For SIGTERM and SIGINT.
    pub(crate) flush: fn(AfterSignal),
    /// For SIGUSR1.
    pub(crate) report: fn(),
}

/// From now on, these signals are answered by actions. Where others are in this process already, their thread does it.
///
/// The thread is not marked as one of our own: what it flushes is the application's, processors included. It inherits the
/// signal mask of the caller, so that a signal which the application waits for with `sigwait` is not taken from it.
pub(crate) fn watch_signals(caught: CaughtSignals, actions: SignalActions) -> io::Result<()> {
    if os::begin_signal_watch()? {
        let spawned = std::thread::Builder::new().name("logbridge-signals".to_owned()).spawn(move || {
            loop {
                match os::wait_for_signal() {
                    SignalRequest::Flush => run_catching(|| (actions.flush)(AfterSignal::Continue)),
                    SignalRequest::Report => run_catching(actions.report),
                    SignalRequest::End(signal) => {
                        run_catching(|| (actions.flush)(AfterSignal::Terminate));
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
fn run_catching(action: impl Fn() + std::panic::UnwindSafe) {
    let _panicked = catch_unwind(action);
}
