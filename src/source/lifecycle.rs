//! The end of a process: by itself, or by a signal.
//!
//! Constraints of the exit handler: it only sets a deadline, wakes the ship thread and waits on a std condition
//! variable; the exiting thread has lost its thread-locals and may hold std's stream locks. A panic must not leave it.
//! One deadline bounds everything in it: delivery, notices, and the report. It takes no lock of the console's, which may
//! wait for a reader.

use std::cell::Cell;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use super::pipeline::Pipeline;
use crate::finding::kind;
use crate::notice::{self, Notice};
use crate::os::{CaughtSignals, PerProcess};
use crate::ship::{self, After, Deeds, Flushed};
use crate::signal::Signal;
use crate::{installed, os, output, thread};

/// When the end of the process has to be over; set when the exit handler runs first.
static DEADLINE: PerProcess<Instant> = PerProcess::new();
/// Somebody asked for a flush at SIGTERM and SIGINT.
static ON_SIGNALS: AtomicBool = AtomicBool::new(false);
/// Somebody asked for a report at SIGUSR1.
static REPORTS: AtomicBool = AtomicBool::new(false);
/// The process is ending.
static EXITING: AtomicBool = AtomicBool::new(false);
/// A handler is registered that has not run yet.
static ARMED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This is the thread that ends the process.
    static EXITS_HERE: Cell<bool> = const { Cell::new(false) };
    /// Our exit handler is running here: what it causes itself (an allocator that logs, a panic) must not make it run again.
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

/// Registers what has to run at the end of the process. Idempotent.
pub(crate) fn register() {
    // No `Once`: a forked child would wait for ever for a thread of its parent that is in it.
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) {
        arm();
    }
}

/// Pipelines that were built to be composed, and are flushed at the end too. A forked child adds to a list of its own.
static BUILT: PerProcess<Mutex<Vec<Weak<Pipeline>>>> = PerProcess::new();

/// Flushes this one at the end of the process as well, if it still exists then.
pub(crate) fn register_built(pipeline: &Arc<Pipeline>) {
    register();
    let mut built = BUILT.get().lock().unwrap_or_else(PoisonError::into_inner);
    built.retain(|built| built.strong_count() > 0);
    built.push(Arc::downgrade(pipeline));
}

fn arm() {
    if !ARMED.swap(true, Ordering::Relaxed) {
        os::at_exit(at_exit);
    }
}

/// A record that is written by an exit handler of the application, after ours has flushed: ours runs once more. Other
/// threads that go on writing must not keep the process from ending.
#[inline]
pub(super) fn arm_if_exiting() {
    if EXITING.load(Ordering::Relaxed) && EXITS_HERE.get() && !IN_HANDLER.get() {
        arm();
    }
}

/// Whether this is the thread that ends the process, in an exit handler.
pub(crate) fn is_exiting_here() -> bool {
    EXITS_HERE.get()
}

extern "C" fn at_exit() {
    EXITS_HERE.set(true);
    IN_HANDLER.set(true);
    EXITING.store(true, Ordering::Relaxed);
    ARMED.store(false, Ordering::Relaxed);
    let _a_panic_must_not_leave_a_handler = catch_unwind(|| {
        for_each(|pipeline| {
            flush_at_end(pipeline);
            end_with_report(pipeline);
        });
        drain(&DEADLINE);
    });
    IN_HANDLER.set(false);
}

/// Waits for what is still to be written to stdout and stderr, as far as there is time and they take it.
fn drain(deadline: &PerProcess<Instant>) {
    if thread::is_internal() {
        return;
    }
    output::drain(deadline.existing().copied().unwrap_or_else(Instant::now));
}

/// Tells what became of everything, where somebody wants to know.
fn end_with_report(pipeline: &Pipeline) {
    // Not of a child that has only inherited it.
    if pipeline.engines().existing().is_some() {
        pipeline.tell_lowered();
        pipeline.report_at_exit();
    }
}

fn for_each(run: impl Fn(&Pipeline)) {
    if let Some(pipeline) = installed::pipeline() {
        run(pipeline);
    }
    // Whoever holds a lock in this moment is building another one.
    let lists = BUILT.all().map(|built| built.try_lock().map(|built| built.clone()).unwrap_or_default());
    let built: Vec<Weak<Pipeline>> = lists.flatten().collect();
    for pipeline in built.iter().filter_map(Weak::upgrade) {
        run(&pipeline);
    }
}

