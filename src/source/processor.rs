//! Records of the OpenTelemetry SDK: our `LogProcessor` under somebody's provider, and as the last of our own chain.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use log::Level;
use opentelemetry::logs::{AnyValue, Severity};
use opentelemetry::{InstrumentationScope, TraceFlags};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::SdkLogRecord;

use super::buffers::{self, Buffers, Location};
use super::encode::write_id;
use super::gate::Reach;
use super::pipeline::Pipeline;
use super::repetition::Similar;
use crate::clock::nanos;
use crate::os;
use crate::otlp::{RecordHeader, RecordWriter, TraceIds, ValueWriter, encode_scope};
use crate::outbox::begin_frame;
use crate::thread::{self, Call};

/// How long `force_flush` waits; the SDK gives it no time of its own.
pub(super) const FLUSH: Duration = Duration::from_secs(5);

/// Ships records of the OpenTelemetry SDK: what stands in for `BatchLogProcessor` under a provider of your own.
///
/// There is no module stage and no console here: what the SDK hands over passes, `RUST_LOG` is not read, and only the
/// otlp destination's own thresholds (`Otlp::level`, `LOGBRIDGE_OTLP_LEVEL`) cut. Made by `Builder::build_processor`.
///
/// ```no_run
/// use opentelemetry_sdk::logs::SdkLoggerProvider;
///
/// # fn main() -> Result<(), logbridge::Error> {
/// let processor = logbridge::builder().build_processor()?;
/// let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LogProcessor {
    pipeline: Arc<Pipeline>,
    /// The pipeline is for this processor alone, and ends with its provider.
    is_alone: bool,
    /// Its provider was shut down.
    shut: Arc<AtomicBool>,
}

impl LogProcessor {
    /// The one processor of a pipeline.
    pub(crate) fn alone(pipeline: Arc<Pipeline>) -> Self {
        Self { is_alone: true, ..Self::beside(pipeline) }
    }

    /// A processor beside other ways into the pipeline.
    pub(crate) fn beside(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline, is_alone: false, shut: Arc::default() }
    }

    /// A handle to flush, shut down and ask for counters.
    #[must_use]
    pub fn bridge(&self) -> crate::Bridge {
        crate::Bridge::new(Arc::clone(&self.pipeline))
    }
}

impl opentelemetry_sdk::logs::LogProcessor for LogProcessor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.shut.load(Ordering::Relaxed) {
            return;
        }
        // So that a record which is written while it is handed over is known to be nested.
        let _call = Call::enter();
        let level = level_of(record.severity_number());
        let target = record.target().map_or(scope.name(), |target| target.as_ref());
        // Without flags, nobody says that the trace is not sampled.
        let flags = match record.trace_context() {
            Some(trace) => trace.trace_flags.map(TraceFlags::to_u8),
            None => self.pipeline.root.map(|root| root.flags),
        };
        if let Some(reach) = self.pipeline.admit_from_provider(target, level, flags, || similar(record, target)) {
            encode(&self.pipeline, record, scope, None, reach);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        result(self.pipeline.flush(FLUSH), FLUSH)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        if self.is_alone {
            return result(self.pipeline.shutdown(timeout), timeout);
        }
        // The end of a provider is not the end of what else goes this way.
        self.shut.store(true, Ordering::Relaxed);
        result(self.pipeline.flush(timeout), timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        let _first_wins = self.pipeline.engines().plan().given_resource.set(resource.clone());
    }
}

pub(super) fn result(result: Result<(), crate::Error>, timeout: Duration) -> OTelSdkResult {
    result.map_err(|error| {
        if error.is_timeout() && !error.is_lost() {
            OTelSdkError::Timeout(timeout)
        } else {
            OTelSdkError::InternalFailure(format!("{error:?}"))
        }
    })
}

/// The last of our own chain: takes what the application's processors hand on.
#[derive(Debug)]
pub(crate) struct Last(pub(crate) Weak<Pipeline>);

#[derive(Clone, Copy, Debug)]
struct Expected {
    otlp: bool,
    mirror: bool,
    /// The application's values are formatted; what goes wrong from here on is a processor's doing.
    formatted: bool,
    /// How many values were cut on the way because they nest too deep.
    too_deep: u32,
    /// The time that we have given it.
    time: Option<u64>,
    arrived: bool,
    /// The process that counted it, as the number of its forks: the chain is user code, which may fork.
    process: u64,
}

/// How far a record came on its way through a chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Came {
    /// Not through the formatting of its values.
    Nowhere,
    /// Into the chain, and not out of it.
    IntoTheChain,
    /// Out at the end.
    Through,
}

thread_local! {
    /// The record that is under way through the chain on this thread.
    static EXPECTED: Cell<Option<Expected>> = const { Cell::new(None) };
}

/// Runs the chain for one record, and says how far the record came.
pub(super) fn expecting(otlp: bool, mirror: bool, run: impl FnOnce()) -> Came {
    let process = os::fork_generation();
    let expected = Expected { otlp, mirror, formatted: false, too_deep: 0, time: None, arrived: false, process };
    let outer = EXPECTED.replace(Some(expected));
    run();
    match EXPECTED.replace(outer) {
        Some(Expected { arrived: true, .. }) => Came::Through,
        Some(Expected { formatted: true, .. }) => Came::IntoTheChain,
        _ => Came::Nowhere,
    }
}

