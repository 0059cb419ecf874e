//! The common interface of all sources of records.

use std::borrow::Cow;

use log::Level;
use opentelemetry::Context;
use tracing_core::callsite::Identifier;

use super::buffers::{self, Location};
use super::official::OfficialAppenders;
use super::repetition::Similar;
use crate::console::{PrintResult, Terminal};
use crate::otlp::{RecordWriter, TraceIds, severity_number};

/// A record borrowed from a facade.
pub(super) trait RecordSource {
    fn target(&self) -> &str;

    fn level(&self) -> Level;

    /// Returns whether the console skips the record. A panic is skipped because the previous hook prints it.
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

    /// Returns the message, for the message filter.
    ///
    /// Returns `None` if no such filter applies to the record, or if formatting the message panicked. The text is kept,
    /// so that it is not formatted again.
    fn text(&self) -> Option<Cow<'_, str>>;

    /// Formats message and values once, now, because more than one destination needs them.
    fn render(&self) {}

    /// Returns whether a value panicked while it was formatted. It is not formatted again, because it would panic
    /// again.
    fn has_panicked(&self) -> bool {
        false
    }

    /// Emits the record through the official appender of its facade. Returns `false` if there is none.
    fn emit_official(&self, _appenders: &OfficialAppenders) -> bool {
        false
    }

    /// Prints the record as env_logger does.
    fn print(&self, terminal: &Terminal) -> PrintResult;

    fn location(&self) -> Location<'_>;

    /// Returns the callsite, if the facade identifies it.
    fn callsite(&self) -> Option<Identifier> {
        None
    }

    /// Returns the properties that similar records have in common with this one.
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
