//! Similar records are limited on request. Suppressed records are counted and reported, whatever their source.

#![allow(clippy::expect_used)] // A test may panic.

use std::collections::BTreeMap;
use std::time::Duration;

use logbridge::testing::{ReceivedLog, Receiver};
use logbridge::{Bridge, Builder, Console, Counters, Level, LevelFilter, Otlp, Repetition};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use tracing_subscriber::layer::SubscriberExt as _;

const LONG: Duration = Duration::from_secs(30);
/// A window that does not end while a test runs.
const HOUR: Duration = Duration::from_secs(3_600);

fn builder(receiver: &Receiver, repetition: Repetition) -> Builder {
    log::set_max_level(LevelFilter::Trace);
    let mut builder = Builder::new();
    builder
        .service_name("repetition")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .repetition(repetition);
    builder
}

fn started(repetition: Repetition) -> (Receiver, Bridge) {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver, repetition).build().expect("builds");
    (receiver, bridge)
}

/// How often each message arrived.
fn messages(logs: &[ReceivedLog]) -> BTreeMap<String, usize> {
    let mut messages = BTreeMap::new();
    logs.iter().for_each(|log| *messages.entry(log.message()).or_default() += 1);
    messages
}

fn suppressed(logs: &[ReceivedLog]) -> u64 {
    logs.iter().filter_map(|log| log.attribute("logbridge.suppressed")?.as_int()).sum::<i64>().unsigned_abs()
}

/// Everything that came in has a fate, and what was suppressed has been told.
#[track_caller]
fn assert_balanced(counters: &Counters, logs: &[ReceivedLog]) {
    let otlp = &counters.otlp;
    assert_eq!(counters.offered, counters.below + counters.passed, "{counters:?}");
    let sum = otlp.below + otlp.off + otlp.suppressed + otlp.unsampled + otlp.repeated + otlp.accepted;
    assert_eq!(counters.passed, sum, "{counters:?}");
    assert_eq!(otlp.accepted, otlp.delivered, "{counters:?}");
    assert_eq!((otlp.repeated, otlp.delivered), (suppressed(logs), logs.len() as u64), "{counters:?}");
}

macro_rules! two_on_one_line {
    () => {
        tracing::info!("one");
        tracing::info!("two");
    };
}

#[test]
fn each_callsite_of_both_facades_has_a_window_of_its_own() {
    let (receiver, bridge) = started(Repetition::at_most(3, HOUR));
    let logger = bridge.logger();
    let registry = tracing_subscriber::registry().with(bridge.layer());
    tracing::subscriber::with_default(registry, || {
        for number in 0..10 {
            log::warn!(logger: &logger, target: "shop::db", number; "by log");
            log::log!(logger: &logger, if number % 2 == 0 { Level::Info } else { Level::Debug }, "by level");
            tracing::error!(number, "by tracing");
            two_on_one_line!();
        }
    });
    bridge.flush(LONG).expect("everything arrives");
    let logs = receiver.logs();
    let counters = bridge.report().counters;
    assert_balanced(&counters, &logs);
    let seen = messages(&logs);
    for (message, times) in [("by log", 3), ("by level", 6), ("by tracing", 3), ("one", 3), ("two", 3)] {
        assert_eq!(seen.get(message), Some(&times), "{message}: {seen:?}");
    }
    assert_eq!((seen["7 similar records suppressed"], seen["2 similar records suppressed"]), (4, 2), "{seen:?}");
    let by = |message: &str| logs.iter().find(|log| log.message() == message).expect("arrived");
    let summary = logs.iter().find(|log| log.target() == "shop::db" && log.attribute("logbridge.suppressed").is_some());
    let (summary, first) = (summary.expect("a summary"), by("by log"));
    assert_eq!((summary.severity_number, summary.severity_text.as_str()), (13, "WARN"));
    assert_eq!(summary.attributes["logbridge.suppressed"], 7);
    for key in ["code.file.path", "code.line.number"] {
        assert_eq!(summary.attributes[key], first.attributes[key]);
    }
    assert_eq!((summary.trace_id.as_str(), counters.otlp.repeated), ("", 32));
    let report = bridge.report().to_string();
    assert!(report.contains("32   ") && report.contains("suppressed as repetitions"), "{report}");
    assert!(bridge.explain("shop::db", Level::Warn).to_string().contains("3 in 3600s pass per callsite"));
}

