//! Log processors for the OpenTelemetry SDK: one for a provider of the application, and one for the end of logbridge's
//! own chain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::{InstrumentationScope, TraceFlags};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::SdkLogRecord;

use super::buffers;
use super::chain_state;
use super::encoder::count_too_deep;
use super::flush::{SDK_FLUSH, sdk_result};
use super::pipeline::Pipeline;
use super::routing::Routing;
use super::sdk_record::{self, level_of, similar};
use crate::clock::nanos;
use crate::otlp::encode_scope;
use crate::thread::{self, Call};

/// Exports records of the OpenTelemetry SDK, as a replacement for `BatchLogProcessor` in a provider of your own.
///
/// There is no module stage and no console, and `RUST_LOG` is not read. Records are only filtered by the thresholds of
/// the otlp destination (`Otlp::level`, `LOGBRIDGE_OTLP_LEVEL`). Created by
/// [`Builder::build_processor`](crate::Builder::build_processor).
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
    /// The pipeline belongs to this processor alone, and ends with its provider.
    is_alone: bool,
    /// The provider was shut down.
    is_shut: Arc<AtomicBool>,
}

impl LogProcessor {
    /// Returns the only processor of a pipeline.
    pub(crate) fn alone(pipeline: Arc<Pipeline>) -> Self {
        Self { is_alone: true, ..Self::shared(pipeline) }
    }

    /// Returns a processor of a pipeline that has other sources too.
    pub(crate) fn shared(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline, is_alone: false, is_shut: Arc::default() }
    }

    pub(crate) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }
}

impl opentelemetry_sdk::logs::LogProcessor for LogProcessor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.is_shut.load(Ordering::Relaxed) {
            return;
        }
        // A record that is logged meanwhile must count as nested.
        let _call = Call::enter();
        let level = level_of(record.severity_number());
        let target = record.target().map_or(scope.name(), |target| target.as_ref());
        // Without flags, the trace is not known to be unsampled.
        let flags = match record.trace_context() {
            Some(trace) => trace.trace_flags.map(TraceFlags::to_u8),
            None => self.pipeline.encoder.root.map(|root| root.flags),
        };
        let Pipeline { gate, levels, .. } = &*self.pipeline;
        let process = self.pipeline.processes().current();
        let is_repeated = || self.pipeline.is_repeated(process, thread::number(), || similar(record, target));
        if let Some(routing) = gate.route_from_provider(levels, process, target, level, flags, is_repeated) {
            export(&self.pipeline, record, scope, None, routing);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        sdk_result(self.pipeline.flush(SDK_FLUSH), SDK_FLUSH)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        if self.is_alone {
            return sdk_result(self.pipeline.shutdown(timeout), timeout);
        }
        // The other sources of the pipeline continue.
        self.is_shut.store(true, Ordering::Relaxed);
        sdk_result(self.pipeline.flush(timeout), timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        let _first_wins = self.pipeline.processes().config().given_resource.set(resource.clone());
    }
}

/// The end of logbridge's own chain: exports the records that the processors of the application pass on.
#[derive(Debug)]
pub(super) struct ChainEnd(pub(super) Weak<Pipeline>);

impl opentelemetry_sdk::logs::LogProcessor for ChainEnd {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        let Some(pipeline) = self.0.upgrade() else { return };
        let Some(in_chain) = chain_state::arrive() else { return };
        if in_chain.was_forked() {
            pipeline.delivery.count_in_child(thread::number(), pipeline.delivery.ungated());
        }
        count_too_deep(pipeline.processes().current(), thread::number(), in_chain.too_deep);
        export(&pipeline, record, scope, in_chain.time, in_chain.routing);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Encodes and delivers a record of the SDK. `our_time` is the time that logbridge set, if logbridge created the
/// record.
fn export(
    pipeline: &Pipeline,
    record: &SdkLogRecord,
    scope: &InstrumentationScope,
    our_time: Option<u64>,
    routing: Routing,
) {
    let severity = record.severity_number().map_or(0, |severity| severity as u8);
    buffers::with(|buffers| {
        buffers.frame.begin(|buf| encode_scope(buf, scope, record.target().map(AsRef::as_ref)));
        sdk_record::write(buffers, record, severity, &pipeline.encoder);
        if record.timestamp().is_some_and(|time| Some(nanos(time)) != our_time) {
            buffers.frame.scratch().assigned_time = 0;
        }
        pipeline.deliver_from_sdk(buffers, severity, Routing { console: false, ..routing });
    });
}
