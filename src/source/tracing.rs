//! `tracing` events, straight from the borrowed event, and the layer that receives them.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

use log::Level;
use opentelemetry::Context as OtelContext;
use opentelemetry::trace::{Status, TraceContextExt as _};
use tracing_core::callsite::Identifier;
use tracing_core::dispatcher::WeakDispatch;
use tracing_core::field::{Field, Visit};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::buffers::{self, Location};
use super::event_line::{self, OwnedFields};
use super::fields;
use super::pipeline::{Pipeline, Source};
use super::probe::{came_to, is_asking, is_probing};
use crate::console::{PrintResult, Terminal};
use crate::levels::{from_tracing, to_tracing};
use crate::otlp::{RecordWriter, TraceIds, text_of};
use crate::thread::{Call, catch_panic};
use crate::{installed, thread};

/// Receives tracing's events.
///
/// As the root of the global subscriber it also filters; as a guest in somebody's registry it decides in `on_event`
/// and hides nothing from other layers, but what our own threads' transport writes about itself.
pub(crate) struct EventLayer {
    role: Role,
    dispatch: OnceLock<WeakDispatch>,
}

enum Role {
    Guest(Arc<Pipeline>),
    /// Whatever is installed; inert until then.
    Root,
}

impl fmt::Debug for EventLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLayer").field("root", &matches!(self.role, Role::Root)).finish_non_exhaustive()
    }
}

impl EventLayer {
    pub(crate) fn guest(pipeline: Arc<Pipeline>) -> Self {
        Self { role: Role::Guest(pipeline), dispatch: OnceLock::new() }
    }

    pub(crate) fn root() -> Self {
        Self { role: Role::Root, dispatch: OnceLock::new() }
    }

    #[inline]
    fn pipeline(&self) -> Option<&Pipeline> {
        match &self.role {
            Role::Guest(pipeline) => Some(pipeline),
            Role::Root => installed::pipeline(),
        }
    }

    /// Whether a guest's registry may hear of it: on threads of our own, nobody hears of what the transport has to say, or an
    /// exporter that writes about exporting would fill the application's own log. `note` is done there where somebody asks.
    #[inline]
    fn is_heard(note: impl FnOnce()) -> bool {
        if !thread::is_internal() {
            return true;
        }
        note();
        is_probing() || is_asking()
    }

    /// What the root lets through. Events are all let through up to the widest level, and counted and cut in
    /// `on_event`: a callsite that was switched off could not be counted. Probes (`enabled!`) get the exact answer.
    fn allows(pipeline: &Pipeline, metadata: &Metadata<'_>) -> bool {
        let level = from_tracing(*metadata.level());
        if metadata.is_span() {
            return pipeline.levels.allows_span(metadata.target(), level);
        }
        if metadata.is_event() && !is_probe(metadata) {
            return level <= pipeline.levels.facade_filter();
        }
        pipeline.is_enabled(metadata.target(), level)
    }
}

/// Whether a target is of a crate that makes spans while requests are sent. Their callsites are asked each time, so that
/// those of our own threads can be told from those of the application.
fn is_of_transport(target: &str) -> bool {
    let crate_name = target.split("::").next().unwrap_or_default();
    ["h2", "hyper", "hyper_rustls", "hyper_util", "rustls", "tonic", "tower"].contains(&crate_name)
}

/// `enabled!` and its like make callsites that are never dispatched. tracing-core keeps the mark to itself, so it is
/// known by the name the macros give.
fn is_probe(metadata: &Metadata<'_>) -> bool {
    metadata.name().starts_with("enabled ")
}

impl<S> Layer<S> for EventLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _first_wins = self.dispatch.set(dispatch.downgrade());
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match (&self.role, self.pipeline()) {
            (Role::Guest(_), _) if metadata.is_span() && is_of_transport(metadata.target()) => Interest::sometimes(),
            (Role::Guest(_), _) => Interest::always(),
            // What levels say of a probe changes without the callsites being asked again.
            (Role::Root, Some(_)) if is_probe(metadata) => Interest::sometimes(),
            (Role::Root, Some(pipeline)) if !Self::allows(pipeline, metadata) => Interest::never(),
            // A thread of our own must be asked each time.
            (Role::Root, Some(_)) if metadata.is_span() => Interest::sometimes(),
            (Role::Root, Some(_)) => Interest::always(),
            (Role::Root, None) => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        match (&self.role, self.pipeline()) {
            (Role::Guest(pipeline), _) => Self::is_heard(|| came_to(pipeline)),
            (Role::Root, Some(pipeline)) => {
                (!thread::is_internal() || is_probing())
                    && (!metadata.is_span() || buffers::may_make_spans())
                    && Self::allows(pipeline, metadata)
            }
            (Role::Root, None) => false,
        }
    }

    fn event_enabled(&self, _event: &Event<'_>, _context: Context<'_, S>) -> bool {
        // The root has been asked before, and nobody is beside it.
        matches!(self.role, Role::Root) || Self::is_heard(|| ())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        match (&self.role, self.pipeline()) {
            (Role::Guest(_), _) => None,
            (Role::Root, Some(pipeline)) => {
                // The wider of both: RUST_LOG=warn must not take the ids away from the warnings.
                Some(to_tracing(pipeline.levels.facade_filter().max(pipeline.levels.max_span())))
            }
            (Role::Root, None) => Some(LevelFilter::OFF),
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(pipeline) = self.pipeline() else { return };
        let source = EventSource { event, context: &context, dispatch: &self.dispatch, fields: OnceCell::new() };
        // In somebody's registry, that is for somebody's tracing-opentelemetry to do.
        if matches!(self.role, Role::Root) && *event.metadata().level() == tracing_core::Level::ERROR {
            source.mark_span(pipeline);
        }
        pipeline.take(&source, |front| {
            source.with_rendered(|event| front.official_event(event, &source));
        });
    }
}

