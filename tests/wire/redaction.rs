//! Redacted text reaches neither the endpoint nor the debug mirror, whatever its source. Endlessly nested values are
//! truncated for every source.

#![allow(clippy::expect_used, clippy::disallowed_methods)] // A test may panic, and tells its child where to send.

use std::process::Command;
use std::time::Duration;

use logbridge::testing::{ReceivedLog, Receiver};
use logbridge::{Bridge, Builder, Console, LevelFilter, Mirror, Otlp, Redact};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, Status, TraceFlags, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_appender_log::OpenTelemetryLogBridge;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLoggerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;

const LONG: Duration = Duration::from_secs(30);
const ENDPOINT: &str = "REDACTION_ENDPOINT";
const SECRET: &str = "hunter2";

fn builder(endpoint: &str) -> Builder {
    log::set_max_level(LevelFilter::Trace);
    let mut builder = Builder::new();
    builder
        .service_name("redaction")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(endpoint))
        .console(Console::off())
        .redact(Redact::new().keys(["password", "*token*"]).values(["hunter[0-9]"]));
    builder
}

#[derive(serde::Serialize)]
struct Login {
    user: &'static str,
    password: &'static str,
    history: Vec<Login>,
}

fn login() -> Login {
    let before = Login { user: "ann", password: "tulip", history: Vec::new() };
    Login { user: "ann", password: "rose", history: vec![before] }
}

const REDACTED_LOGIN: &str =
    r#"{"user":"ann","password":"[redacted]","history":[{"user":"ann","password":"[redacted]","history":[]}]}"#;

