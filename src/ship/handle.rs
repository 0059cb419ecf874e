//! The handle of the exporter thread: it starts the thread, wakes it, and waits for flushes.

use std::sync::Arc;
use std::time::Duration;

use super::control::{self, Control, WaitResult};
use super::exporter_thread::{self, ShipConfig};
use super::failure::Failure;
use super::own_thread::THREAD_NAME;
use crate::error::{Error, Kind, Undelivered};
use crate::outbox::{Outbox, SpanQueue, Spool};
use crate::signal::Signal;
use crate::thread;

/// How long the thread continues after its last handle is dropped.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a start waits until the thread has a runtime, which takes a fraction of a millisecond.
const START_TIMEOUT: Duration = Duration::from_millis(500);

/// A handle of the exporter thread. Dropping it stops nothing.
#[derive(Debug)]
pub(crate) struct Ship {
    signals: Vec<SignalHandle>,
    /// The worker for the spool. No flush waits for it.
    recovery: Option<RecoveryHandle>,
}

/// The control of one signal, for other threads.
#[derive(Debug)]
struct SignalHandle {
    control: Arc<Control>,
    queue: Queue,
}

#[derive(Debug)]
struct RecoveryHandle {
    control: Arc<Control>,
    spool: Arc<Spool>,
}

#[derive(Debug)]
enum Queue {
    Logs(Arc<Outbox>),
    Spans(Arc<SpanQueue>),
}

impl Queue {
    fn signal(&self) -> Signal {
        match self {
            Self::Logs(_) => Signal::Logs,
            Self::Spans(_) => Signal::Traces,
        }
    }

    fn seal(&self) -> u64 {
        match self {
            Self::Logs(outbox) => outbox.seal(),
            Self::Spans(queue) => queue.seal(),
        }
    }
}

/// How a flush ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Flushed {
    /// Everything accepted before the flush has an outcome, whichever it is.
    All,
    /// Something has no outcome yet.
    Not { timed_out: bool, failures: Vec<Failure> },
}

impl Ship {
    /// Starts the exporter thread.
    pub(crate) fn start(config: ShipConfig) -> Result<Self, Error> {
        let mut signals = Vec::new();
        if let Some((outbox, _)) = &config.logs {
            signals.push(SignalHandle { control: Arc::default(), queue: Queue::Logs(Arc::clone(outbox)) });
        }
        if let Some((queue, _)) = &config.spans {
            signals.push(SignalHandle { control: Arc::default(), queue: Queue::Spans(Arc::clone(queue)) });
        }
        let spool = config.logs.as_ref().and_then(|(outbox, _)| outbox.spool());
        let recovery = spool.map(|spool| RecoveryHandle { control: Arc::default(), spool: Arc::clone(spool) });
        let controls = signals.iter().map(|handle| &handle.control).chain(recovery.iter().map(|r| &r.control));
        let controls: Vec<_> = controls.map(Arc::clone).collect();
        std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                thread::mark_internal();
                exporter_thread::run(&controls, config);
            })
            .map_err(|error| Error::new(Kind::Thread).with_source(error))?;
        // If tokio's feature `signal` is on, the first runtime of a process initializes a global. A child forked
        // meanwhile would wait for it forever, so this waits until the initialization is complete.
        if let Some(handle) = signals.first() {
            handle.control.wait_started(START_TIMEOUT);
        }
        Ok(Self { signals, recovery })
    }

    #[inline]
    pub(crate) fn wake(&self, signal: Signal) {
        if let Some(handle) = self.signals.iter().find(|handle| handle.queue.signal() == signal) {
            handle.control.wake();
        }
    }

    /// Sends everything accepted before the call, and waits for it no longer than `timeout`.
    pub(crate) fn flush(&self, timeout: Duration) -> Flushed {
        self.order(timeout, false, false)
    }

    /// Flushes when the process ends. Does not wait for items that cannot be delivered.
    pub(crate) fn flush_at_exit(&self, timeout: Duration) -> Flushed {
        self.order(timeout, true, false)
    }

    /// Flushes and then ends the thread. Remaining items are dropped and counted.
    pub(crate) fn stop(&self, timeout: Duration) -> Flushed {
        let flushed = self.order(timeout, true, true);
        // The requests have reached the deadline, but the thread needs a moment to count the remaining items.
        for handle in &self.signals {
            handle.control.wait_ended(Duration::from_millis(500));
        }
        flushed
    }

    /// Stops the thread without waiting for it.
    pub(crate) fn finish(&self) {
        for handle in &self.signals {
            handle.control.order(handle.queue.seal(), FINISH_TIMEOUT, true, true);
        }
        if let Some(recovery) = &self.recovery {
            recovery.control.order(0, FINISH_TIMEOUT, true, true);
        }
    }

    fn order(&self, timeout: Duration, ending: bool, stop: bool) -> Flushed {
        // The crate's own threads cannot wait for themselves.
        if thread::is_internal() {
            return Flushed::Not { timed_out: false, failures: Vec::new() };
        }
        let deadline = control::deadline(timeout);
        // Sealed now, so that later records are not waited for. All flushes are ordered before one is waited for.
        let orders: Vec<_> = self
            .signals
            .iter()
            .map(|handle| handle.control.order(handle.queue.seal(), timeout, ending, stop))
            .collect();
        if let Some(RecoveryHandle { control, spool }) = &self.recovery {
            if ending {
                // On this thread, because the exporter thread may give up first.
                spool.note_end();
            }
            match stop {
                true => drop(control.order(0, timeout, true, true)),
                // Finds children that have ended since the last scan.
                false if !ending => {
                    spool.request_scan();
                    control.wake();
                }
                false => {}
            }
        }
        let (mut all, mut timed_out, mut failures) = (true, false, Vec::new());
        for (handle, order) in self.signals.iter().zip(orders) {
            let waited = handle.control.wait(order, deadline, ending, stop);
            if waited != WaitResult::Done {
                all = false;
                timed_out |= waited == WaitResult::TimedOut;
                let not_woken =
                    (waited == WaitResult::TimedOut).then(|| handle.control.why_not_woken(order, timeout)).flatten();
                failures.extend(not_woken.or_else(|| handle.control.snapshot().last_failure));
            }
        }
        failures.dedup();
        if all { Flushed::All } else { Flushed::Not { timed_out, failures } }
    }
}

impl From<Undelivered> for Error {
    fn from(numbers: Undelivered) -> Self {
        Self::new(Kind::NotDelivered(numbers))
    }
}