/// One event with what is needed to find its span.
pub(super) struct EventSource<'a, S> {
    event: &'a Event<'a>,
    context: &'a Context<'a, S>,
    dispatch: &'a OnceLock<WeakDispatch>,
    /// The fields as texts, once more than one destination needs them; `None` inside if one panicked.
    fields: OnceCell<Option<OwnedFields>>,
}

impl<S> EventSource<'_, S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    pub(super) fn context(&self) -> Context<'_, S> {
        self.context.clone()
    }

    /// Sets the status of the event's span to Error, with the text of the error in it, if there is one.
    #[cold]
    fn mark_span(&self, pipeline: &Pipeline) {
        if thread::is_internal() {
            return;
        }
        let Some(context) = Source::otel_context(self) else { return };
        // A value that panics while it is formatted marks the span without words. So does one that logs itself without end.
        let fields = Call::enter().filter(|_| event_line::has_error(self.event)).and_then(|_call| self.fields());
        let error = fields.and_then(|fields| fields.first_error(|key| pipeline.hides(key))).unwrap_or_default();
        context.span().set_status(Status::error(error.to_owned()));
    }

    /// Lends the event with what was formatted so far, for others that format it.
    fn with_rendered<T>(&self, run: impl FnOnce(&Event<'_>) -> T) -> T {
        match self.fields.get() {
            Some(Some(fields)) => fields.with_rendered(self.event, run),
            _ => run(self.event),
        }
    }

    /// Formats the fields, unless that was done before.
    fn fields(&self) -> Option<&OwnedFields> {
        self.fields.get_or_init(|| catch_panic(|| OwnedFields::of(self.event))).as_ref()
    }

    /// The context of an explicit parent, or of its nearest ancestor that tracing-opentelemetry knows.
    fn explicit(&self, parent: &span::Id) -> Option<OtelContext> {
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

impl<S> Source for EventSource<'_, S>
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
        event_line::given_name(self.event.metadata())
    }

    fn trace(&self, root: Option<TraceIds>) -> Option<TraceIds> {
        match self.event.parent() {
            Some(parent) => self.explicit(parent).as_ref().and_then(buffers::trace_of).or(root),
            None if self.event.is_contextual() => buffers::current_trace().or(root),
            // It was taken out of whatever it stands in.
            None => None,
        }
    }

    fn otel_context(&self) -> Option<OtelContext> {
        match self.event.parent() {
            Some(_) if thread::is_in_span_processor() => None,
            Some(parent) => self.explicit(parent),
            None if self.event.is_contextual() => buffers::current_span(),
            None => None,
        }
    }

    fn text(&self) -> Option<Cow<'_, str>> {
        let fields = self.fields()?;
        let without_message = || event_line::body_without_message(self.event.metadata(), fields, |_| false).into();
        Some(fields.message().unwrap_or_else(without_message))
    }

    fn render(&self) {
        let _rendered = self.fields();
    }

    #[inline]
    fn has_panicked(&self) -> bool {
        matches!(self.fields.get(), Some(None))
    }

    fn print(&self, terminal: &Terminal) -> PrintResult {
        match self.fields() {
            Some(fields) => event_line::print(self.event.metadata(), fields, terminal),
            None => PrintResult::Panicked,
        }
    }

    fn location(&self) -> Location<'_> {
        let metadata = self.event.metadata();
        Location { file: metadata.file(), line: metadata.line(), lasting: true }
    }

    fn callsite(&self) -> Option<Identifier> {
        Some(self.event.metadata().callsite())
    }

    fn write(&self, writer: &mut RecordWriter<'_>) {
        let metadata = self.event.metadata();
        // Without a message, the fields are the body too.
        if metadata.fields().field("message").is_none() {
            self.render();
        }
        let rendered = self.fields.get().and_then(Option::as_ref);
        self.event.record(&mut Fields { writer, rendered, next: 0 });
        if !writer.has_body()
            && let Some(fields) = self.fields()
        {
            let body = event_line::body_without_message(metadata, fields, |key| writer.hides(key));
            writer.body(format_args!("{body}"));
        }
    }
}

/// Writes each field with its type. A field called `message` is the body, whatever its type; were there a second one,
/// it stays an attribute of that name.
struct Fields<'a, 'b> {
    writer: &'a mut RecordWriter<'b>,
    rendered: Option<&'a OwnedFields>,
    next: usize,
}

impl<'a> Fields<'a, '_> {
    fn is_body(&mut self, field: &Field) -> bool {
        self.next += 1;
        field.name() == "message" && !self.writer.has_body()
    }

    /// The text of the field that is visited, if it was formatted before.
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
            fields::error(self.writer, field.name(), value, &text);
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
