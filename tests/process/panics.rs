//! Panics in `main` and in threads, caught or not, arrive as records. The usual text is still printed once.

use std::panic::{AssertUnwindSafe, catch_unwind};

use logbridge::testing::{ReceivedLog, Receiver, Value};

use crate::exit::{WAYS, install};
use crate::runner::{Group, named};
use crate::support::{Child, Finished, SLACK, arrived, assert_arrived, flush, print_counters, receiver};

pub(crate) const GROUP: Group = Group {
    name: "panics",
    tests: named![
        a_caught_panic_arrives_and_does_not_wait_for_the_network,
        a_log_call_in_a_hook_of_the_application_arrives,
        a_panic_in_a_thread_is_an_error_and_the_program_goes_on,
        a_panic_in_main_is_fatal_and_arrives_with_what_was_before_it,
        a_panic_that_is_no_text_arrives,
        the_panic_hook_can_be_left_out,
    ],
    scenarios: named![caught, hook_that_logs, no_hook, no_text, panic_in_main, panic_in_thread],
};

/// The one record of scope `panic`.
#[track_caller]
fn the_panic(receiver: &Receiver, child: &Finished) -> ReceivedLog {
    let mut panics: Vec<_> = receiver.logs().into_iter().filter(|log| log.target() == "panic").collect();
    assert_eq!(panics.len(), 1, "{child}");
    panics.remove(0)
}

#[track_caller]
fn assert_describes(log: &ReceivedLog, severity: (i32, &str), message: &str) {
    assert_eq!((log.severity_number, log.severity_text.as_str()), severity, "{log}");
    assert_eq!(log.attribute("exception.type"), Some(&Value::from("panic")), "{log}");
    assert_eq!(log.attribute("exception.message"), Some(&Value::from(message)), "{log}");
    assert_eq!(log.attribute("code.file.path"), Some(&Value::from(file!())), "{log}");
    assert!(log.attribute("code.line.number").and_then(Value::as_int).is_some_and(|line| line > 0), "{log}");
    assert!(log.message().ends_with(message), "{log}");
}

fn panic_in_main(arguments: &[String]) {
    install(arguments);
    log::warn!("before");
    panic!("main has had enough");
}

fn a_panic_in_main_is_fatal_and_arrives_with_what_was_before_it() {
    for way in WAYS {
        let receiver = receiver();
        let child = Child::new("panic_in_main").arg(way).to(&receiver).run().code(101).quiet();
        assert_describes(&the_panic(&receiver, &child), (21, "FATAL"), "main has had enough");
        assert_eq!((arrived(&receiver.logs(), "before"), receiver.logs().len()), (1, 2), "{child}");
        assert_eq!(child.count("thread 'main'"), 1, "{child}");
        assert_eq!(child.count("main has had enough"), 1, "the previous hook prints it, and nobody else: {child}");
    }
}

fn panic_in_thread(arguments: &[String]) {
    install(arguments);
    let thread = std::thread::Builder::new().name("worker".to_owned()).spawn(|| panic!("worker has had enough"));
    thread.expect("a thread").join().expect_err("it panics");
    log::info!("main goes on");
}

fn a_panic_in_a_thread_is_an_error_and_the_program_goes_on() {
    for way in WAYS {
        let receiver = receiver();
        let child = Child::new("panic_in_thread").arg(way).to(&receiver).run().success().quiet();
        let panic = the_panic(&receiver, &child);
        assert_describes(&panic, (17, "ERROR"), "worker has had enough");
        assert_eq!(panic.attribute("thread.name"), Some(&Value::from("worker")), "{panic}");
        assert_eq!(arrived(&receiver.logs(), "main goes on"), 1, "{child}");
        assert_eq!(child.count("worker has had enough"), 1, "{child}");
    }
}

fn caught(_: &[String]) {
    logbridge::init();
    log::info!("before");
    catch_unwind(|| panic!("caught")).expect_err("it panics");
    print_counters();
    log::info!("after");
}

fn a_caught_panic_arrives_and_does_not_wait_for_the_network() {
    let receiver = receiver();
    let child = Child::new("caught").to(&receiver).run().success().quiet();
    // A hook that waits would have delivered them: the schedule is far away.
    child.numbers().expect(&[("otlp.accepted", 2), ("otlp.delivered", 0), ("otlp.pending", 2)]);
    assert_eq!(the_panic(&receiver, &child).attribute("exception.message"), Some(&Value::from("caught")));
    assert_eq!(receiver.logs().len(), 3, "{child}");
}

fn no_text(_: &[String]) {
    logbridge::init();
    catch_unwind(|| std::panic::panic_any(42_u8)).expect_err("it panics");
    catch_unwind(|| panic!("formatted {}", 42)).expect_err("it panics");
}

fn a_panic_that_is_no_text_arrives() {
    let receiver = receiver();
    let child = Child::new("no_text").to(&receiver).run().success().quiet();
    let messages: Vec<_> = receiver.logs().iter().map(|log| log.attributes["exception.message"].to_string()).collect();
    assert_eq!(messages, ["a panic with a payload that is not text", "formatted 42"], "{child}");
}

fn hook_that_logs(arguments: &[String]) {
    let log_it = |info: &std::panic::PanicHookInfo<'_>| {
        log::error!("the hook has seen it");
        tracing::error!(payload = info.payload().downcast_ref::<&str>().copied(), "the hook has seen it, too");
    };
    if arguments == ["before init"] {
        std::panic::set_hook(Box::new(log_it));
        logbridge::init();
    } else {
        logbridge::init();
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            log_it(info);
            previous(info);
        }));
    }
    catch_unwind(AssertUnwindSafe(|| panic!("caught"))).expect_err("it panics");
    flush();
}

fn a_log_call_in_a_hook_of_the_application_arrives() {
    for when in ["before init", "after init"] {
        let receiver = receiver();
        let child = Child::new("hook_that_logs").arg(when).to(&receiver).run().success().quiet().within(SLACK);
        let logs = receiver.logs();
        assert_eq!(arrived(&logs, "the hook has seen it"), 1, "{when}: {child}");
        assert_eq!(arrived(&logs, "the hook has seen it, too"), 1, "{when}: {child}");
        the_panic(&receiver, &child);
    }
}

fn no_hook(_: &[String]) {
    logbridge::builder().panic_hook(false).init();
    log::info!("before");
    panic!("nobody records this");
}

fn the_panic_hook_can_be_left_out() {
    let receiver = receiver();
    let child = Child::new("no_hook").to(&receiver).run().code(101).quiet();
    assert_arrived(&receiver, &["before"], &child);
    assert_eq!(child.count("nobody records this"), 1, "{child}");
}
