//! An OTLP receiver inside the process, for tests and for looking at what leaves a program.
//!
//! It listens on a free port of the loopback interface, takes in log records and spans over HTTP (protobuf and JSON), and over gRPC with the feature `grpc`,
//! and keeps them for typed access. It can also misbehave on purpose, so that a client's way with faults can be tested.
//!
//! ```ignore
//! use std::time::Duration;
//! use logbridge_receiver::{Receiver, Value};
//!
//! let receiver = Receiver::start()?;
//! let bridge = logbridge::builder().otlp(Otlp::to(receiver.endpoint())).try_init()?;
//!
//! log::info!(user = 42; "order placed");
//! bridge.flush(Duration::from_secs(2))?;
//!
//! let logs = receiver.wait_for_logs(1, Duration::from_secs(2));
//! assert_eq!(logs[0].message(), "order placed");
//! assert_eq!(logs[0].attribute("user"), Some(&Value::from(42)));
//! ```
//!
//! # What arrives, and when it is visible
//!
//! A request is stored whole, before its answer is sent: once a client has its answer, [`Receiver::logs`] has the
//! records, and [`Receiver::spans`] the spans. Requests that cannot be read are answered as a collector does: 404 for
//! another path than `/v1/logs` and `/v1/traces`, 405 for another method than POST, 415 for a content type or encoding
//! that is not understood, 400 with the reason for a body that cannot be decoded, 413 for one that is longer than 64 MiB
//! or holds more than about 128 MiB of items, 408 for one that takes longer than a minute. They take no answer from the plans of
//! [`Receiver::answer_with`] and [`Receiver::answer_traces_with`].
//!
//! To a gRPC request the same answers are given in its words: a status becomes the code that stands for it, and an answer
//! that is no protobuf is no gRPC message.
//!
//! A span is sent when it has ended, its records may be sent long before: [`Receiver::orphans`] and [`TraceTree`] are
//! for the time when both have been flushed.
//!
//! # What it does not do
//!
//! No TLS, no compressed bodies but by gzip and zstd where those features are on (415), no metrics, no address but 127.0.0.1, no double in JSON that is
//! infinite or no number (400). It forgets nothing by itself: a long run calls [`Receiver::clear`] now and then.

// The command `logbridge` is built on this server, which it reaches through `internals`. The check with all features finds
// what nothing uses, the check without `_cli` looks at the API.
#![cfg_attr(not(feature = "_cli"), allow(dead_code, unnameable_types, unreachable_pub, unused_imports))]
#![cfg_attr(
    feature = "_cli",
    allow(
        clippy::exhaustive_enums,
        clippy::exhaustive_structs,
        missing_debug_implementations,
        missing_docs,
        unnameable_types
    )
)]

mod answer;
mod common;
mod compression;
mod connections;
mod decode;
mod escape;
mod exchange;
mod forest;
#[cfg(feature = "grpc")]
mod grpc;
mod guard;
mod json;
mod limits;
mod line;
mod message;
mod metric;
mod own_thread;
mod painted;
mod record;
mod request;
mod schema;
mod server;
mod sniff;
mod span;
mod store;
#[cfg(test)]
#[allow(clippy::expect_used, clippy::unwrap_used)]
mod tests;
mod time;
mod tree;
mod value;
mod wire;

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use self::answer::Plan;
use self::common::names_nothing;
use self::connections::Limits;
use self::server::Server;
use self::store::{Printer, Store};

pub use self::answer::Answer;
pub use self::common::ReceivedScope;
pub use self::own_thread::on_thread_start;
pub use self::record::ReceivedLog;
pub use self::request::ReceivedRequest;
pub use self::span::{ReceivedSpan, ReceivedSpanEvent, ReceivedSpanLink};
pub use self::tree::TraceTree;
pub use self::value::{Attributes, Value};

/// What the command `logbridge` (package `logbridge-cli`) is built on: a server with a service of its own. Not part of the
/// API: it may change in any version.
#[cfg(feature = "_cli")]
#[doc(hidden)]
pub mod internals {
    pub use crate::answer::{Answer, Ending, Reply, WholeBody};
    pub use crate::connections::Limits;
    pub use crate::decode::{Decoded, Refusal, decode};
    pub use crate::exchange::{Exchange, Packed, Service};
    pub use crate::guard::Guard;
    pub use crate::line::{Paint, Places};
    pub use crate::message::Message;
    pub use crate::metric::{ReceivedPoint, points};
    pub use crate::painted::Painted;
    pub use crate::record::records;
    pub use crate::server::{NoServer, Server};
    pub use crate::span::spans;
    pub use crate::wire::{Content, Format};
    pub use crate::{ReceivedLog, ReceivedRequest, ReceivedSpan, TraceTree};
}

