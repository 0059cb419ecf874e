//! Within a scope, the records of one thread are sent in the order in which they were logged. Across scopes, their
//! times never decrease.

#![allow(clippy::expect_used)] // A test may panic.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use log::Log as _;
use logbridge::testing::{Answer, ReceivedLog, Receiver};
use logbridge::{Bridge, Builder, Console, LevelFilter, Logger, Otlp, Spool};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_sdk::logs::SdkLoggerProvider;

const LONG: Duration = Duration::from_secs(60);
const LEVELS: [log::Level; 4] = [log::Level::Info, log::Level::Warn, log::Level::Debug, log::Level::Error];
const TARGETS: [&str; 3] = ["order::a", "order::b", "order::c"];
const THREADS: usize = 4;

fn builder(receiver: &Receiver) -> Builder {
    let mut builder = Builder::new();
    builder
        .service_name("order")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .schedule_delay(Duration::from_millis(2));
    builder
}

fn write(logger: &Logger, thread: usize, number: usize, rest: &str) {
    let args = format_args!("{thread} {number} {rest}");
    // The levels and the targets go round at different speeds, so that each target has all levels.
    let (level, target) = (LEVELS[number % LEVELS.len()], TARGETS[number / 2 % TARGETS.len()]);
    logger.log(&log::Record::builder().args(args).level(level).target(target).build());
}

/// Thread and number of a record.
fn name(log: &ReceivedLog) -> Option<(usize, usize)> {
    let message = log.message();
    let mut words = message.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// The guarantee. Returns how many different records there are.
#[track_caller]
fn assert_in_order(logs: &[ReceivedLog]) -> usize {
    let mut on_the_wire: BTreeMap<(usize, &str), Vec<usize>> = BTreeMap::new();
    let mut times: BTreeMap<usize, BTreeMap<usize, u64>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for log in logs {
        let Some((thread, number)) = name(log) else { continue };
        // One that comes again was sent again.
        if seen.insert((thread, number)) {
            on_the_wire.entry((thread, log.target())).or_default().push(number);
            times.entry(thread).or_default().insert(number, log.time_unix_nano);
        }
    }
    for ((thread, target), numbers) in on_the_wire {
        let late = numbers.windows(2).find(|pair| pair[0] > pair[1]);
        assert!(late.is_none(), "thread {thread}, {target}: {late:?} in {} records", numbers.len());
    }
    for (thread, times) in times {
        let times: Vec<u64> = times.into_values().collect();
        assert!(times.is_sorted(), "thread {thread}: times decrease");
    }
    seen.len()
}

/// Requests stay grouped: no scope comes twice in one.
#[track_caller]
fn assert_grouped(receiver: &Receiver) {
    for request in receiver.raw_requests() {
        for resource in request.resource_logs {
            let scopes: Vec<String> =
                resource.scope_logs.iter().filter_map(|logs| Some(logs.scope.as_ref()?.name.clone())).collect();
            assert_eq!(scopes.iter().collect::<BTreeSet<_>>().len(), scopes.len(), "{scopes:?}");
        }
    }
}

/// Threads write so many records each, of which some are larger than a segment; somebody flushes now and then.
fn write_on_threads(bridge: &Bridge, each: usize, large: usize) {
    let large = "x".repeat(large);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (logger, large) = (bridge.logger(), &large);
            scope.spawn(move || {
                for number in 0..each {
                    write(&logger, thread, number, if number % 97 == 50 { large } else { "small" });
                }
            });
        }
        scope.spawn(|| (0..10).for_each(|_| drop(bridge.flush(LONG))));
    });
    bridge.flush(LONG).expect("everything arrives");
}

#[test]
fn records_of_a_thread_arrive_in_the_order_in_which_they_were_written() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver).build().expect("builds");
    let logger = bridge.logger();
    (0..8).for_each(|number| write(&logger, 0, number, ""));
    bridge.flush(LONG).expect("delivered");
    assert_eq!(assert_in_order(&receiver.logs()), 8);
    write_on_threads(&bridge, 3_000, 100);
    assert_eq!(assert_in_order(&receiver.take_logs()), THREADS * 3_000);
    assert_grouped(&receiver);
}

#[test]
fn tiny_segments_and_records_that_are_larger_than_one_change_nothing() {
    let receiver = Receiver::start().expect("a receiver");
    let mut builder = builder(&receiver);
    // Waits for room instead of dropping: all are to arrive.
    let bridge = builder.max_bytes(256 << 10).overload(logbridge::Overload::Block(LONG)).build().expect("builds");
    write_on_threads(&bridge, 2_000, 30 << 10);
    assert_eq!(assert_in_order(&receiver.take_logs()), THREADS * 2_000);
    assert!(receiver.requests().len() > 20, "many groups were sealed while it went on");
    assert_grouped(&receiver);
}

