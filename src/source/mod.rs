//! Sources of records: `log`, `tracing`, the OpenTelemetry SDK, and panics.
//!
//! A source (`log_record`, `tracing_event`, `panic`) hands its record to `pipeline`, which passes it through `gate`,
//! `encoder` and `delivery`. Each of these stages is a separate type, and none of them imports `pipeline`. Data that
//! only diagnosis reads is in `setup` and `inspect`.
//!
//! Files import each other in one direction only. Callbacks are passed to the pipeline when it is created.

mod assemble;
mod buffers;
mod chain_state;
mod delivery;
mod encoder;
mod error_attributes;
mod event_fields;
mod exit;
mod facades;
mod flush;
mod gate;
mod global_logger;
mod inspect;
pub(crate) mod installed;
mod late_records;
mod level_changes;
mod lifecycle;
mod log_processor;
mod log_record;
#[cfg(not(feature = "official-appenders"))]
#[path = "official/disabled.rs"]
mod official;
#[cfg(feature = "official-appenders")]
#[path = "official/enabled.rs"]
mod official;
mod overload;
mod panic;
mod pipeline;
mod probe;
mod process_state;
mod processor_chain;
mod record_id;
mod record_path;
mod record_source;
mod record_time;
mod repetition;
mod reported_losses;
mod routing;
mod schedule;
mod sdk_record;
mod setup;
mod span_export;
mod span_processor;
mod suppression;
mod tracing_event;
mod tracing_layer;

pub(crate) use assemble::{Assembly, assemble, state_per_process};
pub(crate) use buffers::{current_context, is_suppressed, touch as touch_thread, trace_of};
pub(crate) use exit::is_exiting_here;
pub(crate) use global_logger::GlobalLogger;
pub(crate) use lifecycle::{flush_on_signals, register as register_lifecycle, register_built, report_on_signals};
pub use log_processor::LogProcessor;
pub(crate) use log_record::take_log;
pub(crate) use panic::install_hook as install_panic_hook;
pub(crate) use pipeline::{Hooks, Pipeline};
pub(crate) use probe::{Answer, Reached, ask, probe};
pub(crate) use process_state::StatePerProcess;
pub use span_processor::SpanProcessor;
pub(crate) use tracing_layer::{EventLayer, is_of_transport};
