//! Records that arrive faster than they are sent: each policy against endpoints that hang, are unreachable, or recover.

#![allow(clippy::expect_used)] // A test may panic.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use log::{Level, Log as _};
use logbridge::testing::{Answer, Receiver};
use logbridge::{Bridge, Builder, Console, DropReason, LevelFilter, Otlp, OtlpCounters, Overload};

use crate::undelivered::undelivered;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);
/// Longer than a test lasts.
const HANG: Duration = Duration::from_secs(60);

fn builder(endpoint: &str, overload: Overload) -> Builder {
    let mut builder = Builder::new();
    builder
        .service_name("overload")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(endpoint))
        .console(Console::off())
        .max_bytes(1 << 20)
        .overload(overload)
        .schedule_delay(Duration::from_millis(10));
    builder
}

fn bridge(receiver: &Receiver, overload: Overload) -> Bridge {
    builder(&receiver.endpoint(), overload).build().expect("builds")
}

/// Nothing listens there.
fn dead() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port"))
}

fn log(logger: &logbridge::Logger, level: Level, number: usize) {
    let args = format_args!("{number} {:1000}", "");
    logger.log(&log::Record::builder().args(args).level(level).target("overload::test").build());
}

fn write(bridge: &Bridge, level: Level, numbers: std::ops::Range<usize>) {
    let logger = bridge.logger();
    numbers.for_each(|number| log(&logger, level, number));
}

fn otlp(bridge: &Bridge) -> OtlpCounters {
    bridge.report().counters.otlp
}

fn dropped(bridge: &Bridge, reason: DropReason) -> u64 {
    otlp(bridge).dropped.iter().find(|(r, _)| *r == reason).map_or(0, |(_, records)| *records)
}

/// The law of the ledger, and that what it lost is known by level and target.
fn assert_balanced(bridge: &Bridge) {
    let report = bridge.report();
    let otlp = &report.counters.otlp;
    let fates = otlp.delivered + otlp.unconfirmed + otlp.rejected_total() + otlp.dropped_total() + otlp.pending;
    assert_eq!(otlp.accepted, fates, "{otlp:?}");
    for (reason, records) in otlp.dropped.iter().filter(|(reason, _)| *reason != DropReason::Shutdown) {
        let told: u64 = report.dropped.iter().filter(|loss| loss.reason == *reason).map(|loss| loss.records).sum();
        assert_eq!(told, *records, "{reason}: {:?}", report.dropped);
    }
    assert!(report.dropped.iter().all(|loss| loss.target == "overload::test"), "{:?}", report.dropped);
}

fn arrived(receiver: &Receiver, severity: &str) -> Vec<usize> {
    let logs = receiver.logs();
    let numbers = logs.iter().filter(|log| log.severity_text == severity);
    let mut numbers: Vec<usize> =
        numbers.map(|log| log.message().split(' ').next().expect("a number").parse().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::yield_now();
    }
}

/// The outbox is full, and the writers wait.
fn wait_until_nobody_gets_in(bridge: &Bridge) {
    wait_until("it is full", || otlp(bridge).pending > 400);
    let (mut before, mut since) = (0, Instant::now());
    wait_until("nobody gets in", || {
        let accepted = otlp(bridge).accepted;
        if std::mem::replace(&mut before, accepted) != accepted {
            since = Instant::now();
        }
        since.elapsed() > Duration::from_millis(100)
    });
}

/// A pipeline towards a port where nothing listens yet, and the port.
fn too_early(overload: Overload) -> (u16, Bridge) {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    (port, builder(&format!("http://127.0.0.1:{port}"), overload).build().expect("builds"))
}

fn begin(port: u16) -> Receiver {
    Receiver::builder().port(port).start().expect("the port is still free")
}

#[test]
fn drop_newest_keeps_the_first() {
    let (port, bridge) = too_early(Overload::DropNewest);
    write(&bridge, Level::Info, 0..3_000);
    let receiver = begin(port);
    let error = bridge.flush(LONG).expect_err("some are lost");
    assert_eq!(undelivered(&error).logs.lost(), dropped(&bridge, DropReason::OutboxFull));
    let numbers = arrived(&receiver, "INFO");
    assert!(numbers.len() > 300 && numbers[..300] == (0..300).collect::<Vec<_>>(), "{numbers:?}");
    assert_eq!(otlp(&bridge).delivered + undelivered(&error).logs.lost(), 3_000);
    assert_balanced(&bridge);
}

