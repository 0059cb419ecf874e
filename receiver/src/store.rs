//! What the receiver's thread hands over to the test's threads.
//!
//! Only the receiver's thread writes records, spans and requests, one whole request at a time, so the order here is the order
//! of arrival. A poisoned lock is entered: after a panic the test still wants to see what had arrived.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use super::answer::{Answer, Plan, Reply};
use super::decode::{Decoded, Refusal, decode};
use super::exchange::{Exchange, Service};
use super::message::Message;
use super::record::{self, ReceivedLog};
use super::request::ReceivedRequest;
use super::span::{self, ReceivedSpan};
use super::wire::{Content, Format};

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
    pub(super) spans: Vec<ReceivedSpan>,
    pub(super) raw_logs: Vec<ExportLogsServiceRequest>,
    pub(super) raw_traces: Vec<ExportTraceServiceRequest>,
    pub(super) requests: Vec<ReceivedRequest>,
    pub(super) problems: Vec<String>,
    pub(super) log_plan: Plan,
    pub(super) trace_plan: Plan,
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

    /// The reply to a request that could be read: the next one of the signal's plan.
    pub(super) fn next_reply(&self, message: &Message, body_bytes: usize, format: Format) -> Reply {
        let content = message.content();
        let mut state = self.lock();
        let answer = match content {
            Content::Logs => state.log_plan.next(),
            Content::Traces => state.trace_plan.next(),
            // Refused before.
            Content::Metrics => Answer::Ok,
        };
        drop(state);
        answer.to(message, body_bytes).reply(content, format).unwrap_or_else(|why| {
            let why = format!("planned answer cannot be sent: {why}");
            self.problem(why.clone());
            Reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, why)
        })
    }

    /// Takes in a request, with its message if that could be decoded, and wakes whoever waits.
    pub(super) fn record(&self, mut request: ReceivedRequest, message: Option<Message>, reply: &Reply) {
        let (logs, spans) = match &message {
            Some(Message::Logs(message)) => (record::records(message), Vec::new()),
            Some(Message::Traces(message)) => (Vec::new(), span::spans(message)),
            Some(Message::Metrics(_)) | None => Default::default(),
        };
        request.records = logs.len() + spans.len();
        request.stored = reply.store;
        request.status = reply.ending.status();
        if reply.store {
            // Printed first, so that what a test has seen arrive has also been printed.
            self.print(&logs, &spans);
        }
        let mut state = self.lock();
        if reply.store {
            state.logs.extend(logs);
            state.spans.extend(spans);
            match message {
                Some(Message::Logs(message)) => state.raw_logs.push(message),
                Some(Message::Traces(message)) => state.raw_traces.push(message),
                Some(Message::Metrics(_)) | None => {}
            }
        }
        state.requests.push(request);
        drop(state);
        self.changed.notify_all();
    }

    fn print(&self, logs: &[ReceivedLog], spans: &[ReceivedSpan]) {
        let mut slot = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(printer) = slot.as_mut() else {
            return;
        };
        if let Err(error) = write_lines(printer, logs).and_then(|()| write_lines(printer, spans)) {
            // The reader of a pipe went away, say: trying again for each record would not bring it back.
            *slot = None;
            self.problem(format!("printing stopped: {error}"));
        }
    }
}

/// A request that was decoded is judged, answered by the plan and stored without a pause. As there is one thread, the order
/// of requests, of answers from a plan and of stored records or spans is the same.
impl Service for Store {
    async fn answer(&self, exchange: Exchange) -> Reply {
        let Exchange { request, head, body, .. } = exchange;
        let body_bytes = body.len();
        let (reply, message) = match decode(&head, body, &Content::LOGS_AND_TRACES).await {
            Ok(Decoded { format, message, .. }) => (self.next_reply(&message, body_bytes, format), Some(message)),
            Err(Refusal { status, why }) => (Reply::refusal(status, why), None),
        };
        self.record(request, message, &reply);
        reply
    }

    /// Keeps a mishap of the receiver itself for whoever wonders.
    fn problem(&self, what: String) {
        self.lock().problems.push(what);
    }
}

fn write_lines(printer: &mut Printer, items: &[impl fmt::Display]) -> io::Result<()> {
    for item in items {
        // One write per line, so that lines of several writers to one terminal do not mix.
        printer.write_all(format!("{item}\n").as_bytes())?;
    }
    printer.flush()
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
