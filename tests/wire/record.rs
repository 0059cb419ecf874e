//! The contents of records where upstream defines none: the promises of the README, one by one.

#![allow(clippy::expect_used)] // A test may panic.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use logbridge::testing::{ReceivedLog, Receiver, Value};
use logbridge::{Bridge, Builder, Console, DropReason, LevelFilter, Logger, Otlp};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::undelivered::undelivered;

fn bridge(receiver: &Receiver) -> Bridge {
    log::set_max_level(LevelFilter::Trace);
    Builder::new()
        .service_name("record")
        .filter_level(LevelFilter::Trace)
        .otlp(Otlp::to(receiver.endpoint()))
        .console(Console::off())
        .build()
        .expect("builds")
}

/// The records that `write` makes with `log`.
fn logged(write: impl FnOnce(&Logger)) -> Vec<ReceivedLog> {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = bridge(&receiver);
    write(&bridge.logger());
    bridge.flush(Duration::from_secs(30)).expect("everything arrives");
    receiver.logs()
}

/// The records that `write` makes with `tracing`.
fn traced(write: impl FnOnce()) -> Vec<ReceivedLog> {
    let receiver = Receiver::start().expect("a receiver");
    let bridge = bridge(&receiver);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(bridge.layer()), write);
    bridge.flush(Duration::from_secs(30)).expect("everything arrives");
    receiver.logs()
}

fn one(logs: Vec<ReceivedLog>) -> ReceivedLog {
    let [log] = <[ReceivedLog; 1]>::try_from(logs).expect("one record");
    log
}

#[test]
fn severity_scope_times_and_thread() {
    let before = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let logs = logged(|logger| {
        for level in log::Level::iter() {
            log::log!(logger: logger, target: "shop::cart", level, "{level}");
        }
    });
    let after = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let mut seen: Vec<_> = logs.iter().map(|log| (log.severity_number, log.severity_text.as_str())).collect();
    seen.sort_unstable();
    assert_eq!(seen, [(1, "TRACE"), (5, "DEBUG"), (9, "INFO"), (13, "WARN"), (17, "ERROR")]);
    for log in logs {
        assert_eq!((log.target(), log.message()), ("shop::cart", log.severity_text.clone()));
        assert!((before..=after).contains(&log.time_unix_nano) && log.observed_time_unix_nano >= log.time_unix_nano);
        assert_eq!(log.attributes["thread.name"], "record::severity_scope_times_and_thread");
        assert!(log.attributes["thread.id"].as_int().is_some_and(|id| id > 0));
        assert_eq!(log.attributes["code.file.path"], file!());
        assert_eq!(log.event_name, "");
    }
}

#[test]
fn a_key_value_called_message_is_an_attribute_and_a_field_called_message_is_the_body() {
    let log = one(logged(|logger| log::info!(logger: logger, message = "mine"; "the body")));
    assert_eq!((log.message().as_str(), &log.attributes["message"]), ("the body", &Value::from("mine")));
    let bodies: Vec<String> = traced(|| {
        tracing::info!(message = "text");
        tracing::info!(message = 7);
        tracing::info!(message = ?Some(1));
        tracing::info!(message = true);
    })
    .iter()
    .map(ReceivedLog::message)
    .collect();
    assert_eq!(bodies, ["text", "7", "Some(1)", "true"]);
    let log = one(traced(|| tracing::info!(message = &b"\x00\xff"[..])));
    assert_eq!(log.body, Some(Value::Bytes(vec![0, 0xff])));
}

#[test]
fn an_event_without_a_message_has_a_readable_body() {
    let bodies: Vec<String> = traced(|| {
        tracing::info!(user = 1, total = 2.5, debug = ?"x");
        tracing::info!(name: "order.placed", { user = tracing::field::Empty }, "");
        tracing::event!(name: "just.a.name", tracing::Level::INFO, {});
    })
    .iter()
    .map(ReceivedLog::message)
    .collect();
    assert_eq!(bodies, ["user=1 total=2.5 debug=\"x\"", "", "just.a.name"]);
}

#[test]
fn the_applications_own_keys_win_and_ours_that_it_did_not_use_stay() {
    let log = one(logged(|logger| {
        log::info!(logger: logger, "thread.id" = "mine", "code.file.path" = 1, "code.function.name" = "f"; "x");
    }));
    assert_eq!(log.attributes["thread.id"], "mine");
    assert_eq!(log.attributes["code.file.path"], 1);
    assert_eq!(log.attributes["code.function.name"], "f");
    assert!(log.attribute("code.line.number").is_some() && log.attribute("thread.name").is_some());
    let mut keys: Vec<&str> = log.attributes.keys().collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count, "no key twice");
}