#[test]
fn drop_oldest_keeps_the_last_and_flush_tells_what_it_cost() {
    let (port, bridge) = too_early(Overload::DropOldest);
    write(&bridge, Level::Info, 0..3_000);
    let receiver = begin(port);
    let error = bridge.flush(LONG).expect_err("some are lost");
    assert!(error.is_lost() && !error.is_timeout() && undelivered(&error).logs.pending == 0, "{error:?}");
    assert_eq!(undelivered(&error).logs.lost(), dropped(&bridge, DropReason::EvictedOldest));
    let numbers = arrived(&receiver, "INFO");
    assert_eq!(numbers.len() as u64 + undelivered(&error).logs.lost(), 3_000, "each record once");
    assert!(numbers.ends_with(&(2_800..3_000).collect::<Vec<_>>()), "the newest are there: {numbers:?}");
    assert!(undelivered(&error).logs.lost() > 1_000, "{error:?}");
    assert_balanced(&bridge);
    write(&bridge, Level::Info, 0..10);
    bridge.flush(LONG).expect("the loss was told by the flush before");
}

#[test]
fn drop_least_severe_lets_every_warning_in() {
    let (port, bridge) = too_early(Overload::DropLeastSevere);
    // The outbox is full of what is below WARN when the warnings come.
    write(&bridge, Level::Info, 0..2_000);
    let refused = dropped(&bridge, DropReason::RefusedBelowWarn);
    assert!(refused > 500, "{:?}", otlp(&bridge));
    write(&bridge, Level::Warn, 0..150);
    write(&bridge, Level::Error, 150..300);
    let receiver = begin(port);
    let error = bridge.flush(LONG).expect_err("some are lost");
    assert!(error.is_lost() && !error.is_timeout(), "{error:?}");
    assert_eq!(arrived(&receiver, "WARN"), (0..150).collect::<Vec<_>>());
    assert_eq!(arrived(&receiver, "ERROR"), (150..300).collect::<Vec<_>>());
    let evicted = dropped(&bridge, DropReason::EvictedLessSevere);
    assert_eq!(arrived(&receiver, "INFO").len() as u64 + refused + evicted, 2_000);
    assert_eq!(undelivered(&error).logs.lost(), refused + evicted);
    assert_balanced(&bridge);
    assert!(
        bridge.report().dropped.iter().all(|loss| loss.level == Some(Level::Info)),
        "{:?}",
        bridge.report().dropped
    );
}

#[test]
fn warnings_make_room_for_themselves_while_the_endpoint_is_dead() {
    let mut builder = builder(&dead(), Overload::DropLeastSevere);
    // Segments go when they are full: on a busy machine, the delay would send many that are nearly empty and take the room of
    // whole ones.
    let bridge = builder.schedule_delay(Duration::from_secs(3_600)).build().expect("builds");
    write(&bridge, Level::Debug, 0..2_000);
    write(&bridge, Level::Error, 0..400);
    let evicted = dropped(&bridge, DropReason::EvictedLessSevere);
    assert!(evicted > 0 && dropped(&bridge, DropReason::OutboxFull) == 0, "{:?}", otlp(&bridge));
    assert_balanced(&bridge);
    let shown = bridge.report().to_string();
    assert!(shown.contains("dropped: it made room in the full outbox for a record at WARN or above"), "{shown}");
    assert!(shown.contains("overload::test at DEBUG"), "{shown}");
    // The dropped ones do not hold a flush up, and what is left is what it waits for.
    let error = bridge.flush(SHORT).expect_err("nobody listens");
    assert_eq!(undelivered(&error).logs.lost(), otlp(&bridge).dropped_total());
    assert_eq!(undelivered(&error).logs.pending, 2_400 - undelivered(&error).logs.lost());
}

#[test]
fn block_waits_until_the_endpoint_is_back_and_loses_nothing() {
    let (port, bridge) = too_early(Overload::Block(LONG));
    let receiver = std::thread::scope(|scope| {
        for thread in 0..4 {
            let bridge = &bridge;
            scope.spawn(move || write(bridge, Level::Info, thread * 1_000..(thread + 1) * 1_000));
        }
        wait_until_nobody_gets_in(&bridge);
        assert_eq!(otlp(&bridge).lost(), 0);
        begin(port)
    });
    bridge.flush(LONG).expect("nothing is lost");
    assert_eq!(receiver.logs().len(), 4_000);
    assert_eq!((otlp(&bridge).delivered, otlp(&bridge).lost()), (4_000, 0));
    assert_balanced(&bridge);
}

