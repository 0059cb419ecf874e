//! Diagnosis: explains where a record stops, checks the path to the endpoint, and reports the outcomes of records.

mod canary;
mod explain;
mod explain_span;
mod facade;
mod facade_gates;
mod filter_explanation;
mod gate;
mod outer_trace_layer;
mod report;
mod setting;

pub(crate) use canary::check;
pub use canary::{Canary, Check, Place};
pub use explain::Explanation;
pub(crate) use explain::explain;
pub use explain_span::SpanExplanation;
pub(crate) use explain_span::explain_span;
pub use facade::Facade;
pub use filter_explanation::explain_filter;
pub use gate::Gate;
pub(crate) use outer_trace_layer::note_outer_trace_layer;
pub use report::{Configuration, Cut, Dropped, FilteredSpan, Report, Traced, TracedThread};
pub use report::{ProcessImages, prepare_image_log, read_image_log, replace_file, write_in_place};
pub(crate) use report::{record_image_start, write_report};
