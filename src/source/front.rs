//! What stands between a facade and the encoder: nothing, the application's own log processors, or the official
//! appenders.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::{InstrumentationScope, Key, SpanId, TraceFlags, TraceId};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider};

use super::buffers::{Buffers, current_trace};
use super::encode::write_record;
use super::official::Official;
use super::pipeline::Source;
use super::tracing::EventSource;
use crate::otlp::{RecordView, Redaction, TraceIds, ValueView};

/// What stands in front of the encoder.
#[derive(Debug)]
pub(crate) enum Front {
    /// Straight from the source to bytes.
    Direct,
    /// The official appenders, then the application's processors, then ours.
    #[cfg_attr(not(feature = "official-appenders"), allow(dead_code))] // Then the type has no values.
    Official(Box<Official>),
    /// The application's processors, then ours.
    Processors(Chain),
}

/// An SDK provider with the application's processors in it, and ours as the last.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(super) provider: SdkLoggerProvider,
    logger: SdkLogger,
    root: Option<TraceIds>,
    redaction: Option<Redaction>,
    /// Whether processors of the application are in it.
    is_theirs: bool,
}

impl Chain {
    pub(crate) fn new(
        resource: Resource,
        processors: Vec<Box<dyn LogProcessor>>,
        last: impl LogProcessor + 'static,
        root: Option<TraceIds>,
        redaction: Option<Redaction>,
    ) -> Self {
        let is_theirs = !processors.is_empty();
        let mut builder = SdkLoggerProvider::builder().with_resource(resource);
        for processor in processors {
            builder = builder.with_log_processor(Boxed(processor));
        }
        let provider = builder.with_log_processor(last).build();
        Self { logger: provider.logger(""), provider, root, redaction, is_theirs }
    }

    /// Fills a record of the SDK with exactly what the direct way would ship.
    pub(super) fn emit<S: Source + ?Sized>(&self, source: &S) {
        let mut buffers = Buffers::of_this_thread();
        // Its id, where it is to have one, is given at the end of the chain.
        write_record(&mut buffers, source, self.root, self.redaction.as_ref(), false);
        let view = RecordView::read(&buffers.scratch.buf);
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
        } else if self.root.is_some() || current_trace().is_some() {
            // An event that was taken out of its span: without this, the SDK or our processor would put it back in.
            record.set_trace_context(TraceId::INVALID, SpanId::INVALID, None);
        }
        record.set_body(any_value(&view.body));
        for (key, value) in &view.attributes {
            record.add_attribute(Key::new(key.to_string()), any_value(value));
        }
        super::processor::formatted(buffers.scratch.too_deep(), view.time);
        self.logger.emit(record);
    }
}

fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// The SDK's value. It has none for "no value", which can stand in a list only: that becomes an empty text.
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

/// A processor of the application, of whatever type.
struct Boxed(Box<dyn LogProcessor>);

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl LogProcessor for Boxed {
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

impl Front {
    /// Sends one record on its way. `official` calls the official appender that fits the source.
    pub(super) fn emit<S: Source + ?Sized>(&self, source: &S, official: impl FnOnce()) {
        match self {
            Self::Direct => {}
            Self::Official(_) => official(),
            Self::Processors(chain) => {
                drop(official);
                chain.emit(source);
            }
        }
    }

    /// By way of the official log appender.
    pub(super) fn official_log(&self, record: &log::Record<'_>) {
        if let Self::Official(official) = self {
            official.log(record);
        }
    }

    /// By way of the official tracing appender.
    pub(super) fn official_event<S>(&self, event: &tracing_core::Event<'_>, source: &EventSource<'_, S>)
    where
        S: tracing_core::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        if let Self::Official(official) = self {
            official.event(event, source.context());
        }
    }

    /// A record of our own making (a panic), for which there is no official appender.
    pub(super) fn own_record<S: Source + ?Sized>(&self, source: &S) {
        match self {
            Self::Official(official) => official.chain().emit(source),
            Self::Processors(chain) => chain.emit(source),
            Self::Direct => {}
        }
    }

    fn provider(&self) -> Option<&SdkLoggerProvider> {
        match self {
            Self::Direct => None,
            Self::Official(official) => Some(&official.chain().provider),
            Self::Processors(chain) => Some(&chain.provider),
        }
    }

    /// Whether processors of the application decide what comes through.
    pub(super) fn has_processors(&self) -> bool {
        match self {
            Self::Direct => false,
            Self::Official(official) => official.chain().is_theirs,
            Self::Processors(chain) => chain.is_theirs,
        }
    }

    /// Flushes the application's processors.
    pub(super) fn flush(&self) {
        if let Some(provider) = self.provider() {
            // Their result is theirs: what did not arrive at our end is in the ledger.
            drop(provider.force_flush());
        }
    }

    /// Shuts the application's processors down.
    pub(super) fn shutdown(&self, timeout: Duration) {
        if let Some(provider) = self.provider() {
            drop(provider.shutdown_with_timeout(timeout));
        }
    }
}
