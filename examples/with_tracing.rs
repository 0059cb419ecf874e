//! Your own registry: logbridge as one layer among others, and as the logger of `log`.
//!
//! Run it with `cargo run --example with_tracing`. The receiver is embedded.

#![allow(clippy::print_stdout)] // An example prints its results.

use std::error::Error;
use std::time::Duration;

use logbridge::testing::{Receiver, TraceTree};
use logbridge::{LevelFilter, Otlp};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;

fn main() -> Result<(), Box<dyn Error>> {
    let receiver = Receiver::start()?;
    let bridge = logbridge::builder()
        .service_name("with-tracing")
        .filter_level(LevelFilter::Info)
        .otlp(Otlp::to(receiver.endpoint()))
        .build()?;

    // Your own tracer provider. Use any exporter; logbridge's processor sends spans to the endpoint of the records.
    let provider = SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("with-tracing")))
        .with(bridge.layer());
    tracing::subscriber::set_global_default(subscriber)?;
    log::set_max_level(bridge.logger().filter());
    log::set_boxed_logger(Box::new(bridge.logger()))?;

    work(7);
    bridge.flush(Duration::from_secs(5))?;

    println!("\nArrived:\n{}", TraceTree::new(&receiver.spans(), &receiver.logs()));
    Ok(())
}

fn work(job: u32) {
    let span = tracing::info_span!("work", job);
    let _entered = span.enter();
    tracing::info!(size = 3, "job started");
    log::warn!(job; "a record of `log` in the same span");
}
