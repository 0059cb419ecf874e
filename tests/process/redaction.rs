//! Random records and spans with secrets in every possible place: no secret is sent, mirrored or reported.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use logbridge::{Console, Redact};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _};
use opentelemetry::trace::{Link, Span as _, SpanContext, Status, TraceFlags, TraceState, Tracer as _};
use opentelemetry::{Array, Key, KeyValue, Value};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use serde::ser::{Serialize, Serializer};

use crate::runner::{Group, named};
use crate::support::{Child, SLACK, receiver};

pub(crate) const GROUP: Group = Group {
    name: "redaction",
    tests: named![an_error_in_a_hidden_field_of_a_span_leaves_by_no_other_key, no_secret_survives_anywhere,],
    scenarios: named![errors_in_fields_of_spans, write_random_secrets],
};

/// Stands under keys that are redacted.
const HIDDEN: &str = "hiddenvalue";
const HIDDEN_NUMBER: i64 = 770_770_077;
/// What the pattern of values matches.
const MATCHED: &str = "4111-1111";
const MATCHED_NUMBER: i64 = 4_111_222_233;
const EXPRESSIONS: [&str; 2] = ["4111-[0-9]{4}", "4111222233"];

fn redact() -> Redact {
    Redact::new().keys(["password", "*token*"]).values(EXPRESSIONS)
}

struct Random(fastrand::Rng);

impl Random {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.usize(..from.len())]
    }

    fn key(&mut self) -> (String, bool) {
        let hidden = ["password", "PassWord", "user.password", "access_token", "token.old", "x-tokens"];
        let open = ["user", "passwords", "note", "4111-2222", "of 4111-3333", "exception.note"];
        if self.0.bool() { (self.pick(&hidden).to_owned(), true) } else { (self.pick(&open).to_owned(), false) }
    }

    /// A text with a secret in it: any below a hidden key, otherwise one that the expressions find.
    fn text(&mut self, is_hidden: bool) -> String {
        let secret = if is_hidden { HIDDEN } else { MATCHED };
        let (before, after) = (self.pick(&["", "a ", "ü\n", "[redacted]"]), self.pick(&["", " b", "\u{202e}"]));
        format!("{before}{secret}{after}")
    }

    fn tree(&mut self, is_hidden: bool, depth: u32) -> Tree {
        match self.0.u8(..if depth > 3 { 6 } else { 9 }) {
            0 => Tree::Int(if is_hidden { HIDDEN_NUMBER } else { MATCHED_NUMBER }),
            1 => Tree::Double(if is_hidden { HIDDEN_NUMBER as f64 } else { MATCHED_NUMBER as f64 }),
            2 => Tree::Bytes(self.text(is_hidden).into_bytes()),
            3 => Tree::Bytes([&[0xff, 0xc3], self.text(is_hidden).as_bytes(), &[0xfe]].concat()),
            4 | 5 => Tree::Text(self.text(is_hidden)),
            6 => Tree::Some(Box::new(self.tree(is_hidden, depth + 1))),
            7 => Tree::List((0..self.0.usize(1..4)).map(|_| self.tree(is_hidden, depth + 1)).collect()),
            _ => {
                let entries = (0..self.0.usize(1..4)).map(|_| {
                    let (key, hides) = self.key();
                    (key, self.tree(is_hidden || hides, depth + 1))
                });
                Tree::Map(entries.collect())
            }
        }
    }

    fn error(&mut self, is_hidden: bool) -> Failure {
        let source = self.0.bool().then(|| Box::new(self.error(is_hidden)));
        Failure { text: self.text(is_hidden), source }
    }
}

