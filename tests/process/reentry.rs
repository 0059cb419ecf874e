//! Values that log, log themselves, panic or flush while they are formatted cause no deadlock, no abort and no
//! uncounted loss.

use std::fmt;

use crate::runner::{Group, named};
use crate::support::{Child, Finished, Numbers, SLACK, arrived, flush, print_counters, receiver};

pub(crate) const GROUP: Group = Group {
    name: "reentry",
    tests: named![
        a_value_that_flushes_does_not_deadlock,
        a_value_that_logs_arrives_with_what_it_logs,
        a_value_that_logs_itself_without_end_is_cut_and_counted,
        a_value_that_panics_is_counted_and_the_program_goes_on,
        after_a_value_that_panicked_the_next_console_line_is_whole,
    ],
    scenarios: named![endless, flushes, nested, panics],
};

/// The sums that must hold for every record.
#[track_caller]
fn assert_balanced(numbers: &Numbers) {
    let get = |name: &str| numbers.get(name);
    assert_eq!(get("offered"), get("below") + get("passed"), "{numbers:?}");
    let otlp = ["below", "off", "suppressed", "accepted"].map(|name| get(&format!("otlp.{name}")));
    assert_eq!(get("passed"), otlp.iter().sum::<u64>(), "{numbers:?}");
    let console = ["below", "off", "suppressed", "accepted"].map(|name| get(&format!("console.{name}")));
    assert_eq!(get("passed"), console.iter().sum::<u64>(), "{numbers:?}");
    assert_eq!(get("otlp.accepted"), get("otlp.delivered") + get("otlp.lost") + get("otlp.pending"), "{numbers:?}");
}

struct Nested;

impl fmt::Display for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!("inside, of log");
        tracing::info!("inside, of tracing");
        f.write_str("a value")
    }
}

fn nested(_: &[String]) {
    logbridge::init();
    let _span = tracing::info_span!("outer").entered();
    log::info!("message of log: {}", Nested);
    tracing::info!("message of tracing: {}", Nested);
    log::info!(key:% = Nested; "key-value of log");
    tracing::info!(key = %Nested, "field of tracing");
    flush();
    print_counters();
}

fn a_value_that_logs_arrives_with_what_it_logs() {
    let receiver = receiver();
    let child = Child::new("nested").to(&receiver).run().success().quiet().within(SLACK);
    let logs = receiver.logs();
    let outer = ["message of log: a value", "message of tracing: a value", "key-value of log", "field of tracing"];
    for message in outer {
        assert_eq!(arrived(&logs, message), 1, "{message}: {child}");
        assert_eq!(child.count(&format!("] {message}")), 1, "{message}: {child}");
    }
    let keys = logs.iter().filter(|log| log.attribute("key").is_some_and(|key| *key == "a value"));
    assert_eq!(keys.count(), 2, "{child}");
    // Each value is formatted once, for the console and the endpoint: what it logs comes before it, in both.
    for message in ["inside, of log", "inside, of tracing"] {
        assert_eq!((arrived(&logs, message), child.count(&format!("] {message}"))), (4, 4), "{message}: {child}");
    }
    let order: Vec<String> = logs.iter().map(|log| log.message()).collect();
    let expected = outer.iter().flat_map(|outer| ["inside, of log", "inside, of tracing", outer]);
    assert_eq!(order, expected.collect::<Vec<_>>(), "{child}");
    assert!(logs.iter().all(|log| log.trace_id == logs[0].trace_id && log.trace_id.len() == 32), "{child}");
    let numbers = child.numbers();
    assert_balanced(&numbers);
    numbers.expect(&[("otlp.delivered", 12), ("otlp.suppressed", 0), ("console.accepted", 12), ("otlp.lost", 0)]);
    assert_eq!(logs.len(), 12, "{child}");
}

struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!("of log: {}", Endless);
        tracing::info!("of tracing: {}", Endless);
        f.write_str("deep")
    }
}

fn endless(_: &[String]) {
    logbridge::init();
    log::info!("outermost: {}", Endless);
    log::info!("after it");
    flush();
    print_counters();
}

fn a_value_that_logs_itself_without_end_is_cut_and_counted() {
    let receiver = receiver();
    let child = Child::new("endless").to(&receiver).run().success().quiet().within(SLACK);
    let logs = receiver.logs();
    assert_eq!(arrived(&logs, "outermost: deep"), 1, "{child}");
    assert_eq!(arrived(&logs, "after it"), 1, "{child}");
    assert!(arrived(&logs, "of log: deep") > 0 && arrived(&logs, "of tracing: deep") > 0, "{child}");
    let numbers = child.numbers();
    assert_balanced(&numbers);
    assert!(numbers.get("otlp.suppressed") > 0 && numbers.get("console.suppressed") > 0, "{numbers:?}");
    assert_eq!(numbers.get("otlp.delivered"), logs.len() as u64, "{numbers:?}");
}

struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half of it")?;
        panic!("this value panics");
    }
}

fn panics(_: &[String]) {
    logbridge::builder().panic_hook(false).init();
    log::info!("first");
    log::info!("of log: {}", Panics);
    log::info!("next of log");
    tracing::info!("of tracing: {}", Panics);
    tracing::info!("next of tracing");
    log::info!(key:% = Panics; "key-value");
    tracing::info!(key = %Panics, "field");
    log::info!("last");
    log::logger().flush();
    print_counters();
}

fn panicking_child() -> (Finished, Vec<String>) {
    let receiver = receiver();
    let child = Child::new("panics").to(&receiver).run().success().quiet().within(SLACK);
    (child, receiver.logs().iter().map(|log| log.message()).collect())
}

fn a_value_that_panics_is_counted_and_the_program_goes_on() {
    let (child, messages) = panicking_child();
    assert_eq!(messages, ["first", "next of log", "next of tracing", "last"], "{child}");
    let numbers = child.numbers();
    assert_balanced(&numbers);
    numbers.expect(&[("dropped.FormatPanicked", 4), ("otlp.lost", 4), ("otlp.delivered", 4), ("otlp.pending", 0)]);
    numbers.expect(&[("console.accepted", 8), ("console.failed", 4)]);
}

fn after_a_value_that_panicked_the_next_console_line_is_whole() {
    let (child, _) = panicking_child();
    for message in ["first", "next of log", "next of tracing", "last"] {
        let whole =
            |line: &&str| line.starts_with("[20") && line.ends_with(&format!("INFO  process::reentry] {message}"));
        let lines: Vec<_> = child.stderr.lines().filter(whole).collect();
        assert_eq!(lines.len(), 1, "{message}: {child}");
        assert_eq!(lines[0].matches('[').count(), 1, "more than one record in {:?}", lines[0]);
    }
}

struct Flushes;

impl fmt::Display for Flushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!("inside");
        flush();
        f.write_str("a value")
    }
}

fn flushes(_: &[String]) {
    logbridge::init();
    log::info!("of log: {}", Flushes);
    tracing::info!("of tracing: {}", Flushes);
}

fn a_value_that_flushes_does_not_deadlock() {
    let receiver = receiver();
    let child = Child::new("flushes").to(&receiver).run().success().quiet().within(SLACK);
    let logs = receiver.logs();
    assert_eq!(arrived(&logs, "of log: a value"), 1, "{child}");
    assert_eq!(arrived(&logs, "of tracing: a value"), 1, "{child}");
    assert_eq!(arrived(&logs, "inside"), 2, "each value is formatted once: {child}");
}
