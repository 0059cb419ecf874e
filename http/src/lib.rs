//! OpenTelemetry spans, trace propagation and network capture for HTTP servers and clients.

#[allow(dead_code, unused_imports)]
mod capture;

/// The target of the spans that [`ServerLayer`] and [`request_span`] make.
///
/// logbridge does not export the span of `tower_http::trace::TraceLayer` inside a span with this target.
pub const SERVER_TARGET: &str = "logbridge_http::server";
/// The target of the spans that [`ClientLayer`] and `ReqwestMiddleware` make.
pub const CLIENT_TARGET: &str = "logbridge_http::client";
