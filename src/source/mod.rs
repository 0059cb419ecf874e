//! Where records come from: `log`, `tracing`, the OpenTelemetry SDK, and panics.

mod account;
mod buffers;
mod change;
mod child;
mod encode;
mod engine;
mod event_line;
mod facade;
mod fields;
mod flush;
mod front;
mod gate;
mod lifecycle;
mod log;
#[cfg(not(feature = "official-appenders"))]
#[path = "official/disabled.rs"]
mod official;
#[cfg(feature = "official-appenders")]
#[path = "official/enabled.rs"]
mod official;
mod opening;
mod overload;
mod panic;
mod pipeline;
mod probe;
mod processor;
mod record_id;
mod repetition;
mod span_processor;
mod state;
mod tracing;

use std::mem::ManuallyDrop;

pub(crate) use buffers::{current_context, is_suppressed, touch as touch_thread, trace_of};
pub(crate) use engine::{Engines, InChild, Plan};
pub(crate) use front::{Chain, Front};
pub(crate) use lifecycle::{
    flush_on_signals, is_exiting_here, register as register_lifecycle, register_built, report_on_signals,
};
pub(crate) use official::front as front_of;
pub(crate) use panic::install_hook as install_panic_hook;
pub(crate) use pipeline::Pipeline;
pub(crate) use probe::{Answer, Reached, address, ask, probe};
pub(crate) use processor::Last;
pub use processor::LogProcessor;
pub use span_processor::SpanProcessor;
pub(crate) use tracing::EventLayer;

/// Takes a record of the `log` crate.
pub(crate) fn take_log(pipeline: &Pipeline, record: &::log::Record<'_>) {
    // What is filtered there costs no source.
    let Some(admitted) = pipeline.admit(record.target(), record.level()) else { return };
    // Dropped by hand, since most of them hold nothing.
    let source = ManuallyDrop::new(log::LogSource::new(record));
    pipeline.accept(admitted, &*source, |front| source.with_rendered(false, |record| front.official_log(record)));
    if source.is_rendered() {
        drop(ManuallyDrop::into_inner(source));
    }
}
