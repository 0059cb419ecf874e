//! The debug mirror: `DEBUG` in its spellings, `OTEL_LOGS_EXPORTER`, and where it prints.

use std::fs::File;
use std::path::PathBuf;

use crate::runner::{Group, named};
use crate::support::{Child, Finished, arrived, assert_arrived, print_counters, receiver};

pub(crate) const GROUP: Group = Group {
    name: "mirror",
    tests: named![
        debug_false_and_unset_print_nothing,
        debug_true_prints_one_line_a_record_and_says_so,
        debug_with_another_meaning_is_off_and_said,
        on_the_same_file_it_replaces_the_console,
        the_exporter_console_prints_and_sends_nothing,
        the_exporter_none_neither_prints_nor_sends,
        the_exporters_otlp_and_console_do_both,
        without_an_endpoint_it_prints_all_the_same,
    ],
    scenarios: named![count_mirrored, two_in_a_span],
};

const RECORDS: [&str; 2] = ["cart is full", "order placed"];

fn two_in_a_span(_: &[String]) {
    logbridge::init();
    let span = tracing::info_span!("place_order");
    let _entered = span.enter();
    log::info!(user = 42, item = "tea"; "cart is full");
    tracing::warn!(total = 9.5, "order placed");
    log::debug!("below");
}

/// One line a record, with scope, attributes and ids; the line of their span apart.
#[track_caller]
fn assert_mirrored(child: &Finished) {
    let lines: Vec<_> = child.stdout.lines().filter(|line| !line.contains(" SPAN ")).collect();
    assert_eq!(lines.len(), 2, "{child}");
    for (line, message, attributes) in
        [(lines[0], RECORDS[0], &["user=42", "item=tea"][..]), (lines[1], RECORDS[1], &["total=9.5"][..])]
    {
        assert!(line.contains(&format!(" process::mirror {message} ")), "{line}");
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        assert!(attributes.iter().all(|attribute| words.contains(attribute)), "{line}");
        assert!(line.contains("code.file.path=tests/process/mirror.rs"), "{line}");
        let id = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)).unwrap_or_default();
        assert_eq!((id("trace=").len(), id("span=").len()), (32, 16), "{line}");
        assert!(!line.contains('\u{1b}'), "colors in a pipe: {line}");
    }
}

/// The console has each record once, in env_logger's form.
#[track_caller]
fn assert_console(child: &Finished) {
    for message in RECORDS {
        assert_eq!(child.count(&format!("process::mirror] {message}")), 1, "{child}");
    }
}

fn debug_true_prints_one_line_a_record_and_says_so() {
    for value in ["true", "1", "yes", "on", "TRUE", " Yes "] {
        let receiver = receiver();
        let child = Child::new("two_in_a_span").to(&receiver).env("DEBUG", value).run().success().quiet();
        let child = child.said("logbridge: note: debug mirror is on (DEBUG)");
        assert_mirrored(&child);
        assert_console(&child);
        assert_arrived(&receiver, &RECORDS, &child);
        // What is shown is what is shipped.
        for (line, log) in child.stdout.lines().zip(receiver.logs()) {
            assert!(line.contains(&format!("trace={} span={}", log.trace_id, log.span_id)), "{line}\n{log}");
        }
    }
}

fn debug_false_and_unset_print_nothing() {
    for value in [Some("false"), Some("0"), Some("no"), Some("off"), Some("OFF"), Some(""), None] {
        let receiver = receiver();
        let child = Child::new("two_in_a_span").to(&receiver);
        let child = match value {
            Some(value) => child.env("DEBUG", value),
            None => child,
        };
        let child = child.run().success().quiet();
        assert_eq!(child.stdout, "", "{value:?}: {child}");
        assert_console(&child);
        assert_arrived(&receiver, &RECORDS, &child);
    }
}

fn debug_with_another_meaning_is_off_and_said() {
    let receiver = receiver();
    let child = Child::new("two_in_a_span").to(&receiver).env("DEBUG", "express:*").run().success().warned(1);
    let child = child.said("logbridge: warning[LB043]: DEBUG: `express:*` is neither true nor false");
    assert_eq!(child.stdout, "", "{child}");
    assert_console(&child);
    assert_arrived(&receiver, &RECORDS, &child);
}

fn without_an_endpoint_it_prints_all_the_same() {
    let child = Child::new("two_in_a_span").env("RUST_LOG", "info").env("DEBUG", "true").run().success().quiet();
    assert_mirrored(&child);
    assert_console(&child);
}

fn the_exporter_console_prints_and_sends_nothing() {
    let receiver = receiver();
    let child = Child::new("two_in_a_span").to(&receiver).env("OTEL_LOGS_EXPORTER", "console").run().success();
    let child = child.quiet().said("logbridge: note: debug mirror is on (OTEL_LOGS_EXPORTER)");
    assert_mirrored(&child);
    assert!(
        receiver.requests().iter().all(|request| request.path == "/v1/traces"),
        "spans are another signal: {child}"
    );
}

fn the_exporters_otlp_and_console_do_both() {
    let receiver = receiver();
    let child = Child::new("two_in_a_span").to(&receiver).env("OTEL_LOGS_EXPORTER", "otlp,console").run().success();
    assert_mirrored(&child);
    assert_arrived(&receiver, &RECORDS, &child);
}

fn the_exporter_none_neither_prints_nor_sends() {
    let receiver = receiver();
    let child = Child::new("two_in_a_span").to(&receiver).env("OTEL_LOGS_EXPORTER", "none").run().success().quiet();
    assert_eq!(child.stdout, "", "{child}");
    assert_console(&child);
    assert!(
        receiver.requests().iter().all(|request| request.path == "/v1/traces"),
        "spans are another signal: {child}"
    );
}

fn count_mirrored(_: &[String]) {
    two_in_a_span(&[]);
    print_counters();
}

/// Both streams into one file, as `program >all.log 2>&1` does.
fn on_the_same_file_it_replaces_the_console() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mirror-{}.log", std::process::id()));
    let file = File::create(&path).expect("a file");
    let receiver = receiver();
    let child = Child::new("count_mirrored").to(&receiver).env("DEBUG", "true");
    let child = child.stdout(file.try_clone().expect("a second handle")).stderr(file).run().success();
    let written = std::fs::read_to_string(&path).expect("what the child wrote");
    std::fs::remove_file(&path).expect("a file to remove");
    for message in RECORDS {
        assert_eq!(written.matches(message).count(), 1, "{written}");
        assert_eq!(arrived(&receiver.logs(), message), 1, "{child}");
    }
    assert!(written.contains("logbridge: note: debug mirror is on"), "{written}");
    for counted in ["mirrored=3", "console.accepted=0", "console.off=2"] {
        assert!(written.lines().any(|line| line == counted), "{counted}: {written}");
    }
}
