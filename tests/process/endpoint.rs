//! Endpoints that do not answer: they delay the exit by no more than the allowed time, and a notice says what is
//! missing.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use logbridge::testing::Answer;

use crate::runner::{Group, named};
use crate::support::{Child, Finished, SLACK, dead_end, print_counters, receiver};

pub(crate) const GROUP: Group = Group {
    name: "endpoint",
    tests: named![
        a_black_hole_delays_the_exit_by_the_timeout_at_most,
        a_dead_endpoint_costs_one_notice_however_often_it_is_tried,
        a_dead_endpoint_delays_no_exit,
        a_dead_endpoint_delays_no_process_exit,
        a_hanging_endpoint_delays_the_exit_by_the_timeout_at_most,
        a_panic_in_main_with_a_dead_endpoint_ends_at_once,
        an_endpoint_that_hung_and_answers_in_time_loses_nothing,
    ],
    scenarios: named![exit_with_two, panic_with_one, return_with_two, retry_then_return],
};

fn return_with_two(_: &[String]) {
    logbridge::init();
    log::info!("one");
    tracing::info!("two");
}

fn exit_with_two(_: &[String]) {
    logbridge::init();
    log::info!("one");
    tracing::info!("two");
    std::process::exit(3);
}

/// One notice names the URL and the cause, and says what is missing.
#[track_caller]
fn assert_refused(child: Finished, url: &str, records: &str) -> Finished {
    let cause = format!("cannot deliver logs to {url}/v1/logs: connection refused");
    let child = child.said(&format!("logbridge: error[LB086]: {records} not delivered before the process ended\n"));
    assert_eq!(child.count(&cause), 1, "{child}");
    child.warned(1)
}

fn a_dead_endpoint_delays_no_exit() {
    let dead = dead_end();
    let child = Child::new("return_with_two").towards(&dead.url).env("LOGBRIDGE_EXIT_TIMEOUT", "30s").run();
    assert_refused(child.success().within(SLACK), &dead.url, "2 records were");
}

fn a_dead_endpoint_delays_no_process_exit() {
    let dead = dead_end();
    let child = Child::new("exit_with_two").towards(&dead.url).env("LOGBRIDGE_EXIT_TIMEOUT", "30s").run();
    assert_refused(child.code(3).within(SLACK), &dead.url, "2 records were");
}

fn panic_with_one(_: &[String]) {
    logbridge::init();
    panic!("main has had enough");
}

fn a_panic_in_main_with_a_dead_endpoint_ends_at_once() {
    let dead = dead_end();
    let child = Child::new("panic_with_one").towards(&dead.url).env("LOGBRIDGE_EXIT_TIMEOUT", "30s").run();
    let child = assert_refused(child.code(101).within(SLACK), &dead.url, "1 record was");
    assert_eq!(child.count("main has had enough"), 1, "{child}");
}

fn retry_then_return(_: &[String]) {
    logbridge::init();
    let bridge = logbridge::bridge().expect("installed");
    for _ in 0..5 {
        log::info!("tried");
        let error = bridge.flush(Duration::from_millis(150)).expect_err("nothing listens");
        assert!(error.is_timeout() && !error.is_lost(), "{error:?}");
    }
    print_counters();
}

fn a_dead_endpoint_costs_one_notice_however_often_it_is_tried() {
    let dead = dead_end();
    let child = Child::new("retry_then_return").towards(&dead.url).env("LOGBRIDGE_EXIT_TIMEOUT", "30s").run();
    let child = child.success().within(SLACK).warned(2);
    let notice = format!("logbridge: warning[LB081]: cannot deliver logs to {}/v1/logs: connection refused", dead.url);
    assert_eq!(child.count(&notice), 1, "{child}");
    let child = child.said("logbridge: error[LB086]: 5 records were not delivered before the process ended\n");
    child.numbers().expect(&[("otlp.accepted", 5), ("otlp.pending", 5), ("otlp.lost", 0)]);
}

const EXIT_TIMEOUT: Duration = Duration::from_millis(700);

#[track_caller]
fn assert_waited(child: Finished) -> Finished {
    let child = child.success().within(EXIT_TIMEOUT + SLACK).warned(1);
    assert!(child.elapsed >= EXIT_TIMEOUT, "gave up too early: {child}");
    child
        .said("logbridge: error[LB086]: 2 records were not delivered before the process ended")
        .said("did not answer in time")
        .said("the exit waited 700ms")
}

fn a_hanging_endpoint_delays_the_exit_by_the_timeout_at_most() {
    let receiver = receiver();
    receiver.answer_always(Answer::Hang(Duration::from_secs(60)));
    assert_waited(Child::new("return_with_two").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "700").run());
    assert_eq!(receiver.requests().len(), 1, "it is not sent twice");
}

fn a_black_hole_delays_the_exit_by_the_timeout_at_most() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let child = Child::new("return_with_two").towards(&url).env("LOGBRIDGE_EXIT_TIMEOUT", "700").start();
    // Accepted, and never read.
    let _connection = accept(&listener);
    assert_waited(child.finish());
}

fn accept(listener: &TcpListener) -> std::net::TcpStream {
    listener.set_nonblocking(true).expect("a listener to poll");
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => return stream,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(20), "nobody connects: {error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn an_endpoint_that_hung_and_answers_in_time_loses_nothing() {
    let receiver = receiver();
    receiver.answer_with([Answer::Hang(Duration::from_millis(300)), Answer::Ok]);
    let child = Child::new("return_with_two").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "30s").run();
    crate::support::assert_arrived(&receiver, &["one", "two"], &child.success().quiet().within(SLACK));
}
