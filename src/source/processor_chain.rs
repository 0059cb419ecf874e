//! Log processors of the application, in an SDK provider with our own processor at the end.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::{InstrumentationScope, Key, SpanId, TraceFlags, TraceId};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider};

use super::buffers::{Buffers, current_trace};
use super::chain_state;
use super::encoder::Encoder;
use super::record_source::RecordSource;
use crate::otlp::{RecordView, ValueView};

/// An SDK provider with the processors of the application, followed by logbridge's own.
#[derive(Debug)]
pub(super) struct ProcessorChain {
    pub(super) provider: SdkLoggerProvider,
    logger: SdkLogger,
    /// Whether the application has processors in the chain.
    pub(super) has_processors: bool,
}

impl ProcessorChain {
    pub(super) fn new(
        resource: Resource,
        processors: Vec<Box<dyn LogProcessor>>,
        end: impl LogProcessor + 'static,
    ) -> Self {
        let has_processors = !processors.is_empty();
        let mut builder = SdkLoggerProvider::builder().with_resource(resource);
        for processor in processors {
            builder = builder.with_log_processor(BoxedProcessor(processor));
        }
        let provider = builder.with_log_processor(end).build();
        Self { logger: provider.logger(""), provider, has_processors }
    }

    /// Fills an SDK record with exactly the data that would be exported without processors, and emits it.
    pub(super) fn emit<S: RecordSource + ?Sized>(&self, encoder: &Encoder, source: &S) {
        let mut buffers = Buffers::of_this_thread();
        encoder.encode_for_processors(&mut buffers, source);
        let too_deep = buffers.frame.scratch().too_deep();
        let view = RecordView::read(buffers.frame.record());
        let mut record = self.logger.create_log_record();
        record.set_target(source.target().to_owned());
        record.set_severity_text(source.severity_text());
        if let Some(severity) = severity(source.severity_number()) {
            record.set_severity_number(severity);
        }
        if let Some(name) = source.event_name() {
            record.set_event_name(name);
        }
        record.set_timestamp(time(view.time));
        record.set_observed_timestamp(time(view.observed_time));
        if let (Ok(trace_id), Ok(span_id)) = (view.trace_id.try_into(), view.span_id.try_into()) {
            let flags = TraceFlags::new(view.flags as u8);
            record.set_trace_context(TraceId::from_bytes(trace_id), SpanId::from_bytes(span_id), Some(flags));
        } else if encoder.root.is_some() || current_trace().is_some() {
            // An event with `parent: None`: without this, the SDK or our processor would put it into the current span.
            record.set_trace_context(TraceId::INVALID, SpanId::INVALID, None);
        }
        record.set_body(any_value(&view.body));
        for (key, value) in &view.attributes {
            record.add_attribute(Key::new(key.to_string()), any_value(value));
        }
        chain_state::note_formatted(too_deep, view.time);
        self.logger.emit(record);
    }
}

fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// Converts a value to an SDK value. The SDK has no empty value. An empty value can occur only in a list, and becomes
/// an empty text.
fn any_value(value: &ValueView<'_>) -> AnyValue {
    match value {
        ValueView::Array(values) => AnyValue::ListAny(Box::new(values.iter().map(any_value).collect())),
        ValueView::Bool(value) => AnyValue::Boolean(*value),
        ValueView::Bytes(bytes) => AnyValue::Bytes(Box::new(bytes.to_vec())),
        ValueView::Double(value) => AnyValue::Double(*value),
        ValueView::Empty => AnyValue::String("".into()),
        ValueView::Int(value) => AnyValue::Int(*value),
        ValueView::Map(entries) => AnyValue::Map(Box::new(
            entries.iter().map(|(key, value)| (Key::new(key.to_string()), any_value(value))).collect(),
        )),
        ValueView::Text(Cow::Borrowed(text)) => AnyValue::String((*text).to_owned().into()),
        ValueView::Text(Cow::Owned(text)) => AnyValue::String(text.clone().into()),
    }
}

fn severity(number: u8) -> Option<Severity> {
    Some(match number {
        1 => Severity::Trace,
        5 => Severity::Debug,
        9 => Severity::Info,
        13 => Severity::Warn,
        17 => Severity::Error,
        21 => Severity::Fatal,
        _ => return None,
    })
}

/// A processor of the application, of any type.
struct BoxedProcessor(Box<dyn LogProcessor>);

impl fmt::Debug for BoxedProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl LogProcessor for BoxedProcessor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.emit(record, scope);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.0.event_enabled(level, target, name)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
