//! The end of a process while the endpoint asks for retries.

use std::time::Duration;

use logbridge::testing::{Answer, Receiver};

use crate::runner::{Group, named};
use crate::spool::Folder;
use crate::support::{Child, Finished, SLACK, assert_arrived, flush, receiver, wait_for_runner};

pub(crate) const GROUP: Group = Group {
    name: "retries",
    tests: named![
        a_flush_begins_with_short_pauses,
        an_endpoint_that_is_busy_for_long_gets_everything_before_the_deadline,
        an_endpoint_that_failed_for_some_seconds_gets_everything_at_the_next_try_but_one,
        an_endpoint_that_never_answered_well_delays_the_exit_by_a_second,
        an_endpoint_that_names_a_time_after_the_deadline_is_not_waited_for,
        what_is_safe_in_the_spool_is_not_waited_for,
    ],
    scenarios: named![confirm_then_end, fail_then_end, fail_then_flush, end],
};

/// Writes a record or a span.
fn write(what: &str, name: &str) {
    match what {
        "record" => log::info!("{name}"),
        _ => drop(tracing::info_span!("late").entered()),
    }
}

/// So many requests are to be tried again, and then all is well.
fn answer(receiver: &Receiver, what: &str, busy: usize) {
    let answers = std::iter::repeat_n(Answer::status(503), busy).chain([Answer::Ok]);
    match what {
        "record" => receiver.answer_with(answers),
        _ => receiver.answer_traces_with(answers),
    }
}

#[track_caller]
fn assert_one(receiver: &Receiver, what: &str, child: &Finished) {
    let arrived = (receiver.logs().len(), receiver.spans().len());
    assert_eq!(arrived, if what == "record" { (1, 0) } else { (0, 1) }, "{what}: {child}");
}

fn confirm_then_end(arguments: &[String]) {
    logbridge::init();
    write(&arguments[0], "early");
    flush();
    wait_for_runner();
    write(&arguments[0], "late");
}

fn an_endpoint_that_is_busy_for_long_gets_everything_before_the_deadline() {
    for what in ["record", "span"] {
        let receiver = receiver();
        let mut child =
            Child::new("confirm_then_end").arg(what).to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "4s").start();
        receiver.wait_for_requests(1, SLACK * 5);
        receiver.clear();
        // With pauses that double, the time is over before the seventh.
        answer(&receiver, what, 8);
        child.release();
        let child = child.finish().success().quiet();
        assert_one(&receiver, what, &child);
        assert_eq!(receiver.requests().len(), 9, "{what}: {child}");
    }
}

fn fail_then_end(arguments: &[String]) {
    logbridge::init();
    write(&arguments[0], "late");
    wait_for_runner();
}

fn an_endpoint_that_failed_for_some_seconds_gets_everything_at_the_next_try_but_one() {
    for what in ["record", "span"] {
        let receiver = receiver();
        answer(&receiver, what, 6);
        let child = Child::new("fail_then_end").arg(what).to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "2s");
        let child = child.env("OTEL_BLRP_SCHEDULE_DELAY", "10").env("OTEL_BSP_SCHEDULE_DELAY", "10");
        let mut child = child.start();
        // The next pause is longer than the exit may take, as it is after the exit's first try.
        receiver.wait_for_requests(5, SLACK * 5);
        child.release();
        let child = child.finish().success().warned(1);
        assert_one(&receiver, what, &child);
    }
}

fn end(_: &[String]) {
    logbridge::init();
    log::info!("late");
}

fn an_endpoint_that_never_answered_well_delays_the_exit_by_a_second() {
    let receiver = receiver();
    receiver.answer_always(Answer::status(503));
    let child = Child::new("end").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "30s").run().success().within(SLACK);
    child.said("1 record was not delivered before the process ended").said("it answered 503");
    let requests = receiver.requests();
    let (first, last) = (requests[0].arrived, requests[requests.len() - 1].arrived);
    assert!(requests.len() > 1 && last - first >= Duration::from_secs(1), "{requests:?}");
}

fn an_endpoint_that_names_a_time_after_the_deadline_is_not_waited_for() {
    let receiver = receiver();
    let retry_after = Some(Duration::from_secs(60));
    receiver.answer_always(Answer::Status { code: 429, retry_after, body: "slow down".to_owned() });
    let child = Child::new("end").to(&receiver).env("LOGBRIDGE_EXIT_TIMEOUT", "30s").run().success().within(SLACK);
    child.said("1 record was not delivered before the process ended").said("it answered 429");
    assert_eq!(receiver.requests().len(), 1);
}

fn what_is_safe_in_the_spool_is_not_waited_for() {
    let folder = Folder::new();
    let receiver = receiver();
    receiver.answer_always(Answer::status(503));
    let child = || {
        let child = Child::new("end").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
        child.env("LOGBRIDGE_EXIT_TIMEOUT", "30s")
    };
    child().run().success().quiet().within(SLACK).said("the record waits in");
    assert_eq!(receiver.requests().len(), 1, "one try");
    receiver.answer_always(Answer::Ok);
    let next = Child::new("fail_then_end").arg("span").to(&receiver).env("LOGBRIDGE_SPOOL_DIR", folder.spool());
    let mut next = next.start();
    receiver.wait_for_logs(1, SLACK * 5);
    next.release();
    assert_arrived(&receiver, &["late"], &next.finish().success());
}

fn fail_then_flush(_: &[String]) {
    logbridge::init();
    log::info!("late");
    wait_for_runner();
    logbridge::bridge().expect("installed").flush(Duration::from_millis(2_500)).expect("the third try succeeds");
}

fn a_flush_begins_with_short_pauses() {
    let receiver = receiver();
    answer(&receiver, "record", 7);
    let mut child = Child::new("fail_then_flush").to(&receiver).env("OTEL_BLRP_SCHEDULE_DELAY", "10").start();
    receiver.wait_for_requests(5, SLACK * 5);
    child.release();
    assert_arrived(&receiver, &["late"], &child.finish().success());
}
