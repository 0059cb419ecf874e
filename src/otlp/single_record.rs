//! Builds a request with one record, for the test record of `logbridge doctor`.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

use super::record::{RecordHeader, RecordWriter, Scratch};
use super::request::{nested_len, put_log_record, put_resource_logs_header, put_scope_logs_header};
use super::resource::{encode_resource, encode_scope_name};

/// Returns a request with one INFO record. `now` is in nanoseconds since the Unix epoch.
pub fn single_record_request(now: u64, service: &'static str, scope: &str, text: &str) -> Vec<u8> {
    let mut scratch = Scratch::default();
    let header = RecordHeader {
        time: now,
        observed_time: now,
        severity_number: 9,
        severity_text: "INFO",
        trace: None,
        event_name: None,
    };
    let mut writer = RecordWriter::begin(&mut scratch, &header);
    writer.body(format_args!("{text}"));
    writer.finish(0);
    let attributes = [KeyValue::new("service.name", service)];
    let resource = encode_resource(&Resource::builder_empty().with_attributes(attributes).build());
    let mut scope_logs = Vec::new();
    encode_scope_name(&mut scope_logs, scope);
    put_log_record(&mut scope_logs, &scratch.buf);
    let mut body = Vec::new();
    put_resource_logs_header(&mut body, resource.len() + nested_len(scope_logs.len()));
    body.extend_from_slice(&resource);
    put_scope_logs_header(&mut body, scope_logs.len());
    body.extend_from_slice(&scope_logs);
    body
}
