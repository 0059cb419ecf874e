//! The last stage of a record: completes the encoded frame, shows it in the debug mirror, and puts it into the outbox.

use std::sync::atomic::{AtomicBool, Ordering};

use log::Level;

use super::exit::{self, ExitHandler};
use super::late_records::LateRecords;
use super::overload::{Overflowing, overflow};
use super::probe::{self, Reached};
use super::process_state::{ProcessState, StatePerProcess};
use super::record_time;
use super::routing::Routing;
use crate::config::Config;
use crate::console::MirrorPrinter;
use crate::ledger::{Count, DropReason};
use crate::otlp::{AttributeLimits, severity_number};
use crate::outbox::{FrameBuffer, Wake};
use crate::signal::Signal;
use crate::thread;

/// Hands encoded records to the mirror and to the outbox.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) processes: StatePerProcess,
    /// Whether records are sent.
    pub(super) is_on: bool,
    pub(super) limits: Option<AttributeLimits>,
    pub(super) mirror: Option<MirrorPrinter>,
    shut: AtomicBool,
    pub(super) late: LateRecords,
    pub(super) at_exit: ExitHandler,
}

impl Delivery {
    pub(super) fn new(config: &Config, processes: StatePerProcess, at_exit: ExitHandler) -> Self {
        Self {
            processes,
            is_on: config.otlp.delivery.is_some(),
            limits: config.limits,
            mirror: MirrorPrinter::new(config.mirror, config.console.format.is_test),
            shut: AtomicBool::new(false),
            late: LateRecords::default(),
            at_exit,
        }
    }

    /// Returns the routing of a record that passes no gate.
    pub(super) fn ungated(&self) -> Routing {
        Routing { console: false, otlp: self.is_on, mirror: self.mirror.is_some() }
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }

    /// Accepts no more records and spans for export.
    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    /// Returns the per-process state to use after code of the application has run.
    ///
    /// `Display`, processors and custom console writers may fork. The call then continues in both processes. Each
    /// process puts the record into its own outbox once, and the child counts it from the start.
    #[inline]
    pub(super) fn after_user_code<'p>(
        &'p self,
        process: &'p ProcessState,
        thread: usize,
        routing: Routing,
    ) -> &'p ProcessState {
        if process.is_of_this_process() { process } else { self.count_in_child(thread, routing) }
    }

    #[cold]
    pub(super) fn count_in_child(&self, thread: usize, routing: Routing) -> &ProcessState {
        let process = self.processes.current();
        let console = if routing.console { Count::ConsoleAccepted } else { Count::ConsoleOff };
        let otlp = if routing.otlp { Count::OtlpAccepted } else { Count::OtlpOff };
        for count in [Count::Offered, Count::ModulePassed, console, otlp] {
            process.ledger.count(thread, count);
        }
        process
    }

    /// Completes the frame and hands it to its destinations.
    #[inline]
    pub(super) fn deliver(
        &self,
        process: &ProcessState,
        thread: usize,
        frame: &mut FrameBuffer,
        severity: u8,
        routing: Routing,
    ) {
        if let Some(limits) = self.limits {
            apply_limits(limits, process, thread, frame);
        }
        record_time::keep_in_order(frame);
        let checked = process.outbox.as_ref().is_some_and(|outbox| outbox.is_checked());
        frame.end(severity, checked);
        if routing.mirror {
            self.show(process, thread, frame);
        }
        if routing.otlp {
            self.append(process, thread, frame.bytes(), severity);
        }
    }

    #[cold]
    fn show(&self, process: &ProcessState, thread: usize, frame: &FrameBuffer) {
        let Some(mirror) = &self.mirror else { return };
        let shown = mirror.print(&process.resource, frame.scope(), frame.record());
        process.ledger.count(thread, if shown { Count::MirrorWritten } else { Count::MirrorFailed });
    }

    #[inline]
    fn append(&self, process: &ProcessState, thread: usize, frame: &[u8], severity: u8) {
        let (Some(outbox), Some(ship)) = (&process.outbox, &process.ship) else {
            process.ledger.count_dropped(thread, Signal::Logs, DropReason::ThreadLost);
            return;
        };
        if self.is_shut() {
            process.ledger.count_dropped(thread, Signal::Logs, DropReason::Shutdown);
            self.late.count();
            return;
        }
        let high = severity >= severity_number(Level::Warn);
        let taken = match outbox.append(thread::shard_of(thread), high, frame) {
            Ok(wake) => Some(wake),
            Err(reason) => overflow(process, outbox, ship, Overflowing { thread, high, frame, reason }),
        };
        if let Some(wake) = taken {
            process.ledger.count(thread, Count::Appended);
            if thread == thread::INTERNAL {
                probe::note(Reached::Outbox);
            }
            exit::arm_if_exiting(self.at_exit);
            if wake == Wake::Yes {
                ship.wake(Signal::Logs);
            }
        }
    }
}

#[cold]
fn apply_limits(limits: AttributeLimits, process: &ProcessState, thread: usize, frame: &mut FrameBuffer) {
    let left_out = frame.rewrite_record(|record| limits.apply(record));
    process.ledger.count_many(thread, Count::AttributeLeftOut, left_out);
}