/// A record of each facade, with everything that has to go in it.
fn write_both(bridge: &Bridge) {
    let registry = tracing_subscriber::registry().with(bridge.layer());
    let access_token = "tulip";
    let failed = std::io::Error::other("tulip");
    let error: &(dyn std::error::Error + 'static) = &failed;
    log::info!(logger: bridge.logger(), access_token, login:serde = login(), note = SECRET; "by log: {SECRET}");
    tracing::subscriber::with_default(registry, || {
        tracing::info!(access_token, note = ?Some(SECRET), error = %format_args!("no {SECRET}"), "by tracing: {SECRET}");
        tracing::info!(access_token, SECRET);
        tracing::info!(password = error, "an error");
    });
    log::info!(logger: bridge.logger(), password:err = failed; "an error");
}

fn assert_clean(logs: &[ReceivedLog]) {
    let shown = format!("{logs:?}");
    for secret in [SECRET, "tulip", "rose"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

#[test]
fn both_facades() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver.endpoint()).build().expect("builds");
    write_both(&bridge);
    bridge.flush(LONG).expect("everything arrives");
    let logs = receiver.logs();
    assert_clean(&logs);
    assert_eq!(logs[0].message(), "by log: [redacted]");
    assert_eq!(logs[0].attributes["access_token"], "[redacted]");
    assert_eq!(logs[0].attributes["login"].to_string(), REDACTED_LOGIN);
    assert_eq!(logs[0].attributes["note"], "[redacted]");
    assert_eq!(logs[1].message(), "by tracing: [redacted]");
    assert_eq!(logs[1].attributes["note"], "Some(\"[redacted]\")");
    assert_eq!(logs[1].attributes["error"], "no [redacted]");
    // A body that is made of the fields, and what is said of an error, would tell the same under another name.
    assert_eq!(logs[2].message(), "access_token=[redacted] SECRET=[redacted]");
    for log in &logs[3..] {
        assert_eq!(log.attributes["password"], "[redacted]");
        assert!(log.attribute("exception.message").is_none());
    }
    assert!(logs.iter().all(|log| log.attributes["code.line.number"].as_int().is_some()));
    let report = bridge.report();
    // Two tokens, four passwords and two messages at least.
    assert!(report.counters.redacted >= 9, "{report}");
    assert!(report.to_string().contains(&format!("{} ", report.counters.redacted)), "{report}");
    assert!(report.to_string().contains("values redacted"), "{report}");
}

#[test]
fn off_by_default_and_without_a_trace_of_it() {
    let receiver = Receiver::start().expect("a receiver");
    let mut plain = Builder::new();
    plain.filter_level(LevelFilter::Trace).otlp(Otlp::to(receiver.endpoint())).console(Console::off());
    let bridge = plain.build().expect("builds");
    log::set_max_level(LevelFilter::Trace);
    log::info!(logger: bridge.logger(), password = "rose"; "{SECRET}");
    bridge.flush(LONG).expect("everything arrives");
    assert_eq!(
        (receiver.logs()[0].message().as_str(), &receiver.logs()[0].attributes["password"]),
        (SECRET, &"rose".into())
    );
    assert_eq!(bridge.report().counters.redacted, 0);
    assert!(!bridge.report().to_string().contains("redacted"));
}

/// Sees what the facade gave.
#[derive(Debug)]
struct AddsASecret;

impl LogProcessor for AddsASecret {
    fn emit(&self, record: &mut SdkLogRecord, _scope: &InstrumentationScope) {
        record.add_attribute("password", "rose");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn processors_and_official_appenders() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver.endpoint()).log_processor(AddsASecret).build().expect("builds");
    write_both(&bridge);
    bridge.flush(LONG).expect("everything arrives");
    let bridge = builder(&receiver.endpoint()).official_appenders().build().expect("builds");
    write_both(&bridge);
    bridge.flush(LONG).expect("everything arrives");
    let logs = receiver.logs();
    assert_eq!(logs.len(), 10);
    let by_key: Vec<_> = logs.iter().filter_map(|log| log.attribute("password")?.as_str()).collect();
    assert_eq!(by_key, ["[redacted]"; 6]);
    // The official appenders write what is nested as text, and an error under a key of their own: there are no keys.
    let shown = format!("{:?}", logs).replace("tulip", "").replace("rose", "");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn a_provider_of_ones_own() {
    let receiver = Receiver::start().expect("a receiver");
    let processor = builder(&receiver.endpoint()).build_processor().expect("builds");
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    log::set_max_level(LevelFilter::Trace);
    log::info!(logger: OpenTelemetryLogBridge::new(&provider), password = "rose"; "by log: {SECRET}");
    let logger = provider.logger("by.hand");
    let mut record = logger.create_log_record();
    let entries = [("password".into(), AnyValue::from("tulip")), ("why".into(), AnyValue::from(SECRET))];
    record.set_body(AnyValue::Map(Box::new(entries.into())));
    record.add_attribute("list", AnyValue::ListAny(Box::new(vec![AnyValue::from(SECRET), AnyValue::from(7)])));
    logger.emit(record);
    provider.force_flush().expect("everything arrives");
    let logs = receiver.logs();
    assert_clean(&logs);
    assert_eq!(logs[0].message(), "by log: [redacted]");
    assert_eq!(logs[1].message(), r#"{"password":"[redacted]","why":"[redacted]"}"#);
    assert_eq!(logs[1].attributes["list"].to_string(), r#"["[redacted]",7]"#);
}

fn write_spans(bridge: &Bridge) {
    let provider = SdkTracerProvider::builder().with_span_processor(bridge.span_processor()).build();
    let tracer = provider.tracer("spans");
    let linked = SpanContext::new(7.into(), 7.into(), TraceFlags::SAMPLED, true, TraceState::NONE);
    let attributes = [KeyValue::new("db.password", "rose"), KeyValue::new("url", format!("/?k={SECRET}"))];
    let links = vec![Link::new(linked, vec![KeyValue::new("token", "tulip")], 0)];
    let builder = tracer.span_builder(format!("GET {SECRET}")).with_attributes(attributes).with_links(links);
    let mut span = builder.start(&tracer);
    span.add_event("login", vec![KeyValue::new("password", "rose"), KeyValue::new("text", SECRET)]);
    span.set_status(Status::error(format!("no {SECRET}")));
    span.end();
    // One that is still open at the end.
    let mut open = tracer.span_builder("open").with_attributes([KeyValue::new("password", "rose")]).start(&tracer);
    bridge.shutdown(LONG).expect("everything arrives");
    open.set_attribute(KeyValue::new("late", "ignored"));
}

#[test]
fn spans() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver.endpoint()).build().expect("builds");
    write_spans(&bridge);
    let spans = receiver.spans();
    let shown = format!("{spans:?}");
    for secret in [SECRET, "tulip", "rose"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    let span = spans.iter().find(|span| span.name == "GET [redacted]").expect("arrived");
    assert_eq!(span.attribute("db.password"), Some(&"[redacted]".into()));
    assert_eq!(span.attribute("url"), Some(&"/?k=[redacted]".into()));
    assert!(spans.iter().any(|span| span.name == "open" && span.attribute("password") == Some(&"[redacted]".into())));
    assert_eq!(bridge.report().counters.redacted, 8);
}

#[test]
#[ignore = "the child of the other test"]
fn child() {
    let endpoint = std::env::var(ENDPOINT).expect("started by the other test");
    for mirror in [Mirror::Text, Mirror::Json] {
        let bridge = builder(&endpoint).mirror(mirror).build().expect("builds");
        write_both(&bridge);
        write_spans(&bridge);
        assert_eq!(bridge.report().counters.mirrored, 7);
    }
}

#[test]
fn the_mirror_shows_what_is_shipped() {
    let receiver = Receiver::start().expect("a receiver");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "redaction::child", "--ignored", "--nocapture"])
        .env(ENDPOINT, receiver.endpoint())
        .output()
        .expect("the child runs");
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    for secret in [SECRET, "tulip", "rose"] {
        assert!(!stdout.contains(secret), "{secret}: {stdout}");
    }
    assert!(stdout.matches("by log: [redacted]").count() == 2 && stdout.contains("GET [redacted]"), "{stdout}");
    assert_eq!((receiver.logs().len(), receiver.spans().len()), (10, 4));
}

/// Nests without end, and nothing of it is in memory.
struct Deep(u32);

impl serde::Serialize for Deep {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.checked_sub(1) {
            Some(levels) => serializer.collect_map([("k", Deep(levels))]),
            None => serializer.serialize_str("bottom"),
        }
    }
}

