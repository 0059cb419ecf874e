//! The global slots of `log` and tracing, if other code has taken them or they are set twice.

use crate::runner::{Group, named};
use crate::support::{Child, arrived, assert_arrived, receiver};

pub(crate) const GROUP: Group = Group {
    name: "slots",
    tests: named![
        a_taken_log_slot_is_an_error_and_nothing_of_ours_works,
        a_taken_tracing_slot_is_an_error_and_nothing_of_ours_works,
        an_error_of_the_configuration_leaves_the_slots_free,
        init_behind_another_logger_panics_and_says_what_to_do,
        init_twice_panics_and_names_the_first_place,
        try_init_twice_is_an_error_and_the_first_goes_on,
    ],
    scenarios: named![
        configuration_error_first,
        env_logger_first,
        env_logger_then_init,
        init_twice,
        subscriber_first,
        try_init_twice
    ],
};

fn env_logger_first(_: &[String]) {
    env_logger::init();
    let error = logbridge::try_init().expect_err("the slot is taken");
    assert!(error.is_log_slot_taken() && !error.is_tracing_slot_taken() && !error.is_already_initialized());
    println!("{error}\n{}", error.help().unwrap_or_default());
    assert!(logbridge::bridge().is_none());
    assert!(!tracing::enabled!(tracing::Level::ERROR), "tracing's slot was not touched");
    log::info!("still printed");
    tracing::error!("nobody takes this");
}

fn a_taken_log_slot_is_an_error_and_nothing_of_ours_works() {
    let receiver = receiver();
    let child = Child::new("env_logger_first").to(&receiver).env("DEBUG", "true").run().success();
    assert_eq!(child.count("INFO  process::slots] still printed\n"), 1, "{child}");
    assert_eq!(child.stderr.lines().count(), 1, "and nothing else: {child}");
    assert!(child.stdout.contains("another logger is already installed for the `log` crate"), "{child}");
    assert!(child.stdout.contains("env_logger::init()") && child.stdout.contains("logger()"), "{child}");
    assert_eq!(receiver.requests().len(), 0, "{child}");
}

fn env_logger_then_init(_: &[String]) {
    env_logger::init();
    logbridge::init();
}

fn init_behind_another_logger_panics_and_says_what_to_do() {
    let child = Child::new("env_logger_then_init").run().code(101);
    child.said("another logger is already installed").said("help: remove the other logger's init");
}

fn subscriber_first(_: &[String]) {
    tracing::subscriber::set_global_default(tracing_subscriber::registry()).expect("a free slot");
    let error = logbridge::try_init().expect_err("the slot is taken");
    assert!(error.is_tracing_slot_taken() && !error.is_log_slot_taken() && !error.is_already_initialized());
    println!("{error}\n{}", error.help().unwrap_or_default());
    assert!(logbridge::bridge().is_none());
    assert_eq!(log::max_level(), log::LevelFilter::Off);
    log::error!("nobody takes this");
    log::set_max_level(log::LevelFilter::Trace);
    log::error!("nor this");
    log::logger().flush();
    tracing::error!("nor this");
    let again = logbridge::try_init().expect_err("still taken");
    assert!(again.is_tracing_slot_taken(), "{again:?}");
}

fn a_taken_tracing_slot_is_an_error_and_nothing_of_ours_works() {
    let receiver = receiver();
    let child = Child::new("subscriber_first").to(&receiver).env("DEBUG", "true").run().success();
    assert_eq!(child.stderr, "", "{child}");
    assert!(child.stdout.contains("tracing's global default subscriber is already set"), "{child}");
    assert!(child.stdout.contains("registry") && child.stdout.contains("layer()"), "{child}");
    assert_eq!(child.stdout.lines().count(), 2, "{child}");
    assert_eq!(receiver.requests().len(), 0, "{child}");
}

fn init_twice(_: &[String]) {
    println!("first={}", line!() + 1);
    logbridge::init();
    log::info!("in between");
    logbridge::init();
}

fn init_twice_panics_and_names_the_first_place() {
    let receiver = receiver();
    let child = Child::new("init_twice").to(&receiver).run().code(101).quiet();
    let place = format!("logbridge was already initialized at {}:{}:", file!(), child.numbers().get("first"));
    let child = child.said(&place).said("`logbridge::bridge()` elsewhere");
    let logs = receiver.logs();
    assert_eq!((arrived(&logs, "in between"), logs.len()), (1, 2), "{child}");
    // Installed once, so its panic hook works; it also tells where.
    assert!(logs.iter().any(|log| log.target() == "panic" && log.message().contains(&place)), "{logs:?}");
}

fn try_init_twice(_: &[String]) {
    let bridge = logbridge::try_init().expect("free slots");
    let error = logbridge::builder().service_name("other").try_init().expect_err("installed already");
    assert!(error.is_already_initialized() && !error.is_log_slot_taken() && !error.is_tracing_slot_taken());
    log::info!("of log");
    tracing::info!("of tracing");
    bridge.flush(std::time::Duration::from_secs(30)).expect("the first one works");
}

fn try_init_twice_is_an_error_and_the_first_goes_on() {
    let receiver = receiver();
    let child = Child::new("try_init_twice").to(&receiver).run().success().quiet();
    assert_arrived(&receiver, &["of log", "of tracing"], &child);
    assert!(receiver.logs().iter().all(|log| log.service_name() == "child"), "{child}");
}

fn configuration_error_first(_: &[String]) {
    let error = logbridge::builder().otlp(logbridge::Otlp::to("no url")).try_init().expect_err("no URL");
    assert!(error.is_configuration(), "{error:?}");
    log::info!("before");
    logbridge::init();
    log::info!("of log");
    tracing::info!("of tracing");
}

fn an_error_of_the_configuration_leaves_the_slots_free() {
    let receiver = receiver();
    let child = Child::new("configuration_error_first").to(&receiver).run().success().quiet();
    assert_arrived(&receiver, &["of log", "of tracing"], &child);
}
