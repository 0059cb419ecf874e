//! Four broken set-ups, and how logbridge explains each of them: which gate stops the records, where it was set, and
//! what to change.
//!
//! Run it with `cargo run --example diagnose_missing_logs`. It needs no collector: the receiver is embedded.

#![allow(clippy::print_stdout)] // An example prints its results.

use std::error::Error;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use logbridge::findings::Kind;
use logbridge::testing::{Answer, Receiver};
use logbridge::{Bridge, Level, LevelFilter};

/// Long enough for a receiver in the same process.
const TIMEOUT: Duration = Duration::from_secs(2);

/// One program that loses its records.
struct Scene {
    name: &'static str,
    heading: &'static str,
    /// The value of RUST_LOG.
    filter: &'static str,
    /// The endpoint's answer to every request.
    answer: fn() -> Answer,
    run: fn(&Bridge),
    /// The finding that names the cause.
    code: &'static str,
}

const SCENES: [Scene; 4] = [
    Scene {
        name: "typo",
        heading: "1. RUST_LOG=warn,shop=inof: the orders do not arrive",
        filter: "warn,shop=inof",
        answer: || Answer::Ok,
        run: |bridge| {
            place_order();
            println!("$ bridge.explain(\"shop::orders\", Level::Info)");
            print!("{}", bridge.explain("shop::orders", Level::Info));
        },
        code: "LB001",
    },
    Scene {
        name: "lowered",
        heading: "2. A library calls log::set_max_level: records of `log` stop, tracing events continue",
        filter: "info",
        answer: || Answer::Ok,
        run: |bridge| {
            log::set_max_level(LevelFilter::Error); // anywhere in a library
            place_order();
            println!("$ bridge.check({TIMEOUT:?})");
            print!("{}", bridge.check(TIMEOUT));
        },
        code: "LB077",
    },
    Scene {
        name: "login_page",
        heading: "3. A proxy answers every request with a sign-in page and status 200",
        filter: "info",
        answer: || Answer::Html,
        run: |bridge| {
            place_order();
            println!("$ bridge.flush({TIMEOUT:?})");
            println!("{:?}", bridge.flush(TIMEOUT).map_err(|error| error.to_string()));
            println!("$ bridge.report()");
            print!("{}", bridge.report());
        },
        code: "LB083",
    },
    Scene {
        name: "no_key",
        heading: "4. The key is missing: the endpoint rejects everything",
        filter: "info",
        answer: || Answer::status(401),
        run: |bridge| {
            place_order();
            println!("$ bridge.flush({TIMEOUT:?})");
            println!("{:?}", bridge.flush(TIMEOUT).map_err(|error| error.to_string()));
            println!("$ bridge.report().findings");
            bridge.report().findings.iter().for_each(|finding| println!("{finding}"));
        },
        code: "LB082",
    },
];

fn place_order() {
    log::info!(target: "shop::orders", order = 1001; "order received");
    tracing::info!(target: "shop::orders", total = 9.5, "order placed");
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(name) = std::env::args().nth(1) {
        return run_scene(&name);
    }
    for scene in SCENES {
        println!("\n=== {} ===\n", scene.heading);
        let receiver = Receiver::start()?;
        receiver.answer_with([(scene.answer)()]);
        std::io::stdout().flush()?;
        // Each scene runs in its own process, because a process can be set up only once.
        let status = Command::new(std::env::current_exe()?)
            .arg(scene.name)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .env("OTEL_SERVICE_NAME", "shop")
            .env("RUST_LOG", scene.filter)
            .status()?;
        println!("({status}; {} records arrived)", receiver.logs().len());
        let kind = Kind::of(scene.code).ok_or("a known code")?;
        println!("\n$ logbridge explain {}\n{kind}", scene.code);
    }
    Ok(())
}

/// Runs one scene.
fn run_scene(name: &str) -> Result<(), Box<dyn Error>> {
    let scene = SCENES.into_iter().find(|scene| scene.name == name).ok_or("no such scene")?;
    let bridge = logbridge::try_init()?;
    (scene.run)(&bridge);
    Ok(())
}
