//! What all sources of records have in common.

use std::borrow::Cow;

use log::Level;
use opentelemetry::Context;
use tracing_core::callsite::Identifier;

use super::buffers::{self, Location};
use super::encode::severity_number;
use super::repetition::Similar;
use crate::console::{PrintResult, Terminal};
use crate::otlp::{RecordWriter, TraceIds};

/// What a facade lends for one record.
pub(super) trait Source {
    fn target(&self) -> &str;
    fn level(&self) -> Level;
    /// Whether only the otlp side sees it: a panic is printed by the previous hook.
    fn skips_console(&self) -> bool {
        false
    }
    fn severity_number(&self) -> u8 {
        severity_number(self.level())
    }
    fn severity_text(&self) -> &'static str {
        self.level().as_str()
    }
    fn event_name(&self) -> Option<&'static str> {
        None
    }
    /// The ids of the span it belongs to; `root` where it belongs to none in this process.
    fn trace(&self, root: Option<TraceIds>) -> Option<TraceIds> {
        buffers::current_trace().or(root)
    }
    /// The context of the span it belongs to, where that may be changed.
    fn otel_context(&self) -> Option<Context> {
        buffers::current_span()
    }
    /// The message as text, for a filter on it; `None` if no such filter concerns it, or if formatting it panicked. It is
    /// kept, so that nothing formats it again.
    fn text(&self) -> Option<Cow<'_, str>>;
    /// Formats message and values now, once, because more than one destination needs them.
    fn render(&self) {}
    /// Whether a value panicked while it was formatted. It would panic again.
    fn has_panicked(&self) -> bool {
        false
    }
    /// Prints it as env_logger does.
    fn print(&self, terminal: &Terminal) -> PrintResult;
    fn location(&self) -> Location<'_>;
    /// tracing's own idea of where it was written.
    fn callsite(&self) -> Option<Identifier> {
        None
    }
    /// What makes others similar to it.
    fn similar(&self) -> Similar<'_> {
        let (location, callsite) = (self.location(), self.callsite());
        let has_place = callsite.is_some() || (location.file.is_some() && location.line.is_some());
        Similar {
            target: self.target(),
            severity_number: self.severity_number(),
            severity_text: self.severity_text(),
            text: if has_place { None } else { self.text().map(Cow::into_owned) },
            location,
            callsite,
        }
    }
    /// Writes body and attributes.
    fn write(&self, writer: &mut RecordWriter<'_>);
}