#[test]
fn a_window_that_ends_is_told_without_another_record_or_a_flush() {
    let window = Duration::from_millis(300);
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver, Repetition::at_most(1, window))
        .schedule_delay(Duration::from_millis(10))
        .build()
        .expect("builds");
    let logger = bridge.logger();
    // Until one was suppressed: between two of them, a slow machine may take as long as a window.
    let mut written = 0;
    while bridge.report().counters.otlp.repeated == 0 {
        log::info!(logger: &logger, "again");
        written += 1;
    }
    assert!(receiver.wait_until(LONG, |logs| suppressed(logs) == 1), "{:?}", receiver.logs());
    // The window is over: the next record passes, and the one after it begins a new count.
    let before = bridge.report().counters.otlp.repeated;
    while bridge.report().counters.otlp.repeated == before {
        log::info!(logger: &logger, "again");
        written += 1;
    }
    assert!(receiver.wait_until(LONG, |logs| suppressed(logs) == 2), "the keeper comes again: {:?}", receiver.logs());
    bridge.flush(LONG).expect("everything arrives");
    let logs = receiver.logs();
    assert_balanced(&bridge.report().counters, &logs);
    assert_eq!(messages(&logs)["again"] as u64 + suppressed(&logs), written);
}

#[test]
fn every_flush_tells_what_is_new_and_lets_nothing_through() {
    let (receiver, bridge) = started(Repetition::at_most(2, HOUR));
    let logger = bridge.logger();
    for _ in 0..3 {
        for _ in 0..5 {
            log::info!(logger: &logger, "again");
        }
        bridge.flush(LONG).expect("everything arrives");
        assert_eq!(bridge.report().counters.otlp.repeated, suppressed(&receiver.logs()));
    }
    bridge.flush(LONG).expect("nothing is new");
    let seen = messages(&receiver.logs());
    let expected = [("3 similar records suppressed", 1), ("5 similar records suppressed", 2), ("again", 2)];
    assert_eq!(seen, expected.map(|(message, times)| (message.to_owned(), times)).into());
    bridge.shutdown(LONG).expect("nothing is left");
}

#[test]
fn shutdown_and_the_last_handle_tell_too() {
    let (receiver, bridge) = started(Repetition::at_most(1, HOUR));
    let again = |bridge: &Bridge| (0..2).for_each(|_| log::info!(logger: bridge.logger(), "again"));
    again(&bridge);
    bridge.shutdown(LONG).expect("everything arrives");
    assert_eq!(messages(&receiver.take_logs())["1 similar record suppressed"], 1);
    let bridge = builder(&receiver, Repetition::at_most(1, HOUR)).build().expect("builds");
    again(&bridge);
    drop(bridge);
    assert!(receiver.wait_until(LONG, |logs| suppressed(logs) == 1), "{:?}", receiver.logs());
}

#[test]
fn levels_that_are_exempt_pass() {
    let (receiver, bridge) = started(Repetition::at_most(1, HOUR).exempt(Level::Warn));
    let logger = bridge.logger();
    for level in [Level::Error, Level::Warn, Level::Info] {
        (0..3).for_each(|_| log::log!(logger: &logger, level, "{level}"));
    }
    bridge.flush(LONG).expect("everything arrives");
    let seen = messages(&receiver.logs());
    assert_eq!((seen["ERROR"], seen["WARN"], seen["INFO"], bridge.report().counters.otlp.repeated), (3, 3, 1, 2));
}

