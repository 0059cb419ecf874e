//! A full outbox at the end of a process, in exit handlers and in forked children, and the notices about it.

use std::time::{Duration, Instant};

use logbridge::testing::Answer;

use crate::runner::{Group, named};
use crate::support::{Child, Finished, SLACK, dead_end, print_counters, receiver};

pub(crate) const GROUP: Group = Group {
    name: "overload",
    tests: named![
        a_child_forked_while_its_parent_waits_for_room_has_room_of_its_own,
        a_processor_that_logs_does_not_wait,
        an_exit_handler_does_not_wait_for_room,
        a_bound_in_records_keeps_the_order,
        one_record_at_a_time_obeys_the_policy,
        the_loss_is_told_while_a_request_hangs,
        the_policy_is_read_and_shown,
        what_was_lost_is_told_at_the_end,
        who_waits_for_one_place_does_not_wait_for_the_schedule,
    ],
    scenarios: named![
        fill,
        fill_and_exit,
        fill_and_fork,
        fill_and_wait_for_notice,
        fill_beside_a_processor,
        log_in_order,
        one_by_one,
        wait_for_one_place
    ],
};

const TOLD: &str = "dropped because the outbox is full";
/// Longer than a test lasts.
const HANG: Duration = Duration::from_secs(60);

/// More than fits into the least outbox that there is.
fn write_too_much() {
    for number in 0..500 {
        log::info!("{number} {:1000}", "");
    }
}

fn small(child: Child, overload: &str) -> Child {
    child
        .env("LOGBRIDGE_MAX_BYTES", "64KiB")
        .env("LOGBRIDGE_OVERLOAD", overload)
        .env("LOGBRIDGE_EXIT_TIMEOUT", "100ms")
        .env("LOGBRIDGE_CONSOLE", "off")
}

fn fill(_: &[String]) {
    logbridge::init();
    write_too_much();
    print_counters();
}

fn what_was_lost_is_told_at_the_end() {
    for (overload, why) in [
        ("drop-newest", "the outbox was full"),
        ("drop-oldest", "it made room in the full outbox for a newer record"),
        ("drop-least-severe", "it was below WARN, and the rest of the outbox is kept for WARN and above"),
        ("block=10ms", "the outbox stayed full for as long as a call may block"),
    ] {
        let dead = dead_end();
        let child = small(Child::new("fill").towards(&dead.url), overload).run().success().within(SLACK);
        assert_eq!(child.count(TOLD), 1, "{child}");
        child.said(why).said(&format!("the policy {overload}"));
    }
}

fn the_policy_is_read_and_shown() {
    let dead = dead_end();
    let child = small(Child::new("fill").towards(&dead.url), "oldest").run().success();
    child.said("LOGBRIDGE_OVERLOAD: `oldest` is not an overload policy; drop-newest is used").said("`drop-oldest`");
}

fn fill_and_wait_for_notice(_: &[String]) {
    logbridge::init();
    write_too_much();
    let bridge = logbridge::bridge().expect("installed");
    let start = Instant::now();
    while !bridge.report().notices.iter().any(|notice| notice.contains(TOLD)) {
        assert!(start.elapsed() < Duration::from_secs(20), "it is not told");
        std::thread::yield_now();
    }
    print_counters();
}

fn the_loss_is_told_while_a_request_hangs() {
    let receiver = receiver();
    receiver.answer_always(Answer::Hang(HANG));
    let child = small(Child::new("fill_and_wait_for_notice").to(&receiver), "drop-newest").run().success();
    assert_eq!(child.count(TOLD), 1, "{child}");
    let numbers = child.numbers();
    let dropped = numbers.get("dropped.OutboxFull");
    child
        .said(&format!("{dropped} records were {TOLD}"))
        .said("records per second arrived, 0 per second were delivered");
}

extern "C" fn log_at_exit() {
    write_too_much();
    print_counters();
}

fn fill_and_exit(_: &[String]) {
    // Runs after ours, which is registered later.
    // SAFETY: the handler is a function of this program, and does not unwind.
    assert_eq!(unsafe { libc::atexit(log_at_exit) }, 0);
    logbridge::init();
}

fn an_exit_handler_does_not_wait_for_room() {
    let receiver = receiver();
    receiver.answer_always(Answer::Hang(HANG));
    let child = small(Child::new("fill_and_exit").to(&receiver), "block=50s").run().success().within(SLACK);
    let numbers = child.numbers();
    numbers.expect(&[("otlp.accepted", 500)]);
    assert!(numbers.get("dropped.OutboxFull") > 300, "{child}");
}

