use std::collections::BTreeMap;

use log::kv::Value;
use serde::Serialize;

use super::super::serde_value;
use super::super::value::ValueWriter;
use super::*;

#[derive(Serialize, sval_derive::Value)]
struct Unit;

#[derive(Serialize, sval_derive::Value)]
struct Newtype(u8);

#[derive(Serialize, sval_derive::Value)]
struct Pair(i64, f32);

#[derive(Serialize, sval_derive::Value)]
enum Kind {
    Unit,
    Newtype(u8),
    Tuple(u8, bool),
    Struct { a: f64, b: char },
}

#[derive(Serialize, sval_derive::Value)]
struct All {
    unit: Unit,
    newtype: Newtype,
    pair: Pair,
    kinds: Vec<Kind>,
    map: BTreeMap<String, Option<f64>>,
    tuple: (i8, u64),
    text: String,
    wide: i128,
    nothing: (),
}

fn all() -> All {
    All {
        unit: Unit,
        newtype: Newtype(7),
        pair: Pair(-1, 0.1),
        kinds: vec![Kind::Unit, Kind::Newtype(1), Kind::Tuple(2, true), Kind::Struct { a: 1.5, b: 'ü' }],
        map: [("a \"b\"\n".to_owned(), Some(1e300)), ("none".to_owned(), None)].into(),
        tuple: (-3, u64::MAX),
        text: "two\nlines".to_owned(),
        wide: i128::MIN,
        nothing: (),
    }
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    serde_value::write_serde(value, ValueWriter::new(&mut bytes));
    bytes
}

fn recorded(value: &Value<'_>) -> CapturedValue {
    CapturedValue::new(value).unwrap()
}

fn assert_same(value: &Value<'_>) {
    let recorded = recorded(value);
    assert_eq!(encoded(&recorded), encoded(value), "{value}");
    assert_eq!(recorded.to_display_value(value).to_string(), value.to_string());
}

#[test]
fn a_recorded_value_is_encoded_and_shown_as_the_value_itself() {
    let all = all();
    assert_same(&Value::from_serde(&all));
    let recorded = recorded(&Value::from_serde(&all));
    assert_eq!(format!("{:#?}", Value::from_serde(&recorded)), format!("{:#?}", Value::from_serde(&all)));
    for value in [&all.text as &dyn fmt::Debug, &all.map, &None::<u8>] {
        assert_same(&Value::from_dyn_debug(value));
    }
    for value in &all.kinds {
        assert_same(&Value::from_serde(value));
    }
    assert_same(&Value::from_serde(&all.unit));
    assert_same(&Value::from_serde(&Some(&all.newtype)));
    assert_same(&Value::from_serde(&"text"));
    assert_same(&Value::from_serde(&1.0));
    assert_same(&Value::from_serde(&'c'));
    assert_same(&Value::from_display(&"text"));
    for value in [Value::from(1), Value::from(u128::MAX), Value::from(i128::MIN), Value::from(true), Value::null()] {
        assert_same(&value);
    }
    for value in [Value::from("text"), Value::from(1.0), Value::from('c')] {
        assert_same(&value);
    }
}

#[test]
fn what_sval_captured_too() {
    let all = all();
    assert_same(&Value::from_sval(&all.pair));
    assert_same(&Value::from_sval(&all.kinds));
    assert_same(&Value::from_sval(&all));
    assert_same(&Value::from_sval(&all.map));
    assert_same(&Value::from_sval(&true));
    assert_same(&Value::from_sval(&None::<u8>));
    assert_same(&Value::from_sval(&Some("text")));
}

struct Branching(u32);

impl Serialize for Branching {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let next = || Self(self.0 + 1);
        // One child per level at first, because the encoder would follow every branch.
        if self.0 < 20 { serializer.collect_seq([next()]) } else { serializer.collect_seq([next(), next()]) }
    }
}

#[test]
fn a_tree_without_end_ends() {
    let value = Value::from_serde(&Branching(0));
    let recorded = recorded(&value);
    assert_eq!(recorded.to_display_value(&value).to_string(), TOO_DEEP);
    assert_eq!(encoded(&recorded), encoded(&Branching(0)));
}

#[test]
fn levels_are_counted_and_texts_are_formatted_once() {
    assert_eq!(recorded(&Value::from_serde(&7)).levels, 0);
    assert_eq!(recorded(&Value::from_serde(&Some([(1, "x")]))).levels, 3);

    struct Counts(Cell<u32>);
    impl fmt::Display for Counts {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.set(self.0.get() + 1);
            f.write_str("text")
        }
    }
    let counts = Counts(Cell::new(0));
    let recorded = recorded(&Value::from_display(&counts));
    assert_eq!((recorded.as_text(), counts.0.get()), (Some("text"), 1));
}
