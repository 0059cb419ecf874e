//! An asynchronous service: concurrent requests, each in its own span, across `.await`, `spawn` and a thread.
//!
//! Run it with `cargo run --example tokio_service`. The receiver is embedded.

#![allow(clippy::print_stdout)] // An example prints its results.

use std::error::Error;
use std::time::Duration;

use logbridge::testing::{Receiver, TraceTree};
use logbridge::{Console, LevelFilter, Otlp};
use tracing::Instrument as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let receiver = Receiver::start()?;
    let bridge = logbridge::builder()
        .service_name("api")
        .filter_level(LevelFilter::Info)
        .console(Console::off())
        .otlp(Otlp::to(receiver.endpoint()))
        .try_init()?;

    let requests: Vec<_> =
        (1..=3).map(|id| tokio::spawn(handle(id).instrument(tracing::info_span!("request", id)))).collect();
    for request in requests {
        request.await?;
    }
    // Blocks only briefly: the exporter thread has its own runtime.
    bridge.flush(Duration::from_secs(5))?;

    println!("{}", TraceTree::new(&receiver.spans(), &receiver.logs()));
    Ok(())
}

async fn handle(id: u32) {
    log::info!(id; "request {id}: received");
    tokio::time::sleep(Duration::from_millis(5)).await;
    tracing::info!(id, "request {id}: read from the database");
    // A thread does not inherit the span, so pass the context explicitly.
    let rendered = tokio::task::spawn_blocking(logbridge::carry_context(move || {
        log::info!(id; "request {id}: rendered on another thread");
    }));
    if let Err(error) = rendered.await {
        log::error!(id; "request {id}: rendering failed: {error}");
    }
}
