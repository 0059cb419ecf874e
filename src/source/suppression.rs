//! Suppresses records that repeat, and writes their summaries.

use std::time::{Instant, SystemTime};

use super::buffers;
use super::delivery::Delivery;
use super::exit;
use super::process_state::ProcessState;
use super::repetition::{Decision, Similar, Summary, Windows, lock};
use crate::clock::nanos;
use crate::ledger::Count;
use crate::otlp::{RecordHeader, RecordWriter, encode_scope_name};
use crate::thread;

/// Returns whether the record exceeds the limit of similar records.
///
/// Calls `schedule` if a summary has to be written later.
#[inline]
pub(super) fn is_repeated<'s>(
    delivery: &Delivery,
    process: &ProcessState,
    thread: usize,
    similar: impl FnOnce() -> Similar<'s>,
    schedule: impl FnOnce(),
) -> bool {
    if process.windows.is_none() || !delivery.ungated().needs_encoding() {
        return false;
    }
    let similar = similar();
    // Code of the application formatted the text and may have forked. The parent's windows must not be used then.
    let process = if process.is_of_this_process() { process } else { delivery.processes.current() };
    let Some(windows) = &process.windows else { return false };
    let (is_suppressed, needs_schedule) = decide(delivery, process, thread, windows, &similar);
    if needs_schedule {
        schedule();
    }
    is_suppressed
}

/// Returns whether the record is suppressed, and whether a later summary has to be scheduled.
#[inline(never)]
fn decide(
    delivery: &Delivery,
    process: &ProcessState,
    thread: usize,
    windows: &Windows,
    record: &Similar<'_>,
) -> (bool, bool) {
    if windows.exempts(record.severity_number) {
        return (false, false);
    }
    let Decision { is_suppressed, is_first, closed } = windows.decide(record, Instant::now());
    if let Some(summary) = closed {
        write_summary(delivery, process, thread, &summary);
    }
    if is_first {
        // The exit handler must write the summary.
        exit::arm_if_exiting(delivery.at_exit);
    }
    (is_suppressed, is_first)
}

/// Writes the summaries of windows whose time is over. Returns when to call this again.
pub(super) fn report_expired(delivery: &Delivery, now: Instant) -> Option<Instant> {
    let process = delivery.processes.existing()?;
    let windows = process.windows.as_ref()?;
    let _one_at_a_time = lock(&windows.reporting);
    let closed = windows.close_expired(now);
    closed.iter().for_each(|summary| write_summary(delivery, process, thread::number(), summary));
    // The thread stays for one more window, because a callsite that was suppressed once is likely to be suppressed
    // again.
    let linger = (!closed.is_empty()).then(|| now.checked_add(windows.limit.window)).flatten();
    windows.next_end().into_iter().chain(linger).min()
}

/// Writes the summaries of all windows, for a flush or the end of the process.
pub(super) fn report_all(delivery: &Delivery, process: &ProcessState) {
    let Some(windows) = &process.windows else { return };
    let _one_at_a_time = lock(&windows.reporting);
    windows.take_summaries().iter().for_each(|summary| write_summary(delivery, process, thread::number(), summary));
}

/// Writes a summary. It is counted like any other record. The levels are not checked again, because the records that it
/// summarizes passed them.
#[cold]
fn write_summary(delivery: &Delivery, process: &ProcessState, thread: usize, summary: &Summary) {
    let routing = delivery.ungated();
    let accepted = if routing.otlp { Count::OtlpAccepted } else { Count::OtlpOff };
    for count in [Count::Offered, Count::ModulePassed, Count::ConsoleOff, accepted] {
        process.ledger.count(thread, count);
    }
    buffers::with(|buffers| {
        buffers.frame.begin(|scope| encode_scope_name(scope, &summary.target));
        let now = nanos(SystemTime::now());
        let header = RecordHeader {
            time: now,
            observed_time: now,
            severity_number: summary.severity_number,
            severity_text: &summary.severity_text,
            // The suppressed records may come from many traces.
            trace: None,
            event_name: None,
        };
        let mut writer = RecordWriter::begin(buffers.frame.scratch(), &header);
        summary.write(&mut writer);
        writer.finish(0);
        delivery.deliver(process, thread, &mut buffers.frame, summary.severity_number, routing);
    });
}
