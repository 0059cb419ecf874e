//! Errors as attributes, alike for all sources.

use std::error::Error;

use crate::otlp::{RecordWriter, causes, error_type, text_of};

/// An error: its text, which the caller has formatted, under the application's key, and for the first error of a record `exception.message`,
/// `exception.type` where it is known, and `exception.causes`, the source chain with the outermost first.
#[cold]
pub(super) fn error(writer: &mut RecordWriter<'_>, key: &str, error: &(dyn Error + 'static), message: &str) {
    // Under keys of ours, what is to be redacted would be told all the same.
    if !writer.has("exception.message") && !writer.hides(key) {
        if let Some(name) = error_type(error) {
            writer.builtin_attribute("exception.type", |value| value.str(name));
        }
        let chain: Vec<String> = causes(error).map(|cause| text_of(&cause)).collect();
        if !chain.is_empty() {
            writer.attribute("exception.causes", |value| {
                value.array(|list| chain.iter().for_each(|cause| list.value(|value| value.str(cause))));
            });
        }
        writer.attribute("exception.message", |value| value.str(message));
    }
    writer.attribute(key, |value| value.str(message));
}