fn fill_and_fork(_: &[String]) {
    logbridge::init();
    let filled = std::thread::spawn(write_too_much);
    // Until that thread waits for room.
    let bridge = logbridge::bridge().expect("installed");
    let (mut accepted, mut since, start) = (0, Instant::now(), Instant::now());
    while accepted < 20 || since.elapsed() < Duration::from_millis(100) {
        let now = bridge.report().counters.otlp.accepted;
        if std::mem::replace(&mut accepted, now) != now {
            since = Instant::now();
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it does not wait");
        std::thread::yield_now();
    }
    assert!(!filled.is_finished());
    // SAFETY: the child runs ordinary code although the parent has other threads; glibc keeps `malloc` usable.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        log::info!("child");
        let otlp = logbridge::bridge().expect("installed").report().counters.otlp;
        // SAFETY: ends the child without handlers, so that only the parent prints.
        unsafe { libc::_exit(if (otlp.accepted, otlp.pending) == (1, 1) { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer that waitpid writes.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the forked child has no room of its own");
    print_counters();
    // The other thread still waits, and does not keep the process.
    std::process::exit(0);
}

fn a_child_forked_while_its_parent_waits_for_room_has_room_of_its_own() {
    let receiver = receiver();
    receiver.answer_always(Answer::Hang(HANG));
    let child = small(Child::new("fill_and_fork").to(&receiver), "block=50s").run().success();
    child.within(Duration::from_secs(20)).numbers().expect(&[("otlp.lost", 0)]);
}

/// Writes a record of its own for each one that it sees.
#[derive(Debug)]
struct Echo;

impl opentelemetry_sdk::logs::LogProcessor for Echo {
    fn emit(&self, record: &mut opentelemetry_sdk::logs::SdkLogRecord, _: &opentelemetry::InstrumentationScope) {
        if record.target().is_none_or(|target| target != "echo") {
            log::info!(target: "echo", "{:1000}", "");
        }
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

fn fill_beside_a_processor(_: &[String]) {
    logbridge::builder().log_processor(Echo).init();
    write_too_much();
    print_counters();
}

fn a_processor_that_logs_does_not_wait() {
    let dead = dead_end();
    let child = Child::new("fill_beside_a_processor").towards(&dead.url);
    let child = small(child, "block=100ms").run().success().within(SLACK);
    let numbers = child.numbers();
    numbers.expect(&[("otlp.accepted", 1_000)]);
    // The record from inside finds no room first, and is dropped for that at once.
    assert!(numbers.get("dropped.OutboxFull") > 300 && numbers.get("dropped.BlockTimeout") > 300, "{child}");
}

fn one_by_one(_: &[String]) {
    logbridge::init();
    for number in 0..100 {
        log::info!("{number}");
    }
    log::warn!("the last one");
    let flushed = logbridge::bridge().expect("installed").flush(Duration::from_secs(20));
    println!("{flushed:?}");
    print_counters();
}

fn one_record_at_a_time_obeys_the_policy() {
    let run = |overload: &str| -> (Finished, Vec<String>) {
        let receiver = receiver();
        let child = Child::new("one_by_one").to(&receiver).env("LOGBRIDGE_OVERLOAD", overload);
        let child = child.env("OTEL_BLRP_MAX_QUEUE_SIZE", "1").run().success();
        let arrived = receiver.logs().iter().map(|log| log.message()).collect();
        (child, arrived)
    };
    // Nothing is sent on schedule here: whoever finds no room has what waits sent at once.
    let (child, arrived) = run("block=20s");
    child.numbers().expect(&[("otlp.accepted", 101), ("otlp.delivered", 101), ("otlp.lost", 0)]);
    assert_eq!(arrived.len(), 101, "{child}");
    for overload in ["drop-oldest", "drop-least-severe"] {
        let (child, arrived) = run(overload);
        let numbers = child.numbers();
        numbers.expect(&[("otlp.accepted", 101), ("otlp.pending", 0), ("otlp.delivered", arrived.len() as u64)]);
        assert_eq!(numbers.get("otlp.delivered") + numbers.get("otlp.lost"), 101, "{child}");
        child.said("OTEL_BLRP_MAX_QUEUE_SIZE");
    }
}

fn wait_for_one_place(_: &[String]) {
    logbridge::init();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || (0..10).for_each(|number| log::info!("{thread}.{number}")));
        }
    });
    print_counters();
}

/// What one of those who wait writes is sent for the sake of the others.
fn who_waits_for_one_place_does_not_wait_for_the_schedule() {
    let receiver = receiver();
    let child = Child::new("wait_for_one_place")
        .to(&receiver)
        .env("OTEL_BLRP_MAX_QUEUE_SIZE", "1")
        .env("OTEL_BLRP_SCHEDULE_DELAY", "3600000")
        .env("LOGBRIDGE_OVERLOAD", "block=2s")
        .env("LOGBRIDGE_CONSOLE", "off")
        .run()
        .success();
    let mut all: Vec<String> = (0..40).map(|number| format!("{}.{}", number / 10, number % 10)).collect();
    all.sort();
    let mut arrived: Vec<String> = receiver.logs().iter().map(|log| log.message()).collect();
    arrived.sort();
    assert_eq!(arrived, all, "{child}");
}

const ORDERED: usize = 2_000;

/// Two threads write to three targets, at changing levels.
fn log_in_order(_: &[String]) {
    logbridge::init();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || {
                for number in 0..ORDERED {
                    let target = ["a", "b", "c"][number % 3];
                    match number % 4 {
                        0 | 1 => log::info!(target: target, "{thread} {number}"),
                        2 => log::warn!(target: target, "{thread} {number}"),
                        _ => tracing::error!(target: "a", "{thread} {number}"),
                    }
                }
            });
        }
    });
}

fn a_bound_in_records_keeps_the_order() {
    let receiver = receiver();
    let child = Child::new("log_in_order").to(&receiver).env("RUST_LOG", "info");
    let child = child.env("OTEL_BLRP_MAX_QUEUE_SIZE", "100").env("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "37");
    let child = child.env("LOGBRIDGE_OVERLOAD", "block=60s").env("LOGBRIDGE_CONSOLE", "off");
    child.deadline(Duration::from_secs(120)).run().success();
    let logs = receiver.logs();
    assert_eq!(logs.len(), 2 * ORDERED);
    let mut last = std::collections::BTreeMap::new();
    for log in &logs {
        let message = log.message();
        let (thread, number) = message.split_once(' ').expect("two numbers");
        let number: usize = number.parse().expect("a number");
        let before = last.insert((thread.to_owned(), log.target().to_owned()), number);
        assert!(before.is_none_or(|before| before < number), "{thread} {}: {number} after {before:?}", log.target());
    }
}
