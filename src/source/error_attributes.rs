//! Errors as attributes, the same for all sources.

use std::error::Error;

use crate::otlp::{RecordWriter, causes, error_type, text_of};

/// Writes an error under the key of the application, with its text `message`.
///
/// The first error of a record also sets `exception.message`, `exception.type` if it is known, and `exception.causes`:
/// the chain of its sources, outermost first.
#[cold]
pub(super) fn write_error(writer: &mut RecordWriter<'_>, key: &str, error: &(dyn Error + 'static), message: &str) {
    // A redacted value must not appear under another key.
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
