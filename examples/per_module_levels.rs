//! Levels by variable, by code and while the program runs; who set which; and why a record is not there.
//!
//! `cargo run --example per_module_levels`, or with a RUST_LOG of your own. No endpoint: only the console.

#![allow(clippy::print_stdout)] // An example shows things.

use std::error::Error;

use logbridge::{Console, Env, Level, LevelFilter, Otlp, Stage};

fn main() -> Result<(), Box<dyn Error>> {
    // In the place of a variable that is not set, this one.
    let bridge = logbridge::Builder::from_env(Env::default().filter_or("RUST_LOG", "warn,shop=info"))
        .filter_module("shop::db", LevelFilter::Debug) // code wins over RUST_LOG for the same target
        .console(Console::stderr().module_level("shop::db", LevelFilter::Info))
        .otlp(Otlp::off())
        .try_init()?;

    heading("The levels, and who set them");
    print!("{}", bridge.levels());

    heading("What the console shows");
    write_records();

    heading("Why is shop::db at DEBUG not on the console?");
    print!("{}", bridge.explain("shop::db", Level::Debug));

    heading("Why is hyper::proto at INFO nowhere?");
    print!("{}", bridge.explain("hyper::proto", Level::Info));

    heading("The same records, after two changes while the program runs");
    bridge.levels().set("hyper", Level::Info);
    bridge.levels().of(Stage::Console).set("shop::db", Level::Debug);
    write_records();

    heading("The levels now");
    print!("{}", bridge.levels());

    heading("All settings, and who decided them");
    print!("{}", bridge.configuration());

    heading("What became of all of them");
    print!("{}", bridge.report());
    Ok(())
}

fn write_records() {
    log::info!(target: "shop", "order placed");
    tracing::debug!(target: "shop::db", rows = 3, "query done");
    log::info!(target: "shop::db", "connected");
    log::info!(target: "hyper::proto", "a library speaks");
}

fn heading(text: &str) {
    println!("\n── {text} {}", "─".repeat(72_usize.saturating_sub(text.chars().count())));
}
