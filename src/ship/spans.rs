//! The source of trace requests: ended spans, encoded by opentelemetry-otlp.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use tokio::time::Instant;

use super::request_source::{Request, RequestSource};
use crate::finding::kind;
use crate::ledger::{DropReason, ItemOutcome, Ledger};
use crate::notice::{self, Notice};
use crate::otlp::SpanEncoder;
use crate::outbox::SpanQueue;
use crate::signal::Signal;

/// Turns the ended spans of a queue into requests.
pub(super) struct SpanSource {
    ledger: Arc<Ledger>,
    queue: Arc<SpanQueue>,
    encoder: Result<SpanEncoder, String>,
    schedule_delay: Duration,
    /// The configured bound of a request in bytes.
    max_request: usize,
    /// That bound, or the size limit of the endpoint if it is lower.
    max_bytes: usize,
    /// The average length of a span in the last request. The length of a request is known only after encoding.
    span_bytes: usize,
    /// Sealed spans that are in no request yet.
    sealed: VecDeque<Box<SpanData>>,
    /// The request whose spans have no outcome yet.
    current: Option<Request>,
    /// When ended spans are sealed even if they do not fill a request.
    seal_at: Option<Instant>,
    /// The number of spans that have an outcome.
    settled: u64,
}

impl SpanSource {
    pub(super) fn new(
        ledger: Arc<Ledger>,
        queue: Arc<SpanQueue>,
        resource: &Resource,
        schedule_delay: Duration,
        max_request: usize,
    ) -> Self {
        Self {
            ledger,
            queue,
            encoder: SpanEncoder::new(resource),
            schedule_delay,
            max_request,
            max_bytes: max_request,
            span_bytes: 1,
            sealed: VecDeque::new(),
            current: None,
            seal_at: None,
            settled: 0,
        }
    }

    fn resolve(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        let spans = outcomes.iter().map(|(_, spans)| spans).sum::<u64>();
        self.ledger.resolve(Signal::Traces, outcomes);
        self.queue.release(spans as usize);
        self.settled += spans;
    }

    fn encode(&mut self) -> Option<Request> {
        let fitting = (self.max_bytes / self.span_bytes).max(1);
        let length = self.queue.max_batch().min(self.sealed.len()).min(fitting);
        let batch: Vec<SpanData> = self.sealed.drain(..length).map(|span| *span).collect();
        let items = batch.len() as u64;
        let encoded = match &self.encoder {
            Ok(encoder) => encoder.encode(batch),
            Err(why) => Err(why.clone()),
        };
        match encoded {
            Ok(encoded) => {
                self.span_bytes = (encoded.body.len() / length.max(1)).max(1);
                Some(Request { body: encoded.body, encoding: encoded.encoding, items })
            }
            Err(why) => {
                let text = format!("lost: {}, which could not be encoded: {why}", Signal::Traces.count(items));
                let help = "smaller requests may help: OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
                notice::emit(&Notice::new(kind::OVERLOAD.code, "encode spans", text).error().help(help));
                self.resolve(&[(ItemOutcome::Dropped(DropReason::Encoding), items)]);
                None
            }
        }
    }
}

impl RequestSource for SpanSource {
    fn collect(&mut self, at_once: bool, held: bool) {
        let now = Instant::now();
        if !self.queue.has_unsealed() {
            self.seal_at = None;
        } else if self.seal_at.is_none() {
            self.seal_at = now.checked_add(self.schedule_delay);
        }
        let due = !held && (self.queue.is_batch_full() || self.seal_at.is_some_and(|at| at <= now));
        if due || (at_once && self.queue.has_unsealed()) {
            self.queue.seal();
            self.seal_at = None;
        }
        self.queue.take_sealed(&mut self.sealed);
    }

    fn settled(&self) -> u64 {
        self.settled
    }

    fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.current.is_none()
    }

    fn has_unsealed(&self) -> bool {
        self.queue.has_unsealed()
    }

    fn due_at(&self) -> Option<Instant> {
        self.seal_at
    }

    fn next_request(&mut self) -> Option<Request> {
        if self.current.is_none() {
            self.current = self.encode();
        }
        self.current.clone()
    }

    fn settle_some(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        self.resolve(outcomes);
    }

    fn settle(&mut self, outcomes: &[(ItemOutcome, u64)]) {
        self.current = None;
        self.resolve(outcomes);
    }

    fn take_back(&mut self, request: Request) {
        drop(request);
    }

    fn set_max_bytes(&mut self, bytes: usize) {
        self.max_bytes = bytes.min(self.max_request);
    }

    fn drop_all(&mut self) {
        self.queue.seal();
        self.queue.take_sealed(&mut self.sealed);
        let left =
            std::mem::take(&mut self.sealed).len() as u64 + self.current.take().map_or(0, |request| request.items);
        if left > 0 {
            self.resolve(&[(ItemOutcome::Dropped(DropReason::Shutdown), left)]);
        }
    }

    fn trim(&mut self) {
        self.sealed = VecDeque::new();
    }

    fn pending(&self) -> u64 {
        self.ledger.snapshot().spans.pending
    }

    fn bound_text(&self) -> String {
        Signal::Traces.count(self.queue.max_queue() as u64).to_string()
    }
}
