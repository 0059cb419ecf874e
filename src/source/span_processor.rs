//! Spans of the OpenTelemetry SDK: noted when they start, taken over when they end.
//!
//! The SDK's `BatchSpanProcessor` has a thread and a resource of its own, which a forked child does not have; ours has the
//! engine of the process.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData};

use super::engine::Engine;
use super::lifecycle;
use super::pipeline::Pipeline;
use super::processor::{FLUSH, result};
use crate::ledger::{Count, DropReason};
use crate::notice::{self, Notice};
use crate::outbox::{Queued, SpanQueue, Wake};
use crate::signal::Signal;
use crate::thread;

/// Exports spans of the OpenTelemetry SDK: what stands in for `BatchSpanProcessor` under a provider of your own.
///
/// They go to the same endpoint as the records, under the same resource, over the same thread and with the same
/// accounts. Made by [`Bridge::span_processor`](crate::Bridge::span_processor); where logbridge makes the provider, it is
/// in it already.
///
/// ```no_run
/// use opentelemetry_sdk::trace::SdkTracerProvider;
///
/// # fn main() -> Result<(), logbridge::Error> {
/// let bridge = logbridge::builder().build()?;
/// let provider = SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SpanProcessor {
    pipeline: Arc<Pipeline>,
}

impl SpanProcessor {
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline }
    }
}

impl opentelemetry_sdk::trace::SpanProcessor for SpanProcessor {
    fn on_start(&self, span: &mut Span, _context: &Context) {
        // What our own transport does is nobody's business.
        if thread::is_own() {
            return;
        }
        let engine = self.pipeline.engines().current();
        if let (Some(queue), Some(started)) = (&engine.spans, span.exported_data()) {
            engine.ledger.count(thread::number(), Count::SpanStarted);
            queue.start(started);
        }
    }

    fn on_end(&self, span: SpanData) {
        // What this process has not seen start, it does not export: no engine is made for it.
        if let Some(engine) = self.pipeline.engines().existing()
            && let Some(queue) = &engine.spans
            && let Some(span) = queue.end(span)
        {
            self.pipeline.take_span(engine, queue, span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        result(self.pipeline.flush(FLUSH), FLUSH)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        result(self.pipeline.shutdown(timeout), timeout)
    }

    // The resource of the provider does not count: spans and records go under the same one, and a forked child has its own.
}

impl Pipeline {
    /// Takes over a span that has ended: counts it, shows it, queues it.
    fn take_span(&self, engine: &Engine, queue: &SpanQueue, span: Box<SpanData>) {
        let (ledger, shard) = (&engine.ledger, thread::number());
        ledger.count(shard, Count::SpanEnded);
        if !span.span_context.is_sampled() {
            ledger.count(shard, Count::SpanUnsampled);
            return;
        }
        if let Some(mirror) = &self.span_mirror {
            let shown = mirror.print_span(&engine.resource, &span);
            ledger.count(shard, if shown { Count::MirrorWritten } else { Count::MirrorFailed });
        }
        if !self.spans_on {
            ledger.count(shard, Count::SpanOff);
            return;
        }
        ledger.count(shard, Count::SpanAccepted);
        let Some(ship) = &engine.ship else {
            ledger.count_dropped(shard, Signal::Traces, DropReason::ThreadLost);
            return;
        };
        if self.is_shut() {
            ledger.count_dropped(shard, Signal::Traces, DropReason::Shutdown);
            return;
        }
        match queue.push(span) {
            Queued::Full { news } => {
                ledger.count_dropped(shard, Signal::Traces, DropReason::QueueFull);
                if news {
                    self.say_full(queue);
                }
            }
            Queued::Yes(wake) => {
                ledger.count(shard, Count::SpanAppended);
                lifecycle::arm_if_exiting();
                if wake == Wake::Yes {
                    ship.wake(Signal::Traces);
                }
            }
        }
    }

    #[cold]
    fn say_full(&self, queue: &SpanQueue) {
        let text = format!("spans are lost: the queue of {} is full", Signal::Traces.count(queue.max_queue() as u64));
        let endpoint = self.span_endpoint.as_deref().unwrap_or_default();
        notice::say(
            &Notice::new("span queue", text)
                .note(format!("they end faster than {endpoint} takes them; `Bridge::report` counts them"))
                .help("OTEL_BSP_MAX_QUEUE_SIZE or `Builder::max_spans` makes room, LOGBRIDGE_SPAN_LEVEL makes fewer"),
        );
    }

    /// Ends the spans that are open, because the process or the pipeline ends: without them, the records in them would
    /// point at nothing.
    pub(super) fn end_open_spans(&self, engine: &Engine) {
        let Some(queue) = &engine.spans else { return };
        for span in queue.end_open() {
            engine.ledger.count(thread::number(), Count::SpanEndedAtExit);
            self.take_span(engine, queue, span);
        }
    }
}
