//! The end of a process: exit handler and signals.
//!
//! Constraints of the exit handler:
//! * It only sets a deadline, wakes the exporter thread and waits on a std condition variable. The thread-locals of the
//!   exiting thread are destroyed, and it may hold std's stream locks.
//! * It never panics.
//! * One deadline bounds everything: delivery, notices and the report.
//! * It takes no console lock, whose holder may be waiting for a reader.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use super::pipeline::Pipeline;
use super::{exit, installed, suppression};
use crate::finding::kind;
use crate::notice::{self, Notice};
use crate::os::{CaughtSignals, PerProcess};
use crate::ship::{self, AfterSignal, Flushed, SignalActions};
use crate::signal::Signal;
use crate::{output, thread};

/// The deadline for the end of the process, set when the exit handler first runs.
static DEADLINE: PerProcess<Instant> = PerProcess::new();
/// SIGTERM and SIGINT flush.
static FLUSHES_ON_SIGNALS: AtomicBool = AtomicBool::new(false);
/// SIGUSR1 writes the report.
static REPORTS_ON_SIGNALS: AtomicBool = AtomicBool::new(false);

/// Registers the exit handler. Idempotent.
pub(crate) fn register() {
    // Not a `Once`: if a thread of the parent is inside it during a fork, the child would wait forever.
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) {
        exit::arm(at_exit);
    }
}

/// Pipelines that were built to be composed. A forked child has its own list.
static BUILT: PerProcess<Mutex<Vec<Weak<Pipeline>>>> = PerProcess::new();

/// Also flushes this pipeline at the end of the process, if it still exists then.
pub(crate) fn register_built(pipeline: &Arc<Pipeline>) {
    register();
    let mut built = BUILT.get().lock().unwrap_or_else(PoisonError::into_inner);
    built.retain(|built| built.strong_count() > 0);
    built.push(Arc::downgrade(pipeline));
}

/// The exit handler.
pub(super) extern "C" fn at_exit() {
    exit::in_handler(|| {
        let _a_panic_must_not_leave_a_handler = catch_unwind(|| {
            for_each(|pipeline| {
                flush_at_end(pipeline);
                report_at_end(pipeline);
            });
            drain(&DEADLINE);
        });
    });
}

/// Waits until stdout and stderr have taken all lines, or until the deadline.
fn drain(deadline: &PerProcess<Instant>) {
    if thread::is_internal() {
        return;
    }
    output::drain(deadline.existing().copied().unwrap_or_else(Instant::now));
}

/// Writes the report at exit, if one is configured.
fn report_at_end(pipeline: &Pipeline) {
    // A child that only inherited the pipeline writes no report.
    if pipeline.processes().existing().is_some() {
        pipeline.facades.report_lowered(&pipeline.levels);
        if let Some(to) = &pipeline.setup.report.at_exit {
            (pipeline.hooks.write_report)(pipeline, to);
        }
    }
}

/// Checks about once a second whether code has lowered `log::max_level()`.
pub(super) fn each_second() {
    if let Some(pipeline) = installed::pipeline() {
        pipeline.facades.report_lowered(&pipeline.levels);
    }
}

fn for_each(run: impl Fn(&Pipeline)) {
    if let Some(pipeline) = installed::pipeline() {
        run(pipeline);
    }
    // If the lock is held, another thread is building a pipeline.
    let lists = BUILT.all().map(|built| built.try_lock().map(|built| built.clone()).unwrap_or_default());
    let built: Vec<Weak<Pipeline>> = lists.flatten().collect();
    for pipeline in built.iter().filter_map(Weak::upgrade) {
        run(&pipeline);
    }
}

/// Flushes at SIGTERM and SIGINT from now on. Idempotent.
pub(crate) fn flush_on_signals() {
    FLUSHES_ON_SIGNALS.store(true, Ordering::Relaxed);
    if let Err(error) = ship::watch_signals(CaughtSignals::Termination, SIGNAL_ACTIONS) {
        let text = format!("SIGTERM and SIGINT do not flush: {error}");
        notice::emit(
            &Notice::new(kind::LEFT_AT_EXIT.code, "signals", text)
                .help("call `Bridge::flush` where the program handles these signals"),
        );
    }
}

/// Writes the report at SIGUSR1 from now on. Idempotent.
pub(crate) fn report_on_signals() {
    REPORTS_ON_SIGNALS.store(true, Ordering::Relaxed);
    if let Err(error) = ship::watch_signals(CaughtSignals::Report, SIGNAL_ACTIONS) {
        let text = format!("SIGUSR1 writes no report: {error}");
        notice::emit(&Notice::new(kind::NO_EFFECT.code, "report signal", text).help("call `Bridge::report` instead"));
    }
}

