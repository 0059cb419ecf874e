//! Redaction and limits by variables, and summaries of similar records, in programs that end normally, panic or fork.

use std::collections::BTreeMap;

use logbridge::testing::{ReceivedLog, Receiver};

use crate::runner::{Group, named};
use crate::support::{Child, Finished, print_counters, receiver};

pub(crate) const GROUP: Group = Group {
    name: "contents",
    tests: named![
        a_forked_child_counts_similar_records_afresh,
        secrets_leave_by_no_way_and_the_console_shows_what_it_showed,
        texts_of_spans_have_a_limit_where_that_is_set,
        the_end_of_a_program_tells_what_was_suppressed,
        the_mirror_alone_is_bounded_too,
        what_cannot_be_used_is_said_and_the_rest_counts,
    ],
    scenarios: named![repeat, repeat_in_a_forked_child, write_secrets],
};

const SECRETS: [&str; 3] = ["tulip", "rose", "4111 1111"];

fn write_secrets(_: &[String]) {
    logbridge::init();
    let error = std::io::Error::other("rose");
    let secret: &(dyn std::error::Error + 'static) = &error;
    let span = tracing::info_span!("login", password = "tulip", card = "4111 1111", user = "ann");
    span.in_scope(|| {
        log::warn!(password = "tulip", user = "ann"; "card 4111 1111 is valid");
        tracing::warn!(password = "tulip", user = "ann");
        tracing::error!(secret, user = "ann");
        tracing::error!(secret, error = "card 4111 1111", "failed");
    });
    let panicked = std::thread::spawn(|| panic!("no such card: 4111 1111")).join();
    assert!(panicked.is_err());
    drop(span);
    log::logger().flush();
    print_counters();
}

fn secrets_leave_by_no_way_and_the_console_shows_what_it_showed() {
    let receiver = receiver();
    let child = Child::new("write_secrets").to(&receiver).env("LOGBRIDGE_REDACT_KEYS", "Password, *secret*");
    let child = child.env("LOGBRIDGE_REDACT_VALUES", r"\d{4} \d{4}").env("DEBUG", "true");
    let child = child.env("LOGBRIDGE_EXCEPTION_EVENTS", "true").env("RUST_BACKTRACE", "0").run();
    let child = child.success().quiet();
    let (logs, spans) = (receiver.logs(), receiver.spans());
    assert_eq!((logs.len(), spans.len()), (5, 1), "{child}");
    let shipped = format!("{logs:?} {spans:?}");
    for secret in SECRETS {
        assert!(!shipped.contains(secret), "{secret}: {shipped}");
        assert!(!child.stdout.contains(secret), "{secret} in the mirror: {child}");
        assert!(child.stderr.contains(secret), "the console is env_logger's: {child}");
    }
    let messages: Vec<String> = logs.iter().map(ReceivedLog::message).collect();
    for message in ["card [redacted] is valid", "password=[redacted] user=ann", "secret=[redacted] user=ann"] {
        assert!(messages.iter().any(|other| other == message), "{message}: {messages:?}");
    }
    let panic = logs.iter().find(|log| log.target() == "panic").expect("a panic");
    assert!(panic.message().ends_with("no such card: [redacted]"), "{}", panic.message());
    assert_eq!(panic.attributes["exception.message"], "no such card: [redacted]");
    let span = &spans[0];
    assert_eq!(span.attribute("password"), Some(&"[redacted]".into()));
    assert_eq!(span.attribute("card"), Some(&"[redacted]".into()));
    assert_eq!((span.is_error(), span.attribute("user")), (true, Some(&"ann".into())));
    assert!(child.numbers().get("redacted") >= 10, "{child}");
}

fn what_cannot_be_used_is_said_and_the_rest_counts() {
    let receiver = receiver();
    let child = Child::new("write_secrets").to(&receiver).env("LOGBRIDGE_REDACT_KEYS", "password");
    let child = child.env("LOGBRIDGE_REDACT_VALUES", "hunter2(").env("LOGBRIDGE_REPETITION", "often").run();
    let child = child.success().warned(2).said("LOGBRIDGE_REDACT_VALUES: it is invalid").said("unclosed group");
    let child = child.said("LOGBRIDGE_REPETITION: `often` is not a number of records per duration");
    assert_eq!(child.count("hunter2"), 0, "an expression may be a secret: {child}");
    assert!(receiver.logs().iter().any(|log| log.attribute("password") == Some(&"[redacted]".into())), "{child}");
}

fn texts_of_spans_have_a_limit_where_that_is_set() {
    for variable in ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"] {
        let receiver = receiver();
        let child = Child::new("write_secrets").to(&receiver).env(variable, "2").run().success().quiet();
        let span = &receiver.spans()[0];
        assert_eq!(span.attribute("password"), Some(&"tu".into()), "{child}");
        assert_eq!(span.attribute("user"), Some(&"an".into()));
    }
}

