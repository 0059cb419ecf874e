//! An accepted log call allocates nothing in steady state, unless its message or values allocate.

#![allow(clippy::expect_used)] // A test may panic.

use std::time::Duration;

use log::Log as _;
use logbridge::{Bridge, Builder, Console, LevelFilter, Otlp};

const CALLS: u64 = 1_000;

/// Sends to an endpoint that accepts and never answers: what is written stays.
fn bridge() -> (std::net::TcpListener, Bridge) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let bridge = Builder::new()
        .filter_level(LevelFilter::Info)
        .otlp(Otlp::to(endpoint).timeout(Duration::from_secs(600)))
        .console(Console::off())
        .schedule_delay(Duration::from_secs(600))
        .build()
        .expect("builds");
    (listener, bridge)
}

/// Allocations of the calls of one thread, once it has buffers, but for those of the outbox's own segments.
fn allocations(call: impl Fn(u64)) -> u64 {
    (0..CALLS).for_each(&call);
    allocation_counter::measure(|| (0..CALLS).for_each(&call)).count_total
}

/// How many segments these calls may have begun: each is one allocation, of a mebibyte.
const SEGMENTS: u64 = 1;

#[test]
fn a_log_call_allocates_nothing() {
    let (_listener, bridge) = bridge();
    let logger = bridge.logger();
    let plain = allocations(|number| {
        let args = format_args!("request {number} completed in {} ms", number % 7);
        logger.log(&log::Record::builder().args(args).level(log::Level::Info).target("allocations").build());
    });
    assert!(plain <= SEGMENTS, "{plain} allocations of {CALLS} plain calls");
    let with_values = allocations(|number| {
        let key_values = [
            ("user", log::kv::Value::from(number)),
            ("route", log::kv::Value::from("/checkout")),
            ("took", 1.5.into()),
        ];
        let args = format_args!("request completed");
        let mut record = log::Record::builder();
        let record = record.args(args).level(log::Level::Warn).target("allocations").key_values(&key_values);
        logger.log(&record.file(Some("a.rs")).line(Some(7)).build());
    });
    assert!(with_values <= SEGMENTS, "{with_values} allocations of {CALLS} calls with values");
    let rejected = allocations(|number| {
        let args = format_args!("request {number}");
        logger.log(&log::Record::builder().args(args).level(log::Level::Debug).target("allocations").build());
    });
    assert_eq!(rejected, 0, "rejected calls");
    assert_eq!(bridge.report().counters.otlp.accepted, 4 * CALLS);
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|number| drop(std::hint::black_box(vec![number]))), CALLS);
}
