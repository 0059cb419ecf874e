//! OTLP/JSON as the specification has it, where a field that has its default value may be absent or null.
//!
//! `opentelemetry-proto` insists on some fields; here they are filled in before it gets to see the document.

use serde::de::DeserializeOwned;
use serde_json::{Error, Value, json};

pub(super) fn decode<M: DeserializeOwned>(body: &[u8]) -> Result<M, Error> {
    // The parser limits how deep a document may nest, so the recursion below is limited too.
    let mut document = serde_json::from_slice(body)?;
    complete(&mut document);
    serde_json::from_value(document)
}

/// Takes out what is null and fills in what must not be absent, in this value and all below.
fn complete(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(complete),
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for (name, field) in fields.iter_mut() {
                complete(field);
                match name.as_str() {
                    "arrayValue" => fill_in(field, "values", &json!([])),
                    "attributes" => each(field, |entry| fill_in(entry, "key", &json!(""))),
                    "entityRefs" => each(field, |entity| {
                        fill_in(entity, "schemaUrl", &json!(""));
                        fill_in(entity, "type", &json!(""));
                        fill_in(entity, "idKeys", &json!([]));
                        fill_in(entity, "descriptionKeys", &json!([]));
                    }),
                    "kvlistValue" => {
                        fill_in(field, "values", &json!([]));
                        if let Some(values) = field.get_mut("values") {
                            each(values, |entry| fill_in(entry, "key", &json!("")));
                        }
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn each(elements: &mut Value, change: impl Fn(&mut Value)) {
    elements.as_array_mut().into_iter().flatten().for_each(change);
}

fn fill_in(object: &mut Value, name: &str, default: &Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.entry(name).or_insert_with(|| default.clone());
    }
}
