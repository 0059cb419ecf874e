//! The export of spans that have ended.

use std::cell::Cell;
use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;

use super::delivery::Delivery;
use super::process_state::ProcessState;
use crate::config::Config;
use crate::console::MirrorPrinter;
use crate::finding::kind;
use crate::ledger::{Count, DropReason};
use crate::notice::{self, Notice};
use crate::otlp::{Redaction, truncate_span_texts};
use crate::outbox::{PushResult, SpanQueue, Wake};
use crate::signal::Signal;
use crate::{ship, thread};

/// Hands ended spans to the mirror and to the queue.
#[derive(Debug)]
pub(super) struct SpanExport {
    /// Whether spans are sent.
    is_on: bool,
    endpoint: Option<String>,
    /// The maximum number of characters of text in a span's attributes.
    value_length: Option<usize>,
    redaction: Option<Redaction>,
    mirror: Option<MirrorPrinter>,
    /// Ends the open spans of tracing; `None` if this pipeline will not be installed.
    end_open_spans: Option<fn()>,
}

thread_local! {
    /// Whether this thread is ending spans because the process ends.
    static CLOSING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `end`, and marks the spans that it ends as still open at the end.
fn closing(end: fn()) {
    CLOSING.set(true);
    end();
    CLOSING.set(false);
}

impl SpanExport {
    pub(super) fn new(config: &Config, end_open_spans: Option<fn()>) -> Self {
        let delivery = config.span.delivery.as_ref();
        Self {
            is_on: delivery.is_some(),
            endpoint: delivery.map(|delivery| delivery.route.endpoint.to_string()),
            value_length: config.span.value_length,
            redaction: config.redaction.clone(),
            mirror: MirrorPrinter::new(config.span.mirror, config.console.format.is_test),
            end_open_spans,
        }
    }

    /// Receives an ended span: counts, shows and queues it.
    ///
    /// `is_shut` says whether the provider of the span was shut down.
    pub(super) fn take(
        &self,
        delivery: &Delivery,
        process: &ProcessState,
        queue: &SpanQueue,
        mut span: Box<SpanData>,
        is_shut: bool,
    ) {
        let (ledger, thread) = (&process.ledger, thread::number());
        if CLOSING.get() {
            ledger.count(thread, Count::SpanEndedAtExit);
            SpanQueue::mark_ended_at_exit(&mut span);
        }
        ledger.count(thread, Count::SpanEnded);
        if !span.span_context.is_sampled() {
            ledger.count(thread, Count::SpanUnsampled);
            return;
        }
        // Before anything else reads the span.
        if let Some(redaction) = &self.redaction {
            ledger.count_many(thread, Count::Redacted, redaction.redact_span(&mut span));
        }
        if let Some(most) = self.value_length {
            truncate_span_texts(&mut span, most);
        }
        if let Some(mirror) = &self.mirror {
            let shown = mirror.print_span(&process.resource, &span);
            ledger.count(thread, if shown { Count::MirrorWritten } else { Count::MirrorFailed });
        }
        if !self.is_on {
            ledger.count(thread, Count::SpanOff);
            return;
        }
        ledger.count(thread, Count::SpanAccepted);
        let Some(ship) = &process.ship else {
            ledger.count_dropped(thread, Signal::Traces, DropReason::ThreadLost);
            return;
        };
        if is_shut || delivery.is_shut() {
            ledger.count_dropped(thread, Signal::Traces, DropReason::Shutdown);
            return;
        }
        match queue.push(span) {
            PushResult::Full { is_first } => {
                ledger.count_dropped(thread, Signal::Traces, DropReason::QueueFull);
                if is_first {
                    self.report_full(queue);
                }
            }
            PushResult::Queued(wake) => {
                ledger.count(thread, Count::SpanAppended);
                if wake == Wake::Yes {
                    ship.wake(Signal::Traces);
                }
            }
        }
    }

    #[cold]
    fn report_full(&self, queue: &SpanQueue) {
        let text = format!("spans are lost: the queue of {} is full", Signal::Traces.count(queue.max_queue() as u64));
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        notice::emit(
            &Notice::new(kind::OVERLOAD.code, "span queue", text)
                .error()
                .note(format!("they end faster than {endpoint} accepts them; `Bridge::report` counts them"))
                .help(
                    "raise OTEL_BSP_MAX_QUEUE_SIZE or `Builder::max_spans`, or make fewer spans with \
                     LOGBRIDGE_SPAN_LEVEL",
                ),
        );
    }

    /// Ends all open spans because the process or the pipeline ends. Otherwise, their records would refer to missing
    /// spans. A span that cannot be ended is exported as it was when it started.
    pub(super) fn end_open(&self, delivery: &Delivery, process: &ProcessState) {
        /// A lock that is needed may be held and never released.
        const PATIENCE: Duration = Duration::from_millis(200);
        let Some(queue) = &process.spans else { return };
        if let Some(end) = self.end_open_spans
            && queue.has_open()
        {
            ship::run_with_timeout(move || closing(end), PATIENCE);
        }
        for span in queue.end_open() {
            process.ledger.count(thread::number(), Count::SpanEndedAtExit);
            self.take(delivery, process, queue, span, false);
        }
    }
}
