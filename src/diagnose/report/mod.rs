//! The report: counts the outcome of every record and span, and lists the findings.
//!
//! Constraints:
//! * Log calls do nothing for the report. It is collected on request, from counters that exist anyway.
//! * It contains no secret in any form.

mod collect;
mod correlation;
mod data;
mod findings;
mod json;
mod new_finding;
mod process_images;
mod text;
mod write;

pub use data::{Configuration, Cut, Dropped, FilteredSpan, Report, Traced, TracedThread};
pub(crate) use process_images::record_image_start;
pub use process_images::{ProcessImages, prepare_image_log, read_image_log};
pub(crate) use write::write_report;
pub use write::{replace_file, write_in_place};