#[test]
fn records_of_a_provider_and_records_without_a_place_go_by_name_or_text() {
    let receiver = Receiver::start().expect("a receiver");
    let processor = builder(&receiver, Repetition::at_most(1, HOUR)).build_processor().expect("builds");
    let bridge = processor.bridge();
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    let logger = provider.logger("by.hand");
    for number in 0..4 {
        for (name, body, severity) in [
            (Some("order.placed"), format!("order {number}"), Severity::Info2),
            (None, "the same".to_owned(), Severity::Warn),
            (None, format!("another {number}"), Severity::Warn),
            (None, "the end".to_owned(), Severity::Fatal),
        ] {
            let mut record = logger.create_log_record();
            name.into_iter().for_each(|name| record.set_event_name(name));
            record.set_severity_number(severity);
            record.set_body(AnyValue::from(body));
            logger.emit(record);
        }
        let record = |text| log::Record::builder().args(text).level(Level::Info).target("nowhere").build();
        log::Log::log(&bridge.logger(), &record(format_args!("text")));
        log::Log::log(&bridge.logger(), &record(format_args!("text {number}")));
    }
    provider.force_flush().expect("everything arrives");
    let logs = receiver.logs();
    assert_balanced(&bridge.report().counters, &logs);
    let seen = messages(&logs);
    assert_eq!((seen["order 0"], seen["the same"], seen["text"], seen["the end"]), (1, 1, 1, 4), "{seen:?}");
    assert!((0..4).all(|number| seen[&format!("another {number}")] == 1 && seen[&format!("text {number}")] == 1));
    let summary = logs.iter().find(|log| log.severity_number == 10 && log.attribute("logbridge.suppressed").is_some());
    assert_eq!(summary.map(|log| (log.target(), suppressed(std::slice::from_ref(log)))), Some(("by.hand", 3)));
}

#[test]
fn what_is_kept_back_for_another_reason_does_not_count_as_similar() {
    let receiver = Receiver::start().expect("a receiver");
    let mut builder = builder(&receiver, Repetition::at_most(2, HOUR));
    builder.otlp(Otlp::to(receiver.endpoint()).module_level("quiet", LevelFilter::Off));
    let bridge = builder.build().expect("builds");
    let logger = bridge.logger();
    for target in ["quiet", "quiet", "quiet", "loud", "loud", "loud"] {
        log::info!(logger: &logger, target: target, "again");
    }
    bridge.flush(LONG).expect("everything arrives");
    let otlp = bridge.report().counters.otlp;
    assert_eq!((otlp.below, otlp.repeated, otlp.delivered), (3, 1, 3));
    assert_balanced(&bridge.report().counters, &receiver.logs());
}

#[test]
fn threads_share_a_window_and_every_record_is_accounted_for() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 2_000;
    // So many windows end while it runs that every way of closing one is taken.
    for window in [HOUR, Duration::from_millis(1)] {
        let (receiver, bridge) = started(Repetition::at_most(10, window));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                let logger = bridge.logger();
                scope.spawn(move || (0..CALLS).for_each(|_| log::info!(logger: &logger, "again")));
            }
        });
        bridge.flush(LONG).expect("everything arrives");
        let logs = receiver.logs();
        let passed = messages(&logs)["again"] as u64;
        assert_eq!(passed + bridge.report().counters.otlp.repeated, THREADS * CALLS);
        assert_balanced(&bridge.report().counters, &logs);
        assert!(window < HOUR || passed == 10, "{passed}");
    }
}

#[test]
fn what_lets_nothing_through_is_an_error() {
    let receiver = Receiver::start().expect("a receiver");
    let error = builder(&receiver, Repetition::at_most(0, HOUR)).build().expect_err("nothing would pass");
    assert!(error.is_configuration() && error.help().is_some(), "{error:?}");
}
