//! Creates the findings of a report: each severity follows from the impact on records.

use crate::finding::{Finding, Impact, Kind};
use crate::signal::Signal;

// Places of findings.
pub(super) const LEVELS: &str = "levels";
pub(super) const RECORDS: &str = "records";
pub(super) const SPANS: &str = "spans";

pub(super) fn note(kind: &'static Kind, place: &str, text: String, help: impl Into<String>) -> Finding {
    new(Impact::Fine, kind, place, text, help)
}

pub(super) fn warning(kind: &'static Kind, place: &str, text: String, help: impl Into<String>) -> Finding {
    new(Impact::AtRisk, kind, place, text, help)
}

pub(super) fn error(kind: &'static Kind, place: &str, text: String, help: impl Into<String>) -> Finding {
    new(Impact::Lost, kind, place, text, help)
}

fn new(impact: Impact, kind: &'static Kind, place: &str, text: String, help: impl Into<String>) -> Finding {
    Finding::new(kind, impact.severity(), place, text).help(help)
}

/// Begins a sentence about records: `1 record was`, `2 records were`.
pub(super) fn were(number: u64) -> String {
    format!("{} {}", Signal::Logs.count(number), if number == 1 { "was" } else { "were" })
}
