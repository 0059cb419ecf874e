//! OpenTelemetry spans, trace propagation and network capture for HTTP servers and clients.

#[allow(dead_code)]
mod body;
#[allow(dead_code)]
mod capture;
mod client;
#[allow(dead_code)]
mod grpc;
#[allow(dead_code)]
mod metrics;
#[allow(dead_code)]
mod request;
#[allow(dead_code)]
mod semconv;
mod server;
#[allow(dead_code)]
mod settings;
#[allow(dead_code)]
mod span;

#[cfg(feature = "reqwest-middleware")]
pub use client::ReqwestMiddleware;
pub use client::{
    ClientFuture, ClientLayer, ClientRequestBody, ClientResponseBody, ClientService, KeepsRequestBody, ResendCount,
    UrlTemplate, WrapsRequestBody,
};
pub use server::{ServerBody, ServerFuture, ServerLayer, ServerService, record_response, request_span};

/// The target of the spans that [`ServerLayer`] and [`request_span`] make.
///
/// logbridge does not export the span of `tower_http::trace::TraceLayer` inside a span with this target.
pub const SERVER_TARGET: &str = "logbridge_http::server";
/// The target of the spans that [`ClientLayer`] and `ReqwestMiddleware` make.
pub const CLIENT_TARGET: &str = "logbridge_http::client";
