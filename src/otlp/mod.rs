//! OTLP messages: records are encoded at the call site, batched on the exporter thread, and read back for the debug
//! mirror.
//!
//! The module is pure: it does no I/O, reads no clock and has no global state.

mod captured_value;
mod exception;
mod json;
mod json_request;
mod limits;
mod record;
mod redact;
mod request;
mod request_items;
mod resource;
#[cfg(feature = "grpc")]
mod retry_info;
mod schema;
mod serde_value;
mod single_record;
mod span_json;
#[cfg(not(feature = "traces"))]
#[path = "spans/disabled.rs"]
mod spans;
#[cfg(feature = "traces")]
#[path = "spans/enabled.rs"]
mod spans;
mod value;
mod view;
mod wire;

pub(crate) use captured_value::CapturedValue;
pub(crate) use exception::{causes, error_type};
pub(crate) use json::write_record_json;
pub use json_request::request_to_json;
pub(crate) use limits::{AttributeLimits, truncate_span_texts};
pub(crate) use record::{RecordHeader, RecordWriter, Scratch, TraceIds, encode_attribute, set_time, severity_number};
pub(crate) use redact::{REDACTED, Redaction};
pub(crate) use request::{
    ExportResponse, nested_len, put_log_record, put_resource_logs_header, put_scope_logs_header, read_export_response,
};
pub(crate) use request_items::{ItemSummary, retain_items, summarize_first_item};
pub(crate) use resource::{encode_resource, encode_scope, encode_scope_name};
#[cfg(feature = "grpc")]
pub(crate) use retry_info::read_retry_info;
pub(crate) use serde_value::write_serde;
pub use single_record::single_record_request;
pub(crate) use span_json::{attribute_views, status_code_and_message, write_span_json};
pub(crate) use spans::SpanEncoder;
pub(crate) use value::{ValueWriter, text_of};
pub(crate) use view::{Hex, RecordView, ScopeView, ValueView, read_resource};