#[test]
fn block_gives_up_at_its_deadline_and_then_waits_no_more() {
    let wait = Duration::from_millis(200);
    let bridge = builder(&dead(), Overload::Block(wait)).build().expect("builds");
    let start = Instant::now();
    write(&bridge, Level::Info, 0..2_000);
    // More than a thousand found no room: 200 seconds, were each of them to wait.
    let took = start.elapsed();
    assert!(took >= wait && took < LONG, "{took:?}");
    assert!(dropped(&bridge, DropReason::BlockTimeout) > 500, "{:?}", otlp(&bridge));
    assert_balanced(&bridge);
}

#[test]
fn eight_threads_at_a_dead_endpoint_with_each_policy() {
    for overload in [
        Overload::DropNewest,
        Overload::DropOldest,
        Overload::DropLeastSevere,
        Overload::Block(Duration::from_millis(50)),
    ] {
        let bridge = builder(&dead(), overload).build().expect("builds");
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let bridge = &bridge;
                scope.spawn(move || {
                    let logger = bridge.logger();
                    for number in 0..1_000 {
                        let level = if number % 5 == 0 { Level::Warn } else { Level::Info };
                        log(&logger, level, thread * 1_000 + number);
                    }
                });
            }
        });
        let otlp = otlp(&bridge);
        assert_eq!(otlp.accepted, 8_000, "{overload}");
        assert!(otlp.pending > 100 && otlp.pending < 2_000, "{overload}: {otlp:?}");
        assert_balanced(&bridge);
        let error = bridge.shutdown(SHORT).expect_err("nothing was delivered");
        assert_eq!(undelivered(&error).logs.lost(), 8_000, "{overload}: {error:?}");
        assert_balanced(&bridge);
    }
}

#[test]
fn shutdown_lets_go_those_who_wait() {
    let receiver = Receiver::start().expect("a receiver");
    receiver.answer_always(Answer::Hang(HANG));
    let bridge = bridge(&receiver, Overload::Block(HANG));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&bridge, Level::Info, 0..2_000));
        wait_until_nobody_gets_in(&bridge);
        assert!(bridge.flush(SHORT).is_err_and(|error| error.is_timeout() && !error.is_lost()));
        let start = Instant::now();
        bridge.shutdown(SHORT).expect_err("nothing was delivered");
        writer.join().expect("no panic");
        assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
    });
    let otlp = otlp(&bridge);
    assert_eq!((otlp.accepted, otlp.pending, dropped(&bridge, DropReason::Shutdown)), (2_000, 0, 2_000), "{otlp:?}");
    assert_balanced(&bridge);
}

#[test]
fn records_larger_than_a_segment_obey_the_policy() {
    for overload in [Overload::DropOldest, Overload::DropLeastSevere, Overload::Block(Duration::from_millis(50))] {
        let bridge = builder(&dead(), overload).build().expect("builds");
        let logger = bridge.logger();
        let text = "x".repeat(300 << 10);
        for _ in 0..20 {
            for level in [Level::Info, Level::Warn] {
                let args = format_args!("{text}");
                logger.log(&log::Record::builder().args(args).level(level).target("overload::test").build());
            }
        }
        let otlp = otlp(&bridge);
        assert_eq!(otlp.accepted, 40, "{overload}");
        assert!(otlp.pending >= 1 && otlp.dropped_total() >= 30, "{overload}: {otlp:?}");
        assert_balanced(&bridge);
    }
}

#[test]
fn a_record_that_no_room_is_enough_for_is_told() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = bridge(&receiver, Overload::DropOldest);
    let text = "large ".repeat(400_000);
    let args = format_args!("{text}");
    let record = log::Record::builder().args(args).level(Level::Error).target("overload::test").build();
    bridge.logger().log(&record);
    assert_eq!(dropped(&bridge, DropReason::TooLarge), 1);
    assert_balanced(&bridge);
    let said = || bridge.report().notices.join("\n");
    // Nothing else is written, and nobody asks for anything.
    wait_until("it is told", || said().contains("1 record was dropped because it is larger than the whole outbox"));
}
