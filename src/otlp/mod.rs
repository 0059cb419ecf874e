//! OTLP messages: written at the call site, gathered on the ship thread, read back by the debug mirror. Pure: no I/O,
//! no clock, no globals.

mod cut;
mod json;
mod json_request;
mod limits;
mod reader;
mod record;
mod recorded;
mod redact;
mod request;
mod request_with;
mod resource;
#[cfg(feature = "grpc")]
mod retry_info;
mod serde_value;
mod span_view;
#[cfg(not(feature = "traces"))]
#[path = "spans/disabled.rs"]
mod spans;
#[cfg(feature = "traces")]
#[path = "spans/enabled.rs"]
mod spans;
mod value;
mod wire;

pub(crate) use cut::{ItemSketch, cut, sketch};
pub(crate) use json::write_line as write_json_line;
pub use json_request::request_to_json;
pub(crate) use limits::{AttributeLimits, cut_texts};
pub(crate) use reader::read_resource;
pub(crate) use reader::{Hex, RecordView, ScopeView, Value as View};
pub(crate) use record::{
    Head, RecordWriter, Scratch, TraceIds, causes, encode_attribute, error_type, set_time, severity_number, text_of,
};
pub(crate) use recorded::Recorded;
pub(crate) use redact::{REDACTED, Redaction};
pub(crate) use request::{Response, gathered_len, put_record, put_scope, read_response};
pub use request_with::request_with;
pub(crate) use resource::{encode_resource, encode_scope, encode_scope_name};
#[cfg(feature = "grpc")]
pub(crate) use retry_info::read_retry_info;
pub(crate) use serde_value::write as write_serde;
pub(crate) use span_view::{attributes_of, status_of, write_span_line};
pub(crate) use spans::SpanEncoder;
pub(crate) use value::ValueWriter;
