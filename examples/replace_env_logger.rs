//! A program written for env_logger, with one word changed.
//!
//! `RUST_LOG=info cargo run --example replace_env_logger` prints what env_logger would print. If you also set
//! `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_SERVICE_NAME`, the same records also arrive at your collector.

use log::{debug, info, warn};

fn main() {
    // was: env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    logbridge::Builder::from_env(logbridge::Env::default().default_filter_or("info")).init();

    info!("starting up");
    for attempt in 1..=3 {
        debug!(attempt; "trying to connect");
        if let Err(error) = connect(attempt) {
            warn!(attempt, error:err = error; "no connection yet");
        }
    }
    info!("done");
    // Returning from `main` delivers pending records: no guard and no flush are needed.
}

fn connect(attempt: u32) -> Result<(), std::io::Error> {
    match attempt {
        3 => Ok(()),
        _ => Err(std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "nothing listens on this port")),
    }
}
