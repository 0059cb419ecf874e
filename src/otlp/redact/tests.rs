use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value as ApiValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::super::record::{RecordHeader, RecordWriter, Scratch};
use super::super::view::RecordView;
use super::*;

fn redaction(keys: &[&str], values: &[&str]) -> Redaction {
    let mut redaction = Redaction::default();
    keys.iter().for_each(|key| redaction.add_key(key).unwrap());
    values.iter().for_each(|value| redaction.add_value(value).unwrap());
    redaction
}

fn record(write: impl FnOnce(&mut RecordWriter<'_>)) -> Vec<u8> {
    let mut scratch = Scratch::default();
    let head = RecordHeader {
        time: 1,
        observed_time: 2,
        severity_number: 9,
        severity_text: "INFO",
        trace: None,
        event_name: Some("order.token"),
    };
    let mut writer = RecordWriter::begin(&mut scratch, &head);
    write(&mut writer);
    writer.finish(3);
    scratch.buf
}

/// Body and attributes as text, and how many values were changed.
fn redacted(redaction: &Redaction, record: &[u8]) -> (String, u64) {
    let (redacted, number) = redaction.redact_record(record);
    let (before, after) = (RecordView::read(record), RecordView::read(&redacted));
    assert_eq!((&before.event_name, before.dropped_attributes), (&after.event_name, after.dropped_attributes));
    assert_eq!((before.time, before.severity_number), (after.time, after.severity_number));
    let attributes: Vec<String> = after.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    (format!("{} {}", after.body, attributes.join(" ")).trim().to_owned(), number)
}

#[test]
fn values_go_by_their_key_at_every_depth() {
    let record = record(|writer| {
        writer.body(format_args!("the password is in the text"));
        writer.attribute("Password", |value| value.str("s3cret"));
        writer.attribute("pin.token", |value| value.int(1234));
        writer.attribute("user", |value| {
            value.map(|map| {
                map.entry("name", |value| value.str("ann"));
                map.entry("password", |value| value.bool(true));
                map.entry("logins", |value| {
                    value.array(|list| {
                        list.value(|value| value.map(|map| map.entry("TOKEN", |value| value.bytes(&[1, 2]))));
                        list.value(|value| value.int(7));
                    });
                });
            });
        });
    });
    assert_eq!(
        redacted(&redaction(&["password", "token"], &[]), &record),
        (
            "the password is in the text Password=[redacted] pin.token=[redacted] \
             user={\"name\":\"ann\",\"password\":\"[redacted]\",\"logins\":[{\"TOKEN\":\"[redacted]\"},7]}"
                .to_owned(),
            4
        )
    );
    let nothing = redaction(&["other"], &[]).redact_record(&record);
    assert_eq!(nothing, (record, 0), "not a byte changes where nothing is found");
}

#[test]
fn what_is_known_of_the_usual_keys_is_what_the_patterns_say() {
    for (patterns, hidden) in [
        (&["name"][..], &["thread.name"][..]),
        (&["password", "*line*"], &["code.line.number"]),
        (&["THREAD"], &["thread.id", "thread.name"]),
        (&["password"], &[]),
    ] {
        let redaction = redaction(patterns, &[]);
        let found: Vec<&str> = COMMON_KEYS.into_iter().filter(|key| redaction.hides(key)).collect();
        assert_eq!(found, hidden, "{patterns:?}");
    }
}

#[cfg(feature = "regex")]
#[test]
fn only_what_matches_goes_out_of_a_value() {
    let record = record(|writer| {
        // The body behind an attribute of ours, whose numbers stay.
        writer.builtin_attribute("code.line.number", |value| value.int(4111));
        writer.attribute("card", |value| value.int(4111));
        writer.attribute("big", |value| value.wide(u64::MAX));
        writer.attribute("price", |value| value.double(4111.5));
        writer.attribute("raw", |value| value.bytes(b"pay 4111"));
        writer.attribute("odd", |value| value.bytes(&[0xff, b'4', b'1', b'1', b'1']));
        writer.attribute("yes", |value| value.bool(true));
        writer.attribute("list", |value| value.array(|list| list.value(|value| value.str("a4111b"))));
        writer.attribute("map", |value| value.map(|map| map.entry("k4111", |value| value.str("4111 and 4111"))));
        writer.body(format_args!("paid with 4111, or sk-abc: grün"));
    });
    assert_eq!(
        redacted(&redaction(&[], &["4111", "sk-[a-z]+"]), &record),
        (
            "paid with [redacted], or [redacted]: grün code.line.number=4111 card=[redacted] \
             big=18446744073709551615 price=[redacted].5 raw=706179205b72656461637465645d odd=ff5b72656461637465645d yes=true \
             list=[\"a[redacted]b\"] map={\"k[redacted]\":\"[redacted] and [redacted]\"}"
                .to_owned(),
            8
        )
    );
    assert_eq!(redaction(&[], &["nowhere"]).redact_record(&record), (record, 0));
}

#[cfg(feature = "regex")]
#[test]
fn keys_that_are_data_are_looked_through_and_stay_apart() {
    let record = record(|writer| {
        writer.builtin_attribute("code.file.path", |value| value.str("code"));
        writer.attribute("by card", |value| {
            value.map(|map| {
                map.entry("4111", |value| value.int(1));
                map.entry("4112", |value| value.map(|map| map.entry("4113", |value| value.int(2))));
                map.entry("code", |value| value.str("x"));
            });
        });
        writer.attribute("4114", |value| value.str("top"));
    });
    assert_eq!(
        redacted(&redaction(&[], &["41[0-9]+", "code"]), &record),
        (
            "null code.file.path=[redacted] by card={\"[redacted]\":1,\"[redacted]#2\":{\"[redacted]\":2},\
             \"[redacted]#3\":\"x\"} [redacted]=top"
                .to_owned(),
            6
        )
    );
}

#[cfg(feature = "regex")]
#[test]
fn matches_that_overlap_go_together_and_empty_ones_hide_nothing() {
    for (expressions, text, expected) in [
        (&["abc", "cde"][..], "xabcdex", "x[redacted]x"),
        (&["abcd", "bc"], "abcd", "[redacted]"),
        (&["ab", "cd"], "abcd", "[redacted][redacted]"),
        (&["red", "secret"], "secret", "[redacted]"),
        (&["x*"], "axxb", "a[redacted]b"),
        (&["^a", "z$"], "abz", "[redacted]b[redacted]"),
        (&["ü"], "grün", "gr[redacted]n"),
    ] {
        assert_eq!(redaction(&[], expressions).redact_text(text).as_deref(), Some(expected), "{expressions:?}");
    }
    assert_eq!(redaction(&[], &["x*", r"\b"]).redact_text("abc"), None);
}

#[cfg(feature = "regex")]
#[test]
fn what_is_no_expression_says_why_and_not_what() {
    let mut redaction = Redaction::default();
    assert_eq!(redaction.add_value("s3cret("), Err("unclosed group".to_owned()));
    assert_eq!(redaction.add_value(""), Err("it is empty".to_owned()));
    assert!(redaction.add_value("s3cret").is_ok());
    assert!(!format!("{redaction:?}").contains("s3cret"));
}

#[cfg(not(feature = "regex"))]
#[test]
fn without_the_feature_it_names_it() {
    assert_eq!(Redaction::default().add_value("a"), Err("the feature `regex` of logbridge is off".to_owned()));
}

fn span() -> SpanData {
    let context =
        |id: u64| SpanContext::new(TraceId::from(1), SpanId::from(id), TraceFlags::SAMPLED, false, TraceState::NONE);
    let attributes = |token: &'static str| vec![KeyValue::new("token", token), KeyValue::new("query", "id=4111")];
    let mut events = SpanEvents::default();
    events.events.push(Event::new("read 4111", std::time::SystemTime::UNIX_EPOCH, attributes("a"), 0));
    let mut links = SpanLinks::default();
    links.links.push(Link::new(context(2), attributes("b"), 0));
    let mut own = attributes("c");
    own.push(KeyValue::new("thread.id", 4111));
    own.push(KeyValue::new("ids", ApiValue::Array(vec![4111_i64, 5].into())));
    own.push(KeyValue::new("price", 4111.5));
    own.push(KeyValue::new("texts", ApiValue::Array(Array::String(vec!["x4111".into(), "y".into()]))));
    SpanData {
        span_context: context(1),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "GET /cards/4111".into(),
        start_time: std::time::SystemTime::UNIX_EPOCH,
        end_time: std::time::SystemTime::UNIX_EPOCH,
        attributes: own,
        dropped_attributes_count: 0,
        events,
        links,
        status: opentelemetry::trace::Status::error("no card 4111"),
        instrumentation_scope: InstrumentationScope::default(),
    }
}

fn shown(attributes: &[KeyValue]) -> String {
    attributes.iter().map(|pair| format!("{}={} ", pair.key, pair.value)).collect::<String>().trim().to_owned()
}

#[test]
fn spans_are_redacted_by_key() {
    let mut span = span();
    assert_eq!(redaction(&["tok*"], &[]).redact_span(&mut span), 3);
    assert!(shown(&span.attributes).starts_with("token=[redacted] query=id=4111"), "{}", shown(&span.attributes));
    assert_eq!(shown(&span.events[0].attributes), "token=[redacted] query=id=4111");
    assert_eq!(shown(&span.links[0].attributes), "token=[redacted] query=id=4111");
}

#[cfg(feature = "regex")]
#[test]
fn spans_are_redacted_by_value() {
    let mut span = span();
    assert_eq!(redaction(&[], &["4111"]).redact_span(&mut span), 9);
    assert_eq!(
        shown(&span.attributes),
        "token=c query=id=[redacted] thread.id=4111 ids=[\"[redacted]\",\"5\"] price=[redacted].5 \
         texts=[\"x[redacted]\",\"y\"]"
    );
    assert_eq!(shown(&span.events[0].attributes), "token=a query=id=[redacted]");
    assert_eq!((span.name.as_ref(), span.events[0].name.as_ref()), ("GET /cards/[redacted]", "read [redacted]"));
    assert_eq!(shown(&span.links[0].attributes), "token=b query=id=[redacted]");
    assert_eq!(span.status, opentelemetry::trace::Status::error("no card [redacted]"));
}

#[test]
fn texts_of_spans_are_cut() {
    let mut span = span();
    super::super::truncate_span_texts(&mut span, 4);
    assert_eq!(
        shown(&span.attributes),
        "token=c query=id=4 thread.id=4111 ids=[4111,5] price=4111.5 texts=[\"x411\",\"y\"]"
    );
    assert_eq!(shown(&span.events[0].attributes), "token=a query=id=4");
    assert_eq!(shown(&span.links[0].attributes), "token=b query=id=4");
    assert_eq!(span.name, "GET /cards/4111", "a name is no attribute");
}