/// The application's values are formatted, and the record enters the chain, with this time. So many of them were cut.
pub(super) fn formatted(too_deep: u32, time: u64) {
    EXPECTED.set(EXPECTED.get().map(|expected| Expected { formatted: true, too_deep, time: Some(time), ..expected }));
}

impl opentelemetry_sdk::logs::LogProcessor for Last {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        let Some(expected) = EXPECTED.get().filter(|expected| !expected.arrived) else { return };
        let Some(pipeline) = self.0.upgrade() else { return };
        EXPECTED.set(Some(Expected { arrived: true, ..expected }));
        if expected.process != os::fork_generation() {
            pipeline.begin_again(thread::number(), pipeline.own_verdict());
        }
        pipeline.count_too_deep(pipeline.engines.current(), thread::number(), expected.too_deep);
        encode(&pipeline, record, scope, expected.time, Reach { otlp: expected.otlp, mirror: expected.mirror });
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// `our_time` is the time that we have given the record on its way here.
fn encode(
    pipeline: &Pipeline,
    record: &SdkLogRecord,
    scope: &InstrumentationScope,
    our_time: Option<u64>,
    reach: Reach,
) {
    let severity = record.severity_number().map_or(0, |severity| severity as u8);
    buffers::with(|buffers| {
        begin_frame(&mut buffers.scratch);
        encode_scope(&mut buffers.scratch.buf, scope, record.target().map(AsRef::as_ref));
        let scope_end = buffers.scratch.buf.len();
        write(buffers, record, severity, pipeline.root, pipeline.record_ids);
        if record.timestamp().is_some_and(|time| Some(nanos(time)) != our_time) {
            buffers.scratch.assigned_time = 0;
        }
        pipeline.finish_sdk(buffers, scope_end, severity, reach.otlp, reach.mirror);
    });
}

fn write(buffers: &mut Buffers, record: &SdkLogRecord, severity_number: u8, root: Option<TraceIds>, with_id: bool) {
    let now = SystemTime::now();
    let own = record.trace_context().map(|trace| TraceIds {
        trace_id: trace.trace_id.to_bytes(),
        span_id: trace.span_id.to_bytes(),
        flags: trace.trace_flags.map_or(0, TraceFlags::to_u8),
    });
    let head = RecordHeader {
        // Without an event time, the time it was seen: 0 becomes 1970 in the store.
        time: nanos(record.timestamp().or(record.observed_timestamp()).unwrap_or(now)),
        observed_time: nanos(record.observed_timestamp().unwrap_or(now)),
        severity_number,
        severity_text: record.severity_text().unwrap_or_default(),
        trace: own.or(root),
        event_name: record.event_name().filter(|name| !name.is_empty()),
    };
    let head =
        RecordHeader { trace: head.trace.filter(|trace| trace.trace_id != [0; 16] && trace.span_id != [0; 8]), ..head };
    let id = with_id.then(|| buffers.ids.next(nanos(now)));
    let mut writer = RecordWriter::begin(&mut buffers.scratch, &head);
    if let Some(body) = record.body() {
        writer.body_value(|value| write_any(value, body));
    }
    for (key, value) in record.attributes_iter() {
        writer.attribute(key.as_str(), |writer| write_any(writer, value));
    }
    write_id(&mut writer, id);
    writer.finish(0);
}

fn write_any(writer: ValueWriter<'_>, value: &AnyValue) {
    match value {
        AnyValue::Boolean(value) => writer.bool(*value),
        AnyValue::Bytes(bytes) => writer.bytes(bytes),
        AnyValue::Double(value) => writer.double(*value),
        AnyValue::Int(value) => writer.int(*value),
        AnyValue::String(text) => writer.str(text.as_str()),
        AnyValue::ListAny(values) => {
            writer.array(|list| values.iter().for_each(|value| list.value(|writer| write_any(writer, value))));
        }
        AnyValue::Map(entries) => {
            writer.map(|map| {
                // A hash map: sorted, the same record always says the same bytes.
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
                for (key, value) in sorted {
                    map.entry(key.as_str(), |writer| write_any(writer, value));
                }
            });
        }
        // The enum may grow; its text is better than nothing.
        other => writer.debug(other),
    }
}

/// The SDK has no callsite. A name says which class of event it is; without one, the same words make records similar.
fn similar<'a>(record: &'a SdkLogRecord, target: &'a str) -> Similar<'a> {
    let text = match (record.event_name(), record.body()) {
        (Some(name), _) if !name.is_empty() => Some(name.to_owned()),
        (_, Some(AnyValue::String(text))) => Some(text.as_str().to_owned()),
        (_, Some(other)) => Some(format!("{other:?}")),
        (_, None) => None,
    };
    Similar {
        target,
        severity_number: record.severity_number().map_or(0, |severity| severity as u8),
        severity_text: record.severity_text().unwrap_or_default(),
        location: Location::default(),
        callsite: None,
        text,
    }
}

/// The level whose range a severity lies in; without a severity a record passes every threshold but OFF.
fn level_of(severity: Option<Severity>) -> Level {
    match severity.map_or(0, |severity| severity as u8) {
        0 | 17.. => Level::Error,
        13.. => Level::Warn,
        9.. => Level::Info,
        5.. => Level::Debug,
        1.. => Level::Trace,
    }
}
