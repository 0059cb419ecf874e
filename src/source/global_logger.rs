//! The global logger of `log`.

use log::{Log, Metadata, Record};

use super::installed;
use super::log_record::take_log;

/// The logger of `log`. It does nothing until a pipeline is installed.
#[derive(Debug)]
pub(crate) struct GlobalLogger;

impl Log for GlobalLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        installed::pipeline().is_some_and(|pipeline| pipeline.is_enabled(metadata.target(), metadata.level()))
    }

    #[inline]
    fn log(&self, record: &Record<'_>) {
        if let Some(pipeline) = installed::pipeline() {
            take_log(pipeline, record);
        }
    }

    fn flush(&self) {
        if let Some(pipeline) = installed::pipeline() {
            // `log::Log::flush` cannot return an error. The report shows lost records.
            let _see_the_report = pipeline.flush_all(pipeline.exit_timeout);
        }
    }
}
