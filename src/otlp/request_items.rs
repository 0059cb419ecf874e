//! Cuts an encoded `ExportLogsServiceRequest` or `ExportTraceServiceRequest`: some of its items, under the same resources
//! and scopes. Nothing below an item is decoded.
//!
//! Constraints:
//! * Both requests have the same field numbers: resources are field 1 of the request, scopes field 2 of a resource, items
//!   field 2 of a scope.
//! * What is no resource, scope or item is copied as it is, also where nothing here knows it.
//! * A scope without items is retained out, and a resource without scopes.

use std::ops::Range;

use super::view::{RecordView, ScopeView};
use super::wire::{Field, Reader, put_message_header};
use crate::signal::Signal;

/// The fields that lead to the items, from the request down.
const PATH: [u64; 3] = [1, 2, 2];
/// How much of a body is quoted.
const QUOTED: usize = 200;

/// The request with only the items of this range, counted through all scopes; `None` where the bytes are no such
/// request.
pub(crate) fn retain_items(request: &[u8], items: &Range<u64>) -> Option<Vec<u8>> {
    let mut next = 0;
    let cut = retain_in_message(request, &PATH, items, &mut next)?;
    Some(cut.bytes)
}

/// What is retained of one message.
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
                    put_message_header(&mut retained.bytes, *step as u8, nested.bytes.len());
                    retained.bytes.extend_from_slice(&nested.bytes);
                    retained.has_items = true;
                }
            }
            _ => retained.bytes.extend_from_slice(raw),
        }
    }
    (!reader.is_broken()).then_some(retained)
}

/// What the first item of a request is, without its attributes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ItemSummary {
    /// Severity and scope of a record, scope of a span: the same for many of them.
    pub(crate) kind: String,
    /// What else tells it from others: the event name or the start of the body, or the span's name.
    pub(crate) detail: String,
}

/// What the first item of a request is, for a sentence about it.
pub(crate) fn summarize_first_item(request: &[u8], signal: Signal) -> Option<ItemSummary> {
    let messages = |message, field| Reader::new(message).filter(move |(found, _)| *found == field);
    messages(request, 1).flat_map(|(_, resource)| messages(resource.bytes(), 2)).find_map(|(_, scope)| {
        let (_, item) = messages(scope.bytes(), 2).next()?;
        let scope = ScopeView::read(scope.bytes());
        let scope = if scope.name.is_empty() { "a scope without a name".into() } else { scope.name };
        Some(match signal {
            Signal::Logs => summarize_record(&RecordView::read(item.bytes()), &scope),
            Signal::Traces => {
                let name = Reader::new(item.bytes()).find(|(field, _)| *field == SPAN_NAME);
                let name = name.map(|(_, name)| name.text()).unwrap_or_default();
                ItemSummary { kind: format!("a span of {scope}"), detail: format!("\"{}\"", start_of(&name)) }
            }
        })
    })
}

/// Field number of `opentelemetry.proto.trace.v1.Span`.
const SPAN_NAME: u64 = 5;

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

fn start_of(text: &str) -> &str {
    text.char_indices().nth(QUOTED).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

#[cfg(test)]
#[path = "request_items_tests.rs"]
mod tests;
