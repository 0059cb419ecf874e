//! What all sources of records have in common.

use std::borrow::Cow;

use log::Level;
use opentelemetry::Context;
use tracing_core::callsite::Identifier;

use super::buffers::{self, Location};
use super::repetition::Similar;
use crate::console::{PrintResult, Terminal};
use crate::otlp::{RecordWriter, TraceIds, severity_number};

/// One record, as a facade lends it.
pub(super) trait RecordSource {
    fn target(&self) -> &str;

    fn level(&self) -> Level;

    /// Returns whether the console leaves the record out: a panic is printed by the previous hook.
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

    /// Returns the ids of the record's span, or `root` if it belongs to no span of this process.
    fn trace(&self, root: Option<TraceIds>) -> Option<TraceIds> {
        buffers::current_trace().or(root)
    }

    /// Returns the context of the record's span, if that span may be changed.
    fn otel_context(&self) -> Option<Context> {
        buffers::current_span()
    }

    /// Returns the message, for a filter on the text of records.
    ///
    /// Returns `None` if no such filter applies to the record, or if formatting the message panicked. The text is kept, so
    /// that nothing formats it again.
    fn text(&self) -> Option<Cow<'_, str>>;

    /// Formats message and values now, once, because more than one destination needs them.
    fn render(&self) {}

    /// Returns whether a value panicked while it was formatted. It would panic again.
    fn has_panicked(&self) -> bool {
        false
    }

    /// Prints the record as env_logger does.
    fn print(&self, terminal: &Terminal) -> PrintResult;

    fn location(&self) -> Location<'_>;

    /// Returns the callsite, if the facade identifies it.
    fn callsite(&self) -> Option<Identifier> {
        None
    }

    /// Returns what makes other records similar to this one.
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
