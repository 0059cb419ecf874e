//! Delivery at every kind of exit, with each way to install logbridge.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use logbridge::{Otlp, Protocol};

use crate::runner::{Group, named};
use crate::support::{Child, SLACK, assert_arrived, print_counters, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "exit",
    tests: named![
        a_dropped_handle_stops_nothing,
        a_receiver_in_the_process_adds_no_records,
        an_idle_process_at_trace_sends_nothing,
        after_shutdown_the_console_goes_on_and_records_are_counted,
        both_facades_arrive_on_return_from_main,
        both_facades_arrive_on_process_exit,
        the_flush_of_log_delivers,
        without_opentelemetry_in_the_environment_nothing_is_sent,
    ],
    scenarios: named![
        exit_by_code,
        exit_by_return,
        flush_of_log,
        idle,
        idle_with_receiver,
        no_opentelemetry,
        shut_down
    ],
};

/// The ways to install.
pub(crate) const WAYS: [&str; 3] = ["init", "try_init", "once"];

#[allow(let_underscore_drop)] // Just this must not lose a record.
pub(crate) fn install(arguments: &[String]) {
    static ONCE: Once = Once::new();
    match arguments.first().map(String::as_str) {
        None | Some("init") => logbridge::init(),
        Some("try_init") => {
            let _ = logbridge::try_init();
        }
        Some("once") => ONCE.call_once(logbridge::init),
        Some(other) => panic!("no way to install: {other}"),
    }
}

fn exit_by_return(arguments: &[String]) {
    install(arguments);
    log::info!("last of log");
    tracing::info!("last of tracing");
}

fn both_facades_arrive_on_return_from_main() {
    for way in WAYS {
        let receiver = receiver();
        let child = Child::new("exit_by_return").arg(way).to(&receiver).run().success().quiet().within(SLACK);
        assert_arrived(&receiver, &["last of log", "last of tracing"], &child);
        assert_eq!(receiver.requests().len(), 1, "{way}: one request at the end");
        assert!(receiver.logs().iter().all(|log| log.target() == "process::exit" && log.service_name() == "child"));
    }
}

fn exit_by_code(arguments: &[String]) {
    install(arguments);
    log::warn!("last of log");
    tracing::warn!("last of tracing");
    std::process::exit(3);
}

fn both_facades_arrive_on_process_exit() {
    for way in WAYS {
        let receiver = receiver();
        let child = Child::new("exit_by_code").arg(way).to(&receiver).run().code(3).quiet().within(SLACK);
        assert_arrived(&receiver, &["last of log", "last of tracing"], &child);
    }
}

fn a_dropped_handle_stops_nothing() {
    // The handle of `let _ = logbridge::try_init()` is gone long before the records are written.
    let receiver = receiver();
    let child = Child::new("flush_of_log").arg("try_init").to(&receiver).run().success().quiet();
    assert_arrived(&receiver, &["flushed", "after the flush"], &child);
}

fn flush_of_log(arguments: &[String]) {
    install(arguments);
    log::info!("flushed");
    log::logger().flush();
    print_counters();
    log::info!("after the flush");
}

fn the_flush_of_log_delivers() {
    for way in WAYS {
        let receiver = receiver();
        let child = Child::new("flush_of_log").arg(way).to(&receiver).run().success().quiet();
        child.numbers().expect(&[("offered", 1), ("otlp.delivered", 1), ("otlp.pending", 0)]);
        assert_arrived(&receiver, &["flushed", "after the flush"], &child);
        assert_eq!(receiver.requests().len(), 2);
    }
}

fn idle(_: &[String]) {
    logbridge::init();
    log::trace!("one of log");
    tracing::trace!("one of tracing");
    wait_for_runner();
    print_counters();
}

/// What the crate's own network activity writes must not become a record that causes network activity.
fn an_idle_process_at_trace_sends_nothing() {
    let receiver = receiver();
    let child = Child::new("idle").to(&receiver).env("RUST_LOG", "trace").env("OTEL_BLRP_SCHEDULE_DELAY", "20");
    let mut child = child.start();
    assert_eq!(receiver.wait_for_logs(2, Duration::from_secs(20)).len(), 2);
    let before = receiver.requests().len();
    assert_eq!(receiver.wait_for_requests(before + 1, Duration::from_millis(1_200)).len(), before, "requests");
    child.release();
    let child = child.finish().success().quiet();
    child.numbers().expect(&[("offered", 2), ("otlp.delivered", 2), ("otlp.pending", 0)]);
    assert_arrived(&receiver, &["one of log", "one of tracing"], &child);
    assert_eq!(receiver.requests().len(), before, "none at the end either");
}

