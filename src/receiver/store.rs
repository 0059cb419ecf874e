//! What the receiver's thread hands over to the test's threads.
//!
//! Only the receiver's thread writes records and requests, one whole request at a time, so the order here is the order
//! of arrival. A poisoned lock is entered: after a panic the test still wants to see what had arrived.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;

use super::answer::{Format, Plan, Reply};
use super::record::{self, ReceivedLog};
use super::request::ReceivedRequest;

pub(super) type Printer = Box<dyn Write + Send>;

/// Everything that has arrived, and the answers to come.
pub(super) struct Store {
    state: Mutex<State>,
    changed: Condvar,
    // A lock of its own: a slow terminal must not hold up a test that asks for records.
    printer: Mutex<Option<Printer>>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) logs: Vec<ReceivedLog>,
    pub(super) raw: Vec<ExportLogsServiceRequest>,
    pub(super) requests: Vec<ReceivedRequest>,
    pub(super) problems: Vec<String>,
    pub(super) plan: Plan,
}

impl Store {
    pub(super) fn new(printer: Option<Printer>) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), printer: Mutex::new(printer) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done` or until the time is up.
    pub(super) fn wait(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed
            .wait_timeout_while(self.lock(), timeout, |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// The reply to a request that could be read: the next one of the plan.
    pub(super) fn next_reply(&self, format: Format) -> Reply {
        let answer = self.lock().plan.next();
        answer.reply(format).unwrap_or_else(|why| {
            let why = format!("planned answer cannot be sent: {why}");
            self.problem(why.clone());
            Reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, why)
        })
    }

    /// Takes in a request, with its message if that could be decoded, and wakes whoever waits.
    pub(super) fn record(
        &self,
        mut request: ReceivedRequest,
        message: Option<ExportLogsServiceRequest>,
        reply: &Reply,
    ) {
        let logs = message.as_ref().map(record::records).unwrap_or_default();
        request.records = logs.len();
        request.stored = reply.store;
        request.status = reply.ending.status();
        if reply.store {
            // Printed first, so that a record that a test has seen arrive has also been printed.
            self.print(&logs);
        }
        let mut state = self.lock();
        if reply.store {
            state.logs.extend(logs);
            state.raw.extend(message);
        }
        state.requests.push(request);
        drop(state);
        self.changed.notify_all();
    }

    /// Keeps a mishap of the receiver itself for whoever wonders.
    pub(super) fn problem(&self, what: String) {
        self.lock().problems.push(what);
    }

    fn print(&self, logs: &[ReceivedLog]) {
        let mut slot = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(printer) = slot.as_mut() else {
            return;
        };
        if let Err(error) = write_lines(printer, logs) {
            // The reader of a pipe went away, say: trying again for each record would not bring it back.
            *slot = None;
            self.problem(format!("printing stopped: {error}"));
        }
    }
}

fn write_lines(printer: &mut Printer, logs: &[ReceivedLog]) -> io::Result<()> {
    for log in logs {
        // One write per line, so that lines of several writers to one terminal do not mix.
        printer.write_all(format!("{log}\n").as_bytes())?;
    }
    printer.flush()
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
