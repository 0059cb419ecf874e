//! Reads and writes trace context in the headers of requests.
//!
//! `logbridge-http` does this for HTTP servers and clients. These functions are for everything else that has headers:
//! other frameworks, message queues, or job tables. They use the installed propagators, which are W3C Trace Context and
//! W3C Baggage unless `OTEL_PROPAGATORS` or the application says otherwise.

use std::str::FromStr as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::{Context, global};

use crate::config::is_traceparent;

/// The headers whose values are lists, which HTTP allows to split into several lines.
const LISTS: [&str; 2] = ["baggage", "tracestate"];

const TRACEPARENT: &str = "traceparent";

/// Returns the context that the headers carry: the remote parent span and the baggage.
///
/// Invalid headers are ignored, as the specification requires. Without a valid `traceparent`, the context has no span.
///
/// # Examples
///
/// Makes the remote span the parent of a tracing span. Call `set_parent` before the span is entered. Later it fails
/// with `SetParentError::AlreadyStarted`, and the span stays in a trace of its own.
///
/// ```
/// use tracing_opentelemetry::OpenTelemetrySpanExt as _;
///
/// # fn handle(headers: &http::HeaderMap) {
/// let span = tracing::info_span!("handle message");
/// let _filtered_or_started = span.set_parent(logbridge::propagation::extract(headers));
/// let _entered = span.entered();
/// # }
/// # handle(&http::HeaderMap::new());
/// ```
#[must_use]
pub fn extract(headers: &HeaderMap) -> Context {
    let empty = Context::new();
    global::get_text_map_propagator(|propagator| propagator.extract_with_context(&empty, &Headers::new(headers)))
}

/// Writes the current context into the headers: `traceparent`, `tracestate` and `baggage`.
///
/// The current context is that of the innermost span that is entered on this thread. Without a span, and without
/// baggage, the headers stay as they are. Values that are already set are replaced.
///
/// # Examples
///
/// ```
/// let mut headers = http::HeaderMap::new();
/// let span = tracing::info_span!("send message");
/// span.in_scope(|| logbridge::propagation::inject(&mut headers));
/// ```
pub fn inject(headers: &mut HeaderMap) {
    inject_context(&Context::current(), headers);
}

/// Writes the given context into the headers. See [`inject`].
pub fn inject_context(context: &Context, headers: &mut HeaderMap) {
    global::get_text_map_propagator(|propagator| propagator.inject_context(context, &mut HeadersMut(headers)));
}

/// The headers of a request, with repeated headers joined as HTTP allows.
struct Headers<'h> {
    headers: &'h HeaderMap,
    joined: Vec<(HeaderName, String)>,
}

impl<'h> Headers<'h> {
    fn new(headers: &'h HeaderMap) -> Self {
        let repeated = LISTS.iter().filter_map(|name| {
            let values: Vec<_> = headers.get_all(*name).iter().filter_map(|value| value.to_str().ok()).collect();
            (values.len() > 1).then(|| (HeaderName::from_static(name), values.join(",")))
        });
        Self { headers, joined: repeated.collect() }
    }
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if let Some((_, joined)) = self.joined.iter().find(|(name, _)| name.as_str().eq_ignore_ascii_case(key)) {
            return Some(joined);
        }
        let mut values = self.headers.get_all(key).iter();
        let first = values.next()?.to_str().ok()?;
        if key.eq_ignore_ascii_case(TRACEPARENT) && (values.next().is_some() || !is_traceparent(first.trim())) {
            // With two values, nobody knows which one is the parent.
            return None;
        }
        Some(first)
    }

    fn keys(&self) -> Vec<&str> {
        self.headers.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'h>(&'h mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        // A propagator of the application may produce text that is no header. The request must not fail for that.
        if let (Ok(name), Ok(value)) = (HeaderName::from_str(key), HeaderValue::try_from(value)) {
            let _replaced = self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
#[path = "propagation_tests.rs"]
mod tests;
