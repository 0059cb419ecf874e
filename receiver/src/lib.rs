//! An OTLP receiver that runs inside the process, for tests and for development.
//!
//! It listens on a free port of 127.0.0.1 and stores the log records and spans that arrive over HTTP (protobuf and
//! JSON) or, with the feature `grpc`, over gRPC. It can also answer with faults, to test how a client handles them.
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
//! # When data is visible
//!
//! A request is stored before it is answered: after the client has received the answer, [`Receiver::logs`] and
//! [`Receiver::spans`] contain its items. A span arrives when it has ended, its records possibly long before. Flush
//! both before you call [`Receiver::orphans`] or draw a [`TraceTree`].
//!
//! # Invalid requests
//!
//! Requests that cannot be decoded are answered as a collector answers them. They do not consume an answer of
//! [`Receiver::answer_with`] or [`Receiver::answer_traces_with`].
//!
//! | Status | Reason |
//! |---|---|
//! | 400 | The body is not valid OTLP; the answer says why |
//! | 404 | The path is neither `/v1/logs` nor `/v1/traces` |
//! | 405 | The method is not POST |
//! | 408 | The body takes longer than a minute |
//! | 413 | The body is longer than 64 MiB, or its items need more than about 128 MiB |
//! | 415 | The content type or content encoding is not supported |
//!
//! gRPC clients receive the matching status code.
//!
//! # Limitations
//!
//! No TLS, no metrics, and no address other than 127.0.0.1. JSON numbers that are infinite or NaN are refused with 400.
//! Compressed requests need the feature `gzip` or `zstd`. Everything is kept in memory until [`Receiver::clear`] is
//! called.

// The command `logbridge` uses this server through `internals`. Clippy with all features finds unused code, Clippy
// without `_cli` checks the public API.
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
mod line_style;
mod message;
mod metric;
mod record;
mod request;
mod schema;
mod server;
mod sniff;
mod span;
mod store;
mod styled;
#[cfg(test)]
#[allow(clippy::expect_used, clippy::unwrap_used)]
mod tests;
mod thread_hook;
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

use self::answer::AnswerPlan;
use self::common::is_unset_id;
use self::connections::Limits;
use self::server::Server;
use self::store::{Printer, Store};

pub use self::answer::Answer;
pub use self::common::ReceivedScope;
pub use self::record::ReceivedLog;
pub use self::request::ReceivedRequest;
pub use self::span::{ReceivedSpan, ReceivedSpanEvent, ReceivedSpanLink};
pub use self::thread_hook::on_thread_start;
pub use self::tree::TraceTree;
pub use self::value::{Attributes, Value};

/// The parts that the command `logbridge` (package `logbridge-cli`) uses: a server for a service of its own.
///
/// Not part of the API: it may change in any version.
#[cfg(feature = "_cli")]
#[doc(hidden)]
pub mod internals {
    pub use crate::answer::{Answer, Reply, ReplyAction, WholeBody};
    pub use crate::connections::Limits;
    pub use crate::decode::{Decoded, Refusal, decode};
    pub use crate::exchange::{Exchange, Service};
    pub use crate::guard::Guard;
    pub use crate::line_style::{CodeAttributes, LineStyle};
    pub use crate::message::Message;
    pub use crate::metric::{ReceivedPoint, points};
    pub use crate::record::records;
    pub use crate::server::{Server, StartError};
    pub use crate::span::spans;
    pub use crate::styled::Styled;
    pub use crate::wire::{Content, Format};
    pub use crate::{ReceivedLog, ReceivedRequest, ReceivedSpan, TraceTree};
}

