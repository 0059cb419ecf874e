//! Log calls while a thread or the process is ending: in thread-local destructors, in `atexit`, and on other threads
//! that continue while `main` returns.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use crate::runner::{Group, named};
use crate::support::{Child, SLACK, assert_arrived, receiver};

pub(crate) const GROUP: Group = Group {
    name: "dying",
    tests: named![
        a_log_call_in_a_destructor_of_a_thread_arrives,
        a_log_call_in_a_destructor_of_the_main_thread_arrives,
        a_log_call_in_an_exit_handler_arrives,
        a_log_call_in_an_exit_handler_arrives_also_behind_one_of_another_thread,
        a_thread_whose_first_log_call_is_in_a_destructor_delivers,
        a_span_left_in_a_destructor_of_a_thread_does_no_harm,
        a_span_left_in_a_destructor_of_the_main_thread_does_no_harm,
        threads_that_log_while_main_returns_lose_nothing_of_before,
    ],
    scenarios: named![
        at_exit,
        at_exit_with_a_thread,
        destructor_in_main,
        destructor_in_thread,
        eight_threads,
        first_in_destructor,
        span_in_main,
        span_in_thread
    ],
};

/// Whether the destructor runs while the thread's first log call has left its thread-locals alive, or after they died:
/// destructors run last in, first out.
const ORDERS: [&str; 2] = ["before the first log call", "after the first log call"];

struct LogsWhenDropped;

impl Drop for LogsWhenDropped {
    fn drop(&mut self) {
        log::info!(key = 1; "destructor of log");
        tracing::info!(key = 1, "destructor of tracing");
    }
}

thread_local! {
    static LAST: LogsWhenDropped = const { LogsWhenDropped };
    static ENTERED: RefCell<Option<tracing::span::EnteredSpan>> = const { RefCell::new(None) };
}

fn log_and_leave_a_destructor(order: &str) {
    if order == ORDERS[0] {
        LAST.with(|_| ());
    }
    let _span = tracing::info_span!("work").entered();
    log::info!("alive");
    LAST.with(|_| ());
}

fn destructor_in_thread(arguments: &[String]) {
    logbridge::init();
    let order = arguments[0].clone();
    std::thread::spawn(move || log_and_leave_a_destructor(&order)).join().expect("no panic");
}

fn destructor_in_main(arguments: &[String]) {
    if arguments[0] == ORDERS[0] {
        LAST.with(|_| ());
    }
    logbridge::init();
    log_and_leave_a_destructor(&arguments[0]);
}

#[track_caller]
fn assert_destructor_arrives(scenario: &str) {
    for order in ORDERS {
        let receiver = receiver();
        let child = Child::new(scenario).arg(order).to(&receiver).run().success().quiet().within(SLACK);
        assert_arrived(&receiver, &["alive", "destructor of log", "destructor of tracing"], &child);
        assert_eq!(child.stderr.lines().count(), 3, "{order}: {child}");
    }
}

fn a_log_call_in_a_destructor_of_a_thread_arrives() {
    assert_destructor_arrives("destructor_in_thread");
}

fn a_log_call_in_a_destructor_of_the_main_thread_arrives() {
    assert_destructor_arrives("destructor_in_main");
}

/// What a thread did that never logged while it was alive.
const LIVES: [&str; 3] = ["nothing", "a span", "an OpenTelemetry context"];

fn first_in_destructor(arguments: &[String]) {
    logbridge::init();
    let life = arguments[0].clone();
    let live = move || {
        LAST.with(|_| ());
        match LIVES.iter().position(|known| *known == life) {
            Some(0) => {}
            Some(1) => drop(tracing::info_span!("work").entered()),
            Some(2) => drop(opentelemetry::Context::current().attach()),
            _ => panic!("no such life: {life}"),
        }
    };
    if arguments.iter().any(|argument| argument == "main") {
        live();
    } else {
        std::thread::spawn(live).join().expect("no panic");
    }
}

fn a_thread_whose_first_log_call_is_in_a_destructor_delivers() {
    for life in LIVES {
        for thread in ["main", "another"] {
            let receiver = receiver();
            let child = Child::new("first_in_destructor").arg(life).arg(thread).to(&receiver);
            let child = child.run().success().quiet().within(SLACK);
            assert_arrived(&receiver, &["destructor of log", "destructor of tracing"], &child);
            assert_eq!(child.stderr.lines().count(), 2, "{life}, {thread}: {child}");
        }
    }
}

fn enter_and_leave_it_to_a_destructor(order: &str) {
    if order == ORDERS[0] {
        ENTERED.with(|_| ());
    } else {
        log::info!("first");
    }
    let span = tracing::info_span!("work", step = 1);
    ENTERED.set(Some(span.entered()));
    log::info!("in the span");
}

fn span_in_thread(arguments: &[String]) {
    logbridge::init();
    let order = arguments[0].clone();
    std::thread::spawn(move || enter_and_leave_it_to_a_destructor(&order)).join().expect("no panic");
    log::info!("the program goes on");
}

fn span_in_main(arguments: &[String]) {
    logbridge::init();
    enter_and_leave_it_to_a_destructor(&arguments[0]);
    log::info!("the program goes on");
}

