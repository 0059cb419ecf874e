//! OTLP/JSON as the specification has it, where a field that has its default value may be absent or null.
//!
//! `opentelemetry-proto` insists on some fields; here they are filled in before it gets to see the document.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::schema::{Holds, Message};
use super::wire::Content;

/// Names of ids, which are bytes in protobuf, and in no other document in hexadecimal digits.
const IDS: [&str; 3] = ["parentSpanId", "spanId", "traceId"];

/// So much is shown of a key.
const MOST_SHOWN: usize = 60;

/// The message, and what in the document has no meaning, where that is probably not what was meant.
pub(super) fn decode<M: DeserializeOwned>(body: &[u8], content: Content) -> Result<(M, Option<String>), String> {
    // The parser limits how deep a document may nest, so the recursion below is limited too.
    let mut document = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    complete(&mut document);
    let remark = meaningless(&document, content);
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

/// What in it has no meaning: the key of another signal, or one that is written in another way than keys are here. Others
/// are those of a later version, or of somebody's own, and are to be ignored.
fn meaningless(document: &Value, content: Content) -> Option<String> {
    let other_signal = document.as_object().into_iter().flat_map(|fields| fields.keys()).find_map(|key| {
        let of = |other: &Content| *other != content && Message::request(*other).means(key).is_some();
        Content::ALL.into_iter().find(of).map(|other| format!("`{key}`: {} go to `{}`", other.plural(), other.path()))
    });
    let found = other_signal.or_else(|| misspelt(document, Message::request(content), &mut String::new()));
    found.or_else(|| {
        // Nothing in it has a meaning.
        let fields = document.as_object()?;
        let known = Message::request(content).fields.first()?.name;
        let first = fields.keys().next().filter(|_| !fields.contains_key(known))?;
        let first: String = first.chars().take(MOST_SHOWN).collect();
        Some(format!("`{first}`: the list of {} is called `{known}`", content.plural()))
    })
}

/// A key that would be one of this message, were it written in lowerCamelCase; with its path.
fn misspelt(value: &Value, message: &'static Message, path: &mut String) -> Option<String> {
    let length = path.len();
    match value {
        Value::Array(elements) => elements.iter().enumerate().find_map(|(index, element)| {
            path.truncate(length);
            path.push_str(&format!("[{index}]"));
            misspelt(element, message, path)
        }),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            path.truncate(length);
            path.push_str(if length == 0 { "" } else { "." });
            path.push_str(key);
            match message.means(key) {
                Some(field) if field.name != key => {
                    Some(format!("`{path}`: keys of OTLP/JSON are written in lowerCamelCase, so `{}`", field.name))
                }
                Some(field) => match field.holds {
                    Holds::Message(below) => misspelt(value, below, path),
                    _ => None,
                },
                None => None,
            }
        }),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;

    use super::*;

    fn remark(body: &str) -> Option<String> {
        decode::<ExportLogsServiceRequest>(body.as_bytes(), Content::Logs).expect(body).1
    }

    #[test]
    fn keys_without_a_meaning_are_named_with_what_was_meant() {
        for (body, expected) in [
            (
                r#"{"resource_logs":[]}"#,
                "`resource_logs`: keys of OTLP/JSON are written in lowerCamelCase, so `resourceLogs`",
            ),
            (
                r#"{"ResourceLogs":[]}"#,
                "`ResourceLogs`: keys of OTLP/JSON are written in lowerCamelCase, so `resourceLogs`",
            ),
            (
                r#"{"resourceLogs":[{},{"scope_logs":[]}]}"#,
                "`resourceLogs[1].scope_logs`: keys of OTLP/JSON are written in lowerCamelCase, so `scopeLogs`",
            ),
            (
                r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"trace_id":"00"}]}]}]}"#,
                "`resourceLogs[0].scopeLogs[0].logRecords[0].trace_id`: keys of OTLP/JSON are written in lowerCamelCase, so `traceId`",
            ),
            (
                r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"a","value":{"kvlistValue":{"values":[{"key":"b","value":{"string_value":"x"}}]}}}]}]}]}]}"#,
                "`resourceLogs[0].scopeLogs[0].logRecords[0].attributes[0].value.kvlistValue.values[0].value.string_value`: keys of \
                 OTLP/JSON are written in lowerCamelCase, so `stringValue`",
            ),
            (r#"{"resourceSpans":[]}"#, "`resourceSpans`: spans go to `/v1/traces`"),
            (r#"{"resource_metrics":[]}"#, "`resource_metrics`: metrics go to `/v1/metrics`"),
            (r#"{"logs":[]}"#, "`logs`: the list of log records is called `resourceLogs`"),
        ] {
            assert_eq!(remark(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn keys_of_later_versions_and_of_others_are_ignored() {
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
