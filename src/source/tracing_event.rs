//! `tracing` events, read from the borrowed event.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use log::Level;
use opentelemetry::Context as OtelContext;
use opentelemetry::trace::{Status, TraceContextExt as _};
use tracing_core::callsite::Identifier;
use tracing_core::dispatcher::WeakDispatch;
use tracing_core::field::{Field, Visit};
use tracing_core::{Event, Subscriber, span};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::buffers::{self, Location};
use super::error_attributes::write_error;
use super::event_fields::{self, FormattedFields};
use super::official::OfficialAppenders;
use super::record_source::RecordSource;
use crate::console::{PrintResult, Terminal};
use crate::levels::from_tracing;
use crate::otlp::{RecordWriter, TraceIds, text_of};
use crate::thread::{self, Call, catch_panic};

/// A tracing event, with what is needed to find its span.
pub(super) struct EventSource<'a, S> {
    event: &'a Event<'a>,
    context: &'a Context<'a, S>,
    dispatch: &'a OnceLock<WeakDispatch>,
    /// The formatted fields, if more than one destination needs them; `None` inside if formatting panicked.
    fields: OnceCell<Option<FormattedFields>>,
}

impl<'a, S> EventSource<'a, S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    pub(super) fn new(event: &'a Event<'a>, context: &'a Context<'a, S>, dispatch: &'a OnceLock<WeakDispatch>) -> Self {
        Self { event, context, dispatch, fields: OnceCell::new() }
    }

    /// Sets the status of the event's span to Error, with the text of the error among its fields. `hides` says which keys
    /// are redacted.
    #[cold]
    pub(super) fn mark_span(&self, hides: impl Fn(&str) -> bool) {
        if thread::is_internal() {
            return;
        }
        let Some(context) = RecordSource::otel_context(self) else { return };
        // The status has no text if a value panics, or endlessly logs itself, while it is formatted.
        let fields = Call::enter().filter(|_| event_fields::has_error(self.event)).and_then(|_call| self.fields());
        let error = fields.and_then(|fields| fields.first_error(hides)).unwrap_or_default();
        context.span().set_status(Status::error(error.to_owned()));
    }

    /// Returns the event with the existing texts, so that they are not formatted again.
    fn with_rendered<T>(&self, run: impl FnOnce(&Event<'_>) -> T) -> T {
        match self.fields.get() {
            Some(Some(fields)) => fields.with_rendered(self.event, run),
            _ => run(self.event),
        }
    }

    /// Returns the fields; formats them at the first call. Returns `None` if that panicked.
    fn fields(&self) -> Option<&FormattedFields> {
        self.fields.get_or_init(|| catch_panic(|| FormattedFields::of(self.event))).as_ref()
    }

    /// Returns the context of an explicit parent, or of its nearest ancestor that tracing-opentelemetry knows.
    fn parent_context(&self, parent: &span::Id) -> Option<OtelContext> {
        if buffers::otel_context() == buffers::OtelContext::Gone {
            return None;
        }
        let dispatch = self.dispatch.get()?.upgrade()?;
        self.context
            .span(parent)?
            .scope()
            .find_map(|span| tracing_opentelemetry::get_otel_context(&span.id(), &dispatch))
    }
}

