//! Delivering what is there, and telling truly whether that worked.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::engine::Engine;
use super::pipeline::Pipeline;
use crate::error::{Error, Kind, Undelivered, UndeliveredCounts};
use crate::ledger::Counters;
use crate::ship::Flushed;
use crate::thread::Call;

/// What flushes have told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    rejected: u64,
    dropped: u64,
    unconfirmed: u64,
}

impl Told {
    /// What is new since `before`, with what still waits; it is told from now on.
    ///
    /// Since the call began, and not since another one that ran at the same time told it: they may have waited for the
    /// same records, and none of them may say Ok then.
    fn tell(&mut self, before: Self, now: Self, pending: u64) -> UndeliveredCounts {
        *self = Self {
            rejected: self.rejected.max(now.rejected),
            dropped: self.dropped.max(now.dropped),
            unconfirmed: self.unconfirmed.max(now.unconfirmed),
        };
        UndeliveredCounts {
            rejected: now.rejected.saturating_sub(before.rejected),
            dropped: now.dropped.saturating_sub(before.dropped),
            unconfirmed: now.unconfirmed.saturating_sub(before.unconfirmed),
            pending,
        }
    }
}

/// What flushes have told by now, of records and of spans.
fn told(engine: &Engine) -> [Told; 2] {
    *engine.told.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipeline {
    /// Ok only if everything accepted before the call was confirmed, and nothing was lost that no flush has told yet.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), Error> {
        // What an allocator logs meanwhile is nested, and waits for no room: locks of ours may be held.
        let _call = Call::enter();
        let Some(engine) = self.engines.existing() else { return Ok(()) };
        self.tell_suppressed(engine);
        match &engine.ship {
            Some(ship) => {
                let told = told(engine);
                self.judge(engine, told, ship.flush(timeout))
            }
            None => Ok(()),
        }
    }

    /// Delivers what is there as at any flush, and tells nobody how that went: the next one who asks is to hear of it.
    pub(super) fn flush_aside(&self) {
        self.front.flush();
        let _call = Call::enter();
        let Some(engine) = self.engines.existing() else { return };
        self.tell_suppressed(engine);
        if let Some(ship) = &engine.ship {
            let _the_next_flush_tells = ship.flush(self.exit_timeout);
        }
    }

    /// Takes no more records and spans for otlp, delivers what is there, and ends the ship thread. Spans that are open
    /// end here.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Result<(), Error> {
        let _call = Call::enter();
        let Some(engine) = self.engines.existing() else {
            self.shut.store(true, Ordering::Relaxed);
            return Ok(());
        };
        let told = told(engine);
        if !self.is_shut() {
            self.end_open_spans(engine);
            self.tell_suppressed(engine);
        }
        self.shut.store(true, Ordering::Relaxed);
        match &engine.ship {
            Some(ship) => self.judge(engine, told, ship.stop(timeout)),
            None => Ok(()),
        }
    }

    fn judge(&self, engine: &Engine, before: [Told; 2], flushed: Flushed) -> Result<(), Error> {
        let counters = engine.ledger.snapshot();
        let (timed_out, failures) = match flushed {
            Flushed::All => (None, Vec::new()),
            Flushed::Not { timed_out, failures } => (Some(timed_out), failures),
        };
        // What has been written since the flush began is not its concern.
        let pending = |pending| if timed_out.is_some() { pending } else { 0 };
        let Counters { otlp, spans, .. } = counters;
        let [logs_before, spans_before] = before;
        let logs_now =
            Told { rejected: otlp.rejected_total(), dropped: otlp.dropped_total(), unconfirmed: otlp.unconfirmed };
        let spans_now =
            Told { rejected: spans.rejected_total(), dropped: spans.dropped_total(), unconfirmed: spans.unconfirmed };
        let mut told = engine.told.lock().unwrap_or_else(PoisonError::into_inner);
        let [told_logs, told_spans] = &mut *told;
        let numbers = Undelivered {
            logs: told_logs.tell(logs_before, logs_now, pending(otlp.pending)),
            spans: told_spans.tell(spans_before, spans_now, pending(spans.pending)),
            timed_out: timed_out.unwrap_or(false),
        };
        // Where nothing waits, everything was confirmed in time, also where nobody had the time to say so.
        if numbers == (Undelivered { timed_out: numbers.timed_out, ..Undelivered::default() }) {
            return Ok(());
        }
        let error = Error::new(Kind::NotDelivered(numbers));
        Err(match failures.into_iter().next() {
            Some(failure) => error.with_source(failure.text).with_help(failure.help),
            None => error.with_help("`Bridge::report` says what became of each record and span"),
        })
    }

    /// [`flush`](Self::flush), with the application's processors first.
    pub(crate) fn flush_all(&self, timeout: Duration) -> Result<(), Error> {
        self.front.flush();
        self.flush(timeout)
    }

    /// [`shutdown`](Self::shutdown), with the application's processors first.
    pub(crate) fn shutdown_all(&self, timeout: Duration) -> Result<(), Error> {
        self.front.shutdown(timeout);
        self.shutdown(timeout)
    }
}
