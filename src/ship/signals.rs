//! The thread that acts on signals, because a signal handler may neither lock nor wait.

use std::io;
use std::panic::catch_unwind;

use crate::os::{self, CaughtSignals, SignalRequest};

/// The behavior of the process after the flush.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AfterSignal {
    /// The signal terminates it.
    Terminate,
    /// It continues, or ends in its own way.
    Continue,
}

/// The actions for signals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignalActions {
    /// For SIGTERM and SIGINT.
    pub(crate) flush: fn(AfterSignal),
    /// For SIGUSR1.
    pub(crate) report: fn(),
}

/// Catches these signals and runs the actions on a thread. If this process already has such a thread, that one is used.
///
/// The thread is not marked as internal, because a flush runs the application's processors. It inherits the signal mask
/// of the caller, so that a signal that the application waits for with `sigwait` is not taken from it.
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

/// Runs an action and ignores a panic, which the panic hook has printed, so that later signals still work.
fn run_catching(action: impl Fn() + std::panic::UnwindSafe) {
    let _panicked = catch_unwind(action);
}
