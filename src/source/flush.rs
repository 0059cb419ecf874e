//! Delivering what is there, and telling truly whether that worked.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::engine::Engine;
use super::pipeline::Pipeline;
use crate::error::{Error, Kind, Numbers, Undelivered};
use crate::ledger::Counters;
use crate::ship::Flushed;

/// What a flush has told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    lost: u64,
    unconfirmed: u64,
}

impl Told {
    /// What is new since the last time, with what still waits.
    fn tell(&mut self, lost: u64, unconfirmed: u64, pending: u64) -> Numbers {
        // Two flushes may take their snapshots in one order and come here in the other.
        let numbers = Numbers {
            lost: lost.saturating_sub(self.lost),
            unconfirmed: unconfirmed.saturating_sub(self.unconfirmed),
            pending,
        };
        *self = Self { lost: self.lost + numbers.lost, unconfirmed: self.unconfirmed + numbers.unconfirmed };
        numbers
    }
}

impl Pipeline {
    /// Ok only if everything accepted before the call was confirmed, and nothing was lost that no flush has told yet.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), Error> {
        let Some(engine) = self.engines.existing() else { return Ok(()) };
        self.tell_suppressed(engine);
        match &engine.ship {
            Some(ship) => self.judge(engine, ship.flush(timeout)),
            None => Ok(()),
        }
    }

    /// Takes no more records and spans for otlp, delivers what is there, and ends the ship thread. Spans that are open
    /// end here.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Result<(), Error> {
        let Some(engine) = self.engines.existing() else {
            self.shut.store(true, Ordering::Relaxed);
            return Ok(());
        };
        if !self.is_shut() {
            self.end_open_spans(engine);
            self.tell_suppressed(engine);
        }
        self.shut.store(true, Ordering::Relaxed);
        match &engine.ship {
            Some(ship) => self.judge(engine, ship.stop(timeout)),
            None => Ok(()),
        }
    }

    fn judge(&self, engine: &Engine, flushed: Flushed) -> Result<(), Error> {
        let counters = engine.ledger.snapshot();
        let (timed_out, failures) = match flushed {
            Flushed::All => (None, Vec::new()),
            Flushed::Not { timed_out, failures } => (Some(timed_out), failures),
        };
        // What has been written since the flush began is not its concern.
        let pending = |pending| if timed_out.is_some() { pending } else { 0 };
        let Counters { otlp, spans, .. } = counters;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let [told_logs, told_spans] = &mut *told;
        let numbers = Undelivered {
            logs: told_logs.tell(otlp.lost(), otlp.unconfirmed, pending(otlp.pending)),
            spans: told_spans.tell(spans.lost(), spans.unconfirmed, pending(spans.pending)),
            timed_out: timed_out.unwrap_or(false),
        };
        if numbers == Undelivered::default() {
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
