//! The records of the differential test: every kind of field, at every level, inside and outside of spans, through both
//! facades.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};

/// The attribute that numbers the records.
pub(crate) const NUMBER: &str = "number";
pub(crate) const FILE: &str = file!();
pub(crate) const ERROR: &str = "the order cannot be placed";
pub(crate) const CAUSE: &str = "invalid digit found in string";

pub(crate) const KINDS: [&str; 15] = [
    "plain",
    "scalars",
    "wide",
    "texts",
    "error",
    "two errors",
    "std error",
    "key twice",
    "none",
    "nested",
    "empty key",
    "no message",
    "named",
    "explicit parent",
    "no parent",
];

thread_local! {
    static PARENTS: RefCell<BTreeMap<i64, Ids>> = const { RefCell::new(BTreeMap::new()) };
}

type Ids = ([u8; 16], [u8; 8]);

/// The ids of the span that was given as explicit parent to the record of that number.
pub(crate) fn parent_of(number: i64) -> Ids {
    PARENTS.with_borrow(|parents| parents[&number])
}

fn remember(number: i64, parent: &tracing::Span) {
    let ids = parent.in_scope(|| {
        let context = Context::current();
        let span = context.span().span_context().clone();
        (span.trace_id().to_bytes(), span.span_id().to_bytes())
    });
    PARENTS.with_borrow_mut(|parents| parents.insert(number, ids));
}

#[derive(Debug)]
pub(crate) struct OrderError(std::num::ParseIntError);

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ERROR)
    }
}

impl Error for OrderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[derive(Debug, serde::Serialize)]
struct Cart {
    items: Vec<(String, u32)>,
    open: bool,
}

fn cart() -> Cart {
    Cart { items: vec![("tea".to_owned(), 2)], open: true }
}

/// What [`cart`] is as an OTLP value.
pub(crate) fn cart_value() -> AnyValue {
    let any = |value| AnyValue { value: Some(value) };
    let entry = |key: &str, value| KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() };
    let item = ArrayValue { values: vec![any(Value::StringValue("tea".to_owned())), any(Value::IntValue(2))] };
    let items = ArrayValue { values: vec![any(Value::ArrayValue(item))] };
    any(Value::KvlistValue(KeyValueList {
        values: vec![entry("items", any(Value::ArrayValue(items))), entry("open", any(Value::BoolValue(true)))],
    }))
}

/// Writes all records, once outside any span and once in each of two nested spans.
pub(crate) fn emit_all(logger: &dyn log::Log) {
    // `log`'s macros look at this first; it starts at Off.
    log::set_max_level(log::LevelFilter::Trace);
    let mut number = 0;
    round(logger, &mut number);
    let outer = tracing::info_span!("outer", id = 1).entered();
    round(logger, &mut number);
    let inner = tracing::info_span!("inner", id = 2).entered();
    round(logger, &mut number);
    drop((inner, outer));
}

fn round(logger: &dyn log::Log, number: &mut i64) {
    for level in [log::Level::Error, log::Level::Warn, log::Level::Info, log::Level::Debug, log::Level::Trace] {
        logs(logger, level, number);
    }
    events(number);
}

fn logs(logger: &dyn log::Log, level: log::Level, last: &mut i64) {
    let error = OrderError("x".parse::<i32>().expect_err("no number"));
    let std_error = "x".parse::<i32>().expect_err("no number");
    let cart = cart();
    let mut next = || {
        *last += 1;
        *last
    };
    log::log!(logger: logger, level, number = next(), kind = "plain"; "plain {}", 1);
    log::log!(logger: logger, target: "other::target", level, number = next(), kind = "plain"; "static text");
    log::log!(logger: logger, level, number = next(), kind = "scalars", yes = true, int = -5, small = 3_u8, float = 1.5, single = 0.25_f32; "scalars");
    log::log!(logger: logger, level, number = next(), kind = "wide", max = u64::MAX, fits = i64::MAX as u64, low = i128::MIN, high = u128::MAX, minus = -1_i128; "wide");
    log::log!(logger: logger, level, number = next(), kind = "texts", text = "ünï\0code", letter = 'c', owned = String::from("owned"), debug:? = Some(1), display:% = 2; "two\nlines");
    log::log!(logger: logger, level, number = next(), kind = "error", error:err = error; "an error");
    log::log!(logger: logger, level, number = next(), kind = "two errors", error:err = error, other:err = std_error; "two errors");
    log::log!(logger: logger, level, number = next(), kind = "std error", error:err = std_error; "a std error");
    log::log!(logger: logger, level, number = next(), kind = "key twice", twice = 1, twice = 2; "a key twice");
    log::log!(logger: logger, level, number = next(), kind = "none", nothing = Option::<i32>::None, something = Some(1); "none");
    log::log!(logger: logger, level, number = next(), kind = "nested", cart:serde = cart; "nested");
    log::log!(logger: logger, level, number = next(), kind = "empty key", "" = 1; "an empty key");
}

macro_rules! events_at {
    ($level:expr, $last:expr) => {{
        let error = OrderError("x".parse::<i32>().expect_err("no number"));
        let std_error = "x".parse::<i32>().expect_err("no number");
        let mut next = || {
            *$last += 1;
            *$last
        };
        tracing::event!($level, number = next(), kind = "plain", "plain {}", 1);
        tracing::event!(target: "other::target", $level, number = next(), kind = "plain", "static text");
        tracing::event!($level, number = next(), kind = "scalars", yes = true, int = -5, small = 3_u8, float = 1.5, single = 0.25_f32, "scalars");
        tracing::event!($level, number = next(), kind = "wide", max = u64::MAX, low = i128::MIN, high = u128::MAX, minus = -1_i128, "wide");
        tracing::event!($level, number = next(), kind = "texts", text = "ünï\0code", owned = String::from("owned"), debug = ?Some(1), display = %2, bytes = &b"\xff\x00"[..], "two\nlines");
        tracing::event!($level, number = next(), kind = "error", error = &error as &(dyn Error + 'static), "an error");
        tracing::event!($level, number = next(), kind = "two errors", error = &error as &(dyn Error + 'static), other = &std_error as &(dyn Error + 'static), "two errors");
        tracing::event!($level, number = next(), kind = "none", nothing = Option::<i32>::None, something = Some(1), "none");
        tracing::event!($level, number = next(), kind = "no message", user = 7);
        tracing::event!(name: "order.placed", $level, number = next(), kind = "named", "with a name");
        let parent = tracing::info_span!(parent: None, "explicit");
        let number = next();
        remember(number, &parent);
        tracing::event!(parent: &parent, $level, number, kind = "explicit parent", "elsewhere");
        tracing::event!(parent: None, $level, number = next(), kind = "no parent", "outside");
    }};
}

fn events(last: &mut i64) {
    events_at!(tracing::Level::ERROR, last);
    events_at!(tracing::Level::WARN, last);
    events_at!(tracing::Level::INFO, last);
    events_at!(tracing::Level::DEBUG, last);
    events_at!(tracing::Level::TRACE, last);
}
