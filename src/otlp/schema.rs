//! Field numbers of the protobuf messages that this crate reads and writes: one module per message.
//!
//! `ExportLogsServiceRequest` and `ExportTraceServiceRequest` have the same numbers on every level above the items, so
//! [`export_request`], [`resource_items`] and [`scope_items`] stand for both.

/// `ExportLogsServiceRequest`, `ExportTraceServiceRequest`.
pub(super) mod export_request {
    pub(crate) const RESOURCES: u64 = 1;
}

/// `ResourceLogs`, `ResourceSpans`.
pub(super) mod resource_items {
    pub(crate) const RESOURCE: u64 = 1;
    pub(crate) const SCOPES: u64 = 2;
    pub(crate) const SCHEMA_URL: u64 = 3;
}

/// `ScopeLogs`, `ScopeSpans`.
pub(super) mod scope_items {
    pub(crate) const SCOPE: u64 = 1;
    pub(crate) const ITEMS: u64 = 2;
    pub(crate) const SCHEMA_URL: u64 = 3;
}

/// `opentelemetry.proto.resource.v1.Resource`.
pub(super) mod resource {
    pub(crate) const ATTRIBUTES: u64 = 1;
}

/// `opentelemetry.proto.common.v1.InstrumentationScope`.
pub(super) mod scope {
    pub(crate) const NAME: u64 = 1;
    pub(crate) const VERSION: u64 = 2;
    pub(crate) const ATTRIBUTES: u64 = 3;
}

/// `opentelemetry.proto.common.v1.KeyValue`.
pub(super) mod key_value {
    pub(crate) const KEY: u64 = 1;
    pub(crate) const VALUE: u64 = 2;
}

/// `opentelemetry.proto.common.v1.AnyValue`.
pub(super) mod any_value {
    pub(crate) const STRING: u64 = 1;
    pub(crate) const BOOL: u64 = 2;
    pub(crate) const INT: u64 = 3;
    pub(crate) const DOUBLE: u64 = 4;
    pub(crate) const ARRAY: u64 = 5;
    pub(crate) const KVLIST: u64 = 6;
    pub(crate) const BYTES: u64 = 7;
}

/// `opentelemetry.proto.common.v1.ArrayValue`.
pub(super) mod array_value {
    pub(crate) const VALUES: u64 = 1;
}

/// `opentelemetry.proto.common.v1.KeyValueList`.
pub(super) mod key_value_list {
    pub(crate) const VALUES: u64 = 1;
}

/// `opentelemetry.proto.logs.v1.LogRecord`.
pub(super) mod log_record {
    pub(crate) const TIME: u64 = 1;
    pub(crate) const SEVERITY_NUMBER: u64 = 2;
    pub(crate) const SEVERITY_TEXT: u64 = 3;
    pub(crate) const BODY: u64 = 5;
    pub(crate) const ATTRIBUTES: u64 = 6;
    pub(crate) const DROPPED_ATTRIBUTES: u64 = 7;
    pub(crate) const FLAGS: u64 = 8;
    pub(crate) const TRACE_ID: u64 = 9;
    pub(crate) const SPAN_ID: u64 = 10;
    pub(crate) const OBSERVED_TIME: u64 = 11;
    pub(crate) const EVENT_NAME: u64 = 12;
}

/// `opentelemetry.proto.trace.v1.Span`.
pub(super) mod span {
    pub(crate) const TRACE_ID: u64 = 1;
    pub(crate) const SPAN_ID: u64 = 2;
    pub(crate) const TRACE_STATE: u64 = 3;
    pub(crate) const PARENT_SPAN_ID: u64 = 4;
    pub(crate) const NAME: u64 = 5;
    pub(crate) const KIND: u64 = 6;
    pub(crate) const START_TIME: u64 = 7;
    pub(crate) const END_TIME: u64 = 8;
    pub(crate) const ATTRIBUTES: u64 = 9;
    pub(crate) const DROPPED_ATTRIBUTES: u64 = 10;
    pub(crate) const EVENTS: u64 = 11;
    pub(crate) const DROPPED_EVENTS: u64 = 12;
    pub(crate) const LINKS: u64 = 13;
    pub(crate) const DROPPED_LINKS: u64 = 14;
    pub(crate) const STATUS: u64 = 15;
    pub(crate) const FLAGS: u64 = 16;
}

/// `opentelemetry.proto.trace.v1.Span.Event`.
pub(super) mod span_event {
    pub(crate) const TIME: u64 = 1;
    pub(crate) const NAME: u64 = 2;
    pub(crate) const ATTRIBUTES: u64 = 3;
    pub(crate) const DROPPED_ATTRIBUTES: u64 = 4;
}

/// `opentelemetry.proto.trace.v1.Span.Link`.
pub(super) mod span_link {
    pub(crate) const TRACE_ID: u64 = 1;
    pub(crate) const SPAN_ID: u64 = 2;
    pub(crate) const TRACE_STATE: u64 = 3;
    pub(crate) const ATTRIBUTES: u64 = 4;
    pub(crate) const DROPPED_ATTRIBUTES: u64 = 5;
    pub(crate) const FLAGS: u64 = 6;
}

/// `opentelemetry.proto.trace.v1.Status`.
pub(super) mod span_status {
    pub(crate) const MESSAGE: u64 = 2;
    pub(crate) const CODE: u64 = 3;
}

/// `ExportLogsServiceResponse`, `ExportTraceServiceResponse`.
pub(super) mod export_response {
    pub(crate) const PARTIAL_SUCCESS: u64 = 1;
}

/// `ExportLogsPartialSuccess`, `ExportTracePartialSuccess`.
pub(super) mod partial_success {
    pub(crate) const REJECTED: u64 = 1;
    pub(crate) const ERROR_MESSAGE: u64 = 2;
}

/// `google.rpc.Status`.
#[cfg(feature = "grpc")]
pub(super) mod rpc_status {
    pub(crate) const DETAILS: u64 = 3;
}

/// `google.protobuf.Any`.
#[cfg(feature = "grpc")]
pub(super) mod any {
    pub(crate) const TYPE_URL: u64 = 1;
    pub(crate) const VALUE: u64 = 2;
}

/// `google.rpc.RetryInfo`.
#[cfg(feature = "grpc")]
pub(super) mod retry_info {
    pub(crate) const RETRY_DELAY: u64 = 1;
}

/// `google.protobuf.Duration`.
#[cfg(feature = "grpc")]
pub(super) mod duration {
    pub(crate) const SECONDS: u64 = 1;
    pub(crate) const NANOS: u64 = 2;
}
