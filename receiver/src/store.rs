//! The state that the receiver's thread shares with the threads of a test.
//!
//! Only the receiver's thread adds records, spans and requests, one whole request at a time, so they are in order of
//! arrival. A poisoned lock is still used, so that a test can see what had arrived before a panic.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use super::answer::{Answer, AnswerPlan, Reply};
use super::decode::{Decoded, Refusal, decode};
use super::exchange::{Exchange, Service};
use super::message::Message;
use super::record::{self, ReceivedLog};
use super::request::ReceivedRequest;
use super::span::{self, ReceivedSpan};
use super::wire::{Content, Format};

pub(super) type Printer = Box<dyn Write + Send>;

/// The received data, and the planned answers.
pub(super) struct Store {
    state: Mutex<State>,
    changed: Condvar,
    // A separate lock: a slow terminal must not block a test that reads records.
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
    pub(super) log_plan: AnswerPlan,
    pub(super) trace_plan: AnswerPlan,
}

impl Store {
    pub(super) fn new(printer: Option<Printer>) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), printer: Mutex::new(printer) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done` returns true, or until `timeout` has passed.
    pub(super) fn wait(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed
            .wait_timeout_while(self.lock(), timeout, |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Returns the reply to a valid request, by the next planned answer of its signal.
    pub(super) fn next_reply(&self, message: &Message, body_bytes: usize, format: Format) -> Reply {
        let content = message.content();
        let mut state = self.lock();
        let answer = match content {
            Content::Logs => state.log_plan.next(),
            Content::Traces => state.trace_plan.next(),
            // `decode` refuses metrics.
            Content::Metrics => Answer::Ok,
        };
        drop(state);
        answer.resolve(message, body_bytes).into_reply(content, format).unwrap_or_else(|why| {
            let why = format!("cannot send the planned answer: {why}");
            self.problem(why.clone());
            Reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, why)
        })
    }

    /// Stores a request, and its message if it was decoded. Wakes all waiting threads.
    pub(super) fn record(&self, mut request: ReceivedRequest, message: Option<Message>, reply: &Reply) {
        let (logs, spans) = match &message {
            Some(Message::Logs(message)) => (record::records(message), Vec::new()),
            Some(Message::Traces(message)) => (Vec::new(), span::spans(message)),
            Some(Message::Metrics(_)) | None => Default::default(),
        };
        request.records = logs.len() + spans.len();
        request.stored = reply.store;
        request.status = reply.action.status();
        if reply.store {
            // Printed first: the output must contain everything that a test can see.
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
            // Errors such as a closed pipe are permanent, so nothing more is printed.
            *slot = None;
            self.problem(format!("printing stopped: {error}"));
        }
    }
}

// There is no `await` after decoding, and only one thread: so requests, planned answers and stored items have the same
// order.
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

    fn problem(&self, what: String) {
        self.lock().problems.push(what);
    }
}

fn write_lines(printer: &mut Printer, items: &[impl fmt::Display]) -> io::Result<()> {
    for item in items {
        // One write per line, so that lines of several writers to one terminal do not interleave.
        printer.write_all(format!("{item}\n").as_bytes())?;
    }
    printer.flush()
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
