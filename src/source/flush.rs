//! Flush and shutdown, with results that report every loss.

use std::sync::PoisonError;
use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use super::pipeline::Pipeline;
use super::process_state::ProcessState;
use super::reported_losses::ReportedLosses;
use super::suppression;
use crate::error::{Error, Kind, Undelivered};
use crate::ledger::Counters;
use crate::ship::Flushed;
use crate::thread::Call;

/// How long `force_flush` waits; the SDK passes no timeout.
pub(super) const SDK_FLUSH: Duration = Duration::from_secs(5);

/// Converts the result of a flush into an SDK result.
pub(super) fn sdk_result(result: Result<(), Error>, timeout: Duration) -> OTelSdkResult {
    result.map_err(|error| {
        if error.is_timeout() && !error.is_lost() {
            OTelSdkError::Timeout(timeout)
        } else {
            OTelSdkError::InternalFailure(format!("{error:?}"))
        }
    })
}

/// Returns the losses that flushes have reported so far, of records and of spans.
fn reported(process: &ProcessState) -> [ReportedLosses; 2] {
    *process.reported.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipeline {
    /// Waits until everything accepted before the call is confirmed.
    ///
    /// Returns an error if anything is still pending, or if anything was lost that no flush has reported yet.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), Error> {
        // Records that an allocator logs meanwhile count as nested and do not wait for space, because logbridge's locks
        // may be held.
        let _call = Call::enter();
        let Some(process) = self.processes().existing() else { return Ok(()) };
        suppression::report_all(&self.delivery, process);
        match &process.ship {
            Some(ship) => {
                let reported = reported(process);
                judge(process, reported, ship.flush(timeout))
            }
            None => Ok(()),
        }
    }

    /// Flushes without reporting losses: the next flush whose result is returned to a caller reports them.
    pub(super) fn flush_unreported(&self) {
        self.path.flush();
        let _call = Call::enter();
        let Some(process) = self.processes().existing() else { return };
        suppression::report_all(&self.delivery, process);
        if let Some(ship) = &process.ship {
            let _the_next_flush_reports = ship.flush(self.exit_timeout);
        }
    }

    /// Accepts no more records and spans for export, ends open spans, flushes, and ends the exporter thread.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Result<(), Error> {
        let _call = Call::enter();
        let Some(process) = self.processes().existing() else {
            self.delivery.shut();
            return Ok(());
        };
        let reported = reported(process);
        if !self.delivery.is_shut() {
            self.spans.end_open(&self.delivery, process);
            suppression::report_all(&self.delivery, process);
        }
        self.delivery.shut();
        match &process.ship {
            Some(ship) => judge(process, reported, ship.stop(timeout)),
            None => Ok(()),
        }
    }

    /// Flushes the processors of the application, and then [`flush`](Self::flush)es.
    pub(crate) fn flush_all(&self, timeout: Duration) -> Result<(), Error> {
        self.path.flush();
        self.flush(timeout)
    }

    /// Shuts down the processors of the application, and then the pipeline.
    pub(crate) fn shutdown_all(&self, timeout: Duration) -> Result<(), Error> {
        self.path.shutdown(timeout);
        self.shutdown(timeout)
    }
}

/// Returns an error if anything is pending, or was lost and not reported when the flush began.
fn judge(process: &ProcessState, before: [ReportedLosses; 2], flushed: Flushed) -> Result<(), Error> {
    let counters = process.ledger.snapshot();
    let (timed_out, failures) = match flushed {
        Flushed::All => (None, Vec::new()),
        Flushed::Not { timed_out, failures } => (Some(timed_out), failures),
    };
    // A complete flush ignores records that were written since it began.
    let pending = |pending| if timed_out.is_some() { pending } else { 0 };
    let Counters { otlp, spans, .. } = counters;
    let [logs_before, spans_before] = before;
    let logs_now = ReportedLosses {
        rejected: otlp.rejected_total(),
        dropped: otlp.dropped_total(),
        unconfirmed: otlp.unconfirmed,
    };
    let spans_now = ReportedLosses {
        rejected: spans.rejected_total(),
        dropped: spans.dropped_total(),
        unconfirmed: spans.unconfirmed,
    };
    let mut reported = process.reported.lock().unwrap_or_else(PoisonError::into_inner);
    let [logs, traces] = &mut *reported;
    let numbers = Undelivered {
        logs: logs.report(logs_before, logs_now, pending(otlp.pending)),
        spans: traces.report(spans_before, spans_now, pending(spans.pending)),
        timed_out: timed_out.unwrap_or(false),
    };
    // If nothing is pending, everything was confirmed, even if the flush timed out before it saw that.
    if numbers == (Undelivered { timed_out: numbers.timed_out, ..Undelivered::default() }) {
        return Ok(());
    }
    let error = Error::new(Kind::NotDelivered(numbers));
    Err(match failures.into_iter().next() {
        Some(failure) => error.with_source(failure.text).with_help(failure.help),
        None => error.with_help("`Bridge::report` shows the outcome of every record and span"),
    })
}
