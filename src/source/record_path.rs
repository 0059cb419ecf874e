//! The path from a facade to the encoder: direct, through log processors of the application, or through the official
//! appenders.

use std::time::Duration;

use opentelemetry_sdk::logs::SdkLoggerProvider;
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::encoder::Encoder;
use super::official::OfficialAppenders;
use super::processor_chain::ProcessorChain;
use super::record_source::RecordSource;

/// The path of records to the encoder.
#[derive(Debug)]
pub(super) enum RecordPath {
    /// Direct: the encoder reads the source.
    Direct,
    /// The official appenders, then the processors of the application, then logbridge's own.
    #[cfg_attr(not(feature = "official-appenders"), allow(dead_code))] // Then the type has no values.
    Official(Box<OfficialAppenders>),
    /// The processors of the application, then logbridge's own.
    Processors(ProcessorChain),
}

impl RecordPath {
    /// Puts the official appenders before the chain if they are asked for and compiled in.
    pub(super) fn through(chain: ProcessorChain, official: bool) -> Self {
        match OfficialAppenders::new(chain, official) {
            Ok(appenders) => Self::Official(Box::new(appenders)),
            Err(chain) => Self::Processors(chain),
        }
    }

    /// Emits one record. `official` calls the official appender that fits the source.
    pub(super) fn emit<S: RecordSource + ?Sized>(&self, encoder: &Encoder, source: &S, official: impl FnOnce()) {
        match self {
            Self::Direct => {}
            Self::Official(_) => official(),
            Self::Processors(chain) => {
                drop(official);
                chain.emit(encoder, source);
            }
        }
    }

    /// Emits a record through the official log appender.
    pub(super) fn official_log(&self, record: &log::Record<'_>) {
        if let Self::Official(appenders) = self {
            appenders.log(record);
        }
    }

    /// Emits an event through the official tracing appender.
    pub(super) fn official_event<S>(&self, event: &Event<'_>, context: Context<'_, S>)
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        if let Self::Official(appenders) = self {
            appenders.event(event, context);
        }
    }

    /// Emits a record that logbridge creates for a panic, for which there is no official appender.
    pub(super) fn own_record<S: RecordSource + ?Sized>(&self, encoder: &Encoder, source: &S) {
        match self {
            Self::Official(appenders) => appenders.chain().emit(encoder, source),
            Self::Processors(chain) => chain.emit(encoder, source),
            Self::Direct => {}
        }
    }

    fn provider(&self) -> Option<&SdkLoggerProvider> {
        match self {
            Self::Direct => None,
            Self::Official(appenders) => Some(&appenders.chain().provider),
            Self::Processors(chain) => Some(&chain.provider),
        }
    }

    /// Returns whether processors of the application decide which records pass.
    pub(super) fn has_processors(&self) -> bool {
        match self {
            Self::Direct => false,
            Self::Official(appenders) => appenders.chain().has_processors,
            Self::Processors(chain) => chain.has_processors,
        }
    }

    /// Flushes the processors of the application.
    pub(super) fn flush(&self) {
        if let Some(provider) = self.provider() {
            // Their result is ignored, because the ledger counts the records that do not reach the end of the chain.
            drop(provider.force_flush());
        }
    }

    /// Shuts down the processors of the application.
    pub(super) fn shutdown(&self, timeout: Duration) {
        if let Some(provider) = self.provider() {
            drop(provider.shutdown_with_timeout(timeout));
        }
    }
}