/// From now on, SIGTERM and SIGINT flush. Idempotent.
pub(crate) fn flush_on_signals() {
    ON_SIGNALS.store(true, Ordering::Relaxed);
    if let Err(error) = ship::watch_signals(CaughtSignals::Termination, DEEDS) {
        let text = format!("SIGTERM and SIGINT do not flush: {error}");
        notice::emit(
            &Notice::new(kind::LEFT_AT_EXIT.code, "signals", text)
                .help("call `Bridge::flush` where the program is asked to end"),
        );
    }
}

/// A forked child has the handler, but not the thread that does what it asks for.
pub(super) fn flush_on_signals_in_child() {
    if ON_SIGNALS.load(Ordering::Relaxed) {
        flush_on_signals();
    }
    if REPORTS.load(Ordering::Relaxed) {
        report_on_signals();
    }
}

/// From now on, SIGUSR1 gives the report. Idempotent.
pub(crate) fn report_on_signals() {
    REPORTS.store(true, Ordering::Relaxed);
    if let Err(error) = ship::watch_signals(CaughtSignals::Report, DEEDS) {
        let text = format!("SIGUSR1 gives no report: {error}");
        notice::emit(&Notice::new(kind::NO_EFFECT.code, "report signal", text).help("ask for it by `Bridge::report`"));
    }
}

/// What signals ask for.
const DEEDS: Deeds = Deeds { flush: flush_on_signal, report: || for_each(Pipeline::report_on_signal) };

/// On a thread of its own, where it may wait and lock like any other code.
fn flush_on_signal(after: After) {
    // Not that of the exit handler: the process may go on, and end much later.
    let deadline = PerProcess::new();
    for_each(|pipeline| match after {
        After::End => {
            flush_until(pipeline, &deadline);
            end_with_report(pipeline);
            drain(&deadline);
        }
        After::Life => pipeline.flush_aside(),
    });
}

/// Delivers what can be delivered before the process ends; if records remain, one line says how many and why.
pub(super) fn flush_at_end(pipeline: &Pipeline) {
    // One deadline for all runs of the handler: what exit handlers of the application write gets what is left of it.
    flush_until(pipeline, &DEADLINE);
}

/// Of several pipelines, the first one sets the deadline.
fn flush_until(pipeline: &Pipeline, deadline: &PerProcess<Instant>) {
    if thread::is_internal() {
        return;
    }
    let now = Instant::now();
    let until = *deadline.get_or_init(|_| now.checked_add(pipeline.exit_timeout).unwrap_or(now));
    deliver_until(pipeline, until);
    // Before a report counts the lines that could not be written.
    output::drain(until);
}

fn deliver_until(pipeline: &Pipeline, deadline: Instant) {
    let Some(engine) = pipeline.engines().existing() else { return };
    pipeline.end_open_spans(engine);
    pipeline.tell_suppressed(engine);
    let Some(ship) = &engine.ship else { return };
    let flushed = ship.flush_at_exit(deadline.saturating_duration_since(Instant::now()));
    let counters = engine.ledger.snapshot();
    let (records, spans) = (counters.otlp.pending, counters.spans.pending);
    let Flushed::Not { timed_out, failures } = flushed else { return };
    if records + spans == 0 {
        return;
    }
    let left = match (records, spans) {
        (_, 0) => Signal::Logs.count(records).to_string(),
        (0, _) => Signal::Traces.count(spans).to_string(),
        _ => format!("{} and {}", Signal::Logs.count(records), Signal::Traces.count(spans)),
    };
    let were = if records + spans == 1 { "was" } else { "were" };
    let text = format!("{left} {were} not delivered before the process ended");
    let spool = engine.outbox.as_ref().and_then(|outbox| outbox.spool()).filter(|_| records > 0);
    // Only what lies in files is there for the next start: a directory that cannot be used has none.
    let holds_memory = engine.outbox.as_ref().is_some_and(|outbox| outbox.holds_memory());
    let mut notice = match spool {
        Some(spool) if holds_memory => {
            let directory = spool.directory().display();
            Notice::new(kind::LEFT_AT_EXIT.code, "exit", text).error().note(format!(
                "the spool in {directory} could not be used all the time: what came meanwhile waited in memory and is lost"
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
        let endpoint = if records > 0 { &pipeline.endpoint } else { &pipeline.span_endpoint };
        notice = notice.note(format!("{} did not answer in time", endpoint.as_deref().unwrap_or_default()));
    }
    for failure in failures {
        notice = notice.note(failure.text).help(failure.help);
    }
    let waited = format!("the exit waited {:?}; LOGBRIDGE_EXIT_TIMEOUT changes that", pipeline.exit_timeout);
    notice::emit(&if timed_out { notice.note(waited) } else { notice });
}