/// Notes on which thread it is called.
struct AsksWhoseThread(Arc<AtomicBool>);

impl Write for AsksWhoseThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_and(logbridge::is_own_thread(), Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The receiver runs before logbridge does, so its thread is marked later.
fn idle_with_receiver(arguments: &[String]) {
    let is_own = Arc::new(AtomicBool::new(true));
    let printer = AsksWhoseThread(Arc::clone(&is_own));
    let receiver = logbridge::testing::Receiver::builder().print(printer).start().expect("a receiver");
    let protocol = if arguments[0] == "grpc" { Protocol::Grpc } else { Protocol::HttpProtobuf };
    let otlp = Otlp::to(receiver.endpoint()).protocol(protocol);
    let bridge = logbridge::builder().otlp(otlp).try_init().expect("installed");
    log::trace!("one of log");
    tracing::trace!("one of tracing");
    for _ in 0..3 {
        bridge.flush(Duration::from_secs(20)).expect("delivered");
    }
    let texts: Vec<String> = receiver.logs().iter().map(|log| log.message()).collect();
    assert_eq!(texts, ["one of log", "one of tracing"]);
    assert_eq!(receiver.problems(), Vec::<String>::new());
    assert!(is_own.load(Ordering::Relaxed), "the receiver's thread counts as logbridge's own");
    print_counters();
}

/// A program may contain both: what the receiver's server writes about a request must not become a record.
fn a_receiver_in_the_process_adds_no_records() {
    for protocol in ["http/protobuf", "grpc"] {
        let child = Child::new("idle_with_receiver").arg(protocol).env("RUST_LOG", "trace").run().success().quiet();
        child.numbers().expect(&[("offered", 2), ("otlp.delivered", 2), ("otlp.pending", 0)]);
    }
}

fn no_opentelemetry(_: &[String]) {
    logbridge::init();
    log::warn!("only printed");
    tracing::warn!("only printed");
    log::info!("below");
    let report = logbridge::bridge().expect("installed").report();
    println!("endpoint={:?}\noff={:?}", report.endpoint, report.off_because);
    print_counters();
}

fn without_opentelemetry_in_the_environment_nothing_is_sent() {
    let child =
        Child::new("no_opentelemetry").env("LOGBRIDGE_FIRST_CUT", "false").run().success().quiet().within(SLACK);
    assert!(child.stdout.contains("endpoint=None\n"), "{child}");
    assert!(child.stdout.contains("off=Some(\"neither code nor environment mentions OpenTelemetry\")"), "{child}");
    assert_eq!(child.count(" WARN  process::exit] only printed\n"), 2, "{child}");
    assert_eq!(child.stderr.lines().count(), 2, "{child}");
    child.numbers().expect(&[("passed", 2), ("otlp.off", 2), ("otlp.accepted", 0), ("console.accepted", 2)]);
}

fn shut_down(_: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    log::info!("before");
    bridge.shutdown(Duration::from_secs(30)).expect("everything delivered");
    log::info!("after");
    tracing::info!("after");
    std::thread::spawn(|| log::error!("after")).join().expect("a thread that logs");
    print_counters();
    bridge.shutdown(Duration::from_secs(30)).expect_err("lost records are said");
}

fn after_shutdown_the_console_goes_on_and_records_are_counted() {
    let receiver = receiver();
    let child = Child::new("shut_down").to(&receiver).run().success().warned(1).within(SLACK);
    assert_arrived(&receiver, &["before"], &child);
    assert_eq!(child.count("] after\n"), 3, "{child}");
    child.numbers().expect(&[
        ("offered", 4),
        ("otlp.accepted", 4),
        ("otlp.delivered", 1),
        ("dropped.Shutdown", 3),
        ("otlp.pending", 0),
        ("console.accepted", 4),
    ]);
}
