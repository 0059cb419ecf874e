//! Spans of the OpenTelemetry SDK: noted when they start, taken over when they end.
//!
//! The SDK's `BatchSpanProcessor` has a thread and a resource of its own, which a forked child does not have; ours has the
//! engine of the process.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData};

use super::engine::Engine;
use super::lifecycle;
use super::pipeline::Pipeline;
use super::processor::{FLUSH, result};
use crate::finding::kind;
use crate::ledger::{Count, DropReason};
use crate::notice::{self, Notice};
use crate::otlp::truncate_span_texts;
use crate::outbox::{Queued, SpanQueue, Wake};
use crate::signal::Signal;
use crate::{installed, ship, thread};

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
#[derive(Clone, Debug, Default)]
pub struct SpanProcessor {
    /// `None` for whatever is installed.
    pipeline: Option<Arc<Pipeline>>,
    /// Its provider was shut down.
    shut: Arc<AtomicBool>,
}

impl SpanProcessor {
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline: Some(pipeline), shut: Arc::default() }
    }

    /// A processor of what [`init`](crate::init) installs, also later: for a provider that has to be there before it.
    ///
    /// Spans that start before `init` are not exported.
    ///
    /// ```no_run
    /// use opentelemetry_sdk::trace::SdkTracerProvider;
    ///
    /// let processor = logbridge::SpanProcessor::of_installed();
    /// let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    /// logbridge::builder().tracer_provider(&provider).init();
    /// ```
    #[must_use]
    pub fn of_installed() -> Self {
        Self::default()
    }

    fn pipeline(&self) -> Option<&Pipeline> {
        match &self.pipeline {
            Some(pipeline) => Some(pipeline),
            None => installed::pipeline(),
        }
    }
}

thread_local! {
    /// This thread ends spans because the process ends.
    static CLOSING: Cell<bool> = const { Cell::new(false) };
}

/// Ends what `end` ends, and marks it as still open at the end.
fn closing(end: impl FnOnce()) {
    CLOSING.set(true);
    end();
    CLOSING.set(false);
}

impl opentelemetry_sdk::trace::SpanProcessor for SpanProcessor {
    fn on_start(&self, span: &mut Span, _context: &Context) {
        // What our own transport does is nobody's business.
        if thread::is_internal() {
            return;
        }
        let Some(pipeline) = self.pipeline() else { return };
        let engine = pipeline.engines().current();
        if let (Some(queue), Some(started)) = (&engine.spans, span.exported_data()) {
            engine.ledger.count(thread::number(), Count::SpanStarted);
            queue.start(started);
        }
    }

    fn on_end(&self, span: SpanData) {
        // What this process has not seen start, it does not export: no engine is made for it.
        if let Some(pipeline) = self.pipeline()
            && let Some(engine) = pipeline.engines().existing()
            && let Some(queue) = &engine.spans
            && let Some(mut span) = queue.end(span)
        {
            if CLOSING.get() {
                engine.ledger.count(thread::number(), Count::SpanEndedAtExit);
                SpanQueue::mark_ended_at_exit(&mut span);
            }
            pipeline.take_span(engine, queue, span, self.shut.load(Ordering::Relaxed));
            lifecycle::arm_if_exiting();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.pipeline().map_or(Ok(()), |pipeline| result(pipeline.flush(FLUSH), FLUSH))
    }

    /// The end of a provider, also by being dropped, is not the end of the records.
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.shut.store(true, Ordering::Relaxed);
        self.pipeline().map_or(Ok(()), |pipeline| result(pipeline.flush(timeout), timeout))
    }

    // The resource of the provider does not count: spans and records go under the same one, and a forked child has its own.
}

impl Pipeline {
    /// Takes over a span that has ended: counts it, shows it, queues it.
    fn take_span(&self, engine: &Engine, queue: &SpanQueue, mut span: Box<SpanData>, shut: bool) {
        let (ledger, shard) = (&engine.ledger, thread::number());
        ledger.count(shard, Count::SpanEnded);
        if !span.span_context.is_sampled() {
            ledger.count(shard, Count::SpanUnsampled);
            return;
        }
        // Whatever looks at it from here on.
        if let Some(redaction) = &self.redaction {
            ledger.count_many(shard, Count::Redacted, redaction.redact_span(&mut span));
        }
        if let Some(most) = self.span_value_length {
            truncate_span_texts(&mut span, most);
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
        if shut || self.is_shut() {
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
        notice::emit(
            &Notice::new(kind::OVERLOAD.code, "span queue", text)
                .error()
                .note(format!("they end faster than {endpoint} takes them; `Bridge::report` counts them"))
                .help("OTEL_BSP_MAX_QUEUE_SIZE or `Builder::max_spans` makes room, LOGBRIDGE_SPAN_LEVEL makes fewer"),
        );
    }

    /// Ends the spans that are open, because the process or the pipeline ends: without them, the records in them would
    /// point at nothing. What nobody can end any more is exported as it was when it started.
    pub(super) fn end_open_spans(&self, engine: &Engine) {
        /// Somebody may hold a lock that is needed, and never let go of it.
        const PATIENCE: Duration = Duration::from_millis(200);
        let Some(queue) = &engine.spans else { return };
        if let Some(end) = self.end_spans.get().copied()
            && queue.has_open()
        {
            ship::with_patience(move || closing(end), PATIENCE);
        }
        for span in queue.end_open() {
            engine.ledger.count(thread::number(), Count::SpanEndedAtExit);
            self.take_span(engine, queue, span, false);
        }
    }
}