impl<S> RecordSource for EventSource<'_, S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn target(&self) -> &str {
        self.event.metadata().target()
    }

    fn level(&self) -> Level {
        from_tracing(*self.event.metadata().level())
    }

    fn event_name(&self) -> Option<&'static str> {
        event_fields::given_name(self.event.metadata())
    }

    fn trace(&self, root: Option<TraceIds>) -> Option<TraceIds> {
        match self.event.parent() {
            Some(parent) => self.parent_context(parent).as_ref().and_then(buffers::trace_of).or(root),
            None if self.event.is_contextual() => buffers::current_trace().or(root),
            // `parent: None` takes the event out of the current span.
            None => None,
        }
    }

    fn otel_context(&self) -> Option<OtelContext> {
        match self.event.parent() {
            Some(_) if thread::is_in_span_processor() => None,
            Some(parent) => self.parent_context(parent),
            None if self.event.is_contextual() => buffers::current_span(),
            None => None,
        }
    }

    fn text(&self) -> Option<Cow<'_, str>> {
        let fields = self.fields()?;
        let without_message = || event_fields::body_without_message(self.event.metadata(), fields, |_| false).into();
        Some(fields.message().unwrap_or_else(without_message))
    }

    fn render(&self) {
        let _rendered = self.fields();
    }

    #[inline]
    fn has_panicked(&self) -> bool {
        matches!(self.fields.get(), Some(None))
    }

    fn emit_official(&self, appenders: &OfficialAppenders) -> bool {
        self.with_rendered(|event| appenders.event(event, self.context.clone()));
        true
    }

    fn print(&self, terminal: &Terminal) -> PrintResult {
        match self.fields() {
            Some(fields) => event_fields::print(self.event.metadata(), fields, terminal),
            None => PrintResult::Panicked,
        }
    }

    fn location(&self) -> Location<'_> {
        let metadata = self.event.metadata();
        Location { file: metadata.file(), line: metadata.line(), is_static: true }
    }

    fn callsite(&self) -> Option<Identifier> {
        Some(self.event.metadata().callsite())
    }

    fn write(&self, writer: &mut RecordWriter<'_>) {
        let metadata = self.event.metadata();
        // Without a message, the fields also become the body.
        if metadata.fields().field("message").is_none() {
            self.render();
        }
        let rendered = self.fields.get().and_then(Option::as_ref);
        self.event.record(&mut Fields { writer, rendered, next: 0 });
        if !writer.has_body()
            && let Some(fields) = self.fields()
        {
            let body = event_fields::body_without_message(metadata, fields, |key| writer.hides(key));
            writer.body(format_args!("{body}"));
        }
    }
}

/// Writes each field with its type. The first field named `message` is the body, whatever its type.
struct Fields<'a, 'b> {
    writer: &'a mut RecordWriter<'b>,
    rendered: Option<&'a FormattedFields>,
    next: usize,
}

impl<'a> Fields<'a, '_> {
    fn is_body(&mut self, field: &Field) -> bool {
        self.next += 1;
        field.name() == "message" && !self.writer.has_body()
    }

    /// Returns the text of the visited field, if it has been formatted.
    fn text(&self) -> Option<&'a str> {
        self.rendered?.text(self.next.checked_sub(1)?)
    }
}

macro_rules! fields {
    ($($method:ident($type:ty) => $writer:ident),+ $(,)?) => {
        $(fn $method(&mut self, field: &Field, value: $type) {
            if self.is_body(field) {
                self.writer.body(format_args!("{value}"));
            } else {
                self.writer.attribute(field.name(), |writer| writer.$writer(value));
            }
        })+
    };
}

impl Visit for Fields<'_, '_> {
    fields! {
        record_bool(bool) => bool,
        record_f64(f64) => double,
        record_i64(i64) => int,
        record_i128(i128) => wide,
        record_str(&str) => str,
        record_u64(u64) => wide,
        record_u128(u128) => wide,
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        if self.is_body(field) {
            self.writer.body_value(|writer| writer.bytes(value));
        } else {
            self.writer.attribute(field.name(), |writer| writer.bytes(value));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let is_body = self.is_body(field);
        let text = self.text().map_or_else(|| text_of(&value).into(), Cow::Borrowed);
        if is_body {
            self.writer.body(format_args!("{text}"));
        } else {
            write_error(self.writer, field.name(), value, &text);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match (self.is_body(field), self.text()) {
            (true, Some(text)) => self.writer.body(format_args!("{text}")),
            (true, None) => self.writer.body(format_args!("{value:?}")),
            (false, Some(text)) => self.writer.attribute(field.name(), |writer| writer.str(text)),
            (false, None) => self.writer.attribute(field.name(), |writer| writer.debug(value)),
        }
    }
}