/// A running OTLP receiver.
///
/// Dropping it closes all connections and joins its thread.
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
    /// Returns an error if no port can be bound or no thread can be spawned.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> ReceiverBuilder {
        ReceiverBuilder::default()
    }

    /// Returns the base URL to send to, such as `http://127.0.0.1:4318`, without the paths `/v1/logs` and `/v1/traces`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns all records stored so far, in order of arrival.
    pub fn logs(&self) -> Vec<ReceivedLog> {
        self.store.lock().logs.clone()
    }

    /// Removes and returns all records stored so far. The requests stay.
    pub fn take_logs(&self) -> Vec<ReceivedLog> {
        std::mem::take(&mut self.store.lock().logs)
    }

    /// Returns all spans stored so far, in order of arrival. A span arrives when it has ended, so children come first.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.store.lock().spans.clone()
    }

    /// Removes and returns all spans stored so far. The requests stay.
    pub fn take_spans(&self) -> Vec<ReceivedSpan> {
        std::mem::take(&mut self.store.lock().spans)
    }

    /// Returns the stored records whose span is not stored, in order of arrival.
    ///
    /// A record belongs to the span with the same trace id and span id. A record whose span id is empty or all zeroes
    /// belongs to no span and is not an orphan. Flush records and spans first: spans that were not sent yet, were taken
    /// or were cleared count as missing.
    pub fn orphans(&self) -> Vec<ReceivedLog> {
        let state = self.store.lock();
        let stored: HashSet<_> = state.spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
        let orphan =
            |log: &&ReceivedLog| !is_unset_id(&log.span_id) && !stored.contains(&(&log.trace_id, &log.span_id));
        state.logs.iter().filter(orphan).cloned().collect()
    }

    /// Returns all requests read so far, for records and for spans, in order of arrival, whatever the answer was.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.store.lock().requests.clone()
    }

    /// Returns the decoded messages whose records were stored, in order of arrival.
    #[doc(hidden)]
    pub fn raw_requests(&self) -> Vec<ExportLogsServiceRequest> {
        self.store.lock().raw_logs.clone()
    }

    /// Returns the decoded messages whose spans were stored, in order of arrival.
    #[doc(hidden)]
    pub fn raw_trace_requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.store.lock().raw_traces.clone()
    }

    /// Returns the receiver's own problems: broken connections, a printer that failed, a panic on its thread.
    ///
    /// Check them if a test misses records or spans for no apparent reason.
    pub fn problems(&self) -> Vec<String> {
        self.store.lock().problems.clone()
    }

    /// Waits until at least `n` records are stored, and returns all of them.
    ///
    /// Returns what has arrived after `timeout`, even if that is fewer than `n`: assert the length.
    pub fn wait_for_logs(&self, n: usize, timeout: Duration) -> Vec<ReceivedLog> {
        let state = self.store.wait(timeout, |state| state.logs.len() >= n);
        state.logs.clone()
    }

    /// Waits until at least `n` spans are stored, and returns all of them.
    ///
    /// Returns what has arrived after `timeout`, even if that is fewer than `n`: assert the length.
    pub fn wait_for_spans(&self, n: usize, timeout: Duration) -> Vec<ReceivedSpan> {
        let state = self.store.wait(timeout, |state| state.spans.len() >= n);
        state.spans.clone()
    }

    /// Waits until at least `n` requests were read, for records or for spans, and returns all of them.
    ///
    /// Returns what has arrived after `timeout`, even if that is fewer than `n`: assert the length.
    pub fn wait_for_requests(&self, n: usize, timeout: Duration) -> Vec<ReceivedRequest> {
        let state = self.store.wait(timeout, |state| state.requests.len() >= n);
        state.requests.clone()
    }

    /// Waits until the stored records satisfy `condition`. Returns whether they did within `timeout`.
    ///
    /// The condition is evaluated at the start and after each request. It must not call the receiver, which is locked
    /// at that time.
    pub fn wait_until(&self, timeout: Duration, condition: impl Fn(&[ReceivedLog]) -> bool) -> bool {
        let state = self.store.wait(timeout, |state| condition(&state.logs));
        condition(&state.logs)
    }

    /// Waits until the stored spans satisfy `condition`. Returns whether they did within `timeout`.
    ///
    /// The condition is evaluated at the start and after each request. It must not call the receiver, which is locked
    /// at that time.
    pub fn wait_until_spans(&self, timeout: Duration, condition: impl Fn(&[ReceivedSpan]) -> bool) -> bool {
        let state = self.store.wait(timeout, |state| condition(&state.spans));
        condition(&state.spans)
    }

    /// Removes all records, spans, requests and problems. Planned answers and connection numbers continue.
    pub fn clear(&self) {
        let mut state = self.store.lock();
        state.logs.clear();
        state.spans.clear();
        state.raw_logs.clear();
        state.raw_traces.clear();
        state.requests.clear();
        state.problems.clear();
    }

    /// Sets the answers to the next requests with log records, one for each request in order of arrival. The last one
    /// repeats.
    ///
    /// Replaces earlier answers. Without any answer, every request is answered with [`Answer::Ok`]. Requests with spans
    /// are answered separately: see [`Receiver::answer_traces_with`].
    pub fn answer_with(&self, answers: impl IntoIterator<Item = Answer>) {
        // Made before locking: the iterator is the client's code and may call the receiver.
        let plan = AnswerPlan::new(answers);
        self.store.lock().log_plan = plan;
    }

    /// Sets the answer to all further requests with log records. For requests with spans, see
    /// [`Receiver::answer_traces_always`].
    pub fn answer_always(&self, answer: Answer) {
        self.answer_with([answer]);
    }

    /// Sets the answers to the next requests with spans, one for each request in order of arrival. The last one
    /// repeats.
    ///
    /// Replaces earlier answers. Without any answer, every request is answered with [`Answer::Ok`]. Requests with log
    /// records are answered separately: see [`Receiver::answer_with`].
    pub fn answer_traces_with(&self, answers: impl IntoIterator<Item = Answer>) {
        let plan = AnswerPlan::new(answers);
        self.store.lock().trace_plan = plan;
    }

    /// Sets the answer to all further requests with spans. For requests with log records, see
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

/// A builder for a [`Receiver`], returned by [`Receiver::builder`].
#[derive(Default)]
#[must_use = "call `.start()` to have a receiver"]
pub struct ReceiverBuilder {
    port: u16,
    printer: Option<Printer>,
    limits: Limits,
}

impl ReceiverBuilder {
    /// Sets the port to listen on. Default: 0, a free port, so that tests can run in parallel.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Prints each stored record and span as one readable line. Default: nothing is printed.
    ///
    /// An item is printed before [`Receiver::logs`] or [`Receiver::spans`] returns it. The writer runs on the
    /// receiver's thread and is not called again after an error.
    pub fn print(mut self, writer: impl Write + Send + 'static) -> Self {
        self.printer = Some(Box::new(writer));
        self
    }

    /// Starts the receiver. It is listening when this returns.
    ///
    /// # Errors
    ///
    /// Returns an error if the port cannot be bound or no thread can be spawned.
    pub fn start(self) -> io::Result<Receiver> {
        let store = Arc::new(Store::new(self.printer));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let server = Server::start(vec![address], Arc::clone(&store), self.limits).map_err(|failure| failure.error)?;
        let port = server.addresses.first().map_or(0, SocketAddr::port);
        Ok(Receiver { port, store, _server: server })
    }
}

impl fmt::Debug for ReceiverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiverBuilder").field("port", &self.port).field("print", &self.printer.is_some()).finish()
    }
}
