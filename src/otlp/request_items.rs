//! Selects and describes items of an encoded `ExportLogsServiceRequest` or `ExportTraceServiceRequest`.
//!
//! [`retain_items`] does not decode the items. It copies all other fields unchanged, even unknown ones, and omits
//! scopes and resources that have no items left.

use std::ops::Range;

use super::schema::{export_request, resource_items, scope_items, span};
use super::view::{RecordView, ScopeView};
use super::wire::{Field, Reader, put_message_header, repeated};
use crate::signal::Signal;

/// The fields that lead from the request to the items.
const PATH: [u64; 3] = [export_request::RESOURCES, resource_items::SCOPES, scope_items::ITEMS];
/// The number of characters of a body or a name that are quoted.
const MAX_QUOTED: usize = 200;

/// Returns the request with only the items in this range. Items are numbered through all scopes. Returns `None` if the
/// bytes are not such a request.
pub(crate) fn retain_items(request: &[u8], items: &Range<u64>) -> Option<Vec<u8>> {
    let mut next = 0;
    let retained = retain_in_message(request, &PATH, items, &mut next)?;
    Some(retained.bytes)
}

/// The retained fields of one message.
struct Retained {
    bytes: Vec<u8>,
    has_items: bool,
}

fn retain_in_message(message: &[u8], path: &[u64], items: &Range<u64>, next: &mut u64) -> Option<Retained> {
    let mut retained = Retained { bytes: Vec::new(), has_items: false };
    let Some((step, below)) = path.split_first() else { return Some(retained) };
    let mut reader = Reader::new(message);
    let mut rest = reader.rest();
    while let Some((field, value)) = reader.next() {
        let raw = rest.get(..rest.len() - reader.rest().len())?;
        rest = reader.rest();
        match value {
            Field::Bytes(_) if field == *step && below.is_empty() => {
                if items.contains(next) {
                    retained.bytes.extend_from_slice(raw);
                    retained.has_items = true;
                }
                *next += 1;
            }
            Field::Bytes(nested) if field == *step => {
                let nested = retain_in_message(nested, below, items, next)?;
                if nested.has_items {
                    put_message_header(&mut retained.bytes, *step, nested.bytes.len());
                    retained.bytes.extend_from_slice(&nested.bytes);
                    retained.has_items = true;
                }
            }
            _ => retained.bytes.extend_from_slice(raw),
        }
    }
    (!reader.is_broken()).then_some(retained)
}

/// A description of one item for a notice. It contains no attributes, since those may be secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ItemSummary {
    /// Severity and scope of a record, or the scope of a span. Many items have the same kind.
    pub(crate) kind: String,
    /// The event name or the start of the body of a record, or the name of a span.
    pub(crate) detail: String,
}

/// Describes the first item of a request.
pub(crate) fn summarize_first_item(request: &[u8], signal: Signal) -> Option<ItemSummary> {
    let resources = repeated(request, export_request::RESOURCES);
    let mut scopes = resources.flat_map(|resource| repeated(resource.bytes(), resource_items::SCOPES));
    scopes.find_map(|scope| {
        let item = repeated(scope.bytes(), scope_items::ITEMS).next()?;
        let scope = ScopeView::read(scope.bytes());
        let scope = if scope.name.is_empty() { "a scope without a name".into() } else { scope.name };
        Some(match signal {
            Signal::Logs => summarize_record(&RecordView::read(item.bytes()), &scope),
            Signal::Traces => {
                let name = repeated(item.bytes(), span::NAME).next().map(Field::text).unwrap_or_default();
                ItemSummary { kind: format!("a span of {scope}"), detail: format!("\"{}\"", start_of(&name)) }
            }
        })
    })
}

fn summarize_record(record: &RecordView<'_>, scope: &str) -> ItemSummary {
    let severity = match record.severity_text.as_ref() {
        "" => format!("severity {}", record.severity_number),
        text => start_of(text).to_owned(),
    };
    let detail = match record.event_name.as_ref() {
        "" => format!("\"{}\"", start_of(&record.body.to_string())),
        name => format!("the event \"{}\"", start_of(name)),
    };
    ItemSummary { kind: format!("{severity} of {scope}"), detail }
}

/// Returns the first [`MAX_QUOTED`] characters.
fn start_of(text: &str) -> &str {
    text.char_indices().nth(MAX_QUOTED).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

#[cfg(test)]
#[path = "request_items_tests.rs"]
mod tests;