#[derive(sval_derive::Value)]
struct Point {
    x: i32,
    label: &'static str,
}

#[derive(serde::Serialize)]
struct Nested {
    list: Vec<Option<u8>>,
    deep: std::collections::BTreeMap<&'static str, Vec<f64>>,
    none: Option<u8>,
}

#[test]
fn values_captured_by_serde_and_sval_are_nested() {
    let nested = Nested { list: vec![Some(1), None], deep: [("a", vec![0.5])].into(), none: None };
    let point = Point { x: 1, label: "here" };
    let log = one(logged(|logger| log::info!(logger: logger, nested:serde = nested, point:sval = point; "x")));
    assert_eq!(log.attributes["nested"].to_string(), r#"{"list":[1,null],"deep":{"a":[0.5]}}"#);
    assert_eq!(log.attributes["point"].to_string(), r#"{"x":1,"label":"here"}"#);
}

#[test]
fn numbers_that_are_none_and_integers_of_any_width() {
    let log = one(logged(|logger| {
        log::info!(logger: logger, nan = f64::NAN, inf = f64::INFINITY, max = u64::MAX, low = i64::MIN; "x");
    }));
    assert!(log.attributes["nan"].as_f64().is_some_and(f64::is_nan));
    assert_eq!(log.attributes["inf"], f64::INFINITY);
    assert_eq!(log.attributes["max"], "18446744073709551615");
    assert_eq!(log.attributes["low"], i64::MIN);
}

#[test]
fn text_of_any_kind_arrives_as_it_is() {
    for text in ["", "\0", "a\nb\r\n\t", "\u{1b}[31mred\u{1b}[0m", "ünï 🫖 \u{202e}", &"x".repeat(200_000)] {
        let log = one(logged(|logger| log::info!(logger: logger, text; "{text}")));
        assert_eq!((log.message().as_str(), log.attributes["text"].as_str()), (text, Some(text)));
    }
}

#[test]
fn a_large_value_arrives_whole_and_one_that_fits_nowhere_is_counted() {
    let large = "x".repeat(10 << 20);
    let log = one(logged(|logger| log::info!(logger: logger, large; "ten megabytes")));
    assert_eq!(log.attributes["large"].as_str().map(str::len), Some(10 << 20));

    let receiver = Receiver::start().expect("a receiver");
    let mut builder = Builder::new();
    builder.filter_level(LevelFilter::Info).otlp(Otlp::to(receiver.endpoint())).console(Console::off());
    let bridge = builder.max_bytes(1 << 20).build().expect("builds");
    let logger = bridge.logger();
    log::info!(logger: &logger, large; "ten megabytes into one");
    log::info!(logger: &logger, "and the next one");
    assert!(bridge.flush(Duration::from_secs(30)).is_err_and(|error| undelivered(&error).logs.lost() == 1));
    assert_eq!(bridge.report().counters.otlp.dropped, vec![(DropReason::TooLarge, 1)]);
    assert_eq!(one(receiver.logs()).message(), "and the next one");
}

/// A source of many pairs, each key twice.
struct Many(Vec<String>);

impl log::kv::Source for Many {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn log::kv::VisitSource<'kvs>) -> Result<(), log::kv::Error> {
        for (number, key) in self.0.iter().chain(&self.0).enumerate() {
            visitor.visit_pair(log::kv::Key::from_str(key), log::kv::Value::from(number))?;
        }
        Ok(())
    }
}

#[test]
fn a_thousand_keys_each_twice_keep_their_last_values() {
    let log = one(logged(|logger| {
        let many = Many((0..1_000).map(|number| format!("key{number}")).collect());
        let record = log::Record::builder().args(format_args!("many")).key_values(&many).build();
        log::Log::log(logger, &record);
    }));
    let numbered: Vec<_> = log.attributes.iter().filter(|(key, _)| key.starts_with("key")).collect();
    assert_eq!(numbered.len(), 1_000);
    assert_eq!(log.attributes["key7"], 1_007);
}

struct Fails;

impl std::fmt::Display for Fails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("half of it")?;
        Err(std::fmt::Error)
    }
}

#[test]
fn a_value_whose_display_fails_keeps_what_it_wrote() {
    let log = one(logged(|logger| log::info!(logger: logger, value:% = Fails; "before {Fails} after")));
    assert_eq!(log.message(), "before half of it");
    assert_eq!(log.attributes["value"], "half of it");
}
