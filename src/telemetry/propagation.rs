//! Reads and writes trace context in the headers of requests.
//!
//! `logbridge-http` does this for HTTP servers and clients. These functions are for everything else that has headers:
//! other frameworks, message queues, or job tables. They use the installed propagators, which are W3C Trace Context and
//! W3C Baggage unless `OTEL_PROPAGATORS` or the application says otherwise.
//!
//! # Message queues and job tables
//!
//! The producer injects into a [`HeaderMap`], and stores its entries with the message. The consumer rebuilds the map, and
//! makes the span of the producer the parent of its own. With pairs of text, as most queues have them:
//!
//! ```
//! use http::{HeaderMap, HeaderName, HeaderValue};
//! use tracing_opentelemetry::OpenTelemetrySpanExt as _;
//!
//! fn headers_to_send() -> Vec<(String, String)> {
//!     let mut headers = HeaderMap::new();
//!     logbridge::propagation::inject(&mut headers);
//!     let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
//!     headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
//! }
//!
//! fn handle(received: &[(String, String)]) {
//!     let entries = received.iter();
//!     // Other headers of the message may not be valid in HTTP.
//!     let valid = entries.filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?)));
//!     let headers: HeaderMap = valid.collect();
//!     let span = tracing::info_span!("handle order", otel.kind = "consumer");
//!     let _filtered_or_started = span.set_parent(logbridge::propagation::extract(&headers));
//!     span.in_scope(|| log::info!("in the trace of the producer"));
//! }
//! # handle(&headers_to_send());
//! ```
//!
//! A job that handles many messages at once has no single parent. Give its span a link to each producer:
//! `span.add_link(extract(&headers).span().span_context().clone())`, with
//! [`TraceContextExt`](opentelemetry::trace::TraceContextExt) in scope.
//!
//! # gRPC with tonic
//!
//! At a server, `ServerLayer` of `logbridge-http` works with tonic, and so does its `ClientLayer` around a channel. By
//! hand, an interceptor injects into the metadata. A handler reads them with `extract(request.metadata().as_ref())`.
//!
//! ```
//! # #[cfg(feature = "grpc")]
//! # mod example {
//! use tonic::metadata::MetadataMap;
//!
//! fn inject(mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
//!     let mut headers = std::mem::take(request.metadata_mut()).into_headers();
//!     logbridge::propagation::inject(&mut headers);
//!     *request.metadata_mut() = MetadataMap::from_headers(headers);
//!     Ok(request)
//! }
//! # }
//! ```
//!
//! # actix-web
//!
//! actix-web has types of its own for headers, so copy the three that matter into a [`HeaderMap`]. In a middleware:
//!
//! ```text
//! use actix_web::{Error, body::MessageBody, dev::{ServiceRequest, ServiceResponse}, middleware::{Next, from_fn}};
//! use tracing::Instrument as _;
//! use tracing_opentelemetry::OpenTelemetrySpanExt as _;
//!
//! async fn trace(request: ServiceRequest, next: Next<impl MessageBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
//!     let mut headers = http::HeaderMap::new();
//!     for name in ["traceparent", "tracestate", "baggage"] {
//!         for value in request.headers().get_all(name) {
//!             if let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes()) {
//!                 headers.append(name, value);
//!             }
//!         }
//!     }
//!     let span = tracing::info_span!("request", otel.name = %request.method(), otel.kind = "server");
//!     let _filtered_or_started = span.set_parent(logbridge::propagation::extract(&headers));
//!     next.call(request).instrument(span).await
//! }
//!
//! App::new().wrap(from_fn(trace))
//! ```
//!
//! `tracing-actix-web` makes such spans, too, but it continues the caller's trace only if one of its features has the
//! same version of OpenTelemetry as logbridge.
//!
//! # When `set_parent` fails
//!
//! | Result | Cause | Fix |
//! |---|---|---|
//! | `AlreadyStarted` | The span was entered, its context was read, or a child was created. | Call `set_parent` directly after the span macro. |
//! | `LayerNotFound` | The subscriber has no OpenTelemetry layer, or `logbridge::init()` has not run yet. | Initialize first. |
//! | `SpanDisabled` | The [span threshold](crate::Builder::span_level) or a filter disables the span. | Use a level that is enabled. |
//! | `Ok`, but the trace is new | The context is empty: the header is missing or invalid, or `OTEL_PROPAGATORS` names no propagator for it. | Look at the header. |
//!
//! * `#[tracing::instrument]` enters its span before the body of the function runs, so `set_parent` inside the function
//!   is too late. Create the span with a macro, and pass the future to `instrument(span)`.
//! * In tower-http's `TraceLayer`, the place is `make_span_with`, as in `logbridge_http::request_span`. `on_request` runs
//!   inside the span.
//! * A span with a parent in tracing keeps it in tracing: `set_parent` changes the trace that is exported.

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
