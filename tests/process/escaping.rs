//! Untrusted text neither moves the cursor nor starts a line, wherever it is printed.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use logbridge::testing::Answer;
use logbridge::{Level, LevelFilter, Mirror, Spool};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _};
use opentelemetry::trace::{Span as _, Status, Tracer as _};
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::logs::SdkLoggerProvider;

use crate::runner::{Group, named};
use crate::support::{Child, SLACK, receiver};

pub(crate) const GROUP: Group = Group {
    name: "escaping",
    tests: named![
        a_tracing_event_is_one_record_on_the_console_whatever_is_in_it,
        nothing_from_outside_acts_on_a_terminal,
        records_of_log_keep_their_bytes_on_the_console,
    ],
    scenarios: named![print_everything, print_records],
};

fn is_unsafe(character: char) -> bool {
    let separators_and_directions = ['\u{61c}', '\u{200e}', '\u{200f}'];
    character.is_control()
        || separators_and_directions.contains(&character)
        || ('\u{2028}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character)
}

/// Every unsafe character but those that no path and no C string can hold, and a line that must not begin.
fn hostile(what: &str) -> String {
    let all = ('\u{1}'..='\u{2069}').filter(|character| is_unsafe(*character));
    format!("{what}{}\nFORGED\r\nFORGED", all.collect::<String>())
}

#[track_caller]
fn assert_safe(what: &str, text: &str, child: &dyn fmt::Display) {
    for line in text.split('\n') {
        assert_eq!(line.find(is_unsafe), None, "{what}: {line:?}");
        assert!(!line.starts_with("FORGED"), "{what}: {line:?}: {child}");
    }
}

fn log(target: &str, level: Level, message: &str) {
    log::logger().log(&log::Record::builder().target(target).level(level).args(format_args!("{message}")).build());
}

fn print_everything(arguments: &[String]) {
    let [form, endpoint] = arguments else { panic!("a form of the mirror and an endpoint") };
    let target = hostile("target");
    let mirror = if form == "json" { Mirror::Json } else { Mirror::Text };
    let directory = std::env::temp_dir().join(format!("logbridge {} {}", std::process::id(), hostile("spool")));
    let mut builder = logbridge::builder();
    builder
        .otlp(logbridge::Otlp::to(endpoint.as_str()))
        .service_name(hostile("service"))
        .resource_attribute(hostile("key"), hostile("value"))
        .filter_module(&hostile("target"), LevelFilter::Info)
        .spool(Spool::at(&directory))
        .mirror(mirror);
    let bridge = builder.try_init().expect("installed");
    bridge.levels().set(&hostile("set"), Level::Debug);
    log(&target, Level::Debug, "cut");
    log(&target, Level::Error, &hostile("message"));
    let pairs = [(hostile("key"), hostile("value"))];
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let record = log::Record::builder().target(&target).level(Level::Error).key_values(&pairs).build();
    log::logger().log(&record);
    tracing::error!(field = hostile("field"), "{}", hostile("message"));
    let mut span = opentelemetry::global::tracer(hostile("tracer")).start(hostile("span"));
    span.set_attribute(KeyValue::new(hostile("key"), hostile("value")));
    span.set_status(Status::error(hostile("status")));
    span.end();
    let processor = logbridge::Builder::new().mirror(mirror).build_processor().expect("builds");
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    let logger = provider.logger(hostile("scope"));
    let mut sdk = logger.create_log_record();
    sdk.set_body(AnyValue::Map(Box::new([(Key::new(hostile("key")), AnyValue::from(hostile("value")))].into())));
    sdk.set_severity_text("SEVERE\u{9b}\u{2028}\nFORGED");
    logger.emit(sdk);
    bridge.flush(Duration::from_secs(10)).ok();
    println!("{}", bridge.report());
    println!("{}", bridge.report().to_json());
    println!("{}", bridge.configuration());
    println!("{}", bridge.explain(&target, Level::Debug));
    println!("{}", bridge.explain(&target, Level::Error));
    println!("{}", bridge.levels());
    for finding in bridge.levels().findings().iter().chain(&bridge.configuration().findings) {
        println!("{finding}");
    }
    for error in [
        logbridge::Builder::new().parse_filters(&hostile("app=inof")).try_init().expect_err("a bad filter"),
        logbridge::Builder::new().otlp(logbridge::Otlp::to(hostile("http://"))).try_init().expect_err("no URL"),
        bridge.levels().replace(&hostile("app=inof")).expect_err("a bad filter"),
    ] {
        println!("{error}\n{error:?}\n{}", error.help().unwrap_or_default());
    }
    bridge.shutdown(Duration::from_secs(10)).ok();
    std::fs::remove_dir_all(&directory).ok();
}

fn nothing_from_outside_acts_on_a_terminal() {
    let said = [
        Answer::PartialSuccess { rejected: 1, message: hostile("partial") },
        Answer::Status { code: 400, retry_after: None, body: hostile("body") },
        Answer::Text(hostile("text")),
    ];
    for (form, answer) in ["text", "json", "text"].into_iter().zip(said) {
        let receiver = receiver();
        receiver.answer_always(answer.clone());
        receiver.answer_traces_always(answer);
        let child = Child::new("print_everything").args([form, receiver.endpoint().as_str()]);
        // The console shows what env_logger would, and notices have a test of their own.
        let child = child.env("LOGBRIDGE_CONSOLE", "off").run().success().within(SLACK);
        assert!(child.stdout.contains("offered") && child.stdout.contains("FORGED"), "{child}");
        assert_safe("stdout", &child.stdout, &child);
    }
}

fn print_records(arguments: &[String]) {
    match arguments.first().map(String::as_str) {
        Some("env_logger") => env_logger::init(),
        _ => logbridge::init(),
    }
    match arguments.last().map(String::as_str) {
        Some("tracing") => {
            tracing::error!(field = hostile("field"), other = %hostile("other"), "{}", hostile("message"));
            tracing::error!(error = ?Err::<(), _>(hostile("error")));
        }
        Some("target") => log(&hostile("target"), Level::Error, "words"),
        _ => {
            let pairs = [(hostile("key"), hostile("value"))];
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let message = hostile("message");
            let mut record = log::Record::builder();
            record.target("app").level(Level::Error).key_values(&pairs);
            log::logger().log(&record.args(format_args!("{message}")).build());
        }
    }
}

fn a_tracing_event_is_one_record_on_the_console_whatever_is_in_it() {
    for what in ["tracing", "target"] {
        let child = Child::new("print_records").args(["logbridge", what]).env("RUST_LOG", "info").run().success();
        // The further lines of a message are indented.
        let mut text = String::new();
        child.stderr.split('\n').for_each(|line| writeln!(text, "{}", line.replace('\t', " ")).expect("a string"));
        assert_safe("stderr", &text, &child);
        assert!(text.contains("FORGED"), "{child}");
    }
}

fn records_of_log_keep_their_bytes_on_the_console() {
    let printed = |by: &str| {
        let child = Child::new("print_records").args([by, "log"]).env("RUST_LOG", "info").run().success();
        let (_time, rest) = child.stderr.split_once("Z ").expect("a time");
        rest.to_owned()
    };
    assert_eq!(printed("logbridge"), printed("env_logger"));
}