fn repeat(arguments: &[String]) {
    logbridge::init();
    for number in 0..10 {
        log::warn!("number {number}");
        tracing::info!(number, "event");
    }
    match arguments[0].as_str() {
        "return" => {}
        "exit" => std::process::exit(0),
        _ => {
            logbridge::bridge().expect("installed").flush(std::time::Duration::from_secs(30)).expect("delivered");
            print_counters();
        }
    }
}

/// How often each message arrived, a number in it left out.
fn messages(receiver: &Receiver) -> BTreeMap<String, usize> {
    let mut messages = BTreeMap::new();
    for log in receiver.logs() {
        let message = log.message();
        let message = if message.starts_with("number") { "number".to_owned() } else { message };
        *messages.entry(message).or_default() += 1;
    }
    messages
}

fn expected(summaries: &[(&str, usize)]) -> BTreeMap<String, usize> {
    summaries.iter().map(|(message, times)| ((*message).to_owned(), *times)).collect()
}

fn the_end_of_a_program_tells_what_was_suppressed() {
    for end in ["return", "exit", "flush"] {
        let receiver = receiver();
        let child =
            Child::new("repeat").arg(end).to(&receiver).env("LOGBRIDGE_REPETITION", "3/h").run().success().quiet();
        let told = expected(&[("number", 3), ("event", 3), ("7 similar records suppressed", 2)]);
        assert_eq!(messages(&receiver), told, "{end}: {child}");
        assert_eq!((child.count("number "), child.count("event")), (10, 10), "the console shows all: {child}");
        if end == "flush" {
            let counted = [("offered", 22), ("passed", 22), ("otlp.accepted", 8), ("otlp.repeated", 14)];
            child.numbers().expect(&counted);
            child.numbers().expect(&[("console.accepted", 20), ("console.off", 2), ("otlp.delivered", 8)]);
        }
    }
}

fn the_mirror_alone_is_bounded_too() {
    let child = Child::new("repeat").arg("flush").env("OTEL_LOGS_EXPORTER", "console").env("RUST_LOG", "info");
    let child = child.env("LOGBRIDGE_REPETITION", "3/h").run().success().quiet();
    let lines = |text: &str| child.stdout.lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines(" number "), lines("suppressed logbridge.suppressed=7")), (3, 2), "{child}");
    child.numbers().expect(&[("otlp.off", 22), ("otlp.repeated", 0), ("mirrored", 8)]);
}

fn repeat_in_a_forked_child(_: &[String]) {
    logbridge::init();
    let repeat = || (0..5).for_each(|number| log::info!("number {number}"));
    repeat();
    // SAFETY: the child runs ordinary code; the only other thread is ours.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no fork: {}", std::io::Error::last_os_error());
    repeat();
    if pid == 0 {
        std::process::exit(0);
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer that waitpid writes.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the forked child did not end well");
}

#[track_caller]
fn by_process(receiver: &Receiver, child: &Finished) -> Vec<Vec<String>> {
    let mut processes: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for log in receiver.logs() {
        let pid = log.resource["process.pid"].as_int().unwrap_or_else(|| panic!("no number: {child}"));
        processes.entry(pid).or_default().push(log.message());
    }
    let mut all: Vec<_> = processes.into_values().collect();
    all.iter_mut().for_each(|messages| messages.sort_unstable());
    all.sort();
    all
}

fn a_forked_child_counts_similar_records_afresh() {
    let receiver = receiver();
    let child = Child::new("repeat_in_a_forked_child").to(&receiver).env("LOGBRIDGE_REPETITION", "2/h").run();
    let child = child.success().quiet();
    let told = |summary: &str| vec![summary.to_owned(), "number 0".to_owned(), "number 1".to_owned()];
    // The parent had suppressed three before the fork, and suppresses all five after it.
    let expected = [told("3 similar records suppressed"), told("8 similar records suppressed")];
    assert_eq!(by_process(&receiver, &child), expected, "{child}");
}
