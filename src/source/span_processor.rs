//! Spans of the OpenTelemetry SDK: noted when they start, exported when they end.
//!
//! The SDK's `BatchSpanProcessor` has its own thread and resource, which a forked child lacks. This processor uses the
//! per-process state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData};

use super::flush::{SDK_FLUSH, sdk_result};
use super::pipeline::Pipeline;
use super::{exit, installed};
use crate::ledger::Count;
use crate::thread;

/// Exports spans of the OpenTelemetry SDK, as a replacement for `BatchSpanProcessor` in a provider of your own.
///
/// Spans go to the same endpoint as records, with the same resource, exporter thread and counters. Created by
/// [`Bridge::span_processor`](crate::Bridge::span_processor). A provider that logbridge creates already has it.
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
    /// `None` for the installed pipeline.
    pipeline: Option<Arc<Pipeline>>,
    /// The provider was shut down.
    is_shut: Arc<AtomicBool>,
}

impl SpanProcessor {
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline: Some(pipeline), is_shut: Arc::default() }
    }

    /// Returns a processor that exports through the pipeline that [`init`](crate::init) installs. It can be created
    /// before `init`, for a provider of your own.
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

impl opentelemetry_sdk::trace::SpanProcessor for SpanProcessor {
    fn on_start(&self, span: &mut Span, _context: &Context) {
        // Otherwise, exporting the spans of logbridge's own transport would create more of them, endlessly.
        if thread::is_internal() {
            return;
        }
        let Some(pipeline) = self.pipeline() else { return };
        let process = pipeline.processes().current();
        if let (Some(queue), Some(started)) = (&process.spans, span.exported_data()) {
            process.ledger.count(thread::number(), Count::SpanStarted);
            queue.start(started);
        }
    }

    fn on_end(&self, span: SpanData) {
        // A span that did not start in this process is not exported, so no state is created for it.
        if let Some(pipeline) = self.pipeline()
            && let Some(process) = pipeline.processes().existing()
            && let Some(queue) = &process.spans
            && let Some(span) = queue.end(span)
        {
            let Pipeline { delivery, spans, .. } = pipeline;
            spans.take(delivery, process, queue, span, self.is_shut.load(Ordering::Relaxed));
            exit::arm_if_exiting(delivery.at_exit);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.pipeline().map_or(Ok(()), |pipeline| sdk_result(pipeline.flush(SDK_FLUSH), SDK_FLUSH))
    }

    /// Only flushes. The pipeline continues, because a provider is also shut down when it is dropped.
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.is_shut.store(true, Ordering::Relaxed);
        self.pipeline().map_or(Ok(()), |pipeline| sdk_result(pipeline.flush(timeout), timeout))
    }

    // `set_resource` is not implemented, because spans have the resource of the records, and a forked child has its
    // own.
}
