//! Causes in programs that compose logbridge with their own subscribers and loggers, as the canary reports them.

use std::time::Duration;

use logbridge::testing::Receiver;
use logbridge::{Bridge, Builder, Console, LevelFilter, Otlp};
use tracing_subscriber::filter::{self, LevelFilter as Limit, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::child::{Child, Program};
use crate::row::{Case, Codes, Row, impossible, named};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const PROGRAMS: &[(&str, Program)] = &[
    ("bare_logger", bare_logger),
    ("foreign_logger", foreign_logger),
    ("global_limit", global_limit),
    ("late", late),
    ("max_hint", max_hint),
    ("probed", probed),
    ("scoped", scoped),
    ("stateful", stateful),
    ("targets", targets),
    ("twice", twice),
];

pub(crate) fn rows() -> Vec<Row> {
    vec![
        named("B1c", "the logger is set, and log::max_level() stays off", "check", "LB057", |case| {
            check("bare_logger", case)
        }),
        named("B2c", "another logger has the slot of `log`", "check", "LB075", |case| check("foreign_logger", case)),
        named("B5c", "the subscriber of one thread is in front", "check", "LB075", |case| check("scoped", case)),
        named("C15", "a limit of the subscriber holds for every layer", "check", "LB075", |case| {
            check("global_limit", case)
        }),
        named("C16", "a filter promises less than it lets through", "check", "LB075", |case| check("max_hint", case)),
        named("C17", "a filter that changes its mind, and is asked once", "check", "LB075", |case| {
            check("stateful", case)
        }),
        named("C18", "`Targets` without a default", "check", "LB075", |case| check("targets", case)),
        impossible("C19c", "a filter's stale state: an answer that no event followed", || {
            let receiver = Receiver::start().expect("a receiver");
            Child::new("probed", Case::Faulty).to(&receiver).run();
            let heard = receiver.logs().iter().filter(|log| log.message() == "heard").count();
            assert_eq!(heard, 100);
        }),
        impossible("B10", "a second init that fails in silence", || {
            let receiver = Receiver::start().expect("a receiver");
            let ended = Child::new("twice", Case::Faulty).to(&receiver).run();
            assert!(
                ended.stderr.contains("already") && ended.stderr.contains("tests/zoo/composed.rs:"),
                "{}",
                ended.stderr
            );
            assert_eq!(receiver.logs().len(), 1, "the first one goes on");
        }),
        impossible("B6", "callsites that were seen before the init stay silent", || {
            let receiver = Receiver::start().expect("a receiver");
            Child::new("late", Case::Faulty).to(&receiver).run();
            assert_eq!(receiver.logs().len(), 2, "the second time, they are heard");
        }),
    ]
}

/// The codes that the program prints: those of its check.
fn check(program: &'static str, case: Case) -> Codes {
    let receiver = Receiver::start().expect("a receiver");
    Child::new(program, case).to(&receiver).run().codes
}

fn bridge() -> Bridge {
    let url = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").expect("a receiver");
    let mut builder = Builder::new();
    builder.filter_level(LevelFilter::Info).otlp(Otlp::to(url)).console(Console::off());
    builder.build().expect("builds")
}

fn say(bridge: &Bridge) {
    eprintln!("{}", bridge.check(PATIENCE));
}

fn log_too(bridge: &Bridge) {
    let logger = bridge.logger();
    log::set_max_level(logger.filter());
    log::set_boxed_logger(Box::new(logger)).expect("the slot is free");
}

fn bare_logger(case: Case) {
    let bridge = bridge();
    tracing_subscriber::registry().with(bridge.layer()).init();
    log::set_boxed_logger(Box::new(bridge.logger())).expect("the slot is free");
    if case == Case::Healthy {
        log::set_max_level(bridge.logger().filter());
    }
    say(&bridge);
}

fn foreign_logger(case: Case) {
    let bridge = bridge();
    tracing_subscriber::registry().with(bridge.layer()).init();
    match case {
        Case::Faulty => env_logger::Builder::new().filter_level(LevelFilter::Info).init(),
        Case::Healthy => log_too(&bridge),
    }
    say(&bridge);
}

fn scoped(case: Case) {
    let bridge = logbridge::try_init().expect("installs");
    match case {
        Case::Faulty => tracing::subscriber::with_default(tracing_subscriber::registry(), || say(&bridge)),
        Case::Healthy => say(&bridge),
    }
}

fn global_limit(case: Case) {
    let bridge = bridge();
    log_too(&bridge);
    let limit = case.pick(Limit::ERROR, Limit::INFO);
    tracing_subscriber::registry().with(bridge.layer()).with(limit).init();
    say(&bridge);
}

fn max_hint(case: Case) {
    let bridge = bridge();
    log_too(&bridge);
    let hint = case.pick(Limit::ERROR, Limit::TRACE);
    let filter = filter::filter_fn(|_| true).with_max_level_hint(hint);
    tracing_subscriber::registry().with(bridge.layer()).with(filter).init();
    say(&bridge);
}

fn stateful(case: Case) {
    use std::sync::atomic::{AtomicBool, Ordering};
    static OPEN: AtomicBool = AtomicBool::new(false);
    let bridge = bridge();
    log_too(&bridge);
    OPEN.store(case == Case::Healthy, Ordering::Relaxed);
    tracing_subscriber::registry()
        .with(bridge.layer().with_filter(filter::filter_fn(|_| OPEN.load(Ordering::Relaxed))))
        .init();
    // The canary's callsites are asked for the first time.
    let _first = bridge.check(PATIENCE);
    OPEN.store(true, Ordering::Relaxed);
    say(&bridge);
}

fn targets(case: Case) {
    let bridge = bridge();
    log_too(&bridge);
    let targets = Targets::new().with_target("lab", Limit::DEBUG);
    let targets = if case == Case::Healthy { targets.with_default(Limit::INFO) } else { targets };
    tracing_subscriber::registry().with(bridge.layer().with_filter(targets)).init();
    say(&bridge);
}

/// What loses every event behind a per-layer filter of tracing-subscriber.
fn probed(_: Case) {
    logbridge::init();
    for _ in 0..100 {
        assert!(!log::log_enabled!(target: "ureq::run", log::Level::Debug));
        tracing::info!("heard");
    }
}

fn twice(_: Case) {
    logbridge::init();
    if let Err(error) = logbridge::try_init() {
        eprintln!("{error}");
    }
    log::info!("goes on");
}

fn late(_: Case) {
    for round in 0..2 {
        log::info!("round {round}");
        tracing::info!("round {round}");
        if round == 0 {
            logbridge::init();
        }
    }
}