/// A running OTLP receiver.
///
/// Unlike other handles of this crate it owns what it stands for: dropping it closes all connections, stops its thread
/// and waits for that thread's end.
#[must_use = "a receiver that is dropped stops listening"]
pub struct Receiver {
    port: u16,
    store: Arc<Store>,
    // Stops when it is dropped.
    _server: Server,
}

impl Receiver {
    /// Starts a receiver on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When no port can be bound or no thread can be started.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Settings for a receiver that is not the usual one.
    pub fn builder() -> ReceiverBuilder {
        ReceiverBuilder::default()
    }

    /// The base URL to send to, such as `http://127.0.0.1:4318`, without the paths `/v1/logs` and `/v1/traces`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All records stored so far, in order of arrival.
    pub fn logs(&self) -> Vec<ReceivedLog> {
        self.store.lock().logs.clone()
    }

    /// All records stored so far, which are then forgotten; the requests stay.
    pub fn take_logs(&self) -> Vec<ReceivedLog> {
        std::mem::take(&mut self.store.lock().logs)
    }

    /// All spans stored so far, in order of arrival: a span arrives when it has ended, so children come before parents.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.store.lock().spans.clone()
    }

    /// All spans stored so far, which are then forgotten; the requests stay.
    pub fn take_spans(&self) -> Vec<ReceivedSpan> {
        std::mem::take(&mut self.store.lock().spans)
    }

    /// The stored records that name a span which is not stored, in order of arrival.
    ///
    /// A span is the one that is named when both its trace id and its span id are those of the record. A record without
    /// a span id (or with one of zeroes) names none. Spans that were taken or cleared count as not stored, those that
    /// have not been sent yet too: flush both first.
    pub fn orphans(&self) -> Vec<ReceivedLog> {
        let state = self.store.lock();
        let stored: HashSet<_> = state.spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
        let orphan =
            |log: &&ReceivedLog| !names_nothing(&log.span_id) && !stored.contains(&(&log.trace_id, &log.span_id));
        state.logs.iter().filter(orphan).cloned().collect()
    }

    /// All requests read so far, of records and of spans, in order of arrival, whatever they were answered.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.store.lock().requests.clone()
    }

    /// The decoded messages whose records were stored, in order of arrival.
    #[doc(hidden)]
    pub fn raw_requests(&self) -> Vec<ExportLogsServiceRequest> {
        self.store.lock().raw_logs.clone()
    }

    /// The decoded messages whose spans were stored, in order of arrival.
    #[doc(hidden)]
    pub fn raw_trace_requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.store.lock().raw_traces.clone()
    }

    /// Mishaps of the receiver itself: connections that broke, a printer that failed, a panic in its thread.
    ///
    /// Worth a look when a test misses records or spans for no apparent reason.
    pub fn problems(&self) -> Vec<String> {
        self.store.lock().problems.clone()
    }

    /// Waits until at least `n` records are stored, and returns all of them.
    ///
    /// When the time is up it returns what there is, be it fewer than `n`: assert the length.
    pub fn wait_for_logs(&self, n: usize, timeout: Duration) -> Vec<ReceivedLog> {
        let state = self.store.wait(timeout, |state| state.logs.len() >= n);
        state.logs.clone()
    }

    /// Waits until at least `n` spans are stored, and returns all of them.
    ///
    /// When the time is up it returns what there is, be it fewer than `n`: assert the length.
    pub fn wait_for_spans(&self, n: usize, timeout: Duration) -> Vec<ReceivedSpan> {
        let state = self.store.wait(timeout, |state| state.spans.len() >= n);
        state.spans.clone()
    }

    /// Waits until at least `n` requests were read, of records or of spans, and returns all of them.
    ///
    /// When the time is up it returns what there is, be it fewer than `n`: assert the length.
    pub fn wait_for_requests(&self, n: usize, timeout: Duration) -> Vec<ReceivedRequest> {
        let state = self.store.wait(timeout, |state| state.requests.len() >= n);
        state.requests.clone()
    }

    /// Waits until the stored records satisfy `condition`; says whether they did before the time was up.
    ///
    /// The condition is asked once at the start and after each request. It must not call the receiver, which is locked
    /// meanwhile.
    pub fn wait_until(&self, timeout: Duration, condition: impl Fn(&[ReceivedLog]) -> bool) -> bool {
        let state = self.store.wait(timeout, |state| condition(&state.logs));
        condition(&state.logs)
    }

    /// Waits until the stored spans satisfy `condition`; says whether they did before the time was up.
    ///
    /// The condition is asked once at the start and after each request. It must not call the receiver, which is locked
    /// meanwhile.
    pub fn wait_until_spans(&self, timeout: Duration, condition: impl Fn(&[ReceivedSpan]) -> bool) -> bool {
        let state = self.store.wait(timeout, |state| condition(&state.spans));
        condition(&state.spans)
    }

    /// Forgets all records, spans, requests and problems. The plans of answers and the numbering of connections go on.
    pub fn clear(&self) {
        let mut state = self.store.lock();
        state.logs.clear();
        state.spans.clear();
        state.raw_logs.clear();
        state.raw_traces.clear();
        state.requests.clear();
        state.problems.clear();
    }

    /// Sets the answers to the next requests of log records, one each in order of arrival; the last one repeats.
    ///
    /// It replaces an earlier plan. Without any answer in it, the plan is always [`Answer::Ok`]. Requests of spans have a
    /// plan of their own: [`Receiver::answer_traces_with`].
    pub fn answer_with(&self, answers: impl IntoIterator<Item = Answer>) {
        // Made before locking: the iterator is the caller's code and may call the receiver.
        let plan = Plan::new(answers);
        self.store.lock().log_plan = plan;
    }

    /// Sets one answer to all requests of log records from now on. Requests of spans have a plan of their own:
    /// [`Receiver::answer_traces_always`].
    pub fn answer_always(&self, answer: Answer) {
        self.answer_with([answer]);
    }

    /// Sets the answers to the next requests of spans, one each in order of arrival; the last one repeats.
    ///
    /// It replaces an earlier plan. Without any answer in it, the plan is always [`Answer::Ok`]. Requests of log records
    /// have a plan of their own: [`Receiver::answer_with`].
    pub fn answer_traces_with(&self, answers: impl IntoIterator<Item = Answer>) {
        let plan = Plan::new(answers);
        self.store.lock().trace_plan = plan;
    }

    /// Sets one answer to all requests of spans from now on. Requests of log records have a plan of their own:
    /// [`Receiver::answer_always`].
    pub fn answer_traces_always(&self, answer: Answer) {
        self.answer_traces_with([answer]);
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.store.lock();
        f.debug_struct("Receiver")
            .field("endpoint", &self.endpoint())
            .field("logs", &state.logs.len())
            .field("spans", &state.spans.len())
            .field("requests", &state.requests.len())
            .field("problems", &state.problems)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`Receiver`], made by [`Receiver::builder`].
