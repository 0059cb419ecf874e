use super::*;
use crate::otlp::view::{RecordView, ValueView};
use std::borrow::Cow;

fn head() -> RecordHeader<'static> {
    RecordHeader { time: 7, observed_time: 8, severity_number: 9, severity_text: "INFO", trace: None, event_name: None }
}

fn record(write: impl FnOnce(&mut RecordWriter<'_>)) -> Vec<u8> {
    let mut scratch = Scratch::default();
    let mut writer = RecordWriter::begin(&mut scratch, &head());
    write(&mut writer);
    writer.finish(0);
    scratch.buf
}

fn attributes(bytes: &[u8]) -> Vec<(String, String)> {
    RecordView::read(bytes).attributes.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[test]
fn a_key_used_twice_keeps_its_last_value_whatever_the_lengths() {
    let long = "x".repeat(300);
    let bytes = record(|writer| {
        writer.attribute("a", |value| value.str(&long));
        writer.attribute("b", |value| value.int(1));
        writer.attribute("c", |value| value.str(&long));
        writer.attribute("a", |value| value.int(2));
        writer.attribute("c", |value| value.bool(true));
        writer.attribute("b", |value| value.int(3));
        writer.builtin_attribute("code.line.number", |value| value.int(5));
    });
    let expected = [("a", "2"), ("c", "true"), ("b", "3"), ("code.line.number", "5")];
    assert_eq!(attributes(&bytes), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn the_applications_key_wins_over_ours() {
    let bytes = record(|writer| {
        writer.attribute("thread.id", |value| value.str("mine"));
        writer.builtin_attribute("thread.id", |value| value.int(1));
        assert!(!writer.builtin_encoded("thread.", b"never written"));
        assert!(writer.has("thread.id") && !writer.has("thread"));
    });
    assert_eq!(attributes(&bytes), [("thread.id".to_owned(), "mine".to_owned())]);
}

#[test]
fn no_empty_key_and_no_attribute_without_a_value() {
    let bytes = record(|writer| {
        writer.attribute("", |value| value.int(1));
        writer.attribute("none", |_| {});
        writer.attribute("unit", |value| crate::otlp::write_serde(&(), value));
    });
    assert_eq!(attributes(&bytes), [("_".to_owned(), "1".to_owned())]);
}

#[test]
fn a_value_that_is_none_takes_nothing_else_with_it() {
    let bytes = record(|writer| {
        writer.attribute("a", |value| value.int(1));
        writer.attribute("a", |_| {});
    });
    assert_eq!(attributes(&bytes), [("a".to_owned(), "1".to_owned())]);
}

#[test]
fn everything_in_the_head_reads_back() {
    let mut scratch = Scratch::default();
    let trace = TraceIds { trace_id: [1; 16], span_id: [2; 8], flags: 1 };
    let head = RecordHeader { trace: Some(trace), event_name: Some("order.placed"), ..head() };
    let mut writer = RecordWriter::begin(&mut scratch, &head);
    writer.body(format_args!("hello {}", "w".repeat(200)));
    writer.body(format_args!("a second body does not count"));
    writer.finish(4);
    let view = RecordView::read(&scratch.buf);
    assert_eq!((view.time, view.observed_time, view.severity_number, view.flags), (7, 8, 9, 1));
    assert_eq!((view.trace_id, view.span_id), (&[1; 16][..], &[2; 8][..]));
    assert_eq!((view.event_name, view.dropped_attributes), (Cow::from("order.placed"), 4));
    assert_eq!(view.body, ValueView::Text(format!("hello {}", "w".repeat(200)).into()));
}

#[test]
fn integers_of_any_width() {
    let bytes = record(|writer| {
        writer.attribute("max", |value| value.wide(u64::MAX));
        writer.attribute("fits", |value| value.wide(i64::MAX as u64));
        writer.attribute("low", |value| value.wide(i128::MIN));
        writer.attribute("minus", |value| value.wide(-1_i128));
    });
    let view = RecordView::read(&bytes);
    assert_eq!(view.attributes[0].1, ValueView::Text("18446744073709551615".into()));
    assert_eq!(view.attributes[1].1, ValueView::Int(i64::MAX));
    assert_eq!(view.attributes[2].1, ValueView::Text(i128::MIN.to_string().into()));
    assert_eq!(view.attributes[3].1, ValueView::Int(-1));
}

#[derive(serde::Serialize)]
struct Cart {
    id: u64,
    items: Vec<(String, f32)>,
    note: Option<String>,
    kind: Kind,
    extra: std::collections::BTreeMap<u8, Kind>,
}

#[derive(serde::Serialize)]
enum Kind {
    Unit,
    New(u8),
    Tuple(u8, bool),
    Struct { deep: Box<Option<Kind>> },
}

#[test]
fn nested_values_by_serde() {
    let cart = Cart {
        id: u64::MAX,
        items: vec![("tea".to_owned(), 1.5)],
        note: None,
        kind: Kind::Struct { deep: Box::new(Some(Kind::Tuple(1, true))) },
        extra: [(1, Kind::Unit), (2, Kind::New(7))].into(),
    };
    let bytes = record(|writer| writer.attribute("cart", |value| crate::otlp::write_serde(&cart, value)));
    assert_eq!(
        attributes(&bytes)[0].1,
        r#"{"id":"18446744073709551615","items":[["tea",1.5]],"kind":{"Struct":{"deep":{"Tuple":[1,true]}}},"extra":{"1":"Unit","2":{"New":7}}}"#
    );
}

/// An endlessly nested value that exists only while it is visited, not in memory.
struct Nest {
    levels: u32,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    List,
    Map,
    Some,
    Struct,
    Newtype,
    NewtypeVariant,
    TupleVariant,
    StructVariant,
}

impl serde::Serialize for Nest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{SerializeMap as _, SerializeSeq as _, SerializeStruct as _, SerializeTupleVariant as _};
        let Some(levels) = self.levels.checked_sub(1) else { return serializer.serialize_str("bottom") };
        let inner = Nest { levels, shape: self.shape };
        match self.shape {
            Shape::List => {
                let mut list = serializer.serialize_seq(Some(1))?;
                list.serialize_element(&inner)?;
                list.end()
            }
            Shape::Map => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("k", &inner)?;
                map.end()
            }
            Shape::Some => serializer.serialize_some(&inner),
            Shape::Struct => {
                let mut fields = serializer.serialize_struct("Nest", 1)?;
                fields.serialize_field("f", &inner)?;
                fields.end()
            }
            Shape::Newtype => serializer.serialize_newtype_struct("Nest", &inner),
            Shape::NewtypeVariant => serializer.serialize_newtype_variant("Nest", 0, "v", &inner),
            Shape::TupleVariant => {
                let mut fields = serializer.serialize_tuple_variant("Nest", 0, "v", 1)?;
                fields.serialize_field(&inner)?;
                fields.end()
            }
            Shape::StructVariant => {
                use serde::ser::SerializeStructVariant as _;
                let mut fields = serializer.serialize_struct_variant("Nest", 0, "v", 1)?;
                fields.serialize_field("f", &inner)?;
                fields.end()
            }
        }
    }
}

/// Returns the attribute `deep` as text, and how many values were truncated.
fn nested(levels: u32, shape: Shape) -> (String, u32) {
    let mut scratch = Scratch::default();
    let head = RecordHeader { severity_text: "", ..head() };
    let mut writer = RecordWriter::begin(&mut scratch, &head);
    writer.attribute("deep", |value| crate::otlp::write_serde(&Nest { levels, shape }, value));
    writer.finish(0);
    (attributes(&scratch.buf)[0].1.clone(), scratch.too_deep())
}

#[test]
fn what_is_nested_too_deep_is_cut_and_counted_whatever_it_is() {
    use Shape::{List, Map, Newtype, NewtypeVariant, Some, Struct, StructVariant, TupleVariant};
    for shape in [List, Map, Some, Struct, Newtype, NewtypeVariant, TupleVariant, StructVariant] {
        let (text, cut) = nested(10_000, shape);
        assert_eq!((text.matches("<nested too deep>").count(), cut), (1, 1), "{shape:?}: {text}");
        let (text, cut) = nested(12, shape);
        assert!(text.contains("bottom") && cut == 0, "{shape:?}: {text}");
    }
    let deepest = "[".repeat(24) + "\"bottom\"" + &"]".repeat(24);
    assert_eq!(nested(24, List), (deepest.clone(), 0));
    assert_eq!(nested(25, List), (deepest.replace("bottom", "<nested too deep>"), 1));
}

#[test]
fn a_map_may_have_many_keys_and_each_once() {
    let bytes = record(|writer| {
        writer.attribute("map", |value| {
            value.map(|map| {
                (0..100_000).for_each(|number| map.entry(&(number % 50_000).to_string(), |value| value.int(number)));
            });
        });
    });
    let view = RecordView::read(&bytes);
    let ValueView::Map(entries) = &view.attributes[0].1 else { panic!("no map") };
    assert_eq!(entries.len(), 50_000);
    assert!(entries.iter().all(|(key, value)| *value == ValueView::Int(key.parse().unwrap())), "the first value stays");
}
