//! The worker packs orders in the background, after their requests have been answered.

use axum::http::HeaderMap;
use logbridge::propagation;
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::Error;

/// A task does not inherit the context of the request that queued it, so the context travels with the job. The headers
/// would do the same in a message of Kafka, NATS or RabbitMQ.
struct Job {
    headers: HeaderMap,
    order: u64,
}

pub struct Queue(UnboundedSender<Job>);

impl Queue {
    /// Queues an order, with the context of the current span.
    pub fn push(&self, order: u64) {
        let mut headers = HeaderMap::new();
        propagation::inject(&mut headers);
        if self.0.send(Job { headers, order }).is_err() {
            log::error!(order; "the worker has ended");
        }
    }
}

pub struct Worker(JoinHandle<()>);

impl Worker {
    pub fn start() -> (Queue, Self) {
        let (sender, jobs) = unbounded_channel();
        (Queue(sender), Self(tokio::spawn(run(jobs))))
    }

    /// Waits until the queue is gone and its jobs are done.
    pub async fn finish(self) -> Result<(), Error> {
        Ok(self.0.await?)
    }
}

async fn run(mut jobs: UnboundedReceiver<Job>) {
    while let Some(Job { headers, order }) = jobs.recv().await {
        let span = tracing::info_span!("pack order", otel.kind = "consumer", order);
        // Before the span is entered: later, it keeps the parent that it has.
        if let Err(error) = span.set_parent(propagation::extract(&headers)) {
            log::debug!("no parent for the span: {error}");
        }
        async {
            if let Err(error) = pack(order).await {
                tracing::error!(error = &*error as &dyn std::error::Error, order, "packing failed");
            }
        }
        .instrument(span)
        .await;
    }
}

async fn pack(order: u64) -> Result<(), Error> {
    log::info!(order; "packing");
    let mut receipt = Command::new(std::env::current_exe()?);
    receipt.args(["receipt", &order.to_string()]);
    // The child's spans become children of the current one.
    logbridge::carry_context_to(receipt.as_std_mut());
    let status = receipt.status().await?;
    if !status.success() {
        return Err(format!("the receipt was not written: {status}").into());
    }
    tracing::info!(order, "packed");
    Ok(())
}