#[track_caller]
fn assert_span_does_no_harm(scenario: &str) {
    for order in ORDERS {
        let receiver = receiver();
        let child = Child::new(scenario).arg(order).to(&receiver).run().success().quiet().within(SLACK);
        let first = (order == ORDERS[1]).then_some("first");
        let expected: Vec<_> = first.into_iter().chain(["in the span", "the program goes on"]).collect();
        assert_arrived(&receiver, &expected, &child);
        let logs = receiver.logs();
        let inside = logs.iter().find(|log| log.message() == "in the span").expect("it arrived");
        assert_eq!(inside.trace_id.len(), 32, "{child}");
        assert_eq!(child.stderr.lines().count(), expected.len(), "{order}: {child}");
    }
}

fn a_span_left_in_a_destructor_of_a_thread_does_no_harm() {
    assert_span_does_no_harm("span_in_thread");
}

fn a_span_left_in_a_destructor_of_the_main_thread_does_no_harm() {
    assert_span_does_no_harm("span_in_main");
}

extern "C" fn log_at_exit() {
    log::warn!("exit handler of log");
    tracing::warn!("exit handler of tracing");
}

fn at_exit(arguments: &[String]) {
    let register = || {
        // SAFETY: the handler lives for ever and does not unwind: an `extern "C"` function aborts instead.
        assert_eq!(unsafe { libc::atexit(log_at_exit) }, 0);
    };
    if arguments.iter().any(|argument| argument == "before init") {
        register();
    }
    logbridge::init();
    log::info!("alive");
    if arguments.iter().any(|argument| argument == "after init") {
        register();
    }
}

/// Handlers run last in, first out: one from before `init` runs when logbridge has already flushed.
fn a_log_call_in_an_exit_handler_arrives() {
    let both = ["before init", "after init"];
    for when in [&both[..1], &both[1..], &both[..]] {
        let receiver = receiver();
        let child = when.iter().fold(Child::new("at_exit").to(&receiver), Child::arg);
        let child = child.run().success().quiet().within(SLACK);
        let mut expected = vec!["alive"];
        when.iter().for_each(|_| expected.extend(["exit handler of log", "exit handler of tracing"]));
        assert_arrived(&receiver, &expected, &child);
        assert_eq!(child.stderr.lines().count(), expected.len(), "{when:?}: {child}");
    }
}

extern "C" fn log_at_exit_from_two_threads() {
    std::thread::spawn(|| log::warn!("thread of the exit handler")).join().expect("no panic");
    log_at_exit();
}

fn at_exit_with_a_thread(_: &[String]) {
    // SAFETY: as in `at_exit`.
    assert_eq!(unsafe { libc::atexit(log_at_exit_from_two_threads) }, 0);
    logbridge::init();
    log::info!("alive");
}

/// The exiting thread's record then is not the first one since the flush, which is the one that wakes somebody.
fn a_log_call_in_an_exit_handler_arrives_also_behind_one_of_another_thread() {
    let receiver = receiver();
    let child = Child::new("at_exit_with_a_thread").to(&receiver).run().success().quiet().within(SLACK);
    let handler = ["thread of the exit handler", "exit handler of log", "exit handler of tracing"];
    assert_arrived(&receiver, &[&["alive"], &handler[..]].concat(), &child);
}

const THREADS: usize = 8;
const EARLY: usize = 100;

fn eight_threads(_: &[String]) {
    static RETURNING: Barrier = Barrier::new(THREADS + 1);
    logbridge::init();
    for thread in 0..THREADS {
        std::thread::spawn(move || {
            for number in 0..EARLY {
                log::info!("early {thread}.{number}");
            }
            RETURNING.wait();
            for number in 0_u64.. {
                match number % 2 {
                    0 => log::info!("late {thread}.{number}"),
                    _ => tracing::info!("late {thread}.{number}"),
                }
            }
        });
    }
    RETURNING.wait();
}

fn threads_that_log_while_main_returns_lose_nothing_of_before() {
    let receiver = receiver();
    let child = Child::new("eight_threads").to(&receiver).env("LOGBRIDGE_CONSOLE", "off");
    // Eight threads that never stop leave little of a loaded machine to the one that sends.
    let child = child.env("LOGBRIDGE_EXIT_TIMEOUT", "20s").deadline(Duration::from_secs(40));
    let child = child.run().success();
    // What comes later than the early records may fill the outbox on such a machine, which is reported.
    let notices = |text: &str| child.stderr.matches(text).count();
    assert_eq!(
        notices("logbridge: warning") + notices("logbridge: error["),
        notices("logbridge: warning[LB085]") + notices("logbridge: error[LB084]"),
        "{child}"
    );
    let messages: Vec<String> = receiver.logs().iter().map(|log| log.message()).collect();
    let unique: BTreeSet<&String> = messages.iter().collect();
    assert_eq!(unique.len(), messages.len(), "some arrived twice: {child}");
    let early = unique.iter().filter(|message| message.starts_with("early")).count();
    assert_eq!(early, THREADS * EARLY, "{child}");
}