#[test]
fn the_console_does_not_follow_a_value_without_end_either() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut builder = Builder::new();
    builder.filter_level(LevelFilter::Trace).otlp(Otlp::off()).console(Console::pipe(writer));
    log::set_max_level(LevelFilter::Trace);
    let bridge = builder.build().expect("builds");
    log::info!(logger: bridge.logger(), deep:serde = Deep(10_000), shallow:serde = Deep(2), after = 1; "on the console");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(reader), &mut line).expect("a line");
    let expected = "on the console deep=<nested too deep> shallow={\"k\": {\"k\": \"bottom\"}} after=1\n";
    assert!(line.ends_with(expected), "{line}");
}

#[test]
fn ten_thousand_levels_are_cut_and_arrive() {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = builder(&receiver.endpoint()).build().expect("builds");
    log::info!(logger: bridge.logger(), deep:serde = Deep(10_000), after = 1; "by log");
    let bridges = [bridge, builder(&receiver.endpoint()).log_processor(AddsASecret).build().expect("builds")];
    log::info!(logger: bridges[1].logger(), deep:serde = Deep(10_000), after = 1; "by a chain");
    let processor = builder(&receiver.endpoint()).build_processor().expect("builds");
    let ours = processor.bridge();
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
    // Such a value exists in memory: to be freed, it needs a stack of its own.
    let by_hand = std::thread::Builder::new().stack_size(64 << 20).spawn(move || {
        let logger = provider.logger("by.hand");
        let mut record = logger.create_log_record();
        let nest = |inner, _| AnyValue::ListAny(Box::new(vec![inner]));
        record.set_body((0..10_000).fold(AnyValue::from("bottom"), nest));
        record.add_attribute("deep", (0..10_000).fold(AnyValue::from("bottom"), nest));
        record.add_attribute("after", 1);
        logger.emit(record);
        provider.force_flush().expect("everything arrives");
    });
    by_hand.expect("a thread").join().expect("no panic");
    let counted: Vec<u64> = bridges
        .iter()
        .map(|bridge| {
            bridge.flush(LONG).expect("everything arrives, so a strict decoder could read it");
            bridge.report().counters.nested_too_deep
        })
        .collect();
    assert_eq!((counted, ours.report().counters.nested_too_deep), (vec![1, 1], 2));
    let logs = receiver.logs();
    assert_eq!(logs.len(), 3, "{:?}", receiver.problems());
    for log in logs {
        let deep = log.attributes["deep"].to_string();
        assert!(deep.contains("<nested too deep>") && !deep.contains("bottom"), "{deep}");
        assert_eq!(log.attributes["after"], 1, "the rest of the record is whole");
    }
}
