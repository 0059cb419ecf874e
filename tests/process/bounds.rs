//! The limits set by the specification's variables: pending records, records per request, the time of a request with
//! all retries, and attributes.

use std::time::Duration;

use logbridge::testing::Answer;

use crate::runner::{Group, named};
use crate::support::{Child, dead_end, print_counters, receiver};

pub(crate) const GROUP: Group = Group {
    name: "bounds",
    tests: named![
        a_request_with_its_tries_has_only_so_much_time_where_that_is_set,
        attributes_have_limits_where_they_are_set,
        parts_of_a_request_have_their_time_too,
        requests_hold_only_so_many_records,
        so_many_records_wait_and_no_more,
    ],
    scenarios: named![large_attributes, many_records],
};

fn many_records(arguments: &[String]) {
    let number: u32 = arguments[0].parse().expect("a number");
    logbridge::init();
    for number in 0..number {
        log::info!("{number}");
        drop(tracing::info_span!("span", number).entered());
    }
    let flushed = logbridge::bridge().expect("installed").flush(Duration::from_secs(2));
    println!("{flushed:?}");
    print_counters();
}

fn so_many_records_wait_and_no_more() {
    let receiver = receiver();
    receiver.answer_always(Answer::Hang(Duration::from_secs(60)));
    let child = Child::new("many_records").arg("100").to(&receiver).env("OTEL_BLRP_MAX_QUEUE_SIZE", "30");
    let child = child.env("LOGBRIDGE_EXIT_TIMEOUT", "100ms").run().success();
    child.numbers().expect(&[("otlp.accepted", 100), ("otlp.pending", 30), ("dropped.OutboxFull", 70)]);
    // What has met its fate makes room.
    receiver.answer_always(Answer::Ok);
    let child = Child::new("many_records").arg("30").to(&receiver).env("OTEL_BLRP_MAX_QUEUE_SIZE", "30").run();
    child.success().numbers().expect(&[("otlp.delivered", 30), ("otlp.lost", 0)]);
}

fn requests_hold_only_so_many_records() {
    let receiver = receiver();
    let child = Child::new("many_records").arg("100").to(&receiver).env("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "40");
    let child = child.env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "30").run().success().quiet();
    child.numbers().expect(&[("otlp.delivered", 100), ("spans.delivered", 100)]);
    let sizes = |path: &str| -> Vec<usize> {
        receiver.requests().iter().filter(|request| request.path == path).map(|request| request.records).collect()
    };
    assert_eq!(sizes("/v1/logs"), [40, 40, 20], "{child}");
    let spans = sizes("/v1/traces");
    assert!(spans.iter().all(|spans| *spans <= 30) && spans.iter().sum::<usize>() == 100, "{spans:?}: {child}");
}

fn a_request_with_its_tries_has_only_so_much_time_where_that_is_set() {
    let dead = dead_end();
    let child = Child::new("many_records").arg("3").towards(&dead.url).env("OTEL_BLRP_EXPORT_TIMEOUT", "200");
    let child = child.env("OTEL_BSP_EXPORT_TIMEOUT", "200").run().success();
    child.numbers().expect(&[("otlp.lost", 3), ("dropped.ExportTimeout", 3), ("otlp.pending", 0), ("spans.lost", 3)]);
    child.said("lost: 3 records, which could not be delivered").said("(OTEL_BLRP_EXPORT_TIMEOUT): connection refused");
}

fn parts_of_a_request_have_their_time_too() {
    let receiver = receiver();
    // The first half arrives, and then nothing does.
    receiver.answer_with([413, 200, 503].map(Answer::status));
    let child = Child::new("many_records").arg("100").to(&receiver).env("OTEL_BLRP_EXPORT_TIMEOUT", "200");
    let child = child.env("OTEL_BLRP_SCHEDULE_DELAY", "60000").run().success();
    child.numbers().expect(&[("otlp.delivered", 50), ("dropped.ExportTimeout", 50), ("otlp.pending", 0)]);
    child.said("lost: 50 records, which could not be delivered").said("it answered 503 Service Unavailable");
}

fn large_attributes(_: &[String]) {
    logbridge::init();
    log::info!(a = "abcdefgh", b = "grün", c = 123_456_789, d = "cut"; "a message is no attribute");
}

fn attributes_have_limits_where_they_are_set() {
    for (count, length) in [
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
    ] {
        let receiver = receiver();
        let child = Child::new("large_attributes").to(&receiver).env(count, "3").env(length, "3");
        let child = child.env("DEBUG", "true").run().success();
        let logs = receiver.logs();
        let log = &logs[0];
        assert_eq!(log.attributes.to_string(), "a=abc b=grü c=123456789", "{child}");
        // `d`, and where and on which thread it was written.
        assert_eq!((log.dropped_attributes_count, log.message().as_str()), (5, "a message is no attribute"));
        assert!(child.stdout.contains("a=abc b=grü c=123456789\n"), "the mirror shows what is shipped: {child}");
    }
}
