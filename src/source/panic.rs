//! Logs panics as records, so that the cause of a crash reaches the collector.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU32, Ordering};

use log::Level;
use opentelemetry::trace::{Status, TraceContextExt as _};

use super::buffers::{self, Location};
use super::pipeline::Pipeline;
use super::record_source::RecordSource;
use super::{installed, lifecycle};
use crate::console::{PrintResult, Terminal};
use crate::otlp::RecordWriter;
use crate::thread;

/// The scope of panic records, and their target for levels.
const TARGET: &str = "panic";
/// How many panics have a backtrace if RUST_BACKTRACE asks for them. One costs up to 0.1 s, too much for a service that
/// catches a panic in each request.
const BACKTRACES: u32 = 16;

/// Installs the hook before the existing one, which is called after it.
///
/// A hook that is set later and does not call its predecessor disables this one.
pub(crate) fn install_hook() {
    if std::thread::panicking() {
        return;
    }
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if thread::expects_panic() {
            return;
        }
        record(info);
        previous(info);
        // Without unwinding, no exit handler runs, so this is the last chance to flush. With unwinding, a caught panic would
        // wait for the network here.
        if cfg!(panic = "abort")
            && let Some(pipeline) = installed::pipeline()
        {
            lifecycle::flush_at_end(pipeline);
        }
    }));
}

fn record(info: &PanicHookInfo<'_>) {
    let Some(pipeline) = installed::pipeline() else { return };
    if thread::is_internal() {
        return;
    }
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let backtrace = (TAKEN.fetch_add(1, Ordering::Relaxed) < BACKTRACES)
        .then(Backtrace::capture)
        .filter(|backtrace| backtrace.status() == BacktraceStatus::Captured);
    let source = PanicSource {
        message: message(info),
        file: info.location().map(|location| location.file().to_owned()),
        line: info.location().map(std::panic::Location::line),
        column: info.location().map(std::panic::Location::column),
        backtrace: backtrace.map(|backtrace| backtrace.to_string()),
        fatal: cfg!(panic = "abort") || (!thread::catches_panic() && std::thread::current().name() == Some("main")),
    };
    mark_span(pipeline, &source.message);
    pipeline.take(&source);
}

/// Sets the status of the active span to Error, as a tracing event at ERROR does.
fn mark_span(pipeline: &Pipeline, message: &str) {
    let Some(context) = buffers::current_span() else { return };
    let text = if pipeline.hides("exception.message") { "" } else { message };
    context.span().set_status(Status::error(text.to_owned()));
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic with a payload that is not text".to_owned())
}

struct PanicSource {
    message: String,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    backtrace: Option<String>,
    /// The panic ends the process, as far as is known here.
    fatal: bool,
}

impl RecordSource for PanicSource {
    fn target(&self) -> &str {
        TARGET
    }

    fn level(&self) -> Level {
        Level::Error
    }

    fn skips_console(&self) -> bool {
        true
    }

    fn severity_number(&self) -> u8 {
        if self.fatal { 21 } else { 17 }
    }

    fn severity_text(&self) -> &'static str {
        if self.fatal { "FATAL" } else { "ERROR" }
    }

    // Message filters do not apply to panics.
    fn text(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn print(&self, _terminal: &Terminal) -> PrintResult {
        PrintResult::Whole
    }

    fn location(&self) -> Location<'_> {
        Location { file: self.file.as_deref(), line: self.line, is_static: false }
    }

    fn write(&self, writer: &mut RecordWriter<'_>) {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => writer.body(format_args!("panicked at {file}:{line}: {}", self.message)),
            _ => writer.body(format_args!("panicked: {}", self.message)),
        }
        writer.builtin_attribute("exception.type", |value| value.str("panic"));
        writer.builtin_attribute("exception.message", |value| value.str(&self.message));
        if let Some(backtrace) = &self.backtrace {
            writer.builtin_attribute("exception.stacktrace", |value| value.str(backtrace));
        }
        if let Some(column) = self.column {
            writer.builtin_attribute("code.column.number", |value| value.int(i64::from(column)));
        }
    }
}
