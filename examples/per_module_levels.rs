//! Levels from a variable, from code and at run time; where each was set; and why a record is missing.
//!
//! Run it with `cargo run --example per_module_levels`, if you like with your own RUST_LOG. It sends nothing: it has only
//! the console.

#![allow(clippy::print_stdout)] // An example prints its results.

use std::error::Error;

use logbridge::{Console, Env, Level, LevelFilter, Otlp, Stage};

fn main() -> Result<(), Box<dyn Error>> {
    // The default filter, used if RUST_LOG is unset.
    let bridge = logbridge::Builder::from_env(Env::default().filter_or("RUST_LOG", "warn,shop=info"))
        .filter_module("shop::db", LevelFilter::Debug) // code wins over RUST_LOG for the same target
        .console(Console::stderr().module_level("shop::db", LevelFilter::Info))
        .otlp(Otlp::off())
        .try_init()?;

    heading("The levels, and where each was set");
    print!("{}", bridge.levels());

    heading("What the console prints");
    write_records();

    heading("Why is shop::db at DEBUG not on the console?");
    print!("{}", bridge.explain("shop::db", Level::Debug));

    heading("Why is hyper::proto at INFO filtered everywhere?");
    print!("{}", bridge.explain("hyper::proto", Level::Info));

    heading("The same records after two changes at run time");
    bridge.levels().set("hyper", Level::Info);
    bridge.levels().of(Stage::Console).set("shop::db", Level::Debug);
    write_records();

    heading("The levels now");
    print!("{}", bridge.levels());

    heading("All settings, and where each was set");
    print!("{}", bridge.configuration());

    heading("The outcome of every record");
    print!("{}", bridge.report());
    Ok(())
}

fn write_records() {
    log::info!(target: "shop", "order placed");
    tracing::debug!(target: "shop::db", rows = 3, "query done");
    log::info!(target: "shop::db", "connected");
    log::info!(target: "hyper::proto", "a record of a library");
}

fn heading(text: &str) {
    println!("\n── {text} {}", "─".repeat(72_usize.saturating_sub(text.chars().count())));
}