#[test]
fn files_of_a_spool_change_nothing() {
    let receiver = Receiver::start().expect("a receiver");
    let folder = std::env::temp_dir().join(format!("logbridge-order-{}", std::process::id()));
    let mut builder = builder(&receiver);
    let spool = Spool::at(&folder).max_bytes(2 << 20);
    let bridge = builder.spool(spool).overload(logbridge::Overload::Block(LONG)).build().expect("builds");
    write_on_threads(&bridge, 1_500, 150 << 10);
    bridge.shutdown(LONG).expect("nothing is left");
    assert_eq!(assert_in_order(&receiver.take_logs()), THREADS * 1_500);
    std::fs::remove_dir_all(folder).ok();
}

#[test]
fn what_an_overload_policy_leaves_is_in_order() {
    for overload in [logbridge::Overload::DropLeastSevere, logbridge::Overload::DropOldest] {
        let receiver = Receiver::start().expect("a receiver");
        receiver.answer_with((0..5).map(|_| Answer::Hang(Duration::from_millis(50))));
        let bridge = builder(&receiver).max_bytes(256 << 10).overload(overload).build().expect("builds");
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let logger = bridge.logger();
                scope.spawn(move || (0..2_000).for_each(|number| write(&logger, thread, number, &"x".repeat(200))));
            }
        });
        assert!(bridge.flush(LONG).is_err(), "{overload}: some were dropped");
        let arrived = assert_in_order(&receiver.take_logs());
        assert!(arrived > 100 && arrived < THREADS * 2_000, "{overload}: {arrived}");
    }
}

#[test]
fn a_request_that_is_sent_in_parts_stays_in_order_in_each_of_them() {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_with([Answer::Ok, Answer::status(413), Answer::status(413), Answer::Ok]);
    let bridge = builder(&receiver).schedule_delay(Duration::from_secs(3_600)).build().expect("builds");
    let logger = bridge.logger();
    write(&logger, 0, 0, "");
    bridge.flush(LONG).expect("delivered");
    (1..400).for_each(|number| write(&logger, 0, number, ""));
    bridge.flush(LONG).expect("delivered in parts");
    let mut all = 0;
    for request in receiver.raw_requests() {
        for scope in request.resource_logs.iter().flat_map(|resource| &resource.scope_logs) {
            let number = |log: &LogRecord| match &log.body.as_ref()?.value {
                Some(any_value::Value::StringValue(text)) => text.split(' ').nth(1)?.parse().ok(),
                _ => None,
            };
            let numbers: Vec<u32> = scope.log_records.iter().filter_map(number).collect();
            assert!(numbers.is_sorted(), "{numbers:?}");
            all += numbers.len();
        }
    }
    assert!(all >= 400, "{all}");
}

/// Logs while it is formatted.
struct Logs<'a>(&'a Logger, usize);

impl fmt::Display for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0, 0, self.1, "inside");
        f.write_str("outside")
    }
}

#[test]
fn a_record_that_is_written_inside_another_one_comes_first_and_is_not_later() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver).build().expect("builds");
    let logger = bridge.logger();
    for number in 0..20 {
        // The outer one is handed over when its message is written, which is after the inner one.
        let (inner, outer) = (2 * number, 2 * number + 1);
        let args = format_args!("0 {outer} {}", Logs(&logger, inner));
        let level = LEVELS[number % LEVELS.len()];
        logger.log(&log::Record::builder().args(args).level(level).target(TARGETS[inner / 2 % 3]).build());
    }
    bridge.flush(LONG).expect("delivered");
    assert_eq!(assert_in_order(&receiver.logs()), 40);
}

#[test]
fn records_of_a_provider_are_in_order_and_times_that_were_given_stay() {
    let receiver = Receiver::start().expect("a receiver");
    let mut builder = Builder::new();
    builder.otlp(Otlp::to(receiver.endpoint())).console(Console::off());
    let processor = builder.build_processor().expect("builds");
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    let logger = provider.logger("order");
    let emit = |number: usize, time: Option<SystemTime>| {
        let mut record = logger.create_log_record();
        record.set_severity_number([Severity::Info, Severity::Warn][number % 2]);
        record.set_target(TARGETS[number / 2 % 3]);
        record.set_body(AnyValue::from(format!("0 {number} ")));
        if let Some(time) = time {
            record.set_timestamp(time);
        }
        logger.emit(record);
    };
    (0..100).for_each(|number| emit(number, None));
    provider.force_flush().expect("delivered");
    assert_eq!(assert_in_order(&receiver.take_logs()), 100);
    // Somebody who says when it was knows better; and what comes after that is not moved by it.
    let day = Duration::from_secs(86_400);
    emit(0, Some(SystemTime::now() + day));
    emit(1, None);
    emit(2, Some(SystemTime::UNIX_EPOCH + day));
    provider.force_flush().expect("delivered");
    let logs = receiver.take_logs();
    let time = |number: usize| {
        let log = logs.iter().find(|log| name(log).is_some_and(|name| name.1 == number)).expect("it arrived");
        SystemTime::UNIX_EPOCH + Duration::from_nanos(log.time_unix_nano)
    };
    assert!(time(0) > SystemTime::now() + day / 2 && time(1) < SystemTime::now() + day / 2);
    assert_eq!(time(2), SystemTime::UNIX_EPOCH + day);
}
