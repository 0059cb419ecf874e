//! A small service that logs through both facades inside spans, and what arrives at an OTLP receiver.
//!
//! Run it with `cargo run --example quickstart`. It needs no collector: the receiver is embedded.

#![allow(clippy::print_stdout)] // An example prints its results.

use std::error::Error;
use std::time::Duration;

use logbridge::testing::{Receiver, TraceTree};
use logbridge::{LevelFilter, Otlp};

fn main() -> Result<(), Box<dyn Error>> {
    let receiver = Receiver::start()?;

    // In your program, write `logbridge::init();` and set OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_SERVICE_NAME.
    let bridge = logbridge::builder()
        .service_name("shop")
        .filter_level(LevelFilter::Info)
        .filter_module("quickstart::stock", LevelFilter::Debug)
        .otlp(Otlp::to(receiver.endpoint()))
        .try_init()?;

    heading("What the terminal prints");
    run_the_shop();
    bridge.flush(Duration::from_secs(5))?;

    heading(&format!("What arrived at {}", receiver.endpoint()));
    println!("{}", TraceTree::new(&receiver.spans(), &receiver.logs()));

    heading("One record with all its attributes");
    if let Some(record) = receiver.logs().last() {
        println!("{record}");
    }

    heading("The outcome of every record and every span");
    println!("{}", bridge.report());
    Ok(())
}

/// Simulates a small service with two orders, each in a span. One of them fails.
fn run_the_shop() {
    log::info!(version = env!("CARGO_PKG_VERSION"); "shop is open");
    for (order, item, quantity) in [(1001, "tea", 2), (1002, "teapot", 500)] {
        let span = tracing::info_span!("place_order", order);
        let _entered = span.enter();
        log::info!(item, quantity; "order received");
        if let Err(error) = stock::reserve(item, quantity) {
            tracing::error!(error = &error as &dyn Error, item, "order failed");
        } else {
            tracing::info!(item, total = 4.75 * f64::from(quantity), "order placed");
        }
    }
    log::debug!("neither printed nor sent: the root level is INFO");
}

mod stock {
    use std::error::Error;
    use std::fmt;

    /// Reserves an item. This module still uses `log`; its records carry the ids of the tracing span too.
    pub(crate) fn reserve(item: &str, quantity: u32) -> Result<(), OutOfStock> {
        let _span = tracing::info_span!("reserve", item, quantity).entered();
        log::debug!(item, quantity; "checking the stock");
        if quantity < 100 { Ok(()) } else { Err(OutOfStock { wanted: quantity, source: "1e9".parse::<u32>().err() }) }
    }

    #[derive(Debug)]
    pub(crate) struct OutOfStock {
        wanted: u32,
        source: Option<std::num::ParseIntError>,
    }

    impl fmt::Display for OutOfStock {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "not enough in stock for an order of {}", self.wanted)
        }
    }

    impl Error for OutOfStock {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.source.as_ref().map(|error| error as _)
        }
    }
}

fn heading(text: &str) {
    println!("\n── {text} {}", "─".repeat(72_usize.saturating_sub(text.chars().count())));
}
