//! Decodes OTLP/JSON.
//!
//! By the specification, a field with its default value may be absent or null. `opentelemetry-proto` requires some
//! fields, so they are filled in first.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::schema::{FieldKind, Schema};
use super::wire::Content;

/// The fields that are hexadecimal in OTLP/JSON, unlike other bytes in the JSON form of protobuf.
const IDS: [&str; 3] = ["parentSpanId", "spanId", "traceId"];

/// The maximum number of characters that are shown of a key.
const MAX_SHOWN: usize = 60;

/// Decodes a request. Also returns a remark if a key of the document is unknown and probably a mistake.
///
/// # Errors
///
/// Returns the path and the reason if the document is not valid.
pub(super) fn decode<M: DeserializeOwned>(body: &[u8], content: Content) -> Result<(M, Option<String>), String> {
    // The parser limits the nesting depth, and so the recursion of the functions below.
    let mut document = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    complete(&mut document);
    let remark = unknown_key(&document, content);
    match serde_path_to_error::deserialize(document) {
        Ok(message) => Ok((message, remark)),
        Err(error) => {
            let path = error.path().to_string();
            let is_id = IDS.iter().any(|id| path.rsplit('.').next() == Some(id));
            let help = if is_id { " (ids are hex in OTLP/JSON, not base64)" } else { "" };
            Err(format!("`{path}`: {}{help}", error.inner()))
        }
    }
}

/// Returns a remark on an unknown key that is probably a mistake: the key of another signal, or a misspelled one.
///
/// The specification requires receivers to ignore other unknown keys, which may come from a later version.
fn unknown_key(document: &Value, content: Content) -> Option<String> {
    let other_signal = document.as_object().into_iter().flat_map(|fields| fields.keys()).find_map(|key| {
        let of = |other: &Content| *other != content && Schema::of_request(*other).field_by_key(key).is_some();
        Content::ALL.into_iter().find(of).map(|other| format!("`{key}`: {} go to `{}`", other.plural(), other.path()))
    });
    let found = other_signal.or_else(|| misspelled(document, Schema::of_request(content), &mut String::new()));
    found.or_else(|| {
        // The only known key is missing.
        let fields = document.as_object()?;
        let known = Schema::of_request(content).fields.first()?.name;
        let first = fields.keys().next().filter(|_| !fields.contains_key(known))?;
        let first: String = first.chars().take(MAX_SHOWN).collect();
        Some(format!("`{first}`: the list of {} is called `{known}`", content.plural()))
    })
}

/// Finds a key that is not in lowerCamelCase. Returns a remark with its path.
fn misspelled(value: &Value, schema: &'static Schema, path: &mut String) -> Option<String> {
    let length = path.len();
    match value {
        Value::Array(elements) => elements.iter().enumerate().find_map(|(index, element)| {
            path.truncate(length);
            path.push_str(&format!("[{index}]"));
            misspelled(element, schema, path)
        }),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            path.truncate(length);
            path.push_str(if length == 0 { "" } else { "." });
            path.push_str(key);
            match schema.field_by_key(key) {
                Some(field) if field.name != key => {
                    Some(format!("`{path}`: use `{}` (OTLP/JSON keys are in lowerCamelCase)", field.name))
                }
                Some(field) => match field.kind {
                    FieldKind::Message(nested) => misspelled(value, nested, path),
                    _ => None,
                },
                None => None,
            }
        }),
        _ => None,
    }
}

/// Removes null fields and adds missing required ones, recursively.
fn complete(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(complete),
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for (name, field) in fields.iter_mut() {
                complete(field);
                match name.as_str() {
                    "arrayValue" => add_missing(field, "values", &json!([])),
                    "attributes" => for_each(field, |entry| add_missing(entry, "key", &json!(""))),
                    "entityRefs" => for_each(field, |entity| {
                        add_missing(entity, "schemaUrl", &json!(""));
                        add_missing(entity, "type", &json!(""));
                        add_missing(entity, "idKeys", &json!([]));
                        add_missing(entity, "descriptionKeys", &json!([]));
                    }),
                    "kvlistValue" => {
                        add_missing(field, "values", &json!([]));
                        if let Some(values) = field.get_mut("values") {
                            for_each(values, |entry| add_missing(entry, "key", &json!("")));
                        }
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn for_each(elements: &mut Value, change: impl Fn(&mut Value)) {
    elements.as_array_mut().into_iter().flatten().for_each(change);
}

fn add_missing(object: &mut Value, name: &str, default: &Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.entry(name).or_insert_with(|| default.clone());
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;

    use super::*;

    fn remark(body: &str) -> Option<String> {
        decode::<ExportLogsServiceRequest>(body.as_bytes(), Content::Logs).expect(body).1
    }

    #[test]
    fn remarks_on_unknown_keys_name_the_right_key() {
        for (body, expected) in [
            (r#"{"resource_logs":[]}"#, "`resource_logs`: use `resourceLogs` (OTLP/JSON keys are in lowerCamelCase)"),
            (r#"{"ResourceLogs":[]}"#, "`ResourceLogs`: use `resourceLogs` (OTLP/JSON keys are in lowerCamelCase)"),
            (
                r#"{"resourceLogs":[{},{"scope_logs":[]}]}"#,
                "`resourceLogs[1].scope_logs`: use `scopeLogs` (OTLP/JSON keys are in lowerCamelCase)",
            ),
            (
                r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"trace_id":"00"}]}]}]}"#,
                "`resourceLogs[0].scopeLogs[0].logRecords[0].trace_id`: use `traceId` (OTLP/JSON keys are in lowerCamelCase)",
            ),
            (
                r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"a","value":{"kvlistValue":{"values":[{"key":"b","value":{"string_value":"x"}}]}}}]}]}]}]}"#,
                "`resourceLogs[0].scopeLogs[0].logRecords[0].attributes[0].value.kvlistValue.values[0].value.string_value`: use \
                 `stringValue` (OTLP/JSON keys are in lowerCamelCase)",
            ),
            (r#"{"resourceSpans":[]}"#, "`resourceSpans`: spans go to `/v1/traces`"),
            (r#"{"resource_metrics":[]}"#, "`resource_metrics`: metrics go to `/v1/metrics`"),
            (r#"{"logs":[]}"#, "`logs`: the list of log records is called `resourceLogs`"),
        ] {
            assert_eq!(remark(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn other_unknown_keys_are_ignored() {
        for body in [
            "{}",
            r#"{"resourceLogs":null}"#,
            r#"{"resourceLogs":[],"more":1}"#,
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"newField":{"trace_id":1},"attributes":[{"key":"resource_logs"}]}]}]}]}"#,
        ] {
            assert_eq!(remark(body), None, "{body}");
        }
    }
}