#[derive(Default)]
#[must_use = "call `.start()` to have a receiver"]
pub struct ReceiverBuilder {
    port: u16,
    printer: Option<Printer>,
    limits: Limits,
}

impl ReceiverBuilder {
    /// Listens on this port. Default: 0, a free port, so that tests can run side by side.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Prints each record and each span that is stored, one readable line each. Default: nothing is printed.
    ///
    /// It is printed before it shows up in [`Receiver::logs`] or [`Receiver::spans`]. The writer is called on the receiver's thread, and
    /// no more once it fails.
    pub fn print(mut self, writer: impl Write + Send + 'static) -> Self {
        self.printer = Some(Box::new(writer));
        self
    }

    /// Starts the receiver; when this returns, it is listening.
    ///
    /// # Errors
    ///
    /// When the port cannot be bound or no thread can be started.
    pub fn start(self) -> io::Result<Receiver> {
        let store = Arc::new(Store::new(self.printer));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let server =
            Server::start(vec![address], Arc::clone(&store), self.limits).map_err(|no_server| no_server.error)?;
        let port = server.addresses.first().map_or(0, SocketAddr::port);
        Ok(Receiver { port, store, _server: server })
    }
}

impl fmt::Debug for ReceiverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiverBuilder").field("port", &self.port).field("print", &self.printer.is_some()).finish()
    }
}
