//! Spans of requests: their parent, how code runs inside them, and their end.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt::Display;

use http::{HeaderMap, StatusCode};
use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use opentelemetry::trace::{SpanRef, Status, TraceContextExt as _};
use opentelemetry::{Array, Context, ContextGuard, KeyValue, StringValue, Value};
use tracing::Span;
use tracing::span;
use tracing_opentelemetry::{OpenTelemetrySpanExt as _, SetParentError};

use crate::guard::error_text;
use crate::semconv::{self, OTHER};

/// What code of one request runs in: a span, or only the remote context if there is no span.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    span: Span,
    /// The remote context, if no span carries it: the request is excluded, or its span is filtered.
    context: Option<Context>,
}

impl Scope {
    /// Makes a new span continue the trace of a request. The span must not have been entered.
    pub(crate) fn joined(span: Span, headers: &HeaderMap) -> Self {
        let Some(context) = remote_context(headers) else { return Self { span, context: None } };
        let context = match span.set_parent(context.clone()) {
            Ok(()) => None,
            // Another layer has started the span. A link still leads to the caller.
            Err(SetParentError::AlreadyStarted) => {
                span.add_link(context.span().span_context().clone());
                None
            }
            // The records and the outgoing requests of the handler can still continue the trace.
            Err(SetParentError::SpanDisabled | SetParentError::LayerNotFound) => Some(context),
        };
        Self { span, context }
    }

    /// Creates a scope without a span. Its records and outgoing requests continue the trace of the request.
    pub(crate) fn without_span(headers: &HeaderMap) -> Self {
        Self { span: Span::none(), context: remote_context(headers) }
    }

    /// Creates a scope around a span whose parent is the current one.
    pub(crate) fn local(span: Span) -> Self {
        Self { span, context: None }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Makes the span current on this thread.
    pub(crate) fn enter(&self) -> Entered<'_> {
        let span = self.span.enter();
        Entered { _context: self.context.clone().map(Context::attach), _span: span }
    }

    /// Returns whether there is a span, and it is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        !self.span.is_disabled() && self.span.context().span().is_recording()
    }

    /// Calls `run` with the OpenTelemetry span, if there is one and it is recorded.
    pub(crate) fn with_recorded(&self, run: impl FnOnce(&SpanRef<'_>)) {
        if self.span.is_disabled() {
            return;
        }
        let context = self.span.context();
        let span = context.span();
        if span.is_recording() {
            run(&span);
        }
    }
}

/// The time in which a [`Scope`] is current. The fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Entered<'s> {
    _context: Option<ContextGuard>,
    _span: span::Entered<'s>,
}

/// Returns the context of the caller, or `None` if the headers carry none. Without a valid remote span, the local one
/// stays, and only baggage is added to it.
fn remote_context(headers: &HeaderMap) -> Option<Context> {
    let remote = logbridge::propagation::extract(headers);
    if remote.span().span_context().is_valid() {
        return Some(remote);
    }
    if remote.baggage().is_empty() {
        return None;
    }
    let local = Context::current();
    // A later entry replaces an earlier one with the same key.
    let entries = local.baggage().iter().chain(remote.baggage());
    let entries: Vec<_> = entries
        .map(|(key, (value, metadata))| KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone()))
        .collect();
    Some(local.with_baggage(entries))
}

/// Sets an attribute if it has a value.
pub(crate) fn set_optional(span: &SpanRef<'_>, name: &'static str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        span.set_attribute(KeyValue::new(name, value));
    }
}

/// Why a request failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The value of `error.type`.
    pub(crate) error_type: Cow<'static, str>,
    /// The description of the span's status, unless the type says it all.
    text: Cow<'static, str>,
}

impl Failure {
    /// Creates a failure that this package has found.
    pub(crate) fn new(error_type: &'static str, text: &'static str) -> Self {
        Self { error_type: Cow::Borrowed(error_type), text: Cow::Borrowed(text) }
    }

    /// Creates the failure that a status means.
    pub(crate) fn status(status: Cow<'static, str>) -> Self {
        Self { error_type: status, text: Cow::Borrowed("") }
    }

    /// Creates the failure that a status of HTTP means at a server. Statuses below 500 are the client's fault, or none.
    pub(crate) fn of_server_status(status: StatusCode) -> Option<Self> {
        status.is_server_error().then(|| Self::status(status.as_str().to_owned().into()))
    }

    /// Creates the failure that an error means.
    pub(crate) fn of_error(error_type: &'static str, error: &dyn Display) -> Self {
        Self { error_type: Cow::Borrowed(error_type), text: Cow::Owned(error_text(error)) }
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&str, &str) {
        (&self.error_type, &self.text)
    }
}

/// Records a failure as the status and the error type of a span.
pub(crate) fn record_failure(span: &SpanRef<'_>, failure: &Failure) {
    span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, failure.error_type.clone()));
    span.set_status(Status::error(failure.text.clone()));
}

/// Returns the attribute of a captured header.
pub(crate) fn header_attribute(name: String, values: Vec<String>) -> KeyValue {
    let values = values.into_iter().map(StringValue::from).collect();
    KeyValue::new(name, Value::Array(Array::String(values)))
}

/// Returns the value of `error.type` for an error of this type: its name, or `_OTHER` for a trait object.
pub(crate) fn error_type<E>() -> &'static str {
    let name = type_name::<E>();
    if name.contains("dyn ") { OTHER } else { name }
}
