//! The path from a facade to the encoder: direct, or through the provider of a processor chain.

use std::time::Duration;

use super::encoder::Encoder;
use super::official::OfficialAppenders;
use super::processor_chain::ProcessorChain;
use super::record_source::RecordSource;

/// The path of records to the encoder.
#[derive(Debug)]
pub(super) enum RecordPath {
    /// The encoder reads the source.
    Direct,
    /// The processors of the application, then logbridge's own.
    Chain {
        chain: ProcessorChain,
        /// The official appenders, which convert records for the chain. `None` unless requested and compiled in.
        official: Option<Box<OfficialAppenders>>,
    },
}

impl RecordPath {
    /// Leads records through the chain. If `is_official`, the official appenders convert them.
    pub(super) fn through(chain: ProcessorChain, is_official: bool) -> Self {
        let official = if is_official { OfficialAppenders::new(&chain.provider) } else { None };
        Self::Chain { official: official.map(Box::new), chain }
    }

    /// Emits one record.
    pub(super) fn emit<S: RecordSource + ?Sized>(&self, encoder: &Encoder, source: &S) {
        let Self::Chain { chain, official } = self else { return };
        if !official.as_ref().is_some_and(|appenders| source.emit_official(appenders)) {
            chain.emit(encoder, source);
        }
    }

    /// Returns whether records pass through the official appenders.
    #[inline]
    pub(super) fn has_official_appenders(&self) -> bool {
        matches!(self, Self::Chain { official: Some(_), .. })
    }

    fn chain(&self) -> Option<&ProcessorChain> {
        match self {
            Self::Direct => None,
            Self::Chain { chain, .. } => Some(chain),
        }
    }

    /// Returns whether processors of the application decide which records pass.
    pub(super) fn has_processors(&self) -> bool {
        self.chain().is_some_and(|chain| chain.has_processors)
    }

    /// Flushes the processors of the application.
    pub(super) fn flush(&self) {
        if let Some(chain) = self.chain() {
            // Their result is ignored, because the ledger counts the records that do not reach the end of the chain.
            drop(chain.provider.force_flush());
        }
    }

    /// Shuts down the processors of the application.
    pub(super) fn shutdown(&self, timeout: Duration) {
        if let Some(chain) = self.chain() {
            drop(chain.provider.shutdown_with_timeout(timeout));
        }
    }
}