/// Watches the same signals in a forked child, which inherits the handlers but not the thread that they wake.
pub(super) fn watch_signals_in_child() {
    if FLUSHES_ON_SIGNALS.load(Ordering::Relaxed) {
        flush_on_signals();
    }
    if REPORTS_ON_SIGNALS.load(Ordering::Relaxed) {
        report_on_signals();
    }
}

const SIGNAL_ACTIONS: SignalActions = SignalActions { flush: flush_on_signal, report: || for_each(report_on_signal) };

fn report_on_signal(pipeline: &Pipeline) {
    if let Some(to) = &pipeline.setup.report.on_signal {
        (pipeline.hooks.write_report)(pipeline, to);
    }
}

/// Runs on its own thread, where it may wait and lock like any other code.
fn flush_on_signal(after: AfterSignal) {
    // Not the deadline of the exit handler, because the process may continue and end much later.
    let deadline = PerProcess::new();
    for_each(|pipeline| match after {
        AfterSignal::Terminate => {
            flush_until(pipeline, &deadline);
            report_at_end(pipeline);
            drain(&deadline);
        }
        AfterSignal::Continue => pipeline.flush_unreported(),
    });
}

/// Delivers as many records as possible before the process ends. If records remain, one line says how many and why.
pub(super) fn flush_at_end(pipeline: &Pipeline) {
    // All runs of the handler share one deadline. Records logged by the application's exit handlers get the remaining
    // time.
    flush_until(pipeline, &DEADLINE);
}

/// Flushes until the deadline, which the first of several pipelines sets.
fn flush_until(pipeline: &Pipeline, deadline: &PerProcess<Instant>) {
    if thread::is_internal() {
        return;
    }
    let now = Instant::now();
    let until = *deadline.get_or_init(|_| now.checked_add(pipeline.exit_timeout).unwrap_or(now));
    deliver_until(pipeline, until);
    // Before a report counts the lines that were not written.
    output::drain(until);
}

fn deliver_until(pipeline: &Pipeline, deadline: Instant) {
    let Some(process) = pipeline.processes().existing() else { return };
    pipeline.spans.end_open(&pipeline.delivery, process);
    suppression::report_all(&pipeline.delivery, process);
    let Some(ship) = &process.ship else { return };
    let flushed = ship.flush_at_exit(deadline.saturating_duration_since(Instant::now()));
    let counters = process.ledger.snapshot();
    let (records, spans) = (counters.otlp.pending, counters.spans.pending);
    let Flushed::Not { timed_out, failures } = flushed else { return };
    if records + spans == 0 {
        return;
    }
    let pending = match (records, spans) {
        (_, 0) => Signal::Logs.count(records).to_string(),
        (0, _) => Signal::Traces.count(spans).to_string(),
        _ => format!("{} and {}", Signal::Logs.count(records), Signal::Traces.count(spans)),
    };
    let were = if records + spans == 1 { "was" } else { "were" };
    let text = format!("{pending} {were} not delivered before the process ended");
    let spool = process.outbox.as_ref().and_then(|outbox| outbox.spool()).filter(|_| records > 0);
    // Only files survive for the next start, and an unusable directory has none.
    let holds_memory = process.outbox.as_ref().is_some_and(|outbox| outbox.holds_memory());
    let mut notice = match spool {
        Some(spool) if holds_memory => {
            let directory = spool.directory().display();
            Notice::new(kind::LEFT_AT_EXIT.code, "exit", text).error().note(format!(
                "the spool in {directory} was unusable at times: records logged then were in memory and are lost"
            ))
        }
        Some(spool) => {
            let directory = spool.directory().display();
            // Not a loss, unless there are spans too.
            let notice = Notice { is_note: spans == 0, ..Notice::new(kind::LEFT_AT_EXIT.code, "exit", text).error() };
            let (wait, them) = if records == 1 { ("the record waits", "it") } else { ("they wait", "them") };
            notice
                .note(format!("{wait} in {directory}: the next start, or `logbridge replay {directory}`, sends {them}"))
        }
        None => Notice::new(kind::LEFT_AT_EXIT.code, "exit", text).error(),
    };
    if failures.is_empty() {
        let endpoint = if records > 0 { &pipeline.setup.endpoint } else { &pipeline.setup.span_endpoint };
        notice = notice.note(format!("{} did not answer in time", endpoint.as_deref().unwrap_or_default()));
    }
    for failure in failures {
        notice = notice.note(failure.text).help(failure.help);
    }
    let waited = format!("the exit waited {:?}; LOGBRIDGE_EXIT_TIMEOUT changes that", pipeline.exit_timeout);
    notice::emit(&if timed_out { notice.note(waited) } else { notice });
}