/// A value of any shape.
#[derive(Clone, Debug)]
enum Tree {
    Bytes(Vec<u8>),
    Double(f64),
    Int(i64),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
    Some(Box<Tree>),
    Text(String),
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Double(value) => serializer.serialize_f64(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => serializer.collect_map(entries),
            Self::Some(value) => serializer.serialize_some(value),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl Tree {
    fn to_any(&self) -> AnyValue {
        match self {
            Self::Bytes(bytes) => AnyValue::Bytes(Box::new(bytes.clone())),
            Self::Double(value) => AnyValue::Double(*value),
            Self::Int(value) => AnyValue::Int(*value),
            Self::List(items) => AnyValue::ListAny(Box::new(items.iter().map(Self::to_any).collect())),
            Self::Map(entries) => AnyValue::Map(Box::new(
                entries.iter().map(|(key, value)| (Key::new(key.clone()), value.to_any())).collect(),
            )),
            Self::Some(value) => value.to_any(),
            Self::Text(text) => AnyValue::String(text.clone().into()),
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Double(value) => Value::Array(Array::F64(vec![0.5, *value])),
            Self::Int(value) => Value::Array(Array::I64(vec![*value, 1])),
            Self::List(_) | Self::Map(_) | Self::Bytes(_) | Self::Some(_) => Value::Bool(true),
            Self::Text(text) if text.starts_with('a') => Value::Array(Array::String(vec![text.clone().into()])),
            Self::Text(text) => text.clone().into(),
        }
    }
}

#[derive(Debug)]
struct Failure {
    text: String,
    source: Option<Box<Failure>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

fn log_record(random: &mut Random) {
    let (key, is_hidden) = random.key();
    let (tree, text, error) = (random.tree(is_hidden, 0), random.text(is_hidden), random.error(is_hidden));
    let number = if is_hidden { HIDDEN_NUMBER } else { MATCHED_NUMBER };
    let wide = i128::from(number);
    let value = match random.0.u8(..8) {
        0 => log::kv::Value::from(number),
        1 => log::kv::Value::from(&wide),
        2 => log::kv::Value::from_display(&text),
        3 => log::kv::Value::from_debug(&text),
        4 => log::kv::Value::from_dyn_error(&error),
        5 => log::kv::Value::from(text.as_str()),
        _ => log::kv::Value::from_serde(&tree),
    };
    let level = random.pick(&[log::Level::Error, log::Level::Warn, log::Level::Info]);
    let message = random.text(false);
    let pairs = [(key.as_str(), value)];
    let mut record = log::Record::builder();
    record.level(level).target("app").key_values(&pairs);
    log::logger().log(&record.args(format_args!("{message}")).build());
}

fn event(random: &mut Random) {
    let (hidden, matched) = (random.text(true), random.text(false));
    let (secret, failure) = (random.error(true), random.error(false));
    let (secret, failure) = (&secret as &(dyn Error + 'static), &failure as &(dyn Error + 'static));
    match random.0.u8(..8) {
        0 => tracing::error!(password = secret, "{matched}"),
        1 => tracing::error!(error = failure, token = hidden, "{matched}"),
        2 => tracing::warn!(password = %hidden, user = matched, number = MATCHED_NUMBER),
        3 => tracing::error!(user = ?matched, access_token = ?Some(&hidden), error = %matched),
        4 => tracing::info!(token = HIDDEN_NUMBER, price = MATCHED_NUMBER as f64, "{matched}"),
        5 => tracing::error!(password = secret, error = failure),
        6 => tracing::error!(access_token = secret),
        _ => tracing::info!(user.password = hidden.as_bytes(), raw = matched.as_bytes(), "{matched}"),
    }
}

/// A span of tracing, with what is recorded on it later.
fn span(random: &mut Random, inside: &mut dyn FnMut(&mut Random)) {
    use tracing::field::Empty;
    let (hidden, matched) = (random.text(true), random.text(false));
    let (secret, failure) = (random.error(true), random.error(false));
    let (secret, failure) = (&secret as &(dyn Error + 'static), &failure as &(dyn Error + 'static));
    let span = match random.0.u8(..5) {
        0 => tracing::info_span!("work", password = secret, user = matched, late = Empty, token = Empty),
        1 => tracing::info_span!("work", access_token = %hidden, error = failure, late = Empty, token = Empty),
        2 => tracing::info_span!("work", password = secret, error = failure, late = Empty, token = Empty),
        3 => tracing::info_span!("work", password = HIDDEN_NUMBER, late = Empty, token = Empty),
        _ => tracing::info_span!("work", otel.name = matched, password = ?hidden, late = Empty, token = Empty),
    };
    if random.0.bool() {
        span.record("token", secret);
    }
    if random.0.bool() {
        span.record("late", failure);
    }
    span.in_scope(|| inside(random));
}

/// A span of the API.
fn api_span(random: &mut Random) {
    let tracer = opentelemetry::global::tracer("api");
    let attribute = |random: &mut Random| {
        let (key, is_hidden) = random.key();
        KeyValue::new(key, random.tree(is_hidden, 9).to_value())
    };
    let linked = SpanContext::new(7.into(), 7.into(), TraceFlags::SAMPLED, true, TraceState::NONE);
    let links = vec![Link::new(linked, vec![attribute(random)], 0)];
    let builder = tracer.span_builder(random.text(false)).with_links(links);
    let mut span = builder.with_attributes([attribute(random)]).start(&tracer);
    span.set_attribute(attribute(random));
    span.add_event(random.text(false), vec![attribute(random), attribute(random)]);
    span.record_error(&random.error(false));
    span.set_status(Status::error(random.text(false)));
    span.end();
}

fn sdk_record(random: &mut Random, provider: &SdkLoggerProvider) {
    let logger = provider.logger("sdk");
    let mut record = logger.create_log_record();
    record.set_body(random.tree(false, 0).to_any());
    for _ in 0..3 {
        let (key, is_hidden) = random.key();
        record.add_attribute(Key::new(key), random.tree(is_hidden, 0).to_any());
    }
    logger.emit(record);
}

fn write_random_secrets(arguments: &[String]) {
    let [seed, mirror, endpoint] = arguments else { panic!("a seed, a form of the mirror and an endpoint") };
    let mut random = Random(fastrand::Rng::with_seed(seed.parse().expect("a number")));
    let mirror = if mirror == "json" { logbridge::Mirror::Json } else { logbridge::Mirror::Text };
    let otlp = || logbridge::Otlp::to(endpoint.as_str());
    let mut builder = logbridge::builder();
    builder.redact(redact()).mirror(mirror).console(Console::off()).exception_events(random.0.bool());
    let bridge = builder.try_init().expect("installed");
    let processor = logbridge::Builder::new().redact(redact()).mirror(mirror).otlp(otlp()).build_processor();
    let provider = SdkLoggerProvider::builder().with_log_processor(processor.expect("builds")).build();
    for _ in 0..60 {
        match random.0.u8(..6) {
            0 | 1 => log_record(&mut random),
            2 => event(&mut random),
            3 => span(&mut random, &mut |random| {
                event(random);
                log_record(random);
                if random.0.u8(..8) == 0 {
                    let message = random.text(false);
                    std::panic::catch_unwind(|| panic!("{message}")).expect_err("it panics");
                }
            }),
            4 => api_span(&mut random),
            _ => sdk_record(&mut random, &provider),
        }
    }
    provider.force_flush().expect("everything arrives");
    bridge.flush(Duration::from_secs(30)).expect("everything arrives");
    println!("{}\n{}", bridge.report(), bridge.explain("app", log::Level::Info));
}

#[track_caller]
fn assert_clean(what: &str, text: &str, child: &dyn fmt::Display) {
    let found = |secret: &str| {
        let at = text.find(secret)?;
        Some(text[..at].chars().rev().take(400).collect::<String>().chars().rev().collect::<String>() + secret)
    };
    // In hex, as bytes are shown.
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let numbers = [HIDDEN_NUMBER.to_string(), MATCHED_NUMBER.to_string()];
    let secrets =
        [HIDDEN.to_owned(), MATCHED.to_owned(), "4111-2222".into(), "4111-3333".into(), hex(HIDDEN), hex(MATCHED)];
    for secret in secrets.iter().chain(&numbers) {
        assert_eq!(found(secret), None, "`{secret}` in {what}: {child}");
    }
}

fn no_secret_survives_anywhere() {
    for seed in 0..20 {
        let receiver = receiver();
        let mirror = if seed % 2 == 0 { "text" } else { "json" };
        let seed = seed.to_string();
        let child =
            Child::new("write_random_secrets").args([seed.as_str(), mirror, &receiver.endpoint()]).to(&receiver);
        let child = child.env("RUST_BACKTRACE", "0").run().success().within(SLACK);
        assert!(!receiver.logs().is_empty() && !receiver.spans().is_empty(), "{child}");
        assert_clean("the records", &format!("{:?}", receiver.logs()), &child);
        assert_clean("the spans", &format!("{:?}", receiver.spans()), &child);
        assert_clean("the mirror and the report", &child.stdout, &child);
        assert_eq!(receiver.problems().len(), 0, "{:?}", receiver.problems());
    }
}

fn errors_in_fields_of_spans(_: &[String]) {
    logbridge::builder().redact(redact()).init();
    let error =
        Failure { text: "outer".into(), source: Some(Box::new(Failure { text: "inner".into(), source: None })) };
    let error = &error as &(dyn Error + 'static);
    drop(tracing::info_span!("hidden", password = error, user = "ann"));
    drop(tracing::info_span!("open", error, password = "rose"));
    let late = tracing::info_span!("late", token = tracing::field::Empty);
    late.record("token", error);
}

fn an_error_in_a_hidden_field_of_a_span_leaves_by_no_other_key() {
    let receiver = receiver();
    let child = Child::new("errors_in_fields_of_spans").to(&receiver).run().success().quiet().within(SLACK);
    let spans = receiver.spans();
    let attribute = |name: &str, key: &str| {
        let span = spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name}: {child}"));
        span.attribute(key).map(ToString::to_string)
    };
    for (name, key) in [("hidden", "password"), ("late", "token")] {
        assert_eq!(attribute(name, key).as_deref(), Some("[redacted]"));
        assert_eq!(attribute(name, &format!("{key}.chain")).as_deref(), Some("[redacted]"));
        assert_eq!([attribute(name, "exception.message"), attribute(name, "exception.stacktrace")], [None, None]);
    }
    assert_eq!(attribute("open", "error").as_deref(), Some("outer"));
    assert_eq!(attribute("open", "exception.message").as_deref(), Some("outer"));
}
