//! Log processors: logbridge's in a provider of the application, and the application's before logbridge's.

#![allow(clippy::expect_used)] // A test may panic.

use std::time::Duration;

use logbridge::testing::Receiver;
use logbridge::{Builder, Console, DropReason, LevelFilter, Otlp};
use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_appender_log::OpenTelemetryLogBridge;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLoggerProvider};

use crate::undelivered::undelivered;

const LONG: Duration = Duration::from_secs(20);

fn builder(receiver: &Receiver) -> Builder {
    let mut builder = Builder::new();
    builder.otlp(Otlp::to(receiver.endpoint())).console(Console::off());
    builder
}

fn say(logger: &dyn log::Log, level: log::Level, args: std::fmt::Arguments<'_>) {
    logger.log(&log::Record::builder().args(args).level(level).target("shop::cart").build());
}

#[test]
fn under_a_provider_there_is_no_module_stage_and_the_resource_is_the_providers() {
    let receiver = Receiver::start().expect("a receiver");
    // A root level that would cut everything: it must not be asked.
    let processor = builder(&receiver).filter_level(LevelFilter::Off).build_processor().expect("builds");
    let bridge = processor.bridge();
    let provider = SdkLoggerProvider::builder()
        .with_resource(Resource::builder_empty().with_service_name("theirs").build())
        .with_log_processor(processor)
        .build();
    say(&OpenTelemetryLogBridge::new(&provider), log::Level::Trace, format_args!("from the official appender"));
    let scope = InstrumentationScope::builder("by.hand").with_version("1.2").build();
    let logger = provider.logger_with_scope(scope);
    let mut record = logger.create_log_record();
    record.set_severity_number(Severity::Fatal2);
    record.set_severity_text("FATAL2");
    record.set_body("by hand".into());
    logger.emit(record);
    provider.force_flush().expect("delivered");

    let logs = receiver.logs();
    assert_eq!(logs.len(), 2, "{logs:?}");
    let (appender, by_hand) = (
        logs.iter().find(|log| log.message() == "from the official appender").expect("arrived"),
        logs.iter().find(|log| log.message() == "by hand").expect("arrived"),
    );
    assert_eq!((appender.service_name(), appender.target(), appender.severity_number), ("theirs", "shop::cart", 1));
    assert!(appender.time_unix_nano > 0, "0 would become 1970");
    assert_eq!((by_hand.target(), by_hand.scope.version.as_str()), ("by.hand", "1.2"));
    assert_eq!((by_hand.severity_number, by_hand.severity_text.as_str()), (22, "FATAL2"));
    let counters = bridge.report().counters;
    assert_eq!((counters.offered, counters.below, counters.otlp.delivered), (2, 0, 2));

    provider.shutdown().expect("nothing is left");
    assert!(bridge.flush(LONG).is_ok());
}

#[test]
fn the_destinations_own_threshold_cuts_under_a_provider() {
    let receiver = Receiver::start().expect("a receiver");
    let otlp = Otlp::to(receiver.endpoint()).level(LevelFilter::Warn).module_level("shop", LevelFilter::Error);
    let processor = Builder::new().otlp(otlp).build_processor().expect("builds");
    let bridge = processor.bridge();
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    let appender = OpenTelemetryLogBridge::new(&provider);
    for level in [log::Level::Error, log::Level::Warn, log::Level::Info] {
        say(&appender, level, format_args!("{level}"));
    }
    bridge.flush(LONG).expect("delivered");
    assert_eq!(receiver.logs().iter().map(|log| log.message()).collect::<Vec<_>>(), ["ERROR"]);
    assert_eq!((bridge.report().counters.otlp.below, bridge.report().counters.otlp.delivered), (2, 1));
}

#[test]
fn a_provider_whose_endpoint_is_dead_hears_of_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let processor = Builder::new().otlp(Otlp::to(dead)).build_processor().expect("builds");
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    say(&OpenTelemetryLogBridge::new(&provider), log::Level::Warn, format_args!("lost"));
    let error = provider.shutdown_with_timeout(Duration::from_millis(300)).expect_err("not Ok after a loss");
    assert!(error.to_string().contains("1 record dropped"), "{error}");
}

/// Writes an attribute, and panics where a message asks for it.
#[derive(Debug)]
struct Enrich;

impl LogProcessor for Enrich {
    fn emit(&self, record: &mut SdkLogRecord, _scope: &InstrumentationScope) {
        assert!(!format!("{:?}", record.body()).contains("break"), "a processor's own bug");
        record.add_attribute("tenant", "blue");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

struct PanicsInDisplay;

impl std::fmt::Display for PanicsInDisplay {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("a value's own bug")
    }
}

#[test]
fn the_applications_processors_come_first_and_what_they_break_is_counted_as_theirs() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver).log_processor(Enrich).build().expect("builds");
    let logger = bridge.logger();
    say(&logger, log::Level::Warn, format_args!("enriched"));
    say(&logger, log::Level::Warn, format_args!("break the processor"));
    say(&logger, log::Level::Warn, format_args!("{PanicsInDisplay}"));
    say(&logger, log::Level::Info, format_args!("below the module stage, which is there"));
    let error = bridge.flush(LONG).expect_err("two are lost");
    assert_eq!(undelivered(&error).logs.lost(), 2);

    let logs = receiver.logs();
    assert_eq!(logs.iter().map(|log| log.message()).collect::<Vec<_>>(), ["enriched"]);
    assert_eq!(logs[0].attribute("tenant"), Some(&"blue".into()));
    assert_eq!(logs[0].target(), "shop::cart");
    let counters = bridge.report().counters;
    assert_eq!((counters.offered, counters.below), (4, 1));
    assert_eq!(counters.otlp.dropped, vec![(DropReason::FormatPanicked, 1), (DropReason::Processor, 1)]);
}

#[test]
fn a_panicking_value_is_counted_on_the_direct_way_too() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver).build().expect("builds");
    say(&bridge.logger(), log::Level::Warn, format_args!("{PanicsInDisplay}"));
    say(&bridge.logger(), log::Level::Warn, format_args!("and the next one arrives"));
    assert_eq!(undelivered(&bridge.flush(LONG).expect_err("one is lost")).logs.lost(), 1);
    assert_eq!(receiver.logs().len(), 1);
    assert_eq!(bridge.report().counters.otlp.dropped, vec![(DropReason::FormatPanicked, 1)]);
}
